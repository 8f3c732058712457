"""Filtered ranks against a loop over candidates."""

import numpy as np
import pytest

from knowreason.errors import KnowreasonError
from knowreason.metrics import ranking
from knowreason.metrics.ranking import link_ranks


def brute_force(arguments, scores, known, asked, position):
    found = []
    for atom in asked:
        wanted = [a for p, a in enumerate(arguments[atom]) if p != position]
        better = level = count = 0
        for other, row in enumerate(arguments):
            if other == atom or known[other]:
                continue
            if [a for p, a in enumerate(row) if p != position] == wanted:
                better += scores[other] > scores[atom]
                level += scores[other] == scores[atom]
                count += 1
        found.append((1 + better, 1 + better + level, 1 + count))
    return np.array(found).T


@pytest.mark.parametrize("chunk", [1 << 22, 40])
@pytest.mark.parametrize("share", [1.0, 0.6])
def test_ranks_are_those_of_a_loop(monkeypatch, chunk, share):
    monkeypatch.setattr(ranking, "CHUNK", chunk)
    random = np.random.default_rng(3)
    grid = np.stack(np.meshgrid(range(7), range(3), range(7), indexing="ij"), -1).reshape(-1, 3)
    arguments = random.permutation(grid)[: int(share * len(grid))].astype(np.int32)
    scores = random.integers(0, 6, len(arguments)).astype(np.float32)  # many ties
    known = random.random(len(arguments)) < 0.3
    asked = np.flatnonzero(known)[:20]
    found = link_ranks(arguments, scores, known, asked, (0, 2))
    wanted = np.concatenate([brute_force(arguments, scores, known, asked, p) for p in (0, 2)], 1)
    np.testing.assert_array_equal(found.optimistic, wanted[0])
    np.testing.assert_array_equal(found.pessimistic, wanted[1])
    np.testing.assert_array_equal(found.candidates, wanted[2])
    np.testing.assert_allclose(found.realistic, wanted[:2].mean(0))
    assert found.mean_reciprocal_rank == pytest.approx(np.mean(1 / wanted[:2].mean(0)))
    assert found.hits(3) == pytest.approx(np.mean(wanted[:2].mean(0) <= 3))
    assert found.mean_rank == pytest.approx(wanted[:2].mean())
    assert len(found.of(slice(0, 20)).optimistic) == 20


def test_a_constant_score_gains_nothing():
    arguments = np.stack(np.divmod(np.arange(100), 10), 1).astype(np.int32)
    known = np.zeros(100, bool)
    found = link_ranks(arguments, np.zeros(100), known, np.array([5]), (1,))
    assert (found.optimistic, found.realistic, found.pessimistic) == (1, 5.5, 10)


def test_scores_that_are_no_numbers_are_refused():
    with pytest.raises(KnowreasonError) as caught:
        link_ranks(np.zeros((1, 2), np.int32), np.array([np.nan]), np.ones(1, bool), [0], (0,))
    assert caught.value.code == "KR882"
