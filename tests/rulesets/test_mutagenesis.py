"""What the rules of mutagenesis derive from atoms and bonds, on molecules anyone can draw."""

import numpy as np
import pytest

import knowreason as kr
from knowreason.data import Dataset, EdgeList
from knowreason.models.base.feature_columns import evaluated
from knowreason.resources import rulesets_path

RING = [(i, (i + 1) % 6) for i in range(6)]
NAPHTHALENE = [*RING, (0, 6), (6, 7), (7, 8), (8, 9), (9, 5)]
MOLECULES = {
    "benzene": ("c" * 6, RING, []),
    "naphthalene": ("c" * 10, NAPHTHALENE, []),
    "nitrobenzene": ("cccccc" + "noo", RING, [(0, 6), (6, 7), (6, 8)]),
    "aniline": ("cccccc" + "nhh", RING, [(0, 6), (6, 7), (6, 8)]),
    "pyrrole": ("ccccn", [(i, (i + 1) % 5) for i in range(5)], []),
    "ethane": ("cchhhhhh", [], [(0, 1), *((i // 3, i + 2) for i in range(6))]),
}


@pytest.fixture(scope="module")
def data():
    atoms, bonds, aromatic = [], [], []
    for molecule, (elements, ring, other) in MOLECULES.items():
        atoms += [(f"{molecule}{i}", molecule, element) for i, element in enumerate(elements)]
        pairs = [(f"{molecule}{a}", f"{molecule}{b}") for a, b in [*ring, *other]]
        bonds += pairs
        aromatic += pairs[: len(ring)]
    return Dataset.from_frames(
        kr.load(rulesets_path() / "mutagenesis.kr"),
        facts={
            "Contains": {"m": [m for _, m, _ in atoms], "a": [a for a, _, _ in atoms]},
            "Bond": {"a": [a for a, _ in bonds], "b": [b for _, b in bonds]},
            "Aromatic": {"a": [a for a, _ in aromatic], "b": [b for _, b in aromatic]},
            "element": {"a": [a for a, _, _ in atoms], "e": [e for _, _, e in atoms]},
        },
        labels={"Mutagenic": {"m": list(MOLECULES), "y": [0, 1, 1, 0, 0, 0]}},
        graph=EdgeList(
            {"a": [a for a, _ in bonds], "b": [b for _, b in bonds]},
            source="a:Atom",
            target="b:Atom",
        ),
    )


def values(data, name):
    table = evaluated(data, [name])[name]
    names = [data.vocabularies["Molecule"].name(i) for i in table["a0"].to_pylist()]
    if "value" not in table.column_names:
        return set(names)
    return dict(zip(names, table["value"].to_pylist(), strict=True))


def test_rings_and_groups(data):
    assert values(data, "rings") == {
        "benzene": 1,
        "naphthalene": 2,
        "nitrobenzene": 1,
        "aniline": 1,
        "pyrrole": 1,
        "ethane": 0,
    }
    assert {m for m, count in values(data, "fused").items() if count} == {"naphthalene"}
    assert values(data, "fused")["naphthalene"] == 2
    assert {m for m, count in values(data, "nitro").items() if count} == {"nitrobenzene"}
    assert {m for m, count in values(data, "hetero").items() if count} == {"pyrrole"}
    assert values(data, "saturated")["ethane"] == 2
    assert values(data, "FiveRing") == {"pyrrole"}


def test_rules_and_both_models_run(data):
    models = {"graph": {"epochs": 2}, "counts": {"max_iter": 2}}
    reasoner = kr.Reasoner(data.program, models=models).fit(data)
    assert np.isfinite(reasoner.infer(data).marginals("Mutagenic").table["log_odds"]).all()
