"""Beliefs compared with the training period, and adapted to sensors that broke."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from knowreason.beliefs.beliefs import Beliefs
from knowreason.factors.model_output import ModelOutput
from knowreason.models.base.predicate_rows import rows_of
from knowreason.models.base.stored_models import FittedModel
from knowreason.monitor.drift import adaptation_warnings, compare
from knowreason.monitor.period_snapshot import Snapshot, counted_in_training, snapshot
from knowreason.monitor.readings import Batch, Shifts, settle
from knowreason.monitor.separations import Key, kept_shares, left_out, separations, weakened

PERIODS = 10  # of training, whose differences are no drift
Outputs = tuple[ModelOutput, ...]
Kept = Mapping[Key, float]  # share that broken models kept of what they saw
Believe = Callable[[Outputs, Shifts, Kept], Beliefs]
ADAPTED = "adapted: every model's log-odds passed through the channel fitted to today's data"
NOTHING_TO_ADAPT = "nothing to adapt: no model's channel differs from that of the training period"


def training_snapshot(
    beliefs: Beliefs,
    models: tuple[FittedModel, ...],
    without: Mapping[Key, NDArray[np.float64]],
    beside: Outputs = (),
) -> Snapshot:
    """What holds on the training data, labels left open as they are today.

    Args:
        beliefs: about the training data, with out-of-fold outputs.
        models: that gave them.
        without: from :func:`training_left_out`.
        beside: outputs of models of which rules know nothing.
    """
    counted = _counted(beliefs, models)
    batch, period = _batch(beliefs, counted), _periods(beliefs, counted)
    measured = snapshot(batch, _component(beliefs), beliefs.grounding.labels, period)
    refitting = {(m.name, m.predicate): m.fitted.refitting for m in models}
    scores = tuple(
        replace(s, usual=max(s.usual, refitting[s.model, s.predicate])) for s in measured.scores
    )
    apart = separations(batch, _component(beliefs), without, beside)
    return replace(measured, scores=scores, separations=apart)


def training_left_out(
    beliefs: Beliefs, models: tuple[FittedModel, ...], believe: Callable[[Outputs], Beliefs]
) -> dict[Key, NDArray[np.float64]]:
    """Beliefs (log-odds) about the training data without each model that can be judged so."""
    batch = _batch(beliefs, _counted(beliefs, models))
    return left_out(batch, _component(beliefs), lambda o: believe(o).posterior.log_odds.numpy())


def _counted(beliefs: Beliefs, models: tuple[FittedModel, ...]) -> NDArray[np.bool_]:
    silent: dict[str, NDArray[np.bool_]] = {}
    for model in models:
        mask = model.fitted.silent
        silent[model.predicate] = silent.get(model.predicate, np.zeros_like(mask)) | mask
    return counted_in_training(beliefs.grounding, silent)


def _periods(beliefs: Beliefs, counted: NDArray[np.bool_]) -> NDArray[np.int64] | None:
    """``int64[n]``: even parts of the time of each predicate's atoms, -1 without a clock."""
    period = np.full(len(counted), -1)
    for predicate in dict.fromkeys(output.predicate for output in beliefs.outputs):
        span, rows = beliefs.grounding.span(predicate), rows_of(beliefs.grounding.data, predicate)
        of_predicate = counted[span.start : span.stop]
        if rows.time is None or not of_predicate.any():
            continue
        time = rows.time[rows.row_of_atom]
        cuts = np.quantile(time[of_predicate], np.linspace(0, 1, PERIODS + 1)[1:-1], method="lower")
        period[span.start : span.stop] = np.searchsorted(np.unique(cuts), time, side="left")
    return period if (period >= 0).any() else None


