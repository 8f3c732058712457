from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from knowreason.data.edges import GraphTables
from knowreason.models import make, rows_of
from knowreason.models.graph.edge_history import past
from knowreason.testing.example_world import example_data

rows = st.lists(
    st.tuples(st.integers(-1, 2), st.integers(0, 4), st.sampled_from([1.0, 3.0, np.nan])),
    max_size=15,
)


@given(rows)
def test_the_past_is_what_a_loop_finds(events):
    keys = np.array([key for key, _, _ in events], np.int64)
    time = np.array([moment for _, moment, _ in events], np.int64)
    values = np.array([[value] for _, _, value in events], np.float64).reshape(-1, 1)
    count, gap, means = past(keys, time, values)
    for i, (key, moment, _) in enumerate(events):
        earlier = [e for e in events if e[0] == key and e[1] < moment]
        present = [e[2] for e in earlier if not np.isnan(e[2])]
        known = key >= 0
        assert_same(count[i], len(earlier) if known else np.nan)
        assert_same(gap[i], moment - max(e[1] for e in earlier) if known and earlier else np.nan)
        assert_same(means[i, 0], np.mean(present) if known and present else np.nan)


def assert_same(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_later_events_change_nothing():
    """A model asked with and without the future says the same of the past."""
    whole = example_data(nodes=60, payments=200)
    edges = whole.graph.relations[0].take(np.arange(200) < 120)
    part = replace(whole, graph=GraphTables((edges,)))
    model = make("trees", {"max_iter": 20}).fit(whole, "Fraud")
    early = rows_of(whole, "Fraud").things[:, 0] < 120
    np.testing.assert_array_equal(
        model.log_odds(whole, "Fraud")[early], model.log_odds(part, "Fraud")[early]
    )
