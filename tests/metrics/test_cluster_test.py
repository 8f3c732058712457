import numpy as np
import pytest
from scipy.stats import ttest_1samp

from knowreason.metrics.cluster_test import cluster_test, hardest_test


def test_equal_clusters_give_the_t_test_of_their_sums():
    rng = np.random.default_rng(0)
    d = rng.normal(0.3, 1, 40)
    found = cluster_test(np.repeat(d, 5) / 5, np.repeat(np.arange(40), 5))
    assert found.clusters == 40
    assert found.statistic == pytest.approx(ttest_1samp(d, 0).statistic)
    assert found.total == pytest.approx(d.sum())


def test_one_cluster_that_decides_is_not_enough():
    d = np.full(100, 0.01)
    d[0] = 50.0
    found = cluster_test(d, np.arange(100))
    assert found.effective == pytest.approx(1.0, abs=1e-3)
    assert found.needed == pytest.approx(6.314, abs=1e-3)  # of one degree of freedom
    assert not found.wins


def test_order_and_names_of_clusters_change_nothing():
    rng = np.random.default_rng(1)
    d, cluster = rng.normal(1, 1, 60), rng.integers(0, 12, 60)
    order = rng.permutation(60)
    one, two = cluster_test(d, cluster), cluster_test(d[order], 100 - cluster[order])
    for name in ("total", "clusters", "effective", "statistic", "needed"):
        assert getattr(one, name) == pytest.approx(getattr(two, name))
    assert one.wins


@pytest.mark.parametrize("count", [0, 1])
def test_nothing_to_compare_wins_nothing(count):
    assert not cluster_test(np.ones(count), np.zeros(count, int)).wins


def test_what_rests_on_one_value_of_an_argument_is_not_told_apart():
    d = np.linspace(0.01, 0.02, 90)
    d[:30] = 1.0  # one of three relations decides
    rows, relation = np.arange(90), np.repeat([0, 1, 2], 30)
    assert hardest_test(d, {"rows": rows}).wins
    found = hardest_test(d, {"rows": rows, "relations": relation})
    assert (found.wins, found.clusters_are, found.clusters) == (False, "relations", 3)
    assert hardest_test(np.ones(90) + d, {"relations": relation, "rows": rows}).clusters == 3


def test_candidates_are_told_apart_at_99_percent():
    """One pair of several is behind by chance at 95 %, and a mean of both loses half at most."""
    even, rows = np.linspace(-1, 1, 90), np.arange(90)
    d = even + 2 * even.std(ddof=1) / np.sqrt(90)  # a statistic of 2
    found, one = hardest_test(d, {"rows": rows}), cluster_test(d, rows)
    assert one.needed < one.statistic == found.statistic < found.needed
