"""Warnings and hints: what is said, what is not, and how it scales."""

import pytest

from knowreason.errors import ProgramError
from knowreason.lang import check, loads

WORLD = """
domain Person, Shop
domain Kind = { "a", "b" }
observed Friends(Person, Person)
observed Knows(Person, Person) symmetric
observed Pays(Person, Shop)
query Smokes(Person)
query Near(Person, Person)
latent Bad(Shop)
attribute age(Person): int
attribute shop(Person): Shop
"""


def codes(rules, only=()):
    found = check(text=WORLD + rules).diagnostics
    assert not [d for d in found if d.severity == "error" and d.code < "KR400"], found
    return [d.code for d in found if not only or d.code in only]


@pytest.mark.parametrize(
    ("rule", "hint"),
    [
        ("rule r : Knows(x, y) => (Smokes(x) <=> Smokes(y))", True),
        ("rule r : Friends(x, y) => (Smokes(x) <=> Smokes(y))", False),
        ("rule r : Friends(x, y) & Friends(y, x) => (Smokes(x) <=> Smokes(y))", True),
        ("rule r : Knows(x, y) & Smokes(x) => Smokes(y)", False),
        ("rule r : Knows(x, y) & x < y => (Smokes(x) <=> Smokes(y))", False),
        ("rule r : Knows(x, y) & x != y => Near(x, y) & Near(y, x)", True),
        ("rule r [? * age(x)] : Knows(x, y) => (Smokes(x) <=> Smokes(y))", False),
        ("rule r [? * age(x) * age(y)] : Knows(x, y) => (Smokes(x) <=> Smokes(y))", False),
        ("rule r : age(x) = age(y) & Smokes(x) & Smokes(y) => Near(x, y) | Near(y, x)", True),
        ("rule r : Pays(x, z) & Pays(y, z) => (Smokes(x) <=> Smokes(y))", True),
        ("rule r : Smokes(x) | Smokes(y)", True),
        ("rule r : Smokes(x) | !Smokes(y)", False),
        ("rule r : Knows(x, y) & Knows(y, z) & Near(x, z) => Smokes(y)", False),
    ],
)
def test_swapped_variables(rule, hint):
    assert codes(rule, ["KR305"]) == ["KR305"] * hint


@pytest.mark.parametrize(
    ("rule", "hint"),
    [
        ("rule r : Smokes(x) & Pays(x, s) & Pays(y, s) => Smokes(y)", True),
        ("rule r : Smokes(x) & Pays(x, s) & Pays(y, s) & Bad(s) => Smokes(y)", False),
        ("rule r : Smokes(x) & Pays(x, s) => Bad(s)", False),
        ("rule r : Smokes(x) & Friends(x, z) & Friends(y, z) => Smokes(y)", True),
        ("rule r : Smokes(x) & Friends(x, y) => Smokes(y)", False),
        ("rule r : Smokes(x) & shop(x) = shop(y) => Smokes(y)", True),
        ("rule r : Smokes(x) & age(x) = 3 => Smokes(x)", False),
        ("rule r [0.1 * 1 / age(y)] : Smokes(x) & Pays(x, s) & Pays(y, s) => Smokes(y)", False),
    ],
)
def test_pairs_of_a_group(rule, hint):
    assert codes(rule, ["KR306"]) == ["KR306"] * hint


@pytest.mark.parametrize(
    ("rule", "hint"),
    [
        ("rule r : Smokes(x)", False),
        ("rule r : Friends(x, y) => Smokes(x)", True),
        ("rule r : Friends(x, _) => Smokes(x)", False),
        ("rule r [? * age(y)] : Friends(x, y) => Smokes(x)", False),
        ("rule r : exists y. Friends(x, y) & Smokes(x)", False),
    ],
)
def test_variables_used_once(rule, hint):
    assert ("KR301" in codes(rule)) == hint


@pytest.mark.parametrize(
    ("rules", "found"),
    [
        ("rule a [hard] : Smokes(x)\nrule b [hard] : !Smokes(y)", ["KR403"]),
        ("rule a [hard] : Smokes(x)\nrule b : !Smokes(y)", []),
        ('rule a [hard] : Smokes(x)\nrule b [hard] : !Smokes("bob")', []),
        (
            "rule a [hard] : Smokes(x) => Smokes(y)\nrule b [hard] : Smokes(x) & !Smokes(y)",
            ["KR403"],
        ),
        ("rule a [hard] : Near(x, y)\nrule b [hard] : !Near(y, x)", ["KR403"]),
        ("rule a [hard] : Smokes(x) <=> Bad(s)\nrule b [hard] : Smokes(x) <=> !Bad(s)", ["KR403"]),
        ("rule a [hard] : Smokes(x) & !Smokes(x)", ["KR402"]),
        ("rule a [hard] : Smokes(x) => !Smokes(x)", []),
    ],
)
def test_contradictions(rules, found):
    assert codes(rules, ["KR402", "KR403"]) == found


def test_contradictions_are_errors_of_loading_too():
    rules = "rule a [hard] : Smokes(x)\nrule b [hard] : !Smokes(y)\n"
    with pytest.raises(ProgramError) as caught:
        loads(WORLD + rules)
    assert caught.value.code == "KR403"


def test_a_contradiction_that_a_missing_value_may_undo_is_a_warning():
    rules = (
        "rule a [hard] : Smokes(x) | age(x) < 3\nrule b [hard] : !Smokes(x)\n"
        "rule c [hard] : Smokes(x) | age(x) >= 3\n"
    )
    assert loads(WORLD + rules).rules
    found = [d for d in check(text=WORLD + rules).diagnostics if d.code == "KR403"]
    assert [d.severity for d in found] == ["warning"]


