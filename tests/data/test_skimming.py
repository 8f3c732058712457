import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from knowreason.data.worlds import skimming
from knowreason.data.worlds.skimming import ELSEWHERE, REGIONS, STRIPE


@pytest.fixture(scope="module")
def world():
    return skimming(seed=1)


def columns(world):
    payments = world["payments"].to_pydict()
    fraud = world["truth"].column("fraud").to_numpy().astype(bool)
    day = np.array(payments["day"])
    terminal = np.array([int(name[1:]) for name in payments["terminal"]])
    return payments, fraud, day, terminal


def test_the_same_seed_gives_the_same_world(world):
    again, other = skimming(seed=1), skimming(seed=2)
    assert all(again[name].equals(table) for name, table in world.items())
    assert not other["payments"].equals(world["payments"])


def test_what_can_be_seen_says_nothing_of_the_truth(world):
    assert set(world) == {
        "cards",
        "terminals",
        "payments",
        "days",
        "labels",
        "truth",
        "compromised",
    }
    seen = {c for n in ("cards", "terminals", "payments", "days") for c in world[n].column_names}
    assert seen.isdisjoint({"fraud", "compromised"})


def test_two_dozen_labels_in_the_past_and_all_in_the_future(world):
    day = dict(zip(*world["payments"].select(["id", "day"]).to_pydict().values(), strict=True))
    labels = world["labels"].to_pydict()
    past = [f for i, f in zip(labels["id"], labels["fraud"], strict=True) if day[i] < 30]
    assert len(past) == 24
    assert sum(past) == 12
    assert len(labels["id"]) - 24 == sum(d >= 30 for d in day.values())
    truth = dict(zip(*world["truth"].to_pydict().values(), strict=True))
    assert all(truth[i] == f for i, f in zip(labels["id"], labels["fraud"], strict=True))
    noisy = skimming(seed=1, label_noise=1.0)["labels"].to_pydict()
    wrong = sum(truth[i] != f for i, f in zip(noisy["id"], noisy["fraud"], strict=True))
    assert wrong == 24


def test_payments_are_in_order_of_time(world):
    times = world["payments"].column("time").to_numpy()
    assert (np.diff(times) >= np.timedelta64(0)).all()


def test_amounts_turn_at_the_cut(world):
    payments, fraud, day, _ = columns(world)
    amount = np.array(payments["amount"])
    assert roc_auc_score(fraud[day < 30], amount[day < 30]) > 0.8
    assert roc_auc_score(fraud[day >= 30], amount[day >= 30]) < 0.2
    payments, fraud, day, _ = columns(still := skimming(seed=1, drift=0.0))
    amount = np.array(payments["amount"])
    assert roc_auc_score(fraud[day >= 30], amount[day >= 30]) > 0.8
    assert still["payments"].num_rows == world["payments"].num_rows


def log_ratios(world, payments, terminal):
    """Log-likelihood ratio of fraud from how the card was read and where it is from."""
    region = np.array(world["terminals"].column("region"))[terminal]
    card = np.array([int(name[1:]) for name in payments["card"]])
    stripe = np.array(payments["entry"]) == "stripe"
    moved = (REGIONS - 1) / REGIONS * np.array([ELSEWHERE[True], ELSEWHERE[False]])
    afar = np.array(world["cards"].column("region"))[card] != region
    return np.where(
        stripe,
        np.log(STRIPE[True] / STRIPE[False]),
        np.log1p(-STRIPE[True]) - np.log1p(-STRIPE[False]),
    ) + np.where(afar, np.log(moved[0] / moved[1]), np.log1p(-moved[0]) - np.log1p(-moved[1]))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_terminal_and_day_know_more_than_the_payment(seed):
    """Exact inference in the generating model without amounts: a payment alone, then the hub."""
    world = skimming(seed)
    payments, fraud, day, terminal = columns(world)
    alone = log_ratios(world, payments, terminal)
    cell = terminal * 40 + day
    message = np.log(0.4 + 0.6 * np.exp(alone)) - np.log(0.998 + 0.002 * np.exp(alone))
    others = np.bincount(cell, message, 2400)[cell] - message + np.log(0.03 / 0.97)
    hub = 1 / (1 + np.exp(-others))
    prior = np.log(0.6 * hub + 0.002 * (1 - hub)) - np.log(0.4 * hub + 0.998 * (1 - hub))
    future = day >= 30
    without = average_precision_score(fraud[future], alone[future])
    assert average_precision_score(fraud[future], (prior + alone)[future]) > without + 0.3
    assert 0.005 < fraud.mean() < 0.05


def test_knobs_turn_what_they_say():
    few, many = skimming(prevalence=0.01), skimming(prevalence=0.1)
    assert few["compromised"].num_rows < 60 < 200 < many["compromised"].num_rows
    assert skimming(labels=100)["labels"].num_rows == skimming()["labels"].num_rows + 76
    assert skimming(days=20, cut=5)["payments"].column("day").to_numpy().max() == 19
