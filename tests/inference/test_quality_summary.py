"""How good marginals are, in words, and what `log Z` of two evidence sets says."""

import os
from dataclasses import replace
from math import log, nan
from pathlib import Path

import numpy as np
import pytest
import torch

from knowreason.errors import InferenceError
from knowreason.factors import GroundFactors
from knowreason.factors.condition import condition
from knowreason.inference import EngineReport, Posterior, infer
from knowreason.inference.quality_summary import (
    EXACTLY,
    QualitySummary,
    atom_quality_text,
    log_z_text,
    posterior_lines,
    quality_names,
    quality_summary,
    quality_text,
    report_text,
)
from knowreason.inference.uai_networks import read_network
from knowreason.testing.oracle import enumerate_worlds
from tests.strategies import random_graph

DATA = Path(os.environ.get("KNOWREASON_DATA", "")) / "uai2014"
AGREE = EngineReport("bp", 1, 2, 1, quality="confirmed", error=0.004, checked="bp and chains agree")
DIFFER = EngineReport("bp", 1, 3, 0, quality="unconfirmed", error=0.12, checked="they differ")
ALONE = EngineReport("trw", 1, 1, 0)
SUMS = EngineReport("exact: tree", 1, 4, 1, quality="exact", error=0.0)


def posterior(*codes, reports=(SUMS, AGREE, DIFFER, ALONE)):
    quality = torch.tensor(codes, dtype=torch.int8)
    return Posterior(
        torch.zeros(len(codes)).double(), None, "", None, None, reports, None, None, quality
    )


@pytest.mark.parametrize(
    ("quality", "error", "checked", "said"),
    [
        ("exact", 0.0, "", "exact"),
        ("confirmed", 0.004, "", "confirmed within 0.004"),
        ("confirmed", 0.004, "R-hat is 1.01", "confirmed within 0.004: R-hat is 1.01"),
        ("confirmed", 0.004, "both agree within 0.004", "confirmed: both agree within 0.004"),
        ("unconfirmed", nan, "", "unconfirmed: there is no second opinion"),
        ("unconfirmed", nan, "too large", "unconfirmed: too large"),
        ("unconfirmed", 0.12, "", "unconfirmed: two opinions differ by up to 0.12"),
        ("unconfirmed", 0.12, "they differ by 0.12", "unconfirmed: they differ by 0.12"),
    ],
)
def test_a_quality_comes_with_the_number_behind_it_once(quality, error, checked, said):
    assert quality_text(quality, error, checked) == said


def test_a_summary_counts_and_gives_the_worst_number_of_each_quality():
    worse = replace(AGREE, error=0.009, checked="chains mix")
    found = quality_summary(np.array([0, 0, 1, 2, 2, 2]), (SUMS, AGREE, worse, DIFFER, ALONE))
    assert (found.exact, found.confirmed, found.unconfirmed) == (2, 1, 3)
    assert (found.within, found.apart) == (0.009, 0.12)
    assert str(found) == (
        "2 exact, 1 confirmed within 0.009: bp and chains agree; chains mix, "
        "3 unconfirmed: they differ"
    )
    assert str(QualitySummary()) == "no open atoms"


def test_only_unconfirmed_atoms_are_a_finding():
    assert quality_summary(np.array([0, 1]), (AGREE,)).finding is None
    found = quality_summary(np.array([0, 2, 1, 2]), (AGREE, DIFFER)).finding
    assert found.code == "KR708"
    assert found.message.startswith("2 of 4 asked marginals are unconfirmed: they differ")
    assert "1 of 1 asked marginals is" in quality_summary(np.array([2]), ()).finding.message


def test_an_atom_is_told_its_own_quality():
    found = posterior(0, 1, 2)
    assert atom_quality_text(found, 0) == EXACTLY
    assert atom_quality_text(found, 1).endswith("is confirmed within 0.004: bp and chains agree")
    assert "is unconfirmed" in atom_quality_text(found, 2)
    assert quality_names(found, np.array([1, 0])).tolist() == ["confirmed", "exact"]
    assert quality_names(found, np.array([0])) is None


def test_a_posterior_without_qualities_is_unconfirmed_where_open():
    found = Posterior(torch.tensor([0.5, 700.0, -700.0]).double(), None, "", None)
    assert found.qualities.tolist() == [2, 0, 0]
    assert found.unconfirmed.tolist() == [True, False, False]


