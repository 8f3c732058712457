"""Hard rules that no world satisfies are named, with the groundings that contradict each other."""

import pytest
import torch

import knowreason as kr
from knowreason.errors import InferenceError
from knowreason.explanation.contradictions import contradiction

PEOPLE = """
domain Person
domain Color = { "red", "blue" }
observed Friends(Person, Person)
query Smokes(Person)
query Has(Person, Color!)
latent Ill(Person)
rule follows [hard] : Smokes(x) & Friends(x, y) => Smokes(y)
rule harms   [hard] : Smokes(x) => Ill(x)
rule maybe   [0.5]  : Ill(x) => Smokes(x)
"""
FRIENDS = {"Friends": {"a": ["anna", "bob", "carl"], "b": ["bob", "carl", "anna"]}}
NONE = """
rule none [hard] : Friends(x, y) => !Ill(x)
rule some [hard] : Friends(x, y) => Smokes(y)
"""


def grounded(rules: str, **frames) -> kr.Grounding:
    program = kr.loads(PEOPLE + rules)
    return kr.ground(program, kr.Dataset.from_frames(program, facts=FRIENDS, **frames))


def test_nothing_contradicts_where_a_world_is_possible():
    assert contradiction(grounded("")) is None


def test_a_chain_from_what_is_given_is_named_link_by_link():
    known = {"Smokes": {"p": ["anna"], "value": [True]}}
    bare = grounded(
        'rule sound [hard] : Ill(x) & Friends(x, "anna") => Friends(x, "bob")', evidence=known
    )
    found = contradiction(bare)
    assert found is not None
    assert found.groundings == (
        ("follows", 'Smokes("anna") & Friends("anna", "bob") => Smokes("bob")'),
        ("follows", 'Smokes("bob") & Friends("bob", "carl") => Smokes("carl")'),
        ("harms", 'Smokes("carl") => Ill("carl")'),
        ("sound", 'Ill("carl") & Friends("carl", "anna") => Friends("carl", "bob")'),
    )
    assert found.given == ('Smokes("anna")',)
    assert found.minimal


def test_functional_predicates_and_counts_have_a_part_in_it():
    found = contradiction(grounded("rule differ [hard] : Friends(x, y) & Has(x, c) => !Has(y, c)"))
    assert found is not None
    assert found.rules == ("differ",)
    assert len(found.groundings) == 6
    assert found.blocks == ('Has("anna", _)', 'Has("bob", _)', 'Has("carl", _)')
    assert 'one value of Has("bob", _)' in str(found)
    few = "rule few [hard] : count { x : Smokes(x) } <= 1\n"
    many = "rule many [hard] : count { x : Smokes(x) } >= 2"
    counted = contradiction(grounded(few + many))
    assert counted is not None
    assert counted.rules == ("few", "many")
    inside = 'count { Smokes("anna"), Smokes("bob"), Smokes("carl") }'
    assert dict(counted.groundings) == {"few": f"0 <= {inside} <= 1", "many": f"2 <= {inside} <= 3"}


def test_labels_that_follow_each_other_into_a_contradiction_are_named_by_fit():
    program = kr.loads(PEOPLE)
    labels = {"Smokes": {"p": ["anna", "carl"], "value": [True, False]}}
    data = kr.Dataset.from_frames(program, facts=FRIENDS, labels=labels)
    with pytest.raises(InferenceError) as caught:
        kr.Reasoner(program).fit(data)
    text = str(caught.value)
    assert caught.value.code == "KR703"
    assert "no world satisfies hard rule `follows`:" in text
    assert 'follows: Smokes("bob") & Friends("bob", "carl") => Smokes("carl")' in text
    assert 'given Smokes("anna") and !Smokes("carl")' in text
    grounding = kr.ground(program, data)
    known = contradiction(grounding, grounding.labels)
    assert known is not None
    assert known.given == ('Smokes("anna")', '!Smokes("carl")')


def test_what_is_named_is_impossible_by_itself_and_only_together():
    """The named groundings as rules of their own: no world; without any one of them: worlds."""
    found = contradiction(grounded(NONE))
    assert found is not None
    texts = [text for _, text in found.groundings]
    for left_out in [None, *texts]:
        rules = [f"rule r{i} [hard] : {t}\n" for i, t in enumerate(texts) if t != left_out]
        program = kr.loads(PEOPLE.split("rule")[0] + "".join(rules))
        graph = kr.ground(program, kr.Dataset.from_frames(program, facts=FRIENDS)).graph
        if left_out is None:
            with pytest.raises(InferenceError):
                kr.infer(graph)
        else:
            assert torch.isfinite(kr.infer(graph).log_odds).all()
