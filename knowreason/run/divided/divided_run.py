"""``compile`` and ``predict`` part by part: memory holds one part, whatever the size."""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from pyarrow import csv, parquet

from knowreason.data import Dataset
from knowreason.data.engine.spark_tasks import run_on_spark
from knowreason.diagnostics import Diagnostic
from knowreason.disk import whole_file
from knowreason.errors import ProjectError
from knowreason.grounding import ground
from knowreason.grounding.grounding_store import save
from knowreason.grounding.rule_report import RuleReport
from knowreason.inference.posterior import QUALITIES, EngineReport, LogZKind, Posterior, summed
from knowreason.inference.quality_summary import QualitySummary, posterior_lines
from knowreason.progress import Progress, step
from knowreason.project.decided import decided_predicate
from knowreason.project.independent_parts import IndependentParts, independent_parts
from knowreason.project.manifests import refuse_existing, run_folder, write_manifest
from knowreason.project.project_file import paths_of
from knowreason.project.schema import EngineSection, Project
from knowreason.reasoner.labels.asked_labels import only_query
from knowreason.reasoner.reasoner import Reasoner
from knowreason.run.asked_atoms import AskedAtoms, asked_atoms
from knowreason.run.compilation import Compiled, ComponentSizes, component_sizes
from knowreason.run.compiled_graph import GRAPH
from knowreason.run.divided.divided_plan import parts_of_training, refuse_split, said_by_all
from knowreason.run.run_folder import load_run_on_tables, stored_project
from knowreason.run.run_prediction import Predictions, hidden_labels, marginals_of

ROW_GROUP = 1_000_000  # rows of a Parquet file that are written at once
NOT_COMPARED = "drift is not looked for in parts, and nothing is adapted to it"


def compile_in_parts(
    project: Project,
    target: Path | None,
    *,
    force: bool = False,
    progress: Progress | None = None,
) -> Compiled:
    """Ground a project part by part and, with a ``target``, store each; see
    :func:`knowreason.run.compilation.compile_project`."""
    keep = paths_of(project)
    if target is None:
        return _grounded(project, None, progress)
    refuse_existing(target, replace=force, keep=keep)
    with run_folder(target, replace=force, keep=keep) as folder:
        compiled = _grounded(project, folder / GRAPH, progress)
        parts = project.engine.partitions
        write_manifest(folder, {"kind": "grounding in parts", "parts": parts})
    return compiled


def _grounded(project: Project, folder: Path | None, progress: Progress | None) -> Compiled:
    reports: tuple[RuleReport, ...] = ()
    sizes: dict[str, ComponentSizes] = {}
    said: list[tuple[Diagnostic, ...]] = []
    with parts_of_training(project) as parts:
        for place, data in enumerate(parts):
            if progress is not None:
                progress(place, parts.count, f"grounding: part {place + 1} of {parts.count}")
            grounding = ground(
                parts.program,
                data,
                limit=project.ground_limit,
                memory_limit=project.memory_limit,
                threads=project.infer.threads,
                hard_violations=project.learn.hard_violations,
            )
            if folder is not None:
                folder.mkdir(exist_ok=True)
                save(grounding, folder / f"{place:05}")
            reports = _added(reports, grounding.reports)
            for one in component_sizes(grounding):
                before = sizes.get(one.size, ComponentSizes(one.size, 0, 0, 0))
                sizes[one.size] = ComponentSizes(
                    one.size,
                    before.components + one.components,
                    before.atoms + one.atoms,
                    before.exact + one.exact,
                )
            said.append(grounding.warnings)
            del data, grounding
            _give_back()
    ordered = sorted(sizes.values(), key=lambda one: int(one.size.split()[-1].replace(",", "")))
    return Compiled(reports, tuple(ordered), said_by_all(said))


def parts_of_run(folder: Path, asked: int = 0, *, whole: bool = False) -> int:
    """In how many parts a run predicts.

    Args:
        folder: run folder.
        asked: by the user; as the project says when 0.
        whole: whether something is wanted that is of all rows.

    Raises:
        ProjectError: KR938 for parts of what is of all rows.
    """
    engine = stored_project(folder).engine
    count = asked or (engine.partitions if engine.kind == "duckdb" else 1)  # Spark's: of shuffles
    if count > 1 and whole:
        raise ProjectError(
            "the most probable world and adaptation are of all rows, not of parts",
            code="KR938",
            help="--parts 1",
        )
    return max(count, 1)


