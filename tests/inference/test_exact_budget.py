"""What exact inference may take: read, estimated beforehand, kept to."""

import math

import numpy as np
import pytest
import torch

from knowreason.errors import InferenceError
from knowreason.factors import FactorGraph, GroundFactors
from knowreason.factors.components.connected import components
from knowreason.factors.components.shapes import Shapes
from knowreason.factors.condition import condition
from knowreason.inference import infer
from knowreason.inference.exact.clique_layout import CliqueLayout
from knowreason.inference.exact.elimination import eliminate
from knowreason.inference.exact.exact import prepare
from knowreason.inference.exact.exact_budget import ExactBudget
from knowreason.inference.exact.order_search import clique_tree, dissected, eliminated
from knowreason.testing.oracle import enumerate_worlds
from tests.inference.test_auto import of_pairs
from tests.inference.test_exact import repeated
from tests.inference.test_junction import assert_enumerated, grid


@pytest.mark.parametrize(
    ("written", "memory"),
    [("1GB", 10**9), ("1.5 gb", 1_500_000_000), ("20M", 20_000_000), (512, 512), ("0", 0)],
)
def test_sizes_are_read(written, memory):
    assert ExactBudget.of(written, 2) == ExactBudget(memory, 2.0)


@pytest.mark.parametrize("wrong", [("much", 1), ("-1GB", 1), ("1GB", -1), ("1GB", math.nan)])
def test_what_is_no_budget(wrong):
    with pytest.raises(InferenceError, match="KR709"):
        ExactBudget.of(*wrong)


def core_and_leaves(core: int, leaves: int) -> FactorGraph:
    """Variables all tied to each other, and others tied to all of those: separators are equal."""
    pairs = [(i, j) for i in range(core) for j in range(i)]
    pairs += [(i, core + leaf) for leaf in range(leaves) for i in range(core)]
    return of_pairs(core + leaves, pairs)


def test_children_with_one_separator_share_a_message():
    graph = core_and_leaves(5, 7)
    assert_enumerated(graph)
    best = infer(graph, "map").world
    truth = enumerate_worlds(graph)
    assert torch.equal(best, truth.worlds[truth.log_probability.argmax()].to(best.dtype))
    few, many = (eliminated(whole(core_and_leaves(9, n)), ExactBudget.of()) for n in (3, 9))
    assert many.cost.memory == few.cost.memory


def whole(graph: FactorGraph):
    folded = condition(graph)
    labels, count = components(folded)
    [stack] = Shapes(folded, labels, count).stacks(np.arange(count))
    return stack


@pytest.mark.parametrize("graph", [grid(6, 6), core_and_leaves(9, 6)])
def test_the_memory_estimated_is_what_the_buffers_take(graph):
    part = eliminated(whole(graph), ExactBudget.of())
    layout = CliqueLayout.of([part])
    tables = 2 * int(layout.programs.table_length.sum())
    assert 8 * (layout.pool + layout.sums) == part.cost.memory + 8 * tables


def test_what_does_not_fit_is_refused_with_both_figures():
    graph = grid(14, 14)
    whole_cost = eliminated(whole(graph), ExactBudget.of()).cost
    for options in ({"exact_memory": "2kB"}, {"exact_seconds": whole_cost.seconds / 100}):
        with pytest.raises(InferenceError, match=r"needs about .*B and .* s and the budget is"):
            infer(graph, "exact", **options)
    assert infer(graph, "exact", exact_seconds=2 * whole_cost.seconds).log_z is not None


def test_so_many_components_as_the_seconds_allow():
    one = grid(13, 13)
    graph = repeated(one_with_defaults(one), 4)
    cost = eliminated(whole(one), ExactBudget.of()).cost
    assert cost.nanoseconds > 1e7
    served = prepare(graph, exact_seconds=2.5 * cost.seconds)
    assert served.tractable.tolist() == [True] * 338 + [False] * 338
    assert served.refused == cost
    posterior = served()
    alone = infer(one, "exact")
    torch.testing.assert_close(posterior.log_odds[:169], alone.log_odds)
    assert posterior.log_z == pytest.approx(2 * alone.log_z)
    assert prepare(graph, exact_seconds=math.inf).tractable.all()


def one_with_defaults(graph: FactorGraph) -> FactorGraph:
    return FactorGraph(
        graph.log_odds,
        graph.theta,
        graph.evidence,
        graph.factors,
        auxiliary=torch.zeros(graph.atom_count, dtype=torch.bool),
        constant=torch.zeros(graph.parameter_count, dtype=torch.float64),
    )


def test_small_components_are_served_whatever_the_seconds():
    assert prepare(grid(4, 4), exact_seconds=0).tractable.all()
    assert not prepare(grid(5, 4), exact_memory=0).tractable.any()


def scopes_of(height: int, width: int) -> list[tuple[int, int]]:
    return [
        (int(a), int(b)) for part in grid(height, width).factors for a, b in part.atoms.tolist()
    ]


@pytest.mark.parametrize("shape", [(4, 30), (11, 11)])
def test_other_orders_are_no_dearer_and_the_same_each_time(shape):
    sizes, scopes = [2] * (shape[0] * shape[1]), scopes_of(*shape)
    first = eliminate(sizes, scopes, 1 << 60)
    trees = [clique_tree(sizes, scopes, ExactBudget.of()) for _ in range(2)]
    assert trees[0] == trees[1]
    assert trees[0].cost(sizes).nanoseconds <= first.cost(sizes).nanoseconds


def test_dissection_cuts_a_strip_across():
    sizes, scopes = [2] * 90, scopes_of(3, 30)
    level = dissected(sizes, scopes, list(range(90)))
    assert 1 <= level.count(0) <= 4  # the first separator
    tree = eliminate(sizes, scopes, 1 << 60, level=level)
    assert max(map(len, tree.cliques)) <= 9
    for scope in scopes:
        assert set(scope) <= set(tree.cliques[tree.home(scope)])


@pytest.mark.parametrize("score", ["fill", "weighted", "states"])
def test_variables_of_many_states_in_every_order(score):
    rng = np.random.default_rng(0)
    sizes = rng.integers(2, 5, 12).tolist()
    scopes = [(i, i + 1) for i in range(11)] + [
        tuple(int(v) for v in rng.permutation(12)[:2]) for _ in range(8)
    ]
    tree = eliminate(sizes, scopes, 1 << 60, score=score, tie=rng.permutation(12).tolist())
    for scope in scopes:
        assert set(scope) <= set(tree.cliques[tree.home(scope)])
    for c, up in enumerate(tree.parents):
        assert up < 0 or set(tree.separator(c)) <= set(tree.cliques[up])


def test_a_list_of_one_rule_is_exact_beyond_eighteen_variables():
    everything = GroundFactors.of(
        torch.tensor([(i, j) for i in range(19) for j in range(i)]).int(), (False, True), 0
    )
    graph = FactorGraph(
        torch.linspace(-1, 1, 19),
        torch.ones(1).double(),
        torch.full((19,), -1).char(),
        (everything,),
    )
    found, truth = infer(graph, "exact"), enumerate_worlds(graph)
    assert found.log_z == pytest.approx(truth.log_z, abs=1e-8)
    torch.testing.assert_close(found.log_odds, truth.log_odds, atol=1e-8, rtol=1e-9)
