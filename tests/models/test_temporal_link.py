"""The temporal link model: no leaks, new nodes, planted anomalies."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from scipy import sparse
from sklearn.metrics import roc_auc_score as auc

import knowreason as kr
from knowreason.data import Dataset, EdgeList
from knowreason.errors import ModelError
from knowreason.models import load_model, make, rows_of, save_model
from knowreason.models.links.temporal_net import Sweep, chunks_of
from knowreason.models.links.temporal_training import ActiveNodes
from knowreason.models.links.timed_links import link_data
from knowreason.testing.example_world import example_data

PROGRAM = """
domain Event, Host
attribute at(Event): int clock
query Malicious(Event)
"""
SMALL = {"window": 4, "hidden": 16, "epochs": 30, "unroll": 4, "ids": True}


def world(seed=0, hosts=60, events=1500, planted=30, new=4):
    """Hosts of three groups that talk within their group; planted events talk across.

    The last ``new`` hosts appear in the last fifth of the time.
    """
    random = np.random.default_rng(seed)
    time = np.sort(random.integers(0, 80, events))
    group = np.arange(hosts) % 3
    late = time >= 64
    source = random.integers(0, hosts - new, events)
    source = np.where(
        late & (random.random(events) < 0.1), hosts - 1 - random.integers(0, new, events), source
    )
    step = 3 * random.integers(1, 4, events)
    target = (source + step) % (hosts - new - (hosts - new) % 3)
    bad = np.zeros(events, bool)
    bad[random.choice(np.flatnonzero(late & (source < hosts - new)), planted, replace=False)] = True
    across = (target + 1 + random.integers(0, 2, events)) % (hosts - new)
    target = np.where(bad, across, target)
    assert (group[source[~bad & (source < 50)]] == group[target[~bad & (source < 50)]]).mean() > 0.9
    return pa.table(
        {
            "id": np.arange(events),
            "at": time,
            "source": source,
            "target": target,
            "bad": bad.astype(int),
        }
    )


def dataset(table, labels=False):
    return Dataset.from_frames(
        kr.loads(PROGRAM),
        facts={"at": table.select(["id", "at"])},
        labels={"Malicious": table.select(["id", "bad"])} if labels else {},
        graph=EdgeList(
            table, source="source:Host", target="target:Host", key="id:Event", time="at"
        ),
    )


@pytest.fixture(scope="module")
def table():
    return world()


@pytest.fixture(scope="module")
def fitted(table):
    past = dataset(table.filter(pa.array(table["at"].to_numpy() < 64)))
    return make("temporal_link", SMALL).fit(past, "Malicious")


def event_ids(data):
    return np.array([int(name) for name in data.vocabularies["Event"].names.to_pylist()])


def test_planted_links_are_surprising(table, fitted):
    data = dataset(table)
    scores = fitted.log_odds(data, "Malicious")
    events = event_ids(data)
    late = table["at"].to_numpy()[events] >= 64
    truth = table["bad"].to_numpy()[events][late] == 1
    assert auc(truth, scores[late]) > 0.8


def test_plain_snapshots_find_them_too(table):
    options = {**SMALL, "memory": False, "epochs": 60}
    past = dataset(table.filter(pa.array(table["at"].to_numpy() < 64)))
    model = make("temporal_link", options).fit(past, "Malicious")
    data = dataset(table)
    events = event_ids(data)
    late = table["at"].to_numpy()[events] >= 64
    truth = table["bad"].to_numpy()[events][late] == 1
    assert auc(truth, model.log_odds(data, "Malicious")[late]) > 0.8


def test_new_hosts_get_scores_of_their_own(table, fitted):
    data = dataset(table)
    known = set(fitted.names_["Host"])
    names = data.vocabularies["Host"].names.to_pylist()
    new = np.array([name not in known for name in names])
    assert 0 < new.sum() <= 4
    edges = data.graph.relations[0]
    of_new = new[edges.source]
    scores = fitted.log_odds(data, "Malicious")[edges.key]
    assert np.isfinite(scores[of_new]).all()
    assert len(np.unique(scores[of_new])) > 3


def test_a_link_and_later_ones_do_not_change_its_score(table, fitted):
    """Everything from a window on may be exchanged: scores up to it stay."""
    whole = dataset(table)
    before = fitted.log_odds(whole, "Malicious")
    edges = whole.graph.relations[0]
    random = np.random.default_rng(1)
    cut = 64  # start of a window of width 4
    moved = edges.time >= cut
    elsewhere = random.permutation(len(whole.vocabularies["Host"]))
    changed = replace(edges, target=np.where(moved, elsewhere[edges.target], edges.target))
    other = replace(whole, graph=replace(whole.graph, relations=(changed,)))
    after = fitted.log_odds(other, "Malicious")
    early = edges.key[edges.time < cut]
    np.testing.assert_array_equal(before[early], after[early])
    assert (before != after).any()
    # one link of a window goes: the others of the same window keep their scores
    here = np.flatnonzero((edges.time >= cut) & (edges.time < cut + 4))
    kept = np.ones(len(edges), bool)
    kept[here[0]] = False
    fewer = replace(whole, graph=replace(whole.graph, relations=(edges.take(kept),)))
    np.testing.assert_allclose(
        fitted.log_odds(fewer, "Malicious")[edges.key[here[1:]]],
        before[edges.key[here[1:]]],
        atol=1e-5,
    )


def test_history_before_the_rows_warms_the_states_up(table, fitted):
    late = dataset(table.filter(pa.array(table["at"].to_numpy() >= 64)))
    whole = dataset(table)
    scores = {
        int(e): s
        for e, s in zip(event_ids(whole), fitted.log_odds(whole, "Malicious"), strict=True)
    }
    cold = fitted.log_odds(late, "Malicious")
    warm = np.array([scores[e] for e in event_ids(late)])
    truth = table["bad"].to_numpy()[event_ids(late)] == 1
    assert auc(truth, warm) > auc(truth, cold)


def test_windows_do_not_depend_on_how_many_are_read_at_once(fitted, table):
    data = dataset(table)
    together = fitted.log_odds(data, "Malicious")
    fitted.unroll, kept = 3, fitted.unroll
    np.testing.assert_allclose(fitted.log_odds(data, "Malicious"), together, rtol=1e-4, atol=1e-4)
    fitted.unroll = kept


def test_a_chunk_is_the_sum_of_its_windows(table):
    data = dataset(table)
    links = link_data(data, rows_of(data, "Malicious"), "t")
    model = make("temporal_link", SMALL)
    windows = model._windows(links)
    for kind in ("gin", "gat"):
        (chunk,) = chunks_of(windows, 2, 5, 9, kind, "cpu")
        matrix = np.zeros((len(chunk.node),) * 2)
        if kind == "gat":
            np.add.at(matrix, tuple(chunk.edges.numpy()), 1)
        else:
            matrix += chunk.edges.to_dense().numpy()
        sizes = np.diff(chunk.bounds)
        for step, (begin, end) in zip(
            range(2, 5), zip(chunk.bounds, chunk.bounds[1:], strict=False), strict=True
        ):
            at = slice(windows.offsets[step], windows.offsets[step + 1])
            ends = windows.source[at], windows.target[at]
            nodes = np.unique(np.concatenate(ends))
            np.testing.assert_array_equal(chunk.node[begin:end], nodes)
            whole = sparse.csr_array((np.ones(len(ends[0])), ends), shape=(windows.nodes,) * 2)
            both = ((whole + whole.T) > 0)[nodes][:, nodes].toarray()
            np.fill_diagonal(both, False)
            np.testing.assert_array_equal(matrix[begin:end, begin:end], both)
            assert matrix[begin:end].sum() == both.sum()
        assert sizes.sum() == len(chunk.node)


def test_negatives_are_of_the_same_domain_and_active(table):
    data = dataset(table)
    links = link_data(data, rows_of(data, "Malicious"), "t")
    windows = make("temporal_link", SMALL)._windows(links)
    nodes = ActiveNodes.of(windows, links)
    like = np.repeat(windows.source, 5)
    step = np.repeat(windows.step, 5)
    drawn = nodes.drawn(like, step, np.random.default_rng(0))
    first = np.full(windows.nodes, 10**6)
    np.minimum.at(first, windows.source, windows.step)
    np.minimum.at(first, windows.target, windows.step)
    assert (first[drawn] <= step).all()
    np.testing.assert_array_equal(nodes.domain[drawn], nodes.domain[like])


def test_fits_are_the_same_from_the_same_seed(table):
    first, second = (dataset(world(events=600)) for _ in "12")
    one, two, three = (
        make("temporal_link", {**SMALL, "epochs": 3, "seed": seed})
        .fit(data, "Malicious")
        .log_odds(data, "Malicious")
        for data, seed in ((first, 0), (second, 0), (first, 1))
    )
    np.testing.assert_array_equal(one, two)
    assert (one != three).any()


def test_labels_change_the_calibration_only(table):
    plain, labelled = dataset(table), dataset(table, labels=True)
    options = {**SMALL, "epochs": 3}
    without = make("temporal_link", options).fit(plain, "Malicious")
    known = make("temporal_link", options).fit(labelled, "Malicious")
    order = np.argsort(without._scores(plain, rows_of(plain, "Malicious")))
    np.testing.assert_array_equal(
        order, np.argsort(known._scores(labelled, rows_of(labelled, "Malicious")))
    )
    assert known.base_rate_ == pytest.approx(30 / 1500, abs=1e-3)
    assert without.base_rate_ == 0.01
    assert "assumed" in without.report_[1]
    mean = 1 / (1 + np.exp(-without.log_odds(plain, "Malicious")))
    assert mean.mean() == pytest.approx(0.01, abs=0.003)


def test_saved_models_score_the_same(fitted, table, tmp_path):
    data = dataset(table)
    save_model(fitted, tmp_path)
    again = load_model(tmp_path)
    np.testing.assert_array_equal(
        fitted.log_odds(data, "Malicious"), again.log_odds(data, "Malicious")
    )


def test_pairs_are_asked_about_after_the_last_window():
    data = example_data()
    model = make("temporal_link", {"window": "1d", "epochs": 3, "hidden": 8, "score": "link"})
    scores = model.fit(data, "Linked").log_odds(data, "Linked")
    edges = data.graph.relations[0]
    later = replace(edges, time=edges.time + 24 * 3_600_000_000 * 30)
    shifted = replace(data, graph=replace(data.graph, relations=(later,)))
    np.testing.assert_allclose(model.log_odds(shifted, "Linked"), scores, atol=1e-4)


@pytest.mark.parametrize(
    ("options", "predicate", "code"),
    [
        ({"window": "half an hour"}, "Fraud", "KR877"),
        ({"window": 0}, "Fraud", "KR877"),
        ({"window": "52w"}, "Fraud", "KR878"),
        ({}, "Bad", "KR876"),
        ({"relation": "owes"}, "Fraud", "KR876"),
        ({}, "Has", "KR825"),
    ],
)
def test_refusals(options, predicate, code):
    with pytest.raises(ModelError) as caught:
        make("temporal_link", {"epochs": 1, **options}).fit(example_data(), predicate)
    assert caught.value.code == code


def test_a_duration_needs_moments(table):
    with pytest.raises(ModelError, match="are numbers") as caught:
        make("temporal_link", {"window": "30m"}).fit(dataset(table), "Malicious")
    assert caught.value.code == "KR877"


def test_the_clock_stands_in_for_a_time_column():
    data = example_data()
    edges = replace(data.graph.relations[0], time=None, time_sort=None)
    by_clock = replace(data, graph=replace(data.graph, relations=(edges,)))
    rows = rows_of(data, "Fraud")
    np.testing.assert_array_equal(
        link_data(by_clock, rows, "t").rows.time, link_data(data, rows, "t").rows.time
    )
    timeless = replace(by_clock, attributes={k: v for k, v in data.attributes.items() if k != "at"})
    with pytest.raises(ModelError) as caught:
        make("temporal_link", {"epochs": 1}).fit(timeless, "Linked")
    assert caught.value.code == "KR875"


def test_states_of_idle_nodes_stay(fitted, table):
    import torch

    from knowreason.models.links.temporal_training import asked_of
    from knowreason.models.links.time_windows import WindowHistory

    data = dataset(table)
    windows = fitted._windows(link_data(data, rows_of(data, "Malicious"), "t"))
    none = np.zeros(0, np.int64)
    asked = asked_of(WindowHistory(windows), none, none, none, None, None, torch.device("cpu"))
    count = windows.nodes
    sweep = Sweep(fitted.net_, torch.zeros(count, 0), torch.zeros(count, dtype=torch.int64))
    first, second = chunks_of(windows, 0, 2, 1, False, torch.device("cpu"))
    with torch.no_grad():
        sweep.run(first, asked)
        before = sweep.state.clone()
        sweep.run(second, asked)
    moved = (before != sweep.state).any(dim=1).numpy()
    np.testing.assert_array_equal(np.flatnonzero(moved), second.node.numpy())
