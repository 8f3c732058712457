"""Small programs whose groundings can be told by hand."""

from textwrap import dedent

import numpy as np
import polars as pl
import pytest
import torch

from knowreason.data import Dataset
from knowreason.errors import GroundingError, UnknownNameError
from knowreason.factors.model_output import ModelOutput
from knowreason.grounding import ground, plan
from knowreason.grounding.folding import column_files
from knowreason.inference import infer
from knowreason.lang import loads, parse_facts
from knowreason.testing.oracle import enumerate_worlds

SMOKERS = """
domain Person
observed Friends(Person, Person)
query Smokes(Person)
query Cancer(Person)
rule peers [1.1] : Smokes(x) & Friends(x, y) => Smokes(y)
rule harm  [1.5] : Smokes(x) => Cancer(x)
"""
FACTS = 'Friends("anna", "bob") Friends("bob", "carl") Smokes("anna") !Cancer("carl")'


def grounded(program, facts="", **options):
    program = loads(dedent(program))
    return ground(program, Dataset.from_facts(program, parse_facts(program, facts)), **options)


def over_frames(program, **tables):
    program = loads(dedent(program))
    options = tables.pop("options", {})
    frames = {
        kind: {name: pl.DataFrame(rows, orient="row") for name, rows in of_kind.items()}
        for kind, of_kind in tables.items()
    }
    return ground(program, Dataset.from_frames(program, **frames), **options)


def marginal(grounding, predicate, *names):
    posterior = enumerate_worlds(grounding.graph)
    return float(posterior.log_odds[grounding.atom_index(predicate, *names)].sigmoid())


def test_smokers():
    grounding = grounded(SMOKERS, FACTS)
    assert [grounding.atom_name(a) for a in range(3)] == [
        'Smokes("anna")',
        'Smokes("bob")',
        'Smokes("carl")',
    ]
    assert grounding.graph.evidence.tolist() == [1, -1, -1, -1, -1, 0]
    # by hand: worlds over (bob, carl, cancer of anna, cancer of bob)
    weights = np.exp(
        [
            1.1 * (b + (not b or c)) + 1.5 * (int(ca) + (not b or cb) + (not c))
            for b in (0, 1)
            for c in (0, 1)
            for ca in (0, 1)
            for cb in (0, 1)
        ]
    ).reshape(2, 2, 2, 2)
    share = weights / weights.sum()
    assert marginal(grounding, "Smokes", "bob") == pytest.approx(share[1].sum(), abs=1e-6)
    assert marginal(grounding, "Smokes", "carl") == pytest.approx(share[:, 1].sum(), abs=1e-6)
    assert marginal(grounding, "Cancer", "bob") == pytest.approx(share[..., 1].sum(), abs=1e-6)


def test_groundings_are_told_by_name():
    grounding = grounded(SMOKERS, FACTS)
    found = grounding.groundings_of(grounding.atom_index("Smokes", "carl"))
    assert [(g.rule, g.substitution) for g in found] == [
        ("peers", {"x": "bob", "y": "carl"}),
        ("harm", {"x": "carl"}),
    ]
    assert found[0].atoms == (1, 2)
    assert found[0].kind == "group"
    assert found[1].kind == "unit"
    assert not found[1].positive


def test_reports_count_every_grounding():
    program = SMOKERS + "rule known : Friends(x, y) & Smokes(x) => Smokes(x)\n"
    grounding = grounded(program, FACTS)
    peers, harm, known = grounding.reports
    assert (peers.candidate, peers.satisfied, peers.open) == (2, 0, 2)
    assert (harm.candidate, harm.open) == (3, 3)
    assert (known.candidate, known.satisfied, known.open) == (2, 2, 0)
    assert [w.code for w in grounding.warnings] == ["KR662"]


def test_labels_stay_open_and_imply_the_rest_of_their_block():
    grounding = over_frames(
        """
        domain E
        domain P = { "a", "b", "c" }
        observed Thing(E)
        query Uses(E, P!)
        rule r : Thing(e) & Uses(e, "a") => Uses(e, "b")
        """,
        facts={"Thing": [["e1"], ["e2"]]},
        labels={"Uses": [["e1", "b"]]},
    )
    assert grounding.labels.tolist() == [0, 1, 0, -1, -1, -1]
    assert (grounding.graph.evidence == -1).all()
    assert grounding.graph.blocks.offsets.tolist() == [0, 3, 6]
    assert not grounding.graph.blocks.at_most_one.any()
    names = grounding.parameters.names
    assert names == ("r", 'bias Uses["a"]', 'bias Uses["b"]', 'bias Uses["c"]')


