"""First look at an expression: which variables it has, who binds them, and their sorts.

A variable's sort follows from the argument places it stands at. Nothing is built here;
:mod:`knowreason.lang.check.expressions` builds with what was found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from knowreason import logic as lg
from knowreason.diagnostics import Span
from knowreason.lang.check.symbols import Names, Signature, a_sort, is_capital, is_thing
from knowreason.lang.syntax import foreign_words as fw
from knowreason.lang.syntax import nodes as sx

UNKNOWN_SORT = "?"  # of a variable that stands at a place whose sort a fault hides
STRAY = "outside"  # of a variable that was reported outside of its binder


@dataclass(slots=True)
class BoundVariable:
    """A variable in its scope.

    Attributes:
        sort: ``None`` until a place says it; :data:`UNKNOWN_SORT` where a fault hides it.
        place: where the sort was seen.
        in_atom: whether it is an argument of an atom.
        head: whether it is a parameter of a definition.
    """

    name: str
    first: Span
    sort: str | None = None
    place: Span | None = None
    in_atom: bool = False
    head: bool = False


Frame = dict[str, BoundVariable]


class ExpressionBuilder(Protocol):
    """What comparisons and aggregates need of the builder of expressions that holds them.

    :class:`knowreason.lang.check.expressions.Builder` says what each attribute and method is.
    """

    names: Names
    scope: Scope
    crisp: str
    opens: list[Span]
    frames: list[Frame]
    aggregates: int

    def formula(self, node: sx.Expression) -> lg.Formula | None:
        """The formula a node says, or ``None`` where it is faulty."""

    def term(
        self, node: sx.Expression, expected: str | None = None, direct: bool = False
    ) -> lg.Term | None:
        """The term a node says, or ``None`` where it is faulty."""


@dataclass
class Scope:
    """Variables of one statement: the free ones, and those of each binder."""

    names: Names
    free: Frame = field(default_factory=dict)
    frames: list[Frame] = field(default_factory=list)
    binders: dict[int, Frame] = field(default_factory=dict)
    binder_nodes: list[sx.Quantified | sx.AggregateNode] = field(default_factory=list)

    def find(self, name: str) -> BoundVariable | None:
        """The variable of that name as seen from here."""
        for frame in reversed(self.frames):
            if name in frame:
                return frame[name]
        return self.free.get(name)

    def look(self, node: object) -> None:
        """Record the variables of an expression."""
        look = _LOOKS.get(node.__class__)
        if look is not None:
            look(self, node)

    def stand(self, node: sx.Name, sort: str | None = None, in_atom: bool = False) -> None:
        """Record that a variable stands at a place of this sort."""
        name = node.text
        bound = self.find(name)
        if bound is None:
            if is_capital(name) or self._is_parameter(name):
                return
            bound = self.free[name] = BoundVariable(name, node.span)
        bound.in_atom = bound.in_atom or in_atom
        if sort is None or sort == bound.sort or bound.sort == UNKNOWN_SORT:
            return
        if bound.sort is None:
            bound.sort, bound.place = sort, node.span
        elif sort != UNKNOWN_SORT:
            self.names.report(
                "KR205",
                f"`{name}` stands for {a_sort(bound.sort)} and for {a_sort(sort)}",
                node.span,
                f"{a_sort(sort)} here",
                related=[(bound.place, f"{a_sort(bound.sort)} here")],
                help="use two variables, one for each domain",
            )
            bound.sort = UNKNOWN_SORT

    def _is_parameter(self, name: str) -> bool:
        symbol = self.names.symbols.get(name)
        return symbol is not None and symbol.kind == "param"


def _call(scope: Scope, node: sx.Call) -> None:
    if scope.names.is_built_in(node.name):
        _children(scope, node)
        return
    signature = scope.names.symbols.get(node.name)
    atom = is_capital(node.name)
    for position, argument in enumerate(node.arguments):
        value: sx.Argument = argument
        if isinstance(argument, sx.Named):
            value = argument.value
        elif position and isinstance(node.arguments[position - 1], sx.Named):
            signature = None  # out of place: reported when the call is built
        if isinstance(value, sx.Name):
            scope.stand(value, _sort_at(signature, argument, position), atom)
        else:
            scope.look(value)


def _sort_at(signature: Signature | None, argument: sx.Argument, position: int) -> str | None:
    if signature is None:
        return UNKNOWN_SORT
    if isinstance(argument, sx.Named):
        label = argument.name.text
        if label not in signature.labels:
            return UNKNOWN_SORT
        position = signature.labels.index(label)
    sorts = signature.sorts
    if position >= len(sorts) or (sorts[position] is None and signature.kind != "defined"):
        return UNKNOWN_SORT
    return sorts[position]


def _quantified(scope: Scope, node: sx.Quantified) -> None:
    _bind(scope, node, node.names)
    scope.look(node.body)
    scope.frames.pop()


def _aggregate(scope: Scope, node: sx.AggregateNode) -> None:
    for outside in (node.last, node.prior, node.strength):
        if outside is not None:
            scope.look(outside)
    _bind(scope, node, [name for name in node.bound if isinstance(name, sx.Name)])
    for inside in (node.body, node.value, node.by):
        if inside is not None:
            scope.look(inside)
    scope.frames.pop()


def _bind(scope: Scope, node: sx.Quantified | sx.AggregateNode, names: Iterable[sx.Name]) -> None:
    frame: Frame = {}
    for name in names:
        text, report = name.text, scope.names.report
        if is_capital(text):
            upper_case_variable(scope.names, name)
        elif scope._is_parameter(text):
            declared = scope.names.symbols[text].span
            report(
                "KR208",
                f"`{text}` is a parameter and cannot be bound",
                name.span,
                related=[(declared, "the parameter")],
                help="use another name for the variable",
            )
        elif text in frame or any(text in outer for outer in scope.frames):
            help = "use another name, or parentheses where the first ends: `(exists x. A) & ...`"
            report("KR208", f"`{text}` is bound already", name.span, help=help)
            for outer in scope.frames:
                if text in outer:
                    outer[text].sort = UNKNOWN_SORT
        frame[text] = BoundVariable(text, name.span)
    scope.frames.append(frame)
    scope.binders[id(node)] = frame
    scope.binder_nodes.append(node)


def _name(scope: Scope, node: sx.Name) -> None:
    scope.stand(node)


def _children(scope: Scope, node: object) -> None:
    for child in sx.children(node):
        scope.look(child)


def _named(scope: Scope, node: sx.Named) -> None:
    scope.look(node.value)


def _pair(scope: Scope, node: sx.Connective | sx.Binary) -> None:
    scope.look(node.left)
    scope.look(node.right)


def _operand(scope: Scope, node: sx.NotNode | sx.Negative) -> None:
    scope.look(node.operand)


def _operands(scope: Scope, node: sx.Chain) -> None:
    for operand in node.operands:
        scope.look(operand)


def _membership(scope: Scope, node: sx.MemberNode) -> None:
    scope.look(node.value)


_LOOKS: dict[type, Callable[[Scope, Any], None]] = {
    sx.Name: _name,
    sx.Call: _call,
    sx.FunctionCall: _children,
    sx.Negative: _operand,
    sx.Binary: _pair,
    sx.Chain: _operands,
    sx.MemberNode: _membership,
    sx.Choosing: _children,
    sx.NotNode: _operand,
    sx.Connective: _pair,
    sx.Quantified: _quantified,
    sx.AggregateNode: _aggregate,
    sx.CountListNode: _children,
    sx.Named: _named,
}


def upper_case_variable(names: Names, node: sx.Name) -> None:
    """Report ``X`` where a variable or a constant was meant."""
    small = node.text[0].lower() + node.text[1:]
    small = node.text.lower() if node.text.isupper() else small
    meant = fw.CONSTANTS.get(node.text.lower())
    names.report(
        "KR105",
        f"`{node.text}` is neither a variable nor a constant",
        node.span,
        "variables begin with a small letter",
        help=meant or f'write `{small}` for a variable, `"{node.text}"` for a constant',
    )


def unbound_help(names: Names, bound: BoundVariable, otherwise: str) -> str:
    """What a name that no atom holds may have been meant as."""
    name = bound.name
    symbol = names.symbols.get(name)
    if symbol is not None and symbol.sorts:
        things = ", ".join("xyzuvw"[: len(symbol.sorts)])
        return f"it is a value of things: write `{name}({things})`"
    if bound.head:
        return otherwise
    return fw.CONSTANTS.get(name) or f'{otherwise}; a constant stands in quotes: `"{name}"`'


def check_binders(scope: Scope) -> None:
    """Report bound variables that are used outside their binder, and unsorted ones."""
    for node in scope.binder_nodes:
        for name in scope.binders[id(node)]:
            stray = scope.free.get(name)
            if stray is not None and not stray.head and stray.sort != STRAY:
                scope.names.report(
                    "KR208",
                    f"`{name}` is used outside of its binder",
                    stray.first,
                    "not bound here",
                    related=[(node.body.span, f"the part in which `{name}` is bound")],
                    help="put what belongs to the binder in parentheses",
                )
                stray.sort = STRAY


def unbound(scope: Scope) -> Iterator[BoundVariable]:
    """Variables that stand in no atom (parameters of a definition need a sort only)."""
    for frame in (scope.free, *scope.binders.values()):
        for bound in frame.values():
            if bound.sort in (UNKNOWN_SORT, STRAY):
                continue
            if bound.sort is None or not (bound.in_atom or bound.head):
                yield bound


def variable(bound: BoundVariable, span: Span | None = None) -> lg.Variable:
    """The variable, whose sort is known, as it stands at a place (where it is first seen)."""
    return lg.Variable(bound.name, cast(str, bound.sort), span=span or bound.first)


def knows_sort(bound: BoundVariable) -> bool:
    """Whether a domain was found for the variable."""
    return bound.sort not in (UNKNOWN_SORT, STRAY) and is_thing(bound.sort)
