"""The one value for ground factors, whatever their potential."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from knowreason.factors.arrays import Array, array, entries_of, offsets_of, owners, tensor

INTERVAL, TABLE = "interval", "table"  # names of the potentials that are always there
HARD = -1  # parameter of a row that must hold
_OF_ENTRIES = ("atoms", "signs")


@dataclass(frozen=True, eq=False)
class GroundFactors:
    """Ground factors of one potential, a row each, over Boolean atoms.

    A row scores ``f = potential(number of its true literals)``, or for a table
    ``f = table[index of the state of its atoms]``, and adds ``theta[parameter] * value * f``
    to the log-score of a world. A hard row must have ``f > 0``; where it has a target, the
    target is true exactly where ``f > 0``. Clauses, units, ``exists``, counts and demands are
    the potential ``interval``: ``lower <= number of true literals <= upper``.

    Attributes:
        potential: name of the potential (:mod:`knowreason.factors.potentials`).
        atoms: ``int32[m, k]``, or ``int32[offsets[-1]]`` where rows vary in length; distinct
            within a row.
        parameter: index into ``theta``: one for all rows, or ``int32[m]``. ``None`` for hard
            rows.
        value: ``float64[m]`` feature values; ``None`` where all are 1.
        offsets: ``int64[m + 1]`` (CSR); ``None`` where all rows have ``k`` atoms.
        signs: true for a positive literal: ``bool[k]`` shared by all rows, or
            ``bool[offsets[-1]]``; ``None`` where all are positive.
        lower, upper: bounds of the number of true literals, inclusive: one for all rows or
            ``int32[m]``; ``upper`` is ``None`` where nothing bounds it.
        table: ``float64[t, 2**k]``: values of ``t`` tables; the index of a state has bit ``j``
            set when the atom of column ``j`` is true.
        table_id: ``int32[m]`` table of each row; ``None`` where all have the first.
        target: ``int32[m]`` auxiliary atom that a hard row defines, ``-1`` for none; ``None``
            where no row has one.
        rule: opaque label of where the rows came from, ``-1`` for none.

    Example:
        >>> peers = GroundFactors.of(torch.tensor([[0, 1], [1, 2]]).int(), (False, True), 0)
        >>> peers.rows, peers.is_clause
        (2, True)
    """

    potential: str
    atoms: Tensor
    parameter: int | Tensor | None
    value: Tensor | None = None
    offsets: Tensor | None = None
    signs: Tensor | None = None
    lower: int | Tensor = 1
    upper: int | Tensor | None = None
    table: Tensor | None = None
    table_id: Tensor | None = None
    target: Tensor | None = None
    rule: int = -1

    @staticmethod
    def of(
        atoms: Tensor,
        potential: Sequence[bool] | Tensor,
        parameter: int | Tensor | None,
        value: Tensor | None = None,
        rule: int = -1,
    ) -> GroundFactors:
        """Rows of one clause (its signs) or of one table (``float64[2**k]``) over ``[m, k]``."""
        if isinstance(potential, Tensor):
            table = potential.to(torch.float64).reshape(1, -1)
            return GroundFactors(TABLE, atoms, parameter, _doubles(value), table=table, rule=rule)
        signs = torch.tensor(tuple(potential), dtype=torch.bool)
        return GroundFactors(INTERVAL, atoms, parameter, _doubles(value), signs=signs, rule=rule)

    @staticmethod
    def clauses(
        offsets: Tensor,
        atoms: Tensor,
        signs: Tensor,
        parameter: int | Tensor | None,
        value: Tensor | None = None,
        rule: int = -1,
    ) -> GroundFactors:
        """Clauses of varying length (an ``exists`` over open atoms)."""
        return GroundFactors(INTERVAL, atoms, parameter, _doubles(value), offsets, signs, rule=rule)

    @staticmethod
    def units(
        atoms: Tensor, parameter: int | Tensor, value: Tensor | None = None, rule: int = -1
    ) -> GroundFactors:
        """Features of single atoms (``int32[m]``): unit rules, biases, log-likelihood ratios.

        A negative literal ``!x`` enters as ``-v`` here and ``+v`` in the graph's constant.
        """
        return GroundFactors(INTERVAL, atoms.reshape(-1, 1), parameter, _doubles(value), rule=rule)

    @staticmethod
    def counts(
        offsets: Tensor,
        atoms: Tensor,
        signs: Tensor,
        lower: Tensor,
        upper: Tensor,
        target: Tensor | None = None,
        rule: int = -1,
    ) -> GroundFactors:
        """Hard ``target <=> lower <= (number of true literals) <= upper``; -1 demands it."""
        return GroundFactors(
            INTERVAL,
            atoms,
            None,
            offsets=offsets,
            signs=signs,
            lower=lower,
            upper=upper,
            target=target,
            rule=rule,
        )

    @property
    def is_hard(self) -> bool:
        """Whether every row must hold."""
        return self.parameter is None

    @property
    def is_clause(self) -> bool:
        """Whether every row is a disjunction of literals."""
        return (
            self.potential == INTERVAL
            and isinstance(self.lower, int)
            and self.lower == 1
            and self.upper is None
            and self.target is None
        )

    @cached_property
    def is_unit(self) -> bool:
        """Whether every row is a feature of one atom: the unary part of the graph."""
        return (
            self.is_clause and not self.is_hard and self.signs is None
            and self.offsets is None and self.atoms.shape[1] == 1
        )  # fmt: skip

    @property
    def is_alike(self) -> bool:
        """Whether rows differ in nothing but their atoms, weights and values."""
        bounds = isinstance(self.lower, int) and (self.upper is None or isinstance(self.upper, int))
        return bounds and self.offsets is None and self.table_id is None and self.target is None

    @property
    def is_count(self) -> bool:
        """Whether rows are hard counts: definitions and demands."""
        return self.is_hard and self.potential == INTERVAL and not self.is_clause

    @property
    def rows(self) -> int:
        """Number of ground factors."""
        return self.atoms.shape[0] if self.offsets is None else self.offsets.shape[0] - 1

    @cached_property
    def row_offsets(self) -> NDArray[np.int64]:
        """``int64[m + 1]``: where each row's entries start."""
        if self.offsets is None:
            m, k = self.atoms.shape
            return np.arange(m + 1, dtype=np.int64) * k
        return array(self.offsets)

    @property
    def entry_atoms(self) -> NDArray[np.int32]:
        """``int32[e]``: atoms of all rows, one after another."""
        return array(self.atoms).reshape(-1)

    @cached_property
    def entry_signs(self) -> NDArray[np.bool_]:
        """``bool[e]``: whether each literal is positive."""
        if self.signs is None:
            return np.ones(self.atoms.numel(), dtype=bool)
        signs = array(self.signs)
        return signs if self.offsets is not None else np.tile(signs, self.rows)

    @property
    def row_signs(self) -> NDArray[np.bool_]:
        """``bool[k]`` (dense rows): the signs that all rows share."""
        if self.signs is None:
            return np.ones(self.atoms.shape[1], dtype=bool)
        return array(self.signs)

    def bounds(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """``lower`` and ``upper`` of every row (``int64[m]``); no upper bound is its length."""
        lower, upper = self.lower, self.upper
        low = np.full(self.rows, lower) if isinstance(lower, int) else array(lower)
        if upper is None:
            high = np.diff(self.row_offsets)
        else:
            high = np.full(self.rows, upper) if isinstance(upper, int) else array(upper)
        return low.astype(np.int64), high.astype(np.int64)

    def targets(self) -> NDArray[np.int64]:
        """``int64[m]``: the atom each row defines, ``-1`` for none."""
        if self.target is None:
            return np.full(self.rows, -1, dtype=np.int64)
        return array(self.target).astype(np.int64)

    def table_ids(self) -> NDArray[np.int64]:
        """``int64[m]``: which table each row has."""
        if self.table_id is None:
            return np.zeros(self.rows, dtype=np.int64)
        return array(self.table_id).astype(np.int64)

    def parameters(self) -> NDArray[np.int64]:
        """``int64[m]``: parameter of every row, :data:`HARD` of hard ones."""
        if self.parameter is None or isinstance(self.parameter, int):
            which = HARD if self.parameter is None else self.parameter
            return np.full(self.rows, which, dtype=np.int64)
        return array(self.parameter).astype(np.int64)

    def values(self) -> NDArray[np.float64]:
        """``float64[m]``: feature value of every row."""
        if self.value is None:
            return np.ones(self.rows)
        return array(self.value).astype(np.float64, copy=False)

    def weights(self, theta: Tensor) -> Tensor:
        """``float64[m]``: ``theta[parameter] * value`` of soft rows, differentiable."""
        assert self.parameter is not None
        if isinstance(self.parameter, int):
            weight = theta[self.parameter].to(torch.float64).expand(self.rows)
        else:
            weight = theta.to(torch.float64)[self.parameter.long()]
        return weight if self.value is None else weight * self.value.to(torch.float64)

    def first_atoms(self) -> NDArray[np.int32]:
        """``int32[m]``: one atom of every row; the target where there is one."""
        if self.offsets is None:
            first = array(self.atoms)[:, 0]
        else:
            padded = np.concatenate([array(self.atoms), np.zeros(1, np.int32)])
            first = padded[self.row_offsets[:-1]]
        if self.target is None:
            return first
        target = array(self.target)
        return np.where(target >= 0, target, first)

    def owners(self) -> NDArray[np.int64]:
        """``int64[e]``: the row of each entry."""
        return owners(self.row_offsets)

    def holding(self, atoms: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """``bool[m]``: rows with one of the atoms (``bool[n]``) among their literals."""
        inside = atoms[self.entry_atoms]
        if self.offsets is None:
            found = inside.reshape(self.atoms.shape).any(1)
        else:
            found = np.bincount(self.owners(), inside, minlength=self.rows) > 0
        return np.asarray(found, dtype=np.bool_)

    def take(self, rows: Array) -> GroundFactors:
        """Only these rows (``int64[r]``), in this order."""
        row = torch.from_numpy(np.ascontiguousarray(rows))
        entry = row
        changed: dict[str, Any] = {}
        if self.offsets is not None:
            entries, offsets = entries_of(array(self.offsets), rows)
            entry, changed["offsets"] = torch.from_numpy(entries), torch.from_numpy(offsets)
        shared = ("table", "offsets") if self.offsets is not None else ("table", "signs")
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Tensor) and field.name not in shared:
                changed[field.name] = value[entry if field.name in _OF_ENTRIES else row]
        return replace(self, **changed)

    def renumbered(self, number: Array) -> GroundFactors:
        """The same rows over other numbers of their atoms: ``number`` is ``int32[n]``."""
        changed: dict[str, Any] = {"atoms": tensor(number[array(self.atoms)], torch.int32)}
        if self.target is not None:
            target = array(self.target)
            new = np.where(target >= 0, number[np.maximum(target, 0)], -1)
            changed["target"] = tensor(new, torch.int32)
        return replace(self, **changed)

    def copied(self, copy: Array, rows: Array, atoms: int) -> GroundFactors:
        """Chosen rows (``int64[r]``), each shifted to the atoms of its copy (``int64[r]``)."""
        chosen = self.take(rows)
        shift = copy * atoms
        if self.offsets is None:
            moved = array(chosen.atoms) + shift[:, None]
        else:
            moved = array(chosen.atoms) + shift[owners(chosen.row_offsets)]
        changed: dict[str, Any] = {"atoms": tensor(moved, torch.int32)}
        if chosen.target is not None:
            target = array(chosen.target)
            changed["target"] = tensor(np.where(target >= 0, target + shift, -1), torch.int32)
        return replace(chosen, **changed)

    @staticmethod
    def joined(parts: Sequence[GroundFactors]) -> GroundFactors:
        """Rows of parts that differ in nothing but their rows, one part after the other."""
        first = parts[0]
        changed: dict[str, Any] = {}
        shared = ("table", "offsets") if first.offsets is not None else ("table", "signs")
        for field in fields(first):
            if isinstance(getattr(first, field.name), Tensor) and field.name not in shared:
                changed[field.name] = torch.cat([getattr(part, field.name) for part in parts])
        if first.offsets is not None:
            sizes = np.concatenate([np.diff(part.row_offsets) for part in parts])
            changed["offsets"] = torch.from_numpy(offsets_of(sizes))
        return replace(first, **changed)


def _doubles(value: Tensor | None) -> Tensor | None:
    return None if value is None else value.to(torch.float64)
