"""The examples of graph learning, small: data are what they say, and tables come out."""

import ast
import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

from knowreason.models.base.feature_columns import relation

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
NAMES = ("three_ways", "form_boxes", "code_copies", "repurposing", "recommendations")


@pytest.fixture
def example(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    yield importlib.import_module
    for name in NAMES:
        sys.modules.pop(name, None)


def check(figures, ways):
    assert len(figures) == ways
    assert {"rules alone", "rules and model"} <= set(figures)
    assert all(0 <= value <= 1 for row in figures.values() for value in row.values())


def test_values_stand_beside_their_labels(example):
    forms = example("form_boxes")
    data = forms.load(8, seed=0)
    kind = dict(zip(*(data.labels["Holds"][c].to_pylist() for c in ("a0", "a1")), strict=True))
    beside = [relation(data, name) for name in ("RightOf", "Below")]
    pairs = np.concatenate(
        [np.stack([t["a0"].to_numpy(), t["a1"].to_numpy()], axis=1) for t in beside]
    )
    names = tuple(data.vocabularies["Kind"])
    label = names.index("label")
    values = {v for v, k in kind.items() if names[k] in forms.FIELDS.values()}
    named = {v for v, box in pairs.tolist() if kind.get(box) == label}
    assert len(values & named) > 0.8 * len(values) > 10
    digit = dict(zip(*(data.labels["Reads"][c].to_pylist() for c in ("a0", "a1")), strict=True))
    digits = tuple(data.vocabularies["Digit"])
    assert {digits[digit[box]] for box, k in kind.items() if k == label} <= set(forms.FIELDS)


def test_forms(example):
    figures = example("form_boxes").compare(forms=6, epochs=1)
    check(figures, 4)
    assert figures["rules alone"]["all boxes"] > 0.5


def test_dependence_of_statements(example):
    copies = example("code_copies")
    text = "def f(x):\n    y = x + 1\n    if y:\n        z = g(y)\n    return z\n"
    nodes, edges = copies.dependence(ast.parse(text).body[0])
    assert len(nodes) == 4
    assert set(edges) == {
        (0, 1, "next"), (1, 2, "next"), (2, 3, "next"),
        (1, 2, "control"), (0, 1, "data"), (0, 2, "data"), (2, 3, "data"),
    }  # fmt: skip


def test_near_copies_are_functions_with_other_names(example, monkeypatch):
    copies = example("code_copies")
    monkeypatch.setattr(copies, "MODULES", ("textwrap", "shlex"))
    rng = np.random.default_rng(0)
    (_, one), (_, other) = copies.functions()[:2]
    copy = copies.copied(one, other, rng)
    compile(ast.unparse(copy), "copy", "exec")
    assert copy.name == one.name
    assert ast.dump(copy) != ast.dump(one)
    names = {n.id for n in ast.walk(copy) if isinstance(n, ast.Name)}
    assert any(name.startswith("v_") for name in names)


def test_copies(example, monkeypatch):
    copies = example("code_copies")
    monkeypatch.setattr(copies, "MODULES", ("textwrap", "shlex", "csv", "cmd"))
    check(copies.compare(pairs=20, epochs=1), 4)


def test_recommendations(example):
    figures = example("recommendations").compare(users=40, items=16, epochs=2)
    check(figures, 3)
    assert figures["rules alone"]["AUC"] > 0.6


def test_repurposing(example):
    repurposing = example("repurposing")
    umls = repurposing.folder()
    if umls is None:
        pytest.skip("the graph comes with PyKEEN (pip install --no-deps pykeen)")
    check(repurposing.compare(umls, epochs=1), 3)


def test_repurposing_says_what_it_wants(example, monkeypatch):
    repurposing = example("repurposing")
    monkeypatch.setattr(repurposing, "folder", lambda: None)
    monkeypatch.setattr(sys, "argv", ["repurposing.py"])
    with pytest.raises(SystemExit, match="pip install --no-deps pykeen"):
        repurposing.main()
