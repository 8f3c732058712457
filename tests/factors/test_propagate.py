"""What evidence decides, against what all possible worlds agree on."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from knowreason.errors import InferenceError
from knowreason.factors import (
    Blocks,
    FactorGraph,
    GroundFactors,
)
from knowreason.factors.propagate import propagate
from knowreason.testing.oracle import enumerate_worlds
from tests.strategies import factor_graphs

KINDS = ("clause", "clause list", "table", "exactly one", "at most one", "demand", "definition")


def int32(*values):
    return torch.tensor(values, dtype=torch.int32)


def one_row(kind: str, size: int, rng: np.random.Generator) -> dict:
    """The parts of a graph with one hard row over the first ``size`` atoms."""
    atoms, offsets = torch.arange(size, dtype=torch.int32), torch.tensor([0, size])
    signs = rng.random(size) < 0.5
    if kind == "clause":
        return {"factors": (GroundFactors.of(atoms[None], tuple(signs.tolist()), None),)}
    if kind == "clause list":
        return {"factors": (GroundFactors.clauses(offsets, atoms, torch.tensor(signs), None),)}
    if kind == "table":
        allowed = torch.tensor((rng.random(1 << size) < 0.4).astype(np.float32))
        return {"factors": (GroundFactors.of(atoms[None], allowed, None),)}
    if kind in ("exactly one", "at most one"):
        return {"blocks": Blocks(offsets, atoms, torch.tensor([kind == "at most one"]))}
    lower, upper = sorted(rng.integers(0, size + 1, size=2).tolist())
    target = size if kind == "definition" else -1
    bounds = int32(lower), int32(upper)
    row = GroundFactors.counts(offsets, atoms, torch.tensor(signs), *bounds, int32(target))
    return {"factors": (row,)}


def agreed(graph: FactorGraph) -> np.ndarray:
    worlds = enumerate_worlds(graph).worlds.numpy()
    return np.where((worlds == worlds[0]).all(0), worlds[0], -1)


@pytest.mark.parametrize("kind", KINDS)
@given(size=st.integers(1, 4), seed=st.integers(0, 10**6))
def test_one_row_decides_all_that_follows_from_it(kind, size, seed):
    rng = np.random.default_rng(seed)
    atoms = size + 1
    graph = FactorGraph(
        log_odds=torch.zeros(atoms),
        theta=torch.zeros(0, dtype=torch.float64),
        evidence=torch.tensor(rng.choice([-1, 0, 1], size=atoms, p=[0.5, 0.25, 0.25])).to(
            torch.int8
        ),
        **one_row(kind, size, rng),
    )
    try:
        expected = agreed(graph)
    except InferenceError:  # the evidence contradicts the row
        assume(False)
    assert propagate(graph).tolist() == expected.tolist()


@given(factor_graphs(7))
def test_only_what_every_possible_world_agrees_on_is_decided(graph):
    decided = propagate(graph)
    expected = agreed(graph)
    assert np.isin(decided, [-1, 0, 1]).all()
    assert (decided[decided >= 0] == expected[decided >= 0]).all()
    again = propagate(graph.with_evidence(torch.from_numpy(decided)))
    assert again.tolist() == decided.tolist()


def test_a_chain_is_followed_to_its_end():
    """``a0``, ``a0 => a1``, ``a1 => a2`` and so on, in an order that does not help."""
    count = 20
    rows = torch.stack([torch.arange(count - 1), torch.arange(1, count)], 1).flip(0)
    evidence = torch.full((count,), -1, dtype=torch.int8)
    evidence[0] = 1
    graph = FactorGraph(
        log_odds=torch.zeros(count),
        theta=torch.zeros(0, dtype=torch.float64),
        evidence=evidence,
        factors=(GroundFactors.of(rows.to(torch.int32), (False, True), None),),
    )
    assert propagate(graph).tolist() == [1] * count
