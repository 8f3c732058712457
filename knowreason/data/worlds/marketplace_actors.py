"""Who trades in the generated marketplace: accounts that keep arriving, shops, rings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

REGIONS = 10
CATEGORIES = 12
SUBCLASSES = ("takeover", "sign_in", "one_day", "overridden")
OTHER = len(SUBCLASSES)  # collusion of no named kind
HONEST = -1
EARLY_MIX = (0.20, 0.25, 0.38, 0.17)  # of the four kinds on the first day
LATE_MIX = (0.42, 0.25, 0.12, 0.21)  # on the last day, where drift is 1

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Accounts:
    """Buyers or sellers in order of registration.

    Attributes:
        registered: ``int64[n]`` day of registration, negative before the first day.
        weight: ``float64[n]`` how often each trades.
        region: ``int64[n]``.
    """

    registered: Ints
    weight: Floats
    region: Ints

    @staticmethod
    def draw(
        rng: np.random.Generator, count: int, days: int, arriving: float, spread: float
    ) -> Accounts:
        """``arriving`` is the share that registers during the ``days``, evenly."""
        born = np.where(
            rng.random(count) < arriving,
            rng.integers(0, days, count),
            -1 - rng.exponential(600.0, count).astype(np.int64),
        )
        weight = rng.lognormal(0.0, spread, count)
        return Accounts(np.sort(born), weight, rng.integers(0, REGIONS, count))

    def known(self, day: Ints) -> Ints:
        """How many accounts were registered by the end of each day; at least 1."""
        return np.maximum(np.searchsorted(self.registered, day, side="right"), 1)

    def busy(self, rng: np.random.Generator, day: Ints) -> Ints:
        """An account registered by each day, by weight."""
        total = np.cumsum(self.weight)
        drawn = rng.random(len(day)) * total[self.known(day) - 1]
        return np.minimum(np.searchsorted(total, drawn, side="right"), self.known(day) - 1)

    def any(self, rng: np.random.Generator, day: Ints) -> Ints:
        """An account registered by each day, all alike."""
        return (rng.random(len(day)) * self.known(day)).astype(np.int64)

    def fresh(self, rng: np.random.Generator, day: Ints) -> Ints:
        """An account registered on that very day, or the last one before it."""
        first = np.searchsorted(self.registered, day, side="left")
        last = self.known(day)
        members = first + (rng.random(len(day)) * np.maximum(last - first, 1)).astype(np.int64)
        account: Ints = np.minimum(members, last - 1)
        return account


@dataclass(frozen=True)
class Shelves:
    """Items in order of their sellers.

    Attributes:
        start, count: ``int64[sellers]`` first item of each seller, and how many.
        seller, category: ``int64[items]``.
        price: ``float64[items]`` list price.
    """

    start: Ints
    count: Ints
    seller: Ints
    category: Ints
    price: Floats

    @staticmethod
    def draw(rng: np.random.Generator, sellers: Accounts) -> Shelves:
        """A dozen items a seller, most of one category."""
        count = 1 + rng.poisson(11.0, len(sellers.registered))
        seller = np.repeat(np.arange(len(count)), count)
        main = rng.integers(0, CATEGORIES, len(count))[seller]
        stray = rng.random(len(seller)) < 0.2
        category = np.where(stray, rng.integers(0, CATEGORIES, len(seller)), main)
        usual = 2.2 + 0.25 * np.arange(CATEGORIES)
        price = np.exp(usual[category] + rng.normal(0.0, 0.7, len(seller)))
        return Shelves(np.cumsum(count) - count, count, seller, category, price)

    def pick(self, rng: np.random.Generator, seller: Ints) -> Ints:
        """An item of each seller."""
        return self.start[seller] + (rng.random(len(seller)) * self.count[seller]).astype(np.int64)


@dataclass(frozen=True)
class Collusions:
    """The collusive transactions before anything of them can be seen.

    Attributes:
        ring: ``int64[k]`` which ring.
        kind: ``int64[k]`` index into :data:`SUBCLASSES`, or :data:`OTHER`.
        day, seller: ``int64[k]``.
        tool: ``int64[k]`` which of the ring's devices, -1 for the buyer's own.
    """

    ring: Ints
    kind: Ints
    day: Ints
    seller: Ints
    tool: Ints


def collusions(
    rng: np.random.Generator,
    count: int,
    days: int,
    sellers: Accounts,
    *,
    ring_size: float,
    other: float,
    drift: float,
) -> Collusions:
    """Rings of one to three sellers, active for a week or two, each with habits of its own.

    A ring that would go on after the last day goes on from the first one, so that no day has
    fewer rings than others.
    """
    rings = max(1, round(count / ring_size))
    start, length = rng.integers(0, days, rings), 2 + rng.geometric(1 / 9, rings)
    share = np.cumsum(rng.gamma(2.0, 1.0, rings))
    ring = np.minimum(np.searchsorted(share, rng.random(count) * share[-1]), rings - 1)
    day = (start[ring] + (rng.random(count) * length[ring]).astype(np.int64)) % days
    young = rng.beta(1.2, 3.0, (rings, 3))  # how far back in the order of registration
    of_ring = ((1.0 - young) * (sellers.known(start)[:, None] - 1)).astype(np.int64)
    used = 1 + rng.binomial(2, 0.35, rings)
    place = (rng.random(count) * used[ring]).astype(np.int64)
    seller = np.minimum(of_ring[ring, place], sellers.known(day) - 1)
    kind = _kinds(rng, ring, rings, day / max(days - 1, 1) * drift, other)
    tools = 1 + rng.poisson(1.5, rings)
    shared = rng.random(count) < 0.6
    tool = np.where(shared, (rng.random(count) * tools[ring]).astype(np.int64), -1)
    return Collusions(ring, kind, day, seller, tool)


def _kinds(rng: np.random.Generator, ring: Ints, rings: int, late: Floats, other: float) -> Ints:
    """Kind of each transaction: half by the ring's own habit, half by the mix of the day."""
    early, last = np.array(EARLY_MIX), np.array(LATE_MIX)
    mix = np.cumsum((1 - late)[:, None] * early + late[:, None] * last, axis=1)
    by_day = (rng.random(len(ring))[:, None] > mix[:, :-1]).sum(axis=1)
    moment = np.zeros(rings)
    np.maximum.at(moment, ring, late)
    of_ring = np.cumsum((1 - moment)[:, None] * early + moment[:, None] * last, axis=1)
    habit = (rng.random(rings)[:, None] > of_ring[:, :-1]).sum(axis=1)
    kind = np.where(rng.random(len(ring)) < 0.5, habit[ring], by_day)
    return np.where(rng.random(len(ring)) < other, OTHER, kind)
