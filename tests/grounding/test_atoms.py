from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowreason.data import Vocabulary
from knowreason.errors import GroundingError
from knowreason.grounding.atom_numbering import (
    Numbering,
    atom_values,
    block_starts,
    open_atoms,
    open_blocks,
    spread_over_blocks,
)
from knowreason.logic import Argument, Domain, Predicate, Program
from tests.grounding import crisp


def small(predicate, sizes, facts=None):
    """A program with one open predicate over domains of given sizes, and its data."""
    observed = (
        ()
        if predicate.within is None
        else (Predicate(predicate.within, "observed", tuple(Argument(s) for s in predicate.sorts)),)
    )
    program = Program(
        domains=tuple(Domain(name, tuple(map(str, range(n)))) for name, n in sizes.items()),
        predicates=(*observed, predicate),
    )
    data = crisp.dataset(0)
    data.vocabularies = {
        name: Vocabulary(name, pa.array([f"{name}{i}" for i in range(n)]))
        for name, n in sizes.items()
    }
    data.facts = facts or {}
    return program, data


@given(
    sizes=st.tuples(*[st.integers(1, 5)] * 3),
    functional=st.sampled_from([None, 0, 1, 2]),
    chosen=st.one_of(st.none(), st.integers(0, 2**31)),
)
def test_numbering_is_a_bijection(sizes, functional, chosen):
    domains = dict(zip("ABC", sizes, strict=True))
    arguments = tuple(
        Argument(name, functional="?" if i == functional else "") for i, name in enumerate("ABC")
    )
    every = crisp._settings("ABC", domains)
    within = None
    rows = every
    if chosen is not None:
        within = "C0"
        keep = np.random.default_rng(chosen).random(len(every)) < 0.5
        rows = [row for row, kept in zip(every, keep, strict=True) if kept]
    predicate = Predicate("P", "query", arguments, within=within)
    program, data = small(predicate, domains, {"C0": crisp.table(rows, 3)})
    table = open_atoms(program, data)
    span = table.spans["P"]
    assert sorted(map(tuple, span.arguments.tolist())) == sorted(rows)
    columns = [np.array([row[i] for row in every], np.int32) for i in range(3)]
    numbering = Numbering.of(table, program, data)
    index = numbering.find("P", columns)
    searched = replace(numbering, places={}).find("P", columns)
    assert searched.tolist() == index.tolist()
    for row, atom in zip(every, index.tolist(), strict=True):
        assert (atom >= 0) == (row in rows)
        assert atom < 0 or tuple(span.arguments[atom].tolist()) == row
    if functional is not None and rows:
        starts = block_starts(span)
        others = [i for i in range(3) if i != functional]
        runs = np.split(span.arguments[:, others], starts[1:-1])
        assert all((run == run[0]).all() for run in runs)
        assert len({tuple(run[0].tolist()) for run in runs}) == len(runs)


def test_values_in_blocks():
    predicate = Predicate("F", "query", (Argument("A"), Argument("B", functional="!")))
    program, data = small(predicate, {"A": 4, "B": 3})
    table = open_atoms(program, data)
    numbering = Numbering.of(table, program, data)
    rows = [(0, 1), (1, 0), (1, 2), (2, 0)]
    values, outside = atom_values(
        numbering, {"F": crisp.table(rows, 2, [1, 0, 0, 0], pa.int8())}, table.count
    )
    assert outside == {}
    spread = spread_over_blocks(values, table, program, data, "the evidence")
    assert spread.reshape(4, 3).tolist() == [[0, 1, 0], [0, 1, 0], [0, -1, -1], [-1, -1, -1]]
    offsets, atoms, at_most = open_blocks(spread, table, program)
    assert offsets.tolist() == [0, 2, 5]
    assert atoms.tolist() == [7, 8, 9, 10, 11]
    assert not at_most.any()


@pytest.mark.parametrize(
    ("rows", "truths", "code", "problem"),
    [
        ([(0, 0), (0, 1)], [1, 1], "KR641", "more than one value in the evidence"),
        ([(0, 0), (0, 1)], [0, 0], "KR642", "no value left in the evidence"),
    ],
)
def test_impossible_blocks_are_named(rows, truths, code, problem):
    predicate = Predicate("F", "query", (Argument("A"), Argument("B", functional="!")))
    program, data = small(predicate, {"A": 1, "B": 2})
    table = open_atoms(program, data)
    given_rows = crisp.table(rows, 2, truths, pa.int8())
    values, _ = atom_values(Numbering.of(table, program, data), {"F": given_rows}, table.count)
    with pytest.raises(GroundingError) as caught:
        spread_over_blocks(values, table, program, data, "the evidence")
    assert caught.value.code == code
    assert f'`F("A0", _)` has {problem}' in str(caught.value)


def test_too_many_atoms():
    predicate = Predicate("P", "query", (Argument("A"), Argument("A")))
    program, data = small(predicate, {"A": 50})
    with pytest.raises(GroundingError, match="50 A x 50 A = 2,500 open atoms"):
        open_atoms(program, data, limit=1000)
