"""Which model broke since training, and beliefs that allow for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import log_expit, logit

from knowreason.factors import OPEN, AtomSpan
from knowreason.factors.model_output import ModelOutput
from knowreason.grounding import Grounding
from knowreason.monitor.channels import (
    ChannelPrior,
    Channels,
    apply,
    beyond_noise,
    fit_channels,
    relative,
)
from knowreason.monitor.state_channels import (
    StateChannels,
    apply_states,
    fit_state_channels,
    relative_states,
    states_beyond_noise,
)

LEAST_ATOMS = 30  # in a batch, to speak of reliability
ROUNDS = 4  # of inference while adapting
SETTLED = 0.01  # change of a channel at which rounds end
FURTHEST = 40.0  # log-odds of what rules say, beyond which it is certain
UNTOLD = 0.05  # spread of what rules say of atoms, below which they say nothing
HELD = 1e9  # pseudo-cases that hold a base rate

Array = NDArray[Any]
Shifts = Mapping[str, float | Array]


@dataclass(frozen=True)
class Reading:
    """Channels of all models of one predicate over one batch.

    Attributes:
        predicate: whose models.
        models: their names.
        channels: of a functional predicate, :class:`StateChannels`.
        states: names of the states of a functional predicate.
    """

    predicate: str
    models: tuple[str, ...]
    channels: Channels | StateChannels
    states: tuple[str, ...] = ()

    def to_values(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        told = self.channels
        common = {
            "predicate": self.predicate,
            "models": list(self.models),
            "count": told.count,
            "errors": None if told.errors is None else told.errors.tolist(),
        }
        if isinstance(told, StateChannels):
            shares = {"confusion": told.confusion.tolist(), "shift": told.shift.tolist()}
            return common | shares | {"states": list(self.states)}
        return common | {
            "s1": told.s1.tolist(),
            "s0": told.s0.tolist(),
            "shift": told.shift,
            "true": told.true,
        }

    @staticmethod
    def from_values(values: Mapping[str, Any]) -> Reading:
        """What :meth:`to_values` gave."""
        channels: Channels | StateChannels
        errors = None if values["errors"] is None else np.array(values["errors"])
        count, states = values["count"], tuple(values.get("states", ()))
        if states:
            confusion, shift = np.array(values["confusion"]), np.array(values["shift"])
            channels = StateChannels(confusion, shift, count, errors=errors)
        else:
            s1, s0 = np.array(values["s1"]), np.array(values["s0"])
            channels = Channels(s1, s0, values["shift"], values["true"], count, errors=errors)
        return Reading(values["predicate"], tuple(values["models"]), channels, states)


@dataclass(frozen=True)
class Batch:
    """Atoms of a grounding, what is believed of them, and what the models say.

    Attributes:
        grounding: with models.
        log_odds: ``float64[n]`` beliefs of all its atoms.
        outputs: what the models themselves say.
        chosen: ``bool[n]`` atoms that count.
        used: outputs the beliefs rest on, where models passed channels.
        shifts: log-odds added to a predicate's base rate in these beliefs.
    """

    grounding: Grounding
    log_odds: Array
    outputs: tuple[ModelOutput, ...]
    chosen: NDArray[np.bool_]
    used: tuple[ModelOutput, ...] = ()
    shifts: Shifts | None = None


def readings(batch: Batch) -> tuple[Reading, ...]:
    """Channels of every predicate that has models, given what the rules say of its atoms.

    What rules say of an atom is its belief less its own models' ratios; for a state, its
    log-probability less them.
    """
    found = []
    for predicate in dict.fromkeys(output.predicate for output in batch.outputs):
        span = batch.grounding.span(predicate)
        mine = [output for output in batch.outputs if output.predicate == predicate]
        used = [o for o in (batch.used or batch.outputs) if o.predicate == predicate]
        told = counted_ratios(batch.grounding, mine)
        passed = counted_ratios(batch.grounding, used)
        belief = np.clip(batch.log_odds[span.start : span.stop], -FURTHEST, FURTHEST)
        chosen = batch.chosen[span.start : span.stop]
        shift = (batch.shifts or {}).get(predicate, 0.0)
        states: tuple[str, ...] = ()
        channels: Channels | StateChannels | None
        if span.functional_position is None:
            rest = belief - passed.sum(1) - shift
            channels = _channels(told, rest, chosen, float(np.mean(mine[0].base_rate)))
        else:
            rest = log_expit(belief) - passed.sum(1) - over_states(shift, span)
            channels = _state_channels(span, told, rest, chosen, mine)
            states = _state_names(batch.grounding, span)
        if channels is not None:
            found.append(Reading(predicate, tuple(o.model for o in mine), channels, states))
    return tuple(found)


def counted_ratios(grounding: Grounding, outputs: Sequence[ModelOutput]) -> Array:
    """``float64[n, m]``: ratios of one predicate's models times their learned scales."""
    scales = [scale_of(grounding, output) for output in outputs]
    return np.column_stack([output.llr.astype(np.float64) for output in outputs]) * scales


