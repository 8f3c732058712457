"""One weight for each thing of an open domain, shrunk to a common mean (empirical Bayes).

The weights of a rule are drawn from a normal distribution whose mean and variance are learned with
them: weights are fitted at some mean and variance, what the labels alone said of each is recovered
from its posterior (a normal approximation), and mean and variance are those under which that is
most likely (REML), again and again until neither moves. This is penalised quasi-likelihood
(Breslow and Clayton, JASA 1993); a weak prior keeps the variance off zero and infinity.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from knowreason.errors import LearningError
from knowreason.learning import Fit, Problem
from knowreason.logic import Program

Vector = NDArray[np.float64]
MOST_WEIGHTS = 5_000  # of one rule: covariances of all pairs of weights are kept
ROUNDS = 8
STILL = 0.02  # a change of mean or deviation, in deviations, below which both stand
LEAST = 0.01  # least deviation, as a share of the rule's own prior's


@dataclass(frozen=True)
class GroupPrior:
    """The distribution that the weights of a rule are drawn from.

    Attributes:
        mean: of the weights.
        deviation: of the weights about it.
        mean_variance: how well the mean is known.
        informed: how many weights labels say something about.
    """

    mean: float
    deviation: float
    mean_variance: float
    informed: int


def shrunk_rules(program: Program) -> dict[int, str]:
    """Rules with a weight for each thing of an open domain: the domain, by index.

    >>> import knowreason as kr
    >>> program = kr.loads('''domain E, Shop
    ... query Bad(E)
    ... observed At(E, Shop)
    ... rule each [? per s] : Bad(e) & At(e, s)''')
    >>> shrunk_rules(program)
    {0: 'Shop'}
    """
    found = {}
    for index, rule in enumerate(program.rules):
        domains = [v.sort for v in rule.weight.per if program.domain(v.sort).members is None]
        if domains:
            found[index] = " and ".join(domains)
    return found


def group_prior(
    theta: Vector, variance: Vector, now: GroupPrior, asked_mean: float, asked_sd: float
) -> GroupPrior:
    """Mean and deviation under which what labels said of the weights is most likely.

    Args:
        theta, variance: ``float64[g]``, posterior modes and variances of the weights.
        now: what they were fitted under.
        asked_mean, asked_sd: the rule's own prior: of the mean, and the scale of the deviation's
            (half-normal).
    """
    precision = np.divide(1, variance, out=np.zeros_like(variance), where=variance > 0)
    precision = precision - now.deviation**-2
    told = np.isfinite(precision) & (precision > 1e-6 * now.deviation**-2)
    if not told.any():
        return replace(now, informed=0)
    noise = 1 / precision[told]
    alone = theta[told] + (theta[told] - now.mean) * noise / now.deviation**2

    def centre(deviation: float) -> tuple[float, float, Vector]:
        weight = 1 / (deviation**2 + noise)
        total = float(weight.sum()) + asked_sd**-2
        return (float(weight @ alone) + asked_mean * asked_sd**-2) / total, 1 / total, weight

    def loss(logarithm: float) -> float:
        deviation = float(np.exp(logarithm))
        mean, spread, weight = centre(deviation)
        value = float(weight @ np.square(alone - mean)) - float(np.log(weight).sum())
        value += (mean - asked_mean) ** 2 / asked_sd**2 - np.log(spread)
        return float(value / 2 + deviation**2 / asked_sd**2 / 2)

    ends = np.log(LEAST * asked_sd), np.log(10 * asked_sd)
    found = minimize_scalar(loss, bounds=ends, method="bounded", options={"xatol": 1e-4})
    deviation = float(np.exp(found.x))
    mean, spread, _ = centre(deviation)
    return GroupPrior(mean, deviation, spread, int(told.sum()))


def with_shrinkage(problem: Problem, program: Program, learn: Callable[[Problem], Fit]) -> Fit:
    """A fit whose weights per thing of an open domain are shrunk to common means.

    Priors of the fit's parameters are those learned, so that a thing that was not seen has the
    prior mean; standard errors hold what is not known of the mean.

    Raises:
        LearningError: KR839 for a rule of more weights than can be learned.
    """
    rules = shrunk_rules(program)
    if not rules:
        return learn(problem)
    table = problem.parameters
    rows = {i: np.flatnonzero((table.owner == i) & table.learned) for i in rules}
    rows = {index: own for index, own in rows.items() if len(own)}
    for index, own in rows.items():
        if len(own) > MOST_WEIGHTS:
            raise _too_many(program.rules[index].name, rules[index], len(own))
    asked = {
        i: (float(table.prior_mean[o[0]]), float(table.prior_sd[o[0]])) for i, o in rows.items()
    }
    priors = {i: GroupPrior(mean, sd, sd**2, 0) for i, (mean, sd) in asked.items()}
    fit = learn(problem)
    for _ in range(ROUNDS):
        variance = np.square(fit.standard_errors)
        new = {
            i: group_prior(fit.theta[own], variance[own], priors[i], *asked[i])
            for i, own in rows.items()
        }
        still = all(_still(new[i], priors[i]) for i in rows)
        priors = new
        if still:
            break
        mean, sd = table.prior_mean.copy(), table.prior_sd.copy()
        for index, own in rows.items():
            mean[own], sd[own] = priors[index].mean, priors[index].deviation
        start = np.where(table.learned, fit.theta, table.start)
        table = replace(table, prior_mean=mean, prior_sd=sd, start=start)
        fit = learn(replace(problem, parameters=table))
    notes = [_note(program.rules[i].name, rules[i], len(rows[i]), priors[i]) for i in rows]
    return replace(_with_means_unknown(fit, rows, priors), notes=(*fit.notes, *notes))


def common_means(fit: Fit, program: Program) -> Mapping[str, tuple[str, float, float]]:
    """By rule that is shrunk: the domain, and the mean and deviation of its weights."""
    table = fit.parameters
    found = {}
    for index, domain in shrunk_rules(program).items():
        own = np.flatnonzero(table.owner == index)
        if len(own):
            first = own[0]
            prior = float(table.prior_mean[first]), float(table.prior_sd[first])
            found[program.rules[index].name] = domain, *prior
    return found


def _still(new: GroupPrior, old: GroupPrior) -> bool:
    if not new.informed:
        return True
    moved = abs(new.mean - old.mean) / old.deviation
    return moved < STILL and abs(np.log(new.deviation / old.deviation)) < STILL


def _with_means_unknown(
    fit: Fit, rows: Mapping[int, NDArray[np.int64]], priors: Mapping[int, GroupPrior]
) -> Fit:
    """Variances with that of the common mean: a weight follows it as far as its labels are few."""
    errors, covariance = fit.standard_errors.copy(), fit.covariance.copy()
    for index, own in rows.items():
        prior = priors[index]
        if not prior.informed:
            continue
        follows = np.clip(np.square(np.nan_to_num(errors[own])) / prior.deviation**2, 0, 1)
        more = prior.mean_variance * np.outer(follows, follows)
        covariance[np.ix_(own, own)] += more
        errors[own] = np.sqrt(np.square(errors[own]) + np.diag(more))
    return replace(fit, standard_errors=errors, covariance=covariance)


def _note(rule: str, domain: str, count: int, prior: GroupPrior) -> str:
    if not prior.informed:
        return f"rule `{rule}`: labels say nothing about its {count:,} weights, one a {domain}"
    return (
        f"rule `{rule}`: {count:,} weights, one a {domain}, differ by {prior.deviation:.2f} about "
        f"a common mean of {prior.mean:.2f} +- {prior.mean_variance**0.5:.2f} "
        f"({prior.informed:,} have labels)"
    )


def _too_many(rule: str, domain: str, count: int) -> LearningError:
    return LearningError(
        f"rule `{rule}` has {count:,} weights, one a {domain}, and at most {MOST_WEIGHTS:,} are "
        "learned together",
        code="KR839",
        help=f"give each {domain} an unknown of its own, `latent Odd({domain})`, or a number from "
        "its history: `define` it and multiply the weight by it",
    )
