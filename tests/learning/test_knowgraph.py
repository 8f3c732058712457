"""Method `knowgraph`: it runs, is deterministic, moves weights the right way, keeps its limits."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from knowreason.errors import InferenceError, LearningError
from knowreason.factors import Blocks, FactorGraph, GroundFactors, ParameterTable
from knowreason.factors.condition import condition
from knowreason.factors.energy import log_score
from knowreason.inference import infer
from knowreason.inference.gcn.instance_network import (
    InstanceNetwork,
    NetworkShape,
    load_instance_network,
    save_instance_network,
)
from knowreason.learning import Problem, bootstrap, learn, weight_lines
from knowreason.learning.estimators.knowgraph import (
    Recipe,
    _e_step,
    _score_function,
)
from knowreason.learning.estimators.knowgraph_network import InstanceBatch
from knowreason.learning.problem import HELD, NOT_SETTLED, WITHOUT_ERROR
from knowreason.testing.oracle import all_worlds, enumerate_worlds
from tests.strategies import random_graph

TRUTH = np.array([2.0, 1.0, 0.2, -0.4, -0.1])


def table(rules: int, biases: int) -> ParameterTable:
    p = rules + biases
    return ParameterTable(
        names=tuple(f"r{i}" for i in range(rules)) + tuple(f"bias {i}" for i in range(biases)),
        kinds=("rule",) * rules + ("bias",) * biases,
        start=np.array([2.0] * rules + [0.0] * biases),
        prior_mean=np.array([2.0] * rules + [0.0] * biases),
        prior_sd=np.full(p, 2.0),
        lower=np.array([0.0] * rules + [-np.inf] * biases),
        upper=np.full(p, np.inf),
        learned=np.ones(p, dtype=bool),
        log_normal=np.zeros(p, dtype=bool),
        owner=np.array([*range(rules), *[-1] * biases]),
    )


def chains(count: int, hidden: float, seed: int = 0) -> Problem:
    """Instances ``a => b``, ``b => c`` drawn at :data:`TRUTH`, labels hidden at random."""
    rng = np.random.default_rng(seed)
    thing = torch.arange(count, dtype=torch.int32)
    spans = [thing + j * count for j in range(3)]
    graph = FactorGraph(
        log_odds=torch.tensor(rng.normal(0, 1, 3 * count), dtype=torch.float32),
        theta=torch.zeros(5, dtype=torch.float64),
        evidence=torch.full((3 * count,), -1, dtype=torch.int8),
        factors=(
            *tuple(
                GroundFactors.of(torch.stack([spans[j], spans[j + 1]], 1), (False, True), j)
                for j in range(2)
            ),
            *tuple(GroundFactors.units(span, 2 + j) for j, span in enumerate(spans)),
        ),
    )
    states = all_worlds(torch.full((3,), -1, dtype=torch.int8)).numpy()
    odds = graph.with_theta(torch.tensor(TRUTH)).unary_log_odds().numpy().reshape(3, count)
    score = states @ odds
    for j in range(2):
        score += TRUTH[j] * ((states[:, j] == 0) | (states[:, j + 1] == 1))[:, None]
    world = states[(score + rng.gumbel(size=score.shape)).argmax(0)].T.ravel()
    labels = np.where(rng.random(3 * count) < hidden, -1, world).astype(np.int8)
    return Problem(graph, table(2, 3), labels)


SHAPE = NetworkShape(("bias 0", "bias 1", "bias 2"), ("r0", "r1"), width=16)
PLAIN = {"noise": 0.0, "width": 16, "samples": 4}


def batch_of(graph: FactorGraph, labels: np.ndarray | None = None) -> InstanceBatch:
    known = condition(graph)
    n, p = known.atom_count, known.parameter_count
    evidence = np.full(n, -1, dtype=np.int8) if labels is None else labels
    parameters = table(2, 3) if p == 5 else table(p, 0)
    return InstanceBatch.of(known, np.arange(n), evidence, parameters, SHAPE)


def network_of(seed: int = 0) -> InstanceNetwork:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return InstanceNetwork(SHAPE)


def test_by_name_it_returns_a_fit_without_errors():
    problem = chains(400, 0.3)
    calls = []
    fit = learn(
        problem, "knowgraph", seed=1, epochs=3, progress=lambda *a: calls.append(a), **PLAIN
    )
    assert fit.status == (NOT_SETTLED,) * 2 + (HELD,) * 3
    assert not fit.converged
    assert "2 of 2 weights not settled after 3 epochs" in fit.notes
    assert np.isnan(fit.standard_errors).all()
    assert not any("±" in line.split("→")[1] for line in weight_lines(fit))
    assert [str(report) for report in fit.estimators] == [
        "knowgraph: 400 components (1,200 atoms, 2 parameters)"
    ]
    assert any("no standard errors" in note for note in fit.notes)
    assert len(calls) == len(fit.history) == fit.iterations == 3
    assert fit.theta[0] > 0
    assert fit.theta[1] > 0


def test_a_rule_without_a_labelled_neighbour_stays_at_its_prior():
    """Labels of the first thing alone: no component of theirs holds the second rule."""
    problem = chains(40, 0.0)
    first, second, *units = problem.graph.factors
    apart = replace(second, atoms=second.atoms[20:])
    here = replace(first, atoms=first.atoms[:20])
    graph = replace(problem.graph, factors=(here, apart, *units))
    labels = problem.labels.copy()
    labels[np.arange(120) % 40 >= 20] = -1
    table = replace(problem.parameters, learned=np.array([1, 1, 0, 1, 1], bool))
    fit = learn(Problem(graph, table, labels), "knowgraph", epochs=2, **PLAIN)
    assert fit.status == (NOT_SETTLED, "the data said nothing", "given", HELD, HELD)
    assert fit.theta[1] == 2.0
    assert fit.standard_errors[[1, 2]].tolist() == [2.0, 0.0]
    assert fit.estimators[0].parameters == 1


def test_a_weight_on_its_bound_is_not_settled_however_long_it_was_trained():
    """Labels that break the first rule wherever they can, and keep the second."""
    problem = chains(200, 0.0)
    broken = np.arange(200) % 2
    labels = np.concatenate([broken, 1 - broken, np.ones(200)]).astype(np.int8)
    broken = Problem(problem.graph, problem.parameters, labels)
    fit = learn(broken, "knowgraph", epochs=10, batch=200, rate=1.0, **PLAIN)
    assert fit.theta[0] == 0.0
    assert fit.status[0] == NOT_SETTLED
    assert not any("learned" in line for line in weight_lines(fit))


def test_a_weight_that_has_come_to_rest_is_trained():
    """Labels all known: the pseudo-likelihood's optimum is reached with large steps."""
    fit = learn(chains(300, 0.0), "knowgraph", epochs=40, batch=300, rate=10.0, **PLAIN)
    assert fit.status[:2] == (WITHOUT_ERROR,) * 2
    assert fit.converged
    assert fit.theta[:2] == pytest.approx(TRUTH[:2], abs=1.0)


