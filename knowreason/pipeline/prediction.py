"""``predict``: a stored run on other data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyarrow as pa
from pyarrow import csv, parquet

from knowreason.disk import whole_file
from knowreason.errors import ProjectError
from knowreason.pipeline.beliefs import Beliefs
from knowreason.pipeline.binding import load_data, moved_tables
from knowreason.pipeline.parts import parts_of
from knowreason.pipeline.project import paths_of
from knowreason.pipeline.reasoner import only_query
from knowreason.pipeline.run_folder import holds, load_run, not_replaced
from knowreason.pipeline.settings import Progress


@dataclass(frozen=True)
class Predictions:
    """Marginals (or true atoms) of one predicate, most probable first."""

    table: pa.Table
    notes: tuple[str, ...]


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
    project = load_run(run).project
    tables = project.tables if directory is None else moved_tables(project, directory)
    files = (file for source in tables.values() for file in source.files())
    kept = (*paths_of(project), *files, *(run / "marginals").glob("*"))
    if not path.is_file():
        raise not_replaced(path, "it is no file")
    if holds(path, kept) is not None:
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
    writers = {".parquet": parquet.write_table, ".csv": csv.write_csv}
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
    progress: Progress | None = None,
) -> Predictions:
    """Predict with a run.

    Args:
        folder: run folder.
        directory: where today's tables are; everything in them is asked about, labels in
            them are known truths. ``None`` predicts the test part of the run's own data.
        predicate: may be left out where only one is asked.
        most_probable: the most probable world instead of marginals.
        adapt: as :meth:`Reasoner.infer` has it.
        progress: called as ``progress(message, done, total)``.
    """
    beliefs = beliefs_of_run(
        folder,
        directory,
        engine="map" if most_probable else None,
        adapt=adapt,
        progress=progress,
    )
    name = predicate or only_query(beliefs.grounding.program)
    if most_probable:
        return Predictions(beliefs.most_probable(name).to_arrow(), (beliefs.info,))
    table = beliefs.marginals(name, models=True).to_arrow()
    return Predictions(table.sort_by([("log_odds", "descending")]), (beliefs.info,))


def beliefs_of_run(
    folder: Path,
    directory: Path | None = None,
    *,
    engine: str | None = None,
    adapt: Literal["", "reliability"] | None = None,
    progress: Progress | None = None,
) -> Beliefs:
    """Beliefs of a run about its test part, or about tables in ``directory``."""
    run = load_run(folder)
    program = run.reasoner.program
    if progress:
        progress("reading", 0, 2)
    data = load_data(run.project, program, directory)
    if directory is None:
        data = parts_of(run.project, program, data).test or data
    if progress:
        progress("reasoning", 1, 2)
    return run.reasoner.infer(data, engine=engine, adapt=adapt)
