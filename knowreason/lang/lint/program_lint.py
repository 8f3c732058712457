"""Warnings and hints about a program: what is allowed and yet probably not meant."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from knowreason import logic as lg
from knowreason.diagnostics import Diagnostic, Source
from knowreason.lang.check.symbols import name_span
from knowreason.lang.lint.logical_lint import contradictions, repetitions, truths
from knowreason.lang.lint.rule_lint import groups, lonely_variables, misread_weights, swaps
from knowreason.lang.lint.rule_shapes import Shape, shape_of
from knowreason.logic.propositional_form import Leaves
from knowreason.logic.rule_forms import head_form
from knowreason.logic.traversal import names_in

_WORD = re.compile(r"\w+")


def lint(
    program: lg.Program,
    *,
    whole: bool,
    sources: Sequence[Source] = (),
    used: Collection[str] = (),
) -> list[Diagnostic]:
    """Every warning and hint.

    Args:
        program: what could be elaborated.
        whole: whether that is everything; if not, what a faulty statement may have used or
            informed is given the benefit of the doubt.
        sources: the texts, for that; the first is the file asked about, not an import.
        used: names that something else uses.
    """
    symmetric = [p.name for p in program.predicates if p.symmetric]
    leaves = Leaves(symmetric)
    unknown = frozenset(predicate.name for predicate in program.open_predicates)
    shapes = [shape_of(rule, unknown, leaves) for rule in program.rules]
    shadows = [shape_of(rule, unknown, leaves) for rule in program.shadow_rules]
    spared = frozenset() if whole else _mentioned_twice(sources)
    return [
        *_unused(program, [*shapes, *shadows], spared | set(used), sources[:1]),
        *_uninformed(program, shapes, spared),
        *_arbitrary(program, shapes, spared),
        *_decided([*shapes, *shadows]),
        *_unmeasurable(program),
        *misread_weights(shapes),
        *lonely_variables([*shapes, *shadows]),
        *swaps(shapes, leaves),
        *groups(program, shapes),
        *truths(shapes, leaves),
        *contradictions(shapes, leaves),
        *repetitions(shapes, leaves),
    ]


def impossible(program: lg.Program) -> list[Diagnostic]:
    """Hard rules that no world satisfies: the errors among what :func:`lint` finds."""
    leaves = Leaves([predicate.name for predicate in program.predicates if predicate.symmetric])
    unknown = frozenset(predicate.name for predicate in program.open_predicates)
    hard = [shape_of(rule, unknown, leaves) for rule in program.rules if rule.weight.kind == "hard"]
    findings = [*truths(hard, leaves), *contradictions(hard, leaves)]
    return [diagnostic for diagnostic in findings if diagnostic.severity == "error"]


def _mentioned_twice(sources: Iterable[Source]) -> frozenset[str]:
    counts: Counter[str] = Counter()
    for source in sources:
        counts.update(_WORD.findall(source.text))
    return frozenset(word for word, count in counts.items() if count > 1)


def _unused(
    program: lg.Program, shapes: list[Shape], spared: frozenset[str], own: Sequence[Source]
) -> Iterator[Diagnostic]:
    used = set(spared)
    for shape in shapes:
        used |= shape.names
    for definition in program.definitions:
        used |= names_in(definition.body) - {definition.name}
    for predicate in program.predicates:
        used |= {predicate.within} if predicate.within else set()
    for model in program.models:
        used |= set(model.predicates) | set(_texts(model.call))
    for predicate in program.predicates:
        if predicate.name not in used and predicate.kind != "query":
            yield _finding(f"predicate `{predicate.name}` is never used", predicate, "warning")
    for definition in program.definitions:
        if definition.name not in used and not _is_for_others(program, definition, own):
            yield _finding(f"definition `{definition.name}` is never used", definition, "warning")
    for attribute in program.attributes:
        if attribute.name not in used and not (attribute.clock or attribute.asked):
            yield _finding(f"attribute `{attribute.name}` is never used", attribute, "hint")
    for parameter in program.parameters:
        if parameter.name not in used:
            yield _finding(f"parameter `{parameter.name}` is never used", parameter, "hint")
    sorts = _sorts_in(program)
    for domain in program.domains:
        if domain.name not in sorts and domain.name not in spared:
            yield _finding(f"domain `{domain.name}` is never used", domain, "hint")


def _is_for_others(program: lg.Program, definition: lg.Definition, own: Sequence[Source]) -> bool:
    """Whether another file may want a definition: an import, or a file of definitions alone."""
    source = definition.span.source if definition.span else None
    imported = bool(own) and source is not None and source is not own[0]
    return imported or not (program.rules or program.models)


def _finding(message: str, node: Any, severity: Any) -> Diagnostic:
    return Diagnostic("KR302", message, severity, name_span(node))


def _texts(value: lg.OptionValue) -> Iterator[str]:
    """Texts in the options of a model, which may name what it sees."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, lg.ModelCall):
        for option in (*value.positional, *(option for _, option in value.options)):
            yield from _texts(option)
    elif isinstance(value, tuple):
        for option in value:
            yield from _texts(option)