def test_there_is_no_bootstrap_of_a_fit_without_errors():
    problem = chains(20, 0.0)
    with pytest.raises(LearningError, match="resample") as caught:
        bootstrap(problem, learn(problem, "knowgraph", epochs=1, **PLAIN))
    assert caught.value.code == "KR857"


OPTIONS = [
    {"e_step": "closed"},
    {"weights": "exp"},
    {"noise": 0.0},
    {"baseline": "leave_one_out"},
    {"clamp": "labels"},
    {"width": 8},
    {"eta": 5.0},
    {"decay": 0.1},
    {"drop_every": 1},
    {"passes": 2},
    {"samples": 3},
]


def asked(fit, problem):
    return infer(problem.graph, "knowgraph", network=fit.knowgraph, parameters=fit.parameters)


def test_same_seed_same_fit_and_every_option_changes_it():
    problem = chains(60, 0.4)
    usual = {"epochs": 2, "batch": 20, "width": 16, "samples": 4, "passes": 3}
    first, again = (learn(problem, "knowgraph", seed=5, **usual) for _ in range(2))
    assert np.array_equal(first.theta, again.theta)
    assert first.history == again.history
    assert torch.equal(asked(first, problem).log_odds, asked(again, problem).log_odds)
    for option in OPTIONS:
        other = learn(problem, "knowgraph", seed=5, **(usual | option))
        assert not torch.equal(asked(other, problem).log_odds, asked(first, problem).log_odds)


