"""Exact sum-product on components whose factor graph is a tree; stars of any size.

Blocks are single variables and rows over the same variables one factor. Each component
is rooted at its variable of most factors; messages go up and then down, one depth of all
components at a time. Messages are logs, with impossible states counted apart so that a
message can be taken out of a belief again without infinities.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from knowreason.factors.arrays import Array, entries_of, offsets_of, owners
from knowreason.factors.components.scope_tables import TableGroup
from knowreason.factors.components.scopes import IntervalRows, Scopes
from knowreason.inference.exact.log_messages import (
    Logs,
    clause_messages,
    clause_truth,
    count_messages,
    exclusive_log_odds,
    table_messages,
    table_probabilities,
)
from knowreason.inference.exact.partial_beliefs import ComponentBeliefs, Impossible
from knowreason.inference.exact.tree_order import FactorEdges, Step, root_trees


@dataclass(frozen=True)
class TreeSolver:
    """Solves all tree components of a graph in two passes.

    Attributes:
        ties: variables and factors.
        edges: between them.
        roots: ``int64[c]`` a variable a component.
        steps: by depth, deepest last.
        components: labels of the components served.
        atoms: number of atoms served.
    """

    ties: Scopes
    edges: FactorEdges
    roots: NDArray[np.int64]
    steps: tuple[Step, ...]
    components: NDArray[np.int64]
    atoms: int

    name = "exact: tree"

    @staticmethod
    def prepare(ties: Scopes) -> TreeSolver:
        """Roots trees (:func:`knowreason.inference.exact.tree_order.tree_components`)."""
        edges = FactorEdges.of(ties)
        roots, steps = root_trees(edges, ties.variables)
        served = np.unique(ties.variables.component)
        return TreeSolver(ties, edges, roots, steps, served, int((ties.variables.atom >= 0).sum()))

    def solve(
        self, unary: NDArray[np.float64], weights: NDArray[np.float64], beliefs: ComponentBeliefs
    ) -> None:
        """Fills in the trees' beliefs; see :class:`.Solver`."""
        _Passes(self, unary, weights, beliefs).run()

    @cached_property
    def edge_states(self) -> NDArray[np.int64]:
        """``int64[e + 1]`` where each edge's message starts."""
        return offsets_of(self.ties.variables.sizes[self.edges.variable])


class _Passes:
    """One run: beliefs of variables (finite part, number of impossibilities) and messages."""

    def __init__(
        self, solver: TreeSolver, unary: Array, weights: Array, beliefs: ComponentBeliefs
    ) -> None:
        self.solver, self.variables = solver, solver.ties.variables
        self.tables: tuple[TableGroup, ...] = solver.ties.tables
        self.beliefs, self.weights = beliefs, weights
        atom = self.variables.atom
        self.finite = np.where(atom >= 0, unary[atom], 0.0)
        self.barred = np.zeros(len(atom), dtype=np.int64)
        size = int(solver.edge_states[-1])
        self.sent, self.sent_barred = np.zeros(size), np.zeros(size, dtype=np.int64)
        self.energies = [group.energies(weights) for group in self.tables]
        self.probability = [np.empty_like(energy) for energy in self.energies]

    def run(self) -> None:
        self.beliefs.log_z[self.solver.components] = 0.0
        for step in reversed(self.solver.steps):
            _move(self, step, up=True)
        self._add_roots()
        for step in self.solver.steps:
            _move(self, step, up=False)
        for group, probability in zip(self.tables, self.probability, strict=True):
            self.beliefs.truth[group.row] = group.expect(probability)
        self._marginals()

    def belief(self, variables: Array, edges: Array | None = None) -> Logs:
        """Current beliefs ``[m, d]`` of variables of equal size, without the edges' messages."""
        states = self._states(variables)
        finite, barred = self.finite[states], self.barred[states]
        if edges is not None:
            sent = self._sent(edges)
            finite, barred = finite - self.sent[sent], barred - self.sent_barred[sent]
        return np.where(barred > 0, -np.inf, finite)

    def send_up(self, edges: Array, message: Logs) -> None:
        """Adds messages ``[m, d]`` to parents and remembers them; their size goes to log Z."""
        variables = self.solver.edges.variable[edges]
        best = message.max(1)
        component = self.variables.component[variables]
        if np.isneginf(best).any():
            raise Impossible(int(component[np.isneginf(best)][0]))
        np.add.at(self.beliefs.log_z, component, best)
        finite, barred = _split(message - best[:, None])
        states, sent = self._states(variables), self._sent(edges)
        np.add.at(self.finite, states, finite)
        np.add.at(self.barred, states, barred)
        self.sent[sent], self.sent_barred[sent] = finite, barred

    def send_down(self, variables: Array, message: Logs) -> None:
        """Adds messages ``[m, d]`` to children, each of which gets one."""
        finite, barred = _split(message - message.max(1, keepdims=True))
        states = self._states(variables)
        self.finite[states] += finite
        self.barred[states] += barred

    def _states(self, variables: Array) -> NDArray[np.int64]:
        size = int(self.variables.sizes[variables[0]])
        return self.variables.offsets[variables][:, None] + np.arange(size)

    def _sent(self, edges: Array) -> NDArray[np.int64]:
        starts = self.solver.edge_states
        size = int(starts[edges[0] + 1] - starts[edges[0]])
        return starts[edges][:, None] + np.arange(size)

    def _add_roots(self) -> None:
        for roots in self.by_size(self.solver.roots):
            total = np.logaddexp.reduce(self.belief(roots), axis=1)
            component = self.variables.component[roots]
            if np.isneginf(total).any():
                raise Impossible(int(component[np.isneginf(total)][0]))
            self.beliefs.log_z[component] += total

    def by_size(self, variables: Array) -> list[NDArray[np.int64]]:
        """The variables, parted by number of states."""
        sizes = self.variables.sizes[variables]
        return [variables[sizes == size] for size in np.unique(sizes)]

    def _marginals(self) -> None:
        for variables in self.by_size(np.arange(self.variables.count)):
            log_odds = exclusive_log_odds(self.belief(variables))
            atom = self.variables.atom[self._states(variables)]
            self.beliefs.log_odds[atom[atom >= 0]] = log_odds[atom >= 0]


