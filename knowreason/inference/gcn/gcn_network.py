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
from knowreason.factors.potentials.factor_nodes import EdgeNumbers
from knowreason.inference.gcn.gcn_probes import probe
from knowreason.inference.messages.message_graph import MessageGraph, layout
from knowreason.inference.messages.torch_messages import TorchMessages

WIDTH = 24
SETTLING = 24  # rounds before those that the network corrects
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
        share: ``float64[e]`` one over the number of atoms of each edge's factor.
        of_blocks: ``float32[b, STATIC]`` shape of the edges of blocks.
        degree: ``float32[n]`` number of factors of each atom.
    """

    plan: TorchMessages
    atoms: Tensor
    rows: Tensor
    row_count: int
    share: Tensor
    of_blocks: Tensor
    degree: Tensor

    @staticmethod
    def of(graph: MessageGraph) -> Wires:
        """Wires of a layout."""
        plan = TorchMessages.of(graph)
        offsets, _ = graph.incidence
        blocks = graph.blocks
        factors = len(offsets) - 1
        row = np.concatenate([owners(offsets), owners(blocks.offsets) + factors])
        atoms = np.concatenate([plan.edge_atoms.numpy(), blocks.atoms.astype(np.int64)])
        arity = np.diff(offsets)[owners(offsets)]
        return Wires(
            plan,
            torch.from_numpy(atoms),
            torch.from_numpy(row),
            factors + blocks.count,
            torch.from_numpy(1 / arity),
            torch.from_numpy(_block_shape(graph).astype(np.float32)),
            torch.from_numpy(np.bincount(atoms, minlength=graph.atom_count).astype(np.float32)),
        )

    def static(self, weights: list[Tensor | None]) -> Tensor:
        """``float32[e + b, STATIC]``: shape and weight of each edge."""
        parts = [
            _of_edges(nodes.walsh(mine, HARD_WEIGHT), torch.from_numpy(nodes.owners()))
            for nodes, mine in zip(self.plan.graph.nodes, weights, strict=True)
        ]
        static = torch.cat([torch.zeros((0, STATIC)), *parts])
        static[:, 0] = self.share
        return torch.cat([static, self.of_blocks])


def _of_edges(numbers: EdgeNumbers, row: Tensor) -> Tensor:
    """``float32[e, STATIC]``; the first column is left to the arity."""
    found = torch.zeros((len(row), STATIC))
    found[:, 1] = torch.from_numpy(numbers.is_hard.copy())[row].float()
    found[:, 2] = squash(numbers.weight)[row]
    found[:, 3] = squash(numbers.lean)
    found[:, 4] = squash(numbers.pull)
    found[torch.arange(len(row)), 5 + torch.from_numpy(numbers.kind)[row]] = 1.0
    return found


def _block_shape(graph: MessageGraph) -> NDArray[np.float64]:
    blocks = graph.blocks
    shape = np.zeros((len(blocks.atoms), STATIC))
    block = owners(blocks.offsets)
    shape[:, 0] = 1 / np.maximum(np.diff(blocks.offsets), 1)[block]
    shape[:, -2] = 1
    shape[:, -1] = blocks.at_most_one[block]
    return shape


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
    for _ in range(SETTLING):
        new = plan.update(belief, messages, weights)
        messages = DAMPING * messages + (1 - DAMPING) * new
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
