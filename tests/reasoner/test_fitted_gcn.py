"""The GCN posterior of training is stored with a run, and used and measured again."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import knowreason as kr
from knowreason.inference.gcn.gcn import gcn
from knowreason.inference.gcn.gcn_training import load_gcn
from knowreason.project.project_file import load_project
from knowreason.run.run_prediction import audit_run
from knowreason.run.run_training import train

PUPILS = Path(__file__).resolve().parents[2] / "examples" / "pupils"
QUICK = {"steps": 4, "batches": 1, "cut_outs": 6, "held_out": 6}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pupils")
    for name in ("pupils.kr", "knowreason.toml"):
        (folder / name).write_text((PUPILS / name).read_text(encoding="utf-8"), encoding="utf-8")
    sys.path.insert(0, str(PUPILS))
    try:
        from make_school import write
    finally:
        sys.path.remove(str(PUPILS))
    write(folder / "tables", 90)
    settings = {f"learn.options.{name}": value for name, value in QUICK.items()}
    return train(load_project(folder, settings), folder / "run"), folder / "run"


def learned_graph(reasoner):
    return reasoner.grounding_.graph.with_theta(torch.from_numpy(reasoner.fit_.theta))


def test_it_serves_predictions_of_the_stored_run(run):
    trained, folder = run
    fitted = trained.reasoner.fit_.gcn
    assert [report.estimator for report in trained.reasoner.fit_.estimators] == ["gcn"]
    assert (folder / "gcn.safetensors").is_file()
    again = kr.load_run(folder).reasoner
    assert again.gcn_.errors == fitted.errors
    mine, theirs = again.gcn_.network.parameters(), fitted.network.parameters()
    assert all(torch.equal(one, other) for one, other in zip(mine, theirs, strict=True))
    options = again.engine_options("gcn")
    assert options["network"] is again.gcn_.network
    assert "network" not in again.engine_options("auto")
    graph = learned_graph(trained.reasoner)
    mine = gcn(graph, **options).log_odds
    torch.testing.assert_close(mine, gcn(graph, **trained.reasoner.engine_options("gcn")).log_odds)
    shipped = gcn(graph, **{**options, "network": load_gcn()}).log_odds
    assert float((mine - shipped).abs().max()) > 1e-4


def test_its_error_is_told_by_train_and_by_audit(run):
    trained, folder = run
    assert any("held-out cut-outs" in note for note in trained.reasoner.fit_.notes)
    audit = audit_run(folder, None, components=1)
    assert audit.gcn is not None
    assert f"GCN posterior of training: {audit.gcn}" in str(audit)


def test_an_ensemble_of_it_says_how_sure_it_is(run):
    trained, _ = run
    graph = learned_graph(trained.reasoner)
    options = trained.reasoner.engine_options("gcn")
    found = gcn(graph, noise=0.1, **options)
    assert float(found.spread.max()) > 0
    assert np.isfinite(found.log_odds.numpy()).all()
