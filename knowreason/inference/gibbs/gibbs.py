"""Gibbs sampling: the check on other engines, and worlds for learning."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from knowreason.factors import OPEN, FactorGraph
from knowreason.factors.arrays import array, owners
from knowreason.factors.components.connected import components
from knowreason.factors.condition import condition
from knowreason.factors.energy import holds
from knowreason.inference.engine_protocol import infer
from knowreason.inference.gibbs.chain_kernels import Tally, run_chain
from knowreason.inference.gibbs.gibbs_kernels import HARD_WEIGHT
from knowreason.inference.gibbs.gibbs_layout import (
    GibbsLayout,
    gibbs_layout,
    no_tally,
    row_weights_of,
)
from knowreason.inference.gibbs.replicas import Ensembles, SampledBeliefs
from knowreason.inference.gibbs.variable_tables import variable_tables
from knowreason.inference.gibbs.verdicts import MIXED, SPOKEN, TRIPS, Verdicts, verdicts
from knowreason.inference.messages.message_beliefs import decided_clipped, expected_units
from knowreason.inference.messages.message_graph import MessageGraph
from knowreason.inference.posterior import (
    QUALITIES,
    EngineReport,
    Posterior,
    Quality,
    quality_of_open,
)
from knowreason.progress import Progress

ANNEALING = (1.0, 2.0, 4.0, 8.0, 16.0, HARD_WEIGHT)  # weights of hard rows, for a start
ANNEALING_SWEEPS = 20
UPDATES = 600_000_000
STATES = 64  # of the largest clique that is drawn at once
NANOSECONDS = 7.0  # that an update takes


@dataclass(frozen=True)
class GibbsSampler:
    """A graph prepared once for chains at any ``theta``; its evidence stays.

    Attributes:
        graph: the conditioned graph.
        wiring: rows by atom.
    """

    graph: FactorGraph
    wiring: GibbsLayout

    @property
    def plan(self) -> MessageGraph:
        """The layout that numbers the rows."""
        return self.wiring.plan

    def sample(
        self,
        theta: Tensor | None = None,
        worlds: Tensor | None = None,
        *,
        chains: int = 20,
        sweeps: int = 10,
        seed: int = 0,
        threads: int = 1,
    ) -> Tensor:
        """Worlds after some sweeps, one a chain, ``int8[s, n]``.

        Args:
            theta: ``float64[p]``; the graph's own by default.
            worlds: ``int8[s, n]`` where the chains stand; fresh chains by default.
            chains: number of fresh chains.
            sweeps: sweeps to make.
            seed: same arguments and seed, same worlds.
            threads: chains run at once.
        """
        graph = self.graph if theta is None else self.graph.with_theta(theta.detach().cpu())
        start = self.start(graph, chains, seed) if worlds is None else self.mend(worlds)
        weights, unary = self.numbers(graph)
        tallies = [no_tally()] * len(start)
        self._run(start, weights, unary, (sweeps, 0), seed, tallies, threads)
        return torch.from_numpy(start)

    def mend(self, worlds: Tensor) -> NDArray[np.int8]:
        """Worlds under the evidence, with one state a block (``int8[s, n]``, a copy)."""
        mended: NDArray[np.int8] = array(worlds).astype(np.int8, copy=True)
        evidence = array(self.graph.evidence)
        mended[:, evidence != OPEN] = evidence[evidence != OPEN]
        blocks = self.plan.blocks
        if blocks.count:
            atoms, block = blocks.atoms, owners(blocks.offsets)
            true = np.add.reduceat(mended[:, atoms], blocks.offsets[:-1], axis=1, dtype=np.int64)
            wrong = (true > 1) | ((true == 0) & ~blocks.at_most_one)
            chain, which = np.nonzero(wrong)
            inside = wrong[:, block]
            mended[:, atoms] = np.where(inside, 0, mended[:, atoms])
            mended[chain, atoms[blocks.offsets[:-1][which]]] = 1
        return mended

    def start(
        self,
        graph: FactorGraph,
        chains: int,
        seed: int,
        *,
        exact: bool = True,
        beliefs: NDArray[np.float64] | None = None,
    ) -> NDArray[np.int8]:
        """Worlds drawn from ``beliefs``, then annealed until hard rows hold.

        ``beliefs`` (``float64[n]`` log-odds) are the unary log-odds by default. Where hard
        rows still fail and ``exact``, a chain starts at the world of ``map``.
        """
        rng = np.random.default_rng([seed, 1])
        unary = array(graph.unary_log_odds()) if beliefs is None else beliefs
        noise = rng.logistic(size=(chains, graph.atom_count))
        worlds = (unary + noise > 0).astype(np.int8)
        blocks = self.plan.blocks
        if blocks.count:
            score = (unary + rng.gumbel(size=noise.shape))[:, blocks.atoms]
            top = np.maximum.reduceat(score, blocks.offsets[:-1], axis=1)
            worlds[:, blocks.atoms] = score == top[:, owners(blocks.offsets)]
        worlds = self.mend(torch.from_numpy(worlds))
        return self._satisfied(graph, worlds, seed, exact)

    def _satisfied(
        self, graph: FactorGraph, worlds: NDArray[np.int8], seed: int, exact: bool
    ) -> NDArray[np.int8]:
        if not any(nodes.is_hard for nodes in self.plan.nodes):
            return worlds
        weights, unary = self.numbers(graph)
        hard = weights == HARD_WEIGHT
        for step, weight in enumerate(ANNEALING):
            heated = np.where(hard, weight, weights)
            tallies = [no_tally()] * len(worlds)
            self._run(worlds, heated, unary, (ANNEALING_SWEEPS, 0), seed + step, tallies, 1)
        failed = ~array(holds(graph, torch.from_numpy(worlds)))
        if exact and failed.any():
            best = infer(graph, "map").world
            assert best is not None
            worlds[failed] = array(best)
        return worlds

    def numbers(self, graph: FactorGraph) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Row weights (``float64[f]``) and unary log-odds (``float64[n]``) at a graph's theta."""
        return row_weights_of(self.plan, graph.theta), array(graph.unary_log_odds())

    def _run(
        self,
        worlds: NDArray[np.int8],
        weights: NDArray[np.float64],
        unary: NDArray[np.float64],
        sweeps: tuple[int, int],
        seed: int,
        tallies: list[Tally],
        threads: int,
    ) -> None:
        """Runs every chain from its world, in place; ``sweeps`` are burnt and kept."""
        seeds = np.random.SeedSequence(seed).generate_state(len(worlds), np.uint64)
        burnt, kept = sweeps

        def run(i: int) -> None:
            chain = seeds[i] >> np.uint64(1)
            net = self.wiring.network(weights, unary, worlds[i])
            run_chain(self.wiring.variables, net, burnt, kept, chain, tallies[i])

        if threads <= 1:
            for i in range(len(worlds)):
                run(i)
        else:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(run, range(len(worlds))))

    def expectations(self, log_odds: Tensor, truth: NDArray[np.float64]) -> Tensor:
        """``float64[p]`` from marginals and the mean potential of every row."""
        graph = self.graph
        expected = graph.constants + expected_units(graph, log_odds.sigmoid())
        first = 0
        for nodes in self.plan.nodes:
            expected = nodes.collect(expected, torch.from_numpy(truth[first : first + nodes.count]))
            first += nodes.count
        return expected

    @property
    def told(self) -> NDArray[np.bool_]:
        """``bool[n]``: open atoms that no count defines."""
        told: NDArray[np.bool_] = array(self.graph.evidence) == OPEN
        if self.graph.auxiliary is not None:
            told &= ~array(self.graph.auxiliary)
        return told

    def ensembles(self, *, states: int, seed: int, threads: int = 1) -> Ensembles:
        """The graph wired for tempered chains at its own theta; see :class:`.Ensembles`."""
        label, count = components(self.graph)
        tables = variable_tables(self.graph, self.wiring, label)
        weights, unary = self.numbers(self.graph)
        return Ensembles(self.wiring, tables, label, count, weights, unary, states, seed, threads)

    def under_hard_rows(self) -> NDArray[np.bool_]:
        """``bool[n]``: atoms in a hard row, a demanded count included."""
        hard = np.zeros(self.graph.atom_count, np.bool_)
        for nodes in self.plan.nodes:
            if nodes.is_hard:
                hard[nodes.atoms[np.repeat(~nodes.has_target, np.diff(nodes.offsets))]] = True
        return hard


