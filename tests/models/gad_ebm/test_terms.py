"""Named energies against formulas written by hand on small graphs."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import multivariate_normal, rankdata

from knowreason.models.energy.ego_subgraphs import Egos, symmetric_adjacency
from knowreason.models.energy.energy_scaling import NormalScores, PrincipalParts, Standard
from knowreason.models.energy.energy_terms import (
    Degree,
    Difference,
    Edge,
    InputMaps,
    Inputs,
    Triangles,
)

NOTHING = Inputs(np.zeros((31, 0)), np.zeros((31, 0)))


@pytest.fixture(scope="module")
def world():
    random = np.random.default_rng(0)
    x = random.normal(size=(60, 3)).astype(np.float32)
    x[:, 2] += x[:, 0]
    edges = random.integers(0, 59, (2, 150))  # the last node has no neighbour
    egos = Egos.of(symmetric_adjacency(edges, 60))
    return egos, InputMaps.fit(x, 3)(x)


def test_normal_scores_keep_order_and_share_ties():
    x = np.array([[3.0], [1.0], [1e6], [1.0]])
    scores = NormalScores.fit(x)(x)[:, 0]
    assert scores[1] == scores[3] < scores[0] < scores[2]
    assert scores.mean() == pytest.approx(0, abs=1e-6)
    assert scores.std() == pytest.approx(1, abs=1e-5)
    assert NormalScores.fit(x)(np.array([[-9.0]]))[0, 0] == scores[1]
    assert not NormalScores.fit(np.ones((4, 1)))(np.ones((2, 1))).any()


def test_difference(world):
    egos, inputs = world
    energy = Difference.fit(egos, inputs).energy(egos, inputs)
    for node, row in enumerate(egos.neighbours.toarray()):
        around = np.vstack([inputs.plain[row > 0], np.zeros(3)])  # and one that is average
        gap = inputs.plain[node] - around.mean(axis=0)
        assert energy[node] == pytest.approx(gap @ gap / (1 + 1 / len(around)), rel=1e-4)


def test_columns_of_one_unit_keep_their_spread():
    random = np.random.default_rng(0)
    alike = random.normal(size=(500, 3)) * [1, 5, 0]
    np.testing.assert_allclose(
        InputMaps.fit(alike, 2)(alike).plain, alike - alike.mean(axis=0), atol=1e-5
    )
    unlike = random.normal(size=(500, 4)) * [1, 1000, 1, 0]
    spread = InputMaps.fit(unlike, 2)(unlike).plain.std(axis=0)
    np.testing.assert_allclose(spread, [1, 1, 1, 0], atol=1e-4)


def test_edge(world):
    egos, inputs = world
    term = Edge.fit(egos, inputs)
    energy = term.energy(egos, inputs)
    precision = term.whitening @ term.whitening.T
    for node in (0, 5, 17):
        around = np.flatnonzero(egos.neighbours.toarray()[node])
        left = inputs.parts[around] - inputs.parts[node] @ term.mapping
        by_hand = 0.5 * np.mean([row @ precision @ row for row in left])
        assert energy[node] == pytest.approx(by_hand, rel=1e-4)
    assert np.isnan(energy[59])
    rows, columns = egos.neighbours.nonzero()
    fitted = np.linalg.lstsq(inputs.parts[rows], inputs.parts[columns], rcond=None)[0]
    np.testing.assert_allclose(term.mapping, fitted, atol=0.01)
    left = inputs.parts[columns] - inputs.parts[rows] @ term.mapping
    np.testing.assert_allclose(np.linalg.inv(precision), left.T @ left / len(left), atol=0.02)


def test_degree():
    star = symmetric_adjacency(np.array([[0] * 30, range(1, 31)]), 31)
    egos, inputs = Egos.of(star), NOTHING
    energy = Degree.fit(egos, inputs).energy(egos, inputs)
    assert energy[0] > energy[1] + 1
    assert np.ptp(energy[1:]) == 0


def test_triangles_are_strange_in_either_tail():
    counts = np.array([0] + [3] * 6 + [5] * 2 + [40])
    egos = SimpleNamespace(triangles=counts)
    term = Triangles.fit(egos, NOTHING)
    energy = term.energy(egos, NOTHING)
    expected = -np.log([0.2, *[1] * 6, *[0.6] * 2, 0.2])
    np.testing.assert_allclose(energy, expected, atol=1e-9)
    further = Triangles.fit(egos, NOTHING).energy(
        SimpleNamespace(triangles=np.array([81])), NOTHING
    )
    assert further[0] == pytest.approx(-np.log(0.2) + np.log(2))


def test_gaussian_of_few_components_and_the_rest():
    random = np.random.default_rng(0)
    x = random.normal(size=(4000, 6)) * [5, 3, 1, 1, 1, 1]
    parts = PrincipalParts.fit(x, 2)
    full = multivariate_normal(np.zeros(6), np.diag([25, 9, 1, 1, 1, 1.0]))
    gaps = parts.energy(x[:50]) + full.logpdf(x[:50])
    assert np.ptp(gaps) < 0.5


def test_standard_is_the_surprise_among_the_training_nodes():
    random = np.random.default_rng(0)
    energies = random.gamma(2, size=2000)
    standard = Standard.fit(energies)
    surprise = standard(energies)
    expected = -np.log1p(-(rankdata(energies) - 0.5) / 2000) - 1
    np.testing.assert_allclose(surprise, expected, atol=0.03)
    assert surprise.mean() == pytest.approx(0, abs=0.01)
    beyond = standard(np.array([energies.max() + 1, energies.max() + 2, np.nan]))
    assert surprise.max() < beyond[0] < beyond[1]
    assert beyond[2] == 0
    assert Standard.fit(np.full(5, 3.0))(np.array([1.0, 3.0])).tolist() == [0, 0]
