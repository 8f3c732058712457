"""What engines differ in, and that they do not in what comes out."""

import os
import sys

import numpy as np
import pyarrow as pa
import pytest
import torch
from sqlglot import exp

from knowreason.data.engine.engine_choice import EngineChoice, open_engine, using_engine
from knowreason.data.engine.relational_engine import EngineError
from knowreason.errors import DataError, GroundingError
from knowreason.grounding import ground
from knowreason.grounding.relational.term_sql import column, integral, literal
from tests.grounding.programs import random_data, random_program

PROGRAMS = int(os.environ.get("KNOWREASON_RANDOM_PROGRAMS", "60")) // 2


@pytest.fixture
def tables():
    opened = open_engine(EngineChoice(), "1GB", 1, None)
    yield opened
    opened.close()


def values(tables, expression, table="t"):
    tree = exp.select(exp.alias_(expression, "value", quoted=True)).from_(exp.to_table(table))
    try:
        return tables.arrow(tree).read_all()["value"].to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise tables.explained(error) from error


def test_whole_numbers_round_to_even_and_refuse_what_does_not_fit(tables):
    x = column("t", "x")
    tables.register("t", pa.table({"x": [0.5, 1.5, -2.5, 2.0**53 + 2]}))
    assert values(tables, integral(x)) == [0, 2, -2, 2**53 + 2]
    assert values(tables, integral(exp.Floor(this=x))) == [0, 1, -3, 2**53 + 2]
    tables.register("u", pa.table({"x": [1.0e19]}))
    for expression in (integral(column("u", "x")), integral(exp.Floor(this=column("u", "x")))):
        with pytest.raises(EngineError) as caught:
            values(tables, expression, "u")
        assert caught.value.kind == "range"


def test_sums_and_means_of_whole_numbers_are_exact_until_they_are_cast(tables):
    tables.register("u", pa.table({"x": [2**63 - 1, 2**63 - 1, -(2**63) + 1, -5, None]}))
    assert values(tables, integral(exp.Sum(this=column("u", "x"))), "u") == [2**63 - 6]
    tables.register("v", pa.table({"x": [1, 2, 2, None]}))
    assert values(tables, exp.Avg(this=column("v", "x")), "v") == [pytest.approx(5 / 3)]
    tables.register("w", pa.table({"x": pa.array([None], pa.int64())}))
    assert values(tables, exp.Avg(this=column("w", "x")), "w") == [None]


@pytest.mark.parametrize("text", ["a'b", 'a"b', "a\\b", "a\\'b", "a\nb", "\\n", "é☃", "%_`$"])
def test_texts_stay_what_they_are(tables, text):
    tables.register("t", pa.table({"x": [text]}))
    same = exp.EQ(this=column("t", "x"), expression=literal(text, "string"))
    assert values(tables, same) == [True]
    assert values(tables, literal(text, "string")) == [text]


@pytest.mark.parametrize(
    "number", [0.1, -1e-300, 1.7976931348623157e308, 2.0**70, 123456.789, 5e-324]
)
def test_fractions_stay_what_they_are(tables, number):
    tables.register("t", pa.table({"x": [number, float("nan")]}))
    assert values(tables, literal(number, "float"))[0] == number
    x = column("t", "x")
    assert values(tables, exp.EQ(this=x, expression=literal(number, "float"))) == [True, False]


def test_materialised_tables_grow(tables):
    tables.register("t", pa.table({"x": [1, 2]}))
    rows = exp.select(column("t", "x")).from_("t")
    tables.materialise(
        'm"', rows.where(exp.GT(this=column("t", "x"), expression=literal(1, "int")))
    )
    table = exp.Table(this=exp.to_identifier('m"', quoted=True))
    every = exp.select(exp.Star()).from_(table)
    assert tables.rows(every) == 1
    tables.append('m"', rows)
    assert tables.rows(every) == 3
    assert sorted(tables.arrow(every).read_all()["x"].to_pylist()) == [1, 2, 2]


def test_many_rows_come_in_batches(tables):
    numbers = pa.table({"x": np.arange(250_000), "y": np.arange(250_000) % 7})
    tables.register("many", numbers)
    tree = exp.select(column("many", "x")).from_("many")
    tree = tree.where(exp.EQ(this=column("many", "y"), expression=literal(3, "int")))
    assert tables.rows(tree) == 35_714
    batches = list(tables.arrow(tree, 10_000))
    assert len(batches) > 3
    found = np.sort(np.concatenate([batch.column("x").to_numpy() for batch in batches]))
    np.testing.assert_array_equal(found, np.arange(3, 250_000, 7))


def test_products_that_nobody_can_count_are_guessed(tables):
    tables.register("t", pa.table({"x": np.arange(3000)}))
    tree = exp.select(column("a", "x")).from_(exp.alias_(exp.to_table("t"), "a", table=True))
    for name in "bc":
        tree = tree.join(exp.alias_(exp.to_table("t"), name, table=True), join_type="CROSS")
    assert tables.estimate(tree) > 10**9
    unlike = exp.NEQ(this=column("a", "x"), expression=column("b", "x"))
    assert tables.estimate(tree.where(unlike)) > 10**9
    linked = exp.and_(*(exp.EQ(this=column("a", "x"), expression=column(n, "x")) for n in "bc"))
    assert tables.rows(tree.where(linked)) == 3000


def test_what_cannot_be_run_is_told(tables):
    tables.register("t", pa.table({"x": [1]}))
    with pytest.raises(EngineError, match="missing") as caught:
        values(tables, column("t", "missing"))
    assert caught.value.kind == "other"


def test_every_engine_makes_the_graph_of_duckdb():
    compared = 0
    for seed in range(PROGRAMS):
        program = random_program(seed + 500, missing=seed % 2 == 0)
        data = random_data(program, seed)
        with using_engine(EngineChoice("duckdb")):
            here = grounded(program, data)
        there = grounded(program, data)
        assert type(here) is type(there), (seed, here, there)
        if isinstance(here, str):
            assert here == there
            continue
        compared += 1
        same_graph(here, there)
    assert compared > PROGRAMS // 2


def same_graph(here, there):
    assert [counts(r) for r in here.reports] == [counts(r) for r in there.reports]
    assert here.parameters.names == there.parameters.names
    for one, two in zip(arrays(here.graph), arrays(there.graph), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-6, atol=1e-6)


def grounded(program, data):
    try:
        return ground(program, data, threads=1)
    except GroundingError as error:
        return str(error.code)


def counts(report):
    return report.rule, report.candidate, report.satisfied, report.violated, report.missing


def arrays(graph):
    """All tensors of a graph, in order."""
    for factors in graph.factors:
        fields = vars(factors) if hasattr(factors, "__dict__") else {}
        yield from (value for value in fields.values() if isinstance(value, torch.Tensor))
    yield graph.theta
    yield graph.evidence


def test_spark_that_is_not_there_is_told(monkeypatch):
    for name in list(sys.modules):
        if name.startswith("knowreason.data.engine.spark_engine"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pyspark.sql", None)
    monkeypatch.setitem(sys.modules, "pyspark.errors", None)
    with using_engine(EngineChoice("spark")), pytest.raises(DataError, match="pyspark") as caught:
        open_engine(EngineChoice(), "1GB", 1, None)
    assert caught.value.code == "KR538"
