"""Networks and evidence in UAI files, against enumeration and the competition's answers."""

import itertools

import numpy as np
import pytest

from knowreason.errors import InferenceError
from knowreason.inference import infer
from knowreason.inference.uai_networks import parse_evidence, read_network

SIZES = (2, 3, 2)
# P(a) P(b | a) P(c | b), every table with its last variable fastest
TABLES = (
    ((0,), (0.2, 0.8)),
    ((0, 1), (0.5, 0.25, 0.25, 0.1, 0.2, 0.7)),
    ((1, 2), (0.9, 0.1, 0.4, 0.6, 0.3, 0.7)),
)


def network(preamble):
    lines = [preamble, str(len(SIZES)), " ".join(map(str, SIZES)), str(len(TABLES))]
    lines += [f"{len(scope)} {' '.join(map(str, scope))}" for scope, _ in TABLES]
    lines += [f"{len(values)}\n {' '.join(map(str, values))}" for _, values in TABLES]
    return "\n".join(lines) + "\n"


def enumerated(observed):
    totals = [np.zeros(size) for size in SIZES]
    for states in itertools.product(*map(range, SIZES)):
        if any(states[v] != state for v, state in observed.items()):
            continue
        weight = 1.0
        for scope, values in TABLES:
            table = np.reshape(values, [SIZES[v] for v in scope])
            weight *= table[tuple(states[v] for v in scope)]
        for v, state in enumerate(states):
            totals[v][state] += weight
    return [total / total.sum() for total in totals]


@pytest.mark.parametrize("preamble", ["MARKOV", "BAYES"])
@pytest.mark.parametrize("observed", [{}, {0: 1}, {1: 2}, {1: 0, 2: 1}, {0: 0, 1: 1, 2: 0}])
@pytest.mark.parametrize("samples", ["", "1\n"])
def test_marginals_are_those_of_enumeration(tmp_path, preamble, observed, samples):
    (tmp_path / "n.uai").write_text(network(preamble))
    pairs = " ".join(f"{v} {state}" for v, state in observed.items())
    (tmp_path / "n.evid").write_text(f"{samples}{len(observed)} {pairs}\n")
    read = read_network(tmp_path / "n.uai", tmp_path / "n.evid")
    marginals = read.marginals(infer(read.graph, engine="exact"))
    assert [len(row) for row in marginals] == list(SIZES)
    for row, truth in zip(marginals, enumerated(observed), strict=True):
        np.testing.assert_allclose(row, truth, atol=1e-6)


@pytest.mark.parametrize(
    "text",
    ["2 0 1", "x", "1 0 2", "1 3 0", "1 -1 0", "2 0 0 0 1", "2 1 0 0 1 1 0", "1 0 1 1"],
)
def test_what_is_no_evidence(text):
    with pytest.raises(InferenceError, match="KR707"):
        parse_evidence(text, SIZES)


def test_evidence_with_and_without_the_number_of_samples():
    assert parse_evidence("", SIZES) == parse_evidence("0", SIZES) == parse_evidence("1 0", SIZES)
    assert parse_evidence("1 1 2", SIZES) == parse_evidence("1\n1 1 2", SIZES) == {1: 2}
    assert parse_evidence("2 1 2 0 0", SIZES) == parse_evidence("1 2 1 2 0 0", SIZES)


def answers(path):
    tokens = path.read_text().split()
    assert tokens[0] == "MAR"
    start, rows = 2, []
    for _ in range(int(tokens[1])):
        size = int(tokens[start])
        rows.append(np.array(tokens[start + 1 : start + 1 + size], dtype=float))
        start += 1 + size
    return rows


@pytest.mark.parametrize("name", ["Grids_12"])
def test_networks_of_the_competition(real_data, name):
    folder = real_data / "uai2014"
    if not (folder / f"{name}.uai").is_file():
        pytest.skip("the networks of UAI 2014 are not here")
    read = read_network(folder / f"{name}.uai", folder / f"{name}.uai.evid")
    marginals = read.marginals(infer(read.graph, engine="exact"))
    for row, truth in zip(marginals, answers(folder / f"{name}.uai.MAR"), strict=True):
        np.testing.assert_allclose(row, truth, atol=1e-6)
