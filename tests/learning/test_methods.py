"""Which estimator serves what, which options a method has, and what is refused."""

from dataclasses import fields, replace

import numpy as np
import pytest

from knowreason import codes
from knowreason.errors import LearningError
from knowreason.learning import Problem, learn
from knowreason.learning.estimators import estimators
from knowreason.learning.estimators.estimators import (
    FARTHEST,
    EstimationTask,
    _why_not,
    bethe,
    farthest,
)
from knowreason.learning.estimators.sampled_worlds import SamplingSchedule
from knowreason.learning.fit import Solution
from knowreason.learning.labelled_components import labelled_components, split
from knowreason.learning.learners import LEARNERS, learner_options
from knowreason.learning.priors import Coordinates
from tests.known_weights import hubs, instances, people, torus
from tests.learning.test_sampled import _side_by_side

QUICK = {"sweeps": 2, "warm_up": 5, "rounds": 9, "max_rounds": 9, "free_draws": 10}


def served(fit):
    return [(r.estimator, r.components, r.atoms, r.parameters) for r in fit.estimators]


def split_world(size):
    """Half of all people smoke and fall ill, the others do neither; they know each other well."""
    world = people(200, seed=1, degree=12, sweeps=1)
    truth = np.tile(np.arange(200) < 100, 2).astype(np.int8)
    return replace(world, world=truth).hide(size, 1)


@pytest.mark.parametrize("method", ["variational_em", "likelihood"])
def test_exact_serves_small_components(method):
    fit = learn(instances(30, seed=0).hide(0.3, 0), method)
    unlabelled = 30 - (fit.estimators[0].components)
    assert served(fit) == [("exact", 30 - unlabelled, 4 * (30 - unlabelled), 8)]
    assert 0 <= unlabelled < 5


def test_a_method_is_what_it_is_called():
    problem = instances(30, seed=0).hide(0.0, 0)
    assert served(learn(problem, "pseudo_likelihood")) == [("pseudo_likelihood", 30, 120, 8)]
    for name in LEARNERS:
        assert "estimator" not in learner_options(name, {})
        with pytest.raises(LearningError, match="no option `estimator`"):
            learn(problem, name, estimator="auto")


def test_two_estimators_share_a_problem():
    problem, _ = _side_by_side(instances(40, seed=2), people(60, seed=2, sweeps=5))
    large = split(labelled_components(problem), width=12).large
    fit = learn(problem, posterior="pseudo_likelihood", **QUICK)
    exact, pseudo = fit.estimators
    assert (exact.estimator, pseudo.estimator) == ("exact", "pseudo_likelihood")
    assert pseudo.atoms == len(large.atoms)
    assert exact.components + pseudo.components == labelled_components(problem).count
    assert pseudo.parameters == 5
    assert exact.parameters >= 8


@pytest.mark.parametrize("name", ["gcn", "gibbs", "bp", "pseudo_likelihood", "composite"])
def test_an_estimator_that_is_asked_for_serves(name):
    problem = people(60, seed=0, sweeps=50).hide(0.2, 0)
    fit = learn(problem, posterior=name)
    assert [r.estimator for r in fit.estimators] == ["exact", name]
    truth = learn(problem)
    assert np.abs((fit.theta - truth.theta) / truth.standard_errors).max() < 1.5


def test_auto_takes_chains_from_where_belief_propagation_ends(monkeypatch):
    monkeypatch.setattr(estimators, "NEAR", 0.0)  # the GCN posterior steps aside
    fit = learn(people(60, seed=0, sweeps=50).hide(0.2, 0))
    assert fit.estimators[-1].estimator == "gibbs"
    assert any("belief propagation served" in note for note in fit.notes)
    complete = learn(people(60, seed=0, sweeps=50).hide(0.0, 0))
    assert complete.estimators[-1].estimator == "pseudo_likelihood"


