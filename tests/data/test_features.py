import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from knowreason.data import (
    Dataset,
    FeatureSource,
    FeatureTable,
    design_matrix,
    fit_standardisation,
)
from knowreason.errors import DataWarning
from tests.strategies_data import people

NAN = float("nan")
CELLS = st.one_of(st.floats(-1e3, 1e3, width=32), st.just(NAN))


def table(**columns):
    """Numbers are lists; ``(codes, names)`` is a category."""
    values = [c[0] if isinstance(c, tuple) else c for c in columns.values()]
    categories = tuple(c[1] if isinstance(c, tuple) else None for c in columns.values())
    return FeatureTable(tuple(columns), np.array(values, np.float32).T, categories)


def test_features_are_bound_to_things_by_name():
    data = Dataset.from_frames(
        people(),
        facts={"Knows": {"x": ["b"], "y": ["a"]}},
        features={
            "Person": FeatureSource(
                {
                    "income": [1, None, 3],
                    "who": ["a", "c", "d"],
                    "zone": [10, 9, None],
                    "vip": [True, False, None],
                    "town": ["Rome", "Oslo", "Rome"],
                },
                key="who",
                categorical=["zone"],
            )
        },
    )
    features = data.features["Person"]
    assert list(data.vocabularies["Person"]) == ["b", "a", "c", "d"]
    assert features.names == ("income", "zone", "vip", "town")
    assert features.categories == (None, ("10", "9"), None, ("Oslo", "Rome"))
    assert features.categorical.tolist() == [False, True, False, True]
    assert features.values.dtype == np.float32
    np.testing.assert_array_equal(
        features.values,
        [[NAN] * 4, [1, 0, 1, 1], [NAN, 1, 0, 0], [3, NAN, NAN, 1]],
    )


def test_a_view_and_some_rows():
    both = table(a=[1, 2], b=([0, 1], ("x", "y")))
    assert both.select(["b"]).categories == (("x", "y"),)
    assert both.take(np.array([False, True])).values.tolist() == [[2, 1]]
    assert len(both) == 2


def test_numbers_are_standardised_on_the_given_rows_only():
    numbers = table(a=[1, 3, 1000], b=[5, 5, 7])
    fitted = fit_standardisation(numbers, np.array([0, 1]))
    assert fitted.mean.tolist() == [2, 5]
    assert fitted.sd.tolist() == [1, 1]
    inputs = design_matrix(numbers, fitted)
    assert inputs.dtype == np.float32
    assert inputs.tolist() == [[-1, 0], [1, 0], [998, 2]]
    changed = table(a=[1, 3, -7], b=[5, 5, 0])
    again = fit_standardisation(changed, np.array([True, True, False]))
    assert again.mean.tolist() == fitted.mean.tolist()


def test_missing_is_imputed_with_an_indicator():
    numbers = table(a=[1, 3, NAN], b=[1, 2, 3])
    fitted = fit_standardisation(numbers)
    assert fitted.input_names == ("a", "a missing", "b")
    assert design_matrix(numbers, fitted)[:, :2].tolist() == [[-1, 0], [1, 0], [0, 1]]
    other = table(a=[1, 1, 1], b=[NAN, 2, 3])
    assert not np.isnan(design_matrix(other, fitted)).any()


def test_categories_are_one_hot():
    towns = table(town=([0, 2, NAN, 1], ("Oslo", "Paris", "Rome")))
    fitted = fit_standardisation(towns, np.array([0, 1]))
    assert fitted.input_names == ("town=Oslo", "town=Rome")
    assert design_matrix(towns, fitted).tolist() == [[1, 0], [0, 1], [0, 0], [0, 0]]


def test_rare_levels_share_an_input():
    codes = [0, 0, 0, 1, 1, 2, 3, NAN]
    towns = table(town=(codes, ("a", "b", "c", "d")))
    fitted = fit_standardisation(towns, max_levels=2)
    assert fitted.input_names == ("town=a", "town=b", "town=(other)", "town missing")
    expected = [[1, 0, 0, 0]] * 3 + [[0, 1, 0, 0]] * 2 + [[0, 0, 1, 0]] * 2 + [[0, 0, 0, 1]]
    assert design_matrix(towns, fitted).tolist() == expected


def test_trees_get_codes_and_missing_values():
    both = table(a=[1, NAN], b=([1, 0], ("x", "y")))
    inputs = design_matrix(both, fit_standardisation(both), "codes")
    np.testing.assert_array_equal(inputs, [[0, 1], [NAN, 0]])


def test_nothing_to_see_is_no_input():
    none = FeatureTable((), np.zeros((3, 0), np.float32), ())
    assert design_matrix(none, fit_standardisation(none)).shape == (3, 0)


def test_other_columns_are_refused():
    with pytest.raises(ValueError, match="fitted on features"):
        design_matrix(table(b=[1]), fit_standardisation(table(a=[1])))


@given(
    arrays(np.float32, (7, 3), elements=CELLS),
    st.integers(1, 7),
)
@settings(max_examples=50)
def test_inputs_are_finite_and_standard(values, rows):
    numbers = FeatureTable(("a", "b", "c"), values, (None, None, None))
    fitted = fit_standardisation(numbers, np.arange(rows))
    inputs = design_matrix(numbers, fitted)
    assert np.isfinite(inputs).all()
    assert inputs.shape[1] == len(fitted.input_names)
    named = [i for i, name in enumerate(fitted.input_names) if "missing" not in name]
    assert (abs(inputs[:rows, named].mean(axis=0)) < 1e-2).all()


def test_infinite_numbers_are_missing_and_told():
    features = {"Person": {"who": ["a", "b", "c"], "debt": [1.0, float("-inf"), 1e39]}}
    with pytest.warns(DataWarning, match=r"KR531.*column `debt`: 2 of 3 .* first in row 2"):
        data = Dataset.from_frames(
            people(), facts={"Knows": {"x": ["a", "b"], "y": ["b", "c"]}}, features=features
        )
    found = data.features["Person"].values[:, 0]
    assert np.isnan(found).tolist() == [False, True, True]
    assert np.isfinite(fit_standardisation(data.features["Person"]).mean).all()
