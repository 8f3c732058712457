"""Shapley values by their definition, and splits that add up."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowreason.explanation.graph_variants import Variant, side_by_side, solve
from knowreason.explanation.shares import ask_shares, sampled_shapley, shapley, touching_rules
from knowreason.testing.oracle import enumerate_worlds
from tests.strategies import factor_graphs, random_graph

PLAYERS = [("rule", 0), ("rule", 1), ("rule", 2), ("parameter", 0)]


def random_game(seed):
    rng = np.random.default_rng(seed)
    sets = [frozenset()]
    for player in PLAYERS:
        sets += [s | {player} for s in sets]
    return dict(zip(sets, rng.normal(size=len(sets)).tolist(), strict=True))


def by_definition(worth):
    orders = list(permutations(PLAYERS))
    shares = dict.fromkeys(PLAYERS, 0.0)
    for order in orders:
        for place, player in enumerate(order):
            before = frozenset(order[:place])
            shares[player] += (worth[before | {player}] - worth[before]) / len(orders)
    return shares


@pytest.mark.parametrize("seed", range(5))
def test_shapley_is_the_mean_over_all_orders(seed):
    worth = random_game(seed)
    assert shapley(PLAYERS, worth) == pytest.approx(by_definition(worth))
    every_order = list(permutations(PLAYERS))
    assert sampled_shapley(every_order, worth) == pytest.approx(by_definition(worth))


@given(st.integers(0, 10_000))
def test_sampled_shares_add_up(seed):
    worth = random_game(seed)
    orders = [tuple(PLAYERS), tuple(PLAYERS[::-1])]
    total = worth[frozenset(PLAYERS)] - worth[frozenset()]
    assert sum(sampled_shapley(orders, worth).values()) == pytest.approx(total)
    assert sum(shapley(PLAYERS, worth).values()) == pytest.approx(total)


def test_shares_of_one_order_are_what_each_adds():
    worth = random_game(0)
    shares = sampled_shapley([tuple(PLAYERS)], worth)
    assert list(shares) == list(PLAYERS)
    for place, player in enumerate(PLAYERS):
        before = frozenset(PLAYERS[:place])
        assert shares[player] == pytest.approx(worth[before | {player}] - worth[before])


@settings(max_examples=25)
@given(factor_graphs(max_atoms=7))
def test_a_split_adds_up_to_the_log_odds(graph):
    question = ask_shares(graph, 0)
    results = solve(graph, question.variants)[:, 0]
    if np.isnan(results).any() or np.abs(results).max() > 100:
        return
    parts = question.answer(results)
    whole = float(enumerate_worlds(graph).log_odds[0])
    assert parts.total == pytest.approx(whole, abs=1e-5)
    total = parts.base + sum(parts.rules.values()) + sum(parts.parameters.values())
    assert total == pytest.approx(whole, abs=1e-5)


@settings(max_examples=25)
@given(factor_graphs(max_atoms=7), st.integers(0, 100))
def test_copies_side_by_side_are_separate_solutions(graph, seed):
    rng = np.random.default_rng(seed)
    variants = [Variant(), Variant(clamped={0: 1}), Variant(clamped={0: 0})]
    for place, group in enumerate(graph.factors):
        variants.append(Variant({place: rng.random(group.rows) < 0.5}))
    together = solve(graph, variants)
    alone = np.concatenate([solve(graph, [variant]) for variant in variants])
    np.testing.assert_allclose(together, alone, atol=1e-6)
    np.testing.assert_allclose(together[0], enumerate_worlds(graph).log_odds.numpy(), atol=1e-5)


def test_a_variant_without_a_world_is_nan_and_spoils_no_other():
    graph, atom, truth = next(decided_by_hard_rows())
    results = solve(graph, [Variant(), Variant(clamped={atom: 1 - truth}), Variant()])
    assert np.isfinite(results[[0, 2]]).all()
    assert np.isnan(results[1]).all()


def decided_by_hard_rows():
    for seed in range(100):
        graph = random_graph(seed=seed, atoms=5, hard=3)
        worlds = enumerate_worlds(graph).worlds.numpy()
        for atom in np.flatnonzero(worlds.min(axis=0) == worlds.max(axis=0)).tolist():
            yield graph, atom, int(worlds[0, atom])


def test_number_of_atoms_in_copies():
    graph = random_graph(seed=0, atoms=6)
    assert side_by_side(graph, [Variant()] * 3).atom_count == 18


def test_rules_that_touch_an_atom():
    graph = random_graph(seed=1, atoms=6)
    for atom in range(6):
        held = {
            ("rule", part.rule)
            for part in graph.couplings
            if not part.is_count and (part.entry_atoms == atom).any()
        }
        assert held <= set(touching_rules(graph, np.array([atom])))
