"""Belief propagation and sampling beside each other: what is confirmed is true."""

from dataclasses import replace

import pytest
import torch

from knowreason.factors import FactorGraph, GroundFactors
from knowreason.inference import infer
from knowreason.inference.checked import checked
from knowreason.inference.posterior import QUALITIES
from knowreason.testing.oracle import enumerate_worlds
from tests.strategies import random_graph

AGREE = torch.tensor([1.0, 0.0, 0.0, 1.0])


def clique(atoms: int, weight: float, lean: float) -> FactorGraph:
    """Atoms that all want to agree: two modes at a strong weight."""
    rows = torch.tensor([(i, j) for i in range(atoms) for j in range(i)]).int()
    return FactorGraph(
        torch.full((atoms,), lean),
        torch.tensor([weight], dtype=torch.float64),
        torch.full((atoms,), -1, dtype=torch.int8),
        (GroundFactors.of(rows, AGREE, 0),),
    )


@pytest.mark.parametrize("seed", range(10))
def test_what_is_confirmed_is_true(seed):
    graph = random_graph(seed, 11, hard=seed % 3, blocks=seed % 2, counts=seed % 4, scale=1.5)
    truth = enumerate_worlds(graph)
    found = checked(graph, updates=20_000_000, seed=seed)
    confirmed = found.quality == QUALITIES.index("confirmed")
    confirmed &= ~graph.auxiliary
    assert ((found.probabilities - truth.marginals).abs()[confirmed] <= 0.01).all()
    assert (found.expectations - truth.expectations).abs().max() < 0.15
    assert found.log_z_kind == "estimate"


def test_two_modes_are_found_or_nothing_is_confirmed():
    """Belief propagation ends in one mode of two; replicas see both."""
    graph = clique(14, 1.0, 0.03)
    truth = enumerate_worlds(graph)
    found = checked(graph, updates=100_000_000, states=4)
    apart = (infer(graph, "bp").probabilities - truth.marginals).abs().max()
    error = (found.probabilities - truth.marginals).abs().max()
    assert apart > 0.3
    assert error < 0.1
    (report,) = found.reports
    assert report.engine == "gibbs"
    assert error < (0.01 if report.quality == "confirmed" else report.error)


def test_without_sweeps_the_two_differ_and_say_so():
    graph = clique(14, 1.0, 0.03)
    report = checked(graph, updates=0).reports[0]
    assert report.quality == "unconfirmed"
    assert report.checked.startswith("bp and sampling differ by up to 0.")
    assert report.error > 0


def test_components_are_judged_one_by_one():
    """A component of weak couplings beside one of strong ones."""
    weak = torch.tensor([(i, (i + 1) % 5) for i in range(5)]).int()
    strong = torch.tensor([(5 + i, 5 + j) for i in range(20) for j in range(i)]).int()
    mixed = torch.randperm(len(strong), generator=torch.Generator().manual_seed(1))
    half = len(strong) // 2
    graph = FactorGraph(
        torch.zeros(25),
        torch.tensor([0.3, 3.0], dtype=torch.float64),
        torch.full((25,), -1, dtype=torch.int8),
        (
            GroundFactors.of(weak, AGREE, 0),
            GroundFactors.of(strong[mixed[:half]], AGREE, 1),
            GroundFactors.of(strong[mixed[half:]], 1 - AGREE, 1),
        ),
    )
    found = checked(graph, updates=100_000_000, states=4)
    assert found.quality[:5].tolist() == [1] * 5
    assert found.quality[5:].tolist() == [2] * 20
    assert {r.quality: (r.components, r.atoms) for r in found.reports} == {
        "confirmed": (1, 5),
        "unconfirmed": (1, 20),
    }


def test_threads_change_nothing():
    graph = random_graph(4, 12, factors=20, blocks=1, hard=1)
    one, two = (checked(graph, updates=3_000_000, threads=t, seed=5) for t in (1, 2))
    assert torch.equal(one.log_odds, two.log_odds)
    assert torch.equal(one.spread, two.spread)
    other = checked(graph, updates=3_000_000, seed=6)
    assert not torch.equal(one.log_odds, other.log_odds)


def test_auto_takes_it_where_exact_cannot_go():
    graph = replace(clique(6, 0.3, 0.1))
    found = infer(graph, width=2, states=4, updates=20_000_000)
    assert found.quality.tolist() == [1] * 6
    assert found.spread is not None
    assert (found.probabilities - enumerate_worlds(graph).marginals).abs().max() < 0.01
