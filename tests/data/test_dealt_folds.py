import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from knowreason.data.splits.dealt_folds import dealt_folds


@given(st.integers(1, 120), st.integers(1, 30), st.integers(2, 7), st.integers(0, 9999))
@settings(max_examples=80)
def test_groups_are_whole_and_positives_even(rows, groups, most, seed):
    random = np.random.default_rng(seed)
    group = random.integers(0, groups, rows) * 7
    label = random.choice([-1, 0, 1], rows, p=[0.3, 0.5, 0.2])
    dealt = dealt_folds(group, label, most, seed)
    labelled = set(group[label >= 0])
    for one in set(group):
        (fold,) = set(dealt.fold[group == one])
        assert (fold >= 0) == (one in labelled)
    assert dealt.count <= most
    assert set(dealt.fold[dealt.fold >= 0]) == set(range(dealt.count if labelled else 0))
    holders = {one for one in labelled if (label[group == one] == dealt.rarest).any()}
    assert dealt.groups == len(holders)
    if dealt.groups > 1 and {0, 1} <= set(label):
        per_fold = [
            len({g for g in holders if (dealt.fold[group == g] == k).any()})
            for k in range(dealt.count)
        ]
        assert min(per_fold) >= 1
        assert max(per_fold) - min(per_fold) <= 1


def test_large_groups_are_spread():
    sizes = [40, 30, 20, 10, 5, 5]
    group = np.repeat(np.arange(6), sizes)
    dealt = dealt_folds(
        np.append(group, np.arange(100, 400)), (np.arange(410) < 110).astype(int), 3
    )
    positives = np.bincount(dealt.fold[:110])
    assert positives.tolist() == [45, 35, 30]


def test_each_state_is_spread_over_rows():
    label = np.random.default_rng(0).integers(0, 3, 300)
    dealt = dealt_folds(np.arange(300), label, 6)
    counts = np.stack([np.bincount(dealt.fold[label == state], minlength=6) for state in range(3)])
    assert (counts.max(axis=1) - counts.min(axis=1) <= 2).all()
