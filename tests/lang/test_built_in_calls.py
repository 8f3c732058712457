"""Functions of the calendar, texts and missing values: words where nothing else has them."""

import pytest

from knowreason import lang
from knowreason.errors import ProgramError
from knowreason.lang.python import program_builder as build
from knowreason.logic.canonical_text import formula_text
from knowreason.logic.formulas import AttributeTerm, Operation
from knowreason.logic.regular_expressions import PatternFault, portable_pattern
from knowreason.logic.traversal import walk

DECLARED = """domain E, P
query Bad(E)
observed By(E, P)
attribute at(E): time
attribute n(E): int
attribute name(P): string
attribute amount(E): float
param gap = 2d
"""
WORDS = ("hour", "weekday", "month", "starts_with", "matches", "missing")


def findings(body, zone="UTC"):
    return lang.check(text=f"{DECLARED}rule r : {body}\n", zone=zone).diagnostics


def operations(formula):
    return [node.operator for node in walk(formula) if isinstance(node, Operation)]


@pytest.mark.parametrize("word", WORDS)
def test_an_attribute_may_have_the_name_of_a_function(word):
    text = f"{DECLARED}attribute {word}(E): int\nrule r : Bad(e) & {word}(e) > 2\n"
    program = lang.loads(text)
    assert not operations(program.rules[0].formula)
    assert any(isinstance(node, AttributeTerm) for node in walk(program.rules[0].formula))
    assert lang.loads(str(program)) == program


@pytest.mark.parametrize("word", WORDS)
def test_definitions_variables_and_rules_may_have_the_name_of_a_function(word):
    text = (
        f"{DECLARED}define {word}(e) := n(e) + 1\nrule {word} : Bad({word}) & {word}({word}) > 2\n"
    )
    assert not operations(lang.loads(text).rules[0].formula)
    text = f"{DECLARED}param {word} = 3\nrule r : Bad(e) & hour(at(e)) > {word}\n"
    assert operations(lang.loads(text).rules[0].formula) == ["hour"]


@pytest.mark.parametrize("zone", ["UTC", "Europe/Vienna"])
@pytest.mark.parametrize(
    "body",
    [
        "Bad(e) & hour(at(e)) >= 22",
        "Bad(e) & weekday(at(e) + gap) > 5",
        'Bad(e) & month(at(e), "Asia/Tokyo") = 2',
        'Bad(e) & By(e, p) & starts_with(name(p), "shop")',
        'Bad(e) & By(e, p) & !matches(name(p), "^shop\\\\d+$")',
        "Bad(e) & missing(amount(e))",
        "Bad(e) & By(f, p) & at(f) - 6mo + 1mo < at(e)",
    ],
)
def test_text_and_back(body, zone):
    program = lang.loads(f"{DECLARED}rule r : {body}\n", zone=zone)
    assert lang.loads(str(program), zone=zone) == program
    formula = program.rules[0].formula
    assert lang.parse_formula(program, formula_text(formula)) == formula
    if zone == "UTC":
        assert formula_text(formula) == body


def test_a_backslash_of_a_pattern_needs_no_second_one():
    one = lang.loads(f'{DECLARED}rule r : Bad(e) & By(e, p) & matches(name(p), "\\d\\.\\w")')
    two = lang.loads(f'{DECLARED}rule r : Bad(e) & By(e, p) & matches(name(p), "\\\\d\\\\.\\\\w")')
    assert one == two


