"""Score a slice with what was known then, refit, go on.

Dawid 1984; for streams Gama, Sebastião and Rodrigues 2013. A label is known ``delay``
after its atom's clock, and what a slice was scored with is its out-of-fold score when
weights are fitted again: no fold is made twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from knowreason.beliefs.beliefs import Beliefs
from knowreason.data import Dataset, known_at
from knowreason.data.arrow_types import ArrowTable
from knowreason.data.id_tables import as_matrix
from knowreason.data.splits.clocks import LATEST, Moment, thing_values, to_moment
from knowreason.errors import ProjectError
from knowreason.models import atoms_of, make
from knowreason.models.base.fold_mean import FoldMean
from knowreason.models.base.model_protocol import fit_model
from knowreason.models.base.predicate_rows import UNKNOWN, rows_of
from knowreason.models.base.stored_models import FittedModel
from knowreason.progress import Progress
from knowreason.reasoner.fit_reasoner import fit_weights_and_answers
from knowreason.reasoner.fitting.numeric_fits import with_estimates
from knowreason.reasoner.labels.asked_labels import hidden_truth, only_query
from knowreason.reasoner.labels.fold_groups import FoldGroups
from knowreason.reasoner.reasoner import Reasoner
from knowreason.reasoner.rule_weights import RuleWeights
from knowreason.reasoner.stored_reasoner import Learned
from knowreason.row_keys import locate

MOST_MOMENTS = 1000


@dataclass(frozen=True)
class RefitSchedule:
    """How often to refit, in slices; 0 for never.

    Attributes:
        weights: rule weights, scales and biases.
        models: knowledge models, on all labels known by then.
    """

    weights: int = 1
    models: int = 0


@dataclass(frozen=True)
class Prequential:
    r"""Scores of every slice's atoms with a held-back label, as they were given then.

    Attributes:
        predicate: which.
        names: one column an argument, the atoms' names.
        log_odds: ``float64[n]`` of the reasoner.
        models: the models' log-likelihood ratios ``float32[n]`` by name.
        truth: ``bool[n]``.
        blocks: ``int64[n]`` number of the slice, from 0.
        moments: where each slice starts, in the clock's units.
        weights: by slice, the weights it was scored with.

    Example:
        >>> from knowreason import loads
        >>> program = loads("domain Day\nattribute at(Day): int clock\nquery Wet(Day)")
        >>> days = {"day": ["mon", "tue", "wed"], "value": [0, 1, 1]}
        >>> data = Dataset.from_frames(program, facts={"at": days}, labels={"Wet": days})
        >>> prequential(Reasoner(program), data, "at", start=1).moments
        (1,)
    """

    predicate: str
    names: ArrowTable
    log_odds: NDArray[np.float64]
    models: dict[str, NDArray[np.float32]]
    truth: NDArray[np.bool_]
    blocks: NDArray[np.int64]
    moments: tuple[float, ...]
    weights: tuple[dict[str, float], ...]

    def aligned(self, data: Dataset, arguments: NDArray[np.int32]) -> NDArray[np.float64]:
        """Log-odds of atoms of a data set (``int32[m, k]`` ids), NaN where never scored."""
        sorts = data.program.sorts_of(self.predicate)
        names: pa.Table = self.names
        ids = [
            data.vocabularies[sort].ids(names.column(i).combine_chunks())
            for i, sort in enumerate(sorts)
        ]
        at = locate(as_matrix(ids, len(self.log_odds)), arguments)
        return np.where(at >= 0, self.log_odds[np.maximum(at, 0)], np.nan)


def prequential(
    reasoner: Reasoner,
    data: Dataset,
    by: str,
    start: Moment,
    *,
    delay: float = 0,
    moments: Sequence[Moment] | None = None,
    schedule: RefitSchedule = RefitSchedule(),
    looks_back: bool = False,
    predicate: str = "",
    watch: Callable[[Beliefs], object] | None = None,
    progress: Progress | None = None,
) -> Prequential:
    r"""Scores of every slice from ``start`` on, each by what was known before it.

    Args:
        reasoner: fitted on what lies before ``start``, or unfitted (then it is fitted here,
            on a copy); never changed. One whose definitions read labels is fitted again
            unless it was fitted for labels as old as they are here.
        data: everything, all labels visible.
        by: the clock.
        start: where the first scored slice begins.
        delay: how long after its atom's clock a label is known, in the clock's units. A
            slice's own labels are never known when it is scored.
        moments: where slices begin; by default every value of an ``int`` clock.
        schedule: how often weights and models are fitted again.
        looks_back: the caller vouches that no definition, feature or rule looks beyond its
            own slice. Later things (never their labels) then stay in the data, and
            definitions are evaluated once instead of once a slice. A model that standardises
            its columns over all rows looks beyond; trees do not.
        predicate: which; may be left out where only one is asked.
        watch: called with the beliefs about each slice, its labels hidden, in their order.
        progress: called as ``progress(done, total, message)``.

    Raises:
        ProjectError: KR921 for a clock that gives no slices.

    Example:
        >>> from knowreason import loads
        >>> program = loads("domain Day\nattribute at(Day): int clock\nquery Wet(Day)")
        >>> days = {"day": ["mon", "tue", "wed"], "value": [0, 1, 1]}
        >>> data = Dataset.from_frames(program, facts={"at": days}, labels={"Wet": days})
        >>> prequential(Reasoner(program), data, "at", start=1).log_odds.round(2)
        array([-1.04, -1.04])
    """
    predicate = predicate or only_query(reasoner.program)
    starts = slice_starts(data, by, start, moments)
    longest = float(np.diff(starts).max(initial=1)) if moments is not None else 1.0
    data = replace(data, label_delay=delay, label_refresh=longest)
    walker = _Walker(_ready(reasoner, data, by, starts[0], delay), by, delay, schedule)
    rows = []
    for number, moment in enumerate(starts):
        if progress is not None:
            progress(number, len(starts), f"slice {number + 1} of {len(starts)}")
        after = starts[number + 1] if number + 1 < len(starts) else None
        upto = data
        if after is not None and not looks_back:
            upto, _ = data.split_by(by, before=after)
        rows.append(walker.score(upto, (moment, after), predicate, number, watch))
        if after is not None:
            walker.learn(upto, after, number + 1)
    return _joined(rows, predicate, starts)


def slice_starts(
    data: Dataset, by: str, start: Moment, moments: Sequence[Moment] | None = None
) -> tuple[float, ...]:
    """Where slices from ``start`` on begin, in the clock's units.

    Raises:
        ProjectError: KR921 where there is none, or every value of a clock that is no small
            integer would be one.
    """
    values, sort = thing_values(data, by)
    zone = data.program.zone
    first = to_moment(start, sort, zone)
    if moments is not None:
        starts = np.array(sorted(to_moment(moment, sort, zone) for moment in moments))
    else:
        starts = np.unique(values[(values != LATEST) & np.isfinite(values)])
    starts = starts[starts >= first]
    if not len(starts) or len(starts) > MOST_MOMENTS:
        raise ProjectError(
            f"`{by}` from {start} on gives {len(starts):,} slices",
            code="KR921",
            help="split by an `int` attribute that numbers the slices, or give `moments`",
        )
    return tuple(starts.tolist())


def _ready(reasoner: Reasoner, data: Dataset, by: str, first: float, delay: float) -> Reasoner:
    walking = copy(reasoner)
    if not hasattr(walking, "fit_") or not _reads_labels_so_old(walking, data):
        past, _ = data.split_by(by, before=first)
        walking.fit(known_at(past, first, delay) if delay else past)
    elif not hasattr(walking, "grounding_"):
        past, _ = data.split_by(by, before=first)
        walking.training_grounding(known_at(past, first, delay) if delay else past)
    return walking


def _reads_labels_so_old(reasoner: Reasoner, data: Dataset) -> bool:
    """Whether definitions read labels in training as they will on the walk."""
    if not reasoner.program.label_readers:
        return True
    before = reasoner.grounding_.data if hasattr(reasoner, "grounding_") else None
    return before is not None and (before.label_delay, before.label_refresh) == (
        data.label_delay,
        data.label_refresh,
    )


@dataclass(frozen=True)
class _ScoredSlice:
    """The fields of :class:`Prequential` for one slice."""

    names: ArrowTable
    log_odds: NDArray[np.float64]
    models: dict[str, NDArray[np.float32]]
    truth: NDArray[np.bool_]
    blocks: NDArray[np.int64]
    weights: dict[str, float]


@dataclass
class _Walker:
    """The reasoner as it stands, and the data its models' outputs belong to."""

    reasoner: Reasoner
    by: str
    delay: float
    schedule: RefitSchedule

    def score(
        self,
        upto: Dataset,
        reach: tuple[float, float | None],
        predicate: str,
        number: int,
        watch: Callable[[Beliefs], object] | None,
    ) -> _ScoredSlice:
        """Beliefs about the slice that reaches from one moment to the next, labels hidden."""
        moment, after = reach
        _, today = upto.split_by(self.by, before=moment)
        if after is not None:
            (domain,) = today.program.attribute(self.by).sorts
            values, _ = thing_values(today, self.by)
            in_slice = today.scope[domain] & (values < after)
            today = replace(today, scope={**today.scope, domain: in_slice})
        if self.delay:
            today = known_at(today, moment, self.delay)
        beliefs = self.reasoner.infer(today)
        if watch is not None:
            watch(beliefs)
        used = self.reasoner.answers_.used(self.reasoner.fit_)
        atoms, truth = hidden_truth(beliefs, predicate)
        span = beliefs.grounding.span(predicate)
        local = atoms - span.start
        names = {
            f"a{i}": today.vocabularies[sort].names.take(pa.array(span.arguments[local, i]))
            for i, sort in enumerate(today.program.sorts_of(predicate))
        }
        return _ScoredSlice(
            pa.table(names),
            beliefs.log_odds[atoms],
            {
                output.model: output.llr[local]
                for output in beliefs.outputs
                if today.program.question_of(output.predicate) == predicate
            },
            truth,
            np.full(len(atoms), number, dtype=np.int64),
            {weight.name: weight.value for weight in RuleWeights.of(used)},
        )

    def learn(self, upto: Dataset, after: float, slices: int) -> None:
        """Fit again what is due, on labels known at ``after``."""
        refit_models = self.schedule.models and slices % self.schedule.models == 0
        refit_weights = self.schedule.weights and slices % self.schedule.weights == 0
        reasoner = self.reasoner
        labelled, before = known_at(upto, after, self.delay), reasoner.grounding_.data
        estimates = tuple(carry(m, before, labelled) for m in reasoner.estimates_)
        if refit_models:
            shared = FoldGroups.of_numbers(labelled, reasoner.settings.clusters)
            estimates = tuple(_again(m, labelled, shared) for m in estimates)
        reasoner.estimates_ = estimates
        labelled = with_estimates(labelled, reasoner.estimates_, training=True)
        bare = reasoner._ground(labelled, ())
        groups = FoldGroups.by(bare, reasoner.settings.clusters)

        def carried(models: tuple[FittedModel, ...]) -> tuple[FittedModel, ...]:
            known = (carry(model, before, labelled) for model in models)
            return tuple(_again(m, labelled, groups) if refit_models else m for m in known)

        models, beside = carried(reasoner.models_), carried(reasoner.answers_.beside)
        reasoner.models_ = models
        reasoner.grounding_ = bare.with_models(model.fitted.output for model in models)
        reasoner.answers_ = replace(reasoner.answers_, beside=beside)
        if refit_weights:
            fit, answers = fit_weights_and_answers(
                reasoner, reasoner.grounding_, models, beside, groups
            )
            reasoner.adopt(Learned(models, fit, answers=answers, estimates=reasoner.estimates_))


