"""The grammar itself: no conflicts, every alternative built, lark's lexer agrees with ours."""

import json
import logging
import re
from pathlib import Path

import pytest
from lark import Lark
from lark import logger as lark_logger
from lark.exceptions import LarkError

from knowreason.diagnostics import Source
from knowreason.lang.syntax.grammar import STARTS, grammar, tokens
from knowreason.lang.syntax.node_builders import SyntaxFault
from knowreason.lang.syntax.parser import chunks, parse_tokens
from knowreason.lang.syntax.statement_builders import ACTIONS
from knowreason.resources import grammar_path

GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.kr"))
OPTIONS = {
    "parser": "lalr",
    "start": list(STARTS),
    "keep_all_tokens": True,
    "maybe_placeholders": False,
}
WORDS = (
    "import domain observed query latent attribute define param model rule within for "
    "per hard forall exists count sum avg min max rate "
    "last symmetric clock true false abs log log1p exp sqrt floor"
)
RESERVED = WORDS.split()


@pytest.fixture(scope="module")
def lark():
    return Lark(grammar_path().read_text(encoding="utf-8"), lexer="basic", **OPTIONS)


def test_there_is_no_conflict(caplog):
    lark_logger.setLevel(logging.DEBUG)  # reduce/reduce raises, shift/reduce is only told
    with caplog.at_level(logging.DEBUG, logger="lark"):
        Lark('start: a | b\na: X | a a\nb: Y\nX: "x"\nY: "y"', parser="lalr", debug=True)
        assert "Shift/Reduce" in caplog.text
        caplog.clear()
        Lark(grammar_path().read_text(encoding="utf-8"), debug=True, **OPTIONS)
    assert "Shift/Reduce" not in caplog.text


@pytest.mark.parametrize("lexer", ["basic", "contextual"])
def test_strict_mode(lexer):
    pytest.importorskip("interegular")
    Lark(grammar_path().read_text(encoding="utf-8"), lexer=lexer, strict=True, **OPTIONS)


def test_every_alternative_has_an_action(lark):
    named = {
        str(rule.alias or rule.origin.name)
        for rule in lark.rules
        if rule.alias or len(rule.expansion) != 1 or not rule.options.expand1
    }
    assert named == set(ACTIONS)


def test_the_reserved_words_are_those_of_the_language():
    assert sorted(grammar().reserved) == sorted(RESERVED)


def test_larks_own_lexer_reads_what_ours_does(lark):
    seen = {True: 0, False: 0}
    for path in GOLDEN:
        source = Source(path.name, path.read_text())
        for start, end in chunks(source.text):
            ours = theirs = True
            try:
                parse_tokens(source, tokens(source, start, end), "statement")
            except SyntaxFault as fault:
                if fault.diagnostic.code in ("KR107", "KR112"):
                    continue
                ours = False
            try:
                lark.parse(source.text[start:end], start="statement")
            except LarkError:
                theirs = False
            assert ours == theirs, source.text[start:end]
            seen[ours] += 1
    assert min(seen.values()) > 20


def test_the_colouring_knows_every_word():
    text = grammar_path().with_name("knowreason.tmLanguage.json").read_text(encoding="utf-8")
    json.loads(text)
    known = set(re.findall(r"[a-z0-9]+", text))
    assert set(RESERVED) <= known
