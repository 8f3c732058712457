"""Real tables through the front door; skipped where they are not there."""

import numpy as np
import pyarrow.parquet as pq

from knowreason.data import Dataset, EdgeList, FeatureSource, folds, to_pyg
from knowreason.logic import Attribute, Domain, Predicate, Program
from tests.strategies_data import arguments

CARDS = Program(
    domains=(Domain("Payment"), Domain("Account"), Domain("Merchant")),
    predicates=(
        Predicate("Pays", "observed", arguments("Payment", "source:Account", "target:Merchant")),
        Predicate("Fraud", "query", arguments("Payment")),
    ),
    attributes=(
        Attribute("slice", arguments("Payment"), "int", clock=True),
        Attribute("amount", arguments("Payment"), "float"),
    ),
)
RATINGS = Program(
    domains=(Domain("User"),),
    predicates=(Predicate("Fraud", "query", arguments("User")),),
)


def payments(folder):
    table = pq.read_table(folder / "s_ffsd" / "s_ffsd.parquet")
    label = table.column("label").to_numpy()
    known = [None if value < 0 else int(value) for value in label]
    table = table.append_column("known", [known])
    return table, Dataset.from_frames(
        CARDS,
        facts={
            "Pays": table.select(["time", "source", "target"]),
            "slice": table.select(["time", "snapshot"]),
            "amount": table.select(["time", "amount"]),
        },
        labels={"Fraud": table.select(["time", "known"])},
        features={
            "Payment": FeatureSource(
                table, "time", ["amount", "location", "type"], ["location", "type"]
            )
        },
        graph=EdgeList(table, "source", "target", key="time:Payment", time="snapshot"),
    )


def test_card_payments_split_in_time(real_data):
    table, data = payments(real_data)
    assert data.count("Payment") == 77_881
    assert data.count("Account") == 30_346
    assert data.labels["Fraud"].num_rows == 5_256 + 24_387
    assert len(data.features["Payment"].categories[1]) == 296
    past, future = data.split_by("slice", before=34)
    early = table.column("snapshot").to_numpy() < 34
    assert past.count("Payment") == early.sum()
    assert past.facts["Pays"].num_rows == early.sum()
    assert past.count("Account") == len(np.unique(table.column("source").to_numpy()[early]))
    assert future.scope["Payment"].sum() == (~early).sum()
    kept = past.labels["Fraud"].num_rows
    assert kept + future.hidden["Fraud"].num_rows == data.labels["Fraud"].num_rows
    assert len(past.graph.edges()) == early.sum()
    forward = folds(past, "Fraud", 5, kind="forward")
    assert np.bincount(forward)[0] >= kept / 2
    assert np.bincount(forward).min() > kept / 12


def test_ratings_become_a_graph(real_data):
    folder = real_data / "bitcoin_trust"
    data = Dataset.from_frames(
        RATINGS,
        labels={"Fraud": folder / "otc_users.parquet"},
        graph=EdgeList(
            folder / "otc_edges.parquet",
            "source:User",
            "target:User",
            time="time",
            features=["rating"],
        ),
    )
    graph = to_pyg(data)
    assert graph.num_nodes == 5_881
    assert graph.edge_attr.shape == (35_592, 1)
    assert data.labels["Fraud"].column("value").to_numpy().sum() == 180
