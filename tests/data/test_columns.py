import datetime as dt

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowreason.data.typed_columns import to_key, to_sort, to_truth

MICRO = 1_000_000


def convert(values, sort, kind=None):
    column = pa.chunked_array([pa.array(values, kind, from_pandas=True)])
    found = to_truth(column) if sort == "truth" else to_sort(column, sort)
    return found.values.to_pylist(), found.bad.tolist()


@pytest.mark.parametrize(
    ("values", "sort", "expected", "bad"),
    [
        ([1, None, -3], "int", [1, None, -3], []),
        ([1.0, 2.5, float("nan")], "int", [1, None, None], [1]),
        (["1", " +2 ", "3.0", "3.5", "x", "", None], "int", [1, 2, 3] + [None] * 4, [3, 4]),
        ([1, 2], "float", [1.0, 2.0], []),
        (["1e3", "-.5", "2.", "one", ""], "float", [1000.0, -0.5, 2.0, None, None], [3]),
        (["nan", "inf"], "float", [None, float("inf")], []),
        ([True, None], "bool", [True, None], []),
        ([0, 1, 2], "bool", [False, True, None], [2]),
        (["TRUE", "0", "yes"], "bool", [True, False, None], [2]),
        ([7, 8], "string", ["7", "8"], []),
        (["", "a"], "string", [None, "a"], []),
        ([[1]], "string", [None], [0]),
        ([1.5], "time", [None], [0]),
        ([5], "duration", [None], [0]),
        (["x"], "time", [None], [0]),
        (
            ["90s", "1.5h", "-2d", "10ms", "1w", "3 m", "1y"],
            "duration",
            [90 * MICRO, 5400 * MICRO, -172800 * MICRO, 10_000, 604800 * MICRO, 180 * MICRO, None],
            [6],
        ),
        ([dt.timedelta(seconds=2)], "duration", [2 * MICRO], []),
        ([True, False, None], "truth", [1, 0, None], []),
        ([1.0, 0.0, float("nan"), 0.5], "truth", [1, 0, None, None], [3]),
        (["1", "false", "", "-1"], "truth", [1, 0, None, None], [3]),
    ],
)
def test_values_of_a_sort(values, sort, expected, bad):
    assert convert(values, sort) == (expected, bad)


def test_integers_that_do_not_fit_are_bad():
    assert convert([2**63, 5], "int", pa.uint64()) == ([None, 5], [0])


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:01Z", 1),
        ("1970-01-01 00:00:01", 1),
        ("1970-01-02", 86400),
        ("1970-01-01T02:00:00+02:00", 0),
        ("1970-01-01T00:00", 0),
        (" 1970-01-01T00:00:00.25 ", 0.25),
        ("1969-12-31T23:59:59Z", -1),
        ("1970-02-30", None),
        ("1970-13-01", None),
        ("noon", None),
    ],
)
def test_texts_of_times(text, seconds):
    expected = None if seconds is None else int(seconds * MICRO)
    assert convert([text], "time")[0] == [expected]


@given(st.lists(st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2200, 1, 1)), min_size=1))
@settings(max_examples=10)
def test_datetimes_and_their_texts_are_one(moments):
    epoch = dt.datetime(1970, 1, 1)
    expected = [(moment - epoch) // dt.timedelta(microseconds=1) for moment in moments]
    assert convert(moments, "time") == (expected, [])
    assert convert([moment.isoformat() for moment in moments], "time") == (expected, [])
    zoned = [f"{moment.isoformat()}+00:00" for moment in moments]
    assert convert(zoned, "time") == (expected, [])


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_every_resolution_of_time_is_microseconds(unit):
    values = np.array(["2026-01-31T08:00:00"], dtype=f"datetime64[{unit}]")
    assert convert(values, "time")[0] == [1769846400 * MICRO]


def test_zones_of_typed_times_count():
    zoned = pa.array([1769846400], pa.timestamp("s", "Europe/Berlin"))
    assert to_sort(pa.chunked_array([zoned]), "time").values.to_pylist() == [1769846400 * MICRO]


@pytest.mark.parametrize(
    ("values", "kind", "names", "bad"),
    [
        ([3.0, None, 2.5], pa.float64(), ["3", None, None], [2]),
        ([True], pa.bool_(), ["true"], []),
        ([dt.date(2026, 1, 31)], pa.date32(), ["2026-01-31"], []),
        ([b"x"], pa.binary(), [None], [0]),
    ],
)
def test_what_names_a_thing(values, kind, names, bad):
    found = to_key(pa.chunked_array([pa.array(values, kind)]))
    assert found.values.cast(pa.string()).to_pylist() == names
    assert found.bad.tolist() == bad
