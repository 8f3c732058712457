"""What the documents and docstrings show runs."""

import doctest
import inspect
import json
import re
import tomllib
from importlib import import_module
from pathlib import Path

import pytest
from pytest_examples import CodeExample, EvalExample, find_examples

import knowreason
from knowreason.project.schema import PROJECT
from tests.document_pages import (
    LANGUAGES,
    Shell,
    agrees,
    blocks_of,
    faults,
    missed,
    pages,
    rule_blocks,
    stories,
)

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "knowreason"
PROMPT = re.compile(r"^ *>>> ", re.MULTILINE)
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)#?([^)\s]*)\)")


def anchors(page):
    """Names of the headings of a page, as a forge and the site make them."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


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
def test_documents(example: CodeExample, eval_example: EvalExample, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    eval_example.set_config(line_length=100, target_version="py311", ruff_ignore=["D1", "T201"])
    eval_example.lint_ruff(example)
    capsys.readouterr()
    eval_example.run(example)
    below = [block for block in blocks_of(example.path) if block.line > example.start_line]
    if below and below[0].note == "printed":
        assert agrees(below[0].text, capsys.readouterr().out)


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_blocks_say_what_they_are(page):
    """Their language; what is data is read."""
    for block in blocks_of(page):
        assert block.language in LANGUAGES, block
        if block.language == "toml":
            tomllib.loads(block.text)
        if block.language == "json":
            json.loads(block.text)


@pytest.mark.parametrize(
    ("block", "program", "codes"), [pytest.param(*each, id=str(each[0])) for each in rule_blocks()]
)
def test_rules(block, program, codes, monkeypatch):
    monkeypatch.chdir(ROOT / "rulesets")
    assert not missed(program, codes)


@pytest.mark.parametrize("story", stories().items(), ids=lambda story: story[0])
def test_commands(story, tmp_path):
    """Commands of a page run, in a folder of their own, and print what is shown."""
    shell = Shell(tmp_path)
    found = [
        fault
        for page in story[1]
        for block in blocks_of(page)
        if block.runs
        for fault in faults(block, shell)
    ]
    assert not found, "\n\n".join(found)


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_links(page):
    """Links lead to files and headings that are there."""
    broken = []
    for target, heading in LINK.findall(page.read_text(encoding="utf-8")):
        path = (page.parent / target).resolve() if target else page
        if not path.exists() or (heading and heading not in anchors(path)):
            broken.append(f"{target}#{heading}")
    assert not broken


def test_keys_of_the_project_file_say_what_they_mean():
    """The page of keys is made from these descriptions."""
    schema = PROJECT.json_schema()
    kinds = {"": schema} | schema["$defs"]
    silent = [
        f"{kind}.{key}"
        for kind, entry in kinds.items()
        for key, value in entry["properties"].items()
        if "description" not in value and "$ref" not in str(value)
    ]
    assert not silent


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
