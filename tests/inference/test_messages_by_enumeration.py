"""Messages, expected scores and elimination orders against sums over all states."""

from dataclasses import replace
from itertools import combinations, pairwise, product
from math import prod

import numpy as np
import pytest
import torch

from knowreason.factors import Blocks, FactorGraph, GroundFactors
from knowreason.factors.arrays import offsets_of, owners
from knowreason.factors.components.connected import components
from knowreason.factors.condition import condition
from knowreason.factors.energy import log_score
from knowreason.inference.exact.elimination import eliminate
from knowreason.inference.exact.log_messages import (
    clause_messages,
    clause_truth,
    count_messages,
    exclusive_log_odds,
    log1mexp,
    sums_without_own,
    table_messages,
    table_probabilities,
)
from knowreason.inference.mean_field.expected_score import (
    ExpectedScore,
    definition_depths,
    entangled,
)
from knowreason.inference.mean_field.mean_field import mean_field
from knowreason.inference.messages.message_graph import layout
from knowreason.testing.oracle import enumerate_worlds
from tests.strategies import random_graph


def sums(incoming, score, own: int, state: int) -> float:
    """Log of a sum over all states of a row in which ``own`` is in ``state``."""
    terms = []
    for states in product(*(range(len(logs)) for logs in incoming)):
        if states[own] == state:
            others = [logs[s] for logs, s in zip(incoming, states, strict=True)]
            terms.append(score(states) + sum(others) - others[own])
    return float(np.logaddexp.reduce(terms))


def test_log_of_one_less():
    x = np.array([-1e-12, -0.1, -np.log(2), -0.7, -3.0, -40.0, -np.inf])
    with np.errstate(divide="ignore"):
        np.testing.assert_allclose(log1mexp(x), np.log(-np.expm1(x)), rtol=1e-9, atol=1e-15)
        assert log1mexp(np.array([0.0]))[0] == -np.inf


def test_log_odds_of_each_state_against_the_rest():
    logs = np.random.default_rng(0).normal(0, 3, (4, 5))
    for row, found in zip(logs, exclusive_log_odds(logs), strict=True):
        expected = [x - np.logaddexp.reduce(np.delete(row, i)) for i, x in enumerate(row)]
        np.testing.assert_allclose(found, expected)
    np.testing.assert_allclose(exclusive_log_odds(np.array([[1.0, 3.0]])), [[-2.0, 2.0]])
    assert exclusive_log_odds(np.array([[1.0]])).tolist() == [[np.inf]]


def test_sums_of_the_others():
    inf = np.inf
    values = np.array([1.0, 2.0, 4.0, -inf, 3.0, -inf, -inf, 5.0])
    offsets = np.array([0, 3, 5, 7, 8])
    found = sums_without_own(values, offsets, owners(offsets))
    assert found.tolist() == [6.0, 5.0, 3.0, 3.0, -inf, -inf, -inf, 0.0]


@pytest.mark.parametrize("shape", [(2,), (2, 3), (3, 2, 2), (2, 2, 4, 2)])
def test_table_messages(shape):
    rng = np.random.default_rng(len(shape))
    energy = rng.normal(0, 1, (2, prod(shape)))
    incoming = [rng.normal(0, 1, (2, d)) for d in shape]
    messages = table_messages(energy, shape, incoming, range(len(shape)))
    beliefs = table_probabilities(energy, shape, incoming)
    for m in range(2):
        table = energy[m].reshape(shape)
        mine = [logs[m] for logs in incoming]
        for j, d in enumerate(shape):
            expected = [sums(mine, lambda s, t=table: t[s], j, state) for state in range(d)]
            np.testing.assert_allclose(messages[j][m], expected)
        joint = [
            np.exp(table[s] + sum(logs[i] for logs, i in zip(mine, s, strict=True)))
            for s in product(*map(range, shape))
        ]
        np.testing.assert_allclose(beliefs[m], np.array(joint) / np.sum(joint))
    only = table_messages(energy, shape, incoming, [len(shape) - 1])
    np.testing.assert_allclose(only[0], messages[-1])


