"""What rules come to by themselves: how often they fire, and how often they are right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan

import numpy as np
from numpy.typing import NDArray

from knowreason.beliefs.beliefs import Beliefs
from knowreason.data import Dataset
from knowreason.evaluate.rule_firings import (
    Fired,
    believed_world,
    labelled_world,
    rule_firings,
)
from knowreason.factors import OPEN
from knowreason.metrics.intervals import Estimate, share_interval


@dataclass(frozen=True)
class RuleFigures:
    """Counts of one rule (or of alarms) over asked atoms.

    Attributes:
        fired: atoms at which it fires.
        labelled: those of them with a label.
        right: those of them whose label is what it says.
        wanted: labelled atoms whose label is that, fired or not.

    >>> RuleFigures(fired=5, labelled=4, right=3, wanted=6).precision.value
    0.75
    """

    fired: int
    labelled: int
    right: int
    wanted: int

    @property
    def precision(self) -> Estimate:
        """Share of the labelled firings that are right; NaN where there is none."""
        return _share(self.right, self.labelled)

    @property
    def recall(self) -> Estimate:
        """Share of the wanted atoms at which it fires; NaN where there is none."""
        return _share(self.right, self.wanted)


def _share(part: int, whole: int) -> Estimate:
    if not whole:
        return Estimate(nan, nan, nan)
    low, high = share_interval(part, whole)
    return Estimate(part / whole, float(low), float(high))


def figures_of(at: NDArray[np.bool_], truth: NDArray[np.int8], says: bool = True) -> RuleFigures:
    """Counts of firings ``bool[n]`` beside labels ``int8[n]``, -1 where there is none.

    >>> figures_of(np.array([True, True, False]), np.array([1, -1, 1], np.int8))
    RuleFigures(fired=2, labelled=1, right=1, wanted=2)
    """
    wanted = truth == int(says)
    counts = (at, at & (truth != OPEN), at & wanted, wanted)
    return RuleFigures(*(int(np.count_nonzero(mask)) for mask in counts))


def shadow_sentences(source: Beliefs | Dataset, predicate: str = "") -> tuple[str, ...]:
    """How often each shadow rule fires, and how often it is right, a sentence each.

    Args:
        source: beliefs, for their asked atoms; or labelled data.
        predicate: only rules about this one.
    """
    program = source.program if isinstance(source, Dataset) else source.grounding.program
    if not program.shadow_rules:
        return ()
    world = labelled_world(source) if isinstance(source, Dataset) else believed_world(source)
    fired, left = rule_firings(world, program.shadow_rules)
    told = [
        f"shadow rule `{one.rule}` {firing_sentence(one, figures)}"
        for one in fired
        if predicate in ("", one.predicate)
        for figures in [figures_of(one.at, world.asked[one.predicate].truth, one.says)]
    ]
    told += [f"shadow rule `{name}` is not measured: {why}" for name, why in left.items()]
    return tuple(told)


def firing_sentence(fired: Fired, figures: RuleFigures) -> str:
    """``fires at 3 of 40 Fraud; 2 of 3 labelled are right (precision 0.667 [0.208, 0.939])``."""
    said = fired.predicate if fired.says else f"!{fired.predicate}"
    text = f"fires at {figures.fired:,} of {len(fired.at):,} {said}"
    if figures.labelled:
        right = f"{figures.right:,} of {figures.labelled:,} labelled are right"
        text += f"; {right} (precision {figures.precision})"
    return text


def coincidence(at: Sequence[NDArray[np.bool_]], atoms: int) -> NDArray[np.int64]:
    """``int64[r, r]``: at how many atoms each two fire, given ``bool[atoms]`` each."""
    matrix = np.array(at, np.float32).reshape(len(at), atoms)
    both: NDArray[np.int64] = np.rint(matrix @ matrix.T).astype(np.int64)
    return both
