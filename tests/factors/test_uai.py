"""UAI files keep the distribution."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings

from knowreason.errors import InferenceError
from knowreason.factors.arrays import array
from knowreason.factors.uai import parse_uai, read_uai, uai_text, write_uai
from knowreason.inference import infer
from knowreason.testing.oracle import enumerate_worlds
from tests.strategies import factor_graphs, random_graph


@settings(max_examples=30)
@given(factor_graphs(6))
def test_round_trip(graph):
    text, variables = uai_text(graph)
    truth = enumerate_worlds(graph)
    if not variables.count:
        return
    again = parse_uai(text)
    if again.atom_count > 14:  # blocks of at most one have an atom more
        return
    answer = enumerate_worlds(again)
    assert answer.log_z == pytest.approx(truth.log_z, abs=1e-6)
    sizes = variables.sizes
    first = np.concatenate([[0], np.cumsum(np.where(sizes == 2, 1, sizes))])
    atoms, places = [], []
    for atom, (v, digit) in enumerate(zip(variables.of_atom, variables.digit, strict=True)):
        if v >= 0 and (sizes[v] > 2 or digit == 1):
            atoms.append(atom)
            places.append(first[v] + (digit if sizes[v] > 2 else 0))
    torch.testing.assert_close(answer.log_odds[places], truth.log_odds[atoms], atol=1e-6, rtol=1e-9)


def test_files(tmp_path):
    graph = random_graph(1, 6)
    variables = write_uai(graph, tmp_path / "graph.uai")
    assert variables.count == 6
    again = read_uai(tmp_path / "graph.uai")
    assert enumerate_worlds(again).log_z == pytest.approx(enumerate_worlds(graph).log_z)


def test_the_format_by_hand():
    text = "MARKOV 2 2 3 2 1 0 2 0 1  2 0.4 0.6  6 1 2 3 0 5 6"
    answer = enumerate_worlds(parse_uai(text))
    weights = np.array([[0.4 * 1, 0.4 * 2, 0.4 * 3], [0, 0.6 * 5, 0.6 * 6]])
    assert answer.log_z == pytest.approx(np.log(weights.sum()))
    shares = np.array([weights[1].sum(), *weights.sum(0)]) / weights.sum()
    np.testing.assert_allclose(array(answer.marginals), shares, atol=1e-12)


@pytest.mark.parametrize(
    "text", ["NET 1 2 0", "MARKOV 1 2 1 1 0 3 1 1 1", "MARKOV 1 2 1 1 0 2 1", "MARKOV x", ""]
)
def test_what_is_no_uai_file(text):
    with pytest.raises(InferenceError, match="KR706"):
        parse_uai(text)


def test_tables_stay_tables():
    entries = [[3, 1, 0, 2, 5, 1, 1, 4], [1, 2, 3, 4, 5, 6, 7, 0], [2, 2, 1, 9, 1, 1, 8, 1]]
    scopes = [[0, 1, 2], [2, 3, 4], [4, 5, 6]]
    lines = ["MARKOV 7", "2 " * 7, "3", *("3 " + " ".join(map(str, s)) for s in scopes)]
    graph = parse_uai(" ".join([*lines, *("8 " + " ".join(map(str, e)) for e in entries)]))
    assert {part.potential for part in graph.factors} == {"table"}
    assert sum(part.rows for part in graph.factors if not part.is_hard) == 3
    weight = np.zeros((2,) * 7) + 1.0
    for scope, values in zip(scopes, entries, strict=True):
        axes = [2 if axis in scope else 1 for axis in range(7)]
        weight = weight * np.array(values).reshape(axes)  # scopes are in order: C order fits
    for engine in ("exact", "bp"):
        found = infer(graph, engine)
        assert found.log_z == pytest.approx(np.log(weight.sum()), abs=1e-6)
        for atom in range(7):
            share = weight.take(1, atom).sum() / weight.sum()
            assert float(found.probabilities[atom]) == pytest.approx(share, abs=1e-6)
