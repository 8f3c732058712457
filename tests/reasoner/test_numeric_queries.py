"""Numeric queries: out of fold, deployed, read by rules, stored; and what is refused."""

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.linear_model import LinearRegression
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error
from sklearn.model_selection import PredefinedSplit, cross_val_predict

import knowreason as kr
from knowreason.data import Dataset, EdgeList
from knowreason.errors import GroundingError, KnowreasonError, ModelError, ProjectError
from knowreason.evaluate.prequential import RefitSchedule, prequential
from knowreason.metrics.numeric_metrics import evaluate_numbers
from knowreason.models.base.label_rows import LabelRows

LINEAR = 'sklearn(estimator="sklearn.linear_model.LinearRegression")'
RULES = """
query Costly(N)
rule dear [? * load(x)] : Costly(x)
rule heavy [?]          : load(x) > 1 => Costly(x)
"""
ONLY_RULES = kr.Settings(answer="rules", weights="learned", auto_trees=False)
COUNT, LABELLED = 90, 60


def program(model: str = LINEAR, rules: str = RULES, head: str = "") -> kr.Program:
    return kr.loads(f"domain N\n{head}query load(N): float\nmodel m for load = {model}\n{rules}")


def world(seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(COUNT, 3))
    y = x @ [1.0, -0.5, 0.2] + 0.3 * rng.normal(size=COUNT)
    costly = y + 0.5 * rng.normal(size=COUNT) > 0.5
    return {"names": np.array([f"n{i}" for i in range(COUNT)]), "x": x, "y": y, "costly": costly}


def bound(p: kr.Program, w: dict, order=None, rename=str, **more) -> Dataset:
    """All things, the numbers of the first 60, the truths of every second of them."""
    order = np.arange(LABELLED) if order is None else order
    names = np.array([rename(name) for name in w["names"]])
    labels = {"load": {"n": names[order], "y": w["y"][order]}}
    if any(predicate.kind == "query" for predicate in p.predicates):
        labels["Costly"] = {"n": names[:LABELLED:2], "c": w["costly"][:LABELLED:2]}
    columns = {"n": names, "a": w["x"][:, 0], "b": w["x"][:, 1], "c": w["x"][:, 2]}
    things = {"N": {"n": names}}
    return Dataset.from_frames(p, things=things, labels=labels, features={"N": columns}, **more)


@pytest.fixture(scope="module")
def fitted():
    data = bound(program(), world())
    return data, kr.Reasoner(data.program, settings=ONLY_RULES).fit(data)


def by_hand(data: Dataset, w: dict) -> tuple[np.ndarray, np.ndarray]:
    """Out-of-fold estimates of labelled rows, and the mean of the fold models elsewhere."""
    rows = kr.models.rows_of(data, "load")
    fold = LabelRows.of(data, rows, 6, "grouped", 0).fold_of_row[:LABELLED]
    x, y = w["x"][:LABELLED], w["y"][:LABELLED]
    held = cross_val_predict(LinearRegression(), x, y, cv=PredefinedSplit(fold))
    each = [LinearRegression().fit(x[fold != k], y[fold != k]).predict(w["x"]) for k in range(6)]
    return held, np.mean(each, axis=0)


def values(data: Dataset) -> np.ndarray:
    table = data.attributes["load"]
    said = np.full(COUNT, np.nan)
    said[table.column("a0").to_numpy()] = table.column("value").to_numpy()
    return said


def test_rules_learn_from_estimates_that_have_not_seen_the_label(fitted):
    data, reasoner = fitted
    held, mean = by_hand(data, world())
    read = values(reasoner.grounding_.data)
    np.testing.assert_allclose(read[:LABELLED], held, atol=1e-5)
    np.testing.assert_allclose(read[LABELLED:], mean[LABELLED:], atol=1e-5)
    error = root_mean_squared_error(world()["y"][:LABELLED], held)
    assert reasoner.estimates_[0].fitted.error == pytest.approx(error, rel=1e-5)


