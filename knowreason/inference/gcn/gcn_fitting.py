"""Fitting the GCN posterior to one program: cut-outs of its own graph, at its own weights.

The network starts from the package's state and goes on learning the absolute error to exact
marginals of cut-outs of the graphs that it will serve (small components whole), and, where
labels are known, their cross-entropy while they are hidden. Some cut-outs are held out: on
their centres it is compared with what it has to beat.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from knowreason.factors import OPEN, FactorGraph
from knowreason.factors.arrays import array
from knowreason.factors.components.connected import components, subgraph
from knowreason.factors.condition import condition
from knowreason.inference.exact.exact import prepare
from knowreason.inference.gcn.gcn import CUT_OUT, corrected
from knowreason.inference.gcn.gcn_network import (
    PROBE_ROUNDS,
    ROUNDS,
    SETTLING,
    Corrections,
    Course,
    course,
)
from knowreason.inference.gcn.gcn_training import SMALL, load_gcn
from knowreason.inference.gibbs.gibbs import gibbs
from knowreason.inference.messages.bp import bp
from knowreason.inference.messages.cut_outs import WIDTH, CutOuts, CutOutSource
from knowreason.inference.messages.message_graph import layout
from knowreason.progress import Progress as Progress

MULTIPLY_ADDS = 8  # of the network, in the 7 ns that one update of a chain takes
CERTAIN = 30.0  # log-odds beyond which a wrong label costs no more
TARGET_UPDATES = 4_000_000  # of chains where exact inference cannot serve a cut-out


@dataclass(frozen=True)
class GcnRecipe:
    """How the network is fitted to a graph.

    Attributes:
        batches: of cut-outs, of each graph.
        cut_outs: in a batch; every second batch holds smaller ones.
        held_out: cut-outs of each graph on whose centres the error is measured.
        steps: of Adam, one batch each.
        rate: greatest learning rate.
        eta: weight of the cross-entropy of hidden labels.
    """

    batches: int = 8
    cut_outs: int = 20
    held_out: int = 40
    steps: int = 160
    rate: float = 0.003
    eta: float = 0.5


@dataclass(frozen=True)
class GcnErrors:
    """Mean absolute errors of probabilities against exact marginals of held-out cut-outs.

    Attributes:
        cut_outs: their number.
        network: of the network.
        bp: of belief propagation, as far as it converges.
        chains: of Gibbs chains that make as many updates as a pass of the network takes time.
        updates: how many these are, for all cut-outs.
        long_chains: of how many cut-outs the marginals are not exact but of long Gibbs chains.

    Example:
        >>> print(GcnErrors(80, 0.0012, 0.004, 0.0081, 5_000_000))
        error .0012 on 80 held-out cut-outs (bp .0040, chains of equal time .0081)
    """

    cut_outs: int
    network: float
    bp: float
    chains: float
    updates: int
    long_chains: int = 0

    @property
    def wins(self) -> bool:
        """Whether the network is nearer to exact than both."""
        return self.network < min(self.bp, self.chains)

    def __str__(self) -> str:
        mine, swept, drawn = (_short(error) for error in (self.network, self.bp, self.chains))
        by_chains = f"; {self.long_chains} against long chains" if self.long_chains else ""
        return (
            f"error {mine} on {self.cut_outs} held-out cut-outs{by_chains} "
            f"(bp {swept}, chains of equal time {drawn})"
        )


@dataclass(frozen=True)
class FittedGcn:
    """A network fitted to a graph, and how near to exact it is there."""

    network: Corrections
    errors: GcnErrors


def fit_gcn(
    graphs: Sequence[FactorGraph],
    *,
    labels: NDArray[np.int8] | None = None,
    network: Corrections | None = None,
    recipe: GcnRecipe = GcnRecipe(),
    seed: int = 0,
    progress: Progress | None = None,
) -> FittedGcn:
    """A network fitted to graphs at their ``theta``, and its error on cut-outs held out.

    Cut-outs are bounded by the messages of belief propagation on the whole graph. What
    exact inference cannot serve is learned from marginals of Gibbs chains. Where the loss
    on the batches ends no smaller than it began, the network is the one it started from.

    Args:
        graphs: any factor graphs over the same atoms, such as one with labels clamped and
            one without.
        labels: ``int8[n]``, ``-1`` unknown: of atoms that are open in some graph, where they
            are learned from.
        network: to start from; the package's own by default.
        recipe: how.
        seed: of the cut-outs.
        progress: called as ``progress(step, total, note)``.

    Raises:
        InferenceError: evidence contradicts hard rows.

    Example:
        >>> from knowreason.inference.gcn.gcn_graphs import Family, random_components
        >>> graph = random_components(1, Family(atoms=(60, 60)), np.random.default_rng(0), 1)
        >>> fitted = fit_gcn([graph], recipe=GcnRecipe(batches=2, steps=4, held_out=5))
        >>> fitted.errors.cut_outs
        5
    """
    start = load_gcn() if network is None else network
    parts = [_Part.of(graph, labels, recipe, seed) for graph in graphs]
    parts = [part for part in parts if len(part.centres)]
    examples = [example for part in parts for example in part.examples(recipe, seed)]
    fitted = copy.deepcopy(start)
    if examples and recipe.steps:
        before = _mean_loss(start, examples, recipe.eta)
        _train(fitted, examples, recipe, progress)
        if _mean_loss(fitted, examples, recipe.eta) >= before:
            fitted = start
    return FittedGcn(fitted, _errors(parts, fitted, seed))


def gcn_errors(
    graphs: Sequence[FactorGraph],
    network: Corrections,
    *,
    recipe: GcnRecipe = GcnRecipe(),
    seed: int = 0,
) -> GcnErrors:
    """Errors of a network on the cut-outs that :func:`fit_gcn` holds out with the same seed."""
    parts = [_Part.of(graph, None, recipe, seed) for graph in graphs]
    return _errors(parts, network, seed)


def updates_of(graph: FactorGraph) -> int:
    """Updates of a chain that take as long as a pass of the network over cut-outs.

    A message counts as one update (a chain looks at one factor of an atom), 8 multiply-adds
    of the network as one more: nothing is timed, so that the answer is the same everywhere.
    """
    label, _ = components(graph)
    largest = int(np.bincount(label[label >= 0]).max(initial=0))
    messages = SETTLING + ROUNDS + 2 * PROBE_ROUNDS * largest
    layers = (load_gcn().edge, load_gcn().reply)
    weights = sum(weight.numel() for layer in layers for weight in layer.parameters())
    return layout(graph).edge_count * (messages + ROUNDS * weights // MULTIPLY_ADDS)


@dataclass(frozen=True)
class _Example:
    """A batch of cut-outs: inputs, marginals where they are ``asked``, labels where known."""

    seen: Course
    target: Tensor
    asked: Tensor
    scale: float
    labelled: Tensor
    label: Tensor


@dataclass(frozen=True)
class _Part:
    """A graph to cut from: centres to learn at, centres held out (open atoms in loops)."""

    around: CutOutSource
    centres: NDArray[np.int64]
    held_out: NDArray[np.int64]
    labels: NDArray[np.int8]

    @staticmethod
    def of(
        graph: FactorGraph, labels: NDArray[np.int8] | None, recipe: GcnRecipe, seed: int
    ) -> _Part:
        around = CutOutSource.of(condition(graph))
        rng = np.random.default_rng([seed, 3])
        first = around.looped & around.first_atoms()
        order = rng.permutation(np.flatnonzero(first))
        held_out = order[: min(recipe.held_out, len(order) // 4)]
        known = np.full(graph.atom_count, OPEN, np.int8) if labels is None else labels
        return _Part(around, order[len(held_out) :], np.sort(held_out), known)

    def examples(self, recipe: GcnRecipe, seed: int) -> list[_Example]:
        rng = np.random.default_rng([seed, 4])
        told = np.zeros(len(self.labels), np.bool_)
        told[self.held_out] = True
        found = []
        for batch in range(recipe.batches):
            size = CUT_OUT if batch % 2 == 0 else CUT_OUT // 2
            centres = rng.permutation(self.centres)[: recipe.cut_outs]
            cut = self.around.cut(np.sort(centres), size)
            found.append(self._example(cut, told, seed))
        return [example for example in found if bool(example.asked.any())]

    def _example(self, cut: CutOuts, told: NDArray[np.bool_], seed: int) -> _Example:
        truth, asked, _ = marginals(cut.graph, seed)
        asked = asked & torch.from_numpy(~told[cut.atoms])
        component = torch.from_numpy(components(cut.graph)[0]).long()
        seen = course(cut.graph, component)
        rounds = seen.wires.plan.beliefs(seen.raw).sigmoid()
        scale = (rounds - truth)[asked].abs().mean().item() if bool(asked.any()) else 0.0
        known = torch.from_numpy(self.labels[cut.atoms])
        return _Example(seen, truth, asked, scale + SMALL, known != OPEN, known.double())


def marginals(graph: FactorGraph, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """``float64[n]`` marginals of cut-outs, ``bool[n]`` which are known, and which are exact.

    Exact ones; of chains where a clique would have over 2^16 states.
    """
    exact = prepare(graph, device="cpu", width=WIDTH)
    truth = exact().probabilities
    left = array(~exact.tractable) & (array(graph.evidence) == OPEN)
    if left.any():
        part, atoms = subgraph(graph, left)
        drawn = gibbs(part, updates=TARGET_UPDATES, seed=seed).probabilities
        truth = truth.index_put((torch.from_numpy(atoms),), drawn)
    return truth, graph.evidence == OPEN, torch.from_numpy(~left)


def _train(
    network: Corrections,
    examples: list[_Example],
    recipe: GcnRecipe,
    progress: Progress | None,
) -> None:
    """Adam on one batch after another, in place; errors in units of belief propagation's."""
    optimiser = torch.optim.Adam(network.parameters(), recipe.rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.rate, total_steps=recipe.steps, pct_start=0.15
    )
    for step in range(recipe.steps):
        optimiser.zero_grad()
        loss = _loss(network, examples[step % len(examples)], recipe.eta)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        if progress is not None:
            progress(step + 1, recipe.steps, f"fitting the GCN posterior: {loss.item():.2f}")


