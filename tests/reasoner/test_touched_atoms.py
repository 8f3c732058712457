"""A grounding with new rows appended is the grounding of all rows."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import torch

import knowreason as kr
from knowreason.data import Dataset, Vocabulary
from knowreason.data.encoded_files import load_relations, save_relations
from knowreason.errors import GroundingError
from knowreason.grounding import ground
from knowreason.reasoner.serving.touched_atoms import extend
from tests.grounding import crisp
from tests.grounding.programs import random_data, random_program
from tests.reasoner.test_serving import PROGRAM, RULES, labels, rows, world

PROGRAMS = int(os.environ.get("KNOWREASON_RANDOM_PROGRAMS", "24"))
KEPT = [rule for rule in RULES if not rule.startswith(("rule again", "rule many"))]
MORE = """
rule certain [hard] : Near(s, t) & Bad(s) & Away(p) & Pays(p, shop: s) => (Bad(t) | Fraud(p))
rule costs [0.1 * amount(p)] : Fraud(p) => Bad(shop(p))
rule learned [? * amount(p)] : day(p) > 0 => Fraud(p)
rule by_kind [? per k] : Made(p, k) & before(p) > 1 => Fraud(p)
rule betrays [0.8] : Bad(s) & Pays(p, shop: s) ~> Fraud(p)
rule together [0.6] : Near(s, t) & (Bad(s) <~> Bad(t))
rule apart [-0.5] : Pays(p, shop: s) & amount(p) > 2 & (Fraud(p) <~> !Bad(s))
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
                axes = [len(own) - 1 - j for j in order[::-1]]
                shape = tuple(table.transpose(axes).ravel().round(4).tolist())
            weight = "hard" if parameters[row] < 0 else names[parameters[row]]
            key = (tuple(own[j] for j in order), shape, weight, round(float(values[row]), 5))
            found[key] += 1
    return found


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
        program,
        facts={**tables, **static},
        labels=told,
        evidence=evidence,
        scores={"Fraud": {"p": facts["card"][0][part], "elsewhere": facts["amount"][1][part]}},
    )


@pytest.mark.parametrize("seed", range(12))
def test_appended_rows_leave_the_graph_of_all_rows(seed, tmp_path):
    draw = np.random.default_rng(seed)
    more = draw.choice(MORE, 3, replace=False)
    chosen = [*draw.choice(KEPT, 5, replace=False), *more]
    if any(rule.startswith("rule betrays") for rule in chosen):
        chosen = [rule for rule in chosen if not rule.startswith("rule told")]
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
        save_relations(grounding.data, tmp_path / f"{until}")
        earlier = load_relations(tmp_path / f"{until}", program)
        grounding = replace(grounding, data=earlier)
        grounding, touched = extend(grounding, data, hard_violations="drop", most=2)
        same(grounding, whole)
        assert touched <= grounding.atoms.count


def grown(program, seed):
    """Random tables, and some of their rows; in every second case one thing fewer."""
    whole, draw = random_data(program, seed), np.random.default_rng(seed)
    queries = [p.name for p in program.open_predicates if p.kind == "query"]
    empty = {p.name: crisp.table([], p.arity, [], pa.int8()) for p in program.open_predicates}
    told = crisp.table([(i,) for i in range(3) if draw.random() < 0.5], 1, None)
    told = told.append_column("value", pa.array(draw.integers(0, 2, told.num_rows), pa.int8()))
    for part in (True, False):
        last = 2 if part and seed % 2 else 3

        def some(name, table, part=part, last=last):
            keep = draw.random(table.num_rows) < (0.6 if part else 1)
            sorts = [*program.sorts_of(name)]
            sorts += [a.sort for a in program.attributes if a.name == name]
            for place, sort in enumerate(sorts):
                if sort == "A":
                    keep &= table.column(place).to_numpy() < last
            order = np.flatnonzero(keep) if part else draw.permutation(table.num_rows)
            return table.take(order)

        yield Dataset(
            program=program,
            vocabularies={
                "A": Vocabulary("A", pa.array(["a0", "a1", "a2"][:last])),
                "B": Vocabulary("B", pa.array(["b0", "b1"]), True),
            },
            facts={n: some(n, t) for n, t in whole.facts.items()},
            attributes={n: some(n, t) for n, t in whole.attributes.items()},
            evidence={n: some(n, whole.evidence.get(n, t)) for n, t in empty.items()},
            labels={n: some(n, told) if n == "S" else empty[n] for n in queries},
            hidden={n: empty[n] for n in queries},
        )


def compared(seed):
    program = random_program(seed, quantifiers=seed % 4 == 0)
    before, data = grown(program, seed)
    try:
        first = ground(program, before, hard_violations="drop")
        whole = ground(program, data, hard_violations="drop")
    except GroundingError as error:
        return error.code
    try:
        ours, _ = extend(first, data, hard_violations="drop", most=2)
    except GroundingError as error:
        return error.code
    same(ours, whole)
    return "compared"


def test_random_programs_over_more_rows():
    codes = Counter(compared(seed) for seed in range(PROGRAMS))
    assert codes["compared"] >= PROGRAMS // 3, codes
    assert set(codes) <= {"compared", "KR655", "KR644", "KR646"}