def test_the_mean_of_the_fold_models_is_deployed(fitted):
    data, reasoner = fitted
    _, mean = by_hand(data, world())
    np.testing.assert_allclose(values(reasoner.infer(data).grounding.data), mean, atol=1e-5)
    table = reasoner.estimate(data).to_arrow()
    assert table.column_names == ["n", "value", "sd"]
    assert table.num_rows == COUNT - LABELLED  # what is known is not asked
    np.testing.assert_allclose(
        table.column("value").to_numpy(), np.sort(mean[LABELLED:])[::-1], atol=1e-5
    )
    assert set(table.column("sd").to_pylist()) == {reasoner.estimates_[0].fitted.error}


def test_weights_are_those_of_an_attribute_with_these_values(fitted):
    _, reasoner = fitted
    read = values(reasoner.grounding_.data)
    plain = kr.loads(f"domain N\nattribute load(N): float\n{RULES}")
    names = world()["names"]
    same = Dataset.from_frames(
        plain,
        things={"N": {"n": names}},
        facts={"load": {"n": names, "v": read}},
        labels={"Costly": {"n": names[:LABELLED:2], "c": world()["costly"][:LABELLED:2]}},
    )
    other = kr.Reasoner(plain, settings=ONLY_RULES).fit(same)
    ours = {w.name: w.value for w in reasoner.weights_}
    assert ours == pytest.approx({w.name: w.value for w in other.weights_}, abs=1e-6)
    assert ours["dear"] > 0.3


def test_order_of_rows_and_names_change_nothing(fitted):
    data, reasoner = fitted
    before = reasoner.infer(data)
    shuffled = bound(data.program, world(), np.random.default_rng(3).permutation(LABELLED))
    again = kr.Reasoner(data.program, settings=ONLY_RULES).fit(shuffled)
    np.testing.assert_allclose(values(again.infer(shuffled).grounding.data),
                               values(before.grounding.data), atol=1e-5)  # fmt: skip
    renamed = kr.loads(str(data.program).replace("load", "zeal").replace("N)", "Item)")
                       .replace("domain N", "domain Item"))  # fmt: skip
    w = world()
    names = np.array([f"item {n}" for n in w["names"]])
    other = Dataset.from_frames(
        renamed,
        things={"Item": {"n": names}},
        labels={
            "zeal": {"n": names[:LABELLED], "y": w["y"][:LABELLED]},
            "Costly": {"n": names[:LABELLED:2], "c": w["costly"][:LABELLED:2]},
        },
        features={"Item": {"n": names, **{c: w["x"][:, i] for i, c in enumerate("abc")}}},
    )
    beliefs = kr.Reasoner(renamed, settings=ONLY_RULES).fit(other).infer(other)
    np.testing.assert_allclose(beliefs.log_odds, before.log_odds, atol=1e-6)


def test_a_stored_run_says_the_same_and_its_model_is_taken_again(fitted, tmp_path):
    data, reasoner = fitted
    reasoner.save(tmp_path / "run")
    again = kr.load_run(tmp_path / "run").reasoner
    assert again.estimate(data).to_arrow().equals(reasoner.estimate(data).to_arrow())
    np.testing.assert_array_equal(again.infer(data).log_odds, reasoner.infer(data).log_odds)
    np.testing.assert_array_equal(
        values(again.training_grounding(data).data), values(reasoner.grounding_.data)
    )
    more = program(rules=RULES + "rule rare [? -1] : Costly(x)\n")
    wider = bound(more, world())
    taken = kr.Reasoner(more, settings=ONLY_RULES).fit(wider, models=tmp_path / "run")
    assert taken.estimates_[0].origin.startswith("taken from")
    changed = world() | {"y": world()["y"] + 1}
    refit = kr.Reasoner(more, settings=ONLY_RULES).fit(
        bound(more, changed), models=tmp_path / "run"
    )
    assert "labels of `load` changed" in refit.estimates_[0].origin


def test_explanations_show_the_share_of_the_rule(fitted):
    data, reasoner = fitted
    said = str(reasoner.explain(reasoner.infer(data), 'Costly("n80")'))
    assert "rule dear" in said


def test_models_of_predicates_may_see_it_and_those_of_numbers_may_not():
    seeing = program(rules=RULES + 'model t for Costly = sklearn(features=["load", "a"])\n')
    data = bound(seeing, world())
    reasoner = kr.Reasoner(seeing).fit(data)
    assert "load" in str(reasoner.models_[0].fitted.prototype.encoder_)
    own = program('trees(features=["load"])')
    with pytest.raises(GroundingError) as caught:
        kr.Reasoner(own).fit(bound(own, world()))
    assert caught.value.code == "KR668"