def watched(
    beliefs: Beliefs,
    training: Snapshot,
    believe: Believe,
    beside: Outputs = (),
    *,
    adapt: bool = False,
) -> Beliefs:
    """The beliefs, with a note for every rule and model that no longer holds.

    Args:
        beliefs: today's.
        training: what held then.
        believe: beliefs at other outputs and shifted base rates, where models broke.
        beside: outputs of models of which rules know nothing.
        adapt: pass every model through what happened to it since training; the beliefs
            before that stay in ``unadapted``.
    """

    def log_odds(outputs: Outputs, shifts: Shifts) -> NDArray[np.float64]:
        return believe(outputs, shifts, {}).posterior.log_odds.numpy()

    batch, component = _batch(beliefs, asked(beliefs)), _component(beliefs)
    today = snapshot(batch, component)
    if training.separations:
        without = left_out(batch, component, lambda outputs: log_odds(outputs, {}))
        today = replace(today, separations=separations(batch, component, without, beside))
    kept = kept_shares(today.separations, training.separations)
    if kept:
        outputs = weakened(batch.outputs, kept)
        batch = replace(batch, outputs=outputs, log_odds=log_odds(outputs, {}))
    judged = {predicate for _, predicate in kept}  # channels of training had all their models
    then = tuple(r for r in training.readings if r.predicate not in judged)
    settled = settle(batch, then, log_odds)
    moved = bool(kept) or settled.changed
    changed = believe(settled.outputs, settled.shifts, kept) if moved else beliefs
    rules = snapshot(_batch(changed, batch.chosen), None).rules if moved else ()
    drift = compare(training, replace(today, readings=settled.readings), rules)
    plain = replace(beliefs, notes=(*beliefs.notes, *drift.notes), diagnosis=drift.diagnosis)
    if not adapt:
        return plain
    outcome = ADAPTED if moved else NOTHING_TO_ADAPT
    halves = [
        f"{predicate}: rules over models are the answer; stacked models were learned with all as "
        "they were"
        for predicate, pooled in changed.answers.items()
        if pooled.pool.kind != beliefs.answers[predicate].pool.kind
    ]
    notes = (*plain.notes, outcome, *halves, *adaptation_warnings(training))
    return replace(changed, notes=notes, diagnosis=drift.diagnosis, unadapted=plain)


def asked(beliefs: Beliefs) -> NDArray[np.bool_]:
    """``bool[n]``: atoms of any predicate that are asked about."""
    open_atoms = np.zeros(beliefs.grounding.graph.atom_count, dtype=bool)
    for predicate in beliefs.grounding.atoms.spans:
        open_atoms[beliefs.asked(predicate)] = True
    return open_atoms


def _batch(beliefs: Beliefs, counted: NDArray[np.bool_]) -> Batch:
    log_odds = beliefs.posterior.log_odds.numpy()
    return Batch(beliefs.grounding, log_odds, beliefs.outputs, counted)


def _component(beliefs: Beliefs) -> NDArray[np.int64] | None:
    component = beliefs.posterior.component
    return None if component is None else component.numpy()


def as_adapted(outputs: Outputs, beliefs: Beliefs) -> Outputs:
    """Outputs about other data, each passed through what happened to its model for ``beliefs``.

    A channel maps log-odds to log-odds one by one; it is read off the outputs before and after it,
    linear in between, and goes on as it ends.
    """
    plain = beliefs.unadapted
    if plain is None:
        return outputs
    maps = {
        (o.model, o.predicate): (raw.llr.astype(np.float64), o.llr.astype(np.float64))
        for raw, o in zip(plain.outputs, beliefs.outputs, strict=True)
        if raw.llr is not o.llr and len(raw.llr)
    }

    def passed(output: ModelOutput) -> ModelOutput:
        if (output.model, output.predicate) not in maps:
            return output
        raw, adapted = maps[output.model, output.predicate]
        knots, first = np.unique(raw, return_index=True)
        llr = output.llr.astype(np.float64)
        beyond = llr - np.clip(llr, knots[0], knots[-1])
        changed = np.interp(llr, knots, adapted[first]) + beyond
        return replace(output, llr=changed.astype(np.float32))

    return tuple(passed(output) for output in outputs)
