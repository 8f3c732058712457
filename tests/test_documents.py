"""What the documents and docstrings show runs."""

import doctest
import inspect
import re
from importlib import import_module
from pathlib import Path

import pytest
from pytest_examples import CodeExample, EvalExample, find_examples

import knowreason

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "knowreason"
PROMPT = re.compile(r"^ *>>> ", re.MULTILINE)


def with_prompts():
    for path in sorted(PACKAGE.rglob("*.py")):
        if PROMPT.search(path.read_text(encoding="utf-8")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def public():
    """Classes and functions that the package and its public packages list, by name."""
    found = {}
    places = [knowreason, *(getattr(knowreason, name) for name in knowreason.__all__)]
    for place in filter(inspect.ismodule, places):
        for name in getattr(place, "__all__", ()):
            value = getattr(place, name)
            if inspect.isclass(value) or inspect.isfunction(value):
                found[name] = value
    return found


@pytest.mark.parametrize(
    "example", [*find_examples(str(ROOT / "README.md"), str(ROOT / "docs"))], ids=str
)
def test_documents(example: CodeExample, eval_example: EvalExample, monkeypatch):
    monkeypatch.chdir(ROOT)
    eval_example.set_config(line_length=100, target_version="py311", ruff_ignore=["D1", "T201"])
    eval_example.lint_ruff(example)
    eval_example.run(example)


@pytest.mark.parametrize("name", [*with_prompts()])
def test_docstrings(name):
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    done = doctest.testmod(import_module(name), optionflags=flags)
    assert done.attempted
    assert not done.failed


def test_public_names_have_an_example():
    """One that is run, for each class and function of the public packages."""
    without = {name for name, value in public().items() if not PROMPT.search(value.__doc__ or "")}
    assert not without
