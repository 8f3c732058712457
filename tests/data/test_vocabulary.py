import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import knowreason.data.name_encoding as encoding
from knowreason.data.name_encoding import LONG, encode
from knowreason.data.vocabulary import Vocabulary, VocabularyBuilder
from knowreason.errors import DataError
from tests.strategies_data import few_names, names


def build(*columns, members=None):
    builder = VocabularyBuilder("Thing", members)
    coded = [builder.add(pa.chunked_array([column])) for column in columns]
    vocabulary = builder.freeze()
    return vocabulary, [builder.ids(c) for c in coded]


@given(st.lists(st.lists(names, min_size=1), min_size=1, max_size=4))
def test_encoding_and_decoding_give_the_names_back(columns):
    vocabulary, ids = build(*columns)
    assert len(set(vocabulary)) == len(vocabulary)
    assert set(vocabulary) == {name for column in columns for name in column}
    for column, found in zip(columns, ids, strict=True):
        assert found.dtype == np.int32
        assert vocabulary.decode(found).to_pylist() == column
        assert np.array_equal(vocabulary.ids(column), found)
        assert [vocabulary.name(i) for i in found] == column


@given(st.lists(few_names, min_size=1), st.lists(st.one_of(few_names, names), max_size=3))
def test_unknown_names_are_minus_one_however_many_are_asked(known, asked):
    vocabulary = Vocabulary("Thing", pa.array(sorted(set(known)) + [f"q{i}" for i in range(99)]))
    place = {name: i for i, name in enumerate(vocabulary)}
    expected = [place.get(name, -1) for name in asked]
    assert vocabulary.ids(asked).tolist() == expected
    assert vocabulary.ids(asked * 400).tolist() == expected * 400


def test_integers_are_their_decimal_text():
    vocabulary, (first, second) = build([3, -1, 3], ["3", "x", "-1"])
    assert list(vocabulary) == ["3", "-1", "x"]
    assert first.tolist() == [0, 1, 0]
    assert second.tolist() == [0, 2, 1]
    assert vocabulary.ids([3, "3", None]).tolist() == [0, 0, -1]
    assert 3 in vocabulary


def test_names_stand_in_order_of_first_appearance():
    vocabulary, _ = build(["b", "a"], ["c", "a"])
    assert list(vocabulary) == ["b", "a", "c"]


def test_a_column_seen_before_is_not_coded_again():
    builder = VocabularyBuilder("Thing")
    first = builder.add(pa.chunked_array([["a", "b"]]))
    assert builder.add(pa.chunked_array([["a"], ["b"]])) is first


@pytest.mark.parametrize("kind", [pa.string(), pa.int64()])
@pytest.mark.parametrize("values", [10**6, 700_000, 7])
def test_long_columns_are_coded_as_short_ones(kind, values):
    numbers = np.random.default_rng(0).integers(0, values, LONG)
    numbers = np.arange(LONG) if values == 10**6 else numbers
    column = pa.chunked_array([pa.array(numbers).cast(kind)])
    indices, names = encode(column)
    distinct, first, inverse = np.unique(numbers, return_index=True, return_inverse=True)
    order = np.argsort(first)
    assert names.to_pylist() == [str(n) for n in distinct[order]]
    assert np.array_equal(indices, np.argsort(order)[inverse])


def test_names_that_share_a_hash_are_told_apart(monkeypatch):
    monkeypatch.setattr(encoding, "_hashes", lambda column: np.arange(len(column)) // 2)
    names = [f"n{i}" for i in range(LONG)]
    indices, found = encode(pa.chunked_array([names]))
    assert found.to_pylist() == names
    assert np.array_equal(indices, np.arange(LONG))


@pytest.mark.parametrize("kind", [pa.string(), pa.int64()])
def test_chunks_of_a_column_share_their_names(kind):
    numbers = np.random.default_rng(0).integers(0, 40, 500)
    column = pa.array(numbers).cast(kind)
    builder = VocabularyBuilder("Thing")
    cuts = [(0, 3), (3, 0), (3, 300), (303, 197)]
    coded = builder.add(pa.chunked_array([column.slice(*cut) for cut in cuts]))
    vocabulary = builder.freeze()
    assert vocabulary.decode(builder.ids(coded)).to_pylist() == [str(n) for n in numbers]
    assert len(vocabulary) == len(set(numbers.tolist()))


def test_enumerated_domains_keep_their_order_and_know_strangers():
    builder = VocabularyBuilder("Colour", ("red", "blue"))
    coded = builder.add(pa.chunked_array([["blue", "pink", None, "red"]]))
    assert list(builder.freeze()) == ["red", "blue"]
    assert builder.ids(coded).tolist() == [1, -1, -1, 0]
    assert builder.outside(coded).tolist() == [False, True, False]
    assert coded.rows_of(builder.outside(coded)).tolist() == [1]


def test_a_domain_nobody_mentions_is_empty():
    vocabulary, _ = build()
    assert len(vocabulary) == 0
    assert vocabulary.ids(["a"]).tolist() == [-1]


def test_taking_some_things_renumbers_them():
    vocabulary, _ = build(["a", "b", "c"])
    kept, new_ids = vocabulary.take(np.array([True, False, True]))
    assert list(kept) == ["a", "c"]
    assert new_ids.tolist() == [0, -1, 1]


def test_a_missing_thing_is_an_error_with_the_nearest_name():
    vocabulary, _ = build(["anna", "bob"])
    assert vocabulary.id("bob") == 1
    with pytest.raises(DataError, match=r"KR509.*did you mean `anna`"):
        vocabulary.id("ana")
