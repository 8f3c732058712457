"""Functions that vote or abstain: against enumeration and EM in numpy, sides, copies, majority."""

from itertools import product

import numpy as np
import pytest
from scipy.special import expit, logsumexp

from knowreason import Dataset, Reasoner, loads
from knowreason.data.worlds.comments import comments
from knowreason.errors import ModelError
from knowreason.lang import load
from knowreason.models import make
from knowreason.models.base.predicate_rows import rows_of
from knowreason.models.labelling.dawid_skene import (
    AccuracyPrior,
    errors_of,
    fit_votes,
    held,
    softmax,
)
from knowreason.models.labelling.function_table import function_table
from knowreason.models.labelling.vote_checks import (
    against_majority,
    best_reading,
    dependences,
    two_readings,
)
from knowreason.models.labelling.vote_matrix import ABSTAINS, Votes, votes_on
from knowreason.resources import rulesets_path

HALF = np.array([0.5, 0.5])
WEAK = AccuracyPrior(cases=1e-6)


def drawn(accuracies, n=2000, covers=0.6, share=0.5, seed=0, states=2):
    """Votes of independent functions; returns them and the truth."""
    rng = np.random.default_rng(seed)
    truth = (rng.random(n) < share).astype(int) if states == 2 else rng.integers(0, states, n)
    right = rng.random((n, len(accuracies))) < accuracies
    other = (truth[:, None] + rng.integers(1, states, (n, len(accuracies)))) % states
    values = np.where(right, truth[:, None], other)
    values[rng.random(values.shape) > covers] = ABSTAINS
    names = tuple(f"f{j}" for j in range(len(accuracies)))
    return Votes(names, values.astype(np.int16), tuple(map(str, range(states)))), truth


def none(votes):
    return np.full(len(votes.values), -1)


def dawid_skene(values, states, steps=2000):
    """EM of 1979 in plain numpy: confusion matrices of what is said, shares estimated."""
    said = [(values == v).astype(float) for v in range(states)]
    belief = np.exp(sum(said)[:, :0].sum(1))[:, None] * np.ones(states)
    belief = np.exp(np.stack([s.sum(1) for s in said], 1))
    belief /= belief.sum(1, keepdims=True)
    for _ in range(steps):
        share = belief.mean(0)
        counts = np.stack([[belief[:, y] @ s for s in said] for y in range(states)])
        confusion = counts / counts.sum(1, keepdims=True)
        logs = np.log(share) + sum(
            said[v] @ np.log(confusion[:, v, :] + 1e-300).T for v in range(states)
        )
        belief = np.exp(logs - logsumexp(logs, axis=1, keepdims=True))
    return belief, share, confusion


@pytest.mark.parametrize("states", [2, 3])
def test_em_is_dawid_and_skenes(states):
    votes, _ = drawn([0.9, 0.8, 0.7, 0.85], n=400, states=states)
    ours = fit_votes(votes, accuracy=WEAK, sides=False, tolerance=1e-10, steps=5000)
    belief, share, confusion = dawid_skene(votes.values, states)
    np.testing.assert_allclose(ours.posterior, belief, atol=1e-5)
    np.testing.assert_allclose(
        np.exp(ours.log_likelihoods).transpose(1, 2, 0), confusion, atol=1e-4
    )
    np.testing.assert_allclose(ours.posterior.mean(0), share, atol=1e-5)


def test_the_posterior_is_that_of_enumeration():
    votes, _ = drawn([0.9, 0.6, 0.7], n=60)
    fitted = fit_votes(votes, shares=HALF)
    tables, shift = fitted.log_likelihoods, fitted.shift
    for row, said in enumerate(votes.values):
        joint = [
            shift[y] + sum(tables[j, y, v] for j, v in enumerate(said) if v != ABSTAINS)
            for y in range(2)
        ]
        wanted = np.exp(joint - logsumexp(joint))
        np.testing.assert_allclose(fitted.posterior[row], wanted, atol=1e-4)


