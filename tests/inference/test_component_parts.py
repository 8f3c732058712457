"""A graph served part by part has the posterior of the whole."""

import pytest
import torch

from knowreason.errors import InferenceError
from knowreason.factors.components import connected
from knowreason.factors.components.connected import components, parts_of
from knowreason.factors.condition import condition
from knowreason.inference import component_parts, infer
from tests.inference.test_auto import clique, joined, ring, star
from tests.strategies import random_graph


def together(posterior):
    found = {}
    for report in posterior.reports:
        counts = found.setdefault((report.engine, report.quality), [0, 0])
        counts[0] += report.components
        counts[1] += report.atoms
    return found


def in_parts(graph, monkeypatch, most, **options):
    monkeypatch.setattr(component_parts, "MOST", most)
    return infer(graph, **options)


def same(parts, whole):
    torch.testing.assert_close(parts.log_odds, whole.log_odds, atol=1e-9, rtol=0)
    torch.testing.assert_close(parts.expectations, whole.expectations, atol=1e-8, rtol=1e-9)
    assert parts.log_z == pytest.approx(whole.log_z, abs=1e-8)
    assert parts.log_z_kind == whole.log_z_kind
    assert torch.equal(parts.component, whole.component)
    assert torch.equal(parts.quality, whole.quality)


@pytest.mark.parametrize("seed", range(30))
def test_parts_are_the_whole(seed, monkeypatch):
    graph = random_graph(
        seed, 14, factors=6, hard=seed % 3, blocks=seed % 2, counts=1, evidence=0.1
    )
    whole = infer(graph)
    same(in_parts(graph, monkeypatch, 3), whole)


def test_what_cannot_be_served_in_a_part_is_served_as_a_whole(monkeypatch):
    graph = joined(*(ring(3) for _ in range(20)), star(30), ring(40), clique(36), star(50), ring(4))
    options = {"updates": 10_000}
    whole = infer(graph, **options)
    parts = in_parts(graph, monkeypatch, 40, **options)
    same(parts, whole)
    assert together(parts) == together(whole)


def test_engine_exact_goes_in_parts_and_refuses_what_it_would_refuse_whole(monkeypatch):
    graph = joined(*(ring(3) for _ in range(20)), star(30), ring(40), star(50), ring(4))
    whole = infer(graph, engine="exact")
    parts = in_parts(graph, monkeypatch, 40, engine="exact")
    same(parts, whole)
    assert together(parts) == together(whole)
    with pytest.raises(InferenceError) as refusal:
        infer(joined(graph, clique(36)), engine="exact", exact_seconds=0.001)
    assert refusal.value.code == "KR704"


@pytest.mark.parametrize("seed", range(20))
def test_components_are_the_same_with_and_without_compiled_code(seed, monkeypatch):
    hard, blocks = seed % 3, seed % 2
    graph = random_graph(seed, 14, factors=4, hard=hard, blocks=blocks, counts=1, evidence=0.1)
    by_matrix = components(graph)
    monkeypatch.setattr(connected, "FEW", 0)
    compiled = components(graph)
    assert by_matrix[0].tolist() == compiled[0].tolist()
    assert by_matrix[1] == compiled[1]


def test_each_part_holds_whole_components_once():
    graph = condition(joined(*(star(k) for k in range(1, 40))))
    labels, count = components(graph)
    found = list(parts_of(graph, labels, count, 100))
    atoms = torch.cat([torch.from_numpy(index) for _, index in found])
    assert sorted(atoms.tolist()) == list(range(graph.atom_count))
    assert len(found) > 3
    rows = sum(part.rows for one, _ in found for part in one.factors)
    assert rows == sum(part.rows for part in graph.factors)
