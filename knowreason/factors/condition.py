"""Folding clamped atoms out of a factor graph."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from knowreason.errors import InferenceError
from knowreason.factors.arrays import array, offsets_of, owners, segment_sum, tensor
from knowreason.factors.factor_graph import OPEN, TRUE, Blocks, FactorGraph
from knowreason.factors.ground_factors import GroundFactors
from knowreason.factors.potentials import potential_of
from knowreason.factors.propagate import propagate
from knowreason.factors.reduction import Reduction


def condition(graph: FactorGraph) -> FactorGraph:
    """The distribution given the evidence, as a graph over the atoms still open.

    Evidence is propagated first (hard units, blocks, counts). Atoms keep their numbers;
    decided atoms keep their evidence, lose their log-odds to ``offset`` and no factor
    touches them. Feature totals of decided rows go to ``constant``, soft rows of one
    atom become units. So ``log Z`` and all expectations stay those of the graph given
    its evidence. A count whose target is false and whose interval has room on both
    sides keeps its target open under a hard ``!target``.

    Returns:
        a graph on the CPU.

    Raises:
        InferenceError: hard rows that the evidence makes false (KR703); ``rules`` of the
            error holds their labels.
    """
    reduction = Reduction(propagate(graph), array(graph.constants).copy())
    for part in graph.factors:
        potential_of(part).reduce(part, reduction)
    blocks = _reduce_blocks(reduction, graph.blocks)
    if reduction.violated or reduction.broken_blocks:
        raise _contradiction(reduction.violated, reduction.broken_blocks)
    _reopen(reduction)
    return _assemble(graph, reduction, blocks)


def _assemble(graph: FactorGraph, reduction: Reduction, blocks: Blocks) -> FactorGraph:
    log_odds = array(graph.log_odds)
    decided = reduction.evidence != OPEN
    offset = graph.offset + float(log_odds[reduction.evidence == TRUE].sum(dtype=np.float64))
    return replace(
        graph,
        log_odds=tensor(np.where(decided, np.float32(0.0), log_odds), torch.float32),
        theta=graph.theta.detach().cpu().to(torch.float64),
        evidence=tensor(reduction.evidence, torch.int8),
        factors=tuple(reduction.factors),
        blocks=blocks,
        auxiliary=None if graph.auxiliary is None else graph.auxiliary.cpu(),
        constant=torch.from_numpy(reduction.constant),
        offset=offset,
    )


def _contradiction(violated: Counter[int], blocks: int) -> InferenceError:
    total = sum(violated.values())
    parts = [f"{rows} of {rule_name(rule)}" for rule, rows in sorted(violated.items())]
    said = [f"{total} hard grounding{'s' * (total != 1)}: {', '.join(parts)}"] if total else []
    if blocks:
        said.append(f"{blocks} functional block{'s' * (blocks != 1)} (exactly or at most one true)")
    error = InferenceError(
        f"the evidence contradicts {'; and '.join(said)}",
        code="KR703",
        help="evidence alone or what follows from it leaves no possible world",
    )
    error.rules = tuple(sorted(violated))
    return error


def rule_name(rule: int) -> str:
    """How messages call a rule label; ``-1`` are rows that no rule made."""
    return f"rule {rule}" if rule >= 0 else "rows without a rule"


def _reopen(reduction: Reduction) -> None:
    atoms = np.unique(np.concatenate([np.zeros(0, np.int64), *reduction.reopened]))
    if len(atoms):
        reduction.evidence[atoms] = OPEN
        column = tensor(atoms[:, None], torch.int32)
        reduction.factors.append(GroundFactors.of(column, (False,), None))


def _reduce_blocks(reduction: Reduction, blocks: Blocks) -> Blocks:
    offsets, atoms = array(blocks.offsets), array(blocks.atoms)
    at_most_one = array(blocks.at_most_one)
    states = reduction.evidence[atoms]
    true = segment_sum(states == TRUE, offsets)
    free = segment_sum(states == OPEN, offsets)
    bad = (true > 1) | (~at_most_one & (true + free == 0))
    if bad.any():
        reduction.broken_blocks += int(bad.sum())
    stay = (true == 0) & (free > at_most_one)
    kept = (states == OPEN) & stay[owners(offsets)]
    return Blocks(
        torch.from_numpy(offsets_of(free[stay])),
        tensor(atoms[kept], torch.int32),
        tensor(at_most_one[stay], torch.bool),
    )


def clamp(graph: FactorGraph, labels: Tensor) -> FactorGraph:
    """The graph with labels (``int8[n]``, ``-1`` for none) added to its evidence."""
    evidence = torch.where(labels.to(torch.int8) >= 0, labels.to(torch.int8), graph.evidence)
    return graph.with_evidence(evidence)
