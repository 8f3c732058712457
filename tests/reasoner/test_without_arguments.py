"""Predicates, attributes and definitions without arguments, from tables to explanations."""

import sys

import numpy as np
import pyarrow.parquet as pq
import pytest

from knowreason import Reasoner, Settings
from knowreason.beliefs.beliefs import Beliefs
from knowreason.beliefs.reasons import explain_atom
from knowreason.cli import main
from knowreason.data import Dataset
from knowreason.errors import DataError, ProjectError
from knowreason.evaluate.evaluation import block_of
from knowreason.grounding import ground
from knowreason.grounding.grounding_store import load, save
from knowreason.inference import infer
from knowreason.lang import loads, parse_facts
from knowreason.models.base.feature_columns import derived_features
from knowreason.project.project_file import load_project
from knowreason.run.run_prediction import beliefs_of_run
from knowreason.run.run_training import train
from knowreason.testing.oracle import enumerate_worlds

PROGRAM = """
domain Sensor
observed Reads(Sensor)
observed Alarm()
attribute level(): int
query Rain()
query Wet(Sensor)
latent Cloudy()
define Any() := Reads(x)
define readings() := count { x : Reads(x) }
rule base [-1] : Wet(x)
rule soaks : Rain() & Any() => Wet(x)
rule sky [1.0] : Cloudy() <=> Rain()
rule alarmed : Alarm() & Reads(x) => Wet(x)
rule many [0.5] : readings() > 1 & level() > 2 => Rain()
rule dense [0.3 * level()] : Rain()
rule some [1] : Rain() => exists x. Wet(x)
rule most [0.5] : Rain() <=> count { x : Wet(x) } >= 2
"""
FACTS = 'Reads("a") Reads("b") Alarm() level() = 3'


def grounded(facts, program=PROGRAM):
    program = loads(program)
    data = Dataset.from_facts(program, parse_facts(program, facts))
    return ground(program, data)


def by_hand(wet, rain, cloudy, reads=2, alarm=True, level=3):
    """Log score of a world; the weights that are not stated have their priors, 2."""
    things = len(wet)
    score = -1.0 * sum(wet) + 2.0 * sum(not (rain and reads) or w for w in wet)
    score += 1.0 * (cloudy == rain) + 0.3 * level * rain
    score += 2.0 * sum(not (alarm and i < reads) or w for i, w in enumerate(wet))
    score += 0.5 * (not (reads > 1 and level > 2) or rain) * 1
    score += 1.0 * (not rain or any(wet)) + 0.5 * (rain == (sum(wet) >= 2))
    assert things == reads
    return score


@pytest.mark.parametrize(
    ("facts", "options"),
    [
        (FACTS, {}),
        ('Reads("a") Reads("b") level() = 3', {"alarm": False}),
        ('Reads("a") Reads("b") level() = 1 Alarm()', {"level": 1}),
    ],
)
def test_marginals_are_those_by_hand(facts, options):
    grounding = grounded(facts)
    worlds = [(a, b, r, c) for a in (0, 1) for b in (0, 1) for r in (0, 1) for c in (0, 1)]
    weights = np.exp([by_hand((a, b), r, c, **options) for a, b, r, c in worlds])
    weights /= weights.sum()
    expected = {
        'Wet("a")': weights[[w[0] == 1 for w in worlds]].sum(),
        "Rain()": weights[[w[2] == 1 for w in worlds]].sum(),
        "Cloudy()": weights[[w[3] == 1 for w in worlds]].sum(),
    }
    found = infer(grounding.graph, engine="exact").probabilities
    oracle = enumerate_worlds(grounding.graph).log_odds.sigmoid()
    assert grounding.atom_index("Rain") == 0
    for i in range(4):
        name = grounding.atom_name(i)
        assert float(found[i]) == pytest.approx(float(oracle[i]), abs=1e-6)
        if name in expected:
            assert float(found[i]) == pytest.approx(expected[name], abs=1e-6)


def test_evidence_and_its_contradiction():
    grounding = grounded(FACTS + " !Rain() Cloudy()")
    assert grounding.graph.evidence[grounding.atom_index("Rain")] == 0
    assert grounding.graph.evidence[grounding.atom_index("Cloudy")] == 1
    with pytest.raises(DataError, match="KR512"):
        grounded(FACTS + " !Rain() Rain()")


