"""Recognising aggregates over a group, or over what came before in it.

``count { f : Pays(f, source: source(e)) & at(f) < at(e) }`` pairs every thing with its
past. Such a body splits into a side that speaks of the asked (``e``), a side that speaks
of the counted (``f``), equalities between the two, and bounds on one clock of the
counted side: :mod:`knowreason.grounding.relational.windows` computes that without the pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

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
class ClockBound:
    """``clock operator limit``: the clock of the counted, a limit that the asked sets."""

    operator: str
    limit: Term


@dataclass
class HistoryAggregate:
    """The body of an aggregate, taken apart.

    Attributes:
        asked, counted: conjuncts of either side.
        links: variables that stand on both sides.
        pairs: terms of the counted side that equal terms of the asked side.
        clock: the counted side's term that is bounded.
        bounds: its bounds.
        value: what is summed, in variables of the counted side.
        excluded: a counted variable that must not be an asked one (``f != e``).
    """

    asked: list[Formula] = field(default_factory=list)
    counted: list[Formula] = field(default_factory=list)
    links: tuple[Variable, ...] = ()
    pairs: list[tuple[Term, Term]] = field(default_factory=list)
    clock: Term | None = None
    bounds: list[ClockBound] = field(default_factory=list)
    value: Term | Formula | None = None
    excluded: tuple[Variable, Variable] | None = None

    def shares_groups(self) -> bool:
        """Whether several settings may be asked about one group: else a plain join does."""
        return bool(self.links) or any(not isinstance(term, Variable) for _, term in self.pairs)

    def one_row(self, own: set[str]) -> bool:
        """Whether a setting of the counted variables has one row in each group."""
        terms = [term for term, _ in self.pairs if not _is_place(term)]
        clock = [] if self.clock is None else [self.clock]
        return all(_names(term) <= own for term in (*terms, *clock))


def split(term: Aggregate, keys: Sequence[Variable]) -> HistoryAggregate | None:
    """The parts of an aggregate's body; ``None`` where it is no history."""
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
        places = {t.name: p for p, t in history.pairs if _is_place(p) and isinstance(t, Variable)}
        history.value = substitute(term.value, places)
    return history if _fits(term, heads, history) else None


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
        return isinstance(part, Comparison) and self._comparison(part, history)

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
                return _exclude(history, left, right)
            return _bound(history, left, operator, right)
        if self.side(left) == "asked" and self.side(right) == "both":
            left, right, operator = right, left, FLIPPED.get(operator, operator)
        if self.side(left) == "both" and self.side(right) == "asked":
            return self._difference(left, operator, right, history)
        return False

    def _difference(
        self, left: Term, operator: str, limit: Term, history: HistoryAggregate
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
        if self.side(first) == "asked" and self.side(second) == "counted":
            moved = Operation("-", (first, limit), first.sort)
            return _bound(history, second, FLIPPED[operator], moved)
        if self.side(first) == "counted" and self.side(second) == "asked":
            moved = Operation("+", (second, limit), second.sort)
            return _bound(history, first, operator, moved)
        return False


def _exclude(history: HistoryAggregate, left: Term, right: Term) -> bool:
    if isinstance(left, Variable) and isinstance(right, Variable) and history.excluded is None:
        history.excluded = (left, right)
        return True
    return False


def _is_place(term: Term) -> bool:
    """Whether a variable stands for an argument of an atom of the counted side."""
    return isinstance(term, Variable) and term.name.startswith(PLACE)


def _bound(history: HistoryAggregate, clock: Term, operator: str, limit: Term) -> bool:
    whole = clock.sort in INTEGER_SORTS and limit.sort in INTEGER_SORTS
    if operator not in FLIPPED or not whole or history.clock not in (None, clock):
        return False
    history.clock = clock
    history.bounds.append(ClockBound(operator, limit))
    return True


def _fits(term: Aggregate, heads: set[str], history: HistoryAggregate) -> bool:
    """Whether value and clock are the counted's own, and the rows wanted are a frame."""
    own = {variable.name for variable in term.variables}
    if history.clock is None and not history.shares_groups():
        return False
    places = {name for place, _ in history.pairs if _is_place(place) for name in _names(place)}
    if history.value is not None and not _names(history.value) <= own | places:
        return False
    if term.last is not None:
        rising = all(bound.operator in ("<", "<=") for bound in history.bounds)
        if term.by != history.clock or not rising or _names(term.last) & heads:
            return False
    if history.excluded is not None:
        other, asked = history.excluded
        taken_off = term.kind in ("count", "sum", "avg", "rate") and term.last is None
        return taken_off and other.name in own and asked.name in heads and history.one_row(own)
    counted_one = term.kind == "count" and len(own) == 1 and term.last is None
    return counted_one or history.one_row(own)


def _names(node: Term | Formula) -> set[str]:
    return {variable.name for variable in free_variables(node)}