def _loss(network: Corrections, one: _Example, eta: float) -> Tensor:
    """Error on a batch in units of belief propagation's, and cross-entropy of its labels."""
    log_odds = network(one.seen)
    loss: Tensor = (log_odds.sigmoid() - one.target)[one.asked].abs().mean() / one.scale
    if eta and bool(one.labelled.any()):
        said = log_odds[one.labelled].clamp(-CERTAIN, CERTAIN)
        loss = loss + eta * binary_cross_entropy_with_logits(said, one.label[one.labelled])
    return loss


def _mean_loss(network: Corrections, examples: list[_Example], eta: float) -> float:
    with torch.no_grad():
        return float(np.mean([_loss(network, one, eta).item() for one in examples]))


def _errors(parts: Sequence[_Part], network: Corrections, seed: int) -> GcnErrors:
    """Errors at the centres of what every part holds out."""
    count, updates, long_chains, total = 0, 0, 0, np.zeros(3)
    for part in parts:
        if not len(part.held_out):
            continue
        cut = part.around.cut(part.held_out, CUT_OUT)
        truth, asked, exact = marginals(cut.graph, seed)
        told = asked & torch.from_numpy(cut.central)
        component = torch.from_numpy(components(cut.graph)[0]).long()
        allowed = updates_of(cut.graph)
        beliefs = (
            corrected(cut.graph, component, network)[0],
            bp(cut.graph).log_odds,
            gibbs(cut.graph, updates=allowed, seed=seed).log_odds,
        )
        errors = [(found.sigmoid() - truth)[told].abs().mean().item() for found in beliefs]
        total += len(part.held_out) * np.array(errors)
        count += len(part.held_out)
        updates += allowed
        long_chains += int((told & ~exact).sum())
    mean = total / max(count, 1)
    return GcnErrors(count, float(mean[0]), float(mean[1]), float(mean[2]), updates, long_chains)


def _short(error: float) -> str:
    return f"{error:.4f}".lstrip("0")
