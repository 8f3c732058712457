"""Summaries of chains against the definitions, from every single draw."""

import numpy as np
import pytest

from knowreason.inference.gibbs.chain_kernels import Tally
from knowreason.inference.gibbs.chain_summary import ChainSummary, summarise

BATCHES = 4


def tallies(chance: np.ndarray, moved=None, truth=None) -> list[Tally]:
    """What chains record that saw these conditional probabilities, ``[chains, kept, n]``."""
    chains, kept, n = chance.shape
    moved = np.zeros((chains, n), bool) if moved is None else np.array(moved)
    truth = np.zeros((chains, 1)) if truth is None else np.array(truth)
    return [
        Tally(
            chance[c].reshape(BATCHES, kept // BATCHES, n).sum(1),
            (1 - chance[c]).sum(0),
            (chance[c] ** 2).reshape(2, kept // 2, n).sum(1),
            truth[c],
            moved[c],
            np.zeros(n, np.int8),
        )
        for c in range(chains)
    ]


def summary(chance: np.ndarray, **options) -> ChainSummary:
    return summarise(tallies(chance, **options), chance.shape[1])


def draws(seed: int = 0, chains: int = 3, kept: int = 24, n: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0.05, 0.95, (chains, kept, n))


@pytest.mark.parametrize("seed", range(3))
def test_log_odds_are_those_of_the_mean(seed):
    chance = draws(seed)
    mean = chance.mean((0, 1))
    np.testing.assert_allclose(summary(chance).log_odds, np.log(mean / (1 - mean)))


def test_log_odds_end_at_700():
    chance = np.stack([np.zeros((2, 8)), np.ones((2, 8)), np.full((2, 8), 0.5)], -1)
    assert summary(chance).log_odds.tolist() == [-700.0, 700.0, 0.0]


@pytest.mark.parametrize("seed", range(3))
def test_split_r_hat(seed):
    chance = draws(seed)
    chance[0] *= 0.7  # one chain elsewhere
    halves = np.concatenate([chance[:, :12], chance[:, 12:]])
    within = halves.var(1, ddof=1).mean(0)
    between = 12 * halves.mean(1).var(0, ddof=1)
    total = 11 / 12 * within + between / 12
    np.testing.assert_allclose(summary(chance).r_hat, np.sqrt(total / within))


def test_r_hat_of_chains_that_never_vary():
    still = np.full((2, 8, 1), 0.25)
    apart = still.copy()
    apart[1] = 0.75
    drifting = still.copy()
    drifting[:, 4:] = 0.5  # the second half of each chain is elsewhere
    found = summary(np.concatenate([still, apart, drifting], -1))
    assert found.r_hat.tolist() == [1.0, np.inf, np.inf]


@pytest.mark.parametrize("seed", range(3))
def test_sample_size_by_batch_means(seed):
    chains, kept = 3, 400
    noise = np.random.default_rng(seed).normal(0, 1, (chains, kept, 4))
    for t in range(1, kept):  # each draw hangs on the one before
        noise[:, t] = 0.8 * noise[:, t - 1] + 0.6 * noise[:, t]
    chance = 1 / (1 + np.exp(-noise))
    means = chance.reshape(chains * BATCHES, kept // BATCHES, 4).mean(1)
    halves = np.concatenate([chance[:, : kept // 2], chance[:, kept // 2 :]])
    within = halves.var(1, ddof=1).mean(0)
    size = chains * kept * within / (kept // BATCHES * means.var(0, ddof=1))
    found = summary(chance).sample_size
    np.testing.assert_allclose(found, np.minimum(size, chains * kept))
    assert (found < chains * kept).any()


def test_sample_size_is_at_most_the_number_of_draws():
    alternating = np.tile([0.2, 0.8], 12).reshape(1, 24, 1).repeat(2, 0)
    still = np.full((2, 24, 1), 0.3)
    found = summary(np.concatenate([alternating, still], -1))
    assert found.sample_size.tolist() == [48.0, 48.0]


def test_truth_is_a_mean_and_any_chain_may_move():
    moved = [[False, True, False], [False, False, True]]
    found = summary(draws(chains=2, n=3), moved=moved, truth=[[24.0, 6.0], [24.0, 12.0]])
    assert found.truth.tolist() == [1.0, 0.375]
    assert found.moved.tolist() == [False, True, True]
