"""Two rule files on the same data: which conclusions differ, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from knowreason.beliefs.beliefs import Beliefs
from knowreason.data.id_tables import as_matrix
from knowreason.evaluate.decisions import queue_of
from knowreason.explanation import Explanation
from knowreason.factors import OPEN
from knowreason.lang import load
from knowreason.lifecycle.backtest import LIKELY
from knowreason.logic import Program
from knowreason.logic.canonical_text import statement_text
from knowreason.metrics.alarms import Decision
from knowreason.progress import Progress, step
from knowreason.project.decided import decided_predicate
from knowreason.project.partition import parts_of
from knowreason.project.plugins import load_plugins
from knowreason.project.project_tables import load_data, load_program
from knowreason.project.schema import Project
from knowreason.reasoner.labels.asked_labels import only_query, with_hidden_labels
from knowreason.row_keys import locate
from knowreason.run.run_folder import reasoner_of

T = TypeVar("T")
Mask = NDArray[np.bool_]
REASONS = 3
LEAST_SHARE = 0.01  # of log-odds, to be named


@dataclass(frozen=True)
class ChangedConclusion:
    """A conclusion of which the two files say something else.

    Attributes:
        atom: with names.
        old, new: its probability.
        label: what its held-back label says, if there is one.
        alarm: ``gained``, ``lost``, or nothing.
        why: rules, models and the like whose shares of its log-odds differ most: the name, its
            share before and now.
    """

    atom: str
    old: float
    new: float
    label: bool | None
    alarm: str
    why: tuple[tuple[str, float, float], ...]


@dataclass(frozen=True)
class ProgramDiff:
    """What another rule file changes.

    Attributes:
        predicate: what is asked.
        statements: those that only the old file has (``-``) and only the new one (``+``).
        asked: atoms that both are asked about.
        only_old, only_new: atoms that only one is asked about.
        moved: atoms whose probability differs by more than the tolerance.
        gained, lost: alarms: how many, how many of them have a label, how many of these are true.
        alarms: when an alarm is raised, in words.
        changes: the largest changes, alarms first.
    """

    predicate: str
    statements: tuple[str, ...]
    asked: int
    only_old: int
    only_new: int
    moved: int
    gained: tuple[int, int, int]
    lost: tuple[int, int, int]
    alarms: str
    changes: tuple[ChangedConclusion, ...]

    @property
    def same(self) -> bool:
        """Whether no conclusion differs."""
        return not (self.moved or self.only_old or self.only_new or self.gained[0] or self.lost[0])


def program_diff(
    project: Project,
    old: Path,
    new: Path,
    directory: Path | None = None,
    *,
    predicate: str = "",
    top: int = 10,
    tolerance: float = 0.001,
    progress: Progress | None = None,
) -> ProgramDiff:
    """What changes with another rule file; both are trained on the project's training part.

    Args:
        project: its tables, split, seed and settings hold for both.
        old, new: rule files.
        directory: other tables to conclude about, in place of the test part.
        predicate: which, where several are asked.
        top: so many changes are explained.
        tolerance: differences of a probability up to this are none.
        progress: called as ``progress(done, total, message)``.

    Raises:
        ProjectError: KR912 where it is not clear what is asked, KR909 for a binding of what
            neither file declares.
    """
    load_plugins(project)
    plain = [load(file, zone=project.time.zone) for file in (old, new)]
    name = predicate or only_query(plain[1])
    beliefs = []
    with TemporaryDirectory() as models:  # those that are the same in both are fitted once
        for which, file, own, other in zip(
            ("old", "new"), (old, new), plain, plain[::-1], strict=True
        ):
            own.predicate(name)  # says what there is
            fitting = _fitting(replace(project, program=file), own, other)
            with step(progress, f"the {which} rules") as inner:
                beliefs.append(_believed(fitting, directory, Path(models), inner))
    with step(progress, "comparing"):
        return _compared(beliefs[0], beliefs[1], project.decision, name, top, tolerance)


def _fitting(project: Project, own: Program, other: Program) -> Project:
    """The project without what it says of names that only the other file declares."""
    foreign = _declared(other) - _declared(own)

    def kept(table: Mapping[str, T]) -> dict[str, T]:
        return {name: value for name, value in table.items() if name not in foreign}

    return replace(
        project,
        bind=kept(project.bind),
        domains=kept(project.domains),
        features=kept(project.features),
        scores=kept(project.scores),
        models=kept(project.models),
        params=kept(project.params),
        show=kept(project.show),
    )


def _declared(program: Program) -> set[str]:
    kinds = (program.predicates, program.attributes, program.domains)
    return {one.name for kind in (*kinds, program.models, program.parameters) for one in kind}


def _believed(
    project: Project, directory: Path | None, models: Path, progress: Progress | None
) -> Beliefs:
    program = load_program(project)
    parts = parts_of(project, program, load_data(project, program))
    reasoner = reasoner_of(project, program)
    reasoner.fit(parts.train, checkpoints=models, progress=progress)
    if directory is not None:
        return reasoner.infer(with_hidden_labels(load_data(project, program, directory)))
    return reasoner.infer(with_hidden_labels(parts.train) if parts.test is None else parts.test)


@dataclass(frozen=True, eq=False)
class _Side:
    """The asked atoms of one file: indices, things as the new file numbers them, beliefs."""

    beliefs: Beliefs
    atoms: NDArray[np.int64]
    things: NDArray[np.int32]
    alarm: Mask

    @staticmethod
    def of(beliefs: Beliefs, name: str, like: Beliefs, decision: Decision | None) -> _Side:
        """The asked atoms of ``name``, their things numbered as those of ``like``."""
        data, wanted = beliefs.grounding.data, like.grounding.data
        span, atoms = beliefs.grounding.span(name), beliefs.asked(name)
        sorts = data.program.sorts_of(name)
        ids = [
            wanted.vocabularies[sort].ids(data.vocabularies[sort].names)[column]
            for sort, column in zip(sorts, span.arguments[atoms - span.start].T, strict=True)
        ]
        alarm = beliefs.log_odds[atoms] >= 0
        if decision is not None:
            alarm = queue_of(beliefs, decision).alarm
        return _Side(beliefs, atoms, as_matrix(ids, len(atoms)), alarm)

    def take(self, rows: NDArray[np.int64]) -> _Side:
        """Some of the atoms."""
        return replace(
            self, atoms=self.atoms[rows], things=self.things[rows], alarm=self.alarm[rows]
        )

    @property
    def probability(self) -> NDArray[np.float64]:
        """``float64[n]``."""
        return np.asarray(expit(self.beliefs.log_odds[self.atoms]))


def _compared(
    old: Beliefs,
    new: Beliefs,
    decision: Decision | None,
    name: str,
    top: int,
    tolerance: float,
) -> ProgramDiff:
    if decision is not None and decided_predicate(decision, new.grounding.program) != name:
        decision = None
    before, after = _Side.of(old, name, new, decision), _Side.of(new, name, new, decision)
    at = locate(after.things, before.things)
    left_out = len(after.atoms) - np.count_nonzero(at >= 0)
    only_old = int(np.count_nonzero(at < 0))
    before, after = before.take(np.flatnonzero(at >= 0)), after.take(at[at >= 0])
    truth = after.beliefs.grounding.hidden[after.atoms]
    change = np.abs(after.probability - before.probability)
    gained, lost = after.alarm & ~before.alarm, before.alarm & ~after.alarm
    differs = (change > tolerance) | gained | lost
    order = np.lexsort((-change, ~(gained | lost)))
    chosen = order[: min(top, int(np.count_nonzero(differs)))]
    return ProgramDiff(
        name,
        _statements(old.grounding.program, new.grounding.program),
        len(change),
        only_old,
        int(left_out),
        int(np.count_nonzero(change > tolerance)),
        _counts(gained, truth),
        _counts(lost, truth),
        LIKELY if decision is None else str(decision),
        tuple(_changes(before.take(chosen), after.take(chosen), truth[chosen])),
    )


def _counts(alarm: Mask, truth: NDArray[np.int8]) -> tuple[int, int, int]:
    known, true = alarm & (truth != OPEN), alarm & (truth == 1)
    return int(alarm.sum()), int(known.sum()), int(true.sum())


def _changes(before: _Side, after: _Side, truth: NDArray[np.int8]) -> list[ChangedConclusion]:
    explained = [
        side.beliefs.explainer.explain_many(side.atoms.tolist()) for side in (before, after)
    ]
    rows = zip(
        *explained,
        before.probability.tolist(),
        after.probability.tolist(),
        truth.tolist(),
        (after.alarm.astype(int) - before.alarm).tolist(),
        strict=True,
    )
    return [
        ChangedConclusion(
            now.atom,
            was,
            becomes,
            None if label == OPEN else bool(label),
            {1: "gained", -1: "lost"}.get(moved, ""),
            _why(then, now),
        )
        for then, now, was, becomes, label, moved in rows
    ]


def _why(old: Explanation, new: Explanation) -> tuple[tuple[str, float, float], ...]:
    """Shares that differ most, up to :data:`REASONS` of them."""
    shares = [
        {f"{s.kind} {s.name}" if s.kind != s.name else s.name: s.log_odds for s in why.shares}
        for why in (old, new)
    ]
    names = dict.fromkeys((*shares[1], *shares[0]))
    pairs = [(name, shares[0].get(name, 0.0), shares[1].get(name, 0.0)) for name in names]
    pairs = [pair for pair in pairs if abs(pair[2] - pair[1]) >= LEAST_SHARE]
    return tuple(sorted(pairs, key=lambda pair: -abs(pair[2] - pair[1]))[:REASONS])


def _statements(old: Program, new: Program) -> tuple[str, ...]:
    """Statements of one file alone, as they are written canonically."""
    texts = [[statement_text(one) for one in program] for program in (old, new)]
    gone = [f"- {text}" for text in texts[0] if text not in texts[1]]
    return (*gone, *(f"+ {text}" for text in texts[1] if text not in texts[0]))
