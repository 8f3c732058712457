"""How labels were drawn: the share of true atoms among them, and among all.

Labels chosen by their outcome (cases that were looked into, as many others beside them) say how
true atoms differ from false ones, not how rare they are. Given the outcome they are a fair
sample, so likelihood ratios stand as learned, and the base rate is that of the population (King &
Zeng 2001). In a factor graph the draw is a factor: an atom that was labelled has log-odds
``log(r1 / r0)`` more than it has in the population, where ``r`` is the chance of being labelled
given true and given false (:func:`with_selection`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit, logit

from knowreason.data import Dataset
from knowreason.data.id_tables import VALUE, id_matrix
from knowreason.errors import ProjectError
from knowreason.factors import OPEN
from knowreason.grounding import Grounding
from knowreason.logic import Program
from knowreason.models.base.predicate_rows import UNKNOWN, PredicateRows, atoms_of, rows_of
from knowreason.models.base.stored_models import FittedModel
from knowreason.project.settings import Settings
from knowreason.reasoner.labels.asked_labels import only_query
from knowreason.reasoner.labels.prior_shift import estimated_prevalence
from knowreason.row_keys import locate

Vector = NDArray[np.float64]
Origin = Literal["declared", "weights", "estimate"]
UNEVEN = 0.1  # range of weights of one outcome over their mean, from which it is said


@dataclass(frozen=True)
class Selection:
    """How the labels of a predicate were drawn.

    Attributes:
        predicate: whose labels.
        prevalence: share of true atoms in the population.
        share: of true ones among the labels, half a label of each kind added.
        labels: how many there are.
        origin: whence the prevalence is known.
        interval: about 95 % for it; where it is no estimate both ends are the number itself.
        weights: ``float64[n]``, the sampling weight of each atom of the predicate, NaN where there
            is none; ``None`` where none were given.
        uneven: whether weights of one outcome differ; their mean is then used.
    """

    predicate: str
    prevalence: float
    share: float
    labels: int
    origin: Origin = "declared"
    interval: tuple[float, float] = (0.0, 1.0)
    weights: Vector | None = None
    uneven: bool = False

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
            "weights": "by the labels' sampling weights"
            + ", which differ within an outcome, so that their means are used" * self.uneven,
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
        assert weights is not None
        return _weighted(found, truth, weights[rows.labelled])
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
        total = _told(data, models, predicate.name)
        selection = label_selection(data, predicate.name, settings, total)
        if selection is not None:
            found[predicate.name] = selection
    return found


def _told(data: Dataset, models: tuple[FittedModel, ...], predicate: str) -> Vector | None:
    """``float64[n]``: what the models of a predicate say, added up; of views of it the mean, since
    they answer the same question again."""
    sums = []
    for name in (predicate, *data.program.views_of(predicate)):
        said = [m.fitted.output.llr for m in models if m.predicate == name]
        if said:
            sums.append(np.stack(said).sum(axis=0, dtype=np.float64))
    return np.mean(sums, axis=0) if sums else None


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
    program: Program, models: tuple[FittedModel, ...], selections: Mapping[str, Selection]
) -> tuple[FittedModel, ...]:
    """The models with the base rate of the population, not of their labels, beside the ratios."""

    def rated(model: FittedModel) -> FittedModel:
        selection = selections.get(program.question_of(model.predicate))
        if selection is None:
            return model
        output = replace(model.fitted.output, base_rate=selection.prevalence)
        return replace(model, fitted=replace(model.fitted, output=output))

    return tuple(map(rated, models))


def _refuse_unknown(data: Dataset, wanted: Mapping[str, object]) -> None:
    queries = [p.name for p in data.program.predicates if p.kind == "query"]
    for name in wanted:
        if name not in queries:
            raise ProjectError(
                f"a prevalence is given for `{name}`, which is no query predicate",
                code="KR847",
                help=f"query predicates: {', '.join(queries)}",
            )


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


def _weighted(found: Selection, truth: NDArray[np.bool_], weights: Vector) -> Selection:
    """The share of true atoms when each label counts for those it stands for.

    The odds among labels are divided by ``r1 / r0``, the mean weight of false labels over that of
    true ones; labels of one kind say nothing of it.
    """
    known = ~np.isnan(weights)
    true, false = weights[truth & known], weights[~truth & known]
    prevalence = found.share
    if len(true) and len(false):
        prevalence = float(expit(logit(found.share) - np.log(false.mean() / true.mean())))
    uneven = any(len(kind) and np.ptp(kind) > UNEVEN * kind.mean() for kind in (true, false))
    interval = (prevalence, prevalence)
    return replace(found, prevalence=prevalence, origin="weights", interval=interval, uneven=uneven)


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