def test_a_minimal_set_of_hard_rules_is_named():
    rules = """
rule other [hard] : Smokes(x) => Near(x, x)
rule one [hard] : Smokes(x) => Bad(s)
rule two [hard] : Bad(s) => !Smokes(x)
rule three [hard] : Smokes(x) | Bad(s)
rule four [hard] : Bad(s) => Smokes(x)
"""
    (found,) = (d for d in check(text=WORLD + rules).diagnostics if d.code == "KR403")
    assert found.message == "hard rules contradict each other: `one`, `two`, `three`, `four`"


@pytest.mark.parametrize(
    ("rules", "found"),
    [
        ("rule a : Smokes(x)\nrule b [hard] : Smokes(y)", ["KR404"]),
        ("rule a : Smokes(x) & Friends(x, y) => Smokes(y)\n"
         "rule b : Friends(b, a) & Smokes(b) => Smokes(a)", ["KR404"]),
        ("rule a : Knows(x, y) & Smokes(x) => Smokes(y)\n"
         "rule b : Knows(y, x) & Smokes(x) => Smokes(y)", ["KR404"]),
        ("rule a : Friends(x, y) & Smokes(x) => Smokes(y)\n"
         "rule b : Friends(y, x) & Smokes(x) => Smokes(y)", []),
        ("rule a : Smokes(x)\nrule b [? * age(x)] : Smokes(x)", []),
        ("rule a [hard] : Smokes(x) => Near(x, x)\n"
         "rule b : Smokes(x) & age(x) > 3 => Near(x, x)", ["KR405"]),
        ("rule a : Smokes(x) & age(x) > 3 => Near(x, x)\n"
         "rule b [hard] : Smokes(x) => Near(x, x)", ["KR405"]),
        ("rule a [hard] : Smokes(x) & age(x) > 3 => Near(x, x)\n"
         "rule b : Smokes(x) => Near(x, x)", []),
        ("rule a [? * age(x)] : Smokes(x) => Near(x, x)\n"
         "rule b : Smokes(x) & age(x) > 3 => Near(x, x)", []),
    ],
)  # fmt: skip
def test_repetitions(rules, found):
    assert codes(rules, ["KR404", "KR405"]) == found


@pytest.mark.parametrize(
    ("rules", "found"),
    [
        ("rule a [?] : Bad(s) & Pays(x, s) => Smokes(x)", True),
        ("rule a [? >= 0] : Bad(s) & Pays(x, s) => Smokes(x)", False),
        ("rule a [? 1] : Bad(s) & Pays(x, s) => Smokes(x)", False),
        ("rule a [?] : Bad(s) & Pays(x, s) => Smokes(x)\nmodel m for Bad = gnn()", False),
        ("rule a [?] : Bad(s) & Pays(x, s) => Smokes(x)\nrule b [-3] : Bad(s)", False),
    ],
)
def test_arbitrary_sides(rules, found):
    assert ("KR304" in codes(rules)) == found


def test_what_a_model_names_in_its_options_is_used():
    model = 'model m for Smokes = stack([trees(features=["age", "Old"])])\n'
    rules = "define Old(x) := age(x) > 60\nrule r : Smokes(x)\n"
    unused = [d.message for d in check(text=WORLD + model + rules).diagnostics]
    assert not [message for message in unused if "`Old`" in message or "`age`" in message]


def test_a_faulty_rule_is_not_held_against_what_it_uses():
    text = "domain A\nobserved P(A)\nquery Q(A)\nrule r : P(x) & Q(x, x)\n"
    assert [d.code for d in check(text=text).diagnostics] == ["KR203"]


def test_ten_thousand_rules_of_one_shape():
    rules = "\n".join(
        f'rule r{i} [hard] : Friends(x, "p{i}") & Smokes(x) => Smokes("p{i}")' for i in range(3000)
    )
    same = "\n".join(f"rule s{i} : Friends(x, y) & Smokes(x) => Smokes(y)" for i in range(3000))
    found = codes(f"{rules}\n{same}", ["KR403", "KR404", "KR405"])
    assert found == ["KR404"] * 2999


def test_definitions_for_other_files_are_not_unused(tmp_path):
    library = WORLD + "define Old(x) := age(x) > 60\n"
    assert "KR302" not in [d.code for d in check(text=library).diagnostics if "Old" in d.message], (
        "a file of definitions is there to be imported"
    )
    (tmp_path / "library.kr").write_text(library)
    own = "define Young(x) := age(x) < 20\nrule r [1] : Friends(x, y) => Smokes(y)\n"
    (tmp_path / "main.kr").write_text('import "library.kr"\n' + own)
    unused = [d.message for d in check(tmp_path / "main.kr").diagnostics if d.code == "KR302"]
    assert any("Young" in message for message in unused)
    assert not any("Old" in message for message in unused)


@pytest.mark.parametrize(
    ("weight", "warned"),
    [
        ("80", True),
        ("-20", True),
        ("? 80", True),
        ("15", False),
        ("80%", False),
        ("odds 1e9", False),
    ],
)
def test_a_forgotten_percent_sign(weight, warned):
    assert codes(f"rule r [{weight}] : Smokes(x)", only=("KR309",)) == ["KR309"] * warned


def test_a_feature_may_be_small():
    assert codes("rule r [20 * age(x)] : Smokes(x)", only=("KR309",)) == []
