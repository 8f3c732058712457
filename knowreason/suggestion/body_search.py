"""A bounded search for bodies that tell what the present program does not know."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import combinations, islice

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_expit

from knowreason.logic.canonical_text import number_text, value_text
from knowreason.progress import Progress
from knowreason.suggestion.body_counts import Counts, LabelledRows
from knowreason.suggestion.candidate_bodies import Body, Measure, Templates

MOST = 1000  # bodies that are counted
BEAM = 30  # best ones that are refined and combined
KEPT = 400  # columns that are held in memory
FEWEST = 5  # labelled atoms at which a body holds, and does not
CLEAR = 2.0  # standard errors of the score, and nats, below which nothing is looked into
DEPTH = 2  # of the tree of one number
SPREAD = 2.0  # of the prior of a weight
ALIKE = 0.999  # correlation from which on two bodies say the same
COST = 3.0  # nats of each atom or attribute after the first: hundreds are tried in its place
STEPS = 12  # of Newton's method

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Found:
    """A body and its groundings at each labelled atom.

    Attributes:
        body: which.
        values: ``float32[n]``.
        gain: nats by which a weight for it, fitted beside the present program, raises the
            likelihood of all labels, less what the prior takes.
        weight: that weight; below 0 it speaks against the query atom.
        alike: bodies that say the same.
    """

    body: Body
    values: Counts
    gain: float
    weight: float
    alike: tuple[str, ...] = ()

    @property
    def worth(self) -> float:
        """The gain, less what its length costs."""
        return self.gain - COST * (self.body.size - 1)


@dataclass
class BodySearch:
    """What was counted so far, best kept.

    Attributes:
        rows: the labelled atoms.
        labels: ``float64[n]``, 0 or 1.
        offset: ``float64[n]``, log-odds by the present program.
        best: by what they are at the atoms.
        tried: how many bodies were counted.
        large: how many had too many groundings.
        rare: how many hold almost nowhere or almost everywhere.
        same: how many hold exactly where another one does.
        cut: whether there are more conditions and paths than are counted.
        progress: told of each body that is counted.
    """

    rows: LabelledRows
    labels: Floats
    offset: Floats
    best: dict[bytes, Found] = field(default_factory=dict)
    tried: int = 0
    large: int = 0
    rare: int = 0
    same: int = 0
    cut: bool = False
    progress: Progress | None = None
    _empty: list[frozenset[str]] = field(default_factory=list)  # parts that hold almost nowhere

    def run(self, templates: Templates, most: int) -> list[Found]:
        """Bodies that each tell something beside those before it, at most so many.

        Conditions, paths and thresholds are counted and the best paths refined. Of these are
        chosen those that add something, and only then conjunctions of two of the best that add
        something beside what was chosen: an interaction, not two effects.
        """
        bodies = list(islice(templates.bodies(), MOST + 1))
        self.cut = len(bodies) > MOST
        self.count(bodies[:MOST], templates)
        self.count(self._thresholds(templates.measures()), templates)
        paths = [one.body for one in self.top() if one.body.further]
        self.count((body for path in paths for body in templates.refined(path)), templates)
        picked = self._chosen(most)
        crisp = [one for one in self.top() if not templates.unknowns(one.body)]
        single, self.best = set(self.best), {}
        self.offset = fitted_offset([one.values for one in picked], self.labels, self.offset)
        for one, other in combinations(crisp, 2):
            if not set(one.body.parts) & set(other.body.parts):
                self.tried += 1
                held = ((one.values > 0) & (other.values > 0)).astype(np.float32)
                if held.tobytes() not in single:
                    self._take(one.body.both(other.body), held)
        return picked + self._chosen(most - len(picked))

    def count(self, bodies: Iterable[Body], templates: Templates) -> None:
        """Count bodies, each of several groundings and no unknown also as one that holds or not."""
        for body in bodies:
            parts = frozenset(body.parts)
            if any(empty <= parts for empty in self._empty):
                continue
            self.tried += 1
            if self.progress is not None:
                self.progress(self.tried, 0, f"{self.tried:,}: {body.text}")
            values = self.rows.counts(body)
            if values is None:
                self.large += 1
                continue
            if (values > 0).sum() < FEWEST:
                self._empty.append(parts)
            self._take(body, values)
            if values.max(initial=0) > 1 and not templates.unknowns(body):
                self._take(replace(body, some=True), (values > 0).astype(np.float32))

    def top(self) -> list[Found]:
        """The best of all."""
        return sorted(self.best.values(), key=lambda one: -one.worth)[:BEAM]

    def _chosen(self, most: int) -> list[Found]:
        """Forward selection: what each adds to a logistic regression whose offset is what is known.

        A gain is found again only where its last one is the greatest (Minoux 1978).
        """
        left = sorted(self.best.values(), key=lambda one: (-one.worth, len(one.body.text)))
        picked: list[Found] = []
        offset, fresh = self.offset, set(map(id, left))
        while left and len(picked) < most:
            best = left.pop(0)
            if id(best) not in fresh:
                gain, weight = fitted(best.values, self.labels, offset)
                best = replace(best, gain=gain, weight=weight)
                fresh.add(id(best))
                if gain >= CLEAR:
                    insort(left, best, key=lambda one: -one.worth)
                continue
            near = [one for one in left if alike(best.values, one.values)]
            picked.append(replace(best, alike=tuple(one.body.text for one in near)))
            left = [one for one in left if not any(one is other for other in near)]
            offset = fitted_offset([one.values for one in picked], self.labels, self.offset)
            fresh = set()
        return picked

    def _take(self, body: Body, values: Counts) -> None:
        held = int((values > 0).sum())
        if min(held, len(values) - held) < FEWEST and len(np.unique(values)) < 3:
            self.rare += 1
            return
        key = values.tobytes()
        known = self.best.get(key)
        if known is not None:
            self.same += 1
            if len(body.text) < len(known.body.text):
                self.best[key] = replace(known, body=body)
            return
        if abs(score(values, self.labels, self.offset)) < CLEAR:
            return
        gain, weight = fitted(values, self.labels, self.offset)
        if gain < CLEAR:
            return
        self.best[key] = Found(body, values, gain, weight)
        if len(self.best) > 2 * KEPT:
            kept = sorted(self.best.items(), key=lambda item: -item[1].worth)[:KEPT]
            self.best = dict(kept)

    def _thresholds(self, measures: Iterable[Measure]) -> Iterator[Body]:
        """Bodies of numbers above and below the split points of a shallow tree."""
        for measure in measures:
            for values, operator in zip(self.rows.range_of(measure), ("<=", ">"), strict=True):
                for split in split_points(values, self.labels, measure.sort):
                    is_duration = measure.sort == "duration"
                    text = value_text(split, "duration") if is_duration else number_text(split)
                    part = f"{measure.call} {operator} {text}"
                    yield replace(measure.path, parts=(*measure.path.parts, part))


def score(values: Counts, labels: Floats, offset: Floats) -> float:
    """The score test of a column beside an intercept, in standard errors."""
    chance = expit(offset)
    spread = chance * (1 - chance)
    apart = values - float(spread @ values) / spread.sum()
    return float((labels - chance) @ apart / np.sqrt(max(float(spread @ apart**2), 1e-12)))


def alike(one: Counts, other: Counts) -> bool:
    """Whether two columns hold at the same rows, or all but."""
    return abs(float(np.corrcoef(one, other)[0, 1])) > ALIKE


def fitted(values: Counts, labels: Floats, offset: Floats) -> tuple[float, float]:
    """What a column adds to the log-likelihood beside an intercept, and its weight."""
    said = fitted_offset([values], labels, offset)
    weight = float(np.ptp(said - offset)) / max(float(np.ptp(values)), 1e-12)
    highest, lowest = int(values.argmax()), int(values.argmin())
    if (said - offset)[highest] < (said - offset)[lowest]:
        weight = -weight
    sign = np.where(labels == 1, 1, -1)
    gain = float((log_expit(sign * said) - log_expit(sign * offset)).sum())
    return gain - weight**2 / (2 * SPREAD**2), weight


def fitted_offset(columns: list[Counts], labels: Floats, offset: Floats) -> Floats:
    """``float64[n]``: log-odds after columns and an intercept were fitted under the prior of
    weights, by Newton steps."""
    design = np.stack([np.ones_like(offset), *columns], axis=1)
    weights = np.zeros(design.shape[1])
    penalty = np.full(len(weights), 1 / SPREAD**2)
    penalty[0] = 1e-6
    for _ in range(STEPS):
        chance = expit(offset + design @ weights)
        slope = design.T @ (labels - chance) - penalty * weights
        curvature = (design.T * (chance * (1 - chance))) @ design + np.diag(penalty)
        step = np.linalg.solve(curvature, slope)
        step *= min(1.0, 2.0 / max(float(np.abs(step).max()), 1e-12))
        weights += step
        if np.abs(step).max() < 1e-4:
            break
    return np.asarray(offset + design @ weights)


def split_points(values: Counts, labels: Floats, sort: str) -> list[float | int]:
    """Split points of a shallow tree over one column, as round as the data allow."""
    from sklearn.tree import DecisionTreeClassifier

    known = np.isfinite(values)
    if len(np.unique(values[known])) < 2:
        return []
    leaf = max(FEWEST, int(known.sum()) // 200)
    tree = DecisionTreeClassifier(max_depth=DEPTH, min_samples_leaf=leaf, random_state=0)
    tree.fit(values[known][:, None], labels[known])
    cuts = tree.tree_.threshold[tree.tree_.feature >= 0]
    ordered = np.unique(values[known]).astype(np.float64)
    return list(dict.fromkeys(rounded(float(cut), ordered, sort) for cut in sorted(cuts)))


def rounded(cut: float, ordered: Floats, sort: str) -> float | int:
    """The figure of fewest digits that cuts sorted values where ``cut`` does.

    >>> rounded(437.21, np.array([12.0, 380.5, 512.0]), "float")
    400.0
    """
    place = int(np.searchsorted(ordered, cut, side="right"))
    low, high = ordered[max(place - 1, 0)], ordered[min(place, len(ordered) - 1)]
    whole = sort != "float"
    found = next(
        (
            figure
            for digits in range(1, 18)
            if low <= (figure := float(f"{cut:.{digits}g}")) < high
            if not whole or figure == int(figure)
        ),
        float(low),
    )
    return int(found) if whole else found
