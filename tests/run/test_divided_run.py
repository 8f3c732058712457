"""A run in independent parts says what the undivided run says."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from itertools import chain, pairwise
from random import Random

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv, parquet

from knowreason import infer, loads
from knowreason.data.binding.table_files import TableSource
from knowreason.data.binding.table_parts import Dealt, TableParts
from knowreason.data.engine.engine_choice import EngineChoice
from knowreason.data.engine.spark_tasks import run_on_spark
from knowreason.errors import DataError, KnowreasonError, ProjectError
from knowreason.grounding import ground
from knowreason.grounding.plan.partition_key import partition_keys
from knowreason.project.independent_parts import independent_parts
from knowreason.project.project_file import load_project
from knowreason.project.project_tables import load_data, load_program
from knowreason.project.schema import EngineSection
from knowreason.run.compilation import compile_project
from knowreason.run.divided import divided_plan
from knowreason.run.divided.divided_plan import plan_in_parts
from knowreason.run.divided.divided_run import (
    compile_in_parts,
    parts_of_run,
    predict_in_parts,
)
from knowreason.run.run_prediction import predict_run
from knowreason.run.run_training import train

DECLARED = """
domain Payment, Account, Shop
domain Day = { "d0", "d1", "d2" }
observed Pays(Payment, Account, Account)
observed On(Payment, Day)
observed At(Payment, Shop)
observed Next(Day, Day)
observed Safe(Shop)
attribute amount(Payment): int
attribute payer(Payment): Account
attribute risk(Account): int
query Bad(Payment)
latent Caught(Account, Day) within Seen
define Seen(a, d) := Pays(x, a, _) & On(x, d)
define paid(a) := count { x : Pays(x, a, _) }
define Rich(a) := exists x. (Pays(x, a, _) & amount(x) > 6)
define before(x) := count { y : Pays(y, payer(x), _) & amount(y) < amount(x) }
define busy(s) := count { x : At(x, s) }
define Both(a, b) := Pays(x, a, b) & Pays(y, b, a)
"""
BODIES = [
    "Pays({x}, {a}, {b})",
    "Pays({x}, {a}, _)",
    "On({x}, {d})",
    "At({x}, {s})",
    "Next({d}, {e})",
    "Safe({s})",
    "!Safe({s})",
    "Seen({a}, {d})",
    "Bad({x})",
    "!Bad({x})",
    "Caught({a}, {d})",
    "amount({x}) > 4",
    "payer({x}) = {a}",
    "risk({a}) > 1",
    "paid({a}) > 2",
    "Rich({a})",
    "before({x}) = 0",
    "busy({s}) > 2",
    "Both({a}, {b})",
    "count {{ y : Bad(y) & Pays(y, {a}, _) }} >= 2",
    "(exists y. (Pays(y, {a}, _) & On(y, {d}) & amount(y) > 5))",
    "(forall y. (Pays(y, {a}, {b}) => amount(y) > 2))",
]
HEADS = ["Bad({x})", "!Bad({x})", "Caught({a}, {d})", "!Caught({a}, {e})", "Bad({x}) | Safe({s})"]
LOCAL = [
    "rule r{n} [{w}] : Bad(x) & Pays(x, a, _) & On(x, d) => Caught(a, d)",
    "rule r{n} [{w}] : Caught(a, d) & Pays(x, a, b) & On(x, d) => Bad(x)",
    "rule r{n} [{w}] : Caught(a, d) & Next(d, e) & Seen(a, e) => Caught(a, e)",
    "rule r{n} [{w}] : At(x, s) & !Safe(s) => Bad(x)",
]


SAME = {"x": "x", "a": "a", "b": "b", "d": "d", "e": "e", "s": "s"}


def random_rules(seed):
    """Two clauses of random atoms, mostly about one account, and two of which that is sure."""
    draw = Random(seed)
    rules = []
    for n in range(2):
        body = [BODIES[draw.random() < 0.5]] if draw.random() < 0.8 else []
        body += draw.sample(BODIES, draw.randint(1, 3))
        other = SAME | ({draw.choice("xab"): draw.choice("abzc")} if draw.random() < 0.3 else {})
        parts = [one.format(**(other if draw.random() < 0.5 else SAME)) for one in body]
        head = draw.choice(HEADS).format(**SAME)
        weight = "hard" if draw.random() < 0.05 else f"{draw.uniform(-1.5, 1.5):.2f}"
        rules.append(f"rule q{n} [{weight}] : {' & '.join(parts)} => {head}")
    for n, text in enumerate(draw.sample(LOCAL, 2)):
        rules.append(text.format(n=n, w=f"{draw.uniform(-1.5, 1.5):.2f}"))
    return "\n".join(rules)


def random_tables(seed, *, owned=True):
    """Columns of small tables: payments of few accounts, some of them between two shops."""
    draw = np.random.default_rng(seed)
    count, accounts = 14, 6
    payments = np.array([f"p{i}" for i in range(count)])
    source = draw.integers(0, accounts, count)
    names = np.array([f"a{i}" for i in range(accounts)])
    known = draw.random(count) < 0.8
    return {
        "payments": {
            "payment": payments,
            "source": names[source],
            "target": names[draw.integers(0, accounts, count)],
            "day": np.array(["d0", "d1", "d2"])[draw.integers(0, 3, count)],
            "shop": np.array(["s0", "s1", "s2"])[draw.integers(0, 3, count)],
        },
        "amounts": {
            "payment": np.append(payments[known], "p99"),
            "amount": draw.integers(0, 10, known.sum() + 1),
            "score": draw.normal(0, 1, known.sum() + 1),
        },
        "days": {"day": ["d0", "d1"], "next": ["d1", "d2"]},
        "safe": {"shop": ["s1"]},
        "risks": {"account": names[:4], "risk": draw.integers(0, 4, 4)},
        "known": {"payment": payments[:3], "bad": [0, 1, 1]},
    }


TOML = """
program = "rules.kr"
[tables.payments]
path = "payments.parquet"
[tables.amounts]
path = "amounts.csv"
[tables.days]
path = "days.parquet"
[tables.safe]
path = "safe.parquet"
[tables.all_risks]
path = "risks.parquet"
[tables.risks]
sql = "SELECT * FROM all_risks WHERE risk >= 0"
[tables.known]
path = "known.parquet"
[bind.Pays]
table = "payments"
columns = ["payment", "source", "target"]
[bind.On]
table = "payments"
columns = ["payment", "day"]
[bind.At]
table = "payments"
columns = ["payment", "shop"]
[bind.Next]
table = "days"
columns = ["day", "next"]
[bind.Safe]
table = "safe"
columns = ["shop"]
[bind.amount]
table = "amounts"
columns = ["payment"]
value = "amount"
[bind.payer]
table = "payments"
columns = ["payment"]
value = "source"
[bind.risk]
table = "risks"
columns = ["account"]
value = "risk"
[bind.Bad]
table = "known"
columns = ["payment"]
evidence = "bad"
[engine]
partitions = 3
"""


def written(folder, rules, seed=0, **change):
    """A project file over random tables."""
    tables = random_tables(seed) | change
    for name, columns in tables.items():
        if name == "amounts":
            csv.write_csv(pa.table(columns), folder / "amounts.csv")
        else:
            parquet.write_table(pa.table(columns), folder / f"{name}.parquet")
    (folder / "rules.kr").write_text(DECLARED + rules)
    (folder / "knowreason.toml").write_text(TOML)
    return load_project(folder)


def marginals(program, data):
    """Log-odds by the name of each atom, and log Z."""
    grounding = ground(program, data, labels="evidence", hard_violations="drop")
    posterior = infer(grounding.graph, exact_memory="1GB")
    named = {
        (
            name,
            *(
                data.vocabularies[sort].name(i)
                for sort, i in zip(program.sorts_of(name), row, strict=True)
            ),
        ): span.start + place
        for name, span in grounding.atoms.spans.items()
        for place, row in enumerate(span.arguments.tolist())
    }
    return {name: float(posterior.log_odds[atom]) for name, atom in named.items()}, posterior.log_z


def compare(folder, rules, seed):
    """The parts of a program agree with the whole."""
    project = written(folder, rules, seed)
    program = load_program(project)
    found, log_z = {}, 0.0
    with independent_parts(project, program) as parts:
        for data in parts:
            some, own = marginals(program, data)
            assert not found.keys() & some.keys()
            found |= some
            log_z += own
    expected, whole = marginals(program, load_data(project, program))
    assert found.keys() == expected.keys()
    assert log_z == pytest.approx(whole, abs=1e-6)
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-6), name


def is_local(rules):
    """Whether a partition of the program by account or payment is allowed, if it is one."""
    try:
        return bool(partition_keys(loads(DECLARED + rules))[0])
    except KnowreasonError:
        return False


def test_parts_of_random_programs_agree_with_the_whole(tmp_path):
    seeds = [seed for seed in range(30) if is_local(random_rules(seed))][:4]
    assert len(seeds) == 4
    for seed in seeds:
        compare(tmp_path, random_rules(seed), seed)


RULES = "\n".join(text.format(n=n, w=1.0 - n / 2) for n, text in enumerate(LOCAL))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A project of local rules and a run of it that kept its weights."""
    folder = tmp_path_factory.mktemp("divided")
    written(folder, RULES)
    file = folder / "knowreason.toml"
    text = file.read_text().replace('evidence = "bad"', 'label = "bad"')
    learn = '[learn]\nlabels = "none"\nauto_trees = false\n[split]\nshare = 0.0\n'
    file.write_text(text + learn)
    train(load_project(folder), folder / "run")
    return folder


