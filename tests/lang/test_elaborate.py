"""What texts mean: sorts, scopes, weights, definitions."""

import math

import pytest

from knowreason.errors import ProgramError
from knowreason.lang import loads, parse_formula
from knowreason.logic import (
    Aggregate,
    And,
    Atom,
    BooleanTerm,
    Comparison,
    Constant,
    Directed,
    ForAll,
    Iff,
    Implies,
    Neutral,
    Not,
    Or,
    ParameterTerm,
    Variable,
    Wildcard,
)
from knowreason.logic.canonical_text import formula_text

WORLD = loads("""
domain Person, Host
domain Digit = { 1, 2, 3 }
observed Friends(Person, Person) symmetric
observed Logon(Person, user: Person, src: Host, dst: Host)
query Smokes(Person)
query Uses(Person, Digit!)
attribute at(Person): time clock
attribute age(Person): int
attribute ok(Person): bool
attribute home(Person): Host
param horizon = 1h
param limit = 3
rule r : Smokes(x)
""")
X, Y = Variable("x", "Person"), Variable("y", "Person")


def formula(text):
    return parse_formula(WORLD, text)


@pytest.mark.parametrize(
    ("written", "twin"),
    [
        ("Smokes(x) ⇒ Smokes(x)", "Smokes(x) => Smokes(x)"),
        ("Smokes(x) ⇔ ¬Smokes(x)", "Smokes(x) <=> !Smokes(x)"),
        ("Smokes(x) ∧ Smokes(y) ∨ Smokes(x)", "Smokes(x) & Smokes(y) | Smokes(x)"),
        ("∀ x. ∃ y. Friends(x, y)", "forall x. exists y. Friends(x, y)"),
        ("Friends(x, y) & x ≠ y", "Friends(x, y) & x != y"),
        ("Smokes(x) & age(x) ≤ 3 & age(x) ≥ 1", "Smokes(x) & age(x) <= 3 & age(x) >= 1"),
    ],
)
def test_unicode_twins(written, twin):
    assert formula(written) == formula(twin)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("A & B | C => D <=> E", "((((A & B) | C) => D) <=> E)"),
        ("A => B => C", "A => (B => C)"),
        ("A | B & C", "A | (B & C)"),
        ("!A & B", "(!A) & B"),
        ("!!A", "!(!A)"),
        ("A & (B & C)", "A & B & C"),
        ("(A | B) | C", "A | B | C"),
    ],
)
def test_precedence(written, meant):
    atoms = {letter: f'Smokes("{letter}")' for letter in "ABCDE"}

    def spell(text):
        return formula("".join(atoms.get(char, char) for char in text))

    assert spell(written) == spell(meant)


def test_a_binder_reaches_over_conjunctions_and_disjunctions_and_ends_before_arrows():
    found = formula("Smokes(x) & exists y. Friends(x, y) & Smokes(y) => Smokes(x)")
    assert isinstance(found, Implies)
    assert isinstance(found.left, And)
    assert formula_text(found.left.operands[1]) == "exists y. (Friends(x, y) & Smokes(y))"
    assert isinstance(formula('forall x. Smokes(x) | Smokes("a")'), ForAll)
    assert isinstance(formula('(forall x. Smokes(x)) | Smokes("a")'), Or)
    assert isinstance(formula('!forall x. Smokes(x) | Smokes("a")'), Not)
    assert isinstance(formula("forall x. Smokes(x) <=> Smokes(y)"), Iff)
    assert isinstance(formula("Smokes(y) <~> exists x. Smokes(x)"), Neutral)
    assert isinstance(formula("exists x. Smokes(x) & Friends(x, y) ~> Smokes(y)"), Directed)
    assert isinstance(formula("forall x. exists y. !Friends(x, y)"), ForAll)


def test_named_arguments_leave_the_rest_open():
    found = formula("Logon(x, dst: h)")
    assert found == Atom("Logon", (X, Wildcard("Person"), Wildcard("Host"), Variable("h", "Host")))


