"""What a knowledge model says about the atoms of one predicate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

LLR_LIMIT = 14.0  # log-likelihood ratios beyond this are clipped


@dataclass(frozen=True)
class ColumnSplit:
    """Log-likelihood ratios of some rows, split over the columns the model reads.

    ``parts`` of a row and its ``average`` add up to its ratio.

    Attributes:
        names: of the columns.
        texts: by row, the value of each column as people write it.
        parts: ``float64[m, d]``, the Shapley value of each column: what it adds to what the model
            says of the average row.
        average: ``float64[m]``, what is said of the average row, and all that is no column's.
    """

    names: tuple[str, ...]
    texts: tuple[tuple[str, ...], ...]
    parts: NDArray[np.float64]
    average: NDArray[np.float64]


@dataclass(frozen=True)
class ModelOutput:
    """Log-likelihood ratios of one model for one predicate.

    Attributes:
        model: name of the model in the program.
        predicate: the predicate it speaks of.
        llr: ``float32[n]``, one an atom of the predicate's span, within
            +-:data:`LLR_LIMIT`: ``logit z - logit base`` for a Boolean predicate,
            ``log z_k - log base_k`` for a functional one. 0 is "says nothing".
        base_rate: share of true atoms (or of each state, ``float64[K]``) in the data the
            model was fitted on; of the population, where that is known to be another.
        spread: ``float32[n]`` standard deviation of ``llr``, where the model has one.
        parts: named parts of the model's own score, ``float32[n]`` each in its own unit, where
            the score is a sum.
        columns: splits the ratios of some rows (``int64[m]``, places in the span) over columns;
            gives ``None`` where the model cannot be split.
    """

    model: str
    predicate: str
    llr: NDArray[np.float32]
    base_rate: float | NDArray[np.float64]
    spread: NDArray[np.float32] | None = None
    parts: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    columns: Callable[[NDArray[np.int64]], ColumnSplit | None] | None = field(
        default=None, compare=False, repr=False
    )
