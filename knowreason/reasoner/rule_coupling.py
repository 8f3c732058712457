"""What rules tie together more strongly than evidence can loosen, and what they push down."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from knowreason.diagnostics import Diagnostic
from knowreason.errors import InferenceError
from knowreason.factors import FactorGraph, ParameterTable
from knowreason.factors.components.coupling import Coupling
from knowreason.factors.condition import condition
from knowreason.grounding import Grounding
from knowreason.grounding.base_rates import BaseRates
from knowreason.logic import Atom, Iff, Implies, Program, Rule
from knowreason.logic.formulas import Formula
from knowreason.logic.traversal import walk

Vector = NDArray[np.float64]
NEAR = 0.95  # radius from which a rule is said to tie things into one opinion
BELOW = 0.9  # where learned weights start instead
ROUNDS = 8  # of scaling them
MANY, STRONG = 10, 3.0  # groundings of an unknown body, and log-odds they take away from it


@dataclass(frozen=True)
class Tie:
    """A rule that ties unknowns into one opinion.

    Attributes:
        rule: its place in the program.
        atoms: unknowns of the largest component it is part of.
        radius, without: coupling with all rules and without this one.
    """

    rule: int
    atoms: int
    radius: float
    without: float


def ties(grounding: Grounding, theta: Vector) -> tuple[Tie, ...]:
    """Rules that carry a coupling near or above 1 at the weights ``theta`` (``float64[p]``).

    Such are those that do so by themselves; where none does, those without which it would be
    less, or all of them. None where no world is possible: that is said elsewhere.
    """
    try:
        known = condition(grounding.at(torch.from_numpy(theta)))
    except InferenceError:
        return ()
    whole = Coupling.of(known)
    radius = whole.radius(NEAR)
    if radius < NEAR:
        return ()
    table = grounding.parameters
    rules = sorted({p.rule for p in known.couplings if not p.is_hard and p.rule >= 0})

    def at(left_out: Iterable[int]) -> Coupling:
        weights = torch.from_numpy(np.where(np.isin(table.owner, [*left_out]), 0.0, theta))
        if grounding.is_linear:
            return Coupling.of(known.with_theta(weights))
        return Coupling.of(condition(grounding.at(weights)))

    alone = {rule: at(other for other in rules if other != rule) for rule in rules}
    found = [rule for rule in rules if alone[rule].radius(NEAR) >= NEAR]
    without = {rule: at([rule]).radius() for rule in found or rules}
    if not found:
        found = [rule for rule in rules if without[rule] < NEAR] or rules
        alone = dict.fromkeys(found, whole)
    return tuple(Tie(rule, alone[rule].largest(), radius, without[rule]) for rule in found)


def coupling_warnings(grounding: Grounding, theta: Vector) -> tuple[Diagnostic, ...]:
    """KR832 for every rule of :func:`ties`."""
    rules = grounding.program.rules
    return tuple(
        Diagnostic(
            "KR832",
            f"rule `{rules[tie.rule].name}` ties {tie.atoms:,} unknowns into one opinion: coupling "
            f"{tie.radius:.2f}, {tie.without:.2f} without it (evidence spreads safely below 1)",
            "warning",
            rules[tie.rule].span,
            help="divide its weight by their number, lower it, or ask for a count as a definition",
        )
        for tie in ties(grounding, theta)
    )


def with_rule_warnings(grounding: Grounding) -> Grounding:
    """The grounding with what its rules do at their stated weights before anything is learned."""
    theta = grounding.parameters.start
    found = (*coupling_warnings(grounding, theta), *pushing_warnings(grounding, theta))
    return replace(grounding, warnings=(*grounding.warnings, *found))


def starting_below(grounding: Grounding, table: ParameterTable) -> ParameterTable:
    """Learned weights of rules that tie too much start where the coupling is 0.9.

    Only starts move, and only towards 0: priors say what they said. The radius is concave in a
    common factor of all weights, so that each step ends above the goal.
    """
    start = table.start
    tied = [tie.rule for tie in ties(grounding, start)]
    moves = np.isin(table.owner, tied) & table.learned
    for _ in range(ROUNDS if moves.any() else 0):
        graph = condition(grounding.at(torch.from_numpy(start)))
        radius = Coupling.of(graph).radius(BELOW)
        if radius <= NEAR:
            break
        scaled = np.clip(start * BELOW / radius, table.lower, table.upper)
        start = np.where(moves, scaled, start)
    return replace(table, start=start)


def pushing_warnings(grounding: Grounding, theta: Vector) -> tuple[Diagnostic, ...]:
    """KR833 for implications and equivalences between unknowns that stand in many groundings each.

    Where its head is unobserved an implication lowers its body, once a grounding, and an
    equivalence moves both sides. What counts is the tenth of the atoms with most groundings.
    """
    program, graph = grounding.program, grounding.graph
    weights = torch.from_numpy(theta)
    found = []
    for index, rule in enumerate(program.rules):
        pushed = _pushed(program, rule)
        if not pushed:
            continue
        number, push = _pushes(graph, weights, index)
        for predicate in sorted(pushed):
            span = grounding.atoms.spans[predicate]
            mine = number[span.start : span.stop]
            most = span.start + np.argsort(-mine, kind="stable")[: -(-np.count_nonzero(mine) // 10)]
            if len(most) and number[most].mean() > MANY and push[most].mean() > STRONG:
                found.append(
                    Diagnostic(
                        "KR833",
                        f"each of {len(most):,} `{predicate}` stands in {number[most].mean():,.0f} "
                        f"groundings of `{rule.name}` on average, which push it by up to "
                        f"{push[most].mean():,.1f} log-odds while what they tie it to is unknown",
                        "warning",
                        rule.span,
                        help="write `~>` where the body is a cause, `<~>` where the two are alike",
                    )
                )
    return tuple(found)


def _pushed(program: Program, rule: Rule) -> set[str]:
    """Open predicates in bodies of implications with an open head, and on sides of equivalences."""
    found = set[str]()
    for node in walk(rule.formula) if rule.weight.kind != "hard" else ():
        if isinstance(node, Implies | Iff) and (head := _open(program, node.right)):
            body = _open(program, node.left)
            found |= body | head if body and isinstance(node, Iff) else body
    return found


def _open(program: Program, formula: Formula) -> set[str]:
    atoms = (node.predicate for node in walk(formula) if isinstance(node, Atom))
    return {name for name in atoms if program.is_open(name)}


def _pushes(graph: FactorGraph, weights: torch.Tensor, rule: int) -> tuple[Vector, Vector]:
    """``float64[n]`` number of ground factors of a rule at each atom, and their weight."""
    number, push = np.zeros(graph.atom_count), np.zeros(graph.atom_count)
    for part in graph.couplings:
        if part.rule == rule and not part.is_hard:
            atoms = part.entry_atoms
            each = part.weights(weights).numpy()[part.owners()]
            number += np.bincount(atoms, minlength=len(number))
            push += np.bincount(atoms, each, minlength=len(push))
    return number, push


def latent_warnings(grounding: Grounding, theta: Vector) -> tuple[Diagnostic, ...]:
    """KR834 for latent predicates whose learned base rate is above one half."""
    return tuple(
        Diagnostic(
            "KR834",
            f"latent `{predicate}` is true of {rate:.0%} where nothing is known: its base rate was "
            "learned above one half, so it may mean the opposite of its name, or what is usual",
            "warning",
            help=f"state how rare it is (`rule rare [-3] : {predicate}(...)`), or the signs of its "
            "rules (`[? 1 >= 0]`)",
        )
        for predicate, rate in _latent_rates(grounding, theta)
        if rate > 0.5
    )


def _latent_rates(grounding: Grounding, theta: Vector) -> Iterator[tuple[str, float]]:
    table, program = grounding.parameters, grounding.program
    rates = BaseRates.of(program, grounding.data, grounding.atoms, table)
    known = rates.probabilities(theta)
    for predicate, span in grounding.atoms.spans.items():
        mine = slice(span.start, span.stop)
        used = np.concatenate([which[mine] for which in rates.parameters])
        learned = table.learned[used[used >= 0]].any()
        latent = program.kind_of(predicate) == "latent" and span.functional_position is None
        latent = latent and program.question_of(predicate) == predicate  # no view
        if latent and learned and span.count:
            yield predicate, float(known[mine].mean())
