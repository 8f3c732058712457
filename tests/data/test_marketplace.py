import numpy as np
import pyarrow.compute as pc
import pytest
from sklearn.metrics import roc_auc_score

from knowreason import lang
from knowreason.data.worlds import marketplace
from knowreason.data.worlds.marketplace_actors import SUBCLASSES
from knowreason.data.worlds.marketplace_data import LABELS, bind, snapshot, with_derived
from knowreason.resources import rulesets_path

KEYS_IN_ORDER = ("buyer", "seller", "item", "device")
KEYS = {"id", *KEYS_IN_ORDER}


@pytest.fixture(scope="module")
def world():
    return marketplace(1, transactions=60_000, prevalence=1 / 300)


def column(table, name):
    values = table.column(name).cast("float64") if name not in KEYS else table.column(name)
    return values.to_numpy(zero_copy_only=False)


def auc(truth, values):
    known = np.where(np.isnan(values), 1e6, values)
    return max(found := roc_auc_score(truth, known), 1 - found)


def test_the_same_seed_gives_the_same_world(world):
    again = marketplace(1, transactions=60_000, prevalence=1 / 300)
    other = marketplace(2, transactions=60_000, prevalence=1 / 300)
    assert all(again[name].equals(table) for name, table in world.items())
    assert not other["transactions"].equals(world["transactions"])


def test_the_default_world_stays_as_it_is():
    """Other studies rest on it: new knobs draw nothing unless they are turned."""
    trades = marketplace(3, transactions=4_000, prevalence=0.02)["transactions"]
    sums = [sum(int(name[1:]) for name in trades[key].to_pylist()) for key in KEYS_IN_ORDER]
    assert sums == [1129955, 89942, 1095341, 1214954]
    assert pc.sum(trades["second"]).as_py() == 172829783


def test_rings_may_sell_one_item_again_and_again():
    plain, pumped = (
        marketplace(0, transactions=30_000, prevalence=0.02, pumped=share) for share in (0.0, 0.8)
    )
    honest = pc.equal(plain["truth"]["collusion"], 0)
    kept = [world["transactions"].filter(honest) for world in (plain, pumped)]
    assert kept[0].equals(kept[1])
    items = [
        pc.count_distinct(world["transactions"].filter(pc.invert(honest))["item"]).as_py()
        for world in (plain, pumped)
    ]
    assert items[1] < 0.6 * items[0]
    offered = dict(zip(*(pumped["items"][c].to_pylist() for c in ("item", "seller")), strict=True))
    trades = pumped["transactions"]
    assert [offered[item] for item in trades["item"].to_pylist()] == trades["seller"].to_pylist()


def test_with_items_a_transaction_is_a_node_tied_to_four_things(world):
    program = lang.load(rulesets_path() / "collusion_items.kr")
    part = snapshot(world, 10, 14)
    data = bind(program, part)
    trades = part["transactions"]
    relations = {edges.name: edges for edges in data.graph.relations}
    assert list(relations) == ["buyer", "seller", "item", "device"]
    assert all(len(edges) == trades.num_rows for edges in relations.values())
    named = data.vocabularies["Item"].decode(relations["item"].target).to_pylist()
    assert named == trades["item"].to_pylist()
    assert data.count("Item") == len(pc.unique(trades["item"]))
    assert not data.warnings


def test_one_in_three_thousand_by_default():
    labels = marketplace(0)["labels"]
    assert labels.num_rows == 150_000
    assert pc.sum(labels.column("collusion")).as_py() == 50


def test_every_kind_is_there_and_one_at_a_time(world):
    kinds = np.stack([column(world["labels"], name) for name in SUBCLASSES])
    collusion = column(world["labels"], "collusion")
    assert (kinds.sum(axis=1) >= 15).all()
    assert (kinds.sum(axis=0) <= collusion).all()
    assert 0.03 < 1 - kinds.sum() / collusion.sum() < 0.2  # some of no named kind
    assert (kinds.sum(axis=1) <= 0.5 * collusion.sum()).all()


def test_nothing_that_can_be_seen_is_named_after_the_truth(world):
    seen = {
        n for t in ("buyers", "sellers", "items", "transactions") for n in world[t].column_names
    }
    assert seen.isdisjoint({"collusion", "kind", "ring", "role", *SUBCLASSES})


