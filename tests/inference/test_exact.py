"""The exact engine against enumeration."""

from dataclasses import replace
from time import perf_counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from knowreason.factors import Blocks, FactorGraph, GroundFactors
from knowreason.inference import ENGINES, infer
from knowreason.inference.exact.exact import prepare
from knowreason.testing.oracle import enumerate_worlds
from tests.strategies import factor_graphs, random_graph


def assert_exact(graph: FactorGraph, **options) -> None:
    truth, posterior = enumerate_worlds(graph), infer(graph, "exact", **options)
    assert posterior.log_z == pytest.approx(truth.log_z, abs=1e-6)
    torch.testing.assert_close(posterior.log_odds, truth.log_odds, atol=1e-6, rtol=1e-9)
    torch.testing.assert_close(posterior.expectations, truth.expectations, atol=1e-6, rtol=0)


@settings(max_examples=60)
@given(factor_graphs(9))
def test_exact_is_enumeration(graph):
    assert_exact(graph)


@pytest.mark.parametrize("seed", range(10))
def test_many_seeds(seed):
    assert_exact(random_graph(seed, 11, factors=14, hard=1, blocks=2, counts=3))


@pytest.mark.parametrize("seed", range(6))
def test_expectations_are_the_gradient_of_log_z(seed):
    graph = random_graph(seed, 10, factors=14, hard=1, blocks=1, counts=2, evidence=0.2)
    prepared = prepare(graph)
    expectations, step = prepared().expectations, 1e-5
    for p in range(graph.parameter_count):
        shift = torch.zeros_like(graph.theta)
        shift[p] = step
        slope = prepared(graph.theta + shift).log_z - prepared(graph.theta - shift).log_z
        assert float(expectations[p]) == pytest.approx(slope / 2 / step, abs=1e-6)


@settings(max_examples=25)
@given(factor_graphs(8), st.randoms(use_true_random=False))
def test_renaming_atoms_changes_nothing(graph, random):
    order = list(range(graph.atom_count))
    random.shuffle(order)
    number = torch.tensor(order)
    before, after = infer(graph, "exact"), infer(renamed(graph, number), "exact")
    assert before.log_z == pytest.approx(after.log_z, abs=1e-9)
    torch.testing.assert_close(before.log_odds, after.log_odds[number], atol=1e-8, rtol=1e-9)
    torch.testing.assert_close(before.expectations, after.expectations, atol=1e-9, rtol=0)


def renamed(graph: FactorGraph, number: torch.Tensor) -> FactorGraph:
    """The graph with atom ``a`` called ``number[a]``."""
    old = torch.argsort(number)
    new = number.int().numpy()
    return replace(
        graph,
        log_odds=graph.log_odds[old],
        evidence=graph.evidence[old],
        auxiliary=graph.auxiliary[old],
        factors=tuple(part.renumbered(new) for part in graph.factors),
        blocks=graph.blocks.renumbered(new),
    )


@settings(max_examples=25)
@given(factor_graphs(8), st.integers(0, 7), st.floats(0.01, 20))
def test_more_log_odds_never_lower_an_atom(graph, atom, more):
    atom %= graph.atom_count
    raised = graph.log_odds.clone()
    raised[atom] += more
    before = infer(graph, "exact").log_odds[atom]
    assert infer(replace(graph, log_odds=raised), "exact").log_odds[atom] >= before - 1e-9


def test_a_template_serves_components_with_other_parameters_and_values():
    pairs = torch.tensor([[0, 1], [2, 3], [5, 4]], dtype=torch.int32)
    group = GroundFactors.of(
        pairs,
        ((False, True)),
        torch.tensor([0, 1, 0], dtype=torch.int32),
        torch.tensor([1.0, 2.0, -1.0]),
    )
    graph = FactorGraph(
        torch.randn(6, generator=torch.Generator().manual_seed(1)),
        torch.tensor([0.5, 1.5], dtype=torch.float64),
        torch.full((6,), -1, dtype=torch.int8),
        (group,),
    )
    prepared = prepare(graph)
    shapes = sorted(len(solver.components) for solver in prepared.solvers)
    assert shapes == [1, 2]  # 5 before 4 in the third: another shape
    assert_exact(graph)


def test_thousands_of_components_are_few_templates():
    copies = 3_000
    one = random_graph(8, 6, factors=7, blocks=1, counts=1, tables=1)
    graph = repeated(one, copies)
    prepared = prepare(graph)
    posterior, alone = prepared(), infer(one, "exact")
    assert len(prepared.solvers) <= 6
    assert posterior.log_z == pytest.approx(copies * alone.log_z, rel=1e-12)
    torch.testing.assert_close(posterior.log_odds, alone.log_odds.repeat(copies))
    torch.testing.assert_close(posterior.expectations, alone.expectations * copies)


