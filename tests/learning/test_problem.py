"""What labels say about a graph: clamped evidence, components, clusters and their scores."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from knowreason.errors import LearningError
from knowreason.factors import Blocks, FactorGraph, GroundFactors
from knowreason.factors.condition import clamp
from knowreason.inference import infer
from knowreason.learning import Problem, bootstrap, learn
from knowreason.learning.cluster_parameters import by_cluster
from knowreason.learning.estimators import exact_likelihood as exact_module
from knowreason.learning.estimators.exact_likelihood import (
    Likelihood,
    cluster_scores,
    exact_likelihood,
)
from knowreason.learning.labelled_components import labelled_components, split
from knowreason.learning.learners import NOT_EXACT
from knowreason.learning.persistent_chains import Chains
from knowreason.learning.problem import EstimatorReport, clamped_evidence
from knowreason.testing.oracle import enumerate_worlds
from tests.known_weights import instances, people, table

BLOCKS = Blocks(
    torch.tensor([0, 3, 5, 7]), torch.tensor([1, 2, 3, 5, 4, 7, 8]).int(),
    torch.tensor([False, True, False]),
)  # fmt: skip


def of_blocks(labels, evidence=None) -> Problem:
    graph = FactorGraph(
        torch.zeros(9),
        torch.zeros(1).double(),
        torch.tensor([-1] * 9 if evidence is None else evidence, dtype=torch.int8),
        (GroundFactors.units(torch.arange(9).int(), 0),),
        BLOCKS,
    )
    return Problem(graph, table([], ["P"], []), np.array(labels, dtype=np.int8))


def test_a_true_state_makes_the_others_of_its_block_false():
    problem = of_blocks([1, -1, 1, -1, -1, -1, 0, -1, 0])
    assert clamped_evidence(problem).tolist() == [1, 0, 1, 0, -1, -1, 0, -1, 0]
    problem = of_blocks([-1, 0, -1, -1, 1, -1, -1, -1, -1])
    assert clamped_evidence(problem).tolist() == [-1, 0, -1, -1, 1, 0, -1, -1, -1]


def test_evidence_and_labels_are_taken_together():
    problem = of_blocks([-1, -1, 0, -1, 0, 0, -1, -1, -1], [-1, -1, -1, 1, -1, -1, 1, -1, -1])
    assert clamped_evidence(problem).tolist() == [-1, 0, 0, 1, 0, 0, 1, -1, -1]
    agreeing = of_blocks([-1, -1, -1, 1, -1, -1, -1, -1, -1], [-1, -1, -1, 1, -1, -1, 1, -1, -1])
    assert clamped_evidence(agreeing).tolist() == [-1, 0, 0, 1, -1, -1, 1, -1, -1]


@pytest.mark.parametrize(
    ("labels", "count", "first"),
    [
        ([-1, 1, 1, -1, -1, -1, -1, -1, -1], 1, "1 to 3"),
        ([-1, 0, 0, 0, 1, 1, -1, -1, -1], 2, "1 to 3"),
        ([-1, -1, -1, -1, 1, 1, -1, 0, 0], 2, "4 to 5"),
        ([-1, -1, -1, -1, -1, -1, -1, 0, 0], 1, "7 to 8"),
    ],
)
def test_impossible_settings_are_counted_and_the_first_is_named(labels, count, first):
    with pytest.raises(LearningError, match=f"labels of {count} functional") as caught:
        clamped_evidence(of_blocks(labels))
    assert caught.value.code == "KR852"
    assert f"atoms {first}" in str(caught.value)


def test_none_of_an_at_most_one_block_is_possible():
    labels = [-1, -1, -1, -1, 0, 0, -1, -1, -1]
    assert clamped_evidence(of_blocks(labels)).tolist() == labels


def test_contradictions_are_counted():
    with pytest.raises(LearningError, match="2 labels contradict") as caught:
        of_blocks([0, -1, -1, -1, -1, -1, 0, -1, -1], [1, 0, -1, -1, -1, -1, 1, -1, -1])
    assert caught.value.code == "KR851"
    assert "first at atom 0" in str(caught.value)
    problem = of_blocks([-1] * 9)
    with pytest.raises(LearningError, match="9 atoms and 1 parameters"):
        replace(problem, parameters=table([], ["P", "Q"], []))


def test_latent_are_learned_parameters_of_latent_rules():
    problem = instances(2, seed=0).hide(0.0, 0)
    assert not problem.latent.any()
    assert problem.latent.shape == (8,)
    marked = replace(problem, latent_rules=np.arange(8) < 2)
    assert marked.latent.tolist() == [True, True] + [False] * 6
    given = replace(problem.parameters, learned=np.arange(8) > 0)
    assert replace(marked, parameters=given).latent.tolist() == [False, True] + [False] * 6


def test_reports_in_words():
    assert str(EstimatorReport("exact", 1, 1200, 3)) == (
        "exact: 1 component (1,200 atoms, 3 parameters)"
    )
    assert str(EstimatorReport("chains", 2500, 4, 1)) == (
        "chains: 2,500 components (4 atoms, 1 parameters)"
    )


def test_only_components_with_labels_are_kept():
    world = instances(5, seed=0)
    labels = np.full(20, -1, dtype=np.int8)
    labels[[1, 3, 8]] = 1, 0, 1  # atom 5 j + i is predicate j of thing i
    evidence = world.graph.evidence.clone()
    evidence[13] = 1  # cuts predicate 3 of thing 3 off
    problem = Problem(world.graph.with_evidence(evidence), world.parameters, labels)
    labelled = labelled_components(problem)
    assert labelled.atoms.tolist() == [1, 3, 6, 8, 11, 16]
    assert labelled.component.tolist() == [0, 1, 0, 1, 0, 0]
    assert labelled.evidence.tolist() == [1, 0, -1, 1, -1, -1]
    assert labelled.count == 2
    assert labelled.clamped.evidence.tolist() == labelled.evidence.tolist()
    assert (labelled.graph.evidence == -1).all()
    second = labelled.keep(labelled.component == 1)
    assert second.atoms.tolist() == [3, 8]
    assert second.component.tolist() == [0, 0]
    assert second.evidence.tolist() == [0, 1]
    none = labelled_components(replace(problem, labels=np.full(20, -1, dtype=np.int8)))
    assert (len(none.atoms), none.count) == (0, 0)


def test_parameters_of_components_are_those_with_a_row():
    world = instances(3, seed=0)
    labels = np.full(12, -1, dtype=np.int8)
    labels[0] = 1
    whole = labelled_components(Problem(world.graph, world.parameters, labels))
    assert whole.parameters().tolist() == [True] * 8
    cut = replace(world.graph, factors=world.graph.factors[1:])  # without a => b
    alone = labelled_components(Problem(cut, world.parameters, labels))
    assert alone.parameters().tolist() == [False] * 3 + [True] + [False] * 3 + [True]


def test_components_are_split_by_what_exact_inference_can_serve():
    problem = people(60, seed=2, sweeps=5).hide(0.0, 0)
    parts = split(labelled_components(problem), width=3)
    assert parts.large is not None
    small = split(labelled_components(instances(4, seed=0).hide(0.0, 0)))
    assert small.large is None
    assert small.tractable.count == 4


def by_enumeration(problem: Problem, theta: np.ndarray) -> tuple[float, np.ndarray]:
    graph = problem.graph.with_theta(torch.from_numpy(theta))
    free = enumerate_worlds(graph)
    given = enumerate_worlds(clamp(graph, torch.from_numpy(problem.labels)))
    return given.log_z - free.log_z, (given.expectations - free.expectations).numpy()


def test_the_likelihood_is_a_difference_of_log_partition_functions():
    problem = instances(3, seed=4).hide(0.4, 1)
    theta = np.linspace(-0.5, 1.0, 8)
    value, gradient = exact_likelihood(labelled_components(problem))(theta)
    expected = by_enumeration(problem, theta)
    assert value == pytest.approx(expected[0])
    np.testing.assert_allclose(gradient, expected[1], atol=1e-9)


@pytest.mark.parametrize("missing", ["log_z", "expectations"])
def test_engines_without_what_a_likelihood_needs_are_refused(missing):
    graph = instances(2, seed=0).graph
    posterior = infer(graph, "exact")

    def lame(theta):
        return replace(posterior, **{missing: None})

    with pytest.raises(LearningError, match="the engine gives no") as caught:
        Likelihood(lame, lame)(np.zeros(8))
    assert caught.value.code == "KR853"
    with pytest.raises(LearningError):
        Likelihood(lambda theta: posterior, lame)(np.zeros(8))


def test_scores_of_clusters_are_their_own_gradients():
    problem = instances(4, seed=1).hide(0.3, 0)
    labelled = labelled_components(problem)
    theta = np.linspace(0.2, 1.0, 8)
    scores = cluster_scores(labelled)(theta)
    assert scores.shape == (labelled.count, 8)
    for component in range(labelled.count):
        alone = labelled.keep(labelled.component == component)
        np.testing.assert_allclose(scores[component], exact_likelihood(alone)(theta)[1], atol=1e-9)
    groups = np.tile([7, 3, 7, 9], 4)
    joined = cluster_scores(labelled, groups)(theta)
    mine = groups[labelled.atoms]
    clusters = {g: np.unique(labelled.component[mine == g]) for g in np.unique(mine)}
    expected = sorted(scores[members].sum(0).tolist() for members in clusters.values())
    np.testing.assert_allclose(sorted(joined.tolist()), expected, atol=1e-9)
    shared = cluster_scores(labelled, most=2)(theta)
    assert shared.shape == (2, 8)
    np.testing.assert_allclose(shared.sum(0), scores.sum(0), atol=1e-9)


def test_a_parameter_vector_for_each_cluster():
    graph = instances(2, seed=0).graph.with_theta(torch.linspace(-1, 1, 8).double())
    hard = GroundFactors.of(torch.tensor([[0, 2]]).int(), (True, True), None)
    graph = replace(graph, factors=(*graph.factors, hard))
    wide = by_cluster(graph, np.tile([1, 0], 4), 2)
    assert wide.theta.tolist() == np.repeat(graph.theta.numpy(), 2).tolist()
    both, alone = enumerate_worlds(wide), enumerate_worlds(graph)
    assert both.log_z == pytest.approx(alone.log_z)
    totals = both.expectations.reshape(8, 2)
    torch.testing.assert_close(totals.sum(1), alone.expectations)
    second = instances(2, seed=0).graph  # thing 1 belongs to cluster 0: it has no hard row
    second = enumerate_worlds(second.with_theta(graph.theta).with_evidence(
        torch.tensor([0, -1] * 4, dtype=torch.int8)))  # fmt: skip
    np.testing.assert_allclose(
        totals[:3, 0], second.expectations[:3] - 1.0, atol=1e-9
    )  # a clause of the false thing 0 holds


def test_chains_go_on_from_where_they_are_with_a_seed_of_each_step():
    seen = []

    def sampler(theta, worlds, sweeps, seed):
        seen.append((theta.tolist(), worlds, sweeps, seed))
        return np.full((1, 1), len(seen), dtype=np.int8)

    one = Chains(sampler, 5)
    first = one.advance(np.array([0.5]), 3)
    second = one.advance(np.array([0.7]), 4)
    assert (first.item(), second.item(), one.worlds.item(), one.steps) == (1, 2, 2, 2)
    assert seen[0][:3] == ([0.5], None, 3)
    assert seen[1][0] == [0.7]
    assert seen[1][1] is first
    assert seen[0][3] != seen[1][3]
    Chains(sampler, 5).advance(np.array([0.5]), 3)
    Chains(sampler, 6).advance(np.array([0.5]), 3)
    assert seen[2][3] == seen[0][3] != seen[3][3]


def test_nothing_is_estimated_without_labels_or_without_weights_to_learn():
    problem = instances(2, seed=0).hide(1.0, 0)
    fit = learn(problem)
    assert fit.notes == ("no labels: every weight is at its prior mean",)
    labelled = instances(2, seed=0).hide(0.0, 0)
    given = replace(labelled.parameters, learned=np.zeros(8, dtype=bool))
    fit = learn(replace(labelled, parameters=given))
    assert fit.notes == ("every weight is given",)
    assert set(fit.status) == {"given"}
    assert not fit.standard_errors.any()


def test_clusters_that_no_estimator_used_are_said():
    problem = instances(20, seed=0).hide(0.0, 0)
    clusters = np.tile(np.arange(20) // 2, 4)
    by_pseudo = learn(replace(problem, clusters=clusters), "pseudo_likelihood")
    assert NOT_EXACT in by_pseudo.notes
    assert NOT_EXACT not in learn(problem, "pseudo_likelihood").notes
    exact = learn(replace(problem, clusters=clusters))
    assert exact.clusters == 10
    assert exact.design_effect >= 1
    assert any("10 clusters, design effect" in note for note in exact.notes)
    assert NOT_EXACT not in exact.notes


def test_a_fit_by_way_of_a_sample_is_the_fit(monkeypatch):
    problem = instances(400, seed=2).hide(0.2, 0)
    whole = learn(problem, "likelihood", tolerance=1e-6)
    monkeypatch.setattr(exact_module, "SAMPLE_FROM", 300)
    monkeypatch.setattr(exact_module, "SAMPLE_SHARE", 0.4)
    again = learn(problem, "likelihood", tolerance=1e-6)
    np.testing.assert_allclose(again.theta, whole.theta, atol=1e-4)
    np.testing.assert_allclose(again.standard_errors, whole.standard_errors, rtol=1e-3)
    assert again.objective == pytest.approx(whole.objective, abs=1e-5)
    assert again.converged
    assert [(r.estimator, r.components) for r in again.estimators] == [
        (r.estimator, r.components) for r in whole.estimators
    ]


def test_intervals_are_percentiles_and_few_clusters_are_said():
    problem = instances(40, seed=1).hide(0.0, 0)
    fit = learn(problem)
    found = bootstrap(problem, fit, replicates=51, level=0.8, seed=3)
    np.testing.assert_allclose(found.lower, np.quantile(found.theta, 0.1, axis=0))
    np.testing.assert_allclose(found.upper, np.quantile(found.theta, 0.9, axis=0))
    assert (found.level, found.clusters, found.notes) == (0.8, 40, ())
    assert found.theta.shape == (51, 8)
    assert not (found.theta == bootstrap(problem, fit, replicates=51, seed=4).theta).all()
    groups = np.tile(np.arange(40) % 19, 4)
    few = bootstrap(problem, fit, groups=groups, replicates=5)
    assert few.notes == ("only 19 clusters: intervals are rough",)
    enough = bootstrap(problem, fit, groups=np.tile(np.arange(40) % 20, 4), replicates=5)
    assert enough.notes == ()


def test_replicates_are_one_newton_step_from_the_fit():
    problem = instances(60, seed=1).hide(0.0, 0)
    fit = learn(problem, "likelihood", tolerance=1e-8)
    found = bootstrap(problem, fit, replicates=4, seed=3)
    scores = cluster_scores(labelled_components(problem))(fit.theta)
    weight = np.random.default_rng([3, 7]).multinomial(60, np.full(60, 1 / 60), size=4)
    scale = np.append(np.ones(7), fit.theta[7])  # the last is learned by its logarithm
    bread = fit.covariance / np.outer(scale, scale)
    held = np.array([status.startswith("at its bound") for status in fit.status])
    bread[held] = bread[:, held] = 0
    step = (weight - 1) @ scores * scale @ bread
    expected = fit.theta + step
    expected[:, 7] = fit.theta[7] * np.exp(step[:, 7])
    expected[:, :3] = np.maximum(expected[:, :3], 0.0)
    np.testing.assert_allclose(found.theta, expected, atol=1e-9)
