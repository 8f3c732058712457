"""log Z of many components and its gradient, equal components once, against enumeration."""

import multiprocessing
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from knowreason.factors import FactorGraph, GroundFactors
from knowreason.factors.components.connected import components
from knowreason.factors.components.shapes import Shapes
from knowreason.factors.condition import condition
from knowreason.inference.exact.exact import prepare
from knowreason.learning.estimators.log_partition import LogPartition
from knowreason.testing.oracle import enumerate_worlds
from tests.strategies import random_graph

COPIES = 6


def twins(seed: int, **options) -> FactorGraph:
    """A random graph twice, side by side: every component has an equal one."""
    graph = random_graph(seed, 5, parameters=3, **options)
    n = graph.atom_count
    shift = np.arange(n, dtype=np.int32) + n
    blocks = graph.blocks
    factors = []
    for part in graph.factors:
        factors += [part, part.renumbered(shift)]
    return replace(
        graph,
        log_odds=graph.log_odds.repeat(2),
        evidence=graph.evidence.repeat(2),
        factors=tuple(factors),
        blocks=type(blocks)(
            torch.cat([blocks.offsets, blocks.offsets[1:] + blocks.offsets[-1]]),
            torch.cat([blocks.atoms, blocks.atoms + n]),
            blocks.at_most_one.repeat(2),
        ),
        auxiliary=None if graph.auxiliary is None else graph.auxiliary.repeat(2),
    )


@settings(max_examples=30)
@given(
    seed=st.integers(0, 10**6),
    hard=st.integers(0, 2),
    blocks=st.integers(0, 1),
    counts=st.integers(0, 1),
    evidence=st.sampled_from([0.0, 0.3]),
)
def test_value_and_gradient_are_those_of_all_worlds(seed, hard, blocks, counts, evidence):
    graph = twins(seed, hard=hard, blocks=blocks, counts=counts, evidence=evidence)
    term = LogPartition.of(graph)
    half = components(condition(graph))[1] // 2
    assert term.prepared.component_count <= half
    assert term.copies.sum() == 2 * half
    theta = graph.theta.numpy() + 0.3
    truth = enumerate_worlds(graph.with_theta(torch.from_numpy(theta)))
    value, gradient = term(theta)
    assert value == pytest.approx(truth.log_z, abs=1e-6)
    np.testing.assert_allclose(gradient, truth.expectations, atol=1e-6)


def pairs(**changes) -> FactorGraph:
    """Six pairs of atoms, alike but for what is changed in the fourth."""
    first = torch.arange(COPIES).int() * 2
    fourth = torch.arange(COPIES) == 3
    log_odds = torch.full((2 * COPIES,), 0.5)
    log_odds[7] = changes.get("log_odds", 0.5)
    rule = torch.where(fourth, changes.get("rule", 0), 0).int()
    unit = torch.where(fourth, changes.get("unit", 1), 1).int()
    value = torch.where(fourth, changes.get("value", 2.0), 2.0).double()
    feature = torch.where(fourth, changes.get("feature", 3.0), 3.0).double()
    ends = torch.where(fourth, changes.get("end", 0), 0).int()
    return FactorGraph(
        log_odds=log_odds,
        theta=torch.tensor([0.4, -0.7, 0.2], dtype=torch.float64),
        evidence=torch.full((2 * COPIES,), -1, dtype=torch.int8),
        factors=(
            GroundFactors.of(torch.stack([first, first + 1], 1), (False, True), rule, value),
            GroundFactors.units(first + ends, unit, feature),
        ),
    )


@pytest.mark.parametrize(
    "change",
    [
        {"log_odds": 0.6},
        {"rule": 2},
        {"unit": 2},
        {"value": 2.5},
        {"feature": -3.0},
        {"end": 1},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_differs_anywhere_is_not_merged(change):
    graph = pairs(**change)
    distribution = Shapes(graph, *components(graph)).distributions()
    assert len(np.unique(distribution)) == 2
    assert np.bincount(distribution)[distribution[3]] == 1
    term = LogPartition.of(graph)
    assert sorted(term.copies) == [1, COPIES - 1]
    truth = prepare(graph)()
    value, gradient = term(graph.theta.numpy())
    assert value == pytest.approx(truth.log_z)
    np.testing.assert_allclose(gradient, truth.expectations, atol=1e-12)


def test_equal_components_are_one_and_zero_has_no_sign():
    assert LogPartition.of(pairs()).copies.tolist() == [COPIES]
    assert LogPartition.of(pairs(end=0, feature=3.0)).copies.tolist() == [COPIES]
    graph = pairs()
    zeros = torch.zeros(2 * COPIES)
    zeros[7] = -0.0
    assert LogPartition.of(replace(graph, log_odds=zeros)).copies.tolist() == [COPIES]


def test_the_gradient_is_that_of_finite_differences():
    term, step = LogPartition.of(pairs(rule=2, value=0.3)), 1e-6
    theta = np.array([0.1, 0.8, -1.2])
    gradient = term(theta)[1]
    for index in range(3):
        ahead, behind = theta.copy(), theta.copy()
        ahead[index] += step
        behind[index] -= step
        slope = (term(ahead)[0] - term(behind)[0]) / (2 * step)
        assert gradient[index] == pytest.approx(slope, abs=1e-7)


def _share(rank: int, processes: int, store: str, graph: FactorGraph, theta, found) -> None:
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{store}", rank=rank, world_size=processes
    )
    term = LogPartition.of(graph)
    value, gradient = term(theta)
    found.put((rank, value, gradient.tolist(), term.prepared.component_count))
    torch.distributed.destroy_process_group()


@pytest.mark.skipif(not torch.distributed.is_available(), reason="torch without distributed")
@pytest.mark.parametrize("seed", [1, 4])
def test_processes_share_components_and_have_the_same_sums(seed, tmp_path):
    graph = twins(seed, hard=1, evidence=0.3)
    theta = graph.theta.numpy() + 0.3
    alone = LogPartition.of(graph)
    value, gradient = alone(theta)
    context = multiprocessing.get_context("fork")
    found = context.SimpleQueue()
    workers = [
        context.Process(target=_share, args=(rank, 2, str(tmp_path / "at"), graph, theta, found))
        for rank in range(2)
    ]
    for worker in workers:
        worker.start()
    told = sorted(found.get() for _ in workers)
    for worker in workers:
        worker.join()
    assert sum(count for *_, count in told) == alone.prepared.component_count
    for _, own_value, own_gradient, _ in told:
        assert own_value == pytest.approx(value, abs=1e-9)
        np.testing.assert_allclose(own_gradient, gradient, atol=1e-9)
