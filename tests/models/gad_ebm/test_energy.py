"""The additive energy: learning, shares, other graphs, storage."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from knowreason.models.energy import TERMS, Training, energy_of, fit_energy
from knowreason.models.energy.additive_energy import energy_arrays, energy_from
from knowreason.models.energy.neural_energy import EnergyNets, cnce_loss, ratio_loss, ssm_loss

FAST = Training(steps=40, nets=2, hidden=8)


def planted(nodes=300, seed=0):
    """Groups that keep to themselves; ten nodes have features of another group."""
    random = np.random.default_rng(seed)
    group = np.arange(nodes) % 4
    x = random.normal(size=(nodes, 6)) + 3 * np.random.default_rng(9).normal(size=(4, 6))[group]
    source = random.integers(0, nodes, 6 * nodes)
    target = (source + 4 * random.integers(1, nodes // 4, len(source))) % nodes
    odd = random.permutation(nodes)[:10]
    x[odd] = x[(odd + 1) % nodes]
    return x.astype(np.float32), np.stack([source, target]), odd


@pytest.fixture(scope="module")
def fitted():
    x, edges, _ = planted()
    return fit_energy(x, edges, training=FAST)


def test_finds_what_does_not_fit_its_neighbours(fitted):
    x, edges, odd = planted()
    energy = fitted(x, edges)
    assert np.isin(np.argsort(-energy)[:30], odd).sum() >= 8
    features = energy_of(x, edges, terms=("difference", "edge"))
    assert np.isin(np.argsort(-features)[:10], odd).sum() >= 7
    shares = fitted.shares(x, edges)
    assert shares["edge"][odd].mean() > 5 * abs(shares["degree"][odd].mean())


def test_shares_add_up(fitted):
    x, edges, _ = planted()
    shares = fitted.shares(x, edges)
    assert tuple(shares) == TERMS
    np.testing.assert_allclose(sum(shares.values()), fitted(x, edges), rtol=1e-5, atol=1e-6)


def test_finds_a_group_in_which_everybody_knows_everybody():
    x, edges, _ = planted(nodes=600)
    group = np.arange(0, 600, 75)  # degrees stay in the middle of what is usual
    closed = np.array(np.meshgrid(group, group)).reshape(2, -1)
    edges = edges[:, ~np.isin(edges[0], group)]
    edges = np.concatenate([edges, closed], axis=1)
    degree, triangles = (
        energy_of(x, edges, terms=(name,))[group] for name in ("degree", "triangles")
    )
    assert triangles.min() > degree.max()
    assert triangles.min() > 2


def test_scores_another_graph(fitted):
    x, edges, odd = planted(200, seed=5)
    energy = fitted(x, edges)
    assert np.isin(np.argsort(-energy)[:30], odd).sum() >= 8
    chosen = np.array([9, 3, 50])
    np.testing.assert_allclose(fitted(x, edges, chosen), energy[chosen], rtol=1e-4, atol=1e-5)


def test_order_direction_and_repeats_do_not_matter(fitted):
    x, edges, _ = planted()
    order = np.random.default_rng(3).permutation(len(x))
    place = np.argsort(order)
    turned = np.concatenate([place[edges][::-1], place[edges][:, :50], [[1], [1]]], axis=1)
    np.testing.assert_allclose(
        fitted(x[order], turned), fitted(x, edges)[order], rtol=1e-3, atol=1e-4
    )


def test_terms_without_networks_fit_the_same_in_any_order():
    x, edges, _ = planted()
    order = np.random.default_rng(3).permutation(len(x))
    one = fit_energy(x, edges, terms=TERMS[:-1])
    other = fit_energy(x[order], np.argsort(order)[edges], terms=TERMS[:-1])
    np.testing.assert_allclose(other(x, edges), one(x, edges), rtol=1e-3, atol=1e-4)


def test_same_seed_same_energy_and_tensors_are_taken(fitted):
    x, edges, _ = planted()
    again = energy_of(torch.from_numpy(x), torch.from_numpy(edges), training=FAST)
    np.testing.assert_array_equal(again, fitted(x, edges))
    other = energy_of(x, edges, training=replace(FAST, seed=1))
    assert (other != again).any()


def test_storage_keeps_everything(fitted):
    x, edges, _ = planted()
    arrays, values = energy_arrays(fitted)
    again = energy_from(arrays, values, "cpu")
    np.testing.assert_array_equal(again(x, edges), fitted(x, edges))
    np.testing.assert_array_equal(again.history.contrast, fitted.history.contrast)


def test_training_tells_more_and_more_apart(fitted):
    history = fitted.history
    assert history.contrast.max() > history.contrast[0] + 0.1
    best = history.contrast.argmax()
    assert history.perturbed[best, 2] > history.observed[best, 2]


def test_losses():
    r = torch.tensor([-1.0, 0.0, 2.0])
    p = np.exp([-1.0, 0.0, 2.0])
    np.testing.assert_allclose(ratio_loss(r), (p / (1 + p)) ** 2, rtol=1e-6)
    np.testing.assert_allclose(cnce_loss(r), np.log1p(p), rtol=1e-6)
    b, back = p - 1, 1 / p - 1
    np.testing.assert_allclose(ssm_loss(r), b**2 + 2 * b - 2 * back, rtol=1e-5)


@pytest.mark.parametrize("loss", ["cnce", "ssm"])
def test_other_losses_learn_too(loss):
    x, edges, _ = planted()
    how = replace(FAST, loss=loss)
    assert np.isfinite(energy_of(x, edges, terms=("net",), training=how)).all()


@pytest.mark.parametrize(
    "option", [{"encoder": "sage"}, {"encoder": "gin"}, {"together": False}, {"weight_decay": 0.1}]
)
def test_other_networks_tell_apart_and_are_stored(option, fitted):
    x, edges, _ = planted()
    net = fit_energy(x, edges, terms=("net",), training=replace(FAST, **option))
    assert net.history.contrast.max() > net.history.contrast[0] + 0.1
    assert (net(x, edges) != fit_energy(x, edges, terms=("net",), training=FAST)(x, edges)).any()
    again = energy_from(*energy_arrays(net), "cpu")
    np.testing.assert_array_equal(again(x, edges), net(x, edges))


def test_an_overflow_ends_training_at_the_weights_before():
    x, edges, _ = planted()
    how = replace(FAST, loss="ssm", learning_rate=5.0)
    energy = fit_energy(x, edges, terms=("net",), training=how)
    assert "overflowed" in energy.report[0]
    assert np.isfinite(energy(x, edges)).all()


def test_networks_side_by_side_are_those_alone():
    torch.manual_seed(0)
    both = EnergyNets(3, 4, 2)
    rows = torch.randn(5, 7)
    for net in range(2):
        alone = EnergyNets(3, 4, 1)
        weights = {name: value[net : net + 1] for name, value in both.state_dict().items()}
        alone.load_state_dict(weights)
        torch.testing.assert_close(alone(rows)[0], both(rows)[net])


@pytest.mark.parametrize("nodes", [1, 3])
def test_tiny_graphs(nodes):
    edges = np.array([[0], [nodes - 1]])
    energy = energy_of(np.zeros((nodes, 2), np.float32), edges, training=FAST)
    assert energy.shape == (nodes,)
    assert np.isfinite(energy).all()


def test_no_features_at_all():
    _, edges, _ = planted()
    energy = energy_of(np.zeros((300, 0), np.float32), edges, training=FAST)
    assert np.isfinite(energy).all()
    assert np.ptp(energy) > 0
