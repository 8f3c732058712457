"""What rules tie together no fold tells apart."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

import knowreason as kr
from knowreason import Dataset, Reasoner
from knowreason.data.features import FeatureSource
from knowreason.models import Calibration, rows_of
from knowreason.models.base.fold_mean import FoldMean
from knowreason.models.base.label_rows import LabelRows
from knowreason.reasoner.fit_steps import with_calibration_warnings
from knowreason.reasoner.labels.fold_groups import FoldGroups, fold_kind

PROGRAM = """
domain Pay, Host
observed At(Pay, Host)
observed Near(Host, Host)
attribute firm(Pay): string
attribute hour(Pay): int clock
query Bad(Pay)
latent Hub(Host)
model main for Bad = sklearn("logistic", features=["x"])
"""
HUB = "rule hub [2] : Hub(h) & At(p, h) => Bad(p)\n"
HOSTS, EACH = 30, 8


def world(rules, pays=HOSTS * EACH):
    rng = np.random.default_rng(0)
    host = np.arange(pays) % HOSTS
    bad = (host % 2 == 0) & (rng.random(pays) < 0.6)
    ids = [f"p{i}" for i in range(pays)]
    return Dataset.from_frames(
        kr.loads(PROGRAM + rules),
        facts={
            "At": {"p": ids, "h": [f"h{i}" for i in host]},
            "Near": {
                "a": [f"h{i}" for i in range(HOSTS - 1)],
                "b": [f"h{i + 1}" for i in range(HOSTS - 1)],
            },
            "firm": {"p": ids, "v": [f"f{i // 24}" for i in range(pays)]},
            "hour": {"p": ids, "v": list(range(pays))},
        },
        labels={"Bad": {"p": ids[: pays // 2], "v": bad[: pays // 2].astype(int).tolist()}},
        features={"Pay": FeatureSource(pl.DataFrame({"p": ids, "x": rng.normal(size=pays) + bad}))},
    )


def groups(data, clusters=""):
    return FoldGroups.by(kr.ground(data.program, data), clusters).of(data, "Bad")


def test_payments_at_one_hub_stay_together():
    group, named = groups(world(HUB))
    host = np.arange(HOSTS * EACH) % HOSTS
    assert len(np.unique(group)) == HOSTS
    assert all(len(set(group[host == one])) == 1 for one in range(HOSTS))
    assert named == "groups of rows that rules tie together"


def test_an_attribute_comes_before_rules():
    group, named = groups(world(HUB), "firm")
    np.testing.assert_array_equal(np.unique(group, return_inverse=True)[1], np.arange(240) // 24)
    assert named == "values of `firm`"


@pytest.mark.parametrize("rules", ["", HUB + "rule near : Hub(a) & Near(a, b) => Hub(b)\n"])
def test_rows_are_alone_where_rules_tie_none_or_all(rules):
    assert groups(world(rules)) == (None, "rows")


def test_the_reasoner_deploys_the_mean_of_models_that_each_missed_whole_hubs(tmp_path):
    data = world(HUB)
    made = Reasoner(data.program).fit(data)
    (model,) = made.models_
    assert isinstance(model.fitted.model, FoldMean)
    assert model.fitted.report[0].startswith("final model: mean of 6, each without a sixth of the")
    assert "groups of rows that rules tie together with Bad" in model.fitted.report[0]
    labels = LabelRows.of(data, rows_of(data, "Bad"), 6, "grouped", 0, groups(data)[0])
    host = np.arange(HOSTS * EACH) % HOSTS
    assert all(len(set(labels.scored_with[host == one])) == 1 for one in range(HOSTS))
    made.save(tmp_path / "run")
    again = kr.load_run(tmp_path / "run").reasoner
    np.testing.assert_array_equal(again.predict_proba(data), made.predict_proba(data))
    assert len(again.models_[0].fitted.model.models) == 6


def test_one_model_of_all_labels_on_request():
    data = world(HUB)
    made = Reasoner(data.program, settings=kr.Settings(deploy="refit")).fit(data)
    assert not isinstance(made.models_[0].fitted.model, FoldMean)
    assert made.models_[0].fitted.calibration == Calibration()


def test_folds_go_forward_only_where_definitions_read_labels():
    reads = "define often(p) := rate { Bad(q) for q : firm(q) = firm(p) prior 0.3 of 2 }\n"
    assert fold_kind(kr.loads(PROGRAM + HUB), "Bad") == "grouped"
    assert fold_kind(kr.loads(PROGRAM + HUB + reads), "Bad") == "forward"


def test_a_calibration_that_moves_far_is_a_warning():
    data = world(HUB)
    made = Reasoner(data.program).fit(data)
    (model,) = made.models_

    def warned(intercept):
        moved = Calibration("platt", 1.0, intercept)
        changed = replace(model, fitted=replace(model.fitted, calibration=moved))
        found = with_calibration_warnings(made.grounding_, (changed,)).warnings
        return [w.message for w in found if w.code == "KR843"]

    assert warned(0.9) == []
    assert warned(-1.4) == ["`main` for `Bad` is off by -1.4 log-odds on rows it was not fitted on"]
