"""Columns as inputs and back, autoencoders of homogeneous and heterogeneous graphs, edges."""

import numpy as np
import pytest
import torch

from knowreason.data.features import FeatureTable
from knowreason.models import rows_of
from knowreason.models.diffusion.autoencoder import AutoencoderOptions, train_autoencoder
from knowreason.models.diffusion.column_marginals import Marginals
from knowreason.models.diffusion.edge_synthesis import best_of_each, candidates
from knowreason.models.diffusion.encoded_world import world_of
from knowreason.models.diffusion.latent_decoders import EdgeDecoder
from knowreason.models.diffusion.synthesis import SynthesisOptions, synthesised
from tests.models.diffusion.worlds import two_groups

CPU = torch.device("cpu")
SMALL = AutoencoderOptions(latent=8, hidden=32, epochs=60)


@pytest.fixture(scope="module")
def plain():
    data = two_groups()
    return train_autoencoder(world_of(data, rows_of(data, "Bad")), SMALL, CPU)


@pytest.fixture(scope="module")
def typed():
    data = two_groups(shops=10)
    return train_autoencoder(world_of(data, rows_of(data, "Bad")), SMALL, CPU)


def mixed(count=500):
    rng = np.random.default_rng(0)
    values = np.stack(
        [
            rng.lognormal(0, 3, count),
            rng.integers(0, 3, count),
            np.where(rng.random(count) < 0.3, np.nan, rng.normal(size=count)),
            rng.integers(0, 4, count),
            np.full(count, np.nan),
        ],
        axis=1,
    )
    texts = (None, None, None, ("a", "b", "c", "d"), None)
    return FeatureTable(
        ("tail", "steps", "holes", "kind", "none"), values.astype(np.float32), texts
    )


def test_marginals_survive_the_way_there_and_back():
    table = mixed()
    marginals = Marginals.fit(table)
    inputs = marginals.encode(table)
    assert np.isfinite(inputs).all()
    exact = np.where(inputs > 0.5, 20.0, -20.0).astype(np.float32)
    exact[:, marginals.number_at] = inputs[:, marginals.number_at]
    log_sd = np.full(len(marginals.numbers), -20, np.float32)
    back = marginals.sample(exact, log_sd, np.random.default_rng(0))
    np.testing.assert_allclose(back.values[:, 0], table.values[:, 0], rtol=0.05)
    np.testing.assert_array_equal(back.values[:, [1, 3]], table.values[:, [1, 3]])
    np.testing.assert_array_equal(np.isnan(back.values[:, 2]), np.isnan(table.values[:, 2]))
    assert np.isnan(back.values[:, 4]).all()


def test_the_loss_is_least_at_the_inputs_and_leaves_them_alone():
    marginals = Marginals.fit(mixed())
    inputs = torch.from_numpy(marginals.encode(mixed()))
    kept = inputs.clone()
    exact = torch.where(inputs > 0.5, 20.0, -20.0)
    exact[:, marginals.number_at] = inputs[:, marginals.number_at]
    log_sd = torch.zeros(len(marginals.numbers))
    best = marginals.loss(exact, log_sd, inputs)
    worse = marginals.loss(torch.zeros_like(inputs), log_sd, inputs)
    assert best.mean() < 0.01 < worse.mean()
    assert torch.equal(inputs, kept)


@pytest.mark.parametrize("which", ["plain", "typed"])
def test_columns_are_reconstructed_better_than_by_their_mean(which, request):
    latents = request.getfixturevalue(which)
    own = latents.world.own
    decoder = latents.module.columns[[b.domain for b in latents.world.blocks].index("Node")]
    labels = torch.from_numpy(latents.world.labels)
    with torch.no_grad():
        output = decoder(latents.raw(latents.of("Node")), labels).numpy()
    at = own.marginals.number_at[:3]
    error = ((output - own.x)[:, at] ** 2).mean(axis=0)
    assert (error < 0.5 * own.x[:, at].var(axis=0)).all()


@pytest.mark.parametrize("which", ["plain", "typed"])
def test_edges_lead_to_like_nodes(which, request):
    latents = request.getfixturevalue(which)
    place = [link.target_domain for link in latents.world.own_links].index("Node")
    points = latents.raw(latents.of("Node"))
    bad, good = points[:40], points[40:80]
    with torch.no_grad():
        edge = latents.module.links[place].edge
        mates = edge(bad, bad.roll(1, 0)).mean() + edge(good, good.roll(1, 0)).mean()
        others = edge(bad, good).mean() + edge(good, bad).mean()
    assert mates > others + 2


@pytest.mark.parametrize("kind", ["bilinear", "mlp"])
def test_edge_decoders_can_say_that_like_goes_with_like(kind):
    """The pattern no sum of two ends can express: exclusive or of two signs."""
    torch.manual_seed(0)
    signs = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    like = (signs[:, 0] == signs[:, 1]).float()
    decoder = EdgeDecoder(1, kind)
    optimiser = torch.optim.Adam(decoder.parameters(), lr=0.05)
    for _ in range(200):
        optimiser.zero_grad()
        scores = decoder(signs[:, :1], signs[:, 1:])
        torch.nn.functional.binary_cross_entropy_with_logits(scores, like).backward()
        optimiser.step()
    assert torch.equal(decoder(signs[:, :1], signs[:, 1:]) > 0, like.bool())


def test_kinds_and_times_of_edges_are_decoded(typed):
    bad = typed.world.own.first + np.resize(np.flatnonzero(typed.world.labels == 1), 60)
    noise = np.random.default_rng(0).standard_normal((60, typed.mean.shape[1]))
    points = (typed.mean[bad] + typed.sd[bad] * noise).astype(np.float32)
    made = synthesised(typed, "Bad", points, np.ones(60, np.int64), SynthesisOptions())
    edges = {new.relation: new for new in made.edges}
    assert len(edges[1].source) > 2 * len(edges[2].source), "bad nodes pay by card"
    assert np.mean(edges[1].time) > 70, "bad nodes buy late"
    shops = two_groups(shops=10).vocabularies["Shop"].decode(edges[1].target).to_pylist()
    assert np.mean([shop >= "s5" for shop in shops]) > 0.8, "bad nodes buy at the last shops"
    assert edges[0].time is None


def test_candidates_are_few_and_edges_distinct(plain):
    points = plain.of("Node")[:30]
    pairs = candidates(plain, plain.world.own_links[0], points, 3, np.random.default_rng(0))
    assert len(pairs.new) < 30 * 60
    assert len(set(zip(pairs.new.tolist(), pairs.partner.tolist(), strict=True))) == len(pairs.new)
    new_ones = pairs.partner >= 200
    assert new_ones.any()
    assert (pairs.partner[new_ones] - 200 > pairs.new[new_ones]).all()


def test_best_of_each_group():
    group = np.array([0, 1, 0, 1, 0, 2])
    score = np.array([1.0, 5.0, 3.0, 6.0, 2.0, 0.0])
    assert best_of_each(group, score, np.array([2, 1, 0])).tolist() == [2, 3, 4]


def test_training_is_deterministic(typed):
    data = two_groups(shops=10)
    again = train_autoencoder(world_of(data, rows_of(data, "Bad")), SMALL, CPU)
    np.testing.assert_array_equal(again.mean, typed.mean)