def test_every_step_explains_the_votes_better_and_shares_are_held():
    votes, _ = drawn([0.9, 0.6, 0.7, 0.55], n=500, share=0.3)
    shares = np.array([0.7, 0.3])
    fitted = fit_votes(votes, shares=shares)
    assert fitted.converged
    assert (np.diff(fitted.objective) > -1e-7).all()
    np.testing.assert_allclose(fitted.posterior.mean(0), shares, atol=1e-6)


def test_held_adds_what_is_missing():
    scores = np.random.default_rng(0).normal(size=(200, 3)) * 5
    wanted = np.array([20.0, 30.0, 150.0])
    np.testing.assert_allclose(softmax(scores + held(scores, wanted)).sum(0), wanted, atol=1e-5)


def test_accuracies_are_found_within_their_errors():
    truth = np.array([0.95, 0.85, 0.75, 0.65, 0.6])
    votes, state = drawn(truth, n=6000)
    prior = AccuracyPrior(cases=10)
    fitted = fit_votes(votes, shares=HALF, accuracy=prior)
    table = function_table(votes, fitted, prior)
    assert sum(line.low < a < line.high for line, a in zip(table, truth, strict=True)) >= 4
    assert (errors_of(votes, fitted, prior) < 0.25).all()
    assert (fitted.posterior.argmax(1) == state).mean() > (
        (votes.majority()[:, 1] > 0.5) == state
    ).mean()


def test_table_counts():
    values = np.array([[1, 1, -1], [1, 0, -1], [-1, 0, -1], [-1, -1, -1]], np.int16)
    votes = Votes(("a", "b", "c"), values)
    table = function_table(votes, fit_votes(votes, shares=HALF), AccuracyPrior())
    a, b, c = table
    assert (a.coverage, a.overlap, a.conflict, a.says) == (0.5, 0.5, 0.25, "true")
    assert (b.coverage, b.overlap, b.conflict, b.says) == (0.75, 0.5, 0.25, "false, true")
    assert (c.coverage, c.says, c.weight) == (0.0, "nothing", 0.0)
    assert np.isnan(c.accuracy)
    assert table.to_arrow().num_rows == 3


def test_silence_is_not_false_and_says_nothing():
    votes, _ = drawn([0.9, 0.8, 0.7], n=500)
    fitted = fit_votes(votes, shares=HALF)
    one = Votes(votes.functions, np.array([[1, -1, -1], [1, 0, 0], [-1, -1, -1]], np.int16))
    silent, against, nobody = fitted.scores(one) - fitted.shift
    assert silent[1] - silent[0] == pytest.approx(
        fitted.log_likelihoods[0, 1, 1] - fitted.log_likelihoods[0, 0, 1]
    )
    assert against[1] - against[0] < silent[1] - silent[0]
    assert (nobody == 0).all()


def test_functions_of_one_side_do_not_make_everything_true():
    """Maximum likelihood with estimated shares calls every row true here."""
    rng = np.random.default_rng(0)
    truth = rng.random(3000) < 0.5
    values = np.full((3000, 8), ABSTAINS, np.int16)
    for j in range(8):
        side = j < 5
        fires = rng.random(3000) < np.where(truth == side, 0.3, 0.1 if side else 0.25)
        values[fires, j] = side
    votes = Votes(tuple("abcdefgh"), values)
    collapsed = fit_votes(votes, accuracy=WEAK, sides=False).posterior[:, 1].mean()
    assert not 0.05 < collapsed < 0.95
    said = fit_votes(votes, shares=HALF).posterior[:, 1] > 0.5
    assert (said == truth).mean() > 0.7


def test_a_label_and_the_signs_of_a_majority_fix_the_name():
    """Five of six functions are on the side they say; the one that is not counts for nothing."""
    votes, truth = drawn([0.9, 0.85, 0.8, 0.85, 0.8, 0.15], n=3000)
    fitted = fit_votes(votes, shares=HALF, accuracy=AccuracyPrior(cases=10))
    assert (fitted.posterior.argmax(1) == truth).mean() > 0.85
    assert np.ptp(fitted.log_likelihoods[5], axis=0) == pytest.approx(0.0, abs=1e-9)
    turned = fit_votes(votes, shares=HALF, accuracy=AccuracyPrior(cases=10), sides=False)
    assert turned.accuracy[5] < 0.3
    assert two_readings(votes, HALF, none(votes), AccuracyPrior(cases=10)) is None


