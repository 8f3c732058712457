"""Gathering the folded groundings of one rule, batch by batch, into factor groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from knowreason.data.id_tables import as_matrix
from knowreason.grounding.folding.auxiliary_atoms import Codes, Lists
from knowreason.grounding.folding.column_files import GrowingColumn
from knowreason.row_keys import distinct_rows

Key = tuple[tuple[int, ...], tuple[bool, ...] | bytes]  # leaf positions; signs or truth table


@dataclass(frozen=True)
class GroundingBatch:
    """What every grounding of a batch carries.

    Attributes:
        rows: number of groundings.
        value: ``float32[m]`` feature, ``None`` where all are 1.
        parameter: ``int32[m]`` weight of each, ``None`` where the rule has one or none.
        things: for each variable of the rule ``int32[m]``, what it stands for; ``None``
            where the atoms tell.
    """

    rows: int
    value: NDArray[np.float32] | None
    parameter: NDArray[np.int32] | None
    things: tuple[NDArray[np.int32], ...] | None

    def take(self, rows: NDArray[np.integer], *, things: bool = True) -> GroundingBatch:
        """The chosen groundings, with or without what their variables stand for."""
        return GroundingBatch(
            len(rows),
            None if self.value is None else self.value[rows],
            None if self.parameter is None else self.parameter[rows],
            tuple(column[rows] for column in self.things or ()) if things else None,
        )

    def substitution(self) -> NDArray[np.int32]:
        """``int32[m, variables]``."""
        return as_matrix(self.things or (), self.rows)


@dataclass
class Bucket:
    """Growing columns of groundings that left the same thing open.

    ``atoms`` is ``int32[m, k]`` for a clause or table, ``int32[m]`` literal codes for
    units; ``lengths`` and ``literals`` are used for lists instead.
    """

    atoms: GrowingColumn
    lengths: GrowingColumn
    value: GrowingColumn
    parameter: GrowingColumn
    substitution: GrowingColumn

    @staticmethod
    def new() -> Bucket:
        """An empty one."""
        return Bucket(*(GrowingColumn() for _ in range(5)))

    def add(self, atoms: NDArray[np.int32], batch: GroundingBatch) -> None:
        """Append groundings."""
        self.atoms.append(atoms)
        if batch.value is not None:
            self.value.append(batch.value)
        if batch.parameter is not None:
            self.parameter.append(batch.parameter)
        if batch.things is not None:
            self.substitution.append(batch.substitution())

    def add_lists(self, lists: Lists, batch: GroundingBatch) -> None:
        """Append groundings that are lists of literals."""
        self.lengths.append(np.diff(lists.offsets))
        self.add(lists.literals, batch)


@dataclass
class Harvest:
    """Everything one rule left, and how many groundings were decided.

    Attributes:
        parameters: number of weights.
        unordered: whether rows come in any order, to be sorted in the end.
        units: literal codes of single atoms.
        lists: clauses of varying length.
        groups: by key, clauses and tables.
        candidate, satisfied, violated, missing: numbers of groundings.
        amount: sum of their absolute feature values.
        constant: feature total of the groundings decided true, by parameter.
        broken: substitutions of the first three groundings decided false.
        featureless: groundings dropped because their feature is missing or not finite.
        without_feature: substitutions of the first three of them.
    """

    parameters: int
    unordered: bool = False
    units: Bucket = field(init=False)
    lists: Bucket = field(init=False)
    groups: dict[Key, Bucket] = field(default_factory=dict)
    candidate: int = 0
    satisfied: int = 0
    violated: int = 0
    missing: int = 0
    amount: float = 0.0
    constant: NDArray[np.float64] = field(init=False)
    broken: list[NDArray[np.int32]] = field(default_factory=list)
    featureless: int = 0
    without_feature: list[NDArray[np.int32]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.units = Bucket.new()
        self.lists = Bucket.new()
        self.constant = np.zeros(self.parameters, np.float64)

    def add_units(self, codes: Codes, batch: GroundingBatch) -> None:
        """Single literals, one a grounding."""
        self.units.add(codes, batch)

    def add_group(self, key: Key, atoms: NDArray[np.int32], batch: GroundingBatch) -> None:
        """Clauses or tables of one shape."""
        if key not in self.groups:
            self.groups[key] = Bucket.new()
        self.groups[key].add(atoms, batch)

    def drop_featureless(self, batch: GroundingBatch, rows: NDArray[np.integer]) -> None:
        """Groundings whose feature is missing or not finite."""
        self.missing += len(rows)
        self.featureless += len(rows)
        for row in rows[: 3 - len(self.without_feature)]:
            self.without_feature.append(
                np.array([ids[row] for ids in batch.things or ()], np.int32)
            )

    def add_satisfied(
        self, batch: GroundingBatch, rows: NDArray[np.integer], base: int, count: int | None = None
    ) -> None:
        """Groundings decided true; ``count`` of them where the rows are not listed."""
        self.satisfied += len(rows) if count is None else count
        if not self.parameters:
            return
        if batch.parameter is not None:
            weights = None if batch.value is None else batch.value[rows].astype(np.float64)
            self.constant += np.bincount(
                batch.parameter[rows] - base, weights=weights, minlength=self.parameters
            )
        elif batch.value is not None:
            self.constant[0] += batch.value[rows].sum(dtype=np.float64)
        else:
            self.constant[0] += len(rows) if count is None else count

    def add_violated(self, batch: GroundingBatch, rows: NDArray[np.integer]) -> None:
        """Groundings decided false."""
        self.violated += len(rows)
        room = max(3 - len(self.broken), 0)
        self.broken.extend(batch.take(rows[:room]).substitution())


def merged(
    atoms: NDArray[np.int32],
    value: NDArray[np.float32] | None,
    parameter: NDArray[np.int32] | None,
    *,
    hard: bool,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32] | None]:
    """Merge groundings that are the same after folding.

    Args:
        atoms: ``int32[m, k]``.
        value: features, summed.
        parameter: weights; groundings with different ones stay apart.
        hard: count once instead of summing.

    Returns:
        First row of each distinct grounding in order of its atoms, the distinct one of
        each row, and their values (``None`` where all are 1).
    """
    columns: Sequence[NDArray[np.int32]] = [*atoms.T, *([] if parameter is None else [parameter])]
    first, owner = distinct_rows(columns)
    if len(first) == len(atoms):
        return first, owner, None if value is None else value[first]
    if hard:
        return first, owner, None
    weights = None if value is None else value.astype(np.float64)
    total = np.bincount(owner, weights=weights, minlength=len(first))
    return first, owner, total.astype(np.float32)
