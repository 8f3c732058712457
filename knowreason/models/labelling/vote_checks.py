"""What to doubt about a fit to votes: majority vote, other readings, functions that copy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from knowreason.models.labelling.dawid_skene import (
    EDGE,
    UNKNOWN,
    AccuracyPrior,
    FittedVotes,
    fit_votes,
    softmax,
)
from knowreason.models.labelling.vote_matrix import ABSTAINS, Votes

Vector = NDArray[np.float64]
FOLDS = 5
FEWEST_LABELS = 30  # from here on labels judge, before them the votes held back
TOLD_APART = 3.0  # log-likelihood between two readings that the votes can tell apart
SIDES = 10.0  # pseudo-votes for the side of each function, where readings are compared
LEVEL = 0.01  # of the test for dependence, divided by the number of pairs


@dataclass(frozen=True)
class Dependence:
    """Two functions that say the same more often than their accuracies explain.

    Attributes:
        one, other: their names.
        observed, expected: rows on which they say the same, less those on which they differ.
        deviations: standard errors between the two.
    """

    one: str
    other: str
    observed: int
    expected: float
    deviations: float

    def __str__(self) -> str:
        return (
            f"{self.one} and {self.other} (the same {self.observed:,} times more often than not, "
            f"{self.expected:,.0f} expected)"
        )


def dependences(votes: Votes, fitted: FittedVotes) -> tuple[Dependence, ...]:
    """Pairs that are not independent given the state, most certain first.

    What each says given the state is counted from the fit, the state of a row is judged by
    all functions but the two: a score test of an interaction between their votes, at
    :data:`LEVEL` divided by the number of pairs.
    """
    hot, posterior = votes.one_hot, fitted.posterior
    rates = np.einsum("nmv,ny->myv", hot, posterior) / posterior.sum(0)[None, :, None]
    parts, whole = fitted.parts(votes), fitted.scores(votes)
    pairs = list(combinations(range(len(votes.functions)), 2))
    limit = float(norm.isf(LEVEL / max(len(pairs), 1)))
    found = []
    for one, other in pairs:
        belief = softmax(whole - parts[:, one] - parts[:, other])
        both = (votes.values[:, [one, other]] != ABSTAINS).all(1)
        same = votes.values[:, one] == votes.values[:, other]
        net = both * np.where(same, 1.0, -1.0)
        agree = (rates[one] * rates[other]).sum(1)
        expected = belief @ (2 * agree - rates[one].sum(1) * rates[other].sum(1))
        error = float(np.sqrt(np.square(net - expected).sum())) or 1.0
        deviations = float((net - expected).sum()) / error
        if deviations > limit and net.sum() > 0:
            names = votes.functions[one], votes.functions[other]
            found.append(Dependence(*names, int(net.sum()), float(expected.sum()), deviations))
    return tuple(sorted(found, key=lambda pair: -pair.deviations))


def copies_of(votes: Votes, pairs: Sequence[Dependence]) -> list[tuple[int, ...]]:
    """For each function those that depend on it."""
    place = {name: index for index, name in enumerate(votes.functions)}
    copies: list[tuple[int, ...]] = [()] * len(place)
    for pair in pairs:
        one, other = place[pair.one], place[pair.other]
        copies[one], copies[other] = (*copies[one], other), (*copies[other], one)
    return copies


@dataclass(frozen=True)
class MajorityCheck:
    """Accuracies of their own against one accuracy for all, on what neither was fitted to.

    Attributes:
        gain: nats a case by which functions' own accuracies are ahead; negative: below.
        error: its standard error over rows.
        by_labels: whether labels judged; else each vote, predicted from the other functions'.
        cases: labels or votes.
    """

    gain: float
    error: float
    by_labels: bool
    cases: int

    @property
    def below(self) -> bool:
        """Whether majority vote explains better what neither saw."""
        return self.gain < 0

    def __str__(self) -> str:
        what = f"{self.cases:,} {'labels' if self.by_labels else 'votes'} held back"
        if self.below:
            return (
                "below majority vote, which is used instead (every function counts the same): the "
                f"functions' own accuracies explain {what} worse than one accuracy for all, by "
                f"{-self.gain:.4f} ± {self.error:.4f} nats each"
            )
        return (
            f"above majority vote: the functions' own accuracies explain {what} better than one "
            f"accuracy for all, by {self.gain:.4f} ± {self.error:.4f} nats each"
        )


def against_majority(
    votes: Votes,
    shares: Vector,
    labels: NDArray[np.integer],
    accuracy: AccuracyPrior,
    pairs: tuple[Dependence, ...] = (),
    seed: int = 0,
) -> MajorityCheck:
    """Cross-fitted comparison of accuracies of their own with one for all.

    With :data:`FEWEST_LABELS` labels or more each is judged by its log-probability of labels it
    has not seen. Without, each vote is predicted from the others' on its row, through how the
    function votes given such beliefs on the rows fitted to: neither is told a vote by the
    function itself, nor by those that copy it (``pairs``).
    """
    by_labels = int((labels != UNKNOWN).sum()) >= FEWEST_LABELS
    rng = np.random.default_rng(seed)
    copies = copies_of(votes, pairs)
    judged = labels != UNKNOWN if by_labels else (votes.values != ABSTAINS).sum(1) > 1
    fold = rng.permutation(len(labels)) % FOLDS
    ahead, cases = np.zeros(len(labels)), np.zeros(len(labels))
    for number in range(FOLDS):
        here, rest = fold == number, fold != number
        hidden = np.where(here, UNKNOWN, labels)
        seen = np.ones(len(labels), bool) if by_labels else rest
        part, known = votes.take(seen), hidden[seen]
        own = best_reading(part, shares, known, accuracy)
        common = fit_votes(part, shares=shares, labels=known, accuracy=accuracy, shared=True)
        mine = np.flatnonzero(here & judged)
        if by_labels:
            difference = _at(own, votes, labels, mine) - _at(common, votes, labels, mine)
            count = np.ones(len(mine))
        else:
            by_function = _predicted(own, common, votes, copies, rest, mine)
            difference, count = (sum(part) for part in zip(*by_function, strict=True))
        ahead[mine], cases[mine] = difference, count
    total = max(int(cases.sum()), 1)
    gain = float(ahead.sum() / total)
    spread = ahead[judged] - gain * cases[judged]
    return MajorityCheck(gain, float(np.sqrt((spread**2).sum()) / total), by_labels, total)


def _at(
    fitted: FittedVotes, votes: Votes, labels: NDArray[np.integer], rows: NDArray[np.int64]
) -> Vector:
    belief = softmax(fitted.scores(votes.take(rows)))
    return np.asarray(np.log(belief[np.arange(len(rows)), labels[rows]] + EDGE))


def _predicted(
    own: FittedVotes,
    common: FittedVotes,
    votes: Votes,
    copies: list[tuple[int, ...]],
    rest: NDArray[np.bool_],
    rows: NDArray[np.int64],
) -> list[tuple[Vector, Vector]]:
    """By function: nats by which ``own`` predicts its votes better, and how many there are."""
    found = []
    whole = [(fitted.parts(votes), fitted.scores(votes)) for fitted in (own, common)]
    for function, copied in enumerate(copies):
        vote, hidden = votes.values[:, function], [function, *copied]
        beliefs = (softmax(scores - parts[:, hidden].sum(1)) for parts, scores in whole)
        mine, theirs = (_vote_log_probability(belief, vote, rest, rows) for belief in beliefs)
        spoken = (vote[rows] != ABSTAINS).astype(np.float64)
        found.append((spoken * (mine - theirs), spoken))
    return found


def _vote_log_probability(
    belief: Vector, vote: NDArray[np.int16], rest: NDArray[np.bool_], rows: NDArray[np.int64]
) -> Vector:
    """``float64[rows]``: of votes, by beliefs from the other functions and how often the function
    is right on the rest."""
    spoken = np.flatnonzero(rest & (vote != ABSTAINS))
    right = belief[spoken, vote[spoken]].sum()
    a = (right + 1) / (len(spoken) + 2)
    agrees = belief[rows, np.maximum(vote[rows], 0)]
    return np.asarray(np.log(agrees * a + (1 - agrees) * (1 - a) / (belief.shape[1] - 1)))


@dataclass(frozen=True)
class Readings:
    """Two sets of beliefs that the votes allow, of functions that may be on either side.

    Attributes:
        first, other: from the majority on, and with its states in turn.
        behind: log-likelihood (prior of the sides included) by which the other is behind;
            negative: ahead.
        share: of the rows on which they say something else.
    """

    first: FittedVotes
    other: FittedVotes
    behind: float
    share: float


def best_reading(
    votes: Votes, shares: Vector, labels: NDArray[np.integer], accuracy: AccuracyPrior
) -> FittedVotes:
    """The fit from the majority on, each function on the side it says; with labels, on either
    side, the reading that the labels choose."""
    if (labels == UNKNOWN).all():
        return fit_votes(votes, shares=shares, accuracy=accuracy)
    found = readings(votes, shares, labels, accuracy)
    return found.other if found.behind < 0 else found.first


def two_readings(
    votes: Votes, shares: Vector, labels: NDArray[np.integer], accuracy: AccuracyPrior
) -> Readings | None:
    """Both readings; ``None`` where labels, or the signs of the functions, tell them apart."""
    found = readings(votes, shares, labels, accuracy)
    told_apart = found.behind > TOLD_APART or (
        (labels != UNKNOWN).any() and (found.behind < -TOLD_APART)
    )
    return None if told_apart or found.share < 0.1 else found


def readings(
    votes: Votes, shares: Vector, labels: NDArray[np.integer], accuracy: AccuracyPrior
) -> Readings:
    """The two best readings, one from the majority's beliefs on, one with its states in turn."""
    weak = replace(accuracy, cases=min(accuracy.cases, SIDES))
    given: dict[str, Any] = {"shares": shares, "labels": labels, "accuracy": weak}
    first = fit_votes(votes, sides=False, **given)
    turned = [np.roll(first.posterior, turn, axis=1) for turn in range(1, len(votes.states))]
    others = [fit_votes(votes, start=start, sides=False, **given) for start in turned]
    other = max(others, key=lambda fit: fit.objective[-1])
    differs = first.posterior.argmax(1) != other.posterior.argmax(1)
    behind = first.objective[-1] - other.objective[-1]
    covered = votes.covered
    return Readings(first, other, behind, float(differs[covered].mean()) if covered.any() else 0.0)
