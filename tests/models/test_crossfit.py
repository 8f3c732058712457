from dataclasses import replace

import numpy as np
import pytest

from knowreason.data.splits.holdout import folds
from knowreason.errors import ModelError
from knowreason.models import (
    Calibration,
    KnowledgeModel,
    cross_fit,
    load_model,
    make,
    predicted,
    rows_of,
    save_model,
)
from knowreason.models.base.fold_mean import FoldMean
from knowreason.models.base.label_rows import LabelRows
from knowreason.models.base.predicate_rows import logit
from knowreason.models.tabular.score_column import ColumnModel
from knowreason.testing.example_world import example_data, with_label_values

SEEN: list[np.ndarray] = []


class Memory(KnowledgeModel):
    """Knows its training labels by heart: what cross-fitting must see through."""

    def fit(self, data, predicate):
        rows = rows_of(data, predicate)
        self.base_rate_ = rows.base_rate()
        self.labels_ = rows.labels
        SEEN.append(rows.labelled)
        return self

    def log_odds(self, data, predicate):
        truth = np.where(self.labels_ == 1, 9.0, -9.0)
        return np.where(self.labels_ < 0, logit(self.base_rate_), truth).astype(np.float32)


@pytest.fixture(scope="module")
def data():
    return example_data()


def test_no_row_is_scored_by_a_model_that_saw_its_label(data):
    SEEN.clear()
    found = cross_fit(Memory, data, "Bad", calibration="none")
    assert np.abs(found.output.llr).max() < 1e-6
    assert [len(rows) for rows in SEEN] == [50] * 6
    assert found.out_of_fold.sum() == 60
    assert not found.silent.any()


def test_forward_folds_see_only_the_past(data):
    SEEN.clear()
    found = cross_fit(Memory, data, "Fraud", kind="forward", calibration="none")
    fold = folds(data, "Fraud", 6, kind="forward", seed=0)
    for j, rows in enumerate(SEEN[:-1], start=1):
        assert set(fold[rows]) == set(range(j))
    assert found.silent.tolist() == (fold == 0).tolist()
    assert (found.output.llr[found.silent] == 0).all()
    assert "forward in time" in found.report[-1]
    assert not isinstance(found.model, FoldMean)


def test_unlabelled_rows_alone_get_the_final_model(data):
    found = cross_fit(lambda: make("trees", {"max_iter": 10}), data, "Bad")
    np.testing.assert_array_equal(found.output.llr[60:], found.predict(data).llr[60:])
    assert (found.output.llr[:60] != found.predict(data).llr[:60]).any()


def test_forward_folds_score_unlabelled_rows_by_the_model_of_their_time(data):
    fold = folds(data, "Fraud", 6, kind="forward", seed=0)
    blind = data.labels_only("Fraud", np.flatnonzero(np.arange(len(fold)) % 3 > 0))
    found = cross_fit(lambda: make("trees", {"max_iter": 10}), blind, "Fraud", kind="forward")
    unlabelled = rows_of(blind, "Fraud").labels < 0
    final = found.predict(blind).llr
    assert (found.output.llr[unlabelled & (fold > 1)] != final[unlabelled & (fold > 1)]).any()
    oldest = unlabelled & (rows_of(blind, "Fraud").time == 0)
    np.testing.assert_array_equal(found.output.llr[oldest], final[oldest])
    assert not found.silent[unlabelled].any()


def test_folds_of_a_functional_predicate_do_not_cut_settings(data):
    found = cross_fit(Memory3, data, "Has", calibration="none")
    assert np.abs(found.output.llr).max() < 1e-5
    assert found.output.llr.shape == (360,)


class Memory3(Memory):
    def log_odds(self, data, predicate):
        rows = rows_of(data, predicate)
        sure = np.where(self.labels_[:, None] == np.arange(rows.states), np.log(0.98), np.log(0.01))
        silent = rows.constant(self.base_rate_)
        return np.where(self.labels_[:, None] < 0, silent, sure).astype(np.float32)


def test_is_deterministic_and_depends_on_the_seed(data):
    def out_of_fold(seed):
        return cross_fit(lambda: make("sklearn"), data, "Bad", seed=seed).output.llr[:60]

    np.testing.assert_array_equal(out_of_fold(1), out_of_fold(1))
    assert (out_of_fold(1) != out_of_fold(2)).any()


def test_calibration_helps_an_overconfident_model(data):
    random = np.random.default_rng(0)
    noisy = random.random(240) < 0.3
    labels = data.labels["Fraud"].column("value").to_numpy() ^ noisy
    data = with_label_values(data, "Fraud", labels.astype(np.int8))

    def loss(method):
        found = cross_fit(lambda: make("trees"), data, "Fraud", calibration=method)
        margin = (found.output.llr + logit(found.output.base_rate)) * (2 * labels - 1)
        return np.logaddexp(0, -margin).mean()

    assert loss("platt") < loss("none")


