"""Weights learned from labels that depend on each other by an attribute."""

import numpy as np
import polars as pl
import pytest

import knowreason as kr
from knowreason.errors import DataError
from knowreason.project.project_file import load_project
from knowreason.reasoner.rule_weights import RuleWeights
from knowreason.reasoner.stored_fit import load_fit, save_fit
from knowreason.run.run_folder import reasoner_of
from tests.projects import write_skimming

RULES = """
domain Event, Place
observed Sign(Event)
attribute source(Event): string
attribute home(Place): string
query Bad(Event)
rule sign [? 0] : Sign(e) => Bad(e)
"""
SOURCES, EVENTS = 30, 40


def world(seed):
    """Events of a few sources; half of the sources are bad, and show it or do not."""
    rng = np.random.default_rng(seed)
    source = np.arange(SOURCES * EVENTS) % SOURCES
    bad, shows = rng.random(SOURCES) < 0.5, rng.random(SOURCES) < 0.5
    event = [f"e{i}" for i in range(len(source))]
    sources = [f"s{i}" for i in source]
    signs = [name for name, sign in zip(event, shows[source], strict=True) if sign]
    return kr.Dataset.from_frames(
        kr.loads(RULES),
        things={"Place": pl.DataFrame({"p": ["here"]})},
        facts={
            "Sign": pl.DataFrame({"e": signs}),
            "source": pl.DataFrame({"e": event[40:], "s": sources[40:]}),
            "home": pl.DataFrame({"p": ["here"], "h": ["x"]}),
        },
        labels={"Bad": pl.DataFrame({"e": event, "bad": bad[source]})},
    )


def fitted(data, clusters=""):
    return kr.Reasoner(data.program, settings=kr.Settings(clusters=clusters)).fit(data)


def test_errors_are_those_of_sources_and_not_of_events():
    """The sign says nothing; 1,200 events seem to say otherwise, 30 sources do not."""
    told = {"": [], "source": []}
    for seed in range(8):
        for clusters, away in told.items():
            weight = fitted(world(seed), clusters).weights_["sign"]
            away.append(abs(weight.value) / weight.standard_error)
    assert np.mean(told[""]) > 4
    assert np.max(told["source"]) < 3


def test_the_fit_says_what_was_done_and_is_kept(tmp_path):
    fit = fitted(world(0), "source").fit_
    assert 20 < fit.design_effect < 60
    assert "design effect" in fit.notes[-1]
    save_fit(fit, tmp_path)
    kept = load_fit(tmp_path)
    assert (kept.design_effect, kept.clusters) == (fit.design_effect, fit.clusters)
    assert kept.estimators == fit.estimators
    assert fit.estimators[0].estimator == "exact"
    line = str(fit.estimators[0])
    assert f"\n# {line}\n" in (tmp_path / "weights.toml").read_text()
    assert str(RuleWeights.of(fit)).endswith(line)


@pytest.mark.parametrize(
    ("name", "words"),
    [("sources", "did you mean `source`"), ("home", "no label is about Place")],
)
def test_an_attribute_that_groups_no_labels(name, words):
    with pytest.raises(DataError, match="KR519") as caught:
        fitted(world(0), name)
    assert words in str(caught.value)


def test_a_project_file_has_it(tmp_path):
    write_skimming(tmp_path / "project")
    project = load_project(tmp_path / "project", {"learn.clusters": "source"})
    assert reasoner_of(project, kr.loads(RULES)).settings.clusters == "source"
