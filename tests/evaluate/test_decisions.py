"""The queue of a day by the clock, and decisions in project files and run folders."""

import shutil
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

import knowreason as kr
from knowreason.beliefs import Beliefs
from knowreason.errors import ProjectError
from knowreason.evaluate.decisions import measured_decision, periods_of, queue_of
from knowreason.project.decided import decided_predicate
from knowreason.project.project_file import load_project, project_toml
from knowreason.run.divided.divided_run import predict_in_parts
from knowreason.run.run_evaluation import evaluate_run, evaluation_record
from knowreason.run.run_prediction import predict_run
from tests.project.test_project import write

RULES = """
domain Pay
attribute at(Pay): time clock
attribute size(Pay): float
query Fraud(Pay)
query Odd(Pay)
rule size [1 * size(p)] : Fraud(p)
"""
START = datetime(2026, 1, 31, 22, 30, tzinfo=UTC)  # a Saturday
HOURS = [0.0, 1.0, 1.25, 2.0, 30.0]


def beliefs_of(zone="UTC", hours=HOURS, size=(0.5, 3.0, 1.0, 2.0, -1.0)):
    program = kr.loads(RULES, zone=zone)
    pays = [f"p{i}" for i in range(len(size))]
    times = [START + timedelta(hours=h) for h in hours]
    facts = {
        "at": {"pay": pays[: len(hours)], "at": pa.array(times, pa.timestamp("us", "UTC"))},
        "size": {"pay": pays, "size": list(size)},
    }
    grounding = kr.ground(program, kr.Dataset.from_frames(program, facts=facts))
    return Beliefs(kr.infer(grounding.graph), grounding)


def named_periods(beliefs, per):
    atoms = beliefs.asked("Fraud")
    code, names = periods_of(beliefs, "Fraud", atoms, kr.Decision(capacity=f"1 a {per}"))
    return names.take(pa.array(code)).to_pylist()


def test_periods_are_those_of_the_clock_on_the_wall():
    days = ["2026-01-31", "2026-01-31", "2026-01-31", "2026-02-01", "2026-02-02"]
    assert named_periods(beliefs_of(), "day") == days
    assert named_periods(beliefs_of(), "month") == [day[:7] for day in days]
    assert named_periods(beliefs_of(), "week") == ["2026-01-26"] * 4 + ["2026-02-02"]
    assert named_periods(beliefs_of(), "hour")[:2] == ["2026-01-31T22", "2026-01-31T23"]
    later = ["2026-01-31", "2026-02-01", "2026-02-01", "2026-02-01", "2026-02-02"]
    berlin = named_periods(beliefs_of("Europe/Berlin"), "day")
    assert berlin == later
    assert named_periods(beliefs_of(hours=HOURS[:3]), "day") == [*days[:3], None, None]


def test_the_queue_of_each_day_is_its_most_probable():
    beliefs = beliefs_of()
    queue = queue_of(beliefs, kr.Decision(capacity="2 a day", predicate="Fraud"))
    assert queue.alarm.tolist() == [False, True, True, True, True]
    assert queue.rank.tolist() == [0, 1, 2, 1, 1]
    table = queue.added_to(beliefs.marginals("Fraud").to_arrow())
    assert table["queue"].to_pylist() == [None, 1, 2, 1, 1]
    assert table["period"].to_pylist()[-1] == "2026-02-02"
    caught = table["probability"].to_numpy()[queue.alarm].sum()
    assert queue.expected.true == pytest.approx(caught)
    assert str(queue).startswith("4 alarms of 5 at 2 a day; ")
    in_all = queue_of(beliefs, kr.Decision(capacity=2, predicate="Fraud"))
    assert in_all.alarm.tolist() == [False, True, False, True, False]


def test_of_a_part_that_is_labelled_the_same_share_of_a_queue_is_measured():
    beliefs = beliefs_of(hours=[0] * 5 + [24] * 5, size=np.arange(10.0))
    decision = kr.Decision(capacity="4 a day", predicate="Fraud")
    atoms = beliefs.asked("Fraud")[[0, 1, 4, 8, 9]]
    log_odds, clusters = beliefs.log_odds[atoms], np.arange(5)
    truth = np.array([0, 0, 1, 1, 0], bool)
    found = measured_decision(beliefs, decision, atoms, truth, {"reasoner": log_odds}, clusters)
    assert found.rows["reasoner"].alarms == 4  # 4 of 5 times 3 of 5, 4 of 5 times 2 of 5: 2 each
    assert found.rows["reasoner"].true == 2
    assert found.notes == ("5 of 10 asked have a label, and of a queue the same share is measured",)


