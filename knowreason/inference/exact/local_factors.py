"""Variables and small factors of one shape, long clauses and counts cut into chains."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod

import numpy as np
from numpy.typing import NDArray

from knowreason.factors.components.scope_tables import state_digits
from knowreason.factors.components.shapes import ComponentShape, LocalRow
from knowreason.factors.potentials.literal_counts import count_limit, shorter_counts

_DIRECT = 1 << 8  # states up to which a clause or count is one table


@dataclass(frozen=True)
class LocalFactor:
    """A table over distinct variables of a shape.

    Attributes:
        scope: variables, in the order of the table's axes.
        values: ``float64[states of scope]``, C order; a potential, or 0 and 1 where hard.
        row: position in ``ComponentShape.rows`` of the soft row whose potential it is, ``-1``
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
        key = (id(row.potential), places, digits, shape)
        if key not in self.tensors:
            values = row.of_states(state_digits(shape)[list(places)] == np.array(digits)[:, None])
            self.tensors[key] = (values > 0).astype(np.float64) if row.is_hard else values
        return self.tensors[key]

    def add_row(self, number: int, row: LocalRow) -> None:
        """A table where the row has few states, else a chain of helpers that count."""
        soft = -1 if row.is_hard else number
        scope, places = self.scope(row.atoms)
        shape = self.shape(scope)
        if row.target < 0 and (row.potential.factor.table is not None or prod(shape) <= _DIRECT):
            self.factors.append(LocalFactor(scope, self.tensor(row, places, shape), soft))
            return
        k = np.array([len(row.atoms)])
        least, most = row.potential.bounds
        flip, lower, upper = shorter_counts(np.array([least]), np.array([most]), k)
        cap = max(1, min(int(k[0]), int(count_limit(lower, upper, k)[0])))
        signs = row.potential.signs ^ flip[0]
        last = self.chain(row.atoms, tuple(signs.tolist()), cap)
        number_true = np.arange(self.sizes[last])
        inside = (number_true >= lower[0]) & ((number_true <= upper[0]) | (upper[0] >= k[0]))
        if row.target < 0:
            self.factors.append(LocalFactor((last,), inside.astype(np.float64), soft))
            return
        target, true = self.of_atom[row.target], self.digit[row.target]
        agrees = inside[:, None] == (np.arange(self.sizes[target]) == true)
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


def local_model(shape: ComponentShape) -> LocalModel:
    """Variables and factors of a shape."""
    blocked = {atom for members, _ in shape.blocks for atom in members}
    of_atom, digit = [-1] * shape.atoms, [1] * shape.atoms
    sizes: list[int] = []
    for atom in range(shape.atoms):
        if atom not in blocked:
            of_atom[atom] = len(sizes)
            sizes.append(2)
    for members, at_most_one in shape.blocks:
        for state, atom in enumerate(members):
            of_atom[atom], digit[atom] = len(sizes), state
        sizes.append(len(members) + at_most_one)
    builder = _Builder(sizes, of_atom, digit)
    for number, row in enumerate(shape.rows):
        builder.add_row(number, row)
    return LocalModel(tuple(builder.sizes), tuple(of_atom), tuple(digit), tuple(builder.factors))