def test_chains_are_conjunctions():
    found = formula("Smokes(x) & 1 < age(x) <= limit")
    assert [type(part) for part in found.operands] == [Atom, Comparison, Comparison]
    assert found.operands[2].right == ParameterTerm("limit", "int")


def test_an_integer_is_its_decimal_text():
    assert formula("Uses(x, 3)") == formula('Uses(x, "3")')
    assert formula("Uses(x, limit)").arguments[1] == ParameterTerm("limit", "Digit")
    assert loads('domain D = { 3, "4" }').domain("D").members == ("3", "4")


def test_times_and_durations():
    late = formula('Smokes(x) & at(x) > "2026-01-31T08:00:00Z"').operands[1]
    assert late.right == Constant(1_769_846_400_000_000, "time")
    assert formula('Smokes(x) & "2026-01-31" < at(x)').operands[1].left.sort == "time"
    zone = formula('Smokes(x) & at(x) > "2026-01-31T10:00:00+02:00"').operands[1]
    assert zone == late
    gap = formula("Smokes(x) & Smokes(y) & at(x) - at(y) < 1.5h").operands[2]
    assert gap.left.sort == "duration"
    assert gap.right == Constant(5_400_000_000, "duration")


@pytest.mark.parametrize(
    ("text", "microseconds"),
    [
        ("3ms", 3_000),
        ("2s", 2_000_000),
        ("1m", 60_000_000),
        ("1d", 86_400_000_000),
        ("-1w", -604_800_000_000),
    ],
)
def test_every_unit_of_duration(text, microseconds):
    assert loads(f"param p = {text}").parameter_value("p").value == microseconds


def test_boolean_attributes_are_formulas():
    found = formula("Smokes(x) & ok(x) => !ok(x)")
    assert isinstance(found.left.operands[1], BooleanTerm)
    assert isinstance(found.right, Not)
    assert isinstance(formula("Smokes(x) & ok(x) = true").operands[1], Comparison)


def test_an_attribute_stands_where_its_value_may():
    found = formula("Smokes(x) & Logon(x, src: home(x))")
    assert found.operands[1].arguments[2].sort == "Host"


def test_binders_side_by_side_may_share_a_name_at_two_sorts():
    found = formula("(exists z. Smokes(z)) & exists z. Logon(_, src: z)")
    sorts = [part.variables[0].sort for part in found.operands]
    assert sorts == ["Person", "Host"]


def test_counts():
    found = formula("1 <= count { Smokes(x), Smokes(y) } <= 2")
    assert isinstance(found, And)
    inner = formula("count { y : Friends(x, y) & Smokes(y) } <= 3").left
    assert isinstance(inner, Aggregate)
    assert inner.variables == (Y,)
    nested = formula("count { y : count { z : Friends(y, z) & Smokes(z) } > 2 & Smokes(y) } > 1")
    assert isinstance(nested.left.body, And)


def test_words_that_mean_something_in_aggregates_only_are_names_elsewhere():
    program = loads(
        "domain A\nquery Q(by: A, of: A)\nattribute prior(A): int\n"
        "rule by : Q(by, of: prior) & prior(by) > 3\n"
    )
    assert [v.name for v in program.rule("by").variables] == ["by", "prior"]
    assert loads("domain A\nquery Summary(A)\nrule summary : Summary(counted)\n").rules


# ---------------------------------------------------------------- weights


