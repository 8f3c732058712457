"""Graphs of networkx and PyG as the tables of a data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from knowreason.data.edges import EdgeList
from knowreason.data.features import FeatureSource
from knowreason.errors import DataError
from knowreason.logic import Program

if TYPE_CHECKING:
    import networkx as nx

PREFIX = "node"


def networkx_tables(
    program: Program,
    graph: nx.Graph,
    *,
    edges: str,
    attributes: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    evidence: Mapping[str, str] | None = None,
    features: Sequence[str] = (),
) -> dict[str, Any]:
    """Arguments of ``Dataset.from_frames`` for a networkx graph.

    Args:
        program: declares the predicate of the edges.
        graph: its nodes, named by their text, are the things, isolated ones too; its edges
            the rows of ``edges`` (declare the predicate ``symmetric`` for an undirected one).
        edges: an observed predicate of two arguments of one domain.
        attributes: attribute name to node or edge data key (by its number of arguments).
        labels, evidence: predicate name to node data key; a node without it is unlabelled.
        features: node data keys that models may see.

    Raises:
        DataError: KR524 when ``edges`` is no such predicate.
    """
    domain = _node_domain(program, edges)
    names = [str(node) for node in graph.nodes]
    ends = [(str(source), str(target)) for source, target in graph.edges()]
    pairs = {"source": [s for s, _ in ends], "target": [t for _, t in ends]}

    def nodes(key: str) -> dict[str, list[Any]]:
        return {PREFIX: names, key: [data.get(key) for _, data in graph.nodes(data=True)]}

    facts: dict[str, Any] = {edges: _text_table(pairs)}
    for attribute, key in (attributes or {}).items():
        if len(program.attribute(attribute).sorts) == 1:
            facts[attribute] = nodes(key)
        else:
            values = [data.get(key) for _, _, data in graph.edges(data=True)]
            facts[attribute] = {**pairs, key: values}
    tables: dict[str, Any] = {
        "facts": facts,
        "labels": {predicate: nodes(key) for predicate, key in (labels or {}).items()},
        "evidence": {predicate: nodes(key) for predicate, key in (evidence or {}).items()},
        "things": {domain: names},
        "graph": EdgeList(_text_table(pairs), f"source:{domain}", f"target:{domain}", name=edges),
    }
    if features:
        columns = {key: nodes(key)[key] for key in features}
        tables["features"] = {domain: {PREFIX: names, **columns}}
    return tables


def pyg_tables(
    program: Program,
    graph: Any,
    *,
    edges: Mapping[str, tuple[str, str, str] | None],
    labels: Mapping[str, str | tuple[str, str]] | None = None,
    train_mask: str | None = None,
    features: bool = True,
) -> dict[str, Any]:
    """Arguments of ``Dataset.from_frames`` for PyG ``Data`` or ``HeteroData``.

    Nodes are named by their index, so node i is thing i.

    Args:
        program: declares the predicates.
        graph: with ``edge_index`` (and ``x``, ``y``, ``edge_time``).
        edges: observed predicate to edge type (``None`` for the only one).
        labels: predicate of one argument to the key of a 0/1 tensor a node (-1, and a
            boolean predicate's NaN, are unlabelled), or ``(node type, key)``. For a
            functional predicate (two arguments) the tensor holds member indices.
        train_mask: key of a mask; only labels of those nodes are taken.
        features: whether ``x`` becomes features (columns ``x0 ..``).

    Raises:
        DataError: KR524 when an edge type does not fit its predicate.
    """
    facts: dict[str, Any] = {}
    relations = []
    stores: dict[str, Any] = {}
    for predicate, edge_type in edges.items():
        store = graph if edge_type is None else graph[edge_type]
        sorts = program.predicate(predicate).sorts
        if len(sorts) != 2:
            raise DataError(f"`{predicate}` has {len(sorts)} arguments, edges 2", code="KR524")
        ends = (None, None) if edge_type is None else (edge_type[0], edge_type[2])
        for sort, node_type in zip(sorts, ends, strict=True):
            stores[sort] = graph if node_type is None else graph[node_type]
        index = store.edge_index.cpu().numpy()
        table = {"source": pa.array(index[0]), "target": pa.array(index[1])}
        facts[predicate] = table
        time = store.get("edge_time") if hasattr(store, "get") else None
        if time is not None:
            table = {**table, "time": pa.array(time.cpu().numpy())}
        relations.append(
            EdgeList(
                table,
                f"source:{sorts[0]}",
                f"target:{sorts[1]}",
                time=None if time is None else "time",
                name=predicate,
            )
        )
    things = {domain: pa.array(np.arange(store.num_nodes)) for domain, store in stores.items()}
    inputs = {domain: _node_features(store) for domain, store in stores.items() if "x" in store}
    return {
        "facts": facts,
        "things": things,
        "labels": {
            predicate: _node_labels(program, predicate, graph, key, train_mask)
            for predicate, key in (labels or {}).items()
        },
        "features": inputs if features else {},
        "graph": relations,
    }


def _node_domain(program: Program, edges: str) -> str:
    predicate = program.predicate(edges)
    if predicate.is_open or len(set(predicate.sorts)) != 1 or predicate.arity != 2:
        raise DataError(
            f"`{edges}` cannot hold the edges of a graph",
            code="KR524",
            help="declare an observed predicate of two arguments of one domain",
        )
    return predicate.sorts[0]


def _text_table(columns: Mapping[str, list[str]]) -> pa.Table:
    return pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})


def _node_features(store: Any) -> FeatureSource:
    values = store.x.detach().cpu().numpy()
    columns = {f"x{i}": pa.array(values[:, i]) for i in range(values.shape[1])}
    return FeatureSource({PREFIX: pa.array(np.arange(len(values))), **columns})


def _node_labels(
    program: Program,
    predicate: str,
    graph: Any,
    key: str | tuple[str, str],
    train_mask: str | None,
) -> dict[str, pa.Array]:
    store, name = (graph, key) if isinstance(key, str) else (graph[key[0]], key[1])
    values = store[name].detach().cpu().numpy()
    labelled = ~np.isnan(values) if values.dtype.kind == "f" else values >= 0
    if train_mask is not None:
        labelled &= store[train_mask].cpu().numpy().astype(bool)
    nodes = np.flatnonzero(labelled)
    labels = values[nodes].astype(np.int64)
    sorts = program.predicate(predicate).sorts
    if len(sorts) == 1:
        return {PREFIX: pa.array(nodes), "label": pa.array(labels)}
    members = program.domain(sorts[1]).members
    states = pa.array(labels) if members is None else pa.array(members).take(pa.array(labels))
    return {PREFIX: pa.array(nodes), "state": states}
