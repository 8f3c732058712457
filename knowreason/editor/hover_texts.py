"""What is shown when the pointer rests on a name: its role, declaration, and the last run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from knowreason.diagnostics import Span
from knowreason.editor.last_run import LastRun, last_run
from knowreason.editor.occurrences import Occurrence, occurrences
from knowreason.editor.rule_files import RuleFiles, stretch_at
from knowreason.lang.check.symbols import Signature, names_of
from knowreason.logic import Program
from knowreason.models.base.model_registry import MODELS, told

ROLES = {
    "observed": "observed predicate: given by data",
    "query": "query predicate: asked; labels may be known",
    "latent": "latent predicate: never labelled, inferred jointly",
    "define": "defined",
    "attribute": "attribute: a value from data",
    "param": "parameter",
    "domain": "domain",
    "rule": "rule",
    "model": "model",
}


def hover_text(files: RuleFiles, path: Path, wanted: Occurrence) -> str:
    """Markdown about a name; empty where nothing is known."""
    if wanted.what == "kind":
        return f"model kind\n\n{told(wanted.name)[1]}" if wanted.name in MODELS else ""
    names = files.names(path)
    root = files.root(path)
    program = files.check(root).program
    if wanted.what == "variable":
        sort = variable_sort(wanted, names, program)
        return f"variable `{wanted.name}`" + (f": {sort}" if sort else "")
    key = ("symbol", "", wanted.owner) if wanted.what == "argument" else wanted.key
    declared = next((o for o in names if o.declares and o.key == key), None)
    if declared is None:
        return ""
    word, text, comment = _declaration(declared.span)
    parts = [f"**{_role(word, declared.name, program)}**", f"```kr\n{text}\n```"]
    if wanted.what == "argument":
        parts[0] = f"argument `{wanted.name}` of `{wanted.owner}`"
    facts = list(_facts(files, root, declared, names, program))
    return "\n\n".join([*parts, *[comment] * bool(comment), *["  \n".join(facts)] * bool(facts)])


def variable_sort(wanted: Occurrence, names: list[Occurrence], program: Program) -> str:
    """The domain of a variable, by an argument place it stands at; empty where none says it."""
    symbols = names_of(program).symbols
    for one in names:
        called = symbols.get(one.call[0]) if one.key == wanted.key and one.call else None
        if called and one.call:
            place = one.call[1]
            index = called.labels.index(place) if place in called.labels else place
            if isinstance(index, int) and index < len(called.sorts):
                return called.sorts[index] or ""
    return ""


def signature_text(symbol: Signature) -> str:
    """``(Payment, card: Card): float``."""
    pairs = zip(symbol.labels, symbol.sorts, strict=True)
    places = (f"{label}: {sort}" if label else str(sort) for label, sort in pairs)
    return f"({', '.join(places)})" + (f": {symbol.result}" if symbol.result else "")


def _role(word: str, name: str, program: Program) -> str:
    if word == "define":
        kind = "predicate" if name[0].isupper() else "attribute"
        found = names_of(program).symbols.get(name)
        return f"defined {kind}" + (f": {signature_text(found)}" if found else "")
    return ROLES.get(word, word)


def _declaration(span: Span) -> tuple[str, str, str]:
    """The word a declaration begins with, its text, and the comments above and behind it."""
    word, stretch = stretch_at(span.source, span.start)
    assert stretch is not None  # a name stands in one
    source, whole = span.source, stretch.span
    first = source.position(whole.start)[0]
    above: list[str] = []
    while (number := first - 1 - len(above)) > 0 and source.line(number).startswith("#"):
        above.insert(0, source.line(number))
    end = source.position(whole.end)
    behind = source.line(end[0])[end[1] - 1 :].strip()
    comments = [*above, behind] if behind.startswith("#") else above
    text = source.text[whole.start : whole.end]
    return word, text, "\n".join(line.lstrip("# ") for line in comments)


def _facts(
    files: RuleFiles, root: Path, declared: Occurrence, names: list[Occurrence], program: Program
) -> Iterator[str]:
    """Lines about models, rules, tables and the last run."""
    name = declared.name
    if declared.what == "symbol":
        for what in ("model", "rule"):
            used = dict.fromkeys(
                owner
                for one in names
                if one.key == declared.key and (owner := _statement_name(one, what))
            )
            if used:
                yield f"{what}s: {', '.join(f'`{each}`' for each in used)}"
    project = files.project(root) if root.suffix == ".toml" else None
    if project and declared.what == "symbol" and name in project.bind:
        bound = project.bind[name]
        values = [v for v in (bound.value, bound.label) if v]
        yield f"table `{bound.table}`: {', '.join((*bound.columns, *values))}"
    run = last_run(root.parent, project.name if project else root.stem)
    if run is not None:
        lines = _of_run(run, declared, program)
        if lines:
            yield f"last run `{run.folder.name}`, {run.finished}:"
            yield from lines


def _of_run(run: LastRun, declared: Occurrence, program: Program) -> list[str]:
    if declared.what == "rule":
        return run.of_rule(declared.name, program)
    if declared.what == "model":
        return run.of_weights(f"scale {declared.name}", f"scale {declared.name} ")
    return run.of_weights(f"bias {declared.name}", f"bias {declared.name} ")


def _statement_name(one: Occurrence, what: str) -> str:
    """Name of the statement that holds a place, if it begins with that word."""
    word, stretch = stretch_at(one.span.source, one.span.start)
    tokens = stretch.tokens if stretch else ()
    return tokens[1].value if word == what and len(tokens) > 1 else ""


def rule_at(files: RuleFiles, path: Path, offset: int) -> Occurrence | None:
    """The name of a statement whose first word or weight bracket stands at a place."""
    source = files.source(path)
    word, stretch = stretch_at(source, offset)
    if stretch is None or word not in ("rule", "model"):
        return None
    colon = next((t for t in stretch.tokens if t.type in ("COLON", "EQ")), stretch.tokens[-1])
    named = [o for o in occurrences(source) if o.what == word and o.span.start > stretch.start]
    return named[0] if named and offset <= colon.start_pos else None