@pytest.mark.parametrize(
    ("written", "mean", "sd", "bounds"),
    [
        ("", 2.0, 1.5, (0, float("inf"))),
        ("[?]", 0.0, 2.0, (float("-inf"), float("inf"))),
        ("[? 1.5]", 1.5, 2.0, (float("-inf"), float("inf"))),
        ("[? -1.5]", -1.5, 2.0, (float("-inf"), float("inf"))),
        ("[? >= 0]", 2.0, 2.0, (0, float("inf"))),
        ("[? <= 0]", -2.0, 2.0, (float("-inf"), 0)),
        ("[? 1.5 >= 0]", 1.5, 2.0, (0, float("inf"))),
        ("[1.5]", 1.5, None, None),
        ("[-4]", -4.0, None, None),
        ("[hard]", None, None, None),
    ],
)
def test_weights(written, mean, sd, bounds):
    text = f"domain A\nquery Q(A)\nquery S(A)\nrule r {written} : Q(x) => S(x)\n"
    weight = loads(text).rules[0].weight
    assert weight.is_learned == (sd is not None)
    if mean is not None:
        assert weight.prior_mean == mean
    if sd is not None:
        assert (weight.prior_sd, weight.bounds) == (sd, bounds)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("80%", math.log(4)),
        ("odds 4", math.log(4)),
        ("50%", 0.0),
        ("20%", -math.log(4)),
        ("odds 0.25", -math.log(4)),
        ("99.5%", math.log(199)),
    ],
)
def test_a_weight_may_be_written_as_a_chance(written, value):
    text = "domain A\nquery Q(A)\nattribute size(A): float\nrule r [{}] : Q(x)\n"
    for bracket in (written, f"? {written} >= 0", f"{written} * size(x)"):
        program = loads(text.format(bracket))
        assert program.rule("r").weight.prior_mean == pytest.approx(value, abs=1e-12)
        assert f"rule r [{bracket}] : Q(x)" in str(program)
        assert loads(str(program)) == program
    assert loads(text.format("? 80%")).rule("r").weight.is_learned


def test_odds_is_a_word_in_weights_only():
    text = "domain A\nquery Q(odds: A)\nattribute odds(A): float\n"
    program = loads(f"{text}rule odds [odds 2 * odds(odds)] : Q(odds) & odds(odds) > 1\n")
    assert program.rule("odds").weight.written == "odds 2"
    assert loads(str(program)) == program
    assert program.predicates[0].arguments[0].name == "odds"


@pytest.mark.parametrize(
    ("head", "written", "meant"),
    [
        ("n(x)", "count { y : R(y, z) & F(z, x) }", "count { y : exists z. (R(y, z) & F(z, x)) }"),
        (
            "n(x)",
            "max { at(y) for y : R(x, y) & F(y, z) & F(z, w) }",
            "max { at(y) for y : exists z, w. (R(x, y) & F(y, z) & F(z, w)) }",
        ),
        (
            "n(x)",
            "count { y : R(y, z) } + count { y : R(z, x) & F(x, y) }",
            "count { y : exists z. R(y, z) } + count { y : exists z. (R(z, x) & F(x, y)) }",
        ),
        (
            "n(x)",
            "count { y : R(x, y) & count { z : R(z, w) & F(z, y) } > 1 }",
            "count { y : R(x, y) & count { z : exists w. (R(z, w) & F(z, y)) } > 1 }",
        ),
        (
            "n(x)",
            "count { y : R(x, w) & count { z : R(z, w) & F(z, y) } > 1 }",
            "count { y : exists w. (R(x, w) & count { z : R(z, w) & F(z, y) } > 1) }",
        ),
        (
            "n(x)",
            "rate { F(y, z) for y : R(x, y) & R(y, w) prior 0.1 of 2 }",
            "rate { exists z. F(y, z) for y : exists w. (R(x, y) & R(y, w)) prior 0.1 of 2 }",
        ),
        ("n(x)", "count { R(x, y), F(y, x) }", "count { exists y. R(x, y), exists y. F(y, x) }"),
        ("P(x)", "R(x, z) & count { y : F(y, z) } > 1", "R(x, z) & count { y : F(y, z) } > 1"),
        ("P(x)", "count { R(x, z), F(z, x) } = 2", "count { R(x, z), F(z, x) } = 2"),
        (
            "P(x)",
            "R(x, _) & count { y : F(y, z) } > 1",
            "R(x, _) & count { y : exists z. F(y, z) } > 1",
        ),
        ("n(x)", "count { y : R(x, y) & at(y) > most }", "count { y : R(x, y) & at(y) > most }"),
    ],
)
def test_what_stands_in_one_aggregate_only_is_existential(head, written, meant):
    text = (
        "domain A\nobserved R(A, A)\nobserved F(A, A)\nattribute at(A): int\nparam most = 3\n"
        "define {} := {}\n"
    )
    program = loads(text.format(head, written))
    assert program == loads(text.format(head, meant))
    assert f"define {head} := {meant}" in str(program)


