"""Message-passing layers of PyG, and graphs as they take them.

Where messages are sums, a graph is a CSR matrix whose entries are their weights: PyG multiplies
by it instead of scattering over edges. On 10^6 directed edges and width 64, one thread, forward
and backward together take 0.1 s as a matrix and 0.4 s (GraphSAGE) to 0.8 s (GCN) as pairs.
"""

from __future__ import annotations

import warnings
from typing import Literal

import torch
from torch import Tensor, nn

Convolution = Literal["gcn", "sage", "gat", "gin"]


def convolution(kind: Convolution, width: int, heads: int = 1) -> nn.Module:
    """A layer from states ``[n, width]`` and :func:`message_edges` to states ``[n, width]``.

    Args:
        kind: ``"gcn"`` (Kipf & Welling 2017), ``"sage"`` (Hamilton et al. 2017, mean of the
            neighbours), ``"gat"`` (Veličković et al. 2018) or ``"gin"`` (Xu et al. 2019).
        width: of the states.
        heads: of ``"gat"``.
    """
    from torch_geometric.nn import GATConv, GCNConv, GINConv, SAGEConv

    layer: nn.Module
    if kind == "gat":
        layer = GATConv(width, width // heads, heads=heads)
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
        The pairs for ``"gat"``, which weighs by itself. Else a CSR matrix, row
        target, column source: for ``"gin"`` the weights, for ``"sage"`` the weights divided by
        the target's degree, for ``"gcn"`` the symmetric normalisation with self loops.
    """
    if kind == "gat":
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