def _split(message: Logs) -> tuple[Logs, NDArray[np.int64]]:
    barred = np.isneginf(message)
    return np.where(barred, 0.0, message), barred.astype(np.int64)


def _move(passes: _Passes, step: Step, up: bool) -> None:
    tables = len(passes.tables)
    if step.kind < tables:
        _move_tables(passes, step, up)
    elif step.kind == tables:
        _move_clauses(passes, step, up)
    else:
        _move_counts(passes, step, up)


def _move_tables(passes: _Passes, step: Step, up: bool) -> None:
    group = passes.tables[step.kind]
    energy, scope = passes.energies[step.kind][step.rows], group.scope[step.rows]
    children = [i for i in range(len(group.shape)) if i != step.parent]
    incoming = [passes.belief(scope[:, i]) for i in range(len(group.shape))]
    if up:
        [message] = table_messages(energy, group.shape, incoming, [step.parent])
        passes.send_up(step.parent_edge, message)
        return
    incoming[step.parent] = passes.belief(scope[:, step.parent], step.parent_edge)
    messages = table_messages(energy, group.shape, incoming, children)
    passes.probability[step.kind][step.rows] = table_probabilities(energy, group.shape, incoming)
    for i, message in zip(children, messages, strict=True):
        passes.send_down(scope[:, i], message)


@dataclass(frozen=True)
class _Entries:
    """Literals of some rows: which edge, whether it leads to the parent, incoming logs."""

    edge: NDArray[np.int64]
    is_parent: NDArray[np.bool_]
    offsets: NDArray[np.int64]
    true: Logs
    false: Logs


def _entries(passes: _Passes, step: Step, part: IntervalRows, up: bool) -> _Entries:
    edges = passes.solver.edges
    entry, offsets = entries_of(part.offsets, step.rows)
    edge = entry + edges.starts[edges.kinds[step.kind]]
    is_parent = edge == step.parent_edge[owners(offsets)]
    true, false = np.zeros(len(edge)), np.zeros(len(edge))
    digit = passes.variables.digit[part.atoms[entry]]
    for places, variables in _parted(passes, edge):
        parent = is_parent[places]
        if not up and parent.any():
            ours = places[parent]
            logs = passes.belief(variables[parent], edge[ours])
            true[ours], false[ours] = _of_state(logs, digit[ours])
        ours = places[~parent]
        if len(ours):
            true[ours], false[ours] = _of_state(passes.belief(variables[~parent]), digit[ours])
    return _Entries(edge, is_parent, offsets, true, false)


