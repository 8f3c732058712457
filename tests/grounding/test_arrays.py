"""Rules and definitions evaluated in arrays give the factors that a relational engine gives."""

import os

import numpy as np
import pytest

from knowreason import lang
from knowreason.data.id_tables import id_matrix
from knowreason.errors import GroundingError
from knowreason.grounding import ground
from knowreason.grounding.arrays.array_context import in_arrays, open_relations
from knowreason.grounding.arrays.array_tables import BeyondArrays
from knowreason.grounding.arrays.scope_steps import FormulaScopes
from tests.grounding import crisp
from tests.grounding.naive import NaiveWorld
from tests.grounding.programs import random_data, random_program
from tests.grounding.test_definitions import (
    ATTRIBUTES,
    DECLARATIONS,
    HISTORIES,
    PREDICATES,
    names,
)
from tests.grounding.test_ground_random import compared_with_substitution

PROGRAMS = int(os.environ.get("KNOWREASON_RANDOM_PROGRAMS", "60"))


@pytest.fixture(autouse=True, scope="module")
def engine():
    """No relational engine takes part: once is enough."""


def in_one_way_or_beyond(program, data):
    try:
        with in_arrays(FormulaScopes(program)):
            return ground(program, data, threads=1)
    except BeyondArrays:
        return None


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("quantifiers", [False, True])
def test_random_programs_are_substitution(missing, quantifiers):
    compared = 0
    for seed in range(PROGRAMS // 4):
        program = random_program(seed, missing=missing, quantifiers=quantifiers)
        data = random_data(program, seed)
        try:
            grounding = in_one_way_or_beyond(program, data)
        except GroundingError:
            continue
        if grounding is not None:
            compared_with_substitution(grounding, seed)
            compared += 1
    assert compared > PROGRAMS // 12


TEXTS = {name: text for text in (PREDICATES, ATTRIBUTES, HISTORIES) for name in names(text)}


@pytest.mark.parametrize("name", TEXTS)
def test_definitions_equal_substitution(name):
    program = lang.loads(DECLARATIONS + TEXTS[name])
    definition = program.definition(name)
    scopes = FormulaScopes(program)
    for seed in range(6):
        data = crisp.dataset(seed)
        world = NaiveWorld.of(program, data)
        try:
            with in_arrays(scopes), open_relations(program, data) as relations:
                table = relations.read(name)
        except BeyondArrays:
            recursive = {"Reach", "Doubling", "Chain", "Again", "Twice", "Never"}
            assert name in recursive or not definition.parameters
            return
        keys = [tuple(row) for row in id_matrix(table).tolist()]
        if definition.is_predicate:
            assert keys == sorted(world.predicate(name)), seed
            continue
        found = dict(zip(keys, table.column("value").to_pylist(), strict=True))
        expected = world.attribute(name)
        assert found.keys() == expected.keys(), seed
        for key, value in expected.items():
            assert np.isclose(found[key], value, rtol=1e-12), (seed, key)
