"""What a world is worth: its features, its log-score, and whether it is possible."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from knowreason.factors.graph import (
    OPEN,
    Blocks,
    ClauseList,
    CountGroup,
    FactorGraph,
    FactorGroup,
    Table,
)

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


def row_truth(group: FactorGroup | ClauseList, worlds: Tensor) -> Tensor:
    """``float64[s, m]``: value of every row's potential in each world (``int8[s, n]``)."""
    if isinstance(group, ClauseList):
        return (_literal_counts(group, worlds) > 0).to(torch.float64)
    states = worlds[:, group.atoms.long()]
    if isinstance(group.potential, Table):
        shifts = torch.arange(states.shape[2])
        index = (states.long() << shifts).sum(-1)
        return group.potential.values.to(torch.float64)[index]
    signs = torch.tensor(group.potential.signs, dtype=torch.bool)
    return (states.bool() == signs).any(-1).to(torch.float64)


def count_holds(group: CountGroup, worlds: Tensor) -> Tensor:
    """``bool[s, m]``: whether each count definition or demand holds in each world."""
    count = _literal_counts(group, worlds)
    inside = (count >= group.lower) & (count <= group.upper)
    demanded = group.target < 0
    target = worlds[:, group.target.long().clamp(min=0)].bool()
    return torch.where(demanded, inside, inside == target)


def blocks_hold(blocks: Blocks, worlds: Tensor) -> Tensor:
    """``bool[s, b]``: whether each block has the number of true atoms it allows."""
    count = _segment_counts(worlds[:, blocks.atoms.long()].bool(), blocks.offsets)
    return (count == 1) | (blocks.at_most_one & (count == 0))


def _features(graph: FactorGraph, worlds: Tensor) -> Tensor:
    total = torch.zeros(worlds.shape[0], graph.parameter_count, dtype=torch.float64)
    for group in graph.factors:
        if group.parameter is not None:
            _add(total, group.parameter, group.value, row_truth(group, worlds))
    for unit in graph.units:
        truth = worlds[:, unit.atoms.long()].to(torch.float64)
        _add(total, unit.parameter, unit.value, truth)
    return total if graph.constant is None else total + graph.constant


def _add(total: Tensor, parameter: int | Tensor, value: Tensor | None, truth: Tensor) -> None:
    weighted = truth if value is None else truth * value
    if isinstance(parameter, int):
        total[:, parameter] += weighted.sum(1)
    else:
        total.index_add_(1, parameter.long(), weighted)


def _holds(graph: FactorGraph, worlds: Tensor) -> Tensor:
    clamped = graph.evidence != OPEN
    good = (worlds[:, clamped] == graph.evidence[clamped]).all(1)
    for group in graph.factors:
        if group.is_hard:
            good &= (row_truth(group, worlds) > 0).all(1)
    for count in graph.counts:
        good &= count_holds(count, worlds).all(1)
    return good & blocks_hold(graph.blocks, worlds).all(1)


def _literal_counts(group: ClauseList | CountGroup, worlds: Tensor) -> Tensor:
    return _segment_counts(worlds[:, group.atoms.long()].bool() == group.signs, group.offsets)


def _segment_counts(truth: Tensor, offsets: Tensor) -> Tensor:
    """``int64[s, m]``: number of true entries of ``bool[s, offsets[-1]]`` per CSR row."""
    rows = offsets.shape[0] - 1
    owner = torch.repeat_interleave(torch.arange(rows), offsets.diff())
    counts = torch.zeros(truth.shape[0], rows, dtype=torch.int64)
    return counts.index_add_(1, owner, truth.long())


def _by_chunks(graph: FactorGraph, worlds: Tensor, f: Callable[[Tensor], Tensor]) -> Tensor:
    return torch.cat([f(part) for part in _chunks(graph, worlds)])


def _chunks(graph: FactorGraph, worlds: Tensor) -> Iterator[Tensor]:
    sizes = [group.atoms.numel() for group in graph.factors]
    sizes += [count.atoms.numel() for count in graph.counts]
    step = max(1, _CHUNK_ENTRIES // max([graph.atom_count, 1, *sizes]))
    yield from worlds.split(step)
