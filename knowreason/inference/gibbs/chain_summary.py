"""What several chains say together: marginals, split R-hat, effective sample size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from knowreason.inference.gibbs.chain_kernels import Tally

LIMIT = 700.0


@dataclass(frozen=True)
class ChainSummary:
    """Chains taken together, by atom.

    Attributes:
        log_odds: ``float64[n]`` of the mean conditional probability.
        r_hat: ``float64[n]`` split R-hat of the conditional probabilities; 1 where they
            never vary, infinite where chains are stuck apart.
        sample_size: ``float64[n]`` effective, by batch means.
        error: ``float64[n]`` Monte-Carlo standard error of the probability, by batch means.
        between: ``float64[n]`` the same from the differences between chains.
        truth: ``float64[f]`` mean potential of every row.
        moved: ``bool[n]`` whether any chain ever changed the atom.
    """

    log_odds: NDArray[np.float64]
    r_hat: NDArray[np.float64]
    sample_size: NDArray[np.float64]
    error: NDArray[np.float64]
    between: NDArray[np.float64]
    truth: NDArray[np.float64]
    moved: NDArray[np.bool_]


def summarise(tallies: list[Tally], kept: int) -> ChainSummary:
    """Summary of chains that kept so many sweeps each.

    Source: Gelman et al. 2013, Bayesian Data Analysis, sections 11.4 and 11.5; batch means.
    """
    batch = np.stack([tally.chance for tally in tallies])  # [chains, batches, n]
    total = batch.sum((0, 1))
    refuse = np.sum([tally.refuse for tally in tallies], axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):  # NaN where nothing was recorded
        log_odds = np.clip(np.log(total) - np.log(refuse), -LIMIT, LIMIT)
    square = np.stack([tally.square for tally in tallies])
    within, between = _variances(batch, square, kept)
    half = kept / 2
    ratio = np.divide(between, within, out=np.full_like(within, np.inf), where=within > 0)
    r_hat = np.where(between > 1e-12, np.sqrt((half - 1) / half + ratio), 1.0)
    return ChainSummary(
        log_odds,
        r_hat,
        _sample_size(batch, within, kept),
        *_errors(batch, kept),
        np.mean([tally.truth for tally in tallies], axis=0) / kept,
        np.any([tally.moved for tally in tallies], axis=0),
    )


def _variances(
    batch: NDArray[np.float64], square: NDArray[np.float64], kept: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean variance within half chains, and variance of their means (``float64[n]`` each)."""
    chains, batches, n = batch.shape
    half = kept / 2
    means = batch.reshape(chains, 2, batches // 2, n).sum(2) / half
    within = np.maximum(square / half - means**2, 0) * half / (half - 1)
    return within.mean((0, 1)), means.reshape(2 * chains, n).var(0, ddof=1)


def _sample_size(
    batch: NDArray[np.float64], within: NDArray[np.float64], kept: int
) -> NDArray[np.float64]:
    chains, batches, n = batch.shape
    length = kept / batches
    means = batch.reshape(chains * batches, n) / length
    spread = length * means.var(0, ddof=1)
    draws = float(chains * kept)
    size = np.divide(draws * within, spread, out=np.full(n, draws), where=spread > 1e-12)
    bounded: NDArray[np.float64] = np.minimum(size, draws)
    return bounded


def _errors(
    batch: NDArray[np.float64], kept: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Standard errors of the mean, from all batches and from whole chains."""
    chains, batches, n = batch.shape
    means = batch.reshape(chains * batches, n) * (batches / kept)
    whole = batch.sum(1) / kept
    between = np.zeros(n) if chains == 1 else np.sqrt(whole.var(0, ddof=1) / chains)
    return np.sqrt(means.var(0, ddof=1) / (chains * batches)), between