def test_two_readings_are_both_said_until_a_label_decides():
    votes, truth = drawn([0.85, 0.85, 0.15, 0.15], n=2000, covers=0.9)
    prior = AccuracyPrior(cases=10)
    found = two_readings(votes, HALF, none(votes), prior)
    assert found is not None
    assert found.share > 0.9
    labels = none(votes)
    labels[:40] = truth[:40]
    decided = best_reading(votes, HALF, labels, prior)
    assert (decided.posterior.argmax(1) == truth).mean() > 0.85
    assert two_readings(votes, HALF, labels, prior) is None


def test_two_readings_stand_in_the_report():
    votes, truth = drawn([0.85, 0.85, 0.15, 0.15], n=600, covers=0.9)
    data = dataset(votes, truth)
    model = make("label_functions", {"votes": ("fires",)}).fit(data, "Good")
    (line,) = [line for line in model.report_ if line.startswith("two readings")]
    assert "f0, f1 are mostly right" in line
    assert "f2, f3 are mostly right" in line


def test_labels_are_known_states():
    votes, truth = drawn([0.7, 0.7], n=50)
    labels = none(votes)
    labels[:5] = truth[:5]
    fitted = fit_votes(votes, shares=HALF, labels=labels)
    assert (fitted.posterior[:5].argmax(1) == truth[:5]).all()
    assert (fitted.posterior[:5].max(1) == 1).all()


@pytest.mark.parametrize("seed", range(3))
def test_copies_are_found_and_independent_functions_are_not(seed):
    votes, _ = drawn([0.8, 0.8, 0.75, 0.7, 0.7], n=3000, seed=seed)
    assert not dependences(votes, fit_votes(votes, shares=HALF))
    rng = np.random.default_rng(seed)
    values = votes.values.copy()
    copied = rng.random(len(values)) < 0.6
    values[copied, 4] = values[copied, 3]
    votes = Votes(votes.functions, values)
    found = dependences(votes, fit_votes(votes, shares=HALF, shared=True))
    assert {found[0].one, found[0].other} == {"f3", "f4"}


@pytest.mark.parametrize("by_labels", [False, True])
def test_own_accuracies_beat_the_majority_where_they_differ(by_labels):
    votes, truth = drawn([0.97, 0.9, 0.6, 0.55, 0.55], n=1500)
    labels = none(votes)
    if by_labels:
        labels[:300] = truth[:300]
    check = against_majority(votes, HALF, labels, AccuracyPrior())
    assert not check.below
    assert check.by_labels == by_labels
    assert str(check).startswith("above majority vote")


def test_below_majority_is_said_first_and_every_function_counts_the_same():
    """Functions that are all alike, few rows: own accuracies can only be noise."""
    for seed in range(20):
        votes, _ = drawn([0.75] * 6, n=60, seed=seed)
        check = against_majority(votes, HALF, none(votes), AccuracyPrior(cases=1.0))
        if check.below:
            break
    assert check.below
    assert str(check).startswith("below majority vote")
    data = dataset(votes)
    model = make("label_functions", {"votes": ("fires",)})
    model.fit(data, "Good")
    if model.headline.startswith("below"):
        assert len({round(line.weight, 6) for line in model.function_table}) == 1


PROGRAM = """domain Item, Function
attribute fires(Item, Function): bool
attribute text(Item): string
attribute size(Item): float
query Good(Item)
define Big(x) := size(x) > 1
"""


