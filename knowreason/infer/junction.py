"""Exact inference by junction trees of bounded width, all components of a shape at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from knowreason.factors.arrays import Array
from knowreason.factors.stacks import Stack
from knowreason.infer.elimination import CliqueTree, eliminate
from knowreason.infer.local import LocalFactor, LocalModel, local_model
from knowreason.infer.solvers import Beliefs, Impossible
from knowreason.infer.tree_messages import exclusive_log_odds

_CHUNK_ENTRIES = 1 << 22  # clique entries held at once


@dataclass(frozen=True)
class _Placed:
    """A factor in its clique: its values broadcast along the clique's axes."""

    row: int
    values: Tensor


@dataclass(frozen=True)
class JunctionSolver:
    """Solves a stack by a calibrated clique tree in log space.

    Attributes:
        stack: the components.
        model: variables and factors of their shape.
        tree: the clique tree.
        placed: factors of each clique.
    """

    stack: Stack
    model: LocalModel
    tree: CliqueTree
    placed: tuple[tuple[_Placed, ...], ...]

    name = "exact: junction tree"

    @staticmethod
    def prepare(stack: Stack, most_states: int = 1 << 18) -> JunctionSolver | None:
        """Eliminates by min-fill; ``None`` where a clique would have more states."""
        model = local_model(stack.wiring)
        scopes = [factor.scope for factor in model.factors]
        tree = eliminate(model.sizes, scopes, most_states)
        if tree is None:
            return None
        placed: list[list[_Placed]] = [[] for _ in tree.cliques]
        for factor in model.factors:
            clique = tree.home(factor.scope)
            placed[clique].append(_place(factor, clique, model, tree))
        return JunctionSolver(stack, model, tree, tuple(map(tuple, placed)))

    @property
    def components(self) -> NDArray[np.int64]:
        """Labels of the components served."""
        return self.stack.components

    @property
    def atoms(self) -> int:
        """Number of atoms served."""
        return self.stack.atoms.size

    def solve(
        self, unary: NDArray[np.float64], weights: NDArray[np.float64], beliefs: Beliefs
    ) -> None:
        """Fills in beliefs; see :class:`knowreason.infer.solvers.Solver`."""
        for part in self.parts():
            atoms, rows = self.stack.atoms[part], self.stack.rows[part]
            tables, log_z = self.calibrated(part, unary, weights)
            beliefs.log_z[self.stack.components[part]] = log_z.numpy()
            self._read(tables, log_z, atoms, rows, beliefs)

    def parts(self, copies: int = 1) -> Iterator[slice]:
        """Slices of the stack whose tables, times ``copies``, are held at once."""
        step = max(1, _CHUNK_ENTRIES // (self.tree.states(self.model.sizes) * copies))
        for start in range(0, len(self.stack.components), step):
            yield slice(start, start + step)

    def calibrated(
        self, part: slice, unary: NDArray[np.float64], weights: NDArray[np.float64]
    ) -> tuple[list[Tensor], Tensor]:
        """Joint log-measure of every clique and ``log Z`` (``float64[b]``).

        Raises:
            Impossible: a component has no possible world.
        """
        tables = self._tables(unary[self.stack.atoms[part]], weights[self.stack.rows[part]])
        log_z = _calibrate(tables, self.tree, self.model.sizes)
        impossible = torch.isneginf(log_z).numpy()
        if impossible.any():
            raise Impossible(int(self.stack.components[part][impossible][0]))
        return tables, log_z

    def _tables(self, unary: Array, weights: Array) -> list[Tensor]:
        """Log-potentials of every clique, ``float64[b, states of each variable...]``."""
        sizes, tree = self.model.sizes, self.tree
        tables = [
            torch.zeros(len(unary), *(sizes[v] for v in clique), dtype=torch.float64)
            for clique in tree.cliques
        ]
        for v, members in enumerate(self.model.atoms):
            if members:
                logs = np.zeros((len(unary), sizes[v]))
                logs[:, [digit for _, digit in members]] = unary[:, [atom for atom, _ in members]]
                home = tree.homes[v]
                tables[home] += torch.from_numpy(logs).reshape(_shape((v,), home, tree, sizes))
        for table, factors in zip(tables, self.placed, strict=True):
            for factor in factors:
                if factor.row < 0:
                    table += factor.values.log()
                else:
                    weight = torch.from_numpy(weights[:, factor.row].copy())
                    table += weight.reshape(-1, *[1] * factor.values.dim()) * factor.values
        return tables

    def _read(
        self, tables: list[Tensor], log_z: Tensor, atoms: Array, rows: Array, beliefs: Beliefs
    ) -> None:
        for v, members in enumerate(self.model.atoms):
            if members:
                home = self.tree.homes[v]
                axis = 1 + self.tree.cliques[home].index(v)
                log_odds = exclusive_log_odds(_sum_to(tables[home], axis).numpy())
                for atom, digit in members:
                    beliefs.log_odds[atoms[:, atom]] = log_odds[:, digit]
        for table, placed in zip(tables, self.placed, strict=True):
            factors = [factor for factor in placed if factor.row >= 0]
            if factors:
                probability = (table - log_z.reshape(-1, *[1] * (table.dim() - 1))).exp()
                for factor in factors:
                    expected = (probability * factor.values).flatten(1).sum(1)
                    beliefs.truth[rows[:, factor.row]] = expected.numpy()


def _place(factor: LocalFactor, clique: int, model: LocalModel, tree: CliqueTree) -> _Placed:
    shape = tuple(model.sizes[v] for v in factor.scope)
    latest_first = sorted(factor.scope, key=tree.order.__getitem__, reverse=True)
    axes = [factor.scope.index(v) for v in latest_first]
    values = torch.from_numpy(factor.values.reshape(shape).transpose(axes).copy())
    along = _shape(factor.scope, clique, tree, model.sizes)[1:]
    return _Placed(factor.row, values.reshape(along))


def _shape(
    scope: Sequence[int], clique: int, tree: CliqueTree, sizes: Sequence[int]
) -> tuple[int, ...]:
    """Shape (batch first) in which a table over ``scope`` broadcasts along a clique."""
    return (-1, *(sizes[v] if v in scope else 1 for v in tree.cliques[clique]))


def _sum_to(table: Tensor, axis: int) -> Tensor:
    """``float64[b, d]``: log-sum over all axes but the batch and one."""
    before = int(np.prod(table.shape[1:axis], dtype=np.int64))
    return table.reshape(table.shape[0], before, table.shape[axis], -1).logsumexp((1, 3))


def _calibrate(tables: list[Tensor], tree: CliqueTree, sizes: Sequence[int]) -> Tensor:
    """Turns clique potentials into joint log-measures in place; returns ``log Z`` ``[b]``."""
    sent: list[Tensor] = []
    separators = [_separator(i, tree) for i in range(len(tables))]
    for i, up in enumerate(tree.parents):
        kept = len(separators[i])
        message = tables[i].flatten(1 + kept).logsumexp(1 + kept)
        sent.append(message)
        if up >= 0:
            tables[up] += message.reshape(_shape(separators[i], up, tree, sizes))
    root = len(tables) - 1
    log_z = tables[root].flatten(1).logsumexp(1)
    for i in range(root - 1, -1, -1):
        up = tree.parents[i]
        outside = _sum_onto(tables[up], separators[i], up, tree) - sent[i]
        outside = outside.nan_to_num(nan=-torch.inf, neginf=-torch.inf, posinf=-torch.inf)
        tables[i] += outside.reshape(_shape(separators[i], i, tree, sizes))
    return log_z


def _separator(clique: int, tree: CliqueTree) -> tuple[int, ...]:
    return tuple(v for v in tree.cliques[clique] if tree.homes[v] != clique)


def _sum_onto(table: Tensor, kept: Sequence[int], clique: int, tree: CliqueTree) -> Tensor:
    """Log-sum of a clique's table over all of its variables but ``kept``."""
    axes = [1 + j for j, v in enumerate(tree.cliques[clique]) if v not in kept]
    return table.logsumexp(axes) if axes else table
