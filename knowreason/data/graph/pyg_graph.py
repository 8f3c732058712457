"""The graph of a data set as PyG's tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from knowreason.data.edges import Edges
from knowreason.data.encoded_tables import EncodedTables
from knowreason.data.features import Standardisation, design_matrix, fit_standardisation

if TYPE_CHECKING:
    from torch_geometric.data import Data, HeteroData


def to_pyg(
    data: EncodedTables,
    *,
    fitted: Mapping[str, Standardisation] | None = None,
    undirected: bool = False,
) -> Data | HeteroData:
    """The graph of a data set as PyG's ``Data`` (one domain, one relation) or ``HeteroData``.

    ``x`` float32 holds standardised features of the nodes (a constant 1 for a domain
    without), ``edge_attr`` those of the edges, ``edge_time`` and ``edge_key`` (ids) where
    there are any. Node i is thing i of its domain.

    Args:
        data: with a graph.
        fitted: per domain, and per relation name, how features become inputs; fitted on
            all rows where absent. Give what was fitted on the training part.
        undirected: add every edge the other way too.

    Raises:
        ValueError: when the data set has no graph.

    >>> import knowreason as kr
    >>> to_pyg(kr.testing.example_data(payments=5))
    Data(x=[120, 6], num_nodes=120, edge_index=[2, 5], edge_time=[5], edge_key=[5])
    """
    if data.graph is None:
        raise ValueError("the data set has no graph: give `graph=EdgeList(...)`")
    from torch_geometric.data import Data, HeteroData
    from torch_geometric.transforms import ToUndirected

    single = len(data.graph.domains) == 1 and len(data.graph.relations) == 1
    graph = Data() if single else HeteroData()
    for domain in data.graph.domains:
        store = graph if single else graph[domain]
        store.x = _node_inputs(data, domain, fitted or {})
        store.num_nodes = len(data.vocabularies[domain])
    for edges in data.graph.relations:
        store = graph if single else graph[edges.edge_type]
        for name, values in _edge_tensors(edges, fitted or {}).items():
            store[name] = values
    return ToUndirected(merge=False)(graph) if undirected else graph


def _node_inputs(data: EncodedTables, domain: str, fitted: Mapping[str, Standardisation]) -> Any:
    import torch

    table = data.features.get(domain)
    if table is None:
        return torch.ones((len(data.vocabularies[domain]), 1))
    return torch.from_numpy(design_matrix(table, fitted.get(domain) or fit_standardisation(table)))


def _edge_tensors(edges: Edges, fitted: Mapping[str, Standardisation]) -> dict[str, Any]:
    import torch

    ends = np.stack([edges.source, edges.target]).astype(np.int64)
    tensors = {"edge_index": torch.from_numpy(ends)}
    if edges.features.names:
        how = fitted.get(edges.name) or fit_standardisation(edges.features)
        tensors["edge_attr"] = torch.from_numpy(design_matrix(edges.features, how))
    if edges.time is not None:
        tensors["edge_time"] = torch.tensor(edges.time)
    if edges.key is not None:
        tensors["edge_key"] = torch.from_numpy(edges.key.astype(np.int64))
    return tensors
