import gc
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from knowreason.data.dataset_cache import LIMIT, DatasetCache
from knowreason.models import atoms_of, columns_of, make, rows_of
from knowreason.testing.example_world import example_data


def test_a_value_is_computed_once_for_the_same_parts():
    cache, calls = DatasetCache(), []

    def compute():
        calls.append(1)
        return len(calls)

    one, other = object(), object()
    assert [cache.get("a", (p,), compute) for p in (one, one, other, other, one)] == [1, 1, 2, 2, 3]
    assert cache.get("b", (one,), compute) == 4


def test_only_the_latest_values_are_kept():
    cache = DatasetCache()
    for i in range(2 * LIMIT):
        cache.get(i, (), lambda i=i: i)
    assert cache.get(2 * LIMIT - 1, (), lambda: "again") == 2 * LIMIT - 1
    assert cache.get(0, (), lambda: "again") == "again"


def test_folds_share_values_and_other_features_do_not():
    data = example_data()
    fold = replace(data, labels={**data.labels})
    assert atoms_of(data, "Bad") is atoms_of(fold, "Bad")
    found = [d.computed("key", object, d.features) for d in (data, fold)]
    assert found[0] is found[1]
    changed = replace(data, features=dict(data.features))
    assert changed.computed("key", object, changed.features) is not found[0]


@pytest.mark.parametrize("kind", ["infomax", "gad_ebm"])
def test_data_sets_are_freed(kind):
    data = example_data()
    fold = replace(data, labels={**data.labels})
    options = {"epochs": 2} if kind == "infomax" else {"steps": 2}
    model = make(kind, {**options, "device": "cpu"}).fit(fold, "Bad")
    model.log_odds(data, "Bad")
    gone = [weakref.ref(o) for o in (data, fold, data.program, data.cache, atoms_of(data, "Bad"))]
    del data, fold
    gc.collect()
    assert [ref() for ref in gone] == [None] * len(gone)


def test_two_threads_get_right_answers():
    worlds = [example_data(nodes=n, payments=2 * n, seed=n) for n in (40, 60)]
    shared = worlds[0].cache
    worlds = [replace(world, cache=shared) for world in worlds]  # the worst case: every key clashes
    expected = [
        (len(atoms_of(w, "Bad").arguments), columns_of(w, rows_of(w, "Bad"))) for w in worlds
    ]

    def asked(number):
        world = worlds[number % 2]
        return len(atoms_of(world, "Bad").arguments), columns_of(world, rows_of(world, "Bad"))

    with ThreadPoolExecutor(2) as pool:
        for number, (count, columns) in enumerate(pool.map(asked, range(200))):
            assert count == expected[number % 2][0]
            np.testing.assert_array_equal(columns.values, expected[number % 2][1].values)
