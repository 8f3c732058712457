"""Training a temporal link network on links that were there against pairs that were not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from knowreason.models.base.model_protocol import Progress
from knowreason.models.graph.convolution import Convolution
from knowreason.models.links.temporal_net import Chunk, PairQueries, Sweep, TemporalNet, chunks_of
from knowreason.models.links.time_windows import WindowHistory, Windows
from knowreason.models.links.timed_links import LinkData
from knowreason.models.nn.gradient_training import TrainingSchedule, noisy_weights

HELD_SHARE = 0.15
FIXED = 1_000_000_007  # added to the seed for negatives that stay the same


@dataclass(frozen=True)
class ActiveNodes:
    """Nodes that negatives are drawn from: those of a domain that have been active.

    Attributes:
        order: ``int64[k]`` active nodes by domain and first step.
        key: ``int64[k]``, domain and first step of each.
        domain: ``int64[n]`` of every node.
        steps: number of windows.
    """

    order: NDArray[np.int64]
    key: NDArray[np.int64]
    domain: NDArray[np.int64]
    steps: int

    @staticmethod
    def of(windows: Windows, links: LinkData) -> ActiveNodes:
        """From the windows' pairs."""
        starts = np.array(list(links.graph.offsets.values()), np.int64)
        domain = np.searchsorted(starts, np.arange(windows.nodes), side="right") - 1
        ends = np.concatenate([windows.source, windows.target])
        step = np.concatenate([windows.step, windows.step])
        by_step = np.argsort(step, kind="stable")
        active, first = np.unique(ends[by_step], return_index=True)
        key = domain[active] * (windows.steps + 1) + step[by_step][first]
        order = np.argsort(key, kind="stable")
        return ActiveNodes(active[order], key[order], domain, windows.steps)

    def drawn(
        self, like: NDArray[np.int64], step: NDArray[np.int64], random: np.random.Generator
    ) -> NDArray[np.int64]:
        """A node of the same domain as each of ``like``, active at ``step`` or before."""
        base = self.domain[like] * (self.steps + 1)
        start = np.searchsorted(self.key, base)
        size = np.searchsorted(self.key, base + step, side="right") - start
        return self.order[start + (random.random(len(like)) * size).astype(np.int64)]


