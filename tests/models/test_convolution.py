import numpy as np
import pytest
import torch
from torch_geometric.nn import GCNConv, GINConv, SAGEConv

from knowreason.models.graph.convolution import convolution, message_edges
from knowreason.models.graph.node_graph import both_ways


@pytest.fixture(scope="module")
def pairs():
    source, target = np.random.default_rng(0).integers(0, 30, (2, 80))
    return torch.from_numpy(both_ways(source, target, 32))


@pytest.mark.parametrize(("kind", "theirs"), [("gcn", GCNConv), ("sage", SAGEConv), ("gin", None)])
def test_a_matrix_gives_what_pairs_give(pairs, kind, theirs):
    torch.manual_seed(0)
    ours = convolution(kind, 8)
    expected_of = GINConv(ours.nn, train_eps=True) if theirs is None else theirs(8, 8)
    expected_of.load_state_dict(ours.state_dict())
    first = torch.randn(32, 8, requires_grad=True)
    second = first.detach().clone().requires_grad_()
    expected, found = expected_of(first, pairs), ours(second, message_edges(kind, pairs, 32))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    expected.square().sum().backward()
    found.square().sum().backward()
    torch.testing.assert_close(second.grad, first.grad, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", ["gcn", "sage", "gin"])
def test_a_message_may_stand_for_several(pairs, kind):
    """A message of weight 2 is two messages; the degree of the whole graph can be given."""
    weight = torch.arange(pairs.shape[1]) % 3 + 1.0
    repeated = pairs.repeat_interleave(weight.long(), dim=1)
    found = message_edges(kind, pairs, 32, weight).to_dense()
    torch.testing.assert_close(found, message_edges(kind, repeated, 32).to_dense())
    degree = torch.bincount(repeated[1], minlength=32).float()
    some = weight > 1
    part = message_edges(kind, pairs[:, some], 32, weight[some], degree).to_dense()
    off = ~torch.eye(32, dtype=torch.bool)
    kept = torch.zeros(32, 32, dtype=torch.bool)
    kept[pairs[1, some], pairs[0, some]] = True
    torch.testing.assert_close(part[off & kept], found[off & kept])
    assert not part[off & ~kept].any()
