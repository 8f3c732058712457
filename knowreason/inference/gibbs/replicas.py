"""Ensembles of tempered chains, run longer and longer until every component is known well."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from knowreason.factors.arrays import Array, entries_of, offsets_of, sum_by
from knowreason.inference.gibbs.chain_kernels import Tally
from knowreason.inference.gibbs.chain_summary import ChainSummary, summarise
from knowreason.inference.gibbs.cutset_kernels import States
from knowreason.inference.gibbs.cutset_plans import CutsetPlan, cutset_plans
from knowreason.inference.gibbs.exchange_kernels import Exchanges, Ladder, run_replicas
from knowreason.inference.gibbs.gibbs_kernels import HARD_WEIGHT, GibbsVariables
from knowreason.inference.gibbs.gibbs_layout import GibbsLayout, new_tally
from knowreason.inference.gibbs.variable_tables import VariableTables

REPLICAS = 5  # of an ensemble
DRAWN = 1  # replicas, of the coldest, in which cutsets are drawn
PLANS = 4  # of cutsets, taken in turn
BATCHES = 20  # of every ensemble; an even number
FIRST_SWEEPS = 5 * BATCHES
FLIPS = 3  # of an atom of a set, and back
LEAST_GROWTH = 1.25  # of the last round, where the budget does not allow twice as many sweeps
FIRST_GAP = 0.3  # between neighbouring temperatures, as a share
GAPS = (0.01, 0.7)
WANTED = 0.35  # share of swaps that are made
HARD = 6.0  # weight of a hard rule in a warm replica, more where there are many


@dataclass(frozen=True)
class SampledBeliefs:
    """What ensembles say, by atom, row and component; of each component in its last round.

    Attributes:
        log_odds: ``float64[n]``.
        error: ``float64[n]`` Monte-Carlo standard error of the probability.
        r_hat, sample_size: ``float64[n]``, see :class:`.ChainSummary`.
        truth: ``float64[f]`` mean potential of every row.
        moved: ``bool[n]`` whether any chain changed the atom in that round.
        trips: ``int64[c]`` worlds that came from the hottest replica to the coldest.
        sweeps: ``int64[c]`` sweeps of each ensemble in that round.
        stopped: whether the wall clock ended it.
    """

    log_odds: NDArray[np.float64]
    error: NDArray[np.float64]
    r_hat: NDArray[np.float64]
    sample_size: NDArray[np.float64]
    truth: NDArray[np.float64]
    moved: NDArray[np.bool_]
    trips: NDArray[np.int64]
    sweeps: NDArray[np.int64]
    stopped: bool = False


@dataclass
class Temperatures:
    """Ladders of all components, moved after every round.

    Attributes:
        gaps: ``float64[k - 1, c]`` one less the ratio of neighbouring shares.
        hard: ``float64[c]`` weight of a hard rule at the warm replica nearest to the graph.
    """

    gaps: NDArray[np.float64]
    hard: NDArray[np.float64]

    def shares(self) -> NDArray[np.float64]:
        """``float64[k, c]``: share of the weight of soft rows."""
        ones = np.ones((1, self.gaps.shape[1]))
        return np.concatenate([ones, np.cumprod(1 - self.gaps, axis=0)])

    def move(self, swaps: list[Exchanges]) -> None:
        """Brings the share of swaps that were made nearer to the one wanted."""
        made, tried = (
            np.sum([getattr(s, name) for s in swaps], axis=0) for name in ("made", "tried")
        )
        done = tried > 0
        share = np.divide(made, tried, out=np.full(made.shape, WANTED), where=done)
        self.gaps = np.clip(self.gaps * np.clip(share / WANTED, 0.5, 1.6), *GAPS)
        self.hard = np.where(share[0] < WANTED / 3, 1.25, 1.0) * self.hard


@dataclass(frozen=True)
class Ensembles:
    """A conditioned graph wired for ensembles of tempered chains.

    Attributes:
        wiring: rows by atom.
        tables: rows as tables over variables.
        label: ``int32[n]`` component of each atom, -1 for decided ones.
        count: number of components.
        weights, unary: of rows (``float64[f]``) and atoms (``float64[n]``).
        states: of the largest clique of a cutset plan.
        seed: of everything drawn.
        threads: ensembles run at once.
    """

    wiring: GibbsLayout
    tables: VariableTables
    label: NDArray[np.int32]
    count: int
    weights: NDArray[np.float64]
    unary: NDArray[np.float64]
    states: int = 64
    seed: int = 0
    threads: int = 1

    @property
    def row_label(self) -> NDArray[np.int64]:
        """``int64[f]``: component of each row."""
        return self.wiring.row_label(self.label)

    @property
    def demands(self) -> NDArray[np.bool_]:
        """``bool[f]``: hard rows that a world may break."""
        return np.asarray((self.weights == HARD_WEIGHT) & (self.wiring.rows["target"][:-1] < 0))

    def run(
        self,
        starts: NDArray[np.int8],
        settled: Callable[[SampledBeliefs], NDArray[np.bool_]],
        *,
        updates: int,
        seconds: float | None = None,
    ) -> SampledBeliefs:
        """Rounds of twice as many sweeps each, from where the last one ended.

        Args:
            starts: ``int8[s, n]`` a world an ensemble.
            settled: ``bool[c]`` of components that need no further round.
            updates: most factors looked at, in all rounds; the first is always made.
            seconds: wall clock after which no round starts; ``None`` for none.
        """
        begin = time.perf_counter()
        worlds = np.repeat(starts[:, None], REPLICAS, axis=1)
        hot = np.zeros((len(starts), REPLICAS, self.count), np.bool_)
        demands = sum_by(self.row_label, self.demands.astype(np.float64), self.count)
        ladder = Temperatures(
            np.full((REPLICAS - 1, self.count), FIRST_GAP), HARD + np.log1p(demands)
        )
        active = np.ones(self.count, np.bool_)
        found, spent, sweeps, number = self._nothing(), 0, FIRST_SWEEPS, 0
        while active.any():
            work = _Round.of(self, active, ladder, number)
            if number:
                left = (updates - spent) // (len(starts) * work.updates * BATCHES) * BATCHES
                late = seconds is not None and time.perf_counter() - begin > seconds
                if late or left < LEAST_GROWTH * sweeps:
                    return replace(found, stopped=late)
                sweeps = min(2 * sweeps, left)
            spent += sweeps * len(starts) * work.updates
            tallies, swaps = work.sweep(worlds, hot, sweeps)
            found = self._merged(found, summarise(tallies, sweeps), swaps, active, sweeps)
            ladder.move(swaps)
            active &= ~settled(found)
            number += 1
        return found

    def _nothing(self) -> SampledBeliefs:
        n, rows = len(self.label), len(self.weights)
        zero = np.zeros(n)
        return SampledBeliefs(
            zero,
            zero,
            np.ones(n),
            zero,
            np.zeros(rows),
            np.zeros(n, np.bool_),
            np.zeros(self.count, np.int64),
            np.zeros(self.count, np.int64),
        )

    def _merged(
        self,
        before: SampledBeliefs,
        found: ChainSummary,
        swaps: list[Exchanges],
        active: NDArray[np.bool_],
        sweeps: int,
    ) -> SampledBeliefs:
        """What was known, replaced by what a round found about its components."""
        here = np.append(active, False)[self.label]
        error = found.error * self._inflation(found)[self.label]
        trips = np.sum([s.trips for s in swaps], axis=0)
        return SampledBeliefs(
            np.where(here, found.log_odds, before.log_odds),
            np.where(here, error, before.error),
            np.where(here, found.r_hat, before.r_hat),
            np.where(here, found.sample_size, before.sample_size),
            np.where(active[self.row_label], found.truth, before.truth),
            np.where(here, found.moved, before.moved),
            np.where(active, trips, before.trips),
            np.where(active, sweeps, before.sweeps),
        )

    def _inflation(self, found: ChainSummary) -> NDArray[np.float64]:
        """``float64[c + 1]``: how far ensembles differ by more than their batches tell."""
        mine = self.label >= 0
        apart = sum_by(self.label[mine], found.between[mine] ** 2, self.count + 1)
        told = sum_by(self.label[mine], found.error[mine] ** 2, self.count + 1)
        ratio = np.divide(apart, told, out=np.ones_like(apart), where=told > 0)
        return np.sqrt(np.maximum(ratio, 1.0))


@dataclass(frozen=True)
class _Round:
    """Sweeps of some components at one ladder."""

    of_graph: Ensembles
    variables: GibbsVariables
    ladder: Ladder
    row_weights: NDArray[np.float64]
    entries: NDArray[np.float64]
    plans: tuple[CutsetPlan, ...]
    number: int

    @staticmethod
    def of(graph: Ensembles, active: NDArray[np.bool_], at: Temperatures, number: int) -> _Round:
        shares, demands, row_label = at.shares(), graph.demands, graph.row_label
        hard = shares * at.hard / shares[1]
        hard[0] = HARD_WEIGHT
        soft = np.where(graph.weights == HARD_WEIGHT, 0.0, graph.weights)
        atoms, atom_first = _members(graph.label, active)
        rows, row_first = _members(row_label, active)
        ladder = Ladder(shares, hard, soft, demands, atom_first, atoms, row_first, rows)
        weights = shares[:, row_label] * soft + hard[:, row_label] * demands
        tables = graph.tables
        size = np.diff(tables.first)
        owner = tables.component
        entries = np.repeat(shares[:DRAWN, owner], size, 1) * tables.entries(graph.wiring, soft)
        if demands.any():
            broken = tables.entries(graph.wiring, demands.astype(np.float64))
            entries += np.repeat(hard[:DRAWN, owner], size, 1) * broken
        plans = cutset_plans(
            tables,
            active[tables.variables.component],
            count=PLANS,
            states=graph.states,
            seed=graph.seed,
        )
        variables = _drawn(graph.wiring.variables, np.append(active, False)[graph.label])
        return _Round(graph, variables, ladder, weights, entries, plans, number)

    @property
    def updates(self) -> int:
        """Factors looked at in a sweep of all replicas of an ensemble."""
        first = self.of_graph.wiring.atom_first
        degree = np.diff(first)
        edges = int(degree[self.ladder.atoms].sum()) + len(self.ladder.atoms)
        edges += FLIPS * int(degree[self.variables.set_atoms].sum())
        blocks = sum(plan.updates for plan in self.plans) // len(self.plans)
        return REPLICAS * (2 * edges + len(self.ladder.rows)) + len(self.entries) * blocks

    def sweep(
        self, worlds: NDArray[np.int8], hot: NDArray[np.bool_], sweeps: int
    ) -> tuple[list[Tally], list[Exchanges]]:
        """Sweeps ensembles from their worlds (``int8[s, k, n]``), in place."""
        graph = self.of_graph
        seeds = np.random.SeedSequence([graph.seed, 11, self.number])
        states = seeds.generate_state(len(worlds), np.uint64) >> np.uint64(1)
        known = graph.tables.variables
        variables = States(known.offsets, known.atom)

        def run(i: int) -> tuple[Tally, Exchanges]:
            nets = tuple(
                graph.wiring.network(self.row_weights[k], graph.unary, worlds[i, k])
                for k in range(REPLICAS)
            )
            tally = new_tally(BATCHES, len(graph.label), len(graph.weights))
            none = np.zeros((REPLICAS - 1, graph.count), np.int64)
            swaps = Exchanges(none, none.copy(), hot[i], np.zeros(graph.count, np.int64))
            run_replicas(
                self.variables, nets, self.ladder, self.entries, variables, self.plans,
                sweeps, states[i], tally, swaps,
            )  # fmt: skip
            return tally, swaps

        if graph.threads <= 1:
            done = [run(i) for i in range(len(worlds))]
        else:
            with ThreadPoolExecutor(graph.threads) as pool:
                done = list(pool.map(run, range(len(worlds))))
        return [tally for tally, _ in done], [swaps for _, swaps in done]


def _members(label: Array, active: NDArray[np.bool_]) -> tuple[Array, Array]:
    """CSR of the members of each active component: members, offsets."""
    mine = np.flatnonzero(np.append(active, False)[label])
    order = mine[np.argsort(label[mine], kind="stable")]
    return order, offsets_of(np.bincount(label[mine], minlength=len(active)))


def _drawn(variables: GibbsVariables, here: NDArray[np.bool_]) -> GibbsVariables:
    """The variables of some atoms (``bool[n]``, whole components)."""
    blocks = np.flatnonzero(here[variables.block_atoms[variables.block_offsets[:-1]]])
    sets = np.flatnonzero(here[variables.set_atoms[variables.set_offsets[:-1]]])
    members, block_offsets = entries_of(variables.block_offsets, blocks)
    tied, set_offsets = entries_of(variables.set_offsets, sets)
    return variables._replace(
        singles=variables.singles[here[variables.singles]],
        counted_singles=variables.counted_singles[here[variables.counted_singles]],
        block_offsets=block_offsets,
        block_atoms=variables.block_atoms[members],
        at_most_one=variables.at_most_one[blocks],
        set_offsets=set_offsets,
        set_atoms=variables.set_atoms[tied],
        auxiliary=variables.auxiliary[here[variables.auxiliary]],
    )