def test_weights_move_towards_the_truth_but_not_far():
    fit = learn(chains(1000, 0.0), "knowgraph", epochs=10, batch=64, **PLAIN)
    assert 0.1 < fit.theta[0] < 2.0
    assert fit.history[-1]["pseudo"] > fit.history[0]["pseudo"]
    start = learn(chains(300, 0.0), "knowgraph", epochs=1, weights="exp", rate=1e-9, **PLAIN)
    assert np.allclose(start.theta[:2], 1.0, atol=1e-5)


def test_the_network_learns_the_labels():
    problem = chains(1000, 0.3)
    fit = learn(problem, "knowgraph", epochs=12, batch=64, eta=5.0, **PLAIN)
    found = asked(fit, problem)
    known = problem.labels >= 0
    right = (found.log_odds.numpy()[known] > 0) == problem.labels[known]
    majority = max(problem.labels[known].mean(), 1 - problem.labels[known].mean())
    assert right.mean() > majority + 0.03
    assert found.spread is None
    noisy = infer(
        problem.graph, "knowgraph", network=fit.knowgraph, parameters=fit.parameters, noise=0.1
    )
    assert noisy.spread is not None
    assert float(noisy.spread.max()) > 0


def test_the_network_speaks_of_new_data_of_another_size_before_and_after_storing(tmp_path):
    """New data whose parameters are in another order, under a program with a further rule."""
    fit = learn(chains(300, 0.2), "knowgraph", epochs=8, batch=64, eta=5.0, **PLAIN)
    new = chains(500, 0.0, seed=9)
    new = Problem(new.graph.with_theta(torch.from_numpy(fit.theta)), fit.parameters, new.labels)
    found = asked(fit, new).log_odds.numpy()
    right = (found > 0) == (new.labels == 1)
    assert right.mean() > max(new.labels.mean(), 1 - new.labels.mean()) + 0.03
    save_instance_network(fit.knowgraph, tmp_path / "network.safetensors")
    loaded = load_instance_network(tmp_path / "network.safetensors", fit.knowgraph.shape)
    again = infer(new.graph, "knowgraph", network=loaded, parameters=fit.parameters)
    assert torch.equal(torch.from_numpy(found), again.log_odds)
    old = np.array([2, 1, 4, 5, 3])  # new place of each old one
    moved = replace(
        new.graph,
        theta=torch.zeros(6, dtype=torch.float64).index_put(
            (torch.from_numpy(old),), new.graph.theta
        ),
        factors=tuple(
            replace(part, parameter=int(old[part.parameter])) for part in new.graph.factors
        ),
    )
    names = np.array(["new rule"] * 6, dtype=object)
    kinds = np.array(["rule"] * 6, dtype=object)
    names[old], kinds[old] = fit.parameters.names, fit.parameters.kinds
    parameters = replace(table(3, 3), names=tuple(names), kinds=tuple(kinds))
    of_moved = infer(moved, "knowgraph", network=loaded, parameters=parameters)
    assert torch.equal(torch.from_numpy(found), of_moved.log_odds)


def test_without_a_network_it_is_an_error():
    with pytest.raises(InferenceError, match="there is none") as caught:
        infer(chains(2, 0.0).graph, "knowgraph")
    assert caught.value.code == "KR710"


