"""Diffusion of latents: preconditioning, training and sampling (Karras et al. 2022, "EDM")."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from knowreason.models.base.model_protocol import Progress

Denoise = Callable[[Tensor, float], Tensor]
SIGMA_DATA = 1.0  # latents are standardised
# noise for data of deviation 1; the paper's values of training, for 0.5, are scaled to it
LOWEST, HIGHEST = 0.002, 80.0  # at the two ends of sampling
RHO = 7.0  # how much the steps of sampling crowd at the lower end (eq. 5)
LOG_MEAN, LOG_SD = -0.5, 1.2  # of the noise in training (Table 1)


def noise_levels(count: int) -> Tensor:
    """``float64[count + 1]``, decreasing, the last 0 (eq. 5)."""
    places = torch.arange(count, dtype=torch.float64) / max(count - 1, 1)
    high, low = HIGHEST ** (1 / RHO), LOWEST ** (1 / RHO)
    return torch.cat([(high + places * (low - high)) ** RHO, torch.zeros(1).double()])


def preconditioning(sigma: Tensor, data: float = SIGMA_DATA) -> tuple[Tensor, Tensor, Tensor]:
    """``c_skip, c_out, c_in`` of EDM's Table 1, shapes as ``sigma``."""
    total = sigma**2 + data**2
    return data**2 / total, sigma * data / total.sqrt(), total.rsqrt()


def loss_weight(sigma: Tensor, data: float = SIGMA_DATA) -> Tensor:
    """``1 / c_out**2``, which makes the loss of the network's output unweighted (eq. 8)."""
    return (sigma**2 + data**2) / (sigma * data) ** 2


class DenoiserNetwork(nn.Module):
    """Residual MLP on a scaled noisy latent, its noise level and its class.

    Args:
        latent: width of a latent.
        classes: number of classes; one more stands for "no class".
        hidden: width.
        layers: residual blocks.
    """

    def __init__(self, latent: int, classes: int, hidden: int = 128, layers: int = 3) -> None:
        super().__init__()
        self.first = nn.Linear(latent, hidden)
        self.noise = nn.Sequential(nn.Linear(16, hidden), nn.SiLU(), nn.Linear(hidden, hidden))
        self.label = nn.Embedding(classes + 1, hidden)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.LayerNorm(hidden),
                nn.Linear(hidden, hidden),
                nn.SiLU(),
                nn.Linear(hidden, hidden),
            )
            for _ in range(layers)
        )
        self.last = nn.Linear(hidden, latent)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, x: Tensor, log_noise: Tensor, label: Tensor) -> Tensor:
        """Output ``[n, latent]`` for ``c_noise`` ``[n]``."""
        frequency = 2.0 ** torch.arange(-3, 5, device=x.device)
        angle = log_noise[:, None] * frequency
        condition = self.noise(torch.cat([angle.sin(), angle.cos()], dim=1)) + self.label(label)
        state = self.first(x) + condition
        for block in self.blocks:
            state = state + block(state + condition)
        output: Tensor = self.last(state)
        return output


class Denoiser(nn.Module):
    """``D(x; sigma) = c_skip x + c_out F(c_in x; c_noise)`` (EDM eq. 7)."""

    def __init__(self, network: nn.Module, classes: int) -> None:
        super().__init__()
        self.network, self.classes = network, classes

    def forward(self, x: Tensor, sigma: Tensor, label: Tensor) -> Tensor:
        """The clean latents ``[n, latent]`` expected behind noisy ones; ``sigma`` is ``[n]``."""
        skip, out, scale = (c[:, None] for c in preconditioning(sigma))
        output: Tensor = skip * x + out * self.network(scale * x, sigma.log() / 4, label)
        return output

    def guided(self, x: Tensor, sigma: Tensor, label: Tensor, guidance: float) -> Tensor:
        """Classifier-free guidance (Ho & Salimans 2022): away from the classless answer."""
        conditional: Tensor = self(x, sigma, label)
        if guidance == 0:
            return conditional
        classless: Tensor = self(x, sigma, torch.full_like(label, self.classes))
        return conditional + guidance * (conditional - classless)


