"""Edges of synthetic things: degrees decoded, partners chosen by the edge decoder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse

from knowreason.data.features import FeatureTable
from knowreason.models.diffusion.autoencoder import Latents
from knowreason.models.diffusion.encoded_world import DomainLinks, degree_name
from knowreason.models.diffusion.enlarged_data import NewEdges
from knowreason.models.diffusion.latent_decoders import LinkDecoders

CANDIDATES = 128  # partners taken of each near thing
CHUNK = 200_000  # pairs scored at once


@dataclass(frozen=True, eq=False)
class CandidatePairs:
    """Synthetic things and possible partners.

    Attributes:
        new: ``int64[p]``, which synthetic thing.
        partner: ``int64[p]``, id in the partner domain; synthetic ones come after the real.
        log_weight: ``float64[p]``, logarithm of how many near real things have that partner.
    """

    new: NDArray[np.int64]
    partner: NDArray[np.int64]
    log_weight: NDArray[np.float64]

    def take(self, rows: NDArray[np.generic] | slice) -> CandidatePairs:
        """Some of the pairs."""
        return CandidatePairs(self.new[rows], self.partner[rows], self.log_weight[rows])


def connected(
    latents: Latents,
    points: NDArray[np.float32],
    template: NDArray[np.int32],
    columns: FeatureTable,
    nearest: int,
    rng: np.random.Generator,
) -> tuple[NewEdges, ...]:
    """Edges of synthetic things to real ones and to one another.

    A thing gets as many edges of a kind as its decoded degree says. Its candidates are the
    partners of the real things nearest to it in latent space and, where both ends are of
    its domain, its nearest synthetic ones: never all pairs. Among them partners are drawn
    without replacement with odds by the edge decoder times how many of the near things have
    that partner (Gumbel top-k). Relation and time come from their decoders.

    Args:
        latents: a trained autoencoder.
        points: ``float32[s, latent]``, standardised latents of the new things.
        template: ``int32[s]``, the real thing whose edges lend theirs features.
        columns: decoded columns with the log degrees.
        nearest: how many near things lend their partners.
        rng: of every draw.
    """
    world = latents.world
    edges: list[NewEdges] = []
    for link, decoders in zip(world.own_links, latents.module.links, strict=True):
        assert isinstance(decoders, LinkDecoders)
        name = degree_name(link)
        if not len(link.source) or name not in columns.names or not len(points):
            continue
        log_degree = columns.values[:, columns.names.index(name)]
        degree = np.rint(np.expm1(np.nan_to_num(log_degree))).astype(np.int64)
        pairs = candidates(latents, link, points, nearest, rng)
        scores, outward = _scores(latents, link, decoders, points, pairs)
        noisy = scores + pairs.log_weight + rng.gumbel(size=len(scores))
        best = best_of_each(pairs.new, noisy, degree)
        partners = pairs.take(best)
        out = rng.logistic(size=len(best)) < outward[best]
        kind, share = _kinds_and_times(latents, link, decoders, points, partners, out, rng)
        edges += _edges(latents, link, partners, out, kind, share, template, rng)
    return tuple(edges)


def candidates(
    latents: Latents,
    link: DomainLinks,
    points: NDArray[np.float32],
    nearest: int,
    rng: np.random.Generator,
) -> CandidatePairs:
    """Possible partners of each new thing in one kind of link, each pair once."""
    world = latents.world
    domain, partner = world.domain, link.partner(world.domain)
    count, partners = len(world.own.x), len(world.block(partner).x)
    near = _nearest(latents.of(domain), points, nearest)
    neighbours = _thinned(link.neighbours(domain, count, partners), CANDIDATES, rng)
    reach = sparse.csr_array(near @ neighbours)
    if domain == partner:
        reach = sparse.hstack([reach, _among(reach, near, points, nearest)])
    reach = sparse.coo_array(reach)
    there = reach.data > 0
    order = np.lexsort((reach.col[there], reach.row[there]))
    rows, columns = reach.row[there][order], reach.col[there][order]
    return CandidatePairs(
        rows.astype(np.int64), columns.astype(np.int64), np.log(reach.data[there][order])
    )


def _among(
    reach: sparse.csr_array, near: sparse.csr_array, points: NDArray[np.float32], nearest: int
) -> sparse.csr_array:
    """How often near synthetic things may be partners: as often as the real things near them.

    Returns:
        ``[s, s]`` above the diagonal: for each of the nearest pairs, the mean of ``reach`` of
        the one over the real things near the other.
    """
    among = _nearest(points, points, nearest + 1)
    above = sparse.coo_array(sparse.triu(among.maximum(among.T), k=1))
    lent = near.indices.reshape(len(points), -1)
    rows = np.repeat(above.row, lent.shape[1])
    reached = sparse.csr_matrix(reach)[rows, lent[above.col].ravel()]
    weight = np.asarray(reached).reshape(-1, lent.shape[1]).mean(axis=1)
    return sparse.csr_array((weight, (above.row, above.col)), shape=among.shape)


def best_of_each(
    group: NDArray[np.int64], score: NDArray[np.floating], count: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Positions of the ``count[g]`` highest scores of each group ``g``."""
    order = np.lexsort((-score, group))
    ordered = group[order]
    rank = np.arange(len(order)) - np.searchsorted(ordered, ordered, side="left")
    return np.sort(order[rank < count[ordered]])