@pytest.mark.parametrize(
    ("use", "labels", "evidence"), [("open", 1, -1), ("evidence", -1, 1), ("ignore", -1, -1)]
)
def test_use_of_labels(use, labels, evidence):
    grounding = over_frames(
        "domain A\nquery S(A)\nrule r [-1] : S(x)\n",
        labels={"S": [["a", 1], ["b", None]]},
        options={"labels": use},
    )
    assert grounding.labels[0] == labels
    assert grounding.graph.evidence[0] == evidence
    assert grounding.parameters.names == ("r",)


def test_evidence_in_blocks():
    program = """
    domain E
    domain P = { "a", "b", "c" }
    query Uses(E, P!)
    query Has(E, P?)
    rule r : Uses(e, p) => Has(e, p)
    """
    known = grounded(program, 'Uses("x", "a") !Uses("y", "a") !Uses("y", "c") !Has("y", "b")')
    assert known.graph.evidence.tolist()[:6] == [1, 0, 0, 0, 1, 0]
    assert known.graph.blocks.offsets.tolist() == [0, 3, 5]
    with pytest.raises(GroundingError, match="no value left"):
        grounded(program, '!Uses("x", "a") !Uses("x", "b") !Uses("x", "c")')


def test_within_lists_its_rows_only():
    program = """
    domain A
    observed Pair(A, A)
    query Same(A, A) within Pair
    query Bad(A)
    rule spreads : Same(x, y) & Bad(x) => Bad(y)
    rule back [hard] : Same(x, y) => Same(y, x)
    """
    facts = 'Pair("a", "b") Pair("b", "a") Pair("b", "c")'
    grounding = grounded(program, facts)
    assert grounding.span("Same").count == 3
    assert grounding.reports[0].candidate == 3
    hard = [g for g in grounding.graph.factors if g.is_hard]
    assert sorted(g.atoms.shape for g in hard) == [(1, 1), (2, 2)]  # Same("b", "c") is false
    with pytest.raises(UnknownNameError, match="not among the candidates"):
        grounding.atom_index("Same", "a", "c")
    with pytest.raises(GroundingError, match="not among its candidates"):
        grounded(program, facts + ' Same("a", "c")')


def test_features_and_missing_values():
    grounding = over_frames(
        """
        domain A
        attribute n(A): int
        query S(A)
        query T(A)
        rule f [? * log(n(x))] : S(x)
        rule g : n(x) > 1 & S(x) => T(x)
        """,
        facts={"n": [["a", 1], ["b", 3], ["c", 0]]},
        evidence={"T": [["d", 0]]},
        things={"A": ["d"]},
    )
    feature, guarded = grounding.reports
    assert (feature.candidate, feature.missing) == (4, 2)  # log(0), and no value at all
    assert (guarded.candidate, guarded.missing) == (1, 1)
    unit = grounding.graph.units[0]
    assert unit.value.tolist() == pytest.approx([0.0, np.log(3)])


def test_per_gives_a_weight_a_value():
    grounding = grounded(
        """
        domain E
        domain P = { "a", "b" }
        observed Thing(E)
        query Uses(E, P!)
        query Bad(E)
        rule r [? per p] : Thing(e) & Uses(e, p) => Bad(e)
        rule base [? per p] : Uses(e, p)
        """,
        'Thing("e")',
    )
    assert grounding.parameters.names == (
        'r["a"]',
        'r["b"]',
        'base["a"]',
        'base["b"]',
        "bias Bad",
    )
    assert grounding.graph.couplings[0].parameter.tolist() == [0, 1]
    assert grounding.graph.units[0].parameter.tolist() == [2, 3]


def test_duplicates_add_up_and_hard_ones_count_once():
    program = """
    domain A
    observed Met(A, A, A)
    query S(A)
    rule soft [1] : Met(x, y, z) & S(x) => S(y)
    rule firm [hard] : Met(x, y, z) & S(x) => S(y)
    rule some [1] : Met(x, y, _) & S(x) => S(y)
    """
    facts = 'Met("a", "b", "c") Met("a", "b", "d") Met("b", "c", "d")'
    soft, firm, some = grounded(program, facts).graph.couplings
    assert soft.value.tolist() == [2.0, 1.0]
    assert firm.value is None
    assert firm.rows == 2
    assert some.value is None
    assert some.rows == 2


def test_exists_goes_into_the_clause_and_counts_become_atoms():
    program = """
    domain A
    observed E(A, A)
    query S(A)
    rule some [1] : S(x) => exists y. (E(x, y) & S(y))
    rule most [1] : S(x) & count { y : E(x, y) & S(y) } >= 2 => S("z")
    rule only [hard] : count { y : S(y) } <= 2
    """
    grounding = grounded(program, 'E("a", "b") E("a", "c") E("b", "c") E("z", "z")')
    graph = grounding.graph
    assert [
        part.rows for part in graph.couplings if part.is_clause and part.offsets is not None
    ] == [2]
    assert graph.auxiliary.sum() == 1  # only `a` has two neighbours
    demand = [part for part in graph.factors if part.is_count and (part.targets() < 0).all()]
    assert len(demand) == 1
    assert demand[0].upper.tolist() == [2]
    assert grounding.atom_name(int(graph.auxiliary.nonzero()[0])).startswith("auxiliary")


