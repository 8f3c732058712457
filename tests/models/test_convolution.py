import numpy as np
import pytest
import torch
from torch_geometric.nn import GCNConv, GINConv, SAGEConv

from knowreason.models.convolution import (
    GCNLayer,
    GINLayer,
    SAGELayer,
    neighbour_sum,
    sparse_tensor,
)
from knowreason.models.graphs import NodeGraph


@pytest.fixture(scope="module")
def graph():
    random = np.random.default_rng(0)
    source, target = random.integers(0, 30, (2, 80))
    graph = NodeGraph({"Node": 0}, 32, source, target, {})
    edges = torch.from_numpy(graph.both_ways)
    degree = torch.from_numpy(graph.degree[:, None])
    return edges, sparse_tensor(graph.adjacency), degree


def copied(theirs, ours, pairs):
    with torch.no_grad():
        for name, other in pairs.items():
            ours.get_parameter(name).copy_(theirs.get_parameter(other))
    return ours


def cases():
    torch.manual_seed(0)
    gcn, sage = GCNConv(8, 8), SAGEConv(8, 8)
    gin_layer = GINLayer(8)
    gin = GINConv(gin_layer.network, train_eps=True)
    gcn_pairs = {"linear.weight": "lin.weight", "bias": "bias"}
    sage_pairs = {
        "neighbours.weight": "lin_l.weight",
        "neighbours.bias": "lin_l.bias",
        "own.weight": "lin_r.weight",
    }
    yield pytest.param(gcn, copied(gcn, GCNLayer(8), gcn_pairs), id="gcn")
    yield pytest.param(sage, copied(sage, SAGELayer(8), sage_pairs), id="sage")
    yield pytest.param(gin, gin_layer, id="gin")


@pytest.mark.parametrize(("theirs", "ours"), list(cases()))
def test_layers_and_gradients_are_those_of_pyg(graph, theirs, ours):
    edges, adjacency, degree = graph
    x = torch.randn(32, 8)
    first, second = x.clone().requires_grad_(), x.clone().requires_grad_()
    expected, found = theirs(first, edges), ours(second, adjacency, degree)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    expected.square().sum().backward()
    found.square().sum().backward()
    torch.testing.assert_close(second.grad, first.grad, atol=1e-4, rtol=1e-4)


def test_the_product_has_the_right_gradient(graph):
    _, adjacency, _ = graph
    matrix = adjacency.to_dense().double().to_sparse_csr()
    x = torch.randn(32, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda value: neighbour_sum(matrix, value), x)
