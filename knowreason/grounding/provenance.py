"""Where ground factors came from: the rule, and what its variables stood for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from knowreason.data import Dataset
from knowreason.factors import AtomTable, FactorGraph
from knowreason.logic import Program

PartKind = Literal["group", "list", "unit"]
FactorKind = Literal["group", "list", "unit", "count"]


@dataclass(frozen=True)
class Part:
    """Groundings of one rule that went into ground factors of one kind.

    Attributes:
        kind: rows of equal length, lists, or units summed by atom.
        index: their place in ``FactorGraph.factors``.
        atoms: ``int32[m, k]``; for lists one dimension; for units ``int32[m]`` literal
            codes, ``atom + 1`` or its negative.
        offsets: ``int64[m + 1]`` of lists.
        row: ``int64[m]`` factor each grounding was merged into; ``None`` where each has
            its own. Units are summed by atom and have none.
        value: ``float32[m]`` before merging.
        parameter: ``int32[m]`` or one for all; ``None`` for hard rules.
        substitution: ``int32[m, variables]``, memory-mapped where it is large;
            ``None`` where ``origins`` says which atom tells each variable, or where the
            rule has no variables.
        origins: for each variable the column of ``atoms`` and the argument place.
    """

    kind: PartKind
    index: int
    atoms: NDArray[np.int32]
    substitution: NDArray[np.int32] | None
    parameter: int | NDArray[np.int32] | None
    value: NDArray[np.float32] | None = None
    offsets: NDArray[np.int64] | None = None
    row: NDArray[np.int64] | None = None
    origins: tuple[tuple[int, int], ...] | None = None

    @property
    def rows(self) -> int:
        """Number of groundings."""
        return len(self.atoms if self.offsets is None else self.offsets[1:])

    def holding(self, atom: int) -> NDArray[np.int64]:
        """Groundings the atom stands in."""
        if self.kind == "unit":
            return np.flatnonzero((self.atoms == atom + 1) | (self.atoms == -atom - 1))
        if self.offsets is None:
            return np.flatnonzero((self.atoms == atom).any(axis=1))
        places = np.flatnonzero(self.atoms == atom)
        return np.unique(np.searchsorted(self.offsets, places, side="right") - 1)

    def atoms_of(self, grounding: int) -> tuple[int, ...]:
        """Open atoms of one grounding."""
        if self.kind == "unit":
            return (abs(int(self.atoms[grounding])) - 1,)
        if self.offsets is None:
            return tuple(int(a) for a in self.atoms[grounding])
        return tuple(
            int(a) for a in self.atoms[self.offsets[grounding] : self.offsets[grounding + 1]]
        )


@dataclass(frozen=True)
class RuleProvenance:
    """All parts of one rule."""

    rule: int
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class GroundRule:
    r"""One grounding of a rule, with names.

    Attributes:
        rule: name of the rule.
        rule_index: its place in the program.
        substitution: what each variable stands for.
        atoms: its open atoms, auxiliary ones included.
        kind: as in :class:`Part`; ``count`` is a hard count by itself, whose substitution is
            not kept.
        place, row: the factor: place in ``FactorGraph.factors``, row (``-1`` for units).
        parameter: index of its weight, ``None`` where it is hard.
        value: its feature value.
        positive: of a unit, whether it is the atom or its negation.

    Example:
        >>> import knowreason as kr
        >>> program = kr.loads('domain P = {"anna"}\nquery Smokes(P)\nrule rare [-1] : Smokes(x)')
        >>> (one,) = kr.ground(program, kr.Dataset.from_frames(program)).groundings_of(0)
        >>> one.rule, one.substitution
        ('rare', {'x': 'anna'})
    """

    rule: str
    rule_index: int
    substitution: dict[str, str]
    atoms: tuple[int, ...]
    kind: FactorKind
    place: int
    row: int
    parameter: int | None
    value: float
    positive: bool = True


class Grounded(Protocol):
    """What naming ground factors needs of a grounding."""

    @property
    def program(self) -> Program:
        """The program whose rules were grounded."""

    @property
    def data(self) -> Dataset:
        """The data set with the names of things."""

    @property
    def atoms(self) -> AtomTable:
        """Atoms with the things that stand in each."""

    @property
    def graph(self) -> FactorGraph:
        """The factor graph."""

    @property
    def provenance(self) -> tuple[RuleProvenance, ...]:
        """Where the factors came from, rule by rule."""


def groundings_of(grounding: Grounded, atom: int, limit: int) -> list[GroundRule]:
    """Ground factors that an atom stands in, at most ``limit``, rule by rule.

    An atom also stands in a factor through the auxiliary atoms its counts define.
    """
    reached, demands = _reached(grounding, atom)
    named: list[GroundRule] = []
    for provenance in grounding.provenance:
        for part in provenance.parts:
            rows = _in_order(part, np.concatenate([part.holding(one) for one in reached]))
            named.extend(_named(grounding, provenance.rule, part, rows[: limit - len(named)]))
    return [*named, *demands[: limit - len(named)]]


def _in_order(part: Part, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Distinct groundings by what their variables stand for (joins list them in any order)."""
    rows = np.unique(rows)
    if part.substitution is None:
        return rows
    if not part.substitution.shape[1]:
        return rows
    return rows[np.lexsort(part.substitution[rows].T[::-1])]


