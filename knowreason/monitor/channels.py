"""Sensors that break: reliability EM over an unlabelled batch.

A model does not see atom ``x`` but reports ``x'`` through a channel that all atoms share,
``P(x'=1 | x=1) = s1`` and ``P(x'=1 | x=0) = s0``. Only log-likelihood ratios are needed:
the channels maximise ``prod_i sum_x P(x) prod_m [(1 - s_mx) + s_mx exp(llr_mi)]`` under
Beta priors (after Dawid & Skene 1979, with ratios in place of votes). Compared with the
same fit on the training period it says which model broke since.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, xlog1py, xlogy

from knowreason.models.base.calibration import logistic

Vector = NDArray[np.float64]

EDGE = 1e-9  # probabilities stay this far inside (0, 1)
STRONGEST = 300.0  # ratios beyond this are clipped
FURTHEST = 10.0  # greatest shift of a base rate, in log-odds
SURE = 2.5  # standard errors beyond which a change is no noise
LEAST_LOSS, LEAST_INVENTED, LEAST_SHIFT = 0.05, 0.005, 0.25  # smaller changes are left alone
LEAST_NEGATIVES = 50  # for a correlation among labelled negatives


@dataclass(frozen=True)
class ChannelPrior:
    """Beta priors as pseudo-cases: how many, at which value.

    Attributes:
        s1, s1_cases: of ``P(x'=1 | x=1)``.
        s0, s0_cases: of ``P(x'=1 | x=0)``.
        base_cases: pseudo-cases at the given base rate.
    """

    s1: float = 0.97
    s1_cases: float = 50.0
    s0: float = 0.005
    s0_cases: float = 500.0
    base_cases: float = 100.0


@dataclass(frozen=True)
class Channels:
    """A channel for each of ``m`` models of one predicate.

    Attributes:
        s1: ``float64[m]``, share of true atoms that the model reports as true.
        s0: ``float64[m]``, share of false atoms that it reports as true.
        shift: log-odds by which the base rate moved.
        true: expected number of true atoms in the batch.
        count: number of atoms in the batch.
        history: objective before each step and at the end; never decreasing.
        converged: whether the last step moved every parameter by less than the tolerance.
        errors: ``float64[2m + 1]``, standard errors of ``s1``, ``s0`` and ``shift``, what is
            unknown about the atoms allowed for.
    """

    s1: Vector
    s0: Vector
    shift: float = 0.0
    true: float = 0.0
    count: int = 0
    history: tuple[float, ...] = ()
    converged: bool = True
    errors: Vector | None = None

    @staticmethod
    def identity(models: int) -> Channels:
        """Channels that change nothing."""
        return Channels(np.ones(models), np.zeros(models))


def fit_channels(
    llr: NDArray[np.floating],
    base_rate: float,
    *,
    offset: Vector | None = None,
    prior: ChannelPrior = ChannelPrior(),
    steps: int = 200,
    tolerance: float = 1e-4,
) -> Channels:
    """Channels that explain an unlabelled batch best.

    Args:
        llr: ``float[n, m]`` log-likelihood ratios as the reasoner counts them (scales
            included); NaN where a model does not speak of an atom.
        base_rate: share of true atoms in training.
        offset: ``float64[n]`` log-odds that rules add to an atom's base rate.
        prior: of the channels and the base rate.
        steps: most EM steps.
        tolerance: greatest change of a parameter at which it stops.
    """
    ratios = np.clip(np.nan_to_num(llr.astype(np.float64)), -STRONGEST, STRONGEST)
    speaks, likelihood = np.isfinite(llr), np.exp(ratios)
    start = float(logit(np.clip(base_rate, EDGE, 1 - EDGE)))
    before = np.full(len(ratios), start) if offset is None else start + offset
    s1, s0 = np.full(llr.shape[1], prior.s1), np.full(llr.shape[1], prior.s0)
    shift, moved, belief = 0.0, np.inf, expit(before)
    history: list[float] = []
    for _ in range(steps):
        mixed1, mixed0 = 1 - s1 + s1 * likelihood, 1 - s0 + s0 * likelihood
        given_true, given_false = np.log(mixed1).sum(1), np.log(mixed0).sum(1)
        rate, without = logistic(before + shift)
        belief, with_reports = logistic(before + shift + given_true - given_false)
        held = float((given_false + with_reports - without).sum())
        history.append(held + _log_priors(shift, s1, s0, start, prior))
        if moved < tolerance:
            break
        true, false = s1 * likelihood / mixed1, s0 * likelihood / mixed0
        new1 = _share(belief, true, speaks, prior.s1, prior.s1_cases)
        new0 = _share(1 - belief, false, speaks, prior.s0, prior.s0_cases)
        new_shift = _base_shift(belief, before, rate, shift, start, prior.base_cases)
        moved = max(np.abs(new1 - s1).max(), np.abs(new0 - s0).max(), abs(new_shift - shift))
        s1, s0, shift = new1, new0, new_shift
    return Channels(
        s1,
        s0,
        shift,
        float(belief.sum()),
        len(ratios),
        tuple(history),
        bool(moved < tolerance),
        _errors(belief, expit(before + shift), ratios, s1, s0, prior),
    )


def apply(channels: Channels, llr: NDArray[np.floating]) -> Vector:
    """``float64[n, m]``: ratios after their channels; the identity channel changes nothing.

    Args:
        channels: of ``m`` models.
        llr: ``float[n, m]``; NaN stays NaN.
    """
    ratios = llr.astype(np.float64)
    finite = np.nan_to_num(ratios)
    passed = _report_log_likelihood(channels.s1, finite) - _report_log_likelihood(
        channels.s0, finite
    )
    same = (channels.s1 == 1) & (channels.s0 == 0)
    return np.where(same | np.isnan(ratios), ratios, passed)


def relative(today: Channels, training: Channels) -> Channels:
    """What happened since training: the channel in front of the training one.

    An atom passes the returned channel first and the training channel after it; together
    they are today's (``today = since @ training`` as matrices), within 0 and 1.
    """
    span = np.maximum(training.s1 - training.s0, EDGE)
    errors = None
    if today.errors is not None and training.errors is not None:
        scale = np.append(np.tile(span, 2), 1.0)
        errors = np.hypot(today.errors, training.errors) / scale
    s1 = np.clip((today.s1 - training.s0) / span, 0.0, 1.0)
    s0 = np.clip((today.s0 - training.s0) / span, 0.0, 1.0)
    return Channels(
        s1,
        np.minimum(s0, s1),
        today.shift - training.shift,
        today.true,
        today.count,
        today.history,
        today.converged and training.converged,
        errors,
    )


def beyond_noise(since: Channels) -> Channels:
    """Only what differs from the identity by more than noise explains; the rest unchanged.

    Args:
        since: from :func:`relative`, with standard errors.
    """
    if since.errors is None:
        return since
    m = len(since.s1)
    error1, error0, shift_error = since.errors[:m], since.errors[m:-1], since.errors[-1]
    lost = 1 - since.s1 > np.maximum(LEAST_LOSS, SURE * error1)
    made_up = since.s0 > np.maximum(LEAST_INVENTED, SURE * error0)
    moved = abs(since.shift) > max(LEAST_SHIFT, SURE * shift_error)
    return replace(
        since,
        s1=np.where(lost, since.s1, 1.0),
        s0=np.where(made_up, since.s0, 0.0),
        shift=since.shift if moved else 0.0,
    )


def correlations(
    llr: NDArray[np.floating],
    labels: NDArray[np.int8],
    groups: NDArray[np.integer] | None = None,
) -> Vector:
    """``float64[m, m]``: rank correlations of the models' ratios among labelled negatives.

    Channels take models to err independently; a high figure says that they share a cause
    of error, and then adapting loses. 0 where fewer than 50 negatives have both ratios.

    Args:
        llr: ``float[n, m]``, NaN where a model does not speak.
        labels: ``int8[n]``, -1 unknown.
        groups: ``int[n]``; ratios count as they differ from the mean of their group, which
            models may share without erring together (the states of a functional predicate).
    """
    from scipy.stats import rankdata

    models = llr.shape[1]
    correlation = np.eye(models)
    llr = llr if groups is None else _centred(llr.astype(np.float64), groups)
    for one in range(models):
        for two in range(one):
            pair = llr[labels == 0][:, [one, two]]
            pair = pair[np.isfinite(pair).all(1)]
            if len(pair) < LEAST_NEGATIVES:
                continue
            left, right = rankdata(pair[:, 0]), rankdata(pair[:, 1])
            if np.ptp(left) and np.ptp(right):
                correlation[one, two] = correlation[two, one] = np.corrcoef(left, right)[0, 1]
    return correlation


def _centred(ratios: Vector, groups: NDArray[np.integer]) -> Vector:
    """Ratios less their group's mean; NaN stays."""
    there = np.isfinite(ratios)
    _, group = np.unique(groups, return_inverse=True)
    columns = []
    for column, finite in zip(ratios.T, there.T, strict=True):
        total = np.bincount(group, np.where(finite, column, 0.0))
        columns.append(column - (total / np.maximum(np.bincount(group, finite), 1))[group])
    return np.column_stack(columns)


def _report_log_likelihood(share: Vector, ratios: Vector) -> Vector:
    """``log((1 - s) + s exp(llr))``: what a report is worth where it says true with odds s."""
    with np.errstate(divide="ignore"):
        return np.logaddexp(np.log1p(-share), np.log(share) + ratios)


def _share(
    weight: Vector, reported: Vector, speaks: NDArray[np.bool_], prior: float, cases: float
) -> Vector:
    """Expected share of reported truth among atoms of weight ``weight``, with pseudo-cases.

    ``reported`` is ``float64[n, m]``, the probability of a report of truth.
    """
    share = (weight @ (reported * speaks) + cases * prior) / (weight @ speaks + cases)
    return np.clip(share, EDGE, 1 - EDGE)


def _base_shift(
    belief: Vector, before: Vector, rate: Vector, shift: float, start: float, cases: float
) -> float:
    """The shift at which atoms are expected as often as believed (Newton's method).

    ``rate`` is what is expected of each atom at ``shift``.
    """
    wanted = belief.sum() + cases * expit(start)
    for step in range(2):
        expected, pseudo = expit(before + shift) if step else rate, expit(start + shift)
        slope = (expected * (1 - expected)).sum() + cases * pseudo * (1 - pseudo)
        missing = wanted - expected.sum() - cases * pseudo
        move = np.clip(missing / (slope + EDGE), -1, 1)
        shift = float(np.clip(shift + move, -FURTHEST, FURTHEST))
    return shift


def _errors(
    belief: Vector, rate: Vector, ratios: Vector, s1: Vector, s0: Vector, prior: ChannelPrior
) -> Vector:
    """Standard errors from the outer product of the atoms' scores, and the priors."""
    scores = np.column_stack(
        [
            belief[:, None] * _slope(s1, ratios),
            (1 - belief[:, None]) * _slope(s0, ratios),
            belief - rate,
        ]
    )
    of1 = prior.s1_cases * (prior.s1 / s1**2 + (1 - prior.s1) / (1 - s1) ** 2)
    of0 = prior.s0_cases * (prior.s0 / s0**2 + (1 - prior.s0) / (1 - s0) ** 2)
    of_base = prior.base_cases * float(np.mean(rate * (1 - rate))) if len(rate) else 1.0
    information = scores.T @ scores + np.diag([*of1, *of0, of_base + EDGE])
    return np.sqrt(np.diag(np.linalg.inv(information)))


def _slope(share: Vector, ratios: Vector) -> Vector:
    """Derivative of ``log((1 - s) + s exp(llr))`` in ``s``."""
    far = np.exp(-np.abs(ratios))
    upward, downward = (
        (1 - far) / ((1 - share) * far + share),
        (far - 1) / (1 - share + share * far),
    )
    return np.where(ratios > 0, upward, downward)


def _log_priors(shift: float, s1: Vector, s0: Vector, start: float, prior: ChannelPrior) -> float:
    return (
        _log_prior(s1, prior.s1, prior.s1_cases)
        + _log_prior(s0, prior.s0, prior.s0_cases)
        + _log_prior(np.array(expit(start + shift)), float(expit(start)), prior.base_cases)
    )


def _log_prior(value: Vector, at: float, cases: float) -> float:
    return float((xlogy(cases * at, value) + xlog1py(cases * (1 - at), -value)).sum())
