"""The most probable world: by junction trees, else by HiGHS, else by local search."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult

from knowreason.errors import InferenceError
from knowreason.factors import FactorGraph
from knowreason.factors.arrays import array
from knowreason.factors.components.connected import components, subgraph
from knowreason.factors.energy import holds, log_score
from knowreason.inference.exact.exact_budget import MEMORY, SECONDS, ExactBudget
from knowreason.inference.gibbs.chain_kernels import margins
from knowreason.inference.gibbs.gibbs import GibbsSampler, prepare_gibbs
from knowreason.inference.map.annealing import GREEDY, anneal, component_scores
from knowreason.inference.map.best_of_components import best_of_components
from knowreason.inference.map.linear_program import LinearProgram, linear_program
from knowreason.inference.messages.bp import bp
from knowreason.inference.messages.message_beliefs import decided_clipped
from knowreason.inference.posterior import QUALITIES, EngineReport, Posterior, Quality

LARGEST_PROGRAM = 300_000  # columns that HiGHS is given; smallest components first
BATCH = 300  # binary columns branched on together, whole components
INTEGRAL = 1e-6
INFEASIBLE = 2  # status of scipy's milp


def map_(
    graph: FactorGraph,
    *,
    seconds: float = 60.0,
    relax: bool = False,
    chains: int = 4,
    device: str = "auto",
    seed: int = 0,
    exact_memory: str | int = MEMORY,
    exact_seconds: float = SECONDS,
) -> Posterior:
    """Most probable world, by component.

    Components that exact inference would serve are solved by max-product on their junction
    trees. Then one linear program: components whose optimum is integral are done. The others
    are branched on, in batches, while time is left. What remains (and components too
    large for a program) gets the best of max-product beliefs and annealing.

    Args:
        graph: any factor graph.
        seconds: time for linear programs, together.
        relax: stop at the linear program: truths between 0 and 1 (the linear hinges of
            probabilistic soft logic), as log-odds; ``world`` is what they round to, and
            may break hard rows.
        chains: annealed chains of the local search.
        device: always the CPU.
        seed: of the local search.
        exact_memory, exact_seconds: of junction trees, as for
            :func:`knowreason.inference.exact.exact.prepare`.

    Returns:
        a posterior whose ``world`` is ``int8[n]`` and whose ``log_odds`` are margins: what
        changing the atom alone (or the state of its block) would cost, signed by its
        truth. The report says how many components are proven best, and the log-score.

    Raises:
        InferenceError: no world satisfies the hard rows (KR702), or none was found in
            time (KR742).
    """
    begin = time.perf_counter()
    search = _Search.of(prepare_gibbs(graph), begin + seconds)
    label, count = search.label, search.count
    if relax:
        proven = np.bincount(label[label >= 0], minlength=count) == 1
        truths = search.relaxed(proven, search.signs().astype(np.float64))
        world = (truths > 0.5).astype(np.int8)
        log_odds = np.log(np.maximum(truths, 1e-300)) - np.log(np.maximum(1 - truths, 1e-300))
        return search.posterior(world, log_odds, proven, "map: relaxation", begin)
    budget = ExactBudget.of(exact_memory, exact_seconds)
    world = search.signs()
    proven = best_of_components(search.sampler.graph, label, count, budget, world)
    if not proven.all():
        truths = search.relaxed(proven, world.astype(np.float64))
        world = (truths > 0.5).astype(np.int8)
        search.branch(world, proven)
    if not proven.all():
        search.improve(world, proven, chains, seed)
    return search.posterior(world, search.margins(world), proven, "map", begin)


@dataclass(frozen=True)
class _Search:
    """A prepared graph, its program, and the moment at which programs must stop."""

    sampler: GibbsSampler
    label: NDArray[np.int32]
    count: int
    weights: NDArray[np.float64]
    unary: NDArray[np.float64]
    until: float

    @staticmethod
    def of(sampler: GibbsSampler, until: float) -> _Search:
        graph = sampler.graph
        label, count = components(graph)
        weights, unary = sampler.numbers(graph)
        return _Search(sampler, label, count, weights, unary, until)

    @cached_property
    def program(self) -> LinearProgram:
        """The program of all components."""
        graph, plan = self.sampler.graph, self.sampler.plan
        parts = [None if mine is None else array(mine) for mine in plan.weights(graph.theta)]
        return linear_program(plan, parts, self.unary)

    def signs(self) -> NDArray[np.int8]:
        """``int8[n]``: the evidence, and of open atoms whether their log-odds are positive."""
        known = array(self.sampler.graph.evidence)
        return np.where(self.label < 0, known, self.unary > 0).astype(np.int8)

    def relaxed(
        self, proven: NDArray[np.bool_], truths: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """``float64[n]`` truths of the linear program, where it is solved instead of ``truths``.

        Components it proves are added to ``proven`` (``bool[c]``).
        """
        owner = self.label[self.program.owner]
        sizes = np.bincount(owner[owner >= 0], minlength=self.count)
        order = np.flatnonzero(~proven)[np.argsort(sizes[~proven], kind="stable")]
        served = np.zeros(self.count, np.bool_)
        served[order[np.cumsum(sizes[order]) <= LARGEST_PROGRAM]] = True
        part, columns = self.program.part(self._atoms(served))
        result = self._solve(part, integral=False)
        if result.x is None:
            return truths
        atoms = columns < self.sampler.graph.atom_count
        truths[columns[atoms]] = result.x[atoms]
        torn = part.binary & (np.abs(result.x - np.round(result.x)) > INTEGRAL)
        proven |= served
        proven[self.label[part.owner[torn]]] = False
        return truths

    def branch(self, world: NDArray[np.int8], proven: NDArray[np.bool_]) -> None:
        """Solves batches of unproven components to the end while time is left, in place."""
        owner = self.label[self.program.owner]
        binary = np.bincount(owner[(owner >= 0) & self.program.binary], minlength=self.count)
        waiting = np.flatnonzero(~proven)
        waiting = waiting[np.argsort(binary[waiting], kind="stable")]
        batch = np.cumsum(binary[waiting]) // BATCH
        numbers = np.unique(batch)
        for done, number in enumerate(numbers):
            if self.left() <= 0:
                return
            share = min(1.0, 2.0 / (len(numbers) - done))  # twice its share of what is left
            chosen = np.zeros(self.count, np.bool_)
            chosen[waiting[batch == number]] = True
            part, columns = self.program.part(self._atoms(chosen))
            if part.objective.size > LARGEST_PROGRAM:
                return
            result = self._solve(part, integral=True, share=share)
            if result.x is not None:
                atoms = columns < len(world)
                world[columns[atoms]] = np.round(result.x[atoms])
                proven |= chosen & (result.status == 0)

    def improve(
        self, world: NDArray[np.int8], proven: NDArray[np.bool_], chains: int, seed: int
    ) -> None:
        """Best of several local searches for each unproven component, in place."""
        graph, atoms = subgraph(self.sampler.graph, self._atoms(~proven))
        sampler = prepare_gibbs(graph)
        decoded = bp(graph, product="max", fallback=False).world
        assert decoded is not None
        given = sampler.mend(torch.stack([torch.from_numpy(world[atoms]), decoded]))
        fresh = sampler.start(graph, chains, seed, exact=False)
        weights, unary = sampler.numbers(graph)
        anneal(sampler.wiring, weights, unary, fresh, seed)
        anneal(sampler.wiring, weights, unary, given, seed, (GREEDY,))
        worlds = np.concatenate([given, fresh])
        label, count = components(sampler.graph)
        scores = component_scores(sampler.wiring, weights, unary, worlds, label, count)
        best = np.append(scores.argmax(0), 0)[label] if count else np.zeros(len(atoms), np.int64)
        world[atoms] = worlds[best, np.arange(len(atoms))]

    def margins(self, world: NDArray[np.int8]) -> NDArray[np.float64]:
        """``float64[n]``; see :func:`.gibbs_kernels.margins`."""
        odds = np.zeros(len(world))
        wiring = self.sampler.wiring
        margins(wiring.variables, wiring.network(self.weights, self.unary, world), odds)
        return odds

    def posterior(
        self,
        world: NDArray[np.int8],
        log_odds: NDArray[np.float64],
        proven: NDArray[np.bool_],
        engine: str,
        begin: float,
    ) -> Posterior:
        """The world with its report; raises where it breaks hard rows (KR742)."""
        graph = self.sampler.graph
        found = torch.from_numpy(world)
        if engine == "map" and not holds(graph, found[None])[0]:
            raise InferenceError(
                "no world that satisfies the hard rules was found in time",
                code="KR742",
                help="give `map` more `seconds`, or make a hard rule soft",
            )
        score = float(log_score(graph, found[None])[0])
        note = f"log-score {score:.6g}; {int(proven.sum())} components proven best"
        seconds = time.perf_counter() - begin
        quality = torch.zeros(len(found), dtype=torch.int8)
        reports: list[EngineReport] = []
        served: tuple[tuple[Quality, NDArray[np.bool_]], ...]
        served = (("exact", proven), ("unconfirmed", ~proven))
        for name, here in served:
            if not here.any() and (reports or self.count):
                continue
            atoms = self._atoms(here)
            quality[torch.from_numpy(atoms)] = QUALITIES.index(name)
            reports.append(
                EngineReport(
                    engine=engine,
                    components=int(here.sum()),
                    atoms=int(atoms.sum()),
                    converged=int((here & proven).sum()),
                    seconds=seconds,
                    notes=() if reports else (note,),
                    quality=name,
                    error=0.0 if name == "exact" else float("nan"),
                )
            )
        return Posterior(
            decided_clipped(graph, torch.from_numpy(log_odds)),
            None,
            "",
            None,
            torch.from_numpy(self.label),
            tuple(reports),
            found,
            quality=quality,
        )

    def left(self) -> float:
        """Seconds left for programs."""
        return self.until - time.perf_counter()

    def _solve(self, part: LinearProgram, *, integral: bool, share: float = 1.0) -> OptimizeResult:
        result = part.solve(integral=integral, seconds=share * self.left())
        if result.status == INFEASIBLE:
            raise InferenceError(
                "no world satisfies the hard rules, blocks and counts together", code="KR702"
            )
        return result

    def _atoms(self, chosen: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """``bool[n]``: atoms of the chosen components (``bool[c]``)."""
        return np.append(chosen, False)[self.label]
