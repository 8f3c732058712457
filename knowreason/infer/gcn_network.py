"""The network of the GCN posterior: corrections to rounds of belief propagation.

Atoms and factors exchange hidden states beside the messages of belief propagation. Every
output passes a linear layer that starts at zero, so that the untrained network *is* a few
damped rounds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import silu

from knowreason.factors import FactorGraph
from knowreason.factors.arrays import owners
from knowreason.infer.gcn_probes import probe
from knowreason.infer.messages import MessageGraph, Rows, layout
from knowreason.infer.messages_torch import TorchMessages

WIDTH = 24
ROUNDS = 8
PROBE_ROUNDS = 3
OPINION = 4.0  # second opinions differ by no more than this in log-odds
DAMPING = 0.3
HARD_WEIGHT = 12.0  # what a hard factor's weight looks like to the network
KINDS = ("clause", "pair", "table", "count")
STATIC = 5 + len(KINDS) + 2  # of an edge: numbers, kind, block, at most one
MOVING = 8  # of an edge in a round
ATOM = 9


@dataclass(frozen=True)
class Wires:
    """Index tensors of a laid out graph: edges of factors, then edges of blocks.

    Attributes:
        plan: messages of the factors.
        atoms: ``int64[e + b]`` atom of each edge; the last ``b`` are edges of blocks.
        rows: ``int64[e + b]`` factor or block of each edge.
        row_count: number of factors and blocks.
        shape: ``float32[e + b, STATIC]`` what does not depend on weights.
        lean, pull: ``float64[e + b]`` what a factor of weight 1 does to an atom, the others
            being undecided: to its log-odds, and through the others.
        degree: ``float32[n]`` number of factors of each atom.
    """

    plan: TorchMessages
    atoms: Tensor
    rows: Tensor
    row_count: int
    shape: Tensor
    lean: Tensor
    pull: Tensor
    degree: Tensor

    @staticmethod
    def of(graph: MessageGraph) -> Wires:
        """Wires of a layout."""
        plan = TorchMessages.of(graph)
        first = np.cumsum([0, *(rows.count for rows in graph.rows)])
        row = [owners(part.offsets) + start for part, start in zip(graph.rows, first, strict=False)]
        blocks = graph.blocks
        row.append(owners(blocks.offsets) + first[-1])
        atoms = np.concatenate([plan.edge_atoms.numpy(), blocks.atoms.astype(np.int64)])
        leans = [_leans(part) for part in graph.rows]
        nothing = np.zeros(len(blocks.atoms))
        shape = [_shape(part, kind=KINDS.index(part.kind)) for part in graph.rows]
        shape.append(_block_shape(graph))
        return Wires(
            plan,
            torch.from_numpy(atoms),
            torch.from_numpy(np.concatenate(row)),
            int(first[-1]) + blocks.count,
            torch.from_numpy(np.concatenate(shape).astype(np.float32)),
            torch.from_numpy(np.concatenate([*(lean for lean, _ in leans), nothing])),
            torch.from_numpy(np.concatenate([*(pull for _, pull in leans), nothing])),
            torch.from_numpy(np.bincount(atoms, minlength=graph.atom_count).astype(np.float32)),
        )

    def edge_weights(self, weights: list[Tensor | None]) -> Tensor:
        """``float64[e + b]``: weight of each edge's factor, 0 for blocks."""
        parts = []
        for rows, mine in zip(self.plan.graph.rows, weights, strict=True):
            if mine is None:
                parts.append(torch.full((rows.edges,), HARD_WEIGHT, dtype=torch.float64))
            else:
                parts.append(mine[torch.from_numpy(owners(rows.offsets))])
        blocks = len(self.atoms) - self.plan.graph.edge_count
        return torch.cat([*parts, torch.zeros(blocks, dtype=torch.float64)])

    def static(self, weights: list[Tensor | None]) -> Tensor:
        """``float32[e + b, STATIC]``: shape and weight of each edge."""
        weight = self.edge_weights(weights)
        static = self.shape.clone()
        static[:, 2] = squash(weight)
        static[:, 3] = squash(weight * self.lean)
        static[:, 4] = squash(weight * self.pull)
        return static


