"""Functions of the calendar, texts and missing values mean the same to every engine."""

import re
from datetime import UTC, datetime, timedelta
from random import Random
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest

from knowreason.data import EngineChoice
from knowreason.data.wall_clocks import moments
from knowreason.grounding.arrays.array_terms import special
from knowreason.grounding.relational.conjunctive_query import Conjunction
from knowreason.grounding.relational.database import Relations
from knowreason.grounding.relational.history_columns import Column
from knowreason.logic import (
    Argument,
    Attribute,
    AttributeTerm,
    Constant,
    Domain,
    Operation,
    Program,
    Variable,
)
from tests.grounding import crisp
from tests.grounding.naive import operate

ZONES = ("UTC", *crisp.ZONES, "Africa/Casablanca", "America/Vancouver")


def in_engine(name, sort, values, others, result):
    """Values of an operation as the relational engine has them."""
    x = Variable("x", "A")
    operands = (AttributeTerm("f", (x,), sort), *others)
    program = Program(domains=(Domain("A"),), attributes=(Attribute("f", (Argument("A"),), sort),))
    table = pa.table({"a0": np.arange(len(values), dtype=np.int32), "value": values})
    data = SimpleNamespace(
        vocabularies={"A": crisp.Names(map(str, range(len(values))))},
        facts={},
        attributes={"f": table},
        engine=EngineChoice(),
    )
    with Relations(program, data) as relations:
        query = Conjunction(relations)
        query.range_over(x)
        outputs = {"n": query.columns["x"], "y": query.term(Operation(name, operands, result))}
        return relations.arrow(query.select(outputs)).read_all().sort_by("n")["y"].to_pylist()


def around_changes(count):
    draw = Random(0)
    near = [
        draw.choice(crisp.CHANGES) + draw.randrange(-90, 90) * 900_000_000 for _ in range(count)
    ]
    return [*near, *(draw.randrange(-(10**15), 2 * 10**15) for _ in range(count))]


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("name", ["hour", "weekday", "month", "add_months", "subtract_months"])
def test_calendars_agree(name, zone):
    times = around_changes(100)
    steps = [[Constant(count, "int")] for count in (1, 6, 13)] if "months" in name else [[]]
    where = [] if zone == "UTC" else [Constant(zone, "string")]
    for step in steps:
        others = [*step, *where]
        expected = [operate(name, [t, *(o.value for o in others)], "int") for t in times]
        found = in_engine(name, "time", pa.array(times, pa.int64()), others, "int")
        assert found == expected
        arrays = special(name, Column(np.array(times)), [o.value for o in others])
        assert arrays.values.tolist() == expected


TEXTS = ["", "a", "ab1", "aä", "b\n", "b", "AB", "x" * 30, "1 2", "a.b", None]
PATTERNS = [r"^[ab]+$", r"a.b", r"(?i)^ab", r"\d\s\d", r"x{30}|ä", r"[^a]$", r"a\.b", "", r"\W"]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_patterns_agree(pattern):
    expected = [
        None if text is None else bool(re.search(pattern.replace("$", r"\Z"), text, re.ASCII))
        for text in TEXTS
    ]
    constant = Constant(pattern, "string")
    found = in_engine("matches", "string", pa.array(TEXTS), [constant], "bool")
    assert found == expected
    known = np.array([text is not None for text in TEXTS])
    arrays = special("matches", Column(np.array(TEXTS, object), known), [pattern])
    assert [bool(v) if k else None for v, k in zip(arrays.values, known, strict=True)] == expected


def test_moments_of_a_wall_clock_are_pythons():
    wall = np.array(around_changes(200))
    for zone in ZONES:
        expected = [
            (
                (datetime(1970, 1, 1) + timedelta(microseconds=int(w))).replace(
                    tzinfo=ZoneInfo(zone)
                )
                - datetime(1970, 1, 1, tzinfo=UTC)
            )
            // timedelta(microseconds=1)
            for w in wall
        ]
        assert moments(wall, zone).tolist() == expected
