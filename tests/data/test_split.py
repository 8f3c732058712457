import datetime as dt

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowreason.data import Dataset, EdgeList, folds, known_at, known_labels
from knowreason.errors import DataError
from knowreason.logic import Attribute, Domain, Predicate, Program
from knowreason.testing import example_data
from tests.strategies_data import arguments, people

MICRO = 1_000_000
DAY = 86400 * MICRO


def events(days, people_of=None, bad=None):
    """Event i on day ``days[i]`` (``None``: no time) by person ``people_of[i]``."""
    ids = [f"e{i}" for i in range(len(days))]
    who = [f"p{p}" for p in people_of or [0] * len(days)]
    times = [None if d is None else dt.datetime(2026, 1, 1) + dt.timedelta(days=d) for d in days]
    table = {"id": ids, "src": who, "dst": who[::-1]}
    return Dataset.from_frames(
        people(),
        facts={"Meets": table, "at": {"id": ids, "t": pa.array(times, pa.timestamp("us"))}},
        labels={"Bad": {"id": ids, "bad": bad or [i % 2 for i in range(len(days))]}},
        features={"Person": {"id": sorted(set(who)), "f": [1.0] * len(set(who))}},
        scores={"Bad": {"id": ids, "s": [float(i) for i in range(len(days))]}},
        graph=EdgeList({**table, "t": ids}, "src", "dst", key="t:Event"),
    )


def names(data, predicate, table):
    return data.named(predicate, table).column("a0").to_pylist()


days = st.lists(st.one_of(st.none(), st.integers(0, 9)), min_size=2, max_size=12)


@given(days, st.data())
@settings(max_examples=60)
def test_past_and_future_share_nothing_and_leave_nothing(when, draw):
    who = draw.draw(st.lists(st.integers(0, 4), min_size=len(when), max_size=len(when)))
    data = events(when, who)
    cut = dt.datetime(2026, 1, 6)
    early = {f"e{i}" for i, d in enumerate(when) if d is not None and d < 5}
    everything = {f"e{i}" for i in range(len(when))}
    if not early or early == everything:
        with pytest.raises(DataError, match="KR519"):
            data.split_by("at", before=cut)
        return
    past, future = data.split_by("at", before=cut)
    assert set(past.vocabularies["Event"]) == early
    asked = future.vocabularies["Event"].names.filter(pa.array(future.scope["Event"]))
    assert set(asked.to_pylist()) == everything - early
    assert set(names(past, "Bad", past.labels["Bad"])) == early
    assert set(names(future, "Bad", future.labels["Bad"])) == early
    assert set(names(future, "Bad", future.hidden["Bad"])) == everything - early
    assert past.hidden["Bad"].num_rows == 0
    assert future.facts["Meets"].num_rows == data.facts["Meets"].num_rows


@given(days, st.data())
@settings(max_examples=60)
def test_nothing_of_the_future_is_in_the_past(when, draw):
    who = draw.draw(st.lists(st.integers(0, 4), min_size=len(when), max_size=len(when)))
    data = events(when, who)
    rows = list(zip(*data.named("Meets").to_pydict().values(), strict=True))
    early = {f"e{i}" for i, d in enumerate(when) if d is not None and d < 5}
    if not early or len(early) == len(when):
        return
    past, _future = data.split_by("at", before="2026-01-06")
    kept = [row for row in rows if row[0] in early]
    assert list(zip(*past.named("Meets").to_pydict().values(), strict=True)) == kept
    assert set(past.vocabularies["Person"]) == {p for _, x, y in kept for p in (x, y)}
    assert len(past.features["Person"]) == past.count("Person")
    assert set(names(past, "at", past.attributes["at"])) == early
    assert past.attributes["at"].column("value").to_numpy().max() < 1767657600 * MICRO
    scores = past.scores["Bad"]
    expected = sorted(int(name[1:]) for name in early)
    assert sorted(scores.values["s"].tolist()) == expected
    found = past.vocabularies["Event"].decode(scores.arguments[:, 0]).to_pylist()
    assert [f"e{int(s)}" for s in scores.values["s"]] == found
    edges = past.graph.edges()
    decode = past.vocabularies["Person"].decode
    assert (
        list(
            zip(
                past.vocabularies["Event"].decode(edges.key).to_pylist(),
                decode(edges.source).to_pylist(),
                decode(edges.target).to_pylist(),
                strict=True,
            )
        )
        == kept
    )