def test_a_solution_far_from_its_priors_is_refused():
    """Belief propagation would give `bias Smokes` -140 +- little, where its prior is N(0, 2)."""
    problem = split_world(0.7)
    task = EstimationTask(problem, labelled_components(problem))
    refused = bethe(task)
    assert refused.solutions == ()
    assert "KR859" in refused.notes[0]
    assert "`bias Smokes`" in refused.notes[0]
    assert "KR859" in codes.catalogue()
    fit = learn(problem, posterior="bp")
    assert fit.estimators[-1].estimator == "composite"
    assert any("KR859" in note for note in fit.notes)
    table, coordinates = problem.parameters, Coordinates.of(problem.parameters)
    gap = np.abs(coordinates.eta(fit.theta) - table.prior_mean) / table.prior_sd
    assert gap.max() < FARTHEST


@pytest.mark.parametrize(
    ("coupling", "seed", "why"), [(0.5, 0, "no optimum"), (0.7, 3, "prior standard deviations")]
)
def test_belief_propagation_steps_aside_at_strong_couplings(coupling, seed, why, monkeypatch):
    """400 people with four friends each, 120 labels: messages jump between fixed points."""
    monkeypatch.setattr(estimators, "NEAR", 0.0)  # the GCN posterior steps aside
    world = torus(20, 20, seed=seed, coupling=coupling, sweeps=60)
    problem = world.hide(0.7, seed)
    task = EstimationTask(problem, labelled_components(problem))
    refused = bethe(task)
    assert refused.solutions == ()
    assert why in refused.notes[0]
    fit = learn(problem)
    assert fit.estimators[-1].estimator == "composite"
    assert refused.notes[0] in fit.notes
    assert np.abs((fit.theta - world.truth) / fit.standard_errors).max() < 3
    drawn = learn(problem, "pseudo_likelihood")
    apart = np.hypot(fit.standard_errors, drawn.standard_errors)
    assert np.abs((fit.theta - drawn.theta) / apart).max() < 1.5


def test_labels_are_never_more_than_certain():
    problem = people(60, seed=0, sweeps=50).hide(0.2, 0)
    task = EstimationTask(problem, labelled_components(problem))
    solution = bethe(task).solutions[0]
    assert _why_not(task, lambda theta: (-3.0, theta), solution) == ""
    assert "more than certain" in _why_not(task, lambda theta: (0.1, theta), solution)
    assert "no optimum" in _why_not(
        task, lambda theta: (-3.0, theta), replace(solution, converged=False)
    )


def test_distance_is_that_of_the_prior_or_of_the_base_rate():
    problem = people(30, seed=0, sweeps=5).hide(0.0, 0)
    labels = np.where(np.arange(60) < 30, 0, problem.labels)
    problem = replace(problem, labels=labels.astype(np.int8))
    assert problem.parameters.names[2] == "bias Smokes"
    base_rate = np.log(0.5 / 30.5)
    at_priors = problem.parameters.prior_mean.copy()

    def away(index, by):
        eta = at_priors.copy()
        eta[index] += by
        nothing = np.zeros(5)
        return farthest(problem, Solution(eta, 0, 0, nothing, np.eye(5), 1, True))

    assert away(0, 0)[1] == 0
    assert away(0, -6.0) == ("harm", pytest.approx(4.0))
    assert away(2, base_rate)[1] == pytest.approx(0)
    assert away(2, base_rate - 1.0) == ("bias Smokes", pytest.approx(0.5))
    assert away(2, 1.0) == ("bias Smokes", pytest.approx(0.5))
    assert away(4, 2.0) == ("scale sensor", pytest.approx(4.0))
    assert away(1, np.nan) == ("peers", np.inf)


