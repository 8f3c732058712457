"""Tables of a project become a data set; parts are what the split says."""

import shutil

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from knowreason.data.binding.table_files import TableSource, load_tables
from knowreason.errors import DataError, ProjectError
from knowreason.project.partition import boundary
from knowreason.project.project_file import load_project, project_toml
from knowreason.project.project_tables import label_tables, load_data, load_parts, load_program

RULES = """
domain Person, Team
observed In(Person, Team)
attribute age(Person): float
attribute day(Person): int
query Good(Person)
query Role(Person, Team)
rule early [?] : age(x) > 30 => Good(x)
rule role  [1] : Good(x) & In(x, t) => Role(x, t)
"""
PROJECT = """
program = "rules.kr"
[tables.people]
path = "people.csv"
[tables.teams]
sql = "select team, sum(age) as total, count(*) as n from people group by team"
[bind]
In   = { table = "people", columns = ["id", "team"] }
age  = { table = "people", columns = ["id"], value = "age" }
day  = { table = "people", columns = ["id"], value = "day" }
Good = { table = "people", columns = ["id"], label = "good", unknown = [-1] }
Role = { table = "people", columns = ["id", "team"], evidence = "known" }
[features.Team]
table = "teams"
key = "team"
columns = ["total", "n"]
"""


def write(folder, count=40, **changes):
    rng = np.random.default_rng(0)
    table = pa.table(
        {
            "id": [f"{i:03}" for i in range(count)],
            "team": [f"0{i % 4}" for i in range(count)],
            "age": np.round(rng.uniform(20, 40, count), 1),
            "day": np.arange(count) // 4,
            "good": rng.integers(-1, 2, count),
            "known": [None] * (count - 1) + [1],
        }
    )
    pa.csv.write_csv(table, folder / "people.csv")
    (folder / "rules.kr").write_text(RULES)
    text = PROJECT
    for old, new in changes.items():
        text = text.replace(old, new)
    (folder / "knowreason.toml").write_text(text)
    return table


def loaded(folder, **options):
    project = load_project(folder)
    program = load_program(project)
    return load_data(project, program, **options)


def test_csv_ids_keep_their_zeros_and_numbers_are_numbers(tmp_path):
    table = write(tmp_path)
    data = loaded(tmp_path)
    assert data.vocabularies["Person"].names.to_pylist()[:2] == ["000", "001"]
    assert set(data.vocabularies["Team"].names.to_pylist()) == {"00", "01", "02", "03"}
    assert sorted(data.attributes["age"]["value"].to_pylist()) == sorted(table["age"].to_pylist())
    features = data.features["Team"]
    assert features.names == ("total", "n")
    assert not features.categorical.any()
    assert features.values[:, 1].tolist() == [10.0] * 4


def test_an_id_with_zeros_late_in_a_long_file_keeps_the_column_text(tmp_path):
    (tmp_path / "t.csv").write_text("id\n" + "\n".join(map(str, range(30_000))) + "\n007\n")
    table = load_tables({"t": TableSource(path=str(tmp_path / "t.csv"))})["t"]
    assert table["id"][-1].as_py() == "007"


def test_unknown_labels_are_no_labels_and_evidence_is_apart(tmp_path):
    table = write(tmp_path)
    data = loaded(tmp_path)
    good = table["good"].to_numpy()
    assert data.labels["Good"].num_rows == (good >= 0).sum()
    assert data.evidence["Role"].num_rows == 1
    assert data.labels["Role"].num_rows == 0


def test_tables_of_labels_alone(skimming_project):
    project = load_project(skimming_project)
    assert label_tables(project, load_program(project)) == {"labels"}


