"""`in`, `if`, and words that are reserved only where they act."""

import pytest

from knowreason.errors import ProgramError
from knowreason.lang import check, loads, parse_formula
from knowreason.lang.layout.formatter import format_text
from knowreason.logic import Comparison, Conditional, ConstantSet
from knowreason.logic.canonical_text import formula_text

HEAD = """domain Pay, Acc
domain Kind = { "cash", "card" }
observed Of(Pay, Acc)
query Fraud(Pay)
attribute amount(Pay): float
attribute size(Pay): int
attribute country(Pay): string
attribute kind(Pay): Kind
attribute at(Pay): time
attribute open(Pay): bool
attribute source(Pay): Acc
param home = "DE"
"""
WORLD = loads(HEAD)


@pytest.mark.parametrize(
    "text",
    [
        'country(p) in { "NG", "RU", home }',
        "size(p) in { 1, 2, -3 }",
        "amount(p) in { 1.5 }",
        'kind(p) in { "cash" }',
        'source(p) in { "a", "b" }',
        'at(p) in { "2026-01-31T00:00:00Z" }',
        "size(p) + 1 in { 2 }",
        '!country(p) in { "NG" }',
        "(if size(p) > 1 then 2 else 1.5) > 1",
        '(if kind(p) = "cash" then "a" else country(p)) = "a"',
        'Of(p, (if open(p) then source(p) else "a"))',
        "size(p) > (if open(p) then 3 else if size(p) > 1 then 2 else 1) * 2",
        "max((if open(p) then 3 else 2), 1) > 2",
    ],
)
def test_printed_as_it_is_read(text):
    anchored = f"Fraud(p) & {text}"
    assert formula_text(parse_formula(WORLD, anchored)) == anchored
    rule = f"rule r : {anchored}\n"
    assert format_text(rule) == rule
    assert loads(str(loads(HEAD + rule))) == loads(HEAD + rule)


def test_values_take_the_sort_of_what_they_meet():
    found = parse_formula(WORLD, 'Fraud(p) & source(p) in { "a" }').operands[1]
    assert isinstance(found, Comparison)
    assert found.right == ConstantSet(found.right.members, "Acc")
    define = loads(HEAD + "define risk(p) := if size(p) > 1 then 2 else amount(p)\n")
    body = define.definition("risk").body
    assert isinstance(body, Conditional)
    assert (body.sort, define.definition("risk").sort) == ("float", "float")


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("country(p) in { NG }", "KR105", '`"NG"`'),
        ("country(p) in { q }", "KR105", "`... = q`"),
        ("country(p) in { 3 }", "KR209", ""),
        ('kind(p) in { "gold" }', "KR210", ""),
        ("Fraud(p) in { 1 }", "KR212", ""),
        ("(if open(p) then 1 else country(p)) = 1", "KR209", "one sort"),
        ("(if Fraud(p) then 1 else 2) = 1", "KR408", "(C => A)"),
        ("(if open(p) then Fraud(p) else Fraud(p)) = 1", "KR212", "(C => A)"),
        ("count { q : Fraud(q) } in { 1, 2 }", "KR410", ""),
    ],
)
def test_faults_say_what_to_write(text, code, said):
    found = check(text=f"{HEAD}rule r : Of(p, _) & {text} => Fraud(p)\n").diagnostics
    errors = [finding for finding in found if finding.severity == "error"]
    assert [finding.code for finding in errors] == [code]
    assert said in (errors[0].help or "")


WORDS = (
    "in",
    "if",
    "then",
    "else",
    "odds",
    "by",
    "prior",
    "of",
    "sees",
    "shadow",
    "expect",
    "month",
    "hour",
    "missing",
)


@pytest.mark.parametrize("word", [*WORDS, "matches", "per_cent", "mean", "any"])
def test_words_are_names_where_they_do_not_act(word):
    text = f"""domain A
observed P({word}: A, A)
query Q(A)
attribute {word}(A): int
define count_of(x) := count {{ {word} : P({word}, x) last 2 by {word}({word}) }}
define size(x) := if {word}(x) > 2 then {word}(x) else {word}(x) + 1
rule {word} [? * {word}(x)] : P({word}: x) & {word}(x) in {{ 1, 2 }} & {word}(x) > 1 => Q(x)
rule other : P({word}, _) & {word}({word}) = 1 & !({word}({word}) < 3) => Q({word})
model {word} for Q = trees()
"""
    program = loads(text)
    assert loads(str(program)) == program
    assert loads(format_text(text)) == program
    assert format_text(format_text(text)) == format_text(text)
    assert program.rules[1].variables[0].name == word


def test_a_condition_may_stand_in_parentheses():
    text = "domain A\nattribute if(A): int\n"
    one = loads(text + "define f(x) := if (if(x) > 2) then 1 else 2\n")
    assert one == loads(text + "define f(x) := if if(x) > 2 then 1 else 2\n")
    with pytest.raises(ProgramError):
        loads(text + "define f(x) := if (if(x) > 2) then 1\n")
