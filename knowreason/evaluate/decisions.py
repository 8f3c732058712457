"""What to do with beliefs: alarms, the queue they stand in, and what that loses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from knowreason.beliefs.beliefs import Beliefs
from knowreason.data.arrow_types import ArrowTable
from knowreason.data.id_tables import id_table
from knowreason.data.splits.clocks import LATEST, label_clock
from knowreason.data.wall_clocks import DAY, wall_clock
from knowreason.metrics.alarms import (
    ANSWER,
    AlarmFigures,
    Decision,
    MeasuredAlarms,
    expected_figures,
    measured_alarms,
    ranks,
)
from knowreason.project.decided import decided_predicate

RULES_ALONE = "rules over models"
Codes = NDArray[np.int64]


@dataclass(frozen=True)
class Queue:
    """Alarms about atoms, in the order of the atoms.

    Attributes:
        decision: that made them.
        alarm: ``bool[n]``.
        rank: ``int64[n]`` place in the queue (of its period), from 1; 0 where there is no alarm.
        period: ``string[n]`` of a capacity with one: the day, the Monday of the week ...; null
            where the clock is missing.
        expected: what the alarms should come to.

    >>> figures = expected_figures(Decision(1.0, 1.0), np.zeros(1), np.ones(1, bool))
    >>> Queue(Decision(1.0, 1.0), np.ones(1, bool), np.ones(1, int), None, figures).expected.true
    0.5
    """

    decision: Decision
    alarm: NDArray[np.bool_]
    rank: Codes
    period: pa.StringArray | None
    expected: AlarmFigures

    def __str__(self) -> str:
        found, of = self.expected, f"{len(self.alarm):,}"
        what = "loss" if self.decision.capacity is None else "misses"
        precision, loss = found.precision, found.loss
        text = f"{found.alarms:,.0f} alarms of {of} {self.decision}"
        if found.alarms:
            shares = f"({precision.low:.0%} to {precision.high:.0%})"
            text += f"; {precision.value:.1%} of them are expected to be true {shares}"
        return f"{text}; expected {what}: {loss.value:,.1f} ({loss.low:,.1f} to {loss.high:,.1f})"

    def added_to(self, table: ArrowTable) -> ArrowTable:
        """The rows (one an atom, in their order) with ``alarm``, ``queue`` and ``period``."""
        columns = {"alarm": pa.array(self.alarm), "queue": pa.array(self.rank, mask=~self.alarm)}
        if self.period is not None:
            columns["period"] = self.period
        grown: pa.Table = table
        for name, column in columns.items():
            while name in grown.column_names:
                name += "_"
            grown = grown.append_column(name, column)
        found: ArrowTable = grown
        return found


def queue_of(beliefs: Beliefs, decision: Decision) -> Queue:
    """Alarms about the asked atoms of the decision's predicate.

    Raises:
        ProjectError: as :func:`decided_predicate`.

    Example:
        >>> import knowreason as kr
        >>> from knowreason.testing import example_data
        >>> data = example_data(nodes=8)
        >>> beliefs = kr.Reasoner(data.program).fit(data).infer(data)
        >>> int(queue_of(beliefs, Decision(capacity=2, predicate="Bad")).alarm.sum())
        2
    """
    name = decided_predicate(decision, beliefs.grounding.program)
    atoms = beliefs.asked(name)
    log_odds = beliefs.log_odds[atoms]
    period, names = periods_of(beliefs, name, atoms, decision)
    alarm = decision.alarms(log_odds, period)
    order = np.zeros(len(atoms), np.int64) if period is None else period
    rank = np.where(alarm, ranks(log_odds, order), 0)
    shown = None if period is None else names.take(pa.array(period))
    return Queue(decision, alarm, rank, shown, expected_figures(decision, log_odds, alarm))


def measured_decision(
    beliefs: Beliefs,
    decision: Decision,
    atoms: NDArray[np.int64],
    truth: NDArray[np.bool_],
    scores: Mapping[str, NDArray[np.float64]],
    clusters: NDArray[np.integer],
    seed: int = 0,
) -> MeasuredAlarms:
    """What alarms by each row of scores come to on labelled atoms.

    Where only some of the asked atoms have a label, a capacity is that share of itself, in each
    period: as if labels had been drawn by chance.

    Args:
        beliefs: about the test part.
        decision: which.
        atoms: ``int64[n]``, asked atoms with a held-back label.
        truth: ``bool[n]``.
        scores: log-odds by row; that of the rules alone is added.
        clusters: ``int[n]``, as :func:`.measured_alarms` has them.
        seed: of the bootstrap.
    """
    name = decided_predicate(decision, beliefs.grounding.program)
    rules = beliefs.posterior.log_odds.numpy()[atoms].astype(np.float64)
    if not np.allclose(rules, scores[ANSWER]):
        scores = {**scores, RULES_ALONE: rules}
    asked = beliefs.asked(name)
    everyone, _ = periods_of(beliefs, name, asked, decision)
    places: NDArray[np.int64] | None = None
    period: Codes | None = None
    notes: tuple[str, ...] = ()
    if decision.capacity is not None:
        everyone = np.zeros(len(asked), np.int64) if everyone is None else everyone
        period = everyone[np.searchsorted(asked, atoms)]
        whole = np.bincount(everyone)
        share = np.bincount(period, minlength=len(whole)) / np.maximum(whole, 1)
        most = np.minimum(decision.places, whole)
        places = np.maximum(np.rint(most * share), share > 0).astype(np.int64)
        if len(atoms) < len(asked):
            notes = (
                f"{len(atoms):,} of {len(asked):,} asked have a label, and of a queue the same "
                "share is measured",
            )
    return measured_alarms(decision, truth, scores, clusters, period, places, notes, seed)


def periods_of(
    beliefs: Beliefs, predicate: str, atoms: NDArray[np.int64], decision: Decision
) -> tuple[Codes | None, pa.StringArray]:
    """``int64[n]``: period of each atom, and the names of periods; ``None`` without one."""
    if not decision.per:
        return None, pa.array([], pa.string())
    data, span = beliefs.grounding.data, beliefs.grounding.span(predicate)
    arguments = span.arguments[atoms - span.start]
    clock, _ = label_clock(data, predicate, id_table(list(arguments.T)))
    times, missing = clock.astype(np.int64), clock == LATEST
    if decision.per != "step":
        times = wall_clock(np.where(missing, 0, times), data.program.zone)
    number, code = np.unique(_numbers(times, decision.per), return_inverse=True)
    if missing.any():
        code = np.where(missing, len(number), code)
    texts = pa.array([*_names(number, decision.per), None], pa.string())
    kept, code = np.unique(code, return_inverse=True)
    return code.astype(np.int64), texts.take(pa.array(kept))


def _numbers(wall: Codes, per: str) -> Codes:
    """Number of the period, of times on the wall."""
    day = wall // DAY
    if per == "week":
        return np.asarray((day + 3) // 7)  # 1 January 1970 was a Thursday
    if per == "month":
        return day.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
    return np.asarray({"hour": wall // (DAY // 24), "day": day, "step": wall}[per])


def _names(number: Codes, per: str) -> list[str]:
    if per == "step":
        return [str(one) for one in number.tolist()]
    number = number * 7 - 3 if per == "week" else number
    unit = {"hour": "h", "day": "D", "week": "D", "month": "M"}[per]
    return list(np.datetime_as_string(number.astype(f"datetime64[{unit}]")))
