import pytest
import torch

from knowreason.models import sparse_attention
from knowreason.models.sparse_attention import Pattern


@pytest.fixture(params=[True, False], ids=["sparse", "gathered"])
def pattern(request, monkeypatch):
    if not request.param:
        monkeypatch.setattr(sparse_attention, "has_sparse_products", lambda: False)
    torch.manual_seed(0)
    receiver, sender = torch.randint(0, 6, (30,)), torch.randint(0, 9, (30,))  # some pairs twice
    return Pattern(receiver, sender, 7, 10), receiver, sender


def test_scores_and_sums_by_hand(pattern):
    pattern, receiver, sender = pattern
    query, key = torch.randn(7, 2, 3), torch.randn(10, 2, 3)
    receiver, sender = receiver[pattern.order], sender[pattern.order]
    assert torch.equal(pattern.receiver, receiver)
    scores = pattern.scores(query, key)
    torch.testing.assert_close(scores, (query[receiver] * key[sender]).sum(dim=2))
    total = torch.zeros(7, 2, 3)
    for link in range(30):
        total[receiver[link]] += scores[link, :, None] * key[sender[link]]
    torch.testing.assert_close(pattern.sums(scores, key), total)


def test_gradients(pattern):
    pattern, _, _ = pattern
    query = torch.randn(7, 2, 3, dtype=torch.float64, requires_grad=True)
    key = torch.randn(10, 2, 3, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(30, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(pattern.scores, (query, key))
    assert torch.autograd.gradcheck(pattern.sums, (weight, key))


def test_no_links():
    nothing = torch.zeros(0, dtype=torch.int64)
    pattern = Pattern(nothing, nothing, 3, 0)
    assert pattern.scores(torch.ones(3, 2, 4), torch.ones(0, 2, 4)).shape == (0, 2)
    assert pattern.sums(torch.ones(0, 2), torch.ones(0, 2, 4)).eq(0).all()
