"""What stands in the square brackets of a rule."""

from __future__ import annotations

import math
from typing import Literal, cast

from knowreason import logic as lg
from knowreason.errors import did_you_mean
from knowreason.lang.check.expressions import Builder
from knowreason.lang.check.symbols import Names, a_sort
from knowreason.lang.check.units import NUMBERS
from knowreason.lang.check.variable_scopes import Scope, knows_sort
from knowreason.lang.syntax import nodes as sx
from knowreason.logic.canonical_text import chance_text


def elaborate_weight(names: Names, scope: Scope, node: sx.WeightNode | None) -> lg.Weight | None:
    """The weight of a rule, or ``None`` where it is faulty."""
    if node is None:
        return lg.Weight("stated")
    if node.kind == "shadow":
        return lg.Weight("shadow")
    if node.kind == "bare":
        names.report(
            "KR109",
            "a weight is missing",
            node.span,
            help="`[?]` is a weight to be learned, `[? * expr]` one with a feature",
        )
        return None
    if node.kind == "given" and node.per:
        names.report(
            "KR109",
            "a given weight is one number",
            node.span,
            help="`[? per x]` learns one weight for each value",
        )
        return None
    if node.bound is not None and node.bound.value != 0:
        names.report(
            "KR109", "a learned weight is bounded at 0 only", node.bound.span, help="write `>= 0`"
        )
        return None
    per = tuple(_per(names, scope, name) for name in node.per)
    feature = None if node.feature is None else _feature(names, scope, node.feature)
    if None in per or (node.feature is not None and feature is None):
        return None
    variables = cast("tuple[lg.Variable, ...]", per)
    if not _drawn(names, node, variables):
        return None
    if not isinstance(node.value, sx.Chance):
        value = None if node.value is None else float(cast(float, node.value.value))
        return lg.Weight(node.kind, value, node.sign, variables, feature)
    odds = _odds(names, node.value)
    if odds is None:
        return None
    written = chance_text(node.value.form, node.value.amount)
    return lg.Weight(node.kind, math.log(odds), node.sign, variables, feature, written)


def elaborate_expectation(names: Names, node: sx.ExpectationNode) -> lg.Expectation | None:
    """What a rule should come to, or ``None`` where that is faulty."""
    figure = node.figure.text
    if figure not in ("precision", "recall", "fires"):
        meant = did_you_mean(figure, ("precision", "recall", "fires"))
        help = meant or "a rule has a `precision`, a `recall`, and `fires` so many times"
        names.report("KR114", f"`{figure}` is nothing a rule has", node.figure.span, help=help)
        return None
    if isinstance(node.amount, sx.Chance):
        amount, written = node.amount.amount / 100, chance_text("%", node.amount.amount)
    else:
        amount, written = float(cast(float, node.amount.value)), ""
    if figure == "fires" and (written or amount != int(amount)):
        message, help = "how often a rule fires is a whole number", "such as `fires <= 200`"
    elif figure != "fires" and amount > 1:
        message, help = f"a {figure} is at most 1", f"`{figure} {node.operator} 30%` is a share"
    else:
        kind = cast(Literal["precision", "recall", "fires"], figure)
        return lg.Expectation(kind, node.operator, amount, written, span=node.span)
    names.report("KR114", message, node.amount.span, help=help)
    return None


def _odds(names: Names, chance: sx.Chance) -> float | None:
    """The odds that a weight is written as; nothing for what is certain, or no chance at all."""
    amount, percent = chance.amount, chance.form == "%"
    if percent and amount > 100:
        message, help = "a chance is at most 100 %", "odds have no bound: `[odds 4]` is `[80%]`"
    elif amount == 0:
        message = "what never holds has no odds"
        help = "write `[hard]` and the negation: `rule name [hard] : !(...)`"
    elif percent and amount == 100:
        message, help = "what always holds has no odds", "write `[hard]`: `rule name [hard] : ...`"
    else:
        return amount / (100 - amount) if percent else amount
    names.report("KR109", message, chance.span, help=help)
    return None


def _drawn(names: Names, node: sx.WeightNode, per: tuple[lg.Variable, ...]) -> bool:
    """Whether weights per thing of an open domain may be drawn around a mean; reports it if not."""
    for variable in per:
        if node.sign and names.domains.get(variable.sort) is None:
            names.report(
                "KR407",
                f"weights of every {variable.sort} are drawn around a common mean, on either side",
                variable.span,
                "over an open domain",
                related=[(names.places.get(variable.sort), "an open domain")],
                help=f"leave `{node.sign} 0` out, or enumerate the domain: "
                f'`domain {variable.sort} = {{ "a", "b" }}`',
            )
            return False
    return True


def _per(names: Names, scope: Scope, name: sx.Name) -> lg.Variable | None:
    bound = scope.free.get(name.text)
    if bound is None:
        names.report(
            "KR206",
            f"`{name.text}` is no variable of this rule",
            name.span,
            help=f"the rule speaks of {', '.join(scope.free)}" if scope.free else None,
        )
        return None
    if not knows_sort(bound):
        return None
    sort = cast(str, bound.sort)
    return lg.Variable(name.text, sort, span=name.span)


def _feature(names: Names, scope: Scope, node: sx.Expression) -> lg.Term | None:
    outside = Scope(names)
    outside.look(node)
    strange = [bound for name, bound in outside.free.items() if name not in scope.free]
    for bound in strange:
        names.report(
            "KR206",
            f"`{bound.name}` is no variable of this rule",
            bound.first,
            help=f"the rule speaks of {', '.join(scope.free)}" if scope.free else None,
        )
    aggregates = _aggregates(node)
    for aggregate in aggregates:
        names.report(
            "KR409",
            "a weight takes no aggregate",
            aggregate.span,
            help="give it a name with `define` and use the name",
        )
    if strange or aggregates:
        return None
    term = Builder(names, scope, "a weight").term(node)
    if term is None:
        return None
    if term.sort not in NUMBERS:
        names.report(
            "KR209",
            f"a weight is multiplied by a number, not by {a_sort(term.sort)}",
            node.span,
            help="divide by a duration, as in `... / 1h`" if term.sort == "duration" else None,
        )
        return None
    return term


def _aggregates(node: sx.Expression) -> list[sx.AggregateNode | sx.CountListNode]:
    aggregates: list[sx.AggregateNode | sx.CountListNode] = []
    pending: list[object] = [node]
    while pending:
        here = pending.pop()
        if isinstance(here, (sx.AggregateNode, sx.CountListNode)):
            aggregates.append(here)
        elif hasattr(here, "span"):
            pending.extend(sx.children(here))
    return aggregates
