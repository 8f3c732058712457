"""`[time] zone`: of the calendar, and of times without a zone in data, rules and splits."""

from datetime import datetime

import numpy as np
import pyarrow as pa
import pytest

import knowreason as kr
from knowreason.data.splits.clocks import to_moment
from knowreason.data.typed_columns import to_sort
from knowreason.errors import ProjectError
from knowreason.grounding import ground
from knowreason.grounding.relational.database import Relations
from knowreason.project.project_file import load_project
from knowreason.project.project_tables import load_data, load_program

RULES = """domain E
query Bad(E)
attribute at(E): time clock
define night(e) := hour(at(e))
define past(e) := (at(e) - (at(e) - 1mo)) / 1h
rule late [? >= 0] : Bad(e) & at(e) >= "2026-03-29T12:00"
"""
HOUR = 3_600_000_000
SUMMER = "2026-03-29T00:30:00"  # half an hour after midnight in Vienna, the day before in UTC


def project(folder, zone="Europe/Vienna"):
    (folder / "rules.kr").write_text(RULES, encoding="utf-8")
    rows = [f"e0,{SUMMER},1", f"e1,{SUMMER}Z,0", "e2,2026-03-30 12:00:00,1", "e3,,0"]
    (folder / "events.csv").write_text("\n".join(["id,when,bad", *rows]), encoding="utf-8")
    (folder / "knowreason.toml").write_text(
        f"""program = "rules.kr"
[time]
zone = "{zone}"
[tables.events]
path = "events.csv"
[bind]
at = {{ table = "events", columns = ["id"], value = "when" }}
Bad = {{ table = "events", columns = ["id"], label = "bad" }}
""",
        encoding="utf-8",
    )
    return load_project(folder)


def test_a_project_has_one_zone(tmp_path):
    loaded = project(tmp_path)
    program = load_program(loaded)
    data = load_data(loaded, program)
    assert program.zone == "Europe/Vienna"
    with Relations(program, data) as relations:
        hours = relations.read("night")["value"].to_pylist()
        past = relations.read("past")["value"].to_pylist()
    assert hours == [0, 1, 12]
    assert past[2] == 30 * 24 - 1  # 28 February 12:00, and an hour that clocks left out
    assert ground(program, data).reports[0].candidate == 1


@pytest.mark.parametrize("zone", ["Europe/Viena", "Mars", ""])
def test_zones_have_names(tmp_path, zone):
    with pytest.raises(ProjectError) as caught:
        project(tmp_path, zone)
    (found,) = caught.value.diagnostics
    assert found.code == "KR907"
    assert found.span is not None
    assert "Europe/Vienna" in found.help


@pytest.mark.parametrize(
    "column",
    [
        pa.array([SUMMER, SUMMER + "+01:00", "2026-06-01", None, ""]),
        pa.array([datetime(2026, 3, 29, 0, 30), None, datetime(2026, 6, 1)], pa.timestamp("s")),
        pa.array([datetime(2026, 6, 1)], pa.date32()),
    ],
)
def test_columns_without_a_zone_are_what_clocks_showed(column):
    chunked = pa.chunked_array([column])
    here, there = (to_sort(chunked, "time", zone) for zone in ("UTC", "Europe/Vienna"))
    shifts = {SUMMER: 1, "2026-06-01": 2, datetime(2026, 3, 29, 0, 30): 1}
    shifts |= {datetime(2026, 6, 1): 2, datetime(2026, 6, 1).date(): 2}
    for value, before, after in zip(
        column.to_pylist(), here.values.to_pylist(), there.values.to_pylist(), strict=True
    ):
        assert (before is None) == (after is None)
        if before is not None:
            assert before - after == shifts.get(value, 0) * HOUR
    aware = pa.chunked_array([pa.array([0, None], pa.timestamp("us", "Asia/Tokyo"))])
    assert to_sort(aware, "time", "Europe/Vienna").values.to_pylist() == [0, None]


def test_moments_of_splits_are_the_zones():
    for value in (SUMMER, datetime.fromisoformat(SUMMER), np.datetime64(SUMMER)):
        assert to_moment(value, "time") - to_moment(value, "time", "Europe/Vienna") == HOUR


def test_a_run_keeps_its_zone(tmp_path):
    program = kr.loads(RULES, zone="Asia/Tokyo")
    frame = {"e": ["a", "b"], "value": ["2026-01-01T00:00:00", "2026-04-01T00:00:00"]}
    labels = {"e": ["a", "b"], "value": [True, False]}
    data = kr.Dataset.from_frames(program, facts={"at": frame}, labels={"Bad": labels})
    kr.Reasoner(program).fit(data).save(tmp_path / "run")
    assert kr.load_run(tmp_path / "run").reasoner.program == program
