"""Message-passing layers of PyG, and graphs as they take them.

Where messages are sums, a graph is a CSR matrix whose entries are their weights: PyG multiplies
by it instead of scattering over edges. On 10^6 directed edges and width 64, one thread, forward
and backward together take 0.1 s as a matrix and 0.4 s (GraphSAGE) to 0.8 s (GCN) as pairs.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from knowreason.errors import ModelError

Convolution = Literal["gcn", "sage", "gat", "gatv2", "transformer", "gin", "gine", "nnconv"]
PAIRS = ("gat", "gatv2", "transformer", "gine", "nnconv")  # take pairs, and features of messages
FEATURED = ("gine", "nnconv")  # are nothing without
EDGE_HIDDEN = 16


@dataclass(frozen=True)
class FeaturedPairs:
    """Messages with features of their own.

    Attributes:
        pairs: ``int64[2, m]``, source and target.
        values: ``float32[m, d]``.
    """

    pairs: Tensor
    values: Tensor


def check_message_features(kind: str, given: bool, model: str) -> None:
    """Refuse features of messages where a layer cannot use them, and their absence where it must.

    Raises:
        ModelError: KR873.
    """
    if given and kind not in PAIRS:
        raise ModelError(
            f"`{model}` cannot use `message_features`: the messages of"
            f' `convolution="{kind}"` are states of nodes and nothing else',
            code="KR873",
            help=f"convolutions that can: {', '.join(PAIRS)}",
        )
    if kind in FEATURED and not given:
        raise ModelError(
            f'`{model}` has no `message_features`, and `convolution="{kind}"` reads them',
            code="KR873",
            help=f"take `{'gin' if kind == 'gine' else 'sage'}`, which reads none, or name some",
        )


def convolution(kind: Convolution, width: int, heads: int = 1, features: int = 0) -> nn.Module:
    """A layer from states ``[n, width]`` and :func:`message_edges` to states ``[n, width]``.

    Args:
        kind: ``"gcn"`` (Kipf & Welling 2017), ``"sage"`` (Hamilton et al. 2017, mean of the
            neighbours), ``"gat"`` (Veličković et al. 2018), ``"gatv2"`` (Brody et al. 2022),
            ``"transformer"`` (Shi et al. 2021), ``"gin"`` (Xu et al. 2019), ``"gine"`` (Hu et
            al. 2020) or ``"nnconv"`` (Gilmer et al. 2017; mean over messages, each with a
            matrix of its own, ``width`` times ``width``: dear in memory).
        width: of the states.
        heads: of attention.
        features: width of what each message has of its own, for :data:`PAIRS`.
    """
    from torch_geometric.nn import (
        GATConv,
        GATv2Conv,
        GCNConv,
        GINConv,
        GINEConv,
        NNConv,
        SAGEConv,
        TransformerConv,
    )

    layer: nn.Module
    if kind in ("gat", "gatv2", "transformer"):
        attention = {"gat": GATConv, "gatv2": GATv2Conv, "transformer": TransformerConv}[kind]
        layer = attention(width, width // heads, heads=heads, edge_dim=features or None)
    elif kind == "nnconv":
        matrices = nn.Sequential(
            nn.Linear(features, EDGE_HIDDEN), nn.ReLU(), nn.Linear(EDGE_HIDDEN, width * width)
        )
        layer = NNConv(width, width, matrices, aggr="mean")
    elif kind == "gine":
        network = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))
        layer = GINEConv(network, train_eps=True, edge_dim=features)
    elif kind == "gcn":
        layer = GCNConv(width, width, normalize=False)
    elif kind == "sage":
        layer = SAGEConv(width, width, aggr="sum")
    else:
        network = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))
        layer = GINConv(network, train_eps=True)
    return layer


def message_edges(
    kind: Convolution,
    pairs: Tensor,
    count: int,
    weight: Tensor | None = None,
    degree: Tensor | None = None,
) -> Tensor:
    """A graph as the layers of a kind take it.

    Args:
        kind: of the layers.
        pairs: ``int64[2, m]``, source and target of each message.
        count: number of nodes.
        weight: ``float[m]``, messages each one stands for, 1 by default.
        degree: ``float[count]`` of each node in the whole graph; by default the sum of the
            weights of its messages.

    Returns:
        The pairs for :data:`PAIRS`, which weigh by themselves. Else a CSR matrix, row
        target, column source: for ``"gin"`` the weights, for ``"sage"`` the weights divided by
        the target's degree, for ``"gcn"`` the symmetric normalisation with self loops.
    """
    if kind in PAIRS:
        return pairs
    source, target = pairs
    if weight is None:
        weight = torch.ones(len(source), device=source.device)
    if degree is None:
        degree = weight.new_zeros(count).index_add(0, target, weight)
    if kind == "sage":
        weight = weight / degree[target].clamp(min=1)
    elif kind == "gcn":
        scale, every = (degree + 1).rsqrt(), torch.arange(count, device=source.device)
        weight = torch.cat([weight * scale[source] * scale[target], scale.square()])
        source, target = torch.cat([source, every]), torch.cat([target, every])
    ends = torch.stack([target, source])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support")
        matrix = torch.sparse_coo_tensor(ends, weight, (count, count), check_invariants=True)
        return matrix.coalesce().to_sparse_csr()