def test_without_any_predicate():
    alone = program(rules="")
    train, test = bound(alone, world()).split_random("load", test=0.5, seed=1)
    reasoner = kr.Reasoner(alone).fit(train)
    figures = reasoner.score(test)
    assert list(figures) == ["rmse", "mae", "r2", "spearman"]
    assert figures["r2"].low > 0.5
    with pytest.raises(KnowreasonError, match="estimate"):
        reasoner.infer(test).marginals("load")


def test_folds_forward_in_time_leave_the_first_without_a_value():
    head = "attribute at(N): int clock\n"
    p, w = program(head=head), world()
    at = {"n": w["names"], "v": np.arange(COUNT)}
    data = bound(p, w, facts={"at": at})
    reasoner = kr.Reasoner(p, folds="forward", settings=ONLY_RULES).fit(data)
    found = reasoner.estimates_[0].fitted
    first = LabelRows.of(data, kr.models.rows_of(data, "load"), 6, "forward", 0).fold_of_row == 0
    assert (found.silent == first).all()
    assert np.isnan(values(reasoner.grounding_.data))[first].all()
    assert found.model.name == "sklearn"  # fitted once more, on all
    again = reasoner.infer(data)
    assert not np.isnan(values(again.grounding.data)).any()


def test_slices_are_walked_through_with_numbers_refitted():
    head = "attribute at(N): int clock\n"
    p, w = program(head=head), world()
    at = {"n": w["names"], "v": np.arange(COUNT) // 15}
    data = bound(p, w, facts={"at": at})
    schedule = RefitSchedule(weights=1, models=1)
    walk = prequential(kr.Reasoner(p, settings=ONLY_RULES), data, "at", 2, schedule=schedule)
    assert len(walk.log_odds) == 15  # of slices 2 and 3, every second is labelled
    assert np.isfinite(walk.log_odds).all()
    assert walk.log_odds[walk.truth].mean() > walk.log_odds[~walk.truth].mean()


def test_labels_outside_of_what_is_asked_are_counted():
    near = "observed Near(N)\n"
    p = kr.loads(str(program(rules="", head=near)).replace(": float", ": float within Near"))
    w = world()
    data = bound(p, w, facts={"Near": {"n": w["names"][:50]}})
    reasoner = kr.Reasoner(p).fit(data)
    assert "10 labels are outside of `within`" in " ".join(reasoner.estimates_[0].fitted.report)
    assert reasoner.estimate(data).to_arrow().num_rows == 0


def test_clusters_are_never_told_apart():
    head = "domain City\nattribute city(N): City\n"
    p, w = program(head=head), world()
    city = {"n": w["names"], "v": [f"c{i % 12}" for i in range(COUNT)]}
    data = bound(p, w, facts={"city": city})
    settings = kr.Settings(clusters="city", answer="rules", weights="learned", auto_trees=False)
    reasoner = kr.Reasoner(p, settings=settings).fit(data)
    rows = kr.models.rows_of(data, "load")
    groups = np.arange(COUNT) % 12
    fold = LabelRows.of(data, rows, 6, "grouped", 0, groups).fold_of_row[:LABELLED]
    x, y = w["x"][:LABELLED], w["y"][:LABELLED]
    held = cross_val_predict(LinearRegression(), x, y, cv=PredefinedSplit(fold))
    np.testing.assert_allclose(values(reasoner.grounding_.data)[:LABELLED], held, atol=1e-5)
    assert "values of `city`" in " ".join(reasoner.estimates_[0].fitted.report)


@pytest.mark.parametrize(
    "model",
    [
        "trees(max_iter=20)",
        "trees(max_iter=20, early_stopping=true)",
        'sklearn(estimator="random_forest_regressor", n_estimators=5)',
        'sklearn(estimator="nearest_regressor")',
        'sklearn(estimator="sklearn.svm.SVR")',
        "torch(epochs=25)",
        "noisy(torch(epochs=20), passes=2)",
        "gnn(epochs=15, hidden=8)",
        "infomax(epochs=2, hidden=4, classifier=trees(hops=0, max_iter=10))",
    ],
)
def test_regression_heads_are_in_the_units_of_the_labels(model, tmp_path):
    """Numbers far from 0 and of another scale are estimated as well, and stored."""
    w = world()
    w["y"] = 5_000 + 300 * w["y"]
    p = program(model, rules="")
    ends = {"a": w["names"], "b": np.roll(w["names"], 1)}
    data = bound(p, w, graph=EdgeList(ends, source="a:N", target="b:N"))
    reasoner = kr.Reasoner(p).fit(data)
    error, spread = reasoner.estimates_[0].fitted.error, w["y"][:LABELLED].std()
    assert error < (1.05 if "noisy" in model or "SVR" in model else 0.98) * spread
    reasoner.save(tmp_path / "run")
    again = kr.load_run(tmp_path / "run").reasoner
    assert again.estimate(data).to_arrow().equals(reasoner.estimate(data).to_arrow())


@pytest.mark.parametrize(
    ("model", "code"),
    [
        ("gad_ebm()", "KR883"),
        ('column("s")', "KR883"),
        ('label_functions(votes=["v"])', "KR883"),
        ("diffusion(classifier=trees())", "KR883"),
        ('sklearn(estimator="logistic")', "KR884"),
    ],
)
def test_models_of_truths_are_refused(model, code):
    p = program(model, rules="")
    with pytest.raises(ModelError) as caught:
        kr.Reasoner(p).fit(bound(p, world()))
    assert caught.value.code == code


def test_a_regressor_for_a_predicate_is_refused():
    p = kr.loads('domain N\nquery Costly(N)\nmodel m for Costly = sklearn(estimator="ridge")')
    w = world()
    labels = {"Costly": {"n": w["names"], "c": w["costly"]}}
    columns = {"N": {"n": w["names"], "a": w["x"][:, 0]}}
    with pytest.raises(ModelError, match=r"KR884.*query costly"):
        kr.Reasoner(p).fit(Dataset.from_frames(p, labels=labels, features=columns))


def test_too_few_labels():
    p, w = program(rules=""), world()
    with pytest.raises(ModelError, match=r"KR820.*has 1 labels of `load`"):
        kr.Reasoner(p).fit(bound(p, w, np.arange(1)))
    with pytest.raises(ModelError, match=r"KR820.*has 0 labels of `load`"):
        kr.Reasoner(p).fit(bound(p, w, np.arange(0)))


def test_nothing_is_grounded_before_the_estimate(fitted):
    data, reasoner = fitted
    with pytest.raises(GroundingError, match=r"KR668.*no values yet"):
        kr.ground(data.program, data)
    with pytest.raises(ProjectError, match=r"KR912"):
        reasoner.estimate(data, "Costly")
    with pytest.raises(ModelError, match=r"KR883"):
        kr.models.cross_fit(lambda: kr.models.make("trees"), data, "load")


def test_figures_are_those_of_scikit_learn_and_of_repeated_rows():
    rng = np.random.default_rng(0)
    truth, said = rng.normal(1e6, 2, 40), rng.normal(1e6, 2, 40)
    figures = evaluate_numbers(truth, {"m": said}, resamples=50, seed=3)["m"]
    assert figures["rmse"].value == pytest.approx(root_mean_squared_error(truth, said))
    assert figures["mae"].value == pytest.approx(mean_absolute_error(truth, said))
    assert figures["r2"].value == pytest.approx(r2_score(truth, said), rel=1e-6)
    assert figures["spearman"].value == pytest.approx(spearmanr(truth, said).statistic)
    draws = kr.metrics.intervals.draw(40, None, 50, 3)
    drawn = [np.repeat(np.arange(40), n.astype(int)) for block in draws.weights() for n in block]
    r2 = [r2_score(truth[rows], said[rows]) for rows in drawn]
    assert figures["r2"].low == pytest.approx(np.percentile(r2, 2.5), rel=1e-6)
    constant = evaluate_numbers(np.ones(5), {"m": np.ones(5)}, resamples=0)["m"]
    assert np.isnan(constant["r2"].value)
    assert np.isnan(constant["spearman"].value)
