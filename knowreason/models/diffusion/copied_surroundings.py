"""A second copy of the surroundings of synthetic things, so that real ones keep theirs.

Edges between synthetic and real things change what a classifier sees of the real ones in
training (their degree, the mean of their neighbours) and not in use, where the synthetic
ones are gone. With copies the synthetic things have real surroundings and the real things
have none but their own.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from knowreason.data.edges import Edges
from knowreason.models.diffusion.enlarged_data import Ids, NewEdges, Synthetic

if TYPE_CHECKING:
    from knowreason.data import Dataset

HOPS = 2
Masks = dict[str, NDArray[np.bool_]]


def mirrored(data: Dataset, synthetic: Synthetic, hops: int = HOPS) -> Synthetic:
    """The same things, their edges led to unlabelled copies of their real partners.

    Copied are the real things within ``hops`` of a synthetic one and all edges among them:
    at most as many things and edges as there are.

    Args:
        data: the real data set.
        synthetic: with edges to real things.
        hops: how far its surroundings reach.
    """
    if data.graph is None or not synthetic.edges:
        return synthetic
    masks = _partners(data, synthetic)
    for _ in range(hops - 1):
        masks = _widened(data, masks)
    copies = {d: np.flatnonzero(mask).astype(np.int32) for d, mask in masks.items() if mask.any()}
    new_id = {domain: _numbers(data, synthetic, domain, copies) for domain in masks}
    led = {new.relation: _led(data, new, new_id) for new in synthetic.edges}
    for number, edges in enumerate(data.graph.relations):
        again = _again(number, edges, masks, new_id)
        led[number] = _joined(led[number], again) if number in led else again
    together = tuple(new for new in led.values() if len(new.source))
    return replace(synthetic, copies=copies, edges=together)


def _partners(data: Dataset, synthetic: Synthetic) -> Masks:
    assert data.graph is not None
    masks = {domain: np.zeros(data.count(domain), bool) for domain in data.graph.domains}
    for new in synthetic.edges:
        edges = data.graph.relations[new.relation]
        for domain, ids in ((edges.source_domain, new.source), (edges.target_domain, new.target)):
            masks[domain][ids[ids < data.count(domain)]] = True
    return masks


def _widened(data: Dataset, masks: Masks) -> Masks:
    """With all neighbours."""
    assert data.graph is not None
    wider = {domain: mask.copy() for domain, mask in masks.items()}
    for edges in data.graph.relations:
        wider[edges.target_domain][edges.target[masks[edges.source_domain][edges.source]]] = True
        wider[edges.source_domain][edges.source[masks[edges.target_domain][edges.target]]] = True
    return wider


def _numbers(data: Dataset, synthetic: Synthetic, domain: str, copies: dict[str, Ids]) -> Ids:
    """New id of each real thing's copy; synthetic things of the domain keep theirs."""
    count = data.count(domain)
    more = len(synthetic) if domain == synthetic.domain else 0
    numbers = np.arange(count + more, dtype=np.int32)
    copied = copies.get(domain, np.zeros(0, np.int32))
    numbers[copied] = count + more + np.arange(len(copied))
    return numbers


def _led(data: Dataset, new: NewEdges, new_id: dict[str, Ids]) -> NewEdges:
    assert data.graph is not None
    edges = data.graph.relations[new.relation]
    return replace(
        new,
        source=new_id[edges.source_domain][new.source],
        target=new_id[edges.target_domain][new.target],
    )


def _again(number: int, edges: Edges, masks: Masks, new_id: dict[str, Ids]) -> NewEdges:
    """The edges among copied things once more."""
    copied = masks[edges.source_domain][edges.source] & masks[edges.target_domain][edges.target]
    rows = np.flatnonzero(copied)
    return NewEdges(
        number,
        new_id[edges.source_domain][edges.source[rows]],
        new_id[edges.target_domain][edges.target[rows]],
        rows,
        None if edges.time is None else edges.time[rows].astype(np.float64),
    )


def _joined(first: NewEdges, second: NewEdges) -> NewEdges:
    timed = first.time is not None and second.time is not None
    return NewEdges(
        first.relation,
        np.concatenate([first.source, second.source]),
        np.concatenate([first.target, second.target]),
        np.concatenate([first.template, second.template]),
        np.concatenate([first.time, second.time]) if timed else None,
    )
