"""Whether a model still tells apart what rules and the other models tell apart without it.

Reliability EM judges a model by beliefs in which that model is trusted, directly and through what
rules carry to neighbours: atoms that it began to deny are never believed, and nothing seems lost.
Here one model is left out of the beliefs. With ``p`` of an atom believed without it, the mean of
its ratio is ``mu0 + p (mu1 - mu0)``, so the slope of a regression on ``p`` is how far its ratios of
true atoms lie above those of false ones; of a model that sees a share ``s`` of the true atoms it
saw, ``s`` times what it was. The errors of one hub are shared: standard errors are those of the
jackknife over connected components.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from knowreason.factors.model_output import ModelOutput
from knowreason.monitor.channels import SURE, Channels, apply
from knowreason.monitor.readings import Batch, counted_ratios

LEAST_CLUSTERS = 20  # components of the atoms, to speak of an error
LARGEST_CLUSTER = 0.2  # of all atoms
LEAST_FALL = 1 / 3  # of a separation; folds and final models differ by less

Vector = NDArray[np.float64]
Key = tuple[str, str]  # a model and its predicate


@dataclass(frozen=True)
class Separation:
    """How far a model's ratios of true atoms lie above those of false ones, in one period.

    Attributes:
        model, predicate: that is judged, by beliefs without its own ratios of the atom.
        left_out, left_out_of: the model that is not in these beliefs at all, and its predicate.
        difference: of the two means, in log-odds.
        error: its standard error.
    """

    model: str
    predicate: str
    left_out: str
    left_out_of: str
    difference: float
    error: float

    @property
    def key(self) -> Key:
        """Who is judged."""
        return self.model, self.predicate

    @property
    def without(self) -> Key:
        """Who is left out."""
        return self.left_out, self.left_out_of


def left_out(
    batch: Batch,
    component: NDArray[np.integer] | None,
    believe: Callable[[tuple[ModelOutput, ...]], Vector],
) -> dict[Key, Vector]:
    """Beliefs (``float64[n]`` log-odds) without each model of a Boolean predicate.

    Nothing where a single model speaks, which no other can vouch for, or where components are too
    few or too large to tell an error from. One inference a model otherwise.

    Args:
        batch: models, and the atoms that count.
        component: ``int[n]``, connected component of each atom.
        believe: log-odds of all atoms at other outputs.
    """
    speaking = _speaking(batch, component)
    if len(speaking) < 2:
        return {}
    found = {}
    for one in speaking:
        silent = replace(one, llr=np.zeros_like(one.llr))
        outputs = tuple(silent if o is one else o for o in batch.outputs)
        found[one.model, one.predicate] = believe(outputs).astype(np.float64)
    return found


def separations(
    batch: Batch,
    component: NDArray[np.integer] | None,
    without: Mapping[Key, Vector],
    beside: Sequence[ModelOutput] = (),
) -> tuple[Separation, ...]:
    """Every model judged by beliefs without it, and without each other one.

    Args:
        batch, component: as for :func:`left_out`.
        without: what it gave.
        beside: outputs that have no part in these beliefs, and are judged too.
    """
    if component is None:
        return ()
    found = []
    for (model, predicate), log_odds in without.items():
        for judged in (*_speaking(batch, component), *beside):
            span = batch.grounding.span(judged.predicate)
            rows = np.flatnonzero(batch.chosen[span.start : span.stop])
            if not len(rows):  # all of them are known, while those of a view never are
                continue
            belief = log_odds[rows + span.start]
            declared = (judged.model, judged.predicate) in without
            if declared and (judged.model, judged.predicate) != (model, predicate):
                belief = belief - counted_ratios(batch.grounding, [judged])[rows, 0]
            difference, error = separation(
                judged.llr[rows].astype(np.float64), expit(belief), component[rows + span.start]
            )
            if np.isfinite(error):
                who = (judged.model, judged.predicate, model, predicate)
                found.append(Separation(*who, difference, error))
    return tuple(found)


def separation(
    ratios: Vector, probability: Vector, cluster: NDArray[np.integer]
) -> tuple[float, float]:
    """Slope of ratios on probabilities and its jackknife error; NaN where nothing varies.

    Args:
        ratios: ``float64[n]``.
        probability: ``float64[n]``, that the atoms are true.
        cluster: ``int[n]``, left out as a whole.

    >>> separation(np.array([1.0, 0, 3, 2]), np.array([1.0, 0, 1, 0]), np.array([0, 0, 1, 1]))
    (1.0, 0.0)
    """
    _, group = np.unique(cluster, return_inverse=True)
    x = probability - probability.mean()  # numerically, the slope is the same
    y = ratios - ratios.mean()
    sums = np.column_stack([np.bincount(group, w) for w in (np.ones_like(x), x, y, x * x, x * y)])
    count, of_x, of_y, of_xx, of_xy = (np.vstack([sums.sum(0), sums.sum(0) - sums])).T
    spread = of_xx - of_x**2 / np.maximum(count, 1)
    if len(sums) < 2 or (spread <= np.finfo(float).eps * of_xx[0]).any():
        return float("nan"), float("nan")
    slope = (of_xy - of_x * of_y / np.maximum(count, 1)) / spread
    deviation = slope[1:] - slope[1:].mean()
    return float(slope[0]), float(np.sqrt((1 - 1 / len(sums)) * np.square(deviation).sum()))


def broken_model(
    today: Sequence[Separation], training: Sequence[Separation]
) -> tuple[Separation, Separation] | None:
    """Of the model that alone explains what fell, its separation then and now.

    Without it, it fell, no other did, and one at least kept what it had. Where two models ceased
    to agree each fell by the beliefs of the other: what rules make of the sound one still holds. Of
    several such models, the one without which another separates most surely; ``None`` of none.
    """
    best, surest = None, 0.0
    declared = {s.without for s in today}
    for own, others in _scenarios(today, training):
        if not _fell(*own):
            continue
        witnesses = [pair for pair in others if pair[1].key in declared and _readable(pair[0])]
        if any(_fell(*pair) for pair in witnesses):
            continue
        sound = [s for then, s in witnesses if _kept(then, s) >= 1 - LEAST_FALL]
        how = max((s.difference / max(s.error, 1e-12) for s in sound), default=0.0)
        if how > surest:
            best, surest = own, how
    return best


def kept_shares(today: Sequence[Separation], training: Sequence[Separation]) -> dict[Key, float]:
    """Share of its separation that the broken model kept; and each that stands beside the rules
    and fell with it."""
    found = broken_model(today, training)
    if found is None:
        return {}
    declared = {s.without for s in today}
    kept = {found[1].key: _kept(*found)}
    for (_, now), others in _scenarios(today, training):
        if now.key == found[1].key:
            beside = [pair for pair in others if pair[1].key not in declared]
            kept |= {pair[1].key: _kept(*pair) for pair in beside if _fell(*pair)}
    return kept


def weakened(outputs: Sequence[ModelOutput], kept: Mapping[Key, float]) -> tuple[ModelOutput, ...]:
    """The outputs where models report only a share of what they saw."""

    def passed(output: ModelOutput) -> ModelOutput:
        share = kept.get((output.model, output.predicate))
        if share is None:
            return output
        channel = Channels(np.array([share]), np.zeros(1))
        return replace(output, llr=apply(channel, output.llr[:, None])[:, 0].astype(np.float32))

    return tuple(passed(output) for output in outputs)


def _scenarios(
    today: Sequence[Separation], training: Sequence[Separation]
) -> list[tuple[tuple[Separation, Separation], list[tuple[Separation, Separation]]]]:
    """By model left out: itself then and now, and the others."""
    before = {(s.key, s.without): s for s in training}
    pairs = [(before[s.key, s.without], s) for s in today if (s.key, s.without) in before]
    return [
        (own, [pair for pair in pairs if pair[1].without == own[1].key and pair is not own])
        for own in pairs
        if own[1].key == own[1].without
    ]


def _readable(then: Separation) -> bool:
    return then.difference > SURE * then.error


def _fell(then: Separation, now: Separation) -> bool:
    noise = SURE * float(np.hypot(then.error, now.error))
    fall = then.difference - now.difference
    return _readable(then) and fall > max(LEAST_FALL * then.difference, noise)


def _kept(then: Separation, now: Separation) -> float:
    return float(np.clip(now.difference / then.difference, 0.0, 1.0))


def _speaking(batch: Batch, component: NDArray[np.integer] | None) -> list[ModelOutput]:
    """Outputs about Boolean predicates whose atoms lie in enough components."""
    if component is None:
        return []

    def told_apart(output: ModelOutput) -> bool:
        span = batch.grounding.span(output.predicate)
        inside = component[span.start : span.stop][batch.chosen[span.start : span.stop]]
        held = np.unique(inside, return_counts=True)[1]
        enough = len(held) >= LEAST_CLUSTERS and held.max() <= LARGEST_CLUSTER * held.sum()
        return bool(span.functional_position is None and enough)

    return [output for output in batch.outputs if told_apart(output)]
