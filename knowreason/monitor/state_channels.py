"""Reliability EM for functional predicates: a confusion matrix a model.

A model does not see the state ``x`` of a setting but reports on a state ``x'`` drawn from
row ``x`` of its matrix, ``P(x'=j | x=k) = C[k, j]``: it may see less, be blind to one state,
or take one for another (Dawid & Skene 1979, with likelihood ratios in place of votes). Rows
have Dirichlet priors at a model that sees and otherwise guesses by the base rates; the base
rates are estimated again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp, xlogy

from knowreason.monitor.channels import EDGE, LEAST_LOSS, LEAST_SHIFT, SURE, ChannelPrior

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class StateChannels:
    """What ``m`` models of a functional predicate of ``K`` states report.

    Attributes:
        confusion: ``float64[m, K, K]``, a row a true state; rows add up to 1.
        shift: ``float64[K]`` log-odds by which the states' base rates moved.
        count: settings in the batch.
        history: objective before each step and at the end; never decreasing.
        converged: whether the last step moved every share by less than the tolerance.
        errors: ``float64[m + 1, K]`` standard errors of the shares seen, then of the shifts.
    """

    confusion: Vector
    shift: Vector
    count: int = 0
    history: tuple[float, ...] = ()
    converged: bool = True
    errors: Vector | None = None

    @staticmethod
    def identity(models: int, states: int) -> StateChannels:
        """Channels that change nothing."""
        return StateChannels(np.tile(np.eye(states), (models, 1, 1)), np.zeros(states))

    @property
    def seen(self) -> Vector:
        """``float64[m, K]``: share of the settings in each state that are seen as such."""
        return np.diagonal(self.confusion, axis1=1, axis2=2)


def fit_state_channels(
    llr: NDArray[np.floating],
    log_prior: Vector,
    base_rate: Vector,
    *,
    prior: ChannelPrior = ChannelPrior(),  # noqa: B008  (frozen)
    steps: int = 200,
    tolerance: float = 1e-4,
) -> StateChannels:
    """Channels that explain an unlabelled batch best.

    Args:
        llr: ``float[m, n, K]``, ``log z_k - log base_k`` times the scale.
        log_prior: ``float64[n, K]`` log-odds of the states without the models.
        base_rate: ``float64[K]``.
        prior: ``s1``, its cases (of each state) and those of the base rate are used.
        steps: most EM steps.
        tolerance: greatest change of a parameter at which it stops.
    """
    ratios = llr.astype(np.float64)
    base = np.clip(base_rate, EDGE, None) / np.clip(base_rate, EDGE, None).sum()
    expected = prior.s1 * np.eye(len(base)) + (1 - prior.s1) * base
    confusion, shift = np.tile(expected, (len(ratios), 1, 1)), np.zeros(len(base))
    history: list[float] = []
    moved = np.inf
    for _ in range(steps):
        log_likelihood = _report_log_likelihood(confusion, ratios)
        before = log_prior + shift
        joint = before + log_likelihood.sum(0)
        total = logsumexp(joint, axis=1, keepdims=True)
        history.append(
            float((total - logsumexp(before, axis=1, keepdims=True)).sum())
            + prior.s1_cases * float(xlogy(expected, confusion).sum())
            + prior.base_cases * float(base @ _log_shares(base, shift))
        )
        if moved < tolerance:
            break
        belief = np.exp(joint - total)
        new = _shares(belief, confusion, ratios, log_likelihood, prior.s1_cases * expected)
        new_shift = _base_shift(belief, log_prior, shift, base, prior.base_cases)
        moved = max(float(np.abs(new - confusion).max()), float(np.abs(new_shift - shift).max()))
        confusion, shift = new, new_shift
    errors = _errors(belief, confusion, ratios, log_likelihood, prior, base)
    return StateChannels(
        confusion, shift, ratios.shape[1], tuple(history), moved < tolerance, errors
    )


def apply_states(channels: StateChannels, llr: NDArray[np.floating]) -> Vector:
    """``float64[m, n, K]``: ratios after their channels; the identity changes nothing."""
    ratios = llr.astype(np.float64)
    same = (channels.confusion == np.eye(ratios.shape[2])).all(axis=(1, 2))
    return np.where(same[:, None, None], ratios, _report_log_likelihood(channels.confusion, ratios))


def relative_states(today: StateChannels, training: StateChannels) -> StateChannels:
    """What happened since training: the channel in front of the training one.

    ``today = since @ training``, solved for shares between 0 and 1.
    """
    since = np.clip(today.confusion @ np.linalg.inv(training.confusion), 0.0, None)
    since /= since.sum(axis=2, keepdims=True)
    errors = None
    if today.errors is not None and training.errors is not None:
        errors = np.hypot(today.errors, training.errors)
    shift = today.shift - training.shift
    converged = today.converged and training.converged
    return StateChannels(since, shift, today.count, today.history, converged, errors)


def states_beyond_noise(since: StateChannels) -> StateChannels:
    """Only rows and shifts that differ from the identity by more than noise explains."""
    if since.errors is None:
        return since
    lost = 1 - since.seen > np.maximum(LEAST_LOSS, SURE * since.errors[:-1])
    moved = np.abs(since.shift) > np.maximum(LEAST_SHIFT, SURE * since.errors[-1])
    confusion = np.where(lost[:, :, None], since.confusion, np.eye(since.shift.size))
    return replace(
        since, confusion=confusion, shift=since.shift if moved.any() else since.shift * 0
    )


def _report_log_likelihood(confusion: Vector, ratios: Vector) -> Vector:
    """``float64[m, n, K]``: log-likelihood of what a model reports, by true state."""
    top = ratios.max(axis=2, keepdims=True)
    with np.errstate(divide="ignore"):
        log_likelihood: Vector = np.log(np.exp(ratios - top) @ confusion.transpose(0, 2, 1)) + top
        return log_likelihood


def _shares(
    belief: Vector, confusion: Vector, ratios: Vector, log_likelihood: Vector, pseudo: Vector
) -> Vector:
    """Expected reports by true state, with pseudo-cases, as shares: ``float64[m, K, K]``."""
    top = ratios.max(axis=2, keepdims=True)
    weight = belief * np.exp(top - log_likelihood)
    reports = confusion * (weight.transpose(0, 2, 1) @ np.exp(ratios - top)) + pseudo
    reports = np.clip(reports, EDGE, None)
    return np.asarray(reports / reports.sum(axis=2, keepdims=True))


def _base_shift(
    belief: Vector, log_prior: Vector, shift: Vector, base: Vector, cases: float
) -> Vector:
    """Shifts at which states are expected as often as believed (iterative scaling)."""
    wanted = belief.sum(0) + cases * base
    for _ in range(2):
        odds = log_prior + shift
        expected = np.exp(odds - logsumexp(odds, axis=1, keepdims=True)).sum(0)
        expected += cases * np.exp(_log_shares(base, shift))
        shift = shift + np.log(wanted) - np.log(np.clip(expected, EDGE, None))
    return shift - base @ shift


def _log_shares(base: Vector, shift: Vector) -> Vector:
    odds = np.log(base) + shift
    return np.asarray(odds - logsumexp(odds))


def _errors(
    belief: Vector,
    confusion: Vector,
    ratios: Vector,
    log_likelihood: Vector,
    prior: ChannelPrior,
    base: Vector,
) -> Vector:
    """Standard errors of the shares seen from squared scores, and of shifts from counts.

    A share seen grows at the cost of the other reports of its row, in proportion.
    """
    seen = np.clip(np.diagonal(confusion, axis1=1, axis2=2), EDGE, 1 - EDGE)[:, None, :]
    own = np.exp(ratios - log_likelihood)
    slope = belief * (own - (1 - seen * own) / (1 - seen))
    of_prior = prior.s1_cases * (prior.s1 / seen**2 + (1 - prior.s1) / (1 - seen) ** 2)[:, 0]
    shares = 1 / np.sqrt(np.square(slope).sum(1) + of_prior)
    shifts = 1 / np.sqrt(belief.sum(0) + prior.base_cases * base)
    return np.vstack([shares, shifts])
