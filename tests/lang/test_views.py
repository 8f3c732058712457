"""`latent V(...) sees P`: read, printed, laid out, and refused where it has no meaning."""

import pytest

from knowreason.errors import ProgramError
from knowreason.lang import check, loads
from knowreason.lang.layout.formatter import format_text
from knowreason.lang.python import program_builder as build
from knowreason.logic.canonical_text import rule_text

HEAD = """\
domain User, Shop
domain Kind = { "a", "b" }
observed Near(User, User)
query Fraud(User)
query Known(User, User) within Near
query Uses(User, Kind!)
latent Hidden(User)
attribute age(User): int
model own for Fraud = trees()
"""
VIEW = """\
latent Netted(User) sees Fraud [? 1 >= 0]
model net for Netted = gnn()
"""


def test_a_view_writes_the_rule_that_ties_it():
    program = loads(HEAD + VIEW)
    view = program.predicate("Netted")
    assert (view.kind, view.sees, program.question_of("Netted")) == ("latent", "Fraud", "Fraud")
    assert program.question_of("Fraud") == "Fraud"
    assert program.views_of("Fraud") == ("Netted",)
    (rule,) = program.rules
    assert rule_text(rule) == "rule netted_sees_fraud [? 1 >= 0] : Netted(x) <~> Fraud(x)"


def test_without_a_bracket_no_rule_is_written():
    assert not loads(HEAD + "latent Netted(User) sees Fraud\nmodel net for Netted = gnn()").rules


def test_a_view_is_within_the_same_as_what_it_sees():
    text = "latent Met(User, User) sees Known [2]\nmodel met for Met = trees()\n"
    program = loads(HEAD + text)
    assert program.predicate("Met").within == "Near"
    assert rule_text(program.rules[0]) == (
        "rule met_sees_known [2] : Met(x1, x2) <~> Known(x1, x2)"
    )
    assert "latent Met(User, User) sees Known\n" in str(program)


def test_printed_and_read_again_it_is_the_same_program():
    program = loads(HEAD + VIEW + "rule often : Fraud(x) => Hidden(x)\n")
    again = loads(str(program))
    assert again == program
    assert str(again) == str(program)


def test_the_layout_keeps_the_bracket():
    untidy = "latent  Netted( User )sees   Fraud[?1>=0]# why\n"
    tidy = "latent Netted(User) sees Fraud [? 1 >= 0] # why\n"
    assert format_text(untidy).replace("  #", " #") == tidy
    assert format_text(format_text(untidy)) == format_text(untidy)


def test_the_word_is_a_name_elsewhere():
    program = loads(
        "domain sees\nattribute sees(sees): int\nquery Bad(sees: sees)\n"
        "rule sees : sees(sees) > 1 => Bad(sees)\n"
    )
    assert program.rules[0].name == "sees"
    assert loads(str(program)) == program


def test_in_python():
    user = build.domain("User")
    fraud = build.query("Fraud", user)
    net = build.latent("Netted", user, sees=fraud, tie=build.learned(1.0))
    plain = build.latent("Strange", user, sees=fraud, tie=0.5)
    made = build.program(user, fraud, net, plain)
    assert made == loads(
        "domain User\nquery Fraud(User)\nlatent Netted(User) sees Fraud [? 1]\n"
        "latent Strange(User) sees Fraud [0.5]\n"
    )


@pytest.mark.parametrize(
    ("line", "code", "message", "under"),
    [
        ("query V(User) sees Fraud", "KR220", "asks what `Fraud` asks already", "Fraud"),
        ("latent V(User) sees Frod", "KR201", "unknown predicate `Frod`", "Frod"),
        ("latent V(User) sees age", "KR220", "`age` is an attribute", "age"),
        ("latent V(User) sees Hidden", "KR220", "`Hidden` is a latent predicate", "Hidden"),
        ("latent V(User, User) sees Near", "KR220", "`Near` is an observed predicate", "Near"),
        ("latent V(Shop) sees Fraud", "KR220", "has other arguments than `V`", "Fraud"),
        ("latent V(User, Kind!) sees Uses", "KR220", "true or false", "Uses"),
        ("latent V(User) sees Fraud [hard]", "KR220", "must agree", "[hard]"),
        ("latent V(User) sees Fraud [? per x]", "KR206", "no variable of this rule", "x"),
        ("latent V(User) sees Fraud []", "KR109", "a weight is missing", "[]"),
        ("latent V(User) sees V", "KR220", "is another view", "V"),
    ],
)
def test_what_has_no_meaning_is_shown_at_its_place(line, code, message, under):
    found = check(text=HEAD + line + "\n").diagnostics
    (error,) = [d for d in found if d.severity == "error"]
    assert error.code == code
    assert message in error.message
    assert error.span.source.text[error.span.start : error.span.end] == under
    assert error.span.source.text[: error.span.start].count("\n") == HEAD.count("\n")


def test_views_do_not_see_views():
    with pytest.raises(ProgramError, match="`Netted` is another view"):
        loads(HEAD + VIEW + "latent Twice(User) sees Netted\n")


def test_one_model_answers_a_question_once():
    with pytest.raises(ProgramError, match="one question, and `net` would answer it twice"):
        loads(HEAD + "latent Netted(User) sees Fraud\nmodel net for Fraud, Netted = gnn()\n")


def test_the_name_of_the_rule_is_taken_once():
    with pytest.raises(ProgramError, match="rule `netted_sees_fraud` is declared twice"):
        loads(HEAD + VIEW + "rule netted_sees_fraud : Fraud(x)\n")


def test_a_view_without_a_model_sees_nothing():
    found = check(text="domain User\nquery Fraud(User)\nlatent Netted(User) sees Fraud [?]\n")
    (warning,) = [d for d in found.diagnostics if d.code == "KR303"]
    assert "a view is what its models say" in warning.message


@pytest.mark.parametrize("view", ["query W(P) sees Bad", "latent W(P) sees Bed"])
def test_a_view_of_nothing_leaves_rules_about_it_without_fault(view):
    text = f"domain P\nquery Bad(P)\n{view}\nrule m [1] : Bad(x) ~> W(x)\n"
    found = [d.code for d in check(text=text).diagnostics if d.severity == "error"]
    assert len(found) == 1