def scale_of(grounding: Grounding, output: ModelOutput) -> float:
    """The learned scale a model's ratios are counted by."""
    names = grounding.parameters.names
    name = f"scale {output.model}"
    name = name if name in names else f"{name} for {output.predicate}"
    return float(grounding.graph.theta[names.index(name)])


def since_training(
    today: Iterable[Reading], training: Iterable[Reading]
) -> dict[str, Channels | StateChannels]:
    """By predicate, what happened to its models since training, beyond noise."""
    before = {(r.predicate, r.models): r.channels for r in training}
    found: dict[str, Channels | StateChannels] = {}
    for reading in today:
        then, now = before.get((reading.predicate, reading.models)), reading.channels
        if isinstance(now, Channels) and isinstance(then, Channels):
            found[reading.predicate] = beyond_noise(relative(now, then))
        elif isinstance(now, StateChannels) and isinstance(then, StateChannels):
            found[reading.predicate] = states_beyond_noise(relative_states(now, then))
    return found


def passed_outputs(
    grounding: Grounding,
    outputs: Iterable[ModelOutput],
    since: Mapping[str, Channels | StateChannels],
) -> tuple[ModelOutput, ...]:
    """The outputs after their channels; scales then count them as before."""
    outputs = tuple(outputs)
    changed = {}
    for predicate, channels in since.items():
        mine = [output for output in outputs if output.predicate == predicate]
        told = counted_ratios(grounding, mine)
        if isinstance(channels, StateChannels):
            by_state = _by_state(grounding.span(predicate), told)
            assert by_state is not None
            passed = apply_states(channels, by_state).reshape(len(mine), -1).T
        else:
            passed = apply(channels, told)
        for place, output in enumerate(mine):
            scale = scale_of(grounding, output)
            if scale > 0:
                llr = (passed[:, place] / scale).astype(np.float32)
                changed[output.model, predicate] = replace(output, llr=llr)
    return tuple(changed.get((output.model, output.predicate), output) for output in outputs)


def base_shifts(since: Mapping[str, Channels | StateChannels]) -> Shifts:
    """Moved base rates, in log-odds, by predicate; of a functional one, one a state."""
    return {predicate: c.shift for predicate, c in since.items() if np.any(c.shift)}


def shifted(grounding: Grounding, shifts: Shifts) -> Grounding:
    """The grounding with other base rates of whole predicates."""
    log_odds = grounding.graph.log_odds.clone()
    for predicate, shift in shifts.items():
        span = grounding.span(predicate)
        moved = torch.from_numpy(np.asarray(over_states(shift, span), np.float32))
        log_odds[span.start : span.stop] += moved
    log_odds[grounding.graph.evidence != OPEN] = grounding.graph.log_odds[
        grounding.graph.evidence != OPEN
    ]
    return replace(grounding, graph=replace(grounding.graph, log_odds=log_odds))


