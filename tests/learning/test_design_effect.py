"""Labels that depend on each other: what they are worth, and what is learned from them."""

from dataclasses import replace

import numpy as np
import pytest

from knowreason.learning import bootstrap, learn
from knowreason.learning.design_effect import _whitening, clustered, design_effect
from knowreason.learning.estimators import exact_likelihood as likelihood
from knowreason.learning.learners import NOT_EXACT
from tests.known_weights import instances, people

FLAT = np.zeros(3)


def test_scores_of_independent_labels_have_the_variance_of_the_curvature():
    rng = np.random.default_rng(0)
    information = np.array([[4000.0, 800.0], [800.0, 1000.0]])
    scores = rng.multivariate_normal([0, 0], information / 1000, size=1000)
    assert design_effect(scores, information, FLAT[:2]) == pytest.approx(1.0, abs=0.1)


def test_equal_scores_within_clusters_count_once():
    each = np.random.default_rng(1).standard_normal((500, 3))
    assert design_effect(8 * each, 8 * 500 * np.eye(3), FLAT) == pytest.approx(8, rel=0.1)


def test_directions_that_nothing_is_told_about_do_not_count():
    scores = np.random.default_rng(2).standard_normal((400, 3)) * [3.0, 3.0, 0.0]
    information = np.diag([400.0, 400.0, 1e-12])
    assert design_effect(scores, information, FLAT) == pytest.approx(9.0, rel=0.2)
    assert design_effect(scores, information, FLAT + 1) == pytest.approx(9.0, rel=0.2)
    assert design_effect(scores * 0, information * 0, FLAT) == 1.0
    assert design_effect(scores[:1], information, FLAT) == 1.0


def test_a_cluster_does_not_vouch_for_itself():
    """One of 41 clusters holds half of the curvature: the fit has followed it."""
    rng = np.random.default_rng(3)
    size = np.array([40.0] + [1.0] * 40)
    found = []
    for _ in range(200):
        own = rng.normal(size=41) * 2  # what each cluster's labels say, apart by 2
        mean = (size * own).sum() / size.sum()
        scores = (size * (own - mean))[:, None]
        of_clusters = size[:, None, None]
        pair = (None, of_clusters)
        found.append([design_effect(scores, size.sum() * np.eye(1), FLAT[:1], c) for c in pair])
    variance = 4 * np.square(size).sum() / size.sum()  # of the estimate, times the curvature
    plain, jackknife = np.mean(found, axis=0)
    assert plain < 0.6 * variance
    assert jackknife == pytest.approx(variance, rel=0.35)


def test_clusters_join_what_shares_a_component_or_a_group():
    component = np.array([0, 0, 1, 2, 3, 3])
    group = np.array([7, 8, 8, 9, 5, 9])
    assert clustered(component, group).tolist() == [0, 0, 0, 1, 1, 1]


def test_independent_labels_are_learned_from_as_before():
    problem = instances(2000, seed=0).hide(0.3, 0)
    plain = learn(problem)
    fit = learn(replace(problem, clusters=np.arange(problem.graph.atom_count)))
    assert fit.design_effect == pytest.approx(1.0, abs=0.15)
    assert fit.theta == pytest.approx(plain.theta, abs=0.15)
    assert fit.clusters > 1500


def _thinned(problem, count, copies):
    """Of ``count`` instances every ``copies`` have what is known of the first of them."""
    first = np.arange(count) // copies * copies
    labels = problem.labels.reshape(4, count)[:, first].reshape(-1)
    *others, sensor = problem.graph.factors
    seen = replace(sensor, value=sensor.value.reshape(4, count)[:, first].reshape(-1))
    graph = replace(problem.graph, factors=(*others, seen))
    return replace(problem, graph=graph, labels=labels, clusters=np.tile(first, 4))


def test_copies_of_labels_teach_no_more_than_the_labels():
    """1,600 labelled instances that are 200 and seven copies of each."""
    count, copies = 1600, 8
    problem = _thinned(instances(count, seed=4).hide(0.0, 4), count, copies)
    sure = learn(replace(problem, clusters=None))
    fit = learn(problem)
    kept = np.where(np.tile(np.arange(count) % copies == 0, 4), problem.labels, -1)
    once = learn(replace(problem, labels=kept.astype(np.int8), clusters=None))
    assert fit.clusters == count // copies
    assert fit.design_effect == pytest.approx(copies, rel=0.35)
    assert fit.theta == pytest.approx(once.theta, abs=0.5 * once.standard_errors.max())
    assert fit.standard_errors == pytest.approx(once.standard_errors, rel=0.3)
    assert (sure.standard_errors < 0.7 * once.standard_errors).any()


def test_clusters_that_share_a_row_tell_the_same(monkeypatch):
    problem = _thinned(instances(3200, seed=6).hide(0.0, 6), 3200, 8)
    plain = learn(problem)
    monkeypatch.setattr(likelihood, "MOST_SCORES", 8 * 8 * 150)
    fit = learn(problem)
    assert fit.clusters == 150
    assert fit.design_effect == pytest.approx(plain.design_effect, rel=0.25)


def test_the_bootstrap_resamples_clusters():
    count = 1600
    problem = _thinned(instances(count, seed=5).hide(0.0, 5), count, 8)
    fit = learn(problem)
    found = bootstrap(problem, fit, replicates=400, seed=0)
    assert found.clusters == count // 8
    assert np.median(found.theta.std(0) / fit.standard_errors) == pytest.approx(1.0, abs=0.35)


def test_where_inference_is_not_exact_labels_count_as_independent_and_it_is_said():
    problem = people(120, seed=0).hide(0.0, 0)
    fit = learn(replace(problem, clusters=np.zeros(problem.graph.atom_count, np.int64)))
    assert fit.notes[-1] == NOT_EXACT
    assert fit.design_effect == 1.0


def test_whitening_turns_any_curvature_into_the_identity():
    rng = np.random.default_rng(4)
    scale = np.array([1e-3, 1.0, 50.0, 0.0])
    root = rng.standard_normal((4, 4)) * scale[:, None]
    white = _whitening(root @ root.T)
    assert white.shape == (4, 3)  # nothing is known of the last
    np.testing.assert_allclose(white.T @ root @ root.T @ white, np.eye(3), atol=1e-9)


def test_what_all_clusters_say_alike_is_no_variance():
    scores = np.random.default_rng(5).standard_normal((300, 3)) * 4
    information = 300 * np.eye(3)
    effect = design_effect(scores, information, FLAT)
    assert effect == pytest.approx(16, rel=0.2)
    assert design_effect(scores + np.array([5.0, -2.0, 9.0]), information, FLAT) == pytest.approx(
        effect
    )
    with np.errstate(all="raise"):
        assert design_effect(scores[:1], information, FLAT) == 1.0