def dataset(votes, truth=None, labelled=0):
    rows, functions = np.nonzero(votes.values != ABSTAINS)
    n = len(votes.values)
    items = np.array([f"i{r}" for r in range(n)])
    rng = np.random.default_rng(1)
    sign = truth if truth is not None else rng.integers(0, 2, n)
    words = np.array(["bad awful poor dull", "fine lovely great nice"])
    text = [
        " ".join(rng.choice(words[s if rng.random() < 0.9 else 1 - s].split(), 3)) for s in sign
    ]
    names = np.array(votes.functions)
    facts = {
        "fires": {
            "item": items[rows],
            "function": names[functions],
            "vote": votes.values[rows, functions] == 1,
        },
        "text": {"item": items, "text": text},
        "size": {"item": items, "size": sign + rng.normal(size=n)},
    }
    labels = {}
    if labelled:
        labels = {"Good": {"item": items[:labelled], "good": sign[:labelled] == 1}}
    return Dataset.from_frames(loads(PROGRAM), facts=facts, labels=labels)


def accuracy_of(model, data, truth):
    rows = rows_of(data, "Good")
    names = data.vocabularies["Item"].names.to_pylist()
    place = [int(names[i][1:]) for i in rows.things[:, 0]]
    return ((model.log_odds(data, "Good") > 0) == (truth[place] == 1)).mean()


def test_votes_are_read_as_they_are_bound():
    votes, truth = drawn([0.9, 0.6], n=30)
    data = dataset(votes, truth)
    rows = rows_of(data, "Good")
    read = votes_on(data, rows, ("fires",), ("Big",), ())
    names = data.vocabularies["Item"].names.to_pylist()
    place = np.array([int(names[i][1:]) for i in rows.things[:, 0]])
    order = [read.functions.index(name) for name in votes.functions]
    np.testing.assert_array_equal(read.values[:, order], votes.values[place])
    assert set(np.unique(read.values[:, read.functions.index("Big")])) <= {ABSTAINS, 1}


def test_a_classifier_speaks_where_no_function_does():
    votes, truth = drawn([0.85, 0.8, 0.75], n=800, covers=0.4)
    data = dataset(votes, truth)
    alone = make("label_functions", {"votes": ("fires",)}).fit(data, "Good")
    text = make("label_functions", {"votes": ("fires",), "text": "text"}).fit(data, "Good")
    table = make("label_functions", {"votes": ("fires",), "features": ("size",)}).fit(data, "Good")
    base = accuracy_of(alone, data, truth)
    assert accuracy_of(text, data, truth) > base + 0.05
    assert accuracy_of(table, data, truth) > base
    parts = text.parts(data, "Good")
    assert {"f0", "f1", "f2", "text"} == set(parts)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({}, "KR867"),
        ({"votes": ("size",)}, "KR866"),
        ({"votes": ("missing",)}, "KR866"),
        ({"votes": ("fires",), "text": "size"}, "KR868"),
    ],
)
def test_what_holds_no_votes_is_said(options, code):
    data = dataset(drawn([0.9, 0.8], n=20)[0])
    with pytest.raises(ModelError) as caught:
        make("label_functions", options).fit(data, "Good")
    assert caught.value.code == code


def test_three_states_and_no_vote():
    votes, truth = drawn([0.9, 0.8, 0.7], n=600, states=3)
    fitted = fit_votes(votes, shares=np.full(3, 1 / 3))
    assert (fitted.posterior.argmax(1) == truth)[votes.covered].mean() > 0.8
    program = loads(
        'domain Item, Function\ndomain Topic = { "0", "1", "2" }\n'
        "attribute says(Item, Function): Topic\nquery About(Item, Topic!)"
    )
    rows, functions = np.nonzero(votes.values != ABSTAINS)
    items = np.array([f"i{r}" for r in range(600)])
    facts = {
        "says": {
            "item": items[rows],
            "function": np.array(votes.functions)[functions],
            "topic": votes.values[rows, functions].astype(str),
        }
    }
    data = Dataset.from_frames(program, facts=facts)
    model = make("label_functions", {"votes": ("says",)}).fit(data, "About")
    with pytest.raises(ModelError) as caught:
        make("label_functions", {"votes": ("says",), "prevalence": 0.2}).fit(data, "About")
    assert caught.value.code == "KR869"
    said = model.log_odds(data, "About")
    names = data.vocabularies["Item"].names.to_pylist()
    place = [int(names[i][1:]) for i in rows_of(data, "About").things[:, 0]]
    assert (said.argmax(1) == truth[place]).mean() > 0.8