def test_groundings_reached_through_counts():
    grounding = grounded(
        """
        domain A
        observed E(A, A)
        query S(A)
        rule most [1] : S(x) & count { y : E(x, y) & S(y) } >= 2 => S("z")
        rule only [hard] : count { y : S(y) } <= 2
        """,
        'E("a", "b") E("a", "c") E("b", "c") E("z", "z")',
    )
    found = grounding.groundings_of(grounding.atom_index("S", "c"))
    assert [(g.rule, g.kind, g.substitution) for g in found] == [
        ("most", "group", {"x": "a"}),
        ("only", "count", {}),
    ]


def test_formulas_that_are_no_clause_become_tables():
    grounding = grounded(
        "domain A\nquery S(A)\nquery T(A)\nquery U(A)\n"
        "rule r [1] : S(x) <=> T(x) & U(x)\nrule q [1] : S(x) <=> S(x)\n",
        '!U("b") S("a") T("c") !S("d") !T("d")',
    )
    assert grounding.reports[1].satisfied == 4
    assert {"table"} < {part.potential for part in grounding.graph.factors}


def test_contradictions_are_named():
    program = """
    domain A
    observed E(A, A)
    query S(A)
    rule r [hard] : E(x, y) & S(x) => S(y)
    """
    facts = 'E("ann", "bob") S("ann") !S("bob")'
    with pytest.raises(GroundingError, match='x = "ann", y = "bob"') as caught:
        grounded(program, facts)
    assert caught.value.code == "KR644"
    tables = {
        "facts": {"E": [["ann", "bob"], ["bob", "carl"]]},
        "labels": {"S": [["ann", 1], ["bob", 0]]},
    }
    with pytest.raises(GroundingError, match=r'1 grounding.*S\("ann"\) and S\("bob"\)') as caught:
        over_frames(program, **tables)
    assert caught.value.code == "KR645"
    kept = over_frames(program, **tables, options={"hard_violations": "drop"})
    assert kept.graph.couplings[0].rows == 1


def test_observed_hard_rules_are_checked():
    program = "domain A\nobserved E(A, A)\nquery S(A)\nrule r [hard] : E(x, y) => E(y, x)\n"
    with pytest.raises(GroundingError, match="contradicts hard rule `r` in 1 grounding"):
        grounded(program, 'E("a", "b")')
    assert grounded(program, 'E("a", "b") E("b", "a")').reports[0].decided


def test_models_become_units_with_a_scale():
    grounding = grounded(SMOKERS, FACTS)
    llr = np.array([5.0, 1.0, -2.0], np.float32)
    more = grounding.with_models([ModelOutput("gnn", "Smokes", llr, 0.1)])
    assert more.parameters.names[-1] == "scale gnn"
    assert more.graph.theta[-1] == 1
    assert more.graph.constant[-1] == 5  # Smokes("anna") is evidence
    unit = more.graph.units[-1]
    assert unit.entry_atoms.tolist() == [1, 2]
    assert unit.value.tolist() == [1.0, -2.0]
    with pytest.raises(GroundingError, match="3 atoms of `Smokes`"):
        grounding.with_models([ModelOutput("gnn", "Smokes", llr[:2], 0.1)])


def test_too_large_is_refused_with_the_product():
    program = loads("domain A\nquery S(A)\nrule r : S(x) & S(y) & S(z) => S(x)\n")
    names = pl.DataFrame({"a": [f"n{i}" for i in range(300)]})
    data = Dataset.from_frames(program, evidence={"S": names.with_columns(v=1)})
    with pytest.raises(GroundingError, match="300 A x 300 A x 300 A = 27,000,000") as caught:
        ground(program, data, limit=1_000_000)
    assert caught.value.code == "KR647"
    with pytest.raises(GroundingError, match="27,000,000"):
        plan(program, data, limit=1_000_000)
    listed = plan(program, data, limit=1_000_000, refuse=False)
    assert listed.rules[0].refused is not None
    pairs = loads("domain A\nquery S(A, A)\nrule r : S(x, y) => S(y, x)\n")
    rows = names.with_columns(b=pl.col("a"), v=1)
    data = Dataset.from_frames(pairs, evidence={"S": rows})
    with pytest.raises(GroundingError, match="300 A x 300 A = 90,000 open atoms"):
        ground(pairs, data, limit=10_000)