def test_lines_of_a_posterior():
    assert report_text(SUMS) == "exact: tree: 4 atoms in 1 component, exact; 0.00 s"
    swept = replace(DIFFER, sweeps=31, notes=("a note",))
    found = replace(posterior(0, reports=(SUMS, swept)), log_z=-1.5, log_z_kind="estimate")
    assert posterior_lines(found) == [
        report_text(SUMS),
        "bp: 3 atoms in 1 component, unconfirmed: they differ; 31 sweeps, 0.00 s",
        "log Z -1.5000 (estimate)",
        "a note",
    ]
    assert log_z_text(replace(found, log_z=None)) == ""
    assert "converged" not in "".join(posterior_lines(found))


def score_of_evidence(graph, engine):
    try:
        return infer(graph, engine).log_z
    except InferenceError:
        return -np.inf


@pytest.mark.parametrize(("engine", "tree"), [("exact", False), ("auto", False), ("bp", True),
                                              ("gcn", True), ("trw", True)])  # fmt: skip
@pytest.mark.parametrize("seed", range(5))
def test_log_z_sums_over_the_states_of_an_atom(engine, tree, seed):
    kinds = {"hard": seed % 3, "counts": seed % 2, "evidence": 0.2 * (seed % 2)}
    graph = random_graph(seed, 8, blocks=0 if tree else seed % 3, tree=tree, **kinds)
    graph = replace(graph, offset=0.7)
    whole = infer(graph, engine).log_z
    assert whole == pytest.approx(enumerate_worlds(graph).log_z, abs=1e-5)
    for atom in np.flatnonzero(graph.evidence.numpy() < 0)[:4].tolist():
        states = []
        for state in (0, 1):
            evidence = graph.evidence.clone()
            evidence[atom] = state
            states.append(score_of_evidence(graph.with_evidence(evidence), engine))
        assert np.logaddexp(*states) == pytest.approx(whole, abs=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_log_z_of_a_world_is_its_score(seed):
    graph = random_graph(seed, 7, hard=1, blocks=1, counts=2)
    truth = enumerate_worlds(graph)
    score = float(truth.log_probability.max()) + truth.log_z
    for engine in ("exact", "bp", "gcn", "trw", "mean_field", "auto"):
        decided = infer(graph.with_evidence(truth.world), engine)
        assert decided.log_z == pytest.approx(score, abs=1e-5)
        assert decided.qualities.max() == 0


def test_a_mean_field_bound_keeps_what_evidence_decides():
    edges = torch.tensor([[0, 1], [1, 2], [3, 4]], dtype=torch.int32)
    graph = random_graph(1, 5, factors=0, tables=0, clause_lists=0)
    coupling = GroundFactors.of(edges, (True, True), 0)
    graph = replace(graph, factors=(*graph.factors, coupling), offset=-2.0)
    evidence = torch.tensor([-1, 1, -1, 0, -1], dtype=torch.int8)  # leaves single atoms
    known = graph.with_evidence(evidence)
    found = infer(known, "mean_field")
    assert found.log_z == pytest.approx(enumerate_worlds(known).log_z, abs=1e-6)
    assert infer(condition(known), "exact").log_z == pytest.approx(found.log_z, abs=1e-6)


SCOPES = "BAYES\n3\n2 3 2\n3\n1 0\n2 0 1\n2 1 2\n"
TABLES = "2\n.2 .8\n6\n.5 .25 .25 .1 .2 .7\n6\n.9 .1 .4 .6 .3 .7\n"


def test_z_of_a_bayesian_network_is_the_probability_of_its_evidence(tmp_path):
    net, evidence = tmp_path / "n.uai", tmp_path / "n.evid"
    net.write_text(SCOPES + TABLES)

    def log_z(*pairs):
        evidence.write_text(f"{len(pairs) // 2} {' '.join(map(str, pairs))}")
        return infer(read_network(net, evidence).graph, "exact").log_z

    assert log_z() == pytest.approx(0.0, abs=1e-9)
    assert log_z(0, 1) == pytest.approx(log(0.8))
    assert log_z(0, 0, 1, 2, 2, 1) == pytest.approx(log(0.2 * 0.25 * 0.7))
    states = [log_z(2, 1, 1, state) for state in range(3)]
    assert np.logaddexp.reduce(states) == pytest.approx(log_z(2, 1))


@pytest.mark.skipif(not DATA.is_dir(), reason="set KNOWREASON_DATA to a folder with uai2014")
@pytest.mark.parametrize("name", ["Grids_12"])
def test_log_z_of_a_network_is_the_base_10_one_of_the_competition(name):
    network = read_network(DATA / f"{name}.uai", DATA / f"{name}.uai.evid")
    found = infer(network.graph, "exact")
    said = float((DATA / f"{name}.uai.PR").read_text().split()[1])
    assert found.log_z / log(10) == pytest.approx(said, rel=2e-6)
    assert network.qualities(found).max() == 0
