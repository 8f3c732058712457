"""The smallest changes that turn a conclusion around."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from knowreason.explanation.explanation_text import Change
from knowreason.explanation.factor_index import Incidence
from knowreason.explanation.graph_questions import Question
from knowreason.explanation.graph_variants import Variant
from knowreason.explanation.neighbourhood import Neighbourhood
from knowreason.explanation.pooled_shares import AnswerLine
from knowreason.factors import OPEN
from knowreason.factors.model_output import ModelOutput
from knowreason.grounding import Grounding

NEAREST = 24  # other atoms that are tried


def ask_changes(
    grounding: Grounding,
    near: Neighbourhood,
    log_odds: NDArray[np.float64],
    answer_at: AnswerLine,
    outputs: Sequence[ModelOutput],
    limit: int = 3,
) -> Question[tuple[Change, ...]]:
    """Ask for changes of one model's output, or of one other atom, that flip the atom.

    The smallest first: for another atom, the one whose changed truth is least unlikely.

    Args:
        grounding: what is explained.
        near: neighbourhood of the atom.
        log_odds: ``float64[n]`` marginals of all atoms.
        answer_at: the atom's answer where rules say otherwise.
        outputs: what the models said.
        limit: most changes.
    """
    atom = int(near.atoms[near.centre])
    now = answer_at(float(log_odds[atom]))
    others = [local for local in _nearest(near) if grounding.atoms.owner(int(near.atoms[local]))]
    tried = [(local, truth) for local in others for truth in (0, 1)]

    def answer(results: NDArray[np.float64]) -> tuple[Change, ...]:
        changes = [
            _known(grounding, int(near.atoms[local]), truth, log_odds, answer_at(result))
            for (local, truth), result in zip(tried, results.tolist(), strict=True)
            if answer_at(result) * now < 0
        ]
        changes += _model_outputs(grounding, atom, now, answer_at, outputs)
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


def _model_outputs(
    grounding: Grounding,
    atom: int,
    now: float,
    answer_at: AnswerLine,
    outputs: Sequence[ModelOutput],
) -> list[Change]:
    """An atom's log-odds move by the same amount for every unit of its own models' log-odds."""
    span = grounding.atoms.owner(atom)
    if span is None or span.functional_position is not None:
        return []
    names = list(grounding.parameters.names)
    changes = []
    for output in outputs:
        if output.predicate != span.predicate:
            continue
        full = f"scale {output.model} for {output.predicate}"
        name = full if full in names else f"scale {output.model}"
        rate = answer_at.rate(output.model, float(grounding.graph.theta[names.index(name)]))
        if rate <= 1e-6:
            continue
        base = float(np.log(output.base_rate) - np.log1p(-np.asarray(output.base_rate)))
        said = base + float(output.llr[atom - span.start])
        needed = said - now / rate
        words = f"if model {output.model} said otherwise"
        margin = 0.01 if now < 0 else -0.01
        changes.append(Change(words, float(expit(said)), float(expit(needed)), margin))
    return changes
