"""What would turn a conclusion around if somebody looked into it: other atoms."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from knowreason.explanation.explanation_text import Change
from knowreason.explanation.factor_index import Incidence
from knowreason.explanation.graph_variants import Question, Variant
from knowreason.explanation.neighbourhood import Neighbourhood
from knowreason.explanation.pooled_shares import AnswerLine
from knowreason.factors import OPEN
from knowreason.grounding import Grounding

NEAREST = 24  # other atoms that are tried


def ask_changes(
    grounding: Grounding,
    near: Neighbourhood,
    log_odds: NDArray[np.float64],
    answer_at: AnswerLine,
    limit: int = 3,
) -> Question[tuple[Change, ...]]:
    """Ask which other atom would flip the atom if its truth came to be known.

    The smallest change first: the one whose truth is least unlikely.

    Args:
        grounding: what is explained.
        near: neighbourhood of the atom.
        log_odds: ``float64[n]`` of the conclusions about all atoms.
        answer_at: the atom's answer where rules say otherwise.
        limit: most changes.
    """
    atom = int(near.atoms[near.centre])
    now = float(log_odds[atom])
    others = [local for local in _nearest(near) if grounding.atoms.owner(int(near.atoms[local]))]
    tried = [(local, truth) for local in others for truth in (0, 1)]

    def answer(results: NDArray[np.float64]) -> tuple[Change, ...]:
        changes = [
            _known(grounding, int(near.atoms[local]), truth, log_odds, answer_at(result))
            for (local, truth), result in zip(tried, results.tolist(), strict=True)
            if answer_at(result) * now < 0
        ]
        return tuple(sorted(changes, key=lambda c: abs(c.after - c.before))[:limit])

    return Question(tuple(Variant(clamped={local: truth}) for local, truth in tried), answer)


def _known(
    grounding: Grounding, atom: int, truth: int, log_odds: NDArray[np.float64], result: float
) -> Change:
    before = float(expit(log_odds[atom]))
    words = f"if {grounding.atom_name(atom)} were known to be {'true' if truth else 'false'}"
    return Change(words, before, float(truth), result)


def _nearest(near: Neighbourhood) -> list[int]:
    """Atoms that share a factor with the centre, and then those that share one with these."""
    incidence = Incidence.of(near.graph)
    open_atoms = near.graph.evidence.numpy() == OPEN
    found: dict[int, None] = {}
    frontier = np.array([near.centre], dtype=np.int64)
    for _ in range(2):
        frontier = incidence.held_by(incidence.touching(frontier))
        found |= dict.fromkeys(a for a in frontier.tolist() if a != near.centre and open_atoms[a])
    return list(found)[:NEAREST]
