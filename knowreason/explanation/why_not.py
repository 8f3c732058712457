"""Why a rule that could support an atom does not fire: the literal that is missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sqlglot import exp

from knowreason.explanation.explanation_text import Obstacle
from knowreason.factors import AtomSpan
from knowreason.grounding import Grounding, GroundRule
from knowreason.grounding.arrays.array_relations import AnyRelations, ArrayRelations
from knowreason.grounding.relational.conjunctive_query import Conjunction
from knowreason.grounding.relational.engine_errors import Evaluated
from knowreason.logic import And, Atom, Constant, Formula, Implies, Not, Or, Program, Rule, Variable
from knowreason.logic.canonical_text import formula_text
from knowreason.logic.traversal import conjuncts, free_variables, substitute, walk

LIKELY = 0.5  # a body literal above this does not stand in the way


def why_not(
    grounding: Grounding,
    atom: int,
    log_odds: NDArray[np.float64],
    groundings: Sequence[GroundRule],
    relations: AnyRelations,
    limit: int = 3,
) -> tuple[Obstacle, ...]:
    """Rules with the atom's predicate on their right side that do not support it.

    Args:
        grounding: what is explained.
        atom: index.
        log_odds: ``float64[n]`` marginals.
        groundings: of rules at the atom.
        relations: what is observed.
        limit: most obstacles, heaviest rules first.
    """
    span = grounding.atoms.owner(atom)
    if span is None:
        return ()
    program = grounding.program
    names = tuple(
        grounding.data.vocabularies[sort].name(int(thing))
        for sort, thing in zip(
            program.sorts_of(span.predicate), span.arguments[atom - span.start], strict=True
        )
    )
    weights = dict(zip(grounding.parameters.names, grounding.graph.theta.tolist(), strict=True))
    rules = sorted(program.rules, key=lambda rule: -abs(weights.get(rule.name, np.inf)))
    found: list[Obstacle] = []
    firing = _best_bodies(grounding, atom, log_odds, groundings)
    for rule in rules:
        if len(found) == limit:
            break
        for body, binding in _matches(rule, span, names):
            obstacle = firing.get(rule.name)
            if obstacle is None:
                with relations.evaluating(Evaluated(f"rule `{rule.name}`", (body,), rule.span)):
                    obstacle = _missing(relations, program, rule, body, binding)
            if obstacle is not None and obstacle.probability < LIKELY:
                found.append(obstacle)
                break
    return tuple(found)


def _best_bodies(
    grounding: Grounding,
    atom: int,
    log_odds: NDArray[np.float64],
    groundings: Sequence[GroundRule],
) -> dict[str, Obstacle]:
    """For rules that are grounded at the atom: the least likely literal of the best body."""
    best: dict[str, Obstacle] = {}
    for ground_rule in groundings:
        rule = grounding.program.rules[ground_rule.rule_index]
        weakest = _weakest(grounding, rule, ground_rule.atoms, atom, log_odds)
        if weakest is None:
            best[rule.name] = Obstacle(rule.name, "", 1.0)
        elif rule.name not in best or weakest.probability > best[rule.name].probability:
            best[rule.name] = weakest
    return best


def _weakest(
    grounding: Grounding,
    rule: Rule,
    atoms: tuple[int, ...],
    atom: int,
    log_odds: NDArray[np.float64],
) -> Obstacle | None:
    body = rule.formula.left if isinstance(rule.formula, Implies) else None
    negated = {
        part.operand.predicate
        for part in (conjuncts(body) if body is not None else ())
        if isinstance(part, Not) and isinstance(part.operand, Atom)
    }
    weakest = None
    for other in atoms:
        span = grounding.atoms.owner(other)
        if other == atom or span is None:
            continue
        sign = -1.0 if span.predicate in negated else 1.0
        likely = float(expit(sign * log_odds[other]))
        if weakest is None or likely < weakest.probability:
            name = ("!" if sign < 0 else "") + grounding.atom_name(other)
            weakest = Obstacle(rule.name, name, likely)
    return weakest


def _matches(
    rule: Rule, span: AtomSpan, names: tuple[str, ...]
) -> Iterator[tuple[Formula, dict[str, Constant]]]:
    """Bodies of the rule whose conclusion is the atom, and what that binds."""
    if not isinstance(rule.formula, Implies):
        return
    heads = rule.formula.right
    for head in heads.operands if isinstance(heads, Or) else conjuncts(heads):
        if isinstance(head, Atom) and head.predicate == span.predicate:
            binding = _binding(head, names)
            if binding is not None:
                yield rule.formula.left, binding


def _binding(head: Atom, names: tuple[str, ...]) -> dict[str, Constant] | None:
    binding: dict[str, Constant] = {}
    for term, name in zip(head.arguments, names, strict=True):
        if isinstance(term, Variable):
            if binding.get(term.name, Constant(name, term.sort)).value != name:
                return None
            binding[term.name] = Constant(name, term.sort)
        elif isinstance(term, Constant) and term.value != name:
            return None
    return binding


def _missing(
    relations: AnyRelations,
    program: Program,
    rule: Rule,
    body: Formula,
    binding: Mapping[str, Constant],
) -> Obstacle | None:
    """The first crisp literal of the body that no row satisfies together with those before."""
    held: list[Formula] = []
    for part in conjuncts(substitute(body, binding)):
        if any(isinstance(node, Atom) and program.is_open(node.predicate) for node in walk(part)):
            continue
        bound = {v.name for formula in held for v in free_variables(formula)}
        if not isinstance(part, Atom) and not {v.name for v in free_variables(part)} <= bound:
            continue
        if not _satisfiable(relations, [*held, part]):
            return Obstacle(rule.name, formula_text(part), 0.0)
        held.append(part)
    return None


def _satisfiable(relations: AnyRelations, parts: list[Formula]) -> bool:
    if isinstance(relations, ArrayRelations):
        settings = relations.settings({}, 1)
        settings.satisfy(And(tuple(parts)), ())
        return settings.rows > 0
    conjunction = Conjunction(relations)
    for part in parts:
        if isinstance(part, Atom):
            conjunction.join(part)
    for part in parts:
        if not isinstance(part, Atom):
            conjunction.where(part)
    return relations.rows(conjunction.select({"one": exp.Literal.number(1)})) > 0
