"""The composite likelihood against enumeration, its two limits, and exact fits of loopy graphs."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from knowreason.learning import learn
from knowreason.learning.estimators.composite import block_copies
from knowreason.learning.estimators.estimators import ESTIMATORS, EstimationTask
from knowreason.learning.estimators.exact_likelihood import exact_likelihood
from knowreason.learning.estimators.pseudo_likelihood import pseudo_likelihood
from knowreason.learning.estimators.site_blocks import site_blocks, site_rows
from knowreason.learning.fit import summarise
from knowreason.learning.labelled_components import labelled_components, with_labels
from knowreason.learning.sites import wire
from knowreason.testing.oracle import enumerate_worlds
from tests.known_weights import hubs, people, torus
from tests.strategies import random_graph


def random_labelled(seed, hidden, **kinds):
    """Components of a random graph with labels of one of its worlds."""
    graph = random_graph(seed, atoms=8, **kinds)
    rng = np.random.default_rng(seed)
    everything = enumerate_worlds(graph)
    world = everything.worlds[int(rng.integers(len(everything.worlds)))].numpy()
    secret = rng.random(graph.atom_count) < hidden
    if graph.auxiliary is not None:
        secret |= graph.auxiliary.numpy()
    return with_labels(graph, np.where(secret, -1, world).astype(np.int8))


def fitted(problem, name):
    task = EstimationTask(problem, labelled_components(problem))
    return summarise(problem, list(ESTIMATORS[name](task).solutions))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10**6),
    hard=st.integers(0, 1),
    blocks=st.integers(0, 2),
    counts=st.integers(0, 2),
    hidden=st.sampled_from([0.0, 0.4]),
)
def test_each_block_is_exact_given_the_labels_around_it(seed, hard, blocks, counts, hidden):
    labelled = random_labelled(seed, hidden, hard=hard, blocks=blocks, counts=counts)
    if not len(labelled.atoms):
        return
    sites = site_rows(labelled)
    block = site_blocks(sites, 2.0)[sites.site]
    copies = block_copies(labelled, block_bits=2.0, most_bits=99.0)

    def log_z(evidence):
        known = torch.from_numpy(evidence.astype(np.int8))
        return enumerate_worlds(labelled.graph.with_evidence(known)).log_z

    asked = np.unique(block[labelled.evidence >= 0])
    everything = log_z(labelled.evidence)
    expected = sum(
        everything - log_z(np.where(block == one, -1, labelled.evidence)) for one in asked
    )
    found = exact_likelihood(copies.labelled)(labelled.graph.theta.numpy())[0]
    assert found == pytest.approx(expected, abs=1e-6)
    cut = block_copies(labelled, block_bits=2.0, most_bits=2.0)  # hidden atoms left out
    assert np.isfinite(exact_likelihood(cut.labelled)(labelled.graph.theta.numpy())[0])


@pytest.mark.parametrize("seed", range(4))
def test_blocks_of_one_site_are_the_pseudo_likelihood(seed):
    labelled = random_labelled(seed, 0.0, hard=1, blocks=1)
    theta = labelled.graph.theta.numpy()
    copies = block_copies(labelled, block_bits=0.0)
    value, gradient = exact_likelihood(copies.labelled)(theta)
    term = pseudo_likelihood(wire(labelled.graph), labelled.evidence[None, :])
    assert value == pytest.approx(term(theta)[0], abs=1e-6)
    assert gradient == pytest.approx(term(theta)[1], abs=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_one_block_is_the_likelihood(seed):
    labelled = random_labelled(seed, 0.4, hard=1, blocks=1, counts=1)
    theta = labelled.graph.theta.numpy()
    value, gradient = exact_likelihood(labelled)(theta)
    copies = block_copies(labelled, block_bits=99.0, most_bits=99.0)
    found = exact_likelihood(copies.labelled)(theta)
    assert found[0] == pytest.approx(value, abs=1e-6)
    assert found[1] == pytest.approx(gradient, abs=1e-6)


def test_blocks_are_no_larger_than_asked_and_copies_neither():
    labelled = labelled_components(people(300, seed=0, sweeps=5).hide(0.5, 0))
    sites = site_rows(labelled)
    group = site_blocks(sites, 6.0)
    size = np.bincount(group, sites.bits)
    assert size.max() <= 6
    assert np.median(size) >= 4
    copies = block_copies(labelled, block_bits=6.0, most_bits=9.0).labelled
    assert np.bincount(copies.component).max() <= 9
    asked = copies.evidence >= 0
    assert asked.sum() == (labelled.evidence >= 0).sum()
    assert sorted(labelled.evidence[labelled.evidence >= 0]) == sorted(copies.evidence[asked])


def test_hubs_of_many_atoms_do_not_leave_blocks_of_one():
    labelled = labelled_components(hubs(600, seed=0).hide(0.0, 0))
    sites = site_rows(labelled)
    size = np.bincount(site_blocks(sites, 8.0), sites.bits)
    assert size.max() <= 8
    assert size.mean() > 3


def test_strong_couplings_are_nearer_to_the_exact_fit_than_by_pseudo_likelihood(monkeypatch):
    """Ising models near their critical coupling, half of the atoms hidden; moments unmatched."""
    monkeypatch.setattr(
        "knowreason.learning.estimators.estimators._matched", lambda _, solution: solution
    )
    gaps = {"composite": [], "pseudo_likelihood": []}
    z = []
    for seed in range(8):
        world = torus(5, 8, seed=seed, coupling=0.8)
        problem = world.hide(0.5, seed)
        exact = fitted(problem, "exact")
        for name, gap in gaps.items():
            fit = fitted(problem, name)
            gap.append((fit.theta - exact.theta) / exact.standard_errors)
            if name == "composite":
                z.append((fit.theta - world.truth) / fit.standard_errors)
    size = {name: np.median(np.abs(gap)) for name, gap in gaps.items()}
    assert size["composite"] < 0.6 * size["pseudo_likelihood"]
    assert 0.4 < np.sqrt(np.mean(np.square(z))) < 1.5


def test_a_fit_by_blocks():
    problem = people(200, seed=0, sweeps=100).hide(0.3, 0)
    fit, other = learn(problem, "composite"), learn(problem, posterior="composite")
    assert fit.converged
    assert [r.estimator for r in fit.estimators] == ["composite"]
    assert [r.estimator for r in other.estimators] == ["exact", "composite"]
    assert "composite likelihood of" in " ".join(fit.notes)
    again = learn(problem, "composite")
    np.testing.assert_array_equal(fit.theta, again.theta)
    np.testing.assert_array_equal(fit.standard_errors, again.standard_errors)
    drawn = learn(problem)
    assert np.abs((fit.theta - drawn.theta) / drawn.standard_errors).max() < 1.5
    everything = replace(problem, labels=np.full_like(problem.labels, -1))
    assert "no labels" in learn(everything, "composite").notes[0]