def test_missing_label_columns_when_predicting(tmp_path):
    write(tmp_path)
    today = tmp_path / "today"
    today.mkdir()
    table = pa.csv.read_csv(tmp_path / "people.csv").drop_columns(["good"])
    pa.csv.write_csv(table, today / "people.csv")
    assert loaded(tmp_path, directory=today).labels["Good"].num_rows == 0
    shutil.copy(today / "people.csv", tmp_path / "people.csv")
    with pytest.raises(ProjectError, match=r"KR913.*good"):
        loaded(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ('value = "age"', 'value = "agee"', "KR913"),
        ("age  =", "aeg  =", "KR909"),
        (', value = "age"', "", "KR908"),
        ("[features.Team]", "[features.Teem]", "KR909"),
        ("from people", "from peple", "KR522"),
        ("people.csv", "nowhere.csv", "KR520"),
        ('label = "good"', 'label = "age"', "KR5"),
    ],
)
def test_faults_are_named(tmp_path, old, new, code):
    write(tmp_path, **{old: new})
    with pytest.raises((ProjectError, DataError), match=code):
        loaded(tmp_path)


def test_parts_by_an_attribute(tmp_path):
    split = '[split]\nby = "day"\ntrain = "< 6"\ntest = ">= 8"\n[bind]'
    write(tmp_path, **{"[bind]": split})
    parts = load_parts(load_project(tmp_path))
    assert parts.cut == 6
    assert len(parts.train.vocabularies["Person"]) == 24
    assert parts.test.scope["Person"].sum() == 8


def test_a_random_share_is_held_back(tmp_path):
    write(tmp_path, **{"[bind]": "[split]\nshare = 0.5\n[bind]"})
    parts = load_parts(load_project(tmp_path))
    every = loaded(tmp_path).labels["Good"].num_rows
    hidden = parts.test.hidden["Good"].num_rows
    assert hidden == pytest.approx(every / 2, abs=1)
    assert parts.train.labels["Good"].num_rows == every - hidden
    write(tmp_path, **{"[bind]": "[split]\nshare = 0.0\n[bind]"})
    assert load_parts(load_project(tmp_path)).test is None


def test_conditions_of_a_split():
    assert boundary("< 34", "<", "train") == 34
    assert boundary(">= 2.5", ">=", "test") == 2.5
    assert boundary("<2026-01-20", "<", "train") == "2026-01-20"
    for wrong in ("<= 3", "> 3", "34", ""):
        with pytest.raises(ProjectError, match="KR910"):
            boundary(wrong, "<", "train")


def test_a_project_written_out_reads_the_same(tmp_path, skimming_project):
    from dataclasses import replace

    project = load_project(skimming_project)
    (tmp_path / "project.toml").write_text(project_toml(project))
    again = load_project(tmp_path / "project.toml")
    assert replace(again, directory=project.directory) == project
    assert pq.read_schema(again.tables["cards"].path).names == ["card", "region"]


def test_a_column_of_sampling_weights_goes_with_the_labels(tmp_path):
    table = write(tmp_path)
    bound = 'label = "good", weight = "age", unknown'
    path = tmp_path / "knowreason.toml"
    path.write_text(PROJECT.replace('label = "good", unknown', bound))
    data = loaded(tmp_path)
    weights = data.label_weights["Good"]
    known = np.asarray(table["good"]) != -1
    assert weights["value"].to_pylist() == np.asarray(table["age"])[known].tolist()
    assert weights["a0"].to_pylist() == data.labels["Good"]["a0"].to_pylist()
    assert 'weight = "age"' in project_toml(load_project(path))
    past = data.split_by("day", before=5)[0]
    assert past.label_weights["Good"].num_rows == past.labels["Good"].num_rows
    path.write_text(PROJECT.replace('label = "good", unknown', bound.replace("age", "agee")))
    with pytest.raises(ProjectError, match="agee"):
        loaded(tmp_path)


def test_a_weight_is_above_zero(tmp_path):
    write(tmp_path)
    path = tmp_path / "knowreason.toml"
    path.write_text(PROJECT.replace('label = "good"', 'label = "good", weight = "day"'))
    with pytest.raises(DataError, match="0 is no sampling weight"):
        loaded(tmp_path)