@pytest.mark.parametrize("e_step", ["score", "closed"])
def test_with_complete_labels_the_clamped_elbo_says_nothing(e_step):
    """Nothing is left to be believed; unclamped, as published, rules reach the network."""
    problem = chains(20, 0.0)
    batch, gradients = batch_of(problem.graph, problem.labels), {}
    for clamp in ("labels", ""):
        network = network_of()
        still = torch.optim.SGD(network.parameters(), lr=0.0)
        recipe = Recipe(eta=0.0, clamp=clamp, e_step=e_step)
        generator = torch.Generator().manual_seed(0)
        _e_step(network, still, batch, torch.tensor(TRUTH), recipe, generator)
        grads = [weight.grad for weight in network.parameters()]
        gradients[clamp] = max(float(g.abs().max()) for g in grads if g is not None)
    assert gradients["labels"] == 0.0
    assert gradients[""] > 1e-3
    assert not Recipe().clamp


def test_leave_one_out_undoes_the_shrinking_of_the_mean_baseline():
    batch = batch_of(chains(4, 0.0).graph)
    slopes = {}
    for baseline in ("mean", "leave_one_out"):
        raw = torch.linspace(-1, 1, 12, dtype=torch.float64).requires_grad_()
        recipe = Recipe(samples=5, baseline=baseline)
        generator = torch.Generator().manual_seed(3)
        _score_function(batch, raw, torch.tensor(TRUTH), recipe, generator)[1].backward()
        slopes[baseline] = raw.grad
    torch.testing.assert_close(slopes["leave_one_out"] * 4 / 5, slopes["mean"])


def test_known_facts_reach_the_network_by_their_rule():
    """``a => b`` with ``a`` known true is a feature of ``b`` alone, which it reads."""
    problem = chains(4, 0.0)
    known = problem.graph.evidence.clone()
    known[:4] = torch.tensor([1, 0, 1, 0])
    batch = batch_of(replace(problem.graph, evidence=known))
    seen = batch.seen
    assert sorted(seen.fact_atom.tolist()) == [4, 6]
    assert seen.fact_rule.unique().tolist() == [1]
    assert seen.fact_value.abs().tolist() == [1.0, 1.0]


@pytest.mark.parametrize("seed", range(8))
def test_elbo_bounds_log_z_and_sampling_estimates_it(seed):
    graph = random_graph(seed, atoms=7, blocks=1, counts=seed % 2)
    graph = condition(graph)
    if any(part.is_count and part.targets().min() < 0 for part in graph.factors):
        return
    batch = batch_of(graph)
    generator = torch.Generator().manual_seed(seed)
    raw = torch.randn(graph.atom_count, dtype=torch.float64, generator=generator)
    constant = 0.0 if graph.constant is None else float(graph.theta @ graph.constant)
    log_z = enumerate_worlds(graph).log_z - constant - graph.offset
    elbo = float(batch.elbo(raw, graph.theta))
    assert elbo <= log_z + 1e-6
    odds = batch.plan.beliefs(raw)
    values = []
    for _ in range(300):
        world = batch.draw(raw, generator)
        assert torch.isfinite(log_score(graph, world[None].to(torch.int8))).all()
        score = batch.score(world, 1 - world, graph.theta).sum()
        assert float(score) == pytest.approx(
            float(log_score(graph, world[None].to(torch.int8))[0]) - constant - graph.offset,
            abs=1e-4,
        )
        values.append(float(score - batch.log_worlds(odds, world).sum()))
    assert np.mean(values) == pytest.approx(elbo, abs=5 * np.std(values) / np.sqrt(300) + 1e-6)


