from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowreason.errors import ModelError
from knowreason.models import atoms_of, columns_of, rows_of
from knowreason.models.base.predicate_rows import UNKNOWN, logit
from knowreason.testing.example_world import example_data, with_value


@pytest.fixture(scope="module")
def data():
    return example_data()


def test_a_boolean_predicate_has_a_row_an_atom(data):
    rows = rows_of(data, "Bad")
    assert (rows.count, rows.states, rows.sorts) == (120, 2, ("Node",))
    assert rows.labels[:8].tolist() == [1, 0, 0, 0, 1, 0, 0, 0]
    assert (rows.labels[60:] == UNKNOWN).all()
    assert rows.time is None


def test_things_with_a_clock_bring_their_time(data):
    time = rows_of(data, "Fraud").time
    assert time is not None
    assert (np.diff(time) == 3_600_000_000).all()


def test_a_functional_predicate_has_a_row_a_setting(data):
    rows = rows_of(data, "Has")
    span = atoms_of(data, "Has")
    assert (rows.count, rows.states, rows.classes) == (120, 3, ("red", "green", "blue"))
    assert rows.labels.tolist() == ((np.arange(120) // 4) % 3).tolist()
    np.testing.assert_array_equal(rows.things[rows.row_of_atom, 0], span.arguments[:, 0])
    np.testing.assert_array_equal(rows.state_of_atom, span.arguments[:, 1])


def test_denying_every_value_of_an_optional_one_means_none(data):
    things, colours = np.repeat([5, 6], [3, 2]), [0, 1, 2, 0, 1]
    table = pa.table(
        {
            "a0": pa.array(things, pa.int32()),
            "a1": pa.array(colours, pa.int32()),
            "value": pa.array([0] * 5, pa.int8()),
        }
    )
    labels = rows_of(replace(data, labels={"May": table}), "May").labels
    assert labels[5] == 3
    assert labels[6] == UNKNOWN
    assert rows_of(data, "May").states == 4


def test_ratios_of_an_optional_predicate_are_relative_to_none(data):
    rows = rows_of(data, "May")
    ratios = np.zeros((rows.count, 4))
    ratios[:, 3], ratios[:, 1] = 2.0, 5.0
    llr = rows.output("m", ratios, np.full(4, 0.25)).llr
    assert llr[:3].tolist() == [-2.0, 3.0, -2.0]


def test_pairs_are_rows_of_two_things(data):
    rows = rows_of(data, "Linked")
    assert (rows.sorts, rows.places) == (("Node", "Node"), ("one", "two"))
    assert rows.count == data.facts["Near"].num_rows
    names = columns_of(data, rows, ("hue", "size")).names
    assert names == ("one.hue", "two.hue", "one.size", "two.size")


def test_observed_predicates_have_no_model(data):
    with pytest.raises(ModelError, match="`Listed` is observed") as caught:
        rows_of(data, "Listed")
    assert caught.value.code == "KR805"


def test_base_rates_are_smoothed(data):
    assert rows_of(data, "Bad").base_rate() == pytest.approx(15.5 / 61)
    np.testing.assert_allclose(rows_of(data, "Has").base_rate(), 1 / 3)


def test_columns_come_from_tables_attributes_and_predicates(data):
    rows = rows_of(data, "Bad")
    columns = columns_of(data, rows, ("two", "size", "tag", "Listed"))
    assert columns.names == ("two", "size", "tag", "Listed")
    assert columns.categories == (None, None, ("1", "0"), None)
    assert np.isnan(columns.values[0, 1])
    assert columns.values[1, 1] == data.features["Node"].values[1, 0]
    assert columns.values[:5, 3].tolist() == [1, 0, 0, 0, 1]
    assert columns_of(data, rows).names == ("one", "two", "hue", "sort")
    assert columns_of(data, rows, ("*", "size")).names[-1] == "size"


def test_times_are_in_days(data):
    columns = columns_of(data, rows_of(data, "Fraud"), ("at",))
    np.testing.assert_allclose(columns.values[:, 0], np.arange(240) / 24, rtol=1e-6)


def test_an_unknown_feature_gets_the_nearest_name(data):
    with pytest.raises(ModelError, match="did you mean `hue`") as caught:
        columns_of(data, rows_of(data, "Bad"), ("hues",))
    assert caught.value.code == "KR810"


def test_an_infinite_feature_is_named_by_row_and_column(data):
    with pytest.raises(ModelError, match=r'column `two` is infinite in row 8, Bad\("n7"\)'):
        columns_of(with_value(data, 7, 1, np.inf), rows_of(data, "Bad"))


@given(st.floats(0, 1))
def test_log_odds_are_bounded(p):
    assert abs(float(logit(p))) <= 14
