"""Facts files."""

import pytest

from knowreason.errors import ProgramError
from knowreason.lang import loads, parse_facts

WORLD = loads("""
domain Person
domain Digit = { 1, 2 }
observed Friends(Person, Person)
query Smokes(Person)
query Has(Person, Digit!)
query Rain()
attribute at(Person): time
attribute wait(Person): duration
attribute age(Person): int
attribute size(Person): float
attribute ok(Person): bool
attribute note(Person): string
attribute best(Person): Person
param k = 3
define Loner(x) := Friends(x, x)
rule r : Smokes(x)
""")


def test_atoms_several_a_line():
    facts = parse_facts(WORLD, '# seen\nFriends("anna", "bob")  !Smokes("bob") Rain()\nHas(7, 2)\n')
    assert [atom[:3] for atom in facts.atoms] == [
        ("Friends", ("anna", "bob"), True),
        ("Smokes", ("bob",), False),
        ("Rain", (), True),
        ("Has", ("7", "2"), True),
    ]
    assert facts.atoms[1][3].place() == "<facts>:2:25"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('at("e") = "1970-01-01T00:00:01Z"', 1_000_000),
        ('wait("e") = -2s', -2_000_000),
        ('age("e") = -3', -3),
        ('size("e") = 3', 3),
        ('size("e") = 1.5e-3', 0.0015),
        ('ok("e") = false', False),
        ('ok("e")', True),
        ('!ok("e")', False),
        ('note("e") = "a \\"b\\""', 'a "b"'),
        ('best("e") = "bob"', "bob"),
        ('best("e") = 7', "7"),
    ],
)
def test_values(text, value):
    ((_, arguments, given, _),) = parse_facts(WORLD, text).values
    assert (arguments, given) == (("e",), value)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('Smoke("a")', "KR201"),
        ('Smokes("a", "b")', "KR203"),
        ('Has("a", 3)', "KR210"),
        ('Loner("a")', "KR212"),
        ('k("a") = 3', "KR212"),
        ('Smokes("a") = 3', "KR212"),
        ('age("a")', "KR212"),
        ('age("a") = 1.5', "KR205"),
        ('age("a") = "x"', "KR205"),
        ('at("a") = "noon"', "KR107"),
        ("Smokes(anna)", "KR101"),
        ("Smokes('anna')", "KR103"),
        ('Smokes("anna"', "KR101"),
        ('Smokes("anna") & Rain()', "KR101"),
    ],
)
def test_faults(text, code):
    with pytest.raises(ProgramError) as caught:
        parse_facts(WORLD, text)
    assert caught.value.code == code


def test_a_fault_costs_its_own_line_only():
    text = 'Smokes("a")\nSmokes(\nSmoke("b")\nSmokes("c"\n  , "d")\n'
    with pytest.raises(ProgramError) as caught:
        parse_facts(WORLD, text, "w.facts")
    assert [d.code for d in caught.value.diagnostics] == ["KR101", "KR201", "KR203"]
    assert caught.value.diagnostics[0].span.place().startswith("w.facts:2:")


def test_many_facts():
    text = "\n".join(f'Friends("p{i}", "p{i + 1}")' for i in range(5_000))
    assert len(parse_facts(WORLD, text).atoms) == 5_000
