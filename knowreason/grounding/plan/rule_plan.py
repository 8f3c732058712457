"""The logical plan of a rule: what to join, what to compute, what stays open.

Pure logic, no tables. A grounding that an observed part decides by itself need not be
listed, so that part guards the join; the rest of the formula is folded row by row.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from knowreason.grounding.plan.formula_tree import (
    All,
    Any_,
    Crisp,
    Node,
    OpenCount,
    OpenLiteral,
    Same,
    conjuncts,
    negated,
    skeleton,
    variables_of,
)
from knowreason.logic import Directed, Formula, Program, Rule, Variable
from knowreason.logic.rule_forms import NeutralForm, neutral_form


@dataclass(frozen=True)
class RulePlan:
    """A rule ready to be grounded.

    Attributes:
        index: position of the rule in the program.
        rule: the rule.
        guards: crisp formulas that hold in every listed setting of its free variables.
        residual: the formula of a listed setting.
        decided: whether nothing open is left (a weight that cannot be learned).
        directed: of a directed rule (`~>`) its formula; the residual is then its body.
        neutral: of an association (`<~>`) its parts; the residual then holds its two atoms.
    """

    index: int
    rule: Rule
    guards: tuple[Formula, ...]
    residual: Node
    decided: bool = field(default=False)
    neutral: NeutralForm | None = field(default=None)
    directed: Directed | None = field(default=None)


def plan_rule(program: Program, index: int) -> RulePlan:
    """The plan of a rule: its guards, and the formula that they leave.

    For a weighted rule both truths of a decided grounding are constants; of a hard one
    only a true grounding may go unlisted.
    """
    rule = program.rules[index]
    form = neutral_form(rule.formula)
    if form is not None:
        return _plan_neutral(program, index, form)
    if isinstance(rule.formula, Directed):
        return _plan_directed(program, index, rule.formula)
    hard = rule.weight.kind == "hard"
    root = skeleton(rule.formula, program)
    residual, guards = peel(root, program, skip_true=True, skip_false=not hard)
    return RulePlan(index, rule, guards, residual, decided=is_crisp(residual))


def _plan_directed(program: Program, index: int, formula: Directed) -> RulePlan:
    """A directed rule: observed parts of the body guard it, and only what holds counts."""
    body = skeleton(formula.left, program)
    rest: Node
    if formula.how != "mean":
        rest, guards = peel(body, program, skip_true=False, skip_false=True)
    elif isinstance(body, Crisp):  # a mean is over all bodies whose observed part holds
        rest, guards = All(()), _flat([body.formula])
    else:
        parts = body.parts if isinstance(body, All) else (body,)
        rest = All(tuple(part for part in parts if not isinstance(part, Crisp)))
        guards = _flat([part.formula for part in parts if isinstance(part, Crisp)])
    within = _candidate_guard(OpenLiteral(formula.right), program, deciding=False)
    return RulePlan(index, program.rules[index], _flat([*guards, *within]), rest, directed=formula)


def _plan_neutral(program: Program, index: int, form: NeutralForm) -> RulePlan:
    """An association: everything observed guards it, no side is folded away."""
    sides = (OpenLiteral(form.left), OpenLiteral(form.right))
    guards = list(form.given)
    for side in sides:  # what is no candidate is false, and tells nothing about the other side
        guards += _candidate_guard(side, program, deciding=False)
    return RulePlan(index, program.rules[index], _flat(guards), All(sides), neutral=form)


def peel(
    node: Node, program: Program, *, skip_true: bool, skip_false: bool
) -> tuple[Node, tuple[Formula, ...]]:
    """A formula without the observed parts at its root that decide it, and those.

    Args:
        node: the formula.
        program: for the kinds of predicates.
        skip_true: whether groundings that are true need no row.
        skip_false: whether groundings that are false need no row.

    Returns:
        The rest of the formula, and what must hold for it to matter.
    """
    guards: list[Formula] = []
    while True:
        if isinstance(node, Any_) and skip_true:
            rest, guard = _strip(node, program, deciding=True)
        elif isinstance(node, All) and skip_false:
            rest, guard = _strip(node, program, deciding=False)
        elif isinstance(node, Crisp) and (skip_true or skip_false):
            node, root_guard = _crisp_root(node, skip_true)
            return node, _flat([*guards, root_guard])
        else:
            guards.extend(_leaf_guards(node, program, skip_true, skip_false))
            return node, _flat(guards)
        guards.extend(guard)
        if len(rest) == 1:
            node = rest[0]
            continue
        return (Any_ if isinstance(node, Any_) else All)(rest), _flat(guards)


def is_crisp(node: Node) -> bool:
    """Whether no open atom stands in it."""
    match node:
        case Crisp():
            return True
        case All(parts) | Any_(parts):
            return all(is_crisp(part) for part in parts)
        case Same(left, right):
            return is_crisp(left) and is_crisp(right)
        case _:
            return False


def leaves(node: Node) -> tuple[Crisp | OpenLiteral | OpenCount, ...]:
    """Leaves from left to right."""
    match node:
        case All(parts) | Any_(parts):
            return tuple(leaf for part in parts for leaf in leaves(part))
        case Same(left, right):
            return leaves(left) + leaves(right)
        case _:
            return (node,)


def clause_parts(node: Node) -> tuple[OpenLiteral | OpenCount | Crisp, ...] | None:
    """The disjuncts where the formula is a disjunction of leaves, else ``None``."""
    if isinstance(node, Crisp | OpenLiteral | OpenCount):
        return (node,)
    if isinstance(node, Any_):
        parts = []
        for part in node.parts:
            if not isinstance(part, Crisp | OpenLiteral | OpenCount):
                return None
            parts.append(part)
        return tuple(parts)
    return None


def outer_variables(tally: OpenCount) -> tuple[Variable, ...]:
    """Variables that the entries of a count share with what is around it."""
    bound = {variable.name for variable in tally.variables}
    inside = variables_of(tally.entries).values()
    return tuple(variable for variable in inside if variable.name not in bound)


def _strip(
    node: Any_ | All, program: Program, *, deciding: bool
) -> tuple[tuple[Node, ...], list[Formula]]:
    rest: list[Node] = []
    guards: list[Formula] = []
    for part in node.parts:
        if isinstance(part, Crisp):
            guard = negated(part) if deciding else part
            assert isinstance(guard, Crisp)
            guards.append(guard.formula)
            continue
        guards.extend(_candidate_guard(part, program, deciding=deciding))
        rest.append(part)
    return tuple(rest), guards


def _flat(guards: list[Formula]) -> tuple[Formula, ...]:
    return tuple(dict.fromkeys(part for guard in guards for part in conjuncts(guard)))


def _crisp_root(node: Crisp, skip_true: bool) -> tuple[Node, Formula]:
    """A formula without open atoms: only one of its truths is listed."""
    guard = negated(node) if skip_true else node
    assert isinstance(guard, Crisp)
    return (Any_(()) if skip_true else All(())), guard.formula


def _leaf_guards(node: Node, program: Program, skip_true: bool, skip_false: bool) -> list[Formula]:
    guards: list[Formula] = []
    if skip_true:
        guards.extend(_candidate_guard(node, program, deciding=True))
    if skip_false:
        guards.extend(_candidate_guard(node, program, deciding=False))
    return guards


def _candidate_guard(part: Node, program: Program, *, deciding: bool) -> list[Formula]:
    """A literal whose atom is false outside its candidates, where that decides the formula."""
    if not isinstance(part, OpenLiteral) or part.positive == deciding:
        return []
    within = program.candidacy(part.atom)
    return [] if within is None else [within]
