"""``predict``: a stored run on other data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from dataclasses import replace as changed
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import csv, parquet

from knowreason.audit import Audit
from knowreason.beliefs.beliefs import Beliefs
from knowreason.data import Dataset
from knowreason.disk import whole_file
from knowreason.errors import ProjectError
from knowreason.explanation import Explanation, reason_texts
from knowreason.inference.quality_summary import QualitySummary
from knowreason.progress import Progress, step
from knowreason.project.manifests import holds, not_replaced
from knowreason.project.partition import parts_of
from knowreason.project.project_file import paths_of
from knowreason.project.project_tables import load_data, moved_tables
from knowreason.reasoner.labels.asked_labels import only_query
from knowreason.reasoner.reviews.past_cases import case_of
from knowreason.run.run_folder import Run, load_run_on_tables, stored_project


@dataclass(frozen=True)
class Predictions:
    """Marginals (or true atoms) of one predicate, most probable first, and how good they are."""

    table: pa.Table
    notes: tuple[str, ...]
    quality: QualitySummary


def check_output(
    path: Path,
    run: Path,
    directory: Path | None = None,
    *,
    replace: bool = False,
    picture: bool = False,
) -> None:
    """Raise unless results may be written to ``path``: free, or a file that may be replaced.

    Raises:
        ProjectError: KR918 for another ending than :func:`save_table` writes, KR914 where
            something is there and ``replace`` is false, KR924 where it is no file, or one
            that ``run`` or its project reads or has written.
    """
    if picture and path.suffix != ".svg":
        raise ProjectError(f"`{path.name}`: pictures are written as .svg", code="KR918")
    if not picture:
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
    reasons: int = 0,
    top: int = 0,
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
        reasons: so many columns ``reason_1`` ... with what speaks for each row.
        top: only so many rows; 0 is all.
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
    order = pc.sort_indices(table, sort_keys=[("log_odds", "descending")])
    order = order.slice(0, top) if top else order
    table = table.take(order)
    if reasons:
        with step(progress, "explaining"):
            table = _with_reasons(table, beliefs, beliefs.asked(name)[order.to_numpy()], reasons)
    return Predictions(table, notes, quality)


def _with_reasons(
    table: pa.Table, beliefs: Beliefs, atoms: NDArray[np.int64], reasons: int
) -> pa.Table:
    found = beliefs.explainer.explain_many(atoms.tolist(), reasons=reasons + 1)
    texts = [reason_texts(why, reasons) for why in found]
    for place in range(reasons):
        column = pa.array([own[place] if place < len(own) else None for own in texts], pa.string())
        table = table.append_column(f"reason_{place + 1}", column)
    return table


NOTHING_TURNS = "no single change of a fact or value that was tried turns it around"


@dataclass(frozen=True)
class RunExplanations:
    """Explanations with a run; ``around`` are beliefs in which the first atom is open, and its
    number there, where that was asked for."""

    found: tuple[Explanation, ...]
    around: tuple[Beliefs, int] | None = None


def explain_run(
    folder: Path,
    atoms: Sequence[str],
    directory: Path | None = None,
    *,
    top: int = 0,
    predicate: str = "",
    changes: Sequence[str] = (),
    turning: bool = False,
    around: bool = False,
    project: Path | None = None,
    progress: Progress | None = None,
) -> RunExplanations:
    """Explain atoms with a run; labelled ones as if nobody knew.

    Args:
        folder, directory, predicate, project, progress: as for :func:`predict_run`.
        atoms: such as ``Fraud("p17")``.
        top: so many of the most probable ones beside, in one batch.
        changes: of the data, what would be believed after each; as :meth:`Reasoner.what_if`.
        turning: search for single changes that turn each of ``atoms`` around.
        around: say what stands around the first of ``atoms``.
    """
    run = load_run_on_tables(folder, project)
    reasoner = run.reasoner
    with step(progress, "reading"):
        everything = load_data(run.project, reasoner.program, directory)
        parts = None if directory else parts_of(run.project, reasoner.program, everything)
    data = everything if parts is None else parts.test or everything
    with step(progress, "reasoning"):
        beliefs = reasoner.infer(data)
    training = None if parts is None else parts.train
    found = []
    for atom in atoms:
        why = reasoner.explain(beliefs, atom, training=training)
        then = reasoner.what_if(beliefs, atom, changes, training=training) if changes else ()
        turned = reasoner.what_if(beliefs, atom, training=training) if turning else ()
        notes = (*why.notes, NOTHING_TURNS) if turning and not turned else why.notes
        why = changed(why, data_changes=(*then, *turned), notes=notes)
        found.append(why)
    if top:
        name = predicate or only_query(reasoner.program)
        asked = beliefs.asked(name)
        order = np.argsort(-beliefs.log_odds[asked], kind="stable")[:top]
        with step(progress, "explaining"):
            found += beliefs.explainer.explain_many(asked[order].tolist())
    if not around:
        return RunExplanations(tuple(found))
    case = case_of(reasoner, beliefs, atoms[0], training)
    return RunExplanations(tuple(found), (case.beliefs, case.atom))


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
