"""Gradient training of small torch modules: early stopping, weight noise, seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor, nn

from knowreason.errors import ModelError
from knowreason.models.base.model_options import AtLeastOne, AtLeastZero, Within
from knowreason.models.base.model_protocol import Progress

Loss = Callable[[Tensor], Tensor]
NotNegative = Annotated[float, Within(0)]


@dataclass(frozen=True)
class TrainingSchedule:
    """How a module is trained.

    Attributes:
        epochs: most passes over the training rows.
        patience: epochs without improvement on the validation rows before it stops.
        learning_rate, weight_decay: of AdamW.
        batch_size: rows a step; 0 for all at once.
        noise: scale of Gaussian noise on the weights at every step (0 for none).
        relative: whether the noise is relative to each weight's size.
        seed: of batches and noise.
    """

    epochs: int
    patience: int
    learning_rate: float
    weight_decay: float
    batch_size: int = 0
    noise: float = 0.0
    relative: bool = False
    seed: int = 0


@dataclass(eq=False, repr=False, kw_only=True)
class GradientOptions:
    """Options of every model that is trained by gradients.

    Attributes:
        weight_noise: scale of noise on the weights in training, set by ``noisy``.
        relative_noise: whether it is relative to each weight.
    """

    epochs: AtLeastZero = 200
    patience: AtLeastOne = 20
    learning_rate: NotNegative = 3e-3
    weight_decay: NotNegative = 1e-4
    device: str = "auto"
    seed: int = 0

    weight_noise = 0.0
    relative_noise = False

    def schedule(self, batch_size: int = 0) -> TrainingSchedule:
        """How the module is trained."""
        return TrainingSchedule(
            self.epochs,
            self.patience,
            self.learning_rate,
            self.weight_decay,
            batch_size,
            self.weight_noise,
            self.relative_noise,
            self.seed,
        )


def train(
    module: nn.Module,
    loss: Loss,
    rows: Tensor,
    held: Tensor,
    schedule: TrainingSchedule,
    progress: Progress | None = None,
) -> str:
    """Minimise ``loss`` of the training rows; keep the weights best on the held-out rows.

    Args:
        module: trained in place.
        loss: mean loss of the rows whose indices it is given, ``int64[b]``.
        rows: indices of training rows.
        held: indices of validation rows; with none, all epochs are run.
        schedule: how.
        progress: called each epoch.

    Returns:
        A sentence for the report.
    """
    optimiser = torch.optim.AdamW(
        module.parameters(), lr=schedule.learning_rate, weight_decay=schedule.weight_decay
    )
    generator = torch.Generator().manual_seed(schedule.seed)
    best, best_epoch = float("inf"), 0
    best_weights = {name: value.clone() for name, value in module.state_dict().items()}
    epoch = 0
    for epoch in range(1, schedule.epochs + 1):
        module.train()
        for batch in _batches(rows, schedule.batch_size, generator):
            optimiser.zero_grad()
            with noisy_weights(module, schedule.noise, schedule.relative, generator):
                loss(batch).backward()  # type: ignore[no-untyped-call]  # of torch
            optimiser.step()
        if len(held):
            now = _held_loss(module, loss, held)
            if now < best - 1e-5:
                best, best_epoch = now, epoch
                best_weights = {name: value.clone() for name, value in module.state_dict().items()}
        if progress is not None:
            progress(epoch, schedule.epochs, f"epoch {epoch}")
        if len(held) and epoch - best_epoch >= schedule.patience:
            break
    step = f", {schedule.batch_size} a step" if 0 < schedule.batch_size < len(rows) else ""
    if not len(held):
        return f"trained for {epoch} epochs on {len(rows)} rows{step}, none held out"
    module.load_state_dict(best_weights)
    if progress is not None:
        progress(schedule.epochs, schedule.epochs, f"best at epoch {best_epoch}")
    return (
        f"trained on {len(rows)} rows{step}, best at epoch {best_epoch} of {epoch}"
        f" (loss {best:.3f} on {len(held)} rows held out)"
    )


@contextmanager
def noisy_weights(
    module: nn.Module, scale: float, relative: bool, generator: torch.Generator
) -> Iterator[None]:
    """Add Gaussian noise to all weights and take it off again afterwards.

    Gradients made inside are those at the noisy weights.
    """
    if scale <= 0:
        yield
        return
    weights = [weight.detach().clone() for weight in module.parameters()]
    with torch.no_grad():
        for weight in module.parameters():
            noise = torch.randn(weight.shape, generator=generator).to(weight.device)
            weight.add_(scale * (noise * weight.abs() if relative else noise))
    try:
        yield
    finally:
        with torch.no_grad():
            for weight, value in zip(module.parameters(), weights, strict=True):
                weight.copy_(value)


def torch_device(name: str) -> torch.device:
    """The device of that name; ``auto`` is a GPU where there is one.

    Raises:
        ModelError: KR828 for a device that is not here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError) as error:
        raise ModelError(f"there is no device `{name}` here", code="KR828") from error
    return torch.device(name)


def _batches(rows: Tensor, size: int, generator: torch.Generator) -> Iterator[Tensor]:
    if size <= 0 or len(rows) <= size:
        yield rows
        return
    order = torch.randperm(len(rows), generator=generator).to(rows.device)
    yield from torch.split(rows[order], size)


@torch.no_grad()
def _held_loss(module: nn.Module, loss: Loss, held: Tensor) -> float:
    module.eval()
    return float(loss(held))
