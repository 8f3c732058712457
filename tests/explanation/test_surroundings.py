"""What lies around an atom: factors by atom, neighbourhoods, sites and the players of a split."""

import numpy as np
import pytest
import torch
from scipy.special import logit

from knowreason.explanation import shares as shares_module
from knowreason.explanation.factor_index import Incidence
from knowreason.explanation.graph_variants import Variant, side_by_side, solve
from knowreason.explanation.neighbourhood import neighbourhood
from knowreason.explanation.shares import ask_shares, block_mates, site_of, touching_rules
from knowreason.factors import Blocks, FactorGraph, GroundFactors
from knowreason.inference import infer
from knowreason.testing.oracle import enumerate_worlds


def graph_of(atoms: int, *factors: GroundFactors, blocks: Blocks | None = None) -> FactorGraph:
    return FactorGraph(
        torch.linspace(-0.5, 0.7, atoms),
        torch.tensor([1.2, -0.7]).double(),
        torch.full((atoms,), -1, dtype=torch.int8),
        factors,
        blocks or Blocks.none(),
    )


def chain(atoms: int) -> FactorGraph:
    links = torch.tensor([[i, i + 1] for i in range(atoms - 1)]).int()
    units = GroundFactors.units(torch.arange(atoms).int(), 1)
    return graph_of(atoms, GroundFactors.of(links, (False, True), 0, rule=0), units)


def mixed() -> FactorGraph:
    """Two clauses, a unit, a count that defines atom 5, a block of atoms 6 and 7."""
    clauses = GroundFactors.of(torch.tensor([[0, 1], [1, 2]]).int(), (True, True), 0, rule=4)
    unit = GroundFactors.units(torch.tensor([0, 3, 6]).int(), 1, rule=9)
    count = GroundFactors.counts(
        torch.tensor([0, 2]), torch.tensor([3, 4]).int(), torch.tensor([True, True]),
        torch.tensor([1]).int(), torch.tensor([1]).int(), torch.tensor([5]).int(), rule=7,
    )  # fmt: skip
    uses = GroundFactors.of(torch.tensor([[5, 6]]).int(), (True, False), 0, rule=8)
    blocks = Blocks(torch.tensor([0, 2]), torch.tensor([6, 7]).int(), torch.tensor([False]))
    return graph_of(9, clauses, unit, count, uses, blocks=blocks)


def test_factors_by_atom_and_atoms_by_factor():
    incidence = Incidence.of(mixed())
    assert incidence.starts.tolist() == [0, 2, 2, 3, 4, 5]
    touching = [incidence.touching(np.array([atom])).tolist() for atom in range(9)]
    assert touching == [[0], [0, 1], [1], [2], [2], [2, 3], [3, 4], [4], []]
    held = [incidence.held_by(np.array([factor])).tolist() for factor in range(5)]
    assert held == [[0, 1], [1, 2], [3, 4, 5], [5, 6], [6, 7]]
    assert incidence.touching(np.array([2, 0])).tolist() == [0, 1]
    assert incidence.held_by(np.array([0, 3])).tolist() == [0, 1, 5, 6]
    inside = np.isin(np.arange(9), [0, 1, 3, 4, 5, 6])
    within = incidence.within(inside)
    assert [rows.tolist() for rows in within] == [[0], [], [0], [0], []]


def test_incidence_of_a_graph_without_factors():
    incidence = Incidence.of(graph_of(3))
    assert incidence.touching(np.array([0, 1])).tolist() == []
    assert incidence.starts.tolist() == [0, 0]


def test_sites_hold_blocks_and_what_is_counted():
    graph = mixed()
    assert block_mates(graph, 6) == [7]
    assert block_mates(graph, 5) == []
    assert site_of(graph, 0).tolist() == [0]
    assert site_of(graph, 3).tolist() == [3, 5]
    assert site_of(graph, 7).tolist() == [6, 7]
    found = touching_rules(graph, site_of(graph, 3))
    assert {player: {k: v.tolist() for k, v in rows.items()} for player, rows in found.items()} == {
        ("rule", 8): {3: [True]}
    }
    found = touching_rules(graph, np.array([0, 2]))
    assert list(found) == [("rule", 4)]
    assert found["rule", 4][0].tolist() == [True, True]
    assert touching_rules(graph, np.array([0]))["rule", 4][0].tolist() == [True, False]


