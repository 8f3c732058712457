"""Each rule of `plan_pairs.txt` has the logical plan and the SQL written below it.

`KNOWREASON_GOLDEN=write pytest tests/grounding/test_plan_pairs.py` writes the plans and the SQL
anew; the rules are written by hand. The SQL is all that is asked of the relational engine, in
order: tables of definitions, candidates of `within`, the rule's settings, and the lists of its
counts.
"""

import os
import re
from pathlib import Path
from typing import NamedTuple

import pytest

from knowreason.data import Dataset
from knowreason.grounding import ground, size_estimate
from knowreason.grounding.plan.label_aggregates import over_known_labels
from knowreason.grounding.plan.rule_plan import plan_rule
from knowreason.grounding.relational.database import Relations
from knowreason.grounding.relational.join_counts import RowCount
from knowreason.lang import loads
from knowreason.logic import Definition, Formula, Program
from knowreason.logic.canonical_text import formula_text, term_text
from tests.grounding.plan_text import plan_text

FILE = Path(__file__).with_name("plan_pairs.txt")
HEAD, PLAN, SQL = "==== ", "---- plan", "---- sql"


class Pair(NamedTuple):
    """A shape: its title, its statements, and what they become."""

    title: str
    statements: str
    plan: str
    sql: str

    def text(self) -> str:
        return "\n".join((HEAD + self.title, self.statements, PLAN, self.plan, SQL, self.sql, ""))


def read_pairs() -> tuple[str, list[Pair]]:
    """What all rules share, and the pairs of the file."""
    shared, *blocks = re.split(rf"^{HEAD}", FILE.read_text(), flags=re.MULTILINE)
    pairs = []
    for block in blocks:
        title, rest = block.split("\n", 1)
        statements, _, rest = rest.partition(PLAN)
        plan, _, sql = rest.partition(SQL)
        pairs.append(Pair(title, statements.strip(), plan.strip("\n"), sql.strip("\n")))
    return shared.rstrip() + "\n", pairs


SHARED, PAIRS = read_pairs()


def small_world(program: Program) -> Dataset:
    people = ["ann", "bob", "cyd"]
    return Dataset.from_frames(
        program,
        facts={
            "Knows": {"x": ["ann", "bob"], "y": ["bob", "cyd"]},
            "Trusts": {"x": ["ann"], "y": ["cyd"]},
            "Member": {"x": ["ann", "bob"]},
            "Near": {"x": ["ann", "bob", "cyd"], "y": ["bob", "ann", "cyd"]},
            "By": {"e": ["e1", "e2", "e3"], "x": ["ann", "ann", "bob"]},
            "age": {"x": people, "value": [31, 42, 53]},
            "boss": {"x": ["ann"], "value": ["cyd"]},
            "retired": {"x": people, "value": [False, False, True]},
            "at": {"e": ["e1", "e2", "e3"], "value": ["2026-01-01", "2026-01-02", "2026-01-03"]},
            "payer": {"e": ["e1", "e2", "e3"], "value": ["ann", "ann", "bob"]},
            "cost": {"e": ["e1", "e2", "e3"], "value": [1.5, 2.5, 4.0]},
        },
        labels={"Bad": {"e": ["e1", "e2"], "label": [1, 0]}},
    )


def definition_text(program: Program, definition: Definition) -> str:
    read = over_known_labels(program, definition)
    text = formula_text if isinstance(read.body, Formula) else term_text
    head = f"{read.name}({', '.join(v.name for v in read.parameters)})"
    return f"table {head} := {text(read.body)}"


def derived(statements: str, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """Text of the plan, and of the SQL that grounding runs."""
    program = loads(SHARED + statements + "\n")
    asked: list[str] = []
    materialise, arrow = Relations.materialise, Relations.arrow

    def recording_materialise(self, name, tree):
        asked.append(f"-- table {name}\n{tree.sql(dialect='duckdb', identify=True, pretty=True)}")
        return materialise(self, name, tree)

    def recording_arrow(self, tree, *batch_rows):
        asked.append(tree.sql(dialect="duckdb", identify=True, pretty=True))
        return arrow(self, tree, *batch_rows)

    with monkeypatch.context() as patch:
        patch.setattr(Relations, "materialise", recording_materialise)
        patch.setattr(Relations, "arrow", recording_arrow)
        patch.setattr(size_estimate, "count_rows", lambda *_: RowCount(1, True, ""))
        ground(program, small_world(program))
    tables = [definition_text(program, definition) for definition in program.definitions]
    plans = [plan_text(plan_rule(program, index)) for index in range(len(program.rules))]
    return "\n".join([*tables, *plans]), ";\n".join(asked) + ";"


@pytest.mark.skipif(os.environ.get("KNOWREASON_GOLDEN") != "write", reason="writes the file")
def test_write(monkeypatch):
    pairs = [
        pair._replace(
            **dict(zip(("plan", "sql"), derived(pair.statements, monkeypatch), strict=True))
        )
        for pair in PAIRS
    ]
    FILE.write_text("\n".join([SHARED, *(pair.text() for pair in pairs)]))


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.title.replace(" ", "-"))
def test_plan_and_sql_are_as_written(pair, monkeypatch, engine):
    if os.environ.get("KNOWREASON_GOLDEN") == "write":
        pytest.skip("written by test_write")
    plan, sql = derived(pair.statements, monkeypatch)
    assert plan == pair.plan
    if engine == "duckdb":  # on Spark rows are sorted, and recursion is a query a round
        assert sql == pair.sql


def test_there_are_forty_shapes_and_no_title_twice():
    assert len({pair.title for pair in PAIRS}) == len(PAIRS) >= 40
