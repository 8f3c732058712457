"""Exact inference by junction trees of bounded width.

Cliques of one shape, of whatever components, are rows of one table; a message between
cliques of one depth and two shapes is one array operation. All in log space.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from knowreason.factors.components.scope_tables import TableGroup
from knowreason.factors.components.shapes import Stack
from knowreason.inference.exact.cliques import Cliques, Eliminated, Link
from knowreason.inference.exact.elimination import eliminate
from knowreason.inference.exact.local_factors import local_model
from knowreason.inference.exact.log_messages import Logs, exclusive_log_odds
from knowreason.inference.exact.partial_beliefs import ComponentBeliefs, Impossible

_STATES = 1 << 23  # clique states one solver holds
_INLINE = 1 << 6  # states up to which a clique holds its factors itself


def eliminated(stack: Stack, most_states: int) -> Eliminated | None:
    """Finds a clique tree of a stack; ``None`` where a clique would have more states."""
    model = local_model(stack.shape)
    scopes = [factor.scope for factor in model.factors]
    tree = eliminate(model.sizes, scopes, most_states)
    if tree is None:
        return None
    return Eliminated(stack, model, tree.with_leaves(model.sizes, scopes, _INLINE))


@dataclass(frozen=True)
class JunctionSolver:
    """Calibrates the clique trees of some components.

    Attributes:
        cliques: of all of them.
        components: labels of the components served.
        atoms: number of atoms served.
    """

    cliques: Cliques
    components: NDArray[np.int64]
    atoms: int

    name = "exact: junction tree"

    @staticmethod
    def prepare(parts: Sequence[Eliminated]) -> list[JunctionSolver]:
        """Solvers of all parts, each with bounded memory."""
        return [
            JunctionSolver(
                Cliques.of(batch),
                np.concatenate([part.stack.components for part in batch]),
                sum(part.stack.atoms.size for part in batch),
            )
            for batch in _batches(parts)
        ]

    def solve(
        self, unary: NDArray[np.float64], weights: NDArray[np.float64], beliefs: ComponentBeliefs
    ) -> None:
        """Fills in beliefs; see :class:`knowreason.inference.exact.partial_beliefs.Solver`."""
        tables = self.calibrated(unary, weights, beliefs)
        for group, table, home, component in self._shapes(tables):
            for axis in range(len(group.shape)):
                rows = np.flatnonzero(home[:, axis])
                if len(rows):
                    variables = group.scope[rows, axis]
                    self._marginals(table[rows], group.shape, axis, variables, beliefs)
            probability = np.exp(table - beliefs.log_z[component][:, None])
            beliefs.truth[group.row] = group.expect(probability)

    def calibrated(
        self, unary: NDArray[np.float64], weights: NDArray[np.float64], beliefs: ComponentBeliefs
    ) -> list[Logs]:
        """Joint log-measure of every clique, ``float64[m, size]`` a shape; fills in ``log_z``.

        Raises:
            Impossible: a component has no possible world.
        """
        cliques, tables = self.cliques, self._potentials(unary, weights)
        sent = [_send_up(link, cliques, tables) for link in reversed(cliques.links)]
        for table, roots, component in zip(tables, cliques.roots, cliques.component, strict=True):
            log_z = log_sum(table[roots])
            impossible = np.isneginf(log_z)
            if impossible.any():
                raise Impossible(int(component[roots][impossible][0]))
            beliefs.log_z[component[roots]] = log_z
        for link, message in zip(cliques.links, reversed(sent), strict=True):
            _send_down(link, cliques, tables, message)
        return tables

    def _shapes(
        self, tables: list[Logs]
    ) -> Iterator[tuple[TableGroup, Logs, NDArray[np.bool_], NDArray[np.int64]]]:
        yield from zip(
            self.cliques.tables, tables, self.cliques.home, self.cliques.component, strict=True
        )

    def _potentials(self, unary: NDArray[np.float64], weights: NDArray[np.float64]) -> list[Logs]:
        cliques = self.cliques
        logs = np.where(cliques.atom >= 0, unary[cliques.atom], 0.0)
        tables = []
        for group, home in zip(cliques.tables, cliques.home, strict=True):
            energy = group.energies(weights)
            cube = energy.reshape(-1, *group.shape)
            for axis, size in enumerate(group.shape):
                states = cliques.offsets[group.scope[:, axis]][:, None] + np.arange(size)
                share = np.where(home[:, axis, None], logs[states], 0.0)
                cube += share.reshape(-1, *(size if i == axis else 1 for i in range(cube.ndim - 1)))
            tables.append(energy)
        return tables

    def _marginals(
        self,
        table: Logs,
        shape: tuple[int, ...],
        axis: int,
        variables: NDArray[np.int64],
        beliefs: ComponentBeliefs,
    ) -> None:
        before = int(np.prod(shape[:axis], dtype=np.int64))
        cube = table.reshape(len(table), before, shape[axis], -1).transpose(0, 2, 1, 3)
        log_odds = exclusive_log_odds(log_sum(cube.reshape(len(table), shape[axis], -1)))
        states = self.cliques.offsets[variables][:, None] + np.arange(shape[axis])
        atom = self.cliques.atom[states]
        beliefs.log_odds[atom[atom >= 0]] = log_odds[atom >= 0]


def log_sum(logs: Logs) -> Logs:
    """Logarithm of the sum of exponentials along the last axis; ``-inf`` is allowed."""
    best = logs.max(-1, keepdims=True)
    best = np.where(np.isneginf(best), 0.0, best)
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(np.exp(logs - best).sum(-1)) + best[..., 0])


def _send_up(link: Link, cliques: Cliques, tables: list[Logs]) -> Logs:
    """Adds children's sums over their own variables to the parents; returns the messages."""
    children = tables[link.child][link.child_rows]
    message = log_sum(children.reshape(len(children), link.separator, -1))
    total = np.add.reduceat(message, link.starts, axis=0)
    shape = cliques.tables[link.parent].shape
    along = tuple(d if axis in link.axes else 1 for axis, d in enumerate(shape))
    cube = tables[link.parent].reshape(-1, *shape)
    cube[link.parent_rows[link.starts]] += total.reshape(-1, *along)
    return message


