"""A variational graph autoencoder (Kipf & Welling 2016): columns, edges, kinds and times."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from knowreason.models.base.model_protocol import Progress
from knowreason.models.diffusion.encoded_world import DomainLinks, World
from knowreason.models.diffusion.latent_decoders import EdgeKind, FeatureDecoder, LinkDecoders
from knowreason.models.diffusion.latent_encoders import MeanEncoder, TypedEncoder

EDGES_A_STEP = 20_000
LOG_VARIANCE = (-8.0, 4.0)


@dataclass(frozen=True)
class AutoencoderOptions:
    """How the autoencoder is built and trained.

    Attributes:
        latent: width of a latent.
        hidden: width of node states, a multiple of ``heads``.
        layers: rounds of messages.
        heads: of attention, in heterogeneous graphs.
        epochs: full-batch steps.
        learning_rate: of Adam, falls to zero along a cosine.
        beta: weight of the divergence to the prior, a latent dimension.
        edge_decoder: ``"bilinear"`` or ``"mlp"``.
        classes: whether the classes of things are seen; else only columns and edges are.
        seed: of initial weights, noise and sampled edges.
    """

    latent: int = 16
    hidden: int = 64
    layers: int = 2
    heads: int = 4
    epochs: int = 200
    learning_rate: float = 2e-2
    beta: float = 0.1
    edge_decoder: EdgeKind = "bilinear"
    classes: bool = True
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Latents:
    """A trained autoencoder and the standardised latents of all nodes.

    Attributes:
        world: what it was trained on.
        module: the autoencoder.
        mean, sd: ``float32[n, latent]``, the posterior of each node, in units in which the
            means of the predicate's things have mean 0 and deviation 1.
        center, scale: ``float32[latent]``: raw latent = ``center + scale * latent``.
        losses: ``float64[epochs]``.
    """

    world: World
    module: GraphAutoencoder
    mean: NDArray[np.float32]
    sd: NDArray[np.float32]
    center: NDArray[np.float32]
    scale: NDArray[np.float32]
    losses: NDArray[np.float64]

    def of(self, domain: str) -> NDArray[np.float32]:
        """Standardised means of the things of a domain."""
        return self.mean[self.world.block(domain).nodes]

    def raw(self, latent: NDArray[np.floating]) -> Tensor:
        """Latents as the decoders take them, on their device."""
        device = next(self.module.parameters()).device
        return torch.from_numpy((self.center + self.scale * latent).astype(np.float32)).to(device)


class GraphAutoencoder(nn.Module):
    """Encoder and decoders of a world.

    The class of a thing enters the encoder and the feature decoder as an embedding added to
    a hidden state; inputs, which are the targets of reconstruction, are never changed.
    """

    def __init__(self, world: World, options: AutoencoderOptions) -> None:
        super().__init__()
        hidden, latent = options.hidden, options.latent
        self.inputs = nn.ModuleList(nn.Linear(b.x.shape[1] + 1, hidden) for b in world.blocks)
        self.label = nn.Embedding(world.states + 1, hidden)
        self.encoder: MeanEncoder | TypedEncoder = (
            TypedEncoder(world, hidden, options.layers, options.heads)
            if world.heterogeneous
            else MeanEncoder(world, hidden, options.layers)
        )
        self.posterior = nn.Linear(hidden, 2 * latent)
        self.columns = nn.ModuleList(
            FeatureDecoder(
                latent, world.states, b.x.shape[1], len(b.marginals.numbers), options.hidden
            )
            for b in world.blocks
        )
        self.links = nn.ModuleList(
            LinkDecoders(
                latent,
                options.edge_decoder,
                len(link.relations),
                not bool(np.isnan(link.time).all()),
            )
            for link in world.own_links
        )

    def encode(
        self, blocks: list[Tensor], labels: list[Tensor], generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Posterior means and log variances ``[n, latent]`` of all nodes."""
        states = [
            first(torch.cat([x, torch.ones_like(x[:, :1])], dim=1) if x.shape[1] else _ones(label))
            + self.label(label)
            for first, x, label in zip(self.inputs, blocks, labels, strict=True)
        ]
        state = self.encoder(torch.cat(states), generator)
        mean, log_variance = self.posterior(state).chunk(2, dim=1)
        return mean, log_variance.clamp(*LOG_VARIANCE)


