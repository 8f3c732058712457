"""Clique trees of many components laid out flat for :mod:`.clique_kernels`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from knowreason.factors.arrays import offsets_of
from knowreason.factors.components.scope_tables import state_digits
from knowreason.factors.components.shapes import Stack
from knowreason.inference.exact.clique_kernels import (
    ATOM,
    HARD,
    SOFT,
    CliqueComponents,
    CliquePrograms,
)
from knowreason.inference.exact.elimination import CliqueTree
from knowreason.inference.exact.exact_budget import ExactCost
from knowreason.inference.exact.local_factors import LocalModel

_INLINE = 1 << 6  # states up to which factors of a clique share one table
_SHARE = 6  # of a larger clique: tables of up to 2**-6 of its states
_TABLE = 1 << 12  # most states of a table that several factors share


@dataclass(frozen=True)
class Eliminated:
    """Components of one shape with their clique tree.

    Attributes:
        stack: the components.
        model: their variables and factors.
        tree: cliques of the variables.
        cost: of one component.
    """

    stack: Stack
    model: LocalModel
    tree: CliqueTree
    cost: ExactCost

    @property
    def states(self) -> int:
        """States of all cliques of one component."""
        return self.tree.states(self.model.sizes)

    def first(self, copies: int) -> Eliminated:
        """Only so many of the components."""
        whole, cut = self.stack, slice(copies)
        part = Stack(whole.shape, whole.components[cut], whole.atoms[cut], whole.rows[cut])
        return replace(self, stack=part)


Contribution: TypeAlias = tuple[int, int, NDArray[np.float64], tuple[int, ...]]


@dataclass
class CliqueTable:
    """Factors and atoms of a clique that are one table.

    Attributes:
        scope: variables, latest eliminated first.
        contributions: kind, local row or atom, values over its own scope, that scope.
    """

    scope: tuple[int, ...]
    contributions: list[Contribution]


_OF_STATE = {(d, state): np.eye(d)[state] for d in range(1, 17) for state in range(d)}


def clique_tables(model: LocalModel, tree: CliqueTree) -> list[list[CliqueTable]]:
    """By clique, its factors and atoms gathered into few tables that are small beside it."""
    sizes = model.sizes
    found: list[list[CliqueTable]] = [[] for _ in tree.cliques]
    most = [
        max(_INLINE, min(_TABLE, prod(sizes[v] for v in clique) >> _SHARE))
        for clique in tree.cliques
    ]
    rank = tree.order.__getitem__
    for factor in sorted(model.factors, key=lambda f: -len(f.scope)):
        clique = tree.homes[min(factor.scope, key=rank)]
        kind = HARD if factor.row < 0 else SOFT
        piece = (kind, factor.row, factor.values, factor.scope)
        _gather(found[clique], factor.scope, piece, sizes, most[clique], rank)
    for atom, (v, digit) in enumerate(zip(model.of_atom, model.digit, strict=True)):
        clique = tree.homes[v]
        values = _OF_STATE.get((sizes[v], digit))
        values = np.eye(sizes[v])[digit] if values is None else values
        _gather(found[clique], (v,), (ATOM, atom, values, (v,)), sizes, most[clique], rank)
    return found


def _gather(
    tables: list[CliqueTable],
    scope: tuple[int, ...],
    piece: Contribution,
    sizes: Sequence[int],
    most: int,
    rank: Callable[[int], int],
) -> None:
    """Adds a contribution to the first table that stays small, or as a table of its own."""
    wanted = set(scope)
    for table in tables:
        more = wanted.difference(table.scope)
        if more:
            union = (*table.scope, *more)
            if prod(sizes[v] for v in union) > most:
                continue
            table.scope = tuple(sorted(union, key=rank, reverse=True))
        table.contributions.append(piece)
        return
    tables.append(CliqueTable(tuple(sorted(scope, key=rank, reverse=True)), [piece]))


@dataclass
class _Lists:
    """The fields of :class:`.CliquePrograms` as they are collected."""

    columns: dict[str, list[int]] = field(
        default_factory=lambda: {name: [] for name in CliquePrograms._fields}
    )
    patterns: dict[object, int] = field(default_factory=dict)
    values: list[NDArray[np.float64]] = field(default_factory=list)
    value_count: int = 0

    def pattern_of(
        self, values: NDArray[np.float64], axes: tuple[int, ...], shape: tuple[int, ...]
    ) -> int:
        """Where the values of a factor over all states of its table start."""
        key = (values.tobytes(), axes, shape)
        if key not in self.patterns:
            if axes != tuple(range(len(shape))):
                own = tuple(shape[axis] for axis in axes)
                states = state_digits(shape)[list(axes)]
                values = values[np.ravel_multi_index(tuple(states), own)]
            self.patterns[key] = self.value_count
            self.values.append(values)
            self.value_count += len(values)
        return self.patterns[key]

    def arrays(self) -> CliquePrograms:
        made: dict[str, Any] = {
            name: np.array(column, dtype=np.int64) for name, column in self.columns.items()
        }
        for name in ("shape_cliques", "shape_tables", "shape_atoms", "axes", "operands", "tables"):
            made[name] = offsets_of(made[name])
        made["adds"] = made["adds"].astype(np.bool_)
        made["kind"] = made["kind"].astype(np.int8)
        made["values"] = np.concatenate([np.zeros(0), *self.values])
        return CliquePrograms(**made)


@dataclass(frozen=True)
class CliqueLayout:
    """Programs of some parts, their components, and the buffers those need.

    Attributes:
        programs, components: for the kernels.
        pool, sums: entries of the buffers of the largest component.
        variables: of the largest component.
        width: most axes or operands of a clique.
    """

    programs: CliquePrograms
    components: CliqueComponents
    pool: int
    sums: int
    variables: int
    width: int

    @staticmethod
    def of(parts: Sequence[Eliminated]) -> CliqueLayout:
        """Lays out the clique trees of all parts."""
        lists = _Lists()
        needs = [_add_shape(lists, part.model, part.tree) for part in parts]
        pool, sums, width = (max(column) for column in zip(*needs, strict=True))
        copies = np.array([len(part.stack.components) for part in parts])
        shape = np.repeat(np.arange(len(parts)), copies)
        atoms, rows = (
            np.array([getattr(part.stack, name).shape[1] for part in parts])[shape]
            for name in ("atoms", "rows")
        )
        components = CliqueComponents(
            np.concatenate([part.stack.components for part in parts]).astype(np.int64),
            shape,
            offsets_of(atoms)[:-1],
            offsets_of(rows)[:-1],
            np.concatenate([part.stack.atoms.ravel() for part in parts]),
            np.concatenate([part.stack.rows.ravel() for part in parts]),
        )
        variables = max(len(part.model.sizes) for part in parts)
        return CliqueLayout(lists.arrays(), components, pool, sums, variables, width)


def _add_shape(lists: _Lists, model: LocalModel, tree: CliqueTree) -> tuple[int, int, int]:
    """Adds a shape; returns entries of its operands and accumulators, and its greatest width."""
    column = lists.columns
    sizes = model.sizes
    by_clique = clique_tables(model, tree)
    place = width = 0
    placed: list[list[tuple[tuple[int, ...], int, int]]] = []
    for tables in by_clique:
        operands = []
        for table in tables:
            shape = tuple(sizes[v] for v in table.scope)
            length = prod(shape)
            operands.append((table.scope, place, length))
            column["table_place"].append(place)
            column["table_length"].append(length)
            column["tables"].append(len(table.contributions))
            place += length
            for kind, which, values, scope in table.contributions:
                axes = tuple(table.scope.index(v) for v in scope)
                column["kind"].append(kind)
                column["which"].append(which)
                column["pattern"].append(lists.pattern_of(values, axes, shape))
        placed.append(operands)
    column["shape_tables"].append(sum(map(len, by_clique)))
    column["shape_cliques"].append(len(tree.cliques))
    column["shape_atoms"].append(len(model.of_atom))
    column["atom_variable"] += model.of_atom
    column["atom_digit"] += model.digit
    held, most = place, 0  # accumulators of tables, then of the children of one clique
    own = [len(tables) for tables in by_clique]
    slots: dict[tuple[int, tuple[int, ...]], int] = {}  # of messages, by parent and separator
    sharing = Counter(map(tree.slot, range(len(tree.cliques))))
    for c, clique in enumerate(tree.cliques):
        slot = up, above = tree.slot(c)
        length = prod(sizes[v] for v in above)
        column["axes"].append(len(clique))
        column["sizes"] += [sizes[v] for v in clique]
        column["variables"] += clique
        column["separator"].append(len(above))
        column["above"].append(length)
        column["home"].append(prod(sizes[v] for v in clique) // length)
        column["adds"].append(slot in slots)
        operands = placed[c]
        scratch = held
        for k, (scope, at, entries) in enumerate(operands):
            column["place"].append(at)
            column["length"].append(entries)
            column["children"].append(0 if k < own[c] else sharing[c, scope])
            column["accumulator"].append(at if k < own[c] else scratch)
            scratch += entries if k >= own[c] else 0
        column["spare"].append(scratch if sharing[slot] > 1 else -1)
        most = max(most, scratch + (length if sharing[slot] > 1 else 0))
        _add_steps(column, clique, [scope for scope, _, _ in operands], sizes)
        width = max(width, len(clique), len(operands))
        if slot not in slots:
            slots[slot] = place
            place += length
            if up >= 0:
                placed[up].append((above, slots[slot], length))
        column["message"].append(slots[slot])
    return place, most, width


def _add_steps(
    column: dict[str, list[int]], clique: tuple[int, ...], scopes: list[tuple[int, ...]],
    sizes: Sequence[int],
) -> None:  # fmt: skip
    """By axis, how far the operands (over ``scopes``) move where the axis counts one up."""
    column["operands"].append(len(scopes))
    column["step_starts"].append(len(column["steps"]))
    by_operand = []
    for scope in scopes:
        stride, strides = 1, dict.fromkeys(clique, 0)
        for v in reversed(scope):
            strides[v] = stride
            stride *= sizes[v]
        by_operand.append(strides)
    steps = [[0] * len(scopes)]  # the last axis is walked by its stride
    passed = [0] * len(scopes)
    for v in reversed(clique[:-1]):
        steps.append([strides[v] - back for strides, back in zip(by_operand, passed, strict=True)])
        passed = [
            back + strides[v] * (sizes[v] - 1)
            for strides, back in zip(by_operand, passed, strict=True)
        ]
    for v, step in zip(clique, reversed(steps), strict=True):
        column["strides"] += [strides[v] for strides in by_operand]
        column["steps"] += step
