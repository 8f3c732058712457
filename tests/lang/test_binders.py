"""How far binders reach, against the grammar in which they bound as tightly as `!`."""

import random
import re
from types import SimpleNamespace

import pytest
from lark import Lark

from knowreason.errors import ProgramError
from knowreason.lang import check, loads
from knowreason.lang.layout.formatter import format_text
from knowreason.lang.syntax import grammar as grammar_file
from knowreason.lang.syntax import parser as parser_file
from knowreason.lang.syntax.grammar import Grammar, grammar
from knowreason.resources import grammar_path
from tests.lang.test_grammar import OPTIONS

BEFORE = """
?disjunction: conjunction
            | disjunction OR conjunction   -> disjunction
?conjunction: negation
            | conjunction AND negation     -> conjunction
?negation: comparison
         | NOT negation                    -> negation
         | quantifier names DOT negation   -> quantified
"""
HEAD = """domain A
observed P(A)
observed E(A, A)
query Q(A)
"""


@pytest.fixture(scope="module")
def before():
    text = grammar_path().read_text(encoding="utf-8")
    text = re.sub(r"\?disjunction: .*?(?=quantifier: )", BEFORE, text, flags=re.DOTALL)
    actions = {name: grammar_file._builder(name) for name in grammar_file.ACTIONS}
    lark = Lark(text, lexer="basic", transformer=SimpleNamespace(**actions), **OPTIONS)
    return Grammar(lark, grammar().pattern, grammar().words)


def read(text, monkeypatch, rules=None):
    """The program of a text, or nothing where it has an error; by another grammar's rules."""
    with monkeypatch.context() as patch:
        if rules is not None:
            patch.setattr(parser_file, "grammar", lambda: rules)
        try:
            return loads(text)
        except ProgramError:
            return None


def drawn(draw, scope, depth):
    """Text of a formula with few parentheses, any of its variables anywhere."""
    kind = draw.random()
    if depth == 0 or kind < 0.25:
        names = [draw.choice(scope), draw.choice(scope)]
        return draw.choice([f"P({names[0]})", f"E({names[0]}, {names[1]})", f"Q({names[0]})"])
    if kind < 0.5:
        name = draw.choice("yzw")
        word = draw.choice(["exists", "forall"])
        inner = [*scope, name] if draw.random() < 0.7 else scope
        return f"{word} {name}. {drawn(draw, inner, depth - 1)}"
    if kind < 0.6:
        return f"!{drawn(draw, scope, depth - 1)}"
    if kind < 0.7:
        return f"({drawn(draw, scope, depth - 1)})"
    sign = draw.choice(["&", "&", "|", "|", "=>", "<=>"])
    return f"{drawn(draw, scope, depth - 1)} {sign} {drawn(draw, scope, depth - 1)}"


def test_what_was_read_otherwise_gets_a_warning(before, monkeypatch):
    draw = random.Random(0)
    seen = {"same": 0, "moved": 0, "new": 0}
    for _ in range(600):
        text = f"{HEAD}rule r : {drawn(draw, ['x'], 4)}\n"
        old, new = read(text, monkeypatch, before), read(text, monkeypatch)
        warned = "KR307" in [finding.code for finding in check(text=text).diagnostics]
        if old is None:  # nobody has such a file
            seen["new"] += new is not None
            continue
        assert warned or old == new, text
        seen["same" if old == new else "moved"] += 1
        if new is not None:
            assert warned == (old != new), text
            tidy = format_text(text)
            assert read(tidy, monkeypatch) == new
            assert read(tidy, monkeypatch, before) == new, tidy
            assert "KR307" not in [finding.code for finding in check(text=tidy).diagnostics]
    assert min(seen.values()) > 8, seen


def test_what_is_printed_is_read_alike_by_both(before, monkeypatch):
    draw = random.Random(1)
    for _ in range(200):
        program = read(f"{HEAD}rule r : {drawn(draw, ['x'], 4)}\n", monkeypatch)
        if program is not None:
            assert read(str(program), monkeypatch, before) == program


def test_fmt_writes_the_parentheses_and_keeps_comments():
    text = """rule r [1] : !exists y. E(x, y) & # one
    P(y) | exists z. P(z) & Q(z)  # two
"""
    assert (
        format_text(text)
        == """rule r [1] : !exists y. (E(x, y) &  # one
    P(y) | exists z. (P(z) & Q(z)))  # two
"""
    )
    assert format_text(format_text(text)) == format_text(text)
