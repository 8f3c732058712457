"""Grounding is substitution: random programs scored both ways."""

import os
from copy import copy

import numpy as np
import pyarrow as pa
import pytest
import torch

from knowreason import loads
from knowreason.data import Dataset
from knowreason.errors import GroundingError, InferenceError
from knowreason.factors import OPEN
from knowreason.factors.energy import log_score
from knowreason.grounding import ground
from knowreason.grounding.folding import rule_folding
from knowreason.grounding.folding.open_literals import Literals
from knowreason.inference import infer
from tests.grounding import crisp
from tests.grounding.programs import naive_of, random_data, random_program, random_worlds

WORLDS = 8
PROGRAMS = int(os.environ.get("KNOWREASON_RANDOM_PROGRAMS", "60"))


def check(seed, **options):
    program = random_program(seed, **options)
    data = random_data(program, seed)
    try:
        grounding = ground(program, data, threads=1)
    except GroundingError as error:
        return error.code
    compared_with_substitution(grounding, seed)
    return "compared"


def compared_with_substitution(grounding, seed):
    p = len(grounding.parameters)
    theta = torch.from_numpy(np.random.default_rng(seed).normal(size=p))
    graph = grounding.graph.with_theta(theta)
    worlds = random_worlds(grounding, WORLDS, seed)
    got = log_score(graph, worlds).numpy()
    naive, keys = naive_of(grounding)
    want = np.array([_naive_score(naive, keys, grounding, theta, w) for w in worlds.numpy()])
    possible = np.isfinite(want)
    assert (np.isfinite(got) == possible).all(), grounding.program.rules
    difference = got[possible] - want[possible]
    if len(difference):
        np.testing.assert_allclose(difference, difference[0], atol=1e-4)


def _naive_score(naive, keys, grounding, theta, world):
    truths = {key: bool(world[i]) for i, key in enumerate(keys)}
    names = grounding.parameters.names
    total = 0.0

    def weight(rule, setting):
        name = rule.name
        if rule.weight.per:
            values = ", ".join(f'"b{setting[v.name]}"' for v in rule.weight.per)
            name = f"{name}[{values}]"
        return float(theta[names.index(name)])

    for rule in grounding.program.rules:
        score, _, holds = naive.score(rule, weight, truths)
        if not holds:
            return -np.inf
        total += score
    for name, value in zip(names, theta.tolist(), strict=True):
        if not name.startswith("bias "):
            continue
        predicate, _, state = name.removeprefix("bias ").partition("[")
        total += value * sum(
            truth
            for (owner, ids), truth in truths.items()
            if owner == predicate and (not state or _state(grounding, owner, ids) == state[:-1])
        )
    return total


def _state(grounding, predicate, ids):
    position = grounding.program.predicate(predicate).functional_position
    return f'"b{ids[position]}"'


@pytest.mark.parametrize(("missing", "quantifiers"), [(False, True), (True, False), (True, True)])
def test_grounding_equals_substitution(missing, quantifiers):
    results = [
        check(seed, missing=missing, quantifiers=quantifiers) for seed in range(PROGRAMS // 3)
    ]
    assert results.count("compared") > PROGRAMS // 6
    assert set(results) <= {"compared", "KR644", "KR646"}  # contradictions, too many parts


@pytest.mark.parametrize("seed", range(crisp.examples(25)))
def test_log_z_of_evidence_sums_over_the_states_of_an_atom(seed):
    """Groundings that evidence decides, satisfied ones and duplicates count at grounding."""
    program = random_program(seed, missing=False)
    data = random_data(program, seed)
    whole, grounding = _log_z(program, data)
    for name in ("S", "G") if grounding else ():
        span, given = grounding.atoms.spans[name], data.evidence[name]
        known = grounding.graph.evidence.numpy()[span.start : span.stop] != OPEN
        if known.all():
            continue
        row = span.arguments[~known][0].tolist()
        states = []
        for state in (0, 1):
            new = dict(zip(given.column_names, [[value] for value in (*row, state)], strict=True))
            more = copy(data)
            added = pa.table(new, schema=given.schema)
            more.evidence = {**data.evidence, name: pa.concat_tables([given, added])}
            states.append(_log_z(program, more)[0])
        assert np.logaddexp(*states) == pytest.approx(whole, abs=1e-4), program.rules


def _log_z(program, data):
    """`log Z` at drawn weights and the grounding; minus infinity where no world is possible."""
    try:
        grounding = ground(program, data, threads=1)
        theta = torch.from_numpy(np.random.default_rng(0).normal(size=len(grounding.parameters)))
        return infer(grounding.graph.with_theta(theta), "exact").log_z, grounding
    except (GroundingError, InferenceError):
        return -np.inf, None


@pytest.fixture
def ahead(monkeypatch):
    """Names of rules whose counts are defined ahead, which small rules' are not otherwise."""
    names, define = [], Literals.define_ahead

    def counted(self, *given):
        names.append(self.name)
        define(self, *given)

    monkeypatch.setattr(Literals, "define_ahead", counted)
    monkeypatch.setattr(rule_folding, "BATCH_ROWS", 1)
    return names


@pytest.mark.parametrize("seed", [3021, 3049, 3072])
def test_rules_with_counts_may_come_in_batches(seed, ahead, engine):
    assert check(seed) == "compared"
    assert ahead or engine == "spark"  # which counts its rows: of one nothing is ahead


def test_counts_in_batches_are_those_in_one_piece(ahead, monkeypatch):
    program = loads("""
domain P
observed Knows(P, P)
attribute age(P): int
query S(P)
latent L(P)
rule many [0.5] : count { z : Knows(x, z) & S(z) } >= 2 & Knows(x, y) & age(x) > 1 => L(y)
rule few [-0.3 * age(y)] : Knows(x, y) & L(x) => count { z : Knows(y, z) & S(z) & z != y } <= 1
""")
    draw = np.random.default_rng(0)
    pairs = draw.integers(0, 12, (2, 70))
    facts = {
        "Knows": {"a": pairs[0], "b": pairs[1]},
        "age": {"p": np.arange(12), "age": draw.integers(0, 4, 12)},
    }
    data = Dataset.from_frames(program, facts=facts)
    batched = ground(program, data)
    assert set(ahead) == {"many", "few"}
    monkeypatch.undo()
    whole = ground(program, data)
    assert [r.candidate for r in batched.reports] == [r.candidate for r in whole.reports]
    assert batched.graph.atom_count == whole.graph.atom_count
    for one, two in zip(batched.graph.factors, whole.graph.factors, strict=True):
        assert torch.equal(one.atoms, two.atoms)
        np.testing.assert_array_equal(one.values(), two.values())
