"""Which relational engine runs, and what is said where it is not there."""

import sys

import pytest

from knowreason.data import EngineChoice, using_engine
from knowreason.data.engine.engine_choice import chosen_engine, open_engine
from knowreason.errors import DataError


def test_an_engine_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "knowreason.data.engine.spark_engine", None)
    with using_engine(EngineChoice("spark")), pytest.raises(DataError, match="spark") as caught:
        open_engine("1GB", None, None)
    assert caught.value.code == "KR538"


def test_the_choice_ends_with_its_context():
    before = chosen_engine()
    with using_engine(EngineChoice("spark", "local[2]", 3)):
        assert chosen_engine().partitions == 3
    assert chosen_engine() == before
