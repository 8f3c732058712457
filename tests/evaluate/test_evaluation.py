"""What stands beside the reasoner, what each rule adds, and what is said about it."""

from copy import copy

import numpy as np
import polars as pl
import pytest

import knowreason as kr
from knowreason.audit.rule_effects import without_rule
from knowreason.evaluate.evaluation import clusters_of, evaluate_reasoner
from knowreason.factors.arrays import array
from knowreason.factors.neighbours import neighbour_means
from knowreason.inference import infer
from knowreason.metrics.metrics import average_precision
from knowreason.run.run_evaluation import evaluation_record

RULES = """
domain Person, Team
domain Role = {"a", "b", "c"}
observed In(Person, Team)
attribute age(Person): float
attribute day(Person): int
query Good(Person)
query Plays(Person, Role!)
latent Strong(Team)
MODELS
rule strong [1] : Strong(t) & In(p, t) => Good(p)
rule weak   [1] : Good(p) & In(p, t) => Strong(t)
rule plays  [1] : Good(p) => Plays(p, "a")
"""
MODELS = """
model age   for Good  = sklearn(estimator="logistic", features=["age"])
model later for Good  = sklearn(estimator="logistic", features=["day"])
model role  for Plays = sklearn(estimator="logistic", features=["age"])
"""


def fitted(models):
    rng = np.random.default_rng(0)
    count = 200
    team = rng.integers(0, 25, count)
    good = rng.random(count) < np.where(team < 8, 0.8, 0.1)
    people = [f"p{i}" for i in range(count)]
    program = kr.loads(RULES.replace("MODELS", models))
    role = np.where(good, "a", rng.choice(["b", "c"], count))
    data = kr.Dataset.from_frames(
        program,
        facts={
            "In": pl.DataFrame({"p": people, "t": [f"t{i}" for i in team]}),
            "age": pl.DataFrame({"p": people, "age": rng.normal(size=count) + good}),
            "day": pl.DataFrame({"p": people, "day": np.arange(count) % 6}),
        },
        labels={
            "Good": pl.DataFrame({"p": people, "good": good}),
            "Plays": pl.DataFrame({"p": people, "role": role}),
        },
    )
    train, test = data.split_random("Good", test=0.5, seed=1)
    train, _ = train.split_random("Plays", test=0.5, seed=1)
    _, test = test.split_random("Plays", test=0.5, seed=1)
    reasoner = kr.Reasoner(program, method="likelihood").fit(train)
    return reasoner, train, reasoner.infer(test)


@pytest.fixture(scope="module")
def with_models():
    return fitted(MODELS)


@pytest.fixture(scope="module")
def evaluation(with_models):
    reasoner, train, beliefs = with_models
    metrics = ["average_precision", "roc_auc", "ece"]
    return evaluate_reasoner(reasoner, train, beliefs, "Good", metrics=metrics, by="day")


def test_every_row_that_has_to_stand_there(evaluation):
    assert set(evaluation.table) >= {
        "model age",
        "model later",
        "average of models",
        "stacking (logistic)",
        "stacking + neighbours' mean",
        "boosted trees (+ definitions)",
        "reasoner",
    }
    row = evaluation.table["reasoner"]["average_precision"]
    score = evaluation.scores["reasoner"]
    assert row.value == pytest.approx(average_precision(evaluation.truth, score))
    assert row.low <= row.value <= row.high
    assert any("own features" in note for note in evaluation.notes)


def test_a_rule_left_out_is_a_graph_without_it(evaluation, with_models):
    reasoner, _, beliefs = with_models
    graph = beliefs.grounding.graph
    strong = [rule.name for rule in reasoner.program.rules].index("strong")
    less = without_rule(graph, strong)
    gone = sum(part.rows for part in graph.factors if part.rule == strong)
    assert sum(part.rows for part in less.factors) == sum(p.rows for p in graph.factors) - gone
    log_odds = beliefs.answer_at(infer(less).log_odds.numpy())[evaluation.atoms]
    expected = average_precision(evaluation.truth, log_odds)
    found = evaluation.ablation["without strong"]["average_precision"].value
    assert found == pytest.approx(expected)
    names = {"without strong", "without weak", "without plays", "without any soft rule"}
    assert set(evaluation.ablation) == names


