"""Patterns of relations are counted and used."""

import pytest

from knowreason.data import Dataset
from knowreason.grounding import ground
from knowreason.inference import infer
from knowreason.lang import load, parse_facts
from knowreason.models.base.feature_columns import evaluated
from knowreason.resources import rulesets_path


def family(people=8):
    """Parents and children both ways, less one; uncles are brothers of parents."""
    facts = []
    for i in range(people):
        facts.append(f'Known("p{i}", "parent", "c{i}") Known("b{i}", "brother", "p{i}")')
        if i:
            facts.append(f'Known("c{i}", "child", "p{i}") Known("b{i}", "uncle", "c{i}")')
    asked = [("c0", "child", "p0"), ("p0", "child", "c0"), ("b0", "uncle", "c0"),
             ("c0", "uncle", "b0")]  # fmt: skip
    facts += [f'Candidate("{h}", "{r}", "{t}")' for h, r, t in asked]
    return "\n".join(facts)


def beliefs(facts, name="knowledge_graph_rules.kr"):
    program = load(rulesets_path() / name)
    data = Dataset.from_facts(program, parse_facts(program, facts))
    grounding = ground(program, data)
    odds = infer(grounding.graph).log_odds.tolist()
    return data, {grounding.atom_name(atom): value for atom, value in enumerate(odds)}


def test_inverses_and_paths_are_found_before_any_training():
    _, odds = beliefs(family())
    assert odds['Holds("c0", "child", "p0")'] > odds['Holds("p0", "child", "c0")'] + 1
    assert odds['Holds("b0", "uncle", "c0")'] > odds['Holds("c0", "uncle", "b0")'] + 1


def test_how_sure_a_pattern_is_is_counted():
    data, _ = beliefs(family())
    table = evaluated(data, ["inverse"])["inverse"]
    relations = data.vocabularies["Relation"]
    rows = dict(
        zip(
            zip(table["a0"].to_pylist(), table["a1"].to_pylist(), strict=True),
            table["value"].to_pylist(),
            strict=True,
        )
    )
    parent, child = relations.id("parent"), relations.id("child")
    assert rows[parent, child] == pytest.approx((7 + 0.02 * 5) / (8 + 5))
    assert rows[child, parent] == pytest.approx((7 + 0.02 * 5) / (7 + 5))
    assert rows[child, child] == pytest.approx(0.02 * 5 / (7 + 5))
