"""Cut-outs of large components: neighbourhoods of atoms, the rest heard through messages.

A cut-out holds the canonical factors whose atoms all lie in it. Every other factor of its
atoms is replaced by the message that belief propagation sends from it, a part of their
log-odds. So belief propagation on a cut-out is at rest where it is at rest on the whole
graph, and what is exact on a cut-out corrects the loops inside of it and no others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from torch import Tensor

from knowreason.factors.arrays import array, entries_of, offsets_of, owners, tensor
from knowreason.factors.canonical import canonical
from knowreason.factors.components.connected import components, subgraph
from knowreason.factors.condition import condition
from knowreason.factors.factor_graph import OPEN, FactorGraph
from knowreason.factors.ground_factors import TABLE, GroundFactors
from knowreason.factors.potentials.merged_tables import MergedTables
from knowreason.inference.exact.exact import prepare
from knowreason.inference.messages.bp import PropagationRun
from knowreason.inference.messages.message_graph import MessageGraph, layout
from knowreason.inference.messages.sweeps import SweepSchedule
from knowreason.inference.messages.torch_messages import TorchMessages

HARD = 12.0  # what a hard factor weighs when neighbours are chosen
SIZES = (40, 24, 16)  # atoms of a cut-out; the smaller ones where the larger is too tangled
WIDTH = 16  # base-2 logarithm of the states of a clique: 16 atoms always fit
MOST_ATOMS = 50_000  # of all cut-outs together, some .1 ms each
AT_ONCE = 500
FEW = 100  # atoms left to tell that get a cut-out each
SWEEPS = 1_000  # as many where messages of 200 sweeps still move, before they are given up
REST = 1e-2  # a component moves no further, in log-odds, where its messages are trusted


@dataclass(frozen=True)
class CutOuts:
    """Neighbourhoods as components of one graph.

    Attributes:
        graph: conditioned; its atoms are those of the first cut-out, then of the second ...
        component: ``int64[m]`` cut-out of each of its atoms.
        atoms: ``int64[m]`` which atom of the large graph each is.
        central: ``bool[m]``: the atom, or the atoms of the block, around which each was made.
    """

    graph: FactorGraph
    component: NDArray[np.int64]
    atoms: NDArray[np.int64]
    central: NDArray[np.bool_]

    def places(
        self, copy: NDArray[np.int64], atoms: NDArray[np.int64], count: int
    ) -> NDArray[np.int64]:
        """``int64[k]``: where atoms of the large graph, of ``count``, stand in cut-outs."""
        key = self.component * count + self.atoms
        found: NDArray[np.int64] = np.searchsorted(key, copy * count + atoms)
        return found


@dataclass(frozen=True)
class CutOutSource:
    """A large graph in canonical form, and messages of belief propagation on it.

    Attributes:
        graph: conditioned, its couplings in canonical form.
        raw: ``float64[n]`` log-odds with all messages, blocks not coupled.
        beliefs: ``float64[n]`` the same, blocks coupled.
        messages: ``float64[e]``, factor to atom.
        offsets, edge_atoms: factors as CSR: ``int64[f + 1]`` and ``int32[e]``.
        near: ``[n, n]``: how strongly factors tie two atoms.
        looped: ``bool[n]``: open atoms of components with loops.
        correctable: ``bool[n]``: those of components on which it came to rest.
    """

    graph: FactorGraph
    raw: NDArray[np.float64]
    beliefs: NDArray[np.float64]
    messages: NDArray[np.float64]
    offsets: NDArray[np.int64]
    edge_atoms: NDArray[np.int32]
    near: Any
    looped: NDArray[np.bool_]
    correctable: NDArray[np.bool_]

    @staticmethod
    def of(graph: FactorGraph) -> CutOutSource:
        """Runs belief propagation on a conditioned graph, at its ``theta``."""
        graph = canonical_graph(graph)
        plan, (label, count) = layout(graph), components(graph)
        messages = TorchMessages.of(plan)
        run = PropagationRun(  # `of` would condition again, and tables no longer be canonical
            graph,
            plan,
            messages,
            label,
            count,
            SweepSchedule(sweeps=SWEEPS),
            "cpu",
            graph.unary_log_odds(),
            plan.weights(graph.theta),
        )
        outcome = run.sweep()
        offsets, atoms = plan.incidence
        raw: NDArray[np.float64] = run.unary.numpy() + np.bincount(
            atoms, outcome.messages, graph.atom_count
        )
        rests = ~run.moving(outcome, REST)
        beliefs = array(messages.beliefs(torch.from_numpy(raw)))
        looped, near = in_loops(graph, plan), _near(graph, plan)
        correctable = np.append(rests, False)[label] & looped
        return CutOutSource(
            graph, raw, beliefs, outcome.messages, offsets, atoms, near, looped, correctable
        )

    def cut(self, centres: NDArray[np.int64], most_atoms: int) -> CutOuts:
        """The neighbourhoods of open atoms, of at most ``most_atoms`` (a block is kept whole)."""
        ball = _grown(self.graph, self.near, centres, most_atoms)
        n = self.graph.atom_count
        copy, atoms = ball.nonzero()
        key = copy.astype(np.int64) * n + atoms
        order = np.argsort(key)
        key, copy, atoms = key[order], copy[order].astype(np.int64), atoms[order].astype(np.int64)

        def number(copies: NDArray[np.int64], of: NDArray[Any]) -> NDArray[np.int64]:
            place: NDArray[np.int64] = np.searchsorted(key, copies * n + of)
            return place

        log_odds = self.raw[atoms]
        held, factor = _inside(ball, self.offsets, self.edge_atoms)
        entries, starts = entries_of(self.offsets, factor)
        places = number(np.repeat(held, np.diff(starts)), self.edge_atoms[entries])
        log_odds -= np.bincount(places, self.messages[entries], len(atoms))
        parts = []
        for part in self.graph.couplings:
            held, row = _inside(ball, *_with_targets(part))
            if len(row):
                parts.append(_moved(part, held, row, number))
        blocks = self.graph.blocks
        held, row = _inside(ball, array(blocks.offsets), array(blocks.atoms))
        taken = blocks.take(row)
        owner = np.repeat(held, np.diff(array(taken.offsets)))
        chosen = FactorGraph(
            log_odds=tensor(log_odds, torch.float32),
            theta=self.graph.theta,
            evidence=torch.full((len(atoms),), OPEN, dtype=torch.int8),
            factors=tuple(parts),
            blocks=replace(taken, atoms=tensor(number(owner, array(taken.atoms)), torch.int32)),
        )
        variable = _variables(self.graph)[0]
        return CutOuts(chosen, copy, atoms, variable[atoms] == variable[centres[copy]])

    def first_atoms(self) -> NDArray[np.bool_]:
        """``bool[n]``: an atom of every variable."""
        return _first_atoms(self.graph)

    def cover(
        self, wanted: NDArray[np.bool_], most_told: int, rng: np.random.Generator
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]]:
        """Centres of cut-outs that together tell every atom once.

        Args:
            wanted: ``bool[n]``: open atoms that are to be told.
            most_told: atoms that a cut-out tells: those nearest to its centre.
            rng: of the centres.

        Yields:
            ``int64[c]`` centres of at most :data:`AT_ONCE` cut-outs, and pairs of a cut-out's
            place among them and an atom that it tells.
        """
        left = wanted.copy()
        while left.any():
            drawn = np.flatnonzero(left)
            if len(drawn) > FEW:
                drawn = drawn[rng.random(len(drawn)) * most_told < 1]
            unit = _variables(self.graph)[0][drawn]
            centres = rng.permutation(drawn[np.unique(unit, return_index=True)[1]])
            centres = np.sort(centres[:AT_ONCE])
            copy, atoms = _grown(self.graph, self.near, centres, most_told).nonzero()
            fresh = np.flatnonzero(left[atoms])
            fresh = fresh[np.unique(atoms[fresh], return_index=True)[1]]
            yield centres, copy[fresh].astype(np.int64), atoms[fresh].astype(np.int64)
            left[atoms] = False


def corrected_by_cut_outs(
    graph: FactorGraph, log_odds: Tensor, sizes: Sequence[int] = SIZES
) -> Tensor | None:
    """Log-odds of belief propagation, those of loopy components corrected by cut-outs.

    Every atom of a component with loops on which belief propagation is at rest (and every
    block, once) gets the exact belief in a cut-out around it. The more cut-outs, the smaller
    they are: 50,000 atoms in all. Where even the smallest are too many for all components,
    those of fewest atoms are served.

    Args:
        graph: any factor graph, at its ``theta``.
        log_odds: ``float64[n]``, those of ``bp`` on it.
        sizes: most atoms of a cut-out; later ones where exact inference does not serve it.

    Returns:
        ``float64[n]``, or ``None`` where nothing is corrected.

    Raises:
        InferenceError: the evidence contradicts hard rows (KR703), or those of a cut-out have
            no possible world (KR702).
    """
    known = condition(graph)
    served = _affordable(known, MOST_ATOMS // min(sizes))
    if not served.any():
        return None
    part, index = subgraph(known, served)
    around = CutOutSource.of(part)
    centres = np.flatnonzero(_first_atoms(part) & around.correctable)
    if not len(centres):
        return None
    sizes = [size for size in sizes if size * len(centres) <= MOST_ATOMS]
    corrected = log_odds.numpy().copy()
    for start in range(0, len(centres), AT_ONCE):
        left = centres[start : start + AT_ONCE]
        for size in sizes:
            cut = around.cut(left, size)
            exact = prepare(cut.graph, device="cpu", width=WIDTH)
            served = array(exact.tractable)
            told = cut.central & served
            corrected[index[cut.atoms[told]]] = array(exact().log_odds)[told]
            left = left[np.bincount(cut.component, ~served & cut.central) > 0]
            if not len(left):
                break
    return torch.from_numpy(corrected)


def canonical_graph(graph: FactorGraph) -> FactorGraph:
    """A conditioned graph with its couplings in canonical form, merged tables at its ``theta``.

    ``theta`` has one more parameter, which is 1; constants stay behind.
    """
    found = canonical(graph)
    unit = graph.parameter_count
    parts = [*graph.units, *found.lone]
    for merged in found.merged:
        parts += _as_factors(merged, graph.theta, unit)
    return replace(
        graph,
        theta=torch.cat([graph.theta.double(), torch.ones(1, dtype=torch.float64)]),
        factors=tuple(parts),
        constant=None,
        offset=0.0,
    )


def _as_factors(merged: MergedTables, theta: Tensor, unit: int) -> list[GroundFactors]:
    atoms, row = torch.from_numpy(merged.atoms), torch.arange(len(merged.atoms), dtype=torch.int32)
    parts = [GroundFactors(TABLE, atoms, unit, table=merged.energies(theta), table_id=row)]
    hard = np.flatnonzero(merged.forbidden.any(1))
    if len(hard):
        table = torch.from_numpy(1.0 - merged.forbidden[hard])
        ids = row[: len(hard)]
        parts.append(GroundFactors(TABLE, atoms[hard], None, table=table, table_id=ids))
    return parts


def in_loops(graph: FactorGraph, plan: MessageGraph) -> NDArray[np.bool_]:
    """``bool[n]``: open atoms of components with loops, of a conditioned graph.

    Args:
        graph: conditioned.
        plan: its layout.
    """
    label, count = components(graph)
    spare = np.bincount(label[label >= 0], minlength=count) - 1
    for offsets, atoms in (plan.incidence, (plan.blocks.offsets, plan.blocks.atoms)):
        owner = label[atoms[offsets[:-1]]]
        spare -= np.bincount(owner, np.diff(offsets) - 1, minlength=count).astype(np.int64)
    return np.append(spare < 0, False)[label]


def _affordable(graph: FactorGraph, most: int) -> NDArray[np.bool_]:
    """``bool[n]``: the smallest components with loops, of at most so many variables together."""
    label, count = components(graph)
    loops = in_loops(graph, layout(graph))
    size = np.bincount(label[loops & _first_atoms(graph)], minlength=count)
    order = np.argsort(size, kind="stable")
    taken = np.zeros(count + 1, dtype=np.bool_)
    taken[order] = np.cumsum(size[order]) <= most
    return loops & taken[label]


def _first_atoms(graph: FactorGraph) -> NDArray[np.bool_]:
    """``bool[n]``: an atom of every variable."""
    first = np.zeros(graph.atom_count, dtype=np.bool_)
    first[np.unique(_variables(graph)[0], return_index=True)[1]] = True
    return first


def _near(graph: FactorGraph, plan: MessageGraph) -> Any:
    """``[n, n]`` sparse: sums over factors that two atoms share and a cut-out can hold."""
    weight = [np.zeros(0)]
    for nodes, mine in zip(plan.nodes, plan.weights(graph.theta), strict=True):
        weight.append(np.tanh(np.abs(nodes.walsh(mine, HARD).weight.detach().numpy()) / 4) + 1e-6)
    offsets, atoms = plan.incidence
    row, shape = owners(offsets), (len(offsets) - 1, graph.atom_count)
    short = np.diff(offsets)[row] <= SIZES[0]
    row, atoms = row[short], atoms[short]
    ones = csr_matrix((np.ones(len(atoms)), (row, atoms)), shape)
    weighed = csr_matrix((np.concatenate(weight)[row], (row, atoms)), shape)
    return (weighed.T @ ones).tocsr()


def _grown(graph: FactorGraph, near: Any, centres: NDArray[np.int64], most: int) -> Any:
    """``[c, n]`` sparse 0/1: whole rings of neighbours, and the nearest of the ring that is cut."""
    n, count = graph.atom_count, len(centres)
    unit, size = _variables(graph)
    variables = csr_matrix((np.ones(n), (np.arange(n), unit)), (n, len(size)))
    tie = (variables.T @ near @ variables).tocsr()
    ball = csr_matrix((np.ones(count), (np.arange(count), unit[centres])), (count, len(size)))
    room = most - size[unit[centres]]
    while (room > 0).any():
        met = ball @ tie
        ring = (met - met.multiply(ball)).tocoo()
        outside = ring.data > 0
        row, column, strength = (x[outside] for x in (ring.row, ring.col, ring.data))
        order = np.lexsort((column, -strength, row))
        row, column = row[order], column[order]
        total = np.cumsum(size[column])
        first = np.searchsorted(row, np.arange(count))
        before = np.concatenate([[0], total])[first]
        fits = total - before[row] <= room[row]
        if not fits.any():
            break
        reached = np.bincount(row, minlength=count)
        row, column = row[fits], column[fits]
        ball = ball + csr_matrix((np.ones(len(row)), (row, column)), ball.shape)
        room = room - np.bincount(row, size[column], count).astype(np.int64)
        room[reached > np.bincount(row, minlength=count)] = 0  # the ring was cut
    return (ball @ variables.T).tocsr()


def _variables(graph: FactorGraph) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """``int64[n]`` variable of each atom (blocks are one), ``int64[v]`` atoms of each."""
    block = graph.blocks.of_atom(graph.atom_count)
    alone = np.cumsum(block < 0)
    unit = np.where(block < 0, alone - 1, alone.max(initial=0) + block)
    return unit, np.bincount(unit)


def _inside(
    ball: Any, offsets: NDArray[np.int64], atoms: NDArray[Any]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Cut-outs (rows of ``ball``) and CSR rows that lie in them, in the order of cut-outs."""
    sizes = np.diff(offsets)
    incidence = csr_matrix(
        (np.ones(len(atoms)), (atoms, owners(offsets))), (ball.shape[1], len(sizes))
    )
    met = (ball @ incidence).tocoo()
    whole = met.data > sizes[met.col] - 0.5
    copy, row = met.row[whole].astype(np.int64), met.col[whole].astype(np.int64)
    order = np.lexsort((row, copy))
    return copy[order], row[order]


def _with_targets(part: GroundFactors) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows as CSR, the target of a row as its last atom."""
    row, atoms = part.owners(), part.entry_atoms.astype(np.int64)
    target = part.targets()
    has = np.flatnonzero(target >= 0)
    if not len(has):
        return part.row_offsets, atoms
    row, atoms = np.concatenate([row, has]), np.concatenate([atoms, target[has]])
    order = np.argsort(row, kind="stable")
    return offsets_of(np.bincount(row, minlength=part.rows)), atoms[order]


def _moved(part: GroundFactors, held: Any, row: Any, number: Any) -> GroundFactors:
    """Chosen rows over the atoms of their cut-outs."""
    taken = part.take(row)
    owner = held[taken.owners()]
    atoms = number(owner, taken.entry_atoms).reshape(tuple(taken.atoms.shape))
    changed: dict[str, Any] = {"atoms": tensor(atoms, torch.int32)}
    target = taken.targets()
    if (target >= 0).any():
        new = np.where(target >= 0, number(held, np.maximum(target, 0)), -1)
        changed["target"] = tensor(new, torch.int32)
    return replace(taken, **changed)
