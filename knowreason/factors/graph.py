"""The factor graph: tensors only, no rule and no table.

The distribution over worlds ``x`` (one 0/1 an atom) is log-linear in one parameter
vector ``theta`` (rule weights, predicate biases, model scales alike)::

    log p(x) = sum_a log_odds[a] * x[a]
             + sum_units theta[unit.parameter] * unit.value * x[unit.atom]
             + sum_groups sum_rows theta[parameter] * value * f(x[row])
             + sum_p theta[p] * constant[p] + offset
             - log Z

restricted to worlds in which every hard group, block and count definition holds.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

OPEN, FALSE, TRUE = -1, 0, 1  # values of FactorGraph.evidence


@dataclass(frozen=True)
class Clause:
    """A disjunction of literals; ``signs[j]`` is true where literal ``j`` is positive."""

    signs: tuple[bool, ...]


@dataclass(frozen=True)
class Table:
    """Any 0/1 function of ``k`` atoms.

    ``values`` is ``float32[2**k]``; the index of a state has bit ``j`` set when atom
    ``j`` (column ``j`` of the group) is true.
    """

    values: Tensor


@dataclass(frozen=True)
class FactorGroup:
    """All groundings of a rule that left the same literal positions open.

    Attributes:
        atoms: ``int32[m, k]``, distinct atoms within a row.
        potential: shape shared by all rows.
        parameter: index into ``theta``: one for all rows, or ``int32[m]``. ``None`` for
            a hard group, whose every row must be true.
        value: ``float32[m]`` feature values; ``None`` where all are 1.
        rule: opaque label of where the group came from, ``-1`` for none.
    """

    atoms: Tensor
    potential: Clause | Table
    parameter: int | Tensor | None
    value: Tensor | None = None
    rule: int = -1

    @property
    def is_hard(self) -> bool:
        """Whether every row must hold."""
        return self.parameter is None

    @property
    def rows(self) -> int:
        """Number of ground factors."""
        return self.atoms.shape[0]


@dataclass(frozen=True)
class ClauseList:
    """Clauses of varying length in CSR form (an ``exists`` over open atoms).

    Attributes:
        offsets: ``int64[m + 1]``.
        atoms: ``int32[offsets[-1]]``, distinct within a clause.
        signs: ``bool[offsets[-1]]``, true for a positive literal.
        parameter, value, rule: as in :class:`FactorGroup`.
    """

    offsets: Tensor
    atoms: Tensor
    signs: Tensor
    parameter: int | Tensor | None
    value: Tensor | None = None
    rule: int = -1

    @property
    def is_hard(self) -> bool:
        """Whether every row must hold."""
        return self.parameter is None

    @property
    def rows(self) -> int:
        """Number of ground clauses."""
        return self.offsets.shape[0] - 1


@dataclass(frozen=True)
class UnitGroup:
    """Features of single atoms: unit rules, biases, models' log-likelihood ratios.

    Attributes:
        atoms: ``int32[m]``.
        parameter: index into ``theta``, one for all rows or ``int32[m]``.
        value: ``float32[m]``, ``None`` where all are 1. A negative literal ``!x`` enters
            as ``-v`` here and ``+v`` in :attr:`FactorGraph.constant`.
        rule: opaque label of where it came from.
    """

    atoms: Tensor
    parameter: int | Tensor
    value: Tensor | None = None
    rule: int = -1

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.atoms.shape[0]


@dataclass(frozen=True)
class Blocks:
    """Sets of atoms of which exactly one, or at most one, is true; CSR.

    An atom is in at most one block. A block is one variable of K (or K + 1) states for
    every engine; the extra state "none" has log-odds 0.

    Attributes:
        offsets: ``int64[b + 1]``.
        atoms: ``int32[offsets[-1]]``.
        at_most_one: ``bool[b]``; false means exactly one.
    """

    offsets: Tensor
    atoms: Tensor
    at_most_one: Tensor

    @property
    def count(self) -> int:
        """Number of blocks."""
        return self.offsets.shape[0] - 1

    @staticmethod
    def none() -> Blocks:
        """No blocks."""
        return Blocks(
            torch.zeros(1, dtype=torch.int64),
            torch.zeros(0, dtype=torch.int32),
            torch.zeros(0, dtype=torch.bool),
        )


@dataclass(frozen=True)
class CountGroup:
    """Hard definitions ``target <=> lower <= (number of true literals) <= upper``; CSR.

    Attributes:
        offsets: ``int64[m + 1]``.
        atoms: ``int32[offsets[-1]]``, distinct within a row.
        signs: ``bool[offsets[-1]]``, true for a positive literal.
        lower, upper: ``int32[m]``, inclusive.
        target: ``int32[m]``, the auxiliary atom defined by the row; ``-1`` demands that
            the count lies in the interval.
        rule: opaque label of where it came from.
    """

    offsets: Tensor
    atoms: Tensor
    signs: Tensor
    lower: Tensor
    upper: Tensor
    target: Tensor
    rule: int = -1

    @property
    def rows(self) -> int:
        """Number of definitions."""
        return self.target.shape[0]


@dataclass(frozen=True)
class FactorGraph:
    """Atoms and factors.

    Attributes:
        log_odds: ``float32[n]``, fixed unary part.
        theta: ``float64[p]``, current parameter values.
        evidence: ``int8[n]``: ``OPEN``, ``FALSE`` or ``TRUE``. Grounding folds evidence
            away; what is clamped here (training labels) is folded by
            :func:`knowreason.factors.condition`.
        groups, clause_lists, units, counts: the factors.
        blocks: functional predicates.
        auxiliary: ``bool[n]``, atoms defined by counts; never reported.
        constant: ``float64[p]``, feature totals of groundings already decided.
        offset: score of atoms already decided (their fixed log-odds), part of ``log Z``.
    """

    log_odds: Tensor
    theta: Tensor
    evidence: Tensor
    groups: tuple[FactorGroup, ...] = ()
    clause_lists: tuple[ClauseList, ...] = ()
    units: tuple[UnitGroup, ...] = ()
    counts: tuple[CountGroup, ...] = ()
    blocks: Blocks = field(default_factory=Blocks.none)
    auxiliary: Tensor | None = None
    constant: Tensor | None = None
    offset: float = 0.0

    @property
    def atom_count(self) -> int:
        """Number of atoms, auxiliary ones included."""
        return self.log_odds.shape[0]

    @property
    def parameter_count(self) -> int:
        """Number of parameters."""
        return self.theta.shape[0]

    @property
    def factors(self) -> tuple[FactorGroup | ClauseList, ...]:
        """Groups and clause lists, in this order."""
        return (*self.groups, *self.clause_lists)

    def with_theta(self, theta: Tensor) -> FactorGraph:
        """The same graph at other parameter values (``float64[p]``)."""
        return replace(self, theta=theta)

    def with_evidence(self, evidence: Tensor) -> FactorGraph:
        """The same graph with other clamped atoms (``int8[n]``)."""
        return replace(self, evidence=evidence)

    def unary_log_odds(self) -> Tensor:
        """``float64[n]``: fixed log-odds plus every unit feature at current ``theta``."""
        total = self.log_odds.to(torch.float64).clone()
        for unit in self.units:
            weight = row_weights(self.theta, unit.parameter, unit.value, unit.rows)
            total.index_add_(0, unit.atoms.long(), weight)
        return total


def row_weights(theta: Tensor, parameter: int | Tensor, value: Tensor | None, rows: int) -> Tensor:
    """``float64[rows]``: ``theta[parameter] * value`` of each row."""
    if isinstance(parameter, int):
        weight = theta[parameter].to(torch.float64).expand(rows)
    else:
        weight = theta.to(torch.float64)[parameter.long()]
    return weight if value is None else weight * value.to(torch.float64)
