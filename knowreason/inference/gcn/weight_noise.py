"""Gaussian noise on the weights of any torch network, for ensembles.

Source: Blundell et al. 2015; Yu & Kumbier 2020 (stability under perturbation).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Noise:
    """What an ensemble does to the weights.

    Attributes:
        scale: standard deviation; of each weight's size where ``relative``.
        relative: noise in units of each weight.
        passes: members of the ensemble.
        seed: of the noise.
    """

    scale: float = 0.1
    relative: bool = False
    passes: int = 10
    seed: int = 0


@contextmanager
def weight_noise(
    network: torch.nn.Module, scale: float, generator: torch.Generator, relative: bool = False
) -> Iterator[None]:
    """Adds noise to every weight while the block runs, and takes it away after.

    Args:
        network: changed in place.
        scale: standard deviation; of each weight's size where ``relative``.
        generator: of the noise.
        relative: noise in units of each weight.
    """
    kept = [weight.detach().clone() for weight in network.parameters()]
    with torch.no_grad():
        for weight in network.parameters():
            if scale > 0:
                drawn = scale * torch.randn(weight.shape, generator=generator)
                weight.add_(drawn * weight.abs() if relative else drawn)
    try:
        yield
    finally:
        with torch.no_grad():
            for weight, before in zip(network.parameters(), kept, strict=True):
                weight.copy_(before)


def ensemble(
    network: torch.nn.Module, passes: Callable[[], Tensor], noise: Noise
) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of what ``passes`` returns under noise.

    Args:
        network: whose weights are disturbed.
        passes: a forward pass of it.
        noise: kind and number.
    """
    generator = torch.Generator().manual_seed(noise.seed)
    found = []
    for _ in range(noise.passes):
        with torch.no_grad(), weight_noise(network, noise.scale, generator, noise.relative):
            found.append(passes())
    drawn = torch.stack(found)
    return drawn.mean(0), drawn.std(0, correction=0)
