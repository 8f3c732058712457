"""Rows of parts and other numbers of atoms, by what they score."""

from dataclasses import replace

import numpy as np
import torch
from hypothesis import given, settings

from knowreason.factors.arrays import array
from knowreason.factors.energy import features, log_score
from knowreason.factors.oracle import all_worlds
from knowreason.factors.rows import renumbered, some_rows
from tests.strategies import factor_graphs

SOFT = ("groups", "clause_lists", "units")


def with_rows(graph, which):
    """The graph with those rows of every factor for which ``which(row numbers)`` is true."""

    def chosen(part):
        rows = np.arange(part.rows)
        return some_rows(part, rows[which(rows)])

    return replace(graph, **{name: tuple(map(chosen, getattr(graph, name))) for name in SOFT})


@settings(max_examples=30)
@given(factor_graphs(6, evidence=False))
def test_features_of_some_rows_and_of_the_others_add_up(graph):
    worlds = all_worlds(graph.evidence)
    even, odd = (with_rows(graph, lambda rows, r=r: rows % 2 == r) for r in (0, 1))
    total = features(even, worlds) + features(odd, worlds)
    torch.testing.assert_close(total, features(graph, worlds) + features(none(graph), worlds))


def none(graph):
    return with_rows(graph, lambda rows: rows < 0)


@settings(max_examples=30)
@given(factor_graphs(6, evidence=False))
def test_other_numbers_score_the_same_world_alike(graph):
    number = np.random.default_rng(0).permutation(graph.atom_count).astype(np.int32)
    back = torch.from_numpy(np.argsort(number))
    names = (*SOFT, "counts")
    parts = {name: tuple(renumbered(p, number) for p in getattr(graph, name)) for name in names}
    other = replace(
        graph,
        **parts,
        log_odds=graph.log_odds[back],
        evidence=graph.evidence[back],
        blocks=renumbered(graph.blocks, number),
    )
    worlds = all_worlds(graph.evidence)
    torch.testing.assert_close(log_score(other, worlds[:, back]), log_score(graph, worlds))


@settings(max_examples=30)
@given(factor_graphs(6, evidence=False))
def test_rows_keep_what_belongs_to_them(graph):
    for part in graph.counts:
        last = part.rows - 1
        one = some_rows(part, np.array([last]))
        low, high = array(part.offsets)[-2:]
        for name in ("atoms", "signs"):
            assert (
                array(getattr(one, name)).tolist() == array(getattr(part, name))[low:high].tolist()
            )
        for name in ("lower", "upper", "target"):
            assert array(getattr(one, name)).tolist() == array(getattr(part, name))[[last]].tolist()
