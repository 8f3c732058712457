"""Weights in words: with an error, without one, and which estimator they are from."""

from dataclasses import replace
from math import nan

from knowreason import lang
from knowreason.cli.run_verbs.train_verb import _error
from knowreason.learning import EstimatorReport
from knowreason.reasoner.rule_weights import RuleWeight, RuleWeights
from knowreason.report.sections.weights_section import weight_words

PROGRAM = lang.loads("domain A\nquery Q(A)")
LEARNED = RuleWeight("r", "rule", 1.0, 0.5, 2.0, 1.5, "learned")
TRAINED = replace(LEARNED, name="trained", standard_error=nan, status="trained: no error")


def test_a_weight_without_an_error_shows_none():
    lines = str(RuleWeights((LEARNED, TRAINED))).split("\n")
    assert lines[0] == "r          2.00 ->   1.00 +- 0.50  learned"
    assert lines[1] == "trained    2.00 ->   1.00          trained: no error"
    assert weight_words(TRAINED, PROGRAM) == "trained: no error"
    assert weight_words(replace(TRAINED, kind="scale"), PROGRAM) == "trained: no error"
    assert "base rate 73" in weight_words(replace(TRAINED, kind="bias"), PROGRAM)
    assert "odds times 2.7" in weight_words(LEARNED, PROGRAM)
    assert _error(nan) is None
    assert _error(0.5) == 0.5


def test_estimators_are_counted():
    reports = (EstimatorReport("exact", 1, 4, 2), EstimatorReport("chains", 2000, 9000, 3))
    assert str(RuleWeights((LEARNED,), reports)).split("\n")[1:] == [
        "exact: 1 component (4 atoms, 2 parameters)",
        "chains: 2,000 components (9,000 atoms, 3 parameters)",
    ]
