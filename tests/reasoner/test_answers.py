"""The answer: whose weights, which halves, and what is said of it."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from scipy.special import expit, logsumexp

import knowreason as kr
from knowreason.factors.energy import features
from knowreason.learning import learn
from knowreason.learning.estimators.left_out import without_folds
from knowreason.reasoner.fit_answers import stated_fit, tied, whose_weights
from knowreason.reasoner.fit_steps import fit_weights, learning_problem
from knowreason.reasoner.labels.fold_groups import FoldGroups
from knowreason.testing.oracle import all_worlds

RULES = """
domain Visit, Shop
attribute shop(Visit): Shop
attribute size(Visit): float
attribute night(Visit): bool
query Theft(Visit)
latent Targeted(Shop)
model signs for Theft = sklearn(estimator="logistic", features=["size"])
rule at_night [? {night}] : night(v) => Theft(v)
rule hub      [? 1.5 >= 0] : Targeted(shop(v)) & Theft(v)
rule seldom   [-1] : Targeted(s)
"""


def frame(visits=400, shops=60, seed=0, at_night=1.0):
    rng = np.random.default_rng(seed)
    shop, night = rng.integers(0, shops, visits), rng.random(visits) < 0.4
    targeted = rng.random(shops) < 0.3
    chance = expit(-2 + at_night * night + 1.5 * targeted[shop])
    theft = rng.random(visits) < chance
    return pl.DataFrame(
        {
            "visit": [f"v{i}" for i in range(visits)],
            "shop": [f"s{i}" for i in shop],
            "size": rng.normal(size=visits) + 1.2 * theft,
            "night": night,
            "theft": theft.astype(int),
        }
    )


def dataset(table, night=1.0, labels=slice(None)):
    return kr.Dataset.from_frames(
        kr.loads(RULES.format(night=night)),
        facts={name: table.select("visit", name) for name in ("shop", "size", "night")},
        labels={"Theft": table.select("visit", "theft")[labels]},
    )


def fitted(data, **settings):
    return kr.Reasoner(data.program, settings=kr.Settings(**settings)).fit(data)


LEVEL_OF_CHOICE = "knowreason.metrics.cluster_test.CHOICE"


@pytest.fixture(scope="module")
def usual():
    data = dataset(frame())
    return data, fitted(data, answer="mean")


def test_weights_that_many_clusters_deny_are_learned():
    wrong = dataset(frame(at_night=1.0), night=-6)
    reasoner = fitted(wrong)
    assert reasoner.answers_.weights is None
    assert "weights: learned; learned ones are ahead by" in reasoner.answers_.notes[0]


def test_weights_that_are_about_right_stay_as_stated(monkeypatch):
    monkeypatch.setattr(LEVEL_OF_CHOICE, 0.95)
    reasoner = fitted(dataset(frame()), answer="mean")
    used = reasoner.answers_.weights
    names = used.parameters.names
    assert used.theta[names.index("at_night")] == 1.0
    assert used.theta[names.index("scale signs")] == 1.0
    assert reasoner.answers_.notes[0].startswith("weights: yours; learned ones are behind by")


def test_weights_that_labels_cannot_tell_from_stated_ones_are_halfway():
    reasoner = fitted(dataset(frame(), labels=slice(0, 100)), answer="mean")
    used = reasoner.answers_.weights
    names, learned = used.parameters.names, reasoner.fit_.theta
    for name in ("at_night", "scale signs"):  # both are stated as 1
        place = names.index(name)
        assert used.theta[place] == pytest.approx((1 + learned[place]) / 2)
        assert abs(learned[place] - 1) > 0.001
    assert reasoner.answers_.notes[0].startswith("weights: halfway between yours and the learned")


@pytest.mark.parametrize(
    ("apart", "whose"), [([1.0] * 30, "learned"), ([-1.0] * 30, "stated"), ([9.0, -0.1], "halfway")]
)
def test_whole_clusters_tell_whose_weights_are_used(apart, whose):
    apart = np.array(apart) + np.linspace(0, 0.1, len(apart))
    chosen, line = whose_weights(apart, {"hosts": np.arange(len(apart))}, "auto")
    assert chosen == whose
    assert ("decide that" in line) == (whose == "halfway")
    assert ("ahead" in line) == (whose != "stated")


def test_halfway_weights_lose_at_most_half_of_what_lies_between(usual):
    """Of whole worlds: the geometric mean of two distributions, normalised."""
    data, _ = usual
    part = kr.ground(data.program, dataset(frame(visits=6, shops=2), labels=slice(0, 0)))
    rng = np.random.default_rng(0)
    one, two = rng.normal(size=(2, len(part.parameters)))
    counted = features(part.graph, all_worlds(part.graph.evidence)).numpy()

    def surprise(theta):
        scores = counted @ theta
        return logsumexp(scores) - scores

    assert (surprise((one + two) / 2) <= (surprise(one) + surprise(two)) / 2 + 1e-9).all()


def test_an_audit_judges_the_weights_that_conclusions_rest_on(usual):
    data, reasoner = usual
    fit = reasoner.fit_
    unsure = replace(fit, standard_errors=np.full(len(fit.theta), 9.0))
    learned = replace(reasoner.learned(), fit=unsure)
    codes = {}
    stated = stated_fit(
        reasoner.grounding_,
        reasoner.models_,
        method="variational_em",
        settings=kr.Settings(),
        seed=0,
    )
    for weights, used in (("stated", stated), ("learned", None)):
        answers = replace(learned.answers, weights=used)
        other = kr.Reasoner(data.program).adopt(replace(learned, answers=answers))
        codes[weights] = {finding.code for finding in other.audit(data, components=1).findings}
    assert "KR767" not in codes["stated"]
    assert "KR767" in codes["learned"]


def test_a_predicate_of_several_values_is_said_to_be_answered_by_the_rules():
    program = kr.loads(
        'domain Person\ndomain Size = {"small", "large"}\nattribute tall(Person): bool\n'
        'query Wears(Person, Size!)\nrule big [? 1] : tall(p) => Wears(p, "large")'
    )
    data = kr.Dataset.from_frames(
        program,
        facts={"tall": {"person": ["a", "b", "c"], "tall": [True, True, False]}},
        labels={"Wears": {"person": ["a", "c"], "size": ["large", "small"]}},
    )
    notes = kr.Reasoner(program, settings=kr.Settings(answer="mean")).fit(data).answers_.notes
    assert "Wears: the rules' conclusions are the answer (it takes one of several values)" in notes


def test_nothing_is_compared_where_nothing_is_asked_to_be(usual, monkeypatch):
    data, _ = usual
    monkeypatch.setattr("knowreason.reasoner.fit_answers.without_folds", None)
    answers = fitted(data, answer="rules", weights="learned").answers_
    assert answers.weights is None
    assert answers.pools == ()
    assert answers.notes == (
        "weights: learned, as `weights` asks",
        "Theft: the rules' conclusions are the answer (`answer` asks for it)",
    )


def test_given_weights_are_stated_and_models_count_as_they_are():
    text = RULES.format(night=1).replace("[? 1]", "[1]").replace("[? 1.5 >= 0]", "[1.5]")
    table = frame()
    program = kr.loads(text)
    data = kr.Dataset.from_frames(
        program,
        facts={name: table.select("visit", name) for name in ("shop", "size", "night")},
        labels={"Theft": table.select("visit", "theft")},
    )
    used = fitted(data, weights="stated").answers_.weights
    assert used is not None
    weight = dict(zip(used.parameters.names, used.theta, strict=True))
    assert (weight["hub"], weight["at_night"], weight["scale signs"]) == (1.5, 1.0, 1.0)


def test_weights_that_state_nothing_are_learned_beside_stated_ones():
    text = RULES.format(night=1).replace("[? 1]", "[?]")
    table = frame()
    data = dataset(table)
    program = kr.loads(text)
    data = kr.Dataset.from_frames(
        program,
        facts={name: table.select("visit", name) for name in ("shop", "size", "night")},
        labels={"Theft": table.select("visit", "theft")},
    )
    reasoner = kr.Reasoner(program).fit(data)
    fit = stated_fit(
        reasoner.grounding_,
        reasoner.models_,
        method="variational_em",
        settings=kr.Settings(),
        seed=0,
    )
    assert fit is not None
    weight = dict(zip(fit.parameters.names, fit.theta, strict=True))
    assert weight["hub"] == 1.5
    assert 0.2 < weight["at_night"] < 2.5


def test_the_answer_is_the_mean_and_its_parts_add_up(usual):
    _, reasoner = usual
    today = dataset(frame(seed=1), labels=slice(0, 0))
    beliefs = reasoner.infer(today)
    (pool,) = reasoner.answers_.pools
    assert pool.kind == "mean"
    assert pool.stacking.models == ("signs", "auto")
    atoms = beliefs.asked("Theft")
    rules = beliefs.posterior.log_odds.numpy()[atoms]
    pooled = beliefs.answers["Theft"]
    calibrated = pool.base + pool.slope * (rules - pool.base) + pool.intercept
    stacked = pool.stacking(pooled.ratios, pooled.means)[
        atoms - beliefs.grounding.span("Theft").start
    ]
    np.testing.assert_allclose(beliefs.log_odds[atoms], (calibrated + stacked) / 2)
    table = beliefs.marginals("Theft").to_arrow()
    np.testing.assert_allclose(table["log_odds"].to_numpy(), beliefs.log_odds[atoms])
    np.testing.assert_allclose(reasoner.predict_proba(today)[:, 1], expit(beliefs.log_odds[atoms]))
    for name in ("v0", "v1", "v2"):
        why = reasoner.explain(beliefs, f'Theft("{name}")')
        atom = beliefs.grounding.atom_index("Theft", name)
        assert why.log_odds == pytest.approx(beliefs.log_odds[atom])
        assert sum(share.log_odds for share in why.shares) == pytest.approx(why.log_odds, abs=1e-6)
        assert {"rule", "model", "stacked"} <= {share.kind for share in why.shares}
        for change in why.what_if:
            assert change.result * why.log_odds < 0


def test_models_of_other_predicates_on_the_same_things_are_stacked_too():
    rng = np.random.default_rng(0)
    forged = rng.random(600) < 0.3
    fraud = forged | (rng.random(600) < 0.1)
    table = pl.DataFrame(
        {
            "case": [f"c{i}" for i in range(600)],
            "seen": rng.normal(size=600) + fraud,
            "paper": rng.normal(size=600) + 4 * forged,
            "fraud": fraud.astype(int),
            "forged": forged.astype(int),
        }
    )
    program = kr.loads(
        "domain Case\nattribute seen(Case): float\nattribute paper(Case): float\n"
        "query Fraud(Case)\nquery Forged(Case)\n"
        'model look for Fraud = sklearn(estimator="logistic", features=["seen"])\n'
        'model ink for Forged = sklearn(estimator="logistic", features=["paper"])\n'
        "rule kind [1] : Forged(c) => Fraud(c)"
    )
    data = kr.Dataset.from_frames(
        program,
        facts={name: table.select("case", name) for name in ("seen", "paper")},
        labels={p: table.select("case", p.lower()) for p in ("Fraud", "Forged")},
    )
    settings = kr.Settings(answer="mean", auto_trees=False)
    reasoner = kr.Reasoner(program, settings=settings).fit(data)
    pool = next(p for p in reasoner.answers_.pools if p.predicate == "Fraud")
    assert pool.stacking.models == ("look", "ink of Forged")
    assert pool.stacking.own[1] > 0.1
    today = replace(data, labels={p: t.slice(0, 0) for p, t in data.labels.items()})
    beliefs = reasoner.infer(today)
    why = reasoner.explain(beliefs, 'Fraud("c0")')
    assert sum(share.log_odds for share in why.shares) == pytest.approx(why.log_odds, abs=1e-6)
    assert "ink of Forged" in {share.name for share in why.shares}


def test_models_of_other_predicates_say_nothing_of_what_these_do_not_ask_today():
    rng = np.random.default_rng(0)
    forged = rng.random(300) < 0.4
    names = [f"c{i}" for i in range(300)]
    program = kr.loads(
        "domain Case\nattribute seen(Case): float\nattribute paper(Case): float\n"
        "observed Checked(Case)\nquery Fraud(Case)\nquery Forged(Case) within Checked\n"
        'model look for Fraud = sklearn(estimator="logistic", features=["seen"])\n'
        'model ink for Forged = sklearn(estimator="logistic", features=["paper"])\n'
    )

    def cases(checked, labels):
        return kr.Dataset.from_frames(
            program,
            facts={
                "seen": {"case": names, "seen": rng.normal(size=300) + forged},
                "paper": {"case": names, "paper": rng.normal(size=300) + 4 * forged},
                "Checked": {"case": checked},
            },
            labels={
                p: {"case": names[:labels], "value": forged[:labels].astype(int)}
                for p in ("Fraud", "Forged")[: labels and 2]
            },
        )

    settings = kr.Settings(answer="mean", auto_trees=False)
    reasoner = kr.Reasoner(program, settings=settings).fit(cases(names, 300))
    (pool,) = [p for p in reasoner.answers_.pools if p.predicate == "Fraud"]
    assert pool.stacking.models == ("look", "ink of Forged")
    beliefs = reasoner.infer(cases(names[5::2], 0))
    atoms = beliefs.answers["Fraud"]
    unasked = np.array([i < 5 or (i - 5) % 2 == 1 for i in range(300)])
    order = [beliefs.grounding.atom_index("Fraud", name) for name in names]
    told = atoms.ratios[np.array(order) - beliefs.grounding.span("Fraud").start, 1]
    assert not told[unasked].any()
    assert told[~unasked].all()
    assert np.corrcoef(told[~unasked], forged[~unasked])[0, 1] > 0.7


@pytest.mark.parametrize("answer", ["rules", "models", "mean", "auto"])
def test_the_answer_can_be_chosen(answer, monkeypatch):
    monkeypatch.setattr(LEVEL_OF_CHOICE, 0.95)
    data = dataset(frame())
    reasoner = fitted(data, answer=answer)
    kinds = [pool.kind for pool in reasoner.answers_.pools]
    # here the hub is real and the one model weak: whole clusters tell, and `auto` drops it
    assert kinds == {"rules": [], "models": ["models"], "mean": ["mean"], "auto": ["rules"]}[answer]
    if answer == "auto":
        assert "models alone are behind by" in reasoner.answers_.notes[1]
    beliefs = reasoner.infer(dataset(frame(seed=1), labels=slice(0, 0)))
    atoms = beliefs.asked("Theft")
    moved = beliefs.log_odds[atoms] - beliefs.posterior.log_odds.numpy()[atoms]
    assert np.allclose(moved, 0) == (answer == "rules")


def test_trees_can_be_left_out():
    reasoner = fitted(dataset(frame()), auto_trees=False, answer="mean")
    assert reasoner.answers_.beside == ()
    assert reasoner.answers_.pools[0].stacking.models == ("signs",)


def test_boosted_trees_that_start_from_the_rules_are_a_third(tmp_path):
    reasoner = fitted(dataset(frame()), answer="mean", boosted_rules=True)
    today = dataset(frame(seed=1), labels=slice(0, 0))
    beliefs = reasoner.infer(today)
    (pool,), pooled = reasoner.answers_.pools, beliefs.answers["Theft"]
    assert "a third trees that start from the rules" in reasoner.answers_.notes[1]
    atoms = beliefs.asked("Theft")
    local = atoms - beliefs.grounding.span("Theft").start
    rules = beliefs.posterior.log_odds.numpy()[atoms]
    rules = pool.base + pool.slope * (rules - pool.base) + pool.intercept
    ratio = rules + pooled.added[local] - pool.base
    boosted = pool.base + pool.boosted_slope * ratio + pool.boosted_intercept
    stacked = pool.stacking(pooled.ratios, pooled.means)[local]
    np.testing.assert_allclose(beliefs.log_odds[atoms], (rules + stacked + boosted) / 3)
    for name in ("v0", "v1", "v2"):
        why = reasoner.explain(beliefs, f'Theft("{name}")')
        assert sum(share.log_odds for share in why.shares) == pytest.approx(why.log_odds, abs=1e-6)
        assert any(share.name == pool.boosted for share in why.shares)
    reasoner.save(tmp_path / "run")
    again = kr.load_run(tmp_path / "run").reasoner
    np.testing.assert_allclose(again.predict_proba(today), reasoner.predict_proba(today), atol=1e-6)


def test_labels_in_another_order_change_nothing():
    table = frame()
    one, two = dataset(table), dataset(table, labels=np.random.default_rng(0).permutation(400))
    today = dataset(frame(seed=1), labels=slice(0, 0))
    np.testing.assert_allclose(
        fitted(one).predict_proba(today), fitted(two).predict_proba(today), atol=1e-6
    )


def test_a_stored_run_answers_as_before(usual, tmp_path):
    _, reasoner = usual
    today = dataset(frame(seed=1), labels=slice(0, 0))
    reasoner.save(tmp_path / "run")
    again = kr.load_run(tmp_path / "run").reasoner
    assert again.answers_.notes == reasoner.answers_.notes
    np.testing.assert_allclose(again.predict_proba(today), reasoner.predict_proba(today), atol=1e-6)


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ("rule apart [hard] : Knows(x, y) & P(x) => !P(y)", "hard rule `apart`"),
        ("rule one : count { x : P(x) } = 1", "rule `one` counts"),
        ("rule alike [1] : Knows(x, y) & P(x) => P(y)", ""),
        ("rule known [hard] : Knows(x, x) => P(x)", ""),
    ],
)
def test_where_rules_tie_atoms_the_rules_answer(rule, reason):
    program = kr.loads(f"domain T\nobserved Knows(T, T)\nquery P(T)\n{rule}")
    assert tied(program, "P").startswith(reason)
    assert bool(tied(program, "P")) == bool(reason)


def test_weights_without_a_fold_are_those_of_a_fit_without_it():
    data = dataset(frame(visits=240, shops=40))
    reasoner = fitted(data)
    problem = learning_problem(reasoner.grounding_, reasoner.models_, reasoner.settings)
    fit = learn(problem, "variational_em")
    rng = np.random.default_rng(0)
    fold = np.where(problem.labels >= 0, rng.integers(0, 3, len(problem.labels)), -1)

    def never(_):
        raise AssertionError("exact components are not fitted anew")

    found = without_folds(problem, fit, fold, never)
    for one, theta in enumerate(found):
        labels = np.where(fold == one, -1, problem.labels).astype(np.int8)
        whole = learn(replace(problem, labels=labels), "variational_em")
        np.testing.assert_allclose(theta, whole.theta, atol=0.02)
        assert np.abs(theta - fit.theta).max() > 0.01


def test_where_steps_do_not_arrive_weights_without_a_fold_are_learned_anew(monkeypatch):
    """Those of the whole fit have seen the labels of the fold."""
    data = dataset(frame(visits=240, shops=40))
    reasoner = fitted(data)
    problem = learning_problem(reasoner.grounding_, reasoner.models_, reasoner.settings)
    fit = learn(problem, "variational_em")
    fold = np.where(problem.labels >= 0, np.arange(len(problem.labels)) % 2, -1)
    module = "knowreason.learning.estimators.left_out.polish"
    monkeypatch.setattr(module, lambda objective, near, *_, **__: near)
    again = replace(fit, theta=fit.theta + 1)
    found = without_folds(problem, fit, fold, lambda part: again)
    assert all((theta == again.theta).all() for theta in found)


def test_labels_of_others_count_only_beside_the_asked():
    text = """
