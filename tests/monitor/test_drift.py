"""What no longer holds is named; where all holds, nothing is said."""

import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from knowreason import Dataset, Reasoner, lang
from knowreason.data.features import FeatureSource
from knowreason.factors import GroundFactors
from knowreason.factors.energy import row_truth
from knowreason.monitor.adaptation import NOTHING_TO_ADAPT
from knowreason.monitor.drift import compare
from knowreason.monitor.period_snapshot import Snapshot, violations
from knowreason.project.settings import Settings
from knowreason.reasoner.answers import Answers
from knowreason.testing.oracle import all_worlds

PROGRAM = """
domain Case
observed Sign(Case)
query Bad(Case)
query Odd(Case)
model main for Bad = sklearn("logistic", features=["x0"])
model second for Bad = sklearn("logistic", features=["x1"])
model odd for Odd = sklearn("logistic", features=["x2"])
rule sign: Sign(x) => Bad(x)
rule both: Bad(x) <=> Odd(x)
"""


def cases(n=3000, seed=0, left=(1.0, 1.0, 1.0), sign=0.5, agree=0.95):
    """Cases with a sign, three measurements, and labels that can be hidden."""
    rng = np.random.default_rng(seed)
    bad = rng.random(n) < 0.1
    odd = np.where(bad, rng.random(n) < agree, rng.random(n) < 0.02)
    signs = np.where(bad, rng.random(n) < sign, rng.random(n) < 0.02)
    frame = {"id": [f"c{i}" for i in range(n)]}
    for place, (atom, share) in enumerate(zip((bad, bad, odd), left, strict=True)):
        frame[f"x{place}"] = rng.normal(size=n) + 3 * (atom & (rng.random(n) < share))
    frame = pl.DataFrame(frame)
    return Dataset.from_frames(
        lang.loads(PROGRAM),
        facts={"Sign": frame.filter(pl.Series(signs)).select("id")},
        labels={
            "Bad": frame.select("id", pl.Series("v", bad.astype(np.int8))),
            "Odd": frame.select("id", pl.Series("v", odd.astype(np.int8))),
        },
        features={"Case": FeatureSource(frame)},
        things={"Case": frame["id"]},
    )


def today(**changes):
    data = cases(**{"seed": 7, **changes})
    for predicate in ("Bad", "Odd"):
        data = data.hide(predicate, np.ones(data.labels[predicate].num_rows, dtype=bool))
    return data


@pytest.fixture(scope="module")
def reasoner():
    data = cases(seed=1)
    settings = Settings(bootstrap=40, weights="learned")
    return Reasoner(data.program, folds="random", settings=settings).fit(data)


@pytest.mark.parametrize("seed", [2, 3, 4])
def test_in_distribution_silent(reasoner, seed):
    beliefs = reasoner.infer(today(seed=seed), adapt="reliability")
    assert beliefs.notes == (NOTHING_TO_ADAPT,)
    assert len(beliefs.diagnosis) == 3
    unadapted = beliefs.unadapted.posterior.log_odds
    assert torch.equal(beliefs.posterior.log_odds, unadapted)


@pytest.mark.parametrize(("place", "model"), [(0, "main"), (1, "second"), (2, "odd")])
def test_a_broken_model_is_named_and_adapted_to(reasoner, place, model):
    left = [1.0, 1.0, 1.0]
    left[place] = 0.2
    beliefs = reasoner.infer(today(left=tuple(left)), adapt="reliability")
    named = {m for m in ("main", "second", "odd") if any(f"`{m}` sees" in n for n in beliefs.notes)}
    assert named == {model}
    assert any(f"`{model}` for" in line for line in beliefs.diagnosis)
    truth = beliefs.grounding.hidden == 1
    known = beliefs.grounding.hidden >= 0

    def loss(one):
        odds = one.posterior.log_odds.numpy()[known]
        return np.logaddexp(0, np.where(truth[known], -odds, odds)).mean()

    assert loss(beliefs) < loss(beliefs.unadapted)


def test_a_rule_that_became_false_is_named(reasoner):
    notes = reasoner.infer(today(sign=0.02)).notes
    assert [note for note in notes if note.startswith("rule `sign` may no longer hold")]
    assert not [note for note in notes if "`both`" in note]


def test_pairs_and_scores_that_move_are_named(reasoner):
    data = today()
    table = data.features["Case"]
    values = table.values.copy()
    values[:, table.names.index("x1")] += 2
    features = {"Case": replace(table, values=values)}
    notes = reasoner.infer(replace(data, features=features)).notes
    assert any("scores of model `second`" in note for note in notes)
    assert any("`main` and `second` on Bad disagree" in note for note in notes)


def test_bootstrap_gives_intervals(reasoner):
    weight = reasoner.weights_["sign"]
    assert weight.low < weight.value < weight.high
    assert weight.interval == (weight.low, weight.high)
    table = reasoner.infer(today()).marginals("Bad").to_arrow()
    low, middle, high = (np.array(table[name]) for name in ("low", "probability", "high"))
    assert (low <= high).all()
    assert ((low <= middle) & (middle <= high)).mean() > 0.9
    assert (np.array(table["spread"]) > 0).any()


def test_weights_halfway_move_half_as_far(reasoner):
    fit, drawn = reasoner.fit_, reasoner.bootstrap_.theta
    stated = np.zeros_like(fit.theta)
    halfway = Answers(replace(fit, theta=(stated + fit.theta) / 2), share=0.5)
    for replicate, theta in zip(halfway.replicates(fit, drawn), drawn, strict=True):
        np.testing.assert_allclose(replicate.theta, (stated + theta) / 2)


def test_snapshot_is_kept_as_json(reasoner):
    kept = reasoner.snapshot_
    read = Snapshot.from_values(json.loads(json.dumps(kept.to_values())))
    assert read.to_values() == kept.to_values()
    assert compare(read, kept).notes == ()


PROBABILITIES = st.lists(st.floats(0, 1), min_size=3, max_size=3)


@given(PROBABILITIES, st.integers(0, 255), st.lists(st.booleans(), min_size=3, max_size=3))
def test_violation_is_the_expectation_over_worlds(probabilities, table, signs):
    p = np.array(probabilities)
    worlds = all_worlds(torch.full((3,), -1, dtype=torch.int8))
    weight = np.where(worlds.numpy() == 1, p, 1 - p).prod(1)
    atoms = torch.tensor([[2, 0, 1]], dtype=torch.int32)
    values = torch.tensor([(table >> i) & 1 for i in range(8)], dtype=torch.float32)
    flat, offsets = atoms.ravel(), torch.tensor([0, 3])
    for part in (
        GroundFactors.of(atoms, tuple(signs), 0),
        GroundFactors.of(atoms, values, 0),
        GroundFactors.clauses(offsets, flat, torch.tensor(signs), 0),
    ):
        expected = 1 - weight @ row_truth(part, worlds).numpy()[:, 0]
        assert violations(part, p)[0] == pytest.approx(expected, abs=1e-9)
    unit = GroundFactors.units(
        torch.tensor([1, 2], dtype=torch.int32), 0, torch.tensor([2.0, -1.0])
    )
    assert violations(unit, p) == pytest.approx([1 - p[1], p[2]])
