"""The base rate of every ground atom, as a function of the weights."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.special import expit

from knowreason.data import Dataset
from knowreason.factors import OPEN, AtomTable, ParameterTable
from knowreason.factors.arrays import entries_of, owners, segment_sum
from knowreason.grounding.atom_numbering import open_blocks
from knowreason.grounding.rule_parameters import (
    bias_parameters,
    is_base_rate,
    per_sizes,
    rule_offsets,
)
from knowreason.logic import Atom, Program, Variable
from knowreason.row_keys import distinct_rows, scattered

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class BaseRates:
    """Which parameters make up the prior log-odds of each atom, before models and rules.

    Attributes:
        parameters: ``int64[n]`` arrays; the log-odds of an atom are the sum of these
            parameters, ``-1`` for none.
        offsets, atoms, at_most_one: functional blocks (CSR), whose states are normalised.
        known: weights, and the probabilities at them.
    """

    parameters: tuple[NDArray[np.int64], ...]
    offsets: NDArray[np.int64]
    atoms: NDArray[np.int32]
    at_most_one: NDArray[np.bool_]
    known: tuple[Vector, Vector] | None = None

    @staticmethod
    def of(
        program: Program, data: Dataset, table: AtomTable, parameters: ParameterTable
    ) -> BaseRates:
        """Biases of predicates, and the rules that stand in their place."""
        found: list[NDArray[np.int64]] = []
        bias = np.full(table.count, -1, np.int64)
        for predicate in program.open_predicates:
            span = table.spans[predicate.name]
            indices = list(bias_parameters(predicate, parameters).values())
            if not indices:
                continue
            state: NDArray[np.int64] = np.zeros(span.count, np.int64)
            if len(indices) > 1:
                assert span.functional_position is not None
                state = span.arguments[:, span.functional_position].astype(np.int64)
            bias[span.start : span.stop] = indices[0] + state
        found.append(bias)
        for rule, base in zip(program.rules, rule_offsets(program, data), strict=True):
            if not is_base_rate(rule, program):
                continue
            assert isinstance(rule.formula, Atom)
            span = table.spans[rule.formula.predicate]
            names = [a.name for a in rule.formula.arguments if isinstance(a, Variable)]
            state = np.zeros(span.count, np.int64)
            for variable, size in zip(rule.weight.per, per_sizes(rule, data), strict=True):
                state = state * size + span.arguments[:, names.index(variable.name)]
            own = np.full(table.count, -1, np.int64)
            own[span.start : span.stop] = base + state
            found.append(own)
        nothing_known = np.full(table.count, OPEN, np.int8)
        return BaseRates(tuple(found), *open_blocks(nothing_known, table, program))

    def log_odds(self, theta: Vector) -> Vector:
        """``float64[n]``: sums of parameters; of a state of a block its score."""
        padded = np.append(theta, 0.0)  # the last one for those without a parameter
        return np.asarray(sum(padded[which] for which in self.parameters), np.float64)

    def probabilities(self, theta: Vector) -> Vector:
        """``float64[n]``: strictly between 0 and 1."""
        if self.known is not None and self.known[0] is theta:
            return self.known[1]
        score = self.log_odds(theta)
        rates = expit(score)
        if len(self.atoms):
            own = score[self.atoms]
            top = np.maximum.reduceat(own, self.offsets[:-1])
            top = np.where(self.at_most_one, np.maximum(top, 0.0), top)
            block = owners(self.offsets)
            mass = np.exp(own - top[block])
            whole = segment_sum(mass, self.offsets) + np.where(self.at_most_one, np.exp(-top), 0)
            rates[self.atoms] = mass / whole[block]
        inside: Vector = np.clip(rates, 1e-12, 1 - 1e-12)
        return inside

    def at(self, theta: Vector) -> BaseRates:
        """The same, with the probabilities at some weights worked out."""
        return replace(self, known=(theta, self.probabilities(theta)))

    def slopes(self, theta: Vector, atoms: NDArray[np.int64]) -> csr_matrix:
        """``float64[m, p]``: how the base rates of some atoms (``int64[m]``) change.

        In a block each rate falls as another's score rises.
        """
        rates = self.probabilities(theta)
        row = np.arange(len(atoms))
        if not len(self.atoms):
            return self._by_parameter(row, atoms, rates[atoms] * (1 - rates[atoms]), theta)
        entries = [(row, atoms, rates[atoms])]
        block = np.full(len(rates), -1, np.int64)
        block[self.atoms] = owners(self.offsets)
        inside = np.flatnonzero(block[atoms] >= 0)
        alone = np.setdiff1d(row, inside)
        entries.append((alone, atoms[alone], -(rates[atoms[alone]] ** 2)))
        member, bounds = entries_of(self.offsets, block[atoms[inside]])
        by = np.repeat(inside, np.diff(bounds))
        others = self.atoms[member].astype(np.int64)
        entries.append((by, others, -rates[atoms[by]] * rates[others]))
        row, of, slope = (np.concatenate(column) for column in zip(*entries, strict=True))
        return self._by_parameter(row, of, slope, theta)

    def _by_parameter(
        self, row: NDArray[np.int64], of: NDArray[np.int64], slope: Vector, theta: Vector
    ) -> csr_matrix:
        """Slopes in the log-odds of atoms ``of``, as those in their parameters."""
        rows, columns, values = [], [], []
        for which in self.parameters:
            some = which[of] >= 0
            rows.append(row[some])
            columns.append(which[of][some])
            values.append(slope[some])
        places = (np.concatenate(rows), np.concatenate(columns))
        count = int(row.max(initial=-1)) + 1
        return csr_matrix((np.concatenate(values), places), (count, len(theta)))

    def kinds(self) -> NDArray[np.int64]:
        """``int64[n]``: atoms of one number have one base rate, whatever the weights."""
        kind = distinct_rows(self.parameters)[1]
        if not len(self.atoms):
            return kind
        own = scattered(kind[self.atoms])
        whole = np.add.reduceat(own, self.offsets[:-1]) + self.at_most_one
        together = np.zeros(len(kind), np.uint64)
        together[self.atoms] = scattered(whole)[owners(self.offsets)]
        return distinct_rows([kind, together.view(np.int64)])[1]
