"""A neural energy of ego-subgraphs, learned by telling them from their perturbed neighbours.

With ``p(v) ~ exp(-E(v))`` the ratio of a perturbed ego-subgraph u to the observed v is
``exp(r)``, ``r = E(v) - E(u)``: no normalising constant is needed (concrete score matching,
Meng et al. 2022; subgraph score matching of GAD-EBM). One layer of messages suffices, since
an ego-subgraph is one hop wide, and as the network begins with a mean over neighbours, all
it needs of a subgraph is a row of numbers.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from knowreason.models.base.model_protocol import Progress
from knowreason.models.energy.ego_subgraphs import (
    ONE_AT_A_TIME,
    TOGETHER,
    Egos,
    Encoding,
    Perturbation,
    perturbed,
)
from knowreason.models.energy.energy_terms import Inputs
from knowreason.models.nn.gradient_training import torch_device

Loss = Literal["ratio", "cnce", "ssm"]
BATCH, BLOCK, REFRESH, PATIENCE = 1024, 8192, 10, 8
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def ratio_loss(r: Tensor) -> Tensor:
    """Ratio matching (Hyvärinen 2007): ``sigmoid(r)^2``, between 0 and 1."""
    return torch.sigmoid(r).square()


def cnce_loss(r: Tensor) -> Tensor:
    """Conditional noise contrastive estimation (Ceylan & Gutmann 2018): ``softplus(r)``."""
    return nn.functional.softplus(r)


def ssm_loss(r: Tensor) -> Tensor:
    """Subgraph score matching as the paper states it, for one perturbed neighbour.

    ``b = exp(r) - 1`` is the subgraph score; ``b^2 + 2 b`` less twice the ratio seen from
    the neighbour, ``exp(-r) - 1``. Unbounded below, and overflows.
    """
    return torch.exp(2 * r) - 2 * torch.exp(-r) + 1


LOSSES: Mapping[str, Callable[[Tensor], Tensor]] = {
    "ratio": ratio_loss,
    "cnce": cnce_loss,
    "ssm": ssm_loss,
}


@dataclass(frozen=True)
class Training:
    """How the networks are trained.

    Attributes:
        loss: ``"ratio"``, ``"cnce"`` or ``"ssm"``.
        samples: perturbed neighbours of every ego-subgraph at a time.
        share: of its edges that a perturbation changes.
        together: whether a perturbation changes edges and features at once, or one of them.
        encoder: how neighbours come in, see :meth:`Egos.messages`.
        nets: networks that are averaged.
        hidden: their width.
        steps: most gradient steps, on 1024 ego-subgraphs each; the weights of best contrast
            on held-out ones are kept.
        learning_rate, weight_decay: of AdamW.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``.
        seed: of weights, perturbations and the held-out centres.
    """

    loss: Loss = "ratio"
    samples: int = 3
    share: float = 0.1
    together: bool = True
    encoder: Encoding = "gcn"
    nets: int = 4
    hidden: int = 32
    steps: int = 300
    learning_rate: float = 3e-3
    weight_decay: float = 1e-4
    device: str = "auto"
    seed: int = 0

    @property
    def kinds(self) -> tuple[Perturbation, ...]:
        """The perturbations, taken in turn."""
        return TOGETHER if self.together else ONE_AT_A_TIME


class EnergyNets(nn.Module):
    """Several energies of summaries of ego-subgraphs, side by side.

    Args:
        parts: number q of principal parts of a node's features.
        hidden: width.
        nets: how many.
    """

    centre: Tensor
    spread: Tensor

    def __init__(self, parts: int, hidden: int, nets: int) -> None:
        super().__init__()
        self.parts = parts
        self.own = _weights(nets, parts, hidden)
        self.neighbours = _weights(nets, parts, hidden)
        self.degree = _weights(nets, 1, hidden)
        self.bias = nn.Parameter(torch.zeros(nets, 1, hidden))
        self.mixed = _weights(nets, 3 * hidden, hidden)
        self.mixed_bias = nn.Parameter(torch.zeros(nets, 1, hidden))
        self.out = _weights(nets, hidden, 1)
        self.register_buffer("centre", torch.zeros(nets, 1))
        self.register_buffer("spread", torch.ones(nets, 1))

    def forward(self, summaries: Tensor) -> Tensor:
        """Energies ``[nets, k]`` of summaries ``[k, 2 q + 1]``."""
        own = summaries[:, : self.parts] @ self.own
        around = summaries[:, self.parts : 2 * self.parts] @ self.neighbours
        degree = summaries[:, 2 * self.parts :] @ self.degree
        silu = nn.functional.silu
        state = [silu(own + around + degree + self.bias), silu(around), own * around]
        hidden = silu(torch.cat(state, dim=2) @ self.mixed + self.mixed_bias)
        energy: Tensor = (hidden @ self.out)[:, :, 0]
        return (energy - self.centre) / self.spread


@dataclass(frozen=True)
class EnergyHistory:
    """Energies of held-out ego-subgraphs over training.

    Attributes:
        steps: ``int32[t]``, when they were measured.
        contrast: ``float32[t]``, share of pairs in which the perturbed one has the higher
            energy (ties count half).
        observed, perturbed: ``float32[t, 5]``, quantiles 5, 25, 50, 75 and 95 % of energies.
    """

    steps: NDArray[np.int32]
    contrast: NDArray[np.float32]
    observed: NDArray[np.float32]
    perturbed: NDArray[np.float32]


@dataclass(frozen=True)
class Net:
    """The trained energy: mean of the networks, each standardised.

    Attributes:
        module: on its device.
        degree: mean and deviation of the log degree in training.
        encoder: how neighbours come in.
        history: of training.
        note: how training went, a sentence.
    """

    name: ClassVar[str] = "net"
    module: EnergyNets
    degree: tuple[float, float]
    encoder: Encoding = "sage"
    history: EnergyHistory | None = field(default=None, compare=False)
    note: str = ""

    @torch.no_grad()
    def energy(self, egos: Egos, inputs: Inputs) -> NDArray[np.float64]:
        """``float64[len(egos)]``."""
        device = next(self.module.parameters()).device
        rows = torch.from_numpy(summaries(egos, inputs, self.degree, self.encoder))
        parts = [
            self.module(block.to(device)).mean(dim=0).cpu() for block in torch.split(rows, BLOCK)
        ]
        return torch.cat(parts).double().numpy() if parts else np.zeros(0)


def summaries(
    egos: Egos, inputs: Inputs, degree: tuple[float, float], encoder: Encoding = "sage"
) -> NDArray[np.float32]:
    """What the networks see: ``float32[k, 2 q + 1]``.

    Principal parts of the centre, what it receives of its neighbours', standardised log degree.
    """
    log_degree = (np.log1p(egos.degree) - degree[0]) / degree[1]
    own, around = inputs.parts[egos.own], egos.messages(inputs.parts, encoder)
    return np.concatenate([own, around, log_degree[:, None]], axis=1).astype(np.float32)


def train_net(
    egos: Egos,
    inputs: Inputs,
    held: NDArray[np.int64],
    how: Training,
    progress: Progress | None = None,
    look: Callable[[int, EnergyNets], None] | None = None,
) -> Net:
    """Train the networks on observed ego-subgraphs; no label is involved.

    Those whose places are ``held`` only say when to stop. Every network starts from its own
    weights and sees the same perturbations. A loss that is no longer finite ends training at
    the best weights before. ``look`` gets step and module whenever the held-out are measured.
    """
    random = np.random.default_rng(how.seed)
    logs = np.log1p(egos.degree)
    degree = (float(logs.mean()) if len(egos) else 0.0, float(logs.std()) or 1.0)
    device = torch_device(how.device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(how.seed)
        module = EnergyNets(inputs.parts.shape[1], how.hidden, how.nets).to(device)
        seen = np.setdiff1d(np.arange(len(egos)), held)
        seen = seen if len(seen) else held

        def draw(rows: NDArray[np.int64], samples: int) -> Tensor:
            pairs = _pairs(egos.take(rows), inputs, how, degree, samples, random)
            return torch.from_numpy(pairs).to(device)

        watch = _Watch(module, draw(held[:BATCH], 2 * len(how.kinds)), look)
        finite = _minimise(module, draw, seen, how, random, watch, progress)
        module.load_state_dict(watch.kept)
        _standardise(module, summaries(egos, inputs, degree, how.encoder))
    note = (
        f"net: {how.nets} networks, loss {how.loss}, best at step {watch.steps[watch.best]} of"
        f" {watch.steps[-1]}; tells {watch.contrast[watch.best]:.1%} of held-out ego-subgraphs"
        " from perturbed ones"
    )
    if not finite:
        note += f"; the loss overflowed after step {watch.steps[-1]}"
    return Net(module.eval(), degree, how.encoder, watch.history(), note)


def _minimise(
    module: EnergyNets,
    draw: Callable[[NDArray[np.int64], int], Tensor],
    seen: NDArray[np.int64],
    how: Training,
    random: np.random.Generator,
    watch: _Watch,
    progress: Progress | None,
) -> bool:
    """Gradient steps until the budget or patience ends; False where a loss was not finite."""
    optimiser = torch.optim.AdamW(
        module.parameters(), lr=how.learning_rate, weight_decay=how.weight_decay
    )
    pairs = torch.zeros(0)
    for step in range(1, how.steps + 1 if len(seen) else 1):
        if step % REFRESH == 1:
            pairs = draw(random.permutation(seen)[:BLOCK], how.samples)
        batch = torch.randperm(pairs.shape[1])[:BATCH].to(pairs.device)
        optimiser.zero_grad()
        loss = LOSSES[how.loss](_ratios(module, pairs[:, batch])).mean(dim=(1, 2)).sum()
        if not torch.isfinite(loss):
            return False
        loss.backward()  # type: ignore[no-untyped-call]  # of torch
        optimiser.step()
        if progress is not None:
            progress(step, how.steps, f"step {step}")
        if step % REFRESH == 0 and not watch.look(step):
            return False
        if watch.tired:
            break
    return True


class _Watch:
    """Contrast on held-out pairs over training, and the weights where it was best."""

    def __init__(
        self,
        module: EnergyNets,
        pairs: Tensor,
        told: Callable[[int, EnergyNets], None] | None = None,
    ) -> None:
        self.module, self.pairs, self.told = module, pairs, told
        self.steps: list[int] = []
        self.contrast: list[float] = []
        self.quantiles: list[NDArray[np.float32]] = []
        self.best = 0
        self.kept: dict[str, Tensor] = {}
        self.look(0)

    @property
    def tired(self) -> bool:
        """Whether it has not become better for long."""
        return len(self.steps) - 1 - self.best >= PATIENCE

    @torch.no_grad()
    def look(self, step: int) -> bool:
        """Measure; False, and nothing kept, where energies are not finite."""
        energies = torch.stack([self.module(layer) for layer in self.pairs]).cpu()
        if not torch.isfinite(energies).all():
            return False
        higher = (energies[1:] > energies[0]).float() + 0.5 * (energies[1:] == energies[0])
        if self.told is not None:
            self.told(step, self.module)
        self.steps.append(step)
        self.contrast.append(float(higher.mean()) if higher.numel() else 0.5)
        both = [energies[0].mean(dim=0).numpy(), energies[1:].mean(dim=1).flatten().numpy()]
        levels = [np.quantile(e, QUANTILES) if e.size else np.zeros(5) for e in both]
        self.quantiles.append(np.array(levels, np.float32))
        if not self.kept or self.contrast[-1] > self.contrast[self.best]:
            self.best = len(self.steps) - 1
            self.kept = {k: value.clone() for k, value in self.module.state_dict().items()}
        return True

    def history(self) -> EnergyHistory:
        """As arrays."""
        levels = np.array(self.quantiles, np.float32).reshape(-1, 2, len(QUANTILES))
        return EnergyHistory(
            np.array(self.steps, np.int32),
            np.array(self.contrast, np.float32),
            levels[:, 0],
            levels[:, 1],
        )


def _ratios(module: EnergyNets, pairs: Tensor) -> Tensor:
    """``r = E(v) - E(u)``, ``[nets, samples, k]``, from ``[1 + samples, k, width]``."""
    layers, count, width = pairs.shape
    energies = module(pairs.reshape(layers * count, width)).reshape(-1, layers, count)
    ratios: Tensor = energies[:, :1] - energies[:, 1:]
    return ratios


def _pairs(
    egos: Egos,
    inputs: Inputs,
    how: Training,
    degree: tuple[float, float],
    samples: int,
    random: np.random.Generator,
) -> NDArray[np.float32]:
    """Summaries of ego-subgraphs and then of ``samples`` perturbed ones, all kinds in turn."""
    kinds = how.kinds
    first = int(random.integers(len(kinds))) if samples < len(kinds) else 0
    turns = itertools.islice(itertools.cycle(kinds), first, first + samples)
    drawn = [perturbed(egos, kind, how.share, random) for kind in turns]
    return np.stack([summaries(one, inputs, degree, how.encoder) for one in (egos, *drawn)])


@torch.no_grad()
def _standardise(module: EnergyNets, observed: NDArray[np.float32]) -> None:
    """Give every network mean 0 and deviation 1 on the observed ego-subgraphs."""
    if not len(observed):
        return
    rows = torch.from_numpy(observed).to(module.bias.device)
    energies = torch.cat([module(block) for block in torch.split(rows, BLOCK)], dim=1)
    spread = energies.std(dim=1, keepdim=True, correction=0)
    module.centre = energies.mean(dim=1, keepdim=True)
    module.spread = torch.where(spread > 1e-12, spread, torch.ones_like(spread))


def _weights(nets: int, inputs: int, outputs: int) -> nn.Parameter:
    bound = max(inputs, 1) ** -0.5
    return nn.Parameter(torch.empty(nets, inputs, outputs).uniform_(-bound, bound))


def rebuilt(
    arrays: Mapping[str, NDArray[np.generic]],
    degree: tuple[float, float],
    device: str,
    encoder: Encoding = "sage",
    history: EnergyHistory | None = None,
) -> Net:
    """A network from its stored weights."""
    nets, parts, hidden = arrays["own"].shape
    module = EnergyNets(parts, hidden, nets)
    module.load_state_dict({k: torch.from_numpy(np.array(v)) for k, v in arrays.items()})
    return Net(module.to(torch_device(device)).eval(), degree, encoder, history)
