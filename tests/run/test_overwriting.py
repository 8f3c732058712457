"""What is written never takes anything with it that knowreason did not write."""

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pytest

from knowreason.data.binding.table_files import TableSource
from knowreason.disk import whole_file, whole_folder
from knowreason.errors import GroundingError, ProjectError
from knowreason.grounding.grounding_store import save
from knowreason.project.manifests import (
    has_manifest,
    partial_folder,
    refuse_existing,
    run_folder,
    write_manifest,
    write_text_whole,
)
from knowreason.project.project_file import load_project
from knowreason.run.compilation import compile_project, ground_project
from knowreason.run.run_prediction import check_output, save_table
from knowreason.run.run_training import train
from knowreason.run.starters import new_project

PROGRAM = """
domain Person
observed Friends(Person, Person)
query Smokes(Person)
rule peers [1.1] : Smokes(x) & Friends(x, y) => Smokes(y)
"""
PROJECT = """
program = "s.kr"
[tables.friends]
path = "{tables}friends.csv"
[tables.labels]
path = "{tables}labels*.csv"
[bind]
Friends = {{ table = "friends", columns = ["a", "b"] }}
Smokes = {{ table = "labels", columns = ["id"], label = "smokes" }}
"""


def write_tables(folder):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "friends.csv").write_text("a,b\nx,y\ny,z\nz,w\n")
    (folder / "labels_1.csv").write_text("id,smokes\nx,1\ny,1\nz,0\nw,0\n")


def write_project(folder, tables=""):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "s.kr").write_text(PROGRAM)
    (folder / "knowreason.toml").write_text(PROJECT.format(tables=tables))
    if not tables:
        write_tables(folder)
    return folder


