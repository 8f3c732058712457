"""Which argument stands at which place, and what a literal means there."""

from __future__ import annotations

from typing import cast

from knowreason import logic as lg
from knowreason.errors import did_you_mean
from knowreason.lang.check.symbols import Names, Signature, a_sort, is_thing
from knowreason.lang.syntax import nodes as sx
from knowreason.lang.syntax.literal_values import parse_time
from knowreason.logic.canonical_text import string_text


def place_arguments(
    names: Names, node: sx.Call, signature: Signature
) -> list[sx.Expression | None] | None:
    """The argument written for each place (``None`` = not named), or ``None`` when faulty."""
    arity, given = len(signature.sorts), node.arguments
    named = [argument for argument in given if isinstance(argument, sx.Named)]
    plain = [argument for argument in given if not isinstance(argument, sx.Named)]
    if not named:
        if len(given) == arity:
            return [*plain]
        _wrong_number(names, node, signature)
        return None
    positional = len(given) - len(named)
    if any(isinstance(argument, sx.Named) for argument in given[:positional]):
        names.report("KR204", "positional arguments stand before named ones", node.span)
        return None
    if positional > arity:
        _wrong_number(names, node, signature)
        return None
    placed: list[sx.Expression | None] = [*plain, *[None] * (arity - positional)]
    for argument in named:
        label = argument.name.text
        if label not in signature.labels:
            labels = [known for known in signature.labels if known]
            offer = did_you_mean(label, labels) or (
                f"its arguments are called {', '.join(labels)}" if labels else None
            )
            names.report(
                "KR204",
                f"`{signature.name}` has no argument called `{label}`",
                argument.name.span,
                related=[(signature.span, "declared here")],
                help=offer or _called(signature),
            )
            return None
        position = signature.labels.index(label)
        if placed[position] is not None:
            names.report("KR204", f"argument `{label}` is given twice", argument.span)
            return None
        placed[position] = argument.value
    return placed


def constant(names: Names, node: sx.LiteralNode, expected: str | None) -> lg.Constant | None:
    """The constant a literal stands for at a place of the expected sort."""
    value, span = node.value, node.span
    if is_thing(expected):
        assert expected is not None
        return _thing(names, node, expected)
    if node.kind == "string" and expected == "time":
        moment = parse_time(cast(str, value), names.zone)
        if moment is None:
            names.report(
                "KR107",
                f"{string_text(cast(str, value))} is no time",
                span,
                help='write it as "2026-01-31" or "2026-01-31T08:00:00Z"',
            )
            return None
        return lg.Constant(moment, "time", span=span)
    if node.kind == "months":
        names.report(
            "KR209",
            "months stand only after a time and `+` or `-`",
            span,
            help=f"write `at(e) - {value}mo`; a duration of always the same length has days, `30d`",
        )
        return None
    if node.kind in ("number", "duration") and isinstance(value, int) and abs(value) >= 2**63:
        if expected == "float":
            return lg.Constant(float(value), "float", span=span)
        names.report(
            "KR107",
            f"this {node.kind} does not fit into 64 bits",
            span,
            help="with a decimal point it is a float" if node.kind == "number" else None,
        )
        return None
    if node.kind == "number":
        return lg.Constant(value, "int" if isinstance(value, int) else "float", span=span)
    return lg.Constant(value, node.kind, span=span)


def _thing(names: Names, node: sx.LiteralNode, domain: str) -> lg.Constant | None:
    if node.kind not in ("string", "number") or isinstance(node.value, float):
        names.report(
            "KR205",
            f"{a_sort(_literal_sort(node))} stands where {a_sort(domain)} is expected",
            node.span,
            help="a thing is a quoted string or an integer",
        )
        return None
    text = str(node.value)
    members = names.domains.get(domain)
    if members is not None and text not in members:
        names.report(
            "KR210",
            f"{string_text(text)} is no {domain}",
            node.span,
            "not among the members",
            related=[(names.places.get(domain), "the members are listed here")],
            help=names.nearest(domain, text, members),
        )
        return None
    return lg.Constant(text, domain, span=node.span)


def _literal_sort(node: sx.LiteralNode) -> str:
    if node.kind == "number":
        return "float" if isinstance(node.value, float) else "int"
    return node.kind


def _wrong_number(names: Names, node: sx.Call, signature: Signature) -> None:
    arity, given = len(signature.sorts), len(node.arguments)
    names.report(
        "KR203",
        f"`{signature.name}` takes {_plural(arity, 'argument')}, not {given}",
        node.span,
        f"{_plural(given, 'argument')} here",
        related=[(signature.span, "declared here")],
        help="name one argument and the rest are `_`" if given < arity and arity > 1 else None,
    )


def _plural(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _called(signature: Signature) -> str:
    """How the arguments of a predicate or attribute are called, if they are."""
    labels = [label for label in signature.labels if label]
    return (
        f"its arguments are called {', '.join(labels)}" if labels else "its arguments have no names"
    )
