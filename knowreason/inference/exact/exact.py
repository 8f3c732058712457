"""Exact inference: circuits, trees and junction trees, prepared once for many ``theta``."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from knowreason.errors import InferenceError
from knowreason.factors.arrays import Array, array, sum_by
from knowreason.factors.components.connected import components, log2_states
from knowreason.factors.components.scopes import Scopes, scopes
from knowreason.factors.components.shapes import FlatRows, Shapes
from knowreason.factors.condition import condition
from knowreason.factors.factor_graph import OPEN, TRUE, FactorGraph
from knowreason.inference.exact.circuits.templates import (
    shape_solver,
    shape_solver_candidates,
    template_solver,
    too_deep,
)
from knowreason.inference.exact.clique_layout import Eliminated
from knowreason.inference.exact.conflicts import conflict
from knowreason.inference.exact.exact_budget import MEMORY, SECONDS, ExactBudget, ExactCost
from knowreason.inference.exact.junction import JunctionSolver
from knowreason.inference.exact.order_search import CHEAP, eliminated
from knowreason.inference.exact.pair_forests import PairForest
from knowreason.inference.exact.partial_beliefs import ComponentBeliefs, Impossible, Solver
from knowreason.inference.exact.tree_order import has_cycles, tree_components, tree_heights
from knowreason.inference.exact.trees import TreeSolver
from knowreason.inference.posterior import QUALITIES, EngineReport, Posterior

CLIP = 700.0
MOST_ATOMS = 20_000  # of a component for which an elimination order is sought


@dataclass(frozen=True)
class Prepared:
    """A graph whose evidence, components, shapes and elimination orders are worked out.

    Call it with ``theta`` (``float64[p]``, the graph's own by default) for the posterior
    of the components that exact inference serves. The rest has log-odds 0 and adds
    nothing to ``log_z`` and ``expectations``; decided groundings are included.

    Attributes:
        graph: the conditioned graph.
        component: ``int32[n]`` component of each atom, ``-1`` for decided atoms.
        component_count: number of components.
        tractable: ``bool[n]``, atoms that are decided or in a component served.
        budget: what junction trees might take.
        refused: what the dearest component that is not served would cost, ``None`` where all
            are served or nobody knows.
    """

    graph: FactorGraph
    component: Tensor
    component_count: int
    tractable: Tensor
    solvers: Sequence[Solver] = field(repr=False)
    rows: FlatRows = field(repr=False)
    budget: ExactBudget = field(default_factory=ExactBudget.of)
    refused: ExactCost | None = None

    def __call__(self, theta: Tensor | None = None) -> Posterior:
        """The posterior at ``theta``; raises ``InferenceError`` (KR702)."""
        graph = self.graph if theta is None else self.graph.with_theta(theta.detach().double())
        beliefs, reports = self.beliefs(
            array(graph.unary_log_odds()), self.rows.weights(array(graph.theta))
        )
        log_odds, share = beliefs.log_odds, _sigmoid(beliefs.log_odds)
        served = array(self.tractable)
        if not served.all():
            share[~served] = 0.0
        decided = array(graph.evidence) != OPEN
        if decided.any():
            log_odds[decided] = decided_log_odds(graph)[decided]
            share[decided] = 0.0
        expectations = self.rows.totals(beliefs.truth, graph.parameter_count)
        expectations += unit_totals(graph, share) + array(graph.constants)
        log_z = float(beliefs.log_z.sum() + array(graph.constants) @ array(graph.theta))
        return Posterior(
            log_odds=torch.from_numpy(log_odds.clip(-CLIP, CLIP, out=log_odds)),
            log_z=log_z + graph.offset,
            log_z_kind="exact",
            expectations=torch.from_numpy(expectations),
            component=self.component,
            reports=reports,
            quality=(~self.tractable).to(torch.int8) * QUALITIES.index("unconfirmed"),
        )

    def beliefs(
        self, unary: NDArray[np.float64], weights: NDArray[np.float64]
    ) -> tuple[ComponentBeliefs, tuple[EngineReport, ...]]:
        """Beliefs of the served components, and who made them.

        Args:
            unary: ``float64[n]`` log-odds of every atom, unit features included.
            weights: ``float64[m]`` weight of every row of :attr:`rows`.

        Raises:
            InferenceError: a component has no possible world (KR702).
        """
        try:
            return self.run(unary, weights)
        except Impossible as impossible:
            keep = array(self.component) == impossible.component
            raise conflict(self.graph, keep, is_possible) from None

    def run(
        self, unary: NDArray[np.float64], weights: NDArray[np.float64]
    ) -> tuple[ComponentBeliefs, tuple[EngineReport, ...]]:
        """As :meth:`beliefs`; raises :class:`Impossible`, which names no rules."""
        beliefs = ComponentBeliefs.empty(
            self.graph.atom_count, len(self.rows.value), self.component_count
        )
        seconds: dict[str, float] = {}
        for solver in self.solvers:
            start = time.perf_counter()
            with np.errstate(divide="ignore", over="ignore"):
                solver.solve(unary, weights, beliefs)
            passed = time.perf_counter() - start
            seconds[solver.name] = seconds.get(solver.name, 0.0) + passed
        return beliefs, tuple(self._report(name, seconds[name]) for name in seconds)

    def _report(self, name: str, seconds: float) -> EngineReport:
        solvers = [solver for solver in self.solvers if solver.name == name]
        served = sum(len(solver.components) for solver in solvers)
        atoms = sum(solver.atoms for solver in solvers)
        return EngineReport(
            name, served, atoms, served, seconds=seconds, quality="exact", error=0.0
        )


def prepare(
    graph: FactorGraph,
    *,
    device: str = "auto",
    exact_memory: str | int = MEMORY,
    exact_seconds: float = SECONDS,
    states: int = 1 << 16,
    width: int | None = None,
) -> Prepared:
    """Works out everything about a graph that does not depend on ``theta``.

    Args:
        graph: its evidence is folded away.
        device: where circuits are computed.
        exact_memory: what junction trees may hold at once (``"1GB"``, or bytes).
        exact_seconds: what junction trees may take for one posterior, all together, the
            cheapest first; counted beforehand with the constants of
            :mod:`knowreason.inference.exact.exact_budget`, not timed. Components that cost
            next to nothing are always served.
        states: most joint states of a component solved as a template.
        width: base-2 logarithm of the states of the largest clique of a junction tree, for
            learners, which need many posteriors; by default only the budget limits it.

    Raises:
        InferenceError: the evidence contradicts hard rows (KR703), or no world of a
            component satisfies its hard rows (KR702).
    """
    folded = condition(graph)
    labels, count = components(folded)
    try:
        budget = ExactBudget.of(exact_memory, exact_seconds)
        return _prepare(folded, labels, count, device, budget, states, width)
    except Impossible as impossible:
        raise conflict(folded, labels == impossible.component, is_possible) from None


def _prepare(
    graph: FactorGraph,
    labels: Array,
    count: int,
    device: str,
    budget: ExactBudget,
    states: int = 1 << 16,
    width: int | None = None,
) -> Prepared:
    solvers: list[Solver] = []
    served = np.zeros(count, dtype=np.bool_)
    atoms = np.bincount(labels[labels >= 0], minlength=count)
    forest = PairForest.prepare(graph, labels, atoms)
    if forest is not None:
        solvers.append(forest)
        served[forest.components] = True
    beyond = has_cycles(graph, labels, ~served & (atoms > MOST_ATOMS))  # nothing solves those
    rest = np.where(_atoms_of(labels, served | beyond), np.int32(-1), labels)
    rows = FlatRows.of(graph)
    if (served | beyond).all():
        return _assemble(graph, labels, count, solvers, rows, budget, None)
    shapes = Shapes(graph, rest, count, rows)
    size = log2_states(graph, labels, count)
    most = None if width is None else 1 << width
    candidates = shape_solver_candidates(shapes, size) & ~(served | beyond)
    ties = _Ties(graph, labels)
    large = candidates & (size > np.log2(states))
    candidates &= ~_too_deep(ties, shapes, large, ~(candidates | served | beyond))
    for stack in shapes.stacks(np.flatnonzero(candidates)):
        solver = shape_solver(stack, size[stack.components[0]], states, budget, most, device)
        if solver is not None:
            solvers.append(solver)
            served[solver.components] = True
    _add_trees(solvers, served, beyond, ties)
    parts: list[Eliminated] = []
    for stack in shapes.stacks(np.flatnonzero(~(served | beyond) & (atoms <= MOST_ATOMS))):
        part = eliminated(stack, budget, most)
        if part is not None:
            parts.append(part)
        elif size[stack.components[0]] <= np.log2(states):
            solvers.append(template_solver(stack, device))
    fitting, refused = affordable(parts, budget)
    if fitting:
        solvers.append(JunctionSolver.prepare(fitting))
    return _assemble(graph, labels, count, solvers, rows, budget, refused)


@dataclass
class _Ties:
    """Scopes of chosen components; those asked for last are kept."""

    graph: FactorGraph
    labels: Array
    kept: tuple[Array, Scopes] | None = None

    def of(self, chosen: Array) -> Scopes:
        """Of components ``bool[c]``."""
        if self.kept is None or not np.array_equal(self.kept[0], chosen):
            inside = _atoms_of(self.labels, chosen)
            self.kept = chosen.copy(), scopes(self.graph, self.labels, inside)
        return self.kept[1]


def _too_deep(ties: _Ties, shapes: Shapes, large: Array, others: Array) -> NDArray[np.bool_]:
    """``bool[c]``: of large candidates for a circuit the trees too deep for one.

    Scopes of ``others`` (``bool[c]``) are made as well: trees among both are served next, most
    often all of them.
    """
    if not large.any():
        return large
    example = np.full(len(shapes.members), -1)  # a component of each shape
    example[shapes.shape[large]] = np.flatnonzero(large)
    one = np.isin(np.arange(len(large)), example)
    heights = tree_heights(ties.of(one | others), len(large))
    return np.asarray(large & too_deep(shapes, heights[example][shapes.shape]))


def affordable(
    parts: Sequence[Eliminated], budget: ExactBudget
) -> tuple[list[Eliminated], ExactCost | None]:
    """The parts a budget allows, the cheapest first, and the cost of the dearest it does not."""
    fitting: list[Eliminated] = []
    refused = None
    left = budget.seconds
    for part in sorted(parts, key=lambda part: part.cost.nanoseconds):
        copies = len(part.stack.components)
        if part.cost.nanoseconds > CHEAP:
            copies = int(max(min(copies, left / part.cost.seconds), 0))
        if part.cost.memory > budget.memory:
            copies = 0
        left -= copies * part.cost.seconds
        if copies < len(part.stack.components):
            refused = part.cost
        if copies:
            fitting.append(part.first(copies))
    return fitting, refused


def _add_trees(solvers: list[Solver], served: Array, beyond: Array, ties: _Ties) -> None:
    """Adds a solver of the trees neither ``served`` nor ``beyond`` (``bool[c]``): now served."""
    left = ~(served | beyond)
    if not left.any():
        return
    tree = tree_components(ties.of(left), len(served))
    if tree.any():
        solvers.insert(0, TreeSolver.prepare(ties.of(tree)))
        served |= tree


def _atoms_of(labels: Array, chosen: Array) -> NDArray[np.bool_]:
    """``bool[n]``: atoms of chosen components (``bool[c]``)."""
    return np.append(chosen, False)[labels]


def is_possible(graph: FactorGraph) -> bool:
    """Whether some world satisfies every hard row of a graph without evidence."""
    try:
        folded = condition(graph)
        prepared = _prepare(folded, *components(folded), "cpu", ExactBudget.of())
        prepared.run(np.zeros(folded.atom_count), np.zeros(len(prepared.rows.value)))
    except (Impossible, InferenceError):
        return False
    return True


def _assemble(
    graph: FactorGraph,
    labels: Array,
    count: int,
    solvers: Sequence[Solver],
    rows: FlatRows,
    budget: ExactBudget,
    refused: ExactCost | None,
) -> Prepared:
    served = np.zeros(count + 1, dtype=bool)
    served[-1] = True  # label -1: decided atoms
    for solver in solvers:
        served[solver.components] = True
    return Prepared(
        graph,
        torch.from_numpy(labels),
        count,
        torch.from_numpy(served[labels]),
        solvers,
        rows,
        budget,
        refused,
    )


def exact(graph: FactorGraph, *, seed: int = 0, device: str = "auto", **options: Any) -> Posterior:
    """Exact marginals, ``log Z`` and expectations.

    Args:
        graph: given its evidence, at its ``theta``.
        seed: unused; nothing is drawn.
        device: ``auto`` takes the GPU where there is one.
        options: of :func:`prepare`.

    Raises:
        InferenceError: a component is too large and too tangled (KR704), or no world
            satisfies the hard rules (KR702, KR703).
    """
    prepared = prepare(graph, device=device, **options)
    left = ~array(prepared.tractable)
    if left.any():
        labels = array(prepared.component)[left]
        needed = prepared.refused or "far more"
        raise InferenceError(
            f"{len(np.unique(labels))} components with {left.sum()} atoms are too large for exact "
            f"inference; the largest has {np.bincount(labels).max()} atoms, the dearest needs "
            f"{needed} and the budget is {prepared.budget}",
            code="KR704",
            help="raise `exact_memory` or `exact_seconds`, or let engine `auto` approximate them",
        )
    return prepared()


def decided_log_odds(graph: FactorGraph) -> NDArray[np.float64]:
    """``float64[n]``: +-700 at decided atoms, 0 at open ones."""
    evidence = array(graph.evidence)
    return np.where(evidence == OPEN, 0.0, np.where(evidence == TRUE, CLIP, -CLIP))


def unit_totals(graph: FactorGraph, share: NDArray[np.float64]) -> NDArray[np.float64]:
    """``float64[p]``: expected unit features where atoms are true with ``float64[n]`` chance."""
    total = np.zeros(graph.parameter_count)
    for unit in graph.units:
        features = share[unit.entry_atoms]
        if isinstance(unit.parameter, int):
            total[unit.parameter] += unit.values() @ features
        else:
            total += sum_by(unit.parameters(), unit.values() * features, len(total))
    return total


def _sigmoid(log_odds: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(over="ignore"):
        return np.asarray(1.0 / (1.0 + np.exp(-log_odds)))
