"""Rows of parts and other numbers of atoms, by what they score."""

from dataclasses import replace

import numpy as np
import torch
from hypothesis import given, settings

from knowreason.factors.arrays import array
from knowreason.factors.energy import features, log_score
from knowreason.testing.oracle import all_worlds
from tests.strategies import factor_graphs


def with_rows(graph, which):
    """The graph with those rows of every factor for which ``which(row numbers)`` is true."""

    def chosen(part):
        rows = np.arange(part.rows)
        return part.take(rows[which(rows)]) if part.target is None else part

    return replace(graph, factors=tuple(map(chosen, graph.factors)))


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
    other = replace(
        graph,
        factors=tuple(part.renumbered(number) for part in graph.factors),
        log_odds=graph.log_odds[back],
        evidence=graph.evidence[back],
        blocks=graph.blocks.renumbered(number),
    )
    worlds = all_worlds(graph.evidence)
    torch.testing.assert_close(log_score(other, worlds[:, back]), log_score(graph, worlds))


@settings(max_examples=30)
@given(factor_graphs(6, evidence=False))
def test_rows_keep_what_belongs_to_them(graph):
    for part in (part for part in graph.factors if part.is_count):
        last = part.rows - 1
        one = part.take(np.array([last]))
        low, high = array(part.offsets)[-2:]
        for name in ("atoms", "signs"):
            assert (
                array(getattr(one, name)).tolist() == array(getattr(part, name))[low:high].tolist()
            )
        for name in ("lower", "upper", "target"):
            assert array(getattr(one, name)).tolist() == array(getattr(part, name))[[last]].tolist()
