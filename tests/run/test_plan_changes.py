"""A plan beside an earlier run: rows then and now, and what of the program changed."""

import pytest

from knowreason.data import Dataset
from knowreason.errors import ProjectError
from knowreason.grounding import ground, plan
from knowreason.lang import loads
from knowreason.reasoner.stored_reasoner import GROUNDED, write_grounded
from knowreason.run.plan_changes import plan_changes

HEAD = """
domain P = {"a", "b", "c"}
observed Edge(P, P)
define Near(x, y) := Edge(x, y)
define size(x) := count { y : Edge(x, y) }
query Bad(P)
query Same(P, P) within Near
"""
RULES = """
rule kept [1] : Edge(x, y) & Bad(x) => Bad(y)
rule more [1] : Near(x, y) & Bad(x) => Bad(y)
rule pair [1] : Same(x, y) & Bad(x) => Bad(y)
rule big [? * size(x)] : Bad(x)
rule some [1] : Bad(x)
rule gone [1] : Edge(x, y) => Bad(x)
"""
EDGES = [("a", "b"), ("b", "c")]


def grounded(text, edges, folder=None):
    program = loads(text)
    data = Dataset.from_frames(
        program, facts={"Edge": {"a": [e[0] for e in edges], "b": [e[1] for e in edges]}}
    )
    if folder is not None:
        write_grounded(program, ground(program, data).reports, folder)
    return plan(program, data), program


def test_changes_are_named(tmp_path):
    grounded(HEAD + RULES, EDGES, tmp_path)
    text = (HEAD + RULES).replace(
        "Near(x, y) := Edge(x, y)", "Near(x, y) := Edge(x, y) | Edge(y, x)"
    )
    text = text.replace("some [1] : Bad(x)", "some [1] : Bad(x) & Bad(y)").replace(
        "rule gone", "rule new"
    )
    changes = plan_changes(*grounded(text, EDGES), tmp_path)
    assert {c.rule: (c.then, c.now, c.why) for c in changes} == {
        "kept": (2, 2, ""),
        "more": (2, 4, "changed: Near"),
        "pair": (2, 4, "changed: Near"),
        "big": (3, 3, ""),
        "some": (3, 9, "rule changed"),
        "new": (None, 2, "new"),
        "gone": (2, None, "gone"),
    }
    text = (HEAD + RULES).replace("y : Edge(x, y)", "y : Edge(y, x)")
    changes = plan_changes(*grounded(text, [*EDGES, ("a", "c")]), tmp_path)
    assert {c.rule: c.why for c in changes} == {
        "kept": "data",
        "more": "data",
        "pair": "data",
        "big": "changed: size",
        "some": "",
        "gone": "data",
    }


def test_a_folder_without_rules_is_refused(tmp_path):
    with pytest.raises(ProjectError, match="does not say"):
        plan_changes(*grounded(HEAD, EDGES), tmp_path)


def test_a_damaged_folder_is_named(tmp_path):
    found = grounded(HEAD + RULES, EDGES, tmp_path)
    (tmp_path / GROUNDED).write_text("[{")
    with pytest.raises(ProjectError, match="is damaged") as refusal:
        plan_changes(*found, tmp_path)
    assert refusal.value.code == "KR911"