@pytest.mark.parametrize(
    ("given", "rules", "said"),
    [
        ({"capacity": 5}, RULES, "there are 2"),
        ({"capacity": 5, "predicate": "size"}, RULES, "`size` is none"),
        ({"capacity": "5 a step", "predicate": "Odd"}, RULES, "the clock `at` is no `int`"),
        ({"capacity": "5 a day", "predicate": "Odd"}, RULES.replace(" clock", ""), "needs a clock"),
    ],
)
def test_a_decision_needs_its_predicate_and_its_clock(given, rules, said):
    with pytest.raises(ProjectError, match="KR944") as error:
        decided_predicate(kr.Decision(**given), kr.loads(rules))
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("", "KR943", "needs `cost_of_miss`"),
        ("capacity = 5\ncost_of_miss = 1", "KR943", "takes no"),
        ('cost_of_miss = "high"\ncost_of_alarm = 1', "KR907", "must be a number, not `high`"),
        ("capacity = 5.5", "KR907", "must be an integer or a string"),
        ("capacities = 5", "KR906", "unknown key `capacities` in [decision]"),
    ],
)
def test_a_wrong_section_is_one_finding_with_its_place(tmp_path, text, code, said):
    with pytest.raises(ProjectError) as error:
        load_project(write(tmp_path, f'program = "x.kr"\n[decision]\n{text}\n'))
    (found,) = error.value.diagnostics
    assert found.code == code
    assert said in found.message
    assert found.span is not None


def test_a_decision_comes_back(tmp_path):
    text = 'program = "x.kr"\n[decision]\ncapacity = "50 a day"\npredicate = "Fraud"\n'
    project = load_project(write(tmp_path, text))
    assert load_project(write(tmp_path, project_toml(project))).decision == project.decision
    assert load_project(write(tmp_path, 'program = "x.kr"\n')).decision is None


@pytest.fixture(scope="module")
def deciding(skimming_run, tmp_path_factory):
    """Makes a run with a decision."""

    def make(text):
        folder = tmp_path_factory.mktemp("decided") / "run"
        shutil.copytree(skimming_run, folder)
        with (folder / "project.toml").open("a") as file:
            file.write(f"\n[decision]\n{text}\n")
        return folder

    return make


def test_predict_marks_alarms_and_says_what_to_expect(deciding):
    found = predict_run(deciding('capacity = "3 a day"'))
    rows = found.table.to_pylist()
    assert {row["queue"] for row in rows} == {1, 2, 3, None}
    assert sum(row["alarm"] for row in rows) == 3 * len({row["period"] for row in rows})
    assert "at 3 a day; " in found.notes[-1]
    costs = predict_run(deciding("cost_of_miss = 30\ncost_of_alarm = 1"))
    assert "period" not in costs.table.column_names
    above = costs.table["probability"].to_numpy() > 1 / 31
    assert costs.table["alarm"].to_numpy().tolist() == above.tolist()


def test_a_capacity_is_of_all_parts(deciding):
    with pytest.raises(ProjectError, match="KR938"):
        predict_in_parts(deciding("capacity = 9"), None, parts=2)


def test_eval_measures_the_decision_first(deciding):
    (evaluation,) = evaluate_run(deciding("cost_of_miss = 30\ncost_of_alarm = 1"))
    assert list(evaluation_record(evaluation))[:2] == ["predicate", "alarms"]
    rows = evaluation.alarms.rows
    assert rows["no alarm"].loss.value == 30 * evaluation.truth.sum()
    assert rows["all alarms"].loss.value == (~evaluation.truth).sum()
    alarm = evaluation.scores["reasoner"] > -np.log(30)
    assert rows["reasoner"].alarms == alarm.sum()
    assert {"rules over models", "model signs"} <= set(rows)
