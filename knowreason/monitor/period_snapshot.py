"""What holds in a period: how often rules are violated, models disagree, where scores lie."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit
from scipy.stats import ks_2samp

from knowreason.factors import FALSE, TRUE, AtomSpan, GroundFactors
from knowreason.factors.model_output import ModelOutput
from knowreason.factors.potentials import potential_of
from knowreason.grounding import Grounding
from knowreason.monitor.channels import correlations
from knowreason.monitor.readings import LEAST_ATOMS, Batch, Reading, readings
from knowreason.monitor.separations import Separation
from knowreason.row_keys import distinct_rows

CLUSTERS = 20  # components needed to speak of the spread between them
CUTS = 51
LEAST_PERIODS = 3  # of training, to speak of how they differ
SHARED_ERROR = 0.3  # correlation among labelled negatives

Array = NDArray[Any]


@dataclass(frozen=True)
class Rate:
    """A share in one period, of a rule's groundings or of a pair of models' atoms.

    Attributes:
        name: a rule (its negation where the weight is negative) or a pair of models.
        share: expected share of groundings violated, of atoms disagreed on.
        error: standard error over connected components; of training, where its periods
            differ by more, the standard deviation of a further period.
        count: groundings, atoms.
    """

    name: str
    share: float
    error: float
    count: int


@dataclass(frozen=True)
class ScoreSummary:
    """Where a model's log-likelihood ratios lie.

    Attributes:
        model, predicate: whose.
        cuts: distinct quantiles, ascending.
        below: share of atoms at most at each cut.
        count: atoms.
        usual: Kolmogorov distance without any drift: the greatest of a period of training
            from the others, or of the final model from those of the folds; 0 where unknown.
    """

    model: str
    predicate: str
    cuts: tuple[float, ...]
    below: tuple[float, ...]
    count: int
    usual: float = 0.0

    def median(self) -> float:
        """The middle score."""
        return self.cuts[int(np.searchsorted(self.below, 0.5).clip(0, len(self.cuts) - 1))]


@dataclass(frozen=True)
class Snapshot:
    """Everything kept of one period.

    Attributes:
        rules, pairs: rates.
        scores: of each model.
        readings: channels by predicate.
        shared: pairs of models whose ratios correlate among labelled negatives, and how.
        separations: of models judged by beliefs that one model is left out of.
    """

    rules: tuple[Rate, ...]
    pairs: tuple[Rate, ...]
    scores: tuple[ScoreSummary, ...]
    readings: tuple[Reading, ...]
    shared: tuple[tuple[str, str, float], ...] = ()
    separations: tuple[Separation, ...] = ()

    def to_values(self) -> dict[str, Any]:
        """As plain values, for ``drift.json``."""
        return {
            "rules": [asdict(rate) for rate in self.rules],
            "pairs": [asdict(rate) for rate in self.pairs],
            "scores": [asdict(summary) for summary in self.scores],
            "readings": [reading.to_values() for reading in self.readings],
            "shared": [list(pair) for pair in self.shared],
            "separations": [asdict(one) for one in self.separations],
        }

    @staticmethod
    def from_values(values: Mapping[str, Any]) -> Snapshot:
        """What :meth:`to_values` gave; earlier versions measured no separations."""
        return Snapshot(
            tuple(Rate(**rate) for rate in values["rules"]),
            tuple(Rate(**rate) for rate in values["pairs"]),
            tuple(
                ScoreSummary(**{**s, "cuts": tuple(s["cuts"]), "below": tuple(s["below"])})
                for s in values["scores"]
            ),
            tuple(Reading.from_values(reading) for reading in values["readings"]),
            tuple((one, two, how) for one, two, how in values["shared"]),
            tuple(Separation(**one) for one in values.get("separations", ())),
        )


def snapshot(
    batch: Batch,
    component: Array | None,
    labels: Array | None = None,
    period: Array | None = None,
) -> Snapshot:
    """Measure a period.

    Args:
        batch: beliefs, models and which atoms count.
        component: ``int32[n]`` connected component of each atom, where known.
        labels: ``int8[n]`` known truths, for correlations among negatives.
        period: ``int[n]``, part of the time of each atom, -1 where it has none: how far
            parts of training differ is no drift.
    """
    probability = expit(batch.log_odds)
    return Snapshot(
        tuple(_rule_rates(batch, probability, component, period)),
        tuple(_pair_rates(batch, period)),
        tuple(_summaries(batch, period)),
        readings(batch),
        () if labels is None else tuple(_shared_errors(batch, labels)),
    )


def counted_in_training(grounding: Grounding, silent: Mapping[str, Array]) -> NDArray[np.bool_]:
    """``bool[n]``: open atoms, less those without an out-of-fold score."""
    chosen = np.asarray(grounding.graph.evidence.numpy() < 0).copy()
    for predicate, mask in silent.items():
        span = grounding.span(predicate)
        chosen[span.start : span.stop] &= ~mask
    return chosen


def violations(part: GroundFactors, probability: Array) -> NDArray[np.float64]:
    """``float64[rows]``: expected violation of each ground factor, atoms taken one by one.

    A unit of negative value is violated where its atom is true.
    """
    broken = 1 - potential_of(part).expected(part, probability)
    return np.where(part.values() >= 0, broken, 1 - broken) if part.is_unit else broken


def _rule_rates(
    batch: Batch, probability: Array, component: Array | None, period: Array | None
) -> Iterator[Rate]:
    graph = batch.grounding.graph
    for index, rule in enumerate(batch.grounding.program.rules):
        weight, violated, atom = [np.zeros(0)], [np.zeros(0)], [np.zeros(0, np.int64)]
        for part in graph.factors:
            if part.rule != index or part.is_hard:
                continue
            rows = part.holding(batch.chosen)
            weight.append(np.abs(part.values())[rows])
            against = graph.theta.numpy()[part.parameters()] < 0
            broken = violations(part, probability)
            violated.append(np.where(against, 1 - broken, broken)[rows])
            atom.append(part.first_atoms()[rows].astype(np.int64))
        total = np.concatenate(weight)
        if len(total) < LEAST_ATOMS or not total.sum():
            continue
        where = np.concatenate(atom)
        rate = _rate(rule.name, np.concatenate(violated), total, where, component)
        yield _of_periods(rate, np.concatenate(violated), total, period, where)


def _rate(name: str, values: Array, weight: Array, atom: Array, component: Array | None) -> Rate:
    share = float((values * weight).sum() / weight.sum())
    cluster = atom if component is None else component[atom].astype(np.int64)
    _, cluster = np.unique(cluster, return_inverse=True)
    held = np.bincount(cluster, weight)
    if len(held) < CLUSTERS or held.max() > 0.2 * held.sum():
        _, cluster = np.unique(atom, return_inverse=True)
    residual = np.bincount(cluster, weight * (values - share))
    return Rate(name, share, float(np.sqrt(np.square(residual).sum()) / weight.sum()), len(values))


def _of_periods(
    rate: Rate, values: Array, weight: Array, period: Array | None, atom: Array
) -> Rate:
    """The rate with the error of a further period, where parts of training differ by more."""
    if period is None:
        return rate
    part = period[atom].astype(np.int64)
    total = np.bincount(part[part >= 0], weight[part >= 0])
    broken = np.bincount(part[part >= 0], (weight * values)[part >= 0])
    shares = broken[total > 0] / total[total > 0]
    if len(shares) < LEAST_PERIODS:
        return rate
    further = float(shares.std(ddof=1) * np.sqrt(1 + 1 / len(shares)))
    return replace(rate, error=max(rate.error, further))


def _pair_rates(batch: Batch, period: Array | None) -> Iterator[Rate]:
    for predicate, outputs in _by_predicate(batch.outputs).items():
        span = batch.grounding.span(predicate)
        chosen = batch.chosen[span.start : span.stop]
        if chosen.sum() < LEAST_ATOMS or span.functional_position is not None:
            continue
        for one, two in combinations(outputs, 2):
            p, q = (expit(o.llr[chosen] + logit(np.float64(o.base_rate))) for o in (one, two))
            apart = p * (1 - q) + q * (1 - p)
            name = f"`{one.model}` and `{two.model}` on {predicate}"
            error = float(apart.std() / len(p) ** 0.5)
            rate = Rate(name, float(apart.mean()), error, len(p))
            where = span.start + np.flatnonzero(chosen)
            yield _of_periods(rate, apart, np.ones(len(p)), period, where)


def _summaries(batch: Batch, period: Array | None) -> Iterator[ScoreSummary]:
    for output in batch.outputs:
        span = batch.grounding.span(output.predicate)
        chosen = batch.chosen[span.start : span.stop]
        llr = output.llr[chosen].astype(np.float64)
        if len(llr) < LEAST_ATOMS:
            continue
        cuts = np.unique(np.quantile(llr, np.linspace(0, 1, CUTS), method="lower"))
        below = np.searchsorted(np.sort(llr), cuts, side="right") / len(llr)
        yield ScoreSummary(
            output.model,
            output.predicate,
            tuple(cuts.tolist()),
            tuple(below.tolist()),
            len(llr),
            0.0 if period is None else _usual(llr, period[span.start : span.stop][chosen]),
        )


def _usual(llr: Array, period: Array) -> float:
    """Greatest Kolmogorov distance of a period's scores from those of the others."""
    parts = [part for part in np.unique(period[period >= 0]) if (period == part).any()]
    if len(parts) < LEAST_PERIODS:
        return 0.0
    return float(
        max(ks_2samp(llr[period == part], llr[period != part]).statistic for part in parts)
    )