def _send_down(link: Link, cliques: Cliques, tables: list[Logs], message: Logs) -> None:
    """Adds to children what their parents know from elsewhere."""
    shape = cliques.tables[link.parent].shape
    parents = tables[link.parent][link.parent_rows[link.starts]].reshape(-1, *shape)
    others = [axis for axis in range(len(shape)) if axis not in link.axes]
    moved = parents.transpose(0, *(1 + axis for axis in (*link.axes, *others)))
    joint = log_sum(moved.reshape(len(parents), link.separator, -1))
    counts = np.diff(link.starts, append=len(message))
    with np.errstate(invalid="ignore"):
        outside = np.repeat(joint, counts, axis=0) - message
    outside[np.isneginf(message)] = -np.inf
    own = tables[link.child].shape[1] // link.separator
    tables[link.child][link.child_rows] += np.repeat(outside, own, axis=1)


def _batches(parts: Sequence[Eliminated]) -> Iterator[list[Eliminated]]:
    """Parts, cut so that each batch holds a bounded number of clique states."""
    batch: list[Eliminated] = []
    held = 0
    for part in parts:
        step = max(1, _STATES // part.states)
        for start in range(0, len(part.stack.components), step):
            stack = part.stack
            cut = slice(start, start + step)
            piece = Stack(stack.shape, stack.components[cut], stack.atoms[cut], stack.rows[cut])
            needed = part.states * len(piece.components)
            if batch and held + needed > _STATES:
                yield batch
                batch, held = [], 0
            batch.append(Eliminated(piece, part.model, part.tree))
            held += needed
    if batch:
        yield batch