def prepare_gibbs(graph: FactorGraph) -> GibbsSampler:
    """Conditions and wires a graph once, for many calls at other ``theta``."""
    known = condition(graph)
    return GibbsSampler(known, gibbs_layout(known))


def gibbs(
    graph: FactorGraph,
    *,
    chains: int = 4,
    updates: int = UPDATES,
    states: int = STATES,
    seconds: float | None = None,
    threads: int = 1,
    device: str = "auto",
    seed: int = 0,
    progress: Progress | None = None,
) -> Posterior:
    """Marginals by Gibbs sampling, averaged over conditional probabilities.

    Every chain is an ensemble of replicas at a ladder of temperatures that swap their
    worlds. Blocks are drawn as one variable, auxiliary atoms follow their counts, atoms
    that hard rows tie are flipped together, and after each sweep a set of variables whose
    cliques are small given the others is drawn exactly at once. Sweeps are doubled, from
    where chains stand, until a component is confirmed: split R-hat at most 1.05, 400
    effective samples an atom, five Monte-Carlo errors within .01, and worlds that came
    round from the hottest replicas (where hard rules may break) 600 times.

    Args:
        graph: any factor graph.
        chains: independent ensembles.
        updates: most factors looked at by an atom (or an entry of a clique); one takes
            about 7 ns of a thread. The first round of 100 sweeps is always made.
        states: of the largest clique that is drawn at once; 4 makes spanning forests.
        seconds: wall clock after which no round starts, and the report says so: the answer
            then depends on the machine. ``None`` for none.
        threads: ensembles run at once.
        device: always the CPU.
        seed: same seed, same answer, whatever the threads.
        progress: called as ``progress(0, updates, note)`` before sampling starts.

    Raises:
        InferenceError: no world satisfies the hard rows.

    Source: Geman & Geman 1984; Hukushima & Nemoto 1996 (replica exchange); Bidyuk &
    Dechter 2007 (cutset sampling).
    """
    begin = time.perf_counter()
    sampler = prepare_gibbs(graph)
    ensembles = sampler.ensembles(states=states, seed=seed, threads=threads)
    starts = sampler.start(sampler.graph, chains, seed)
    if progress is not None:
        progress(0, updates, seconds_told(updates, threads))
    label, told = ensembles.label, sampler.told
    found = ensembles.run(
        starts,
        lambda now: verdicts(now, label, told).confirmed,
        updates=updates,
        seconds=seconds,
    )
    said = verdicts(found, label, told)
    log_odds = decided_clipped(sampler.graph, torch.from_numpy(found.log_odds))
    kinds: tuple[tuple[Quality, NDArray[np.bool_]], ...] = (
        ("confirmed", said.confirmed),
        ("unconfirmed", ~said.confirmed),
    )
    reports = [
        sampling_report(sampler, found, said, chosen, quality, begin)
        for quality, chosen in kinds
        if chosen.any()
    ]
    component = torch.from_numpy(label)
    qualities = quality_of_open(component, "unconfirmed")
    qualities[np.append(said.confirmed, False)[label]] = QUALITIES.index("confirmed")
    return Posterior(
        log_odds,
        None,
        "",
        sampler.expectations(log_odds, found.truth),
        component,
        tuple(reports),
        spread=log_odds_spread(found.error, log_odds),
        quality=qualities,
    )


