"""Small random data and random crisp formulas over it."""

from __future__ import annotations

import os
from random import Random
from types import SimpleNamespace

import numpy as np
import pyarrow as pa

from knowreason.data import EngineChoice
from knowreason.logic import (
    Aggregate,
    And,
    Argument,
    Atom,
    Attribute,
    AttributeTerm,
    BooleanTerm,
    Comparison,
    Conditional,
    Constant,
    ConstantSet,
    CountList,
    Domain,
    Exists,
    ForAll,
    Iff,
    Implies,
    Not,
    Operation,
    Or,
    Parameter,
    ParameterTerm,
    Predicate,
    Program,
    Variable,
    Wildcard,
)

MOST_EXAMPLES = int(os.environ.get("KNOWREASON_EXAMPLES", "1000"))


def examples(count):
    """How many examples of a property are tried: fewer on engines whose every query is a job."""
    return min(count, MOST_EXAMPLES)


HOUR = 3_600_000_000
ZONES = ("Europe/Vienna", "America/New_York", "Australia/Lord_Howe")
CHANGES = [  # where clocks of a zone go forward or back, and ends of months
    int(np.datetime64(day, "us").astype(np.int64))
    for day in ("1969-12-31", "2024-02-29", "2024-03-31", "2024-08-31", "2024-10-27", "2024-11-03")
]
THINGS = {"A": ("a0", "a1", "a2", "a3"), "B": ("b0", "b1", "b2")}
PREDICATES = {"P": ("A",), "Q": ("A", "B"), "E": ("A", "A"), "order": ("B", "B"), "R": ()}
ATTRIBUTES = {
    "at": (("A",), "time"),
    "n": (("A",), "int"),
    "weight": (("A", "B"), "float"),
    "boss": (("A",), "A"),
    "select": (("B",), "bool"),
    "today": ((), "int"),
    "seen": (("A",), "time"),
    "text": (("A",), "string"),
    "label": (("B",), "string"),
}


class Names:
    """A vocabulary for tests: names in id order."""

    def __init__(self, names):
        self.names = tuple(names)
        self._ids = {name: i for i, name in enumerate(names)}

    def __len__(self):
        return len(self.names)

    def ids(self, names):
        return np.array([self._ids.get(name, -1) for name in names], np.int32)


def program(definitions=()):
    return Program(
        domains=(Domain("A"), Domain("B", THINGS["B"])),
        predicates=tuple(
            Predicate(name, "observed", tuple(Argument(sort) for sort in sorts))
            for name, sorts in PREDICATES.items()
        ),
        attributes=tuple(
            Attribute(name, tuple(Argument(sort) for sort in sorts), sort)
            for name, (sorts, sort) in ATTRIBUTES.items()
        ),
        parameters=(Parameter("limit", Constant(2, "int")),),
        definitions=tuple(definitions),
    )


def table(rows, arity, values=None, kind=None):
    rows = list(rows)
    columns = {f"a{i}": pa.array([row[i] for row in rows], pa.int32()) for i in range(arity)}
    if not arity and values is None:
        columns["truth"] = pa.array([True] * len(rows), pa.bool_())
    if values is not None:
        columns["value"] = pa.array(values, kind)
    return pa.table(columns)


def dataset(seed, sizes=None):
    """Random facts and attributes, a third of the values missing."""
    draw = Random(seed)
    size = sizes or {domain: len(names) for domain, names in THINGS.items()}
    facts = {
        name: table([s for s in _settings(sorts, size) if draw.random() < 0.4], len(sorts))
        for name, sorts in PREDICATES.items()
    }
    attributes = {}
    for name, (sorts, sort) in ATTRIBUTES.items():
        rows = [s for s in _settings(sorts, size) if draw.random() < 0.67]
        values = [_value(draw, sort, size) for _ in rows]
        if name == "text":
            values = [
                "".join(draw.choice("ab1ä\n") for _ in range(draw.randrange(5))) for _ in rows
            ]
        if name == "seen":
            values = [draw.choice(CHANGES) + draw.randrange(-60, 60) * 1_799_999_999 for _ in rows]
        kinds = {"float": pa.float64(), "bool": pa.bool_(), "A": pa.int32(), "string": pa.string()}
        attributes[name] = table(rows, len(sorts), values, kinds.get(sort, pa.int64()))
    vocabularies = {
        domain: Names([f"{domain.lower()}{i}" for i in range(n)]) for domain, n in size.items()
    }
    engine = EngineChoice()
    return SimpleNamespace(
        vocabularies=vocabularies, facts=facts, attributes=attributes, engine=engine
    )


