"""Do beliefs about all atoms sum to the share that is known, and what is said where they do not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit, logit

from knowreason.beliefs.beliefs import Beliefs
from knowreason.diagnostics import Diagnostic
from knowreason.factors import OPEN
from knowreason.grounding import Grounding
from knowreason.learning import Fit
from knowreason.metrics.intervals import share_interval
from knowreason.models.base.predicate_rows import UNKNOWN, PredicateRows, rows_of
from knowreason.models.stacked.pool import Pool
from knowreason.reasoner.answers import Answers
from knowreason.reasoner.labels.label_selection import Selection

APART = 4.0  # times that two shares differ before the program asks
FARTHEST = 40.0  # log-odds beyond which nothing is told apart


def with_matched_pools(
    answers: Answers,
    beliefs: Beliefs,
    selections: Mapping[str, Selection],
    without: Mapping[tuple[str, str], NDArray[np.float64]],
) -> Answers:
    """The answers with offsets at which those about the training data sum to the prevalence.

    Few labels leave the intercept open by more than a factor of two; where the share of true
    atoms is known, unlabelled atoms say it (Anderson 1979; Qin 1999). An offset changes no
    ranking, as another bias inside the rules would. Where most atoms are labelled there is no
    population to sum over, and nothing is moved.

    Args:
        answers: without offsets.
        beliefs: about the training data, labels left open, with these answers.
        selections: whose predicates' answers are moved.
        without: by model and predicate, what rules say (log-odds of all atoms) without it.
    """
    pools = {pool.predicate: pool for pool in answers.pools}
    notes, program = list(answers.notes), beliefs.grounding.program
    for predicate, selection in selections.items():
        span, rows = beliefs.grounding.span(predicate), rows_of(beliefs.grounding.data, predicate)
        population = _population(beliefs.grounding, predicate, rows)
        if not _is_population(rows, population):
            continue
        log_odds = beliefs.log_odds[span.start : span.stop][population]
        offset = matched_offset(log_odds, selection.prevalence)
        pool = pools.get(predicate, Pool(predicate, "rules", float(logit(selection.prevalence))))
        offsets = []
        for (model, of), said in without.items():
            if program.question_of(of) == predicate and pool.kind != "models":
                rules = replace(pool, offset=0.0, without=()).broken([model])
                left = rules.constant + rules.steepness * said[span.start : span.stop][population]
                offsets.append((model, matched_offset(left, selection.prevalence)))
        pools[predicate] = replace(pool, offset=offset, without=tuple(offsets))
        notes.append(
            f"{predicate}: {offset:+.2f} log-odds make {expit(log_odds).sum():,.1f} of "
            f"{len(log_odds):,} atoms that are expected to be true "
            f"{expit(log_odds + offset).sum():,.1f}, the prevalence"
        )
    return replace(answers, pools=tuple(pools.values()), notes=tuple(notes))


def matched_offset(log_odds: NDArray[np.floating], prevalence: float) -> float:
    """What added to log-odds makes the mean of their probabilities the prevalence.

    >>> round(matched_offset(np.array([-1.0, 1.0]), 0.5), 6)
    0.0
    """
    finite = np.clip(log_odds, -FARTHEST, FARTHEST).astype(np.float64)
    return float(
        brentq(lambda b: expit(finite + b).mean() - prevalence, -2 * FARTHEST, 2 * FARTHEST)
    )


def _is_population(rows: PredicateRows, population: NDArray[np.bool_]) -> bool:
    """Whether most of the atoms are unlabelled, so that they were not chosen by their outcome."""
    unlabelled = int((rows.labels[population] == UNKNOWN).sum())
    return 0 < int(population.sum()) <= 2 * unlabelled


def _population(grounding: Grounding, predicate: str, rows: PredicateRows) -> NDArray[np.bool_]:
    """``bool[n]``: atoms of the predicate in scope of which no evidence is given."""
    span = grounding.span(predicate)
    evidence = grounding.graph.evidence.numpy()[span.start : span.stop]
    return np.asarray((evidence == OPEN) & (True if rows.asked is None else rows.asked))


def prevalence_warnings(
    grounding: Grounding, log_odds: NDArray[np.floating], selections: Mapping[str, Selection]
) -> tuple[Diagnostic, ...]:
    """Warnings where labels and unlabelled atoms cannot both be of one population.

    Args:
        grounding: of the training data.
        log_odds: ``float[n]``, beliefs with its labels left open.
        selections: that are known.
    """
    found = []
    for predicate in grounding.program.predicates:
        if predicate.kind != "query" or predicate.functional_position is not None:
            continue
        span, rows = grounding.span(predicate.name), rows_of(grounding.data, predicate.name)
        population = _population(grounding, predicate.name, rows)
        probability = expit(log_odds[span.start : span.stop])
        selection = selections.get(predicate.name)
        if selection is not None:
            found += _unidentified(selection)
            if _is_population(rows, population):
                found += _off(selection, float(probability[population].mean()))
            continue
        unlabelled = population & (rows.labels == UNKNOWN)
        if len(rows.labelled) and unlabelled.any():
            found += _unfair(rows, probability[unlabelled])
    return tuple(found)


def _unfair(rows: PredicateRows, probability: NDArray[np.floating]) -> list[Diagnostic]:
    count, true = len(rows.labelled), int((rows.labels == 1).sum())
    predicted = float(probability.mean())
    low, high = share_interval(true, count)
    if low <= predicted <= high or not _apart((true + 0.5) / (count + 1), predicted):
        return []
    return [
        Diagnostic(
            "KR844",
            f"{true / count:.0%} of the {count:,} labels of `{rows.predicate}` are true, but of "
            f"the {len(probability):,} atoms without a label {predicted:.2g} is expected to be: "
            "labels seem to be drawn by their outcome, and probabilities are then far off",
            "warning",
            help="say what share of all atoms is true, `[labels] prevalence = 0.02` if it is 2 % "
            '(or "estimate"), or bind sampling weights',
        )
    ]


def _off(selection: Selection, predicted: float) -> list[Diagnostic]:
    if not _apart(selection.prevalence, predicted):
        return []
    return [
        Diagnostic(
            "KR844",
            f"a share of {selection.prevalence:.2g} of `{selection.predicate}` is true "
            f"({selection.origin}), but rules expect {predicted:.2g} of all its atoms to be",
            "warning",
            help="leave its base rate to be learned: a bare rule with a given weight fixes it",
        )
    ]


def with_prevalence_notes(
    grounding: Grounding, beliefs: Beliefs, fit: Fit, selections: Mapping[str, Selection]
) -> tuple[Grounding, Fit]:
    """The grounding of the training data with :func:`prevalence_warnings`, and the fit with the
    same in its notes, which are stored, beside what was assumed of labels."""
    log_odds = beliefs.log_odds.copy()
    for predicate in selections:  # answers meet the prevalence by their offset; do rules too?
        span = grounding.span(predicate)
        inside = slice(span.start, span.stop)
        log_odds[inside] = beliefs.posterior.log_odds.numpy()[inside]
    warnings = prevalence_warnings(grounding, log_odds, selections)
    notes = [selection.note for selection in selections.values()]
    notes += [f"{warning.message} ({warning.help})" for warning in warnings]
    return (
        replace(grounding, warnings=(*grounding.warnings, *warnings)),
        replace(fit, notes=(*fit.notes, *notes)),
    )


def _apart(one: float, two: float) -> bool:
    ratios = (one / two, two / one, (1 - one) / (1 - two), (1 - two) / (1 - one))
    return max(ratios) > APART


def _unidentified(selection: Selection) -> list[Diagnostic]:
    low, high = selection.interval
    if selection.origin != "estimate" or logit(high) - logit(low) <= 2 * np.log(APART):
        return []
    return [
        Diagnostic(
            "KR846",
            f"the prevalence of `{selection.predicate}` is estimated as "
            f"{selection.prevalence:.2g}, but scores and {selection.labels:,} labels fit anything "
            f"from {low:.2g} to {high:.2g}",
            "warning",
            help="say what you know: `[labels] prevalence = 0.02`, or label some atoms drawn at "
            "random",
        )
    ]
