"""Components, graphs of some of them, and shapes."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings

from knowreason.factors import FactorGraph, GroundFactors
from knowreason.factors.arrays import array
from knowreason.factors.components.connected import components, log2_states, subgraph
from knowreason.factors.components.shapes import FlatRows, Shapes
from knowreason.factors.condition import condition
from knowreason.factors.energy import features, log_score
from knowreason.inference.exact.circuits.templates import possible_states
from knowreason.testing.oracle import all_worlds, enumerate_worlds
from tests.strategies import factor_graphs, random_graph


@settings(max_examples=30)
@given(factor_graphs(8))
def test_log_z_adds_up_over_components(graph):
    folded = condition(graph)
    labels, count = components(folded)
    assert np.array_equal(labels < 0, array(folded.evidence) >= 0)
    total = folded.offset + float(folded.constant @ folded.theta)
    for label in range(count):
        part, atoms = subgraph(folded, labels == label)
        assert np.array_equal(np.flatnonzero(labels == label), atoms)
        total += enumerate_worlds(part).log_z
    assert total == pytest.approx(enumerate_worlds(graph).log_z, abs=1e-6)


@settings(max_examples=20)
@given(factor_graphs(7, evidence=False))
def test_a_subgraph_of_everything_is_the_graph(graph):
    folded = condition(graph)
    part, atoms = subgraph(folded, array(folded.evidence) < 0)
    worlds = all_worlds(part.evidence)
    whole = torch.clamp(folded.evidence, min=0).repeat(len(worlds), 1)
    whole[:, torch.from_numpy(atoms)] = worlds
    rest = folded.offset + float(folded.constant @ folded.theta)
    torch.testing.assert_close(log_score(part, worlds) + rest, log_score(folded, whole))
    torch.testing.assert_close(features(part, worlds) + folded.constant, features(folded, whole))


@settings(max_examples=30)
@given(factor_graphs(8))
def test_states_of_a_shape_are_at_most_what_is_said(graph):
    folded = condition(graph)
    labels, count = components(folded)
    size = log2_states(folded, labels, count)
    for stack in Shapes(folded, labels, count).stacks(np.arange(count)):
        states = possible_states(stack.shape).shape[1]
        assert states <= 2 ** size[stack.components[0]] + 1e-6


def test_isolated_atoms_are_components():
    graph = random_graph(0, 5, factors=0, tables=0, clause_lists=0)
    labels, count = components(condition(graph))
    assert labels.tolist() == [0, 1, 2, 3, 4]
    assert count == 5


def test_shapes_do_not_depend_on_parameters_but_on_signs():
    pairs = torch.tensor([[0, 1], [2, 3]], dtype=torch.int32)
    other = torch.tensor([[4, 5]], dtype=torch.int32)
    graph = FactorGraph(
        torch.zeros(6),
        torch.zeros(2, dtype=torch.float64),
        torch.full((6,), -1, dtype=torch.int8),
        (
            GroundFactors.of(pairs, (True, False), torch.tensor([0, 1], dtype=torch.int32)),
            GroundFactors.of(other, (True, True), 0),
        ),
    )
    shape = Shapes(graph, *components(graph)).shape
    assert shape[0] == shape[1] != shape[2]


@pytest.mark.parametrize("rows", [0, 1, 7, 400])
@pytest.mark.parametrize("run", [1, 3, 50])
def test_totals_add_rows_by_parameter_however_they_lie(rows, run):
    rng = np.random.default_rng(rows + run)
    parameter = np.repeat(rng.integers(-1, 5, size=rows), run)[:rows]
    value, truth = rng.normal(size=rows), rng.random(rows)
    expected = [(value * truth)[parameter == p].sum() for p in range(6)]
    flat = FlatRows(parameter, value, np.array([0, rows]))
    np.testing.assert_allclose(flat.totals(truth, 6), expected, atol=1e-12)
