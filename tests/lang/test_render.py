"""Findings as text, JSON and SARIF."""

import json
import re

import pytest

from knowreason.diagnostics import Diagnostic, Related, Source, Span
from knowreason.lang import check
from knowreason.lang.diagnostic_rendering import render_json, render_sarif, render_text, summary

DOCUMENT = """# Intrusion
domain Host, User, Event
observed Logon(Event, user: User, src: Host)
query Malicious(Event)                 # open world; labelled in training data, asked afterwards

rule known : Logon(e, src: h) => Malicious(e)
rule found : Logon(e, src: h) => Malicious(e)

rule rare         [-4]            : Malicous(e)
"""


def test_the_style_of_the_specification():
    found = check(text=DOCUMENT, name="rulesets/intrusion.kr").diagnostics
    text = render_text([d for d in found if d.severity == "error"])
    assert (
        text
        == """\
error[KR201]: unknown predicate `Malicous`
 --> rulesets/intrusion.kr:9:37
  |
4 | query Malicious(Event)                 # open world; labelled in training data, asked afterwards
  |       --------- a predicate with a similar name is declared here
...
9 | rule rare         [-4]            : Malicous(e)
  |                                     ^^^^^^^^ not declared in this program
  |
  = help: did you mean `Malicious`?
"""
    )


def test_the_gutter_is_as_wide_as_the_largest_line_number():
    text = render_text(check(text="\n" * 11 + DOCUMENT).diagnostics)
    assert "\n15 | query Malicious" in text
    assert "\n  --> <string>:20:37\n   |\n" in text


def spot(text, start, end, **fields):
    source = Source("x.kr", text)
    return Diagnostic("KR101", "odd", span=Span(source, start, end), **fields)


def test_tabs_and_wide_characters_keep_the_carets_in_place():
    assert "\n1 | \tab\n  | \t ^\n" in render_text([spot("\tab", 2, 3)])
    assert "\n1 | 漢字x\n  |     ^\n" in render_text([spot("漢字x", 2, 3)])
    assert "\n1 | 漢字x\n  | ^^^^\n" in render_text([spot("漢字x", 0, 2)])


def test_a_span_of_several_lines_is_marked_on_the_first():
    assert "\n1 | ab\n  |  ^\n" in render_text([spot("ab\ncd", 1, 5)])


def test_an_empty_span_at_the_end_gets_one_caret():
    assert "\n1 | ab\n  |   ^\n" in render_text([spot("ab", 2, 2)])
    assert "1 |\n  | ^\n" in render_text([spot("", 0, 0)])


def test_control_characters_are_not_sent_to_the_terminal():
    text = render_text([spot("a\x1b[31mb", 0, 1)])
    assert "\x1b" not in text


def test_a_long_line_is_shown_around_the_fault():
    text = render_text([spot("x" * 5000 + "?" + "y" * 5000, 5000, 5001)])
    assert max(map(len, text.split("\n"))) < 200
    shown, marks = text.split("\n")[3:5]
    assert shown[marks.index("^")] == "?"


def test_other_files_have_a_heading_of_their_own():
    other = Source("base.kr", "domain A\n")
    related = (Related(Span(other, 7, 8), "first"),)
    text = render_text([spot("domain A", 7, 8, related=related, label="again")])
    assert "--> x.kr:1:8" in text
    assert "::: base.kr:1:8" in text
    assert "- first" in text


def test_a_finding_without_a_place():
    text = render_text([Diagnostic("KR111", "cannot read", help="look")])
    assert text == "error[KR111]: cannot read\n  = help: look\n"


def test_colour_is_only_colour():
    found = check(text=DOCUMENT).diagnostics
    colored = render_text(found, color=True)
    assert "\x1b[1;31m" in colored
    assert re.sub(r"\x1b\[[\d;]*m", "", colored) == render_text(found)


def test_json():
    found = json.loads(render_json(check(text=DOCUMENT, name="a.kr").diagnostics))
    error = next(d for d in found if d["severity"] == "error")
    assert error["code"] == "KR201"
    assert error["place"] == {
        "file": "a.kr",
        "line": 9,
        "column": 37,
        "end_line": 9,
        "end_column": 45,
    }
    assert error["related"][0]["place"]["line"] == 4
    assert error["help"] == "did you mean `Malicious`?"


@pytest.mark.parametrize("name", ["a.kr", "<string>"])
def test_sarif(name):
    log = json.loads(render_sarif(check(text=DOCUMENT, name=name).diagnostics))
    (run,) = log["runs"]
    assert log["version"] == "2.1.0"
    assert run["tool"]["driver"]["name"] == "knowreason"
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    levels = set()
    for result in run["results"]:
        assert rules[result["ruleIndex"]] == result["ruleId"]
        assert result["message"]["text"]
        region = result["locations"][0]["physicalLocation"]["region"]
        assert region["startLine"] >= 1
        assert region["startColumn"] >= 1
        levels.add(result["level"])
    assert levels <= {"error", "warning", "note"}


def test_summary():
    assert summary(check(text=DOCUMENT).diagnostics) == "1 error, 1 warning, 2 hints"
    assert summary([]) == ""
