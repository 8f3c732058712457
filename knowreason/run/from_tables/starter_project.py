"""``knowreason init``: tables become a rule file and a project file that run."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

from knowreason.data.engine.duckdb_engine import quoted
from knowreason.errors import ProjectError
from knowreason.lang import format_text
from knowreason.progress import Progress
from knowreason.project.manifests import refuse_existing, run_folder
from knowreason.run.from_tables.label_guesses import Label, column_of, gives_away, guessed_label
from knowreason.run.from_tables.link_statistics import (
    cut_between,
    linked_labels,
    rises_with,
    shared_labels,
    usual_window,
)
from knowreason.run.from_tables.schema_guesses import Guess, Said, TableGuess, guessed_tables
from knowreason.run.from_tables.starter_rules import RuleWriter, Subject, comment, has_gaps
from knowreason.run.from_tables.table_profiles import TableProfile, TableProfiler, profiler

RULES = "rules.kr"


@dataclass(frozen=True, slots=True)
class InitOptions:
    """What the user says instead of guesses, each as it is written on the command line."""

    label: str = ""
    true: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    times: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    same: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MadeProject:
    """What was guessed, and the commands to try next."""

    guesses: tuple[Guess, ...]
    commands: tuple[str, ...]
    labelled: bool


def project_from_tables(
    files: Sequence[Path],
    folder: Path,
    corrections: InitOptions = InitOptions(),
    *,
    progress: Progress | None = None,
) -> MadeProject:
    """Write a project over tables: a rule file and a project file, with what was guessed.

    Args:
        files: CSV, Parquet or whatever else a project reads; a table is called as its file.
        folder: where; must not be there yet.
        corrections: what is not to be guessed.
        progress: told of each table.

    Raises:
        ProjectError: KR914 where the folder is there, KR951 for two files of one name, KR952 for a
            table without rows, KR953 for an option about a column that is not there, KR954 for a
            label that is none.
        DataError: KR520, KR521, KR522 for a file that cannot be read.
    """
    refuse_existing(folder)
    named = _named(files)
    with profiler() as asked:
        profiles = []
        for done, (name, path) in enumerate(named.items()):
            if progress is not None:
                progress(done, len(named), f"profiling: {name}")
            profiles.append(asked.profile(name, path))
        if progress is not None:
            progress(len(named), len(named), "profiling")
        tables, subject, guesses = _guessed(asked, profiles, corrections)
        writer = RuleWriter(tables, subject, guesses)
        rules = format_text(_heading(subject) + writer.text(), RULES)
        cut = _cut(asked, tables, subject)
    with run_folder(folder) as partial:
        (partial / RULES).write_text(rules, encoding="utf-8")
        settings = "\n".join(_settings(writer, subject, cut, folder.resolve()))
        (partial / "knowreason.toml").write_text(settings + "\n", encoding="utf-8")
    run = folder / "run"
    commands = (
        f"knowreason check {folder}",
        f"knowreason train {folder} -o {run}",
        f"knowreason predict {run} --top 20",
    )
    return MadeProject(tuple(guesses), commands, subject.label is not None)


def _named(files: Sequence[Path]) -> dict[str, Path]:
    """Files by the name of their table."""
    found: dict[str, Path] = {}
    for path in files:
        name = re.sub(r"\W+", "_", path.name.partition(".")[0]).strip("_") or "table"
        name = name if name[0].isalpha() else f"t_{name}"
        if name in found:
            raise ProjectError(
                f"`{found[name]}` and `{path}` are both a table `{name}`",
                code="KR951",
                help="rename one of the files",
            )
        found[name] = path
    return found


def _guessed(
    asked: TableProfiler, profiles: Sequence[TableProfile], corrections: InitOptions
) -> tuple[list[TableGuess], Subject, list[Guess]]:
    told = column_of(profiles, "--label", corrections.label) if corrections.label else None
    label, about_label = guessed_label(profiles, told, corrections.true, corrections.unknown)
    pairs = [text.partition("=") for text in corrections.same]
    away = {}
    if label is not None:
        labelled = next(profile for profile in profiles if profile.name == label.table)
        found = gives_away(asked, label, labelled)
        away = {(label.table, column): why for column, why in found.items()}
    said = Said(
        tuple(column_of(profiles, "--key", text) for text in corrections.keys),
        tuple(column_of(profiles, "--time", text) for text in corrections.times),
        tuple(
            (column_of(profiles, "--same", one), column_of(profiles, "--same", other))
            for one, _, other in pairs
        ),
        ((label.table, label.column),) if label else (),
        tuple(away),
    )
    tables, guesses = guessed_tables(asked, profiles, said)
    subject = _subject(asked, tables, label)
    own = {(t.name, c) for t in subject.tables for c in t.attributes}
    away = {place: why for place, why in away.items() if place in own}
    for table in subject.tables:
        for column in (c for c, sort in table.attributes.items() if sort in ("int", "float")):
            if table.clock not in ("", column) and rises_with(asked, table, column):
                away[table.name, column] = f"counts on as {table.clock} does"
    subject = replace(subject, left_out=away)
    tables.sort(key=lambda table: table not in subject.tables)  # the first have the short names
    for place, why in away.items():
        guesses.append(Guess(*place, "left out of the model", why, False))
    guesses += list(_columns(tables))
    if label is None:
        domain = subject.domain
        what = f"{subject.predicate} asked of {domain}"
        why = "events with most links" if len(tables) > 1 else "the only table"
        about_label.append(Guess(subject.tables[0].name, "", what, why, False))
    return tables, subject, about_label + guesses


def _columns(tables: Sequence[TableGuess]) -> Iterator[Guess]:
    """Attributes and what is not read, a line a table and kind."""
    for table in tables:
        sorts: dict[str, list[str]] = {}
        for column, sort in table.attributes.items():
            if column != table.clock:
                sorts.setdefault(sort, []).append(column)
        for sort, columns in sorts.items():
            yield Guess(table.name, ", ".join(columns), f"attributes: {sort}", "what its cells are")
        for found in table.profile.columns.values():
            if found.note and found.name in table.attributes and found.name != table.clock:
                sure = "check" not in found.note
                yield Guess(table.name, found.name, "cleaned", found.note, sure)
        if table.left_out:
            reasons = "; ".join(dict.fromkeys(table.left_out.values()))
            yield Guess(table.name, ", ".join(table.left_out), "not read", reasons)


def _subject(asked: TableProfiler, tables: Sequence[TableGuess], label: Label | None) -> Subject:
    """What is asked about, with what is measured of its links."""
    if label is None:
        first = max(tables, key=lambda t: (len(t.references), bool(t.clock), t.profile.rows))
    else:
        first = next(table for table in tables if table.name == label.table)
    domain = first.domain
    members = sorted(
        (table for table in tables if table.domain == domain),
        key=lambda table: (-len(table.references), table.name != first.name),
    )
    clocks = [(table.name, table.clock) for table in members if table.clock]
    subject = Subject(
        domain,
        tuple(members),
        clocks[0] if clocks else None,
        label,
        label.predicate if label else "Suspicious",
    )
    main = members[0]
    if main.clock and main.references and subject.clock == (main.name, main.clock):
        subject = replace(subject, window=usual_window(asked, main, main.references))
    ends = [
        (table, pair)
        for table in tables
        if table.domain != domain
        for pair in combinations([c for c, d in table.references.items() if d == domain], 2)
    ]
    if label is None:
        return replace(subject, linked={})
    can_join = first.key and main.key
    shared = {
        column: shared_labels(asked, label, first, main, column)
        for column in main.references
        if first is main or can_join
    }
    linked = {
        (table.name, *pair): linked_labels(asked, label, first, table, pair)
        for table, pair in ends[:1]
        if first.key
    }
    return replace(subject, shared=shared, linked=linked)


def _cut(asked: TableProfiler, tables: Sequence[TableGuess], subject: Subject) -> str:
    """Where the past ends; ``""`` where labels have no clock."""
    if subject.label is None or subject.clock is None:
        return ""
    labelled = next(table for table in tables if table.name == subject.label.table)
    timed = next(table for table in tables if table.name == subject.clock[0])
    if timed is not labelled and not (timed.key and labelled.key):
        return ""
    return cut_between(asked, subject.label, labelled, timed)


def _heading(subject: Subject) -> str:
    lines = comment(
        "Written by `knowreason init`: a first guess at what the tables say of each "
        f"{subject.domain}. It runs as it is. Comments say what was guessed and from what; change "
        "what is wrong here and, where it is about columns, in knowreason.toml."
    )
    return "\n".join(lines) + "\n\n"


def _settings(writer: RuleWriter, subject: Subject, cut: str, folder: Path) -> Iterator[str]:
    """Lines of the project file."""
    yield "# Written by `knowreason init`. What columns are was guessed. After a change,"
    yield "# `knowreason check` says whether all still fits."
    yield f'program = "{RULES}"\nseed = 0\n'
    yield "# Paths are relative to this file. SQL reads cells that are not what they say, names"
    yield "# rows, and leaves out rows that lack a reference."
    for table in writer.tables:
        yield from _table(table, folder)
    yield "[bind]"
    for table in writer.tables:
        yield f"# Table {table.name}."
        yield from _bindings(writer, table)
    label = subject.label
    if label is not None:
        yield "# The label. `unknown` lists cells that say nothing."
        yield _label_line(writer, label)
        yield "\n# Labels chosen by their outcome (half of them true, say) need the share of all:"
        yield "# [labels]\n# prevalence = 0.02\n"
        if cut and subject.clock:
            yield "[split]                    # learned on the past, measured on the future"
            yield f'by = "{writer.at}"\ntrain = "< {cut}"\ntest = ">= {cut}"\n'
        elif subject.clock:
            yield "# No cut of the clock has both truths on either side: a random share is held.\n"
        else:
            yield "# No clock beside the labels: a random share is held back.\n"
        yield f'[report]\nquestion = "Which {subject.domain}s are {subject.predicate}?"'
        yield 'metrics = ["average_precision", "roc_auc", "log_loss"]'
        return
    yield "# Once there are labels:"
    yield f"# {subject.predicate} = {{ table = ..., columns = [...], label = ... }}"
    yield '\n[learn]\nlabels = "none"             # weights stay as stated, until there are labels'


def _table(table: TableGuess, folder: Path) -> Iterator[str]:
    path = os.path.relpath(table.profile.path.resolve(), folder)
    reads = [
        f"{column.read} AS {quoted(name)}"
        for name, column in table.profile.columns.items()
        if column.read and name in {*table.attributes, *table.references, table.key}
    ]
    made = f", {table.key_sql} AS {row_id(table)}" if table.key_sql else ""
    file = f"{table.name}_file" if reads or made else table.name
    yield f"[tables.{file}]\npath = {_text(path)}"
    if reads or made:
        replaced = f" REPLACE ({', '.join(reads)})" if reads else ""
        sql = f"SELECT *{replaced}{made} FROM {file}"
        yield f"[tables.{table.name}]\nsql = {_text(sql)}"
    for column in table.references:
        if has_gaps(table, column):
            sql = f"SELECT * FROM {table.name} WHERE {quoted(column)} IS NOT NULL"
            yield f"[tables.{_filled(table, column)}]"
            yield f"sql = {_text(sql)}"
    yield ""


def _text(value: object) -> str:
    """A text or a list of them as TOML writes it, which is as JSON does."""
    return json.dumps(value, ensure_ascii=False)


def row_id(table: TableGuess) -> str:
    """The column that names rows: the key, or one that SQL makes."""
    if table.key:
        return table.key
    return "row_id" if "row_id" not in table.profile.columns else "row_id_made"


def _filled(table: TableGuess, column: str) -> str:
    return f"{table.name}_with_" + re.sub(r"\W+", "_", column)


def _bindings(writer: RuleWriter, table: TableGuess) -> Iterator[str]:
    names, key = writer.names, row_id(table)
    facts: dict[str, list[str]] = {}
    for column in table.references:
        facts.setdefault(names.facts[table.name, column], []).append(column)
    for fact, columns in facts.items():
        source = _filled(table, columns[0]) if has_gaps(table, columns[0]) else table.name
        yield f'{fact} = {{ table = "{source}", columns = {_text([key, *columns])} }}'
    for column in (*table.references, *table.attributes):
        yield (
            f'{names.attributes[table.name, column]} = {{ table = "{table.name}", '
            f"columns = {_text([key])}, value = {_text(column)} }}"
        )


def _label_line(writer: RuleWriter, label: Label) -> str:
    table = next(table for table in writer.tables if table.name == label.table)
    sort = table.profile.columns[label.column].sort
    plain = set(label.true) <= {"1", "true"} and set(label.false) <= {"0", "false"}
    lists = (
        "" if plain else f", true = {_cells(label.true, sort)}, false = {_cells(label.false, sort)}"
    )
    if label.unknown:
        lists += f", unknown = {_cells(label.unknown, sort)}"
    return (
        f'{label.predicate} = {{ table = "{table.name}", columns = {_text([row_id(table)])}, '
        f"label = {_text(label.column)}{lists} }}"
    )


def _cells(values: Sequence[str], sort: str) -> str:
    """Cells as TOML has them: numbers and truths bare, texts in quotes."""
    if sort in ("whole", "number", "truth"):
        return f"[{', '.join(values)}]"
    return _text(list(values))
