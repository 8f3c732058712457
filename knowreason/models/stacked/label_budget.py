"""How much models that were fitted to labels can tell of atoms that rules tie together.

Rules add up what models say of tied atoms as if they said something of its own of each. Errors of a
model of few labels are shared by all atoms, and a network of thousands makes certainties of them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import entr, expit, log_expit

Vector = NDArray[np.float64]


def supported_scale(
    ratios: Vector,
    component: NDArray[np.integer],
    base: float,
    labels: NDArray[np.integer],
) -> float:
    """The greatest scale of models, at most 1, at which components are told what labels hold.

    Whatever is learned from labels ``y``, the information about the atoms of a component together
    is at most their entropy, ``I(Y; y) <= H(y)`` (data processing; Cover & Thomas 2006, theorem
    2.8.1). What models claim of it adds up: ``sum KL(expit(base + scale * ratio), expit(base))``.
    One scale serves all components: at least half of the atoms that are tied to others of the
    predicate are in components within the bound.

    Args:
        ratios: ``float64[n]`` log-likelihood ratios of the atoms, summed over models.
        component: ``int[n]`` of each atom, ``-1`` for decided ones.
        base: log-odds of the base rate.
        labels: ``int[m]`` that models were fitted to, 0 or 1.

    >>> tied, alone = np.zeros(1000, int), np.arange(1000)
    >>> labels, ratios = np.array([0, 1] * 5), np.full(1000, 3.0)
    >>> round(supported_scale(ratios, tied, 0.0, labels), 3)
    0.079
    >>> supported_scale(ratios, alone, 0.0, labels)
    1.0
    """
    share = float(np.mean(labels)) if len(labels) else 0.0
    nats = len(labels) * float(entr(share) + entr(1 - share))
    place = np.asarray(component)
    size = np.bincount(place[place >= 0], minlength=1)
    tied = (place >= 0) & (size[place] > 1)
    place, told = place[tied], np.asarray(ratios, np.float64)[tied]

    def excess(scale: float) -> float:
        claimed = np.bincount(place, _information(base, scale * told))
        return float(np.median(claimed[place])) - nats

    if not len(place) or excess(1.0) <= 0:
        return 1.0
    return float(brentq(excess, 0.0, 1.0)) if nats > 0 else 0.0


def _information(base: float, ratios: Vector) -> Vector:
    """``float64[n]``: nats from the base rate to the beliefs with these ratios."""
    true, false = base + ratios, -base - ratios
    told = expit(true) * (log_expit(true) - log_expit(base))
    return np.asarray(told + expit(false) * (log_expit(false) - log_expit(-base)))
