"""Shares of columns in what models say, against enumeration."""

from dataclasses import replace
from itertools import combinations
from math import factorial

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

import knowreason as kr
from knowreason.explanation import Explainer
from knowreason.inference import infer
from knowreason.models import Calibration, make, rows_of
from knowreason.models.base.column_splits import ratio_columns
from knowreason.models.base.encoding import Encoder
from knowreason.models.base.fold_mean import FoldMean
from knowreason.models.tabular.leaf_masks import LeafMasks
from knowreason.models.tabular.leaf_shapley import shapley_values

DATA = kr.testing.example_data(nodes=60)
EVERY = np.arange(60)


def enumerated(scores, rows, background):
    """Shapley values where absent columns are those of background rows."""
    count = rows.shape[1]
    values = np.zeros(rows.shape)
    for n, row in enumerate(rows):

        def worth(chosen, row=row):
            mixed = background.copy()
            mixed[:, list(chosen)] = row[list(chosen)]
            return scores(mixed).mean()

        for j in range(count):
            others = [k for k in range(count) if k != j]
            for size in range(count):
                weight = factorial(size) * factorial(count - size - 1) / factorial(count)
                for chosen in combinations(others, size):
                    values[n, j] += weight * (worth((*chosen, j)) - worth(chosen))
    return values


@pytest.mark.parametrize("categories", [None, [3]])
@pytest.mark.parametrize("leaves", [2, 7, 32])
def test_trees_by_enumeration(categories, leaves):
    rng = np.random.default_rng(leaves)
    matrix = rng.random((300, 4)).astype(np.float32)
    matrix[rng.random(matrix.shape) < 0.1] = np.nan
    matrix[:, 3] = rng.integers(0, 6, 300)
    truth = np.nan_to_num(matrix[:, 0]) * np.nan_to_num(matrix[:, 3]) + matrix[:, 3] % 2 > 1.2
    booster = HistGradientBoostingClassifier(
        max_iter=6, max_leaf_nodes=leaves, min_samples_leaf=3, categorical_features=categories
    ).fit(matrix, truth)
    masks = LeafMasks.of(booster)
    rows, background = matrix[40:44], matrix[:9]
    values, average = shapley_values(masks, rows, background)
    expected = enumerated(lambda mixed: masks(mixed)[:, 0], rows, background)
    np.testing.assert_allclose(values, expected, atol=1e-9)
    np.testing.assert_allclose(values.sum(axis=1) + average, masks(rows)[:, 0], atol=1e-9)


@pytest.mark.parametrize("kind", ["trees", "sklearn"])
def test_parts_add_up_to_the_log_odds(kind):
    model = make(kind).fit(DATA, "Bad")
    split = model.split_columns(DATA, "Bad", EVERY)
    said = model.log_odds(DATA, "Bad")
    np.testing.assert_allclose(split.parts.sum(axis=1) + split.average, said, atol=1e-4)
    assert np.abs(split.parts).max() > 0.01
    assert {"one", "two", "hue"} <= set(split.names)
    assert all(len(texts) == len(split.names) for texts in split.texts)


def test_linear_parts_are_coefficients_times_what_is_above_the_mean():
    model = make("sklearn", {"estimator": "logistic"}).fit(DATA, "Bad")
    split = model.split_columns(DATA, "Bad", EVERY)
    encoder = Encoder.from_values(model.encoder_)
    rows = rows_of(DATA, "Bad")
    matrix = encoder.dense_matrix(model.columns(DATA, rows, None)).astype(np.float64)
    above = (matrix - matrix.mean(axis=0)) * model.estimator_.coef_
    for j, own in enumerate(encoder.places()):
        np.testing.assert_allclose(split.parts[:, j], above[:, own].sum(axis=1), atol=1e-5)


@pytest.mark.parametrize("estimator", ["random_forest", "naive_bayes", "nearest"])
def test_what_is_not_linear_says_so(estimator):
    model = make("sklearn", {"estimator": estimator}).fit(DATA, "Bad")
    assert model.split_columns(DATA, "Bad", EVERY) is None
    mixed = FoldMean((make("trees").fit(DATA, "Bad"), model))
    assert mixed.split_columns(DATA, "Bad", EVERY) is None


def test_a_mean_of_models_is_split_as_its_models_are():
    models = tuple(make("trees", {"seed": seed}).fit(DATA, "Bad") for seed in (0, 1))
    split = FoldMean(models).split_columns(DATA, "Bad", EVERY)
    alone = [model.split_columns(DATA, "Bad", EVERY) for model in models]
    np.testing.assert_allclose(split.parts, (alone[0].parts + alone[1].parts) / 2, atol=1e-12)


@pytest.mark.parametrize(
    "calibration",
    [
        Calibration("platt", 0.5, -0.3),
        Calibration("isotonic", knots=(-1.0, 0.0, 1.0), levels=(-2.0, -1.0, 3.0)),
    ],
)
def test_parts_of_calibrated_ratios_add_up(calibration):
    model = make("trees").fit(DATA, "Bad")
    base = np.log(model.base_rate_ / (1 - model.base_rate_))
    ratios = calibration(model.log_odds(DATA, "Bad") - base)
    split = ratio_columns(model, DATA, "Bad", calibration, ratios)(EVERY)
    np.testing.assert_allclose(split.parts.sum(axis=1) + split.average, ratios, atol=1e-9)
    if calibration.method == "platt":
        raw = model.split_columns(DATA, "Bad", EVERY)
        np.testing.assert_allclose(split.parts, 0.5 * raw.parts, atol=1e-6)


TEXT = """
domain Node
attribute size(Node): float
query Bad(Node)
model eye for Bad = sklearn(estimator="logistic", features=["size"])
rule rare [-1] : Bad(x)
"""


def test_columns_of_a_share_add_up_to_it():
    program = kr.loads(TEXT)
    names = [f"n{i}" for i in range(40)]
    sizes = np.random.default_rng(0).random(40) * 10
    data = kr.Dataset.from_frames(
        program,
        facts={"size": {"n": names, "s": sizes}},
        labels={"Bad": {"n": names[:30], "bad": sizes[:30] > 5}},
    )
    reasoner = kr.Reasoner(program).fit(data)
    beliefs = reasoner.infer(data)
    found = reasoner.explain(beliefs, 'Bad("n35")')
    shares = {(s.kind, s.name): s.log_odds for s in found.shares}
    sums = dict.fromkeys(((c.kind, c.model) for c in found.columns), 0.0)
    assert any(name == "eye" for _, name in sums)
    for column in found.columns:
        sums[column.kind, column.model] += column.log_odds
    for key, total in sums.items():
        assert total == pytest.approx(shares[key], abs=1e-6)
    assert any(c.column == "size" and c.text for c in found.columns)
    blind = [replace(output, columns=None) for output in beliefs.outputs]
    explain = Explainer(beliefs.grounding, infer(beliefs.grounding.graph), blind)
    why = explain.explain(beliefs.grounding.atom_index("Bad", "n35"))
    assert "not split over columns: eye" in why.notes
