"""Atoms are printed as the language reads them back, whatever the data call their things."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import knowreason as kr
from knowreason.beliefs.beliefs import Beliefs
from knowreason.beliefs.reasons import atom_index
from knowreason.errors import UnknownNameError
from knowreason.lang import parse_facts, parse_formula
from knowreason.logic.canonical_text import ground_atom_text

PROGRAM = kr.loads("""
domain P
observed Knows(P, P)
observed Paid(P)
query Odd(P)
query Pair(P, P) within Knows
rule spread [1] : Odd(x) & Knows(x, y) => Odd(y)
rule paid [2] : Paid(x) => Odd(x)
rule both [hard] : Pair(x, y) => Odd(x)
""")
AWKWARD = ['"', "\\", ",", ")", "\n", "\r", "\t", "\r\n", "\x1b[2J", "a\u2028b", "\\n", "# x"]
names = st.lists(
    st.one_of(
        st.sampled_from(AWKWARD), st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
    ),
    min_size=2,
    max_size=4,
    unique=True,
)


def _grounding(things):
    pairs = [(a, b) for a in things for b in things if a != b]
    knows = {"a": [a for a, _ in pairs], "b": [b for _, b in pairs]}
    return kr.ground(PROGRAM, kr.Dataset.from_frames(PROGRAM, facts={"Knows": knows}))


@given(names)
@example(AWKWARD)
def test_a_printed_atom_is_read_as_the_same_atom(things):
    grounding = _grounding(things)
    beliefs = Beliefs(kr.infer(grounding.graph), grounding)
    printed = [grounding.atom_name(atom) for atom in range(grounding.graph.atom_count)]
    assert [atom_index(beliefs, text) for text in printed] == list(range(len(printed)))
    assert all(len(text.splitlines()) == 1 for text in printed)
    facts = parse_facts(PROGRAM, "\n".join(printed))
    assert {arguments[0] for _, arguments, _, _ in facts.atoms} == set(things)


@given(names)
@example(AWKWARD)
def test_explanations_and_errors_hold_atoms_that_can_be_read(things):
    grounding = _grounding(things)
    posterior = kr.infer(grounding.graph)
    why = Beliefs(posterior, grounding).explainer.explain(grounding.atom_index("Odd", things[0]))
    readable = [why.atom]
    for reason in why.reasons:
        readable += [reason.text, *(name for name, _ in reason.others)]
    readable += [obstacle.literal for obstacle in why.why_not]
    for text in readable:
        assert parse_formula(PROGRAM, text) is not None
    with pytest.raises(UnknownNameError) as caught:
        grounding.atom_index("Pair", things[1], things[1])
    assert ground_atom_text("Pair", [things[1]] * 2) in str(caught.value)


def test_names_of_biases_are_readable():
    program = kr.loads('domain P = {"a\\"b", "c\\\\"}\ndomain E\nquery Uses(E, P!)')
    data = kr.Dataset.from_frames(program, labels={"Uses": {"e": ['e"'], "p": ["c\\"]}})
    grounding = kr.ground(program, data)
    assert grounding.parameters.names == ('bias Uses["a\\"b"]', 'bias Uses["c\\\\"]')


def test_an_atom_that_is_not_there_comes_with_what_to_write():
    grounding = _grounding(("anna", "bob", "p7"))
    asked = {
        ("Odd", "ana"): "did you mean `anna`?",
        ("Odd", "p9"): 'there are "anna", "bob", "p7": names are compared as text',
        ("Pair", "anna"): "it is about (",
        ("Od", "anna"): "did you mean `Odd`?",
    }
    for (predicate, name), help in asked.items():
        with pytest.raises(UnknownNameError) as caught:
            grounding.atom_index(predicate, name)
        (found,) = caught.value.diagnostics
        assert found.code == "KR650"
        assert help in found.help
