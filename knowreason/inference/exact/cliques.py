"""Clique trees of many components laid out flat: cliques by shape, messages by depth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod

import numpy as np
from numpy.typing import NDArray

from knowreason.factors.arrays import offsets_of
from knowreason.factors.components.scope_tables import TableGroup, state_digits
from knowreason.factors.components.shapes import Stack
from knowreason.inference.exact.elimination import CliqueTree
from knowreason.inference.exact.local_factors import LocalFactor, LocalModel


@dataclass(frozen=True)
class Eliminated:
    """Components of one shape with their clique tree.

    Attributes:
        stack: the components.
        model: their variables and factors.
        tree: cliques of the variables.
    """

    stack: Stack
    model: LocalModel
    tree: CliqueTree

    @property
    def states(self) -> int:
        """States of all cliques of one component."""
        return self.tree.states(self.model.sizes)

    @property
    def work(self) -> int:
        """Entries that messages of one component read: cliques, and a parent for each leaf."""
        sizes, tree = self.model.sizes, self.tree
        parents = (tree.cliques[tree.parents[leaf]] for leaf in tree.leaves.values())
        return self.states + sum(prod(sizes[v] for v in parent) for parent in parents)


@dataclass(frozen=True)
class Link:
    """Messages of one depth between cliques of two shapes, over like separators.

    A child's separator is its first axes.

    Attributes:
        child, parent: shapes (indices into :attr:`Cliques.tables`).
        child_rows, parent_rows: ``int64[r]`` cliques; by parent.
        separator: number of joint states of the separator.
        axes: its axes in the parent, increasing.
        starts: ``int64[u]`` where each parent's children start.
    """

    child: int
    parent: int
    child_rows: NDArray[np.int64]
    parent_rows: NDArray[np.int64]
    separator: int
    axes: tuple[int, ...]
    starts: NDArray[np.int64]


@dataclass(frozen=True)
class Cliques:
    """All cliques of some components.

    Attributes:
        tables: a group for every shape; ``scope`` holds variables, latest eliminated
            first, contributions are soft rows.
        home: ``bool[m, s]`` for each group: variables summed out of the clique.
        roots: ``int64[r]`` rows of root cliques in each group.
        component: ``int64[m]`` label of each clique, for each group.
        links: messages, next to the roots first.
        atom: ``int64[states]`` the atom true in each flat state, ``-1`` for none.
        offsets: ``int64[v + 1]`` flat states of each variable.
    """

    tables: tuple[TableGroup, ...]
    home: tuple[NDArray[np.bool_], ...]
    roots: tuple[NDArray[np.int64], ...]
    component: tuple[NDArray[np.int64], ...]
    links: tuple[Link, ...]
    atom: NDArray[np.int64]
    offsets: NDArray[np.int64]

    @staticmethod
    def of(parts: Sequence[Eliminated]) -> Cliques:
        """Lays out the cliques of all components of all parts."""
        layout = _Layout()
        for part in parts:
            layout.add(part)
        tables = tuple(shape.table_group() for shape in layout.shapes.values())
        return Cliques(
            tables,
            tuple(np.concatenate(shape.home) for shape in layout.shapes.values()),
            tuple(np.concatenate(shape.roots) for shape in layout.shapes.values()),
            tuple(np.concatenate(shape.component) for shape in layout.shapes.values()),
            layout.link(),
            np.concatenate(layout.atom),
            offsets_of(np.concatenate(layout.sizes)),
        )


@dataclass
class _Shape:
    """Cliques of one shape as they are collected."""

    number: int
    shape: tuple[int, ...]
    count: int = 0
    scope: list[NDArray[np.int64]] = field(default_factory=list)
    home: list[NDArray[np.bool_]] = field(default_factory=list)
    roots: list[NDArray[np.int64]] = field(default_factory=lambda: [np.zeros(0, np.int64)])
    component: list[NDArray[np.int64]] = field(default_factory=list)
    table: list[NDArray[np.int64]] = field(default_factory=lambda: [np.zeros(0, np.int64)])
    row: list[NDArray[np.int64]] = field(default_factory=lambda: [np.zeros(0, np.int64)])
    pattern: list[NDArray[np.int64]] = field(default_factory=lambda: [np.zeros(0, np.int64)])
    patterns: dict[tuple[bytes, tuple[int, ...]], int] = field(default_factory=dict)
    values: list[NDArray[np.float64]] = field(default_factory=list)
    hard: list[tuple[NDArray[np.int64], int]] = field(default_factory=list)

    def pattern_of(self, factor: LocalFactor, clique: Sequence[int]) -> int:
        """Number of the factor's values over the flattened states of a clique."""
        axes = tuple(clique.index(v) for v in factor.scope)
        key = (factor.values.tobytes(), axes)
        if key not in self.patterns:
            states = state_digits(self.shape)
            sizes = tuple(self.shape[axis] for axis in axes)
            self.patterns[key] = len(self.values)
            self.values.append(
                factor.values[np.ravel_multi_index(tuple(states[list(axes)]), sizes)]
            )
        return self.patterns[key]

    def table_group(self) -> TableGroup:
        size = int(np.prod(self.shape))
        forbidden = np.zeros((self.count, size), dtype=bool)
        for rows, pattern in self.hard:
            forbidden[rows] |= self.values[pattern] <= 0
        table = np.concatenate(self.table)
        order = np.argsort(table, kind="stable")
        return TableGroup(
            self.shape,
            np.concatenate(self.scope),
            table[order],
            np.concatenate(self.row)[order],
            np.concatenate(self.pattern)[order],
            np.stack(self.values) if self.values else np.zeros((0, size)),
            forbidden,
        )


