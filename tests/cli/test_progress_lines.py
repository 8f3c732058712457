"""Long steps are told line by line, also where stderr is a file."""

import re
import subprocess
import sys
import time

import pytest

from knowreason.cli.progress_lines import ProgressLines, beating
from knowreason.progress import step


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_a_step_has_one_line_whatever_happens_in_it():
    lines, clock = [], Clock()
    told = ProgressLines(lines.append, clock=clock)
    with step(told, "weights") as inner:
        inner(0, 10, "gradient 1")
        clock.now = 2.0
        inner(10, 10, "gradient 0")
    with step(told, "report"):
        pass
    assert lines == ["weights: done (2.0 s)", "report: done (0.0 s)"]


def test_steps_side_by_side_each_have_theirs():
    lines = []
    told = ProgressLines(lines.append, clock=Clock())
    told(0, 2, "a: fold 1 of 2")
    told(0, 0, "b: fitted again: seed is 1, was 0")
    told(1, 2, "a: fold 2 of 2")
    told(0, 2, "b: fold 1 of 2")
    told(2, 2, "b: done")
    told(2, 2, "a: done")
    told(1, 1, "c: taken from `run`")
    assert lines == [
        "b: fitted again: seed is 1, was 0",
        "b: done (0.0 s)",
        "a: done (0.0 s)",
        "c: taken from `run`",
    ]


def test_a_long_step_gives_signs_of_life():
    lines, clock = [], Clock()
    told = ProgressLines(lines.append, clock=clock)
    told.beat()
    told(0, 9, "weights")
    told(4, 9, "weights: gradient 0.1")
    for clock.now in (20.0, 31.0, 45.0, 62.0):
        told.beat()
    assert lines == [
        "weights: gradient 0.1 (4 of 9), 31 s",
        "weights: gradient 0.1 (4 of 9), 62 s",
    ]
    told(9, 9, "weights: done")
    clock.now = 500.0
    told.beat()
    assert lines[-1] == "weights: done (62.0 s)"


def test_the_beat_is_kept_while_the_block_runs():
    lines = []
    told = ProgressLines(lines.append, silence=0.0)
    told(0, 0, "long")
    with beating(told, every=0.001):
        while len(lines) < 2:
            time.sleep(0.001)
    assert lines[0].startswith("long, ")


def test_of_brief_work_only_long_steps_are_told():
    lines, clock = [], Clock()
    told = ProgressLines(lines.append, least=2.0, clock=clock)
    with step(told, "reading"):
        clock.now = 1.9
    with step(told, "planning"):
        clock.now = 4.0
    assert lines == ["planning: done (2.1 s)"]


@pytest.fixture(scope="module")
def said(skimming_project, skimming_run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("said")
    command = [sys.executable, "-m", "knowreason", "train", skimming_project, "-o", folder / "run"]
    more = ["--models", skimming_run, "--set", "models.signs.C=0.5"]
    with (folder / "err.txt").open("w") as err, (folder / "out.txt").open("w") as out:
        subprocess.run([*map(str, [*command, *more])], stdout=out, stderr=err, check=True)
    return (folder / "err.txt").read_text(), (folder / "out.txt").read_text()


def test_a_file_gets_a_line_a_step(said):
    err, out = said
    lines = [re.sub(r"\([\d.]+ s\)", "(s)", line) for line in err.splitlines()]
    for name in (
        "reading",
        "grounding",
        "learning weights",
        "reasoning about the test part",
        "measuring",
        "writing the report",
    ):
        assert [line for line in lines if line.startswith(f"{name}: ")] == [f"{name}: done (s)"]
        assert name not in lines
    assert "\x1b[" not in err
    assert "learning weights" not in out


def test_each_model_has_a_line_that_says_where_it_is_from(said, skimming_run):
    lines = said[0].splitlines()
    assert f"amount for Fraud: taken from `{skimming_run}`" in lines
    (again,) = [line for line in lines if line.startswith("signs for Fraud: fitted again")]
    assert again.endswith(f"not taken from `{skimming_run}`: option `C` is new")
    assert any(line.startswith("signs for Fraud: done (") for line in lines)
