"""Recognising aggregates over a group, or over what came before in it.

``count { f : Pays(f, source: source(e)) & at(f) < at(e) }`` pairs every thing with its
past. Such a body splits into a side that speaks of the asked (``e``), a side that speaks
of the counted (``f``), equalities between the two, bounds on one clock of the counted side,
and bounds on one other number of it (``amount(f) > amount(e)``):
:mod:`knowreason.grounding.relational.histories` computes that without the pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from knowreason.logic import (
    INTEGER_SORTS,
    Aggregate,
    Atom,
    Comparison,
    Exists,
    Formula,
    Operation,
    Term,
    Variable,
    Wildcard,
)
from knowreason.logic.formulas import ComparisonOperator
from knowreason.logic.traversal import conjuncts, free_variables, substitute

PLACE = "key "  # no variable of a program has a space in its name
FLIPPED: dict[str, ComparisonOperator] = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}


@dataclass(frozen=True)
class Bound:
    """``number operator limit``: a number of the counted, a limit that the asked sets."""

    number: Term
    operator: ComparisonOperator
    limit: Term


@dataclass
class HistoryAggregate:
    """The body of an aggregate, taken apart.

    Attributes:
        asked, counted: conjuncts of either side.
        links: variables that stand on both sides.
        pairs: terms of the counted side that equal terms of the asked side.
        bounds: comparisons of numbers of the counted side with limits of the asked side.
        clock: the bounded number that events are sorted by.
        value: what is summed, in variables of the counted side.
        excluded: terms of the counted and asked side that must differ (``f != e``).
        is_frame: whether frames of sorted events have the rows that are wanted; else there
            is something (``rest``, three bounded numbers ...) that only pairs of rows tell.
    """

    asked: list[Formula] = field(default_factory=list)
    counted: list[Formula] = field(default_factory=list)
    links: tuple[Variable, ...] = ()
    pairs: list[tuple[Term, Term]] = field(default_factory=list)
    bounds: list[Bound] = field(default_factory=list)
    clock: Term | None = None
    value: Term | Formula | None = None
    excluded: list[tuple[Term, Term]] = field(default_factory=list)
    rest: list[Formula] = field(default_factory=list)
    is_frame: bool = True

    @property
    def others(self) -> list[Bound]:
        """Bounds of another number than the clock."""
        return [bound for bound in self.bounds if bound.number != self.clock]

    def shares_groups(self) -> bool:
        """Whether several settings may be asked about one group: else a plain join does."""
        return bool(self.links) or any(not isinstance(term, Variable) for _, term in self.pairs)

    def one_row(self, own: set[str]) -> bool:
        """Whether a setting of the counted variables has one row in each group."""
        terms = [term for term, _ in (*self.pairs, *self.excluded) if not is_place(term)]
        clock = [] if self.clock is None else [self.clock]
        numbers = [bound.number for bound in self.bounds]
        return all(_names(term) <= own for term in (*terms, *clock, *numbers))


def split(term: Aggregate, keys: Sequence[Variable]) -> HistoryAggregate | None:
    """The parts of an aggregate's body; ``None`` where a join of its atoms is all there is."""
    body = term.body
    while isinstance(body, Exists):
        body = body.body
    parts = conjuncts(body)
    heads = {variable.name for variable in keys}
    bound = {variable.name for variable in term.variables}
    sides = _Sides.of(parts, heads, bound)
    history = HistoryAggregate(links=sides.links)
    for part in parts:
        if not sides.place(part, history):
            return None
    if term.value is not None:
        places = {t.name: p for p, t in history.pairs if is_place(p) and isinstance(t, Variable)}
        history.value = substitute(term.value, places)
    is_join = history.pairs and not history.shares_groups()
    if not keys or (is_join and not history.bounds):
        return None
    history.clock = term.by if term.last is not None else _clock(history.bounds)
    if history.rest or not _is_frame(term, heads, history):
        return _paired(history)
    return history


