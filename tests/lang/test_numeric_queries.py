"""`query f(D): float`: read, printed, laid out, and refused where it has no meaning."""

import pytest

from knowreason.errors import ProgramError
from knowreason.lang import check, loads
from knowreason.lang.layout.formatter import format_text
from knowreason.lang.python import program_builder as build

HEAD = """\
domain Drug, Target
observed Pair(Drug, Target)
query Works(Drug)
query affinity(drug: Drug, target: Target): float within Pair
model m for affinity = trees()
"""


def findings(text: str) -> list[tuple[str, str]]:
    with pytest.raises(ProgramError) as caught:
        loads(text)
    return [(d.code, f"{d.message} {d.help}") for d in caught.value.diagnostics]


def test_it_is_an_attribute_that_is_asked():
    program = loads(HEAD)
    (query,) = program.numeric_queries
    assert (query.name, query.sort, query.within) == ("affinity", "float", "Pair")
    assert program.given_attributes == ()
    assert program.is_number("affinity")
    assert not program.is_number("Works")
    assert program.asked("affinity").sorts == ("Drug", "Target")
    assert program.question_of("affinity") == "affinity"


def test_printed_and_read_again_it_is_the_same_program():
    text = HEAD + (
        "define reach(d) := max { affinity(d, t) for t : Pair(d, t) }\n"
        "define Strong(d) := reach(d) > 7\n"
        "rule a [? * affinity(d, t)] : Pair(d, t) => Works(d)\n"
        "rule b : Strong(d) => Works(d)\n"
        "rule c : affinity(d, t) > 6 & Pair(d, t) => Works(d)\n"
    )
    program = loads(text)
    assert loads(str(program)) == program
    assert set(program.estimate_readers) == {"reach", "Strong"}
    assert not check(text=text).diagnostics


def test_the_layout():
    untidy = "query  affinity( Drug ,Target ) :float   within Pair\n"
    tidy = "query affinity(Drug, Target): float within Pair\n"
    assert format_text(untidy) == tidy
    assert format_text(tidy) == tidy


def test_in_python():
    drug = build.domain("Drug")
    loss = build.number("loss", drug)
    model = build.model("m", loss, build.kind("trees"))
    works = build.query("Works", drug)
    x = build.var("x")
    rule = build.rule("r", works(x), build.learned(feature=loss(x)))
    made = build.program(drug, loss, model, works, rule)
    assert made == loads(
        "domain Drug\nquery loss(Drug): float\nmodel m for loss = trees()\n"
        "query Works(Drug)\nrule r [? * loss(x)] : Works(x)\n"
    )


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("query f(Drug): int\nmodel n for f = trees()", "KR221", "write `: float`"),
        ("query f(Drug): Drug\nmodel n for f = trees()", "KR221", "write `: float`"),
        ("query f(Drug): flaot\nmodel n for f = trees()", "KR202", "did you mean `float`"),
        ("query f(Drug): float", "KR221", "add `model m for f = trees()`"),
        ("model n for affinity = trees()", "KR221", "two models"),
        ("query F(Drug): float\nmodel n for F = trees()", "KR219", "call it `f`"),
        ("query f(Drug)", "KR219", "for a number write `query f(...): float`"),
        ("query f(Drug!): float\nmodel n for f = trees()", "KR214", "one value anyway"),
        ("query f(Drug): float within Pair\nmodel n for f = trees()", "KR217", "other arguments"),
        ("query f(Drug): float within Works\nmodel n for f = trees()", "KR217", "within"),
        ("rule r : Pair(d, t) => affinity(d, t)", "KR212", "`[? * affinity(..)]`"),
        ("rule r : affinity(d, t) & Pair(d, t) => Works(d)", "KR212", "`affinity(..) > 0`"),
        (
            "define Strong(d, t) := affinity(d, t) > 7 & Pair(d, t)\n"
            "query Ties(Drug, Target) within Strong",
            "KR217",
            "cannot say which atoms of `Ties`",
        ),
        (
            "define Strong(d, t) := affinity(d, t) > 7 & Pair(d, t)\n"
            "query f(Drug, Target): float within Strong\nmodel n for f = trees()",
            "KR217",
            "cannot say which atoms of `f`",
        ),
        ("attribute affinity(Drug): float", "KR207", "twice"),
    ],
)
def test_refused(text, code, said):
    found = findings(HEAD + text + "\n")
    assert [c for c, _ in found] == [code]
    assert said in found[0][1]