@pytest.mark.parametrize("weight", [1.3, -0.8, np.inf])
def test_clause_messages(weight):
    rng = np.random.default_rng(3)
    lengths = [1, 2, 4]
    if weight == np.inf:
        lengths = [2, 3, 4]  # a hard clause of one literal is no message but evidence
    offsets = offsets_of(np.array(lengths))
    true, false = rng.normal(0, 1, (2, offsets[-1]))
    signs = rng.random(offsets[-1]) < 0.5
    weights = np.full(3, weight)
    owner = owners(offsets)
    with np.errstate(divide="ignore"):
        on, off = clause_messages(true, false, signs, offsets, owner, weights)
    truth = clause_truth(true, false, signs, offsets, weights)
    for row, (a, b) in enumerate(pairwise(offsets)):
        incoming, sign = list(zip(false[a:b], true[a:b], strict=True)), signs[a:b]

        def score(states, sign=sign):
            good = any(bool(s) == t for s, t in zip(states, sign, strict=True))
            if weight == np.inf:
                return 0.0 if good else -np.inf
            return weight * good

        for j in range(b - a):
            assert on[a + j] == pytest.approx(sums(incoming, score, j, 1))
            assert off[a + j] == pytest.approx(sums(incoming, score, j, 0))
        states = list(product((0, 1), repeat=b - a))
        energy = [score(s) + sum(x[i] for x, i in zip(incoming, s, strict=True)) for s in states]
        good = [any(bool(s) == t for s, t in zip(state, sign, strict=True)) for state in states]
        share = np.exp(energy) / np.exp(energy).sum()
        assert truth[row] == pytest.approx(share[good].sum())


@pytest.mark.parametrize(
    ("lower", "upper"), [(0, 1), (2, 2), (1, 3), (3, 4), (0, 4), (4, 9), (3, 2)]
)
def test_count_messages(lower, upper):
    rng = np.random.default_rng(4 * lower + upper)
    k = 4
    true, false = rng.normal(0, 1, (2, 1, k))
    inside, outside = rng.normal(0, 1, (2, 1))
    found = count_messages(true, false, inside, outside, np.array([lower]), np.array([upper]))
    incoming = list(zip(false[0], true[0], strict=True))

    def score(states):
        return float((inside if lower <= sum(states) <= upper else outside)[0])

    for j in range(k):
        assert found[0][0, j] == pytest.approx(sums(incoming, score, j, 1))
        assert found[1][0, j] == pytest.approx(sums(incoming, score, j, 0))
    states = list(product((0, 1), repeat=k))
    logs = np.array([sum(x[i] for x, i in zip(incoming, s, strict=True)) for s in states])
    within = np.array([lower <= sum(s) <= upper for s in states])
    for logs_found, chosen in ((found[2], within), (found[3], ~within)):
        expected = np.logaddexp.reduce(logs[chosen]) if chosen.any() else -np.inf
        assert logs_found[0] == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("variables", [1, 8, 14])
