"""The canonical form: the same distribution, the same features, one table a set of atoms."""

from dataclasses import replace

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from knowreason.factors import FactorGraph, GroundFactors
from knowreason.factors.canonical import WIDEST, canonical
from knowreason.factors.condition import condition
from knowreason.factors.energy import features, log_score
from knowreason.row_keys import distinct_rows
from knowreason.testing.oracle import all_worlds
from tests.strategies import factor_graphs


def states_in(table, worlds):
    """``int64[s, m]``: state of every merged table in each world."""
    bits = worlds.long()[:, torch.from_numpy(table.atoms.astype(np.int64))]
    return (bits << torch.arange(table.atoms.shape[1])).sum(2)


def rewritten(graph) -> tuple[FactorGraph, tuple]:
    found = canonical(graph)
    return replace(graph, factors=(*graph.units, *found.lone)), found.merged


@settings(max_examples=60, deadline=None)
@given(factor_graphs(7))
def test_scores_and_features_are_those_of_the_rows(graph):
    graph = condition(graph)
    lone, merged = rewritten(graph)
    worlds = all_worlds(graph.evidence)
    score, total = log_score(lone, worlds), features(lone, worlds)
    for table in merged:
        state, rows = states_in(table, worlds), torch.arange(len(table.atoms))
        energy = table.energies(graph.theta)[rows, state]
        forbidden = torch.from_numpy(table.forbidden)[rows, state].any(1)
        score = (score + energy.sum(1)).masked_fill(forbidden, -torch.inf)
        for i, row in enumerate(state):
            chance = torch.zeros(table.forbidden.shape, dtype=torch.float64)
            chance[rows, row] = 1.0
            total[i] += table.features(chance, graph.parameter_count)
    torch.testing.assert_close(score, log_score(graph, worlds))
    torch.testing.assert_close(total, features(graph, worlds))


@settings(max_examples=60, deadline=None)
@given(factor_graphs(7))
def test_no_set_of_atoms_lies_inside_another(graph):
    found = canonical(condition(graph))
    sets = [set(map(int, row)) for table in found.merged for row in table.atoms]
    for part in found.lone:
        if part.target is None:
            atoms = np.split(part.entry_atoms, part.row_offsets[1:-1])
            sets += [set(map(int, row)) for row in atoms if 1 < len(row) <= WIDEST]
    for i, one in enumerate(sets):
        assert not any(one <= other for other in sets[:i] + sets[i + 1 :])


def test_a_lone_row_stays_itself():
    pairs = torch.tensor([[0, 1], [1, 2]]).int()
    rule = GroundFactors.of(pairs, (False, True), 0)
    graph = FactorGraph(torch.zeros(3), torch.ones(1), torch.full((3,), -1).to(torch.int8), (rule,))
    found = canonical(graph)
    assert found.lone == (rule,)
    assert not found.merged


def test_a_row_inside_two_tables_is_shared():
    wide = torch.tensor([[0, 1, 2], [0, 1, 3]]).int()
    rules = (
        GroundFactors.of(wide, (False, True, True), 0),
        GroundFactors.of(torch.tensor([[1, 0]]).int(), (True, True), 1),
    )
    graph = FactorGraph(torch.zeros(4), torch.ones(2), torch.full((4,), -1).to(torch.int8), rules)
    (table,) = canonical(graph).merged
    assert table.atoms.tolist() == wide.tolist()
    energy = table.energies(torch.tensor([0.0, 2.0], dtype=torch.float64))
    assert energy.tolist() == [[0.0, 1.0, 1.0, 1.0] * 2] * 2


def test_new_weights_refill_the_tables():
    pairs = torch.tensor([[0, 1], [1, 2]]).int()
    signs = (False, True), (True, False)
    rules = tuple(GroundFactors.of(pairs, s, p) for p, s in enumerate(signs))
    graph = FactorGraph(torch.zeros(3), torch.ones(2), torch.full((3,), -1).to(torch.int8), rules)
    (table,) = canonical(graph).merged
    theta = torch.tensor([0.5, 2.0], dtype=torch.float64, requires_grad=True)
    energy = table.energies(theta)
    assert energy.tolist() == [[2.5, 2.0, 0.5, 2.5]] * 2
    energy[0, 1].backward()
    assert theta.grad.tolist() == [0.0, 1.0]


@given(
    st.integers(1, 6).flatmap(
        lambda k: st.lists(
            st.lists(st.sampled_from([0, 1, 2**40, -(2**40)]), min_size=k, max_size=k),
            min_size=1,
        )
    )
)
def test_distinct_rows_of_long_keys(rows):
    key = np.array(rows, dtype=np.int64).reshape(len(rows), -1)
    first, inverse = distinct_rows(key.T)
    assert [tuple(key[i]) for i in first] == sorted({tuple(row) for row in key.tolist()})
    assert (key[first][inverse] == key).all() if len(key) else len(inverse) == 0
