"""A generated marketplace with collusion between buyers and sellers. Nothing in it is real.

Rings of sellers and buyers trade with themselves, for coupons, ratings or to launder stolen
means of payment. A ring uses accounts that were taken over, forces its way through trouble
with the sign-in, registers accounts for one day, or gets declined payments waved through by
an agent; some collusion is of none of these kinds. All kinds share weak signs (price above
the list, coupons, haste, buyer and seller in one network); each kind has signs of its own
that honest people show too: travellers, the forgetful, newcomers, people whose card is
declined. A ring keeps its sellers and some of its devices for a week or two, so transactions
tell of one another. New accounts and shops arrive every day. With time the mix of kinds
shifts, the shared signs weaken, coupons and proxies become common, and a new sign-in
procedure makes honest people fail more often.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from knowreason.data.arrow_types import ArrowTable
from knowreason.data.worlds.marketplace_actors import (
    HONEST,
    OTHER,
    SUBCLASSES,
    Accounts,
    Collusions,
    Floats,
    Ints,
    Shelves,
    collusions,
)
from knowreason.data.worlds.marketplace_signs import (
    ONE_DAY,
    OVERRIDDEN,
    SIGN_IN,
    TAKEOVER,
    Cast,
    signs,
)
from knowreason.data.worlds.numbered_names import numbered

DAY = 86_400
CHANGE = 0.55  # share of the days after which the sign-in procedure is new
POINTS = {"new_device": 1, "far": 1, "captcha": 1, "override": 2, "same_network": 2}


def marketplace(
    seed: int = 0,
    *,
    transactions: int = 150_000,
    days: int = 70,
    prevalence: float = 1 / 3000,
    ring_size: float = 5.0,
    other: float = 0.1,
    lookalikes: float = 0.004,
    arriving: float = 0.35,
    drift: float = 1.0,
    label_noise: float = 0.0,
    annotated: float = 1.0,
    pumped: float = 0.0,
) -> dict[str, ArrowTable]:
    """A drawn world; the same seed gives the same world.

    Args:
        seed: of all draws.
        transactions: how many, evenly over the days.
        days: length of the world; days are numbered from 0.
        prevalence: share of collusive transactions, rounded to whole ones.
        ring_size: mean collusive transactions a ring.
        other: share of collusion of none of the four kinds.
        lookalikes: share of honest transactions that look like each of a taken-over
            account, sign-in trouble and an overridden decline.
        arriving: share of the accounts that register during the days.
        drift: 0: the last day is as the first; 1: as the module says.
        label_noise: share of collusive transactions labelled honest; as many honest ones are
            labelled collusive (of no kind).
        annotated: share of labelled collusion of which investigators wrote down the kind;
            the kinds of the rest are unknown, not false.
        pumped: share of a ring's transactions with a seller that are of one and the same item;
            the others are of any. Draws of a generator of its own, so that 0 changes nothing.

    Returns:
        Tables to be seen: ``buyers`` and ``sellers`` (name, region, registered int64 day),
        ``items`` (item, seller, category, list_price), ``transactions`` in order of time
        (ids, day, second, the signs, and ``points``, an old risk engine's sum of points), and
        ``labels`` (id, collusion, takeover, sign_in, one_day, overridden; int8 or null).
        For measuring only: ``truth`` (id, collusion, kind, ring).
    """
    rng = np.random.default_rng(seed)
    buyers = Accounts.draw(rng, max(transactions // 6, 50), days, arriving, 0.8)
    sellers = Accounts.draw(rng, max(transactions // 60, 20), days, arriving, 1.2)
    shelves = Shelves.draw(rng, sellers)
    count = max(round(prevalence * transactions), 1)
    habits = {"ring_size": ring_size, "other": other, "drift": drift}
    guilty = collusions(rng, count, days, sellers, **habits)
    trades = _trades(rng, transactions, days, buyers, sellers, guilty)
    item = _pumped(
        np.random.default_rng([seed, 1]),
        shelves.pick(rng, trades["seller"]),
        trades,
        shelves,
        pumped,
    )
    age = trades["day"] - buyers.registered[trades["buyer"]]
    cast = _cast(rng, trades, shelves.price[item], age, days, drift, lookalikes)
    identifier = numbered("x", np.arange(transactions))
    seller_age = trades["day"] - sellers.registered[trades["seller"]]
    return {
        "buyers": _people("b", "buyer", buyers),
        "sellers": _people("s", "seller", sellers),
        "items": _items(shelves),
        "transactions": _transactions(rng, identifier, trades, item, cast, seller_age),
        "labels": _labels(rng, identifier, trades["kind"], label_noise, annotated),
        "truth": _truth(identifier, trades),
    }


def _trades(
    rng: np.random.Generator,
    transactions: int,
    days: int,
    buyers: Accounts,
    sellers: Accounts,
    guilty: Collusions,
) -> dict[str, Ints]:
    """Who trades with whom, when, on which device; honest and collusive, in order of time."""
    honest = transactions - len(guilty.day)
    day = np.concatenate([rng.integers(0, days, honest), guilty.day])
    second = rng.integers(0, DAY, len(day))
    ring = np.concatenate([np.full(honest, HONEST), guilty.ring])
    kind = np.concatenate([np.full(honest, HONEST), guilty.kind])
    buyer = buyers.busy(rng, day)
    newcomer = (rng.random(len(day)) < 0.03) & (ring == HONEST)
    buyer = np.where(newcomer, buyers.fresh(rng, day), buyer)
    buyer = _accomplices(rng, buyers, buyer, kind, day)
    favourite = rng.integers(0, len(sellers.registered), len(buyers.registered))[buyer]
    loyal = (rng.random(len(day)) < 0.2) & (sellers.registered[favourite] <= day)
    seller = np.where(loyal, favourite, sellers.busy(rng, day))
    seller[honest:] = guilty.seller
    tool = np.concatenate([np.full(honest, -1), guilty.tool])
    order = np.lexsort((second, day))
    parts = {"day": day, "second": second, "ring": ring, "kind": kind, "buyer": buyer}
    parts |= {"seller": seller, "tool": tool}
    return {name: column[order] for name, column in parts.items()}


def _accomplices(
    rng: np.random.Generator, buyers: Accounts, buyer: Ints, kind: Ints, day: Ints
) -> Ints:
    """Buyers of collusive transactions: old accounts, accounts of the day, or any."""
    fresh = buyers.fresh(rng, day - (rng.random(len(day)) < 0.4))
    payers = np.where(kind == HONEST, buyer, buyers.any(rng, day))
    payers = np.where(kind == TAKEOVER, buyers.any(rng, day - 60), payers)
    payers = np.where(kind == SIGN_IN, buyers.any(rng, day - 10), payers)
    payers = np.where(kind == OVERRIDDEN, buyers.any(rng, day - 3), payers)
    return np.where(kind == ONE_DAY, fresh, payers)


def _pumped(
    rng: np.random.Generator, item: Ints, trades: dict[str, Ints], shelves: Shelves, share: float
) -> Ints:
    """Items, where some transactions of a ring are of one item of each of its sellers."""
    chosen = (rng.random(len(item)) < share) & (trades["ring"] != HONEST)
    seller = trades["seller"]
    one = shelves.start[seller] + trades["ring"] % shelves.count[seller]
    return np.where(chosen, one, item)


def _devices(rng: np.random.Generator, trades: dict[str, Ints], new: NDArray[np.bool_]) -> Ints:
    """Device of each transaction: one's own, a household's, a public one, new, or a ring's."""
    n, buyer = len(trades["day"]), trades["buyer"]
    home = np.where(rng.random(buyer.max() + 1) < 0.12, 1, 0)[buyer]
    own = np.where(home == 1, buyer // 2 * 2, buyer)
    public = 1_000_000 + rng.integers(0, max(n // 400, 3), n)
    device = np.where(rng.random(n) < 0.03, public, own)
    device = np.where(new & (rng.random(n) < 0.9), 10_000_000 + np.arange(n), device)
    of_ring = 100_000_000 + trades["ring"] * 100 + trades["tool"]
    return np.where(trades["tool"] >= 0, of_ring, device)


def _cast(
    rng: np.random.Generator,
    trades: dict[str, Ints],
    list_price: Floats,
    age: Ints,
    days: int,
    drift: float,
    lookalikes: float,
) -> Cast:
    """What decides the signs; each lookalike is played by the same share of the honest."""
    kind, late = trades["kind"], trades["day"] / max(days - 1, 1)
    role = rng.permutation(len(kind)) % max(round(1 / lookalikes), 3)
    role = np.where((role < 3) & (kind == HONEST), role, -1)
    return Cast(
        kind, role, drift * late, drift * (late > CHANGE).astype(np.float64), age, list_price
    )


def _transactions(
    rng: np.random.Generator,
    identifier: pa.Array,
    trades: dict[str, Ints],
    item: Ints,
    cast: Cast,
    seller_age: Ints,
) -> pa.Table:
    """Everything that can be seen of a transaction."""
    seen = signs(rng, cast)
    device = _devices(rng, trades, np.asarray(seen["new_device"], dtype=bool))
    points = np.minimum(seen["failed"], 3) + 2 * (cast.age <= 1)
    points += sum(weight * seen[name].astype(np.int64) for name, weight in POINTS.items())
    return pa.table(
        {
            "id": identifier,
            "buyer": numbered("b", trades["buyer"]),
            "seller": numbered("s", trades["seller"]),
            "item": numbered("i", item),
            "device": numbered("d", np.unique(device, return_inverse=True)[1]),
            "day": pa.array(trades["day"]),
            "second": pa.array(trades["second"]),
            "age": pa.array(cast.age),
            "seller_age": pa.array(seller_age),
            **{name: pa.array(column, from_pandas=True) for name, column in seen.items()},
            "points": pa.array(points),
        }
    )


def _items(shelves: Shelves) -> pa.Table:
    return pa.table(
        {
            "item": numbered("i", np.arange(len(shelves.seller))),
            "seller": numbered("s", shelves.seller),
            "category": numbered("c", shelves.category),
            "list_price": shelves.price.round(2),
        }
    )


def _labels(
    rng: np.random.Generator, identifier: pa.Array, kind: Ints, noise: float, annotated: float
) -> pa.Table:
    """What investigators say; a kind they did not write down is null."""
    guilty = kind != HONEST
    missed = guilty & (rng.random(len(kind)) < noise)
    wronged = np.zeros(len(kind), dtype=bool)
    wronged[rng.choice(np.flatnonzero(~guilty), int(missed.sum()), replace=False)] = True
    labelled_guilty = (guilty & ~missed) | wronged
    unknown = labelled_guilty & (wronged | (rng.random(len(kind)) >= annotated))
    columns = {"id": identifier, "collusion": pa.array(labelled_guilty.astype(np.int8))}
    for place, name in enumerate(SUBCLASSES):
        is_kind = (labelled_guilty & (kind == place)).astype(np.int8)
        columns[name] = pa.array(is_kind, mask=unknown)
    return pa.table(columns)


def _truth(identifier: pa.Array, trades: dict[str, Ints]) -> pa.Table:
    named = np.array([*SUBCLASSES, "other", ""], dtype=object)
    kind = trades["kind"]
    return pa.table(
        {
            "id": identifier,
            "collusion": (kind != HONEST).astype(np.int8),
            "kind": pa.array(named[np.where(kind == HONEST, OTHER + 1, kind)], pa.string()),
            "ring": pa.array(trades["ring"], mask=kind == HONEST),
        }
    )


def _people(prefix: str, name: str, accounts: Accounts) -> pa.Table:
    numbers = np.arange(len(accounts.registered))
    return pa.table(
        {
            name: numbered(prefix, numbers),
            "region": numbered("r", accounts.region),
            "registered": accounts.registered,
        }
    )
