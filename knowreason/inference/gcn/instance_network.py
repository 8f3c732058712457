"""Engine `knowgraph`: the network that method `knowgraph` has trained, on any data.

A graph network over the atoms of an instance (a connected component) gives each an independent
belief in one pass, whatever the size of the instance: what it has learned are embeddings, one
a predicate and one a rule, and the layers that all instances share.

Source: Zhang et al. 2022 (CARE, arXiv 2209.05055); KnowGraph 2024; Kipf & Welling 2017.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from knowreason.errors import InferenceError
from knowreason.factors import FactorGraph, ParameterTable
from knowreason.factors.arrays import owners
from knowreason.factors.components.connected import components, subgraph
from knowreason.factors.condition import condition
from knowreason.inference.exact.exact import decided_log_odds
from knowreason.inference.gcn.weight_noise import Noise, ensemble
from knowreason.inference.messages.message_graph import MessageGraph, layout
from knowreason.inference.messages.torch_messages import TorchMessages
from knowreason.inference.posterior import EngineReport, Posterior, quality_of_open

LAYERS = 3


@dataclass(frozen=True)
class NetworkShape:
    """What a network has embeddings of, how wide it is, and with what noise it was trained.

    Attributes:
        predicates: names of their base rates in the parameter table.
        rules: names of their weights there.
        width: of the hidden layers.
        noise: standard deviation of the noise on its weights; its beliefs are the mean of
            ``passes`` passes with it.
        passes: their number.

    Example:
        >>> NetworkShape(("bias Fraud",), ("peers",), width=64).noise
        0.0
    """

    predicates: Sequence[str]
    rules: Sequence[str] = ()
    width: int = 64
    noise: float = 0.0
    passes: int = 10


@dataclass(frozen=True)
class InstanceInput:
    """What the network sees of a conditioned graph: no rule weight, and no label.

    Attributes:
        chance: ``float32[n]`` the models' probability of each atom, with the base rates.
        predicate: ``int64[n]`` embedding of each atom, 0 for none.
        fact_atom, fact_rule, fact_value: atom, embedding and value of each rule that known
            facts have reduced to this one atom.
        source, target, share: edges of the normalised adjacency with loops.
    """

    chance: Tensor
    predicate: Tensor
    fact_atom: Tensor
    fact_rule: Tensor
    fact_value: Tensor
    source: Tensor
    target: Tensor
    share: Tensor

    @staticmethod
    def of(
        graph: FactorGraph, plan: MessageGraph, parameters: ParameterTable, shape: NetworkShape
    ) -> InstanceInput:
        """Of a conditioned graph at its ``theta``, its layout, and what its parameters are."""
        predicates = _numbers(parameters, "bias", shape.predicates)
        rules = _numbers(parameters, "rule", shape.rules)
        of_rule = np.array([kind == "rule" for kind in parameters.kinds], dtype=np.bool_)
        weightless = torch.where(torch.from_numpy(of_rule), 0.0, graph.theta)
        predicate = np.zeros(graph.atom_count, dtype=np.int64)
        facts: list[tuple[NDArray[np.int64], ...]] = []
        values = []
        for unit in graph.units:
            parameter, atoms = unit.parameters(), unit.entry_atoms.astype(np.int64)
            biased = predicates[parameter] > 0
            predicate[atoms[biased]] = predicates[parameter[biased]]
            told = rules[parameter] > 0
            facts.append((atoms[told], rules[parameter[told]]))
            values.append(unit.values()[told].astype(np.float32))
        none = np.zeros(0, dtype=np.int64)
        source, target, share = _adjacency(plan)
        return InstanceInput(
            graph.with_theta(weightless).unary_log_odds().sigmoid().float(),
            torch.from_numpy(predicate),
            torch.from_numpy(np.concatenate([none, *(fact[0] for fact in facts)])),
            torch.from_numpy(np.concatenate([none, *(fact[1] for fact in facts)])),
            torch.from_numpy(np.concatenate([none.astype(np.float32), *values])),
            torch.from_numpy(source),
            torch.from_numpy(target),
            torch.from_numpy(share.astype(np.float32)),
        )


class InstanceNetwork(nn.Module):
    """Three graph convolutions over the atoms of an instance, shared by all instances.

    Args:
        shape: what it has embeddings of, and how wide it is.
    """

    def __init__(self, shape: NetworkShape) -> None:
        super().__init__()
        self.shape = shape
        width = shape.width
        self.embedding = nn.Embedding(len(shape.predicates) + 1, width)
        self.facts = nn.Embedding(len(shape.rules) + 1, width)
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(LAYERS))
        self.last = nn.Linear(width, 1)

    def forward(self, seen: InstanceInput) -> Tensor:
        """``float64[n]`` log-odds of ``q``, blocks not coupled, labels not seen."""
        hidden = seen.chance[:, None] * self.embedding(seen.predicate)
        told = seen.fact_value[:, None] * self.facts(seen.fact_rule)
        hidden = hidden.index_add(0, seen.fact_atom, told)
        for layer in self.layers:
            spread = layer(hidden)[seen.source] * seen.share[:, None]
            hidden = torch.relu(torch.zeros_like(hidden).index_add(0, seen.target, spread))
        log_odds: Tensor = self.last(hidden).squeeze(1).double()
        return log_odds


def instance_posterior(
    graph: FactorGraph,
    *,
    seed: int = 0,
    device: str = "auto",
    network: InstanceNetwork | None = None,
    parameters: ParameterTable | None = None,
    noise: Noise | float | None = None,
) -> Posterior:
    """What a network of method `knowgraph` believes of a graph, in one pass over it.

    Weights of rules are not used, and atoms are independent but for blocks. Embeddings are
    found by name; of a predicate or rule that training did not hold there is none.

    Args:
        graph: any factor graph; its evidence is folded away first.
        seed: of the noise.
        device: the network runs on the CPU.
        network: as trained, ``Fit.knowgraph``.
        parameters: what the entries of ``graph.theta`` are.
        noise: an ensemble of passes with noise on the weights, whose standard deviation is in
            ``spread``; a number is its scale, 0 one plain pass; ``None`` as in training.

    Raises:
        InferenceError: KR710 without a network.
    """
    if network is None or parameters is None:
        raise no_network()
    shape = network.shape
    if not isinstance(noise, Noise):
        noise = Noise(shape.noise if noise is None else noise, passes=shape.passes, seed=seed)
    begin = time.perf_counter()
    known = condition(graph)
    label, count = components(known)
    log_odds = torch.from_numpy(decided_log_odds(known))
    spread = torch.zeros_like(log_odds) if noise.scale > 0 else None
    part, atoms = subgraph(known, label >= 0)
    if len(atoms):
        plan = layout(part, merge=False)
        seen, index = InstanceInput.of(part, plan, parameters, shape), torch.from_numpy(atoms)
        blocks = TorchMessages.of(plan)

        def believe() -> Tensor:
            return blocks.beliefs(network(seen))

        if spread is not None:
            log_odds[index], spread[index] = ensemble(network, believe, noise)
        else:
            with torch.no_grad():
                log_odds[index] = believe()
    component = torch.from_numpy(label)
    seconds = time.perf_counter() - begin
    report = EngineReport("knowgraph", count, len(atoms), count, seconds=seconds)
    return Posterior(
        log_odds,
        None,
        "",
        None,
        component,
        (report,),
        spread=spread,
        quality=quality_of_open(component, "unconfirmed"),
    )


def no_network() -> InferenceError:
    """What is said where engine `knowgraph` has nothing to ask."""
    return InferenceError(
        "engine `knowgraph` is the network that method `knowgraph` trains, and there is none",
        code="KR710",
        help='train with `method = "knowgraph"`, or use engine `auto`',
    )


def save_instance_network(network: InstanceNetwork, path: Path) -> None:
    """Write the weights of a network as safetensors; its shape is stored beside them."""
    from safetensors.torch import save_file

    save_file({name: value.contiguous() for name, value in network.state_dict().items()}, path)


def load_instance_network(path: Path, shape: NetworkShape) -> InstanceNetwork:
    """The network of stored weights."""
    from safetensors.torch import load_file

    network = InstanceNetwork(shape)
    network.load_state_dict(load_file(path))
    return network.eval()


def _numbers(table: ParameterTable, kind: str, names: Sequence[str]) -> NDArray[np.int64]:
    """``int64[p]``: number of the embedding of each parameter of a kind, from 1; 0 for none."""
    number = {name: index + 1 for index, name in enumerate(names)}
    return np.array(
        [
            number.get(name, 0) if here == kind else 0
            for name, here in zip(table.names, table.kinds, strict=True)
        ],
        dtype=np.int64,
    )


def _adjacency(
    graph: MessageGraph,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Edges between atoms of one factor or block, loops, and ``1 / sqrt(degree degree)``.

    Source: Kipf & Welling 2017. Factors of more than three atoms are stars about the first.
    """
    n = graph.atom_count
    pairs = [np.arange(n, dtype=np.int64) * (n + 1)]
    for offsets, atoms in (graph.incidence, (graph.blocks.offsets, graph.blocks.atoms)):
        row, first = owners(offsets), offsets[:-1]
        for step in range(min(2, int(np.diff(offsets).max(initial=0)))):
            anchor = np.minimum(first + step, offsets[1:] - 1)
            keep = (np.diff(offsets) <= 3)[row] | (step == 0)
            one, other = atoms[anchor][row].astype(np.int64)[keep], atoms.astype(np.int64)[keep]
            pairs += [one * n + other, other * n + one]
    key = np.unique(np.concatenate(pairs))
    source, target = key // n, key % n
    degree = np.bincount(target, minlength=n).astype(np.float64)
    return source, target, 1 / np.sqrt(degree[source] * degree[target])