def _shared_errors(batch: Batch, labels: Array) -> Iterator[tuple[str, str, float]]:
    """Pairs of models about the same things that err together."""
    spans, question = batch.grounding.atoms.spans, batch.grounding.program.question_of
    known = np.where(batch.chosen, labels, -1)
    for one, two in combinations(batch.outputs, 2):
        first, second = spans[question(one.predicate)], spans[question(two.predicate)]
        if not np.array_equal(first.arguments, second.arguments):
            continue
        false = known[first.start : first.stop] == FALSE
        false &= known[second.start : second.stop] == FALSE
        told = np.column_stack([one.llr, two.llr])
        groups = None if first.functional_position is None else _state_groups(first, known)
        how = correlations(told, np.where(false, 0, -1).astype(np.int8), groups)[0, 1]
        if how > SHARED_ERROR:
            yield one.model, two.model, float(how)


def _state_groups(span: AtomSpan, known: Array) -> Array:
    """``int[n]``: by atom of a functional predicate, its state and the true one (-1 unknown)."""
    assert span.functional_position is not None
    state = span.arguments[:, span.functional_position].astype(np.int64)
    others = np.delete(span.arguments, span.functional_position, axis=1)
    _, setting = distinct_rows(others.T, rows=len(others))
    true = np.full(int(setting.max(initial=-1)) + 1, -1)
    holds = known[span.start : span.stop] == TRUE
    true[setting[holds]] = state[holds]
    return np.asarray(true[setting] * (int(state.max(initial=0)) + 1) + state)


def _by_predicate(outputs: Sequence[ModelOutput]) -> dict[str, list[ModelOutput]]:
    found: dict[str, list[ModelOutput]] = {}
    for output in outputs:
        found.setdefault(output.predicate, []).append(output)
    return found
