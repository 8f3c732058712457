"""Whether what held on the training data holds today.

Compared are each rule's violation rate, how often two models of a predicate disagree,
where each model's scores lie, the models' channels (reliability EM), and how far each tells
true from false atoms by beliefs without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from knowreason.monitor.channels import Channels
from knowreason.monitor.period_snapshot import Rate, ScoreSummary, Snapshot
from knowreason.monitor.readings import Reading, since_training
from knowreason.monitor.separations import Separation, kept_shares
from knowreason.monitor.state_channels import StateChannels

SURE = 4.0  # standard errors between two rates, beyond which they differ
LEAST_RATIO = 1.3  # of odds
LEAST_CHANGE = 0.01  # of a share
LEAST_DISTANCE = 0.1  # between two distributions of scores
BEYOND_USUAL = 1.25  # times the greatest distance between periods of training
MOST_STATES = 3  # named in one sentence


@dataclass(frozen=True)
class Drift:
    """Today against training.

    Attributes:
        notes: a sentence for whatever no longer holds; none where all does.
        diagnosis: reliability of every model then and now, always.
    """

    notes: tuple[str, ...]
    diagnosis: tuple[str, ...]


def compare(training: Snapshot, today: Snapshot, repaired: Sequence[Rate] = ()) -> Drift:
    """What no longer holds, beyond noise.

    Args:
        training, today: the two periods.
        repaired: rates of rules today under beliefs that allow for broken models.
    """
    without = {rate.name: rate for rate in repaired}

    def rule_sentence(then: Rate, now: Rate) -> str:
        return _rule_sentence(then, now, without.get(now.name))

    notes = [
        *_broken_models(training, today),
        *_moved_base_rates(training, today),
        *_moved(training.rules, today.rules, rule_sentence),
        *_moved(training.pairs, today.pairs, _pair_sentence),
        *_moved_scores(training, today),
    ]
    return Drift(tuple(notes), tuple(_diagnosis(training, today)))


def adaptation_warnings(training: Snapshot) -> tuple[str, ...]:
    """Where adapting is known to lose: sensors that share a cause of error."""
    return tuple(
        f"models `{one}` and `{two}` err together (their log-odds correlate by {how:.2f} among "
        "labelled negatives): adapting by reliability can lose here"
        for one, two, how in training.shared
    )


def _moved(
    before: Sequence[Rate], now: Sequence[Rate], sentence: Callable[[Rate, Rate], str]
) -> Iterator[str]:
    then = {rate.name: rate for rate in before}
    for rate in now:
        if rate.name in then and _greater(then[rate.name], rate):
            yield sentence(then[rate.name], rate)


def _greater(then: Rate, now: Rate) -> bool:
    change = now.share - then.share
    odds = logit(np.clip([then.share, now.share], 1e-9, 1 - 1e-9))
    return bool(
        change > max(LEAST_CHANGE, SURE * np.hypot(then.error, now.error))
        and odds[1] - odds[0] > np.log(LEAST_RATIO)
    )


def _rule_sentence(then: Rate, now: Rate, repaired: Rate | None) -> str:
    sentence = (
        f"rule `{now.name}` may no longer hold: violated in {now.share:.1%} of its groundings "
        f"today, {then.share:.1%} in training"
    )
    if repaired is None or _greater(then, repaired):
        return sentence
    return f"{sentence}; in {repaired.share:.1%} if it is the models that broke"


def _pair_sentence(then: Rate, now: Rate) -> str:
    return f"models {now.name} disagree on {now.share:.1%} today, {then.share:.1%} in training"


def _moved_scores(training: Snapshot, today: Snapshot) -> Iterator[str]:
    then = {(s.model, s.predicate): s for s in training.scores}
    for now in today.scores:
        before = then.get((now.model, now.predicate))
        if before is None:
            continue
        distance = _distance(before, now)
        noise = 2.0 * np.sqrt(1 / before.count + 1 / now.count)
        if distance > max(LEAST_DISTANCE, noise, BEYOND_USUAL * before.usual):
            usual = f"; {before.usual:.2f} at most without drift" if before.usual else ""
            yield (
                f"scores of model `{now.model}` for {now.predicate} have moved: median ratio "
                f"{now.median():+.2f} today, {before.median():+.2f} in training (Kolmogorov "
                f"distance {distance:.2f}{usual})"
            )


def _distance(one: ScoreSummary, two: ScoreSummary) -> float:
    """Greatest difference of the two distributions at the cuts of either."""
    return max(_beyond(one, two), _beyond(two, one))


def _beyond(one: ScoreSummary, two: ScoreSummary) -> float:
    """At each cut of ``one``: how far its share lies outside what ``two`` allows there."""
    cuts = np.array(two.cuts)
    share = np.array([0.0, *two.below, 1.0])
    at_least = share[np.searchsorted(cuts, one.cuts, side="right")]
    at_most = share[np.searchsorted(cuts, one.cuts, side="right") + 1]
    below = np.array(one.below)
    return float(np.maximum(below - at_most, at_least - below).max(initial=0.0))


def _broken_models(training: Snapshot, today: Snapshot) -> Iterator[str]:
    kept = kept_shares(today.separations, training.separations)
    for (model, predicate), share in kept.items():
        yield (
            f"model `{model}` sees {share:.0%} of the {predicate} atoms that it saw in training, "
            "by beliefs without it: it may be broken"
        )
    since = since_training(today.readings, training.readings)
    for reading in today.readings:
        channels = since.get(reading.predicate)
        if channels is None or any(predicate == reading.predicate for _, predicate in kept):
            continue  # a broken model was trusted in that reading
        for place, model in enumerate(reading.models):
            if isinstance(channels, StateChannels):
                yield from _blind_to(model, reading, channels.confusion[place])
                continue
            if channels.s1[place] < 1:
                yield (
                    f"model `{model}` sees {channels.s1[place]:.0%} of the true "
                    f"{reading.predicate} atoms that it saw in training: it may be broken"
                )
            if channels.s0[place] > 0:
                yield (
                    f"model `{model}` takes {channels.s0[place]:.1%} more of the false "
                    f"{reading.predicate} atoms for true than in training"
                )


def _moved_base_rates(training: Snapshot, today: Snapshot) -> Iterator[str]:
    """Base rates that differ from those of training, as reliability EM estimates them."""
    broken = {predicate for _, predicate in kept_shares(today.separations, training.separations)}
    for reading in today.readings:
        channels = since_training([reading], training.readings).get(reading.predicate)
        if reading.predicate in broken:
            continue
        if isinstance(channels, Channels) and channels.shift:
            how = "more" if channels.shift > 0 else "less"
            yield (
                f"{reading.predicate} seems {how} common than in training: its odds are "
                f"{np.exp(channels.shift):.2g} times what they were"
            )
        elif isinstance(channels, StateChannels) and channels.shift.any():
            odds = np.exp(channels.shift)
            told = (f"`{s}` {o:.2g}" for s, o in zip(reading.states, odds, strict=True))
            yield (
                f"states of {reading.predicate} are not as common as in training; odds by state, "
                f"times what they were: {', '.join(told)}"
            )


def _blind_to(model: str, reading: Reading, confusion: NDArray[np.float64]) -> Iterator[str]:
    """What a model of a functional predicate no longer sees, the worst states first."""
    seen = np.diagonal(confusion)
    lost = [int(state) for state in np.argsort(seen, kind="stable") if seen[state] < 1]
    if not lost:
        return
    told = []
    for state in lost[:MOST_STATES]:
        others = confusion[state] * (np.arange(len(seen)) != state)
        other = int(others.argmax())
        told.append(
            f"{seen[state]:.0%} of `{reading.states[state]}` (taken for `{reading.states[other]}` "
            f"in {others[other]:.0%})"
        )
    more = f" and less of {len(lost) - MOST_STATES} more" if len(lost) > MOST_STATES else ""
    yield (
        f"model `{model}` sees, of the {reading.predicate} settings that it saw in training, "
        f"{', '.join(told)}{more}: it may be broken"
    )


def _diagnosis(training: Snapshot, today: Snapshot) -> Iterator[str]:
    before = {(r.predicate, r.models): r.channels for r in training.readings}
    broken = kept_shares(today.separations, training.separations)
    apart = _own_separations(today), _own_separations(training)
    for reading in today.readings:
        then = before.get((reading.predicate, reading.models))
        if then is None:
            continue
        for place, model in enumerate(reading.models):
            key, told = (model, reading.predicate), []
            if key not in broken:
                told.append(_told(reading.channels, then, place))
            if key in apart[0] and key in apart[1]:
                now, usual = apart[0][key], apart[1][key]
                told.append(
                    "true and false atoms, by beliefs without it, are "
                    f"{now.difference:.2g} ± {now.error:.2g} log-odds apart for it (training "
                    f"{usual.difference:.2g} ± {usual.error:.2g})"
                )
            yield f"reliability of `{model}` for {reading.predicate}: {'; '.join(told)}"
    for one, two, how in training.shared:
        yield (
            f"`{one}` and `{two}` err together (correlation {how:.2f} among labelled "
            "negatives): read their reliability with care"
        )


def _own_separations(period: Snapshot) -> dict[tuple[str, str], Separation]:
    """By model and predicate, judged by beliefs without it."""
    return {one.key: one for one in period.separations if one.key == one.without}


def _told(now: Any, then: Any, place: int) -> str:
    if isinstance(now, Channels):
        return (
            f"sees {now.s1[place]:.0%} of what is true (training {then.s1[place]:.0%}), takes "
            f"{now.s0[place]:.1%} of what is false for true (training {then.s0[place]:.1%})"
        )
    return f"sees {_least(now, place)} (training {_least(then, place)})"


def _least(channels: StateChannels, place: int) -> str:
    seen = channels.seen[place]
    return f"{seen.min():.0%} to {seen.max():.0%} of the settings in a state"
