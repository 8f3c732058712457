"""Why an atom is believed, why not, and what would change it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from knowreason.explain.copies import Variant, solve
from knowreason.explain.explanation import (
    Change,
    Explanation,
    Obstacle,
    Reason,
    Share,
    explanation_lines,
)
from knowreason.explain.neighbourhood import Neighbourhood, neighbourhood
from knowreason.explain.shares import Split, split
from knowreason.explain.what_if import what_if
from knowreason.explain.why_not import why_not
from knowreason.factors.outputs import ModelOutput
from knowreason.ground import Grounding, GroundRule
from knowreason.infer.posterior import Posterior
from knowreason.logic import Constant
from knowreason.logic.text import formula_text
from knowreason.logic.variables import substitute

__all__ = [
    "Change",
    "Explanation",
    "Obstacle",
    "Reason",
    "Share",
    "explain",
    "explanation_lines",
]


def explain(
    grounding: Grounding,
    posterior: Posterior,
    atom: int,
    outputs: Sequence[ModelOutput] = (),
    *,
    reasons: int = 5,
    obstacles: int = 3,
    changes: int = 3,
    atoms: int = 400,
    seed: int = 0,
) -> Explanation:
    """Explain one atom.

    Its component is solved again (its surroundings, with the marginals of the atoms at
    the edge, where it has more than ``atoms``), with and without the rules that touch it.

    Args:
        grounding: the factor graph at the weights that were used, and where it came from.
        posterior: beliefs about it.
        atom: index of an open atom.
        outputs: what the models said.
        reasons, obstacles, changes: how many to give at most; 0 leaves the question out.
        atoms: size of the neighbourhood.
        seed: of the engine and of sampled Shapley orders.
    """
    log_odds = posterior.log_odds.numpy()
    near = neighbourhood(grounding.graph, atom, log_odds, atoms)
    parts = split(near.graph, near.centre, seed)
    total = float(log_odds[atom])
    notes = () if parts.exact else ("rules' shares are averages over sampled orders",)
    if not near.whole:
        notes = (*notes, f"solved within {len(near.atoms)} atoms around it")
    return Explanation(
        grounding.atom_name(atom),
        float(expit(total)),
        total,
        _shares(grounding, parts, total),
        _reasons(grounding, near, log_odds, reasons, seed) if reasons else (),
        why_not(grounding, atom, log_odds, obstacles) if obstacles and total < 0 else (),
        what_if(grounding, near, log_odds, outputs, changes) if changes else (),
        notes,
    )


def _shares(grounding: Grounding, parts: Split, total: float) -> tuple[Share, ...]:
    names, kinds = grounding.parameters.names, grounding.parameters.kinds
    rules: dict[str, float] = {}
    for label, value in parts.rules.items():
        name = grounding.program.rules[label].name if label >= 0 else "hard constraint"
        rules[name] = rules.get(name, 0.0) + value
    shares = []
    if abs(parts.base) > 1e-9:
        shares.append(Share("base", "one state among several", parts.base))
    for parameter, value in parts.parameters.items():
        name, kind = names[parameter], kinds[parameter]
        if kind == "scale":
            shares.append(Share("model", name.removeprefix("scale ").split(" for ")[0], value))
        elif kind == "bias":
            shares.append(Share("prior", f"prior ({name})", value))
        else:
            rules[name] = rules.get(name, 0.0) + value
    shares += [Share("rule", name, value) for name, value in rules.items()]
    beyond = total - sum(share.log_odds for share in shares)
    if abs(beyond) > 1e-3:
        shares.append(Share("beyond", "the rest of the graph", beyond))
    order = {"base": 0, "prior": 1, "model": 2, "rule": 3, "beyond": 4}
    return tuple(sorted(shares, key=lambda s: (order[s.kind], -abs(s.log_odds))))


def _reasons(
    grounding: Grounding,
    near: Neighbourhood,
    log_odds: NDArray[np.float64],
    limit: int,
    seed: int,
) -> tuple[Reason, ...]:
    """Groundings at the atom, strongest effect first."""
    atom = int(near.atoms[near.centre])
    place = {group: local for local, (group, _) in enumerate(near.rows)}
    candidates: dict[tuple[int, int], GroundRule] = {}
    for ground_rule in grounding.groundings_of(atom, limit=64):
        if ground_rule.kind == "group" and ground_rule.group in place:
            local = place[ground_rule.group]
            row = int(np.searchsorted(near.rows[local][1], ground_rule.row))
            candidates.setdefault((local, row), ground_rule)
    if not candidates:
        return ()
    variants = [Variant()]
    for local, row in candidates:
        mask = np.zeros(near.graph.groups[local].rows, dtype=bool)
        mask[row] = True
        variants.append(Variant({("groups", local): mask}))
    results = solve(near.graph, variants, seed)[:, near.centre]
    effects = results[0] - results[1:]
    order = np.argsort(-np.abs(effects), kind="stable")[:limit]
    chosen = list(candidates.values())
    return tuple(
        Reason(
            chosen[i].rule,
            grounding_text(grounding, chosen[i]),
            float(effects[i]),
            tuple(
                (grounding.atom_name(other), float(expit(log_odds[other])))
                for other in chosen[i].atoms
                if other != atom and grounding.atoms.owner(other) is not None
            ),
        )
        for i in order.tolist()
    )


def grounding_text(grounding: Grounding, ground_rule: GroundRule) -> str:
    """The rule's formula with names from the data in place of its variables."""
    rule = grounding.program.rules[ground_rule.rule_index]
    terms = {
        variable.name: Constant(ground_rule.substitution[variable.name], variable.sort)
        for variable in rule.variables
    }
    return formula_text(substitute(rule.formula, terms))
