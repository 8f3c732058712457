"""What a world is worth: its features, its log-score, and whether it is possible."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from knowreason.factors.arrays import array, segment_sum
from knowreason.factors.factor_graph import OPEN, Blocks, FactorGraph
from knowreason.factors.ground_factors import GroundFactors
from knowreason.factors.potentials import potential_of

_CHUNK_ENTRIES = 1 << 23  # truth values held at once


def log_score(graph: FactorGraph, worlds: Tensor) -> Tensor:
    """Unnormalised log-probability of worlds.

    Its logarithm of a sum of exponentials over all worlds is ``log Z``.

    Args:
        graph: the factor graph.
        worlds: ``int8[s, n]`` of 0 and 1, auxiliary atoms included.

    Returns:
        ``float64[s]``; minus infinity where a hard factor, a block, a count or the
        evidence is violated.
    """
    fixed = graph.log_odds.to(torch.float64)
    theta = graph.theta.to(torch.float64)

    def score(part: Tensor) -> Tensor:
        total = part.to(torch.float64) @ fixed + _features(graph, part) @ theta + graph.offset
        return total.masked_fill(~_holds(graph, part), -torch.inf)

    return _by_chunks(graph, worlds, score)


def features(graph: FactorGraph, worlds: Tensor) -> Tensor:
    """Feature totals ``sum v f`` of worlds, decided groundings included.

    Args:
        graph: the factor graph.
        worlds: ``int8[s, n]`` of 0 and 1.

    Returns:
        ``float64[s, p]``; the gradient of :func:`log_score` in ``theta``.
    """
    return _by_chunks(graph, worlds, lambda part: _features(graph, part))


def holds(graph: FactorGraph, worlds: Tensor) -> Tensor:
    """``bool[s]``: whether evidence, hard factors, blocks and counts hold in each world."""
    return _by_chunks(graph, worlds, lambda part: _holds(graph, part))


def row_scores(factors: GroundFactors, worlds: Tensor) -> NDArray[np.int64]:
    """``int64[s, m]``: score of every row in each world (``int8[s, n]``)."""
    true = array(worlds)[:, factors.entry_atoms] == factors.entry_signs
    weight = potential_of(factors).entry_weights(factors)
    gain = true.astype(np.int64) if weight is None else true * weight
    return np.asarray(segment_sum(gain.T, factors.row_offsets).T)


def row_truth(factors: GroundFactors, worlds: Tensor) -> Tensor:
    """``float64[s, m]``: value of every row's potential in each world (``int8[s, n]``).

    Of a row with a target: whether the target is what the row defines.
    """
    found = potential_of(factors).of_score(factors, row_scores(factors, worlds), slice(None))
    if factors.target is not None:
        target = factors.targets()
        is_true = array(worlds)[:, np.maximum(target, 0)] > 0
        found = np.where((target < 0) | is_true, found, 1 - found)
    return torch.from_numpy(found)


def blocks_hold(blocks: Blocks, worlds: Tensor) -> Tensor:
    """``bool[s, b]``: whether each block has the number of true atoms it allows."""
    true = array(worlds)[:, array(blocks.atoms)].astype(np.int64)
    count = torch.from_numpy(segment_sum(true.T, array(blocks.offsets)).T)
    return (count == 1) | (blocks.at_most_one & (count == 0))


def _features(graph: FactorGraph, worlds: Tensor) -> Tensor:
    total = torch.zeros(worlds.shape[0], graph.parameter_count, dtype=torch.float64)
    for part in graph.factors:
        if not part.is_hard:
            weighted = row_truth(part, worlds) * torch.from_numpy(part.values())
            total.index_add_(1, torch.from_numpy(part.parameters()), weighted)
    return total + graph.constants


def _holds(graph: FactorGraph, worlds: Tensor) -> Tensor:
    clamped = graph.evidence != OPEN
    good = (worlds[:, clamped] == graph.evidence[clamped]).all(1)
    for part in graph.factors:
        if part.is_hard:
            good &= (row_truth(part, worlds) > 0).all(1)
    return good & blocks_hold(graph.blocks, worlds).all(1)


def _by_chunks(graph: FactorGraph, worlds: Tensor, f: Callable[[Tensor], Tensor]) -> Tensor:
    return torch.cat([f(part) for part in _chunks(graph, worlds)])


def _chunks(graph: FactorGraph, worlds: Tensor) -> Iterator[Tensor]:
    sizes = [part.atoms.numel() for part in graph.factors]
    step = max(1, _CHUNK_ENTRIES // max([graph.atom_count, 1, *sizes]))
    yield from torch.split(worlds, step)
