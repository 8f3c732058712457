"""Feature matrices as learners want them: fitted on training rows, applied to any."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from knowreason.data.features import FeatureTable

TREE_CATEGORIES = 254  # histogram trees have 255 bins, one of them for the rest
DENSE_CATEGORIES = 32
FEW_TEXTS = 64  # of a column, up to which all are ranked


@dataclass(frozen=True)
class Encoder:
    """Means, scales and categories of feature columns, fitted on training rows.

    Attributes:
        names: columns, in order; others are ignored, absent ones are missing.
        means, scales, medians: of numeric columns over present values.
        indicators: numeric columns that had missing values: they get an indicator.
        categories: by column, its kept texts, most frequent first; ``None`` for numbers.
            Texts, not codes: another data set may number them differently.

    >>> import knowreason as kr
    >>> encoder = Encoder.fit(kr.testing.example_data().features["Node"])
    >>> encoder.names, encoder.categories[3]
    (('one', 'two', 'hue', 'sort'), ('x', 'y', 'z'))
    """

    names: tuple[str, ...]
    means: tuple[float, ...]
    scales: tuple[float, ...]
    medians: tuple[float, ...]
    indicators: tuple[bool, ...]
    categories: tuple[tuple[str, ...] | None, ...]

    @staticmethod
    def fit(columns: FeatureTable, limit: int = DENSE_CATEGORIES) -> Encoder:
        """Learn from training rows; at most ``limit`` categories a column are kept.

        A column without any value is left out.
        """
        empty = np.flatnonzero(np.isnan(columns.values).all(axis=0))
        columns = columns.select([n for i, n in enumerate(columns.names) if i not in empty])
        values = columns.values.astype(np.float64)
        present = ~np.isnan(values)
        count = present.sum(axis=0)
        means = np.where(present, values, 0).sum(0) / np.maximum(count, 1)
        deviation = np.sqrt(
            (np.where(present, values - means, 0) ** 2).sum(0) / np.maximum(count, 1)
        )
        scales = np.where(deviation > 1e-12, deviation, 1.0)
        return Encoder(
            columns.names,
            tuple(means.tolist()),
            tuple(scales.tolist()),
            tuple(_medians(values, present)),
            tuple((count < len(columns)).tolist()),
            tuple(
                None if texts is None else _frequent(column, texts, limit)
                for column, texts in zip(columns.values.T, columns.categories, strict=True)
            ),
        )

    def tree_matrix(self, columns: FeatureTable) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """``float32[n, d]`` with NaN for missing and ranks for categories, and which are.

        A category that was not kept gets the rank after the last one.
        """
        place_of = {name: place for place, name in enumerate(columns.names)}
        matrix = np.full((columns.values.shape[0], len(self.names)), np.nan, np.float32)
        there = [place for place, name in enumerate(self.names) if name in place_of]
        matrix[:, there] = columns.values[:, [place_of[self.names[place]] for place in there]]
        for target, frequent in enumerate(self.categories):
            if frequent is not None:
                source = place_of.get(self.names[target])
                matrix[:, target] = _ranks(columns, source, frequent)
        return matrix, np.array([frequent is not None for frequent in self.categories], bool)

    def dense_matrix(self, columns: FeatureTable) -> NDArray[np.float32]:
        """``float32[n, width]``: standardised numbers with medians where missing and an
        indicator, categories one-hot (all zero for one that was not kept)."""
        parts: list[NDArray[np.floating]] = [np.zeros((len(columns), 0), np.float32)]
        for target, name in enumerate(self.names):
            source = _place(columns, name)
            frequent = self.categories[target]
            if frequent is not None:
                hot = _ranks(columns, source, frequent)[:, None] == np.arange(len(frequent))
                parts.append(hot.astype(np.float32))
                continue
            raw = _column(columns, source)
            missing = np.isnan(raw)
            filled = np.where(missing, self.medians[target], raw)
            parts.append(((filled - self.means[target]) / self.scales[target])[:, None])
            if self.indicators[target]:
                parts.append(missing[:, None].astype(np.float32))
        return np.concatenate(parts, axis=1).astype(np.float32)

    def places(self) -> list[NDArray[np.int64]]:
        """For each of ``names``, its columns in :meth:`dense_matrix`."""
        widths = [
            1 + indicator if frequent is None else len(frequent)
            for frequent, indicator in zip(self.categories, self.indicators, strict=True)
        ]
        ends = np.cumsum(widths, dtype=np.int64)
        return [np.arange(end - width, end) for width, end in zip(widths, ends, strict=True)]

    @property
    def width(self) -> int:
        """Number of columns of :meth:`dense_matrix`."""
        return sum(map(len, self.places()))

    def to_values(self) -> dict[str, object]:
        """Plain values for JSON."""
        return asdict(self)

    @staticmethod
    def from_values(values: Mapping[str, Any]) -> Encoder:
        """Inverse of :meth:`to_values`, also after a trip through JSON."""
        fields = {name: tuple(values[name]) for name in Encoder.__annotations__}
        texts = tuple(
            None if frequent is None else tuple(frequent) for frequent in values["categories"]
        )
        return Encoder(**{**fields, "categories": texts})


def _place(columns: FeatureTable, name: str) -> int | None:
    return columns.names.index(name) if name in columns.names else None


def _column(columns: FeatureTable, source: int | None) -> NDArray[np.float64]:
    if source is None:
        return np.full(len(columns), np.nan)
    return columns.values[:, source].astype(np.float64)


def _ranks(columns: FeatureTable, source: int | None, kept: tuple[str, ...]) -> NDArray[np.float64]:
    """Rank of each row's category among the kept ones, ``len(kept)`` for another."""
    codes = _column(columns, source)
    texts = columns.categories[source] if source is not None else None
    rank_of = {text: rank for rank, text in enumerate(kept)}
    missing = np.isnan(codes)
    filled = np.where(missing, 0, codes).astype(int)
    if texts and len(texts) <= FEW_TEXTS:
        ranks = np.array([rank_of.get(text, len(kept)) for text in texts], np.float64)
        if ((filled >= 0) & (filled < len(texts))).all():
            return np.where(missing, np.nan, ranks[filled])
    distinct, inverse = np.unique(filled, return_inverse=True)
    of_distinct = [rank_of.get(text, len(kept)) for text in _texts(texts, distinct)]
    return np.where(missing, np.nan, np.array(of_distinct, np.float64)[inverse])


def _medians(values: NDArray[np.float64], present: NDArray[np.bool_]) -> list[float]:
    return [
        float(np.median(column[keep])) if keep.any() else 0.0
        for column, keep in zip(values.T, present.T, strict=True)
    ]


def _frequent(column: NDArray[np.float32], texts: tuple[str, ...], limit: int) -> tuple[str, ...]:
    codes, counts = np.unique(column[~np.isnan(column)], return_counts=True)
    order = np.argsort(-counts, kind="stable")[:limit]
    return tuple(_texts(texts, codes[order].astype(int)))


def _texts(texts: tuple[str, ...] | None, codes: NDArray[np.int64]) -> list[str]:
    """Text of each code; a code without a text is its own."""
    names = texts or ()
    return [names[code] if 0 <= code < len(names) else str(code) for code in codes.tolist()]
