"""What labels leave open about learned weights, each in a sentence with what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from knowreason.diagnostics import Diagnostic
from knowreason.grounding import Grounding
from knowreason.learning import Fit, Problem
from knowreason.learning.problem import AT_BOUND, BY_PRIOR, LEARNED
from knowreason.logic import Atom, Program
from knowreason.logic.traversal import walk
from knowreason.models.base.predicate_rows import rows_of
from knowreason.reasoner.labels.fold_groups import FoldGroups

Vector = NDArray[np.float64]
MOST = 0.5  # of a weight that goes where models are beside it
SURE = 2.0  # standard errors that a weight without models is from 0
AS_LIKELY = 2.0  # nats: odds of seven to one
COMPARED = ("exact", "bp")  # estimators whose likelihoods of two fits compare
MIXED = 0.1  # of groups with several labels, that hold both kinds
FEWEST_GROUPS = 3  # with labels of one kind, of either
CHANCE = 1.645  # standard deviations: one in twenty


def with_identification(
    grounding: Grounding,
    fit: Fit,
    problem: Problem,
    groups: FoldGroups,
    refit: Callable[[Problem], Fit],
) -> tuple[Grounding, Fit]:
    """The grounding with what its labels leave open as warnings, and the fit with the same as
    findings, which are stored.

    Args:
        grounding: that weights were learned from.
        fit: of ``problem``.
        problem: labels, priors, bounds.
        groups: atoms that share a cause.
        refit: learns a problem, as ``fit`` was.
    """
    found = [*fit.findings]
    if fit.estimators:
        found += overlaps(grounding.program, fit)
        found += _turned(grounding.program, fit, problem, refit)
    found += _groups_of_one_kind(grounding, groups)
    warnings = (*grounding.warnings, *found)
    return replace(grounding, warnings=warnings), replace(fit, findings=tuple(found))


@dataclass(frozen=True)
class Overlap:
    """How much of a rule's weight goes where models are beside it.

    Attributes:
        parameter: of the rule.
        weight, alone: learned, and what it would be about at scales of 0.
        scale: parameter of the model to which most of it goes.
    """

    parameter: int
    weight: float
    alone: float
    scale: int


def weight_overlaps(fit: Fit) -> tuple[Overlap, ...]:
    """Rule weights of which more than half goes where models are there.

    One Newton step from the fit: given scales of 0 instead of ``s``, a normal posterior has its
    other means at ``theta - C[r, s] C[s, s]^-1 s``. Exact where a rule repeats what a model says,
    for the likelihood is then straight along the ridge; elsewhere a first answer.
    """
    table, covariance = fit.parameters, fit.covariance
    variance = np.diag(covariance)
    known = table.learned & np.isfinite(variance) & (variance > 0)
    known &= np.array([status != AT_BOUND for status in fit.status])
    kinds = np.array(table.kinds)
    scales = np.flatnonzero(known & (kinds == "scale"))
    said = np.array([status in (LEARNED, BY_PRIOR) for status in fit.status])
    rules = np.flatnonzero(known & said & (kinds == "rule"))
    if not len(scales) or not len(rules) or not fit.converged:
        return ()
    across = covariance[np.ix_(rules, scales)]
    gain = np.linalg.lstsq(covariance[np.ix_(scales, scales)], across.T)[0].T
    goes = -gain * fit.theta[scales]
    alone = fit.theta[rules] + goes.sum(axis=1)
    error = np.sqrt(np.maximum(variance[rules] - (gain * across).sum(axis=1), 0.0))
    most = goes.sum(axis=1) * np.sign(alone) > MOST * np.abs(alone)
    found = most & (np.abs(alone) > SURE * error)
    largest = scales[np.argmax(goes * np.sign(alone)[:, None], axis=1)]
    return tuple(
        Overlap(int(rules[i]), float(fit.theta[rules[i]]), float(alone[i]), int(largest[i]))
        for i in np.flatnonzero(found)
    )


def overlaps(program: Program, fit: Fit) -> Iterator[Diagnostic]:
    """KR836 for every rule of :func:`weight_overlaps`."""
    names, owner = fit.parameters.names, fit.parameters.owner
    for one in weight_overlaps(fit):
        model = names[one.scale].removeprefix("scale ")
        yield Diagnostic(
            "KR836",
            f"model `{model}` already says most of what rule `{names[one.parameter]}` does: its "
            f"weight is {one.weight:+.2f} beside models and would be about {one.alone:+.2f} alone",
            "hint",
            program.rules[owner[one.parameter]].span,
            help="do not read the weight as the strength of the rule; drop the rule, or the "
            "features by which the model sees the same, if one of them is enough",
        )


def _turned(
    program: Program, fit: Fit, problem: Problem, refit: Callable[[Problem], Fit]
) -> Iterator[Diagnostic]:
    """KR837 for latent predicates that might as well mean the opposite."""
    table = fit.parameters
    if any(report.estimator not in COMPARED for report in fit.estimators):
        return
    for predicate in program.predicates:
        if predicate.kind != "latent" or predicate.functional_position is not None:
            continue
        if predicate.sees:  # its models say which side is true
            continue
        turns, given = _turning(program, fit, predicate.name)
        ties = turns & (np.array(table.kinds) == "rule")
        if given or not ties.any():
            continue
        signs = np.where(turns, -1.0, 1.0)
        turned = replace(
            table,
            start=np.clip(signs * fit.theta, table.lower, table.upper),
            prior_mean=signs * table.prior_mean,
        )
        other = refit(replace(problem, parameters=turned, latent_rules=None))
        gap = fit.log_likelihood - other.log_likelihood
        if gap > AS_LIKELY or float(other.theta[ties] @ fit.theta[ties]) >= 0:
            continue
        stated = bool(table.prior_mean[ties].any())
        names = ", ".join(f"`{table.names[i]}`" for i in np.flatnonzero(ties))
        rests = f"rests on the prior of {names} alone" if stated else "is not told by anything"
        yield Diagnostic(
            "KR837",
            f"labels are about as likely if latent `{predicate.name}` means the opposite (log "
            f"likelihood {fit.log_likelihood:.1f} and {other.log_likelihood:.1f}): which it is "
            f"{rests}",
            "hint" if stated else "warning",
            help=f"state the sign of a rule that gives `{predicate.name}` its meaning "
            "(`[? 1 >= 0]`)",
        )


def _turning(program: Program, fit: Fit, latent: str) -> tuple[NDArray[np.bool_], bool]:
    """``bool[p]``: parameters whose sign turns with the meaning of a latent predicate, and whether
    the rule file says a sign: a bound, or a weight that is given."""
    table = fit.parameters
    turns = np.array([name == f"bias {latent}" for name in table.names]) & table.learned
    for index, rule in enumerate(program.rules):
        atoms = [node.predicate for node in walk(rule.formula) if isinstance(node, Atom)]
        if atoms.count(latent) % 2 == 0:
            continue
        own = (table.owner == index) & (np.array(table.kinds) == "rule")
        bounded = (table.lower >= 0) | (table.upper <= 0) | ~table.learned
        bare = sum(program.is_open(name) for name in atoms) == 1  # a base rate
        if not bare and (rule.weight.kind == "hard" or bounded[own].any()):
            return turns, True
        turns |= own & ~bounded
    return turns, False


def _groups_of_one_kind(grounding: Grounding, groups: FoldGroups) -> Iterator[Diagnostic]:
    """KR838 where nearly all groups with several labels hold labels of one kind."""
    for predicate in grounding.program.predicates:
        if predicate.kind != "query" or predicate.functional_position is not None:
            continue
        group, called = groups.of(grounding.data, predicate.name)
        rows = rows_of(grounding.data, predicate.name)
        if group is None or not len(rows.labelled):
            continue
        pure, several, expected = _pure(group[rows.labelled], rows.labels[rows.labelled] == 1)
        if not pure:
            continue
        yield Diagnostic(
            "KR838",
            f"{pure:,} of {several:,} {called} with several labels of `{predicate.name}` hold "
            f"labels of one kind ({expected:,.0f} would by chance): what such a group has in "
            "common cannot be told from what makes it true",
            "hint",
            help="label cases of the other kind in the same groups, and trust only figures for "
            "whole groups (`[learn] clusters`)",
        )


def _pure(group: NDArray[np.integer], true: NDArray[np.bool_]) -> tuple[int, int, float]:
    """Groups of one kind, groups with several labels, and how many of one kind chance would give;
    0 for the first where nothing is to be said.

    Chance deals the same labels to the same groups: a group of ``n`` is pure with the probability
    ``s^n + (1 - s)^n`` at the share ``s``.
    """
    _, of = np.unique(group, return_inverse=True)
    size, positive = np.bincount(of), np.bincount(of, true)
    several = size > 1
    size, positive = size[several], positive[several]
    share = true.mean()
    chance = share**size + (1 - share) ** size
    all_true, none_true = int((positive == size).sum()), int((positive == 0).sum())
    mixed = len(size) - all_true - none_true
    rarer = all_true if share <= 0.5 else none_true
    deviation = np.sqrt((chance * (1 - chance)).sum())
    beyond = all_true + none_true - chance.sum() > CHANCE * deviation
    rare = mixed <= MIXED * (mixed + rarer)
    enough = min(all_true, none_true) >= FEWEST_GROUPS
    pure = all_true + none_true if beyond and rare and enough else 0
    return pure, len(size), float(chance.sum())