def test_the_parts_of_a_weight_combine():
    program = loads("""domain E
domain K = { "a", "b" }
query U(E, K)
query M(E)
attribute g(E): float
rule r [? 1.5 >= 0 per p * log1p(g(e)) / 2] : U(e, p) => M(e)
rule s [0.3 * (g(e) + 1)] : M(e)
""")
    weight = program.rule("r").weight
    assert (weight.kind, weight.value, weight.sign) == ("open", 1.5, ">=")
    assert weight.per == (Variable("p", "K"),)
    assert weight.feature.operator == "/"
    assert program.rule("s").weight.feature.operator == "+"
    assert "[0.3 * (g(e) + 1)]" in str(program)


# ---------------------------------------------------------------- definitions

DEFINED = """
domain A
observed F(A, A)
query Q(A)
attribute at(A): time clock
attribute n(A): int
"""


def define(text):
    return loads(f"{DEFINED}{text}\nrule r : Q(x)\n").definitions


def test_sorts_of_definitions_are_inferred_whatever_their_order():
    outer, inner = define("define Two(x, z) := One(x, y) & One(y, z)\ndefine One(a, b) := F(a, b)")
    assert outer.sorts == inner.sorts == ("A", "A")
    assert outer.name == "Two"


def test_recursion_through_a_positive_predicate():
    (reach,) = define("define Reach(x, y) := F(x, y) | Reach(x, z) & F(z, y)")
    assert reach.sorts == ("A", "A")
    (swapped,) = define("define Reach(x, y) := Reach(y, x) | exists z. (F(x, z) & Reach(z, y))")
    assert swapped.sorts == ("A", "A")


@pytest.mark.parametrize(
    ("body", "sort"),
    [
        ("count { y : F(x, y) }", "int"),
        ("count { y : F(x, y) last 30 by at(y) }", "int"),
        ("sum { n(y) for y : F(x, y) }", "int"),
        ("sum { n(y) > 3 for y : F(x, y) }", "int"),
        ("sum { at(y) - at(x) for y : F(x, y) }", "duration"),
        ("avg { n(y) for y : F(x, y) }", "float"),
        ("max { at(y) for y : F(x, y) }", "time"),
        ("min { n(y) / 2 for y : F(x, y) last 3 by n(y) }", "float"),
        ("rate { n(y) > 3 for y : F(x, y) prior 0.15 of 2 }", "float"),
        ("n(x) + 1", "int"),
        ("(at(x) - at(x)) / 1h", "float"),
    ],
)
def test_sorts_of_defined_attributes(body, sort):
    (definition,) = define(f"define g(x) := {body}")
    assert definition.sort == sort


def test_a_definition_of_a_predicate_from_an_attribute():
    (big,) = define("define Big(x) := n(x) > 100")
    assert big.sorts == ("A",)


def test_variables_are_listed_in_order_of_appearance():
    program = loads(f"{DEFINED}rule r [? * n(x)] : F(y, x) & Q(z) & exists w. F(z, w) => Q(x)\n")
    assert [variable.name for variable in program.rules[0].variables] == ["y", "x", "z"]


def test_a_formula_that_is_wrong_is_a_program_error():
    for text in ("Smokes(x", "Smoke(x)", "Smokes(x) extra", ""):
        with pytest.raises(ProgramError):
            formula(text)


def test_iff_groups_to_the_left():
    found = formula('Smokes("a") <=> Smokes("b") <=> Smokes("c")')
    assert isinstance(found.left, Iff)
    assert formula_text(found) == 'Smokes("a") <=> Smokes("b") <=> Smokes("c")'
