"""Facts files: ground atoms, negated atoms and values of attributes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from knowreason import logic as lg
from knowreason.diagnostics import Span
from knowreason.lang.check.call_arguments import constant
from knowreason.lang.check.symbols import Names, Signature, a_sort
from knowreason.lang.syntax import nodes as sx
from knowreason.logic import Value


@dataclass(frozen=True)
class Facts:
    """Ground atoms and attribute values of a facts file.

    Attributes:
        atoms: predicate, names of the things, whether it holds, and where it stands.
        values: attribute, names of the things, value (times and durations in microseconds,
            things as text), and where it stands.

    >>> import knowreason as kr
    >>> kr.lang.parse_facts(kr.testing.example_program(), 'size("a") = 3').values[0][:3]
    ('size', ('a',), 3)
    """

    atoms: tuple[tuple[str, tuple[str, ...], bool, Span], ...] = ()
    values: tuple[tuple[str, tuple[str, ...], Value, Span], ...] = ()


def elaborate_facts(names: Names, facts: list[sx.Fact]) -> Facts:
    """Facts checked against declarations; findings are added to ``names``."""
    atoms: list[tuple[str, tuple[str, ...], bool, Span]] = []
    values: list[tuple[str, tuple[str, ...], Value, Span]] = []
    for fact in facts:
        signature = _signature(names, fact)
        arguments = None if signature is None else _arguments(names, fact, signature)
        if signature is None or arguments is None:
            continue
        if signature.is_predicate:
            if fact.value is not None:
                names.report("KR212", "a predicate has no value", fact.value.span)
                continue
            atoms.append((signature.name, arguments, fact.positive, fact.span))
        else:
            value = _value(names, fact, signature)
            if value is not None:
                values.append((signature.name, arguments, value.value, fact.span))
    return Facts(tuple(atoms), tuple(values))


def _signature(names: Names, fact: sx.Fact) -> Signature | None:
    name = fact.name
    signature = names.symbols.get(name.text)
    if signature is None:
        wanted = "predicate" if name.text[:1].isupper() else "attribute"
        names.unknown(wanted, name.text, name.span, names.declared(wanted), "KR201")
        return None
    if signature.kind in ("defined", "param"):
        names.report(
            "KR212",
            f"`{name.text}` is computed from other facts"
            if signature.kind == "defined"
            else f"`{name.text}` is a parameter",
            name.span,
            related=[(signature.span, "declared here")],
        )
        return None
    return signature


def _arguments(names: Names, fact: sx.Fact, signature: Signature) -> tuple[str, ...] | None:
    if len(fact.arguments) != len(signature.sorts):
        arity, given = len(signature.sorts), len(fact.arguments)
        names.report(
            "KR203",
            f"`{signature.name}` takes {arity} argument{'s' * (arity != 1)}, not {given}",
            fact.span,
            related=[(signature.span, "declared here")],
        )
        return None
    things = [
        constant(names, literal, sort)
        for literal, sort in zip(fact.arguments, signature.sorts, strict=True)
    ]
    if any(thing is None for thing in things):
        return None
    return tuple(str(cast(lg.Constant, thing).value) for thing in things)


def _value(names: Names, fact: sx.Fact, signature: Signature) -> lg.Constant | None:
    sort = cast(str, signature.result)
    if fact.value is None:
        if sort == "bool":
            return lg.Constant(fact.positive, "bool", span=fact.span)
        names.report("KR212", f"`{signature.name}` needs a value: `... = value`", fact.span)
        return None
    value = constant(names, fact.value, sort)
    if value is None or value.sort == sort or (value.sort, sort) == ("int", "float"):
        return value
    names.report(
        "KR205", f"{a_sort(value.sort)} is given where {a_sort(sort)} is expected", fact.value.span
    )
    return None
