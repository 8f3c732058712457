"""Which drugs treat which diseases: a toy of drug repurposing on the UMLS semantic network.

    python examples/repurposing.py [--seed 0] [--epochs 30]

The graph of kinds of things in medicine (135 of them, 46 relations), as PyKEEN's package carries it
(`pip install --no-deps pykeen`; nothing of it is imported). What treats what is known of half of
the pairs of an agent and a condition, and asked of the other half. The model embeds things and
relations (ComplEx); the rules inherit along `isa` and read what an agent does beside treating.
"""

from __future__ import annotations

import argparse
import importlib.util
from pathlib import Path

import numpy as np
import polars as pl
from three_ways import ranked, show, three_ways

import knowreason as kr
from knowreason.data import Dataset

PROGRAM = """
domain Thing
observed Isa(Thing, Thing)
observed Affects(Thing, Thing)
observed Prevents(Thing, Thing)
observed Complicates(Thing, Thing)
observed Known(Thing, Thing)                 # what treats what, as far as it is told
observed Asked(Thing, Thing)
define Sister(a, b) := Isa(a, c) & Isa(b, c) & a != b

query Treats(agent: Thing, condition: Thing) within Asked

model links for Treats = link_embedding("complex", epochs=30, dimension=32,
    facts=["Isa", "Affects", "Prevents", "Complicates"])

rule of_a_kind        : Isa(a, b) & Known(b, d) => Treats(a, d)
rule sister       [?] : Sister(a, b) & Known(b, d) => Treats(a, d)
rule for_a_kind       : Isa(d, e) & Known(a, e) => Treats(a, d)
rule for_a_sister [?] : Sister(d, e) & Known(a, e) => Treats(a, d)
rule prevents     [?] : Prevents(a, d) => Treats(a, d)
rule affects      [?] : Affects(a, d) => Treats(a, d)
rule complicates  [?] : Complicates(a, d) => Treats(a, d)
"""
FACTS = ("Isa", "Affects", "Prevents", "Complicates")


def folder() -> Path | None:
    """Where PyKEEN keeps the graph; `None` where it is not installed."""
    found = importlib.util.find_spec("pykeen")
    if found is None or not found.submodule_search_locations:
        return None
    return Path(found.submodule_search_locations[0]) / "datasets" / "umls"


def load(umls: Path, seed: int = 0, epochs: int = 30) -> Dataset:
    """Facts, and all pairs of an agent and a condition; half of the labels are hidden.

    An agent treats, prevents or affects something and a condition is treated, prevented or
    complicated by something, by all that the graph says.
    """
    parts = [np.loadtxt(umls / f"{part}.txt", dtype=str) for part in ("train", "valid", "test")]
    head, relation, tail = np.concatenate(parts).T
    treats = relation == "treats"
    acts = np.isin(relation, ["treats", "prevents"])
    agents = np.unique(head[acts | (relation == "disrupts")])
    conditions = np.unique(tail[acts | (relation == "complicates")])
    true = set(zip(head[treats], tail[treats], strict=True))
    asked = [(a, c) for a in agents for c in conditions if a != c]
    pairs = pl.DataFrame(asked, ["agent", "condition"], orient="row")
    label = np.array([pair in true for pair in asked])
    hidden = np.random.default_rng(seed).random(len(asked)) < 0.5
    data = Dataset.from_frames(
        kr.loads(PROGRAM.replace("epochs=30", f"epochs={epochs}")),
        facts={
            name: {"a0": head[relation == name.lower()], "a1": tail[relation == name.lower()]}
            for name in FACTS
        }
        | {"Asked": pairs, "Known": pairs.filter(label & ~hidden)},
        labels={"Treats": pairs.with_columns(label=pl.Series(label))},
    )
    return data.hide("Treats", hidden)


def compare(umls: Path, seed: int = 0, epochs: int = 30) -> dict[str, dict[str, float]]:
    """Average precision and AUC on the pairs whose label is hidden."""
    data = load(umls, seed, epochs)
    return ranked(three_ways(data.program, data, data, "Treats"), data, "Treats")


def main() -> None:
    """Print the table, or why not."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=30)
    given = parser.parse_args()
    umls = folder()
    if umls is None:
        raise SystemExit("the graph comes with PyKEEN: pip install --no-deps pykeen")
    show("what treats what", compare(umls, given.seed, given.epochs))


if __name__ == "__main__":
    main()
