"""Columns of mixed kind as inputs of a network, and back: normal scores and categories."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri
from torch import Tensor

from knowreason.data.features import FeatureTable

QUANTILES = 4096
CATEGORIES = 32


@dataclass(frozen=True, eq=False)
class Marginals:
    """How columns become inputs and outputs of the same layout, fitted without labels.

    A number is its normal score (the normal quantile of its mid-rank), so that decoded
    values keep the column's marginal distribution, steps and heavy tails included; a column
    with missing values is followed by an indicator; a category is one-hot over its most
    frequent values.

    Attributes:
        columns: the layout: names and texts of the categories (no rows).
        numbers: ``int64[c]``, columns that are numbers.
        number_at: ``int64[c]``, input of each of them.
        indicator_at: ``int64[c]``, input of its indicator, -1 for none.
        values: per number its present values, sorted (or quantiles of them).
        groups: per category its column, its first input and the codes of its inputs.
        width: number of inputs.
    """

    columns: FeatureTable
    numbers: NDArray[np.int64]
    number_at: NDArray[np.int64]
    indicator_at: NDArray[np.int64]
    values: tuple[NDArray[np.float32], ...]
    groups: tuple[tuple[int, int, NDArray[np.int64]], ...]
    width: int

    @staticmethod
    def fit(table: FeatureTable) -> Marginals:
        """Learn from all rows. A column without any value is left out."""
        numbers, number_at, indicator_at, values, groups = [], [], [], [], []
        at = 0
        for column, (cells, texts) in enumerate(zip(table.values.T, table.categories, strict=True)):
            present = cells[~np.isnan(cells)]
            if not len(present):
                continue
            missing = len(present) < len(cells)
            if texts is not None:
                codes, counts = np.unique(present.astype(np.int64), return_counts=True)
                frequent = np.sort(codes[np.argsort(-counts, kind="stable")[:CATEGORIES]])
                groups.append((column, at, np.append(frequent, -1) if missing else frequent))
                at += len(frequent) + missing
                continue
            numbers.append(column)
            number_at.append(at)
            indicator_at.append(at + 1 if missing else -1)
            values.append(_reference(present))
            at += 1 + missing
        layout = FeatureTable(table.names, table.values[:0], table.categories)
        return Marginals(
            layout,
            np.array(numbers, np.int64),
            np.array(number_at, np.int64),
            np.array(indicator_at, np.int64),
            tuple(values),
            tuple(groups),
            at,
        )

    def encode(self, table: FeatureTable) -> NDArray[np.float32]:
        """``float32[n, width]``; a missing number is 0 beside its indicator."""
        inputs = np.zeros((len(table), self.width), np.float32)
        for column, at, indicator, values in zip(
            self.numbers, self.number_at, self.indicator_at, self.values, strict=True
        ):
            cells = table.values[:, column]
            missing = np.isnan(cells)
            inputs[:, at] = np.where(missing, 0, _normal_scores(cells, values))
            if indicator >= 0:
                inputs[:, indicator] = missing
        for column, at, codes in self.groups:
            cells = np.nan_to_num(table.values[:, column], nan=-1)
            inputs[:, at : at + len(codes)] = cells[:, None] == codes
        return inputs

    def loss(self, output: Tensor, log_sd: Tensor, inputs: Tensor) -> Tensor:
        """Negative log-likelihood ``[n]`` a row, averaged over columns.

        Args:
            output: ``[n, width]``: means of numbers, logits of indicators and categories.
            log_sd: ``[c]``, log standard deviation of each number.
            inputs: ``[n, width]`` from :meth:`encode`; never changed.
        """
        total = output.new_zeros(len(output))
        if len(self.numbers):
            at = torch.from_numpy(self.number_at).to(output.device)
            each = ((inputs[:, at] - output[:, at]) * (-log_sd).exp()) ** 2 / 2 + log_sd
            has = torch.from_numpy(self.indicator_at >= 0).to(output.device)
            flag = torch.from_numpy(self.indicator_at.clip(min=0)).to(output.device)
            missing = inputs[:, flag] * has
            total = total + (each * (1 - missing)).sum(1)
            surprise = torch.nn.functional.binary_cross_entropy_with_logits(
                output[:, flag], missing, reduction="none"
            )
            total = total + (surprise * has).sum(1)
        for _, start, codes in self.groups:
            block = slice(start, start + len(codes))
            normal = output[:, block].log_softmax(1)
            total = total - (normal * inputs[:, block]).sum(1)
        return total / max(len(self.numbers) + len(self.groups), 1)

    def sample(
        self, output: NDArray[np.float32], log_sd: NDArray[np.float32], rng: np.random.Generator
    ) -> FeatureTable:
        """Columns drawn from the decoded distributions, ``n`` rows."""
        table = np.full((len(output), len(self.columns.names)), np.nan, np.float32)
        for number, (column, at, indicator, values) in enumerate(
            zip(self.numbers, self.number_at, self.indicator_at, self.values, strict=True)
        ):
            noise = np.exp(log_sd[number]) * rng.standard_normal(len(output))
            table[:, column] = _quantiles(ndtr(output[:, at] + noise), values)
            if indicator >= 0:
                missing = rng.logistic(size=len(output)) < output[:, indicator]
                table[missing, column] = np.nan
        for column, at, codes in self.groups:
            logits = output[:, at : at + len(codes)]
            drawn = codes[np.argmax(logits + rng.gumbel(size=logits.shape), axis=1)]
            table[:, column] = np.where(drawn < 0, np.nan, drawn)
        return FeatureTable(self.columns.names, table, self.columns.categories)


def _reference(present: NDArray[np.float32]) -> NDArray[np.float32]:
    ordered = np.sort(present)
    if len(ordered) <= QUANTILES:
        return ordered
    places = np.linspace(0, len(ordered) - 1, QUANTILES).round().astype(np.int64)
    return ordered[places]


def _normal_scores(cells: NDArray[np.float32], values: NDArray[np.float32]) -> NDArray[np.floating]:
    low, high = (np.searchsorted(values, cells, side) for side in ("left", "right"))
    share = (low + high) / (2 * len(values))
    scores: NDArray[np.floating] = ndtri(np.clip(share, 0.5 / len(values), 1 - 0.5 / len(values)))
    return scores


def _quantiles(share: NDArray[np.floating], values: NDArray[np.float32]) -> NDArray[np.floating]:
    """Values at shares of the reference, between two of them only where few values repeat."""
    if 2 * len(np.unique(values)) < len(values):
        return values[np.minimum((share * len(values)).astype(np.int64), len(values) - 1)]
    quantiles: NDArray[np.floating] = np.interp(
        share * len(values) - 0.5, np.arange(len(values)), values
    )
    return quantiles