def test_forward_folds_are_not_calibrated_and_random_ones_are(data):
    """Platt's step on models that saw less than the final one inflates what that one says."""

    def found(kind):
        return cross_fit(lambda: make("trees", {"max_iter": 10}), data, "Fraud", kind=kind)

    forward, random = found("forward"), found("random")
    assert forward.calibration.to_values() == Calibration().to_values()
    raw = forward.model.log_odds(data, "Fraud") - logit(forward.model.base_rate_)
    np.testing.assert_allclose(forward.predict(data).llr, raw, atol=1e-5)
    seen = folds(data, "Fraud", 6, kind="forward", seed=0)
    newest = seen == seen.max()
    past = data.labels_only("Fraud", np.flatnonzero(~newest))
    model = make("trees", {"max_iter": 10}).fit(past, "Fraud")
    expected = model.log_odds(data, "Fraud") - logit(model.base_rate_)
    np.testing.assert_allclose(forward.output.llr[newest], expected[newest], atol=1e-5)
    assert sum("not calibrated" in line for line in forward.report) == 1
    assert random.calibration.method == "platt"
    assert not any("not calibrated" in line for line in random.report)


def test_a_model_without_labels_needs_no_folds(data):
    blind = replace(data, labels={})
    found = cross_fit(lambda: make("column", {"column": "p"}), blind, "Bad")
    np.testing.assert_array_equal(found.output.llr, found.predict(blind).llr)
    with pytest.raises(ModelError) as caught:
        cross_fit(lambda: make("trees"), blind, "Bad")
    assert caught.value.code == "KR820"


def test_labels_alike_say_nothing(data):
    alike = with_label_values(data, "Bad", np.zeros(60, np.int8))
    found = cross_fit(lambda: make("trees"), alike, "Bad")
    assert np.abs(found.output.llr).max() < 0.5
    assert "all labels are alike" in found.report[0]


def test_progress_counts_the_fits(data):
    steps = []
    cross_fit(Memory, data, "Bad", folds=3, progress=lambda *step: steps.append(step[:2]))
    assert steps == [(0, 3), (1, 3), (2, 3), (3, 3)]
    steps.clear()
    refit = {"deploy": "refit", "progress": lambda *step: steps.append(step[:2])}
    cross_fit(Memory, data, "Bad", folds=3, **refit)
    assert steps == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]


def test_predicts_other_data(data):
    other = example_data(nodes=40, payments=60, seed=3, first=500)
    model = make("sklearn").fit(data, "Bad")
    output = predicted(model, other, "Bad", "main")
    assert output.llr.shape == (40,)
    assert output.model == "main"
    expected = model.log_odds(other, "Bad") - logit(model.base_rate_)
    np.testing.assert_allclose(output.llr, expected, atol=1e-5)


def test_groups_stay_together(data):
    SEEN.clear()
    found = cross_fit(Memory, data, "Bad", kind="group:tag", calibration="none")
    labels = rows_of(data, "Bad").labels
    assert [set(labels[rows]) for rows in SEEN[:-1]] in ([{0}, {1}], [{1}, {0}])
    assert "1 group holds the rarest label" in found.report[0]


def trees():
    return make("trees", {"max_iter": 10})


def test_what_is_deployed_is_the_mean_of_what_was_judged(data):
    found = cross_fit(trees, data, "Bad", calibration="none")
    rows = rows_of(data, "Bad")
    labels = LabelRows.of(data, rows, 6, "grouped", 0)
    fitted = [
        trees().fit(labels.restricted(data, "Bad", labels.fold != fold), "Bad")
        for fold in labels.order
    ]
    other = example_data(nodes=40, payments=60, seed=3, first=500)
    each = [predicted(model, other, "Bad", "one").llr for model in fitted]
    assert len({scores.tobytes() for scores in each}) > 3
    np.testing.assert_allclose(found.predict(other).llr, np.mean(each, axis=0), atol=1e-5)
    for fold, model in zip(labels.order, fitted, strict=True):
        own = labels.scored_with == fold
        judged = predicted(model, data, "Bad", "one").llr[own]
        np.testing.assert_allclose(found.output.llr[own], judged, atol=1e-5)
    assert found.report[0] == "final model: mean of 6, each without a sixth of the 15 rows with Bad"


def test_rows_of_a_group_are_scored_by_a_model_that_saw_none_of_it(data):
    groups = np.arange(120) % 40
    SEEN.clear()
    found = cross_fit(Memory, data, "Bad", groups=groups, groups_are="sources")
    rows = rows_of(data, "Bad")
    labels = LabelRows.of(data, rows, 6, "grouped", 0, groups)
    for fold, seen in zip(labels.order, SEEN, strict=True):
        assert not set(groups[seen]) & set(groups[labels.scored_with == fold])
    assert (labels.scored_with >= 0).all()  # unlabelled rows go with their group
    assert "sources with Bad" in found.report[0]