@dataclass(frozen=True)
class Sampler:
    """Draws pairs that were there and pairs that were not.

    Attributes:
        windows, past, nodes: of the training data.
        negatives: pairs that were not, for each that was.
        limit: most pairs that were, a draw.
    """

    windows: Windows
    past: WindowHistory
    nodes: ActiveNodes
    negatives: int
    limit: int

    def draw(
        self, first: int, last: int, seed: tuple[int, int], device: torch.device
    ) -> PairQueries:
        """Pairs of the windows ``first <= t < last``, source or target exchanged at random."""
        windows, random = self.windows, np.random.default_rng(seed)
        pairs = np.arange(windows.offsets[first], windows.offsets[last])
        if len(pairs) > self.limit:
            pairs = np.sort(random.choice(pairs, self.limit, replace=False))
        source, target = windows.source[pairs], windows.target[pairs]
        step = windows.step[pairs]
        many = [np.repeat(column, self.negatives) for column in (source, target, step)]
        exchanged = random.random(len(many[0])) < 0.5
        other_source = np.where(exchanged, self.nodes.drawn(many[0], many[2], random), many[0])
        other_target = np.where(exchanged, many[1], self.nodes.drawn(many[1], many[2], random))
        absent = ~self._there(other_source, other_target, many[2])
        source = np.concatenate([source, other_source[absent]])
        target = np.concatenate([target, other_target[absent]])
        step = np.concatenate([step, many[2][absent]])
        truth = np.arange(len(source)) < len(pairs)
        order = np.argsort(step, kind="stable")
        return asked_of(
            self.past, source[order], target[order], step[order], None, truth[order], device
        )

    def _there(
        self, source: NDArray[np.int64], target: NDArray[np.int64], step: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        """Which pairs are in their window (each window's pairs are sorted)."""
        counter = self.past.pairs
        pair = source * self.windows.nodes + target
        here = counter.before(pair, step, step)[0]
        return counter.before(pair, step + 1, step)[0] > here


def asked_of(
    past: WindowHistory,
    source: NDArray[np.int64],
    target: NDArray[np.int64],
    step: NDArray[np.int64],
    now: NDArray[np.int64] | None,
    truth: NDArray[np.bool_] | None,
    device: torch.device,
) -> PairQueries:
    """Pairs in order of step, as tensors.

    Args:
        past: what came before.
        source, target, step: ``int64[n]``, steps ascending.
        now: ``int64[n]`` window numbers; those of the steps by default.
        truth: ``bool[n]``.
        device: where the tensors go.
    """
    windows = past.windows
    inputs = past.inputs(source, target, step, windows.numbers[step] if now is None else now)
    there = np.zeros(len(source), bool) if truth is None else truth
    return PairQueries(
        torch.from_numpy(source).to(device),
        torch.from_numpy(target).to(device),
        np.searchsorted(step, np.arange(windows.steps + 2)),
        torch.from_numpy(inputs).to(device),
        torch.from_numpy(there.astype(np.float32)).to(device),
    )


def train_links(
    net: TemporalNet,
    x: Tensor,
    ids: Tensor,
    sampler: Sampler,
    unroll: int,
    schedule: TrainingSchedule,
    kind: Convolution = "gcn",
    progress: Progress | None = None,
) -> tuple[str, ...]:
    """Train in place by truncated backpropagation; keep the weights best on the last windows.

    Args:
        net: to be trained.
        x, ids: inputs of all nodes.
        sampler: of pairs.
        unroll: windows that gradients reach back.
        schedule: how; its batches are chunks of windows.
        kind: of the encoder's layers.
        progress: called each epoch.

    Returns:
        Sentences for the report.
    """
    windows, device = sampler.windows, x.device
    held = int(np.ceil(HELD_SHARE * windows.steps)) if windows.steps >= 6 else 0
    cut = windows.steps - held
    training = chunks_of(windows, 0, cut, unroll, kind, device)
    validation = chunks_of(windows, cut, windows.steps, unroll, kind, device)
    check = sampler.draw(cut, windows.steps, (schedule.seed + FIXED, 0), device)
    optimiser = torch.optim.AdamW(
        net.parameters(), lr=schedule.learning_rate, weight_decay=schedule.weight_decay
    )
    generator = torch.Generator().manual_seed(schedule.seed)
    best, best_epoch, epoch, area = np.inf, 0, 0, np.nan
    best_weights = {name: value.clone() for name, value in net.state_dict().items()}
    for epoch in range(1, schedule.epochs + 1):
        net.train()
        asked = sampler.draw(0, cut, (schedule.seed, epoch), device)
        sweep = Sweep(net, x, ids)
        for chunk in training:
            optimiser.zero_grad()
            with noisy_weights(net, schedule.noise, schedule.relative, generator):
                rows, logits = sweep.run(chunk, asked)
                if rows.stop > rows.start:
                    loss = binary_cross_entropy_with_logits(logits, asked.truth[rows])
                    loss.backward()  # type: ignore[no-untyped-call]  # of torch
            optimiser.step()
        if held:
            now, now_area = _held_loss(sweep, validation, check)
            if now < best - 1e-5:
                best, best_epoch, area = now, epoch, now_area
                best_weights = {name: value.clone() for name, value in net.state_dict().items()}
        if progress is not None:
            progress(epoch, schedule.epochs, f"epoch {epoch}")
        if held and epoch - best_epoch >= schedule.patience:
            break
    size = f"{windows.offsets[cut]:,} pairs in {cut:,} windows"
    if not held:
        return (f"trained for {epoch} epochs on {size}, none held out",)
    net.load_state_dict(best_weights)
    if progress is not None:
        progress(schedule.epochs, schedule.epochs, f"best at epoch {best_epoch}")
    return (
        f"trained on {size}, best at epoch {best_epoch} of {epoch} (loss {best:.3f}, AUC"
        f" {area:.3f} of links against sampled pairs in the {held} windows held out)",
    )


@torch.no_grad()
def _held_loss(sweep: Sweep, chunks: list[Chunk], asked: PairQueries) -> tuple[float, float]:
    """Loss and AUC in windows after those of training, from the states training left."""
    sweep.net.eval()
    swept = [sweep.run(chunk, asked) for chunk in chunks]
    logits = torch.cat([scores for _, scores in swept])
    truth = torch.cat([asked.truth[rows] for rows, _ in swept])
    loss = float(binary_cross_entropy_with_logits(logits, truth))
    both = 0 < truth.sum() < len(truth)
    return loss, float(roc_auc_score(truth.cpu(), logits.cpu())) if both else np.nan