@dataclass(frozen=True)
class _Sides:
    """Which variables belong to the asked and which to the counted."""

    asked: frozenset[str]
    counted: frozenset[str]
    links: tuple[Variable, ...]

    @classmethod
    def of(cls, parts: Sequence[Formula], heads: set[str], bound: set[str]) -> _Sides:
        """Existential variables go with the atoms they stand in; those in both are links."""
        asked: dict[str, Variable] = {}
        counted: dict[str, Variable] = {}
        for part in parts:
            if not isinstance(part, Atom):
                continue
            plain = {v.name: v for v in part.arguments if isinstance(v, Variable)}
            loose = {n: v for n, v in plain.items() if n not in heads | bound}
            (asked if heads & plain.keys() and not bound & plain.keys() else counted).update(loose)
        links = tuple(variable for name, variable in counted.items() if name in asked)
        return cls(frozenset(heads | asked.keys()), frozenset(bound | counted.keys()), links)

    def side(self, node: Term | Formula) -> str:
        """``asked``, ``counted`` or ``both``; what has only links goes to the counted."""
        names = {variable.name for variable in free_variables(node)}
        if names <= self.counted and names:
            return "counted"
        return "asked" if names <= self.asked else "both"

    def place(self, part: Formula, history: HistoryAggregate) -> bool:
        """Whether a conjunct belongs to a side, where it is put."""
        side = self.side(part)
        if side != "both":
            (history.asked if side == "asked" else history.counted).append(part)
            return True
        if isinstance(part, Atom):
            return self._atom(part, history)
        if not isinstance(part, Comparison) or not self._comparison(part, history):
            history.rest.append(part)
        return True

    def _atom(self, atom: Atom, history: HistoryAggregate) -> bool:
        """An atom of the counted side with terms of the asked side as arguments."""
        arguments: list[Term] = []
        for argument in atom.arguments:
            if isinstance(argument, Wildcard) or self.side(argument) == "counted":
                arguments.append(argument)
            elif self.side(argument) == "asked":
                if free_variables(argument):
                    place = Variable(f"{PLACE}{len(history.pairs)}", argument.sort)
                    history.pairs.append((place, argument))
                    argument = place
                arguments.append(argument)
            else:
                return False
        history.counted.append(Atom(atom.predicate, tuple(arguments)))
        return True

    def _comparison(self, part: Comparison, history: HistoryAggregate) -> bool:
        left, right, operator = part.left, part.right, part.operator
        if self.side(left) == "asked" and self.side(right) == "counted":
            left, right, operator = right, left, FLIPPED.get(operator, operator)
        if self.side(left) == "counted" and self.side(right) == "asked":
            if operator == "=":
                history.pairs.append((left, right))
                return True
            if operator == "!=":
                history.excluded.append((left, right))
                return True
            return _bound(history, left, operator, right)
        if self.side(left) == "asked" and self.side(right) == "both":
            left, right, operator = right, left, FLIPPED.get(operator, operator)
        if self.side(left) == "both" and self.side(right) == "asked":
            return self._difference(left, operator, right, history)
        return False

    def _difference(
        self, left: Term, operator: ComparisonOperator, limit: Term, history: HistoryAggregate
    ) -> bool:
        """``asked - counted <= limit`` and the like as bounds; ``abs(..)`` is two of them."""
        if isinstance(left, Operation) and left.operator == "abs" and operator in ("<", "<="):
            least = Operation("neg", (limit,), limit.sort)
            inside = left.operands[0]
            return self._difference(inside, operator, limit, history) and self._difference(
                inside, FLIPPED[operator], least, history
            )
        if not (isinstance(left, Operation) and left.operator == "-" and operator in FLIPPED):
            return False
        first, second = left.operands
        if not all(term.sort in INTEGER_SORTS for term in (first, second, limit)):
            return False  # floats are rounded otherwise on the other side
        if self.side(first) == "asked" and self.side(second) == "counted":
            moved = Operation("-", (first, limit), first.sort)
            return _bound(history, second, FLIPPED[operator], moved)
        if self.side(first) == "counted" and self.side(second) == "asked":
            moved = Operation("+", (second, limit), second.sort)
            return _bound(history, first, operator, moved)
        return False


def is_place(term: Term) -> bool:
    """Whether a variable stands for an argument of an atom of the counted side."""
    return isinstance(term, Variable) and term.name.startswith(PLACE)


def _bound(
    history: HistoryAggregate, number: Term, operator: ComparisonOperator, limit: Term
) -> bool:
    if operator not in FLIPPED or "string" in (number.sort, limit.sort):
        return False
    history.bounds.append(Bound(number, operator, limit))
    return True


def _clock(bounds: Sequence[Bound]) -> Term | None:
    """The number to sort by: a whole one, if one is bounded."""
    numbers = [bound.number for bound in bounds]
    whole = [number for number in numbers if number.sort in INTEGER_SORTS]
    return next(iter([*whole, *numbers]), None)


def _paired(history: HistoryAggregate) -> HistoryAggregate:
    """What bounds the pairs that a join tries: the groups, and a clock bounded on both sides."""
    clock = [bound for bound in history.bounds if bound.number == _clock(history.bounds)]
    closed = len({bound.operator[0] for bound in clock}) > 1
    kept = replace(history, bounds=clock if closed else [], value=None, excluded=[], is_frame=False)
    kept.clock = _clock(kept.bounds)
    return kept


def _is_frame(term: Aggregate, heads: set[str], history: HistoryAggregate) -> bool:
    """Whether value and clock are the counted's own, and the rows wanted are a frame."""
    own = {variable.name for variable in term.variables}
    others = history.others
    places = {name for place, _ in history.pairs if is_place(place) for name in _names(place)}
    if history.value is not None and not _names(history.value) <= own | places:
        return False
    if len({bound.number for bound in others}) > 1 or len(history.excluded) > 1:
        return False
    both_sides = len({bound.operator[0] for bound in others}) > 1
    if term.last is not None and (history.excluded or both_sides or not _names(term.last) <= heads):
        return False
    floats = isinstance(history.value, Term) and history.value.sort == "float"
    whole = term.kind in ("count", "sum", "avg", "rate") and not floats
    if both_sides and not whole:
        return False  # the difference of two sums, which loses digits; least and greatest have none
    if history.excluded and term.kind in ("min", "max"):
        return False
    counted_one = term.kind == "count" and len(own) == 1 and term.last is None
    return history.one_row(own) or (counted_one and not others and not history.excluded)


def _names(node: Term | Formula) -> set[str]:
    return {variable.name for variable in free_variables(node)}
