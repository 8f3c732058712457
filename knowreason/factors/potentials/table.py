"""Any function of a few atoms, given by its value in every state."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from knowreason.factors.arrays import Array, array, tensor
from knowreason.factors.factor_graph import OPEN
from knowreason.factors.ground_factors import GroundFactors
from knowreason.factors.potentials.potential import Forced, Potential
from knowreason.factors.reduction import Reduction, columns, rows_by_state

if TYPE_CHECKING:
    from knowreason.factors.potentials.factor_nodes import FactorNodes


class Table(Potential):
    """The value at the index whose bit ``j`` is the truth of the atom of column ``j``."""

    def of_score(
        self, factors: GroundFactors, score: NDArray[np.int64], rows: Array | slice
    ) -> NDArray[np.float64]:
        """Values of the rows' tables at the indices."""
        tables = _values(factors)
        if factors.table_id is None:
            return np.asarray(tables[0][score])
        return np.asarray(tables[array(factors.table_id)[rows].astype(np.int64), score])

    def entry_weights(self, factors: GroundFactors) -> NDArray[np.int64]:
        """Bits of the columns."""
        return np.tile(1 << np.arange(factors.atoms.shape[1]), factors.rows)

    def tabulated(self, factors: GroundFactors) -> Iterator[GroundFactors]:
        """The factors themselves."""
        yield factors

    def listed(self, factors: GroundFactors, rows: Array, k: int) -> NDArray[np.float64]:
        """The rows' tables."""
        return np.asarray(_values(factors)[factors.table_ids()[rows]])

    def reduce(self, factors: GroundFactors, reduction: Reduction) -> None:
        """Restricts tables to the states that agree with the evidence."""
        states = reduction.evidence[array(factors.atoms)]
        lone = states.shape[1] == 1 and not factors.is_hard
        if not (states != OPEN).any() and not lone:
            if factors.rows:
                reduction.factors.append(factors)
            return
        for rows, state in rows_by_state(states):
            _restrict(factors, rows, state, reduction)

    def forced(
        self, factors: GroundFactors, evidence: NDArray[np.int8], changed: NDArray[np.bool_]
    ) -> Iterator[Forced]:
        """Atoms that have one truth in all states a row still allows."""
        if not factors.is_hard:
            return
        part = factors.take(np.flatnonzero(factors.holding(changed)))
        atoms, allowed, which = array(part.atoms), _values(part) > 0, part.table_ids()
        index = np.arange(allowed.shape[1])
        for rows, state in rows_by_state(evidence[atoms]):
            possible = allowed[which[rows]] & _agrees(index, state)
            for j in np.flatnonzero(state == OPEN):
                true = (possible & (index >> j & 1 == 1)).any(1)
                false = (possible & (index >> j & 1 == 0)).any(1)
                known = true != false
                yield atoms[rows[known], j], true[known].astype(np.int8)

    def nodes(self, factors: GroundFactors) -> Iterator[FactorNodes]:
        """The tables."""
        from knowreason.factors.potentials.table_nodes import TableNodes

        yield TableNodes.of(factors)


def _values(factors: GroundFactors) -> NDArray[np.float64]:
    assert factors.table is not None
    return array(factors.table).astype(np.float64, copy=False)


def _agrees(index: Array, state: Array) -> NDArray[np.bool_]:
    """``bool[2**k]``: states that agree with ``int8[k]`` evidence."""
    bits = (index[:, None] >> np.arange(len(state))) & 1
    return np.asarray(((state == OPEN) | (bits == state)).all(1))


def _depends(tables: NDArray[np.float64], place: int) -> bool:
    """Whether some table depends on the atom of a column."""
    split = tables.reshape(len(tables), -1, 2, 1 << place)
    return not np.array_equal(split[:, :, 0], split[:, :, 1])


def _restrict(factors: GroundFactors, rows: Array, state: Array, reduction: Reduction) -> None:
    """Drops open positions on which no table of the rows depends any longer.

    One on which none ever did stays: it makes a scope that holds those of other factors.
    """
    which, tables = np.unique(factors.table_ids()[rows], return_inverse=True)
    whole = _values(factors)[which]
    values = whole[:, _agrees(np.arange(1 << len(state)), state)]
    places = np.flatnonzero(state == OPEN).tolist()
    cube: Array = values.reshape(
        len(values), *(2,) * len(places)
    )  # the last axis is the first place
    j = 0
    while j < len(places):
        axis = len(places) - j
        idle = np.array_equal(cube.take(0, axis), cube.take(1, axis))
        if idle and _depends(whole, places[j]):
            cube = np.take(cube, 0, axis)
            del places[j]
        else:
            j += 1
    values = cube.reshape(len(values), -1)
    if factors.is_hard:
        positive = (values > 0).sum(1)[tables]
        possible, certain = positive > 0, positive == values.shape[1]
        reduction.add_violated(factors, ~possible)
        stay = possible & ~certain
        rows, tables = rows[stay], tables[stay]
    elif len(places) <= 1:
        atoms = array(factors.atoms)[rows, places[0] if places else 0]
        reduction.add_unit(factors, rows, atoms, values[tables, 0], values[tables, -1])
        return
    if len(rows):
        part = columns(factors, rows, np.array(places, dtype=np.int64))
        table_id = None if len(values) == 1 else tensor(tables, torch.int32)
        table = torch.from_numpy(np.ascontiguousarray(values))
        reduction.factors.append(replace(part, table=table, table_id=table_id))
