"""Method `knowgraph`: the learner of KnowGraph, as published, for comparison.

Every connected component of the factor graph is an instance. A graph network over the atoms
of an instance gives an independent posterior ``q``; its loss is ``-ELBO - eta log q(labels)``.
After each step of the network, worlds drawn from ``q`` (labels clamped) make one gradient
step of the rules' weights on their pseudo-likelihood. Log-odds of models enter with
coefficient 1 and base rates stay at those of the labels: neither is learned.

Known traps, kept on purpose and out of the default learner:

- weights hardly move: one small step a batch, from worlds whose atoms are drawn apart, so
  that couplings are underestimated; training ends after a number of epochs, not on a
  gradient;
- the network never sees the weights: its posterior is out of date after every M-step;
- its input is a probability, not log-odds: 0.999 and 0.99999 look alike;
- the score function's baseline is the mean over the samples with the sample itself in it,
  which shrinks the gradient of the ELBO by ``(S - 1) / S``;
- scales and base rates are taken as given, and there are no standard errors;
- stopping on test accuracy, as published code does, is not offered.

Source: Zhang et al. 2022 (CARE, arXiv 2209.05055); KnowGraph 2024; Qu & Tang 2019.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from knowreason.errors import LearningError
from knowreason.factors import FactorGraph, ParameterTable
from knowreason.factors.components.connected import components, subgraph
from knowreason.factors.condition import condition
from knowreason.inference.exact.exact import decided_log_odds
from knowreason.inference.gcn.weight_noise import Noise, ensemble, weight_noise
from knowreason.inference.posterior import EngineReport, Posterior
from knowreason.learning.estimators.knowgraph_network import (
    InstanceBatch,
    InstanceNetwork,
    is_open,
    predicates,
)
from knowreason.learning.estimators.pseudo_likelihood import pseudo_likelihood
from knowreason.learning.labelled_components import labelled_components
from knowreason.learning.objective import Progress
from knowreason.learning.priors import start_values
from knowreason.learning.problem import (
    GIVEN,
    HELD,
    ON_BOUND_WITHOUT_ERROR,
    SAID_NOTHING,
    WITHOUT_ERROR,
    EstimatorReport,
    Fit,
    Problem,
    Record,
    clamped_evidence,
)

Vector = NDArray[np.float64]
NO_ERRORS = "method `knowgraph` gives no standard errors"
COEFFICIENTS = "base rates are those of the labels, scales are 1: `knowgraph` does not learn them"


@dataclass(frozen=True)
class Recipe:
    """How the paper trains.

    Attributes:
        epochs: passes over all instances.
        batch: instances a batch.
        eta: share of the labels' likelihood in the loss (CARE used 0.5).
        e_step: ``closed`` mean-field expectation, or the ``score`` function.
        samples: worlds drawn a batch.
        weights: ``raw`` from 0, or ``exp`` of a number that starts at 0.
        rate: step of the weights, on the mean gradient of an instance.
        network_rate: of Adam on the network.
        noise: standard deviation of noise on the network's weights while training.
    """

    epochs: int = 10
    batch: int = 256
    eta: float = 5.0
    e_step: Literal["closed", "score"] = "closed"
    samples: int = 5
    weights: Literal["raw", "exp"] = "raw"
    rate: float = 0.01
    network_rate: float = 0.01
    noise: float = 0.0


@dataclass(frozen=True)
class KnowGraph:
    """A trained network and the weights trained with it.

    Attributes:
        graph: the conditioned graph, labels open.
        theta: ``float64[p]``.
        network: the posterior's.
        batches: all instances.
        history: ``step`` (epoch), ``objective`` (ELBO an instance), ``labels`` (their log
            likelihood an instance) and ``pseudo`` (log pseudo-likelihood an instance).
    """

    graph: FactorGraph
    theta: Vector
    network: InstanceNetwork
    batches: tuple[InstanceBatch, ...]
    history: tuple[Record, ...]

    def posterior(self, noise: Noise | None = None) -> Posterior:
        """What the network believes of every atom, labels not put in.

        Args:
            noise: an ensemble of passes with noise on the weights; the standard deviation
                of the log-odds is then in ``spread``.
        """
        log_odds = torch.from_numpy(decided_log_odds(self.graph))
        spread = None if noise is None else torch.zeros_like(log_odds)
        for batch in self.batches:
            index = torch.from_numpy(batch.atoms)
            believe = functools.partial(_beliefs, self.network, batch)
            if noise is None or spread is None:
                with torch.no_grad():
                    log_odds[index] = believe()
            else:
                log_odds[index], spread[index] = ensemble(self.network, believe, noise)
        instances = sum(batch.instances for batch in self.batches)
        atoms = sum(len(batch.atoms) for batch in self.batches)
        report = EngineReport("knowgraph", instances, atoms, instances)
        return Posterior(log_odds, None, "", None, None, (report,), spread=spread)


def knowgraph(
    problem: Problem,
    *,
    seed: int = 0,
    progress: Progress | None = None,
    recipe: Recipe = Recipe(),
) -> Fit:
    """Rule weights as KnowGraph learns them; see the module for its known traps.

    Args:
        problem: what to learn.
        seed: of the network, of batches and of worlds.
        progress: called as ``progress(step, total, note)``, once an epoch.
        recipe: how the paper trains.

    Returns:
        A fit without standard errors (NaN): the method gives none. A rule without a ground
        factor in any component with labels stays at its prior, biases and scales at their
        start. ``converged`` only says that all epochs ran.

    Raises:
        LearningError: KR857 for hard rules and for ``~>`` and ``<~>``, KR858 for a value the
            recipe does not know.
    """
    trained = train_knowgraph(problem, seed=seed, progress=progress, recipe=recipe)
    table = problem.parameters
    spoken_of = labelled_components(problem).parameters()
    trained_here = _moved(table) & spoken_of
    silent = _moved(table) & ~spoken_of
    errors = np.where(table.learned, np.nan, 0.0)
    errors[silent] = table.prior_sd[silent]
    on_bound = (trained.theta <= table.lower) | (trained.theta >= table.upper)
    status = np.select(
        [trained_here & on_bound, trained_here, silent, table.learned],
        [ON_BOUND_WITHOUT_ERROR, WITHOUT_ERROR, SAID_NOTHING, HELD],
        GIVEN,
    )
    instances = sum(batch.instances for batch in trained.batches)
    atoms = sum(len(batch.atoms) for batch in trained.batches)
    last = trained.history[-1]
    return Fit(
        theta=np.where(silent, table.start, trained.theta),
        standard_errors=errors,
        status=tuple(status.tolist()),
        objective=last["objective"],
        log_likelihood=last["labels"],
        iterations=len(trained.history),
        converged=True,
        history=trained.history,
        parameters=table,
        covariance=np.diag(np.square(errors)),
        spread=np.zeros(len(table)),
        notes=(NO_ERRORS, COEFFICIENTS),
        estimators=(EstimatorReport("knowgraph", instances, atoms, int(trained_here.sum())),),
    )


def train_knowgraph(
    problem: Problem,
    *,
    seed: int = 0,
    progress: Progress | None = None,
    recipe: Recipe = Recipe(),
) -> KnowGraph:
    """Network and weights of a problem; arguments and errors as :func:`knowgraph`."""
    _check(recipe)
    if problem.curve is not None:
        raise LearningError(
            "method `knowgraph` does not know rules with `~>` or `<~>`",
            code="KR857",
            help="use method `variational_em`",
        )
    graph = condition(problem.graph)
    _without_hard_rules(graph)
    kind = predicates(graph, problem.parameters)
    weights = _Weights.of(problem, recipe)
    batches = _batches(
        problem, graph.with_theta(torch.from_numpy(weights.theta())), kind, recipe, seed
    )
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = InstanceNetwork(int(kind.max(initial=0)) + 1)
    optimiser = torch.optim.Adam(network.parameters(), recipe.network_rate)
    instances = max(1, sum(batch.instances for batch in batches))
    history: list[Record] = []
    for epoch in range(recipe.epochs):
        totals = np.zeros(3)
        for index in torch.randperm(len(batches), generator=generator).tolist():
            batch = batches[index]
            theta = torch.from_numpy(weights.theta())
            totals[:2] += _e_step(network, optimiser, batch, theta, recipe, generator)
            totals[2] += _m_step(network, batch, weights, recipe, generator)
        elbo, labels, pseudo = (totals / instances).tolist()
        history.append({"step": epoch + 1, "objective": elbo, "labels": labels, "pseudo": pseudo})
        if progress is not None:
            progress(epoch + 1, recipe.epochs, f"ELBO {elbo:.3f}")
    return KnowGraph(graph, weights.theta(), network, tuple(batches), tuple(history))


def _e_step(
    network: InstanceNetwork,
    optimiser: torch.optim.Optimizer,
    batch: InstanceBatch,
    theta: Tensor,
    recipe: Recipe,
    generator: torch.Generator,
) -> tuple[float, float]:
    """One step of the network; ELBO and log likelihood of the labels before it."""
    optimiser.zero_grad()
    with weight_noise(network, recipe.noise, generator):
        raw = network(batch)
        labels = batch.log_labels(raw)
        if recipe.e_step == "closed":
            elbo = surrogate = batch.elbo(raw, theta)
        else:
            elbo, surrogate = _score_function(batch, raw, theta, recipe.samples, generator)
        loss = -(surrogate + recipe.eta * labels) / batch.instances
        torch.autograd.backward(loss)
    optimiser.step()
    return float(elbo.detach()), float(labels.detach())


def _score_function(
    batch: InstanceBatch, raw: Tensor, theta: Tensor, samples: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """The ELBO's estimate and a function with the gradient of its score-function estimate."""
    odds = batch.plan.beliefs(batch.clamped(raw))
    values, logs = [], []
    for _ in range(samples):
        world = batch.draw(raw.detach(), generator)
        log_q = batch.log_worlds(odds, world)
        values.append(batch.score(world, 1 - world, theta) - log_q.detach())
        logs.append(log_q)
    value, log_q = torch.stack(values), torch.stack(logs)
    gain = value - value.mean(0)
    return value.mean(0).sum(), (gain * log_q).mean(0).sum()