domain T
attribute mark(T): int
query P(T)
query Q(T)
rule tie [? 1] : P(x) => Q(x)
"""
    names = [f"t{i}" for i in range(40)]
    q = {"t": names, "q": [int(i % 3 == 0) for i in range(40)]}
    p = {"t": names[:20], "p": [int(i % 2 == 0) for i in range(20)]}
    program = kr.loads(text)
    facts = {"mark": {"t": names, "v": list(range(40))}}
    both = kr.Dataset.from_frames(program, facts=facts, labels={"P": p, "Q": q})
    few = {name: values[:20] for name, values in q.items()}
    beside = kr.Dataset.from_frames(program, facts=facts, labels={"P": p, "Q": few})
    thetas = [
        fit_weights(
            kr.ground(program, data), (), method="variational_em", settings=kr.Settings(), seed=0
        ).theta
        for data in (both, beside)
    ]
    np.testing.assert_allclose(*thetas, atol=1e-4)


def test_groups_are_what_rules_tie_together():
    data = dataset(frame())
    groups, named = FoldGroups.by(kr.ground(data.program, data), "").of(data, "Theft")
    assert named == "groups of rows that rules tie together"
    assert len(np.unique(groups)) == 60


NETWORK = """
domain User
attribute age(User): float
observed Knows(User, User)
query Bad(User)
model graph for Bad = sklearn(estimator="logistic", features=["age"])
{more}
rule seldom [? -1] : Bad(u)
rule alike [? 1] : Knows(u, v) & (Bad(u) <~> Bad(v))
"""


def network(more="", users=300, known=20):
    rng = np.random.default_rng(0)
    names = [f"u{i}" for i in range(users)]
    bad = rng.random(users) < 0.4
    age, given = 3 * bad + rng.normal(size=users), expit(bad + rng.normal(size=users))
    knows = {"u": names[:-1], "v": names[1:]}
    return kr.Dataset.from_frames(
        kr.loads(NETWORK.format(more=more)),
        facts={"age": {"u": names, "age": age}, "Knows": knows},
        scores={"Bad": {"u": names, "score": given}},
        labels={"Bad": {"u": names[:known], "bad": bad[:known].astype(int)}},
    )


def test_models_of_few_labels_tell_a_network_no_more_than_these_hold():
    data = network('model given for Bad = column("score")')
    reasoner = fitted(data, answer="mean", weights="stated")
    stated = reasoner.answers_.weights
    weight = dict(zip(stated.parameters.names, stated.theta, strict=False))
    assert 0 < weight["scale graph"] < 0.5
    assert weight["scale given"] == 1.0  # learned nothing from the labels
    note = next(note for note in reasoner.answers_.notes if "labels hold less" in note)
    assert note.startswith("rules count `graph` for 0.")
    assert "given" not in note
    stacking = reasoner.answers_.pools[0].stacking
    assert not any(stacking.around)
    assert stacking.intercept == 0
    beliefs = reasoner.infer(data)
    for name in ("u30", "u150"):
        why = reasoner.explain(beliefs, f'Bad("{name}")')
        atom = beliefs.grounding.atom_index("Bad", name)
        assert why.log_odds == pytest.approx(beliefs.log_odds[atom])
        assert sum(share.log_odds for share in why.shares) == pytest.approx(why.log_odds, abs=1e-6)


def test_models_of_many_labels_are_taken_at_their_word():
    reasoner = fitted(network(known=300), answer="mean", weights="stated")
    stated = reasoner.answers_.weights
    assert stated.theta[stated.parameters.names.index("scale graph")] == 1.0
    assert not any("labels hold less" in note for note in reasoner.answers_.notes)
