"""How labels were drawn: the share of true atoms among them, and among all.

Labels chosen by their outcome (cases that were looked into, as many others beside them) say how
true atoms differ from false ones, not how rare they are. Given the outcome they are a fair
sample, so likelihood ratios stand as learned, and the base rate is that of the population (King &
Zeng 2001). In a factor graph the draw is a factor: an atom that was labelled has log-odds
``log(r1 / r0)`` more than it has in the population, where ``r`` is the chance of being labelled
given true and given false (:func:`with_selection`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit, log_expit, logit

from knowreason.beliefs.beliefs import Beliefs
from knowreason.data import Dataset
from knowreason.data.id_tables import VALUE, id_matrix
from knowreason.diagnostics import Diagnostic
from knowreason.errors import ProjectError
from knowreason.factors import OPEN
from knowreason.grounding import Grounding
from knowreason.learning import Fit
from knowreason.metrics.intervals import share_interval
from knowreason.models.base.calibration import INTERCEPT_SD, LOG_SLOPE_SD
from knowreason.models.base.predicate_rows import UNKNOWN, PredicateRows, atoms_of, rows_of
from knowreason.models.base.stored_models import FittedModel
from knowreason.project.settings import Settings
from knowreason.reasoner.asked_labels import only_query
from knowreason.row_keys import locate

Vector = NDArray[np.float64]
Origin = Literal["declared", "weights", "estimate"]
APART = 4.0  # times that two shares differ before the program asks
ROUNDS, CLOSE = 8, 0.02  # of moving a bias, log-odds to which its mean belief is met
GRID = np.linspace(-10.0, 10.0, 161)  # log-odds of prevalences that are weighed
SLOPES = np.linspace(-1.2, 1.2, 9)  # logarithms of slopes of ratios that are weighed
BINS, HALVINGS = 400, 40  # of unlabelled ratios; of the search for an intercept


@dataclass(frozen=True)
class Selection:
    """How the labels of a predicate were drawn.

    Attributes:
        predicate: whose labels.
        prevalence: share of true atoms in the population.
        share: of true ones among the labels, half a label of each kind added.
        labels: how many there are.
        origin: whence the prevalence is known.
        interval: about 95 % for it; where it is declared both ends are the number itself.
        weights: ``float64[n]``, the sampling weight of each atom of the predicate, NaN where there
            is none; ``None`` where none were given.
    """

    predicate: str
    prevalence: float
    share: float
    labels: int
    origin: Origin = "declared"
    interval: tuple[float, float] = (0.0, 1.0)
    weights: Vector | None = None

    @property
    def shift(self) -> float:
        """Log-odds that a labelled atom has more than one of the population:
        ``logit(share) - logit(prevalence)``, which is ``log(r1 / r0)``."""
        return float(logit(self.share) - logit(self.prevalence))

    @property
    def note(self) -> str:
        """What was assumed, one sentence."""
        low, high = self.interval
        how = {
            "declared": "as declared",
            "weights": "by the labels' sampling weights",
            "estimate": f"estimated from unlabelled scores, 95 % interval {low:.2g} to {high:.2g}",
        }
        return (
            f"prevalence of `{self.predicate}`: {self.prevalence:.3g}, {how[self.origin]}; of "
            f"{self.labels:,} labels {self.share:.0%} are true, so that labelled atoms count as "
            f"{abs(self.shift):.2f} log-odds {'likelier' if self.shift > 0 else 'less likely'} "
            "than others while weights are learned"
        )


def label_selection(
    data: Dataset, predicate: str, settings: Settings, ratios: NDArray[np.floating] | None = None
) -> Selection | None:
    """How the labels of a predicate were drawn; ``None`` where they count as a fair sample.

    A prevalence in the settings goes before sampling weights in the data.

    Args:
        data: with the labels that are learned from.
        predicate: whose.
        settings: with ``prevalence``.
        ratios: ``float[n]`` log-likelihood ratios of the predicate's atoms, those of labelled
            ones out of fold: what ``"estimate"`` goes by.

    Raises:
        ProjectError: KR847 for a functional predicate, for one without labels that could have
            been drawn, and where ``"estimate"`` has nothing to go by; KR912 where one number is
            given and several predicates are asked.

    Example:
        >>> import knowreason as kr
        >>> data = kr.testing.example_data(nodes=8)
        >>> settings = kr.Settings(prevalence={"Bad": 0.02})
        >>> found = label_selection(data, "Bad", settings)
        >>> round(found.share, 2), round(found.shift, 2)
        (0.3, 3.04)
    """
    wanted = settings.prevalence
    if isinstance(wanted, Mapping):
        _refuse_unknown(data, wanted)
        wanted = wanted.get(predicate)
    elif wanted is not None and predicate != only_query(data.program):
        wanted = None
    weighed = data.label_weights.get(predicate)
    if wanted is None and (weighed is None or not weighed.num_rows):
        return None
    rows = rows_of(data, predicate)
    if rows.classes is not None:
        raise ProjectError(
            f"`{predicate}` is functional, and a prevalence is of true and false",
            code="KR847",
            help="leave it out of `[labels] prevalence`, and its `weight` out of [bind]",
        )
    truth = rows.labels[rows.labelled] == 1
    share = float(rows.base_rate())
    weights = _weights(data, predicate)
    found = Selection(predicate, share, share, len(truth), weights=weights)
    if wanted is None:
        prevalence = _weighted(share, truth, weights[rows.labelled]) if weights is not None else 1.0
        return replace(found, prevalence=prevalence, origin="weights")
    if not isinstance(wanted, str):
        return replace(found, prevalence=float(wanted), interval=(wanted, wanted))
    return _estimated(found, rows, ratios)


def label_selections(
    data: Dataset, models: tuple[FittedModel, ...], settings: Settings
) -> dict[str, Selection]:
    """The selection of each query predicate whose labels are no fair sample."""
    if settings.prevalence is None and not data.label_weights:
        return {}
    found = {}
    for predicate in data.program.predicates:
        if predicate.kind != "query":
            continue
        said = [m.fitted.output.llr for m in models if m.predicate == predicate.name]
        total = np.stack(said).sum(axis=0, dtype=np.float64) if said else None
        selection = label_selection(data, predicate.name, settings, total)
        if selection is not None:
            found[predicate.name] = selection
    return found


def with_selection(grounding: Grounding, selections: Mapping[str, Selection]) -> Grounding:
    """The grounding as it is learned from: each labelled atom's log-odds shifted by how it was
    drawn. Beliefs are taken from the grounding without."""
    if not selections:
        return grounding
    shifts = np.zeros(grounding.graph.atom_count)
    for predicate, selection in selections.items():
        span = grounding.span(predicate)
        labelled = grounding.labels[span.start : span.stop] != OPEN
        shifts[span.start : span.stop][labelled] = selection.shift
    fixed = grounding.graph.log_odds
    total = fixed + torch.from_numpy(shifts).to(fixed.dtype)
    return replace(grounding, graph=replace(grounding.graph, log_odds=total))


def with_population_rates(
    models: tuple[FittedModel, ...], selections: Mapping[str, Selection]
) -> tuple[FittedModel, ...]:
    """The models with the base rate of the population, not of their labels, beside the ratios."""

    def rated(model: FittedModel) -> FittedModel:
        selection = selections.get(model.predicate)
        if selection is None:
            return model
        output = replace(model.fitted.output, base_rate=selection.prevalence)
        return replace(model, fitted=replace(model.fitted, output=output))

    return tuple(map(rated, models))


def with_matched_biases(
    fit: Fit,
    beliefs: Beliefs,
    selections: Mapping[str, Selection],
    believe: Callable[[Fit], Beliefs],
) -> tuple[Fit, Beliefs]:
    """The fit with biases at which beliefs about the training data sum to the prevalence, and
    those beliefs.

    Few labels leave the intercept open by more than a factor of two; where the share of true
    atoms is known, unlabelled atoms say it (Anderson 1979; Qin 1999). Where most atoms are
    labelled there is no population to sum over, and the bias is left as it was learned.

    Args:
        fit: of the weights.
        beliefs: at the fit, labels left open.
        selections: whose predicates' biases are moved.
        believe: beliefs at another fit.
    """
    names = fit.parameters.names
    for predicate, selection in selections.items():
        if f"bias {predicate}" not in names:
            continue
        index = names.index(f"bias {predicate}")
        span, rows = beliefs.grounding.span(predicate), rows_of(beliefs.grounding.data, predicate)
        population = _population(beliefs.grounding, predicate, rows)
        if 2 * (rows.labels[population] == UNKNOWN).sum() < population.sum():
            continue
        wanted, ends = float(logit(selection.prevalence)), [-np.inf, np.inf]
        before = None
        for _ in range(ROUNDS):
            log_odds = beliefs.posterior.log_odds.numpy()[span.start : span.stop]
            excess = float(logit(expit(log_odds[population]).mean())) - wanted
            here = fit.theta[index]
            ends[int(excess > 0)] = here
            if abs(excess) < CLOSE:
                break
            slope = 1.0 if before is None else (excess - before[1]) / (here - before[0])
            there = here - excess / np.clip(slope, 0.2, 5.0)
            if not ends[0] < there < ends[1]:
                there = (ends[0] + ends[1]) / 2
            before = here, excess
            theta = fit.theta.copy()
            theta[index] = there
            fit = replace(fit, theta=theta)
            beliefs = believe(fit)
    return fit, beliefs


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
        name = predicate.name
        span = grounding.span(name)
        rows = rows_of(grounding.data, name)
        unlabelled = (rows.labels == UNKNOWN) & _population(grounding, name, rows)
        count, true = len(rows.labelled), int((rows.labels == 1).sum())
        selection = selections.get(name)
        if selection is not None and selection.origin == "estimate":
            found += _unidentified(selection)
        if selection is not None or not count or not unlabelled.any():
            continue
        predicted = float(expit(log_odds[span.start : span.stop][unlabelled]).mean())
        low, high = share_interval(true, count)
        if low <= predicted <= high or not _apart((true + 0.5) / (count + 1), predicted):
            continue
        found.append(
            Diagnostic(
                "KR844",
                f"{true / count:.0%} of the {count:,} labels of `{name}` are true, but of the "
                f"{int(unlabelled.sum()):,} atoms without a label {predicted:.2g} is expected to be"
                ": labels seem to be drawn by their outcome, and probabilities are then far off",
                "warning",
                help="say what share of all atoms is true: `[labels] prevalence = "
                f'{predicted:.1g}` (the number you know, or "estimate"), or bind sampling weights',
            )
        )
    return tuple(found)


def with_prevalence_notes(
    grounding: Grounding, beliefs: Beliefs, fit: Fit, selections: Mapping[str, Selection]
) -> tuple[Grounding, Fit]:
    """The grounding of the training data with :func:`prevalence_warnings`, and the fit with the
    same in its notes, which are stored, beside what was assumed of labels."""
    warnings = prevalence_warnings(grounding, beliefs.posterior.log_odds.numpy(), selections)
    notes = [selection.note for selection in selections.values()]
    notes += [f"{warning.message} ({warning.help})" for warning in warnings]
    return (
        replace(grounding, warnings=(*grounding.warnings, *warnings)),
        replace(fit, notes=(*fit.notes, *notes)),
    )


def _refuse_unknown(data: Dataset, wanted: Mapping[str, object]) -> None:
    queries = [p.name for p in data.program.predicates if p.kind == "query"]
    for name in wanted:
        if name not in queries:
            raise ProjectError(
                f"a prevalence is given for `{name}`, which is no query predicate",
                code="KR847",
                help=f"query predicates: {', '.join(queries)}",
            )


def _apart(one: float, two: float) -> bool:
    ratios = (one / two, two / one, (1 - one) / (1 - two), (1 - two) / (1 - one))
    return max(ratios) > APART


def _unidentified(selection: Selection) -> list[Diagnostic]:
    low, high = selection.interval
    if logit(high) - logit(low) <= 2 * np.log(APART):
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


def _weights(data: Dataset, predicate: str) -> Vector | None:
    """``float64[n]`` by atom of the predicate, NaN where there is none."""
    table = data.label_weights.get(predicate)
    if table is None:
        return None
    span = atoms_of(data, predicate)
    at = locate(span.arguments, id_matrix(table))
    weights = np.full(span.count, np.nan)
    weights[at[at >= 0]] = table.column(VALUE).to_numpy()[at >= 0]
    return weights


def _weighted(share: float, truth: NDArray[np.bool_], weights: Vector) -> float:
    """Share of true atoms when each label counts for those it stands for.

    The odds among labels are divided by ``r1 / r0``, the mean weight of false labels over that of
    true ones; labels of one kind say nothing of it.
    """
    true, false = weights[truth & ~np.isnan(weights)], weights[~truth & ~np.isnan(weights)]
    if not len(true) or not len(false):
        return share
    return float(expit(logit(share) - np.log(false.mean() / true.mean())))


def _estimated(
    found: Selection, rows: PredicateRows, ratios: NDArray[np.floating] | None
) -> Selection:
    labelled, unlabelled = rows.labelled, np.flatnonzero(rows.labels == UNKNOWN)
    truth = rows.labels[labelled]
    if ratios is None or not len(unlabelled) or len(np.unique(truth)) < 2:
        lacks = (
            "no model speaks of it"
            if ratios is None
            else "every atom is labelled"
            if not len(unlabelled)
            else "labels are of one kind"
        )
        raise ProjectError(
            f"the prevalence of `{found.predicate}` cannot be estimated: {lacks}",
            code="KR847",
            help="write the number: `[labels] prevalence = 0.02`",
        )
    said = np.asarray(ratios, np.float64)
    prevalence, low, high = estimated_prevalence(
        said[unlabelled], said[labelled], truth == 1, found.share
    )
    return replace(found, prevalence=prevalence, origin="estimate", interval=(low, high))


def estimated_prevalence(
    unlabelled: Vector, labelled: Vector, truth: NDArray[np.bool_], share: float
) -> tuple[float, float, float]:
    """Share of true atoms among unlabelled ones, and the ends of a 95 % interval.

    EM takes ratios at their word: its fixed point is ``p = mean(expit(logit(p) + ratio))``
    (Saerens, Latinne & Decaestecker 2002), and a ratio that is off by half a unit moves it by
    several times itself. So here each ``p`` is weighed by how well labels put up with the
    intercept of ``ratio = slope * score + intercept`` of which it is the fixed point (the
    exponential tilt of Anderson 1979 and Qin 1999), slope and intercept with the priors of a
    calibration, ``p`` with that of Jeffreys: the median, and what holds 95 %.

    Args:
        unlabelled: ``float64[n]`` log-likelihood ratios.
        labelled: ``float64[m]`` ratios of atoms whose truth is known, out of fold.
        truth: ``bool[m]``, both kinds.
        share: of true ones among the labels.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> def ratios(true):  # two normal distributions, two standard deviations apart
        ...     return 2 * (rng.standard_normal(len(true)) + np.where(true, 1, -1))
        >>> truth, known = rng.random(20_000) < 0.05, np.arange(400) < 200
        >>> found = estimated_prevalence(ratios(truth), ratios(known), known, 0.5)
        >>> [round(share, 2) for share in found]
        [0.05, 0.01, 0.11]
    """
    count, edges = np.histogram(unlabelled, BINS)
    score = np.histogram(unlabelled, edges, weights=unlabelled)[0][count > 0] / count[count > 0]
    part = count[count > 0] / count.sum()
    slope, p = np.exp(SLOPES)[:, None], expit(GRID)
    tilted = slope[:, :, None] * score
    low, high = np.full((len(SLOPES), len(GRID)), -40.0), np.full((len(SLOPES), len(GRID)), 40.0)
    for _ in range(HALVINGS):
        intercept = (low + high) / 2
        excess = np.expm1(np.minimum(tilted + intercept[:, :, None], 40.0))
        above = (excess / (1 + p[:, None] * excess)) @ part > 0  # of the fixed point
        low, high = np.where(above, low, intercept), np.where(above, intercept, high)
    margin = logit(share) + intercept[:, :, None] + slope[:, :, None] * labelled
    fits = log_expit(np.where(truth, margin, -margin)).sum(axis=2)
    fits -= 0.5 * ((SLOPES / LOG_SLOPE_SD) ** 2)[:, None] + 0.5 * (intercept / INTERCEPT_SD) ** 2
    weight = np.exp(fits - fits.max()).sum(axis=0) * np.sqrt(p * (1 - p))
    below = (np.cumsum(weight) - weight / 2) / weight.sum()
    middle, least, most = expit(np.interp([0.5, 0.025, 0.975], below, GRID))
    return float(middle), float(least), float(most)
