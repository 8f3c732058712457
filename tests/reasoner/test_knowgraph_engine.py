"""The network of method `knowgraph` in a run: stored, asked about new data, beside the weights."""

import numpy as np
import pytest

from knowreason import Dataset, Reasoner, Settings, load_run, loads
from knowreason.errors import InferenceError

PROGRAM = loads(
    """
domain Person
observed Friends(Person, Person)
observed Coughs(Person)
query Smokes(Person)
rule peers : Smokes(x) & Friends(x, y) => Smokes(y)
rule cough : Coughs(x) => Smokes(x)
"""
)
SETTINGS = Settings(
    answer="rules", weights="learned", learn={"epochs": 20, "eta": 5.0, "passes": 3}
)


def clique_of_smokers(count: int, labelled: bool) -> Dataset:
    """Pairs of friends: both smoke, and one coughs, or neither does."""
    names = [f"p{i}" for i in range(count)]
    smokes = [i // 2 % 2 for i in range(count)]
    friends = {"a": names[::2], "b": names[1::2]}
    coughs = {"a": [name for name, s in zip(names[::2], smokes[::2], strict=True) if s]}
    facts = {"Friends": friends, "Coughs": coughs}
    labels = {"Smokes": {"a": names, "smokes": smokes}} if labelled else {}
    return Dataset.from_frames(PROGRAM, facts=facts, labels=labels)


@pytest.fixture(scope="module")
def fitted():
    reasoner = Reasoner(PROGRAM, method="knowgraph", engine="knowgraph", settings=SETTINGS)
    return reasoner.fit(clique_of_smokers(60, True))


def test_it_speaks_of_new_people_alike_before_and_after_storing(fitted, tmp_path):
    new = clique_of_smokers(100, False)
    beliefs = fitted.infer(new)
    assert [report.engine for report in beliefs.posterior.reports] == ["knowgraph"]
    atoms = beliefs.asked("Smokes")
    truth = np.array([int(name) // 2 % 2 for name in _numbers(beliefs, "Smokes")])
    odds = beliefs.log_odds[atoms]
    assert odds[truth == 1].min() > odds[truth == 0].max()
    fitted.save(tmp_path / "run")
    loaded = load_run(tmp_path / "run").reasoner
    np.testing.assert_array_equal(loaded.infer(new).log_odds, beliefs.log_odds)
    by_weights = loaded.infer(new, engine="auto")
    assert not np.allclose(by_weights.log_odds[atoms], odds)


def test_evaluation_and_audit_ask_it_too(fitted):
    assert fitted.score(clique_of_smokers(40, True), metrics=["roc_auc"])["roc_auc"].value == 1.0
    assert fitted.audit(clique_of_smokers(8, False)).accuracy is not None


def test_another_method_has_no_network():
    past = clique_of_smokers(40, True)
    with pytest.raises(InferenceError) as caught:
        Reasoner(PROGRAM, engine="knowgraph").fit(past)
    assert caught.value.code == "KR710"
    other = Reasoner(PROGRAM, settings=Settings(answer="rules")).fit(past)
    with pytest.raises(InferenceError, match="there is none"):
        other.infer(past, engine="knowgraph")


def test_a_weight_without_an_error_is_printed_without_one(fitted):
    assert "nan" not in repr(fitted)
    assert "nan" not in str(fitted.weights_)


def _numbers(beliefs, predicate):
    table = beliefs.marginals(predicate).to_arrow()
    return [name[1:] for name in table.column(0).to_pylist()]
