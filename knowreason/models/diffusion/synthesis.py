"""New latents of rare classes, and the things decoded from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from knowreason.data.features import FeatureTable
from knowreason.models.diffusion.autoencoder import Latents
from knowreason.models.diffusion.connect import connected
from knowreason.models.diffusion.decoders import FeatureDecoder
from knowreason.models.diffusion.edm import Denoiser, DenoiserOptions, sample, train_denoiser
from knowreason.models.diffusion.enlarge import NewEdges, Synthetic
from knowreason.models.diffusion.world import DEGREE
from knowreason.models.protocol import Progress

Source = Literal["diffusion", "vae", "smote"]


@dataclass(frozen=True)
class SynthesisOptions:
    """How new things are drawn.

    Attributes:
        method: ``"diffusion"``: by the denoiser; ``"vae"``: from the posterior of a real
            thing of the class; ``"smote"``: between a real thing and one of its nearest of
            the same class (Chawla et al. 2002).
        steps: of the sampler.
        guidance: strength of classifier-free guidance.
        nearest: neighbours in latent space, for SMOTE and for candidates of edges.
        connect: whether new things get edges.
        denoiser: of the diffusion.
        seed: of everything drawn.
    """

    method: Source = "diffusion"
    steps: int = 50
    guidance: float = 0.0
    nearest: int = 10
    connect: bool = True
    denoiser: DenoiserOptions = DenoiserOptions()
    seed: int = 0


def wanted(labels: NDArray[np.integer], states: int, ratio: float) -> NDArray[np.int64]:
    """``int64[states]``: how many new things of each state.

    ``ratio`` for each labelled one of every state that is rarer than an even share, but
    never so many that it becomes more frequent than the most frequent state.

    Args:
        labels: states of the labelled things.
        states: number of states.
        ratio: new things for each real one.
    """
    counts = np.bincount(labels, minlength=states)
    seen = max(np.count_nonzero(counts), 1)
    rare = (counts > 1) & (counts < counts.sum() / seen)
    most = counts.max(initial=0) - counts
    return np.where(rare, np.minimum(np.rint(ratio * counts), most), 0).astype(np.int64)


def synthesised(
    latents: Latents,
    predicate: str,
    counts: NDArray[np.int64],
    options: SynthesisOptions,
    progress: Progress | None = None,
) -> Synthetic:
    """Things of rare classes: latents, decoded columns, edges.

    Args:
        latents: a trained autoencoder.
        predicate: whose classes.
        counts: how many of each state, from :func:`wanted`.
        options: how.
        progress: of the denoiser's training.
    """
    world = latents.world
    rng = np.random.default_rng(options.seed)
    labels = np.repeat(np.arange(len(counts)), counts)
    points = new_latents(latents, labels, options, rng, progress)
    table = decoded(latents, points, labels, rng)
    own = [name for name in table.names if not name.startswith(DEGREE)]
    template = templates(latents, points, labels)
    edges: tuple[NewEdges, ...] = ()
    if options.connect:
        edges = connected(latents, points, template, table, options.nearest, rng)
    return Synthetic(
        predicate, world.domain, template, table.select(own), labels.astype(np.int32), edges
    )


def new_latents(
    latents: Latents,
    labels: NDArray[np.int64],
    options: SynthesisOptions,
    rng: np.random.Generator,
    progress: Progress | None = None,
) -> NDArray[np.float32]:
    """Standardised latents ``float32[len(labels), latent]`` of the given states."""
    if options.method == "diffusion":
        denoiser = latent_denoiser(latents, options, progress)
        generator = torch.Generator().manual_seed(options.seed)
        label = torch.from_numpy(labels).to(next(denoiser.parameters()).device)
        width = latents.mean.shape[1]
        drawn = sample(denoiser, label, width, options.steps, options.guidance, generator)
        return drawn.cpu().numpy().astype(np.float32)
    draw = _posterior if options.method == "vae" else _between
    points = np.zeros((len(labels), latents.mean.shape[1]), np.float32)
    for state in np.unique(labels):
        mine = np.flatnonzero(labels == state)
        points[mine] = draw(latents, state, len(mine), options.nearest, rng)
    return points


def latent_denoiser(
    latents: Latents, options: SynthesisOptions, progress: Progress | None = None
) -> Denoiser:
    """A denoiser fitted to the latents of the predicate's things and their classes."""
    world = latents.world
    device = next(latents.module.parameters()).device
    return train_denoiser(
        torch.from_numpy(latents.of(world.domain)).to(device),
        torch.from_numpy(world.labels).to(device),
        world.states,
        options.denoiser,
        progress,
    )


def decoded(
    latents: Latents,
    points: NDArray[np.float32],
    labels: NDArray[np.int64],
    rng: np.random.Generator,
) -> FeatureTable:
    """Columns drawn for latents of the predicate's things, log degrees included."""
    world = latents.world
    place = [block.domain for block in world.blocks].index(world.domain)
    decoder = latents.module.columns[place]
    assert isinstance(decoder, FeatureDecoder)
    with torch.no_grad():
        raw = latents.raw(points)
        output = decoder(raw, torch.from_numpy(labels).to(raw.device)).cpu().numpy()
        log_sd = decoder.bounded_log_sd.cpu().numpy()
    return world.own.marginals.sample(output, log_sd, rng)


def templates(
    latents: Latents, points: NDArray[np.float32], labels: NDArray[np.int64]
) -> NDArray[np.int32]:
    """The real thing of the same class nearest to each point, ``int32[s]``."""
    from sklearn.neighbors import NearestNeighbors

    found = np.zeros(len(points), np.int32)
    own = latents.of(latents.world.domain)
    for state in np.unique(labels):
        members = np.flatnonzero(latents.world.labels == state)
        mine = np.flatnonzero(labels == state)
        search = NearestNeighbors(n_neighbors=1).fit(own[members])
        found[mine] = members[search.kneighbors(points[mine], return_distance=False)[:, 0]]
    return found


def _posterior(
    latents: Latents, state: int, count: int, nearest: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Draws from the posteriors of real things of a state, each taken about as often."""
    members = np.flatnonzero(latents.world.labels == state)
    chosen = _evenly(members, count, rng)
    nodes = latents.world.own.first + chosen
    noise = rng.standard_normal((count, latents.mean.shape[1]))
    return (latents.mean[nodes] + latents.sd[nodes] * noise).astype(np.float32)


def _between(
    latents: Latents, state: int, count: int, nearest: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """SMOTE: points on the lines from real things of a state to their nearest ones."""
    from sklearn.neighbors import NearestNeighbors

    members = np.flatnonzero(latents.world.labels == state)
    points = latents.of(latents.world.domain)[members]
    search = NearestNeighbors(n_neighbors=min(nearest, len(members) - 1)).fit(points)
    near = search.kneighbors(return_distance=False)
    chosen = _evenly(np.arange(len(members)), count, rng)
    other = near[chosen, rng.integers(0, near.shape[1], count)]
    share = rng.random((count, 1))
    return (points[chosen] + share * (points[other] - points[chosen])).astype(np.float32)


def _evenly(members: NDArray[np.int64], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    return rng.permutation(members)[np.arange(count) % len(members)]
