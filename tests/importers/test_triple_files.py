"""Triples: which are known, which are asked, which are false."""

import pyarrow.parquet as pq
import pytest

from knowreason.errors import ProjectError
from knowreason.importers.importing import import_project
from knowreason.run.ground_files import ground_asked

TRAIN = "".join(f"p{i}\tparent\tp{i + 1}\np{i + 1}\tchild\tp{i}\n" for i in range(40))


def rows(folder, name):
    return pq.read_table(folder / "data" / f"{name}.parquet").to_pylist()


def test_parts_by_file(tmp_path):
    source = tmp_path / "kin"
    source.mkdir()
    (source / "train.txt").write_text(TRAIN)
    (source / "test.txt").write_text("p50\tparent\tp51\n")
    report = import_project([source], "triples", tmp_path / "made")
    judged = rows(tmp_path / "made", "judged")
    assert len(rows(tmp_path / "made", "known")) == 80
    assert [row["head"] for row in judged if row["holds"]] == ["p50"]
    false = {(r["head"], r["relation"], r["tail"]) for r in judged if not r["holds"]}
    known = {tuple(line.split("\t")) for line in TRAIN.splitlines()} | {("p50", "parent", "p51")}
    assert false
    assert not false & known
    assert report.count("refused") == 0
    assert ground_asked(tmp_path / "made").graph.atom_count == len(judged)


def test_a_tenth_is_held_back_and_always_the_same(tmp_path):
    (tmp_path / "kin.tsv").write_text(TRAIN)
    for name in ("one", "other"):
        report = import_project([tmp_path / "kin.tsv"], "triples", tmp_path / name)
    assert rows(tmp_path / "one", "judged") == rows(tmp_path / "other", "judged")
    held = sum(row["holds"] for row in rows(tmp_path / "one", "judged"))
    assert 0 < held < 20
    assert held + len(rows(tmp_path / "one", "known")) == 80
    assert "at random: no file says which" in str(report)


def test_a_line_that_is_no_triple(tmp_path):
    (tmp_path / "kin.tsv").write_text("a\tb\tc\na\tb\n")
    with pytest.raises(ProjectError, match=r"kin\.tsv") as caught:
        import_project([tmp_path / "kin.tsv"], "triples", tmp_path / "made")
    assert caught.value.code == "KR973"
