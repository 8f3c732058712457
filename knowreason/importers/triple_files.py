"""Triples of a knowledge graph as a project: known ones, and others with corruptions as labels."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv
import pyarrow.parquet as pq

from knowreason.diagnostics import Source, Span
from knowreason.errors import ProjectError
from knowreason.importers.imported_project import Draft
from knowreason.resources import rulesets_path

HELD_BACK = 0.1  # of the triples, where no file says which
CORRUPTIONS = 10  # of each end
_NAMES = ["head", "relation", "tail"]
_PROJECT = """\
# Made by `knowreason import` from triples. `known` is what rules read. `judged` are triples
# held back, and corruptions of their ends that no file has: these are taken to be false.
program = "{name}.kr"

[tables]
known = {{ path = "data/known.parquet" }}
judged = {{ path = "data/judged.parquet" }}

[bind]
Known = {{ table = "known", columns = ["head", "relation", "tail"] }}
Candidate = {{ table = "judged", columns = ["head", "relation", "tail"] }}
Holds = {{ table = "judged", columns = ["head", "relation", "tail"], label = "holds" }}
"""


def import_triples(paths: Sequence[Path], draft: Draft, folder: Path) -> None:
    """Writes the project of files of triples, ``head relation tail`` separated by tabs.

    What files named ``valid`` or ``test`` hold is labelled; where there are none, a tenth at random
    (always the same).

    Args:
        paths: files, or folders with ``.txt`` or ``.tsv`` files.
        draft: its report tells of each file.
        folder: of the project; it is there.

    Raises:
        ProjectError: KR971 where there are none, KR973 for a line that is no triple.
    """
    files = [
        file
        for path in paths
        for file in (sorted(path.iterdir()) if path.is_dir() else [path])
        if file.is_file() and (not path.is_dir() or file.suffix in (".txt", ".tsv"))
    ]
    if not files:
        listed = ", ".join(f"`{path}`" for path in paths)
        raise ProjectError(f"there are no triples in {listed}", code="KR971")
    known: list[pa.Table] = []
    judged: list[pa.Table] = []
    for file in files:
        table = _read(file)
        held = file.stem.lower() in ("valid", "validation", "dev", "test")
        (judged if held else known).append(table)
        what = "labelled true" if held else "known"
        draft.report.add(_start(file), f"{len(table):,} triples, {what}")
    every = pa.concat_tables([*known, *judged]).combine_chunks()
    rng = np.random.default_rng(0)
    if judged:
        facts, asked = pa.concat_tables(known or [every.slice(0, 0)]), pa.concat_tables(judged)
    else:
        chosen = pa.array(rng.random(len(every)) < HELD_BACK)
        facts, asked = every.filter(pc.invert(chosen)), every.filter(chosen)
        why = f"{len(asked):,} triples are held back as labels, at random: no file says which"
        draft.report.add(_start(files[0]), reason=why)
    false = _corrupted(asked, every, rng)
    why = f"{len(false):,} corruptions of labelled triples are labelled false"
    draft.report.add(_start(files[-1]), reason=why)
    truth = pa.array(np.repeat([True, False], [len(asked), len(false)]))
    labelled = pa.concat_tables([asked, false]).append_column("holds", truth)
    (folder / "data").mkdir()
    pq.write_table(facts, folder / "data" / "known.parquet")
    pq.write_table(labelled, folder / "data" / "judged.parquet")
    shutil.copy(rulesets_path() / "knowledge_graph_rules.kr", folder / f"{draft.name}.kr")
    project = _PROJECT.format(name=draft.name)
    (folder / "knowreason.toml").write_text(project, encoding="utf-8")
    draft.write_report(folder)


def _read(file: Path) -> pa.Table:
    try:
        table = csv.read_csv(
            file,
            read_options=csv.ReadOptions(column_names=_NAMES),
            parse_options=csv.ParseOptions(delimiter="\t", quote_char=False),
            convert_options=csv.ConvertOptions(
                column_types=dict.fromkeys(_NAMES, pa.string()), strings_can_be_null=False
            ),
        )
    except pa.ArrowInvalid as error:
        help = "a line is head, relation and tail, with tabs between"
        raise ProjectError(f"{file}: {error}", code="KR973", help=help) from None
    return table.group_by(_NAMES).aggregate([]).select(_NAMES)


def _start(file: Path) -> Span:
    with file.open(encoding="utf-8") as opened:
        first = opened.readline()
    return Span(Source(str(file), first), 0, len(first.rstrip()))


def _things(triples: pa.Table) -> pa.Array:
    both = pa.chunked_array([*triples["head"].chunks, *triples["tail"].chunks], pa.string())
    return pc.unique(both)


def _corrupted(asked: pa.Table, every: pa.Table, rng: np.random.Generator) -> pa.Table:
    """Triples with another head or tail, each once, without those that a file has."""
    things = _things(every)
    drawn = []
    for place in ("head", "tail"):
        rows = asked.take(pa.array(np.repeat(np.arange(len(asked)), CORRUPTIONS)))
        other = things.take(pa.array(rng.integers(len(things), size=len(rows))))
        drawn.append(rows.set_column(_NAMES.index(place), place, other))
    unique = pa.concat_tables(drawn).group_by(_NAMES).aggregate([]).select(_NAMES)
    kept = unique.join(every, _NAMES, join_type="left anti").select(_NAMES)
    return kept.sort_by([(name, "ascending") for name in _NAMES])
