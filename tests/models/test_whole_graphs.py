"""Many small graphs: packs of whole components say what the union says, in less memory."""

import numpy as np
import pyarrow as pa
import pytest
import torch
from sklearn.metrics import roc_auc_score

from knowreason import lang
from knowreason.data import Dataset, EdgeList
from knowreason.models import make, rows_of
from knowreason.models.graph import gnn, neighbour_sampling
from knowreason.models.graph.neighbour_sampling import components_of, packed_links, worth_packing
from knowreason.testing.example_world import example_data

CONVOLUTIONS = ("gcn", "sage", "gin", "gat", "gatv2", "transformer", "gine", "nnconv", "hgt")


def molecules(count=90, seed=0):
    """Molecules of 3 to 9 atoms, chains or rings of bonds with lengths; rings are toxic."""
    random = np.random.default_rng(seed)
    sizes = random.integers(3, 10, count)
    molecule, first = np.repeat(np.arange(count), sizes), np.cumsum(sizes) - sizes
    atom = np.arange(len(molecule))
    ring = random.random(count) < 0.5
    last = atom == (first + sizes - 1)[molecule]
    bonded = ~last | ring[molecule]
    source, target = atom[bonded], np.where(last, first[molecule], atom + 1)[bonded]
    names = random.permutation(len(atom)).astype(str)  # ids do not follow the molecules
    shown = random.permutation(len(source))
    bonds = {"a": names[source[shown]], "b": names[target[shown]]}
    bonds["length"] = random.normal(size=len(source))
    half = np.arange(count) < count // 2
    return Dataset.from_frames(
        lang.loads(
            "domain Molecule, Atom\nobserved Contains(Molecule, Atom)\nquery Toxic(Molecule)\n"
        ),
        facts={"Contains": {"m": molecule.astype(str), "a": names}},
        labels={"Toxic": {"m": np.arange(count).astype(str), "toxic": ring}},
        features={"Atom": {"a": names, "weight": random.normal(size=len(atom))}},
        graph=EdgeList(pa.table(bonds), "a:Atom", "b:Atom", features=["length"]),
    ).hide("Toxic", ~half)


@pytest.fixture(scope="module")
def data():
    return molecules()


def options(convolution, **others):
    carried = ("length",) if convolution in ("gatv2", "gine", "nnconv", "transformer") else ()
    fixed = {"hidden": 8, "heads": 2, "pool": "Contains", "message_features": carried}
    return {"convolution": convolution, "epochs": 2, "dropout": 0.0, **fixed, **others}


@pytest.mark.parametrize("convolution", CONVOLUTIONS)
def test_packs_say_what_the_union_says(data, convolution):
    union = make("gnn", options(convolution, whole_graphs="union")).fit(data, "Toxic")
    packed = make("gnn", options(convolution, whole_graphs="packed", batch_size=7))
    packed.load_state(union.state())
    np.testing.assert_allclose(
        packed.log_odds(data, "Toxic"), union.log_odds(data, "Toxic"), atol=1e-4
    )


def test_packs_are_exact_where_graphs_hang_together():
    data = example_data(nodes=60, payments=100)
    union = make("gnn", options("sage", pool="Holds", whole_graphs="union")).fit(data, "Ring")
    packed = make("gnn", options("sage", pool="Holds", whole_graphs="packed"))
    packed.load_state(union.state())
    np.testing.assert_allclose(
        packed.log_odds(data, "Ring"), union.log_odds(data, "Ring"), atol=1e-4
    )


def test_one_pack_of_all_learns_what_the_union_learns(data):
    one = options("sage", epochs=8)
    union = make("gnn", {**one, "whole_graphs": "union"}).fit(data, "Toxic")
    packed = make("gnn", {**one, "whole_graphs": "packed"}).fit(data, "Toxic")
    np.testing.assert_allclose(
        packed.log_odds(data, "Toxic"), union.log_odds(data, "Toxic"), atol=1e-3
    )


def test_a_pack_holds_its_components_and_nothing_else(data, monkeypatch):
    seen = []

    def spied(*arguments):
        seen.append(packed_links(*arguments))
        return seen[-1]

    monkeypatch.setattr(gnn, "packed_links", spied)
    make("gnn", options("gin", whole_graphs="packed", batch_size=4)).fit(data, "Toxic")
    assert len(seen) > 10
    assert max(len(pack.nodes) for pack in seen) <= 4 * 9


def test_packed_links_are_those_of_the_components():
    random = np.random.default_rng(0)
    ends = random.integers(0, 60, (2, 35))
    pairs = np.unique(np.concatenate([ends, ends[::-1]], axis=1), axis=1)
    pairs = pairs[:, pairs[0] != pairs[1]]
    target, source = pairs
    pointers = np.searchsorted(target, np.arange(61))
    component = components_of(pointers, source)
    order = np.argsort(component, kind="stable")
    seeds = np.array([3, 17, 3])
    pack = packed_links(
        *map(torch.from_numpy, (pointers, source, component)),
        torch.from_numpy(np.stack([component[order], order])),
        torch.from_numpy(seeds),
    )
    inside = np.isin(component, component[seeds])
    np.testing.assert_array_equal(pack.nodes.numpy(), np.flatnonzero(inside))
    np.testing.assert_array_equal(pack.link.numpy(), np.flatnonzero(inside[target]))
    np.testing.assert_array_equal(pack.nodes[pack.source].numpy(), source[inside[target]])
    np.testing.assert_array_equal(pack.nodes[pack.target].numpy(), target[inside[target]])


def test_packs_are_chosen_where_the_union_is_large_and_its_parts_small(data, monkeypatch):
    model = make("gnn", options("sage")).fit(data, "Toxic")
    rows = rows_of(data, "Toxic")
    assert "packs" not in model.inputs(data, rows)
    monkeypatch.setattr(neighbour_sampling, "LARGE", 200)
    monkeypatch.setattr(gnn, "PACK", 100)
    inputs = model.inputs(data, rows)
    assert "packs" in inputs
    assert "edges" not in inputs
    assert 3 <= model.rows_a_step(inputs) <= 8
    assert "a step" in make("gnn", options("sage")).fit(data, "Toxic").report_[0]
    monkeypatch.setattr(neighbour_sampling, "PACK", 20)
    assert "packs" not in model.inputs(data, rows)
    pointers, component = np.array([0, 1, 2, 2]), np.array([0, 0, 1])
    monkeypatch.setattr(neighbour_sampling, "LARGE", 4)
    assert worth_packing(pointers, component)
    monkeypatch.setattr(neighbour_sampling, "PACK", 3)
    assert not worth_packing(pointers, component)


def test_small_batches_of_whole_graphs_learn():
    data = molecules(count=240)
    chosen = options("gin", hidden=16, epochs=25, whole_graphs="packed", batch_size=16)
    scores = make("gnn", chosen).fit(data, "Toxic").log_odds(data, "Toxic")
    rows, table = rows_of(data, "Toxic"), data.hidden["Toxic"]
    truth = np.zeros(rows.count)
    truth[table["a0"].to_numpy()] = table["value"].to_numpy()
    asked = np.isin(np.arange(rows.count), table["a0"].to_numpy())
    assert roc_auc_score(truth[asked], scores[asked]) > 0.95
