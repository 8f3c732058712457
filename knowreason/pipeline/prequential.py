"""Score a slice with what was known then, refit, go on.

Dawid 1984; for streams Gama, Sebastião and Rodrigues 2013. A label is known ``delay``
after its atom's clock, and what a slice was scored with is its out-of-fold score when
weights are fitted again: no fold is made twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from knowreason.data import Dataset, known_at
from knowreason.data.clock import LATEST, thing_values, to_moment
from knowreason.data.id_tables import as_matrix
from knowreason.errors import ProjectError
from knowreason.models import atoms_of, make
from knowreason.models.protocol import fit_model
from knowreason.models.rows import UNKNOWN, rows_of
from knowreason.pipeline.fitting import fit_weights
from knowreason.pipeline.reasoner import Reasoner, hidden_truth, only_query
from knowreason.pipeline.settings import Progress
from knowreason.pipeline.stored_models import FittedModel
from knowreason.row_keys import locate

MOST_MOMENTS = 1000


@dataclass(frozen=True)
class Schedule:
    """How often to refit, in slices; 0 for never.

    Attributes:
        weights: rule weights, scales and biases.
        models: knowledge models, on all labels known by then.
    """

    weights: int = 1
    models: int = 0


@dataclass(frozen=True)
class Prequential:
    """Every slice's atoms with a held-back label, as they were scored then.

    Attributes:
        predicate: which.
        names: one column an argument, the atoms' names.
        log_odds: ``float64[n]`` of the reasoner.
        models: the models' log-likelihood ratios ``float32[n]`` by name.
        truth: ``bool[n]``.
        blocks: ``int64[n]`` number of the slice, from 0.
        moments: where each slice starts, in the clock's units.
        weights: by slice, the weights it was scored with.
    """

    predicate: str
    names: pa.Table
    log_odds: NDArray[np.float64]
    models: dict[str, NDArray[np.float32]]
    truth: NDArray[np.bool_]
    blocks: NDArray[np.int64]
    moments: tuple[float, ...]
    weights: tuple[dict[str, float], ...]

    def aligned(self, data: Dataset, arguments: NDArray[np.int32]) -> NDArray[np.float64]:
        """Log-odds of atoms of a data set (``int32[m, k]`` ids), NaN where never scored."""
        sorts = data.program.sorts_of(self.predicate)
        ids = [
            data.vocabularies[sort].ids(self.names.column(i).combine_chunks())
            for i, sort in enumerate(sorts)
        ]
        at = locate(as_matrix(ids, len(self.log_odds)), arguments)
        return np.where(at >= 0, self.log_odds[np.maximum(at, 0)], np.nan)


def prequential(
    reasoner: Reasoner,
    data: Dataset,
    by: str,
    start: Any,
    *,
    delay: float = 0,
    moments: Sequence[Any] | None = None,
    schedule: Schedule = Schedule(),
    looks_back: bool = False,
    predicate: str = "",
    progress: Progress | None = None,
) -> Prequential:
    """Walk through the slices from ``start`` on.

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
        progress: called as ``progress(message, done, total)``.

    Raises:
        ProjectError: KR921 for a clock that gives no slices.
    """
    predicate = predicate or only_query(reasoner.program)
    starts = slice_starts(data, by, start, moments)
    longest = float(np.diff(starts).max(initial=1)) if moments is not None else 1.0
    data = replace(data, label_delay=delay, label_refresh=longest)
    walker = _Walker(_ready(reasoner, data, by, starts[0], delay), by, delay, schedule)
    rows = []
    for number, moment in enumerate(starts):
        if progress is not None:
            progress(f"slice {number + 1} of {len(starts)}", number, len(starts))
        after = starts[number + 1] if number + 1 < len(starts) else None
        upto = data
        if after is not None and not looks_back:
            upto, _ = data.split_by(by, before=after)
        rows.append(walker.score(upto, (moment, after), predicate, number))
        if after is not None:
            walker.learn(upto, after, number + 1)
    return _joined(rows, predicate, starts)


def slice_starts(
    data: Dataset, by: str, start: Any, moments: Sequence[Any] | None = None
) -> tuple[float, ...]:
    """Where slices from ``start`` on begin, in the clock's units.

    Raises:
        ProjectError: KR921 where there is none, or every value of a clock that is no small
            integer would be one.
    """
    values, sort = thing_values(data, by)
    first = to_moment(start, sort)
    if moments is not None:
        found = np.array(sorted(to_moment(moment, sort) for moment in moments))
    else:
        found = np.unique(values[(values != LATEST) & np.isfinite(values)])
    found = found[found >= first]
    if not len(found) or len(found) > MOST_MOMENTS:
        raise ProjectError(
            f"`{by}` from {start} on gives {len(found):,} slices",
            code="KR921",
            help="split by an `int` attribute that numbers the slices, or give `moments`",
        )
    return tuple(found.tolist())


def _ready(reasoner: Reasoner, data: Dataset, by: str, first: float, delay: float) -> Reasoner:
    mine = copy(reasoner)
    if not hasattr(mine, "fit_") or not _reads_labels_so_old(mine, data):
        past, _ = data.split_by(by, before=first)
        mine.fit(known_at(past, first, delay) if delay else past)
    elif not hasattr(mine, "grounding_"):
        past, _ = data.split_by(by, before=first)
        mine.training_grounding(known_at(past, first, delay) if delay else past)
    return mine


def _reads_labels_so_old(reasoner: Reasoner, data: Dataset) -> bool:
    """Whether definitions read labels in training as they will on the walk."""
    if not reasoner.program.label_readers:
        return True
    before = reasoner.grounding_.data if hasattr(reasoner, "grounding_") else None
    return before is not None and (before.label_delay, before.label_refresh) == (
        data.label_delay,
        data.label_refresh,
    )


@dataclass
class _Walker:
    """The reasoner as it stands, and the data its models' outputs belong to."""

    reasoner: Reasoner
    by: str
    delay: float
    schedule: Schedule

    def score(
        self, upto: Dataset, reach: tuple[float, float | None], predicate: str, number: int
    ) -> dict[str, Any]:
        """Beliefs about the slice that reaches from one moment to the next, labels hidden."""
        moment, after = reach
        _, today = upto.split_by(self.by, before=moment)
        if after is not None:
            (domain,) = today.program.attribute(self.by).sorts
            values, _ = thing_values(today, self.by)
            mine = today.scope[domain] & (values < after)
            today = replace(today, scope={**today.scope, domain: mine})
        if self.delay:
            today = known_at(today, moment, self.delay)
        beliefs = self.reasoner.infer(today)
        atoms, truth = hidden_truth(beliefs, predicate)
        span = beliefs.grounding.span(predicate)
        local = atoms - span.start
        names = {
            f"a{i}": today.vocabularies[sort].names.take(pa.array(span.arguments[local, i]))
            for i, sort in enumerate(today.program.sorts_of(predicate))
        }
        return {
            "names": pa.table(names),
            "log_odds": beliefs.posterior.log_odds.numpy()[atoms],
            "models": {
                output.model: output.llr[local]
                for output in beliefs.outputs
                if output.predicate == predicate
            },
            "truth": truth,
            "blocks": np.full(len(atoms), number, dtype=np.int64),
            "weights": {weight.name: weight.value for weight in self.reasoner.weights_},
        }

    def learn(self, upto: Dataset, after: float, slices: int) -> None:
        """Fit again what is due, on labels known at ``after``."""
        refit_models = self.schedule.models and slices % self.schedule.models == 0
        refit_weights = self.schedule.weights and slices % self.schedule.weights == 0
        mine = self.reasoner
        known = known_at(upto, after, self.delay)
        carried = tuple(carry(model, mine.grounding_.data, known) for model in mine.models_)
        if refit_models:
            carried = tuple(_again(model, known) for model in carried)
        mine.models_ = carried
        outputs = tuple(model.fitted.output for model in carried)
        mine.grounding_ = mine._ground(known, outputs)
        if refit_weights:
            mine.adopt(
                fit_weights(
                    mine.grounding_,
                    carried,
                    method=mine.method,
                    settings=mine.settings,
                    seed=mine.seed,
                )
            )


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
    kept = at >= 0
    llr, spread = fresh.llr.copy(), fresh.spread
    llr[at[kept]] = held.output.llr[kept]
    if spread is not None and held.output.spread is not None:
        spread = spread.copy()
        spread[at[kept]] = held.output.spread[kept]
    silent, scored = np.zeros(new.count, dtype=bool), np.zeros(new.count, dtype=bool)
    silent[at[kept]] = held.silent[kept]
    rows = rows_of(now, model.predicate)
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


def _again(model: FittedModel, known: Dataset) -> FittedModel:
    """The same model fitted on all labels known by now; its past scores stay."""
    fresh = fit_model(make(model.fitted.model), known, model.predicate)
    return replace(model, fitted=replace(model.fitted, model=fresh))


def _joined(
    rows: Sequence[dict[str, Any]], predicate: str, starts: tuple[float, ...]
) -> Prequential:
    def column(name: str) -> NDArray[Any]:
        return np.concatenate([row[name] for row in rows])

    return Prequential(
        predicate,
        pa.concat_tables([row["names"] for row in rows]),
        column("log_odds"),
        {name: np.concatenate([row["models"][name] for row in rows]) for name in rows[0]["models"]},
        column("truth"),
        column("blocks"),
        starts,
        tuple(row["weights"] for row in rows),
    )