def test_draws_keep_labels_and_blocks():
    graph = random_graph(4, atoms=9, blocks=2)
    labels = np.full(graph.atom_count, -1, dtype=np.int8)
    labels[int(graph.blocks.atoms[0])] = 1
    labels[graph.blocks.atoms[1 : int(graph.blocks.offsets[1])].numpy()] = 0
    batch = batch_of(graph, labels)
    generator = torch.Generator().manual_seed(0)
    for _ in range(30):
        raw = batch.clamped(torch.randn(graph.atom_count, dtype=torch.float64))
        world = batch.draw(raw, generator)
        assert (world[labels >= 0].numpy() == labels[labels >= 0]).all()
        counts = [
            int(world[part.long()].sum())
            for part in graph.blocks.atoms.split(graph.blocks.offsets.diff().tolist())
        ]
        for count, at_most in zip(counts, graph.blocks.at_most_one.tolist(), strict=True):
            assert count == 1 or (at_most and count == 0)


def test_instances_do_not_see_one_another():
    problem = chains(6, 0.0)
    batch = batch_of(problem.graph)
    network = network_of()
    first = network(batch.seen).detach()
    moved = batch_of(
        FactorGraph(
            log_odds=problem.graph.log_odds + 3.0 * (torch.arange(18) % 6 == 0),
            theta=problem.graph.theta,
            evidence=problem.graph.evidence,
            factors=problem.graph.factors,
        )
    )
    change = (network(moved.seen).detach() - first).abs()
    assert (change[torch.arange(18) % 6 == 0] > 0).all()
    assert (change[torch.arange(18) % 6 != 0] == 0).all()


def test_atoms_with_one_bias_are_one_predicate():
    problem = chains(4, 0.0)
    assert batch_of(problem.graph).seen.predicate.tolist() == [1] * 4 + [2] * 4 + [3] * 4


def test_blocks_learn_too():
    rng = np.random.default_rng(0)
    atoms = torch.arange(90, dtype=torch.int32)
    blocks = Blocks(torch.arange(0, 91, 3), atoms, torch.zeros(30, dtype=torch.bool))
    pairs = torch.stack([atoms.reshape(30, 3)[:-1, 0], atoms.reshape(30, 3)[1:, 0]], 1)
    graph = FactorGraph(
        log_odds=torch.tensor(rng.normal(0, 1, 90), dtype=torch.float32),
        theta=torch.zeros(1, dtype=torch.float64),
        evidence=torch.full((90,), -1, dtype=torch.int8),
        factors=(GroundFactors.of(pairs, (False, True), 0),),
        blocks=blocks,
    )
    labels = np.full(90, -1, dtype=np.int8)
    labels[rng.integers(0, 3, 15) + 3 * np.arange(15)] = 1
    fit = learn(Problem(graph, table(1, 0), labels), "knowgraph", epochs=5, **PLAIN)
    assert np.isfinite(fit.theta).all()
    assert np.isfinite(fit.objective)


def test_what_it_cannot_do_is_said():
    problem = chains(5, 0.0)
    with pytest.raises(LearningError, match="no option `tolerance`"):
        learn(problem, "knowgraph", tolerance=1e-3)
    with pytest.raises(LearningError, match="e_step"):
        learn(problem, "knowgraph", e_step="exact")
    with pytest.raises(LearningError, match="samples = 1"):
        learn(problem, "knowgraph", samples=1)
    rule = GroundFactors.of(problem.graph.couplings[0].atoms, (False, True), None)
    hard = FactorGraph(
        problem.graph.log_odds, problem.graph.theta, problem.graph.evidence,
        (rule, *problem.graph.units),
    )  # fmt: skip
    with pytest.raises(LearningError, match="hard rules"):
        learn(Problem(hard, problem.parameters, problem.labels * 0), "knowgraph")