def repeated(graph: FactorGraph, copies: int) -> FactorGraph:
    """So many copies of a graph beside each other."""
    n = graph.atom_count
    blocks = graph.blocks
    lengths = blocks.offsets.diff().repeat(copies)
    steps = torch.arange(copies, dtype=torch.int32) * n
    return replace(
        graph,
        log_odds=graph.log_odds.repeat(copies),
        evidence=graph.evidence.repeat(copies),
        auxiliary=graph.auxiliary.repeat(copies),
        factors=tuple(
            part.copied(
                np.repeat(np.arange(copies), part.rows), np.tile(np.arange(part.rows), copies), n
            )
            for part in graph.factors
        ),
        blocks=Blocks(
            torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)]),
            (steps[:, None] + blocks.atoms).flatten(),
            blocks.at_most_one.repeat(copies),
        ),
        constant=graph.constant * copies,
    )


def test_very_strong_beliefs_stay_apart():
    graph = FactorGraph(
        torch.tensor([300.0, 301.0, -650.0]),
        torch.tensor([50.0], dtype=torch.float64),
        torch.full((3,), -1, dtype=torch.int8),
        (GroundFactors.of(torch.tensor([[0, 1], [1, 2]]).int(), (True, True), 0),),
    )
    odds = infer(graph, "exact").log_odds
    assert odds[0] < odds[1]
    assert odds[2] == pytest.approx(-650.0, abs=1e-6)


def test_decided_atoms_are_clipped_and_counted():
    graph = random_graph(3, 6, evidence=1.0)
    posterior = infer(graph, "exact")
    assert (posterior.log_odds.abs() == 700).all()
    assert posterior.log_z == pytest.approx(enumerate_worlds(graph).log_z)


def counts_of(*rows: tuple[list[int], int, int, int]) -> GroundFactors:
    """Definitions ``(atoms, lower, upper, target)`` of positive literals."""
    atoms = [atom for row in rows for atom in row[0]]
    lengths = torch.tensor([0, *(len(row[0]) for row in rows)])
    return GroundFactors.counts(
        lengths.cumsum(0),
        torch.tensor(atoms, dtype=torch.int32),
        torch.ones(len(atoms), dtype=torch.bool),
        *(torch.tensor([row[i] for row in rows], dtype=torch.int32) for i in (1, 2, 3)),
    )


def with_counts(atoms: int, counts: GroundFactors, **parts) -> FactorGraph:
    return FactorGraph(
        torch.linspace(-1, 1, atoms),
        torch.tensor([0.5], dtype=torch.float64),
        torch.full((atoms,), -1, dtype=torch.int8),
        factors=(counts,),
        **parts,
    )


@pytest.mark.parametrize("states", [1 << 16, 1])
def test_definitions_in_a_circle(states):
    assert_exact(with_counts(4, counts_of(([0, 1], 1, 2, 2), ([2, 3], 1, 1, 0))), states=states)


@pytest.mark.parametrize("states", [1 << 16, 1])
def test_an_atom_defined_twice_and_one_of_a_block(states):
    blocks = Blocks(torch.tensor([0, 3]), torch.tensor([0, 1, 2]).int(), torch.tensor([True]))
    counts = counts_of(([3, 4], 1, 1, 5), ([4, 0], 1, 2, 5), ([3, 4], 2, 2, 1))
    assert_exact(with_counts(6, counts, blocks=blocks), states=states)


def test_definitions_of_definitions():
    counts = counts_of(([0, 1, 2], 2, 3, 4), ([4, 3], 2, 2, 5), ([5, 4], 1, 1, 6))
    assert_exact(with_counts(7, counts))


def test_a_graph_without_atoms():
    graph = FactorGraph(
        torch.zeros(0),
        torch.tensor([2.0], dtype=torch.float64),
        torch.zeros(0, dtype=torch.int8),
        constant=torch.tensor([3.0], dtype=torch.float64),
    )
    posterior = infer(graph)
    assert posterior.log_z == pytest.approx(6.0)
    assert posterior.log_odds.shape == (0,)


def test_engines_have_names():
    assert {"auto", "exact", "bp", "gibbs", "map", "mean_field"} <= set(ENGINES)


def test_solvers_take_no_longer_than_the_call():
    begin = perf_counter()
    reports = infer(random_graph(0, 11, factors=14), "exact").reports
    assert 0 < sum(report.seconds for report in reports) <= perf_counter() - begin
