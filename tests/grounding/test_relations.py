"""Tables of observed things in DuckDB."""

import numpy as np
import pyarrow as pa
import pytest
from sqlglot import exp

from knowreason import lang
from knowreason.data import Dataset
from knowreason.errors import GroundingError, UnknownNameError
from knowreason.grounding.relational.conjunctive_query import Conjunction
from knowreason.grounding.relational.database import Relations
from knowreason.grounding.relational.term_sql import column, operation
from knowreason.logic import (
    Argument,
    Atom,
    Attribute,
    AttributeTerm,
    Comparison,
    Constant,
    Definition,
    Domain,
    Predicate,
    Program,
    Truth,
    Variable,
)
from tests.grounding import crisp

HOSTILE = ['order"; drop table x; --', "Order", "order", "select", "été ☃", "a'b"]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_never_sql(name):
    domain = f"{name} domain"
    program = Program(
        domains=(Domain(domain),),
        predicates=(Predicate(name, "observed", (Argument(domain),)),),
        attributes=(Attribute(f"{name} of", (Argument(domain),), "string"),),
    )
    data = crisp.dataset(0)
    data.vocabularies = {domain: crisp.Names([name, "other"])}
    data.facts = {name: crisp.table([(0,), (1,)], 1)}
    data.attributes = {f"{name} of": crisp.table([(0,), (1,)], 1, [name, "other"])}
    x = Variable(name, domain)
    with Relations(program, data) as relations:
        conjunction = Conjunction(relations)
        conjunction.join(Atom(name, (x,)))
        text = AttributeTerm(f"{name} of", (x,), "string")
        conjunction.where(Comparison("=", text, Constant(name, "string")))
        conjunction.where(Comparison("=", x, Constant(name, domain)))
        found = relations.arrow(conjunction.select({name: conjunction.columns[name]})).read_all()
        assert found.to_pydict() == {name: [0]}


def test_names_that_differ_in_case_are_two_tables():
    sorts = (Argument("A"),)
    predicates = tuple(Predicate(name, "observed", sorts) for name in ("Foo", "FOO"))
    data = crisp.dataset(0)
    data.facts = {"Foo": crisp.table([(0,)], 1), "FOO": crisp.table([(1,)], 1)}
    with Relations(Program(domains=(Domain("A"),), predicates=predicates), data) as relations:
        assert relations.read("Foo")["a0"].to_pylist() == [0]
        assert relations.read("FOO")["a0"].to_pylist() == [1]


def test_what_has_no_table_is_empty():
    data = crisp.dataset(0)
    data.facts, data.attributes = {}, {}
    with Relations(crisp.program(), data) as relations:
        assert relations.read("E").schema == pa.schema([("a0", pa.int32()), ("a1", pa.int32())])
        assert relations.read("weight").num_rows == 0
        assert relations.read("boss").schema.field("value").type == pa.int32()


def test_missing_values_are_no_rows():
    data = crisp.dataset(0)
    values = [1.0, float("nan"), None, 2.0]
    rows = [(0, 0), (0, 1), (1, 0), (1, 1)]
    data.attributes["weight"] = crisp.table(rows, 2, values, pa.float64())
    with Relations(crisp.program(), data) as relations:
        assert relations.read("weight")["value"].to_pylist() == [1.0, 2.0]


def test_rows_counts_and_estimate_guesses():
    with Relations(crisp.program(), crisp.dataset(0)) as relations:
        tree = exp.select(exp.Star()).from_(relations.domain("A"))
        assert relations.rows(tree) == 4
        assert relations.estimate(tree) == 4
        table = relations.register("numbers", pa.table({"a0": np.arange(1000, dtype=np.int32)}))
        assert relations.estimate(exp.select(exp.Star()).from_(table)) == 1000


def test_arrow_reads_in_batches():
    with Relations(crisp.program(), crisp.dataset(0)) as relations:
        table = relations.register("numbers", pa.table({"a0": np.arange(5000, dtype=np.int32)}))
        batches = list(relations.arrow(exp.select(exp.Star()).from_(table), 2048))
        assert sum(batch.num_rows for batch in batches) == 5000
        assert max(batch.num_rows for batch in batches) <= 2048


