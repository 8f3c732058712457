"""Truth tables and canonical forms against brute force."""

import random
from itertools import combinations, product

import pytest

from knowreason.lang import loads, parse_formula
from knowreason.logic.propositional_form import Leaves, canonical_clause, clause, skeleton
from knowreason.logic.satisfiability import satisfiable, smallest_conflict

WORLD = loads("""
domain D
observed F(D, D)
observed S(D, D) symmetric
query A(D)
query B(D)
attribute n(D): int
rule r : A(x)
""")
LEAVES = Leaves(["S"])


def table_of(text):
    return skeleton(parse_formula(WORLD, text), LEAVES)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("A(x)", [False, True]),
        ("!A(x)", [True, False]),
        ("A(x) & B(x)", [False, False, False, True]),
        ("A(x) => B(x)", [True, False, True, True]),
        ("A(x) <=> B(x)", [True, False, False, True]),
        ("A(x) | B(x) & false", [False, True, False, True]),
    ],
)
def test_rows_of_a_table(text, rows):
    table = table_of(text).table
    assert [bool(table >> row & 1) for row in range(len(rows))] == rows


@pytest.mark.parametrize(
    "text",
    [
        "A(x) | !A(x)",
        "A(x) & B(x) => B(x)",
        "(A(x) => B(x)) <=> (!B(x) => !A(x))",
        "F(x, y) & x = y => y = x",
        "S(x, y) => S(y, x)",
        "A(x) & (n(x) < 3 | n(x) >= 3) | !A(x)",
        "(exists z. F(x, z)) | !(exists w. F(x, w))",
    ],
)
def test_never_false(text):
    assert table_of(text).never_false


@pytest.mark.parametrize("text", ["A(x) | !A(y)", "F(x, y) => F(y, x)", "A(x) & n(x) < 3"])
def test_neither(text):
    found = table_of(text)
    assert not found.never_false
    assert not found.never_true


def clause_of(text):
    return clause(parse_formula(WORLD, text), LEAVES)


@pytest.mark.parametrize(
    ("text", "signs"),
    [
        ("A(x)", [True]),
        ("A(x) & B(x) => A(y) | !B(y)", [False, False, True, False]),
        ("!(A(x) & !B(x))", [False, True]),
        ("A(x) => B(x) => A(y)", [False, False, True]),
        ("A(x) & n(x) != 3 => B(x)", [False, True, True]),
    ],
)
def test_clauses(text, signs):
    assert [sign for sign, _ in clause_of(text)] == signs


@pytest.mark.parametrize("text", ["A(x) & B(x)", "A(x) <=> B(x)", "A(x) | B(x) => A(y)", "true"])
def test_what_is_no_clause(text):
    assert clause_of(text) is None


def test_renaming_and_reordering_do_not_change_the_canonical_form():
    random.seed(1)
    for text in ("F(x, y) & A(x) & A(y) & S(y, z) => B(z)", "F(x, y) & F(y, z) => F(x, z)"):
        literals = clause_of(text)
        for _ in range(30):
            names = dict(zip("xyz", random.sample(["a", "b", "c"], 3), strict=True))
            renamed = "".join(names.get(char, char) for char in text)
            other = clause_of(renamed)
            random.shuffle(other)
            assert canonical_clause(other)[0] == canonical_clause(literals)[0]


def test_different_clauses_have_different_forms():
    texts = ["F(x, y) => A(x)", "F(x, y) => A(y)", "F(x, x) => A(x)", "S(x, y) => A(x)"]
    forms = [canonical_clause(clause_of(text))[0] for text in texts]
    assert len(set(forms)) == len(forms)
    assert canonical_clause(clause_of("S(x, y) => A(x)")) != canonical_clause(
        clause_of("S(x, x) => A(x)")
    )


def test_a_formula_over_many_leaves_has_no_table():
    assert table_of(" <=> ".join(f'A("{i}")' for i in range(13))) is None


# ---------------------------------------------------------------- satisfiability


def by_force(clauses, atoms=6):
    for world in product([False, True], repeat=atoms):
        if all(any(world[abs(x) - 1] == (x > 0) for x in c) for c in clauses):
            return True
    return False


def test_satisfiability_against_enumeration():
    random.seed(0)
    for _ in range(400):
        clauses = [
            frozenset(
                random.choice((-1, 1)) * atom
                for atom in random.sample(range(1, 7), random.randint(1, 3))
            )
            for _ in range(random.randint(1, 24))
        ]
        assert satisfiable(clauses) == by_force(clauses)


def test_a_smallest_conflict_has_nothing_to_spare():
    random.seed(2)
    found = 0
    while found < 20:
        sets = [
            [frozenset(random.choice((-1, 1)) * a for a in random.sample(range(1, 5), 2))]
            for _ in range(14)
        ]
        if satisfiable([c for s in sets for c in s]):
            continue
        found += 1
        conflict = smallest_conflict(sets)
        assert not satisfiable([c for i in conflict for c in sets[i]])
        for fewer in combinations(conflict, len(conflict) - 1):
            assert satisfiable([c for i in fewer for c in sets[i]])
