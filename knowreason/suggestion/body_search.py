"""A bounded search for bodies that tell what the present program does not know."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import combinations, islice

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from knowreason.logic.canonical_text import value_text
from knowreason.suggestion.body_counts import Counts, LabelledRows
from knowreason.suggestion.candidate_bodies import Body, Measure, Templates

MOST = 2000  # bodies that are counted
BEAM = 30  # best ones that are refined and combined
KEPT = 400  # columns that are held in memory
FEWEST = 5  # labelled atoms at which a body holds, and does not
CLEAR = 2.0  # standard errors of the score, below which nothing is looked into
DEPTH = 2  # of the tree of one number
SPREAD = 2.0  # of the prior of a weight
ALIKE = 0.999  # correlation from which on two bodies say the same

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Found:
    """A body and its groundings at each labelled atom.

    Attributes:
        body: which.
        values: ``float32[n]``.
        score: of adding it to the present program, in standard errors; below 0 it speaks against
            the query atom.
        alike: bodies that say the same.
    """

    body: Body
    values: Counts
    score: float
    alike: tuple[str, ...] = ()


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
    """

    rows: LabelledRows
    labels: Floats
    offset: Floats
    best: dict[bytes, Found] = field(default_factory=dict)
    tried: int = 0
    large: int = 0
    rare: int = 0
    same: int = 0
    _empty: list[frozenset[str]] = field(default_factory=list)  # parts that hold almost nowhere

    def run(self, templates: Templates) -> None:
        """Count conditions, paths and thresholds; then refine and combine the best of them."""
        waiting = islice(templates.bodies(), MOST)
        self.count(waiting)
        self.count(self._thresholds(templates.measures()))
        paths = [one.body for one in self.top() if one.body.further]
        self.count(body for path in paths for body in templates.refined(path))
        for one, other in combinations(self.top(), 2):
            if not set(one.body.parts) & set(other.body.parts):
                self.tried += 1
                held = (one.values > 0) & (other.values > 0)
                self._take(one.body.both(other.body), held.astype(np.float32))

    def count(self, bodies: Iterable[Body]) -> None:
        """Count bodies, each of several groundings also as one that holds or not."""
        for body in bodies:
            parts = frozenset(body.parts)
            if any(empty <= parts for empty in self._empty):
                continue
            self.tried += 1
            values = self.rows.counts(body)
            if values is None:
                self.large += 1
                continue
            if (values > 0).sum() < FEWEST:
                self._empty.append(parts)
            self._take(body, values)
            if values.max(initial=0) > 1:
                self._take(replace(body, some=True), (values > 0).astype(np.float32))

    def top(self) -> list[Found]:
        """The best of all."""
        return sorted(self.best.values(), key=lambda one: -abs(one.score))[:BEAM]

    def chosen(self, most: int) -> list[Found]:
        """Bodies that each tell something beside those before it, the best first.

        Forward selection by the score test of a logistic regression, whose offset is what the
        present program says.
        """
        left = list(self.best.values())
        picked: list[Found] = []
        offset = self.offset
        while left and len(picked) < most:
            columns = np.stack([one.values for one in left], axis=1)
            scores = score(columns, self.labels, offset)
            # of equal ones the shorter text
            order = sorted(
                range(len(left)), key=lambda i: (-round(abs(scores[i]), 3), len(left[i].body.text))
            )
            best = order[0]
            if abs(scores[best]) < CLEAR:
                break
            near = [i for i in range(len(left)) if i != best and alike(columns, best, i)]
            names = tuple(left[i].body.text for i in near)
            picked.append(replace(left[best], alike=names))
            left = [one for i, one in enumerate(left) if i != best and i not in near]
            offset = fitted_offset([one.values for one in picked], self.labels, self.offset)
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
        reached = float(score(values[:, None], self.labels, self.offset)[0])
        if abs(reached) < CLEAR:
            return
        self.best[key] = Found(body, values, reached)
        if len(self.best) > 2 * KEPT:
            kept = sorted(self.best.items(), key=lambda item: -abs(item[1].score))[:KEPT]
            self.best = dict(kept)

    def _thresholds(self, measures: Iterable[Measure]) -> Iterator[Body]:
        """Bodies of numbers above and below the split points of a shallow tree."""
        for measure in measures:
            for values, operator in zip(self.rows.range_of(measure), ("<=", ">"), strict=True):
                for split in split_points(values, self.labels, measure.sort):
                    text = value_text(split, measure.sort)
                    part = f"{measure.call} {operator} {text}"
                    yield replace(measure.path, parts=(*measure.path.parts, part))


def score(columns: NDArray[np.floating], labels: Floats, offset: Floats) -> Floats:
    """``float64[m]``: the score test of each column (``[n, m]``) beside an intercept."""
    chance = expit(offset)
    spread = chance * (1 - chance)
    centre = (spread @ columns) / spread.sum()
    rest = labels - chance
    slope = rest @ columns - centre * rest.sum()
    variance = spread @ np.square(columns, dtype=np.float64) - centre**2 * spread.sum()
    return np.asarray(np.divide(slope, np.sqrt(np.maximum(variance, 1e-12))))


def alike(columns: NDArray[np.floating], one: int, other: int) -> bool:
    """Whether two columns hold at the same rows, or all but."""
    pair = columns[:, [one, other]]
    return abs(float(np.corrcoef(pair, rowvar=False)[0, 1])) > ALIKE


def fitted_offset(columns: list[Counts], labels: Floats, offset: Floats) -> Floats:
    """``float64[n]``: log-odds after columns and an intercept were fitted under the prior of
    weights, by Newton steps."""
    design = np.stack([np.ones_like(offset), *columns], axis=1)
    weights = np.zeros(design.shape[1])
    penalty = np.full(len(weights), 1 / SPREAD**2)
    penalty[0] = 1e-6
    for _ in range(25):
        chance = expit(offset + design @ weights)
        slope = design.T @ (labels - chance) - penalty * weights
        curvature = (design.T * (chance * (1 - chance))) @ design + np.diag(penalty)
        step = np.linalg.solve(curvature, slope)
        step *= min(1.0, 2.0 / max(float(np.abs(step).max()), 1e-12))
        weights += step
        if np.abs(step).max() < 1e-6:
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

    >>> rounded(437.21, np.array([12.0, 380.5, 512.0]), "float"), rounded(2.5, np.arange(9.0), "int")
    (400.0, 2)
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
