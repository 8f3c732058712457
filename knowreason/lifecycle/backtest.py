"""Each rule, and the file as a whole, over past slices of time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.stats import fisher_exact

from knowreason.beliefs.beliefs import Beliefs
from knowreason.data import Dataset
from knowreason.data.arrow_types import ArrowTable
from knowreason.data.splits.clocks import LATEST, Moment, thing_values, to_moment
from knowreason.data.wall_clocks import DAY
from knowreason.errors import ProjectError
from knowreason.evaluate.decisions import queue_of
from knowreason.evaluate.prequential import RefitSchedule, prequential
from knowreason.evaluate.rule_figures import RuleFigures, coincidence, figures_of
from knowreason.evaluate.rule_firings import believed_world, rule_firings
from knowreason.logic import Program
from knowreason.logic.value_texts import value_as_text
from knowreason.metrics.alarms import Decision
from knowreason.progress import Progress
from knowreason.project.decided import decided_predicate
from knowreason.project.partition import boundary, label_delay
from knowreason.project.plugins import load_plugins
from knowreason.project.project_tables import load_data, load_program
from knowreason.project.schema import Project
from knowreason.reasoner.reasoner import Reasoner
from knowreason.run.run_folder import reasoner_of

WHOLE = "the file as a whole"
LIKELY = "where the probability is at least 50 %"
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class BacktestRow:
    """A rule, or the alarms of the whole file, about one predicate.

    Attributes:
        rule: its name, or :data:`WHOLE`.
        predicate, says: its head, and whether it is said to be true.
        shadow: whether it is measured only.
        figures: over all slices.
        unique: labelled atoms it is right about and at which no other rule that acts fires, saying
            the same.
        overlap: share of its firings at which another rule that acts does; NaN without firings.
        with_most: the rule that does so most often, or nothing.
        by_slice: figures of each slice.
        drift: chance of two halves of the slices that differ as much in precision, had it not
            changed (Fisher's exact test); NaN unless both have labelled firings.
    """

    rule: str
    predicate: str
    says: bool
    shadow: bool
    figures: RuleFigures
    unique: int
    overlap: float
    with_most: str
    by_slice: tuple[RuleFigures, ...]
    drift: float

    @property
    def halves(self) -> tuple[RuleFigures, RuleFigures]:
        """Figures of the earlier half of the slices (the middle one is in it) and of the later."""
        return _halves(self.by_slice)


@dataclass(frozen=True)
class Backtest:
    """What rules and their file came to, slice after slice.

    Attributes:
        by: the clock.
        slices: where each begins, as people write it.
        rows: the file as a whole, then its rules, of one predicate after the other.
        left: by rule, why it is not measured.
        alarms: by predicate, when the file as a whole raises an alarm, in words.
    """

    by: str
    slices: tuple[str, ...]
    rows: tuple[BacktestRow, ...]
    left: Mapping[str, str]
    alarms: Mapping[str, str]

    def to_arrow(self) -> ArrowTable:
        """One row a rule over all slices (``slice`` null), then one a slice."""
        records = [
            {"rule": row.rule, "predicate": row.predicate, "slice": name, **_record(row, figures)}
            for row in self.rows
            for name, figures in zip(
                (None, *self.slices), (row.figures, *row.by_slice), strict=True
            )
        ]
        table: ArrowTable = pa.Table.from_pylist(records)
        return table

    def to_dict(self) -> dict[str, object]:
        """As plain values."""
        rows = [
            {
                "rule": row.rule,
                "predicate": row.predicate,
                **_record(row, row.figures),
                "by_slice": [_record(row, figures) for figures in row.by_slice],
            }
            for row in self.rows
        ]
        told = {"by": self.by, "slices": self.slices, "alarms": dict(self.alarms)}
        return {**told, "rows": rows, "not_measured": dict(self.left)}


def _record(row: BacktestRow, figures: RuleFigures) -> dict[str, object]:
    """Figures of all slices, or of one, as columns."""
    record: dict[str, object] = {
        "says": row.says,
        "shadow": row.shadow,
        "fired": figures.fired,
        "labelled": figures.labelled,
        "right": figures.right,
        "wanted": figures.wanted,
        "precision": figures.precision.value,
        "precision_low": figures.precision.low,
        "precision_high": figures.precision.high,
        "recall": figures.recall.value,
    }
    whole = figures is row.figures
    record["unique"] = row.unique if whole else None
    record["overlap"] = row.overlap if whole else None
    record["with_most"] = row.with_most if whole else None
    record["drift"] = row.drift if whole else None
    return record


def backtest_project(
    project: Project,
    *,
    start: str = "",
    slices: int = 6,
    progress: Progress | None = None,
) -> Backtest:
    """The backtest of a project's rules on its own tables, by the clock of what is asked.

    Args:
        project: a read project file.
        start: where the first slice begins; by default where ``[split]`` cuts, else the middle.
        slices: how many, of one length each; fewer where the clock has fewer values.
        progress: called as ``progress(done, total, message)``.

    Raises:
        ProjectError: KR948 where there is no clock, or nothing before or after the start.
    """
    load_plugins(project)
    program = load_program(project)
    data = load_data(project, program)
    split, by = project.split, _clock_name(program)
    first = boundary(f"< {start}", "<", "from") if start else _cut(project, data, by)
    return backtest(
        reasoner_of(project, program),
        data,
        by,
        slice_moments(data, by, first, slices),
        delay=label_delay(project),
        schedule=RefitSchedule(split.refit_weights, split.refit_models),
        decision=project.decision,
        progress=progress,
    )


def _clock_name(program: Program) -> str:
    """The clock of what is asked."""
    sorts = [s for p in program.predicates if p.kind == "query" for s in p.sorts]
    for clock in map(program.clock_of, sorts):
        if clock is not None:
            return clock.name
    raise ProjectError(
        "no clock says when what is asked happened",
        code="KR948",
        help="write `clock` behind the attribute of it that does",
    )


def _cut(project: Project, data: Dataset, by: str) -> Moment:
    """When the test part of ``[split]`` begins, by the clock; an empty text where it does not."""
    split, program = project.split, data.program
    if not split.by or program.attribute(split.by).sorts != program.attribute(by).sorts:
        return ""
    cut = boundary(split.train, "<", "train")
    if split.by == by:
        return cut
    values, sort = thing_values(data, split.by)
    clock, _ = thing_values(data, by)
    later = clock[(values >= to_moment(cut, sort, program.zone)) & (values != LATEST)]
    return later.min().item() if len(later) else ""


def slice_moments(data: Dataset, by: str, start: Moment, slices: int) -> tuple[float, ...]:
    """Where slices of one length begin, in the clock's units; those without anything are left out.

    A length of more than a day is one of whole days.

    Args:
        data: with the clock.
        by: the clock.
        start: of the first slice; an empty text is the middle of what has happened.
        slices: how many.

    Raises:
        ProjectError: KR948 where nothing lies before the start, or nothing after.
    """
    values, sort = thing_values(data, by)
    known = values[(values != LATEST) & np.isfinite(values)]
    if start == "":
        first = float(np.median(known)) if len(known) else 0.0
    else:
        first = to_moment(start, sort, data.program.zone)
    later = known[known >= first]
    if not len(later) or len(later) == len(known):
        lies = "after" if not len(later) else "before"
        shown = value_as_text(int(first) if sort == "time" else first, sort)
        raise ProjectError(
            f"nothing lies {lies} {shown} by `{by}`", code="KR948", help="choose another: `--from`"
        )
    width = (float(later.max()) - first) / slices
    if sort == "time" and width > DAY:
        width = ceil(width / DAY) * DAY
    edges = first + width * np.arange(slices)
    if sort != "float":  # a slice begins at a value there can be
        distinct = np.unique(later)
        edges = distinct if len(distinct) <= slices else np.ceil(edges)
    place = np.searchsorted(edges, later, side="right") - 1
    used = np.unique(np.maximum(place, 0))
    kept = edges[used] if sort == "float" else edges[used].astype(np.int64)
    return tuple(kept.tolist())


@dataclass
class _Seen:
    """What slices showed of one predicate so far."""

    truth: list[NDArray[np.int8]] = field(default_factory=list)
    alarm: list[Mask] = field(default_factory=list)
    fired: dict[tuple[str, bool, bool], list[Mask]] = field(default_factory=dict)


def backtest(
    reasoner: Reasoner,
    data: Dataset,
    by: str,
    moments: Sequence[float],
    *,
    delay: float = 0,
    schedule: RefitSchedule = RefitSchedule(),  # noqa: B008  (frozen)
    decision: Decision | None = None,
    progress: Progress | None = None,
) -> Backtest:
    """Each rule, and the file as a whole, on slices of time, all learned from what lies before.

    Args:
        reasoner: unfitted; never changed.
        data: everything, all labels visible.
        by: the clock.
        moments: where slices begin; the first has labels before it.
        delay: how long after its atom's clock a label is known.
        schedule: how often weights and models are fitted again, in slices.
        decision: when the file as a whole raises an alarm; by default where the probability is
            at least one half.
        progress: called as ``progress(done, total, message)``.

    Raises:
        ProjectError: KR948 where no query predicate of the clock has a label.
    """
    program = data.program
    (domain,) = program.attribute(by).sorts
    labelled = [
        p.name
        for p in program.predicates
        if p.kind == "query" and domain in p.sorts and data.labels[p.name].num_rows
    ]
    if not labelled:
        raise ProjectError("no label says what would have been right", code="KR948")
    seen = {name: _Seen() for name in labelled}
    decided = "" if decision is None else decided_predicate(decision, program)
    left: dict[str, str] = {}

    def watch(beliefs: Beliefs) -> None:
        world = believed_world(beliefs)
        fired, unmeasured = rule_firings(world, program.every_rule)
        left.update(unmeasured)
        for name, so_far in seen.items():
            so_far.truth.append(world.asked[name].truth)
            likely = beliefs.log_odds[beliefs.asked(name)] >= 0
            if decision is not None and name == decided:
                likely = queue_of(beliefs, decision).alarm
            so_far.alarm.append(likely)
        for one in fired:
            if one.predicate in seen:
                key = (one.rule, one.says, one.shadow)
                seen[one.predicate].fired.setdefault(key, []).append(one.at)
            else:
                left[one.rule] = f"no labels of `{one.predicate}` by `{by}`"

    prequential(
        reasoner,
        data,
        by,
        moments[0],
        delay=delay,
        moments=moments,
        schedule=schedule,
        predicate=labelled[0],
        watch=watch,
        progress=progress,
    )
    sort = program.attribute(by).sort
    names = tuple(value_as_text(m if sort == "float" else int(m), sort) for m in moments)
    rows = tuple(row for name in labelled for row in _rows(name, seen[name]))
    alarms = {name: str(decision) if name == decided else LIKELY for name in labelled}
    return Backtest(by, names, rows, left, alarms)


def _rows(predicate: str, seen: _Seen) -> list[BacktestRow]:
    """The file as a whole, and then its rules."""
    truth = np.concatenate(seen.truth)
    ends = np.cumsum([len(part) for part in seen.truth])[:-1]
    keys = [(WHOLE, True, False), *seen.fired]
    at = [np.concatenate(part) for part in (seen.alarm, *seen.fired.values())]
    both = coincidence(at, len(truth))
    rows = []
    for place, (name, says, shadow) in enumerate(keys):
        others = [
            other
            for other, (_, same, unheard) in enumerate(keys)
            if other not in (0, place) and same == says and not unheard
        ]
        covered = np.logical_or.reduce([at[o] for o in others]) if others else np.zeros_like(at[0])
        figures = figures_of(at[place], truth, says)
        slices = tuple(
            figures_of(part, known, says)
            for part, known in zip(np.split(at[place], ends), np.split(truth, ends), strict=True)
        )
        shared = both[place, others]
        caught = at[place] & (truth == int(says)) & ~covered
        share = np.count_nonzero(at[place] & covered)
        rows.append(
            BacktestRow(
                name,
                predicate,
                says,
                shadow,
                figures,
                int(np.count_nonzero(caught)),
                share / figures.fired if figures.fired else float("nan"),
                keys[others[int(shared.argmax())]][0] if share else "",
                slices,
                _drift(*_halves(slices)),
            )
        )
    return rows


def _halves(slices: Sequence[RuleFigures]) -> tuple[RuleFigures, RuleFigures]:
    middle = ceil(len(slices) / 2)
    return _sum(slices[:middle]), _sum(slices[middle:])


def _sum(parts: Sequence[RuleFigures]) -> RuleFigures:
    counts = [(p.fired, p.labelled, p.right, p.wanted) for p in parts]
    return RuleFigures(*np.sum(counts, axis=0, dtype=int).tolist() if counts else (0, 0, 0, 0))


def _drift(early: RuleFigures, late: RuleFigures) -> float:
    if not early.labelled or not late.labelled:
        return float("nan")
    table = [[half.right, half.labelled - half.right] for half in (early, late)]
    return float(fisher_exact(table).pvalue)
