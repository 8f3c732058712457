"""Circuits of shapes against enumeration, junction trees and each other's copies."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings

from knowreason.errors import InferenceError
from knowreason.factors import Blocks, FactorGraph, GroundFactors
from knowreason.factors.components.connected import components
from knowreason.factors.components.shapes import Shapes
from knowreason.factors.condition import condition
from knowreason.inference import infer
from knowreason.inference.exact.circuits.circuit_compiler import compiled
from knowreason.inference.exact.circuits.circuits import CircuitSolver
from knowreason.inference.exact.exact import Prepared, prepare
from knowreason.inference.exact.exact_budget import ExactBudget
from knowreason.inference.exact.order_search import eliminated
from knowreason.inference.posterior import Posterior
from knowreason.testing.oracle import enumerate_worlds
from tests.strategies import factor_graphs, random_graph

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(
    not torch.cuda.is_available(), reason="needs a GPU"))]  # fmt: skip


def circuits(graph: FactorGraph, device: str = "cpu") -> Prepared:
    """Every component solved by a circuit."""
    folded = condition(graph)
    labels, count = components(folded)
    shapes = Shapes(folded, labels, count)
    solvers = [
        CircuitSolver.prepare(stack, compiled(eliminated(stack, ExactBudget.of())), device)
        for stack in shapes.stacks(np.arange(count))
    ]
    everything = torch.ones(folded.atom_count, dtype=torch.bool)
    return Prepared(folded, torch.from_numpy(labels), count, everything, solvers, shapes.rows)


def assert_same(found: Posterior, truth, tolerance: float = 1e-6) -> None:
    assert found.log_z == pytest.approx(truth.log_z, abs=tolerance, rel=1e-12)
    torch.testing.assert_close(found.log_odds, truth.log_odds, atol=tolerance, rtol=1e-9)
    torch.testing.assert_close(found.expectations, truth.expectations, atol=tolerance, rtol=0)


@settings(max_examples=60)
@given(factor_graphs(9))
def test_circuits_are_enumeration(graph):
    assert_same(circuits(graph)(), enumerate_worlds(graph))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("seed", range(5))
def test_wider_graphs(seed, device):
    graph = random_graph(seed, 13, factors=18, hard=2, blocks=2, counts=2)
    assert_same(circuits(graph, device)(), enumerate_worlds(graph))


@pytest.mark.parametrize("seed", range(6))
def test_expectations_are_the_gradient_of_log_z(seed):
    graph = random_graph(seed, 10, factors=14, hard=1, blocks=1, counts=2, evidence=0.2)
    prepared, step = circuits(graph), 1e-5
    expectations = prepared().expectations
    for p in range(graph.parameter_count):
        shift = torch.zeros_like(graph.theta)
        shift[p] = step
        slope = prepared(graph.theta + shift).log_z - prepared(graph.theta - shift).log_z
        assert float(expectations[p]) == pytest.approx(slope / 2 / step, abs=1e-6)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("size", [30.0, 690.0, 2000.0])
def test_extreme_log_odds_stay_finite_and_right(seed, size):
    graph = random_graph(seed, 10, factors=12, hard=2, blocks=1, counts=1)
    signs = torch.from_numpy(np.random.default_rng(seed).choice([-1.0, 1.0], graph.atom_count))
    graph = replace(graph, log_odds=(signs * size).float())
    assert_same(circuits(graph)(), enumerate_worlds(graph), 1e-5)


def copies(graph: FactorGraph, count: int, seed: int) -> FactorGraph:
    """Components of the graph's shapes, each copy with log-odds and values of its own."""
    rng = np.random.default_rng(seed)
    graph = condition(graph)
    n, blocks = graph.atom_count, graph.blocks
    number = [np.arange(n, dtype=np.int32) + copy * n for copy in range(count)]
    factors = []
    for part in graph.factors:
        for shift in number:
            value = None if part.is_hard else torch.from_numpy(rng.normal(1.0, 0.5, part.rows))
            factors.append(replace(part.renumbered(shift), value=value))
    members = torch.cat([blocks.atoms + shift[0] for shift in number])
    offsets = torch.cat([torch.zeros(1).long(), blocks.offsets.diff().repeat(count).cumsum(0)])
    return FactorGraph(
        log_odds=torch.from_numpy(rng.normal(0, 1, n * count)).float(),
        theta=graph.theta,
        evidence=graph.evidence.repeat(count),
        factors=tuple(factors),
        blocks=Blocks(offsets, members, blocks.at_most_one.repeat(count)),
        auxiliary=None if graph.auxiliary is None else graph.auxiliary.repeat(count),
    )


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("seed", range(6))
def test_many_copies_are_each_solved_as_alone(seed, device):
    many = copies(random_graph(seed, 9, factors=11, hard=1, blocks=1, counts=1), 18, seed)
    prepared = prepare(many, device=device)
    assert_same(prepared(), circuits(many, device)())
    everyone, atoms = prepared(), many.atom_count // 18
    for copy in (0, 11, 17):
        keep = torch.zeros(many.atom_count, dtype=torch.bool)
        keep[copy * atoms : (copy + 1) * atoms] = True
        # the others, without anything that ties or moves them
        alone = replace(many, log_odds=torch.where(keep, many.log_odds, 0.0))
        factors = [part for part in alone.factors if keep[int(part.first_atoms()[0])]]
        alone = infer(replace(alone, factors=tuple(factors)), "exact", states=1, width=18)
        torch.testing.assert_close(
            everyone.log_odds[keep], alone.log_odds[keep], atol=1e-8, rtol=1e-9
        )


