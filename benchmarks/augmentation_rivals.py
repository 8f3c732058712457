"""What latent diffusion is compared with: other draws of latents of a class.

Points are ``float32[len(labels), latent]`` in the units of
:class:`knowreason.models.diffusion.autoencoder.Latents`, one for each wanted state.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

from knowreason.models.diffusion.autoencoder import Latents

Draw = Callable[[Latents, NDArray[np.int64], int, np.random.Generator], NDArray[np.float32]]


def posterior_points(
    latents: Latents, labels: NDArray[np.int64], nearest: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Draws from the autoencoder's posteriors of real things of each state (VAE alone)."""
    points = np.zeros((len(labels), latents.mean.shape[1]), np.float32)
    for state in np.unique(labels):
        mine = np.flatnonzero(labels == state)
        members = np.flatnonzero(latents.world.labels == state)
        nodes = latents.world.own.first + _evenly(members, len(mine), rng)
        noise = rng.standard_normal((len(mine), points.shape[1]))
        points[mine] = latents.mean[nodes] + latents.sd[nodes] * noise
    return points


def points_between(
    latents: Latents, labels: NDArray[np.int64], nearest: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Points on the lines from real things of a state to one of their ``nearest`` of the same
    state (SMOTE, Chawla et al. 2002)."""
    points = np.zeros((len(labels), latents.mean.shape[1]), np.float32)
    for state in np.unique(labels):
        mine = np.flatnonzero(labels == state)
        real = latents.of(latents.world.domain)[latents.world.labels == state]
        search = NearestNeighbors(n_neighbors=min(nearest, len(real) - 1)).fit(real)
        near = search.kneighbors(return_distance=False)
        first = _evenly(np.arange(len(real)), len(mine), rng)
        second = near[first, rng.integers(0, near.shape[1], len(mine))]
        share = rng.random((len(mine), 1))
        points[mine] = real[first] + share * (real[second] - real[first])
    return points


RIVALS: dict[str, Draw] = {"smote": points_between, "vae": posterior_points}


def _evenly(members: NDArray[np.int64], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """``count`` of the members, each about as often as another."""
    return rng.permutation(members)[np.arange(count) % len(members)]