def test_static_facts_keep_their_things():
    ids = ["e0", "e1"]
    data = Dataset.from_frames(
        people(),
        facts={
            "Meets": {"id": ids, "src": ["a", "b"], "dst": ["a", "c"]},
            "at": {"id": ids, "t": ["2026-01-01", "2026-02-01"]},
            "Knows": {"x": ["a"], "y": ["b"]},
            "age": {"x": ["b", "c"], "v": [1, 2]},
        },
    )
    past, _ = data.split_by("at", before="2026-01-15")
    assert set(past.vocabularies["Person"]) == {"a", "b"}
    assert past.named("age").to_pydict() == {"a0": ["b"], "value": [1]}


def test_clocks_of_other_domains_are_cut_too():
    program = Program(
        domains=(Domain("Event"), Domain("Alert")),
        predicates=(
            Predicate("About", "observed", arguments("Alert", "Event")),
            Predicate("Bad", "query", arguments("Event")),
            Predicate("True_", "query", arguments("Alert")),
        ),
        attributes=(
            Attribute("at", arguments("Event"), "int", clock=True),
            Attribute("raised", arguments("Alert"), "int", clock=True),
        ),
    )
    data = Dataset.from_frames(
        program,
        facts={
            "About": {"a": ["x", "y"], "e": ["1", "1"]},
            "at": {"e": ["1", "2"], "t": [0, 9]},
            "raised": {"a": ["x", "y"], "t": [3, 7]},
        },
        labels={"Bad": {"e": ["1", "2"]}, "True_": {"a": ["x", "y"]}},
    )
    past, future = data.split_by("at", before=5)
    assert list(past.vocabularies["Alert"]) == ["x"]
    assert past.facts["About"].num_rows == 1
    assert future.scope["Alert"].tolist() == [False, True]
    assert names(future, "True_", future.hidden["True_"]) == ["y"]


def test_things_without_a_time_are_told():
    past, future = events([0, 5, None]).split_by("at", before="2026-01-03")
    for part in (past, future):
        told = [d for d in part.warnings if d.code == "KR526"]
        assert told[0].message.startswith("1 `Event` have no `at`")
        assert told[0].severity == "warning"


def test_members_of_an_enumerated_domain_stay_but_their_rows_go():
    program = Program(
        domains=(Domain("Day", ("mon", "tue", "wed")), Domain("Person")),
        predicates=(
            Predicate("Works", "observed", arguments("Person", "Day")),
            Predicate("Ill", "query", arguments("Person", "Day")),
        ),
        attributes=(Attribute("number", arguments("Day"), "int", clock=True),),
    )
    data = Dataset.from_frames(
        program,
        facts={
            "Works": {"p": ["a", "a", "b"], "d": ["mon", "wed", "wed"]},
            "number": {"d": ["mon", "tue", "wed"], "n": [0, 1, 2]},
        },
        labels={"Ill": {"p": ["a", "a"], "d": ["mon", "wed"]}},
        features={"Day": {"d": ["wed", "mon"], "f": [1, 2]}},
    )
    past, future = data.split_by("number", before=2)
    assert list(past.vocabularies["Day"]) == ["mon", "tue", "wed"]
    assert past.named("Works").to_pydict() == {"a0": ["a"], "a1": ["mon"]}
    assert list(past.vocabularies["Person"]) == ["a"]
    assert len(past.features["Day"]) == 3
    assert future.scope["Day"].tolist() == [False, False, True]
    assert future.hidden["Ill"].num_rows == 1


def test_edges_with_times_are_cut_by_time():
    table = {"src": ["a", "b"], "dst": ["b", "a"], "t": ["2026-01-01", "2026-03-01"]}
    data = Dataset.from_frames(
        people(),
        facts={
            "Meets": {"id": ["e", "f"], "src": ["a", "a"], "dst": ["b", "b"]},
            "at": {"id": ["e", "f"], "t": ["2026-01-01", "2026-03-01"]},
        },
        graph=EdgeList(table, "src", "dst", time="t"),
    )
    past, future = data.split_by("at", before=np.datetime64("2026-02-01"))
    assert len(past.graph.edges()) == 1
    assert len(future.graph.edges()) == 2