def _shape(rows: Rows, kind: int) -> NDArray[np.float64]:
    """``float64[e, STATIC - 4]`` constant numbers of each edge, zeros where weights go."""
    shape = np.zeros((rows.edges, STATIC))
    arity = np.diff(rows.offsets)[owners(rows.offsets)]
    shape[:, 0] = 1 / arity
    shape[:, 1] = rows.is_hard
    shape[:, 5 + kind] = 1
    return shape


def _block_shape(graph: MessageGraph) -> NDArray[np.float64]:
    blocks = graph.blocks
    shape = np.zeros((len(blocks.atoms), STATIC))
    block = owners(blocks.offsets)
    shape[:, 0] = 1 / np.maximum(np.diff(blocks.offsets), 1)[block]
    shape[:, -2] = 1
    shape[:, -1] = blocks.at_most_one[block]
    return shape


def _leans(rows: Rows) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """First and second order Walsh coefficients of each edge, in +-1 truth values."""
    arity = np.diff(rows.offsets)[owners(rows.offsets)]
    if rows.kind == "count":
        return np.zeros(rows.edges), np.zeros(rows.edges)
    if rows.table is None:
        assert rows.signs is not None
        sign = np.where(rows.signs, 1.0, -1.0)
        row = owners(rows.offsets)
        others = np.bincount(row, sign, minlength=rows.count)[row] - sign
        scale = 0.5 ** np.minimum(arity, 60)
        return 2 * sign * scale, -4 * sign * others * scale / np.maximum(arity - 1, 1)
    k = len(rows.table).bit_length() - 1
    spin = 2.0 * (np.arange(1 << k)[:, None] >> np.arange(k) & 1) - 1
    lean = 2 * (rows.table @ spin) / len(spin)
    pair = 4 * np.einsum("s,si,sj->ij", rows.table, spin, spin) / len(spin)
    np.fill_diagonal(pair, 0.0)
    return np.tile(lean, rows.count), np.tile(pair.sum(1) / max(k - 1, 1), rows.count)


@dataclass(frozen=True)
class Course:
    """What belief propagation did on a graph: all that the network reads.

    Attributes:
        wires: of the graph.
        static: ``float32[e + b, STATIC]`` of each edge.
        moving: of each round, ``float32[e + b, MOVING]`` of each edge.
        about: of each round and after the last, ``float32[n, ATOM]`` of each atom.
        raw: ``float64[n]`` log-odds after the last round, blocks not coupled.
        opinions: ``float64[n, 2]`` what the probes add to the last beliefs.
    """

    wires: Wires
    static: Tensor
    moving: tuple[Tensor, ...]
    about: tuple[Tensor, ...]
    raw: Tensor
    opinions: Tensor


def course(graph: FactorGraph, component: Tensor, rounds: int = ROUNDS) -> Course:
    """Runs damped belief propagation, then probes.

    Args:
        graph: conditioned.
        component: ``int64[n]`` of each atom, ``-1`` for decided ones.
        rounds: of belief propagation.
    """
    wires = Wires.of(layout(graph))
    plan = wires.plan
    weights, unary = plan.weights(graph.theta), graph.unary_log_odds()
    static = wires.static(weights)
    messages = unary.new_zeros(plan.graph.edge_count)
    raw = plan.raw(unary, messages)
    belief = plan.beliefs(raw)
    beliefs, moving = [(belief, raw)], []
    for _ in range(rounds):
        new = plan.update(belief, messages, weights)
        moving.append(_moving(wires, belief, raw, messages, new))
        messages = DAMPING * messages + (1 - DAMPING) * new
        raw = plan.raw(unary, messages)
        belief = plan.beliefs(raw)
        beliefs.append((belief, raw))
    found = probe(graph, plan, messages, component, rounds=PROBE_ROUNDS, damping=0.0)
    opinions = torch.stack([found.bethe - belief, found.others - belief], 1)
    opinions = opinions.clamp(-OPINION, OPINION)
    probed = torch.cat([squash(opinions), found.scatter.float()[:, None]], 1)
    blocked = torch.zeros(len(unary), dtype=torch.float32)
    blocked[graph.blocks.atoms.long()] = 1.0
    probed = torch.cat([probed, blocked[:, None]], 1)
    about = tuple(_about(unary, one, loose, wires, probed) for one, loose in beliefs)
    return Course(wires, static, tuple(moving), about, raw, opinions)