def _parted(passes: _Passes, edge: Array) -> list[tuple[Array, Array]]:
    """Positions in ``edge`` and their variables, parted by number of states."""
    variables = passes.solver.edges.variable[edge]
    sizes = passes.variables.sizes[variables]
    parts = [np.flatnonzero(sizes == size) for size in np.unique(sizes)]
    return [(places, variables[places]) for places in parts]


def _of_state(logs: Logs, state: Array) -> tuple[Logs, Logs]:
    """Logs of one state of each row (``float64[m, d]``) and of all its others."""
    rows = np.arange(len(logs))
    others = logs.copy()
    others[rows, state] = -np.inf
    return logs[rows, state], np.logaddexp.reduce(others, axis=1)


def _send_entries(
    passes: _Passes, entries: _Entries, atoms: Array, up: bool, true: Logs, false: Logs
) -> None:
    chosen = np.flatnonzero(entries.is_parent if up else ~entries.is_parent)
    for places, variables in _parted(passes, entries.edge[chosen]):
        ours = chosen[places]
        size = int(passes.variables.sizes[variables[0]])
        message = np.repeat(false[ours][:, None], size, axis=1)
        message[np.arange(len(ours)), passes.variables.digit[atoms[ours]]] = true[ours]
        if up:
            passes.send_up(entries.edge[ours], message)
        else:
            passes.send_down(variables, message)


def _move_clauses(passes: _Passes, step: Step, up: bool) -> None:
    part = passes.solver.ties.clauses
    entries = _entries(passes, step, part, up)
    entry, _ = entries_of(part.offsets, step.rows)
    signs, rows = part.signs[entry], part.row[step.rows]
    weight = np.where(part.is_hard[step.rows], np.inf, passes.weights[rows])
    logs = (entries.true, entries.false, signs, entries.offsets)
    true, false = clause_messages(*logs, owners(entries.offsets), weight)
    _send_entries(passes, entries, part.atoms[entry], up, true, false)
    if not up:
        passes.beliefs.truth[rows] = clause_truth(*logs, weight)


def _move_counts(passes: _Passes, step: Step, up: bool) -> None:
    part = passes.solver.ties.counts
    entries = _entries(passes, step, part, up)
    entry, offsets = entries_of(part.offsets, step.rows)
    true, false = np.empty(len(entry)), np.empty(len(entry))
    has_target, lengths = part.has_target[step.rows], np.diff(offsets)
    key = np.stack([lengths, has_target])
    for length, target in np.unique(key, axis=1).T:
        same = np.flatnonzero((lengths == length) & (has_target == bool(target)))
        truth = _count_part(
            passes, part, entries, step.rows[same], offsets[same], bool(target), true, false
        )
        if not up:
            passes.beliefs.truth[part.row[step.rows[same]]] = truth
    _send_entries(passes, entries, part.atoms[entry], up, true, false)


def _count_part(
    passes: _Passes,
    part: IntervalRows,
    entries: _Entries,
    rows: Array,
    starts: Array,
    target: bool,
    true: Logs,
    false: Logs,
) -> Logs:
    """Messages of counts of equal length, written to ``true`` and ``false``; their truth."""
    length = int(part.offsets[rows[0] + 1] - part.offsets[rows[0]]) - target
    places = starts[:, None] + np.arange(length)
    signs = part.signs[part.offsets[rows][:, None] + np.arange(length)]
    t, f = entries.true[places], entries.false[places]
    inside = np.where(part.is_hard[rows], 0.0, passes.weights[part.row[rows]])
    outside = np.where(part.is_hard[rows], -np.inf, 0.0)
    if target:
        inside, outside = entries.true[starts + length], entries.false[starts + length]
    logs = (np.where(signs, t, f), np.where(signs, f, t))
    yes, no, within, beyond = count_messages(
        *logs, inside, outside, part.lower[rows], part.upper[rows]
    )
    true[places], false[places] = np.where(signs, yes, no), np.where(signs, no, yes)
    if target:
        true[starts + length], false[starts + length] = within, beyond
    return np.exp(within + inside - np.logaddexp(within + inside, beyond + outside))
