"""A grounding with new rows appended is the grounding of all rows."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

import knowreason as kr
from knowreason.errors import GroundingError
from knowreason.grounding import ground
from knowreason.reasoner.serving.touched_atoms import extend
from tests.reasoner.test_serving import PROGRAM, RULES, labels, rows, world

KEPT = [rule for rule in RULES if not rule.startswith(("rule again", "rule told", "rule many"))]
MORE = """
rule certain [hard] : Near(s, t) & Bad(s) & Away(p) & Pays(p, shop: s) => (Bad(t) | Fraud(p))
rule costs [0.1 * amount(p)] : Fraud(p) => Bad(shop(p))
rule learned [? * amount(p)] : day(p) > 0 => Fraud(p)
rule by_kind [? per k] : Made(p, k) & before(p) > 1 => Fraud(p)
rule either [0.6] : Pays(p, shop: s) => (Fraud(p) <=> Bad(s))
rule quiet [0.4] : !Bad(s) & visits(p) < 3 & Pays(p, shop: s) => !Fraud(p)
""".strip().splitlines()


def named(grounding):
    """Ground factors by the names of atoms and weights, and how often each is there."""
    atom = [grounding.atom_name(i) for i in range(grounding.atoms.count)]
    names = grounding.parameters.names
    found = Counter()
    for group in grounding.graph.factors:
        parameters, values = group.parameters(), group.values()
        for row, inside in enumerate(group.atoms.numpy()):
            own = [atom[i] for i in inside]
            order = np.argsort(own)
            if group.table is None:
                signs = group.row_signs[order].tolist()
                shape = tuple(signs)
            else:
                table = group.table[group.table_ids()[row]].numpy().reshape((2,) * len(own))
                shape = tuple(table.transpose(order[::-1]).ravel().round(5).tolist())
                del shape
                axes = [len(own) - 1 - j for j in order[::-1]]
                shape = tuple(table.transpose(axes).ravel().round(5).tolist())
            weight = "hard" if parameters[row] < 0 else names[parameters[row]]
            key = (tuple(own[j] for j in order), shape, weight, round(float(values[row]), 5))
            found[key] += 1
    return found


def marks(grounding, values):
    return {grounding.atom_name(i): int(v) for i, v in enumerate(values)}


def same(ours, theirs):
    assert named(ours) == named(theirs)
    assert ours.atoms.spans.keys() == theirs.atoms.spans.keys()
    for name, span in theirs.atoms.spans.items():
        assert np.array_equal(ours.atoms.spans[name].arguments, span.arguments)
    for values in ("labels", "hidden"):
        assert np.array_equal(getattr(ours, values), getattr(theirs, values))
    assert torch.equal(ours.graph.evidence, theirs.graph.evidence)
    assert torch.equal(ours.graph.blocks.atoms, theirs.graph.blocks.atoms)
    assert ours.graph.constants.numpy() == pytest.approx(theirs.graph.constants.numpy())
    assert ours.parameters.names == theirs.parameters.names
    assert ours.parameters.prior_sd == pytest.approx(theirs.parameters.prior_sd)
    for one, two in zip(ours.reports, theirs.reports, strict=True):
        counts = ("rule", "candidate", "satisfied", "violated", "merged", "open")
        assert [getattr(one, c) for c in counts] == [getattr(two, c) for c in counts]
        assert one.missing in (None, two.missing)
    for atom in range(ours.atoms.count):
        mine, other = ours.groundings_of(atom), theirs.groundings_of(atom)
        keys = [
            sorted((g.rule, sorted(g.substitution.items()), g.value, g.positive) for g in some)
            for some in (mine, other)
        ]
        assert keys[0] == keys[1]


def data_of(program, facts, static, told, part, evidence=None):
    tables = rows(facts, part)
    return kr.Dataset.from_frames(
        program, facts={**tables, **static}, labels=told, evidence=evidence
    )


@pytest.mark.parametrize("seed", range(12))
def test_appended_rows_leave_the_graph_of_all_rows(seed):
    draw = np.random.default_rng(seed)
    chosen = [*draw.choice(KEPT, 5, replace=False), *draw.choice(MORE, 2, replace=False)]
    program = kr.loads(PROGRAM + "observed Made(Pay, Kind)\n" + "\n".join(chosen))
    facts, static, known, truth = world(seed)
    facts["Made"] = facts["kind"]
    static = {name: {f"x{i}": c for i, c in enumerate(cs)} for name, cs in static.items()}
    order = draw.permutation(40)  # late ones are not the last in time
    facts = {n: [[c[i] for i in order] for c in columns] for n, columns in facts.items()}
    evidence = {"Bad": {"s": ["s1", "s2"], "bad": [1, 0]}} if seed % 3 == 0 else None
    grounding = None
    for until in (20, 21, 31, 40):
        told = labels(facts, known, truth, slice(0, until))
        given = evidence if until > 21 and evidence else None
        names = set(facts["Pays"][2][:until])
        if given:
            given = {"Bad": {"s": sorted(names)[:2], "bad": [1, 0]}}
        data = data_of(program, facts, static, told, slice(0, until), given)
        whole = ground(program, data, hard_violations="drop")
        if grounding is None:
            grounding = whole
            continue
        grounding, touched = extend(grounding, data, hard_violations="drop")
        same(grounding, whole)
        assert touched <= grounding.atoms.count