def over_states(shift: float | Array, span: AtomSpan) -> float | Array:
    """A shift a state as one an atom; a single one stays as it is."""
    return shift if np.ndim(shift) == 0 else np.tile(shift, span.count // np.size(shift))


@dataclass(frozen=True)
class Settled:
    """Channels and beliefs that agree.

    Attributes:
        readings: today's channels.
        outputs: the models' outputs after what happened to them since training.
        shifts: moved base rates, in log-odds, by predicate (and state).
        changed: whether anything moved beyond noise.
    """

    readings: tuple[Reading, ...]
    outputs: tuple[ModelOutput, ...]
    shifts: Shifts
    changed: bool


def settle(
    batch: Batch,
    training: tuple[Reading, ...],
    believe: Callable[[tuple[ModelOutput, ...], Shifts], Array],
) -> Settled:
    """Channels and beliefs in turn until they agree.

    Where a model is broken, rules carry what it says to the atoms that other models are
    judged by; beliefs without it clear those of blame.

    Args:
        batch: with unadapted beliefs.
        training: channels of the training period.
        believe: ``float64[n]`` log-odds of all atoms at other outputs and base rates.
    """
    last: Mapping[str, Channels | StateChannels] | None = None
    for _ in range(ROUNDS):
        told = readings(batch)
        since = since_training(told, training)
        used = passed_outputs(batch.grounding, batch.outputs, since)
        found = Settled(told, used, base_shifts(since), any(map(_changed, since.values())))
        if not found.changed if last is None else greatest_change(last, since) < SETTLED:
            break
        last = since
        beliefs = believe(used, found.shifts)
        batch = replace(batch, log_odds=beliefs, used=used, shifts=found.shifts)
    return found


def greatest_change(
    before: Mapping[str, Channels | StateChannels], now: Mapping[str, Channels | StateChannels]
) -> float:
    """Of any parameter; predicates that one of the two lacks changed nothing in it."""
    furthest = 0.0
    for predicate in {*before, *now}:
        same = _identity(before.get(predicate) or now[predicate])
        one, two = before.get(predicate, same), now.get(predicate, same)
        furthest = max(furthest, float(np.abs(_values(one) - _values(two)).max()))
    return furthest


def _changed(channels: Channels | StateChannels) -> bool:
    values = _values(channels)
    return bool((values != _values(_identity(channels))).any())


def _identity(channels: Channels | StateChannels) -> Channels | StateChannels:
    if isinstance(channels, StateChannels):
        return StateChannels.identity(*channels.seen.shape)
    return Channels.identity(len(channels.s1))


def _values(channels: Channels | StateChannels) -> Array:
    if isinstance(channels, StateChannels):
        return np.concatenate([channels.confusion.ravel(), channels.shift])
    return np.concatenate([channels.s1, channels.s0, [channels.shift]])


def _channels(
    told: Array, rest: Array, chosen: NDArray[np.bool_], base_rate: float
) -> Channels | None:
    """Channels of one predicate; ``None`` where nothing could tell them.

    A lone model that sees less and a base rate that fell look the same: with rules to
    judge it by, the base rate stays; without, nothing is said.
    """
    alone = told.shape[1] == 1
    if chosen.sum() < LEAST_ATOMS or (alone and rest[chosen].std() < UNTOLD):
        return None
    prior = ChannelPrior(base_cases=HELD) if alone else ChannelPrior()
    base_rate = float(np.clip(base_rate, 1e-6, 1 - 1e-6))
    offset = rest[chosen] - float(logit(base_rate))
    return fit_channels(told[chosen], base_rate, offset=offset, prior=prior)


def _state_channels(
    span: AtomSpan,
    told: Array,
    rest: Array,
    chosen: NDArray[np.bool_],
    outputs: Sequence[ModelOutput],
) -> StateChannels | None:
    by_state = _by_state(span, told)
    base = np.asarray(outputs[0].base_rate, dtype=np.float64)
    if by_state is None or base.shape != (by_state.shape[2],):
        return None
    settings = chosen.reshape(-1, len(base)).all(1)
    before, alone = rest.reshape(-1, len(base))[settings], len(outputs) == 1
    if settings.sum() < LEAST_ATOMS or (alone and before.std(axis=0).max() < UNTOLD):
        return None
    prior = ChannelPrior(base_cases=HELD) if alone else ChannelPrior()
    return fit_state_channels(by_state[:, settings], before, base, prior=prior)


def _state_names(grounding: Grounding, span: AtomSpan) -> tuple[str, ...]:
    assert span.functional_position is not None
    sort = grounding.program.sorts_of(span.predicate)[span.functional_position]
    return tuple(grounding.data.vocabularies[sort].names.to_pylist())


def _by_state(span: AtomSpan, told: Array) -> Array | None:
    """``float64[m, settings, K]``; ``None`` where settings differ in their states."""
    assert span.functional_position is not None
    state = span.arguments[:, span.functional_position]
    count = int(state.max(initial=-1)) + 1
    if not count or len(state) % count or (state.reshape(-1, count) != np.arange(count)).any():
        return None
    return told.T.reshape(told.shape[1], -1, count)