@dataclass
class _Layout:
    shapes: dict[tuple[int, ...], _Shape] = field(default_factory=dict)
    sizes: list[NDArray[np.int64]] = field(default_factory=list)
    atom: list[NDArray[np.int64]] = field(default_factory=list)
    variables: int = 0
    links: dict[tuple[int, ...], list[tuple[NDArray[np.int64], NDArray[np.int64]]]] = field(
        default_factory=dict
    )

    def add(self, part: Eliminated) -> None:
        """All cliques of the components of one shape, each as a run of consecutive rows."""
        b, v = len(part.stack.components), len(part.model.sizes)
        first = self.variables + v * np.arange(b)
        places = [self._add_clique(part, i, first) for i in range(len(part.tree.cliques))]
        self._add_factors(part, places)
        self._add_links(part, places)
        self.sizes.append(np.tile(np.array(part.model.sizes), b))
        local = _atoms_of_states(part.model)
        atoms = part.stack.atoms[:, np.maximum(local, 0)]
        self.atom.append(np.where(local >= 0, atoms, -1).ravel())
        self.variables += v * b

    def _add_clique(
        self, part: Eliminated, i: int, first: NDArray[np.int64]
    ) -> tuple[_Shape, NDArray[np.int64]]:
        clique = part.tree.cliques[i]
        key = tuple(part.model.sizes[v] for v in clique)
        shape = self.shapes.setdefault(key, _Shape(len(self.shapes), key))
        rows = shape.count + np.arange(len(first))
        shape.count += len(first)
        shape.scope.append(first[:, None] + np.array(clique))
        home = np.array([part.tree.homes[v] == i for v in clique])
        shape.home.append(np.tile(home, (len(first), 1)))
        shape.component.append(part.stack.components)
        if part.tree.parents[i] < 0:
            shape.roots.append(rows)
        return shape, rows

    def _add_factors(
        self, part: Eliminated, places: list[tuple[_Shape, NDArray[np.int64]]]
    ) -> None:
        for factor in part.model.factors:
            i = part.tree.home(factor.scope)
            shape, rows = places[i]
            pattern = shape.pattern_of(factor, part.tree.cliques[i])
            if factor.row < 0:
                shape.hard.append((rows, pattern))
            else:
                shape.table.append(rows)
                shape.row.append(part.stack.rows[:, factor.row])
                shape.pattern.append(np.full(len(rows), pattern))

    def _add_links(self, part: Eliminated, places: list[tuple[_Shape, NDArray[np.int64]]]) -> None:
        depth = [0] * len(places)
        for i in range(len(places) - 1, -1, -1):
            up = part.tree.parents[i]
            if up < 0:
                continue
            depth[i] = depth[up] + 1
            above = [v for v in part.tree.cliques[i] if part.tree.homes[v] != i]
            axes = tuple(part.tree.cliques[up].index(v) for v in above)
            (child, rows), (parent, parent_rows) = places[i], places[up]
            key = (depth[i], child.number, parent.number, *axes)
            self.links.setdefault(key, []).append((rows, parent_rows))

    def link(self) -> tuple[Link, ...]:
        """All messages, by depth."""
        links, shapes = [], list(self.shapes)
        for key in sorted(self.links):
            axes = key[3:]
            child = np.concatenate([rows for rows, _ in self.links[key]])
            parent = np.concatenate([rows for _, rows in self.links[key]])
            order = np.argsort(parent, kind="stable")
            starts = np.flatnonzero(np.diff(parent[order], prepend=-1))
            states = prod(shapes[key[2]][axis] for axis in axes)
            links.append(Link(key[1], key[2], child[order], parent[order], states, axes, starts))
        return tuple(links)


def _atoms_of_states(model: LocalModel) -> NDArray[np.int64]:
    """``int64[states]``: the local atom true in each flat state, ``-1`` for none."""
    offsets = offsets_of(np.array(model.sizes))
    atoms = np.full(offsets[-1], -1, dtype=np.int64)
    atoms[offsets[list(model.of_atom)] + np.array(model.digit)] = np.arange(len(model.digit))
    return atoms
