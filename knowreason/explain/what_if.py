"""The smallest changes that turn a conclusion around."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import expit

from knowreason.explain.copies import Variant, solve
from knowreason.explain.explanation import Change
from knowreason.explain.neighbourhood import Neighbourhood
from knowreason.factors.outputs import ModelOutput
from knowreason.ground import Grounding

NEAREST = 24  # other atoms that are tried


def what_if(
    grounding: Grounding,
    near: Neighbourhood,
    log_odds: np.ndarray,
    outputs: Sequence[ModelOutput],
    limit: int = 3,
) -> tuple[Change, ...]:
    """Changes of one model's output, or of one other atom, that flip the atom.

    The smallest first: for another atom, the one whose changed truth is least unlikely.

    Args:
        grounding: what is explained.
        near: neighbourhood of the atom.
        log_odds: ``float64[n]`` marginals of all atoms.
        outputs: what the models said.
        limit: most changes.
    """
    atom = int(near.atoms[near.centre])
    now = float(log_odds[atom])
    changes = _other_atoms(grounding, near, log_odds, now)
    changes += _model_outputs(grounding, atom, now, outputs)
    return tuple(sorted(changes, key=lambda change: -_ease(change))[:limit])


def _ease(change: Change) -> float:
    """How little has to change: 1 less the distance in probability."""
    return 1 - abs(change.after - change.before)


def _other_atoms(
    grounding: Grounding, near: Neighbourhood, log_odds: np.ndarray, now: float
) -> list[Change]:
    others = [local for local in _nearest(near) if grounding.atoms.owner(int(near.atoms[local]))]
    if not others:
        return []
    variants = [Variant(clamped={local: truth}) for local in others for truth in (0, 1)]
    results = solve(near.graph, variants)[:, near.centre]
    changes = []
    for (local, truth), result in zip(
        ((local, truth) for local in others for truth in (0, 1)), results.tolist(), strict=True
    ):
        if result * now < 0:
            index = int(near.atoms[local])
            before = float(expit(log_odds[index]))
            name = grounding.atom_name(index)
            words = f"if {name} were known to be {'true' if truth else 'false'}"
            changes.append(Change(words, before, float(truth), result))
    return changes


def _nearest(near: Neighbourhood) -> list[int]:
    """Atoms that share a factor with the centre, and then those that share one with these."""
    found: dict[int, None] = {}
    frontier = {near.centre}
    for _ in range(2):
        reached: set[int] = set()
        for group in near.graph.groups:
            atoms = group.atoms.numpy()
            touched = np.isin(atoms, list(frontier)).any(axis=1)
            reached |= set(np.unique(atoms[touched]).tolist())
        for local in sorted(reached - {near.centre}):
            found[local] = None
        frontier = reached
    open_atoms = near.graph.evidence.numpy() < 0
    return [local for local in found if open_atoms[local]][:NEAREST]


def _model_outputs(
    grounding: Grounding, atom: int, now: float, outputs: Sequence[ModelOutput]
) -> list[Change]:
    """An atom's log-odds move by ``scale`` a unit of its own models' log-odds."""
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
        scale = float(grounding.graph.theta[names.index(name)])
        if scale <= 1e-6:
            continue
        base = float(np.log(output.base_rate) - np.log1p(-np.asarray(output.base_rate)))
        said = base + float(output.llr[atom - span.start])
        needed = said - now / scale
        words = f"if model {output.model} said otherwise"
        margin = 0.01 if now < 0 else -0.01
        changes.append(Change(words, float(expit(said)), float(expit(needed)), margin))
    return changes
