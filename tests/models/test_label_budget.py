"""What models that were fitted to labels may tell of atoms that rules tie together."""

import numpy as np
import pytest
from scipy.special import expit, logit
from scipy.stats import entropy

from knowreason.models.stacked.label_budget import supported_scale

LABELS = np.array([0, 1] * 5)
NATS = 10 * np.log(2)


def claimed(ratios, base):
    beliefs = expit(base + ratios)
    rest = np.full(len(ratios), expit(base))
    return entropy([beliefs, 1 - beliefs], [rest, 1 - rest]).sum()


@pytest.mark.parametrize("base", [0.0, -4.0])
def test_a_component_is_told_what_labels_hold(base):
    ratios = np.random.default_rng(0).normal(0, 4, 3000)
    scale = supported_scale(ratios, np.zeros(3000, int), base, LABELS)
    assert 0 < scale < 0.2
    assert claimed(scale * ratios, base) == pytest.approx(NATS)


def test_what_claims_less_or_is_tied_to_nothing_keeps_its_scale():
    ratios = np.random.default_rng(0).normal(0, 4, 300)
    assert supported_scale(ratios, np.arange(300), 0.0, LABELS) == 1.0
    assert supported_scale(ratios, np.full(300, -1), 0.0, LABELS) == 1.0
    assert claimed(ratios[:6], 0.0) < NATS
    assert supported_scale(ratios, np.arange(300) // 6, 0.0, LABELS) == 1.0
    assert supported_scale(ratios[:0], np.zeros(0, int), 0.0, LABELS) == 1.0


def test_more_labels_support_more_and_labels_alike_nothing():
    ratios, tied = np.random.default_rng(0).normal(0, 4, 300), np.zeros(300, int)
    scales = [supported_scale(ratios, tied, 0.0, np.repeat(LABELS, k)) for k in (1, 3, 10, 1000)]
    assert scales == sorted(scales)
    assert scales[0] < 0.3
    assert scales[-1] == 1.0
    assert supported_scale(ratios, tied, 0.0, np.zeros(10, int)) == 0.0


def test_half_of_the_tied_atoms_decide():
    """One large component among many small ones leaves the scale, and the other way round."""
    ratios = np.full(100, 4.0)
    large, small = np.zeros(40, int), 1 + np.arange(60) // 2
    assert supported_scale(ratios, np.concatenate([large, small]), 0.0, LABELS) == 1.0
    small = np.repeat(1 + np.arange(20), 2)
    assert supported_scale(ratios, np.concatenate([np.zeros(60, int), small]), 0.0, LABELS) < 1


def test_labels_tell_no_more_than_they_hold():
    """The bound, where what is learned can be enumerated: one cause behind all atoms."""
    share = np.array([0.1, 0.9])  # of true atoms, by the state of the cause
    truth = np.arange(11)
    likely = share[:, None] ** truth * (1 - share[:, None]) ** (10 - truth)
    states = likely / likely.sum(axis=0)  # by how many of ten labels are true
    told = share @ states
    assert np.abs(logit(told)).max() > 2  # of each atom, so that 300 claim more than
    assert claimed(np.full(300, logit(told[10])), 0.0) > 10 * NATS
    assert (entropy(states) >= 0).all()
    assert np.log(2) - entropy(states).min() < NATS  # what there is to know of them together
