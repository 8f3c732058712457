"""Directed rules: the chance of a head given its bodies, normalised head by head.

The log-odds of a head are its base rate's plus the weights of the bodies that hold (a logistic
conditional; relational logistic regression, Kazemi et al. 2014); a functional head is a softmax
over its states. What the bodies add to a head is linear in the weights, and stands in the graph as
a feature table a grounding. What keeps an unobserved head from saying anything about its bodies is
the normaliser, ``-log sum exp(z)`` less the same with no body: a function of the bodies that is not
linear in the weights, so the graph holds its value at the weights in use. How it changes with them
is worked out in :mod:`knowreason.grounding.normaliser_cells`.

With several rules on a head the normaliser is a telescoping sum, rule by rule, so that its parts
bear the label of the rule that changes it.

A noisy or (``~> any``) comes last: each body is a cause of its own that fails independently, one
alone changes the log-odds by its weight: over the bodies that hold,
``1 - p = (1 - p0) prod_i (1 + e^z) / (1 + e^(z + w v_i))``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from knowreason.errors import GroundingError
from knowreason.factors import GroundFactors
from knowreason.factors.arrays import offsets_of, owners
from knowreason.factors.ground_factors import TABLE
from knowreason.grounding.base_rates import BaseRates
from knowreason.row_keys import distinct_rows

Vector = NDArray[np.float64]
Index = NDArray[np.int64]
MOST_BODIES = 10  # unknown ones of one head
ALWAYS = -1  # slot of a body that is known to hold


@dataclass(frozen=True)
class Bodies:
    """What directed rules add to the log-odds of head atoms, an entry a body.

    Attributes:
        rule: ``int64[e]`` rule of each.
        head: ``int64[e]`` head atom.
        atom: ``int64[e]`` atom of the body's literal, -1 where the body holds for sure.
        positive: ``bool[e]`` sign of the literal.
        parameter: ``int64[e]`` weight.
        value: ``float64[e]`` feature.
    """

    rule: Index
    head: Index
    atom: Index
    positive: NDArray[np.bool_]
    parameter: Index
    value: Vector

    def take(self, rows: NDArray[np.integer]) -> Bodies:
        """The chosen entries."""
        columns = (self.rule, self.head, self.atom, self.positive, self.parameter, self.value)
        return Bodies(*(column[rows] for column in columns))

    @staticmethod
    def of(parts: Sequence[tuple[int, GroundFactors]]) -> Bodies:
        """From the feature rows of each rule: tables over (body, head), or units of heads."""
        columns: list[tuple[NDArray[np.generic], ...]] = []
        for rule, part in parts:
            atoms = part.atoms.numpy().astype(np.int64)
            known = atoms.shape[1] == 1
            positive = known or bool(part.table is not None and part.table[0, 3] > 0)
            columns.append(
                (
                    np.full(part.rows, rule),
                    atoms[:, -1],
                    np.full(part.rows, -1) if known else atoms[:, 0],
                    np.full(part.rows, positive),
                    part.parameters(),
                    part.values(),
                )
            )
        return Bodies(*(np.concatenate(column) for column in zip(*columns, strict=True)))


@dataclass(frozen=True)
class Conditionals:
    """Heads with one number of unknown bodies, and where their normalisers stand in a graph.

    A head has cells: its atom, or the atoms of its block.

    Attributes:
        bodies: entries of these heads.
        entry_cell, entry_slot: ``int64[e]`` cell of each entry, and which of the head's
            unknown bodies it is.
        cell_atom, cell_head: ``int64[c]``.
        scopes: ``int32[m, k]`` unknown bodies of each head; of a Boolean head its own atom is
            the last column, so that all its tables share a scope.
        spare: ``bool[m]`` whether none of the cells may be true.
        own: ``bool[m]``, all alike: whether the head's atom is in the scope.
        order: rules, those of noisy ors last.
        noisy: number of noisy ors among them.
        places: ``int64[r]`` where the tables of each rule stand in ``FactorGraph.factors``.
        fixed: ``int64[r]`` their parameters, always 1.
    """

    bodies: Bodies
    entry_cell: Index
    entry_slot: Index
    cell_atom: Index
    cell_head: Index
    scopes: NDArray[np.int32]
    spare: NDArray[np.bool_]
    own: bool
    order: tuple[int, ...]
    noisy: int
    places: Index
    fixed: Index

    def tables(self, theta: Vector, rates: BaseRates) -> Iterator[tuple[int, GroundFactors]]:
        """Places in the graph, and the tables there at the weights ``theta``."""
        changes = self._changes(theta, rates)
        for rule, change, place, which in zip(
            self.order, changes, self.places.tolist(), self.fixed.tolist(), strict=True
        ):
            yield place, self._tables(change, which, rule)

    def _tables(self, values: Vector, parameter: int, rule: int) -> GroundFactors:
        """One table a head, equal ones once."""
        bits = np.ascontiguousarray(values + 0.0).view(np.int64)
        first, owner = distinct_rows(np.ascontiguousarray(bits.T))
        return GroundFactors(
            TABLE,
            torch.from_numpy(self.scopes),
            parameter,
            table=torch.from_numpy(np.ascontiguousarray(values[first])),
            table_id=torch.from_numpy(owner.astype(np.int32)),
            rule=rule,
        )

    def _changes(self, theta: Vector, rates: BaseRates) -> Iterator[Vector]:
        """Rule by rule: how it changes ``log p(head | bodies)`` beyond its features.

        Values are ``float64[m, 2**k]``.
        """
        holds, score = self.truths(), self.base_scores(theta, rates)
        norm, _ = self.normalised(score)
        for rule in self.order[: len(self.order) - self.noisy]:
            self.add_scores(score, theta, holds, self.bodies.rule == rule)
            before = norm
            norm, _ = self.normalised(score)
            change = before - norm
            yield np.concatenate([change, change], axis=1) if self.own else change
        fails = -np.logaddexp(0, score)  # log p(head is false); cells are heads here
        for rule in self.order[len(self.order) - self.noisy :]:
            mine = np.flatnonzero(self.bodies.rule == rule)
            before, fails = fails, fails.copy()
            cell, active, alone = self.causes(theta, score, holds, mine)
            failing = np.logaddexp(0, score[cell]) - np.logaddexp(0, alone)
            np.add.at(fails, cell, active * failing)
            yield np.concatenate(
                [fails - before, log_complement(fails) - log_complement(before)], axis=1
            )

    def truths(self) -> Vector:
        """``float64[e, 2**k]``: feature value of each body where it holds, else 0."""
        states = np.arange(1 << (self.scopes.shape[1] - self.own))
        truth = (states >> np.maximum(self.entry_slot, 0)[:, None] & 1) == self.bodies.positive[
            :, None
        ]
        truth |= (self.entry_slot == ALWAYS)[:, None]
        return np.asarray(truth * self.bodies.value[:, None], np.float64)

    def base_scores(self, theta: Vector, rates: BaseRates) -> Vector:
        """``float64[c, 2**k]``: log-odds of each cell without bodies."""
        width = self.scopes.shape[1] - self.own
        return np.repeat(rates.log_odds(theta)[self.cell_atom][:, None], 1 << width, 1)

    def add_scores(
        self, score: Vector, theta: Vector, holds: Vector, entries: NDArray[np.bool_]
    ) -> None:
        """Adds what bodies (``bool[e]``) add to the log-odds of their cells."""
        mine = np.flatnonzero(entries)
        weight = theta[self.bodies.parameter[mine]]
        np.add.at(score, self.entry_cell[mine], weight[:, None] * holds[mine])

    def causes(
        self, theta: Vector, score: Vector, holds: Vector, mine: Index
    ) -> tuple[Index, Vector, Vector]:
        """Of bodies of noisy ors: their cells, where they hold, log-odds with one alone."""
        cell, added = self.entry_cell[mine], theta[self.bodies.parameter[mine]]
        alone = score[cell] + (added * self.bodies.value[mine])[:, None]
        return cell, (holds[mine] != 0).astype(np.float64), alone

    def normalised(self, score: Vector) -> tuple[Vector, Vector]:
        """``log sum exp`` over the cells of each head, and each cell's share in it."""
        starts = np.flatnonzero(np.diff(self.cell_head, prepend=-1))
        top = np.maximum.reduceat(score, starts)
        top = np.where(self.spare[:, None], np.maximum(top, 0), top)
        mass = np.exp(score - top[self.cell_head])
        whole = np.add.reduceat(mass, starts) + self.spare[:, None] * np.exp(-top)
        return top + np.log(whole), mass / whole[self.cell_head]