def train_autoencoder(
    world: World,
    options: AutoencoderOptions,
    device: torch.device,
    progress: Progress | None = None,
) -> Latents:
    """Fit the autoencoder to a world by full-batch Adam; edges are sampled a step.

    The loss is the mean over columns and things of the reconstruction's negative
    log-likelihood, ``beta`` times the mean divergence to N(0, I), and per kind of link the
    logistic loss of edges against as many pairs with one end drawn anew, the cross-entropy
    of the relation and the negative log-likelihood of the time.

    Args:
        world: what to fit.
        options: how.
        device: where.
        progress: called each epoch.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        module = GraphAutoencoder(world, options).to(device)
        module.encoder.placed(device)
        generator = torch.Generator().manual_seed(options.seed)
        blocks, labels = _tensors(world, device, options.classes)
        optimiser = torch.optim.Adam(module.parameters(), lr=options.learning_rate)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, options.epochs)
        losses = []
        for epoch in range(options.epochs):
            optimiser.zero_grad()
            loss = _loss(module, world, blocks, labels, options.beta, generator)
            loss.backward()  # type: ignore[no-untyped-call]  # of torch
            optimiser.step()
            schedule.step()
            losses.append(float(loss.detach()))
            if progress is not None:
                progress(epoch + 1, options.epochs, f"autoencoder, epoch {epoch + 1}")
        with torch.no_grad():
            mean, log_variance = module.eval().encode(blocks, labels, generator)
            if not options.classes:  # what was learned of "unknown" holds for every class
                for decoder in module.columns:
                    assert isinstance(decoder, FeatureDecoder)
                    decoder.label.weight[:] = decoder.label.weight[world.states].clone()
    return _standardised(world, module, mean, log_variance, losses)


def _standardised(
    world: World, module: GraphAutoencoder, mean: Tensor, log_variance: Tensor, losses: list[float]
) -> Latents:
    raw = mean.cpu().numpy()
    own = raw[world.own.nodes]
    center = own.mean(axis=0)
    spread = own.std(axis=0)
    scale = np.where(spread > 1e-6, spread, 1.0).astype(np.float32)
    sd = (log_variance.cpu().numpy() / 2).clip(-10, 10)
    return Latents(
        world,
        module,
        ((raw - center) / scale).astype(np.float32),
        (np.exp(sd) / scale).astype(np.float32),
        center,
        scale,
        np.array(losses),
    )


def _tensors(
    world: World, device: torch.device, classes: bool
) -> tuple[list[Tensor], list[Tensor]]:
    """Inputs and classes by block; other domains' things are of the unknown class."""
    blocks = [torch.from_numpy(block.x).to(device) for block in world.blocks]
    labels = [
        torch.from_numpy(world.labels).to(device)
        if classes and block.domain == world.domain
        else torch.full((len(block.x),), world.states, device=device)
        for block in world.blocks
    ]
    return blocks, labels


def _loss(
    module: GraphAutoencoder,
    world: World,
    blocks: list[Tensor],
    labels: list[Tensor],
    beta: float,
    generator: torch.Generator,
) -> Tensor:
    mean, log_variance = module.encode(blocks, labels, generator)
    noise = torch.randn(mean.shape, generator=generator).to(mean.device)
    latent = mean + (log_variance / 2).exp() * noise
    divergence = ((mean**2 + log_variance.exp() - log_variance - 1) / 2).mean()
    total = beta * divergence
    for block, x, label, decoder in zip(world.blocks, blocks, labels, module.columns, strict=True):
        if x.shape[1]:
            assert isinstance(decoder, FeatureDecoder)
            output = decoder(latent[block.nodes], label)
            total = total + block.marginals.loss(output, decoder.bounded_log_sd, x).mean()
    for link, decoders in zip(world.own_links, module.links, strict=True):
        if len(link.source):
            total = total + _link_loss(decoders, world, link, latent, generator)
    return total


def _link_loss(
    decoders: nn.Module, world: World, link: DomainLinks, latent: Tensor, generator: torch.Generator
) -> Tensor:
    """Loss of a sample of edges and of as many pairs that are (almost surely) none."""
    assert isinstance(decoders, LinkDecoders)
    first = [world.block(domain) for domain in (link.source_domain, link.target_domain)]
    size = min(EDGES_A_STEP, len(link.source))
    rows = torch.randint(len(link.source), (size,), generator=generator).numpy()
    source, target = link.source[rows], link.target[rows]
    drawn = [torch.randint(len(b.x), (size,), generator=generator).numpy() for b in first]
    half = np.arange(size) % 2 == 0
    ends = [
        latent.index_select(0, torch.from_numpy(block.first + ids).to(latent.device))
        for block, ids in (
            (first[0], source),
            (first[1], target),
            (first[0], np.where(half, drawn[0], source)),
            (first[1], np.where(half, target, drawn[1])),
        )
    ]
    loss = nn.functional.softplus(-decoders.edge(ends[0], ends[1])).mean()
    loss = loss + nn.functional.softplus(decoders.edge(ends[2], ends[3])).mean()
    kind = np.searchsorted(link.relations, link.relation[rows])
    relation = torch.from_numpy(kind).to(latent.device)
    if decoders.relation is not None:
        loss = loss + nn.functional.cross_entropy(decoders.relation(ends[0], ends[1]), relation)
    if decoders.time is not None:
        time = torch.from_numpy(link.time[rows]).to(latent.device)
        loss = loss + decoders.time.loss(ends[0], ends[1], relation, time)
    return loss


def _ones(label: Tensor) -> Tensor:
    return torch.ones((len(label), 1), device=label.device)