def carry(model: FittedModel, before: Dataset, now: Dataset) -> FittedModel:
    """A fitted model whose output is about ``now``: what it had said of atoms of ``before``,
    and what it says today of the others."""
    fresh, held = model.fitted.predict(now), model.fitted
    old, new = atoms_of(before, model.predicate), atoms_of(now, model.predicate)
    sorts = now.program.sorts_of(model.predicate)
    ids = [
        now.vocabularies[sort].ids(before.vocabularies[sort].names)[old.arguments[:, i]]
        for i, sort in enumerate(sorts)
    ]
    at = locate(new.arguments, as_matrix(ids, len(old.arguments)))
    present = at >= 0
    llr, spread = fresh.llr.copy(), fresh.spread
    llr[at[present]] = held.output.llr[present]
    if spread is not None and held.output.spread is not None:
        spread = spread.copy()
        spread[at[present]] = held.output.spread[present]
    silent, scored = np.zeros(new.count, dtype=bool), np.zeros(new.count, dtype=bool)
    silent[at[present]] = held.silent[present]
    rows = rows_of(now, now.program.question_of(model.predicate))
    scored[(rows.labels != UNKNOWN)[rows.row_of_atom]] = True
    return replace(
        model,
        fitted=replace(
            held,
            output=replace(fresh, llr=llr, spread=spread),
            silent=silent,
            out_of_fold=scored & ~silent,
        ),
    )


def _again(model: FittedModel, labelled: Dataset, groups: FoldGroups) -> FittedModel:
    """The same model fitted on all labels known by now; its past scores stay."""
    fresh = make(model.fitted.model)
    question = labelled.program.question_of(model.predicate)
    if isinstance(fresh, FoldMean):
        fresh.fit_in_groups(labelled, question, groups.of(labelled, question)[0])
    else:
        fresh = fit_model(fresh, labelled, question)
    return replace(model, fitted=replace(model.fitted, model=fresh))


def _joined(
    slices: Sequence[_ScoredSlice], predicate: str, starts: tuple[float, ...]
) -> Prequential:
    models = slices[0].models
    return Prequential(
        predicate,
        pa.concat_tables([scored.names for scored in slices]),
        np.concatenate([scored.log_odds for scored in slices]),
        {name: np.concatenate([scored.models[name] for scored in slices]) for name in models},
        np.concatenate([scored.truth for scored in slices]),
        np.concatenate([scored.blocks for scored in slices]),
        starts,
        tuple(scored.weights for scored in slices),
    )
