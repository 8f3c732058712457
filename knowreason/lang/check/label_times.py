"""Whether every label that a definition reads is known when it is read.

An atom of a query predicate in an aggregate of a definition stands for its known label:
known at the clock of the definition's argument, less the label delay. So both need a clock,
and nothing that reads labels may be asked about a later thing than what is judged by it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from knowreason import logic as lg
from knowreason.diagnostics import Span
from knowreason.lang.check.symbols import Names, name_span
from knowreason.logic.label_reads import label_atoms
from knowreason.logic.traversal import children, conjuncts, walk

Node = lg.Term | lg.Formula
FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}


@dataclass(frozen=True)
class _Place:
    """A node with the conditions that hold wherever it counts.

    Attributes:
        node: a binder or a call.
        given: conjuncts of the binders and conjunctions around it.
    """

    node: Node
    given: tuple[lg.Formula, ...]


def check_label_times(names: Names, program: lg.Program) -> None:
    """Report every reading of a label that may not be known yet."""
    for definition in program.definitions:
        if definition.name in program.label_readers:
            _LabelReadCheck(names, program, definition).check()
    for predicate in program.predicates:
        if predicate.within in program.label_readers:
            names.report(
                "KR412",
                f"`{predicate.within}` reads labels, so it cannot say which atoms of "
                f"`{predicate.name}` there are",
                name_span(predicate),
                help="say what there is by what is observed",
            )
    for rule in program.every_rule:
        _check_rule(names, program, rule)


@dataclass(frozen=True)
class _LabelReadCheck:
    """A definition that reads labels."""

    names: Names
    program: lg.Program
    definition: lg.Definition

    def check(self) -> None:
        """Report what is wrong with the definition, at most one fault a label or call."""
        heads = clocked(self.program, self.definition.parameters)
        if not heads:
            self._no_clock()
            return
        queries = {predicate.name for predicate in self.program.open_predicates}
        for place in _places(self.definition.body, ()):
            if isinstance(place.node, lg.Aggregate | lg.Exists | lg.ForAll):
                for atom in label_atoms(queries, place.node):
                    self._label(atom, heads, place.given)
            elif _called(place.node)[0] in self.program.label_readers:
                self._call(place, heads)

    def _no_clock(self) -> None:
        read = ", ".join(f"`{p}`" for p in sorted(self.program.label_readers[self.definition.name]))
        self.names.report(
            "KR412",
            f"`{self.definition.name}` reads labels of {read}, and no argument of it has a clock",
            name_span(self.definition),
            "as known when?",
            help="give it an argument that happens at a time, with an attribute marked `clock`: "
            "labels known by then are read",
        )

    def _label(self, atom: lg.Atom, heads: Sequence[lg.Term], given: Iterable[lg.Formula]) -> None:
        own = clocked(self.program, atom.arguments)
        if any(isinstance(argument, lg.Wildcard) for argument in atom.arguments):
            self._report(atom, "KR412", "which label is meant?", "name the argument, not `_`")
        elif not own:
            self._report(
                atom,
                "KR412",
                f"no argument of `{atom.predicate}` has a clock",
                "mark the attribute that says when it happened with `clock`",
            )
        elif {_clock(self.program, t).sort for t in own} != {
            _clock(self.program, h).sort for h in heads
        }:
            self._report(atom, "KR412", "its clock is of another sort", "use one kind of clock")
        elif any(term in heads for term in own):
            self._report(
                atom,
                "KR413",
                "its own label, which is what is asked",
                "read labels of others: count over another variable",
            )
        elif any(_asks_for_later(self.program, part, own, heads) for part in given):
            self._report(
                atom,
                "KR413",
                "a label of its own time or later",
                "leave the condition on the clock out: only labels known before are read",
            )

    def _report(self, atom: lg.Atom, code: str, label: str, help: str) -> None:
        labels = {
            "KR412": "reads labels of `{}`, and nothing says when they are known",
            "KR413": "reads labels of `{}` before they are known",
        }[code].format(atom.predicate)
        self.names.report(
            code,
            f"`{self.definition.name}` {labels}",
            atom.span,
            label,
            related=[(name_span(self.definition), "labels known at the clock of its arguments")],
            help=help,
        )

    def _call(self, place: _Place, heads: Sequence[lg.Term]) -> None:
        name, arguments, span = _called(place.node)
        at = clocked(self.program, arguments)
        for head in heads if at else ():
            if not _is_no_later(self.program, at, head, place.given):
                late = _Late(self.program, name, at[0], head)
                late.report(self.names, self.definition.name, span)
                return


@dataclass(frozen=True)
class _Late:
    """A definition ``name`` over labels is asked about ``at`` where ``own`` is judged."""

    program: lg.Program
    name: str
    at: lg.Term
    own: lg.Term

    def report(self, names: Names, who: str, span: Span | None) -> None:
        """Report the reading in the definition or rule ``who``."""
        terms = (self.at, self.own)
        here, there = (t.name if isinstance(t, lg.Variable) else ".." for t in terms)
        one, two = (_clock(self.program, t).name for t in terms)
        names.report(
            "KR413",
            f"`{who}` may see labels that were not known yet: `{self.name}` reads them",
            span,
            f"as known at the time of `{here}`, which may be after that of `{there}`",
            help=f"add a comparison of clocks, as in `{one}({here}) <= {two}({there})`",
        )


def clocked(program: lg.Program, arguments: Iterable[lg.Term]) -> list[lg.Term]:
    """Arguments whose domain has a clock."""
    return [argument for argument in arguments if program.clock_of(argument.sort) is not None]


def _clock(program: lg.Program, argument: lg.Term) -> lg.Attribute:
    clock = program.clock_of(argument.sort)
    assert clock is not None
    return clock


def _check_rule(names: Names, program: lg.Program, rule: lg.Rule) -> None:
    """Nothing a rule judges may be older than the labels it judges by."""
    judged = [
        clocked(program, node.arguments)
        for node in walk(rule.formula)
        if isinstance(node, lg.Atom) and program.is_open(node.predicate)
    ]
    parts = [rule.formula] if rule.weight.feature is None else [rule.formula, rule.weight.feature]
    calls = [
        _Place(node, _given(rule.formula))
        for part in parts
        for node in walk(part)
        if _called(node)[0] in program.label_readers
    ]
    for place in calls:
        name, arguments, span = _called(place.node)
        at = clocked(program, arguments)
        for atom in judged:
            own = [term for term in atom if at and _same_sort(program, at[0], term)]
            if own and not any(_is_no_later(program, at, o, place.given) for o in own):
                _Late(program, name, at[0], own[0]).report(names, rule.name, span)
                break


def _same_sort(program: lg.Program, one: lg.Term, two: lg.Term) -> bool:
    return _clock(program, one).sort == _clock(program, two).sort


def _places(node: Node, given: tuple[lg.Formula, ...]) -> Iterator[_Place]:
    """Binders and calls below a node, with what is given there."""
    if isinstance(node, lg.Aggregate | lg.Exists | lg.ForAll):
        given = (*given, *_given(node.body))
        yield _Place(node, given)
    elif isinstance(node, lg.And):
        given = (*given, *conjuncts(node))
    if isinstance(node, lg.Atom | lg.AttributeTerm):
        yield _Place(node, given)
    for child in children(node):
        yield from _places(child, given)


def _given(formula: lg.Formula) -> tuple[lg.Formula, ...]:
    """Conjuncts of a formula and of what its implications start from."""
    parts = conjuncts(formula)
    return parts + tuple(
        given
        for part in parts
        if isinstance(part, lg.Implies | lg.Directed)
        for given in conjuncts(part.left)
    )


def _called(node: Node) -> tuple[str, tuple[lg.Term, ...], Span | None]:
    if isinstance(node, lg.Atom):
        return node.predicate, node.arguments, node.span
    if isinstance(node, lg.AttributeTerm):
        return node.name, node.arguments, node.span
    return "", (), None


def _is_no_later(
    program: lg.Program,
    at: Iterable[lg.Term],
    own: lg.Term,
    given: Iterable[lg.Formula],
) -> bool:
    """Whether one of the terms ``at`` is ``own``, or is said to happen no later."""
    given = tuple(given)
    return any(
        term == own or any(compares(program, part, term, own) in ("<", "<=", "=") for part in given)
        for term in at
    )


def _asks_for_later(
    program: lg.Program, part: lg.Formula, own: Sequence[lg.Term], heads: Sequence[lg.Term]
) -> bool:
    """Whether a condition leaves only labels of a head's own time or later."""
    return any(
        compares(program, part, term, head) in ("=", ">=", ">") for term in own for head in heads
    )


def compares(program: lg.Program, part: lg.Formula, one: lg.Term, two: lg.Term) -> str:
    """The operator between two things or their clocks, ``one`` on its left; or nothing."""
    if not isinstance(part, lg.Comparison):
        return ""
    clocks = [
        lg.AttributeTerm(_clock(program, t).name, (t,), _clock(program, t).sort) for t in (one, two)
    ]
    for left, right in ((one, two), clocks):
        if (part.left, part.right) == (left, right):
            return part.operator
        if (part.left, part.right) == (right, left):
            return FLIPPED.get(part.operator, part.operator)
    return ""
