"""Small worlds with a structure that an autoencoder can learn."""

import numpy as np
import pyarrow as pa

from knowreason import lang
from knowreason.data import Dataset, EdgeList

PROGRAM = """
domain Node, Shop
attribute joined(Node): int
observed Listed(Node)
query Bad(Node)
query Has(Node, Colour!)
domain Colour = { "red", "green", "blue" }
define Odd(n) := Listed(n)
"""


def two_groups(nodes=200, seed=0, shops=0, bad=40):
    """Nodes of two groups with like linked to like; the first ``bad`` are bad.

    With ``shops`` bad nodes buy late at the last shops, in one of two ways.
    """
    rng = np.random.default_rng(seed)
    group = np.arange(nodes) < bad
    names = [f"n{i}" for i in range(nodes)]
    mates = {True: np.flatnonzero(group), False: np.flatnonzero(~group)}
    source = np.concatenate([rng.choice(mates[g], 4 * len(mates[g])) for g in (True, False)])
    target = np.concatenate([rng.choice(mates[g], 4 * len(mates[g])) for g in (True, False)])
    strength = rng.normal(size=nodes) + 2 * group
    features = pa.table(
        {
            "node": names,
            "strength": strength.astype(np.float32),
            "twice": (2 * strength).astype(np.float32),
            "count": rng.integers(0, 4, nodes) + 3 * group,
            "kind": np.where(rng.random(nodes) < 0.8, np.where(group, "x", "y"), "z"),
        }
    )
    graph = [
        EdgeList(
            pa.table({"one": [names[i] for i in source], "two": [names[i] for i in target]}),
            source="one:Node",
            target="two:Node",
            name="knows",
        )
    ]
    if shops:
        graph += _purchases(rng, names, group, shops)
    return Dataset.from_frames(
        lang.loads(PROGRAM),
        things={"Node": pa.table({"node": names})},
        facts={
            "Listed": pa.table({"node": names[::2]}),
            "joined": pa.table({"node": names, "day": np.arange(nodes)}),
        },
        labels={"Bad": pa.table({"node": names, "bad": group.astype(int)})},
        features={"Node": features},
        graph=graph,
    )


def _purchases(rng, names, group, shops):
    buyer = rng.integers(0, len(names), 6 * len(names))
    late = group[buyer]
    shop = np.where(
        late, rng.integers(shops // 2, shops, len(buyer)), rng.integers(0, shops // 2, len(buyer))
    )
    time = np.where(late, 80, 20) + rng.integers(0, 20, len(buyer))
    by_card = rng.random(len(buyer)) < np.where(late, 0.9, 0.1)
    return [
        EdgeList(
            pa.table(
                {
                    "buyer": [names[i] for i in buyer[way]],
                    "shop": [f"s{i}" for i in shop[way]],
                    "time": time[way],
                }
            ),
            source="buyer:Node",
            target="shop:Shop",
            time="time",
            name=name,
        )
        for name, way in (("card", by_card), ("cash", ~by_card))
    ]