def test_the_reasoner_explains_and_rules_go_on_top():
    votes, truth = drawn([0.8, 0.75, 0.7], n=300)
    source = PROGRAM + (
        'observed Same(Item, Item)\nmodel functions for Good = label_functions(votes=["fires"])\n'
        "rule alike [2] : Same(x, y) & (Good(x) <~> Good(y))\n"
    )
    program = loads(source)
    rows, functions = np.nonzero(votes.values != ABSTAINS)
    items = np.array([f"i{r}" for r in range(300)])
    order = np.argsort(truth, kind="stable")
    facts = {
        "fires": {
            "item": items[rows],
            "function": np.array(votes.functions)[functions],
            "vote": votes.values[rows, functions] == 1,
        },
        "Same": {"one": items[order[:-1]], "other": items[order[1:]]},
    }
    data = Dataset.from_frames(program, facts=facts)
    reasoner = Reasoner(program).fit(data)
    said = reasoner.predict_proba(data)[:, 1]
    names = data.vocabularies["Item"].names.to_pylist()
    place = np.array([int(name[1:]) for name in names])
    right = ((said > 0.5) == (truth[place] == 1)).mean()
    alone = reasoner.models_[0].fitted.model
    assert right > accuracy_of(alone, data, truth)
    shown = str(reasoner.explain(reasoner.infer(data), f'Good("{names[0]}")'))
    assert "model functions" in shown


def test_labels_turn_functions_on_the_wrong_side():
    votes, truth = drawn([0.2, 0.2, 0.25], n=400)
    unlabelled, labelled = dataset(votes, truth), dataset(votes, truth, labelled=150)
    options = {"votes": ("fires",), "prevalence": 0.5}
    astray = make("label_functions", options).fit(unlabelled, "Good")
    turned = make("label_functions", options).fit(labelled, "Good")
    assert accuracy_of(astray, unlabelled, truth) < 0.4
    assert accuracy_of(turned, unlabelled, truth) > 0.7
    assert all(line.accuracy < 0.5 for line in turned.function_table)


def test_the_starter_world_is_above_majority():
    world = comments(0)
    program = load(rulesets_path() / "labelling.kr")
    text = world["comments"].select(["comment", "text"])
    data = Dataset.from_frames(program, facts={"text": text, "fires": world["votes"]})
    model = make(program.models[0].call).fit(data, "Spam")
    rows = rows_of(data, "Spam")
    names = data.vocabularies["Comment"].names.to_pylist()
    truth = dict(zip(*world["truth"].to_pydict().values(), strict=True))
    spam = np.array([truth[names[i]] for i in rows.things[:, 0]])
    votes = votes_on(data, rows, ("fires",), (), ())
    share = votes.majority()[:, 1]
    majority = np.where(share == 0.5, 0.5, (share > 0.5) == spam).mean()
    assert ((model.log_odds(data, "Spam") > 0) == spam).mean() > majority
    assert "asks_to_subscribe and asks_to_subscribe_too" in " ".join(model.report_)


def test_weights_are_the_log_odds_of_the_accuracies():
    votes, _ = drawn([0.8], n=50)
    values = np.where(votes.values == 0, ABSTAINS, votes.values)
    one = Votes(("a",), values)
    fitted = fit_votes(one, shares=HALF)
    line = function_table(one, fitted, AccuracyPrior())["a"]
    assert expit(line.weight) == pytest.approx(line.accuracy)


def test_likelihood_of_all_votes_adds_up_to_one():
    """Over everything the functions may say where they speak."""
    votes, _ = drawn([0.8, 0.7], n=200, covers=1.0)
    fitted = fit_votes(votes, accuracy=WEAK)
    every = np.array(list(product(range(2), repeat=2)), np.int16)
    total = logsumexp(fitted.scores(Votes(votes.functions, every)))
    assert total == pytest.approx(0.0, abs=1e-6)