@pytest.mark.parametrize("holds", [True, False])
def test_candidates_without_arguments(holds):
    program = "observed Season()\nquery Rain() within Season\nrule often [1.0] : Rain()\n"
    grounding = grounded("Season()" * holds, program)
    assert grounding.graph.atom_count == holds
    span = grounding.span("Rain")
    assert span.arguments.shape == (int(holds), 0)


def test_labels_and_scores_come_in_tables():
    text = PROGRAM + 'model gauge for Rain = column("gauge", kind="probability")\n'
    program = loads(text)
    data = Dataset.from_frames(
        program,
        facts={"Reads": {"id": ["a", "b"]}, "Alarm": {"on": [False]}, "level": {"cm": [4]}},
        labels={"Wet": {"id": ["a", "b"], "wet": [1, 0]}, "Rain": {"rain": [1]}},
        scores={"Rain": {"gauge": [0.8]}},
    )
    assert data.facts["Alarm"].num_rows == 0
    assert data.labels["Rain"].column("value").to_pylist() == [1]
    assert data.scores["Rain"].arguments.shape == (1, 0)
    later = data.hide("Rain", np.array([True]))
    assert (later.labels["Rain"].num_rows, later.hidden["Rain"].num_rows) == (0, 1)
    reasoner = Reasoner(program).fit(data)
    beliefs = reasoner.infer(later)
    (row,) = beliefs.marginals("Rain").to_arrow().to_pylist()
    assert 0 < row["probability"] < 1


ONE_WORLD = """
domain A
domain World = { "here" }
observed P(A)
observed Now(World)
query Rain(World)
query W(A)
latent Cloudy(World)
define Any(w) := P(x) & Now(w)
define all_of(w) := count { x : P(x) & Now(w) }
rule r : Rain(w) & P(x) => W(x)
rule c [0.5] : Cloudy(w) <=> Rain(w)
rule a : Any(w) & Cloudy(w) => Rain(w)
rule n [0.01 * all_of(w)] : Cloudy(w)
"""
NO_WORLD = ONE_WORLD.replace('domain World = { "here" }\n', "")
NO_WORLD = NO_WORLD.replace("(World)", "()").replace("(w)", "()")


@pytest.mark.parametrize("method", ["variational_em", "pseudo_likelihood", "knowgraph"])
def test_no_argument_is_as_one_that_has_one_value(method):
    things = [f"a{i}" for i in range(12)]
    labels = {"id": things, "wet": [int(i % 3 > 0) for i in range(12)]}
    # whose weights are better is compared once: other methods learn again for every fold
    alone = method != "variational_em"
    settings = Settings(answer="rules", weights="learned") if alone else Settings()
    results = []
    for text, world in ((ONE_WORLD, {"world": ["here"]}), (NO_WORLD, {})):
        program = loads(text)
        facts = {"P": {"id": things}, "Now": world or {"now": [True]}}
        data = Dataset.from_frames(
            program,
            facts=facts,
            labels={"W": labels, "Rain": {**world, "rain": [1]}},
        )
        reasoner = Reasoner(program, method=method, settings=settings).fit(data)
        beliefs = reasoner.infer(Dataset.from_frames(program, facts=facts))
        (rain,) = beliefs.marginals("Rain").to_arrow().to_pylist()
        results.append(([w.value for w in reasoner.weights_], rain["log_odds"]))
    np.testing.assert_allclose(*(weights for weights, _ in results), atol=1e-6)
    np.testing.assert_allclose(*(log_odds for _, log_odds in results), atol=1e-6)


def test_a_table_of_the_wrong_width_is_told():
    program = loads(PROGRAM)
    with pytest.raises(DataError, match=r"labels of `Rain` has 2 columns.*expected 1"):
        Dataset.from_frames(program, labels={"Rain": {"a": ["x"], "rain": [1]}})


def test_a_stored_grounding_without_arguments(tmp_path):
    grounding = grounded(FACTS)
    save(grounding, tmp_path / "g")
    again = load(tmp_path / "g", grounding.program, grounding.data)
    assert again.span("Rain").arguments.shape == (1, 0)
    assert again.atom_name(0) == "Rain()"


