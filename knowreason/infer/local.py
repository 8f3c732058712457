"""Variables and small factors of one shape, long clauses and counts cut into chains."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod

import numpy as np
from numpy.typing import NDArray

from knowreason.factors.graph import Clause, Table
from knowreason.factors.stacks import LocalCount, LocalRow, Wiring
from knowreason.factors.tables import row_tensor, state_digits

_DIRECT = 1 << 8  # states up to which a clause or count is one table


@dataclass(frozen=True)
class LocalFactor:
    """A table over distinct variables of a shape.

    Attributes:
        scope: variables, in the order of the table's axes.
        values: ``float64[states of scope]``, C order; a potential, or 0 and 1 where hard.
        row: position in ``Wiring.rows`` of the soft row whose potential it is, ``-1``
            for a hard factor.
    """

    scope: tuple[int, ...]
    values: NDArray[np.float64]
    row: int


@dataclass(frozen=True)
class LocalModel:
    """Variables and factors of a shape.

    Attributes:
        sizes: states of each variable: free and defined atoms, blocks, then helpers of
            chains.
        of_atom, digit: variable of each atom and the state in which it is true.
        factors: over variables.
    """

    sizes: tuple[int, ...]
    of_atom: tuple[int, ...]
    digit: tuple[int, ...]
    factors: tuple[LocalFactor, ...]

    @property
    def atoms(self) -> list[list[tuple[int, int]]]:
        """For each variable its (atom, state in which the atom is true)."""
        found: list[list[tuple[int, int]]] = [[] for _ in self.sizes]
        for atom, (v, digit) in enumerate(zip(self.of_atom, self.digit, strict=True)):
            found[v].append((atom, digit))
        return found


@dataclass
class _Builder:
    sizes: list[int]
    of_atom: list[int]
    digit: list[int]
    factors: list[LocalFactor] = field(default_factory=list)
    tensors: dict[object, NDArray[np.float64]] = field(default_factory=dict)

    def scope(self, atoms: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Distinct variables of atoms and the place of each atom's variable among them."""
        owners = [self.of_atom[atom] for atom in atoms]
        variables = sorted(set(owners))
        return tuple(variables), tuple(variables.index(v) for v in owners)

    def shape(self, scope: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(self.sizes[v] for v in scope)

    def tensor(
        self, row: LocalRow, places: tuple[int, ...], shape: tuple[int, ...]
    ) -> NDArray[np.float64]:
        """The row's values over its scope, made once for rows alike."""
        digits = tuple(self.digit[atom] for atom in row.atoms)
        potential = row.potential if isinstance(row.potential, Clause) else id(row.potential)
        key = (potential, row.is_hard, places, digits, shape)
        if key not in self.tensors:
            values = row_tensor(row.potential, np.array(places), np.array(digits), shape)
            self.tensors[key] = (values > 0).astype(np.float64) if row.is_hard else values
        return self.tensors[key]

    def add_row(self, number: int, row: LocalRow) -> None:
        soft = -1 if row.is_hard else number
        scope, places = self.scope(row.atoms)
        shape = self.shape(scope)
        if isinstance(row.potential, Table) or prod(shape) <= _DIRECT:
            self.factors.append(LocalFactor(scope, self.tensor(row, places, shape), soft))
        else:
            last = self.chain(row.atoms, row.potential.signs, cap=1)
            self.factors.append(LocalFactor((last,), np.array([0.0, 1.0]), soft))

    def add_count(self, count: LocalCount) -> None:
        signs, lower, upper = count.signs, count.lower, count.upper
        k = len(signs)
        if k - lower < upper:
            signs = tuple(not sign for sign in signs)
            lower, upper = k - upper, k - lower
        last = self.chain(count.atoms, signs, cap=max(1, min(k, upper + 1)))
        number = np.arange(self.sizes[last])
        inside = ((number >= lower) & (number <= upper)).astype(np.float64)
        if count.target < 0:
            self.factors.append(LocalFactor((last,), inside, -1))
            return
        target, true = self.of_atom[count.target], self.digit[count.target]
        is_true = np.arange(self.sizes[target]) == true
        agrees = (inside[:, None] > 0) == is_true
        self.factors.append(LocalFactor((last, target), agrees.ravel().astype(np.float64), -1))

    def chain(self, atoms: tuple[int, ...], signs: tuple[bool, ...], cap: int) -> int:
        """Adds helpers that count true literals up to ``cap``; returns the last one."""
        previous = -1
        for atom, sign in zip(atoms, signs, strict=True):
            v, digit = self.of_atom[atom], self.digit[atom]
            helper = len(self.sizes)
            scope = (v, helper) if previous < 0 else (v, previous, helper)
            self.sizes.append(cap + 1)
            states = state_digits(self.shape(scope))
            literal = (states[0] == digit) == sign
            before = states[1] if previous >= 0 else 0
            agrees = states[-1] == np.minimum(before + literal, cap)
            self.factors.append(LocalFactor(scope, agrees.astype(np.float64), -1))
            previous = helper
        return previous


def local_model(wiring: Wiring) -> LocalModel:
    """Variables and factors of a shape."""
    blocked = {atom for members, _ in wiring.blocks for atom in members}
    of_atom, digit = [-1] * wiring.atoms, [1] * wiring.atoms
    sizes: list[int] = []
    for atom in range(wiring.atoms):
        if atom not in blocked:
            of_atom[atom] = len(sizes)
            sizes.append(2)
    for members, at_most_one in wiring.blocks:
        for state, atom in enumerate(members):
            of_atom[atom], digit[atom] = len(sizes), state
        sizes.append(len(members) + at_most_one)
    builder = _Builder(sizes, of_atom, digit)
    for number, row in enumerate(wiring.rows):
        builder.add_row(number, row)
    for count in wiring.counts:
        builder.add_count(count)
    return LocalModel(tuple(builder.sizes), tuple(of_atom), tuple(digit), tuple(builder.factors))
