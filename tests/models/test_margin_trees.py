"""Boosted trees that start from given log-odds."""

import numpy as np
import pytest

import knowreason as kr
from knowreason.models.base.predicate_rows import logit, rows_of
from knowreason.models.tabular.boosting import Trees
from knowreason.models.tabular.margin_trees import MarginTrees


def added(data, margin):
    """What trees from a margin add to it."""
    model = MarginTrees(seed=3)
    model.margin = margin
    model.fit(data, "Bad")
    return model, model.log_odds(data, "Bad") - logit(model.base_rate_)


@pytest.fixture(scope="module")
def data():
    return kr.testing.example_data()


def test_from_the_share_of_labels_they_are_usual_trees(data):
    rows = rows_of(data, "Bad")
    share = logit(rows.labels[rows.labelled].mean())
    _, more = added(data, np.full(rows.count, share))
    usual = Trees(seed=3).fit(data, "Bad").log_odds(data, "Bad")
    np.testing.assert_allclose(share + more, usual, atol=1e-5)


def test_what_the_margin_knows_is_not_learned_again(data):
    rows = rows_of(data, "Bad")
    known = np.where(rows.labels == 1, 8.0, -8.0)
    _, more = added(data, known)
    _, without = added(data, np.zeros(rows.count))
    assert np.abs(more[rows.labelled]).max() < 0.2 < np.abs(without[rows.labelled]).mean()


def test_a_stored_model_says_the_same_and_holds_no_margin(data, tmp_path):
    model, more = added(data, np.linspace(-3, 1, rows_of(data, "Bad").count))
    assert model.margin.size == 0
    kr.models.save_model(model, tmp_path / "m")
    again = kr.models.load_model(tmp_path / "m")
    assert isinstance(again, MarginTrees)
    np.testing.assert_array_equal(again.log_odds(data, "Bad") - logit(again.base_rate_), more)