def test_unlikely_local_optima_are_dropped(monkeypatch):
    problem = hubs(300, seed=0).hide(0.2, 0)
    mean = problem.parameters.prior_mean
    near = Solution(mean, -5.0, -5.0, mean * 0, np.eye(6), 1, True)
    far = replace(near, eta=mean + 50 * np.eye(6)[0], objective=-6.0)
    monkeypatch.setattr(
        "knowreason.learning.estimators.estimators.bethe_solutions", lambda *_, **__: [far, near]
    )
    task = EstimationTask(problem, labelled_components(problem))
    assert bethe(task).solutions == (near,)
    monkeypatch.setattr(
        "knowreason.learning.estimators.estimators.bethe_solutions",
        lambda *_, **__: [replace(far, objective=-4.0), near],
    )
    assert bethe(task).solutions == ()


def test_options_are_those_of_the_method():
    assert learner_options("likelihood", {"tolerance": 1}) == {"tolerance": 1}
    found = learner_options("pseudo_likelihood", {"sweeps": 4, "noise": 1})
    assert found == {"sampling": SamplingSchedule(sweeps=4, noise=1)}
    given = SamplingSchedule(rounds=7)
    found = learner_options("pseudo_likelihood", {"sampling": given, "sweeps": 4})
    assert found == {"sampling": replace(given, sweeps=4)}
    everything = {field.name: getattr(given, field.name) for field in fields(given)}
    assert learner_options("variational_em", everything) == {"sampling": given}


@pytest.mark.parametrize(
    ("method", "options", "message", "help"),
    [
        ("likelihood", {"sweeps": 3}, "no option `sweeps`", "one of tolerance, max_iterations"),
        ("pseudo_likelihood", {"posterior": "exact"}, "no option `posterior`", "sweeps"),
        ("variational_em", {"tolerence": 1e-3}, "no option `tolerence`", "`tolerance`"),
        ("knowgraph", {"tolerance": 1e-3}, "no option `tolerance`", "epochs"),
        ("variational_em", {"sweeps": "many"}, "`sweeps` is 'many'; it is a whole number", ""),
        ("variational_em", {"sweeps": 1.5}, "whole number", ""),
        ("variational_em", {"tolerance": True}, "`tolerance` is True; it is a number", ""),
        ("variational_em", {"posterior": 3}, "text", ""),
        ("variational_em", {"estimator": "gibbs"}, "no option `estimator`", "posterior"),
        ("variational_em", {"posterior": "exact", "sweeps": 3}, "no effect", "pseudo_likelihood"),
        ("variational_em", {"posterior": "gibbs", "noise": 0.5}, "`noise` has no effect", "auto"),
        ("variational_em", {"posterior": "gibbs", "eta": 0.1}, "`eta` has no effect", "gcn"),
    ],
)
def test_wrong_options_are_refused_by_name(method, options, message, help):
    with pytest.raises(LearningError, match=message) as caught:
        learn(instances(5, seed=0).hide(0.0, 0), method, **options)
    assert caught.value.code == "KR858"
    assert help in (caught.value.diagnostics[0].help or "")


def test_a_learner_of_ones_own_gets_what_it_takes():
    def own(problem, *, seed, progress, depth: int = 2, **rest):
        return (seed, depth, rest)

    LEARNERS.register("own")(own)
    problem = instances(5, seed=0).hide(0.0, 0)
    assert learn(problem, "own", seed=4, depth=3, extra="x") == (4, 3, {"extra": "x"})
    with pytest.raises(LearningError, match="`depth`"):
        learn(problem, "own", depth="deep")


def test_labels_of_what_is_known_anyway():
    """Every labelled atom is decided by the evidence: nothing is left to learn from."""
    world = instances(3, seed=0)
    evidence = world.graph.evidence.clone()
    evidence[:3] = 1
    labels = np.full(12, -1, np.int8)
    labels[:3] = 1
    problem = Problem(world.graph.with_evidence(evidence), world.parameters, labels)
    for method in ("variational_em", "likelihood", "pseudo_likelihood"):
        fit = learn(problem, method)
        assert fit.estimators == ()
        assert fit.theta[:3].tolist() == [2.0] * 3
        assert set(fit.status) == {"the data said nothing"}
        np.testing.assert_allclose(fit.standard_errors[:3], 1.5, rtol=1e-3)