def _m_step(
    network: InstanceNetwork,
    batch: InstanceBatch,
    weights: _Weights,
    recipe: Recipe,
    generator: torch.Generator,
) -> float:
    """One gradient step of the weights on worlds of ``q``; their log pseudo-likelihood."""
    with torch.no_grad():
        raw = network(batch)
    worlds = torch.stack([batch.draw(raw, generator) for _ in range(recipe.samples)])
    term = pseudo_likelihood(batch.wiring, worlds.numpy().astype(np.int8))
    value, gradient = term(weights.theta())
    weights.step(gradient / batch.instances, recipe.rate)
    return value


@dataclass
class _Weights:
    """Rule weights while they move; everything else stays where it starts."""

    start: Vector
    moved: NDArray[np.bool_]
    exponential: bool
    coordinate: Vector
    lower: Vector
    upper: Vector

    @staticmethod
    def of(problem: Problem, recipe: Recipe) -> _Weights:
        table = problem.parameters
        return _Weights(
            start_values(problem),
            _moved(table),
            recipe.weights == "exp",
            np.zeros(len(table)),
            table.lower,
            table.upper,
        )

    def theta(self) -> Vector:
        value = np.exp(self.coordinate) if self.exponential else self.coordinate
        return np.where(self.moved, np.clip(value, self.lower, self.upper), self.start)

    def step(self, gradient: Vector, rate: float) -> None:
        slope = np.exp(self.coordinate) if self.exponential else 1.0
        self.coordinate = np.where(
            self.moved, self.coordinate + rate * gradient * slope, self.coordinate
        )


