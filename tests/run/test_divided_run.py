"""A run in independent parts says what the undivided run says."""

from __future__ import annotations

from random import Random

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv, parquet

from knowreason import infer, loads
from knowreason.errors import KnowreasonError
from knowreason.grounding import ground
from knowreason.grounding.plan.partition_key import partition_keys
from knowreason.project.independent_parts import independent_parts
from knowreason.project.project_file import load_project
from knowreason.project.project_tables import load_data, load_program

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
[tables.risks]
sql = "SELECT * FROM 'FOLDER/risks.parquet' WHERE risk >= 0"
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
    (folder / "knowreason.toml").write_text(TOML.replace("FOLDER", str(folder)))
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
    seeds = [seed for seed in range(60) if is_local(random_rules(seed))][:8]
    assert len(seeds) == 8
    for seed in seeds:
        compare(tmp_path, random_rules(seed), seed)