def test_few_labels_or_groups_make_one_model_of_all_and_it_is_only_shrunk(data):
    few = data.labels_only("Bad", np.arange(24))
    for found, why in (
        (cross_fit(trees, few, "Bad"), "6 labels are of the rarest kind"),
        (cross_fit(trees, data, "Bad", groups=np.arange(120) // 4 % 2), "2 groups hold"),
    ):
        assert not isinstance(found.model, FoldMean)
        assert found.shrunk
        assert 0 < found.calibration.slope <= 1
        assert found.calibration.intercept == 0
        assert why in found.report[0]
        assert not found.matched
        assert found.learned_from_labels
    for found in (
        cross_fit(trees, data, "Bad", deploy="refit"),
        cross_fit(trees, data, "Fraud", kind="forward"),
    ):
        assert not isinstance(found.model, FoldMean)
        assert found.calibration == Calibration()
        assert not found.matched


class Sure(KnowledgeModel):
    """Says what is true with some certainty, and a little of what its labels are."""

    def __init__(self, truth=None, certainty=3.0, own=0.0):
        self.truth, self.certainty, self.own = truth, certainty, own

    def fit(self, data, predicate):
        rows = rows_of(data, predicate)
        self.base_rate_ = rows.base_rate()
        self.seen_ = float(np.sin(rows.labelled.sum()))  # another with each fold
        return self

    def log_odds(self, data, predicate):
        said = np.where(self.truth == 1, self.certainty, -self.certainty)
        varied = np.random.default_rng(int(1e6 * abs(self.seen_))).normal(size=len(said))
        return (said + logit(self.base_rate_) + self.own * varied).astype(np.float32)


@pytest.mark.parametrize(
    ("certainty", "own", "right", "low", "high"),
    [
        (1.5, 0.01, True, 0.95, 1.0),  # right about labels it has not seen: as it is
        (0.1, 0.01, True, 0.95, 1.0),  # says less than labels bear out: never above 1
        (5.0, 0.01, False, 0.0, 0.45),  # fold models agree on what labels deny
        (3.0, 4.0, True, 0.0, 0.6),  # fold models say each something else
    ],
)
def test_a_refitted_model_counts_for_what_it_is_worth(data, certainty, own, right, low, high):
    few = data.labels_only("Bad", np.arange(24))
    rows = rows_of(few, "Bad")
    noise = np.random.default_rng(0).permuted(rows.labels[rows.labelled])
    truth = np.zeros(rows.count, int)
    truth[rows.labelled] = rows.labels[rows.labelled] if right else noise
    found = cross_fit(lambda: Sure(truth, certainty, own), few, "Bad")
    assert found.calibration.method == "shrunk"
    assert low <= found.calibration.slope <= high
    assert found.calibration.intercept == 0
    raw = found.model.log_odds(data, "Bad") - logit(found.model.base_rate_)
    np.testing.assert_allclose(found.predict(data).llr, found.calibration.slope * raw, atol=1e-5)


def test_a_given_score_is_calibrated_and_kept_once(data):
    """Its fold models are as strong as the final one: there is nothing to fit."""
    few = data.labels_only("Bad", np.arange(24))
    for shown in (data, few):
        found = cross_fit(lambda: make("column", {"column": "p"}), shown, "Bad")
        assert not isinstance(found.model, FoldMean)
        assert found.calibration.method == "platt"


@pytest.mark.parametrize("predicate", ["Bad", "Has"])
def test_a_mean_survives_storage(data, predicate, tmp_path):
    model = FoldMean((trees(), trees(), trees())).fit(data, predicate)
    save_model(model, tmp_path)
    again = load_model(tmp_path)
    said = model.log_odds(data, predicate)
    np.testing.assert_array_equal(again.log_odds(data, predicate), said)
    np.testing.assert_array_equal(again.base_rate_, model.base_rate_)
    if said.ndim == 2:
        np.testing.assert_allclose(np.exp(said).sum(axis=1), 1, atol=1e-5)


def test_parts_of_a_mean_are_means_of_parts(data):
    class Parted(Memory):
        def parts(self, data, predicate):
            return {"known": (self.labels_ >= 0).astype(np.float32)}

    mean = cross_fit(Parted, data, "Bad", folds=3).model
    parts = mean.parts(data, "Bad")["known"]
    np.testing.assert_allclose(parts[:60], 2 / 3, atol=1e-6)
    assert (parts[60:] == 0).all()


def test_a_given_score_is_fitted_once_and_says_what_it_said_in_every_fold(data, monkeypatch):
    fits = []
    plain = ColumnModel.fit

    def counted(self, *args, **options):
        fits.append(self)
        return plain(self, *args, **options)

    monkeypatch.setattr(ColumnModel, "fit", counted)
    once = cross_fit(lambda: ColumnModel("p"), data, "Bad")
    assert len(fits) == 1
    monkeypatch.setattr(ColumnModel, "learns", True)
    again = cross_fit(lambda: ColumnModel("p"), data, "Bad")
    assert len(fits) > 3
    np.testing.assert_array_equal(once.output.llr, again.output.llr)
    assert once.calibration == again.calibration
    assert once.report == again.report
    assert not once.learned_from_labels
