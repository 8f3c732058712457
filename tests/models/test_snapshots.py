import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowreason.models.links.time_windows import HISTORY, WindowHistory, windows_of
from knowreason.models.links.timed_links import Links

NODES = 5


@st.composite
def links(draw):
    rows = draw(
        st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(-6, 30)), max_size=40)
    )
    table = np.array(rows, np.int64).reshape(-1, 3)
    return Links(table[:, 0], table[:, 1], table[:, 2].astype(float))


@given(links(), st.sampled_from([1.0, 3.0, 7.5]))
@settings(max_examples=60)
def test_windows_partition_the_links(found, width):
    windows = windows_of(found, NODES, width)
    assert windows.count.sum() == len(found)
    assert (np.diff(windows.numbers) > 0).all()
    assert windows.offsets[0] == 0
    assert windows.offsets[-1] == len(windows.source)
    seen = {
        (int(windows.numbers[t]), int(s), int(d)): int(n)
        for t, s, d, n in zip(
            windows.step, windows.source, windows.target, windows.count, strict=True
        )
    }
    expected: dict[tuple[int, int, int], int] = {}
    for s, d, at in zip(found.source, found.target, found.time, strict=True):
        key = (int(at // width), int(s), int(d))
        expected[key] = expected.get(key, 0) + 1
    assert seen == expected


def by_hand(windows, source, target, step, now):
    """HISTORY of one pair, by looping over everything that was before."""
    earlier = windows.step < step
    s, d, t = windows.source[earlier], windows.target[earlier], windows.step[earlier]

    def times(mask):
        return np.unique(t[mask])

    def gap(steps):
        return now - windows.numbers[steps[-1]] if len(steps) else 0

    pair, back = times((s == source) & (d == target)), times((s == target) & (d == source))
    out, into = times(s == source), times(d == target)
    partners = len(set(d[s == source])), len(set(s[d == target]))
    return [
        len(pair),
        gap(pair),
        int(len(pair) == 0),
        len(back),
        len(out),
        gap(out),
        partners[0],
        len(into),
        gap(into),
        partners[1],
    ]


@given(links(), st.integers(0, 4), st.integers(0, 4), st.integers(0, 30))
@settings(max_examples=100)
def test_past_is_what_a_loop_finds(found, source, target, moment):
    windows = windows_of(found, NODES, 3.0)
    if not windows.steps:
        return
    now = moment // 3
    step = int(np.searchsorted(windows.numbers, now))
    one = [np.array([value]) for value in (source, target, step, now)]
    inputs = WindowHistory(windows).inputs(*one)
    assert inputs.shape == (1, len(HISTORY))
    expected = by_hand(windows, source, target, step, now)
    assert np.expm1(inputs[0]) == pytest.approx(expected, abs=1e-4)


def test_links_without_a_time_are_left_out():
    found = Links(np.array([0, 1]), np.array([1, 2]), np.array([np.nan, 4.0]))
    windows = windows_of(found, 3, 2.0)
    assert windows.steps == 1