def content(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def ours(folder):
    folder.mkdir(parents=True, exist_ok=True)
    write_manifest(folder, {})
    return folder


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    return tmp_path


def write_with(verb, project, target):
    if verb == "train":
        train(load_project(project), target, force=True)
    else:
        compile_project(load_project(project), target, force=True)


@pytest.mark.parametrize("verb", ["train", "compile"])
@pytest.mark.parametrize("manifest", [False, True])
@pytest.mark.parametrize("target", [".", "..", "data", "../ps", "link", "../link_above"])
def test_force_never_takes_the_project(elsewhere, verb, manifest, target):
    project = write_project(elsewhere / "above" / "ps", tables="data/")
    write_tables(project / "data")
    (project / "link").symlink_to(project, target_is_directory=True)
    (elsewhere / "above" / "link_above").symlink_to(elsewhere / "above")
    if manifest:  # even where a manifest of ours lies in it
        ours(project / target)
    before = content(elsewhere)
    with pytest.raises(ProjectError, match="KR924") as refused:
        write_with(verb, project, project / target)
    assert str(project / target) in str(refused.value)
    assert content(elsewhere) == before


@pytest.mark.parametrize("verb", ["train", "compile"])
def test_force_never_takes_tables_that_lie_elsewhere(elsewhere, verb):
    tables = ours(elsewhere / "tables")
    write_tables(tables)
    project = write_project(elsewhere / "ps", tables=f"{tables}/")
    with pytest.raises(ProjectError, match="KR924"):
        write_with(verb, project, tables)
    (elsewhere / "ps" / "link").symlink_to(tables)
    project = write_project(elsewhere / "ps", tables="link/")
    with pytest.raises(ProjectError, match="KR924"):
        write_with(verb, project, tables)
    assert (tables / "labels_1.csv").is_file()


def test_a_link_to_a_table_inside_a_run_is_not_taken(elsewhere):
    write_tables(elsewhere / "real")
    run = ours(elsewhere / "run")
    (run / "friends.csv").symlink_to(elsewhere / "real" / "friends.csv")
    project = write_project(elsewhere / "ps")
    text = (project / "knowreason.toml").read_text()
    text = text.replace('"friends.csv"', f'"{run}/friends.csv"')
    (project / "knowreason.toml").write_text(text)
    with pytest.raises(ProjectError, match="KR924"):
        train(load_project(project), run, force=True)


def test_force_never_takes_the_working_folder(elsewhere, monkeypatch):
    project = write_project(elsewhere / "ps")
    work = ours(elsewhere / "work")
    (work / "inner").mkdir()
    monkeypatch.chdir(work / "inner")
    for target in (Path(), Path(".."), work, work / "inner"):
        with pytest.raises(ProjectError, match="KR924"):
            train(load_project(project), target, force=True)


def test_files_that_sql_names_are_kept(elsewhere, monkeypatch):
    run = ours(elsewhere / "cwd" / "run")
    (run / "x.csv").write_text("a\n1\n")
    source = TableSource(sql="SELECT a, 'run' AS b FROM 'run/*.csv' WHERE a <> 'x'")
    assert Path("run/x.csv") in source.files()
    with pytest.raises(ProjectError, match="KR924"):
        refuse_existing(run, replace=True, keep=source.files())


def test_force_replaces_a_run_and_nothing_beside_it(elsewhere):
    project = write_project(elsewhere / "ps")
    good = elsewhere / "good"
    train(load_project(project), good)
    (good / "stale").write_text("")
    for name in ("good.old", ".good.old", "good.partial"):
        (elsewhere / name).mkdir()
        (elsewhere / name / "mine").write_text("mine")
    with pytest.raises(ProjectError, match=r"KR914.*--force"):
        train(load_project(project), good)
    train(load_project(project), good, force=True)
    assert not (good / "stale").exists()
    for name in ("good.old", ".good.old", "good.partial"):
        assert (elsewhere / name / "mine").read_text() == "mine"
    names = {path.name for path in elsewhere.iterdir()}
    assert names == {"cwd", "ps", "good", "good.old", ".good.old", "good.partial"}


def test_force_replaces_what_a_link_points_to(elsewhere):
    project = write_project(elsewhere / "ps")
    compile_project(load_project(project), elsewhere / "run")
    (elsewhere / "link").symlink_to(elsewhere / "run")
    compile_project(load_project(project), elsewhere / "link", force=True)
    assert (elsewhere / "link").is_symlink()
    assert has_manifest(elsewhere / "run")


@pytest.mark.parametrize("manifest", [None, "no json", "[]", '{"name": "web extension"}'])
def test_a_folder_that_is_not_ours_is_not_replaced(elsewhere, manifest):
    project = write_project(elsewhere / "ps")
    target = elsewhere / "photos"
    target.mkdir()
    if manifest is not None:
        (target / "manifest.json").write_text(manifest)
    before = content(elsewhere)
    for verb in ("train", "compile"):
        with pytest.raises(ProjectError, match=r"KR924.*photos.*manifest.json"):
            write_with(verb, project, target)
    with pytest.raises(ProjectError, match="KR914") as refused:
        train(load_project(project), target)
    assert "--force" not in str(refused.value)  # it would not help
    file = elsewhere / "file"
    file.write_text("mine")
    with pytest.raises(ProjectError, match="KR924"):
        train(load_project(project), file, force=True)
    assert content(elsewhere) == before | {Path("file"): b"mine"}


def test_an_unfinished_run_of_somebody_else_is_left_alone(elsewhere):
    project = write_project(elsewhere / "ps")
    partial = partial_folder(elsewhere / "run")
    partial.mkdir()
    (partial / "mine").write_text("mine")
    for resume in (False, True):
        with pytest.raises(ProjectError, match="KR924"):
            train(load_project(project), elsewhere / "run", resume=resume)
    assert (partial / "mine").read_text() == "mine"


def test_what_appeared_meanwhile_is_not_replaced(tmp_path):
    target = tmp_path / "run"

    def written():
        with run_folder(target) as folder:
            (folder / "new").write_text("new")
            target.mkdir()
            (target / "mine").write_text("mine")

    with pytest.raises(ProjectError, match="KR914"):
        written()
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert (target / "mine").read_text() == "mine"


def test_new_replaces_nothing(tmp_path):
    (tmp_path / "p").mkdir()
    with pytest.raises(ProjectError, match="KR914") as refused:
        new_project(tmp_path / "p", "blank")
    assert "--force" not in str(refused.value)
    (tmp_path / ".q.partial").mkdir()
    (tmp_path / ".q.partial" / "mine").write_text("mine")
    new_project(tmp_path / "q", "blank")
    assert (tmp_path / ".q.partial" / "mine").read_text() == "mine"


def test_a_block_that_fails_leaves_nothing_and_changes_nothing(tmp_path):
    file, folder = tmp_path / "file", tmp_path / "folder"
    file.write_text("old")
    folder.mkdir()

    def failing(context, suffix=""):
        with context as path:
            (path / "x" if suffix else path).write_text("half")
            raise ValueError

    for context, suffix in ((whole_file(file), ""), (whole_folder(folder), "x")):
        with pytest.raises(ValueError):  # noqa: PT011
            failing(context, suffix)
    assert file.read_text() == "old"
    assert {path.name for path in tmp_path.iterdir()} == {"file", "folder"}


def test_a_file_keeps_its_permissions_and_its_link(tmp_path):
    real, link = tmp_path / "real.kr", tmp_path / "link.kr"
    real.write_text("old")
    real.chmod(0o600)
    link.symlink_to(real)
    (tmp_path / ".real.kr.partial").write_text("mine")
    write_text_whole(link, "new")
    assert link.is_symlink()
    assert (real.read_text(), real.stat().st_mode & 0o777) == ("new", 0o600)
    assert (tmp_path / ".real.kr.partial").read_text() == "mine"


def test_results_replace_a_file_only_when_told_and_never_data(elsewhere):
    project = write_project(elsewhere / "ps")
    run = elsewhere / "run"
    train(load_project(project), run)
    today = elsewhere / "today"
    write_tables(today)
    out = elsewhere / "out.csv"
    check_output(out, run)
    save_table(pa.table({"a": [1]}), out)
    with pytest.raises(ProjectError, match="KR914"):
        check_output(out, run)
    check_output(out, run, replace=True)
    (run / "marginals" / "Smokes.parquet").touch()
    for kept in (
        project / "friends.csv",
        project / "labels_1.csv",
        today / "labels_1.csv",
        run / "marginals" / "Smokes.parquet",
    ):
        with pytest.raises(ProjectError, match="KR924"):
            check_output(kept, run, today, replace=True)
    (elsewhere / "folder.csv").mkdir()
    with pytest.raises(ProjectError, match="KR924"):
        check_output(elsewhere / "folder.csv", run, replace=True)
    with pytest.raises(ProjectError, match="KR918"):
        check_output(elsewhere / "out.xlsx", run)


def test_a_grounding_replaces_a_grounding_only(elsewhere):
    project = write_project(elsewhere / "ps")
    grounding = ground_project(load_project(project))
    for folder in (elsewhere / "g", elsewhere / "g"):
        save(grounding, folder)
    (elsewhere / "g.partial").mkdir()
    (elsewhere / "g" / "mine").write_text("mine")
    with pytest.raises(GroundingError, match="KR654"):
        save(grounding, elsewhere / "g")
    assert (elsewhere / "g" / "mine").read_text() == "mine"
    assert (elsewhere / "g.partial").is_dir()


def test_a_moved_run_is_still_ours(elsewhere):
    project = write_project(elsewhere / "ps")
    train(load_project(project), elsewhere / "run")
    shutil.move(elsewhere / "run", elsewhere / "moved")
    manifest = json.loads((elsewhere / "moved" / "manifest.json").read_text())
    assert manifest["knowreason"]
    train(load_project(project), elsewhere / "moved", force=True)
