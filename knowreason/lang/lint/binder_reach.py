"""Binders whose reach is not seen: over `&` and `|` without parentheses, or not written at all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from knowreason.diagnostics import Diagnostic, Related, Span
from knowreason.lang.check.symbols import is_capital
from knowreason.lang.syntax import nodes as sx
from knowreason.lang.syntax.implied_binders import ImpliedBinders

_Reach = tuple[sx.Quantified, frozenset[str]]


def bare_bodies(node: object) -> Iterator[sx.Connective]:
    """Bodies with `&` or `|` that no parentheses hold together, in the order they are written."""
    for binder, _ in _reaches(node, frozenset()):
        if isinstance(binder.body, sx.Connective):
            yield binder.body


def read_otherwise(statements: Iterable[sx.Statement]) -> Iterator[Diagnostic]:
    """Warnings about formulas that said something else before.

    When binders bound as tightly as `!`, what stands behind the first operand of the body was
    outside of the binder. Where it uses a variable of the binder, that was an error, so no file
    relies on it. And a variable that a defined predicate mentions inside of one aggregate was
    bound outside of that.
    """
    statements = list(statements)
    parameters = {s.name.text for s in statements if isinstance(s, sx.ParamStatement)}
    for statement in statements:
        if isinstance(statement, sx.DefineStatement) and is_capital(statement.name.text):
            yield from map(_moved_inside, ImpliedBinders(statement, parameters).added)
        for binder, names in _reaches(statement, frozenset()):
            first, rest = _split(binder.body)
            if not any(name in names for part in rest for name in _names(part)):
                yield _warning(binder, first, rest)


def _reaches(node: object, names: frozenset[str]) -> Iterator[_Reach]:
    """Binders with a bare body, and the variables that binders of one reach bind there."""
    if isinstance(node, sx.Quantified):
        names |= {name.text for name in node.names}
        bare = node.body.span.end == node.span.end
        if bare and isinstance(node.body, sx.Connective) and node.body.operator in "&|":
            yield node, names
        yield from _reaches(node.body, names if bare else frozenset())
    elif isinstance(node, sx.NotNode):
        yield from _reaches(node.operand, names)
    elif isinstance(node, sx.Connective) and node.operator in "&|":
        yield from _reaches(node.left, frozenset())
        bare = node.right.span.end == node.span.end
        yield from _reaches(node.right, names if bare else frozenset())
    elif hasattr(node, "span"):
        for child in sx.children(node):
            yield from _reaches(child, frozenset())


def _split(body: sx.Expression) -> tuple[sx.Expression, list[sx.Expression]]:
    """The first operand of a body without parentheses, and the others."""
    rest: list[sx.Expression] = []
    start = body.span.start
    while isinstance(body, sx.Connective) and body.operator in "&|" and body.span.start == start:
        rest.append(body.right)
        body = body.left
    return body, rest[::-1]


def _names(node: object) -> Iterator[str]:
    pending = [node]
    while pending:
        here = pending.pop()
        if isinstance(here, sx.Name):
            yield here.text
        if hasattr(here, "span"):
            pending.extend(sx.children(here))


def _moved_inside(binder: sx.Quantified) -> Diagnostic:
    names = ", ".join(name.text for name in binder.names)
    return Diagnostic(
        "KR308",
        f"`{names}` stands in one aggregate only, so some `{names}` there is meant",
        "warning",
        binder.names[0].span,
        f"before, one `{names}` for the whole definition",
        help=f"write `exists {names}.` inside of the aggregate, or around all of it",
    )


def _warning(
    binder: sx.Quantified, first: sx.Expression, rest: Sequence[sx.Expression]
) -> Diagnostic:
    source, body = binder.span.source, binder.body.span
    names = ", ".join(name.text for name in binder.names)
    outside = Span(source, rest[0].span.start, body.end)
    return Diagnostic(
        "KR307",
        f"`{binder.kind} {names}.` now reaches over what follows; it ended after its first part",
        "warning",
        outside,
        "inside of the binder now",
        (Related(Span(source, binder.span.start, first.span.end), "all of it, before"),),
        help=f"parentheses say which is meant: `{binder.kind} {names}. (A & B)`, as `fmt` writes,"
        f" or `({binder.kind} {names}. A) & B`",
    )
