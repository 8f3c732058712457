"""Channels: identity changes nothing, EM climbs, the broken sensor is found."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from knowreason.monitor.channels import (
    Channels,
    apply,
    correlations,
    fit_channels,
    relative,
)
from knowreason.monitor.state_channels import (
    StateChannels,
    apply_states,
    fit_state_channels,
    relative_states,
    states_beyond_noise,
)

RATIOS = arrays(
    np.float64, st.tuples(st.integers(1, 30), st.integers(1, 4)), elements=st.floats(-14, 14)
)
SHARES = st.floats(0, 1)


def sensors(n=8000, base=0.05, distances=(4.0, 3.0, 3.0), broken=None, left=0.3, seed=0):
    """Truth and calibrated ratios of Gaussian sensors, one of which misses most true atoms."""
    rng = np.random.default_rng(seed)
    truth = rng.random(n) < base
    columns = []
    for model, distance in enumerate(distances):
        seen = truth & (rng.random(n) < left) if model == broken else truth
        x = rng.normal(size=n) + distance * seen
        columns.append(distance * x - distance**2 / 2)
    return truth, np.clip(np.column_stack(columns), -14, 14)


@given(RATIOS)
def test_identity_changes_nothing(ratios):
    assert (apply(Channels.identity(ratios.shape[1]), ratios) == ratios).all()


@given(RATIOS, st.floats(0.01, 0.99), st.floats(0.01, 0.99))
def test_a_channel_keeps_the_sign_and_never_strengthens(ratios, one, two):
    m = ratios.shape[1]
    low, high = sorted((one, two))
    passed = apply(Channels(np.full(m, high), np.full(m, low)), ratios)
    assert (np.abs(passed) <= np.abs(ratios) + 1e-9).all()
    assert (passed * ratios >= -1e-9).all()
    blind = apply(Channels(np.full(m, low), np.full(m, low)), ratios)
    assert np.allclose(blind, 0)


def test_what_is_not_said_stays_unsaid():
    passed = apply(Channels(np.array([0.5]), np.array([0.1])), np.array([[np.nan], [3.0]]))
    assert np.isnan(passed[0, 0])
    assert 0 < passed[1, 0] < 3


@settings(max_examples=40)
@given(RATIOS, st.floats(0.01, 0.9), st.integers(0, 5))
def test_em_climbs(ratios, base, silent):
    ratios = ratios.copy()
    ratios[:silent, 0] = np.nan
    channels = fit_channels(ratios, base, steps=25)
    assert (np.diff(channels.history) > -1e-7).all()


def test_em_climbs_with_offsets():
    rng = np.random.default_rng(1)
    _, ratios = sensors(2000, broken=1)
    channels = fit_channels(ratios, 0.05, offset=rng.normal(size=2000))
    assert (np.diff(channels.history) > -1e-7).all()
    assert channels.converged


@pytest.mark.parametrize("broken", [0, 1, 2])
def test_the_broken_sensor_is_found(broken):
    training = fit_channels(sensors(seed=1)[1], 0.05)
    _, ratios = sensors(broken=broken, seed=2)
    since = relative(fit_channels(ratios, 0.05), training)
    assert since.s1.argmin() == broken
    assert since.s1[broken] < 0.5
    assert (np.delete(since.s1, broken) > 0.95).all()


def test_nothing_since_training_is_the_identity():
    channels = fit_channels(sensors(seed=3)[1], 0.05)
    since = relative(channels, channels)
    assert np.allclose(since.s1, 1)
    assert np.allclose(since.s0, 0)
    assert since.shift == 0


@given(SHARES, SHARES, SHARES, SHARES)
def test_relative_in_front_of_training_gives_today(a, b, c, d):
    (t0, t1), (r0, r1) = sorted((a, b)), sorted((c, d))
    if t1 - t0 < 0.01:
        return
    today = [r * t1 + (1 - r) * t0 for r in (r1, r0)]
    found = relative(
        Channels(np.array([today[0]]), np.array([today[1]])),
        Channels(np.array([t1]), np.array([t0])),
    )
    assert found.s1[0] == pytest.approx(r1, abs=1e-9)
    assert found.s0[0] == pytest.approx(r0, abs=1e-9)


def test_base_rate_follows_the_batch():
    _, ratios = sensors(20000, base=0.15, seed=4)
    channels = fit_channels(ratios, 0.05)
    odds = np.log(0.05 / 0.95) + channels.shift
    assert 1 / (1 + np.exp(-odds)) == pytest.approx(0.15, abs=0.01)


def test_a_shared_cause_of_error_shows_among_negatives():
    rng = np.random.default_rng(5)
    truth, ratios = sensors(seed=5)
    labels = truth.astype(np.int8)
    assert np.abs(correlations(ratios, labels) - np.eye(3)).max() < 0.1
    shared = ratios + 4 * rng.normal(size=(len(ratios), 1))
    assert correlations(shared, labels)[0, 1] > 0.5
    assert correlations(shared, np.full(len(labels), -1, np.int8))[0, 1] == 0


def states(n=3000, broken=None, taken=None, shares=None, seed=0):
    """Reports of three sensors about a state of four; ``ratios[m, n, K]``."""
    rng = np.random.default_rng(seed)
    base = np.array([0.4, 0.3, 0.2, 0.1])
    truth = rng.choice(4, n, p=base if shares is None else shares)
    ratios = []
    for model in range(3):
        lost = rng.random(n) < (0.7 if model == broken else 0)
        seen = np.where(lost, rng.choice(4, n, p=base), truth)
        if taken is not None and model == 0:
            seen = np.where(seen == taken[0], taken[1], seen)
        x = rng.normal(size=(n, 4)) + 3 * np.eye(4)[seen]
        z = base * np.exp(3 * x - 4.5)
        ratios.append(np.log(z / z.sum(1, keepdims=True) / base))
    return truth, np.stack(ratios), base


def test_states():
    _, ratios, base = states(seed=1)
    prior = np.tile(np.log(base), (3000, 1))
    training = fit_state_channels(ratios, prior, base)
    truth, ratios, _ = states(broken=1, seed=2)
    today = fit_state_channels(ratios, prior, base)
    assert (np.diff(today.history) > -1e-7).all()
    since = relative_states(today, training)
    assert base @ since.seen[1] == pytest.approx(0.3 + 0.7 * base @ base, abs=0.08)
    assert (since.seen[[0, 2]] > 0.93).all()
    whole = StateChannels.identity(3, 4)
    assert (apply_states(whole, ratios) == ratios).all()
    adapted = apply_states(since, ratios)

    def right(x):
        return ((x.sum(0) + np.log(base)).argmax(1) == truth).mean()

    assert right(adapted) > right(ratios) + 0.02


def since_training(**change):
    _, ratios, base = states(seed=1)
    prior = np.tile(np.log(base), (3000, 1))
    training = fit_state_channels(ratios, prior, base)
    _, ratios, _ = states(seed=2, **change)
    today = fit_state_channels(ratios, prior, base)
    assert (np.diff(today.history) > -1e-7).all()
    return states_beyond_noise(relative_states(today, training))


def test_one_state_taken_for_another():
    since = since_training(taken=(1, 2))
    assert since.confusion[0, 1, 2] > 0.85
    assert (since.confusion[0, [0, 2, 3]] == np.eye(4)[[0, 2, 3]]).all()
    assert (since.confusion[1:] == np.eye(4)).all()


def test_other_shares_of_states_are_no_broken_model():
    since = since_training(shares=(0.1, 0.2, 0.3, 0.4))
    assert (since.confusion == np.eye(4)).all()
    expected = np.log(np.array([0.1, 0.2, 0.3, 0.4]) / [0.4, 0.3, 0.2, 0.1])
    assert np.diff(since.shift) == pytest.approx(np.diff(expected), abs=0.2)


def test_states_in_which_all_is_well():
    since = since_training()
    assert (since.confusion == np.eye(4)).all()
    assert (since.shift == 0).all()


def test_correlations_within_groups():
    """What states have in common is no common error."""
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 3, 2000)
    ratios = 3.0 * groups[:, None] + rng.normal(size=(2000, 2))
    labels = np.zeros(2000, np.int8)
    assert correlations(ratios, labels)[0, 1] > 0.7
    assert abs(correlations(ratios, labels, groups)[0, 1]) < 0.1
    shared = ratios + rng.normal(size=(2000, 1))
    assert correlations(shared, labels, groups)[0, 1] > 0.4
