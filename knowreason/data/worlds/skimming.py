"""A generated world of card payments with skimmed terminals. Nothing in it is real.

A terminal is manipulated for some days in a row. On such a day many of the payments at it
are fraud, at all others almost none. Nobody sees the manipulation; a payment shows only
weak signs (its amount, how the card was read, whether it is far from home). So the signs of
all payments at one terminal and day together tell what no single one does: a latent
``Compromised(Terminal, Day)`` has something to infer. From the cut on, fraud has other
amounts than before, and a model that learned amounts in the past is wrong.
"""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from knowreason.data.arrow_types import ArrowTable
from knowreason.data.worlds.numbered_names import numbered

START = datetime(2026, 1, 1, tzinfo=UTC)
ENTRIES = ("chip", "contactless", "stripe")
REGIONS = 8
STRIPE = {True: 0.50, False: 0.08}  # share of fraud, and of other payments, read by the stripe
ELSEWHERE = {True: 0.60, False: 0.12}  # share whose card's region is drawn anew


def skimming(
    seed: int = 0,
    *,
    days: int = 40,
    cut: int | None = None,
    terminals: int = 60,
    cards: int = 4_000,
    payments_per_day: float = 10.0,
    prevalence: float = 0.03,
    stay: float = 4.0,
    fraud_when_compromised: float = 0.6,
    fraud_otherwise: float = 0.002,
    amount_effect: float = 1.5,
    drift: float = 1.0,
    labels: int = 24,
    label_noise: float = 0.0,
) -> dict[str, ArrowTable]:
    """A drawn world; the same seed gives the same world.

    Args:
        seed: of all draws.
        days: length of the world; days are numbered from 0.
        cut: first day of the future; three quarters of the way by default.
        terminals, cards: how many there are.
        payments_per_day: mean payments at a terminal and day.
        prevalence: share of terminal-days that are compromised, about.
        stay: mean days a manipulation lasts.
        fraud_when_compromised, fraud_otherwise: share of fraud among the payments of a
            compromised and of any other terminal-day.
        amount_effect: how far the mean log amount of fraud lies above that of others before
            the cut, in standard deviations.
        drift: 0: amounts stay; 1/2: from the cut on they say nothing; 1: they say the
            opposite.
        labels: how many payments of the past are labelled, half of them fraud (cases that
            were looked into).
        label_noise: share of those labels that are wrong.

    Returns:
        Tables to be seen: ``cards`` (card, region), ``terminals`` (terminal, region),
        ``payments`` (id, card, terminal, day int64, time, amount float64, entry), in order
        of time, ``days`` (day, next) and ``labels`` (id, fraud int8): the labelled payments
        of the past and, to measure with, all of the future. Tables of the truth, for
        measuring only: ``truth`` (id, fraud) and ``compromised`` (terminal, day).
    """
    rng = np.random.default_rng(seed)
    cut = days * 3 // 4 if cut is None else cut
    compromised = _compromised(rng, terminals, days, prevalence, stay)
    terminal_region = rng.integers(0, REGIONS, terminals)

    terminal, day, second = _visits(rng, terminals, days, payments_per_day)
    share = np.where(compromised[terminal, day], fraud_when_compromised, fraud_otherwise)
    fraud = rng.random(len(day)) < share
    effect = amount_effect * np.where(day < cut, 1.0, 1.0 - 2.0 * drift)
    log_amount = 3.3 + 0.9 * (rng.standard_normal(len(day)) + effect * fraud)
    entry = _entries(rng, fraud)
    card, card_region = _cards(rng, fraud, terminal_region[terminal], cards)

    payment = numbered("p", np.arange(len(day)))
    seen = _labelled(rng, fraud, day < cut, labels)
    noise = np.isin(np.arange(len(day)), seen) & (rng.random(len(day)) < label_noise)
    labelled = np.union1d(seen, np.flatnonzero(day >= cut))
    amount = np.exp(log_amount).astype(np.float64).round(2)
    labelled_ids = pa.array(labelled)
    return {
        "cards": pa.table({"card": numbered("c", np.arange(cards)), "region": card_region}),
        "terminals": pa.table(
            {"terminal": numbered("t", np.arange(terminals)), "region": terminal_region}
        ),
        "payments": _payments(payment, card, terminal, day, second, amount, entry),
        "days": pa.table({"day": np.arange(days - 1), "next": np.arange(1, days)}),
        "labels": pa.table(
            {"id": payment.take(labelled_ids), "fraud": (fraud ^ noise)[labelled].astype(np.int8)}
        ),
        "truth": pa.table({"id": payment, "fraud": fraud.astype(np.int8)}),
        "compromised": _table_of(compromised),
    }


