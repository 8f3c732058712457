"""Rows of joins, without the join: against exact counts on drawn worlds."""

import numpy as np
import pyarrow as pa
import pytest

from knowreason.data import Dataset, Vocabulary
from knowreason.grounding.plan.rule_plan import plan_rule
from knowreason.grounding.relational import join_counts
from knowreason.grounding.relational.database import Relations
from knowreason.grounding.relational.join_counts import count_rows
from knowreason.grounding.size_estimate import checked_size, rule_query
from knowreason.lang import loads
from tests.grounding.programs import random_data, random_program

HEAD = """
domain P, Q
observed Edge(P, P)
observed By(Q, P)
attribute at(Q): int
attribute size(Q): float
attribute home(P): P
query Bad(P)
query Odd(Q)
query Same(P, P) within Edge
"""
COUNTED = {  # a tree of joins
    "path": "Edge(x, y) & Edge(y, z) & Bad(x) => Bad(z)",
    "star": "By(e, x) & By(f, x) & By(g, x) & Odd(e) & Odd(f) => Odd(g)",
    "candidates": "Same(x, y) & By(e, y) => Odd(e)",
    "through an attribute": "Edge(x, y) & By(e, home(x)) & Odd(e) => Bad(y)",
    "transitive": "Same(x, y) & Same(y, z) => Same(x, z)",
    "product": "Bad(x) => Odd(e)",
    "filtered alone": "Edge(x, y) & x != y & By(e, y) & size(e) > 1 & Bad(x) => Odd(e)",
}
DRAWN = {  # filters over several tables
    "within": "By(e, x) & By(f, x) & 0 < at(f) - at(e) & at(f) - at(e) <= 20 & Odd(e) => Odd(f)",
    "triangle": "Edge(x, y) & Edge(y, z) & Edge(x, z) & Bad(x) => Bad(z)",
    "same value": "By(e, x) & By(f, y) & home(x) = home(y) & Edge(x, y) & Odd(e) => Odd(f)",
    "unlike": "By(e, x) & By(f, x) & e != f & size(e) > size(f) & Odd(e) => Odd(f)",
    "not": "Edge(x, y) & By(e, y) & !Edge(y, x) & Bad(x) => Odd(e)",
    "exists": "By(e, x) & By(f, x) & (exists y . (Edge(x, y) & Edge(y, x))) & Odd(e) => Odd(f)",
    "missing": "By(e, x) & By(f, x) & !(size(e) = 2 * size(f)) & Odd(e) => Odd(f)",
}


def world(program, seed, rows=1500):
    """Skewed ids, some values missing."""
    draw = np.random.default_rng(seed)
    sizes = {"P": 60, "Q": rows}
    chance = 1 / np.arange(1, sizes["P"] + 1)
    people = draw.choice(sizes["P"], (rows, 2), p=chance / chance.sum()).astype(np.int32)
    edges = np.unique(people, axis=0)
    events = np.arange(rows, dtype=np.int32)
    valued = np.sort(draw.permutation(rows)[: rows - 50]).astype(np.int32)
    return Dataset(
        program,
        {name: Vocabulary(name, pa.array(map(str, range(n)))) for name, n in sizes.items()},
        {
            "Edge": pa.table({"a0": edges[:, 0], "a1": edges[:, 1]}),
            "By": pa.table({"a0": events, "a1": people[:, 0]}),
        },
        {
            "at": pa.table({"a0": events, "value": draw.integers(0, 1000, rows)}),
            "size": pa.table({"a0": valued, "value": draw.lognormal(0, 1, len(valued))}),
            "home": pa.table({"a0": np.arange(50, dtype=np.int32), "value": people[:50, 1]}),
        },
        {},
        {},
        {},
    )


def sizes(rule, few, seed=0):
    program = loads(f"{HEAD}rule r [1] : {rule}\n")
    with Relations(program, world(program, seed)) as relations:
        query = rule_query(relations, plan_rule(program, 0))
        return count_rows(relations, query.conjunction, few), relations.rows(query.tree)


@pytest.mark.parametrize("rule", COUNTED.values(), ids=COUNTED)
def test_trees_of_joins_are_counted(rule):
    found, true = sizes(rule, 0)
    assert found.exact
    assert found.rows == true > 0
    assert "counted" in found.how


@pytest.mark.parametrize("rule", DRAWN.values(), ids=DRAWN)
def test_filters_are_run_on_drawn_rows(rule):
    found, true = sizes(rule, 0)
    assert not found.exact
    assert found.rows == pytest.approx(true, rel=0.3)
    assert "drawn from" in found.how
    again, _ = sizes(rule, 0)
    assert again == found
    every, _ = sizes(rule, 10**9)
    assert every.exact
    assert every.rows == true


def test_random_programs_are_counted():
    for seed in range(10):
        program = random_program(seed, missing=seed % 2 == 0)
        with Relations(program, random_data(program, seed)) as relations:
            for index in range(len(program.rules)):
                query = rule_query(relations, plan_rule(program, index))
                found = count_rows(relations, query.conjunction)
                assert found.exact
                assert found.rows == relations.rows(query.tree)


def test_rows_that_hardly_ever_hold(monkeypatch):
    rule = "By(e, x) & By(f, y) & at(e) + at(f) = 1 & Odd(e) => Odd(f)"
    monkeypatch.setattr(join_counts, "DRAWN", (1000,))
    found, true = sizes(rule, 0)
    assert found.exact  # sampling sees none: the engine counts
    assert found.rows == true > 0
    monkeypatch.setattr(join_counts, "COUNTABLE", 10)
    found, true = sizes(rule, 0)
    assert not found.exact
    assert found.rows >= true
    assert found.how.startswith("at most")


def test_a_limit_close_by_is_held_exactly(monkeypatch):
    monkeypatch.setattr(join_counts.count_rows, "__defaults__", (0,))
    program = loads(f"{HEAD}rule r [1] : {DRAWN['unlike']}\n")
    with Relations(program, world(program, 0)) as relations:
        query = rule_query(relations, plan_rule(program, 0))
        true = relations.rows(query.tree)
        drawn = checked_size(query, 10 * true)
        assert not drawn.exact
        assert checked_size(query, true).rows == true
        for limit in (true - 1, true // 4):
            assert checked_size(query, limit).rows > limit
