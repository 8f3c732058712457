"""Clauses and counts as nodes of a message graph."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from knowreason.errors import InferenceError
from knowreason.factors.arrays import Array, array
from knowreason.factors.ground_factors import GroundFactors
from knowreason.factors.potentials import interval_tensors as tensors
from knowreason.factors.potentials.factor_nodes import (
    CLAUSE_ROW,
    COUNT_ROW,
    EdgeNumbers,
    FactorNodes,
    Kernel,
    NodeBucket,
)
from knowreason.factors.potentials.interval_odds import (
    sweep_clauses,
    sweep_counts,
    sweep_three_literals,
)
from knowreason.factors.potentials.linear_rows import LinearRows
from knowreason.factors.potentials.literal_counts import count_limit, literal_lists
from knowreason.factors.potentials.odds_domain import LIMIT

COUNT_TABLE_LIMIT = 50_000_000  # entries of one count's dynamic-programming table


@dataclass(frozen=True)
class ClauseNodes(FactorNodes):
    """Clauses of any length; messages cost O(k).

    Attributes:
        signs: ``bool[e]``.
    """

    signs: NDArray[np.bool_]

    row_kind = CLAUSE_ROW

    @staticmethod
    def of(factors: GroundFactors) -> ClauseNodes:
        """Of clauses."""
        return ClauseNodes(factors.row_offsets, factors.entry_atoms, factors, factors.entry_signs)

    def take(self, rows: Array) -> ClauseNodes:
        """The given rows alone."""
        return ClauseNodes.of(self.source.take(rows))

    def kernel(self, weights: Tensor | None) -> tuple[Kernel, Sequence[Any]]:
        """:func:`sweep_three_literals` where no row is longer or shorter, else
        :func:`sweep_clauses`."""
        if self.count and bool((np.diff(self.offsets) == 3).all()):
            return sweep_three_literals, (self.atoms, self.signs, epsilon(weights))
        return sweep_clauses, (self.offsets, self.atoms, self.signs, epsilon(weights))

    def buckets(self, start: int, device: torch.device | str) -> Iterator[NodeBucket]:
        """By length, rounded up to a power of two where it varies."""
        sizes = np.diff(self.offsets)
        for chosen in alike(sizes[:, None]):
            edges, present, sign = padded(self.offsets, self.signs, sizes, chosen)
            yield ClauseBucket(
                torch.from_numpy(edges + start).to(device),
                torch.from_numpy(chosen).to(device),
                None,
                present if present is None else torch.from_numpy(present).to(device),
                torch.from_numpy(sign).to(device),
            )

    def add_linear(self, program: LinearRows, weights: Array | None) -> None:
        """One column a soft clause."""
        program.add_clauses(self.offsets, self.atoms, self.signs, weights)

    def fill_gibbs(self, rows: Array, at: int) -> NDArray[np.float64]:
        """The number of true literals decides."""
        rows["kind"] = CLAUSE_ROW
        return np.zeros(0)

    def edge_codes(self) -> NDArray[np.int32]:
        """Signs."""
        return np.where(self.signs, 1, -1).astype(np.int32)

    def settling(self, world: Array, logits: Array) -> NDArray[np.int32]:
        """The literal of each clause that holds in the world and leans furthest to it."""
        holding = world[self.atoms] == self.signs
        lean = np.where(holding, np.where(self.signs, 1.0, -1.0) * logits[self.atoms], -np.inf)
        order = np.lexsort((-lean, self.owners()))
        return self.atoms[order[self.offsets[:-1]]]

    def walsh(self, weights: Tensor | None, hard: float) -> EdgeNumbers:
        """In closed form."""
        row, sizes = self.owners(), np.diff(self.offsets)
        sign, arity = np.where(self.signs, 1.0, -1.0), sizes[row]
        others = np.bincount(row, sign, minlength=self.count)[row] - sign
        scale = 0.5 ** np.minimum(arity, 60)
        pull = -4 * sign * others * scale / np.maximum(arity - 1, 1)
        weight = row_weights_or(weights, self.count, hard)
        of_edge = weight[torch.from_numpy(row)]
        return EdgeNumbers(
            np.where(sizes == 2, 1, 0),
            np.full(self.count, self.is_hard),
            weight,
            of_edge * torch.from_numpy(2 * sign * scale),
            of_edge * torch.from_numpy(pull),
        )


@dataclass(frozen=True)
class CountNodes(ClauseNodes):
    """Counts of true literals, or of false ones where that is cheaper.

    Attributes:
        lower, upper: ``int32[m]``.
        defining: ``bool[m]``: rows whose last edge is a target.
    """

    lower: NDArray[np.int32]
    upper: NDArray[np.int32]
    defining: NDArray[np.bool_]

    row_kind = COUNT_ROW

    @staticmethod
    def of(factors: GroundFactors) -> CountNodes:
        """Of intervals; targets become last edges."""
        offsets, atoms, signs, lower, upper, defining = literal_lists(factors)
        bounds = lower.astype(np.int32), upper.astype(np.int32)
        return CountNodes(offsets, atoms, factors, signs, *bounds, defining)

    @property
    def has_target(self) -> NDArray[np.bool_]:
        """``bool[m]``: rows that define the atom of their last edge."""
        return self.defining

    def take(self, rows: Array) -> CountNodes:
        """The given rows alone."""
        return CountNodes.of(self.source.take(rows))

    def limits(self) -> NDArray[np.int64]:
        """``int64[m]``: where counting stops, larger counts being alike.

        Raises:
            InferenceError: a count's dynamic-programming table would be too large (KR741).
        """
        sizes = np.diff(self.offsets) - self.defining
        limits = count_limit(self.lower, self.upper, sizes)
        entries = (sizes + 1) * (limits + 1)
        if entries.size and entries.max() > COUNT_TABLE_LIMIT:
            row = int(entries.argmax())
            raise InferenceError(
                f"a count over {sizes[row]:,} atoms with bounds {self.lower[row]:,}.."
                f"{self.upper[row]:,} needs a table of {entries[row]:,} entries",
                code="KR741",
                help="narrow the count (`within`, a tighter comprehension), or use "
                "`engine='gibbs'`",
            )
        return limits

    def kernel(self, weights: Tensor | None) -> tuple[Kernel, Sequence[Any]]:
        """:func:`sweep_counts`."""
        bounds = self.lower, self.upper, self.defining, self.limits(), epsilon(weights)
        return sweep_counts, (self.offsets, self.atoms, self.signs, *bounds)

    def buckets(self, start: int, device: torch.device | str) -> Iterator[NodeBucket]:
        """By length, limit and whether there is a target."""
        sizes, limits = np.diff(self.offsets) - self.defining, self.limits()
        for chosen in alike(np.stack([sizes, limits, self.defining.astype(np.int64)], 1)):
            edges, present, sign = padded(self.offsets, self.signs, sizes, chosen)
            lower, upper = self.lower[chosen][:, None], self.upper[chosen][:, None]
            counts = np.arange(limits[chosen].max() + 1)
            good = (lower <= counts) & ((counts <= upper) | (upper >= sizes[chosen][:, None]))
            target = None
            if self.defining[chosen[0]]:
                target = torch.from_numpy(self.offsets[1:][chosen] - 1 + start).to(device)
            yield CountBucket(
                torch.from_numpy(edges + start).to(device),
                torch.from_numpy(chosen).to(device),
                target,
                present if present is None else torch.from_numpy(present).to(device),
                torch.from_numpy(sign).to(device),
                torch.from_numpy(good.astype(np.float64)).to(device),
            )

    def fill_gibbs(self, rows: Array, at: int) -> NDArray[np.float64]:
        """The number of true literals is compared with the bounds."""
        rows["kind"] = COUNT_ROW
        rows["lower"], rows["upper"] = self.lower, self.upper
        rows["target"] = self.targets
        return np.zeros(0)

    def settling(self, world: Array, logits: Array) -> NDArray[np.int32]:
        """All atoms of demands."""
        return self.atoms[~self.defining[self.owners()]]

    def walsh(self, weights: Tensor | None, hard: float) -> EdgeNumbers:
        """Nothing is said of how counts lean."""
        nothing = torch.zeros(self.edges, dtype=torch.float64)
        weight = row_weights_or(weights, self.count, hard)
        kind = np.full(self.count, 3)
        return EdgeNumbers(kind, np.full(self.count, self.is_hard), weight, nothing, nothing)

    def add_linear(self, program: LinearRows, weights: Array | None) -> None:
        """``inside`` (a target, or the truth of a soft count) holds the interval, else ``above``.

        A demand is bounded directly; ``above`` says on which side a count is outside.
        """
        literal = self.literals
        line = self.owners()[literal]
        atoms, signs = self.atoms[literal], self.signs[literal]
        size = np.bincount(line, minlength=self.count)
        negative = np.bincount(line[~signs], minlength=self.count)
        first = self.first_atoms.astype(np.int64)
        low = np.clip(self.lower, 0, size + 1).astype(np.float64)
        high = np.clip(self.upper, -1, size).astype(np.float64)

        def count_rows(chosen: Array, least: Array | float, most: Array | float) -> Array:
            """Rows that bound the number of true literals; returns their numbers by count."""
            shift = -negative[chosen]
            numbers = np.full(self.count, -1)
            numbers[chosen] = program.new_rows(least + shift, most + shift, first[chosen])
            mine = chosen[line]
            program.add(numbers[line][mine], atoms[mine], np.where(signs[mine], 1.0, -1.0))
            return numbers[chosen]

        some = self.defining if weights is None else np.ones(self.count, dtype=np.bool_)
        count_rows(~some, low[~some], high[~some])
        if not some.any():
            return
        if weights is None:
            inside = self.targets[some]
        else:
            inside = program.new_columns(weights, first, binary=True)
        low, high, size = low[some], high[some], size[some]
        above = program.new_columns(np.zeros(some.sum()), first[some], binary=True)
        at_least = count_rows(some, 0.0, np.inf)  # count >= low * inside + (high + 1) * above
        program.add(at_least, inside, -low)
        program.add(at_least, above, -(high + 1))
        at_most = count_rows(some, -np.inf, low - 1)  # below, unless inside or above
        program.add(at_most, inside, -(high - low + 1))
        program.add(at_most, above, -(size - low + 1))
        apart = program.new_rows(-np.inf, 1.0, first[some])
        program.add(apart, inside, 1.0)
        program.add(apart, above, 1.0)


@dataclass(frozen=True)
class ClauseBucket(NodeBucket):
    """Clauses of about the same length.

    Attributes:
        present: ``bool[m, k]``, ``None`` where nothing is padded.
        sign: ``float64[m, k]`` of +-1.
    """

    present: Tensor | None
    sign: Tensor

    def places(self) -> Tensor:
        """Literals, then targets."""
        flat = self.edges.reshape(-1) if self.present is None else self.edges[self.present]
        return flat if self.target is None else torch.cat([flat, self.target])

    def messages(self, cavity: Tensor, weights: Tensor | None, maximum: bool) -> Tensor:
        """To every literal, O(k)."""
        found = tensors.clause_messages(self.cavities(cavity), self.chosen(weights), maximum)
        return self.flat(found)

    def beliefs(self, cavity: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor]:
        """Log normaliser and probability of truth."""
        return tensors.clause_beliefs(self.cavities(cavity), self.chosen(weights))

    def mean(self, true: Tensor, false: Tensor) -> Tensor:
        """Chance that some literal is true."""
        return 1 - self.chances(true, false)[1].prod(1)

    def gain(self, mean: Tensor, weights: Tensor | None, hard_weight: float) -> Tensor:
        """Weight times truth."""
        mine = self.chosen(weights)
        return hard_weight * (mean - 1) if mine is None else mine * mean

    def chosen(self, weights: Tensor | None) -> Tensor | None:
        """Weights of these rows."""
        return None if weights is None else weights[self.rows]

    def cavities(self, cavity: Tensor) -> Tensor:
        """``float64[m, k]`` cavities of the literals; absent ones are false."""
        found = cavity[self.edges] * self.sign
        return found if self.present is None else torch.where(self.present, found, tensors.ABSENT)

    def flat(self, messages: Tensor) -> Tensor:
        """Messages to literals as messages to atoms, in the order of ``places``."""
        found = messages * self.sign
        return found.reshape(-1) if self.present is None else found[self.present]

    def chances(self, true: Tensor, false: Tensor) -> tuple[Tensor, Tensor]:
        """Chances that each literal is true, is false; absent ones are false."""
        p, q, positive = true[self.edges], false[self.edges], self.sign > 0
        p, q = torch.where(positive, p, q), torch.where(positive, q, p)
        if self.present is not None:
            p, q = torch.where(self.present, p, 0.0), torch.where(self.present, q, 1.0)
        return p, q


@dataclass(frozen=True)
class CountBucket(ClauseBucket):
    """Counts of about the same length and limit.

    Attributes:
        good: ``float64[m, limit + 1]``, 1 where a count lies in the interval; the last
            column stands for all larger counts too.
    """

    good: Tensor

    def messages(self, cavity: Tensor, weights: Tensor | None, maximum: bool) -> Tensor:
        """By counting forward and back."""
        target = None if self.target is None else cavity[self.target]
        inside = self.inside(weights)
        found, to_target = tensors.count_messages(
            self.cavities(cavity), target, self.good, inside, maximum
        )
        flat = self.flat(found)
        return flat if to_target is None else torch.cat([flat, to_target])

    def beliefs(self, cavity: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor]:
        """Log normaliser and probability of truth."""
        target = None if self.target is None else cavity[self.target]
        mine = self.chosen(weights)
        return tensors.count_beliefs(self.cavities(cavity), target, self.good, mine)

    def inside(self, weights: Tensor | None) -> Tensor:
        """``float64[m, limit + 1]`` weight of each count, 1 within the interval."""
        mine = self.chosen(weights)
        if mine is None:
            return self.good
        return self.good + (1 - self.good) * (-mine.clamp(-LIMIT, LIMIT)).exp()[:, None]

    def counted(self, true: Tensor, false: Tensor) -> tuple[Tensor, Tensor]:
        """Chances that each count lies in its interval, and that it does not."""
        p, q = self.chances(true, false)
        last = tensors.count_forward(p, q, self.good.shape[1], False)[-1]
        return (last * self.good).sum(1), (last * (1 - self.good)).sum(1)

    def mean(self, true: Tensor, false: Tensor) -> Tensor:
        """Chance of the interval; 1 for definitions."""
        if self.target is not None:
            return torch.ones_like(self.good[:, 0])
        return self.counted(true, false)[0]

    def defined(self, true: Tensor, false: Tensor) -> tuple[Tensor, Tensor] | None:
        """Chances of the targets."""
        return None if self.target is None else self.counted(true, false)


def epsilon(weights: Tensor | None) -> NDArray[np.float64]:
    """``float64[m]`` (``[1]`` where rows share it): weight of a false row, a true one having 1."""
    if weights is None:
        return np.zeros(1)
    return np.exp(-np.clip(numbers(weights), -LIMIT, LIMIT))


def numbers(weights: Tensor) -> NDArray[np.float64]:
    """Weights as numbers; a single one where all rows share it."""
    shared = weights.dim() == 1 and weights.numel() > 0 and weights.stride(0) == 0
    return np.ascontiguousarray(array(weights[:1] if shared else weights), dtype=np.float64)


def row_weights_or(weights: Tensor | None, rows: int, hard: float) -> Tensor:
    """``float64[m]`` weights, ``hard`` of hard rows."""
    return torch.full((rows,), hard, dtype=torch.float64) if weights is None else weights


def alike(keys: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Rows (``int64[r]``) whose ``int64[m, c]`` columns round up to the same powers of two."""
    rounded = np.stack([_rounded(column) for column in keys.T], 1)
    _, owner = np.unique(rounded, axis=0, return_inverse=True)
    for key in range(int(owner.max(initial=-1)) + 1):
        yield np.flatnonzero(owner.reshape(-1) == key)


def padded(
    offsets: Array, signs: Array, sizes: Array, chosen: Array
) -> tuple[NDArray[np.int64], NDArray[np.bool_] | None, NDArray[np.float64]]:
    """``[r, k]`` edges of chosen rows, which of them are there, and their signs as +-1."""
    column = np.arange(sizes[chosen].max())
    present = column < sizes[chosen][:, None]
    place = np.where(present, offsets[:-1][chosen][:, None] + column, 0)
    sign = np.where(signs[place], 1.0, -1.0)
    return place, None if present.all() else present, sign


def _rounded(sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Next power of two, or the size itself where all are alike."""
    if sizes.size == 0 or (sizes == sizes[0]).all():
        return sizes
    return 1 << np.ceil(np.log2(np.maximum(sizes, 1))).astype(np.int64)