def by_payment(table):
    return {row["payment"]: row["log_odds"] for row in table.to_pylist()}


def test_predict_in_parts_writes_every_row_once(trained, tmp_path):
    whole = predict_run(trained / "run")
    for name, parts in (("found.parquet", 3), ("found.csv", 5)):
        told = predict_in_parts(trained / "run", tmp_path / name, parts=parts)
        reader = parquet.read_table if name.endswith("parquet") else csv.read_csv
        found = reader(tmp_path / name)
        assert found.num_rows == whole.table.num_rows == told.quality.atoms
        assert by_payment(found) == pytest.approx(by_payment(whole.table), abs=1e-5)
    first = predict_in_parts(trained / "run", None, parts=3, top=4).table
    assert by_payment(first) == pytest.approx(by_payment(whole.table.slice(0, 4)), abs=1e-5)


def test_plan_and_compile_in_parts_count_what_the_whole_has(trained, tmp_path, monkeypatch):
    project = load_project(trained)
    whole = compile_project(replace(project, engine=EngineSection()), None)
    parts = compile_in_parts(project, tmp_path / "compiled")
    counts = ("candidate", "satisfied", "violated", "missing", "open")
    for one, two in zip(whole.reports, parts.reports, strict=True):
        assert [getattr(one, n) for n in counts] == [getattr(two, n) for n in counts]
    assert sum(c.atoms for c in whole.components) == sum(c.atoms for c in parts.components)
    assert len(list((tmp_path / "compiled" / "grounding").iterdir())) == 3
    planned = {rule.rule: rule.rows for rule in plan_in_parts(project).rules}
    assert planned == {report.rule: report.candidate for report in whole.reports}
    monkeypatch.setattr(divided_plan, "PLANNED", 2)  # of three, which stand for all
    some = plan_in_parts(project)
    assert not any(rule.exact for rule in some.rules)
    assert sum(rule.rows for rule in some.rules) > 0