def predict_in_parts(
    folder: Path,
    output: Path | None,
    directory: Path | None = None,
    *,
    parts: int,
    predicate: str = "",
    top: int = 0,
    labelled: bool = False,
    project: Path | None = None,
    progress: Progress | None = None,
) -> Predictions:
    """Predict with a run, part by part; each part's rows are written before the next is read.

    Numbers of the output are 32 bits, its rows in no order.

    Args:
        folder: run folder.
        output: ``.parquet`` or ``.csv``, where all rows go.
        directory: where today's tables are; ``None`` for the run's own, where nothing is held back.
        parts: how many.
        predicate: may be left out where only one is asked.
        top: rows of the table that comes back, most probable first; all when 0, none where they
            are written.
        labelled: as :func:`.predict_run` has it.
        project: as :func:`knowreason.run.run_folder.load_run` has it.
        progress: called as ``progress(done, total, message)``.

    Raises:
        ProjectError: KR938 where the run does not fall into parts.
    """
    run = load_run_on_tables(folder, project)
    reasoner, name = run.reasoner, predicate or only_query(run.reasoner.program)
    reasoner.snapshot_ = None  # drift is of whole days
    if reasoner.answers_.beside or reasoner.answers_.boosted:
        raise ProjectError(
            "trees beside the rules may read rows of other parts",
            code="KR938",
            help="train with `[learn] auto_trees = false` and without `boosted_rules`",
        )
    if directory is None:
        refuse_split(run.project)
    decision = run.project.decision
    if decision is not None and decided_predicate(decision, reasoner.program) != name:
        decision = None
    if decision is not None and decision.capacity is not None:
        raise ProjectError(
            "a capacity is of all rows, not of parts", code="KR938", help="decide by costs"
        )
    alarms = 0
    quality, notes, log_z = QualitySummary(), list[tuple[str, ...]](), 0.0
    counts = AskedAtoms()
    reports: tuple[EngineReport, ...] = ()
    kinds: set[LogZKind] = set()
    best: list[pa.Table] = []
    independent = independent_parts(run.project, reasoner.program, directory, count=parts)
    with independent as read, _writer(output) as write:
        if run.project.engine.kind == "spark":
            found = _predicted_on_spark(read, folder, project, name, labelled)
        else:
            found = _predicted_here(read, reasoner, name, labelled, progress)
        for table, said in found:
            if decision is not None:
                alarm = decision.alarms(table["log_odds"].to_numpy().astype(np.float64))
                alarms += int(alarm.sum())
                table = table.append_column("alarm", pa.array(alarm))
            write(table)
            quality += said.quality
            counts += said.counts
            notes.append(said.notes)
            reports = summed((*reports, *said.reports))
            log_z += said.log_z
            kinds.add(said.log_z_kind)
            if top or output is None:
                best = [_first(pa.concat_tables([*best, table]), top)]
            del table
            _give_back()
    kind: LogZKind = kinds.pop() if len(kinds) == 1 else ""
    nothing = torch.zeros(0).double()
    posterior = Posterior(nothing, log_z if kind else None, kind, None, reports=reports)
    shared = [note for note in notes[0] if all(note in other for other in notes)]
    lines = (*posterior_lines(posterior), *shared, NOT_COMPARED, f"{name}: {quality}")
    if decision is not None:
        lines = (*lines, f"{alarms:,} alarms {decision}")
    if reasoner.program.shadow_rules:
        lines = (*lines, "shadow rules are not measured in parts")
    finding = counts.finding(name, f"none in any of {parts:,} parts")
    return Predictions(best[0] if best else pa.table({}), lines, quality, counts, finding)


@dataclass(frozen=True)
class _Said:
    """What is told of a part beside its rows."""

    quality: QualitySummary
    counts: AskedAtoms
    notes: tuple[str, ...]
    reports: tuple[EngineReport, ...]
    log_z: float
    log_z_kind: LogZKind


