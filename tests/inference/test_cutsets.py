"""Cutset plans and draws: every variable once, and exactly its distribution."""

import numpy as np
import pytest

from knowreason.factors.energy import log_score
from knowreason.factors.kernel_decorators import compiled
from knowreason.inference.gibbs.cutset_kernels import States, draw_cutset
from knowreason.inference.gibbs.cutset_plans import cutset_plans
from knowreason.inference.gibbs.gibbs import prepare_gibbs
from knowreason.inference.gibbs.gibbs_kernels import read_rows
from knowreason.testing.oracle import enumerate_worlds
from tests.strategies import random_graph


@compiled
def frequencies(plan, entries, states, net, order, buffers, scratch, draws, seed):
    """Share of draws in which each atom is true; rows whose state is not their world's."""
    random, wrong = np.uint64(seed), 0
    odds = np.zeros(net.world.shape[0])
    share = np.zeros(net.world.shape[0])
    for _ in range(draws):
        random = draw_cutset(plan, entries, states, net, odds, True, buffers, scratch, random)
        share += net.world
        before = net.rows.copy()
        read_rows(net, order)
        for row in range(before.shape[0] - 1):
            wrong += before[row].state != net.rows[row].state
    return share / draws, odds, wrong


@pytest.mark.parametrize("seed", range(6))
def test_a_draw_of_everything_is_exact(seed):
    graph = random_graph(seed, 9, blocks=seed % 3, hard=seed % 2)
    truth = enumerate_worlds(graph).marginals.numpy()
    sampler = prepare_gibbs(graph)
    whole = sampler.ensembles(states=1 << 10, seed=0)
    known = whole.tables.variables
    plan = cutset_plans(
        whole.tables, np.ones(known.count, bool), count=1, states=1 << 10, seed=seed
    )[0]
    assert sorted(plan.variable.tolist()) == list(range(known.count))
    world = sampler.start(sampler.graph, 1, 0)[0]
    net = sampler.wiring.network(whole.weights, whole.unary, world)
    order = sampler.wiring.variables.count_order
    read_rows(net, order)
    share, odds, wrong = frequencies(
        plan,
        whole.tables.entries(sampler.wiring, whole.weights),
        States(known.offsets, known.atom),
        net,
        order,
        (np.empty(plan.entry[-1]), np.empty(plan.message[-1])),
        (np.zeros(known.count, np.int64), np.zeros(known.count, np.int64)),
        40_000,
        seed,
    )
    open_ = sampler.told
    assert wrong == 0
    np.testing.assert_allclose(share[open_], truth[open_], atol=0.015)
    np.testing.assert_allclose(1 / (1 + np.exp(-odds[open_])), truth[open_], atol=1e-9)


def test_cliques_stay_small_and_cutsets_move():
    graph = random_graph(3, 40, factors=80, blocks=3)
    ensembles = prepare_gibbs(graph).ensembles(states=16, seed=0)
    tables = ensembles.tables
    plans = cutset_plans(tables, np.ones(tables.variables.count, bool), count=4, states=16, seed=0)
    drawn = set()
    for plan in plans:
        assert plan.size.max() <= 16
        assert len(set(plan.variable.tolist())) == len(plan.variable)
        drawn |= set(plan.variable.tolist())
    assert len(drawn) >= 0.9 * tables.variables.count
    assert len(drawn) > max(len(plan.variable) for plan in plans)
    assert len({tuple(sorted(plan.variable.tolist())) for plan in plans}) > 1


def test_tables_hold_the_score_of_every_row():
    graph = random_graph(7, 8, blocks=1, tables=3)
    sampler = prepare_gibbs(graph)
    ensembles = sampler.ensembles(states=64, seed=0)
    tables, known = ensembles.tables, ensembles.tables.variables
    entries = tables.entries(sampler.wiring, ensembles.weights)
    worlds = sampler.sample(chains=5, sweeps=3)
    state = np.zeros(known.count, np.int64)
    scores = []
    for world in worlds.numpy():
        for flat, atom in enumerate(known.atom):
            variable = np.searchsorted(known.offsets, flat, side="right") - 1
            if (atom >= 0 and world[atom]) or atom < 0:
                state[variable] = flat - known.offsets[variable]
        total = float((ensembles.unary * world).sum())
        for t in range(len(tables.first) - 1):
            scope = tables.scope[tables.offsets[t] : tables.offsets[t + 1]]
            at = np.ravel_multi_index(state[scope], known.sizes[scope])
            total += entries[tables.first[t] + at]
        scores.append(total)
    truth = log_score(sampler.graph, worlds).numpy()
    np.testing.assert_allclose(np.diff(scores), np.diff(truth), atol=1e-6)