def test_plan_counts_rows_and_warns_of_weights_that_add_up():
    program = loads(SMOKERS + "rule all [1] : count { x : Smokes(x) } <= 3\n")
    people = [f"p{i}" for i in range(40)]
    edges = [[a, b] for a in people for b in people if a != b]
    frame = pl.DataFrame(edges, orient="row")
    data = Dataset.from_frames(program, facts={"Friends": frame})
    found = plan(program, data)
    assert [rule.rows for rule in found.rules] == [1560, 40, 1]
    assert found.rules[0].joins == ("Friends(x, y)",)
    assert found.rules[1].joins == ("x over Person (40)",)
    assert found.atoms == {"Smokes": 40, "Cancer": 40}
    assert [w.code for w in found.warnings] == ["KR660", "KR661"]
    assert [w.code for w in ground(program, data).warnings] == ["KR660", "KR661"]


def test_columns_in_files_are_the_same(monkeypatch):
    in_memory = grounded(SMOKERS, FACTS)
    monkeypatch.setattr(column_files, "LARGE", 1)
    in_files = grounded(SMOKERS, FACTS)
    for one, two in zip(in_memory.graph.factors, in_files.graph.factors, strict=True):
        assert torch.equal(one.atoms, two.atoms)
    mapped = [part.atoms for rule in in_files.provenance for part in rule.parts]
    assert any(isinstance(atoms.base, np.memmap) for atoms in mapped)
    assert in_files.groundings_of(0) == in_memory.groundings_of(0)
    torch.testing.assert_close(
        infer(in_files.graph).log_odds, infer(in_memory.graph).log_odds, atol=0, rtol=0
    )


def test_order_of_facts_changes_nothing():
    program = loads(
        dedent(
            """
            domain A
            observed E(A, A)
            query S(A)
            rule far [1] : E(x, y) & E(y, z) & S(x) => S(z)
            rule chain [1] : E(x, y) & E(y, z) & S(x) & S(y) => S(z)
            rule some [1] : S(x) <=> exists y, z. (E(x, y) & E(y, z) & S(y) & S(z))
            """
        )
    )
    draw = np.random.default_rng(0)
    edges = pl.DataFrame({"a": draw.integers(0, 30, 200), "b": draw.integers(0, 30, 200)}).unique()
    names = pl.DataFrame({"a": range(30)})
    made = []
    for seed in (1, 2):
        facts = {"E": edges.sample(fraction=1.0, shuffle=True, seed=seed)}
        data = Dataset.from_frames(program, facts=facts, things={"A": names})
        made.append(ground(program, data))
    one, two = (grounding.graph for grounding in made)
    for left, right in zip(one.factors, two.factors, strict=True):
        assert torch.equal(left.atoms, right.atoms)
        assert left.targets().tolist() == right.targets().tolist()
    atom = made[0].atom_index("S", 3)
    assert made[0].groundings_of(atom) == made[1].groundings_of(atom)


def test_a_constant_that_a_data_set_lacks_has_no_atom():
    program = loads(
        dedent("""
        domain A
        observed P(A)
        attribute at(A): int clock
        query S(A)
        query T(A)
        rule one [1.0] : P(x) & S("b") => S(x)
        rule two [1.0] : P(x) & T("b") => T(x)
        """)
    )
    frames = {"P": {"id": ["a", "b", "c"]}, "at": {"id": ["a", "b", "c"], "at": [1, 5, 1]}}
    early, _ = Dataset.from_frames(program, facts=frames).split_by("at", before=3)
    assert "b" not in early.vocabularies["A"]
    grounding = ground(program, early)
    assert not grounding.graph.couplings  # `T("b")` is not the atom before the first of `T`
    for predicate in ("S", "T"):
        assert marginal(grounding, predicate, "a") == pytest.approx(0.5)


def test_groundings_without_a_finite_feature_are_counted_in_a_warning():
    program = loads(
        "domain P\nquery S(P)\nattribute amount(P): float\n"
        "rule noisy [? * amount(x)] : S(x)\nrule plain [1] : S(x)\n"
    )
    values = [1.0, float("inf"), 1e39, -2.0, None]
    frame = {"p": list("abcde"), "value": values}
    things = {"P": {"p": list("abcdef")}}
    data = Dataset.from_frames(program, facts={"amount": frame}, things=things)
    grounding = ground(program, data)
    (warning,) = [w for w in grounding.warnings if w.code == "KR664"]
    assert "rule `noisy`, which reads `amount`" in warning.message
    assert "4 of 6 grounding(s)" in warning.message
    assert 'x = "b"; x = "c"; x = "e"' in warning.message
    assert [report.missing for report in grounding.reports] == [4, 0]
    whole = {"p": list("abcdef"), "value": [1.0] * 6}
    fine = ground(program, Dataset.from_frames(program, facts={"amount": whole}))
    assert not [w for w in fine.warnings if w.code == "KR664"]
