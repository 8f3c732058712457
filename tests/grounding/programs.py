"""Small random programs with open predicates, their data, and worlds of their atoms."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np
import torch

from knowreason.data import Vocabulary
from knowreason.factors import OPEN, FactorGraph
from knowreason.logic import (
    And,
    Argument,
    Atom,
    AttributeTerm,
    Conditional,
    Implies,
    Operation,
    Predicate,
    Rule,
    Variable,
    Weight,
)
from knowreason.logic.traversal import free_variables
from tests.grounding import crisp
from tests.grounding.naive_open import NaiveOpen

SIZES = {"A": 3, "B": 2}
OPEN_PREDICATES = (
    Predicate("S", "query", (Argument("A"),)),
    Predicate("W", "query", (Argument("A"), Argument("A")), within="E"),
    Predicate("F", "latent", (Argument("A"), Argument("B", functional="!"))),
    Predicate("G", "query", (Argument("B", functional="?"), Argument("A"))),
    Predicate("Z", "query", ()),
    Predicate("Y", "latent", (), within="R"),
    Predicate("H", "query", (Argument("A"), Argument("B", functional="!")), within="P"),
    Predicate("V", "latent", (Argument("B", functional="?"), *map(Argument, "AA")), within="E"),
)
VARIABLES = (Variable("x", "A"), Variable("y", "A"), Variable("k", "B"))


class OpenFormulas(crisp.Formulas):
    """Random formulas over observed and open predicates."""

    def __init__(self, seed, *, missing=True, quantifiers=True):
        both = dict(crisp.PREDICATES) | {p.name: p.sorts for p in OPEN_PREDICATES}
        super().__init__(seed, both)
        self.missing, self.quantifiers = missing, quantifiers

    def formula(self, variables, depth=3):
        if self.draw.random() < 0.35 and depth > 0:
            return self.horn(variables, depth)
        return super().formula(variables, depth)

    def horn(self, variables, depth):
        """An implication with an observed guard, as people write them."""
        body = [self.observed(variables), self.leaf(variables)]
        return Implies(And(tuple(body)), self.formula(variables, depth - 1))

    def observed(self, variables):
        whole, self.predicates = self.predicates, crisp.PREDICATES
        try:
            return self.atom(variables)
        finally:
            self.predicates = whole

    def conditional(self, variables, one, other):
        """One of two terms by what is observed."""
        whole, self.predicates = self.predicates, crisp.PREDICATES
        try:
            sort = "float" if {one.sort, other.sort} == {"int", "float"} else one.sort
            return Conditional(self.leaf(variables), one, other, sort)
        finally:
            self.predicates = whole

    def atom(self, variables):
        atom = super().atom(variables)
        if self.draw.random() < 0.5:  # open atoms more often than chance
            atom = super().atom(variables)
        return atom

    def thing(self, variables, sort):
        while True:
            thing = super().thing(variables, sort)
            known = getattr(thing, "value", None) in (None, *(f"a{i}" for i in range(SIZES["A"])))
            if sort == "B":
                known = getattr(thing, "value", None) in (None, "b0", "b1")
            if known and (self.missing or not isinstance(thing, AttributeTerm)):
                return thing

    def leaf(self, variables):
        while True:
            leaf = super().leaf(variables)
            if self.missing or isinstance(leaf, Atom):
                return leaf

    def cardinality(self, variables, depth):
        if not self.quantifiers:
            return self.leaf(variables)
        return super().cardinality(variables, depth)

    def number(self, variables, sort, depth=1):
        if not self.missing:
            return crisp.Constant(self.draw.randrange(3), sort)
        return super().number(variables, sort, depth)


def random_rule(seed, *, missing, quantifiers):
    """A rule with one of every kind of weight over at most three variables."""
    made = OpenFormulas(seed, missing=missing, quantifiers=quantifiers)
    formula = made.formula(VARIABLES, depth=made.draw.randint(1, 3))
    variables = free_variables(formula)
    weight = made.draw.choice(
        [
            Weight("given", 0.7),
            Weight("open"),
            Weight("hard") if made.draw.random() < 0.5 else Weight("stated"),
            Weight("given", -1.3, feature=_feature(made, variables)) if missing else Weight("open"),
            Weight("open", per=tuple(v for v in variables if v.sort == "B")),
        ]
    )
    return Rule(f"rule{seed}", weight, formula, variables)


def _feature(made, variables):
    things = [v for v in variables if v.sort == "A"]
    if not things:
        return crisp.Constant(0.5, "float")
    term = AttributeTerm("n", (made.draw.choice(things),), "int")
    return made.draw.choice([term, Operation("log", (term,), "float")])


def random_program(seed, *, missing=True, quantifiers=True, rules=2):
    made = [
        random_rule(1000 * seed + i, missing=missing, quantifiers=quantifiers) for i in range(rules)
    ]
    base = crisp.program()
    return replace(
        base,
        domains=(base.domains[0], replace(base.domains[1], members=("b0", "b1"))),
        predicates=(*base.predicates, *OPEN_PREDICATES),
        rules=tuple(made),
    )


def random_data(program, seed):
    """Random facts; one atom in five of the non-functional open predicates is evidence."""
    data = crisp.dataset(seed, SIZES)
    draw = Random(seed)
    data.evidence, data.labels, data.hidden = {}, {}, {}
    data.vocabularies = {
        sort: Vocabulary(sort, crisp.pa.array([f"{sort.lower()}{i}" for i in range(size)]))
        for sort, size in SIZES.items()
    }
    for predicate in program.open_predicates:
        if predicate.name in ("S", "G", "Z"):
            rows = [row for row in crisp._settings(predicate.sorts, SIZES) if draw.random() < 0.2]
            values = [int(draw.random() < 0.3) for _ in rows]
            if predicate.name == "G":
                values = [0 for _ in rows]
            data.evidence[predicate.name] = crisp.table(
                rows, predicate.arity, values, crisp.pa.int8()
            )
    return data


def atom_keys(grounding):
    """``(predicate, ids)`` of every atom that is not auxiliary, in order."""
    return [
        (name, tuple(int(i) for i in row))
        for name, span in grounding.atoms.spans.items()
        for row in span.arguments
    ]


def naive_of(grounding):
    keys = atom_keys(grounding)
    evidence = grounding.graph.evidence.numpy()
    known = {key: bool(evidence[i]) for i, key in enumerate(keys) if evidence[i] != OPEN}
    open_atoms = {key for i, key in enumerate(keys) if evidence[i] == OPEN}
    naive = NaiveOpen.of(grounding.program, grounding.data)
    return naive.set_atoms(known, open_atoms), keys


def random_worlds(grounding, count, seed):
    """``int8[count, n]`` worlds that respect evidence, blocks and definitions."""
    draw = np.random.default_rng(seed)
    graph = grounding.graph
    worlds = draw.integers(0, 2, (count, graph.atom_count)).astype(np.int8)
    offsets, atoms = graph.blocks.offsets.numpy(), graph.blocks.atoms.numpy()
    for b in range(graph.blocks.count):
        members = atoms[offsets[b] : offsets[b + 1]]
        extra = int(graph.blocks.at_most_one[b])
        chosen = draw.integers(0, len(members) + extra, count)
        worlds[:, members] = chosen[:, None] == np.arange(len(members))
    evidence = graph.evidence.numpy()
    worlds[:, evidence != OPEN] = evidence[evidence != OPEN]
    return torch.from_numpy(_defined(graph, worlds))


def _defined(graph: FactorGraph, worlds):
    """Auxiliary atoms set to what their definitions say, in the order they were made."""
    for group in graph.factors:
        offsets = group.row_offsets
        for row, target in enumerate(group.targets().tolist()):
            if target < 0:
                continue
            part = slice(offsets[row], offsets[row + 1])
            literals = worlds[:, group.atoms.numpy()[part]] == group.signs.numpy()[part]
            number = literals.sum(axis=1)
            worlds[:, target] = (number >= int(group.lower[row])) & (
                number <= int(group.upper[row])
            )
    return worlds
