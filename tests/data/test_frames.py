import json

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from knowreason.data import Dataset
from tests.strategies_data import people

MEETS = {"id": ["007", "8", "9"], "src": ["anna", "bob", "anna"], "dst": ["bob", "carl", "bob"]}
AT = {"id": ["007", "8", "9"], "t": ["2026-01-31T08:00:00Z", "2026-02-01", None]}
AGE = {"id": ["anna", "bob", "carl"], "years": [31, None, 7]}
HEIGHT = {"id": ["anna", "bob"], "metres": [1.75, None]}
TALL = {"id": ["anna", "bob"], "is": [True, False]}
NICK = {"id": ["anna", "bob"], "text": ['Ännchen, "A"', ""]}
SMOKES = {"id": ["anna", "bob", "carl"], "label": [1, 0, None]}
FEATURES = {"id": ["anna", "carl"], "income": [1.5, None], "town": ["Rome", "Oslo"]}
TABLES = {
    "Meets": MEETS,
    "at": AT,
    "age": AGE,
    "height": HEIGHT,
    "tall": TALL,
    "nick": NICK,
}


def to_polars(table, _folder, _name):
    return pl.DataFrame(table)


def to_lazy(table, _folder, _name):
    return pl.LazyFrame(table)


def to_pandas(table, _folder, _name):
    return pd.DataFrame(table, index=range(5, 5 + len(table["id"])))


def to_categories(table, _folder, _name):
    frame = pl.DataFrame(table)
    return frame.with_columns(pl.col("id").cast(pl.Categorical))


def to_arrow(table, _folder, _name):
    return pa.table(table)


def to_batch(table, _folder, _name):
    return pa.RecordBatch.from_pydict(table)


class Capsule:
    """Nothing but the Arrow PyCapsule interface."""

    def __init__(self, table):
        self.table = table

    def __arrow_c_stream__(self, requested_schema=None):
        return self.table.__arrow_c_stream__(requested_schema)


class SparkLike:
    """A frame of Spark 4, as far as we ask it."""

    def __init__(self, table):
        self.table = table

    def toArrow(self):
        return self.table


def to_capsule(table, _folder, _name):
    return Capsule(pa.table(table))


def to_reader(table, _folder, _name):
    return pa.table(table).to_reader()


def to_spark(table, _folder, _name):
    return SparkLike(pa.table(table))


def to_relation(table, _folder, _name):
    return duckdb.from_arrow(pa.table(table))


def to_columns(table, _folder, _name):
    return table


def to_csv(table, folder, name):
    path = folder / f"{name}.csv"
    pyarrow.csv.write_csv(pa.table(table), path)
    return path


def to_tsv(table, folder, name):
    path = folder / f"{name}.tsv"
    options = pyarrow.csv.WriteOptions(delimiter="\t")
    pyarrow.csv.write_csv(pa.table(table), path, options)
    return str(path)


def to_parquet(table, folder, name):
    path = folder / f"{name}.parquet"
    pyarrow.parquet.write_table(pa.table(table), path)
    return path


def to_jsonl(table, folder, name):
    path = folder / f"{name}.jsonl"
    rows = pa.table(table).to_pylist()
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return path


def to_glob(table, folder, name):
    halves = pa.table(table)
    pyarrow.parquet.write_table(halves.slice(0, 1), folder / f"{name}-1.parquet")
    pyarrow.parquet.write_table(halves.slice(1), folder / f"{name}-2.parquet")
    return folder / f"{name}-*.parquet"


KINDS = [
    to_polars,
    to_lazy,
    to_pandas,
    to_categories,
    to_arrow,
    to_batch,
    to_capsule,
    to_reader,
    to_spark,
    to_relation,
    to_columns,
    to_csv,
    to_tsv,
    to_parquet,
    to_jsonl,
    to_glob,
]


def bind(kind, folder):
    return Dataset.from_frames(
        people(),
        facts={name: kind(table, folder, name) for name, table in TABLES.items()},
        labels={"Smokes": kind(SMOKES, folder, "Smokes")},
        features={"Person": kind(FEATURES, folder, "features")},
    )


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_kind_of_table_gives_the_same_data_set(kind, tmp_path):
    assert_same(bind(kind, tmp_path), bind(to_arrow, tmp_path))


@pytest.mark.spark
def test_frames_of_a_session_of_spark_give_the_same_data_set(spark_master, tmp_path):
    from pyspark.sql import SparkSession

    builder = SparkSession.builder
    remote = spark_master.startswith("sc:")
    session = (builder.remote(spark_master) if remote else builder).getOrCreate()

    def to_session(table, _folder, _name):
        return session.createDataFrame(pa.table(table))

    assert_same(bind(to_session, tmp_path), bind(to_arrow, tmp_path))

    def to_query(table, folder, name):  # rows that Spark computes, and none of them
        return to_session(table, folder, name).where("id = 'zoe'")

    empty = Dataset.from_frames(people(), facts={"Meets": to_query(MEETS, tmp_path, "Meets")})
    assert empty.facts["Meets"].num_rows == 0


def assert_same(found, expected):
    for domain, vocabulary in expected.vocabularies.items():
        assert list(found.vocabularies[domain]) == list(vocabulary)
    for what in ("facts", "attributes", "labels"):
        for name, table in getattr(expected, what).items():
            assert getattr(found, what)[name].to_pydict() == table.to_pydict(), name
            assert getattr(found, what)[name].schema == table.schema, name
    features = found.features["Person"]
    assert features.names == ("income", "town")
    assert features.categories == (None, ("Oslo", "Rome"))
    assert repr(features.values.tolist()) == repr(expected.features["Person"].values.tolist())


def test_what_the_tables_say(tmp_path):
    data = bind(to_csv, tmp_path)
    assert data.named("Meets").to_pydict() == {
        "a0": ["007", "8", "9"],
        "a1": ["anna", "bob", "anna"],
        "a2": ["bob", "carl", "bob"],
    }
    assert data.named("age").to_pydict() == {"a0": ["anna", "carl"], "value": [31, 7]}
    assert data.named("at").column("value").to_pylist() == [1769846400000000, 1769904000000000]
    assert data.named("nick").to_pydict() == {"a0": ["anna"], "value": ['Ännchen, "A"']}
    assert data.named("Smokes").to_pydict() == {"a0": ["anna", "bob"], "value": [1, 0]}


def test_a_series_is_a_table_of_one_column():
    data = Dataset.from_frames(people(), labels={"Smokes": pl.Series("who", ["anna"])})
    assert data.named("Smokes").to_pydict() == {"a0": ["anna"], "value": [1]}


def test_compressed_csv_is_read(tmp_path):
    path = tmp_path / "friends.csv.gz"
    with pa.CompressedOutputStream(str(path), "gzip") as stream:
        pyarrow.csv.write_csv(pa.table({"x": ["a"], "y": ["b"]}), stream)
    data = Dataset.from_frames(people(), facts={"Knows": path})
    assert data.facts["Knows"].num_rows == 1