def seconds_told(updates: int, threads: int) -> str:
    """What so many updates may cost.

    Example:
        >>> seconds_told(2_000_000_000, 2)
        'at most about 7 s of sampling'
    """
    return f"at most about {1e-9 * NANOSECONDS * updates / threads:.0f} s of sampling"


def sampling_report(
    sampler: GibbsSampler,
    found: SampledBeliefs,
    said: Verdicts,
    chosen: NDArray[np.bool_],
    quality: Quality,
    begin: float,
) -> EngineReport:
    """The report on chains of some components (``bool[c]``) of one quality."""
    here = np.append(chosen, False)[components(sampler.graph)[0]]
    notes: tuple[str, ...] = ()
    held = here & sampler.told & ~found.moved & sampler.under_hard_rows()
    if held.any():
        number = int(held.sum())
        notes += (f"{number} atoms under hard rules never moved: chains may not reach all worlds",)
    few = chosen & (found.trips < TRIPS)
    if few.any():
        notes += (f"in {int(few.sum())} components few worlds came from the hottest replicas",)
    if found.stopped:
        notes += ("stopped by the wall clock: another machine may answer otherwise",)
    return EngineReport(
        engine="gibbs",
        components=int(chosen.sum()),
        atoms=int(here.sum()),
        converged=int((chosen & (said.r_hat <= MIXED)).sum()),
        sweeps=int(found.sweeps[chosen].max(initial=0)),
        seconds=time.perf_counter() - begin,
        notes=notes,
        quality=quality,
        error=float(SPOKEN * said.error[chosen].max(initial=0.0)),
        checked=said.told(chosen),
    )


def log_odds_spread(error: NDArray[np.float64], log_odds: Tensor) -> Tensor:
    """``float64[n]``: standard deviations of probabilities as ones of log-odds."""
    slope = torch.exp(-log_odds.abs()) / (1 + torch.exp(-log_odds.abs())) ** 2
    return torch.from_numpy(error) / slope.clamp(min=1e-300)
