"""Every estimator on rules whose tables follow from the weights: `~>` and `<~>`."""

from dataclasses import replace
from textwrap import dedent

import numpy as np
import pytest
import torch
from scipy.special import expit

from knowreason.data import Dataset
from knowreason.errors import LearningError
from knowreason.factors import OPEN
from knowreason.grounding import ground
from knowreason.inference.gibbs.gibbs import prepare_gibbs
from knowreason.lang import loads, parse_facts
from knowreason.learning import learn
from knowreason.learning.bootstrapping import bootstrap
from knowreason.learning.estimators.estimators import EstimationTask, bethe, chains, composite
from knowreason.learning.estimators.estimators import pseudo_likelihood as by_pseudo_likelihood
from knowreason.learning.labelled_components import labelled_components
from knowreason.learning.priors import Coordinates
from knowreason.learning.problem import Problem

HUBS, EACH = 30, 6
TRUTH = {"rare": -1.5, "through": 2.5, "sized": 1.0, "stays": 1.5}
TEXT = """
domain H
domain E
observed On(H, E)
observed Next(H, H)
attribute size(E): float
latent C(H)
query F(E)
rule seldom [-1] : C(h)
rule rare    [? -1] : F(e)
rule through [? 2 >= 0] : On(h, e) & C(h) ~> F(e)
rule sized   [? * size(e)] : C(h) & On(h, e) ~> F(e)
rule stays   [? 1] : Next(h, g) & (C(h) <~> C(g))
"""


def world(unit=1.0, shown=1.0):
    """Heads of hubs in chains of three, drawn at the true weights; a share of them labelled."""
    draw = np.random.default_rng(4)
    facts = [f'Next("h{h}", "h{h + 1}")' for h in range(HUBS - 1) if h % 3 < 2]
    facts += [
        f'On("h{e // EACH}", "e{e}") size("e{e}") = {draw.normal() * unit}'
        for e in range(HUBS * EACH)
    ]
    program = loads(TEXT)
    grounding = ground(program, Dataset.from_facts(program, parse_facts(program, " ".join(facts))))
    theta = grounding.graph.theta.clone()
    for name, value in TRUTH.items():
        theta[grounding.parameters.index(name)] = value / (unit if name == "sized" else 1.0)
    # the tables of the graph must be those of the true weights, not of the start
    sampler = prepare_gibbs(grounding.at(theta))
    drawn = sampler.sample(theta, None, sweeps=300, seed=2, chains=1).numpy()[0]
    span = grounding.span("F")
    labels = np.full(grounding.graph.atom_count, OPEN, np.int8)
    labels[span.start : span.stop] = drawn[span.start : span.stop]
    hidden = np.random.default_rng(5).random(len(labels)) > shown
    labels[hidden] = OPEN
    graph, curve = grounding.curved()
    return Problem(graph, grounding.parameters, labels, curve=curve)


@pytest.fixture(scope="module")
def problem():
    return world(shown=0.8)


@pytest.fixture(scope="module")
def exact(problem):
    return learn(problem, "likelihood", tolerance=1e-5)


def learned(problem, result):
    best = max(result.solutions, key=lambda solution: solution.goodness)
    return Coordinates.of(problem.parameters, problem.curve).parameters(best.eta)


def test_the_truth_is_found(problem, exact):
    assert exact.converged
    for name, value in TRUTH.items():
        index = problem.parameters.index(name)
        assert exact.theta[index] == pytest.approx(value, abs=3 * exact.standard_errors[index])


def test_chains_end_where_the_likelihood_does(problem, exact):
    task = EstimationTask(problem, labelled_components(problem), seed=1)
    free = problem.parameters.learned
    gap = np.abs(learned(problem, chains(task)) - exact.theta)[free]
    assert (gap / exact.standard_errors[free]).max() < 0.5


def test_belief_propagation_is_exact_on_trees(problem, exact):
    task = EstimationTask(problem, labelled_components(problem), seed=1)
    free = problem.parameters.learned
    gap = np.abs(learned(problem, bethe(task)) - exact.theta)[free]
    assert (gap / exact.standard_errors[free]).max() < 0.05


@pytest.mark.parametrize("estimator", [composite, by_pseudo_likelihood])
def test_stand_ins_end_near(problem, exact, estimator):
    task = EstimationTask(problem, labelled_components(problem), seed=1)
    free = problem.parameters.learned
    gap = np.abs(learned(problem, estimator(task)) - exact.theta)[free]
    assert (gap / exact.standard_errors[free]).max() < 1.5


def test_the_unit_of_a_feature_does_not_matter(exact):
    far = world(unit=1e5, shown=0.8)
    table = far.parameters
    sized = table.index("sized")
    fit = learn(far, "likelihood", tolerance=1e-5)
    scale = np.ones(len(table))
    scale[sized] = 1e5
    assert fit.theta * scale == pytest.approx(exact.theta, abs=1e-3)
    assert fit.standard_errors * scale == pytest.approx(exact.standard_errors, abs=1e-3)


def test_replicates_and_design_effects(problem, exact):
    labelled = labelled_components(problem)
    clusters = np.arange(problem.graph.atom_count)
    clusters[labelled.atoms] = labelled.component // 2
    fit = learn(replace(problem, clusters=clusters), "likelihood")
    assert fit.clusters == 5
    assert fit.design_effect >= 1
    replicates = bootstrap(problem, exact, replicates=100)
    assert replicates.theta.shape == (100, len(problem.parameters))
    index = problem.parameters.index("through")
    spread = replicates.theta[:, index].std() / exact.standard_errors[index]
    assert 0.3 < spread < 2


def test_parameters_that_only_tables_hold_are_served():
    program = loads(TEXT.replace("~> F(e)", "~> any F(e)", 1))
    facts = parse_facts(program, 'On("h0", "e0") On("h0", "e1") size("e0") = 1 size("e1") = 1')
    grounding = ground(program, Dataset.from_facts(program, facts))
    labels = np.full(grounding.graph.atom_count, OPEN, np.int8)
    labels[grounding.atom_index("F", "e0")] = 1
    graph, curve = grounding.curved()
    problem = Problem(graph, grounding.parameters, labels, curve=curve)
    (report,) = learn(problem, "likelihood").estimators
    assert report.parameters == 3


def test_knowgraph_refuses(problem):
    with pytest.raises(LearningError, match="KR857"):
        learn(problem, "knowgraph")


def test_equal_pairs_and_heads_share_cells():
    program = loads(
        dedent("""
        domain H = { "a", "b", "c" }
        domain E = { "u", "v", "w" }
        observed On(H, E)
        latent C(H)
        query F(E)
        rule seldom [-1] : C(h)
        rule through [?] : On(h, e) & C(h) ~> F(e)
        """)
    )
    on = " ".join(f'On("{h}", "{e}")' for e in "uvw" for h in "abc")
    grounding = ground(program, Dataset.from_facts(program, parse_facts(program, on)))
    graph, curve = grounding.curved()
    theta = np.append(grounding.graph.theta.numpy(), [])
    theta[grounding.parameters.index("bias F")] = -0.5
    theta[grounding.parameters.index("through")] = 2.0
    cells, slopes = curve(theta)
    assert slopes.shape == (3, len(theta))  # one, two or three of the hubs
    normaliser = np.log(1 - expit(-0.5 + 2 * np.arange(4)))
    assert sorted(cells) == pytest.approx(sorted(normaliser[1:] - normaliser[0]))
    assert graph.parameter_count == len(theta) + 3
    assert torch.isfinite(graph.theta).all()