def test_an_edge_that_is_a_thing_goes_with_the_thing():
    table = {"id": ["e", "f"], "src": ["a", "b"], "dst": ["b", "a"], "row": [100, 200]}
    ends = arguments("Event", "src:Person", "dst:Person")
    program = Program(
        domains=(Domain("Event"), Domain("Person")),
        predicates=(Predicate("Meets", "observed", ends),),
        attributes=(Attribute("slice", arguments("Event"), "int", clock=True),),
    )
    data = Dataset.from_frames(
        program,
        facts={"slice": {"id": ["e", "f"], "n": [0, 9]}},
        graph=EdgeList(table, "src", "dst", key="id:Event", time="row"),
    )
    past, _ = data.split_by("slice", before=5)
    assert past.graph.edges().time.tolist() == [100]


@pytest.mark.parametrize(
    ("attribute", "before"),
    [("nick", "a"), ("closeness", 1), ("att", 1), ("at", "never"), ("at", "2000-01-01")],
)
def test_cuts_that_cannot_be_made(attribute, before):
    with pytest.raises(DataError, match="KR519"):
        events([1, 2]).split_by(attribute, before=before)


def smokers(count, rng_seed=0):
    truth = np.random.default_rng(rng_seed).random(count) < 0.2
    table = {"x": [f"p{i}" for i in range(count)], "l": truth.astype(int)}
    return Dataset.from_frames(people(), labels={"Smokes": table}), truth


@given(st.integers(2, 200), st.floats(0.05, 0.95), st.integers(0, 5))
@settings(max_examples=50)
def test_random_parts_partition_the_labels(count, share, seed):
    data, truth = smokers(count)
    training, test = data.split_random("Smokes", test=share, seed=seed)
    kept = names(data, "Smokes", training.labels["Smokes"])
    held = names(data, "Smokes", test.hidden["Smokes"])
    assert sorted(kept + held) == sorted(f"p{i}" for i in range(count))
    assert names(data, "Smokes", test.labels["Smokes"]) == kept
    assert training.hidden["Smokes"].num_rows == 0
    assert test.scope["Person"].sum() == len(held)
    assert abs(len(held) - share * count) <= 2
    positives = sum(truth[int(name[1:])] for name in held)
    assert abs(positives - share * truth.sum()) <= 1
    again = data.split_random("Smokes", test=share, seed=seed)[1]
    assert names(data, "Smokes", again.hidden["Smokes"]) == held


def test_a_functional_predicate_is_split_by_setting():
    people_of = [f"p{i}" for i in range(40) for _ in range(3)]
    table = {"x": people_of, "c": ["red", "green", "blue"] * 40, "l": [0, 1, 0] * 40}
    data = Dataset.from_frames(people(), labels={"Likes": table})
    training, test = data.split_random("Likes", test=0.25, seed=3)
    assert test.hidden["Likes"].num_rows == 30
    kept = set(names(data, "Likes", training.labels["Likes"]))
    assert kept.isdisjoint(names(data, "Likes", test.hidden["Likes"]))
    fold = folds(data, "Likes", 5)
    assert (fold.reshape(40, 3) == fold[::3, None]).all()
    assert np.bincount(fold).tolist() == [24] * 5


def test_a_split_by_key_holds_back_what_mentions_it():
    data = events([1, 2, 3], [0, 1, 0])
    training, test = data.split_by_key("Event", ["e1"])
    assert names(data, "Bad", training.labels["Bad"]) == ["e0", "e2"]
    assert names(data, "Bad", test.hidden["Bad"]) == ["e1"]
    assert test.scope["Event"].tolist() == [False, True, False]
    with pytest.raises(DataError, match="KR509"):
        data.split_by_key("Event", ["e9"])
    mask = np.array([False, True, False])
    assert data.split_by_key("Event", mask)[1].hidden["Bad"].equals(test.hidden["Bad"])


