"""Drift, adaptation and intervals through a run folder."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from knowreason.project.project_file import load_project
from knowreason.run.run_folder import load_run
from knowreason.run.run_prediction import beliefs_of_run
from knowreason.run.run_training import train
from tests.projects import write_skimming


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("watching")
    write_skimming(folder / "project")
    overrides = {
        "learn.bootstrap": "12",
        "learn.adapt": "reliability",
        "learn.weights": "learned",  # of stated ones there are no intervals
    }
    train(load_project(folder / "project", overrides), folder / "run")
    return folder / "run"


def test_the_run_keeps_what_held_and_the_replicates(run_folder):
    kept = json.loads((run_folder / "drift.json").read_text())
    assert {rate["name"] for rate in kept["rules"]} >= {"skimmed"}
    assert {summary["model"] for summary in kept["scores"]} == {"signs", "amount"}
    run = load_run(run_folder)
    assert json.loads(json.dumps(run.reasoner.snapshot_.to_values())) == kept
    assert run.reasoner.bootstrap_.theta.shape[0] == 12
    weight = run.reasoner.weights_["skimmed"]
    assert weight.low <= weight.high


def test_the_stored_run_adapts_as_the_fitted_one_did(run_folder):
    stored = pq.read_table(run_folder / "marginals" / "Fraud.parquet")
    assert {"spread", "low", "high"} <= set(stored.column_names)
    beliefs = beliefs_of_run(run_folder)
    assert beliefs.unadapted is not None
    again = beliefs.marginals("Fraud").to_arrow()
    np.testing.assert_allclose(again["log_odds"], stored["log_odds"], atol=1e-4)
    np.testing.assert_allclose(again["high"], stored["high"], atol=1e-4)


def test_eval_shows_both_rows_and_stability(run_folder):
    (record,) = json.loads((run_folder / "metrics.json").read_text())
    assert {"reasoner", "reasoner, unadapted"} <= set(record["table"])
    assert all(other["against"] != "reasoner, unadapted" for other in record["difference"].values())
    changes = [row["change"] for row in record["stability"]]
    assert changes[0] == "weights resampled"
    assert "without skimmed" in changes
    assert "How stable" in (run_folder / "report.html").read_text()