def _moved(table: ParameterTable) -> NDArray[np.bool_]:
    """``bool[p]``: learned weights of rules."""
    return table.learned & np.array([kind == "rule" for kind in table.kinds], dtype=np.bool_)


def _batches(
    problem: Problem, graph: FactorGraph, kind: NDArray[np.int64], recipe: Recipe, seed: int
) -> list[InstanceBatch]:
    label, count = components(graph)
    order = np.random.default_rng(seed).permutation(count)
    group = np.append(order // recipe.batch, -1)[label]
    evidence = clamped_evidence(problem)
    batches = []
    for index in range(-(-count // recipe.batch)):
        subset, atoms = subgraph(graph, is_open(graph) & (group == index))
        batches.append(InstanceBatch.of(subset, atoms, evidence[atoms], kind[atoms]))
    return batches


def _beliefs(network: InstanceNetwork, batch: InstanceBatch) -> Tensor:
    return batch.plan.beliefs(network(batch))


def _check(recipe: Recipe) -> None:
    if recipe.e_step not in ("closed", "score") or recipe.weights not in ("raw", "exp"):
        raise LearningError(
            f"e_step = {recipe.e_step!r}, weights = {recipe.weights!r}",
            code="KR858",
            help="e_step is `closed` or `score`, weights are `raw` or `exp`",
        )


def _without_hard_rules(graph: FactorGraph) -> None:
    if any(part.is_hard and bool((part.targets() < 0).any()) for part in graph.factors):
        raise LearningError(
            "method `knowgraph` draws atoms one by one and cannot keep hard rules",
            code="KR857",
            help="use method `variational_em`, or give the rule a large weight",
        )
