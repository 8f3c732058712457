"""Alarms by what mistakes cost, or by how many can be looked at, and what they lose."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import log

import numpy as np
from numpy.typing import NDArray

from knowreason.errors import KnowreasonError
from knowreason.metrics.intervals import Draws, Estimate, draw

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

PERIODS = ("hour", "day", "week", "month", "step")
RESAMPLES = 400
ANSWER, NOTHING, EVERYTHING, BY_CHANCE = "reasoner", "no alarm", "all alarms", "drawn by chance"
_CAPACITY = re.compile(r"\s*(\d[\d,_]*)\s*(?:(?:an?|per)\s+(\w+)\s*)?")


@dataclass(frozen=True)
class Decision:
    """When to raise an alarm: by what mistakes cost, or by how many alarms can be looked at.

    By cost, an alarm is raised where ``p > cost_of_alarm / (cost_of_alarm + cost_of_miss)``, which
    loses least where probabilities are calibrated (Elkan 2001). By capacity, the most probable of
    each period are alarms; what is lost is counted in misses, for people are paid anyway.

    Attributes:
        cost_of_miss: what a true atom without an alarm costs.
        cost_of_alarm: what an alarm about a false atom costs, in the same unit.
        capacity: most alarms: ``200`` in all, ``"50 a day"``, by the program's clock (``hour``,
            ``day``, ``week`` from Monday, ``month``; ``step`` is a value of a clock that counts).
        predicate: whose; may be left out where only one is asked.

    Raises:
        KnowreasonError: KR943 unless there are two costs above 0 or a capacity.

    >>> Decision(cost_of_miss=90.0, cost_of_alarm=10.0).threshold
    0.1
    >>> Decision(capacity="50 a day").per
    'day'
    """

    cost_of_miss: float | None = None
    cost_of_alarm: float | None = None
    capacity: int | str | None = None
    predicate: str = ""

    def __post_init__(self) -> None:
        said = fault(self)
        if said is not None:
            raise KnowreasonError(said[0], code="KR943", help=said[1])

    @property
    def costs(self) -> tuple[float, float]:
        """Of a miss and of a false alarm; under a capacity misses are counted."""
        if self.cost_of_miss is None or self.cost_of_alarm is None:
            return 1.0, 0.0
        return float(self.cost_of_miss), float(self.cost_of_alarm)

    @property
    def threshold(self) -> float:
        """Probability above which an alarm is raised; 0 under a capacity."""
        miss, alarm = self.costs
        return alarm / (alarm + miss)

    @property
    def places(self) -> int:
        """Most alarms a period; 0 where costs decide."""
        return 0 if self.capacity is None else _read(self.capacity)[0]

    @property
    def per(self) -> str:
        """The period of the capacity; empty where it is for all there is."""
        return "" if self.capacity is None else _read(self.capacity)[1]

    def __str__(self) -> str:
        if self.capacity is None:
            return f"where the probability is above {self.threshold:.2%}"
        period = f" {'an' if self.per == 'hour' else 'a'} {self.per}" if self.per else " in all"
        return f"at {self.places:,}{period}"

    def alarms(
        self,
        log_odds: Floats,
        period: Codes | None = None,
        places: NDArray[np.integer] | None = None,
    ) -> NDArray[np.bool_]:
        """Which atoms get an alarm, ``bool[n]``.

        Args:
            log_odds: ``float64[n]``.
            period: ``int64[n]`` from 0, of a capacity; all are one without it.
            places: ``int[periods]``, where they are others than the decision's.

        >>> Decision(capacity=1).alarms(np.array([0.0, 2.0, 1.0])).tolist()
        [False, True, False]
        """
        if self.capacity is None:
            miss, alarm = self.costs
            return np.asarray(log_odds > log(alarm) - log(miss))
        period = np.zeros(len(log_odds), np.int64) if period is None else period
        most = self.places if places is None else places[period]
        return np.asarray(ranks(log_odds, period) <= most)


def fault(decision: Decision) -> tuple[str, str | None] | None:
    """What is wrong with a decision, and what to do; ``None`` where nothing is."""
    costs = {"cost_of_miss": decision.cost_of_miss, "cost_of_alarm": decision.cost_of_alarm}
    given = [name for name, cost in costs.items() if cost is not None]
    if decision.capacity is not None and given:
        return f"a decision by `capacity` takes no `{given[0]}`", "leave out the one or the other"
    if decision.capacity is not None:
        count, per = _read(decision.capacity)
        if count < 1 or (per and per not in PERIODS):
            kinds = f'200, "50 a day"; periods are {", ".join(PERIODS)}'
            return f"`capacity` cannot be `{decision.capacity}`", f"such as {kinds}"
        return None
    if len(given) < 2:
        need = "needs `cost_of_miss` and `cost_of_alarm`, or `capacity`"
        return f"a decision {need}", 'such as capacity = "50 a day"'
    for name, cost in costs.items():
        if not 0 < float(cost or 0) < float("inf"):
            return f"`{name}` is a number above 0, not `{cost}`", None
    return None


def _read(capacity: int | str) -> tuple[int, str]:
    """Places and period; no place where it is not understood."""
    match = _CAPACITY.fullmatch(str(capacity))
    return (0, "") if match is None else (int(re.sub("[,_]", "", match[1])), match[2] or "")


def ranks(log_odds: Floats, period: Codes) -> Codes:
    """``int64[n]``: place in the queue of its period from 1, highest first.

    >>> ranks(np.array([0.0, 2.0, 1.0]), np.array([0, 0, 1])).tolist()
    [2, 1, 1]
    """
    order = np.lexsort((-log_odds, period))
    ordered = period[order]
    first = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1])[: len(ordered)])
    start = np.repeat(first, np.diff(np.append(first, len(ordered))))
    found = np.empty(len(order), np.int64)
    found[order] = np.arange(len(order)) - start + 1
    return found


@dataclass(frozen=True)
class AlarmFigures:
    """What alarms come to.

    Attributes:
        alarms, true: how many, and how many of them are (expected to be) true.
        precision: share of the alarms that are true.
        recall: share of the true that have an alarm.
        loss: in all, in the unit of the costs; misses under a capacity.
    """

    alarms: float
    true: float
    precision: Estimate
    recall: Estimate
    loss: Estimate


def expected_figures(
    decision: Decision, log_odds: Floats, alarm: NDArray[np.bool_], seed: int = 0
) -> AlarmFigures:
    """What alarms should come to by the probabilities.

    Intervals are those of what will be true where probabilities hold and atoms do not depend on
    each other: a parametric bootstrap (Efron & Tibshirani 1993, 6.5) of two binomial counts, which
    are no narrower than the sums of unequal chances that they stand for (Hoeffding 1956).
    """
    from scipy.special import expit

    probability, rng = expit(log_odds), np.random.default_rng(seed)
    parts = [probability[alarm], probability[~alarm]]
    drawn = [rng.binomial(len(p), p.mean() if len(p) else 0.0, 10 * RESAMPLES) for p in parts]
    (caught, missed), count = [float(p.sum()) for p in parts], float(len(parts[0]))
    miss, false = decision.costs

    true, left = np.append(caught, drawn[0]), np.append(missed, drawn[1])  # the figure, then draws
    with np.errstate(divide="ignore", invalid="ignore"):
        precision, recall = true / count, true / (true + left)
    found = (precision, recall, miss * left + false * (count - true))
    return AlarmFigures(count, caught, *(Estimate.of(float(one[0]), one[1:]) for one in found))


@dataclass(frozen=True)
class MeasuredAlarms:
    """Alarms by a decision, measured on labels.

    Attributes:
        decision: which.
        rows: by what made the scores; ``no alarm``, and ``all alarms`` or ``drawn by chance``.
        difference: loss of the answer less that of ``against``, paired.
        against: the other row that loses least.
        labels, true: how many it was measured on.
        notes: what the reader must know.
    """

    decision: Decision
    rows: Mapping[str, AlarmFigures]
    difference: Estimate
    against: str
    labels: int
    true: int
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        ours, whole = self.rows[ANSWER], f"{self.true:,} of {self.labels:,} are true"
        if not ours.alarms:
            return f"no alarm {self.decision}; {whole}"
        precision = ours.precision
        return (
            f"precision {precision.value:.1%} ({precision.low:.1%} to {precision.high:.1%}) "
            f"{self.decision}: {ours.true:,.0f} of {ours.alarms:,.0f} alarms; {whole}"
        )


def measured_alarms(
    decision: Decision,
    truth: NDArray[np.bool_],
    scores: Mapping[str, Floats],
    clusters: NDArray[np.integer],
    period: Codes | None = None,
    places: NDArray[np.integer] | None = None,
    notes: tuple[str, ...] = (),
    seed: int = 0,
) -> MeasuredAlarms:
    """What alarms by each row of scores lose, beside none and all, on labelled atoms.

    Args:
        decision: which.
        truth: ``bool[n]``.
        scores: log-odds by row, ``float64[n]`` each, of which one is ``reasoner``.
        clusters: ``int[n]``: whole clusters are resampled, alarms as they are.
        period, places: as :meth:`Decision.alarms` has them.
        notes: kept.
        seed: of the bootstrap.

    >>> row = {"reasoner": np.array([2.0, 1.0, -1.0])}
    >>> found = measured_alarms(Decision(1.0, 1.0), np.array([1, 0, 0]) > 0, row, np.arange(3))
    >>> found.rows["reasoner"].loss.value, found.rows["all alarms"].loss.value
    (1.0, 2.0)
    """
    count = len(truth)
    alarms: dict[str, Floats] = {
        name: decision.alarms(log_odds, period, places).astype(np.float64)
        for name, log_odds in scores.items()
    }
    alarms[NOTHING] = np.zeros(count)
    if decision.capacity is None:
        alarms[EVERYTHING] = np.ones(count)
    else:
        one = np.zeros(count, np.int64) if period is None else period
        most = np.array([decision.places]) if places is None else places
        alarms[BY_CHANCE] = np.minimum(1.0, most[one] / np.bincount(one)[one])
    draws = draw(count, clusters, RESAMPLES, seed)
    rows = {name: _figures(decision, truth, alarm, draws) for name, alarm in alarms.items()}
    against = min((n for n in rows if n != ANSWER), key=lambda name: rows[name].loss.value)
    losses = [_losses(decision, truth, alarms[name]) for name in (ANSWER, against)]
    apart = count * draws.mean(losses[0] - losses[1])
    difference = Estimate.of(float((losses[0] - losses[1]).sum()), apart)
    return MeasuredAlarms(decision, rows, difference, against, count, int(truth.sum()), notes)


def _losses(decision: Decision, truth: NDArray[np.bool_], alarm: Floats) -> Floats:
    miss, false = decision.costs
    return np.asarray(np.where(truth, miss * (1 - alarm), false * alarm))


def _figures(
    decision: Decision, truth: NDArray[np.bool_], alarm: Floats, draws: Draws
) -> AlarmFigures:
    caught, losses = alarm * truth, _losses(decision, truth, alarm)

    def share(of: Floats) -> Estimate:
        with np.errstate(divide="ignore", invalid="ignore"):
            drawn = draws.mean(caught) / draws.mean(of)
            return Estimate.of(float(caught.sum() / of.sum()), drawn)

    return AlarmFigures(
        float(alarm.sum()),
        float(caught.sum()),
        share(alarm),
        share(truth.astype(np.float64)),
        Estimate.of(float(losses.sum()), len(truth) * draws.mean(losses)),
    )


def alarm_rows(measured: MeasuredAlarms) -> tuple[list[str], list[tuple[str, ...]]]:
    """Head and rows of the table that ``eval`` and the report show."""
    loss = "loss" if measured.decision.capacity is None else "misses"
    rows: list[tuple[str, ...]] = [
        (
            name,
            f"{row.alarms:,.0f}",
            f"{row.true:,.0f}",
            _figure(row.precision, 3),
            _figure(row.recall, 3),
            _figure(row.loss, 1),
        )
        for name, row in measured.rows.items()
    ]
    return ["", "alarms", "true", "precision", "recall", loss], rows


def loss_sentence(measured: MeasuredAlarms) -> str:
    """Whether the answer loses less than the best other row."""
    apart = measured.difference
    told = "a tie" if not apart.low > 0 and not apart.high < 0 else "beyond chance"
    loss = "loss" if measured.decision.capacity is None else "misses"
    interval = f"[{apart.low:+,.1f}, {apart.high:+,.1f}]"
    return f"{loss}: {apart.value:+,.1f} against {measured.against} ({interval}): {told}"


def _figure(estimate: Estimate, places: int) -> str:
    value, low, high = (f"{x:,.{places}f}" for x in (estimate.value, estimate.low, estimate.high))
    if estimate.value != estimate.value:
        return "-"
    return value if low == "nan" else f"{value} ({low}-{high})"
