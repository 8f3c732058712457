"""Embeddings of the generated marketplace: of buyers and sellers, or of five kinds of nodes.

After KnowGraph (section 5.2): Deep Graph Infomax on a heterogeneous graph, in which a transaction
is tied to its buyer, seller, item and device (layers of the heterogeneous graph transformer); the
embeddings of these four are concatenated, with and without its signs, before boosted trees. The
encoder sees what ``main`` sees: of a transaction, the signs of the trade. Beside it a GCN, Infomax
on the graph of buyers and sellers, and the trees without an embedding.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import knowreason as kr
from benchmarks.marketplace_noise import FEATURES, NETWORK
from benchmarks.marketplace_study import ASKED, TUNED, Found, Scores, Study, World
from knowreason.data import Dataset
from knowreason.data.features import FeatureTable
from knowreason.models import make, predicted
from knowreason.models.base.encoding import Encoder
from knowreason.models.base.feature_columns import feature_table, side_by_side
from knowreason.models.graph.deep_infomax import HELD_SHARE, EncoderOptions, infomax_network
from knowreason.models.graph.graph_encoder import GraphEncoder
from knowreason.models.graph.hgt import HGTLayer, TypedEdges
from knowreason.models.graph.node_graph import NodeGraph, node_columns, node_graph, typed_links
from knowreason.models.nn.gradient_training import TrainingSchedule, train

ITEMS = Path(__file__).resolve().parents[1] / "rulesets" / "collusion_items.kr"
TOUCHED = {"buyer": "Buyer", "seller": "Seller", "item": "Item", "device": "Device"}
OPTIONS = EncoderOptions("gcn", 16, 2, "none", 60, 15, 3e-3, 0)
HEADS = 2
TRADE = ("price", "list_price", "coupon", "same_network", "seconds", "express", "seller_age")
HETEROGENEOUS = "heterogeneous DGI (4 embeddings), signs, trees"


def with_four_embeddings(training: Dataset, test: Dataset) -> tuple[Dataset, Dataset, str]:
    """Both parts with the embeddings of a transaction's four things among its features.

    Args:
        training, test: bound to ``rulesets/collusion_items.kr``; the encoder sees no label, and
            the graph of ``training`` only.

    Returns:
        The two parts, and a sentence on the training.
    """
    graph = node_graph(training)
    assert graph is not None
    columns = Encoder.fit(_seen(training, graph))
    domain = torch.from_numpy(graph.domain_of_node)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(OPTIONS.seed)
        network = infomax_network(columns.width, OPTIONS, domain)
        layers = [_layer(graph) for _ in range(OPTIONS.layers)]
        network.encoder = GraphEncoder(columns.width, OPTIONS.hidden, layers)
        x, edges = _inputs(training, graph, columns)
        order = torch.randperm(graph.node_count)
        held = int(HELD_SHARE * graph.node_count)

        def loss(nodes: torch.Tensor) -> torch.Tensor:
            true, false, summary = network(x, edges)
            mean: torch.Tensor = network.loss(true[nodes], false[nodes], summary)
            return mean

        schedule = TrainingSchedule(OPTIONS.epochs, OPTIONS.patience, OPTIONS.learning_rate, 0.0)
        said = train(network, loss, order[held:], order[:held], schedule)
    network.eval()
    parts = [_embedded(data, columns, network.encoder) for data in (training, test)]
    return *parts, said


def embedding_names() -> tuple[str, ...]:
    """Of the features that :func:`with_four_embeddings` adds."""
    return tuple(f"{end} embedding {i}" for end in TOUCHED for i in range(OPTIONS.hidden))


def graph_rows(study: Study, world: World) -> Found:
    """Every way of seeing the graph, over the same signs, and the rules over two of them.

    Args:
        study: of ``world``, inductive, with all models fitted.
        world: what it was drawn from.
    """
    (main,) = (model for model in study.program.models if model.name == "main")
    signs = dict(dict(main.call.options)["classifier"].options)["features"]
    gcn = make("gnn", {"convolution": "gcn", "features": FEATURES, "device": "cpu"} | GCN)
    one = make("infomax", {"classifier": make("trees", _trees(())), "hidden": OPTIONS.hidden})
    with_items = replace(world, program=kr.load(str(ITEMS))).inductive()
    start = time.process_time()
    training, test, said = with_four_embeddings(*with_items)
    print(f"{said}; {time.process_time() - start:.0f} CPU s", flush=True)
    four = make("trees", _trees((*signs, *embedding_names())))
    others = tuple(model for model in study.models if model.name != "main")
    over = Study.of(study.program, training, test, options={"main": four}, known=others)
    plain = Study.of(
        study.program,
        study.training,
        study.test,
        options={"main": make("trees", _trees(signs))},
        known=others,
    )
    return {
        "GCN, buyers and sellers": _scored(gcn, study.training, study.test)[study.local],
        "DGI alone, trees": _scored(one, study.training, study.test)[study.local],
        "DGI, signs, trees (main of the rule file)": study.model_scores("main"),
        "heterogeneous DGI alone (4 embeddings), trees": _scored(
            make("trees", _trees(embedding_names())), training, test
        )[study.local],
        HETEROGENEOUS: over.model_scores("main"),
        "signs, trees, no embedding": plain.model_scores("main"),
        "rules at learned weights over DGI": study.reason().scores,
        "rules at learned weights over heterogeneous DGI": over.reason().scores,
        "rules at learned weights, no embedding": plain.reason().scores,
    }


GCN = {**NETWORK, "convolution": "gcn", "layers": 2}


def _trees(features: tuple[str, ...]) -> dict[str, Any]:
    return {"features": features, "hops": 0, **TUNED}


def _scored(model: Any, training: Dataset, test: Dataset) -> Scores:
    output = predicted(model.fit(training, ASKED), test, ASKED, "")
    return np.asarray(output.llr, np.float64)


def _layer(graph: NodeGraph) -> HGTLayer:
    number = {domain: place for place, domain in enumerate(graph.offsets)}
    forwards = [(number[source], number[target]) for source, _, target in graph.relations]
    backwards = [(target, source) for source, target in forwards]
    return HGTLayer(OPTIONS.hidden, HEADS, len(number), [*forwards, *backwards])


def _inputs(data: Dataset, graph: NodeGraph, columns: Encoder) -> tuple[torch.Tensor, TypedEdges]:
    links = torch.from_numpy(typed_links(graph, graph.relations))
    spans = tuple(
        (place, start, start + len(data.vocabularies[domain]))
        for place, (domain, start) in enumerate(graph.offsets.items())
    )
    x = torch.from_numpy(columns.dense_matrix(_seen(data, graph)))
    return x, TypedEdges(links[0], links[1], links[2], spans)


def _seen(data: Dataset, graph: NodeGraph) -> FeatureTable:
    """Features of all nodes; of transactions those of the trade."""
    every = node_columns(data, graph)
    of_trades = {f"Transaction.{name}" for name in TRADE}
    kept = [n for n in every.names if not n.startswith("Transaction.") or n in of_trades]
    return every.select(kept)


@torch.no_grad()
def _embedded(data: Dataset, columns: Encoder, encoder: torch.nn.Module) -> Dataset:
    """The data with an embedding for each of :data:`TOUCHED` among a transaction's features."""
    graph = node_graph(data)
    assert graph is not None
    states = encoder(*_inputs(data, graph, columns)).numpy()
    four = [states[graph.offsets[domain] + _ends(data, end)] for end, domain in TOUCHED.items()]
    values = np.concatenate(four, axis=1).astype(np.float32)
    names = embedding_names()
    table = FeatureTable(names, values, (None,) * len(names))
    own = side_by_side([feature_table(data, "Transaction"), table])
    return replace(data, features={**data.features, "Transaction": own})


def _ends(data: Dataset, attribute: str) -> NDArray[np.int64]:
    """``int64[transactions]``: the thing an attribute names."""
    table = data.attributes[attribute]
    ids = np.zeros(data.count("Transaction"), np.int64)
    ids[table["a0"].to_numpy()] = table["value"].to_numpy()
    return ids
