"""Damage is told: nothing is answered from a folder whose files are not what was written."""

import json
import re
import shutil
import warnings

import pytest

import knowreason as kr
from knowreason.errors import DataWarning, KnowreasonError
from knowreason.project.manifests import MANIFEST, SETTINGS, read_manifest
from knowreason.project.project_file import load_project
from knowreason.run.compilation import compile_project
from knowreason.run.run_training import train
from tests.projects import write_skimming

PROGRAM = """
domain Pay, Card
observed Pays(Pay, Card)
query Bad(Pay)
rule same [1] : Pays(p, c) & Pays(q, c) & Bad(p) => Bad(q)
"""


def flipped(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))


def cut_off(file):
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def emptied(file):
    file.write_bytes(b"")


def deleted(file):
    file.unlink()


DAMAGES = (flipped, cut_off, emptied, deleted)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("damage")
    train(load_project(write_skimming(folder / "project")), folder / "run")
    return folder / "run"


@pytest.fixture(scope="module")
def graph(run):
    compile_project(load_project(run.parent / "project"), run.parent / "graph")
    return run.parent / "graph"


@pytest.fixture(scope="module")
def state(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served") / "state"
    program = kr.loads(PROGRAM)
    facts = {"Pays": {"p": [f"p{i}" for i in range(12)], "c": [f"c{i % 4}" for i in range(12)]}}
    labels = {"Bad": {"p": ["p0", "p1", "p4", "p5"], "value": [1, 0, 1, 0]}}
    data = kr.Dataset.from_frames(program, facts=facts, labels=labels)
    kr.Reasoner(program, settings=kr.Settings(auto_trees=False)).fit(data).serve(data).save(folder)
    return folder


def damaged_copies(whole, folder):
    """A copy of a folder for each file of it and each damage, and the file's name."""
    files = sorted(
        p.relative_to(whole) for p in whole.rglob("*") if p.stat().st_size and p.is_file()
    )
    for number, file in enumerate(files):
        for damage in DAMAGES:
            copy = folder / f"{number}_{damage.__name__}"
            shutil.copytree(whole, copy)
            damage(copy / file)
            yield copy, file.as_posix(), damage
            shutil.rmtree(copy)


def told(call, *arguments):
    """The codes and texts of what a call raises or warns of; empty where it says nothing."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DataWarning)
        try:
            call(*arguments)
        except KnowreasonError as error:
            return str(error)
    return " ".join(str(one.message) for one in caught if issubclass(one.category, DataWarning))


def test_a_whole_run_is_loaded_in_silence(run):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert kr.load_run(run).reasoner.weights_


def test_each_file_of_a_run(run, tmp_path):
    checked = 0
    for copy, name, damage in damaged_copies(run, tmp_path):
        said = told(kr.load_run, copy)
        if name == MANIFEST:
            assert "KR960" in said or "KR961" in said or "KR911" in said, (name, damage)
        elif name == SETTINGS:  # people change it: what can be read is a warning
            assert said, (name, damage)
        else:
            assert f"damaged: `{copy / name}`" in said, (name, damage, said)
        checked += 1
    assert checked > 60


@pytest.mark.parametrize("kind", ["graph", "state"])
def test_each_file_of_other_folders(kind, tmp_path, request):
    whole = request.getfixturevalue(kind)
    for copy, name, damage in damaged_copies(whole, tmp_path):
        said = told(read_manifest, copy)
        assert re.search(f"KR9.*{re.escape(name)}", said), (name, damage, said)


def test_every_bit_of_a_manifest_counts(state, tmp_path):
    shutil.copytree(state, tmp_path / "copy")
    manifest = tmp_path / "copy" / MANIFEST
    whole = manifest.read_bytes()
    for place in range(0, len(whole), 7):
        changed = bytearray(whole)
        changed[place] ^= 4
        manifest.write_bytes(bytes(changed))
        if changed.split() != whole.split():
            assert "KR9" in told(read_manifest, tmp_path / "copy"), place


def test_a_folder_of_another_format_is_named(run, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    manifest = tmp_path / "run" / MANIFEST
    manifest.write_text(manifest.read_text().replace('"format": 1', '"format": 99.0'))
    assert "KR961" in told(kr.load_run, tmp_path / "run")


def test_a_manifest_names_nothing_outside(run, tmp_path):
    from knowreason.project.manifests import _own_digest

    shutil.copytree(run, tmp_path / "run")
    (tmp_path / "secret").write_text("x")
    whole = json.loads((tmp_path / "run" / MANIFEST).read_text())
    for name in ("../secret", str(tmp_path / "secret")):
        manifest = {**whole, "files": {**whole["files"], name: "0" * 32}}
        manifest["digest"] = _own_digest(manifest)
        (tmp_path / "run" / MANIFEST).write_text(json.dumps(manifest))
        assert "secret` is missing" in told(kr.load_run, tmp_path / "run")
