"""Bodies that a rule about a query predicate could have, made from the declarations alone."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from string import ascii_lowercase

import pyarrow.compute as pc

from knowreason.data import Dataset
from knowreason.logic import Program
from knowreason.logic.canonical_text import string_text
from knowreason.logic.formulas import VALUE_SORTS

FEW = 12  # things of a domain, up to which each is a constant of its own
TEXTS = 8  # most frequent values of a text attribute
NUMBERS = ("int", "float", "duration")
_CALL = re.compile(r"\w\(")
_VALUE = re.compile(r"\b[a-z]\w*\([^()]*\)")  # of an attribute


@dataclass(frozen=True)
class Node:
    """A variable, or an attribute of one, and its sort.

    >>> Node("home(c)", "Region").is_variable
    False
    """

    term: str
    sort: str

    @property
    def is_variable(self) -> bool:
        """Whether it is no attribute of something else."""
        return "(" not in self.term


@dataclass(frozen=True)
class Body:
    """A conjunction; variables beside the query's own add a grounding each, or are ``some``.

    >>> body = Body(("Near(x, z)", "Bad(z)"), (Node("z", "Node"),))
    >>> body.text, replace(body, some=True).text
    ('Near(x, z) & Bad(z)', 'exists z. Near(x, z) & Bad(z)')
    """

    parts: tuple[str, ...]
    further: tuple[Node, ...] = ()
    some: bool = False

    @property
    def text(self) -> str:
        """As a rule file has it."""
        bound = ", ".join(node.term for node in self.further)
        return f"exists {bound}. " * self.some + " & ".join(self.parts)

    @property
    def size(self) -> int:
        """Atoms and attributes in it."""
        return len(_CALL.findall(self.text))

    @property
    def is_bound(self) -> bool:
        """Whether each further variable stands in an atom, and not in attributes alone.

        >>> Body(("Pays(_, source(x))",), (Node("x", "Payment"),)).is_bound
        False
        """
        atoms = " ".join(_VALUE.sub("", part) for part in self.parts if part[0].isupper())
        return all(re.search(rf"\b{node.term}\b", atoms) for node in self.further)

    def both(self, other: Body) -> Body:
        """That this holds and the other, each once."""
        sides = [
            (f"({replace(b, some=True).text})",) if b.further else b.parts for b in (self, other)
        ]
        return Body((*sides[0], *sides[1]))


@dataclass(frozen=True)
class Measure:
    """A number of things on a path (``call``), which a threshold may cut."""

    path: Body
    call: str
    sort: str


@dataclass(frozen=True)
class _Relation:
    """A predicate, or an attribute whose values are things."""

    name: str
    sorts: tuple[str, ...]
    is_attribute: bool = False
    is_open: bool = False

    def at(self, terms: Mapping[int, str]) -> tuple[str, ...]:
        return tuple(terms.get(place, "_") for place in range(len(self.sorts)))

    def text(self, terms: tuple[str, ...]) -> str:
        if self.is_attribute:
            return f"{self.name}({terms[0]}) = {terms[1]}"
        return f"{self.name}({', '.join(terms)})"


@dataclass(frozen=True)
class _Path:
    atoms: tuple[tuple[_Relation, tuple[str, ...]], ...]
    apart: tuple[str, ...]
    further: tuple[Node, ...]
    end: Node
    length: int = 0

    @property
    def body(self) -> Body:
        written = tuple(relation.text(terms) for relation, terms in self.atoms)
        return Body((*written, *self.apart), self.further)


@dataclass(frozen=True)
class Templates:
    """What conjunctions and paths may be made of.

    Attributes:
        program: whose predicates, attributes and definitions.
        data: whose things.
        predicate: the query predicate.
        length: most relations in a path.
        without: attributes that are left out.
    """

    program: Program
    data: Dataset
    predicate: str
    length: int = 3
    without: frozenset[str] = frozenset()

    @cached_property
    def arguments(self) -> tuple[Node, ...]:
        """The variables of the query atom."""
        found: tuple[Node, ...] = ()
        for argument in self.program.predicate(self.predicate).arguments:
            found += (self._fresh(argument.sort, found, argument.name or argument.sort),)
        return found

    @property
    def head(self) -> str:
        """The query atom."""
        return f"{self.predicate}({', '.join(node.term for node in self.arguments)})"

    def unknowns(self, body: Body) -> int:
        """How many of its parts are atoms of open predicates."""
        names = {p.name for p in self.program.predicates if p.is_open}
        return sum(part.partition("(")[0] in names for part in body.parts)

    def bodies(self) -> Iterator[Body]:
        """Conditions on the arguments, then paths, the shorter ones first; one unknown at most."""
        return (body for body in self._bodies() if self.unknowns(body) < 2)

    def _bodies(self) -> Iterator[Body]:
        arguments = self.arguments
        for node in arguments:
            yield from (Body((part,)) for part in self._conditions(node))
        yield from self._equal_values()
        for path, closed in self._paths():
            for body in (path.body, *_unified(path)):
                if body.is_bound and (closed or body.further):
                    yield body
            if not closed and (len(arguments) == 1 or path.length == 1):
                for part in self._conditions(path.end):
                    body = replace(path.body, parts=(*path.body.parts, part))
                    if body.is_bound:
                        yield body

    def refined(self, body: Body) -> Iterator[Body]:
        """The body with a condition on one of its further variables."""
        for node in body.further:
            for part in self._conditions(node):
                longer = replace(body, parts=(*body.parts, part), some=False)
                if part not in body.parts and self.unknowns(longer) < 2:
                    yield longer

    def measures(self) -> Iterator[Measure]:
        """Numbers of the arguments and of things one relation away."""
        sorts = tuple(node.sort for node in self.arguments)
        terms = ", ".join(node.term for node in self.arguments)
        for name, own, sort in self._values:
            if own == sorts and len(own) > 1 and sort in NUMBERS:
                yield Measure(Body(()), f"{name}({terms})", sort)
        near = [path for path, closed in self._paths() if not closed and path.length == 1]
        ends = [(Body(()), node) for node in self.arguments]
        ends += [(path.body, path.end) for path in near]
        for body, node in ends:
            for name, own, sort in self._values:
                if own == (node.sort,) and sort in NUMBERS:
                    yield Measure(body, f"{name}({node.term})", sort)

    # -- parts -----------------------------------------------------------------

    @cached_property
    def _relations(self) -> tuple[_Relation, ...]:
        program = self.program
        skipped = program.predicate(self.predicate).within
        found = [
            _Relation(p.name, p.sorts, is_open=p.is_open)
            for p in program.predicates
            if p.sorts and p.name != skipped and p.sees != self.predicate
        ]
        found += [
            _Relation(d.name, d.sorts)
            for d in program.definitions
            if d.is_predicate and d.sorts and d.name != skipped
        ]
        found += [
            _Relation(a.name, (*a.sorts, a.sort), is_attribute=True)
            for a in program.given_attributes
            if a.sort not in VALUE_SORTS and len(a.sorts) == 1 and a.name not in self.without
        ]
        return tuple(found)

    @cached_property
    def _values(self) -> tuple[tuple[str, tuple[str, ...], str], ...]:
        """Name, sorts and sort of the value of each attribute and definition that has one."""
        program = self.program
        found = [(a.name, a.sorts, a.sort) for a in program.given_attributes if not a.clock]
        found += [(d.name, d.sorts, d.sort) for d in program.definitions if d.sort is not None]
        return tuple(one for one in found if one[2] in VALUE_SORTS and one[0] not in self.without)

    @cached_property
    def _constants(self) -> dict[str, list[str]]:
        """Names of the things of small domains, quoted."""
        asked = {node.sort for node in self.arguments}
        return {
            sort: [string_text(name) for name in names.names.to_pylist()]
            for sort, names in self.data.vocabularies.items()
            if 0 < len(names) <= FEW and sort not in asked
        }

    @cached_property
    def _texts(self) -> dict[str, list[str]]:
        """Frequent values of text attributes, quoted."""
        found = {}
        for name, _, sort in self._values:
            if sort == "string" and name in self.data.attributes:
                counted = pc.value_counts(self.data.attributes[name].column("value")).to_pylist()
                counted.sort(key=lambda one: -one["counts"])
                found[name] = [string_text(one["values"]) for one in counted[:TEXTS]]
        return found

    def _conditions(self, node: Node) -> Iterator[str]:
        for relation in self._relations:
            own = relation.name == self.predicate and node in self.arguments
            if own or (relation.is_open and len(relation.sorts) > 1):
                continue
            for place, sort in enumerate(relation.sorts):
                if sort != node.sort or (relation.is_attribute and place):
                    continue
                if not relation.is_attribute:
                    yield relation.text(relation.at({place: node.term}))
                for other, kind in enumerate(relation.sorts):
                    for constant in self._constants.get(kind, ()) if other != place else ():
                        yield relation.text(relation.at({place: node.term, other: constant}))
        for name, own_sorts, sort in self._values:
            if own_sorts == (node.sort,):
                call = f"{name}({node.term})"
                if sort == "bool":
                    yield call
                yield from (f"{call} = {text}" for text in self._texts.get(name, ()))

    def _equal_values(self) -> Iterator[Body]:
        """Attributes of the arguments that may be the same thing or text."""
        called = [
            (f"{name}({node.term})", sort)
            for name, own, sort in (
                *self._values,
                *((r.name, r.sorts[:1], r.sorts[1]) for r in self._relations if r.is_attribute),
            )
            for node in self.arguments
            if own == (node.sort,) and sort not in (*NUMBERS, "time", "bool")
        ]
        for place, (one, sort) in enumerate(called):
            for other, kind in called[place + 1 :]:
                if kind == sort:
                    yield Body((f"{one} = {other}",))

    def _paths(self) -> Iterator[tuple[_Path, bool]]:
        """Paths from each argument, and whether they end at a later one."""
        for place, start in enumerate(self.arguments):
            waiting = deque([_Path((), (), (), start)])
            targets = self.arguments[place + 1 :]
            while waiting:
                path = waiting.popleft()
                for relation, here, there in self._steps(path.end.sort):
                    for target in targets:
                        closed = self._closed(path, relation, here, there, target)
                        if closed is not None:
                            yield closed, True
                    opened = self._opened(path, relation, here, there)
                    if opened is not None:
                        yield opened, False
                        # an argument of several is only left to reach another one
                        if opened.length < self.length and (targets or len(self.arguments) == 1):
                            waiting.append(opened)

    def _steps(self, sort: str) -> Iterator[tuple[_Relation, int, int]]:
        for relation in self._relations:
            if relation.is_open and len(relation.sorts) > 2:
                continue
            declared = [p for p in self.program.predicates if p.name == relation.name]
            turned = not (declared and declared[0].symmetric)
            for here, kind in enumerate(relation.sorts):
                if kind == sort:
                    for there in range(len(relation.sorts)):
                        if there > here or (there < here and turned):
                            yield relation, here, there

    def _closed(
        self, path: _Path, relation: _Relation, here: int, there: int, target: Node
    ) -> _Path | None:
        terms = relation.at({here: path.end.term, there: target.term})
        text = relation.text(terms)
        if relation.sorts[there] != target.sort or text == self.head:
            return None
        return replace(path, atoms=(*path.atoms, (relation, terms)), length=path.length + 1)

    def _opened(self, path: _Path, relation: _Relation, here: int, there: int) -> _Path | None:
        sort = relation.sorts[there]
        if sort in self._constants:
            return None
        length = path.length + 1
        if relation.is_attribute and not here:
            end = Node(f"{relation.name}({path.end.term})", sort)
            return replace(path, end=end, length=length)
        known = (*self.arguments, *path.further)
        end = self._fresh(sort, known, sort)
        terms = relation.at({here: path.end.term, there: end.term})
        apart = tuple(f"{node.term} != {end.term}" for node in known if node.sort == sort)
        return _Path(
            (*path.atoms, (relation, terms)),
            (*path.apart, *apart),
            (*path.further, end),
            end,
            length,
        )

    def _fresh(self, sort: str, known: tuple[Node, ...], called: str) -> Node:
        taken = {node.term for node in known}
        taken |= {one.name for one in self.program if hasattr(one, "name")}
        letters = (called[0].lower(), *"xyzuvw", *ascii_lowercase)
        return Node(next(letter for letter in letters if letter not in taken), sort)


def _unified(path: _Path) -> Iterator[Body]:
    """The body of a path of two atoms whose open places of one sort are the same thing."""
    if len(path.atoms) != 2:
        return
    (one, left), (other, right) = path.atoms
    for here, first in enumerate(left):
        for there, second in enumerate(right):
            sort = one.sorts[here]
            if first == second == "_" and sort == other.sorts[there]:
                node = Node("same", sort)
                atoms = (
                    one.text((*left[:here], node.term, *left[here + 1 :])),
                    other.text((*right[:there], node.term, *right[there + 1 :])),
                )
                yield Body((*atoms, *path.apart), (*path.further, node))
