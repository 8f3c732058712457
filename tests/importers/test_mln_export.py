"""Programs written as Markov logic and read again: the same marginals, atom by atom."""

from random import Random

import numpy as np
import pytest

import knowreason as kr
from knowreason.errors import ProjectError
from knowreason.factors.uai import uai_text
from knowreason.importers.importing import import_project
from knowreason.importers.mln.mln_export import mln_texts
from knowreason.run.ground_files import bound_files, ground_asked

HEAD = """domain Person
domain Kind = { "Odd one", "even" }
observed Knows(Person, Person)
observed Old(Person)
query Smokes(Person)
query Ill(Person)
query Is(Person, Kind!)
latent Asked(Person, Person) within Knows
"""
FACTS = """Knows("anna", "Dr. \\"C\\"") Knows("anna", "anna") Old("anna") Smokes("anna")
"""
ATOMS = ["Knows(x, y)", "Old(x)", "Smokes(x)", "Ill(y)", "Asked(x, y)", "Knows(x, _)", "x = y"]
ATOMS += ['Is(x, "even")', 'Smokes("anna")', "Smokes(y)", "Asked(y, x)", "Is(y, k)"]


def random_formula(draw, depth):
    if depth == 0 or draw.random() < 0.2:
        return draw.choice(ATOMS)
    parts = [random_formula(draw, depth - 1) for _ in range(2)]
    form = draw.choice(["!({0})", "({0} & {1})", "({0} | {1})", "({0} => {1})", "({0} <=> {1})"])
    binders = ["(exists {2}. (Smokes({2}) & {0}))", "(forall {2}. (Ill({2}) | {0}))"]
    form = draw.choice([form] * 4 + binders)
    return form.format(*parts, f"z{draw.randrange(10**9)}")


def random_program(seed):
    draw = Random(seed)
    rules = [
        f"rule r{number} [{draw.choice(['0.7', '-1.2', '? 0.4'])}] : "
        f"(Smokes(x) | Ill(y)) => {random_formula(draw, 3)}"
        for number in range(2)
    ]
    return "\n".join([HEAD, *rules, "rule h [hard] : Ill(x) => Smokes(x) | Old(x)"]) + "\n"


def named(grounding):
    """Probabilities of the atoms of `HEAD` by name."""
    found = kr.infer(grounding.graph, engine="exact").log_odds.sigmoid().tolist()
    names = [grounding.atom_name(i) for i in range(len(found))]
    return {n: p for n, p in zip(names, found, strict=True) if n.split("(")[0] in HEAD}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("dialect", ["alchemy", "pracmln"])
def test_round_trip(tmp_path, seed, dialect):
    (tmp_path / "p.kr").write_text(random_program(seed))
    (tmp_path / "p.facts").write_text(FACTS)
    data = bound_files(tmp_path / "p.kr", tmp_path / "p.facts")
    rules, atoms = mln_texts(data)
    (tmp_path / "p.mln").write_text(rules)
    (tmp_path / "p.db").write_text(atoms)
    report = import_project([tmp_path / "p.mln"], "mln", tmp_path / "made", dialect=dialect)
    assert report.count("refused") == 0, (report, rules)
    written, read = kr.ground(data.program, data), ground_asked(tmp_path / "made")
    before, after = named(written), named(read)
    assert before.keys() <= after.keys()
    for name, probability in before.items():
        assert after[name] == pytest.approx(probability, abs=1e-5), (name, rules)


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("attribute age(Person): int\nrule r [1] : age(x) > 3 & Old(x) => Ill(x)", "`age`"),
        ("define Both(x) := Old(x)\nrule r [1] : Both(x) => Ill(x)", "`Both`"),
        ("rule r [1 * 2] : Ill(x)", "multiplies its weight"),
        ("rule r [1] : Ill(x) ~> Smokes(x)", "a direction"),
        ("rule r [1] : Knows(x, y) & (Ill(x) <~> Ill(y))", "an association"),
        ("rule r [1] : count { x : Ill(x) } <= 2", "a comparison of numbers"),
        ("model m for Ill = trees()", "model `m`"),
    ],
)
def test_what_cannot_be_said(statement, what):
    program = kr.loads(HEAD + statement)
    with pytest.raises(ProjectError, match=what) as caught:
        mln_texts(kr.Dataset.from_frames(program))
    assert caught.value.code == "KR974"


def uai_marginals(text):
    """Marginals of a UAI file by enumeration, read by its published description alone."""
    numbers = iter(text.split())
    assert next(numbers) == "MARKOV"
    sizes = [int(next(numbers)) for _ in range(int(next(numbers)))]
    scopes = [
        [int(next(numbers)) for _ in range(int(next(numbers)))] for _ in range(int(next(numbers)))
    ]
    joint = np.ones(sizes)
    for scope in scopes:
        entries = [float(next(numbers)) for _ in range(int(next(numbers)))]
        table = np.array(entries).reshape([sizes[variable] for variable in scope])
        table = table.transpose(np.argsort(scope))
        joint = joint * table.reshape([s if v in scope else 1 for v, s in enumerate(sizes)])
    axes = range(len(sizes))
    return [joint.sum(tuple(a for a in axes if a != v)) / joint.sum() for v in axes]


@pytest.mark.parametrize("seed", range(2))
def test_uai_by_another_reader(tmp_path, seed):
    (tmp_path / "p.kr").write_text(random_program(seed))
    (tmp_path / "p.facts").write_text(FACTS)
    data = bound_files(tmp_path / "p.kr", tmp_path / "p.facts")
    grounding = kr.ground(data.program, data)
    text, variables = uai_text(grounding.graph)
    found = uai_marginals(text)
    expected = kr.infer(grounding.graph, engine="exact").log_odds.sigmoid()
    for variable, states in enumerate(found):
        atoms = variables.atom[variables.offsets[variable] : variables.offsets[variable + 1]]
        for state, atom in enumerate(atoms.tolist()):
            if atom >= 0:
                assert states[state] == pytest.approx(float(expected[atom]), abs=1e-5)