@dataclass(frozen=True)
class DenoiserOptions:
    """How the denoiser is built and trained.

    Attributes:
        hidden, layers: of the network.
        steps: of Adam.
        batch: latents a step, drawn with each class as often as the others.
        learning_rate: falls to zero along a cosine.
        drop: share of latents whose class is withheld, for guidance.
        seed: of initial weights, batches and noise.
    """

    hidden: int = 128
    layers: int = 3
    steps: int = 1500
    batch: int = 512
    learning_rate: float = 2e-3
    drop: float = 0.1
    seed: int = 0


def train_denoiser(
    latents: Tensor,
    labels: Tensor,
    classes: int,
    options: DenoiserOptions,
    progress: Progress | None = None,
) -> Denoiser:
    """Fit a class-conditional denoiser to standardised latents.

    Args:
        latents: ``float32[n, latent]``.
        labels: ``int64[n]``, ``classes`` where there is none.
        classes: how many.
        options: how.
        progress: called each hundred steps.
    """
    device = latents.device
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        network = DenoiserNetwork(latents.shape[1], classes, options.hidden, options.layers)
        denoiser = Denoiser(network, classes).to(device)
    generator = torch.Generator().manual_seed(options.seed)
    optimiser = torch.optim.Adam(denoiser.parameters(), lr=options.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(options.steps, 1))
    share = (1.0 / torch.bincount(labels.cpu(), minlength=classes + 1).clamp(min=1))[labels.cpu()]
    for step in range(options.steps):
        rows = torch.multinomial(share, options.batch, replacement=True, generator=generator)
        clean, label = latents[rows.to(device)], labels[rows.to(device)]
        drop = (torch.rand(len(rows), generator=generator) < options.drop).to(device)
        label = torch.where(drop, classes, label)
        sigma = torch.randn(len(rows), generator=generator) * LOG_SD + LOG_MEAN
        sigma = sigma.exp().to(device)
        noise = torch.randn(clean.shape, generator=generator).to(device)
        error = denoiser(clean + sigma[:, None] * noise, sigma, label) - clean
        optimiser.zero_grad()
        (loss_weight(sigma)[:, None] * error**2).mean().backward()
        optimiser.step()
        schedule.step()
        if progress is not None and (step + 1) % 100 == 0:
            progress(step + 1, options.steps, f"denoiser, step {step + 1}")
    return denoiser.eval()


@torch.no_grad()
def heun(denoise: Denoise, noise: Tensor, steps: Tensor) -> Tensor:
    """Deterministic sampling by Heun's second-order method (EDM Algorithm 1).

    Args:
        denoise: the expected clean data behind ``x`` at one noise level.
        noise: ``[n, d]`` standard normal.
        steps: decreasing noise levels that end in 0, from :func:`noise_levels`.

    Returns:
        Samples ``[n, d]``.
    """
    levels: list[float] = steps.tolist()
    x = noise * levels[0]
    for now, then in pairwise(levels):
        slope = (x - denoise(x, now)) / now
        ahead = x + (then - now) * slope
        if then > 0:
            second = (ahead - denoise(ahead, then)) / then
            ahead = x + (then - now) * (slope + second) / 2
        x = ahead
    return x


def sample(
    denoiser: Denoiser,
    labels: Tensor,
    latent: int,
    steps: int,
    guidance: float,
    generator: torch.Generator,
) -> Tensor:
    """New latents ``float32[len(labels), latent]`` of given classes."""
    noise = torch.randn((len(labels), latent), generator=generator).to(labels.device)

    def denoise(x: Tensor, sigma: float) -> Tensor:
        return denoiser.guided(x, x.new_full((len(x),), sigma), labels, guidance)

    return heun(denoise, noise, noise_levels(steps))