PROJECT = """
program = "rain.kr"
[tables.sensors]
path = "sensors.csv"
[tables.today]
path = "today.csv"
[bind]
Reads = { table = "sensors", columns = ["id"] }
Wet = { table = "sensors", columns = ["id"], label = "wet" }
Rain = { table = "today", columns = [], label = "rain" }
Alarm = { table = "today", columns = [], value = "alarm" }
level = { table = "today", columns = [], value = "level" }
"""


def test_from_a_project_to_an_explanation(tmp_path):
    (tmp_path / "rain.kr").write_text(PROGRAM)
    (tmp_path / "knowreason.toml").write_text(PROJECT)
    (tmp_path / "sensors.csv").write_text("id,wet\na,1\nb,1\nc,0\nd,\ne,1\n")
    (tmp_path / "today.csv").write_text("rain,alarm,level\n1,1,3\n")
    train(load_project(tmp_path), tmp_path / "run")
    stored = pq.read_table(tmp_path / "run" / "marginals" / "Cloudy.parquet")
    assert stored.num_rows == 1
    (tmp_path / "today.csv").write_text("rain,alarm,level\n,0,3\n")
    beliefs = beliefs_of_run(tmp_path / "run", tmp_path)
    (row,) = beliefs.marginals("Rain").to_arrow().to_pylist()
    explanation = explain_atom(beliefs, "Rain()")
    assert str(explanation).startswith("Rain(): probability")
    assert explanation.log_odds == pytest.approx(row["log_odds"], abs=1e-6)
    change(tmp_path / "knowreason.toml", ', value = "alarm"', "")
    with pytest.raises(ProjectError, match=r"KR908.*`Alarm` needs `value`"):
        train(load_project(tmp_path), tmp_path / "other")


def change(file, old, new):
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_what_compares_and_pools_leaves_attributes_without_arguments_out():
    program = loads(PROGRAM + "attribute size(Sensor): int\n")
    facts = parse_facts(program, FACTS + ' size("a") = 3')
    data = Dataset.from_facts(program, facts)
    assert derived_features(data, "Wet") == ("size",)
    assert derived_features(data, "Rain") == ()
    grounding = ground(program, data)
    beliefs = Beliefs(infer(grounding.graph), grounding)
    atoms = beliefs.asked("Wet")
    assert block_of(beliefs, "Wet", atoms, "level") is None
    assert block_of(beliefs, "Wet", atoms, "size").tolist() == [3, -1]


def test_every_verb_takes_them(tmp_path, monkeypatch, capsys):
    """From the project file to explanations, through what people type."""
    (tmp_path / "p.kr").write_text(PROGRAM)
    tables = {
        "reads": "sensor\na\nb\nc\nd\n",
        "today": "truth,level,rain\ntrue,3,1\n",
        "wet": "sensor,wet\na,1\nb,1\nc,0\nd,1\n",
    }
    for name, text in tables.items():
        (tmp_path / f"{name}.csv").write_text(text)
    (tmp_path / "knowreason.toml").write_text(
        'program = "p.kr"\n[tables]\n'
        + "".join(f'{name} = {{ path = "{name}.csv" }}\n' for name in tables)
        + """
[bind]
Reads = { table = "reads", columns = ["sensor"] }
Alarm = { table = "today", columns = [], value = "truth" }
level = { table = "today", columns = [], value = "level" }
Rain = { table = "today", columns = [], label = "rain" }
Wet = { table = "wet", columns = ["sensor"], label = "wet" }
"""
    )
    project, run = str(tmp_path / "knowreason.toml"), str(tmp_path / "run")
    for words in (
        ["check", str(tmp_path / "p.kr")],
        ["plan", project],
        ["compile", project, "-o", str(tmp_path / "grounding")],
        ["train", project, "-o", run],
        ["predict", run, "--predicate", "Rain"],
        ["explain", run, "Rain()", "Cloudy()"],
        ["eval", run],
    ):
        monkeypatch.setattr(sys, "argv", ["knowreason", *words])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main()
        said = capsys.readouterr()
        assert not stopped.value.code, (words, said.err)
        if words[0] == "explain":
            assert "Rain(): probability" in said.out
