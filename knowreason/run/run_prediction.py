"""``predict``: a stored run on other data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyarrow as pa
from pyarrow import csv, parquet

from knowreason.audit import Audit
from knowreason.beliefs.beliefs import Beliefs
from knowreason.data import Dataset
from knowreason.disk import whole_file
from knowreason.errors import ProjectError
from knowreason.inference.quality_summary import QualitySummary
from knowreason.progress import Progress, step
from knowreason.project.manifests import holds, not_replaced
from knowreason.project.partition import parts_of
from knowreason.project.project_file import paths_of
from knowreason.project.project_tables import load_data, moved_tables
from knowreason.reasoner.labels.asked_labels import only_query
from knowreason.run.run_folder import Run, load_run_on_tables, stored_project


@dataclass(frozen=True)
class Predictions:
    """Marginals (or true atoms) of one predicate, most probable first, and how good they are."""

    table: pa.Table
    notes: tuple[str, ...]
    quality: QualitySummary


def check_output(
    path: Path, run: Path, directory: Path | None = None, *, replace: bool = False
) -> None:
    """Raise unless results may be written to ``path``: free, or a file that may be replaced.

    Raises:
        ProjectError: KR918 for another ending than :func:`save_table` writes, KR914 where
            something is there and ``replace`` is false, KR924 where it is no file, or one
            that ``run`` or its project reads or has written.
    """
    _writer(path)
    if not path.exists():
        return
    if not replace:
        help = "choose another name or --force"
        raise ProjectError(f"`{path}` is there already", code="KR914", help=help)
    project = stored_project(run)
    tables = project.tables if directory is None else moved_tables(project, directory)
    files = (file for source in tables.values() for file in source.files())
    protected = (*paths_of(project), *files, *(run / "marginals").glob("*"))
    if not path.is_file():
        raise not_replaced(path, "it is no file")
    if holds(path, protected) is not None:
        raise not_replaced(path, "the run or its data consist of it")


def save_table(table: pa.Table, path: Path) -> None:
    """Write ``.parquet`` or ``.csv``, never half; a file that is there is replaced.

    Raises:
        ProjectError: KR918 for another ending.
    """
    write = _writer(path)
    with whole_file(path) as temporary:
        write(table, temporary)


def _writer(path: Path) -> Callable[[pa.Table, Path], None]:
    writers: dict[str, Callable[[pa.Table, Path], None]] = {
        ".parquet": parquet.write_table,
        ".csv": csv.write_csv,
    }
    if path.suffix not in writers:
        raise ProjectError(f"`{path.name}`: results are written as .parquet or .csv", code="KR918")
    return writers[path.suffix]


def predict_run(
    folder: Path,
    directory: Path | None = None,
    *,
    predicate: str = "",
    most_probable: bool = False,
    adapt: Literal["", "reliability"] | None = None,
    project: Path | None = None,
    progress: Progress | None = None,
) -> Predictions:
    """Predict with a run.

    Args:
        folder: run folder.
        directory: where today's tables are; everything in them is asked about, labels in
            them are known truths. ``None`` predicts the test part of the run's own data.
        predicate: or numeric query; may be left out where only one is asked.
        most_probable: the most probable world instead of marginals.
        adapt: as :meth:`Reasoner.infer` has it.
        project: as :func:`load_run` has it.
        progress: called as ``progress(done, total, message)``.
    """
    run = load_run_on_tables(folder, project)
    name = predicate or only_query(run.reasoner.program)
    if run.reasoner.program.is_number(name):
        return numeric_predictions(run, data_of_run(run, directory), name)
    engine = "map" if most_probable else None
    beliefs = _beliefs(run, directory, engine, adapt, progress)
    quality = beliefs.quality(name)
    if most_probable:
        return Predictions(beliefs.most_probable(name).to_arrow(), (beliefs.info,), quality)
    table: pa.Table = beliefs.marginals(name, models=True).to_arrow()
    notes = (beliefs.info, f"{name}: {quality}")
    return Predictions(table.sort_by([("log_odds", "descending")]), notes, quality)


def numeric_predictions(run: Run, data: Dataset, query: str) -> Predictions:
    """What a run estimates of a numeric query, highest first."""
    model = next(m for m in run.reasoner.estimates_ if m.predicate == query)
    table: pa.Table = run.reasoner.estimate(data, query).to_arrow()
    notes = (f"{model.name} for {query}: {'; '.join(model.fitted.report)}",)
    return Predictions(table, notes, QualitySummary())


def beliefs_of_run(
    folder: Path,
    directory: Path | None = None,
    *,
    engine: str | None = None,
    adapt: Literal["", "reliability"] | None = None,
    project: Path | None = None,
    progress: Progress | None = None,
) -> Beliefs:
    """Beliefs of a run about its test part, or about tables in ``directory``."""
    return _beliefs(load_run_on_tables(folder, project), directory, engine, adapt, progress)


def _beliefs(
    run: Run,
    directory: Path | None,
    engine: str | None,
    adapt: Literal["", "reliability"] | None,
    progress: Progress | None,
) -> Beliefs:
    with step(progress, "reading"):
        data = data_of_run(run, directory)
    with step(progress, "reasoning"):
        return run.reasoner.infer(data, engine=engine, adapt=adapt)


def data_of_run(run: Run, directory: Path | None = None) -> Dataset:
    """The test part of a run's own data (all of it without one), or tables in ``directory``."""
    program = run.reasoner.program
    data = load_data(run.project, program, directory)
    if directory is None:
        data = parts_of(run.project, program, data).test or data
    return data


def audit_run(
    folder: Path,
    directory: Path | None = None,
    *,
    components: int = 8,
    project: Path | None = None,
    progress: Progress | None = None,
) -> Audit:
    """The audit of a run on its test part, or on tables in ``directory``.

    Args:
        folder: run folder.
        directory: as :func:`predict_run` has it.
        components: most components that are compared with exact inference or sampling.
        project: as :func:`load_run` has it.
        progress: called as ``progress(done, total, message)``.
    """
    run = load_run_on_tables(folder, project)
    data = data_of_run(run, directory)
    return run.reasoner.audit(data, components=components, progress=progress)