def test_elimination_makes_a_clique_tree(seed, variables):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(2, 5, variables).tolist()
    scopes = [(i, int(rng.integers(i))) for i in range(1, variables)] or [(0,)]
    scopes += [
        tuple(rng.choice(variables, min(3, variables), replace=False).tolist())
        for _ in range(variables // 3)
    ]
    tree = eliminate(sizes, scopes, 1 << 40)
    assert sorted(tree.order) == list(range(variables))
    assert tree.states(sizes) == sum(prod(sizes[v] for v in c) for c in tree.cliques)
    assert_clique_tree(tree, scopes)
    for score in ("weighted", "states"):
        tie = rng.permutation(variables).tolist()
        assert_clique_tree(eliminate(sizes, scopes, 1 << 40, score=score, tie=tie), scopes)
    alone = sum_of_buckets(sizes, scopes, tree.order)
    assert tree.states(sizes) <= alone  # joining cliques costs no states


def sum_of_buckets(sizes, scopes, order) -> int:
    """States of the cliques of an order, a clique for every variable."""
    left = [set(scope) for scope in scopes]
    total = 0
    for v in sorted(range(len(sizes)), key=order.__getitem__):
        clique = set().union({v}, *(scope for scope in left if v in scope))
        left = [scope for scope in left if v not in scope] + [clique - {v}]
        total += prod(sizes[u] for u in clique)
    return total


def assert_clique_tree(tree, scopes) -> None:
    position = tree.order.__getitem__
    assert tree.parents.count(-1) == 1
    assert all(up == -1 or up > i for i, up in enumerate(tree.parents))
    for clique in tree.cliques:
        assert list(clique) == sorted(clique, key=position, reverse=True)
    for scope in scopes:
        assert set(scope) <= set(tree.cliques[tree.home(scope)])
    for v, home in enumerate(tree.homes):
        holding = [i for i, clique in enumerate(tree.cliques) if v in clique]
        assert max(holding) == home  # running intersection: a subtree below its home
        assert all(v in tree.cliques[tree.parents[i]] for i in holding if i != home)


def test_elimination_prefers_what_adds_no_edge():
    ring = [(i, (i + 1) % 6) for i in range(6)]
    tree = eliminate([2] * 6, ring, 8)
    assert eliminate([2] * 6, ring, 7) is None
    assert [len(clique) for clique in tree.cliques] == [4, 4]  # two of three, joined in pairs
    star = [(0, i) for i in range(1, 9)]
    assert eliminate([2] * 9, star, 4) is not None
    full = list(combinations(range(5), 2))
    assert [len(c) for c in eliminate([2] * 5, full, 32).cliques] == [5]
    assert eliminate([2, 2, 2], [(0, 1, 2)], 7) is None


def test_elimination_of_many_variables():
    n = 450  # more than 400: smallest clique first
    chain = [(i, i + 1) for i in range(n - 1)]
    tree = eliminate([2] * n, chain, 4)
    assert max(map(len, tree.cliques)) == 3
    assert_clique_tree(tree, chain)


def independent(graph: FactorGraph, p: np.ndarray) -> tuple[torch.Tensor, np.ndarray]:
    """Possible worlds of a graph and their chance when free atoms are independent."""
    worlds = enumerate_worlds(graph).worlds
    free = ~graph.auxiliary.numpy()
    truth = worlds.numpy()[:, free]
    return worlds, np.where(truth == 1, p[free], 1 - p[free]).prod(1)


@pytest.mark.parametrize("seed", range(12))
def test_expected_score_is_the_mean_over_independent_worlds(seed):
    graph = random_graph(seed, 6, factors=5, blocks=0, counts=0, hard=0)
    graph = condition(replace(graph, constant=None))
    count = GroundFactors.counts(
        torch.tensor([0, 3, 5]), torch.tensor([0, 2, 4, 6, 5]).int(),
        torch.tensor([True, False, True, True, True]), torch.tensor([1, 2]).int(),
        torch.tensor([2, 2]).int(), torch.tensor([6, 7]).int(),
    )  # fmt: skip
    reward = GroundFactors.units(torch.tensor([7]).int(), 1)
    graph = FactorGraph(
        torch.cat([graph.log_odds, torch.zeros(2)]),
        graph.theta,
        torch.full((8,), -1, dtype=torch.int8),
        (*graph.factors, count, reward),
        auxiliary=torch.arange(8) > 5,
    )
    plan = layout(graph)
    labels, number = components(graph)
    score = ExpectedScore.of(plan, labels, number, "cpu")
    p = np.random.default_rng(seed).uniform(0.1, 0.9, 8)
    worlds, chance = independent(graph, p)
    assert chance.sum() == pytest.approx(1)
    true = torch.from_numpy(p)
    found = score.score(
        true, 1 - true, graph.unary_log_odds(), score.plan.weights(graph.theta), 3.0
    )
    expected = chance @ log_score(graph, worlds).numpy()
    assert entangled(plan) == 0
    assert float(found.sum()) == pytest.approx(expected, abs=1e-9)
    both = score.with_auxiliary(true, 1 - true)
    for values, state in zip(both, (1, 0), strict=True):
        share = chance @ (worlds.numpy() == state)
        np.testing.assert_allclose(values, share, atol=1e-12)


def test_a_broken_hard_row_costs_its_weight():
    graph = FactorGraph(
        torch.tensor([0.5, -0.2]),
        torch.zeros(0).double(),
        torch.full((2,), -1, dtype=torch.int8),
        (GroundFactors.of(torch.tensor([[0, 1]]).int(), (True, True), None),),
    )
    score = ExpectedScore.of(layout(graph), *components(graph), "cpu")
    true = torch.tensor([0.3, 0.6]).double()
    free = score.score(true, 1 - true, graph.unary_log_odds(), [None], 0.0)
    dear = score.score(true, 1 - true, graph.unary_log_odds(), [None], 5.0)
    assert float(free) == pytest.approx(0.5 * 0.3 - 0.2 * 0.6, abs=1e-7)
    assert float(free - dear) == pytest.approx(5.0 * 0.7 * 0.4)


def count(atoms, target: int, lower: int = 1) -> GroundFactors:
    return GroundFactors.counts(
        torch.tensor([0, len(atoms)]), torch.tensor(atoms).int(),
        torch.ones(len(atoms), dtype=torch.bool), torch.tensor([lower]).int(),
        torch.tensor([len(atoms)]).int(), torch.tensor([target]).int(),
    )  # fmt: skip


def of_counts(atoms: int, *counts: GroundFactors, blocks: Blocks | None = None) -> FactorGraph:
    targets = [int(part.target[0]) for part in counts if part.is_count]
    return FactorGraph(
        torch.zeros(atoms),
        torch.ones(1).double(),
        torch.full((atoms,), -1, dtype=torch.int8),
        counts,
        blocks or Blocks.none(),
        torch.isin(torch.arange(atoms), torch.tensor(targets)),
    )


def test_depths_of_definitions():
    graph = of_counts(7, count([5, 4], 6), count([0, 4], 5), count([0, 1], 4))
    plan = layout(graph)
    depths = definition_depths(list(plan.nodes), 7)
    found = {
        int(target): int(depth)
        for nodes, depth_of in zip(plan.nodes, depths, strict=True)
        for target, depth in zip(nodes.targets, depth_of, strict=True)
    }
    assert found == {4: 0, 5: 1, 6: 2}
    assert definition_depths([], 3) == []


def test_who_mentions_a_variable_twice():
    apart = of_counts(6, count([0, 1], 4), count([2, 3], 5))
    assert entangled(layout(apart)) == 0
    pair = GroundFactors.of(torch.tensor([[4, 0], [4, 2], [4, 5]]).int(), (True, True), 0)
    beside = replace(apart, factors=(*apart.factors, pair))
    assert entangled(layout(beside)) == 1  # only the row of atom 4 and its input 0
    nested = of_counts(7, count([0, 1], 4), count([4, 2], 5), count([5, 1], 6))
    assert entangled(layout(nested)) == 1
    blocks = Blocks(torch.tensor([0, 2]), torch.tensor([0, 2]).int(), torch.tensor([True]))
    tied = of_counts(6, count([0, 1], 4), count([2, 3], 5), blocks=blocks)
    assert entangled(layout(tied)) == 0
    both = GroundFactors.of(torch.tensor([[4, 5], [0, 2], [1, 3]]).int(), (True, True), 0)
    assert entangled(layout(replace(tied, factors=(*tied.factors, both)))) == 2


def test_mean_field_reports():
    graph = random_graph(5, 8, factors=4, tables=0, scale=0.4)
    found = mean_field(graph)
    labels, number = components(condition(graph))
    report = found.reports[0]
    assert (report.engine, report.components, report.atoms) == ("mean_field", number, 8)
    assert (report.converged, report.notes) == (number, ())
    assert report.residual <= 1e-6
    assert 1 < report.sweeps <= 500
    assert found.component.tolist() == labels.tolist()
    short = mean_field(graph, sweeps=1, tolerance=0.0)
    assert short.reports[0].sweeps == 1
    assert short.reports[0].residual > 1e-3
    assert not short.converged


@pytest.mark.parametrize("at_most_one", [False, True])
def test_mean_field_of_blocks_alone_is_exact(at_most_one):
    blocks = Blocks(torch.tensor([0, 3]), torch.arange(3).int(), torch.tensor([at_most_one]))
    graph = FactorGraph(
        torch.tensor([0.3, -1.0, 1.2, 0.7]),
        torch.tensor([0.5]).double(),
        torch.tensor([-1, -1, -1, 1], dtype=torch.int8),
        (GroundFactors.units(torch.tensor([1, 3]).int(), 0),),
        blocks,
        constant=torch.tensor([2.0]).double(),
    )
    truth, found = enumerate_worlds(graph), mean_field(graph)
    torch.testing.assert_close(found.log_odds, truth.log_odds, atol=1e-5, rtol=0)
    assert found.log_z == pytest.approx(truth.log_z, abs=1e-7)
    torch.testing.assert_close(found.expectations, truth.expectations, atol=1e-6, rtol=0)
