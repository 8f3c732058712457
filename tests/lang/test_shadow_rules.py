"""`[shadow]` and `expect`: read, written, and kept apart from what acts."""

import pytest

from knowreason.lang import check, loads
from knowreason.lang.layout.formatter import format_text
from knowreason.lang.python import program_builder as build
from knowreason.logic.rule_forms import head_form

TEXT = """domain P
observed Odd(P)
attribute size(P): int
query Bad(P)

rule odd : Odd(x) => Bad(x) expect precision >= 30%, fires <= 200
rule big [shadow] : size(x) > 2 => Bad(x) expect recall >= 0.1
"""


def test_shadows_are_no_rules_that_act():
    program = loads(TEXT)
    assert [rule.name for rule in program.rules] == ["odd"]
    assert [rule.name for rule in program.shadow_rules] == ["big"]
    assert program.rule("big") is program.every_rule[1]
    assert [(e.figure, e.amount) for e in program.rule("odd").expected] == [
        ("precision", 0.3),
        ("fires", 200.0),
    ]
    assert loads(str(program)) == program
    assert "precision >= 30%, fires <= 200" in str(program)


def test_a_long_rule_may_break_before_what_is_expected():
    long = " & ".join(f"size(x) > {n}" for n in range(4))
    text = TEXT + f"rule long [shadow]:{long} => Bad(x)   expect precision>=0.25,recall<=0.75\n"
    written = format_text(text)
    assert loads(written) == loads(text)
    assert "\n    expect precision >= 0.25, recall <= 0.75\n" in written
    assert format_text(written) == written


def test_python_writes_both():
    person = build.domain("Person")
    odd, bad = build.observed("Odd", person), build.query("Bad", person)
    x = build.var("x")
    body = odd(x) >> bad(x)
    rule = build.rule("odd", body, build.SHADOW, expect="precision >= 30%")
    (made,) = build.program(person, odd, bad, rule).shadow_rules
    assert (made.weight.kind, made.expected[0].amount) == ("shadow", 0.3)


def test_a_shadow_uses_names_and_informs_nothing():
    text = "domain P\nobserved Odd(P)\nquery Bad(P)\nrule odd [shadow] : Odd(x) => Bad(x)\n"
    assert [finding.code for finding in check(text=text).diagnostics] == ["KR303"]


@pytest.mark.parametrize(
    ("formula", "head"),
    [
        ("Odd(x) => Bad(x)", ("Bad", True)),
        ("Odd(x) ~> Bad(x)", ("Bad", True)),
        ("Odd(x) => size(x) > 2 => !Bad(x)", ("Bad", False)),
        ("Bad(x) & Odd(y) & size(x) = size(y) => Bad(y)", ("Bad", True)),
        ("Bad(x) & size(x) > 2", ("Bad", True)),
        ("!Odd(x) | Bad(x)", ("Bad", True)),
        ("Bad(x) => Odd(x)", ("Bad", False)),
        ("Bad(x)", None),
        ("Bad(x) & Bad(y) & size(x) = size(y)", None),
        ("Odd(x) & Odd(y) & (Bad(x) <~> Bad(y))", None),
        ("Odd(x) <=> Bad(x)", None),
        ("Odd(x) => Bad(x) & size(x) > 2", None),
        ("Odd(x) => size(x) > 2", None),
    ],
)
def test_what_a_rule_says_of_which_atom(formula, head):
    program = loads(TEXT + f"rule r [shadow] : {formula}\n")
    form = head_form(program.rule("r").formula, program)
    assert (form and (form.head.predicate, form.says)) == head