def _nearest(
    among: NDArray[np.float32], points: NDArray[np.float32], count: int
) -> sparse.csr_array:
    """0/1 matrix ``[points, among]`` of the nearest of each."""
    from sklearn.neighbors import NearestNeighbors

    count = min(count, len(among))
    neighbours = NearestNeighbors(n_neighbors=count).fit(among).kneighbors_graph(points)
    return sparse.csr_array(neighbours, dtype=np.float32)


def _thinned(matrix: sparse.csr_array, limit: int, rng: np.random.Generator) -> sparse.csr_array:
    """At most ``limit`` entries a row, drawn at random."""
    entries = matrix.tocoo()
    most = np.full(matrix.shape[0], limit)
    drawn = best_of_each(entries.row.astype(np.int64), rng.random(entries.nnz), most)
    ends = entries.row[drawn], entries.col[drawn]
    return sparse.csr_array((entries.data[drawn], ends), shape=matrix.shape)


def _scores(
    latents: Latents,
    link: DomainLinks,
    decoders: LinkDecoders,
    points: NDArray[np.float32],
    pairs: CandidatePairs,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Log-odds of an edge, and those of its leading out of the new thing."""
    domain = latents.world.domain
    out, back = np.full((2, len(pairs.new)), -np.inf)
    for rows in _chunks(len(pairs.new)):
        new, partner = _ends(latents, link, points, pairs.take(rows))
        with torch.no_grad():
            if link.source_domain == domain:
                out[rows] = decoders.edge(new, partner).cpu().numpy()
            if link.target_domain == domain:
                back[rows] = decoders.edge(partner, new).cpu().numpy()
    return np.logaddexp(out, back), out - back


def _edges(
    latents: Latents,
    link: DomainLinks,
    pairs: CandidatePairs,
    leads_out: NDArray[np.bool_],
    kind: NDArray[np.int64],
    share: NDArray[np.float64],
    template: NDArray[np.int32],
    rng: np.random.Generator,
) -> Iterator[NewEdges]:
    """The chosen pairs as edges of each relation of a link."""
    world = latents.world
    low, width = world.span
    new = len(world.own.x) + pairs.new
    source = np.where(leads_out, new, pairs.partner)
    target = np.where(leads_out, pairs.partner, new)
    for number, relation in enumerate(link.relations):
        of_relation = np.flatnonzero(kind == number)
        if not len(of_relation):
            continue
        rows = np.flatnonzero(link.relation == relation)
        like = link.row[
            _edges_like(link, world.domain, rows, template[pairs.new[of_relation]], rng)
        ]
        ends, time = [source[of_relation], target[of_relation]], low + width * share[of_relation]
        if link.symmetric:
            ends = [np.concatenate(ends), np.concatenate(ends[::-1])]
            like, time = np.tile(like, 2), np.tile(time, 2)
        timed = not np.isnan(link.time[rows]).any()
        yield NewEdges(
            int(relation),
            ends[0].astype(np.int32),
            ends[1].astype(np.int32),
            like,
            time if timed else None,
        )


def _edges_like(
    link: DomainLinks,
    domain: str,
    rows: NDArray[np.int64],
    anchor: NDArray[np.int32],
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """For each anchor one of its edges among ``rows``, any of them where it has none."""
    ends = (link.source if link.source_domain == domain else link.target)[rows]
    order = np.argsort(ends, kind="stable")
    first, last = (np.searchsorted(ends[order], anchor, side) for side in ("left", "right"))
    lonely = first == last
    first, last = np.where(lonely, 0, first), np.where(lonely, len(rows), last)
    return rows[order[rng.integers(first, last)]]


def _kinds_and_times(
    latents: Latents,
    link: DomainLinks,
    decoders: LinkDecoders,
    points: NDArray[np.float32],
    pairs: CandidatePairs,
    leads_out: NDArray[np.bool_],
    rng: np.random.Generator,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Place of each edge's relation in the link, and its time as a share of the span."""
    kind = np.zeros(len(pairs.new), np.int64)
    share = np.full(len(pairs.new), np.nan)
    for rows in _chunks(len(pairs.new)):
        new, partner = _ends(latents, link, points, pairs.take(rows))
        out = torch.from_numpy(leads_out[rows]).to(new.device)[:, None]
        ends = torch.where(out, new, partner), torch.where(out, partner, new)
        with torch.no_grad():
            if decoders.relation is not None:
                logits = decoders.relation(*ends).cpu().numpy()
                kind[rows] = np.argmax(logits + rng.gumbel(size=logits.shape), axis=1)
            if decoders.time is not None:
                relation = torch.from_numpy(kind[rows]).to(new.device)
                mean, log_sd = (t.cpu().numpy() for t in decoders.time(*ends, relation))
                drawn = mean + np.exp(log_sd) * rng.standard_normal(len(mean))
                share[rows] = np.clip(drawn, 0, 1)
    return kind, share


def _ends(
    latents: Latents, link: DomainLinks, points: NDArray[np.float32], pairs: CandidatePairs
) -> tuple[torch.Tensor, torch.Tensor]:
    """Raw latents of both ends of pairs."""
    world = latents.world
    partner = link.partner(world.domain)
    partners = latents.of(partner)
    if partner == world.domain:
        partners = np.concatenate([partners, points])
    return latents.raw(points[pairs.new]), latents.raw(partners[pairs.partner])


def _chunks(count: int) -> Iterator[slice]:
    for start in range(0, count, CHUNK):
        yield slice(start, start + CHUNK)
