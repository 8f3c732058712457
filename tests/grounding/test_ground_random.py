"""Grounding is substitution: random programs scored both ways."""

import os

import numpy as np
import pytest
import torch

from knowreason.errors import GroundingError
from knowreason.factors.energy import log_score
from knowreason.grounding import ground
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
    p = len(grounding.parameters)
    theta = torch.from_numpy(np.random.default_rng(seed).normal(size=p))
    graph = grounding.graph.with_theta(theta)
    worlds = random_worlds(grounding, WORLDS, seed)
    got = log_score(graph, worlds).numpy()
    naive, keys = naive_of(grounding)
    want = np.array([_naive_score(naive, keys, grounding, theta, w) for w in worlds.numpy()])
    possible = np.isfinite(want)
    assert (np.isfinite(got) == possible).all(), program.rules
    difference = got[possible] - want[possible]
    if len(difference):
        np.testing.assert_allclose(difference, difference[0], atol=1e-4)
    return "compared"


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
