"""Which relational engine runs, and what is said where it is not there."""

import sys

import numpy as np
import pytest

from knowreason.data import Dataset, EngineChoice, using_engine
from knowreason.data.engine.engine_choice import chosen_engine, open_engine
from knowreason.errors import DataError
from knowreason.project.project_file import load_project
from knowreason.project.project_tables import load_data, load_program


def test_an_engine_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "knowreason.data.engine.spark_engine", None)
    with using_engine(EngineChoice("spark")), pytest.raises(DataError, match="spark") as caught:
        open_engine(EngineChoice(), "1GB", None, None)
    assert caught.value.code == "KR538"


def test_the_choice_ends_with_its_context():
    mine = EngineChoice("spark", "local[1]", 7)
    with using_engine(EngineChoice("spark", "local[2]", 3)):
        assert chosen_engine(mine).partitions == 3
    assert chosen_engine(mine) == mine


def test_a_data_set_keeps_the_engine_of_its_project(tmp_path):
    (tmp_path / "rules.kr").write_text(
        'domain P = {"anna"}\nquery Smokes(P)\nrule r [1] : Smokes(x)'
    )
    text = 'program = "rules.kr"\n[engine]\nkind = "spark"\nmaster = "local[2]"\n'
    (tmp_path / "knowreason.toml").write_text(text)
    project = load_project(tmp_path)
    data = load_data(project, load_program(project))
    assert (data.engine.kind, data.engine.master) == ("spark", "local[2]")
    assert data.hide("Smokes", np.zeros(0, bool)).engine == data.engine
    assert Dataset.from_frames(data.program).engine == EngineChoice()
