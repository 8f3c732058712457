"""What models may see of things: numbers and categories, and how they become inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

OTHER = "(other)"


@dataclass(frozen=True)
class FeatureSource:
    """A table of features and what its columns are, before names become ids.

    Attributes:
        table: anything :func:`~knowreason.data.binding.frames.read_frame` reads.
        key: column that names the thing; the first one by default.
        columns: columns to take; all others by default.
        categorical: columns whose numbers are codes; text columns always are categories.

    >>> import knowreason as kr
    >>> source = FeatureSource({"node": ["a", "b"], "kind": [1, 2]}, categorical=["kind"])
    >>> data = kr.Dataset.from_frames(kr.testing.example_program(), features={"Node": source})
    >>> data.features["Node"].categories
    (('1', '2'),)
    """

    table: Any
    key: str | None = None
    columns: Sequence[str] | None = None
    categorical: Sequence[str] = ()


@dataclass(frozen=True, eq=False)
class FeatureTable:
    """Features of the things of one domain (or of the edges of a graph).

    Attributes:
        names: one a column.
        values: ``float32[n, d]``; a category is its code; NaN is missing.
        categories: per column the names of its codes, ``None`` for a number.

    >>> table = FeatureTable(("age",), np.array([[31.0], [np.nan]], np.float32), (None,))
    >>> len(table), table.categorical
    (2, array([False]))
    """

    names: tuple[str, ...]
    values: NDArray[np.float32]
    categories: tuple[tuple[str, ...] | None, ...]

    def __len__(self) -> int:
        return len(self.values)

    @property
    def categorical(self) -> NDArray[np.bool_]:
        """Which columns are categories, ``bool[d]``."""
        return np.array([codes is not None for codes in self.categories], dtype=bool)

    def take(self, rows: NDArray[np.generic]) -> FeatureTable:
        """The features of some rows (indices or mask)."""
        return FeatureTable(self.names, self.values[rows], self.categories)

    def select(self, names: Sequence[str]) -> FeatureTable:
        """The features of those names, in that order (a *view*)."""
        places = [self.names.index(name) for name in names]
        return FeatureTable(
            tuple(names), self.values[:, places], tuple(self.categories[p] for p in places)
        )


@dataclass(frozen=True, eq=False)
class Standardisation:
    """Means, deviations and levels of features, fitted on the training rows only.

    Attributes:
        names: the feature columns it was fitted on.
        mean, sd: ``float64[d]`` over present values (0 and 1 for categories).
        missing: ``bool[d]``, columns with a missing value in training: they get an indicator.
        levels: per column the codes that get an input of their own, ``None`` for a number.
        level_names: their names, with :data:`OTHER` last where rarer ones share an input.

    >>> table = FeatureTable(("age",), np.array([[31.0], [np.nan]], np.float32), (None,))
    >>> fit_standardisation(table).input_names
    ('age', 'age missing')
    """

    names: tuple[str, ...]
    mean: NDArray[np.float64]
    sd: NDArray[np.float64]
    missing: NDArray[np.bool_]
    levels: tuple[NDArray[np.int64] | None, ...]
    level_names: tuple[tuple[str, ...], ...]

    @property
    def input_names(self) -> tuple[str, ...]:
        """Name of each input :func:`design_matrix` makes, in order."""
        blocks = zip(self.names, self.missing, self.levels, self.level_names, strict=True)
        return tuple(
            name
            for feature, missing, levels, level_names in blocks
            for name in (
                *((feature,) if levels is None else (f"{feature}={v}" for v in level_names)),
                *((f"{feature} missing",) if missing else ()),
            )
        )


def fit_standardisation(
    table: FeatureTable, rows: NDArray[np.generic] | None = None, max_levels: int = 32
) -> Standardisation:
    """Means, deviations and levels of the given rows (all by default).

    Args:
        table: the features.
        rows: indices or mask of the training rows; nothing else is looked at.
        max_levels: a category with more levels keeps the commonest, the rest share one input.

    >>> table = FeatureTable(("age",), np.array([[31.0], [np.nan]], np.float32), (None,))
    >>> fit_standardisation(table).mean
    array([31.])
    """
    values = (table.values if rows is None else table.values[rows]).astype(np.float64)
    present = ~np.isnan(values)
    count = np.maximum(present.sum(axis=0), 1)
    number = ~table.categorical
    mean = np.where(number, np.where(present, values, 0.0).sum(axis=0) / count, 0.0)
    spread = np.sqrt((np.where(present, values - mean, 0.0) ** 2).sum(axis=0) / count)
    sd = np.where(number & (spread > 1e-12 * np.maximum(np.abs(mean), 1.0)), spread, 1.0)
    levels, level_names = _levels(table, values, max_levels)
    missing = np.asarray((~present).any(axis=0), dtype=bool)
    return Standardisation(table.names, mean, sd, missing, levels, level_names)


def design_matrix(
    table: FeatureTable,
    fitted: Standardisation,
    categories: Literal["one_hot", "codes"] = "one_hot",
) -> NDArray[np.float32]:
    """Model inputs ``float32[n, d']``: numbers standardised, missing imputed by the mean.

    With ``one_hot`` a category is one input a level (a level not seen in training is the
    shared one, if there is one, else all zero) and a column that had missing values is
    followed by an indicator; with ``codes`` (for trees) the columns are those of the table
    and missing stays NaN.

    Raises:
        ValueError: when the columns are not those it was fitted on.

    >>> table = FeatureTable(("age",), np.array([[31.0], [np.nan]], np.float32), (None,))
    >>> design_matrix(table, fit_standardisation(table))
    array([[0., 0.],
           [0., 1.]], dtype=float32)
    """
    if table.names != fitted.names:
        raise ValueError(f"fitted on features {fitted.names}, got {table.names}")
    standard = (table.values - fitted.mean) / fitted.sd
    if categories == "codes":
        return standard.astype(np.float32)
    blocks: list[NDArray[np.generic]] = []
    for column, (levels, names) in enumerate(zip(fitted.levels, fitted.level_names, strict=True)):
        if levels is None:
            blocks.append(np.nan_to_num(standard[:, column : column + 1], nan=0.0))
        else:
            blocks.append(_one_hot(table.values[:, column], levels, len(names) > len(levels)))
        if fitted.missing[column]:
            blocks.append(np.isnan(table.values[:, column : column + 1]))
    if not blocks:
        return np.zeros((len(table), 0), dtype=np.float32)
    return np.concatenate([block.astype(np.float32) for block in blocks], axis=1)


def _levels(
    table: FeatureTable, values: NDArray[np.float64], max_levels: int
) -> tuple[tuple[NDArray[np.int64] | None, ...], tuple[tuple[str, ...], ...]]:
    levels: list[NDArray[np.int64] | None] = []
    names: list[tuple[str, ...]] = []
    for column, codes in enumerate(table.categories):
        if codes is None:
            levels.append(None)
            names.append(())
            continue
        seen = values[~np.isnan(values[:, column]), column].astype(np.int64)
        counts = np.bincount(seen, minlength=len(codes))
        common = np.argsort(-counts, kind="stable")[: min(max_levels, int((counts > 0).sum()))]
        rest = (OTHER,) if (counts > 0).sum() > max_levels else ()
        common = np.sort(common)
        levels.append(common)
        names.append((*(codes[code] for code in common), *rest))
    return tuple(levels), tuple(names)


def _one_hot(
    codes: NDArray[np.float32], levels: NDArray[np.int64], with_other: bool
) -> NDArray[np.bool_]:
    hot: NDArray[np.bool_] = codes[:, None] == levels[None, :]
    if not with_other:
        return hot
    other = ~hot.any(axis=1, keepdims=True) & ~np.isnan(codes[:, None])
    return np.concatenate([hot, other], axis=1)


@dataclass(frozen=True, eq=False)
class ScoreColumns:
    """Named columns of scores, one row an atom.

    Attributes:
        arguments: ``int32[n, arity]``, ids of the things in each atom.
        values: ``float64[n]`` by column name; NaN where there is no score.

    >>> import knowreason as kr
    >>> list(kr.testing.example_data().scores["Bad"].values)
    ['p', 'z', 'wild']
    """

    arguments: NDArray[np.int32]
    values: Mapping[str, NDArray[np.float64]]