def test_slices_are_the_values_of_the_attribute(evaluation):
    assert [row["slice"] for row in evaluation.slices] == list(range(6))
    assert sum(row["atoms"] for row in evaluation.slices) == len(evaluation.truth)
    assert sum(row["true"] for row in evaluation.slices) == evaluation.truth.sum()


def test_differences_are_against_the_best_other_row(evaluation):
    best = evaluation.best_other["roc_auc"]
    others = {name: row["roc_auc"].value for name, row in evaluation.table.items()}
    del others["reasoner"]
    assert others[best] == max(others.values())
    difference = evaluation.difference["roc_auc"]
    ours = evaluation.table["reasoner"]["roc_auc"].value
    assert difference.value == pytest.approx(ours - others[best])


def test_the_verdict_is_about_the_answer_and_every_other_row(evaluation):
    found = evaluation.verdict
    assert found.row == evaluation.best_other["average_precision"]
    difference = evaluation.difference["average_precision"]
    assert found.difference.value == pytest.approx(difference.value)
    assert (found.labels, found.true) == (len(evaluation.truth), evaluation.truth.sum())
    assert found.clusters == 6  # slices


def test_what_shares_a_cause_is_a_cluster(with_models):
    """Without slices: what rules tie together, or the attribute that is named."""
    reasoner, _, beliefs = with_models
    span = beliefs.grounding.span("Good")
    atoms = beliefs.asked("Good")
    tied = clusters_of(reasoner, beliefs, atoms)
    person, team_of = (c.to_numpy() for c in beliefs.grounding.data.facts["In"].columns[:2])
    team = dict(zip(person.tolist(), team_of.tolist(), strict=True))
    team = np.array([team[who] for who in span.arguments[atoms - span.start, 0].tolist()])
    assert (tied[:, None] == tied)[team[:, None] == team].all()
    assert len(np.unique(tied)) == len(np.unique(team))
    by_day = copy(reasoner)
    by_day.settings = kr.Settings(clusters="day")
    assert len(np.unique(clusters_of(by_day, beliefs, atoms))) == 6


def test_the_record_is_plain(evaluation):
    record = evaluation_record(evaluation)
    assert record["verdict"]["sentence"] == str(evaluation.verdict)
    assert list(record)[:2] == ["predicate", "verdict"]
    assert record["atoms"] == len(evaluation.truth)
    assert record["calibration"]["count"]
    assert set(record["table"]["reasoner"]) == {"average_precision", "roc_auc", "ece"}


def test_a_functional_predicate_is_measured_state_by_state(with_models):
    reasoner, train, beliefs = with_models
    found = evaluate_reasoner(reasoner, train, beliefs, "Plays", metrics=["average_precision"])
    assert len(found.truth) == 3 * found.truth.sum()
    assert {"model role", "reasoner"} <= set(found.table)


def test_a_program_without_models_is_measured_too():
    reasoner, train, beliefs = fitted("")
    found = evaluate_reasoner(reasoner, train, beliefs, "Good", metrics=["roc_auc"])
    assert "reasoner" in found.table
    assert found.table["reasoner"]["roc_auc"].value > 0.5
    assert str(found.verdict)


def test_means_over_neighbours(with_models):
    _, _, beliefs = with_models
    grounding = beliefs.grounding
    span = grounding.span("Good")
    values = np.random.default_rng(0).normal(size=(span.stop - span.start, 1))
    means = neighbour_means(grounding.graph, span, values)
    hub_of, members = {}, {}
    for part in grounding.graph.couplings:
        for row in array(part.atoms) if part.offsets is None else ():
            inside = [a for a in row.tolist() if span.start <= a < span.stop]
            outside = [a for a in row.tolist() if not span.start <= a < span.stop]
            for atom in inside:
                hub_of.setdefault(atom, set()).update(outside)
                for hub in outside:
                    members.setdefault(hub, set()).add(atom)
    atom = next(iter(hub_of))
    hubs = hub_of[atom]
    expected = np.mean([np.mean([values[m - span.start, 0] for m in members[hub]]) for hub in hubs])
    assert means[atom - span.start, 0] == pytest.approx(expected, abs=1e-5)
