"""Every rule file that comes along is sound; the small ones run on a handful of facts."""

import pytest

from knowreason.data import Dataset
from knowreason.grounding import ground
from knowreason.inference import infer
from knowreason.lang import check, load, parse_facts
from knowreason.lang.layout.formatter import format_text
from knowreason.resources import rulesets_path

FILES = sorted(rulesets_path().glob("*.kr"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_checks_without_errors(path):
    assert check(path).ok


@pytest.mark.parametrize("name", ["kinship", "advisor", "karate", "outliers", "smokers", "sudoku"])
def test_checks_without_warnings(name):
    result = check(rulesets_path() / f"{name}.kr")
    assert not [d for d in result.diagnostics if d.severity == "warning"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_is_laid_out_canonically(path):
    assert format_text(path.read_text()) == path.read_text()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_begins_with_a_comment(path):
    assert path.read_text().startswith("# ")


def probabilities(name, facts):
    program = load(rulesets_path() / name)
    grounding = ground(program, Dataset.from_facts(program, parse_facts(program, facts)))
    found = infer(grounding.graph).log_odds.sigmoid().tolist()
    return {grounding.atom_name(atom): p for atom, p in enumerate(found)}


def test_kinship_reads_sex_from_relations():
    found = probabilities(
        "kinship.kr",
        'Father("abe", "bo") Mother("ann", "bo") Son("bo", "abe") Son("bo", "ann") '
        'Sister("cy", "bo") Father("abe", "dee") Wife("ann", "abe")',
    )
    male = {name: p for name, p in found.items() if name.startswith("Male")}
    assert male['Male("abe")'] > 0.8
    assert male['Male("bo")'] > 0.8
    assert male['Male("ann")'] < 0.2
    assert male['Male("cy")'] < 0.2
    assert male['Male("dee")'] == pytest.approx(0.5)
    for name, p in male.items():
        assert found[name.replace("Male", "Female")] == pytest.approx(1 - p)


def test_advisor_prefers_who_writes_together():
    found = probabilities(
        "advisor.kr",
        'Student("s") Student("t") Professor("p") Professor("q") '
        'area("s") = "a" area("p") = "a" area("q") = "a" area("t") = "b" '
        'InPhase("s", "Post_Quals") HasPosition("p", "Faculty") HasPosition("q", "Faculty") '
        'Publication("one", "s") Publication("one", "p") '
        'Publication("two", "s") Publication("two", "p")',
    )
    pairs = {name for name in found if name.startswith("AdvisedBy")}
    assert pairs == {'AdvisedBy("s", "p")', 'AdvisedBy("s", "q")'}
    assert found['AdvisedBy("s", "p")'] > 2 * found['AdvisedBy("s", "q")']


def test_karate_draws_people_to_their_peers():
    found = probabilities(
        "karate.kr",
        'Knows("hi", "a") Knows("a", "b") Knows("b", "c") Knows("c", "john") '
        'WithHi("hi") !WithHi("john")',
    )
    a, b, c = (found[f'WithHi("{name}")'] for name in "abc")
    assert a > b > c
    assert b == pytest.approx(0.5, abs=1e-6)


def test_banned_workers_are_found_in_rings():
    found = probabilities(
        "banned_workers.kr",
        'Together("a", "bad") Together("b", "bad") Together("a", "b") Together("b", "c") '
        'Together("c", "d") Banned("bad") !Banned("d")',
    )
    a, b, c = (found[f'Banned("{name}")'] for name in "abc")
    assert a > b > c
