"""Worlds drawn from known weights, by samplers that share no code with the package.

- *instances*: many small components, the rules ``A => B [1.5]``, ``B => C [2]``,
  ``C => D [1]``, a bias for each predicate and the scale of a model of all of them;
- *hubs*: events with a latent hub of each of two kinds, ``Attacked(merchant, slice) =>
  Fraud(event) [2]``, ``Burst(source, slice) => Fraud(event) [1.5]``: loopy components, and two
  predicates without a single label;
- *people*: one component, ``Smokes(x) => Cancer(x) [1.5]`` and ``Smokes(x) & Friends(x, y)
  => Smokes(y) [0.5]`` over a random friendship graph, biases and a scale.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

from knowreason.factors import FactorGraph, GroundFactors, ParameterTable
from knowreason.learning import Problem
from knowreason.testing.oracle import all_worlds

WEIGHTS = (1.5, 2.0, 1.0)
BIASES = (0.3, -1.0, -0.5, -0.5)
PEOPLE_WEIGHTS = (1.5, 0.5)
PEOPLE_BIASES = (-0.5, -1.0)
HUB_WEIGHTS = (2.0, 1.5)
HUB_BIASES = (-2.0, 5.0, 4.0)


@dataclass(frozen=True)
class World:
    """A graph, the parameters that made the world, and the world."""

    graph: FactorGraph
    parameters: ParameterTable
    truth: np.ndarray
    world: np.ndarray
    latent: np.ndarray | None = None
    latent_rules: np.ndarray | None = None

    def hide(self, share: float, seed: int) -> Problem:
        """The learning problem with a share of all labels hidden, and what is latent."""
        rng = np.random.default_rng([seed, 2])
        labels = np.where(rng.random(len(self.world)) < share, -1, self.world)
        if self.latent is not None:
            labels[self.latent] = -1
        return Problem(self.graph, self.parameters, labels.astype(np.int8), self.latent_rules)


def table(rules: list[str], predicates: list[str], models: list[str]) -> ParameterTable:
    """Rules with the prior of stated knowledge, biases and scales with theirs."""
    r, b, m = len(rules), len(predicates), len(models)
    names = [*rules, *(f"bias {p}" for p in predicates), *(f"scale {x}" for x in models)]
    p = r + b + m
    return ParameterTable(
        names=tuple(names),
        kinds=("rule",) * r + ("bias",) * b + ("scale",) * m,
        start=np.array([2.0] * r + [0.0] * b + [1.0] * m),
        prior_mean=np.array([2.0] * r + [0.0] * (b + m)),
        prior_sd=np.array([1.5] * r + [2.0] * b + [0.5] * m),
        lower=np.array([0.0] * r + [-np.inf] * b + [0.0] * m),
        upper=np.full(p, np.inf),
        learned=np.ones(p, dtype=bool),
        log_normal=np.array([False] * (r + b) + [True] * m),
        owner=np.array([*range(r), *[-1] * (b + m)]),
    )


def unary(count: int, predicates: int, rules: int, rng: np.random.Generator) -> tuple:
    """Bias and model of every predicate over ``count`` things each, predicate-major."""
    spans = [torch.arange(j * count, (j + 1) * count, dtype=torch.int32) for j in range(predicates)]
    biases = [GroundFactors.units(span, rules + j) for j, span in enumerate(spans)]
    llr = torch.tensor(rng.normal(0, 1.5, predicates * count), dtype=torch.float32)
    everything = torch.arange(predicates * count, dtype=torch.int32)
    return (*biases, GroundFactors.units(everything, rules + predicates, llr))


def implications(body: torch.Tensor, head: torch.Tensor, parameter: int) -> GroundFactors:
    """``body => head``, row by row."""
    atoms = torch.stack([body, head], 1).to(torch.int32)
    return GroundFactors.of(atoms, (False, True), parameter, rule=parameter)


def instances(count: int, seed: int) -> World:
    """Many components of four atoms, drawn exactly."""
    rng = np.random.default_rng([seed, 0])
    thing = torch.arange(count)
    graph = FactorGraph(
        log_odds=torch.zeros(4 * count),
        theta=torch.zeros(8, dtype=torch.float64),
        evidence=torch.full((4 * count,), -1, dtype=torch.int8),
        factors=(
            *tuple(implications(j * count + thing, (j + 1) * count + thing, j) for j in range(3)),
            *unary(count, 4, 3, rng),
        ),
    )
    truth = np.array([*WEIGHTS, *BIASES, 1.0])
    states = all_worlds(torch.full((4,), -1, dtype=torch.int8)).numpy()
    odds = graph.with_theta(torch.tensor(truth)).unary_log_odds().numpy().reshape(4, count)
    score = states @ odds
    for j, weight in enumerate(WEIGHTS):
        score += weight * ((states[:, j] == 0) | (states[:, j + 1] == 1))[:, None]
    drawn = (score + rng.gumbel(size=score.shape)).argmax(0)
    world = states[drawn].T.ravel().astype(np.int8)
    parameters = table(["a_b", "b_c", "c_d"], list("ABCD"), ["sensor"])
    return World(graph, parameters, truth, world)


def people(count: int, seed: int, degree: float = 4.0, sweeps: int = 400) -> World:
    """One component: smokers and their friends, drawn by Gibbs sweeps site by site."""
    rng = np.random.default_rng([seed, 1])
    pairs = np.triu(rng.random((count, count)) < degree / count, 1)
    one, other = (torch.from_numpy(side) for side in np.nonzero(pairs))
    person = torch.arange(count)
    graph = FactorGraph(
        log_odds=torch.zeros(2 * count),
        theta=torch.zeros(5, dtype=torch.float64),
        evidence=torch.full((2 * count,), -1, dtype=torch.int8),
        factors=(
            implications(person, count + person, 0),
            implications(torch.cat([one, other]), torch.cat([other, one]), 1),
            *unary(count, 2, 2, rng),
        ),
    )
    truth = np.array([*PEOPLE_WEIGHTS, *PEOPLE_BIASES, 1.0])
    odds = graph.with_theta(torch.tensor(truth)).unary_log_odds().numpy()
    world = draw_people(pairs, odds, sweeps, rng)
    parameters = table(["harm", "peers"], ["Smokes", "Cancer"], ["sensor"])
    return World(graph, parameters, truth, world)


def hubs(events: int, seed: int, slice_events: int = 200, kinds: int = 25) -> World:
    """Events in slices; each has a merchant and a source, that are hubs with their slice."""
    rng = np.random.default_rng([seed, 4])
    first = np.arange(events) // slice_events * kinds
    merchant, source = (
        np.unique(first + rng.integers(kinds, size=events), return_inverse=True)[1]
        for _ in range(2)
    )
    m, s = merchant.max() + 1, source.max() + 1
    total = events + m + s
    llr = rng.normal(0, 1.5, events).astype(np.float32)
    ends = (0, events, events + m, total)
    spans = [torch.arange(a, b, dtype=torch.int32) for a, b in pairwise(ends)]
    fraud = spans[0]
    graph = FactorGraph(
        log_odds=torch.zeros(total),
        theta=torch.zeros(6, dtype=torch.float64),
        evidence=torch.full((total,), -1, dtype=torch.int8),
        factors=(
            implications(torch.from_numpy(events + merchant), fraud, 0),
            implications(torch.from_numpy(events + m + source), fraud, 1),
            *(GroundFactors.units(span, 2 + j) for j, span in enumerate(spans)),
            GroundFactors.units(fraud, 5, torch.from_numpy(llr)),
        ),
    )
    world = draw_hubs(merchant, source, llr, rng)
    parameters = table(["attacked", "burst"], ["Fraud", "Attacked", "Burst"], ["sensor"])
    truth = np.array([*HUB_WEIGHTS, *HUB_BIASES, 1.0])
    latent_rules = np.array([True, True, False, True, True, False])
    return World(graph, parameters, truth, world, np.arange(total) >= events, latent_rules)


def draw_hubs(merchant, source, llr, rng, sweeps: int = 300) -> np.ndarray:
    """Gibbs sampling by kinds: events given hubs, then hubs given events."""
    attacked, burst = HUB_WEIGHTS
    fraud_bias, attacked_bias, burst_bias = HUB_BIASES
    a, b = np.zeros(merchant.max() + 1), np.zeros(source.max() + 1)

    def draw(odds: np.ndarray) -> np.ndarray:
        return rng.random(len(odds)) < 1 / (1 + np.exp(-odds))

    for _ in range(sweeps):
        fraud = draw(fraud_bias + llr + attacked * a[merchant] + burst * b[source])
        a = draw(attacked_bias - attacked * np.bincount(merchant, ~fraud, minlength=len(a)))
        b = draw(burst_bias - burst * np.bincount(source, ~fraud, minlength=len(b)))
    return np.concatenate([fraud, a, b]).astype(np.int8)


def draw_people(pairs: np.ndarray, odds: np.ndarray, sweeps: int, rng) -> np.ndarray:
    """Plain Gibbs sampling, written apart from the package on purpose."""
    count = len(pairs)
    friends = [np.flatnonzero(row) for row in pairs | pairs.T]
    harm, peers = PEOPLE_WEIGHTS
    smokes, cancer = rng.random(count) < 0.5, rng.random(count) < 0.5
    for _ in range(sweeps):
        for x in range(count):
            same = 2 * smokes[friends[x]].sum() - len(friends[x])
            gap = odds[x] - harm * (1 - cancer[x]) + peers * same
            smokes[x] = rng.random() < 1 / (1 + np.exp(-gap))
        gaps = odds[count:] + harm * smokes
        cancer = rng.random(count) < 1 / (1 + np.exp(-gaps))
    return np.concatenate([smokes, cancer]).astype(np.int8)


def torus(rows: int, columns: int, seed: int, coupling: float, sweeps: int = 300) -> World:
    """An Ising model with four neighbours each: ``S(x) => S(y)`` both ways, and a bias."""
    rng = np.random.default_rng([seed, 5])
    count = rows * columns
    place = np.arange(count).reshape(rows, columns)
    pairs = np.concatenate(
        [np.stack([place, np.roll(place, 1, axis)], -1).reshape(-1, 2) for axis in (0, 1)]
    )
    one, other = (torch.from_numpy(side) for side in pairs.T)
    graph = FactorGraph(
        log_odds=torch.zeros(count),
        theta=torch.zeros(2, dtype=torch.float64),
        evidence=torch.full((count,), -1, dtype=torch.int8),
        factors=(
            implications(torch.cat([one, other]), torch.cat([other, one]), 0),
            GroundFactors.units(torch.arange(count, dtype=torch.int32), 1),
        ),
    )
    near = np.concatenate([pairs[np.argsort(pairs[:, side], kind="stable")][:, 1 - side]
                           .reshape(count, 2) for side in (0, 1)], 1)  # fmt: skip
    world = (rng.random(count) < 0.5).astype(np.int8)
    for _ in range(sweeps):
        for x in range(count):
            odds = coupling * (2 * world[near[x]].sum() - 4)
            world[x] = rng.random() < 1 / (1 + np.exp(-odds))
    parameters = table(["link"], ["S"], [])
    return World(graph, parameters, np.array([coupling, 0.0]), world)


def pupils(count: int, seed: int, coupling: float, size: int = 25, sweeps: int = 400) -> World:
    """Who joins: friends alike, foes apart, in classes of ``size`` with ties between them.

    ``Friend(x, y) & Joins(x) => Joins(y)`` with weight ``coupling`` and ``Foe(x, y) & Joins(x)
    => !Joins(y)`` with half of it; two friends and a foe each. Drawn by sweeps site by site,
    cooled down from couplings of nothing.
    """
    rng = np.random.default_rng([seed, 6])
    one = np.tile(np.arange(count), 3)
    near = one - one % size + rng.integers(size, size=len(one))
    other = np.where(rng.random(len(one)) < 0.1, rng.integers(count, size=len(one)), near)
    keep = (one != other) & (other < count)
    foe = (np.arange(len(one)) >= 2 * count)[keep]
    one, other = one[keep], other[keep]
    graph = FactorGraph(
        log_odds=torch.zeros(count),
        theta=torch.zeros(4, dtype=torch.float64),
        evidence=torch.full((count,), -1, dtype=torch.int8),
        factors=(
            implications(*_both(one[~foe], other[~foe]), 0),
            GroundFactors.of(
                torch.stack(_both(one[foe], other[foe]), 1)[: int(foe.sum())].to(torch.int32),
                (False, False),
                1,
                rule=1,
            ),
            *unary(count, 1, 2, rng),
        ),
    )
    truth = np.array([coupling, coupling / 2, 0.5 * coupling / 2, 1.0])
    odds = graph.with_theta(torch.tensor(truth)).unary_log_odds().numpy()
    ties = (np.concatenate([one, other]), np.concatenate([other, one]), np.tile(foe, 2))
    parameters = table(["friends", "foes"], ["Joins"], ["sensor"])
    return World(graph, parameters, truth, draw_pupils(ties, odds, truth, sweeps, rng))


def _both(one: np.ndarray, other: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Pairs, then the same the other way round."""
    first, second = torch.from_numpy(one), torch.from_numpy(other)
    return torch.cat([first, second]), torch.cat([second, first])


def draw_pupils(ties: tuple, odds: np.ndarray, truth: np.ndarray, sweeps: int, rng) -> np.ndarray:
    """Plain Gibbs sampling, written apart from the package on purpose."""
    order = np.argsort(ties[0], kind="stable")
    start = np.searchsorted(ties[0][order], np.arange(len(odds) + 1))
    other, foe = ties[1][order], ties[2][order]
    world = rng.random(len(odds)) < 0.5
    for sweep in range(sweeps):
        warm = min(1.0, 2 * sweep / sweeps)
        noise = rng.logistic(size=len(odds))
        for x in range(len(odds)):
            tied = slice(start[x], start[x + 1])
            true, hostile = world[other[tied]], foe[tied]
            pull = truth[0] * (2 * true[~hostile] - 1).sum() - truth[1] * true[hostile].sum()
            world[x] = odds[x] + warm * pull + noise[x] > 0
    return world.astype(np.int8)
