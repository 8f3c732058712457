"""Groundings at an atom and what each does to its log-odds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from knowreason.explanation.explanation_text import Reason
from knowreason.explanation.graph_variants import Question, Variant
from knowreason.explanation.neighbourhood import Neighbourhood
from knowreason.grounding import Grounding, GroundRule
from knowreason.logic import Constant, Directed, Formula
from knowreason.logic.canonical_text import formula_text
from knowreason.logic.traversal import substitute

MOST_GROUNDINGS = 64  # whose absence is solved for
Effects = list[tuple[GroundRule, float]]


def ask_effects(
    grounding: Grounding, near: Neighbourhood, groundings: Sequence[GroundRule], limit: int
) -> Question[Effects]:
    """Ask for the groundings at the atom with the strongest effects: its log-odds less those
    without the grounding.

    Those over the atom alone are weights themselves and ask for nothing.

    Args:
        grounding: what is explained.
        near: neighbourhood of the atom.
        groundings: of rules at the atom.
        limit: most groundings; with 0 nothing is asked.
    """
    place = {whole: local for local, (whole, _) in enumerate(near.rows)}
    candidates: dict[tuple[int, int], GroundRule] = {}
    centre = int(near.atoms[near.centre])
    known = unary_effects(grounding, centre, groundings) if limit else []
    for ground_rule in groundings if limit else ():
        if ground_rule.kind == "unit" or _at_a_body(grounding, ground_rule, centre):
            continue
        local = place.get(ground_rule.place) if ground_rule.kind != "count" else None
        if local is not None and len(candidates) < MOST_GROUNDINGS:
            row = int(np.searchsorted(near.rows[local][1], ground_rule.row))
            candidates.setdefault((local, row), ground_rule)
    chosen = list(candidates.values())

    def answer(results: NDArray[np.float64]) -> Effects:
        effects = (results[:1] - results[1:]).tolist()
        found = [*zip(chosen, effects, strict=True), *known]
        return sorted(found, key=lambda pair: -abs(pair[1]))[:limit]

    rests = {pairs.place: pairs.rest for pairs in grounding.associations}
    return Question(tuple(_leave_one_out(near, candidates, rests)), answer)


def unary_effects(grounding: Grounding, atom: int, groundings: Sequence[GroundRule]) -> Effects:
    """Groundings over the atom alone and their effects, which are exact: an atom's log-odds are a
    sum of its unary part and of what all else says, also in a functional predicate's block."""
    theta = grounding.graph.theta.numpy()
    found = []
    for one in groundings:
        if one.kind == "unit" and one.parameter is not None and one.atoms == (atom,):
            sign = 1.0 if one.positive else -1.0
            found.append((one, sign * float(theta[one.parameter]) * one.value))
    return found


def _at_a_body(grounding: Grounding, ground_rule: GroundRule, atom: int) -> bool:
    """Whether the atom is a body of a directed rule: what the head says of it is not said by one
    grounding, whose table alone would push an unobserved head's bodies."""
    formula = grounding.program.rules[ground_rule.rule_index].formula
    if ground_rule.kind != "group" or not isinstance(formula, Directed):
        return False
    head = grounding.graph.factors[ground_rule.place].atoms[ground_rule.row, -1]
    return int(head) != atom


def _leave_one_out(
    near: Neighbourhood,
    candidates: dict[tuple[int, int], GroundRule],
    rests: Mapping[int, int],
) -> list[Variant]:
    """All factors, and each candidate's left out; ``rests`` are places of fixed tables."""
    if not candidates:
        return []
    variants = [Variant()]
    local_of = {whole: local for local, (whole, _) in enumerate(near.rows)}
    for (local, row), ground_rule in candidates.items():
        mask = np.zeros(near.graph.factors[local].rows, dtype=bool)
        mask[row] = True
        masks = {local: mask}
        rest = local_of.get(rests.get(ground_rule.place, -1))
        if rest is not None:  # a fixed table a pair, in the same order
            masks[rest] = mask
        variants.append(Variant(masks))
    return variants


def reason_of(
    grounding: Grounding,
    atom: int,
    ground_rule: GroundRule,
    effect: float,
    log_odds: NDArray[np.float64],
) -> Reason:
    """A grounding in words; ``log_odds`` are ``float64[n]`` of all atoms."""
    others = tuple(
        (grounding.atom_name(other), float(expit(log_odds[other])))
        for other in ground_rule.atoms
        if other != atom and grounding.atoms.owner(other) is not None
    )
    return Reason(ground_rule.rule, grounding_text(grounding, ground_rule), effect, others)


def grounding_text(grounding: Grounding, ground_rule: GroundRule) -> str:
    """The rule's formula with names from the data in place of its variables."""
    return formula_text(ground_formula(grounding, ground_rule))


def ground_formula(grounding: Grounding, ground_rule: GroundRule) -> Formula:
    """The rule's formula with constants in place of its variables."""
    rule = grounding.program.rules[ground_rule.rule_index]
    terms = {
        variable.name: Constant(ground_rule.substitution[variable.name], variable.sort)
        for variable in rule.variables
    }
    return substitute(rule.formula, terms)