def _visits(
    rng: np.random.Generator, terminals: int, days: int, payments_per_day: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Terminal, day and second of the day of each payment, in order of time."""
    busy = rng.gamma(4.0, 1 / 4.0, (terminals, 1)) * payments_per_day
    counts = rng.poisson(np.broadcast_to(busy, (terminals, days))).ravel()
    terminal, day = (np.repeat(place.ravel(), counts) for place in np.indices((terminals, days)))
    second = rng.integers(7 * 3600, 23 * 3600, len(day))
    order = np.lexsort((second, day))
    return terminal[order], day[order], second[order]


def _payments(
    payment: pa.StringArray,
    card: NDArray[np.int64],
    terminal: NDArray[np.int64],
    day: NDArray[np.int64],
    second: NDArray[np.int64],
    amount: NDArray[np.float64],
    entry: NDArray[np.int64],
) -> pa.Table:
    moments = np.datetime64(START.replace(tzinfo=None), "s") + day * 86_400 + second
    return pa.table(
        {
            "id": payment,
            "card": numbered("c", card),
            "terminal": numbered("t", terminal),
            "day": day,
            "time": pa.array(moments).cast(pa.timestamp("s", "UTC")),
            "amount": amount,
            "entry": pa.array(ENTRIES).take(pa.array(entry)),
        }
    )


def _compromised(
    rng: np.random.Generator, terminals: int, days: int, prevalence: float, stay: float
) -> NDArray[np.bool_]:
    """Which terminals are manipulated on which days, ``bool[terminals, days]``."""
    count = rng.poisson(prevalence * terminals * days / stay)
    terminal = rng.integers(0, terminals, count)
    start = rng.integers(1 - int(stay), days, count)
    stop = np.clip(start + rng.geometric(1 / stay, count), 0, days)
    steps = np.zeros((terminals, days + 1), dtype=np.int64)
    np.add.at(steps, (terminal, np.maximum(start, 0)), 1)
    np.add.at(steps, (terminal, np.maximum(stop, np.maximum(start, 0))), -1)
    return steps[:, :days].cumsum(axis=1) > 0


def _entries(rng: np.random.Generator, fraud: NDArray[np.bool_]) -> NDArray[np.int64]:
    """How the card was read, index into :data:`ENTRIES`; fraud reads the stripe more often."""
    draw = rng.random(len(fraud))
    stripe = np.where(fraud, STRIPE[True], STRIPE[False])
    return (draw > (1 - stripe) / 2).astype(np.int64) + (draw > 1 - stripe)


def _cards(
    rng: np.random.Generator,
    fraud: NDArray[np.bool_],
    region: NDArray[np.int64],
    cards: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Card of each payment, and region of each card; fraud comes from afar more often."""
    card_region = np.arange(cards) % REGIONS
    anew = rng.random(len(fraud)) < np.where(fraud, ELSEWHERE[True], ELSEWHERE[False])
    home = np.where(anew, rng.integers(0, REGIONS, len(fraud)), region)
    return home + REGIONS * rng.integers(0, cards // REGIONS, len(fraud)), card_region


def _labelled(
    rng: np.random.Generator,
    fraud: NDArray[np.bool_],
    past: NDArray[np.bool_],
    count: int,
) -> NDArray[np.int64]:
    """Payments of the past that were looked into: half of them fraud, where there are so many."""
    bad, good = np.flatnonzero(past & fraud), np.flatnonzero(past & ~fraud)
    some = rng.permutation(bad)[: count // 2]
    return np.sort(np.concatenate([some, rng.permutation(good)[: count - len(some)]]))


def _table_of(compromised: NDArray[np.bool_]) -> pa.Table:
    terminal, day = np.nonzero(compromised)
    return pa.table({"terminal": numbered("t", terminal), "day": day})
