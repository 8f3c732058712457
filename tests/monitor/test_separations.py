"""Models are judged by beliefs without them: who broke is named, and adapted to."""

import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from scipy.special import expit
from sklearn.metrics import average_precision_score

from knowreason import Dataset, Reasoner, lang
from knowreason.data.features import FeatureSource
from knowreason.models.stacked.pool import Pool
from knowreason.models.stacked.stacking import Stacking
from knowreason.monitor.adaptation import NOTHING_TO_ADAPT
from knowreason.monitor.period_snapshot import Snapshot
from knowreason.monitor.separations import Separation, broken_model, kept_shares, separation
from knowreason.project.settings import Settings
from knowreason.reasoner.labels.asked_labels import hidden_truth

HUBS = """
domain Event, Site
observed At(Event, site: Site)
query Bad(Event)
latent Taken(Site)
model one for Bad = sklearn("logistic", features=["x0"])
model two for Bad = sklearn("logistic", features=["x1"])
rule rare   [-4]   : Bad(e)
rule hub    [4]    : Taken(s) & At(e, site: s) ~> Bad(e)
rule seldom [-2.5] : Taken(s)
"""


def events(seed, left=(1.0, 1.0), sites=250, visits=8):
    """Events at sites of which some are taken; models that see a share of the bad ones."""
    rng = np.random.default_rng(seed)
    taken = rng.random(sites) < 0.08
    site = np.repeat(np.arange(sites), visits)
    bad = rng.random(len(site)) < np.where(taken[site], 0.6, 0.01)
    seen = [bad & (rng.random(len(site)) < share) for share in left]
    columns = {f"x{i}": rng.normal(size=len(site)) + 1.8 * s for i, s in enumerate(seen)}
    frame = pl.DataFrame({"id": [f"e{i}" for i in range(len(site))], **columns})
    sited = frame.select("id", pl.Series("site", [f"s{i}" for i in site]))
    return Dataset.from_frames(
        lang.loads(HUBS),
        facts={"At": sited},
        labels={"Bad": frame.select("id", pl.Series("v", bad.astype(np.int8)))},
        features={"Event": FeatureSource(frame)},
        things={"Event": frame["id"]},
    )


def today(seed, left=(1.0, 1.0)):
    data = events(seed, left)
    return data.hide("Bad", np.ones(data.labels["Bad"].num_rows, dtype=bool))


def named(beliefs):
    return {m for m in ("one", "two") if any(f"model `{m}` sees" in n for n in beliefs.notes)}


@pytest.fixture(scope="module")
def reasoner():
    data = events(1)
    return Reasoner(data.program, folds="random", settings=Settings(fold_count=3)).fit(data)


@pytest.mark.parametrize(("left", "model"), [((0.0, 1.0), "one"), ((1.0, 0.0), "two")])
def test_of_two_models_the_one_that_broke_is_named_and_adapted_to(reasoner, left, model):
    beliefs = reasoner.infer(today(5, left), adapt="reliability")
    assert named(beliefs) == {model}
    (line,) = [line for line in beliefs.diagnosis if f"`{model}` for Bad" in line]
    assert "by beliefs without it" in line
    assert "training" in line
    atoms, truth = hidden_truth(beliefs, "Bad")
    before, after = (b.log_odds[atoms] for b in (beliefs.unadapted, beliefs))
    assert average_precision_score(truth, after) > average_precision_score(truth, before)
    assert np.logaddexp(0, -after)[truth == 1].mean() < np.logaddexp(0, -before)[truth == 1].mean()


def test_the_mean_gives_way_to_what_rules_say():
    data = events(2)
    settings = Settings(fold_count=3, answer="mean")
    reasoner = Reasoner(data.program, folds="random", settings=settings).fit(data)
    beliefs = reasoner.infer(today(5, (0.0, 1.0)), adapt="reliability")
    assert named(beliefs) == {"one"}
    assert beliefs.unadapted.answers["Bad"].pool.kind == "mean"
    assert beliefs.answers["Bad"].pool.kind == "rules"
    assert any("rules over models are the answer" in note for note in beliefs.notes)
    explained = reasoner.explain(beliefs, 'Bad("e3")')
    (atom,) = np.flatnonzero(
        [n == "e3" for n in beliefs.marginals("Bad").table["event"].to_pylist()]
    )
    probability = beliefs.marginals("Bad").table["probability"][int(atom)].as_py()
    assert explained.probability == pytest.approx(probability, abs=1e-6)


