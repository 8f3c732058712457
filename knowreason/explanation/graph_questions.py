"""Questions to a small graph, all answered by one batch of its variants."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from knowreason.explanation.graph_variants import Variant

T = TypeVar("T")


@dataclass(frozen=True)
class Question(Generic[T]):
    """What has to be solved, and what it says.

    Attributes:
        variants: of the graph.
        answer: from ``float64[variants]``, the log-odds of the atom in each (``nan`` where
            no world satisfies the hard rules).
    """

    variants: tuple[Variant, ...]
    answer: Callable[[NDArray[np.float64]], T]
