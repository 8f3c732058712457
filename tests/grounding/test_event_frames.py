"""Frames of sorted events against loops, and against DuckDB's join of pairs."""

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowreason import lang
from knowreason.data import Dataset
from knowreason.data.engine.relational_engine import memory_bytes
from knowreason.errors import GroundingError
from knowreason.grounding.history.event_frames import Admitted, EventOrder, ordered_bits, sorting
from knowreason.grounding.relational import histories
from knowreason.grounding.relational.database import Relations

KEEPS = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}
small = st.integers(-3, 6)
bounds = st.lists(st.tuples(st.sampled_from(sorted(KEEPS)), st.integers(-2, 2)), max_size=3)


@st.composite
def worlds(draw):
    """Events (group, clock, number, value) and who asks (group, clock, number)."""
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    n, m, groups = draw(st.integers(0, 30)), draw(st.integers(1, 12)), draw(st.integers(1, 3))
    spread = draw(st.sampled_from([3, 50]))
    events = np.stack([rng.integers(0, groups, n), *rng.integers(0, spread, (3, n))])
    asked = np.stack([rng.integers(-1, groups, m), *rng.integers(0, spread, (2, m))])
    return groups, events.astype(np.int64), asked.astype(np.int64), rng.random(n) < 0.7


@settings(max_examples=60)
@given(worlds(), bounds, bounds, st.one_of(st.none(), st.integers(0, 4)))
def test_all_aggregates_against_loops(world, of_clock, of_number, last):
    groups, (group, clock, number, value), (asks, at, limit), known = world
    order = EventOrder.of(group, groups, clock, [np.arange(len(group))])
    frames = order.frames(asks, [(operator, at + more) for operator, more in of_clock])
    mixed = len({operator[0] for operator, _ in of_number}) > 1
    if mixed and last is not None:
        of_number = of_number[:1]
        mixed = False
    if of_number:
        cuts = [(operator, limit + more) for operator, more in of_number]
        admitted = Admitted.of(number[order.rows], None, cuts)
        frames = type(frames)(frames.first, frames.last, frames.starts, admitted)
    if last is not None:
        frames = frames.latest(np.full(len(asks), last))
    real = value * 0.1 - 1.0
    got = {
        "count": frames.counts(),
        "known": frames.counts(known[order.rows]),
        "whole": frames.sums(value[order.rows], known[order.rows]),
        "sum": frames.sums(real[order.rows], known[order.rows]),
        "least": frames.extremes(value[order.rows], False, known[order.rows]),
    }
    if not of_number:
        got["distinct"] = frames.distinct(value[order.rows])
    for i in range(len(asks)):
        rows = [
            e
            for e in range(len(group))
            if group[e] == asks[i]
            and all(KEEPS[o](clock[e], at[i] + more) for o, more in of_clock)
            and all(KEEPS[o](number[e], limit[i] + m) for o, m in of_number)
        ]
        if last is not None:
            rows = sorted(rows, key=lambda e: (clock[e], e))[max(0, len(rows) - last) :]
        there = [e for e in rows if known[e]]
        assert got["count"][i] == len(rows)
        assert got["known"][i] == len(there)
        assert got["whole"][i] == value[there].sum()
        assert got["sum"][i] == pytest.approx(real[there].sum(), abs=1e-12)
        if there and not mixed:
            assert got["least"][i] == value[there].min()
        if "distinct" in got:
            assert got["distinct"][i] == len(set(value[rows]))


def test_small_sums_behind_large_ones_keep_their_digits():
    values = np.array([1e18, 3.25, -1e18, 0.1, 0.2])
    frames = EventOrder.of(np.zeros(5, int), 1, np.arange(5), ()).frames(
        np.zeros(2, int), [(">", np.array([0, 2]))]
    )
    assert frames.sums(values).tolist() == [3.25 - 1e18 + 0.1 + 0.2, 0.1 + 0.2]
    infinite = frames.sums(np.array([np.inf, 1.0, -np.inf, 2.0, 3.0]))
    assert infinite.tolist() == [-np.inf, 5.0]


def test_sums_of_whole_numbers_are_exact_or_an_error():
    most = 2**63 - 1
    order = EventOrder.of(np.zeros(4, int), 1, np.arange(4), ())
    values = np.array([most, 1, -most, 5])

    def sums(first, last):
        limits = [(">=", np.array([first])), ("<", np.array([last]))]
        return int(order.frames(np.zeros(1, int), limits).sums(values)[0])

    assert (sums(0, 1), sums(1, 3), sums(0, 4), sums(2, 4)) == (most, 1 - most, 6, 5 - most)
    with pytest.raises(OverflowError, match=str(most + 1)):
        sums(0, 2)


@given(st.lists(st.floats(width=32), max_size=8))
def test_floats_sort_as_sql_sorts_them(numbers):
    bits = ordered_bits(np.array(numbers, float)).tolist()
    for a, x in zip(numbers, bits, strict=True):
        for b, y in zip(numbers, bits, strict=True):
            is_less = (not math.isnan(a)) and (math.isnan(b) or a < b)
            assert (x < y) == is_less


@given(st.lists(small, max_size=9))
def test_sorting(numbers):
    rows = sorting(np.array(numbers, np.int64))
    expected = sorted(range(len(numbers)), key=lambda i: numbers[i])
    assert (list(range(len(numbers))) if rows is None else rows.tolist()) == expected