def rings(count: int, atoms: int, device: str = "cpu") -> FactorGraph:
    first = np.arange(count)[:, None] * atoms
    steps = [first + np.array([j, (j + 1) % atoms]) for j in range(atoms)]
    generator = torch.Generator().manual_seed(0)
    return FactorGraph(
        log_odds=torch.randn(count * atoms, generator=generator),
        theta=torch.tensor([0.7, -1.1], dtype=torch.float64),
        evidence=torch.full((count * atoms,), -1, dtype=torch.int8),
        factors=tuple(
            GroundFactors.of(torch.from_numpy(rows).int(), (False, True), j % 2)
            for j, rows in enumerate(steps)
        ),
    )


def engines(graph: FactorGraph) -> list[str]:
    return [report.engine for report in infer(graph, "exact").reports]


def test_many_components_of_a_shape_get_what_is_cheapest():
    assert engines(rings(20, 20)) == ["exact: junction tree"]
    assert engines(rings(400, 20)) == ["exact: circuit"]
    assert engines(rings(40, 6)) == ["exact: template"]
    assert engines(rings(4000, 10)) == ["exact: circuit"]


def test_a_circuit_gives_what_the_junction_tree_gives():
    few, many = infer(rings(20, 20), "exact"), circuits(rings(20, 20))()
    assert_same(many, few, 1e-9)
    alone = infer(replace(rings(400, 20), log_odds=rings(400, 20).log_odds.roll(20)), "exact")
    whole = infer(rings(400, 20), "exact")
    torch.testing.assert_close(alone.log_odds, whole.log_odds.roll(20), atol=1e-9, rtol=1e-9)


def test_parts_of_a_stack_are_put_together(monkeypatch):
    whole = infer(rings(400, 12), "exact")
    monkeypatch.setattr("knowreason.inference.exact.circuits.circuits._CHUNK_ENTRIES", 3000)
    assert_same(infer(rings(400, 12), "exact"), whole, 1e-10)


def test_an_impossible_shape_names_its_rules():
    graph = rings(400, 12)
    ends = torch.arange(4800).int().reshape(400, 12)[:, [0, 6]]
    pairs = GroundFactors.of(ends, torch.tensor([0.0, 1.0, 1.0, 0.0]), None)
    same = GroundFactors.of(ends, torch.tensor([1.0, 0.0, 0.0, 1.0]), None)
    factors = (*graph.factors, replace(pairs, rule=3), replace(same, rule=5))
    with pytest.raises(InferenceError, match="no world satisfies rule 3 and rule 5") as caught:
        infer(replace(graph, factors=factors), "exact")
    assert caught.value.code == "KR702"