def test_convolutions_average_over_neighbours_of_a_factor():
    """``D^-1/2 (A + I) D^-1/2`` (Kipf & Welling 2017, equation 2), longer rows as stars."""
    scopes = [(0, 1), (2, 1, 3), (4, 5, 6, 7, 8)]
    graph = FactorGraph(
        log_odds=torch.zeros(12),
        theta=torch.ones(1, dtype=torch.float64),
        evidence=torch.full((12,), -1, dtype=torch.int8),
        factors=tuple(
            GroundFactors.of(torch.tensor([scope], dtype=torch.int32), (True,) * len(scope), 0)
            for scope in scopes
        ),
        blocks=Blocks(torch.tensor([0, 3]), torch.tensor([8, 9, 10]).int(), torch.tensor([False])),
    )
    seen = batch_of(graph).seen
    adjacency = np.eye(12)
    for scope in (*scopes, (8, 9, 10)):
        pairs = [(a, b) for a in (scope if len(scope) <= 3 else scope[:1]) for b in scope]
        for a, b in pairs:
            adjacency[a, b] = adjacency[b, a] = 1
    root = np.sqrt(adjacency.sum(0))
    found = np.zeros((12, 12))
    np.add.at(found, (seen.target.numpy(), seen.source.numpy()), seen.share.numpy())
    np.testing.assert_allclose(found, adjacency / np.outer(root, root), rtol=1e-6)


def test_states_of_a_block_are_drawn_as_often_as_they_are_probable():
    graph = FactorGraph(
        log_odds=torch.zeros(3),
        theta=torch.zeros(0, dtype=torch.float64),
        evidence=torch.full((3,), -1, dtype=torch.int8),
        factors=(),
        blocks=Blocks(torch.tensor([0, 3]), torch.arange(3).int(), torch.tensor([True])),
    )
    batch, generator = batch_of(graph), torch.Generator().manual_seed(0)
    raw = torch.tensor([0.5, -0.5, 1.0], dtype=torch.float64)
    worlds = torch.stack([batch.draw(raw, generator) for _ in range(2000)])
    weight = np.exp([0.5, -0.5, 1.0])
    expected = weight / (1 + weight.sum())
    assert worlds.mean(0).numpy() == pytest.approx(expected, abs=4 * np.sqrt(0.25 / 2000))
    odds = batch.plan.beliefs(raw)
    for state in range(4):  # the last: none
        world = torch.arange(3) == state
        chance = expected[state] if state < 3 else 1 - expected.sum()
        assert batch.log_worlds(odds, world.double()).exp().numpy() == pytest.approx([chance])


def test_a_step_of_the_network_starts_from_no_gradient():
    batch, network = batch_of(chains(5, 0.0).graph), network_of()
    still = torch.optim.SGD(network.parameters(), lr=0.0)
    found = []
    for _ in range(2):
        generator = torch.Generator().manual_seed(0)
        _e_step(network, still, batch, torch.tensor(TRUTH), Recipe(), generator)
        found.append(
            [weight.grad.clone() for weight in network.parameters() if weight.grad is not None]
        )
    assert any(gradient.any() for gradient in found[0])
    for first, second in zip(*found, strict=True):
        torch.testing.assert_close(first, second)


def test_what_every_world_scores_does_not_move_the_score_function_estimate():
    """Of a label: its log-odds are a constant of all worlds that are drawn."""
    problem = chains(4, 0.0)
    labels = np.full(12, -1, dtype=np.int8)
    labels[:4] = 1
    gradients = []
    for extra in (0.0, 50.0):
        log_odds = problem.graph.log_odds + extra * (torch.arange(12) < 4)
        batch = batch_of(replace(problem.graph, log_odds=log_odds), labels)
        raw = torch.linspace(-1, 1, 12, dtype=torch.float64).requires_grad_()
        generator = torch.Generator().manual_seed(3)
        theta = torch.tensor(TRUTH)
        recipe = Recipe(samples=3)
        _, surrogate = _score_function(batch, batch.clamped(raw), theta, recipe, generator)
        surrogate.backward()
        gradients.append(raw.grad)
    assert gradients[0].any()
    torch.testing.assert_close(gradients[0], gradients[1])
