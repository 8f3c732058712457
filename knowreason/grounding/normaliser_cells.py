"""Normalisers of directed rules as parameters of their own, and how these follow the weights.

The normaliser of a head is a function of which of its bodies hold. Each value of it that bodies can
tell apart is a cell: an indicator of bodies with a parameter. Bodies with one weight and one
feature value count alike, so a head with ``k`` such bodies has ``k`` cells, not ``2**k``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csr_matrix
from scipy.special import expit

from knowreason.factors import GroundFactors
from knowreason.factors.arrays import entries_of, offsets_of, owners
from knowreason.factors.ground_factors import TABLE
from knowreason.grounding.base_rates import BaseRates
from knowreason.grounding.conditionals import Conditionals, log_complement
from knowreason.row_keys import distinct_rows, scattered

Vector = NDArray[np.float64]
Index = NDArray[np.int64]
Slopes = tuple[Index, Index, Vector]  # head and parameter of each, and values by state
NO_VALUE = np.uint64(1)  # what "none of the cells" adds to a key


@dataclass(frozen=True)
class NormaliserCells:
    """What bodies add to ``log p(head | bodies)`` beyond features, less the same with all false.

    Attributes:
        heads: one of each kind.
        head, state: ``int64[c]`` where the value of each cell is read off.
    """

    heads: Conditionals
    head: Index
    state: Index

    def __len__(self) -> int:
        return len(self.head)

    def __call__(self, theta: Vector, rates: BaseRates) -> tuple[Vector, csr_matrix]:
        """Values ``float64[c]`` at ``theta`` (``float64[p]``) and slopes ``float64[c, p]``."""
        values, found = _normalisers(self.heads, theta, rates)
        states = values.shape[1]
        entry, parameter, slope = (np.concatenate(part) for part in zip(*found, strict=True))
        rows = entry[:, None] * states + np.arange(states)
        columns = np.broadcast_to(parameter[:, None], rows.shape)
        whole = coo_matrix(
            (slope.ravel(), (rows.ravel(), columns.ravel())), (values.size, len(theta))
        ).tocsr()
        here, none = self.head * states + self.state, self.head * states
        flat = values.ravel()
        return flat[here] - flat[none], (whole[here] - whole[none]).tocsr()


def normaliser_cells(
    heads: Conditionals, rates: BaseRates, first: int
) -> tuple[GroundFactors, NormaliserCells]:
    """Indicators of bodies with parameters from ``first`` on, and these.

    Args:
        heads: any.
        rates: which parameters are their base rates.
        first: number of the first cell.
    """
    if heads.own and not heads.noisy:  # the same for both truths of the head
        heads = replace(heads, own=False, scopes=np.ascontiguousarray(heads.scopes[:, :-1]))
    keys = _keys(heads, rates)
    kind, kind_of = distinct_rows(np.ascontiguousarray(keys.view(np.int64).T))
    keys = keys[kind]
    moved = keys != keys[:, :1]
    pair = scattered(keys) + keys[:, :1]  # relative to no body: both count
    told, where, cell = np.unique(pair[moved], return_index=True, return_inverse=True)
    cell_of = np.full(keys.shape, -1, np.int64)
    cell_of[moved] = cell.ravel()
    head, state = np.nonzero(moved)
    cells = NormaliserCells(_of_heads(heads, kind), head[where], state[where])
    width = max(len(told), 1)
    of_kind = np.unique(head * width + cell_of[moved])
    table = cell_of[of_kind // width] == (of_kind % width)[:, None]
    number = np.bincount(of_kind // width, minlength=len(kind))
    which, bounds = entries_of(offsets_of(number), kind_of)
    row = owners(bounds)
    parameter = torch.from_numpy((first + of_kind[which] % width).astype(np.int32))
    atoms = torch.from_numpy(heads.scopes[row])
    rule = heads.order[0]
    if heads.scopes.shape[1] == 1:
        return GroundFactors.units(atoms, parameter, rule=rule), cells
    return (
        GroundFactors(
            TABLE,
            atoms,
            parameter,
            table=torch.from_numpy(table.astype(np.float64)),
            table_id=torch.from_numpy(which.astype(np.int32)),
            rule=rule,
        ),
        cells,
    )


def _keys(heads: Conditionals, rates: BaseRates) -> NDArray[np.uint64]:
    """``uint64[m, s]``: heads and states with one key have one normaliser at all weights."""
    bodies = heads.bodies
    bits = np.ascontiguousarray(bodies.value + 0.0).view(np.int64)
    entry = scattered(distinct_rows([bodies.rule, bodies.parameter, bits])[1])
    base = [which[heads.cell_atom] for which in rates.parameters]
    holds = heads.truths() != 0
    score = np.repeat(scattered(distinct_rows(base)[1] + len(entry))[:, None], holds.shape[1], 1)
    np.add.at(score, heads.entry_cell, holds * entry[:, None])
    whole = np.zeros((len(heads.scopes), holds.shape[1]), np.uint64)
    np.add.at(whole, heads.cell_head, scattered(score))
    whole += heads.spare[:, None] * NO_VALUE
    if not heads.own:
        return whole
    caused = np.zeros(whole.shape, np.bool_)
    noisy = np.flatnonzero(np.isin(bodies.rule, heads.order[len(heads.order) - heads.noisy :]))
    np.logical_or.at(caused, heads.entry_cell[noisy], holds[noisy])
    return np.concatenate([whole, np.where(caused, scattered(whole), whole)], axis=1)


def _of_heads(heads: Conditionals, chosen: Index) -> Conditionals:
    """Only the chosen heads (``int64[u]``, ascending or not)."""
    number = np.full(len(heads.scopes), -1, np.int64)
    number[chosen] = np.arange(len(chosen))
    inside = number[heads.cell_head] >= 0
    order = np.flatnonzero(inside)
    order = order[np.argsort(number[heads.cell_head[order]], kind="stable")]
    cell = np.full(len(heads.cell_atom), -1, np.int64)
    cell[order] = np.arange(len(order))
    entry = np.flatnonzero(cell[heads.entry_cell] >= 0)
    return replace(
        heads,
        bodies=heads.bodies.take(entry),
        entry_cell=cell[heads.entry_cell[entry]],
        entry_slot=heads.entry_slot[entry],
        cell_atom=heads.cell_atom[order],
        cell_head=number[heads.cell_head[order]],
        scopes=heads.scopes[chosen],
        spare=heads.spare[chosen],
    )


def _normalisers(
    heads: Conditionals, theta: Vector, rates: BaseRates
) -> tuple[Vector, list[Slopes]]:
    """``log p(head | bodies)`` less features, ``float64[m, s]``, and its slopes."""
    plain = heads.order[: len(heads.order) - heads.noisy]
    holds, score = heads.truths(), heads.base_scores(theta, rates)
    among = np.isin(heads.bodies.rule, plain)
    heads.add_scores(score, theta, holds, among)
    terms = list(_terms(heads, rates, holds, np.flatnonzero(among)))
    if not heads.own:
        norm, share = heads.normalised(score)
        return -norm, [(heads.cell_head[c], which, -share[c] * moved) for c, which, moved in terms]
    mine = np.flatnonzero(~among)  # noisy ors: cells are heads
    cell, active, alone = heads.causes(theta, score, holds, mine)
    fails, through = -np.logaddexp(0, score), -expit(score)
    np.add.at(fails, cell, active * (np.logaddexp(0, score[cell]) - np.logaddexp(0, alone)))
    np.add.at(through, cell, active * (expit(score[cell]) - expit(alone)))
    odds = np.exp(fails - log_complement(fails))  # of the head being false
    slopes = [
        (c, which, np.concatenate([through[c] * m, -(odds * through + 1)[c] * m], axis=1))
        for c, which, m in terms
    ]
    own = -active * expit(alone) * heads.bodies.value[mine][:, None]
    slopes.append(
        (cell, heads.bodies.parameter[mine], np.concatenate([own, -odds[cell] * own], axis=1))
    )
    return np.concatenate([fails, log_complement(fails) - score], axis=1), slopes


def _terms(
    heads: Conditionals, rates: BaseRates, holds: Vector, entries: Index
) -> Iterator[Slopes]:
    """Which cells' log-odds each parameter changes, and by how much in which state."""
    for which in rates.parameters:
        base = which[heads.cell_atom]
        cell = np.flatnonzero(base >= 0)
        yield cell, base[cell], np.ones((len(cell), holds.shape[1]))
    yield heads.entry_cell[entries], heads.bodies.parameter[entries], holds[entries]
