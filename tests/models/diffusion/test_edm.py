"""Diffusion of latents: preconditioning, the sampler, the trained denoiser."""

import numpy as np
import pytest
import torch

from knowreason.models.diffusion.edm import (
    DenoiserOptions,
    heun,
    loss_weight,
    noise_levels,
    preconditioning,
    sample,
    train_denoiser,
)

MEAN, SD = torch.tensor([1.5, -0.5]), torch.tensor([0.5, 0.25])


def optimal(x, sigma):
    """The denoiser of N(MEAN, SD**2)."""
    return (SD**2 * x + sigma**2 * MEAN) / (SD**2 + sigma**2)


def test_without_noise_the_input_is_the_answer():
    skip, out, scale = preconditioning(torch.tensor(1e-6))
    assert float(skip) == pytest.approx(1)
    assert float(out) == pytest.approx(0, abs=1e-5)
    assert float(scale) == pytest.approx(1)


def test_in_pure_noise_the_network_is_the_answer():
    skip, out, _ = preconditioning(torch.tensor(1e4))
    assert float(skip) == pytest.approx(0, abs=1e-6)
    assert float(out) == pytest.approx(1)


def test_inputs_and_targets_of_the_network_have_unit_variance():
    sigma = torch.logspace(-2, 2, 9)
    skip, out, scale = preconditioning(sigma)
    clean, noise = torch.randn(2, 200_000, 1, generator=torch.Generator().manual_seed(0))
    noisy = clean + sigma * noise
    np.testing.assert_allclose((scale * noisy).std(0), 1, atol=0.01)
    np.testing.assert_allclose(((clean - skip * noisy) / out).std(0), 1, atol=0.01)
    np.testing.assert_allclose(loss_weight(sigma) * out**2, 1, rtol=1e-5)


def test_noise_levels_fall_from_highest_to_zero():
    steps = noise_levels(50)
    assert float(steps[0]) == pytest.approx(80)
    assert float(steps[-2]) == pytest.approx(0.002)
    assert float(steps[-1]) == 0
    assert (steps.diff() < 0).all()


def test_heun_recovers_a_gaussian_from_its_denoiser():
    noise = torch.randn(20_000, 2, generator=torch.Generator().manual_seed(0))
    drawn = heun(optimal, noise, noise_levels(50))
    np.testing.assert_allclose(drawn.mean(0), MEAN, atol=0.02)
    np.testing.assert_allclose(drawn.std(0), SD, rtol=0.02)


def test_heun_is_of_second_order():
    """Half the step, about a quarter of the error; the exact flow of a Gaussian is known."""
    noise = torch.randn(500, 2, generator=torch.Generator().manual_seed(0)).double()
    exact = MEAN + (80 * noise - MEAN) * SD / (SD**2 + 80.0**2).sqrt()

    def error(count):
        return float((heun(optimal, noise, noise_levels(count)) - exact).abs().max())

    assert error(64) < error(32) / 3


def test_a_trained_denoiser_comes_close_to_the_best():
    generator = torch.Generator().manual_seed(0)
    data = MEAN + SD * torch.randn(4000, 2, generator=generator)
    options = DenoiserOptions(hidden=64, steps=500)
    labels = torch.zeros(4000, dtype=torch.int64)
    denoiser = train_denoiser(data, labels, 1, options)
    for sigma in (0.1, 0.5, 2.0):
        noisy = data + sigma * torch.randn(data.shape, generator=generator)
        with torch.no_grad():
            ours = denoiser(noisy, torch.full((4000,), sigma), labels)
        best = optimal(noisy, sigma)
        worst = float(((best - data) ** 2).mean())
        assert float(((ours - best) ** 2).mean()) < 0.1 * worst


def test_classes_are_kept_apart_and_guidance_parts_them_further():
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(2000) % 2
    data = 0.5 * torch.randn(2000, 2, generator=generator) + (2.0 * labels - 1)[:, None]
    denoiser = train_denoiser(data, labels, 2, DenoiserOptions(hidden=64, steps=400, drop=0.2))
    ones = torch.ones(1000, dtype=torch.int64)
    plain = sample(denoiser, ones, 2, 30, 0.0, torch.Generator().manual_seed(1))
    guided = sample(denoiser, ones, 2, 30, 1.0, torch.Generator().manual_seed(1))
    np.testing.assert_allclose(plain.mean(0), 1.0, atol=0.15)
    np.testing.assert_allclose(plain.std(0), 0.5, atol=0.12)
    assert guided.mean() > plain.mean()
    again = sample(denoiser, ones, 2, 30, 0.0, torch.Generator().manual_seed(1))
    assert torch.equal(plain, again)