def _reached(grounding: Grounded, atom: int) -> tuple[list[int], list[GroundRule]]:
    """The atom and the auxiliary atoms that depend on it, and hard counts it stands in."""
    reached, demands = [atom], []
    for place, group in enumerate(grounding.graph.factors):
        if not group.is_count:
            continue
        atoms, offsets = group.entry_atoms, group.row_offsets
        places = np.flatnonzero(np.isin(atoms, reached))
        rows = np.unique(np.searchsorted(offsets, places, side="right") - 1)
        for row, target in zip(rows.tolist(), group.targets()[rows].tolist(), strict=True):
            if target >= 0:
                reached.append(target)
                continue
            inside = tuple(atoms[offsets[row] : offsets[row + 1]].tolist())
            rule = grounding.program.rules[group.rule].name
            demands.append(GroundRule(rule, group.rule, {}, inside, "count", place, row, None, 1.0))
    return reached, demands


def ground_rule_of(grounding: Grounded, place: int, row: int) -> GroundRule | None:
    """The (first) grounding that went into a factor row; ``None`` where none is kept: a count.

    Args:
        grounding: what was grounded.
        place: of the factors in ``FactorGraph.factors``.
        row: of these.
    """
    for provenance in grounding.provenance:
        for part in provenance.parts:
            if part.index == place and part.kind != "unit":
                rows = np.array([row]) if part.row is None else np.flatnonzero(part.row == row)
                return next(_named(grounding, provenance.rule, part, rows[:1]))
    return None


def _named(
    grounding: Grounded, rule: int, part: Part, rows: NDArray[np.int64]
) -> Iterator[GroundRule]:
    variables = grounding.program.rules[rule].variables
    for row in rows.tolist():
        substitution = {
            variable.name: grounding.data.vocabularies[variable.sort].name(thing)
            for variable, thing in zip(variables, _things(grounding, part, row), strict=True)
        }
        parameter = part.parameter
        if isinstance(parameter, np.ndarray):
            parameter = int(parameter[row])
        yield GroundRule(
            rule=grounding.program.rules[rule].name,
            rule_index=rule,
            substitution=substitution,
            atoms=part.atoms_of(row),
            kind=part.kind,
            place=part.index,
            row=-1 if part.kind == "unit" else row if part.row is None else int(part.row[row]),
            parameter=parameter,
            value=1.0 if part.value is None else float(part.value[row]),
            positive=part.kind != "unit" or bool(part.atoms[row] > 0),
        )


def _things(grounding: Grounded, part: Part, row: int) -> list[int]:
    """What each variable stands for, read off the atoms where they tell."""
    if part.origins is None:
        return [] if part.substitution is None else part.substitution[row].tolist()
    things = []
    for column, place in part.origins:
        atom = int(part.atoms[row, column])
        span = grounding.atoms.owner(atom)
        assert span is not None
        things.append(int(span.arguments[atom - span.start, place]))
    return things