@pytest.mark.parametrize(("limit", "kept"), [(2, 3), (4, 3), (5, 5), (8, 7), (9, 9), (100, 9)])
def test_neighbourhoods_grow_by_whole_hops(limit, kept):
    graph = chain(9)
    log_odds = enumerate_worlds(graph).log_odds.numpy()
    near = neighbourhood(graph, Incidence.of(graph), 4, log_odds, limit)
    assert near.atoms.tolist() == list(range(4 - kept // 2, 5 + kept // 2))
    assert near.atoms[near.centre] == 4
    assert near.whole == (limit >= 9 and kept == 9)
    links, units = near.rows
    assert links[0] == 0
    assert links[1].tolist() == near.atoms[:-1].tolist()
    inner = near.atoms if near.whole else near.atoms[1:-1]
    assert (units[0], units[1].tolist()) == (1, inner.tolist())
    if not near.whole:  # the edge is given its marginal instead of its own evidence
        edge = near.graph.log_odds[[0, -1]].numpy()
        np.testing.assert_allclose(edge, log_odds[near.atoms[[0, -1]]], rtol=1e-6)
        torch.testing.assert_close(near.graph.log_odds[1:-1], graph.log_odds[near.atoms[1:-1]])
    else:
        torch.testing.assert_close(near.graph.log_odds, graph.log_odds)


def test_a_neighbourhood_leaves_other_components_out():
    graph = mixed()
    near = neighbourhood(graph, Incidence.of(graph), 1, np.zeros(9), 400)
    assert (near.atoms.tolist(), near.centre, near.whole) == ([0, 1, 2], 1, True)
    assert near.graph.blocks.count == 0
    alone = neighbourhood(graph, Incidence.of(graph), 8, np.zeros(9), 400)
    assert (alone.atoms.tolist(), alone.whole, alone.rows) == ([8], True, ())
    solved = infer(near.graph, "exact").log_odds
    torch.testing.assert_close(solved, enumerate_worlds(graph).log_odds[:3], atol=1e-6, rtol=0)


def test_a_split_by_hand():
    """One atom under a unit of -0.7 * 2 and a clause with an even partner."""
    unit = GroundFactors.units(torch.tensor([0]).int(), 1, torch.tensor([2.0]))
    clause = GroundFactors.of(torch.tensor([[0, 1]]).int(), (True, True), 0, rule=3)
    graph = graph_of(2, unit, clause)
    graph = FactorGraph(torch.zeros(2), graph.theta, graph.evidence, graph.factors)
    question = ask_shares(graph, 0)
    assert [sorted(variant.left_out) for variant in question.variants] == [[1], []]
    parts = question.answer(solve(graph, question.variants)[:, 0])
    effect = np.log(2 * np.exp(1.2)) - np.log(1 + np.exp(1.2))
    assert parts.parameters == {1: pytest.approx(-1.4)}
    assert parts.rules == {3: pytest.approx(effect)}
    assert parts.base == pytest.approx(0.0, abs=1e-9)
    assert parts.total == pytest.approx(effect - 1.4)
    assert parts.exact


def test_a_state_of_a_block_starts_from_one_among_equals():
    blocks = Blocks(torch.tensor([0, 4]), torch.arange(4).int(), torch.tensor([False]))
    graph = FactorGraph(
        torch.zeros(4), torch.tensor([1.2, -0.7]).double(),
        torch.full((4,), -1, dtype=torch.int8),
        (GroundFactors.units(torch.tensor([0, 1]).int(), torch.tensor([0, 1]).int()),), blocks,
    )  # fmt: skip
    question = ask_shares(graph, 0)
    assert len(question.variants) == 4  # both parameters, with and without
    parts = question.answer(solve(graph, question.variants)[:, 0])
    assert parts.base == pytest.approx(logit(1 / 4))
    first = (1.2 + 1.2) / 2  # its own score counts in full whatever the others have
    other = np.log(3) - np.log(2 + np.exp(-0.7))
    assert parts.parameters == {0: pytest.approx(first), 1: pytest.approx(other)}
    assert parts.rules == {}
    assert parts.total == pytest.approx(float(enumerate_worlds(graph).log_odds[0]))


def test_many_rules_are_sampled_and_still_add_up():
    rules = [
        GroundFactors.of(torch.tensor([[0, i]]).int(), (True, i % 2 == 0), 0, rule=i)
        for i in range(1, 14)
    ]
    graph = graph_of(14, *rules)
    question = ask_shares(graph, 0, seed=1)
    again = ask_shares(graph, 0, seed=1)
    other = ask_shares(graph, 0, seed=2)

    def left_out(asked):
        return [tuple(sorted(variant.left_out)) for variant in asked.variants]

    assert left_out(question) == left_out(again)
    assert left_out(question) != left_out(other)
    assert len(question.variants) <= shares_module.MOST_ORDERS * 14
    parts = question.answer(solve(graph, question.variants)[:, 0])
    assert not parts.exact
    assert len(parts.rules) == 13
    assert parts.base + sum(parts.rules.values()) == pytest.approx(parts.total)
    truth = enumerate_worlds(graph).log_odds[0]
    assert parts.total == pytest.approx(float(truth), abs=1e-6)
    assert ask_shares(graph_of(13, *rules[:12]), 0).answer(np.zeros(1 << 12)).exact


def test_copies_by_hand():
    graph = mixed()
    variants = [
        Variant(),
        Variant({0: np.array([True, False])}, {2: 1}),
        Variant({1: np.array([False, True, True]), 3: np.array([True])}),
    ]
    copies = side_by_side(graph, variants)
    assert copies.atom_count == 27
    assert torch.nonzero(copies.evidence >= 0).ravel().tolist() == [9 + 2]
    clauses, units, counts, uses = copies.factors
    assert clauses.atoms.tolist() == [[0, 1], [1, 2], [10, 11], [18, 19], [19, 20]]
    assert units.atoms.ravel().tolist() == [0, 3, 6, 9, 12, 15, 18]
    assert counts.targets().tolist() == [5, 14, 23]
    assert counts.entry_atoms.tolist() == [3, 4, 12, 13, 21, 22]
    assert uses.atoms.tolist() == [[5, 6], [14, 15]]
    assert copies.blocks.atoms.tolist() == [6, 7, 15, 16, 24, 25]
    assert copies.blocks.offsets.tolist() == [0, 2, 4, 6]
    assert solve(graph, []).shape == (0, 9)
