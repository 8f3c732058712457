"""Printing and parsing are inverse."""

from hypothesis import given, settings

from knowreason.lang import check, loads, parse_formula
from knowreason.logic import Program
from knowreason.logic.canonical_text import formula_text
from tests.lang.programs import BASE, formulas, programs

RELAXED = settings(max_examples=150)


@RELAXED
@given(programs())
def test_parsing_what_is_printed_gives_the_same_program(program: Program):
    text = str(program)
    again = loads(text)
    assert again == program
    assert hash(again) == hash(program)
    assert str(again) == text


@RELAXED
@given(formulas())
def test_parsing_a_printed_formula_gives_the_same_formula(formula):
    anchored = f"Q(x) & U(y, k) & R(_, u) & ({formula_text(formula)})"
    once = parse_formula(BASE, anchored)
    assert parse_formula(BASE, formula_text(once)) == once


@settings(max_examples=50)
@given(programs())
def test_checking_any_program_finds_no_error_in_names_or_sorts(program: Program):
    found = check(text=str(program)).diagnostics
    assert not [d for d in found if d.severity == "error" and d.code < "KR400"]
