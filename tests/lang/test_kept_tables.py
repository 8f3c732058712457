"""The parser's tables kept beside the bytecode are those that lark makes."""

import sys
from importlib.util import cache_from_source
from pathlib import Path

import pytest

from knowreason.lang import loads
from knowreason.lang.syntax import grammar as syntax
from knowreason.resources import rulesets_path


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """Bytecode goes to a folder of its own, and the grammar is read anew."""
    monkeypatch.setattr(sys, "pycache_prefix", str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    folder = Path(cache_from_source(syntax.__file__)).parent
    folder.mkdir(parents=True)
    yield folder
    syntax.grammar.cache_clear()


def test_kept_tables_read_rules_as_made_ones_do(kept, monkeypatch):
    text = (rulesets_path() / "skimming.kr").read_text(encoding="utf-8")
    read = []
    for _ in range(2):
        syntax.grammar.cache_clear()
        read.append((str(loads(text)), syntax.grammar().pattern, syntax.grammar().words))
    assert read[0] == read[1]
    assert syntax.grammar().parser.source_path == "<deserialized>"
    (file,) = kept.iterdir()
    file.write_bytes(b"half of a file")
    syntax.grammar.cache_clear()
    assert str(loads(text)) == read[0][0]
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    file.unlink()
    syntax.grammar.cache_clear()
    assert str(loads(text)) == read[0][0]
    assert not [*kept.iterdir()]