class Corrections(nn.Module):
    """Hidden states of atoms and factors, and what they add to beliefs.

    Args:
        width: of the hidden states. The layers are shared by all rounds.
    """

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        self.width = width
        self.edge = nn.Sequential(
            nn.Linear(STATIC + MOVING + width, width), nn.SiLU(), nn.Linear(width, width)
        )
        self.reply = nn.Linear(STATIC + MOVING + 2 * width, width)
        self.atom = nn.Sequential(
            nn.Linear(ATOM + 2 * width, width), nn.SiLU(), nn.Linear(width, width)
        )
        output = nn.Linear(width, 3)
        nn.init.zeros_(output.weight)
        nn.init.zeros_(output.bias)
        self.last = nn.Sequential(nn.Linear(ATOM + width, width), nn.SiLU(), output)

    def forward(self, course: Course) -> Tensor:
        """``float64[n]`` marginal log-odds, blocks coupled; not clipped.

        Corrections are shares of what the probes say otherwise: where they agree with
        belief propagation, as on trees, it stands.
        """
        wires = course.wires
        hidden = course.static.new_zeros(len(course.raw), self.width)
        for moving, about in zip(course.moving, course.about[:-1], strict=True):
            inputs = torch.cat([course.static, moving, hidden[wires.atoms]], 1)
            said = self.edge(inputs)
            heard = said.new_zeros(wires.row_count, self.width).index_add(0, wires.rows, said)
            others = heard[wires.rows] - said
            reply = silu(self.reply(torch.cat([inputs, others], 1)))
            total = reply.new_zeros(hidden.shape).index_add(0, wires.atoms, reply)
            hidden = hidden + self.atom(torch.cat([about, hidden, total], 1))
        share = self.last(torch.cat([course.about[-1], hidden], 1)).double()
        apart = course.opinions.abs().sum(1)
        change = (share[:, :2] * course.opinions).sum(1) + share[:, 2] * apart
        return wires.plan.beliefs(course.raw + change)


def squash(value: Tensor) -> Tensor:
    """``float32``: about linear in log-odds near 0, logarithmic beyond."""
    return torch.asinh(value).float()


def _moving(wires: Wires, belief: Tensor, raw: Tensor, messages: Tensor, new: Tensor) -> Tensor:
    """``float32[e + b, MOVING]``: cavities, messages old and new, beliefs."""
    blocked = wires.atoms[len(messages) :]
    of_block = (belief - raw)[blocked]
    old, fresh = torch.cat([messages, of_block]), torch.cat([new, of_block])
    here = belief[wires.atoms]
    cavity = here - old
    columns = [squash(cavity), squash(old), squash(fresh), squash(here)]
    columns += [torch.tanh(value / 2).float() for value in (cavity, old, fresh, here)]
    return torch.stack(columns, 1)


def _about(unary: Tensor, belief: Tensor, raw: Tensor, wires: Wires, probed: Tensor) -> Tensor:
    """``float32[n, ATOM]``: log-odds alone and now, number of factors, what probes found."""
    columns = [squash(unary), squash(belief), torch.tanh(belief / 2).float()]
    columns += [squash(raw), wires.degree.log1p()]
    return torch.cat([torch.stack(columns, 1), probed], 1)