def test_an_open_predicate_has_no_rows():
    program = lang.loads("domain A\nquery Q(A)\nrule r : Q(x)\n")
    data = crisp.dataset(0)
    with Relations(program, data) as relations:
        with pytest.raises(GroundingError, match="`Q` is open") as caught:
            relations.table("Q")
        assert caught.value.code == "KR602"


def test_an_unknown_name_offers_the_nearest():
    with (
        Relations(crisp.program(), crisp.dataset(0)) as relations,
        pytest.raises(UnknownNameError, match="did you mean `weight`"),
    ):
        relations.table("wieght")


def test_a_refused_query_is_a_grounding_error():
    data = crisp.dataset(0)
    data.attributes["n"] = crisp.table([(0,)], 1, [2**62], pa.int64())
    x = Variable("x", "A")
    n = AttributeTerm("n", (x,), "int")
    with Relations(crisp.program(), data) as relations:
        conjunction = Conjunction(relations)
        conjunction.range_over(x)
        total = operation("+", [conjunction.term(n), conjunction.term(n)], "int")
        with pytest.raises(GroundingError) as caught:
            relations.arrow(conjunction.select({"sum": total})).read_all()
        assert caught.value.code == "KR606"


def test_definitions_are_computed_once():
    x = Variable("x", "A")
    program = crisp.program([Definition("Every", (x,), Truth(True))])
    with Relations(program, crisp.dataset(0)) as relations:
        first, second = relations.table("Every"), relations.table("Every")
        assert first == second
        assert first is not second
        assert relations.rows(exp.select(exp.Star()).from_(first)) == 4


def test_an_unknown_operation_is_an_error():
    with pytest.raises(GroundingError) as caught:
        operation("cosh", [column("t", "a0")], "float")
    assert caught.value.code == "KR601"


def test_s_ffsd_histories_equal_loops(real_data):
    import polars as pl

    program = lang.loads("""
domain Payment, Account, Merchant
observed Pays(Payment, source: Account, merchant: Merchant)
attribute source(Payment): Account
attribute merchant(Payment): Merchant
attribute amount(Payment): float
attribute at(Payment): int
query Fraud(Payment)
rule rare [?] : Fraud(e)
define n_before(e) := count { f : Pays(f, source: source(e)) & at(f) < at(e) }
define last_mean(e) := avg { amount(f) for f : Pays(f, merchant: merchant(e)) & at(f) < at(e)
    last 5 by at(f) }
define burst(e) := count { f : Pays(f, merchant: merchant(e)) & 0 <= at(e) - at(f) <= 50 }
define others(e) := sum { amount(f) for f : Pays(f, merchant: merchant(e)) & f != e }
""")
    frame = pl.read_parquet(real_data / "s_ffsd" / "s_ffsd.parquet").head(300)
    frame = frame.with_row_index("id")
    columns = {"source": "source", "merchant": "target", "amount": "amount", "at": "time"}
    facts = {name: frame.select("id", column) for name, column in columns.items()}
    facts["Pays"] = frame.select("id", "source", "target")
    data = Dataset.from_frames(program, facts=facts)
    with Relations(program, data, threads=1) as relations:
        found = {}
        for name in ("n_before", "last_mean", "burst", "others"):
            table = relations.read(name)
            keys = (data.vocabularies["Payment"].name(i) for i in table["a0"].to_pylist())
            found[name] = dict(zip(keys, table["value"].to_pylist(), strict=True))
    rows = frame.to_dicts()
    for e in rows:
        key = str(e["id"])
        same = [f for f in rows if f["target"] == e["target"]]
        past = [f for f in same if f["time"] < e["time"]]
        before = [f for f in rows if f["source"] == e["source"] and f["time"] < e["time"]]
        assert found["n_before"][key] == len(before)
        assert found["burst"][key] == sum(0 <= e["time"] - f["time"] <= 50 for f in same)
        last = [f["amount"] for f in sorted(past, key=lambda f: f["time"])[-5:]]
        assert (key in found["last_mean"]) == bool(last)
        assert not last or np.isclose(found["last_mean"][key], np.mean(last))
        others = sum(f["amount"] for f in same if f["id"] != e["id"])
        assert np.isclose(found["others"][key], others)