def _sorts_in(program: lg.Program) -> set[str]:
    sorts = {sort for predicate in program.predicates for sort in predicate.sorts}
    for attribute in program.attributes:
        sorts |= {*attribute.sorts, attribute.sort}
    return sorts


def _uninformed(
    program: lg.Program, shapes: list[Shape], spared: frozenset[str]
) -> Iterator[Diagnostic]:
    modelled = {name for model in program.models for name in model.predicates} | spared
    informed = modelled | {p.sees for p in program.predicates if p.sees and p.name in modelled}
    for shape in shapes:
        informed |= shape.opens
    for predicate in program.predicates:
        if predicate.sees and predicate.name not in modelled:
            yield Diagnostic(
                "KR303",
                f"no model speaks of `{predicate.name}`, and a view is what its models say",
                "warning",
                name_span(predicate),
                f"it sees nothing of `{predicate.sees}`",
                help=f"add `model m for {predicate.name} = ...`",
            )
        if predicate.kind == "query" and predicate.name not in informed:
            yield Diagnostic(
                "KR303",
                f"no model and no rule speaks of `{predicate.name}`",
                "warning",
                name_span(predicate),
                "every atom of it gets the base rate",
                help=f"add `model m for {predicate.name} = ...` or a rule",
            )


def _arbitrary(
    program: lg.Program, shapes: list[Shape], spared: frozenset[str]
) -> Iterator[Diagnostic]:
    anchored = {name for model in program.models for name in model.predicates} | spared
    tied: set[str] = set()
    for shape in shapes:
        weight = shape.rule.weight
        tied |= shape.opens
        if weight.kind != "open" or weight.sign or weight.value:
            anchored |= shape.opens
    for predicate in program.predicates:
        if predicate.kind == "latent" and predicate.name in tied - anchored:
            yield Diagnostic(
                "KR304",
                f"which side of `{predicate.name}` is true is arbitrary",
                "warning",
                name_span(predicate),
                "no model, and every rule about it is `[?]`",
                help="write one rule about it without a bracket, as a belief",
            )


def _unmeasurable(program: lg.Program) -> Iterator[Diagnostic]:
    for rule in program.every_rule:
        wanted = rule.weight.kind == "shadow" or rule.expected
        if wanted and head_form(rule.formula, program) is None:
            yield Diagnostic(
                "KR310",
                f"rule `{rule.name}` says nothing of one atom, so it is not measured",
                "warning",
                rule.expected[0].span if rule.expected else name_span(rule),
                help="`body => Head(x)` says something of `Head(x)` where the body holds",
            )


def _decided(shapes: list[Shape]) -> Iterator[Diagnostic]:
    for shape in shapes:
        if not shape.opens and shape.rule.weight.kind != "hard":  # a hard one checks the data
            yield Diagnostic(
                "KR411",
                f"rule `{shape.rule.name}` speaks of nothing unknown",
                "warning",
                name_span(shape.rule),
                "the data decide it, so it has no effect",
                help="a `query` or a `latent` predicate has to stand in it",
            )