def test_hiding_and_keeping_labels():
    data, _ = smokers(5)
    hidden = data.hide("Smokes", np.array([0, 3]))
    assert names(data, "Smokes", hidden.hidden["Smokes"]) == ["p0", "p3"]
    assert names(data, "Smokes", hidden.labels["Smokes"]) == ["p1", "p2", "p4"]
    again = hidden.hide("Smokes", np.array([True, False, False]))
    assert names(data, "Smokes", again.hidden["Smokes"]) == ["p0", "p3", "p1"]
    some = data.labels_only("Smokes", np.array([4, 1]))
    assert names(data, "Smokes", some.labels["Smokes"]) == ["p1", "p4"]
    assert some.hidden["Smokes"].num_rows == 0
    none = data.with_labels("Smokes", data.labels["Smokes"].slice(0, 0))
    assert none.labels["Smokes"].num_rows == 0
    assert data.labels["Smokes"].num_rows == 5
    with pytest.raises(DataError, match="KR519"):
        data.hide("Secret", np.array([0]))


def test_labels_are_hidden_where_none_were():
    data = example_data()
    for predicate, labels in data.labels.items():
        hidden = data.hide(predicate, np.ones(labels.num_rows, dtype=bool))
        before = data.hidden[predicate].num_rows if predicate in data.hidden else 0
        assert hidden.hidden[predicate].num_rows == before + labels.num_rows
        assert not hidden.labels[predicate].num_rows


@given(st.integers(2, 8), st.integers(2, 120), st.integers(0, 3))
@settings(max_examples=40)
def test_random_folds_are_even_in_each_class(k, count, seed):
    data, truth = smokers(count)
    fold = folds(data, "Smokes", k, seed=seed)
    assert fold.dtype == np.int32
    assert fold.min() >= 0
    assert fold.max() < k
    for label in (False, True):
        sizes = np.bincount(fold[truth == label], minlength=k)
        assert sizes.max() - sizes.min() <= 1


@given(st.lists(st.integers(0, 20), min_size=4, max_size=40), st.integers(2, 5))
@settings(max_examples=40)
def test_forward_folds_go_forward(when, k):
    fold = folds(events(when), "Bad", k, kind="forward")
    order = np.argsort(when, kind="stable")
    assert (np.diff(fold[order]) >= 0).all()
    for day in set(when):
        assert len(set(fold[np.array(when) == day])) == 1
    if len(set(when)) > 1:
        assert len(set(fold)) > 1
    if len(set(when)) == len(when):
        sizes = np.bincount(fold, minlength=k)
        assert abs(sizes[0] - len(when) / 2) <= 1
        assert np.ptp(sizes[1:]) <= 1


@given(st.integers(2, 4), st.integers(0, 3))
@settings(max_examples=20)
def test_group_folds_keep_groups_together(k, seed):
    ages = [i % 7 for i in range(60)]
    who = [f"p{i}" for i in range(60)]
    data = Dataset.from_frames(
        people(),
        facts={"age": {"x": who, "v": ages}},
        labels={"Smokes": {"x": who, "l": [i % 2 for i in range(60)]}},
    )
    fold = folds(data, "Smokes", k, kind="group:age", seed=seed)
    for age in range(7):
        assert len(set(fold[np.array(ages) == age])) == 1
    assert len(set(fold)) == k


@pytest.mark.parametrize("kind", ["forward", "group:nick", "group:at", "backward", "group:"])
def test_folds_that_cannot_be_made(kind):
    data, _ = smokers(4)
    if kind == "group:nick":
        assert len(folds(data, "Smokes", 2, kind=kind)) == 4
        return
    with pytest.raises(DataError, match="KR519"):
        folds(data, "Smokes", 2, kind=kind)


def test_one_fold_is_none():
    with pytest.raises(DataError, match="KR519"):
        folds(smokers(4)[0], "Smokes", 1)


def test_labels_are_known_after_the_delay():
    data = events([0, 2, 4, None])
    when = dt.datetime(2026, 1, 5)
    assert known_labels(data, "Bad", when).tolist() == [True, True, True, False]
    assert known_labels(data, "Bad", when, delay=DAY).tolist() == [True, True, False, False]
    known = known_at(data, "2026-01-04", delay=1)
    assert names(data, "Bad", known.labels["Bad"]) == ["e0", "e1"]
    assert names(data, "Bad", known.hidden["Bad"]) == ["e2", "e3"]
    zoned = dt.datetime(2026, 1, 5, 2, tzinfo=dt.timezone(dt.timedelta(hours=2)))
    assert known_labels(data, "Bad", zoned).tolist() == [True, True, True, False]
    assert known_labels(data, "Bad", dt.date(2026, 1, 3)).tolist() == [True, True, False, False]
