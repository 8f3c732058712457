"""The exact likelihood: gradients, recovery, priors, bounds, given weights, determinism."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from knowreason.errors import InferenceError, LearningError, UnknownNameError
from knowreason.factors import GroundFactors, ParameterTable
from knowreason.factors.condition import condition
from knowreason.learning import Problem, learn, weight_lines
from knowreason.learning.estimators.exact_likelihood import cluster_scores, exact_likelihood
from knowreason.learning.fit import Solution, summarise
from knowreason.learning.labelled_components import labelled_components
from knowreason.learning.objective import Objective
from knowreason.learning.priors import Coordinates, start_values
from knowreason.testing.oracle import enumerate_worlds
from tests.known_weights import instances
from tests.strategies import random_graph


def flat_table(p, **changes):
    """Learned parameters with a N(0, 2) prior."""
    table = ParameterTable(
        names=tuple(f"w{i}" for i in range(p)),
        kinds=("rule",) * p,
        start=np.zeros(p),
        prior_mean=np.zeros(p),
        prior_sd=np.full(p, 2.0),
        lower=np.full(p, -np.inf),
        upper=np.full(p, np.inf),
        learned=np.ones(p, bool),
        log_normal=np.zeros(p, bool),
        owner=np.arange(p),
    )
    return replace(table, **changes)


def random_problem(seed, **options):
    graph = random_graph(seed, atoms=7, parameters=4, **options)
    everything = enumerate_worlds(graph)
    rng = np.random.default_rng(seed)
    world = everything.worlds[rng.integers(len(everything.worlds))].numpy()
    labels = np.where(rng.random(len(world)) < 0.5, world, -1)
    labels[graph.auxiliary.numpy()] = -1
    return Problem(graph, flat_table(4), labels.astype(np.int8))


@settings(max_examples=30)
@given(
    seed=st.integers(0, 10**6),
    hard=st.integers(0, 2),
    blocks=st.integers(0, 2),
    counts=st.integers(0, 2),
    evidence=st.sampled_from([0.0, 0.3]),
)
def test_value_and_gradient(seed, hard, blocks, counts, evidence):
    problem = random_problem(seed, hard=hard, blocks=blocks, counts=counts, evidence=evidence)
    assume((problem.labels >= 0).any())
    labelled = labelled_components(problem)
    assume(len(labelled.atoms))
    term = exact_likelihood(labelled)
    theta = problem.graph.theta.numpy()
    value, gradient = term(theta)
    evidence = np.where(problem.labels >= 0, problem.labels, problem.graph.evidence.numpy())
    clamped = problem.graph.with_evidence(torch.tensor(evidence, dtype=torch.int8))
    expected = enumerate_worlds(clamped).log_z - enumerate_worlds(problem.graph).log_z
    assert value == pytest.approx(expected, abs=1e-6)
    for index in range(4):
        step = np.zeros(4)
        step[index] = 1e-5
        slope = (term(theta + step)[0] - term(theta - step)[0]) / 2e-5
        assert gradient[index] == pytest.approx(slope, abs=1e-6)
    assert cluster_scores(labelled)(theta).sum(0) == pytest.approx(gradient, abs=1e-8)


def test_gradient_in_free_coordinates():
    world = instances(200, seed=3)
    problem = world.hide(0.4, 3)
    objective = Objective(
        Coordinates.of(problem.parameters), (exact_likelihood(labelled_components(problem)),)
    )
    eta = objective.coordinates.eta(world.truth * 1.2)
    gradient = objective(eta)[1]
    for index in range(len(eta)):
        step = np.zeros(len(eta))
        step[index] = 1e-4
        slope = (objective(eta + step)[0] - objective(eta - step)[0]) / 2e-4
        assert gradient[index] == pytest.approx(slope, rel=1e-6, abs=1e-5)


@pytest.mark.parametrize("method", ["likelihood", "variational_em"])
@pytest.mark.parametrize("hidden", [0.0, 0.5])
def test_recovers_weights(method, hidden):
    z = []
    for seed in range(4):
        world = instances(3000, seed=seed)
        fit = learn(world.hide(hidden, seed), method, seed=seed)
        assert fit.converged
        assert set(fit.status) == {"learned"}
        z.append((fit.theta - world.truth) / fit.standard_errors)
    assert np.abs(z).max() < 4
    assert 0.6 < np.std(z) < 1.4


def test_standard_errors_are_the_curvature():
    problem = instances(500, seed=1).hide(0.3, 1)
    fit = learn(problem, "likelihood")
    term = exact_likelihood(labelled_components(problem))
    coordinates = Coordinates.of(problem.parameters)
    eta = coordinates.eta(fit.theta)
    moved = eta.copy()
    moved[0] += 1e-3
    objective = Objective(coordinates, (term,))
    curvature = (objective(eta)[1][0] - objective(moved)[1][0]) / 1e-3
    inverse = np.linalg.inv(
        fit.covariance / np.outer(coordinates.slope(eta), coordinates.slope(eta))
    )
    assert inverse[0, 0] == pytest.approx(curvature, rel=1e-2)
    assert fit.standard_errors == pytest.approx(np.sqrt(np.diag(fit.covariance)))


def test_given_weights_stay():
    world = instances(500, seed=2)
    learned = np.arange(8) != 1
    table = replace(world.parameters, learned=learned, start=np.array([2, 0.7] + [0] * 5 + [1.0]))
    fit = learn(replace(world.hide(0, 2), parameters=table))
    assert fit.theta[1] == 0.7
    assert fit.status[1] == "given"
    assert fit.standard_errors[1] == 0
    assert "given" in weight_lines(fit)[1]


def test_bounds_are_kept_and_said():
    world = instances(1000, seed=4)
    table = replace(world.parameters, lower=np.array([0, 3.0, 0] + [-np.inf] * 4 + [0]))
    table = replace(table, start=np.maximum(table.start, [0, 3, 0, -9, -9, -9, -9, 0]))
    fit = learn(replace(world.hide(0, 4), parameters=table))
    assert fit.theta[1] == 3.0
    assert fit.status[1] == "at its bound: not supported by the data"
    assert 0 < fit.standard_errors[1] < 0.2
    assert fit.converged


def test_without_labels_the_prior_stays():
    world = instances(50, seed=0)
    problem = replace(world.hide(0, 0), labels=np.full(200, -1, np.int8))
    for method in ("variational_em", "likelihood", "pseudo_likelihood"):
        fit = learn(problem, method)
        assert fit.theta.tolist() == world.parameters.start.tolist()
        assert set(fit.status) == {"set by the prior"}
        assert fit.standard_errors[:3].tolist() == [1.5] * 3


@pytest.mark.parametrize("method", ["variational_em", "pseudo_likelihood"])
def test_a_weight_the_data_say_nothing_about(method):
    world = instances(300, seed=5)
    graph = world.graph
    unused = replace(graph, theta=torch.zeros(9, dtype=torch.float64))
    extra = flat_table(1, names=("unused",), prior_mean=np.array([2.0]), start=np.array([2.0]))
    table = ParameterTable(
        *(
            (*getattr(world.parameters, name), *getattr(extra, name))
            if name in ("names", "kinds")
            else np.append(getattr(world.parameters, name), getattr(extra, name))
            for name in ParameterTable.__dataclass_fields__
        )
    )
    fit = learn(Problem(unused, table, world.world), method)
    assert fit.status[-1] == "the data said nothing"
    assert fit.theta[-1] == pytest.approx(2.0, abs=1e-4)
    assert fit.standard_errors[-1] == pytest.approx(2.0, rel=1e-3)
    assert "the data said nothing" in weight_lines(fit)[-1]


def test_same_seed_same_fit():
    problem = instances(300, seed=6).hide(0.5, 6)
    one, other = learn(problem, seed=1), learn(problem, seed=1)
    assert one.theta.tolist() == other.theta.tolist()
    assert one.standard_errors.tolist() == other.standard_errors.tolist()


def test_biases_start_at_the_base_rate():
    world = instances(400, seed=7)
    start = start_values(world.hide(0, 7))
    rate = world.world.reshape(4, 400).mean(1)
    assert start[3:7] == pytest.approx(np.log(rate / (1 - rate)), abs=0.02)
    assert start[:3].tolist() == [2, 2, 2]


def test_latent_rules_are_fitted_from_three_starts():
    world = instances(300, seed=8)
    problem = world.hide(0, 8)
    labels = problem.labels.copy()
    labels[:300] = -1
    latent = np.arange(8) == 0
    fit = learn(replace(problem, labels=labels, latent_rules=latent))
    assert any("3 starts" in note for note in fit.notes)
    assert fit.spread.shape == (8,)


def test_labels_must_fit():
    world = instances(10, seed=0)
    with pytest.raises(LearningError, match="40 atoms") as caught:
        Problem(world.graph, world.parameters, np.zeros(3, np.int8))
    assert caught.value.code == "KR850"
    with pytest.raises(LearningError, match="-1"):
        Problem(world.graph, world.parameters, np.full(40, 2, np.int8))
    evidence = world.graph.evidence.clone()
    evidence[5] = 1
    with pytest.raises(LearningError, match="atom 5") as caught:
        Problem(world.graph.with_evidence(evidence), world.parameters, np.zeros(40, np.int8))
    assert caught.value.code == "KR851"
    with pytest.raises(UnknownNameError, match="variational_em"):
        learn(world.hide(0, 0), "variational")


def test_impossible_functional_labels():
    graph = random_graph(1, atoms=6, blocks=2)
    members = graph.blocks.atoms[: graph.blocks.offsets[1]].long()
    labels = np.full(graph.atom_count, -1, np.int8)
    labels[members[:2]] = 1
    with pytest.raises(LearningError, match="functional") as caught:
        learn(Problem(graph, flat_table(4), labels))
    assert caught.value.code == "KR852"


def test_evidence_is_folded_before_components():
    problem = random_problem(11, evidence=0.5)
    labelled = labelled_components(problem)
    assert (condition(problem.graph).evidence.numpy()[labelled.atoms] == -1).all()


def test_labels_that_break_a_hard_rule():
    hard = GroundFactors.of(torch.tensor([[0, 1]], dtype=torch.int32), (False, True), None)
    world = instances(1, seed=0)
    problem = Problem(
        replace(world.graph, factors=(hard,)), world.parameters, np.array([1, 0, -1, -1], np.int8)
    )
    with pytest.raises(InferenceError) as caught:
        learn(problem)
    assert caught.value.code.startswith("KR7")


def test_optima_that_are_as_likely_widen_the_errors():
    problem = instances(50, seed=0).hide(0, 0)
    eta, nothing = np.zeros(8), np.zeros(8)
    one = Solution(eta, -10.0, -10.0, nothing, 4 * np.eye(8), 1, True)
    far = replace(one, eta=eta + np.eye(8)[0], objective=-10.1)
    unlikely = replace(far, objective=-40.0)
    assert summarise(problem, [one, unlikely]).converged
    assert summarise(problem, [one, unlikely]).standard_errors[0] == pytest.approx(0.5, abs=1e-3)
    fit = summarise(problem, [one, far])
    assert not fit.converged
    assert fit.standard_errors[0] > 0.8
    (finding,) = fit.findings
    assert finding.code == "KR835"
    assert f"`{problem.parameters.names[0]}`" in finding.message
