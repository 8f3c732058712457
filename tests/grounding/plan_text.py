"""The logical plan of a rule as text, for people who review a change of it."""

from __future__ import annotations

from collections.abc import Iterator

from knowreason.grounding.plan.domain_products import ranging_variables
from knowreason.grounding.plan.formula_tree import (
    All,
    Any_,
    Crisp,
    Node,
    OpenCount,
    OpenLiteral,
    Same,
)
from knowreason.grounding.plan.rule_plan import RulePlan
from knowreason.logic import Term
from knowreason.logic.canonical_text import formula_text, term_text

_INDENT = "  "


def plan_text(plan: RulePlan) -> str:
    """The plan in lines: what is joined, what ranges over a domain, and what is folded.

    A line a guard (``join E(x, y)``), a line a variable that no guard binds
    (``range x over Person``), and the formula of a listed setting as a tree: ``observed`` and
    ``open`` leaves under ``all of``, ``any of`` and ``equal``, and counts with their bounds.
    """
    guards = [f"join {formula_text(guard)}" for guard in plan.guards]
    ranging = ranging_variables(plan.guards, plan.rule.variables)
    ranges = [f"range {variable.name} over {variable.sort}" for variable in ranging]
    folded = ["fold", *_node_lines(plan.residual, _INDENT)]
    decided = ["decided: no unknown is left"] if plan.decided else []
    return "\n".join([*guards, *ranges, *folded, *decided])


def _node_lines(node: Node, indent: str) -> Iterator[str]:
    match node:
        case Crisp(formula):
            yield f"{indent}observed {formula_text(formula)}"
        case OpenLiteral(atom, positive):
            yield f"{indent}open {'' if positive else '!'}{formula_text(atom)}"
        case OpenCount():
            yield f"{indent}{_tally_head(node)}"
            for entry in node.entries:
                yield from _node_lines(entry, indent + _INDENT)
        case All(parts) | Any_(parts):
            word = "all of" if isinstance(node, All) else "any of"
            yield f"{indent}{word}{'' if parts else ' nothing'}"
            for part in parts:
                yield from _node_lines(part, indent + _INDENT)
        case Same(left, right):
            yield f"{indent}equal"
            for side in (left, right):
                yield from _node_lines(side, indent + _INDENT)


def _tally_head(tally: OpenCount) -> str:
    """``count over y: A, at least 1``; a written list is counted over nothing."""
    over = ", ".join(f"{variable.name}: {variable.sort}" for variable in tally.variables)
    bounds = [
        f"{word} {_bound_text(bound)}"
        for word, bound in (("at least", tally.lower), ("at most", tally.upper))
        if bound is not None
    ]
    name = "count" if tally.positive else "not: count"
    return f"{name}{' over ' + over if over else ' of a list'}, {' and '.join(bounds)}"


def _bound_text(bound: Term | int) -> str:
    return str(bound) if isinstance(bound, int) else term_text(bound)
