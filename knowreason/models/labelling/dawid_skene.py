"""Accuracies of functions that vote or abstain, without labels.

A function speaks where it does whatever the state; what it says then is right with its own
accuracy (data programming: Ratner et al., NeurIPS 2016). One that only ever votes for one state
has a single accuracy, because how often it is silent tells nothing; one that votes for
several has a row of its confusion matrix for each state (Dawid & Skene, Applied Statistics
28, 1979). One latent with observed children: EM is exact. The share of each state is *held*,
not estimated (posterior regularisation: Ganchev et al., JMLR 11, 2010): where most functions
vote for one state only, votes alone cannot tell a common state from talkative functions, and
maximum likelihood ends with one state for all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from knowreason.models.labelling.vote_matrix import Votes

Vector = NDArray[np.float64]
UNKNOWN = -1
EDGE = 1e-12


@dataclass(frozen=True)
class AccuracyPrior:
    """Pseudo-votes of each function (and state): how many, and which share of them is right.

    A hundred, as if someone had looked at so many: functions that copy each other agree, and
    with a weaker prior a few of them decide what is true.
    """

    right: float = 0.75
    cases: float = 100.0


@dataclass(frozen=True)
class FittedVotes:
    """What functions are worth, and what they say together.

    Attributes:
        accuracy: ``float64[m]``, share of votes that are right, of those there are.
        log_likelihoods: ``float64[m, K, K]``: of function, true state, vote. 0 throughout
            for what was never said: silence says nothing, and neither does news.
        shift: ``float64[K]``, added to the states' scores so that their shares are held.
        posterior: ``float64[n, K]`` of the rows fitted on.
        objective: log posterior (without constants), each step's; never decreasing.
        converged: whether the last step moved no belief by more than the tolerance.
    """

    accuracy: Vector
    log_likelihoods: Vector
    shift: Vector
    posterior: Vector
    objective: tuple[float, ...]
    converged: bool

    def parts(self, votes: Votes) -> Vector:
        """``float64[n, m, K]``: what each vote adds to the scores of the states."""
        return np.asarray(np.einsum("nmv,myv->nmy", votes.one_hot, self.log_likelihoods))

    def scores(self, votes: Votes) -> Vector:
        """``float64[n, K]`` log-probabilities up to a constant a row, with nothing else known."""
        return said(votes, self.log_likelihoods) + self.shift


def fit_votes(
    votes: Votes,
    *,
    shares: Vector | None = None,
    labels: NDArray[np.integer] | None = None,
    prior: Vector | None = None,
    start: Vector | None = None,
    accuracy: AccuracyPrior = AccuracyPrior(),
    shared: bool = False,
    sides: bool = True,
    steps: int = 500,
    tolerance: float = 1e-6,
) -> FittedVotes:
    """Accuracies by EM, from the majority's beliefs on.

    Args:
        votes: of ``m`` functions on ``n`` rows.
        shares: ``float64[K]`` at which the unlabelled rows' states are held; estimated where
            ``None``.
        labels: ``int[n]``, known states, -1 where unknown.
        prior: ``float64[n, K]`` log-probabilities of each row's states before the votes.
        start: ``float64[n, K]`` beliefs to start from.
        accuracy: says which side functions are on.
        shared: one accuracy for all, as a majority vote has it.
        sides: whether functions are on the side they say, so that no vote speaks against itself:
            one that is right less often than a coin counts for nothing.
        steps, tolerance: most steps; greatest change of a belief at which they stop.

    >>> votes = Votes(("a", "b", "c"), np.array([[1, 1, 0], [0, 0, 0], [1, 1, -1]], np.int16))
    >>> fit_votes(votes, shares=np.array([0.4, 0.6])).posterior[:, 1].round(2)
    array([0.82, 0.05, 0.93])
    """
    n, states = len(votes.values), len(votes.states)
    hot = votes.one_hot
    before = np.zeros((n, states)) if prior is None else prior - logsumexp(prior, 1, keepdims=True)
    known = np.full(n, UNKNOWN) if labels is None else labels
    open_rows = known == UNKNOWN
    belief = softmax(votes.counts + before) if start is None else start.copy()
    belief[~open_rows] = np.eye(states)[known[~open_rows]]
    shift = np.zeros(states)
    if prior is None:
        before = before + np.log(belief.mean(0) if shares is None else shares)
    objective: list[float] = []
    moved = np.inf
    for _ in range(steps):
        tables, right, penalty = _accuracies(hot, belief, accuracy, shared, sides)
        if prior is None and shares is None:
            before = np.tile(np.log(belief.mean(0) + EDGE), (n, 1))
        joint = before + said(votes, tables)
        if shares is not None:
            shift = held(joint[open_rows], open_rows.sum() * shares, shift)
        total = logsumexp(joint + shift, axis=1)
        at_label = np.take_along_axis(joint, np.maximum(known, 0)[:, None], 1)[:, 0]
        explained = np.where(open_rows, total, at_label).sum()
        target = 0.0 if shares is None else open_rows.sum() * float(shift @ shares)
        objective.append(float(explained - target + penalty))
        new = np.where(open_rows[:, None], np.exp(joint + shift - total[:, None]), belief)
        moved = float(np.abs(new - belief).max(initial=0.0))
        belief = new
        if moved < tolerance:
            break
    constant = before[0] if prior is None else np.zeros(states)
    return FittedVotes(right, tables, shift + constant, belief, tuple(objective), moved < tolerance)


def held(scores: Vector, wanted: Vector, start: Vector | None = None) -> Vector:
    """``float64[K]``: what to add to all rows' scores so that their beliefs add up to ``wanted``.

    Newton's method on a convex function, steps cut at two units of log-odds.
    """
    shift = np.zeros(scores.shape[1]) if start is None else start.copy()
    if not len(scores):
        return shift
    for _ in range(200):
        belief = softmax(scores + shift)
        short = wanted - belief.sum(0)
        if np.abs(short).max() < 1e-9 * len(scores):
            break
        curvature = np.diag(belief.sum(0)) - belief.T @ belief
        step = np.linalg.lstsq(curvature + 1e-9 * np.eye(len(shift)), short, rcond=None)[0]
        shift += np.clip(step - step.mean(), -2, 2)
    return np.asarray(shift - shift.mean())


def said(votes: Votes, tables: Vector) -> Vector:
    """``float64[n, K]``: log-likelihood of all votes by true state; silence adds nothing."""
    return np.asarray(np.einsum("nmv,myv->ny", votes.one_hot, tables, optimize=True))


def softmax(scores: Vector) -> Vector:
    """``float64[n, K]`` probabilities."""
    return np.asarray(np.exp(scores - logsumexp(scores, axis=1, keepdims=True)))


def right_shares(votes: Votes, belief: Vector) -> Vector:
    """``float64[n, m]``: probability that each vote is right; NaN where there is none."""
    right = np.einsum("nmv,nv->nm", votes.one_hot, belief)
    return np.where(votes.values >= 0, right, np.nan)


def errors_of(votes: Votes, fitted: FittedVotes, prior: AccuracyPrior) -> Vector:
    """``float64[m]`` standard errors of the logits of the accuracies.

    From the squared scores of the rows, so that what is unknown about their states counts.
    """
    a = np.clip(fitted.accuracy, 1e-6, 1 - 1e-6)
    slope = np.nan_to_num(right_shares(votes, fitted.posterior) - a)
    information = slope.T @ slope + np.diag(prior.cases * a * (1 - a))
    return np.asarray(np.sqrt(np.diag(np.linalg.inv(information))))


def _accuracies(
    hot: Vector, belief: Vector, prior: AccuracyPrior, shared: bool, sides: bool
) -> tuple[Vector, Vector, float]:
    """Log-likelihoods of votes, shares right, and the log prior at them."""
    states = belief.shape[1]
    counts = np.einsum("nmv,ny->myv", hot, belief, optimize=True)
    counted, spoken = np.einsum("mvv->m", counts), counts.sum((1, 2))
    own = (counted + prior.cases * prior.right) / (spoken + prior.cases)
    agree, said_by = counted, spoken
    if shared:
        agree, said_by = np.full_like(agree, agree.sum()), np.full_like(spoken, spoken.sum())
    a = (agree + prior.cases * prior.right) / (said_by + prior.cases)
    a = np.maximum(a, 1 / states) if sides else a
    same = np.eye(states, dtype=bool)
    wrong = ((1 - a) / (states - 1))[:, None, None]
    coin = np.log(np.where(same, a[:, None, None], wrong))
    penalty = _log_beta(a, prior)
    used = counts.sum(1) > 0
    several = (used.sum(1) > 1) & (not shared)
    centre = _centre(used, prior.right)
    rows = counts + prior.cases * centre
    rows = np.log(np.clip(rows, EDGE, None) / np.clip(rows.sum(2, keepdims=True), EDGE, None))
    if sides:
        rows = np.where(
            _on_no_side(rows, used)[:, None, None], _pooled(counts, centre, prior), rows
        )
    of_rows = prior.cases * np.where(centre > 0, centre * rows, 0.0).sum((1, 2))
    tables = np.where(several[:, None, None], rows, coin)
    tables = np.where(used[:, None, :], tables, 0.0)
    log_prior = float(np.where(several, of_rows, penalty).sum())
    return tables, np.where(several, counted / np.maximum(spoken, EDGE), own), log_prior


def _on_no_side(rows: Vector, used: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """``bool[m]``: right less often than if what is said did not depend on the state."""
    own = np.where(used, np.exp(np.einsum("mvv->mv", rows)), 0.0)
    return np.asarray(own.sum(1) < 1.0)


def _pooled(counts: Vector, centre: Vector, prior: AccuracyPrior) -> Vector:
    """Rows that are all the same: what is said does not depend on the state."""
    total = (counts + prior.cases * centre).sum(1, keepdims=True)
    share = np.log(np.clip(total / np.maximum(total.sum(2, keepdims=True), EDGE), EDGE, None))
    return np.broadcast_to(share, counts.shape)


def _log_beta(a: Vector, prior: AccuracyPrior) -> Vector:
    return np.asarray(prior.cases * (prior.right * np.log(a) + (1 - prior.right) * np.log1p(-a)))


def _centre(used: NDArray[np.bool_], right: float) -> Vector:
    """``float64[m, K, K]``: prior shares of the votes a function uses, by true state."""
    number = used.sum(1)[:, None, None]
    same = np.eye(used.shape[1], dtype=bool) & used[:, :, None]
    others = np.where(used[:, None, :] & ~same, (1 - right) / np.maximum(number - 1, 1), 0.0)
    spread = used[:, None, :] / np.maximum(number, 1)
    known = used[:, :, None]
    return np.asarray(np.where(known, np.where(same, right, others), spread))
