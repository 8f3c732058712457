"""Why an atom is believed, why not, and what would change it."""

from __future__ import annotations

from collections.abc import Sequence

from knowreason.callable_modules import call_as
from knowreason.explain.explainer import Explainer
from knowreason.explain.explanation import (
    Change,
    Explanation,
    Obstacle,
    Reason,
    Share,
    explanation_lines,
)
from knowreason.factors.outputs import ModelOutput
from knowreason.ground import Grounding
from knowreason.infer.posterior import Posterior

__all__ = [
    "Change",
    "Explainer",
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
    """Explain one atom; for many, make one :class:`Explainer`.

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
    return Explainer(grounding, posterior, outputs).explain(
        atom, reasons=reasons, obstacles=obstacles, changes=changes, atoms=atoms, seed=seed
    )


call_as(__name__, explain)
