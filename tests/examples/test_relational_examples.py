"""Loaders of the relational examples, on files made here and on the real ones."""

import importlib
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture
def example(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    yield importlib.import_module
    for name in ("mln_files", "kinship", "advisor", "karate"):
        sys.modules.pop(name, None)


def test_atoms_of_a_file(example, tmp_path):
    path = tmp_path / "facts"
    path.write_text("\nfather(1, 5)\n!male( 3 )\nfather(2,6)\nmale(4)\n")
    atoms = example("mln_files").read_atoms(path)
    assert atoms["father"].rows() == [("1", "5", True), ("2", "6", True)]
    assert atoms["male"].rows() == [("3", False), ("4", True)]


def test_a_line_that_is_no_atom_is_named(example, tmp_path):
    path = tmp_path / "facts"
    path.write_text("father(1, 5)\nfather(1, 5\n")
    with pytest.raises(ValueError, match="facts:2: not a ground atom"):
        example("mln_files").read_atoms(path)


def test_kinship_without_labels(example, real_data):
    kinship = example("kinship")
    data = kinship.load(real_data / "mln" / "kinship" / "S1")
    assert data.hidden["Male"].num_rows == 45
    assert data.labels["Male"].num_rows == 0
    reasoner = kinship.kr.Reasoner(data.program).fit(data)
    assert reasoner.score(data)["average_precision"].value > 0.97


def test_advisor_of_areas_together(example, real_data):
    advisor = example("advisor")
    data = advisor.load(real_data / "mln" / "uw_cse", ["graphics", "language"])
    assert data.labels["AdvisedBy"].num_rows == 468 + 160
    names = data.named("AdvisedBy").to_pydict()
    assert sum(names["value"]) == 20 + 9
    pairs = zip(names["a0"], names["a1"], strict=True)
    assert all(one.split("/")[0] == two.split("/")[0] for one, two in pairs)


def test_karate_with_the_leaders_labelled(example):
    karate = example("karate")
    assert karate.accuracy(karate.programs()["divided by peers"], karate.LEADERS) > 0.9