@pytest.mark.parametrize("seed", range(10, 16))
def test_where_nothing_broke_nobody_is_named(reasoner, seed):
    beliefs = reasoner.infer(today(seed), adapt="reliability")
    assert named(beliefs) == set()
    assert NOTHING_TO_ADAPT in beliefs.notes


def test_a_snapshot_of_an_earlier_version_is_read(reasoner):
    values = json.loads(json.dumps(reasoner.snapshot_.to_values()))
    assert values["separations"]
    del values["separations"]
    old = Snapshot.from_values(values)
    assert old.separations == ()
    learned = replace(reasoner.learned(), snapshot=old)
    again = Reasoner(reasoner.program).adopt(learned)
    assert all("without it" not in line for line in again.infer(today(5)).diagnosis)


def test_separation_is_a_regression_with_whole_clusters_left_out():
    rng = np.random.default_rng(0)
    cluster = rng.integers(0, 12, 200)
    p = expit(rng.normal(size=200) + rng.normal(size=12)[cluster])
    ratios = rng.normal(size=200) + 2 * (rng.random(200) < p)
    slope, error = separation(ratios, p, cluster)
    assert slope == pytest.approx(np.polyfit(p, ratios, 1)[0])
    held = [np.polyfit(p[cluster != g], ratios[cluster != g], 1)[0] for g in np.unique(cluster)]
    assert error == pytest.approx(np.sqrt(11 / 12 * np.square(held - np.mean(held)).sum()))
    assert np.isnan(separation(ratios, np.full(200, 0.3), cluster)).all()


def rows(**differences):
    """Readings ``judged_without=(difference, error)``, predicate P throughout."""
    split = [(name.split("_"), value) for name, value in differences.items()]
    return [Separation(one, "P", out, "P", *value) for (one, out), value in split]


def test_the_model_that_alone_explains_what_fell():
    then = rows(a_a=(3, 0.2), b_a=(2, 0.2), a_b=(3, 0.2), b_b=(2, 0.2), t_a=(4, 0.3))
    # without `a`, `b` is what it was; without `b`, nothing is left to judge by
    now = rows(a_a=(0.6, 0.3), b_a=(2.1, 0.3), a_b=(0, 0.5), b_b=(0, 0.5), t_a=(1, 0.3))
    assert broken_model(now, then)[1].model == "a"
    kept = kept_shares(now, then)
    assert kept == {("a", "P"): pytest.approx(0.2), ("t", "P"): pytest.approx(0.25)}
    everywhere = rows(a_a=(0.6, 0.3), b_a=(0.1, 0.3), a_b=(0, 0.5), b_b=(0, 0.5))
    assert broken_model(everywhere, then) is None  # both fell: not one model alone
    unsure = rows(a_a=(0.6, 1.5), b_a=(2.1, 0.3), a_b=(3, 0.2), b_b=(2, 0.2))
    assert broken_model(unsure, then) is None
    slight = rows(a_a=(2.2, 0.01), b_a=(2.1, 0.3), a_b=(3, 0.2), b_b=(2, 0.2))
    assert broken_model(slight, then) is None


def test_a_pool_whose_model_broke_is_what_rules_say():
    stacking = Stacking(("a", "b"), (0.5, 0.5), (0.0, 0.0), -3.0)
    pool = Pool("P", "mean", -3.0, 0.9, 0.1, stacking, 0.4, (("a", 0.7),))
    assert pool.broken([]) is pool
    assert pool.broken(["a"]) == replace(pool, kind="rules", stacking=None, offset=0.7)
    assert replace(pool, kind="models").broken(["a"]).kind == "models"
    values = json.loads(json.dumps(pool.to_values()))
    assert Pool.from_values(values) == pool
    del values["without"]
    assert Pool.from_values(values) == replace(pool, without=())
