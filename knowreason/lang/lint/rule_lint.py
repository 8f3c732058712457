"""Hints about how the groundings of a rule count."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import combinations

from knowreason import logic as lg
from knowreason.diagnostics import Diagnostic, Related
from knowreason.lang.check.symbols import name_span
from knowreason.lang.lint.rule_shapes import Shape
from knowreason.logic.canonical_text import number_text
from knowreason.logic.propositional_form import Leaves, canonical_text, term_template

MOST_FOR, MOST_AGAINST = 10, -20  # log-odds people state; against: of rare pairs, one in millions


def misread_weights(shapes: Sequence[Shape]) -> Iterator[Diagnostic]:
    """Weights that look like percentages and are read as log-odds: ``[80]``, and ``[0.8]`` where
    other rules are written in chances."""
    chances = any(shape.rule.weight.written for shape in shapes)
    for shape in shapes:
        rule, weight = shape.rule, shape.rule.weight
        if weight.value is None or weight.written or weight.feature is not None:
            continue
        value, text = weight.value, number_text(weight.value)
        if value >= MOST_FOR or value <= MOST_AGAINST:
            rest, far = f"{math.exp(-abs(value)):.1g}", value > 0
            chance = f"1 - {rest}" if far else rest
            help = "what never holds is `[hard]` with the negation"
            if far:
                help = "what must hold is `[hard]`"
                help = f"odds of {text} to 1 are `[odds {text}]`; {help}"
            if far and value < 100:
                help = f"did you mean `[{text}%]`? {help}"
            message = f"log-odds of {text} are a chance of {chance}"
            yield Diagnostic("KR309", message, "warning", name_span(rule), help=help)
        elif chances and 0 < value < 1:
            percent = number_text(round(100 * value, 6))
            read = f"{100 / (1 + math.exp(-value)):.0f} %"
            message = f"`[{text}]` are log-odds, a chance of {read}; other rules state chances"
            help = f"did you mean `[{percent}%]`?"
            yield Diagnostic("KR309", message, "hint", name_span(rule), help=help)


def lonely_variables(shapes: Sequence[Shape]) -> Iterator[Diagnostic]:
    """Variables that are used once, in rules of more than one atom."""
    for shape in shapes:
        if isinstance(shape.rule.formula, lg.Atom):
            continue
        for variable in shape.rule.variables:
            if shape.uses[variable.name] == 1 and variable.name not in shape.weighed:
                yield Diagnostic(
                    "KR301",
                    f"variable `{variable.name}` is used once, so each {variable.sort} counts",
                    "hint",
                    variable.span,
                    f"one grounding for every {variable.sort}",
                    help=f"with `_` for `{variable.name}` it counts once; leave it if each counts",
                )


def swaps(shapes: Sequence[Shape], leaves: Leaves) -> Iterator[Diagnostic]:
    """Rules that say the same with two variables swapped: each pair counts twice."""
    for shape in shapes:
        variables = shape.rule.variables
        if len(variables) < 2:
            continue
        for one, other in combinations(variables, 2):
            if (
                one.sort == other.sort
                and shape.uses[one.name] == shape.uses[other.name]
                and _same_when_swapped(shape, leaves, one.name, other.name)
            ):
                yield Diagnostic(
                    "KR305",
                    f"`{one.name}` and `{other.name}` may change places, so each pair counts twice",
                    "hint",
                    name_span(shape.rule),
                    help=f"add `{one.name} < {other.name}` to take each pair once",
                )


def _same_when_swapped(shape: Shape, leaves: Leaves, one: str, other: str) -> bool:
    weight = shape.rule.weight
    if (one in shape.weighed) != (other in shape.weighed):
        return False
    swap = {one: other, other: one}
    if weight.feature is not None and one in shape.weighed:
        feature = term_template(weight.feature)
        if feature.text(swap) != feature.text({}):
            return False
    if shape.clause is None:
        formula = shape.rule.formula
        return canonical_text(formula, leaves, swap) == canonical_text(formula, leaves, {})
    if shape.roles(one) != shape.roles(other):
        return False
    plain = {(sign, leaf.text({})) for sign, leaf in shape.clause}
    return plain == {(sign, leaf.text(swap)) for sign, leaf in shape.clause}


def groups(program: lg.Program, shapes: Sequence[Shape]) -> Iterator[Diagnostic]:
    """Rules that tie two unknowns because their things share a third one."""
    unknown = frozenset(predicate.name for predicate in program.open_predicates)
    for shape in shapes:
        if shape.rule.weight.feature is not None or len(shape.rule.variables) < 2:
            continue
        shared = _shared(shape, unknown)
        if shared is None:
            continue
        one, other, group = shared
        yield Diagnostic(
            "KR306",
            f"this rule ties every `{one.name}` to every `{other.name}` of {group}",
            "hint",
            name_span(shape.rule),
            "n things of a group make n² factors, which add up",
            tuple(Related(v.span, f"`{v.name}`") for v in (one, other) if v.span is not None),
            "give the group an unknown of its own (a `latent` predicate) and tie each thing to"
            " it, or divide the weight by their number; an implication between two unknowns also"
            " lowers the first where the second is false",
        )


def _shared(shape: Shape, unknown: frozenset[str]) -> tuple[lg.Variable, lg.Variable, str] | None:
    """Two variables of unknowns that stand alike beside the same third thing."""
    if shape.clause is None:
        return None
    beside = set()
    for _, leaf in shape.clause:
        if leaf.predicate in unknown:
            beside |= set(leaf.variables)
    sorts = {variable.name: variable for variable in shape.rule.variables}
    observed = [leaf for sign, leaf in shape.clause if not sign and leaf.predicate not in unknown]
    for first, second in combinations(observed, 2):
        if first.template != second.template or first.predicate == "":
            continue
        differing = [
            (a, b) for a, b in zip(first.variables, second.variables, strict=True) if a != b
        ]
        shared = set(first.variables) & set(second.variables) - beside
        if len(differing) == 1 and shared and set(differing[0]) <= beside:
            one, other = (sorts[name] for name in differing[0])
            return one, other, f"the same {sorts[min(shared)].sort}"
    for leaf in observed:  # `merchant(e) = merchant(f)`
        if leaf.commutes and not leaf.predicate and set(leaf.variables) <= beside:
            name = f"the same `{leaf.template.split('(')[0]}`"
            if "(" in leaf.template and leaf.variables[0] != leaf.variables[1]:
                return sorts[leaf.variables[0]], sorts[leaf.variables[1]], name
    return None
