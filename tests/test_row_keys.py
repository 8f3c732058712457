"""Rows as keys against rows as tuples, within 62 bits and beyond."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from knowreason.data import Dataset
from knowreason.grounding import ground
from knowreason.grounding.atom_numbering import Numbering, open_atoms
from knowreason.lang import loads
from knowreason.row_keys import (
    KEY_LIMIT,
    KeyPlaces,
    RowKeys,
    by_appearance,
    distinct_rows,
    locate,
    ordered_rows,
    row_keys,
    sorting_order,
)

FEW = st.integers(-2, 3)
MANY = st.sampled_from([0, 1, 2**20, 2**31 - 2, 2**31 - 1])
FAR = st.sampled_from([-(2**63), -(2**62), -1, 0, 2**45, 2**62, 2**63 - 1])


def tables_of(elements, kind=np.int64):
    return st.integers(0, 5).flatmap(
        lambda width: arrays.arrays(
            kind, st.tuples(st.integers(0, 12), st.just(width)), elements=elements
        )
    )


TABLES = tables_of(FEW) | tables_of(MANY, np.int32) | tables_of(FAR)


@settings(deadline=None)
@given(TABLES, st.booleans())
def test_ordered_rows_are_the_sorted_tuples(table, distinct):
    rows = [tuple(row) for row in table.tolist()]
    wanted = sorted(set(rows)) if distinct else sorted(rows)
    columns = ordered_rows(table.T, rows=len(table), distinct=distinct)
    if columns is None:
        assert rows == wanted
    elif table.shape[1]:
        assert list(zip(*(c.tolist() for c in columns), strict=True)) == wanted
        assert all(column.dtype == table.dtype for column in columns)


@settings(deadline=None)
@given(TABLES)
def test_keys_are_equal_and_ordered_as_rows(table):
    keys = row_keys(table.T, rows=len(table))
    assert keys.shape == (len(table),)
    assert (keys >= 0).all()
    rows = table.tolist()
    assert (keys[:, None] < keys).tolist() == [[a < b for b in rows] for a in rows]


@settings(deadline=None)
@given(tables_of(MANY, np.int32))
def test_keys_by_sizes_are_equal_and_ordered_as_rows(table):
    keys = row_keys(table.T, [2**31] * table.shape[1], len(table))
    rows = table.tolist()
    assert (keys[:, None] < keys).tolist() == [[a < b for b in rows] for a in rows]


@settings(deadline=None)
@given(TABLES)
def test_other_rows_get_the_same_keys(table):
    makes, keys = RowKeys.of(table.T, rows=len(table))
    shuffled = np.random.default_rng(0).permutation(len(table))
    np.testing.assert_array_equal(makes(table[shuffled].T, len(table)), keys[shuffled])
    assert makes.inside(table.T, len(table)).all()


@settings(deadline=None)
@given(TABLES)
def test_distinct_rows(table):
    first, which = distinct_rows(table.T, rows=len(table))
    rows = [tuple(row) for row in table.tolist()]
    assert [rows[i] for i in first] == sorted(set(rows))
    assert first.tolist() == [rows.index(row) for row in sorted(set(rows))]
    assert [rows[first[i]] for i in which] == rows
    first, which = by_appearance(first, which)
    assert [rows[i] for i in first] == list(dict.fromkeys(rows))
    assert [rows[first[i]] for i in which] == rows


@pytest.mark.parametrize("top", [50, 10**5, 2**61])
@pytest.mark.parametrize("rows", [0, 1, 30, 30_000])
def test_long_keys_are_sorted_and_found_as_by_numpy(rows, top):
    rng = np.random.default_rng(rows)
    keys = rng.integers(0, top, rows) - 7
    order = sorting_order(keys)
    expected = np.argsort(keys, kind="stable")
    assert (np.arange(rows) if order is None else order).tolist() == expected.tolist()
    assert sorting_order(keys[expected]) is None
    known = np.unique(keys)
    wanted = np.concatenate([keys, keys + 1, [-(2**62), 2**62]])
    place = KeyPlaces.of(known).find(wanted)
    where = {key: i for i, key in enumerate(known.tolist())}
    assert place.tolist() == [where.get(key, -1) for key in wanted.tolist()]
    first, owner = distinct_rows([keys, np.zeros_like(keys)], rows=rows)
    _, first_too, owner_too = np.unique(keys, return_index=True, return_inverse=True)
    assert first.tolist() == first_too.tolist()
    assert owner.tolist() == owner_too.ravel().tolist()


@settings(deadline=None)
@given(st.integers(0, 4), st.data())
def test_rows_are_found_where_they_are(width, data):
    elements = data.draw(st.sampled_from([FEW, FAR]))
    shape = st.tuples(st.integers(0, 8), st.just(width))
    known, wanted = (data.draw(arrays.arrays(np.int64, shape, elements=elements)) for _ in range(2))
    rows = known.tolist()
    expected = [rows.index(row) if row in rows else -1 for row in wanted.tolist()]
    assert locate(known, wanted).tolist() == expected


def test_a_missing_value_is_no_row():
    table = np.array([[0, 1], [1, 0]], np.int32)
    wanted = np.array([[1, -1], [-1, 3], [0, 2], [1, 0]], np.int32)
    assert locate(table, wanted).tolist() == [-1, -1, -1, 1]


WIDE = """
domain A
domain B
domain C
domain D
observed Seen(A, B, C, D)
query Linked(A, B, C, D) within Seen
query Same(A, B, C, D!) within Seen
rule together [0.5] : Linked(a, b, c, d) & Linked(a, b, c, e) => d = e
"""


@pytest.fixture(scope="module")
def wide():
    """A data set whose four domains have 100,003 members each: 66 bits of combinations."""
    rng = np.random.default_rng(0)
    seen = rng.choice([0, 1, 99_999, 100_000, 100_002], (200, 4))
    program = loads(WIDE)
    members = np.arange(100_003)
    frame = {f"a{i}": np.char.add("t", column.astype(str)) for i, column in enumerate(seen.T)}
    things = {d: np.char.add("t", members.astype(str)).tolist() for d in "ABCD"}
    labels = {"Linked": {**frame, "label": (seen.sum(1) % 2).astype(int)}}
    data = Dataset.from_frames(program, facts={"Seen": frame}, things=things, labels=labels)
    return program, data, seen


def test_domains_of_more_than_62_bits(wide):
    program, data, seen = wide
    assert np.prod([float(len(v)) for v in data.vocabularies.values()]) > KEY_LIMIT
    distinct = np.unique(seen, axis=0)
    table = open_atoms(program, data)
    for name in ("Linked", "Same"):
        np.testing.assert_array_equal(table.spans[name].arguments, distinct)
        numbering = Numbering.of(table, program, data)
        columns = [column.astype(np.int32) for column in distinct.T]
        start = table.spans[name].start
        found = numbering.find(name, columns)
        assert found.tolist() == list(range(start, start + len(distinct)))
        missing = [np.array([2], np.int32)] * 4
        assert numbering.find(name, missing).tolist() == [-1]


def test_wide_domains_are_grounded(wide):
    program, data, seen = wide
    grounding = ground(program, data)
    rows = np.unique(seen, axis=0)
    span = grounding.span("Linked")
    truth = grounding.labels[span.start : span.stop]
    assert truth.tolist() == (rows.sum(1) % 2).tolist()
    pairs = {
        (i, j)
        for i, one in enumerate(rows.tolist())
        for j, two in enumerate(rows.tolist())
        if i < j and one[:3] == two[:3]
    }
    (group,) = grounding.graph.couplings
    assert {tuple(sorted(row)) for row in group.atoms.tolist()} == pairs
