"""`within` on the key arguments of a functional predicate: K states for each candidate setting."""

import numpy as np
import pytest

import knowreason as kr
from knowreason import lang
from knowreason.errors import GroundingError, ProgramError
from knowreason.grounding import ground
from knowreason.grounding.size_estimate import plan
from knowreason.inference import infer

DOMAINS = 'domain P\ndomain R = { "up", "down", "in" }\n'
KEYS = "observed Asked(P, P)\nquery Rel(x: P, {mark}) within Asked\n"
EVERY = "observed Listed({sorts})\nquery Rel(x: P, {mark}) within Listed\n"
RULES = """
observed Old(P)
rule often [0.7] : Rel(x, y, "up") & Old(x)
rule turn [1.1] : Rel(x, y, "up") => Rel(y, x, "down")
rule some [0.4] : Old(x) => exists y. Rel(x, y, "in")
rule few [0.9] : count { y, r : Rel(x, y, r) & Old(y) } <= 1
"""
PAIRS = [("a", "b"), ("b", "a"), ("b", "c"), ("c", "c")]
STATES = ("up", "down", "in")


def programs(last, mark):
    """One that lists keys, and one that lists every atom; the same rules, first or last place."""
    order = "y: P, r: R" + mark if last else f"r: R{mark}, y: P"
    sorts = "P, P, R" if last else "P, R, P"
    rules = RULES
    if not last:
        for name in ('"up"', '"down"', '"in"', "r"):
            rules = rules.replace(f"(x, y, {name})", f"(x, {name}, y)")
            rules = rules.replace(f"(y, x, {name})", f"(y, {name}, x)")
    keys, every = (part.format(mark=order, sorts=sorts) for part in (KEYS, EVERY))
    return lang.loads(DOMAINS + keys + rules), lang.loads(DOMAINS + every + rules)


def data_of(program, last):
    pairs = np.array(PAIRS)
    facts = {"Old": {"p": ["a", "c"]}}
    if "Asked" in (p.name for p in program.predicates):
        facts["Asked"] = {"x": pairs[:, 0], "y": pairs[:, 1]}
    else:
        rows = [(x, y, r) if last else (x, r, y) for x, y in PAIRS for r in STATES]
        facts["Listed"] = {f"c{i}": [row[i] for row in rows] for i in range(3)}
    order = ("x", "y", "r") if last else ("x", "r", "y")
    evidence = {"x": ["b"], "y": ["c"], "r": ["in"]}
    return kr.Dataset.from_frames(
        program, facts=facts, evidence={"Rel": {name: evidence[name] for name in order}}
    )


@pytest.mark.parametrize("mark", ["!", "?"])
@pytest.mark.parametrize("last", [True, False])
def test_keys_are_every_state_of_each(last, mark):
    found = []
    for program in programs(last, mark):
        grounding = ground(program, data_of(program, last))
        posterior = infer(grounding.graph, "exact")
        names = [grounding.atom_name(i) for i in range(grounding.span("Rel").count)]
        assert len(names) == len(PAIRS) * len(STATES)
        found.append((dict(zip(names, posterior.log_odds.tolist(), strict=False)), posterior.log_z))
    (keys, one), (every, other) = found
    assert one == pytest.approx(other, abs=1e-6)
    assert keys == pytest.approx(every, abs=1e-6)


def test_one_weight_a_triple_of_states():
    program = lang.loads(
        DOMAINS
        + KEYS.format(mark="y: P, r: R!")
        + "rule chain [? per a, b, c] : Rel(x, y, a) & Rel(y, z, b) & Rel(x, z, c)\n"
    )
    facts = {"Asked": {"x": ["a", "b", "a"], "y": ["b", "c", "c"]}}
    data = kr.Dataset.from_frames(program, facts=facts)
    grounding = ground(program, data)
    assert sum("chain" in name for name in grounding.parameters.names) == 27
    assert grounding.reports[0].candidate == 27
    assert plan(program, data).rules[0].rows == 27


def test_labels_outside_of_the_candidates_are_told_and_the_limit_holds():
    program, _ = programs(True, "!")
    data = data_of(program, True)
    labels = {"x": ["a", "c"], "y": ["b", "a"], "r": ["up", "up"]}
    labelled = kr.Dataset.from_frames(
        program, facts={"Asked": {"x": ["a"], "y": ["b"]}}, labels={"Rel": labels}
    )
    assert ground(program, labelled).graph.evidence.shape[0] >= 3
    with pytest.raises(GroundingError) as caught:
        ground(program, data, limit=11)
    assert caught.value.code == "KR640"
    assert "4 `Asked` x 3 R = 12" in str(caught.value)


def test_text_and_back_and_what_does_not_fit():
    program, _ = programs(False, "?")
    assert lang.loads(str(program)) == program
    for text, words in (
        ("domain R\nobserved Asked(P, P)\nquery Rel(P, P, R!) within Asked", "no list of them"),
        ('domain R = { "a" }\nobserved Asked(P)\nquery Rel(P, P, R!) within Asked', "other argum"),
        (
            'domain R = { "a" }\nobserved Asked(P, P)\nquery Rel(P, P, R) within Asked',
            "other argum",
        ),
    ):
        with pytest.raises(ProgramError, match=words) as caught:
            lang.loads(f"domain P\n{text}\n")
        assert caught.value.code == "KR217"


def test_new_keys_are_served_as_a_run_from_scratch_believes():
    program = lang.loads(
        DOMAINS
        + """domain Day
observed Asked(Day, P)
observed Late(Day, P)
query Rel(r: R?, x: Day, y: P) within Asked
query Bad(P)
rule late [1.2] : Late(x, y) => Rel("up", x, y)
rule said [0.8] : Rel("up", x, y) => Bad(y)
rule seldom [-1] : Bad(y)
"""
    )

    def rows(part):
        pairs = [("d1", "a"), ("d1", "b"), ("d2", "b"), ("d3", "b"), ("d3", "c")][part]
        asked = {"x": [x for x, _ in pairs], "y": [y for _, y in pairs]}
        return {"Asked": asked, "Late": {name: column[-1:] for name, column in asked.items()}}

    def data(until):
        return kr.Dataset.from_frames(program, facts=rows(slice(until)))

    reasoner = kr.Reasoner(program, engine="exact").fit(data(3))
    ours = reasoner.serve(data(3)).score({"Asked": rows(slice(3, 5))["Asked"]})
    facts = rows(slice(5)) | {"Late": rows(slice(3))["Late"]}
    theirs = reasoner.infer(kr.Dataset.from_frames(program, facts=facts))
    compared = 0
    for name in ("Rel", "Bad"):
        every = {theirs.grounding.atom_name(a): theirs.log_odds[a] for a in theirs.asked(name)}
        for atom in ours.asked(name):
            expected = every[ours.grounding.atom_name(atom)]
            assert ours.log_odds[atom] == pytest.approx(expected, abs=1e-6)
            compared += 1
    assert compared >= 2 * len(STATES)