def _settings(sorts, size):
    if not sorts:
        return [()]
    return [(i, *rest) for i in range(size[sorts[0]]) for rest in _settings(sorts[1:], size)]


def _value(draw, sort, size):
    if sort == "float":
        return draw.choice([-1.5, 0.0, 0.25, 2.0, float("nan")])
    if sort == "bool":
        return draw.random() < 0.5
    if sort == "string":
        return draw.choice(["", "red", "Red", "re'd"])
    return draw.randrange(size["A"] if sort == "A" else 6)


class Formulas:
    """Random crisp formulas over some variables."""

    def __init__(self, seed, predicates=None):
        self.draw = Random(seed)
        self.predicates = predicates or PREDICATES
        self._made = 0

    def formula(self, variables, depth=3):
        kind = self.draw.random()
        if depth <= 0 or kind < 0.2:
            return self.leaf(variables)
        if kind < 0.3:
            return Not(self.formula(variables, depth - 1))
        if kind < 0.65:
            connective = self.draw.choice([And, And, Or])
            parts = [self.formula(variables, depth - 1) for _ in range(self.draw.randint(2, 3))]
            return connective(tuple(parts))
        if kind < 0.75:
            connective = self.draw.choice([Implies, Iff])
            return connective(
                self.formula(variables, depth - 1), self.formula(variables, depth - 1)
            )
        if kind < 0.9:
            bound = self.fresh()
            quantifier = self.draw.choice([Exists, Exists, ForAll])
            return quantifier((bound,), self.formula((*variables, bound), depth - 1))
        return self.cardinality(variables, depth)

    def leaf(self, variables):
        kind = self.draw.random()
        if kind < 0.55:
            return self.atom(variables)
        if kind > 0.92:
            return self.built_in(variables)
        if kind < 0.62:
            return BooleanTerm(AttributeTerm("select", (self.thing(variables, "B"),), "bool"))
        if kind < 0.75:
            sort = self.draw.choice("AB")
            operator = self.draw.choice(["=", "!=", "<"])
            return Comparison(operator, self.thing(variables, sort), self.thing(variables, sort))
        if kind < 0.82:
            return self.membership(variables)
        operator = self.draw.choice(["=", "!=", "<", "<=", ">", ">="])
        sort = self.draw.choice(["int", "time", "float"])
        return Comparison(operator, self.number(variables, sort), self.number(variables, sort))

    def built_in(self, variables):
        """About missing values, texts, and the calendar of a zone."""
        kind, thing = self.draw.random(), self.thing(variables, "A")
        if kind < 0.3:
            asked = self.number(variables, self.draw.choice(["int", "time", "float"]))
            return BooleanTerm(Operation("missing", (asked,), "bool"))
        if kind < 0.6:
            name = self.draw.choice(["starts_with", "matches"])
            tests = (
                ["^[ab]+$", "1.", "(?:a|ä)b?1*", "b{2}"] if name == "matches" else ["a", "", "ä1"]
            )
            pattern = Constant(self.draw.choice(tests), "string")
            text = AttributeTerm("text", (thing,), "string")
            return BooleanTerm(Operation(name, (text, pattern), "bool"))
        zone = self.draw.choice([(), (), *((Constant(z, "string"),) for z in ZONES)])
        moment = AttributeTerm("seen", (thing,), "time")
        if kind < 0.85:
            part = Operation(self.draw.choice(["hour", "weekday", "month"]), (moment, *zone), "int")
            return Comparison(self.draw.choice(["<", ">="]), part, self.number(variables, "int"))
        name = self.draw.choice(["add_months", "subtract_months"])
        months = Constant(self.draw.choice([1, 5, 6, 12]), "int")
        later = Operation(name, (moment, months, *zone), "time")
        other = AttributeTerm("seen", (self.thing(variables, "A"),), "time")
        return Comparison(self.draw.choice(["<", ">="]), later, other)

    def membership(self, variables):
        sort = self.draw.choice(["A", "B", "int", "float", "string"])
        if sort in ("A", "B"):
            term, drawn = self.thing(variables, sort), [*THINGS[sort], "nobody"]
        elif sort == "string":
            term = AttributeTerm("label", (self.thing(variables, "B"),), "string")
            drawn = ["red", "Red", "re'd", "blue"]
        else:
            term = self.number(variables, sort)
            drawn = list(range(6)) if sort == "int" else [-1.5, 0.0, 0.25, 2.0]
        chosen = self.draw.sample(drawn, self.draw.randint(1, 3))
        members = tuple(Constant(value, sort) for value in chosen)
        if sort == "int" and self.draw.random() < 0.3:
            members += (ParameterTerm("limit", "int"),)
        return Comparison("in", term, ConstantSet(members, sort))

    def conditional(self, variables, one, other):
        """One of two terms."""
        condition = self.formula(variables, 1)
        sort = "float" if {one.sort, other.sort} == {"int", "float"} else one.sort
        return Conditional(condition, one, other, sort)

    def atom(self, variables):
        name = self.draw.choice(list(self.predicates))
        arguments = [
            Wildcard(sort) if self.draw.random() < 0.15 else self.thing(variables, sort)
            for sort in self.predicates[name]
        ]
        return Atom(name, tuple(arguments))

    def thing(self, variables, sort):
        fitting = [variable for variable in variables if variable.sort == sort]
        kind = self.draw.random()
        if kind < 0.15 or not fitting:
            return Constant(self.draw.choice([*THINGS[sort], "nobody"]), sort)
        if kind < 0.3 and sort == "A":
            return AttributeTerm("boss", (self.thing(variables, "A"),), "A")
        if kind < 0.33:
            one, other = self.thing(variables, sort), self.thing(variables, sort)
            return self.conditional(variables, one, other)
        return self.draw.choice(fitting)

    def number(self, variables, sort, depth=1):
        kind = self.draw.random()
        if depth > 0 and kind > 0.9:
            pair = [self.number(variables, sort, depth - 1) for _ in range(2)]
            return self.conditional(variables, *pair)
        if sort == "float":
            if kind < 0.4 or depth <= 0:
                arguments = (self.thing(variables, "A"), self.thing(variables, "B"))
                return AttributeTerm("weight", arguments, "float")
            left = self.number(variables, self.draw.choice(["int", "float"]), depth - 1)
            if kind < 0.7:
                name = self.draw.choice(["log", "log1p", "sqrt", "exp", "abs"])
                return Operation(name, (left,), "float")
            right = self.number(variables, "float", depth - 1)
            return Operation(self.draw.choice("+-*/"), (left, right), "float")
        if kind < 0.2:
            return Constant(self.draw.randrange(6), sort)
        if sort == "time":
            return AttributeTerm("at", (self.thing(variables, "A"),), "time")
        if kind < 0.3:
            return ParameterTerm("limit", "int")
        if kind < 0.4:
            return AttributeTerm("today", (), "int")
        if kind < 0.7 or depth <= 0:
            return AttributeTerm("n", (self.thing(variables, "A"),), "int")
        pair = (self.number(variables, "int", depth - 1), self.number(variables, "int", depth - 1))
        if kind < 0.8:
            return Operation("floor", (Operation("/", pair, "float"),), "int")
        return Operation(self.draw.choice(["+", "-", "*", "min", "max"]), pair, "int")

    def cardinality(self, variables, depth):
        if self.draw.random() < 0.5:
            bound = self.fresh()
            body = self.formula((*variables, bound), depth - 2)
            counted = Aggregate("count", None, (bound,), body, "int")
        else:
            counted = CountList(
                tuple(self.formula(variables, depth - 2) for _ in range(self.draw.randint(1, 3)))
            )
        operator = self.draw.choice(["=", "<=", ">=", ">"])
        limit = self.draw.choice(
            [Constant(1, "int"), Constant(0, "int"), self.number(variables, "int", 0)]
        )
        return Comparison(operator, counted, limit)

    def fresh(self):
        self._made += 1
        return Variable(f"v{self._made}", self.draw.choice("AB"))
