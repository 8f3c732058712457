"""A name replaced wherever it names the same thing: rule files, and the project file."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

from knowreason.diagnostics import Source, Span
from knowreason.editor.occurrences import Occurrence
from knowreason.editor.rule_files import PROJECT_FILE, RuleFiles, same, stretch_at
from knowreason.lang.syntax.grammar import grammar
from knowreason.logic import VALUE_SORTS
from knowreason.project.toml_places import find_key

RENAMED = ("symbol", "domain", "rule", "model", "variable", "argument")
_NAME = re.compile(r"[^\W\d_]\w*")
_KEYS = {  # sections of the project file whose keys are names, by what they name
    "symbol": (("bind",), ("scores",), ("params",), ("labels", "prevalence")),
    "domain": (("domains",), ("features",), ("show",)),
    "model": (("models",),),
}
_VALUES = re.compile(  # keys whose texts are names of predicates and attributes
    r"(split\.by|report\.by|learn\.clusters|learn\.folds|decision\.predicate|models\..*|show\..*)"
)
_SECTION = re.compile(r"^\s*\[\[?\s*([^\]\n]+?)\s*\]", re.MULTILINE)
_KEY = re.compile(r"^\s*([\w.\"'-]+)\s*=", re.MULTILINE)


def renamed(files: RuleFiles, path: Path, wanted: Occurrence, new: str) -> list[Span]:
    """Every place that ``new`` is to be written at.

    Raises:
        ValueError: with the reason why the name cannot be that.
    """
    names = files.names(path)
    found = list(same(names, wanted))
    _check(names, found, wanted, new)
    spans = [one.span for one in found]
    for folder in path.parents:
        file = folder / PROJECT_FILE
        if file.is_file():
            text = files.source(file).text
            try:
                tomllib.loads(text)
            except tomllib.TOMLDecodeError as error:
                raise ValueError(f"`{file}` is not TOML, mend it first: {error}") from None
            if files.project_file(path):
                spans += project_places(files.source(file), wanted.what, wanted.name)
            break
    return spans


def _check(names: list[Occurrence], found: list[Occurrence], wanted: Occurrence, new: str) -> None:
    if wanted.what not in RENAMED:
        raise ValueError(f"`{wanted.name}` is no name that can be replaced")
    if wanted.what != "variable" and not any(one.declares for one in found):
        heads = any(one.what == "variable" for one in found)  # an argument of a definition
        if not heads:
            raise ValueError(f"`{wanted.name}` is not declared in these files")
    if not _NAME.fullmatch(new) or new in grammar().reserved:
        raise ValueError(f"`{new}` cannot be a name: a letter first, and no word of the language")
    if new[0].isupper() != wanted.name[0].isupper():
        said = "capital" if wanted.name[0].isupper() else "small"
        raise ValueError(f"`{wanted.name}` begins with a {said} letter, and so must its new name")
    taken = {one.key for one in found}
    clash = {(what, owner, new) for what, owner, _ in taken}
    if _is_param(found):
        clash |= {one.key for one in names if one.what == "variable" and one.name == new}
    if any(one.what == "variable" for one in found):
        clash |= {one.key for one in names if one.key == ("symbol", "", new) and _is_param([one])}
    if any(one.key in clash for one in names) or (wanted.what == "domain" and new in VALUE_SORTS):
        raise ValueError(f"`{new}` is taken")


def _is_param(found: list[Occurrence]) -> bool:
    return any(
        one.declares and stretch_at(one.span.source, one.span.start)[0] == "param" for one in found
    )


def project_places(source: Source, what: str, name: str) -> list[Span]:
    """Where a project file says a name of the rule file."""
    keys = (find_key(source, (*path, name)) for path in _KEYS.get(what, ()))
    tails = (Span(source, key.end - len(name), key.end) for key in keys if key is not None)
    spans = [tail for tail in tails if source.text[tail.start : tail.end] == name]
    return spans + (list(_texts(source, name)) if what == "symbol" else [])


def _texts(source: Source, name: str) -> Iterator[Span]:
    """Texts that say the name, under keys that name predicates or attributes."""
    for match in re.finditer(rf"[\"'](?:group:)?({re.escape(name)})[\"']", source.text):
        before = source.text[: match.start()]
        section = [found.group(1) for found in _SECTION.finditer(before)][-1:]
        begin = [found.end() for found in _SECTION.finditer(before)][-1:] or [0]
        key = [found.group(1) for found in _KEY.finditer(before, begin[0])][-1:]
        if _VALUES.fullmatch(".".join(section + key)):
            yield Span(source, match.start(1), match.end(1))
