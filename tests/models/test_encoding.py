import json

import numpy as np

from knowreason.data.features import FeatureTable
from knowreason.models.base.encoding import Encoder

NAN = np.nan


def table(rows, categories=(None, None, ("x", "y", "z"))):
    return FeatureTable(("one", "gone", "sort"), np.array(rows, np.float32), categories)


TRAINING = table([[1, NAN, 0], [3, NAN, 0], [NAN, NAN, 1], [5, NAN, NAN]])


def test_dense_columns_are_standardised_imputed_and_one_hot():
    encoder = Encoder.fit(TRAINING)
    assert encoder.names == ("one", "sort")
    matrix = encoder.dense_matrix(TRAINING)
    assert matrix.shape == (4, encoder.width) == (4, 4)
    np.testing.assert_allclose(matrix[[0, 1, 3], 0], [-1.2247449, 0, 1.2247449], rtol=1e-5)
    assert matrix[2].tolist() == [0, 1, 0, 1]
    assert matrix[3, 2:].tolist() == [0, 0]


def test_trees_get_ranks_and_missing():
    matrix, categorical = Encoder.fit(TRAINING).tree_matrix(TRAINING)
    assert categorical.tolist() == [False, True]
    np.testing.assert_array_equal(matrix[:, 0], TRAINING.values[:, 0])
    np.testing.assert_array_equal(matrix[:, 1], np.array([0, 0, 1, NAN], np.float32))


def test_another_data_set_may_number_categories_differently():
    encoder = Encoder.fit(TRAINING)
    other = table([[1, 2, 1], [1, 2, 0], [1, 2, 2]], (None, None, ("y", "x", "new")))
    ranks = encoder.tree_matrix(other)[0][:, 1]
    assert ranks.tolist() == [0, 1, 2]
    assert encoder.dense_matrix(other)[:, 2:].tolist() == [[1, 0], [0, 1], [0, 0]]


def test_absent_columns_are_missing():
    other = FeatureTable(("two",), np.ones((2, 1), np.float32), (None,))
    encoder = Encoder.fit(TRAINING)
    assert np.isnan(encoder.tree_matrix(other)[0]).all()
    assert encoder.dense_matrix(other).tolist() == [[0, 1, 0, 0]] * 2


def test_rare_categories_share_the_last_rank():
    codes = np.repeat(np.arange(5), [5, 4, 3, 2, 1])[:, None].astype(np.float32)
    encoder = Encoder.fit(FeatureTable(("c",), codes, (tuple("abcde"),)), limit=3)
    assert encoder.categories == (("a", "b", "c"),)
    assert sorted(
        set(encoder.tree_matrix(FeatureTable(("c",), codes, (tuple("abcde"),)))[0][:, 0])
    ) == [
        0,
        1,
        2,
        3,
    ]


def test_survives_json():
    encoder = Encoder.fit(TRAINING)
    assert Encoder.from_values(json.loads(json.dumps(encoder.to_values()))) == encoder
