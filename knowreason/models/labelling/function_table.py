"""The table of label functions: what each covers, contradicts, and is worth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from math import nan

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.special import expit, logit

from knowreason.data.arrow_types import ArrowTable
from knowreason.data.table_results import TableResult
from knowreason.models.labelling.dawid_skene import AccuracyPrior, FittedVotes, errors_of
from knowreason.models.labelling.vote_matrix import ABSTAINS, Votes

NORMAL_95 = 1.959964  # 97.5 % point of the standard normal


@dataclass(frozen=True)
class FunctionLine:
    """One function.

    Attributes:
        function: its name.
        says: states it votes for.
        coverage: share of rows it votes on.
        overlap: share of rows it and another vote on.
        conflict: share of rows where another votes for something else.
        accuracy: estimated share of its votes that are right, ``low`` and ``high`` with 95 %.
        weight: log-odds a vote adds; of several states that of the last, for it.
        weight_against: log-odds a vote for the first state takes off; NaN where it has one.
    """

    function: str
    says: str
    coverage: float
    overlap: float
    conflict: float
    accuracy: float
    low: float
    high: float
    weight: float
    weight_against: float = nan


@dataclass(frozen=True, repr=False)
class FunctionTable(TableResult):
    """A line a function; iterable, printable, :meth:`to_arrow`.

    >>> line = FunctionLine("my", "true", 0.2, 0.1, 0.05, 0.9, 0.8, 0.95, 2.2)
    >>> FunctionTable((line,))["my"].accuracy
    0.9
    """

    lines: tuple[FunctionLine, ...]

    def __iter__(self) -> Iterator[FunctionLine]:
        return iter(self.lines)

    def __len__(self) -> int:
        return len(self.lines)

    def __getitem__(self, function: str) -> FunctionLine:
        for line in self.lines:
            if line.function == function:
                return line
        raise KeyError(function)

    def to_arrow(self) -> ArrowTable:
        """One row a function."""
        table: ArrowTable = pa.Table.from_pylist([asdict(line) for line in self.lines])
        return table


def function_table(votes: Votes, fitted: FittedVotes, prior: AccuracyPrior) -> FunctionTable:
    """The table of a fit."""
    spoken = votes.values != ABSTAINS
    counts = votes.counts
    others = spoken.sum(1)[:, None] - spoken
    own = np.take_along_axis(counts, np.maximum(votes.values, 0), 1) * spoken
    against = spoken & (counts.sum(1)[:, None] > own)
    accuracy = np.clip(fitted.accuracy, 1e-6, 1 - 1e-6)
    reach = NORMAL_95 * errors_of(votes, fitted, prior)
    weights = vote_weights(fitted.log_likelihoods)
    lines = []
    for j, name in enumerate(votes.functions):
        used = np.flatnonzero(votes.one_hot[:, j].sum(0))
        of_used = [float(weights[j, v]) for v in used]
        lines.append(
            FunctionLine(
                name,
                ", ".join(votes.states[v] for v in used) or "nothing",
                float(spoken[:, j].mean()),
                float((spoken[:, j] & (others[:, j] > 0)).mean()),
                float(against[:, j].mean()),
                float(accuracy[j]) if len(used) else nan,
                float(expit(logit(accuracy[j]) - reach[j])) if len(used) else nan,
                float(expit(logit(accuracy[j]) + reach[j])) if len(used) else nan,
                of_used[-1] if of_used else 0.0,
                of_used[0] if len(of_used) > 1 else nan,
            )
        )
    return FunctionTable(tuple(lines))


def vote_weights(tables: NDArray[np.float64]) -> NDArray[np.float64]:
    """``float64[m, K]``: log-odds of a state against the mean of the others that a vote for it
    adds."""
    states = tables.shape[1]
    own = np.einsum("mvv->mv", tables)
    rest = (tables.sum(1) - own) / (states - 1)
    return np.asarray(own - rest)
