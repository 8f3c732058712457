"""Reliability EM for functional predicates: one share a model, whatever the state.

With probability ``seen`` the model reports on the setting at hand, otherwise on a state
drawn from the base rates, which tells nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from knowreason.learn.reliability import EDGE, ChannelPrior

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class StateChannels:
    """How often each of ``m`` models of a functional predicate sees what it speaks of.

    Attributes:
        seen: ``float64[m]``.
        count: settings in the batch.
        history: objective before each step and at the end; never decreasing.
        converged: whether the last step moved every share by less than the tolerance.
    """

    seen: Vector
    count: int = 0
    history: tuple[float, ...] = ()
    converged: bool = True

    @property
    def seen_error(self) -> Vector:
        """``float64[m]``: binomial standard errors."""
        return np.sqrt(self.seen * (1 - self.seen) / (self.count + 1.0))


def fit_state_channels(
    llr: NDArray[np.floating],
    log_prior: Vector,
    base_rate: Vector,
    *,
    prior: ChannelPrior = ChannelPrior(),  # noqa: B008  (frozen)
    steps: int = 200,
    tolerance: float = 1e-4,
) -> StateChannels:
    """Shares that explain an unlabelled batch best.

    Args:
        llr: ``float[m, n, K]``, ``log z_k - log base_k`` times the scale.
        log_prior: ``float64[n, K]`` log-odds of the states without the models.
        base_rate: ``float64[K]``.
        prior: ``s1`` and its cases are used.
        steps: most EM steps.
        tolerance: greatest change of a share at which it stops.
    """
    ratios = llr.astype(np.float64)
    blank = _blank(ratios, base_rate)
    before = log_prior - logsumexp(log_prior, axis=1, keepdims=True)
    seen, moved, history = np.full(len(ratios), prior.s1), np.inf, []
    for _ in range(steps):
        told = _told(seen, ratios, blank)
        joint = before + told.sum(0)
        total = logsumexp(joint, axis=1, keepdims=True)
        pull = prior.s1 * np.log(seen) + (1 - prior.s1) * np.log1p(-seen)
        history.append(float(total.sum() + prior.s1_cases * pull.sum()))
        if moved < tolerance:
            break
        belief = np.exp(joint - total)
        saw = np.exp(np.log(seen)[:, None, None] + ratios - told)
        found = (belief * saw).sum((1, 2)) + prior.s1_cases * prior.s1
        new = np.clip(found / (ratios.shape[1] + prior.s1_cases), EDGE, 1 - EDGE)
        moved, seen = float(np.abs(new - seen).max()), new
    return StateChannels(seen, ratios.shape[1], tuple(history), moved < tolerance)


def apply_states(channels: StateChannels, llr: NDArray[np.floating], base_rate: Vector) -> Vector:
    """``float64[m, n, K]``: ratios after their channels; a share of 1 changes nothing."""
    ratios = llr.astype(np.float64)
    passed = _told(channels.seen, ratios, _blank(ratios, base_rate))
    return np.where((channels.seen == 1)[:, None, None], ratios, passed)


def relative_states(today: StateChannels, training: StateChannels) -> StateChannels:
    """What happened since training: shares of today over those of training, at most 1."""
    seen = np.minimum(today.seen / training.seen, 1.0)
    return StateChannels(seen, today.count, today.history, today.converged)


def _blank(ratios: Vector, base_rate: Vector) -> Vector:
    """``float64[m, n, 1]``: log-likelihood of a report about a state drawn by base rates."""
    weights = np.log(np.clip(base_rate, EDGE, None) / base_rate.sum())
    return logsumexp(ratios + weights, axis=2, keepdims=True)


def _told(seen: Vector, ratios: Vector, blank: Vector) -> Vector:
    share = seen[:, None, None]
    with np.errstate(divide="ignore"):
        return np.logaddexp(np.log(share) + ratios, np.log1p(-share) + blank)
