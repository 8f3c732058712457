"""The example of a service answers what the server in it does."""

import importlib.util
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import knowreason as kr

EXAMPLE = Path(__file__).parents[2] / "examples" / "serve_events.py"
PROGRAM = """
domain Pay
domain Card
attribute card(Pay): Card
attribute at(Pay): time clock
observed Pays(Pay, card: Card)
query Fraud(Pay)
define n(p) := count { q : Pays(q, card: card(p)) & at(q) < at(p) }
rule seldom [-2] : Fraud(p)
rule new    [1]  : n(p) = 0 => Fraud(p)
"""


def event(pay, card, day):
    return {
        "card": {"p": [pay], "c": [card]},
        "Pays": {"p": [pay], "c": [card]},
        "at": {"p": [pay], "t": [f"2024-01-{day:02}"]},
    }


def test_events_are_scored_observed_and_refused(tmp_path):
    pytest.importorskip("fastapi", reason="fastapi is not here (pip install fastapi httpx)")
    testing = pytest.importorskip(
        "fastapi.testclient", reason="httpx is not here", exc_type=ImportError
    )
    program = kr.loads(PROGRAM)
    first = event("p1", "c1", 1)
    kr.Reasoner(program).fit(kr.Dataset.from_frames(program, facts=first)).save(tmp_path / "run")
    (tmp_path / "facts").mkdir()
    for name, table in first.items():
        pq.write_table(pa.table(table), tmp_path / "facts" / f"{name}.parquet")
    spec = importlib.util.spec_from_file_location("served", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    client = testing.TestClient(module.app_of(str(tmp_path / "run"), str(tmp_path)))

    def score(new, **more):
        (row,) = client.post("/score", json={"facts": new}, params=more).json()
        return row

    assert score(event("p2", "c2", 2))["probability"] == pytest.approx(0.2689, abs=1e-3)
    assert score(event("p2", "c1", 2))["probability"] == pytest.approx(0.1192, abs=1e-3)
    assert "seldom" in score(event("p2", "c1", 2), why=True)["why"]
    assert client.post("/observe", json={"facts": event("p2", "c2", 2)}).status_code == 200
    assert score(event("p3", "c2", 3))["probability"] == pytest.approx(0.1192, abs=1e-3)
    again = client.post("/observe", json={"facts": event("p2", "c2", 2)})
    assert again.status_code == 422
    assert "KR886" in again.json()["error"]