def log_complement(fails: Vector) -> Vector:
    """Logarithm of one less the probability whose logarithm is given."""
    return np.asarray(np.log(-np.expm1(fails)), np.float64)


def conditionals_of(
    bodies: Bodies,
    rates: BaseRates,
    noisy: Sequence[int],
    name: Mapping[int, str],
    atoms: int,
) -> Iterator[Conditionals]:
    """Heads by number of unknown bodies, without their places in a graph.

    Args:
        bodies: of all directed rules.
        rates: of base rates, and blocks.
        noisy: rules that are noisy ors.
        name: names of rules, for messages.
        atoms: number of atoms, auxiliary ones included.

    Raises:
        GroundingError: KR667 where a head has too many unknown bodies.
    """
    block = np.full(atoms, -1, np.int64)
    block[rates.atoms] = owners(rates.offsets)
    variable = np.where(block[bodies.head] >= 0, atoms + block[bodies.head], bodies.head)
    heads, of_entry = np.unique(variable, return_inverse=True)
    some = np.flatnonzero(bodies.atom >= 0)
    pair_first, pair = distinct_rows([of_entry[some], bodies.atom[some]])
    owner = of_entry[some][pair_first]
    number = np.bincount(owner, minlength=len(heads))
    if number.max(initial=0) > MOST_BODIES:
        rule = int(bodies.rule[some][of_entry[some] == number.argmax()][0])
        raise GroundingError(
            f"directed rules such as `{name[rule]}` give one head {number.max()} unknown bodies, "
            f"over {MOST_BODIES}",
            code="KR667",
            help="narrow the body, collect bodies in a latent predicate, turn the rule around, or "
            "write an association of the two unknowns: `C & (A <~> B)`",
        )
    order = np.argsort(owner, kind="stable")
    slot_of_pair = np.empty(len(order), np.int64)
    slot_of_pair[order] = np.arange(len(order)) - offsets_of(number)[owner[order]]
    slot = np.full(len(bodies.head), ALWAYS)
    slot[some] = slot_of_pair[pair]
    is_block = heads >= atoms
    needed = number > 0  # known bodies are features, but for those of a noisy or
    needed[of_entry[np.isin(bodies.rule, noisy)]] = True
    for functional in (False, True):
        asked = (is_block == functional) & needed
        for k in np.unique(number[asked]).tolist():
            chosen = np.flatnonzero(asked & (number == k))
            row = np.full(len(heads), -1)
            row[chosen] = np.arange(len(chosen))
            entry = np.flatnonzero(row[of_entry] >= 0)
            mine = bodies.take(entry)
            inside = np.flatnonzero(row[owner] >= 0)
            scopes = np.zeros((len(chosen), k + (not functional)), np.int32)
            scopes[row[owner[inside]], slot_of_pair[inside]] = bodies.atom[some][pair_first][inside]
            if functional:
                blocks = heads[chosen] - atoms
                sizes = np.diff(rates.offsets)[blocks]
                cell_head = np.repeat(np.arange(len(chosen)), sizes)
                start = np.repeat(rates.offsets[blocks] - offsets_of(sizes)[:-1], sizes)
                cell_atom = rates.atoms[start + np.arange(len(start))].astype(np.int64)
                spare = rates.at_most_one[blocks]
            else:
                cell_head, cell_atom = np.arange(len(chosen)), heads[chosen]
                spare = np.ones(len(chosen), bool)
                scopes[:, -1] = cell_atom
            cell_of = np.full(atoms, -1, np.int64)
            cell_of[cell_atom] = np.arange(len(cell_atom))
            rules = np.unique(mine.rule).tolist()
            last = [rule for rule in rules if rule in noisy]
            plain = [rule for rule in rules if rule not in noisy]
            yield Conditionals(
                mine,
                cell_of[mine.head],
                slot[entry],
                cell_atom,
                cell_head,
                scopes,
                spare,
                not functional,
                (*plain, *last),
                len(last),
                *(np.zeros(0, np.int64) for _ in range(2)),
            )