def _predicted(
    reasoner: Reasoner, data: Dataset, name: str, labelled: bool
) -> tuple[pa.Table, _Said]:
    beliefs = reasoner.infer(hidden_labels(data, name) if labelled else data)
    table = _narrow(marginals_of(beliefs, name, labelled))
    posterior, counts = beliefs.posterior, asked_atoms(beliefs, name)
    z, kind = posterior.log_z or 0.0, posterior.log_z_kind
    return table, _Said(beliefs.quality(name), counts, beliefs.notes, posterior.reports, z, kind)


def _predicted_here(
    parts: IndependentParts,
    reasoner: Reasoner,
    name: str,
    labelled: bool,
    progress: Progress | None,
) -> Iterator[tuple[pa.Table, _Said]]:
    for place, data in enumerate(parts):
        with step(progress, f"part {place + 1} of {parts.count}"):
            found = _predicted(reasoner, data, name, labelled)
        del data
        yield found
        del found


def _predicted_on_spark(
    parts: IndependentParts, folder: Path, project: Path | None, name: str, labelled: bool
) -> Iterator[tuple[pa.Table, _Said]]:
    """Each part a task of Spark; its rows come back through a file that both sides reach."""
    task = partial(_predict_part, parts, folder.resolve(), project, name, labelled)
    for place, said in enumerate(run_on_spark(parts.project.engine, task, parts.count)):
        file = _rows_of(parts, place)
        yield parquet.read_table(file), said
        file.unlink()


def _predict_part(
    parts: IndependentParts,
    folder: Path,
    project: Path | None,
    name: str,
    labelled: bool,
    place: int,
) -> _Said:
    reasoner = load_run_on_tables(folder, project).reasoner
    reasoner.snapshot_ = None
    with parts.tables:
        table, said = _predicted(reasoner, parts.data(place, EngineSection()), name, labelled)
    parquet.write_table(table, _rows_of(parts, place))
    return said


def _rows_of(parts: IndependentParts, place: int) -> Path:
    return parts.tables.folder / f"rows{place:05}.parquet"


def _added(
    before: tuple[RuleReport, ...], reports: tuple[RuleReport, ...]
) -> tuple[RuleReport, ...]:
    """Counts of both, rule by rule."""
    if not before:
        return reports
    counts = ("candidate", "satisfied", "violated", "merged", "open", "seconds", "estimate")
    return tuple(
        replace(
            one,
            missing=None
            if one.missing is None or two.missing is None
            else one.missing + two.missing,
            **{name: getattr(one, name) + getattr(two, name) for name in counts},
        )
        for one, two in zip(before, reports, strict=True)
    )


def _narrow(table: pa.Table) -> pa.Table:
    """The table with numbers of 32 bits and the same columns whatever engine served a part: always
    the quality of every row, never its spread."""
    columns = {
        name: column.cast(pa.float32()) if column.type == pa.float64() else column
        for name, column in zip(table.column_names, table.columns, strict=True)
        if name != "spread"
    }
    quality = columns.pop("quality", pa.repeat(QUALITIES[0], table.num_rows))
    return pa.table({**columns, "quality": quality})


@contextmanager
def _writer(path: Path | None) -> Iterator[Callable[[pa.Table], None]]:
    """Adds tables to a file, which appears when the block succeeds."""
    if path is None:
        yield lambda table: None
        return
    opened: list[parquet.ParquetWriter | csv.CSVWriter] = []
    with whole_file(path) as temporary:

        def write(table: pa.Table) -> None:
            if not opened:
                opened.append(
                    parquet.ParquetWriter(
                        temporary, table.schema, compression="zstd", use_dictionary=["quality"]
                    )
                    if path.suffix == ".parquet"
                    else csv.CSVWriter(temporary, table.schema)
                )
            opened[0].write_table(table, ROW_GROUP)

        try:
            yield write
        finally:
            for one in opened:
                one.close()


def _first(table: pa.Table, top: int) -> pa.Table:
    """The rows most probable first, only so many unless 0."""
    key = [("log_odds", "descending")]
    if top and top < table.num_rows:
        table = table.take(pc.select_k_unstable(table, top, key))
    return table.sort_by(key)


def _give_back() -> None:
    """Memory of a part that is done with goes back to the system: allocators keep it otherwise."""
    gc.collect()
    gc.freeze()  # what is left is there to stay, and need not be gone through after each part
    pa.default_memory_pool().release_unused()
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)
