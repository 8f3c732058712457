"""Whatever the text, reading it gives findings and no other exception."""

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowreason.errors import ProgramError
from knowreason.lang import check, loads, parse_facts, parse_formula
from knowreason.lang.diagnostic_rendering import render_json, render_sarif, render_text
from knowreason.lang.layout.formatter import format_text
from knowreason.lang.syntax.grammar import grammar
from tests.lang.programs import BASE

RELAXED = settings(max_examples=200)
SEEDS = [path.read_text() for path in sorted((Path(__file__).parent / "golden").glob("*.kr"))]
SYMBOLS = "<=> => | & ! ( ) { } [ ] , : := . = != < <= > >= + - * / ? _ # \" ' \\"
NAMES = 'x y P Q age at 3 1.5 1h "a" rule domain query'
PIECES = [
    *grammar().words,
    *SYMBOLS.split(),
    *NAMES.split(),
    "\n",
    "\n",
    "\t",
    "\u2028",
    "\x00",
    "é",
]


def read_everything(text: str) -> None:
    """Every way to read a text; only `ProgramError` may come out."""
    result = check(text=text)
    render_text(result.diagnostics, color=True)
    render_json(result.diagnostics)
    render_sarif(result.diagnostics)
    errors = [d for d in result.diagnostics if d.severity == "error"]
    try:
        program = loads(text)
        assert not errors
        assert loads(str(program)) == program
        assert loads(format_text(text)) == program
    except ProgramError as problem:
        assert problem.diagnostics  # noqa: PT017
    for read in (parse_facts, parse_formula):
        try:
            read(BASE, text)
        except ProgramError as problem:
            assert problem.diagnostics  # noqa: PT017


@RELAXED
@given(st.text(max_size=80))
def test_any_text(text):
    read_everything(text)


@RELAXED
@given(st.lists(st.sampled_from(PIECES), max_size=40), st.sampled_from(["", " "]))
def test_any_pieces(pieces, separator):
    read_everything(separator.join(pieces))


@pytest.mark.parametrize("seed", range(4))
def test_mutated_programs(seed):
    random.seed(seed)
    for text in random.sample(SEEDS, 12):
        place = random.randrange(len(text))
        width = random.randrange(12)
        piece = random.choice(PIECES)
        read_everything(text[:place] + piece + text[place + width :])


def test_any_bytes(tmp_path):
    random.seed(0)
    path = tmp_path / "noise.kr"
    for size in (0, 1, 100, 4000):
        path.write_bytes(random.randbytes(size))
        result = check(path)
        assert result.ok == (size == 0)


@pytest.mark.parametrize(
    "body",
    [
        "(" * 5000 + "Q(x)" + ")" * 5000,
        "!" * 5000 + "Q(x)",
        " => ".join(["Q(x)"] * 3000),
        " <=> ".join(["Q(x)"] * 3000),
        " & ".join(["Q(x)"] * 3000),
        "age(x) > " + " + ".join(["1"] * 3000),
        "age(x) > " + "-" * 3000 + "age(x)",
        "exists y. " * 3000 + "Q(y)",
        "count { " * 3000 + "Q(x)",
        "P(" * 3000,
    ],
)
def test_deep_nesting(body):
    read_everything(f"domain A\nquery Q(A)\nattribute age(A): int\nrule r : Q(x) & {body}\n")
