"""The rules against attackers in an authentication log, on a small generated one."""

import numpy as np
import pytest

import knowreason as kr
from knowreason.data import Dataset
from knowreason.data import lanl_logs as lanl
from knowreason.data.worlds import intrusion
from knowreason.models.base.feature_columns import evaluated
from knowreason.reasoner.labels.asked_labels import hidden_truth
from knowreason.resources import rulesets_path

QUICKLY = {"main": {"epochs": 3, "hidden": 8}, "twohop": {"epochs": 1}, "auth": {"epochs": 5}}


@pytest.fixture(scope="module")
def data():
    world = intrusion(0, days=9, people=40, servers=12, services=3, red_campaigns=3, red_events=150)
    events = lanl.events(world["auth"], world["redteam"])
    program = kr.load(rulesets_path() / "intrusion.kr")
    return Dataset.from_frames(program, **lanl.frames(events))


def test_history_is_what_was_before(data):
    tables = evaluated(data, ["n_user_src", "n_here", "n_src_dst"])
    order = np.argsort(data.attributes["at"]["value"].to_numpy(), kind="stable")
    event = data.attributes["at"]["a0"].to_numpy()[order]
    facts = data.facts["Logon"].to_pandas().set_index("a0").loc[event]
    day = data.attributes["day"].to_pandas().set_index("a0").loc[event, "value"]
    seen, found = {}, {}
    for e, row, when in zip(event, facts.itertuples(), day, strict=True):
        earlier = seen.setdefault((row.a1, row.a2), [])
        found[e] = sum(one < when for one in earlier)
        earlier.append(when)
    table = tables["n_here"]
    values = dict(zip(table["a0"].to_pylist(), table["value"].to_pylist(), strict=True))
    assert values == found


def test_learns_from_the_first_days_and_ranks_the_later_ones(data):
    past, future = data.split_by("day", before=6)
    settings = kr.Settings(fold_count=2)
    reasoner = kr.Reasoner(data.program, models=QUICKLY, folds="random", settings=settings)
    beliefs = reasoner.fit(past).infer(future)
    atoms, truth = hidden_truth(beliefs, "Malicious")
    score = beliefs.posterior.log_odds.numpy()[atoms]
    assert np.isfinite(score).all()
    assert score[truth].mean() > score[~truth].mean() + 1
    names = set(reasoner.fit_.parameters.names)
    assert {"by_ntlm", "guest", "new_pair", "spoken", "scale main", "scale twohop"} <= names
