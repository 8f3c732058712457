"""One distribution written in several ways: every engine must give the same beliefs."""

import re
from textwrap import dedent

import numpy as np
import pytest

from knowreason.data import Dataset
from knowreason.grounding import ground
from knowreason.inference import infer
from knowreason.lang import loads, parse_facts

PEOPLE = "abcdefg"
RING = list(zip(PEOPLE, PEOPLE[1:] + PEOPLE[:1], strict=True))
PAIRS = [*RING, ("a", "d"), ("b", "f")]
HEAD = """
domain Person
observed Friends(Person, Person)
query S(Person)
query T(Person)
"""
LEANS = [(p, n, round(0.9 * np.cos(3 * i + n), 3)) for i, p in enumerate(PEOPLE) for n in (0, 1)]
UNITS = [f'rule lean{n}{p} [{w}] : {"ST"[n]}("{p}")' for p, n, w in LEANS]
ALIKE = "rule alike [1.2] : Friends(x, y) => (S(x) <=> S(y))"
PEERS = "rule peers [0.8] : Friends(x, y) & S(x) & T(x) => T(y)"
HARM = "rule harm [-0.7] : S(x) => T(x)"
RULES = [ALIKE, PEERS, HARM, *UNITS]
FACTS = [f'Friends("{a}", "{b}")' for a, b in PAIRS]


def halved(rule: str) -> list[str]:
    name, weight, rest = re.fullmatch(r"rule (\w+) \[(.*?)\] (.*)", rule).groups()
    return [f"rule {name}{i} [{float(weight) / 2}] {rest}" for i in (1, 2)]


def renamed(text: str) -> str:
    """The people under names of another order, so that atoms get other numbers."""
    return re.sub(r'"(\w)"', lambda found: f'"{"gbfadce"[PEOPLE.index(found[1])]}x"', text)


IMPLICATIONS = [
    "rule one [1.2] : Friends(x, y) & S(x) => S(y)",
    "rule other [1.2] : Friends(x, y) & S(y) => S(x)",
]
ELSEWHERE = """
domain Thing
observed Near(Thing, Thing)
query Odd(Thing)
rule near [0.9] : Near(x, y) & Odd(x) => Odd(y)
"""
THINGS = ['Near("p", "q")', 'Near("q", "r")', 'Near("r", "p")', 'Near("r", "q")']
FORMS = {
    "halves": (HEAD, [half for rule in RULES for half in halved(rule)], FACTS),
    "two implications": (HEAD, [*IMPLICATIONS, PEERS, HARM, *UNITS], FACTS),
    "order of rules": (HEAD, RULES[::-1], FACTS),
    "order of conjuncts": (
        HEAD,
        [
            "rule alike [1.2] : Friends(x, y) => (S(y) <=> S(x))",
            "rule peers [0.8] : T(x) & S(x) & Friends(x, y) => T(y)",
            "rule harm [-0.7] : T(x) | !S(x)",
            *UNITS,
        ],
        FACTS,
    ),
    "order of facts": (HEAD, RULES, FACTS[::-1]),
    "doubled facts": (HEAD, RULES, [*FACTS, *FACTS]),
    "irrelevant domain": (HEAD + ELSEWHERE, RULES, [*THINGS, *FACTS]),
    "renaming": (HEAD, [renamed(rule) for rule in RULES], [renamed(fact) for fact in FACTS]),
}


def beliefs(form, engine: str, **options) -> tuple[np.ndarray, object]:
    head, rules, facts = form
    program = loads(dedent(head) + "\n".join(rules) + "\n")
    data = Dataset.from_facts(program, parse_facts(program, " ".join(facts)))
    grounding = ground(program, data)
    posterior = infer(grounding.graph, engine, **options)
    name = renamed if 'x"' in rules[-1] or 'x"' in rules[0] else str
    names = [name(f'"{p}"').strip('"') for p in PEOPLE]
    atoms = [grounding.atom_index(q, p) for q in ("S", "T") for p in names]
    return posterior.log_odds.numpy()[atoms], posterior


ENGINES = {
    "exact": ({}, 1e-6),
    "bp": ({"tolerance": 1e-10, "sweeps": 1000}, 1e-6),
    "trw": ({"tolerance": 1e-9, "sweeps": 1000}, 1e-6),
    "mean_field": ({"tolerance": 1e-9, "sweeps": 2000}, 1e-6),
    "gcn": ({}, 1e-5),
}
BEFORE = {}


def before(engine: str) -> np.ndarray:
    if engine not in BEFORE:
        BEFORE[engine] = beliefs((HEAD, RULES, FACTS), engine, **ENGINES[engine][0])[0]
    return BEFORE[engine]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("engine", ENGINES)
def test_the_form_changes_nothing(engine, form):
    options, tolerance = ENGINES[engine]
    after, _ = beliefs(FORMS[form], engine, **options)
    np.testing.assert_allclose(after, before(engine), atol=tolerance, rtol=0)


@pytest.mark.parametrize("form", FORMS)
def test_the_form_changes_gibbs_by_its_noise(form):
    after, posterior = beliefs(FORMS[form], "gibbs", updates=20_000_000, seed=3)
    truth = before("exact")
    size = float(re.search(r"at least (\d+)", posterior.reports[0].checked)[1])
    p, q = 1 / (1 + np.exp(-truth)), 1 / (1 + np.exp(-after))
    assert (np.abs(p - q) <= 4 * np.sqrt(p * (1 - p) / size)).all()


def ring(rules: list[str]) -> np.ndarray:
    """Ten people in a ring with two chords, one of them leaning."""
    people = "abcdefghij"
    pairs = [(a, b) for a, b in zip(people, people[1:] + people[:1], strict=True)]
    facts = [f'Friends("{a}", "{b}")' for a, b in (*pairs, ("a", "f"), ("c", "h"))]
    head = "domain Person\nobserved Friends(Person, Person)\nquery S(Person)\n"
    program = loads(head + "\n".join([*rules, 'rule lean [0.6] : S("a")']) + "\n")
    graph = ground(
        program, Dataset.from_facts(program, parse_facts(program, " ".join(facts)))
    ).graph
    exact, found = infer(graph, "exact"), infer(graph, "bp", tolerance=1e-9, fallback=False)
    return (found.probabilities - exact.probabilities).numpy()


def test_belief_propagation_errs_alike_whichever_way_it_is_written():
    one = ring(["rule alike [1.5] : Friends(x, y) => (S(x) <=> S(y))"])
    other = ring(
        [
            "rule one [1.5] : Friends(x, y) & S(x) => S(y)",
            "rule other [1.5] : Friends(x, y) & S(y) => S(x)",
        ]
    )
    np.testing.assert_allclose(one, other, atol=1e-6)