def test_no_single_column_gives_collusion_away(world):
    trades, truth = with_derived(world), column(world["truth"], "collusion") == 1
    found = {n: auc(truth, column(trades, n)) for n in trades.column_names if n not in KEYS}
    assert max(found.values()) < 0.95, found
    alone = {n: v for n, v in found.items() if n not in ("points", "velocity")}  # of one sign
    assert max(alone.values()) < 0.88, alone


def test_the_signs_of_a_kind_are_shared_by_many_more_honest_people(world):
    trades, labels = world["transactions"], world["labels"]
    waved = (column(trades, "override") == 1) & (column(trades, "declines") > 0)
    kind = column(labels, "overridden") == 1
    assert waved[kind].mean() > 0.6
    assert (waved & ~kind).sum() > 3 * kind.sum()
    fresh, one_day = column(trades, "age") <= 1, column(labels, "one_day") == 1
    assert fresh[one_day].mean() > 0.8
    assert (fresh & ~one_day).sum() > 10 * one_day.sum()


def test_new_buyers_and_sellers_trade_every_day(world):
    day = column(world["transactions"], "day")
    for name in ("buyer", "seller"):
        first = np.unique(column(world["transactions"], name), return_index=True)[1]
        arrivals = np.bincount(day[first].astype(int), minlength=70)
        assert (arrivals[1:] > 0).all()
    age = column(world["transactions"], "age")
    assert (age >= 0).all()
    assert (np.bincount(day[age == 0].astype(int), minlength=70) > 0).all()


def test_transactions_are_in_order_of_time(world):
    assert (np.diff(column(with_derived(world), "moment")) >= 0).all()


def test_drift_changes_kinds_and_signs():
    moving = marketplace(0, transactions=60_000, prevalence=0.02)
    still = marketplace(0, transactions=60_000, prevalence=0.02, drift=0.0)
    early, late = share_of(moving, "one_day")
    assert early > 1.5 * late
    early, late = share_of(still, "one_day")
    assert early < 1.3 * late
    failed = [column(w["transactions"], "failed") for w in (moving, still)]
    day = column(moving["transactions"], "day")
    assert failed[0][day > 50].mean() > 1.5 * failed[0][day < 20].mean()
    assert failed[1][day > 50].mean() < 1.2 * failed[1][day < 20].mean()


def share_of(world, kind):
    """Share of a kind among collusion in the first and the last third of the days."""
    day = column(world["transactions"], "day")
    guilty, is_kind = (column(world["labels"], n) == 1 for n in ("collusion", kind))
    return is_kind[guilty & (day < 23)].mean(), is_kind[guilty & (day > 46)].mean()


def test_investigators_err_and_write_down_some_kinds_only():
    world = marketplace(0, transactions=30_000, prevalence=0.02, label_noise=0.2, annotated=0.3)
    labels, truth = world["labels"], column(world["truth"], "collusion") == 1
    told = column(labels, "collusion") == 1
    assert told.sum() == truth.sum()
    assert 0.1 < (truth & ~told).sum() / truth.sum() < 0.3
    unknown = labels.column("takeover").is_null().to_numpy()
    assert not unknown[~told].any()
    assert 0.6 < unknown[told].mean() < 0.9
    full = marketplace(0, transactions=30_000, prevalence=0.02)
    assert full["transactions"].equals(world["transactions"])


def test_a_snapshot_holds_its_days_only(world):
    program = lang.load(rulesets_path() / "collusion.kr")
    part = snapshot(world, 10, 20)
    data = bind(program, part)
    days = data.attributes["day"].column("value").to_numpy()
    assert (days.min(), days.max()) == (10, 19)
    assert data.count("Transaction") == part["transactions"].num_rows
    assert data.count("Buyer") == len(pc.unique(part["transactions"].column("buyer")))
    assert all(data.labels[name].num_rows == data.count("Transaction") for name in LABELS)
    assert not data.warnings
    seen = {name for table in data.features.values() for name in table.names}
    assert seen.isdisjoint({"collusion", "kind", "ring", *SUBCLASSES})
