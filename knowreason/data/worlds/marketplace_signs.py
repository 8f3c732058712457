"""What can be seen of a transaction in the generated marketplace.

Every sign is drawn for honest and collusive transactions from distributions that overlap,
and honest lookalikes (travellers, the forgetful, people whose card is declined) are many
times as common as the collusion they look like.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from knowreason.data.worlds.marketplace_actors import HONEST, Floats, Ints

TAKEOVER, SIGN_IN, ONE_DAY, OVERRIDDEN = range(4)
TRAVELLER, FORGETFUL, DECLINED = range(3)  # honest lookalikes
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Cast:
    """What decides the signs of each transaction; hidden, all arrays ``[n]``.

    Attributes:
        kind: index of the collusion's kind, :data:`HONEST` where there is none.
        role: which lookalike an honest transaction is, -1 for none.
        late: 0 on the first day, ``drift`` on the last.
        changed: from the change of the sign-in procedure on (times ``drift``).
        age: days since the buyer registered.
        list_price: of the item.
    """

    kind: Ints
    role: Ints
    late: Floats
    changed: Floats
    age: Ints
    list_price: Floats

    @property
    def collusive(self) -> Flags:
        """Whether there is collusion."""
        collusive: Flags = self.kind != HONEST
        return collusive

    def chance(
        self, usual: float | Floats, kinds: dict[int, float], roles: dict[int, float] | None = None
    ) -> Floats:
        """``usual``, other values for some kinds of collusion and some lookalikes."""
        values = np.array(np.broadcast_to(usual, self.kind.shape), dtype=np.float64)
        for kind, value in kinds.items():
            values[self.kind == kind] = value
        for role, value in (roles or {}).items():
            values[self.role == role] = value
        return values


def signs(rng: np.random.Generator, cast: Cast) -> dict[str, NDArray[np.generic]]:
    """Columns by name: account, sign-in, payment and trade signs."""
    return {
        **_account(rng, cast),
        **_sign_in(rng, cast),
        **_payment(rng, cast),
        **_trade(rng, cast),
    }


def _account(rng: np.random.Generator, cast: Cast) -> dict[str, NDArray[np.generic]]:
    n = len(cast.kind)
    device = cast.chance(0.06, {TAKEOVER: 0.8, SIGN_IN: 0.45}, {TRAVELLER: 0.5, FORGETFUL: 0.3})
    device = np.where(cast.age <= 1, 0.97, device)
    far = cast.chance(0.06, {TAKEOVER: 0.65, SIGN_IN: 0.35, ONE_DAY: 0.2}, {TRAVELLER: 0.85})
    contact = cast.chance(0.02, {TAKEOVER: 0.55, SIGN_IN: 0.1}, {TRAVELLER: 0.05, FORGETFUL: 0.2})
    # days since contact details changed; missing where they never were
    recent = rng.exponential(np.where(cast.kind == TAKEOVER, 1.5, 3.0))
    ever = rng.random(n) < 0.4
    days = np.where(rng.random(n) < contact, recent, np.where(ever, rng.uniform(7, 400, n), np.nan))
    email = rng.beta(2.0, 2.0 + 4.0 * (cast.age > 30), n)  # risk of the mail domain
    email = np.where(cast.kind == ONE_DAY, rng.beta(3.5, 2.0, n), email)
    filled = rng.binomial(6, cast.chance(0.75, {ONE_DAY: 0.4}))  # fields of the profile
    filled = np.where((cast.age <= 3) & ~cast.collusive, rng.binomial(6, 0.5, n), filled)
    return {
        "new_device": rng.random(n) < device,
        "far": rng.random(n) < far,
        "contact_days": np.minimum(days, 400.0),
        "email_risk": email,
        "profile": filled,
    }


def _sign_in(rng: np.random.Generator, cast: Cast) -> dict[str, NDArray[np.generic]]:
    n = len(cast.kind)
    usual = 0.08 + 0.10 * cast.changed
    failed = cast.chance(usual, {SIGN_IN: 2.5, TAKEOVER: 0.5}, {FORGETFUL: 2.0, TRAVELLER: 0.4})
    captcha = cast.chance(0.02 + 0.03 * cast.changed, {SIGN_IN: 0.5}, {FORGETFUL: 0.3})
    reset = cast.chance(0.01, {SIGN_IN: 0.45, TAKEOVER: 0.3}, {FORGETFUL: 0.4, TRAVELLER: 0.1})
    proxy = cast.chance(
        0.04 + 0.05 * cast.late,
        {SIGN_IN: 0.5, TAKEOVER: 0.3, ONE_DAY: 0.3},
        {TRAVELLER: 0.15},
    )
    return {
        "failed": rng.poisson(failed),
        "captcha": rng.random(n) < captcha,
        "reset": rng.random(n) < reset,
        "proxy": rng.random(n) < proxy,
    }


def _payment(rng: np.random.Generator, cast: Cast) -> dict[str, NDArray[np.generic]]:
    n = len(cast.kind)
    declines = rng.poisson(cast.chance(0.03, {OVERRIDDEN: 1.0, TAKEOVER: 0.15}, {DECLINED: 0.6}))
    refused = cast.chance(0.0, {OVERRIDDEN: 0.9}, {DECLINED: 0.9})
    declines = declines + (rng.random(n) < refused)
    agent = cast.chance(0.0, {OVERRIDDEN: 0.85}, {DECLINED: 0.45})
    agent = np.where(declines > 0, np.maximum(agent, 0.05 + 0.05 * cast.late), 0.001)
    card = rng.exponential(np.where(cast.collusive, 60.0, 200.0))
    fresh = cast.chance(0.05, {OVERRIDDEN: 0.4, TAKEOVER: 0.3, ONE_DAY: 1.0}, {DECLINED: 0.3})
    card = np.where(rng.random(n) < fresh, rng.exponential(1.0, n), card)
    address = cast.chance(0.04, {OVERRIDDEN: 0.45, TAKEOVER: 0.3}, {DECLINED: 0.25})
    return {
        "declines": declines,
        "override": rng.random(n) < agent,
        "card_days": np.minimum(card, np.maximum(cast.age, 0) + rng.random(n)),
        "address_differs": rng.random(n) < address,
    }


def _trade(rng: np.random.Generator, cast: Cast) -> dict[str, NDArray[np.generic]]:
    """Signs that all kinds of collusion share; they weaken with time."""
    n, guilty = len(cast.kind), cast.collusive
    markup = np.where(guilty, 0.45 * (1 - 0.5 * cast.late), 0.0) + rng.normal(0, 0.3, n)
    coupon = np.where(guilty, 0.5, 0.12 + 0.18 * cast.late)
    block = np.where(guilty, 0.22 * (1 - 0.5 * cast.late), 0.01)
    seconds = np.exp(rng.normal(np.where(guilty, 4.2, 5.0), 0.9))
    express = np.where(guilty, 0.4, 0.2)
    return {
        "price": np.round(cast.list_price * np.exp(markup), 2),
        "coupon": rng.random(n) < coupon,
        "same_network": rng.random(n) < block,
        "seconds": np.round(seconds, 1),
        "express": rng.random(n) < express,
    }
