"""Folding clamped atoms out of a factor graph."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from knowreason.errors import InferenceError
from knowreason.factors.arrays import (
    Array,
    array,
    choose_parameter,
    choose_value,
    offsets_of,
    owners,
    parameters_of,
    segment_sum,
    sum_by,
    tensor,
    values_of,
)
from knowreason.factors.graph import (
    FALSE,
    OPEN,
    TRUE,
    Blocks,
    Clause,
    ClauseList,
    CountGroup,
    FactorGraph,
    FactorGroup,
    Table,
    UnitGroup,
)
from knowreason.factors.propagate import propagate, remaining_interval, rows_by_state
from knowreason.factors.rows import some_rows


@dataclass
class _Folding:
    """What folding collects: parts that stay, feature totals, violated hard rows."""

    evidence: NDArray[np.int8]
    constant: NDArray[np.float64]
    groups: list[FactorGroup] = field(default_factory=list)
    clause_lists: list[ClauseList] = field(default_factory=list)
    units: list[UnitGroup] = field(default_factory=list)
    counts: list[CountGroup] = field(default_factory=list)
    violated: Counter[int] = field(default_factory=Counter)

    def add_constant(self, part: FactorGroup | ClauseList | UnitGroup, rows: Array) -> None:
        """Counts rows decided true; rows decided by hard parts count nothing."""
        if part.parameter is None or not len(rows):
            return
        values = values_of(part.value, part.rows)[rows]
        parameters = parameters_of(part.parameter, part.rows)[rows]
        self.constant += sum_by(parameters, values, len(self.constant))

    def add_unit(
        self, part: FactorGroup | ClauseList, rows: Array, atoms: Array, low: float, high: float
    ) -> None:
        """Soft rows that became ``low`` where their atom is false, ``high`` where true."""
        assert part.parameter is not None
        values = values_of(part.value, part.rows)[rows]
        parameters = parameters_of(part.parameter, part.rows)[rows]
        self.constant += low * sum_by(parameters, values, len(self.constant))
        if high != low:
            chosen = choose_parameter(part.parameter, torch.as_tensor(rows))
            assert chosen is not None
            value = tensor((high - low) * values, torch.float32)
            self.units.append(UnitGroup(tensor(atoms, torch.int32), chosen, value, part.rule))

    def add_group(self, part: FactorGroup, rows: Array, places: Array, potential: object) -> None:
        """Rows that keep the atoms at ``places`` under a smaller potential."""
        assert isinstance(potential, Clause | Table)
        index = torch.as_tensor(rows)
        self.groups.append(
            FactorGroup(
                tensor(array(part.atoms)[rows][:, places], torch.int32),
                potential,
                choose_parameter(part.parameter, index),
                choose_value(part.value, index),
                part.rule,
            )
        )


def condition(graph: FactorGraph) -> FactorGraph:
    """The distribution given the evidence, as a graph over the atoms still open.

    Evidence is propagated first (hard units, blocks, counts). Atoms keep their numbers;
    decided atoms keep their evidence, lose their log-odds to ``offset`` and no factor
    touches them. Feature totals of decided rows go to ``constant``, soft rows of one
    atom become units. So ``log Z`` and all expectations stay those of the graph given
    its evidence. A count whose target is false and whose interval has room on both
    sides keeps its target open under a hard ``!target``.

    Returns:
        a graph on the CPU.

    Raises:
        InferenceError: hard rows that the evidence makes false (KR703); ``rules`` of the
            error holds their labels.
    """
    evidence = propagate(graph)
    constant = np.zeros(graph.parameter_count)
    if graph.constant is not None:
        constant += array(graph.constant)
    folding = _Folding(evidence, constant)
    for unit in graph.units:
        _fold_units(folding, unit)
    for group in graph.groups:
        _fold_group(folding, group)
    for clauses in graph.clause_lists:
        _fold_clause_list(folding, clauses)
    reopened = [_fold_counts(folding, counts) for counts in graph.counts]
    blocks = _fold_blocks(folding, graph.blocks)
    if folding.violated:
        raise _contradiction(folding.violated)
    _reopen(folding, reopened)
    return _assemble(graph, folding, blocks)


def _assemble(graph: FactorGraph, folding: _Folding, blocks: Blocks) -> FactorGraph:
    log_odds = array(graph.log_odds).astype(np.float64)
    decided = folding.evidence != OPEN
    offset = graph.offset + float(log_odds[folding.evidence == TRUE].sum())
    return replace(
        graph,
        log_odds=tensor(np.where(decided, 0.0, log_odds), torch.float32),
        theta=graph.theta.detach().cpu().to(torch.float64),
        evidence=tensor(folding.evidence, torch.int8),
        groups=tuple(folding.groups),
        clause_lists=tuple(folding.clause_lists),
        units=tuple(folding.units),
        counts=tuple(folding.counts),
        blocks=blocks,
        auxiliary=None if graph.auxiliary is None else graph.auxiliary.cpu(),
        constant=torch.from_numpy(folding.constant),
        offset=offset,
    )


def _contradiction(violated: Counter[int]) -> InferenceError:
    total = sum(violated.values())
    parts = [f"{rows} of {rule_name(rule)}" for rule, rows in sorted(violated.items())]
    one = total == 1
    error = InferenceError(
        f"the evidence contradicts {total} hard grounding{'' if one else 's'}: {', '.join(parts)}",
        code="KR703",
        help="evidence alone or what follows from it leaves no possible world",
    )
    error.rules = tuple(sorted(violated))
    return error


def rule_name(rule: int) -> str:
    """How messages call a rule label; ``-1`` stands for blocks."""
    return f"rule {rule}" if rule >= 0 else "the functional predicates"


def _fold_units(folding: _Folding, unit: UnitGroup) -> None:
    state = folding.evidence[array(unit.atoms)]
    folding.add_constant(unit, np.flatnonzero(state == TRUE))
    stay = np.flatnonzero(state == OPEN)
    if len(stay) == unit.rows:
        folding.units.append(unit)
    elif len(stay):
        folding.units.append(some_rows(unit, stay))


def _fold_group(folding: _Folding, group: FactorGroup) -> None:
    states = folding.evidence[array(group.atoms)]
    soft_unit = states.shape[1] == 1 and not group.is_hard
    if not (states != OPEN).any() and not soft_unit:
        if group.rows:
            folding.groups.append(group)
    elif isinstance(group.potential, Clause):
        _fold_clauses(folding, group, states, np.array(group.potential.signs))
    else:
        for rows, state in rows_by_state(states):
            _fold_table(folding, group, rows, state, array(group.potential.values))


def _fold_clauses(folding: _Folding, group: FactorGroup, states: Array, signs: Array) -> None:
    undecided = states == OPEN
    satisfied = (~undecided & (states == signs)).any(1)
    folding.add_constant(group, np.flatnonzero(satisfied))
    dead = ~satisfied & ~undecided.any(1)
    if group.is_hard and dead.any():
        folding.violated[group.rule] += int(dead.sum())
    stay = np.flatnonzero(~satisfied & ~dead)
    for rows, state in rows_by_state(undecided[stay].astype(np.int8)):
        places = np.flatnonzero(state)
        _add_clauses(folding, group, stay[rows], places, signs[places])


def _add_clauses(
    folding: _Folding, group: FactorGroup, rows: Array, places: Array, signs: Array
) -> None:
    if len(places) == 1 and not group.is_hard:
        atoms = array(group.atoms)[rows, places[0]]
        folding.add_unit(group, rows, atoms, float(not signs[0]), float(signs[0]))
    else:
        folding.add_group(group, rows, places, Clause(tuple(bool(s) for s in signs)))


def _fold_table(
    folding: _Folding, group: FactorGroup, rows: Array, state: Array, values: Array
) -> None:
    places, values = _restrict(values, state)
    if group.is_hard and not (values > 0).any():
        folding.violated[group.rule] += len(rows)
    elif group.is_hard and (values > 0).all():
        return
    elif not group.is_hard and len(places) <= 1:
        atoms = array(group.atoms)[rows, places[0] if len(places) else 0]
        folding.add_unit(group, rows, atoms, float(values[0]), float(values[-1]))
    else:
        folding.add_group(group, rows, places, Table(tensor(values, torch.float32)))


def _restrict(values: Array, state: Array) -> tuple[Array, Array]:
    """Open positions the table still depends on, and its values over them."""
    k = len(state)
    cube = values.reshape((2,) * k).transpose()  # axis j is column j
    cube = cube[tuple(slice(None) if s == OPEN else int(s) for s in state)]
    places: list[int] = []
    for j in np.flatnonzero(state == OPEN):
        axis = len(places)
        if np.array_equal(cube.take(0, axis), cube.take(1, axis)):
            cube = cube.take(0, axis)
        else:
            places.append(int(j))
    return np.array(places, dtype=np.int64), np.ascontiguousarray(cube.transpose()).ravel()


def _fold_clause_list(folding: _Folding, clauses: ClauseList) -> None:
    offsets, atoms, signs = array(clauses.offsets), array(clauses.atoms), array(clauses.signs)
    states = folding.evidence[atoms]
    undecided = states == OPEN
    satisfied = segment_sum(states == signs, offsets) > 0
    free = segment_sum(undecided, offsets)
    folding.add_constant(clauses, np.flatnonzero(satisfied))
    dead = ~satisfied & (free == 0)
    if clauses.is_hard and dead.any():
        folding.violated[clauses.rule] += int(dead.sum())
    stay = ~satisfied & ~dead
    if not clauses.is_hard:
        _lone_literals(folding, clauses, stay & (free == 1), undecided)
        stay &= free > 1
    kept = undecided & stay[owners(offsets)]
    rows = torch.as_tensor(np.flatnonzero(stay))
    if len(rows):
        folding.clause_lists.append(
            ClauseList(
                torch.from_numpy(offsets_of(free[stay])),
                tensor(atoms[kept], torch.int32),
                tensor(signs[kept], torch.bool),
                choose_parameter(clauses.parameter, rows),
                choose_value(clauses.value, rows),
                clauses.rule,
            )
        )


def _lone_literals(folding: _Folding, clauses: ClauseList, lone: Array, undecided: Array) -> None:
    owner = owners(array(clauses.offsets))
    entries = np.flatnonzero(lone[owner] & undecided)
    signs, atoms = array(clauses.signs)[entries], array(clauses.atoms)[entries]
    for sign in (False, True):
        chosen = signs == sign
        if chosen.any():
            rows = owner[entries[chosen]]
            folding.add_unit(clauses, rows, atoms[chosen], float(not sign), float(sign))


def _fold_counts(folding: _Folding, counts: CountGroup) -> Array:
    """Keeps what is undecided; returns the targets to reopen (``int32[r]``)."""
    offsets, target = array(counts.offsets), array(counts.target)
    undecided = folding.evidence[array(counts.atoms)] == OPEN
    lower, upper, free = remaining_interval(counts, folding.evidence)
    inside = (lower <= 0) & (upper >= free)
    outside = (lower > free) | (upper < 0) | (lower > upper)
    wanted = np.where(target < 0, TRUE, folding.evidence[np.maximum(target, 0)])
    bad = (inside & (wanted == FALSE)) | (outside & (wanted == TRUE))
    if bad.any():
        folding.violated[counts.rule] += int(bad.sum())

    decided = (inside | outside) & (wanted != OPEN)
    above = ~decided & (wanted == FALSE) & (lower <= 0)
    below = ~decided & (wanted == FALSE) & (lower > 0) & (upper >= free)
    both = ~decided & (wanted == FALSE) & ~above & ~below
    lower, upper = (
        np.select([above, below], [upper + 1, 0], np.maximum(lower, 0)),
        np.select([above, below], [free, lower - 1], np.minimum(upper, free)),
    )
    stay = ~decided
    if stay.any():
        kept = undecided & stay[owners(offsets)]
        folding.counts.append(
            CountGroup(
                torch.from_numpy(offsets_of(free[stay])),
                counts.atoms[torch.as_tensor(kept)],
                counts.signs[torch.as_tensor(kept)],
                tensor(lower[stay], torch.int32),
                tensor(upper[stay], torch.int32),
                tensor(np.where((wanted == OPEN) | both, target, -1)[stay], torch.int32),
                counts.rule,
            )
        )
    return target[both]


def _reopen(folding: _Folding, targets: Iterable[Array]) -> None:
    atoms = np.unique(np.concatenate([np.zeros(0, np.int32), *targets]))
    if len(atoms):
        folding.evidence[atoms] = OPEN
        column = tensor(atoms[:, None], torch.int32)
        folding.groups.append(FactorGroup(column, Clause((False,)), None))


def _fold_blocks(folding: _Folding, blocks: Blocks) -> Blocks:
    offsets, atoms = array(blocks.offsets), array(blocks.atoms)
    at_most_one = array(blocks.at_most_one)
    states = folding.evidence[atoms]
    true = segment_sum(states == TRUE, offsets)
    free = segment_sum(states == OPEN, offsets)
    bad = (true > 1) | (~at_most_one & (true + free == 0))
    if bad.any():
        folding.violated[-1] += int(bad.sum())
    stay = (true == 0) & (free > at_most_one)
    kept = (states == OPEN) & stay[owners(offsets)]
    return Blocks(
        torch.from_numpy(offsets_of(free[stay])),
        tensor(atoms[kept], torch.int32),
        tensor(at_most_one[stay], torch.bool),
    )


def clamp(graph: FactorGraph, labels: Tensor) -> FactorGraph:
    """The graph with labels (``int8[n]``, ``-1`` for none) added to its evidence."""
    evidence = torch.where(labels.to(torch.int8) >= 0, labels.to(torch.int8), graph.evidence)
    return graph.with_evidence(evidence)
