"""New latents of rare classes, and the things decoded from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from knowreason.data.features import FeatureTable
from knowreason.models.base.model_protocol import Progress
from knowreason.models.diffusion.autoencoder import Latents
from knowreason.models.diffusion.edge_synthesis import connected
from knowreason.models.diffusion.edm import Denoiser, DenoiserOptions, sample, train_denoiser
from knowreason.models.diffusion.encoded_world import DEGREE
from knowreason.models.diffusion.enlarged_data import NewEdges, Synthetic
from knowreason.models.diffusion.latent_decoders import FeatureDecoder


@dataclass(frozen=True)
class SynthesisOptions:
    """How new things are drawn.

    Attributes:
        steps: of the sampler.
        guidance: strength of classifier-free guidance.
        nearest: neighbours in latent space that lend candidates for edges.
        connect: whether new things get edges.
        denoiser: of the diffusion.
        seed: of everything drawn.
    """

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
    points: NDArray[np.float32],
    labels: NDArray[np.int64],
    options: SynthesisOptions,
) -> Synthetic:
    """Things of rare classes, with decoded columns and edges.

    Args:
        latents: a trained autoencoder.
        predicate: whose classes.
        points: ``float32[s, latent]``, standardised latents, such as :func:`diffused` draws.
        labels: ``int64[s]``, the state of each.
        options: how.
    """
    world = latents.world
    rng = np.random.default_rng(options.seed)
    table = decoded(latents, points, labels, rng)
    own = [name for name in table.names if not name.startswith(DEGREE)]
    template = templates(latents, points, labels)
    edges: tuple[NewEdges, ...] = ()
    if options.connect:
        edges = connected(latents, points, template, table, options.nearest, rng)
    return Synthetic(
        predicate, world.domain, template, table.select(own), labels.astype(np.int32), edges
    )


def diffused(
    latents: Latents,
    labels: NDArray[np.int64],
    options: SynthesisOptions,
    progress: Progress | None = None,
) -> NDArray[np.float32]:
    """Standardised latents ``float32[len(labels), latent]`` of the given states, drawn by a
    denoiser fitted here; ``progress`` is of its training."""
    denoiser = latent_denoiser(latents, options, progress)
    generator = torch.Generator().manual_seed(options.seed)
    label = torch.from_numpy(labels).to(next(denoiser.parameters()).device)
    width = latents.mean.shape[1]
    drawn = sample(denoiser, label, width, options.steps, options.guidance, generator)
    return drawn.cpu().numpy().astype(np.float32)


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
    number = [block.domain for block in world.blocks].index(world.domain)
    decoder = latents.module.columns[number]
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

    nearest = np.zeros(len(points), np.int32)
    own = latents.of(latents.world.domain)
    for state in np.unique(labels):
        members = np.flatnonzero(latents.world.labels == state)
        of_state = np.flatnonzero(labels == state)
        search = NearestNeighbors(n_neighbors=1).fit(own[members])
        nearest[of_state] = members[
            search.kneighbors(points[of_state], return_distance=False)[:, 0]
        ]
    return nearest