def test_payments_of_two_accounts_are_no_parts(trained, tmp_path):
    rows = random_tables(0)["payments"]
    twice = {name: np.append(column, column[0]) for name, column in rows.items()}
    twice["source"][-1] = "a0" if rows["source"][0] != "a0" else "a1"
    parquet.write_table(pa.table(twice), tmp_path / "payments.parquet")
    for name in ("amounts.csv", "days.parquet", "safe.parquet", "risks.parquet"):
        shutil.copy(trained / name, tmp_path)
    with pytest.raises(ProjectError, match="`Payment` p0 is of several `Account`") as refusal:
        predict_in_parts(trained / "run", None, tmp_path, parts=3)
    assert refusal.value.code == "KR938"


def test_what_is_of_all_rows_is_not_done_in_parts(trained):
    with pytest.raises(ProjectError) as refusal:
        parts_of_run(trained / "run", 3, whole=True)
    assert refusal.value.code == "KR938"
    split = load_project(trained, {"split.share": 0.3})
    with pytest.raises(ProjectError, match="split"):
        plan_in_parts(split)


def test_sorted_files_are_read_by_ranges_and_others_by_folders(tmp_path):
    sizes = 5, 6, 7, 4
    ends = np.cumsum((0, *sizes))
    for place, (low, high) in enumerate(pairwise(ends)):
        table = pa.table({"id": np.arange(low, high), "more": np.arange(low, high) % 3})
        parquet.write_table(table, tmp_path / f"t{place}.parquet")
    sources = {"t": TableSource(path=str(tmp_path / "t*.parquet"))}
    for key in ("id", "more"):
        with TableParts(sources, 4, memory_limit="1GB", threads=1) as parts:
            parts.deal({"mine": Dealt("t", ("id",), key), "every": Dealt("t", ("id",))}, range(4))
            read = [parts.read(part) for part in range(4)]
        found = [one["mine"].column("id").to_pylist() for one in read]
        assert sorted(chain(*found)) == list(range(ends[-1]))
        assert all(one["every"] is read[0]["every"] for one in read)
        if key == "id":
            assert [min(ids) for ids in found] == sorted(min(ids) for ids in found)
            assert max(map(len, found)) <= 7
        else:
            homes = [{i % 3 for i in ids} for ids in found]
            assert sum(map(len, homes)) == 3  # rows of one key are together