PROGRAM = """
domain Event, Key
observed Pays(Event, key: Key)
attribute key(Event): Key
attribute day(Event): int clock
attribute at(Event): time
attribute amount(Event): float
"""
PAST = "f : Pays(f, key: key(e)) & day(f) < day(e)"
BODIES = {
    "larger": f"count {{ {PAST} & amount(f) > amount(e) }}",
    "as_large": f"count {{ {PAST} & amount(f) >= amount(e) * 1.5 }}",
    "near": f"count {{ {PAST} & amount(e) - 1.0 < amount(f) & amount(f) <= amount(e) + 1.0 }}",
    "two_clocks": f"sum {{ amount(f) for {PAST} & at(f) < at(e) }}",
    "smaller_mean": f"avg {{ amount(f) for {PAST} & amount(f) < amount(e) }}",
    "next_larger": f"min {{ amount(f) for {PAST} & amount(f) > amount(e) }}",
    "share": f"rate {{ amount(f) > 2.0 for {PAST} & at(f) <= at(e) prior 0.1 of 2 }}",
    "other_amounts": f"count {{ {PAST} & amount(f) != amount(e) }}",
    "alone": "count { f : Pays(f, _) & amount(f) > amount(e) }",
    "window": f"max {{ amount(f) for {PAST} & day(e) - day(f) <= 3 }}",
    "latest": f"avg {{ amount(f) for {PAST} & day(f) >= day(e) - 6 last 3 by day(f) }}",
    "latest_larger": f"sum {{ amount(f) for {PAST} & amount(f) > amount(e) last 3 by day(f) }}",
    "latest_least": f"min {{ amount(f) for {PAST} & at(f) <= at(e) last 2 by day(f) }}",
    "days": "max { day(f) for f : Pays(f, key: key(e)) & amount(f) < amount(e) last 2 by at(f) }",
    "of_all": "sum { day(f) for f : Pays(f, _) & day(e) - day(f) <= 2 }",
    "kinds": "count { k : exists f. (Pays(f, key: k) & day(f) < day(e) & day(e) - day(f) <= 4) }",
}


def payments(seed, events=120, keys=4):
    """Payments with ties in both clocks and a fifth of all values missing."""
    rng = np.random.default_rng(seed)
    ids = [f"e{i}" for i in range(events)]
    columns = {
        "key": [f"k{k}" for k in rng.integers(0, keys, events)],
        "day": rng.integers(0, 12, events).tolist(),
        "at": rng.integers(0, 40, events).tolist(),
        "amount": np.round(rng.lognormal(size=events), 1).tolist(),
    }
    facts = {"Pays": {"e": ids, "k": columns["key"]}}
    for name, values in columns.items():
        there = rng.random(events) < 0.8
        own = [value for value, is_there in zip(values, there, strict=True) if is_there]
        if name == "at":
            own = pa.array(own, pa.int64()).cast(pa.timestamp("us"))
        facts[name] = pa.table({"e": [i for i, t in zip(ids, there, strict=True) if t], "v": own})
    return facts


def bound(seed, name="f", body=None):
    text = "".join(f"define {n}(e) := {b}\n" for n, b in BODIES.items())
    program = lang.loads(PROGRAM + (text if body is None else f"define {name}(e) := {body}\n"))
    things = {"Key": {"id": [f"k{i}" for i in range(4)]}}
    return program, Dataset.from_frames(program, facts=payments(seed), things=things)


@pytest.mark.parametrize(("seed", "memory"), [(0, "1GB"), (1, "1GB"), (2, "1GB"), (3, "1KB")])
def test_frames_equal_the_join_of_pairs(seed, memory, monkeypatch):
    program, data = bound(seed)
    with Relations(program, data, threads=1) as relations:
        relations.histories = histories.Histories(relations, memory_bytes(memory))
        framed = {name: relations.read(name) for name in BODIES}
        assert not relations.histories._made
    monkeypatch.setattr(histories, "split", lambda *_: None)
    with Relations(program, data, threads=1) as relations:
        for name, table in framed.items():
            paired = relations.read(name)
            assert table["a0"].equals(paired["a0"]), name
            assert table["value"].type == paired["value"].type, name
            found, expected = (t["value"].to_numpy() for t in (table, paired))
            np.testing.assert_allclose(found, expected, rtol=1e-12, err_msg=name)


def test_a_join_of_too_many_pairs_is_refused_with_its_price(monkeypatch):
    body = f"count {{ {PAST} & amount(f) + amount(e) > 3.0 }}"
    program, data = bound(0, "odd", body)
    with Relations(program, data, threads=1) as relations:
        assert relations.read("odd").num_rows == 120
    monkeypatch.setattr(histories, "PAIRS", 100)
    with (
        Relations(program, data, threads=1) as relations,
        pytest.raises(GroundingError, match="pairs of what is asked") as caught,
    ):
        relations.read("odd")
    assert caught.value.code == "KR607"
    program, data = bound(0, "even", BODIES["larger"])
    with Relations(program, data, threads=1) as relations:
        relations.read("even")


def test_sizes_of_memory():
    sizes = ["4GB", "1.5 GiB", "200mb", "10 bytes", "7"]
    assert [memory_bytes(size) for size in sizes] == [4 * 10**9, 3 << 29, 2 * 10**8, 10, 7]
    assert 0 < memory_bytes("50%") < memory_bytes("100%") == memory_bytes("-1")
