"""Tables as nodes of a message graph: rows of one table, or each with a table of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from knowreason.factors.arrays import Array, array
from knowreason.factors.ground_factors import GroundFactors
from knowreason.factors.potentials.factor_nodes import (
    TABLE_ROW,
    EdgeNumbers,
    FactorNodes,
    Kernel,
    NodeBucket,
)
from knowreason.factors.potentials.interval_nodes import numbers
from knowreason.factors.potentials.linear_rows import LinearRows
from knowreason.factors.potentials.merged_tables import MergedTables
from knowreason.factors.potentials.odds_domain import LIMIT
from knowreason.factors.potentials.table_odds import sweep_pairs, sweep_tables, sweep_triples
from knowreason.factors.potentials.table_tensors import (
    FORBIDDEN,
    bits,
    table_beliefs,
    table_chances,
    table_messages,
)

CHUNK_STATES = 1 << 23  # table states held at once
SAME = 1e-9  # log-potentials that differ by less are one


@dataclass(frozen=True)
class TableNodes(FactorNodes):
    """Rows that scale a table by their weight, or must have it positive.

    Attributes:
        tables: ``float64[t, 2**k]``.
        table_id: ``int64[m]``.
    """

    tables: NDArray[np.float64]
    table_id: NDArray[np.int64]

    row_kind = TABLE_ROW

    @staticmethod
    def of(factors: GroundFactors) -> TableNodes:
        """Of tables."""
        assert factors.table is not None
        tables = array(factors.table).astype(np.float64, copy=False)
        if factors.is_hard:
            tables = (tables > 0).astype(np.float64)
        return TableNodes(
            factors.row_offsets, factors.entry_atoms, factors, tables, factors.table_ids()
        )

    @property
    def arity(self) -> int:
        """Number of atoms of a row."""
        return int(self.tables.shape[1]).bit_length() - 1

    def take(self, rows: Array) -> TableNodes:
        """The given rows alone."""
        return TableNodes.of(self.source.take(rows))

    def energies(self, weights: Tensor | None, rows: slice, device: Any) -> Tensor:
        """``float64[m, 2**k]`` log-potentials of chosen rows, excluded states not marked."""
        if weights is None:
            return torch.zeros((1, self.tables.shape[1]), dtype=torch.float64, device=device)
        tables = torch.from_numpy(self.tables).to(device)
        if len(self.tables) > 1:
            tables = tables[torch.from_numpy(self.table_id[rows]).to(device)]
        return weights[rows][:, None] * tables

    def excluded(self, rows: Array | slice) -> NDArray[np.bool_]:
        """``bool[m, 2**k]`` (or one row for all): states that make a hard row false."""
        if not self.is_hard:
            return np.zeros((1, self.tables.shape[1]), dtype=np.bool_)
        if len(self.tables) == 1:
            return self.tables <= 0
        return self.tables[self.table_id[rows]] <= 0

    def potentials(self, weights: Tensor | None) -> NDArray[np.float64]:
        """``float64[m, 2**k]``, or one row for all: exponentials, the greatest being 1."""
        every, shared = slice(None), None
        if weights is not None:
            few = torch.from_numpy(numbers(weights))
            shared = few if len(self.tables) == 1 or len(few) == self.count else weights
        energy = array(self.energies(shared, every, "cpu"))
        excluded = self.excluded(every)
        energy = np.where(excluded, -np.inf, energy)
        least = -LIMIT if self.arity in (2, 3) else -700.0
        top = np.maximum(energy - energy.max(1, keepdims=True), least)
        return np.ascontiguousarray(np.where(excluded, 0.0, np.exp(top)))

    def kernel(self, weights: Tensor | None) -> tuple[Kernel, Sequence[Any]]:
        """:func:`sweep_pairs`, :func:`sweep_triples` or :func:`sweep_tables`."""
        potentials = self.potentials(weights)
        if self.arity in (2, 3):
            return sweep_pairs if self.arity == 2 else sweep_triples, (self.atoms, potentials)
        return sweep_tables, (self.arity, self.atoms, potentials)

    def buckets(self, start: int, device: torch.device | str) -> Iterator[NodeBucket]:
        """All rows."""
        edges = start + np.arange(self.edges).reshape(self.count, -1)
        excluded = self.excluded(slice(None))
        yield TableBucket(
            torch.from_numpy(edges).to(device),
            torch.arange(self.count, device=device),
            None,
            self,
            torch.from_numpy(excluded).to(device) if excluded.any() else None,
        )

    def feature_mean(self, chances: Tensor, rows: slice) -> Tensor:
        """What ``collect`` takes, from ``float64[m, 2**k]`` chances of states."""
        tables = torch.from_numpy(self.tables).to(chances)
        if len(self.tables) == 1:
            return chances @ tables[0]
        return (chances * tables[torch.from_numpy(self.table_id[rows]).to(tables.device)]).sum(1)

    def add_linear(self, program: LinearRows, weights: Array | None) -> None:
        """Excluded states as clauses; tables with one odd state as a clause; else the polytope."""
        truth = array(bits(self.arity, torch.device("cpu")))
        for number, table in enumerate(self.tables):
            rows = np.flatnonzero(self.table_id == number)
            mine = None if weights is None else weights[rows]
            atoms = self.atoms.reshape(-1, self.arity)[rows]
            _add_table(program, table, atoms, mine, truth)

    def fill_gibbs(self, rows: Array, at: int) -> NDArray[np.float64]:
        """The index of the state decides."""
        rows["kind"] = TABLE_ROW
        rows["table_at"] = at + self.table_id * self.tables.shape[1]
        return self.tables.ravel()

    def edge_codes(self) -> NDArray[np.int32]:
        """Bits."""
        return np.tile(1 << np.arange(self.arity), self.count).astype(np.int32)

    @property
    def demands(self) -> bool:
        """Whether some world breaks a row: a table that excludes nothing asks for nothing."""
        return super().demands and bool(self.excluded(slice(None)).any())

    def settling(self, world: Array, logits: Array) -> NDArray[np.int32]:
        """One literal of each row that excludes a single state, else all atoms."""
        atoms = self.atoms.reshape(-1, self.arity)
        excluded = np.broadcast_to(self.excluded(slice(None)), (self.count, self.tables.shape[1]))
        single = excluded.sum(1) == 1
        state = excluded.argmax(1)[single]
        signs = (state[:, None] >> np.arange(self.arity) & 1) == 0
        holding = world[atoms[single]] == signs
        lean = np.where(holding, np.where(signs, 1.0, -1.0) * logits[atoms[single]], -np.inf)
        chosen = np.take_along_axis(atoms[single], lean.argmax(1)[:, None], 1)[:, 0]
        demanding = excluded.any(1) & ~single
        return np.concatenate([chosen, atoms[demanding].ravel()])

    def walsh(self, weights: Tensor | None, hard: float) -> EdgeNumbers:
        """From log-potentials, an excluded state having ``-hard``."""
        excluded = self.excluded(slice(None))
        energy = self.energies(weights, slice(None), "cpu")
        energy = torch.where(torch.from_numpy(excluded), -hard, energy)
        energy = energy.expand(self.count, energy.shape[1])
        k, states = self.arity, energy.shape[1]
        spin = 2.0 * bits(k, energy.device).to(torch.float64) - 1
        lean = 2 * (energy @ spin) / states
        pair = torch.einsum("si,sj->sij", spin, spin) * (1 - torch.eye(k, dtype=torch.float64))
        pull = 4 * torch.einsum("ms,sij->mi", energy, pair) / states / max(k - 1, 1)
        top, least = energy.max(1).values, energy.min(1).values
        span = top - least
        high = energy >= (top - SAME * (1 + span))[:, None]
        low = energy <= (least + SAME * (1 + span))[:, None]
        two = (high | low).all(1)
        number = high.sum(1)
        weight = torch.where(two & (2 * number < states), -span, span)
        odd = array(two & ((number == 1) | (number == states - 1)))
        kind = np.full(self.count, 1) if k == 2 else np.where(odd, 0, 2)
        is_hard = np.broadcast_to(excluded.any(1), self.count)
        return EdgeNumbers(kind, is_hard, weight, lean.reshape(-1), pull.reshape(-1))


@dataclass(frozen=True)
class MergedNodes(TableNodes):
    """Tables that rows were merged into; ``source`` is a :class:`MergedTables`.

    Their weights are the log-potentials themselves, ``float64[m, 2**k]``, and their mean is
    the chance of every state. Chains and linear programs read rows as they are, not these.
    """

    @staticmethod
    def of_merged(merged: MergedTables) -> MergedNodes:
        """Of merged tables."""
        m, k = merged.atoms.shape
        return MergedNodes(
            np.arange(m + 1, dtype=np.int64) * k,
            merged.atoms.reshape(-1),
            merged,
            np.zeros((1, 1 << k)),
            np.zeros(m, dtype=np.int64),
        )

    @property
    def is_hard(self) -> bool:
        """Whether some state is excluded."""
        return bool(self.source.forbidden.any())

    def take(self, rows: Array) -> MergedNodes:
        """The given rows alone."""
        return MergedNodes.of_merged(self.source.take(rows))

    def weights(self, theta: Tensor) -> Tensor:
        """Log-potentials, ``float64[m, 2**k]``."""
        energies: Tensor = self.source.energies(theta)
        return energies

    def collect(self, total: Tensor, mean: Tensor, rows: Tensor | None = None) -> Tensor:
        """``total`` plus expected features, where states have chances ``mean``."""
        features: Tensor = self.source.features(mean, total.shape[0])
        return total + features

    def energies(self, weights: Tensor | None, rows: slice, device: Any) -> Tensor:
        """The log-potentials."""
        assert weights is not None
        return weights[rows]

    def excluded(self, rows: Array | slice) -> NDArray[np.bool_]:
        """``bool[m, 2**k]``."""
        forbidden: NDArray[np.bool_] = self.source.forbidden[rows]
        return forbidden

    def feature_mean(self, chances: Tensor, rows: slice) -> Tensor:
        """The chances."""
        return chances


@dataclass(frozen=True)
class TableBucket(NodeBucket):
    """Rows of some tables.

    Attributes:
        nodes: the rows.
        forbidden: ``bool[m, 2**k]`` (or one row for all), ``None`` where all states may be.
    """

    nodes: TableNodes
    forbidden: Tensor | None

    def places(self) -> Tensor:
        """Row by row."""
        return self.edges.reshape(-1)

    def messages(self, cavity: Tensor, weights: Tensor | None, maximum: bool) -> Tensor:
        """Over all states, in chunks of bounded memory."""
        found = [
            table_messages(cavity[self.edges[part]], self._energy(weights, part, cavity), maximum)
            for part in self._chunks()
        ]
        return torch.cat(found).reshape(-1)

    def beliefs(self, cavity: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor]:
        """Log normaliser, and mean of the table or chance of every state."""
        log_z, mean = [], []
        for part in self._chunks():
            normaliser, chances = table_beliefs(
                cavity[self.edges[part]], self._energy(weights, part, cavity)
            )
            log_z.append(normaliser)
            mean.append(self.nodes.feature_mean(chances, part))
        return torch.cat(log_z), torch.cat(mean)

    def mean(self, true: Tensor, false: Tensor) -> Tensor:
        """Mean of the table or chance of every state."""
        return self.nodes.feature_mean(
            table_chances(true[self.edges], false[self.edges]), slice(None)
        )

    def gain(self, mean: Tensor, weights: Tensor | None, hard_weight: float) -> Tensor:
        """Log-potentials times chances, less what excluded states cost."""
        if mean.dim() == 1:
            return hard_weight * (mean - 1) if weights is None else weights * mean
        assert weights is not None
        total = (weights * mean).sum(1)
        if self.forbidden is None:
            return total
        return total - hard_weight * (self.forbidden * mean).sum(1)

    def _energy(self, weights: Tensor | None, part: slice, like: Tensor) -> Tensor:
        energy = self.nodes.energies(weights, part, like.device)
        if self.forbidden is None:
            return energy
        mask = self.forbidden if len(self.forbidden) == 1 else self.forbidden[part]
        return energy - FORBIDDEN * mask

    def _chunks(self) -> Iterator[slice]:
        step = max(1, CHUNK_STATES >> self.edges.shape[1])
        for start in range(0, max(len(self.rows), 1), step):
            yield slice(start, start + step)


def _add_table(
    program: LinearRows,
    table: NDArray[np.float64],
    atoms: NDArray[np.int32],
    weights: Array | None,
    truth: NDArray[np.bool_],
) -> None:
    zeros, ones = np.flatnonzero(table == 0), np.flatnonzero(table == 1)
    m, arity = atoms.shape
    offsets = np.arange(m + 1) * arity

    def clauses(state: int, mine: Array | None) -> None:
        signs = np.tile(~truth[state], m)
        program.add_clauses(offsets, atoms.reshape(-1), signs, mine)

    if weights is None:
        for state in np.flatnonzero(table <= 0).tolist():
            if arity == 2:  # literals 2 * atom (true) and 2 * atom + 1 (false)
                program.conflicts.append(2 * atoms.astype(np.int64) + ~truth[state])
            else:
                clauses(state, None)
    elif len(zeros) == 1 and len(ones) == len(table) - 1:
        clauses(int(zeros[0]), weights)
    elif len(ones) == 1 and len(zeros) == len(table) - 1:
        clauses(int(ones[0]), -weights)
    else:
        _add_polytope(program, table, atoms, weights, truth)


def _add_polytope(
    program: LinearRows,
    table: NDArray[np.float64],
    atoms: NDArray[np.int32],
    weights: Array,
    truth: NDArray[np.bool_],
) -> None:
    """One column a state; they sum to 1 and to each atom over the states where it is true."""
    states, first = len(table), atoms[:, 0].astype(np.int64)
    objective = (weights[:, None] * table).ravel()
    mass = program.new_columns(objective, np.repeat(first, states)).reshape(len(atoms), states)
    whole = program.new_rows(1.0, 1.0, first)
    program.add(np.broadcast_to(whole[:, None], mass.shape), mass, 1.0)
    for j in range(atoms.shape[1]):
        equal = program.new_rows(0.0, 0.0, first)
        chosen = mass[:, truth[:, j]]
        program.add(np.broadcast_to(equal[:, None], chosen.shape), chosen, 1.0)
        program.add(equal, atoms[:, j], -1.0)