@pytest.mark.spark
def test_parts_on_spark_say_what_parts_here_say(trained, tmp_path, spark_master):
    file = trained / "knowreason.toml"
    before = file.read_text()
    engine = f'[engine]\nkind = "spark"\nmaster = "{spark_master}"\n'
    try:
        file.write_text(before.replace("[engine]\npartitions = 3\n", engine))
        there = predict_in_parts(trained / "run", tmp_path / "t.parquet", parts=3, project=file)
    finally:
        file.write_text(before)
    here = predict_in_parts(trained / "run", tmp_path / "h.parquet", parts=3)
    one, two = (parquet.read_table(tmp_path / name) for name in ("t.parquet", "h.parquet"))
    assert one.equals(two)
    assert there.quality == here.quality
    lines, others = (
        sorted(
            re.sub(r"\d+\.\d+ s\b", "", line) for note in one.notes for line in note.splitlines()
        )
        for one in (there, here)
    )
    assert lines == others


def _fails(number):
    raise ValueError(f"task {number}")


@pytest.mark.spark
def test_a_worker_that_fails_is_a_finding(spark_master):
    with pytest.raises(DataError, match="a worker failed: ValueError: task 0") as caught:
        run_on_spark(EngineChoice("spark", spark_master), _fails, 1)
    assert caught.value.code == "KR538"


def test_parts_on_spark_need_a_folder(trained):
    engine = EngineSection(kind="spark", partitions=3, directory="s3://bucket/tmp")
    project = replace(load_project(trained), engine=engine)
    with (
        pytest.raises(ProjectError, match="is none") as refusal,
        independent_parts(project, load_program(project)),
    ):
        pass
    assert refusal.value.code == "KR938"
