"""Bounds, several tables in one part and soft counts: folding, propagation and every engine."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from knowreason.errors import InferenceError
from knowreason.factors import Blocks, FactorGraph, GroundFactors
from knowreason.factors.arrays import entries_of, offsets_of, owners, segment_sum, sum_by
from knowreason.factors.canonical import canonical
from knowreason.factors.components.connected import components, log2_states, subgraph
from knowreason.factors.condition import clamp, condition, rule_name
from knowreason.factors.energy import features, log_score
from knowreason.factors.potentials.literal_counts import (
    count_limit,
    literal_lists,
    remaining_interval,
    shorter_counts,
)
from knowreason.factors.propagate import propagate
from knowreason.inference import infer
from knowreason.testing.oracle import all_worlds, enumerate_worlds

ATOMS = 7


def soft_counts(rng: np.random.Generator, rows: int, dense: bool) -> GroundFactors:
    """Soft intervals, some of them empty or always true; lists where not ``dense``."""
    lengths = np.full(rows, rng.integers(1, 5)) if dense else rng.integers(1, 6, rows)
    atoms = np.concatenate([rng.permutation(ATOMS)[:k] for k in lengths])
    signs = rng.random(lengths[0] if dense else len(atoms)) < 0.5
    lower, upper = rng.integers(-1, 4, rows), rng.integers(0, 6, rows)
    return GroundFactors(
        "interval",
        torch.tensor(atoms.reshape(rows, -1) if dense else atoms).int(),
        torch.tensor(rng.integers(0, 3, rows)).int(),
        torch.tensor(rng.normal(1, 0.5, rows)),
        None if dense else torch.tensor(offsets_of(lengths)),
        torch.tensor(signs),
        torch.tensor(lower).int(),
        torch.tensor(upper).int(),
    )


def many_tables(rng: np.random.Generator, rows: int) -> GroundFactors:
    """Rows that each have one of three tables; the second does not read its first atom."""
    k = int(rng.integers(1, 4))
    table = rng.normal(0, 1, (3, 1 << k))
    table[1, 1::2] = table[1, ::2]
    return GroundFactors(
        "table",
        torch.tensor(np.stack([rng.permutation(ATOMS)[:k] for _ in range(rows)])).int(),
        torch.tensor(rng.integers(0, 3, rows)).int(),
        table=torch.tensor(table),
        table_id=torch.tensor(rng.integers(0, 3, rows)).int(),
    )


def graph_of(*factors: GroundFactors, seed: int = 0, evidence=None, **parts) -> FactorGraph:
    rng = np.random.default_rng([seed, 9])
    return FactorGraph(
        torch.tensor(rng.normal(0, 1, ATOMS)).float(),
        torch.tensor([0.8, -0.6, 1.1]).double(),
        torch.tensor([-1] * ATOMS if evidence is None else evidence, dtype=torch.int8),
        factors,
        **parts,
    )


def mixed(seed: int, evidence: float = 0.0) -> FactorGraph:
    rng = np.random.default_rng(seed)
    parts = (soft_counts(rng, 3, True), soft_counts(rng, 3, False), many_tables(rng, 4))
    state = np.where(rng.random(ATOMS) < evidence, rng.integers(0, 2, ATOMS), -1)
    return graph_of(*parts, seed=seed, evidence=state)


def assert_same(left, right, atol=1e-6) -> None:
    assert left.log_z == pytest.approx(right.log_z, abs=atol)
    torch.testing.assert_close(left.log_odds, right.log_odds, atol=atol, rtol=1e-6)
    torch.testing.assert_close(left.expectations, right.expectations, atol=atol, rtol=0)


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.3, 0.6, 1.0]))
def test_folding_keeps_the_distribution(seed, evidence):
    graph = mixed(seed, evidence)
    folded = condition(graph)
    assert_same(enumerate_worlds(graph), enumerate_worlds(folded))
    decided = folded.evidence.numpy() >= 0
    for part in folded.factors:
        assert not part.holding(decided).any()
        assert part.is_unit or part.atoms.ndim == 1 or part.atoms.shape[1] > 1


@pytest.mark.parametrize("seed", range(8))
def test_engines_agree_with_enumeration(seed):
    graph = mixed(seed, 0.2)
    truth = enumerate_worlds(graph)
    for options in ({}, {"states": 1}):
        assert_same(infer(graph, "exact", **options), truth)
    best = infer(graph, "map").world
    score = float(log_score(graph, best[None])[0])
    assert score == pytest.approx(float(truth.log_probability.max()) + truth.log_z, abs=1e-6)
    bound = infer(graph, "mean_field").log_z
    assert bound is not None
    assert bound <= truth.log_z + 1e-9


@pytest.mark.parametrize("seed", range(4))
def test_gibbs_agrees(seed):
    graph = mixed(seed, 0.2)
    truth, found = enumerate_worlds(graph), infer(graph, "gibbs", updates=20_000_000, seed=seed)
    assert (found.probabilities - truth.marginals).abs().max() < 0.03
    torch.testing.assert_close(found.expectations, truth.expectations, atol=0.12, rtol=0)


@settings(max_examples=40)
@given(st.integers(0, 10**6))
def test_merging_keeps_scores_and_features(seed):
    graph = condition(mixed(seed))
    form = canonical(graph)
    worlds = all_worlds(graph.evidence)
    scores = log_score(replace(graph, factors=(*graph.units, *form.lone)), worlds)
    totals = features(replace(graph, factors=(*graph.units, *form.lone)), worlds)
    for merged in form.merged:
        bits = worlds.numpy()[:, merged.atoms].astype(np.int64)
        state = (bits << np.arange(bits.shape[2])).sum(2)
        rows = np.arange(len(merged.atoms))
        scores = scores + merged.energies(graph.theta)[rows, state].sum(1)
        for w in range(0, len(worlds), 17):
            chance = torch.zeros(merged.forbidden.shape).double()
            chance[rows, state[w]] = 1.0
            totals[w] += merged.features(chance, 3)
    torch.testing.assert_close(scores, log_score(graph, worlds), atol=1e-9, rtol=1e-9)
    torch.testing.assert_close(totals[::17], features(graph, worlds)[::17])


def demand(lower, upper, size=4, signs=None, target=-1) -> GroundFactors:
    return GroundFactors.counts(
        torch.tensor([0, size]),
        torch.arange(size).int(),
        torch.ones(size, dtype=torch.bool) if signs is None else torch.tensor(signs),
        torch.tensor([lower]).int(),
        torch.tensor([upper]).int(),
        torch.tensor([target]).int(),
        rule=6,
    )


@pytest.mark.parametrize(("lower", "upper"), [(3, 2), (5, 9), (-3, -1)])
def test_what_no_count_satisfies(lower, upper):
    with pytest.raises(InferenceError, match="1 of rule 6") as caught:
        condition(graph_of(demand(lower, upper)))
    assert caught.value.code == "KR703"
    defined = graph_of(demand(lower, upper, target=4))
    assert propagate(defined).tolist() == [-1] * 4 + [0, -1, -1]
    assert_same(enumerate_worlds(defined), enumerate_worlds(condition(defined)))


@pytest.mark.parametrize(("lower", "upper"), [(0, 4), (-2, 7)])
def test_what_every_count_satisfies(lower, upper):
    assert condition(graph_of(demand(lower, upper))).factors == ()
    assert propagate(graph_of(demand(lower, upper, target=4))).tolist() == [-1] * 4 + [1, -1, -1]


@pytest.mark.parametrize(
    ("lower", "upper", "target", "expected"),
    [
        (4, 4, 1, [1, 0, 1, 1]),  # all literals
        (0, 0, 1, [0, 1, 0, 0]),  # none
        (1, 4, 0, [0, 1, 0, 0]),  # not even one
        (0, 3, 0, [1, 0, 1, 1]),  # more than three
        (1, 3, 0, [-1, -1, -1, -1]),  # none or all: nothing is decided
        (2, 4, 1, [-1, -1, -1, -1]),
        (4, 4, -1, [-1, -1, -1, -1]),
    ],
)
def test_targets_decide_literals(lower, upper, target, expected):
    signs = [True, False, True, True]
    graph = graph_of(
        demand(lower, upper, signs=signs, target=4), evidence=[-1] * 4 + [target, -1, -1]
    )
    assert propagate(graph).tolist() == [*expected, target, -1, -1]


def test_literals_decide_what_is_left():
    """At least two of three, one of them false: both others are true."""
    graph = graph_of(demand(2, 3, size=3), evidence=[0, -1, -1, -1, -1, -1, -1])
    assert propagate(graph).tolist() == [0, 1, 1, -1, -1, -1, -1]
    graph = graph_of(demand(0, 1, size=3), evidence=[1, -1, -1, -1, -1, -1, -1])
    assert propagate(graph).tolist() == [1, 0, 0, -1, -1, -1, -1]
    graph = graph_of(demand(1, 2, size=3), evidence=[1, -1, -1, -1, -1, -1, -1])
    assert propagate(graph).tolist() == [1, -1, -1, -1, -1, -1, -1]


def test_a_false_target_with_room_on_both_sides_stays():
    graph = graph_of(demand(1, 2, size=3, target=4), evidence=[-1] * 4 + [0, -1, -1])
    folded = condition(graph)
    assert folded.evidence[4] == -1
    assert infer(graph, "exact").log_odds[4] == -700
    assert_same(enumerate_worlds(graph), enumerate_worlds(folded))


@pytest.mark.parametrize("size", [1, 4, 6])
def test_counting_may_stop_where_all_larger_counts_are_alike(size):
    for lower in range(-1, size + 2):
        for upper in range(-1, size + 3):
            limit = int(count_limit(*(np.array([x]) for x in (lower, upper, size)))[0])
            alike = {lower <= n <= upper for n in range(min(limit, size), size + 1)}
            assert len(alike) == 1
            flip, low, high = shorter_counts(*(np.array([x]) for x in (lower, upper, size)))
            for n in range(size + 1):
                counted = size - n if flip[0] else n
                assert (low[0] <= counted <= high[0]) == (lower <= n <= upper)


def test_shorter_counts_take_the_shorter_way():
    lower, upper, size = np.array([8, 0, 1, 9]), np.array([10, 2, 10, 9]), np.full(4, 10)
    flip, low, high = shorter_counts(lower, upper, size)
    assert flip.tolist() == [True, False, False, True]
    assert list(zip(low.tolist(), high.tolist(), strict=True)) == [(0, 2), (0, 2), (1, 10), (1, 1)]


def test_rows_as_lists():
    factors = GroundFactors.counts(
        torch.tensor([0, 3, 5]),
        torch.tensor([4, 2, 0, 1, 3]).int(),
        torch.tensor([True, False, True, True, True]),
        torch.tensor([3, 1]).int(),
        torch.tensor([3, 2]).int(),
        torch.tensor([5, -1]).int(),
    )
    offsets, atoms, signs, lower, upper, defining = literal_lists(factors)
    assert offsets.tolist() == [0, 4, 6]
    assert atoms.tolist() == [4, 2, 0, 5, 1, 3]
    assert signs.tolist() == [False, True, False, True, True, True]  # none of three false ones
    assert (lower.tolist(), upper.tolist()) == ([0, 1], [0, 2])
    assert defining.tolist() == [True, False]
    evidence = np.array([1, -1, 1, 0, -1, -1], dtype=np.int8)
    low, high, free = remaining_interval(factors, evidence)
    assert (low.tolist(), high.tolist(), free.tolist()) == ([2, 1], [2, 2], [1, 1])


def test_rows_of_varying_length():
    offsets = np.array([0, 2, 2, 5])
    assert offsets_of(np.array([2, 0, 3])).tolist() == offsets.tolist()
    assert owners(offsets).tolist() == [0, 0, 2, 2, 2]
    values = np.array([1, 2, 3, 4, 5])
    assert segment_sum(values, offsets).tolist() == [3, 0, 12]
    assert segment_sum(values > 2, offsets).tolist() == [0, 0, 3]
    both = segment_sum(np.stack([values, -values], 1), offsets)
    assert both.tolist() == [[3, -3], [0, 0], [12, -12]]
    assert segment_sum(values[:0], np.array([0, 0])).tolist() == [0]
    entries, fresh = entries_of(offsets, np.array([2, 1, 0, 2]))
    assert entries.tolist() == [2, 3, 4, 0, 1, 2, 3, 4]
    assert fresh.tolist() == [0, 3, 3, 5, 8]
    total = sum_by(np.array([2, 0, 2]), np.array([1.0, 2.0, 3.0]), 4)
    assert total.tolist() == [2.0, 0.0, 4.0, 0.0]


def test_what_kind_rows_are():
    atoms = torch.tensor([[0], [1]]).int()
    unit = GroundFactors.units(torch.tensor([0, 1]).int(), 0)
    negative = GroundFactors.of(atoms, (False,), 0)
    hard = GroundFactors.of(atoms, (True,), None)
    lists = GroundFactors.clauses(
        torch.tensor([0, 1]), torch.tensor([0]).int(), torch.tensor([True]), 0
    )
    table = GroundFactors.of(atoms, torch.tensor([0.0, 1.0]), 0)
    count = demand(1, 2)
    kinds = [unit, negative, hard, lists, table, count]
    assert [part.is_unit for part in kinds] == [True] + [False] * 5
    assert [part.is_clause for part in kinds] == [True, True, True, True, False, False]
    assert [part.is_hard for part in kinds] == [False, False, True, False, False, True]
    assert [part.is_count for part in kinds] == [False] * 5 + [True]
    assert [part.is_alike for part in kinds] == [True, True, True, False, True, False]
    assert [part.rows for part in kinds] == [2, 2, 2, 1, 2, 1]
    assert hard.parameters().tolist() == [-1, -1]
    assert [bound.tolist() for bound in unit.bounds()] == [[1, 1], [1, 1]]
    assert [bound.tolist() for bound in count.bounds()] == [[1], [2]]
    assert demand(1, 2, target=5).first_atoms().tolist() == [5]
    assert count.first_atoms().tolist() == [0]
    inside = np.arange(7) == 5
    assert demand(1, 2, target=5).holding(inside).tolist() == [False]
    assert rule_name(0) == "rule 0"
    assert rule_name(-1) == "rows without a rule"


@pytest.mark.parametrize("seed", range(4))
def test_copies_of_rows_score_their_copy_of_the_world(seed):
    rng = np.random.default_rng(seed)
    for part in (soft_counts(rng, 4, True), soft_counts(rng, 4, False), many_tables(rng, 4)):
        rows, copy = np.array([3, 0, 3]), np.array([1, 0, 0])
        moved = part.copied(copy, rows, ATOMS)
        world = torch.tensor(rng.integers(0, 2, (1, 2 * ATOMS))).to(torch.int8)
        whole = replace(graph_of(), log_odds=torch.zeros(2 * ATOMS),
                        evidence=torch.full((2 * ATOMS,), -1, dtype=torch.int8))  # fmt: skip
        found = features(replace(whole, factors=(moved,)), world)
        expected = torch.zeros_like(found)
        for row, half in zip(rows, copy, strict=True):
            one = replace(whole, factors=(part.take(np.array([row])),))
            expected += features(one, world.roll(-ATOMS * int(half), 1))
        torch.testing.assert_close(found, expected)


def test_components_by_hand():
    blocks = Blocks(torch.tensor([0, 2]), torch.tensor([5, 6]).int(), torch.tensor([True]))
    pair = GroundFactors.of(torch.tensor([[4, 2]]).int(), (True, True), 0)
    unit = GroundFactors.units(torch.tensor([0]).int(), 0)
    graph = graph_of(pair, unit, blocks=blocks, evidence=[-1, 1, -1, -1, -1, -1, -1])
    labels, count = components(graph)
    assert (labels.tolist(), count) == ([0, -1, 1, 2, 1, 3, 3], 4)
    size = log2_states(graph, labels, count)
    np.testing.assert_allclose(size, [1, 2, 1, np.log2(3)])
    part, atoms = subgraph(graph, labels == 1)
    assert atoms.tolist() == [2, 4]
    assert [one.atoms.tolist() for one in part.factors] == [[[1, 0]]]
    assert part.blocks.count == 0
    assert part.log_odds.tolist() == graph.log_odds[[2, 4]].tolist()
    last, _ = subgraph(graph, labels == 3)
    assert last.blocks.atoms.tolist() == [0, 1]
    assert last.factors == ()
    defined = graph_of(demand(1, 2, size=2, target=3))
    assert log2_states(defined, *components(defined)).tolist() == [2, 1, 1, 1, 1]


def test_labels_are_added_to_evidence():
    graph = graph_of(evidence=[-1, 1, 0, -1, -1, -1, -1])
    labels = torch.tensor([0, -1, -1, 1, -1, -1, -1])
    assert clamp(graph, labels).evidence.tolist() == [0, 1, 0, 1, -1, -1, -1]


@pytest.mark.parametrize("k", [1, 2, 3])
def test_hard_tables_decide_by_row(k):
    """Each row has a table of its own; what all its states agree on is decided."""
    table = np.zeros((3, 1 << k))
    table[0, -1] = 1.0  # all true
    table[1, 0] = 2.0  # all false
    table[2] = 1.0  # anything
    scopes = [[0, 1, 2][:k], [3, 4, 5][:k], [6, 0, 1][:k]]
    part = GroundFactors(
        "table",
        torch.tensor(scopes).int(),
        None,
        table=torch.tensor(table),
        table_id=torch.tensor([0, 1, 2]).int(),
    )
    decided = propagate(graph_of(part))
    assert decided[scopes[0]].tolist() == [1] * k
    assert decided[scopes[1]].tolist() == [0] * k
    assert decided[6] == -1
    folded = condition(graph_of(part))
    assert folded.factors == ()
