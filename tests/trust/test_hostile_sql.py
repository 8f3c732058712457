"""SQL of a project reads the tables above it, and does nothing else."""

import pytest

from knowreason.data.binding.table_files import TableSource, load_tables, readable_tables
from knowreason.data.binding.table_parts import TableParts
from knowreason.errors import DataError

HOSTILE = {
    "copy out": "copy (select 1) to '{out}/stolen.csv'",
    "copy beside": "copy (select 1) to '{data}/stolen.csv'",
    "copy over a table": "copy (select 7 as a) to '{data}/good.csv'",
    "second statement": "select 1 as a; copy (select 1) to '{data}/stolen.csv'",
    "hidden in a query": "select * from query('copy (select 1) to ''{data}/stolen.csv''')",
    "create": "create table t as select 1",
    "attach": "attach '{data}/new.duckdb' as new",
    "export": "export database '{out}/all'",
    "install": "install httpfs",
    "load": "load '{out}/evil.duckdb_extension'",
    "set": "set memory_limit = '100GB'",
    "unlock": "reset enable_external_access",
    "pragma": "pragma enable_logging",
    "prepare": "prepare p as select 1",
    "call": "call enable_logging()",
    "file elsewhere": "select * from '{out}/secret.csv'",
    "csv elsewhere": "select * from read_csv('{out}/secret.csv')",
    "text elsewhere": "select * from read_text('{out}/secret.csv')",
    "up and down": "select * from read_text('{data}/../out/secret.csv')",
    "blob of the system": "select * from read_blob('/etc/hosts')",
    "names elsewhere": "select * from glob('{out}/*')",
    "sniffed": "select * from sniff_csv('{out}/secret.csv')",
    "network": "select * from 'https://example.com/x.parquet'",
    "bucket": "select * from read_parquet('s3://bucket/x.parquet')",
    "python variable": "select * from secret_of_python",
}


@pytest.fixture
def folders(tmp_path):
    data, out = tmp_path / "data", tmp_path / "out"
    data.mkdir()
    out.mkdir()
    (data / "good.csv").write_text("a,b\n1,2\n")
    (out / "secret.csv").write_text("key\n12345\n")
    return data, out


def content(folder):
    return {p: p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_is_written_or_read_elsewhere(name, folders, tmp_path):
    secret_of_python = {"a": [1]}  # a table, as DuckDB finds those of its callers
    data, out = folders
    before = content(tmp_path)
    text = HOSTILE[name].format(data=data, out=out)
    sources = {"good": TableSource(str(data / "good.csv")), "bad": TableSource(sql=text)}
    with pytest.raises(DataError, match="KR522"):
        load_tables(sources)
    _, failed = readable_tables(sources, rows=True)
    assert str(failed["bad"]).startswith("error[KR522]: table `bad`: ")
    readable_tables(sources, rows=False)
    if name != "sniffed":  # which opens nothing before rows are asked for
        with pytest.raises(DataError, match="KR522"):
            TableParts(sources, 2, memory_limit="1GB", threads=1)
    assert content(tmp_path) == before
    assert secret_of_python


def test_what_a_project_needs(folders):
    data, _ = folders
    (data / "more_1.csv").write_text("a,b\n3,4\n")
    sources = {
        "good": TableSource(str(data / "good.csv")),
        "more": TableSource(str(data / "*_*.csv")),
        "both": TableSource(sql="with g as (from good) select * from g union all from more"),
        "beside": TableSource(sql=f"select count(*) as n from read_csv('{data}/more_1.csv')"),
    }
    loaded = load_tables(sources)
    assert loaded["both"].column("a").to_pylist() == [1, 3]
    assert loaded["beside"].column("n").to_pylist() == [1]


def test_what_is_said_of_a_file_elsewhere(folders):
    data, out = folders
    text = f"select * from '{out}/secret.csv'"
    with pytest.raises(DataError) as caught:
        load_tables({"good": TableSource(str(data / "good.csv")), "bad": TableSource(sql=text)})
    (finding,) = caught.value.diagnostics
    assert finding.message.endswith(f'Cannot access file "{out}/secret.csv"')
    assert finding.help == "SQL reads the tables above it; name a file as `path` of a table"


def test_large_tables_spill_although_files_are_locked(folders):
    data, _ = folders
    large = "select (i * 7919) % 3000000 as k, i as v from range(3000000) r(i)"
    sources = {
        "good": TableSource(str(data / "good.csv")),
        "large": TableSource(sql=large),
        "sorted": TableSource(sql="select * from large order by k desc, v limit 2900000"),
    }
    assert load_tables(sources, memory_limit="60MB")["sorted"].num_rows == 2_900_000