@pytest.mark.parametrize(
    ("body", "code", "at", "words"),
    [
        ('By(e, p) & matches(name(p), "a(b")', "KR107", "(b", "not closed"),
        ('By(e, p) & matches(name(p), "\\d\\d*+")', "KR107", '+"', "after a repetition"),
        ('By(e, p) & matches(name(p), "x\\\\b")', "KR107", "\\\\b", "not part of the dialect"),
        ("By(e, p) & matches(name(p), name(p))", "KR209", "name(p))", "quoted"),
        ('By(e, p) & matches(p, "a")', "KR209", 'p, "a"', "text, not a P"),
        ('Bad(e) & starts_with(n(e), "a")', "KR209", "n(e)", "text, not a whole number"),
        ("Bad(e) & starts_with(n(e))", "KR203", "starts_with", "2 arguments"),
        ("Bad(e) & hour(n(e)) > 2", "KR209", "n(e)", "takes a time"),
        ("Bad(e) & hour() > 2", "KR203", "hour", "not 0"),
        ("Bad(e) & hour(t: at(e)) > 2", "KR204", "hour", "no named"),
        ('Bad(e) & hour(at(e), "Europe/Viena") > 2', "KR107", '"Europe', "no time zone"),
        ("Bad(e) & missing(e)", "KR209", "e)", "always has a value"),
        ("Bad(e) & missing(Bad(e))", "KR212", "Bad(e))", "a formula stands"),
        ("Bad(e) & missing(n(e)) > 2", "KR209", "2", "cannot be compared"),
        ("Bad(e) & By(f, p) & at(e) - at(f) < 6mo", "KR209", "6mo", "after a time"),
        ("Bad(e) & gap + 6mo > gap", "KR209", "gap + ", "added to a time, not to a duration"),
        ("Bad(e) & (at(e) - at(e)) / 1mo > 2", "KR209", "1mo", "after a time"),
        ("Bad(e) & at(e) - 1.5mo > at(e)", "KR107", "1.5mo", "whole"),
        ("Bad(e) & hours(at(e)) > 2", "KR201", "hours", "unknown attribute"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(body, code, at, words):
    found = [finding for finding in findings(body) if finding.severity == "error"]
    assert [finding.code for finding in found] == [code]
    assert words in found[0].message + str(found[0].help)
    span = found[0].span
    assert span.source.text[span.start :].startswith(at)


def test_the_nearest_function_is_offered():
    (found,) = (f for f in findings("Bad(e) & hours(at(e)) > 2") if f.severity == "error")
    assert "`hour`" in found.help


def test_times_without_a_zone_are_the_programs():
    text = f'{DECLARED}rule r : Bad(e) & at(e) < "2026-07-01T12:00:00"\n'
    here, there = lang.loads(text), lang.loads(text, zone="Europe/Vienna")
    value = here.rules[0].formula.operands[1].right.value
    assert there.rules[0].formula.operands[1].right.value == value - 2 * 3_600_000_000
    with pytest.raises(ProgramError, match="no time zone"):
        lang.loads(text, zone="Mars")


def test_programs_in_python():
    E = build.domain("E")
    Bad, at = build.query("Bad", E), build.attribute("at", E, sort="time")
    name = build.attribute("name", E, sort="string")
    e = build.var("e")
    formula = Bad(e) & (build.hour(at(e)) > 3) & build.missing(name(e))
    formula &= build.starts_with(name(e), "a") & build.matches(name(e), "a\\d")
    formula &= at(e) - build.months(6) < at(e)
    program = build.program(E, Bad, at, name, build.rule("r", formula))
    expected = 'Bad(e) & hour(at(e)) > 3 & missing(name(e)) & starts_with(name(e), "a")'
    expected += ' & matches(name(e), "a\\\\d") & at(e) - 6mo < at(e)'
    assert formula_text(program.rules[0].formula) == expected


PATTERNS = {
    "a(b": 1,
    "a)b": 1,
    "*a": 0,
    "a**": 2,
    "[z-a]": 1,
    "[a": 0,
    "[]": 0,
    "a{2000}": 0,
    "(a{100}){100}": 0,
    "x(?=a)": 1,
    r"\1": 0,
    "a{,3}": 1,
    "\\": 0,
    "[[:alpha:]]": 1,
    "^*": 0,
}


@pytest.mark.parametrize("pattern", PATTERNS)
def test_places_of_faults_in_patterns(pattern):
    with pytest.raises(PatternFault) as caught:
        portable_pattern(pattern)
    assert caught.value.place == PATTERNS[pattern]
