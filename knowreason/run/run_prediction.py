"""``predict``: a stored run on other data."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
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
from knowreason.diagnostics import Diagnostic
from knowreason.disk import whole_file
from knowreason.errors import ProjectError
from knowreason.evaluate.decisions import queue_of
from knowreason.evaluate.rule_figures import shadow_sentences
from knowreason.explanation import reason_texts
from knowreason.factors import OPEN
from knowreason.inference.quality_summary import QualitySummary
from knowreason.metrics.alarms import Decision
from knowreason.progress import Progress, step
from knowreason.project.decided import decided_predicate
from knowreason.project.manifests import holds, not_replaced
from knowreason.project.partition import parts_of
from knowreason.project.project_file import paths_of
from knowreason.project.project_tables import load_data, moved_tables
from knowreason.project.schema import Project
from knowreason.reasoner.labels.asked_labels import only_query
from knowreason.report.redaction import Redactor
from knowreason.run.asked_atoms import (
    AskedAtoms,
    asked_atoms,
    asked_settings,
    things_of,
    with_labels_column,
)
from knowreason.run.run_folder import Run, load_run_on_tables, stored_project


@dataclass(frozen=True)
class Predictions:
    """Marginals (or true atoms) of one predicate, most probable first, and how good they are."""

    table: pa.Table
    notes: tuple[str, ...]
    quality: QualitySummary
    counts: AskedAtoms
    finding: Diagnostic | None = None  # where nothing is asked


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
    if not path.exists():  # then it need be no run yet
        check_ending(path, picture=picture)
        return
    marginals = (run / "marginals").glob("*")
    project = stored_project(run)
    check_result_file(path, project, directory, marginals, replace=replace, picture=picture)


def check_ending(path: Path, *, picture: bool = False) -> None:
    """Raise unless results, or pictures, are written with such an ending (KR918)."""
    if picture and path.suffix != ".svg":
        raise ProjectError(f"`{path.name}`: pictures are written as .svg", code="KR918")
    if not picture:
        _writer(path)


def check_result_file(
    path: Path,
    project: Project,
    directory: Path | None = None,
    others: Iterable[Path] = (),
    *,
    replace: bool = False,
    picture: bool = False,
) -> None:
    """Raise as :func:`check_output` does, for results about a project; ``others`` are kept too."""
    check_ending(path, picture=picture)
    if not path.exists():
        return
    if not replace:
        help = "choose another name or --force"
        raise ProjectError(f"`{path}` is there already", code="KR914", help=help)
    tables = project.tables if directory is None else moved_tables(project, directory)
    files = (file for source in tables.values() for file in source.files())
    if not path.is_file():
        raise not_replaced(path, "it is no file")
    if holds(path, (*paths_of(project), *files, *others)) is not None:
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
    labelled: bool = False,
    reasons: int = 0,
    top: int = 0,
    redactor: Redactor | None = None,
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
        labelled: also score what is labelled, as if its label were not known, of the run's own data
            in both parts; a column ``label`` says what it is.
        reasons: so many columns ``reason_1`` ... with what speaks for each row.
        top: only so many rows; 0 is all.
        redactor: puts pseudonyms in place of names.
        project: as :func:`load_run` has it.
        progress: called as ``progress(done, total, message)``.
    """
    run = load_run_on_tables(folder, project)
    name = predicate or only_query(run.reasoner.program)
    learned = 0
    with step(progress, "reading"):
        if labelled:
            data, learned = _with_hidden_labels(run, directory, name)
        else:
            data = data_of_run(run, directory)
    if run.reasoner.program.is_number(name):
        found = numeric_predictions(run, data, name, labelled=labelled)
        if redactor is not None:
            names = len(run.reasoner.program.sorts_of(name))
            found = replace(found, table=redactor.table(found.table, names))
    else:
        with step(progress, "reasoning"):
            engine = "map" if most_probable else None
            beliefs = run.reasoner.infer(data, engine=engine, adapt=adapt)
        found = _of_beliefs(
            beliefs,
            name,
            most_probable,
            labelled,
            reasons,
            top,
            run.project.decision,
            redactor,
            progress,
        )
    if learned:
        note = f"{learned:,} of the labels were learned from: `eval` measures on others"
        found = replace(found, notes=(*found.notes, note))
    return found


def _of_beliefs(
    beliefs: Beliefs,
    name: str,
    most_probable: bool = False,
    labelled: bool = False,
    reasons: int = 0,
    top: int = 0,
    decision: Decision | None = None,
    redactor: Redactor | None = None,
    progress: Progress | None = None,
) -> Predictions:
    grounding = beliefs.grounding
    if not any(predicate.name == name for predicate in grounding.program.open_predicates):
        beliefs.asked(name)  # says what can be asked
    counts = asked_atoms(beliefs, name)
    finding = counts.finding(name, things_of(grounding.data, name))
    if name not in grounding.atoms.spans:
        return Predictions(pa.table({}), (beliefs.info,), QualitySummary(), counts, finding)
    quality = beliefs.quality(name)
    notes: tuple[str, ...] = (beliefs.info, f"{name}: {quality}")
    if most_probable:
        true = beliefs.most_probable(name).to_arrow()
        return Predictions(true, notes[:1], quality, counts, finding)
    table: pa.Table = marginals_of(beliefs, name, labelled)
    notes = (*notes, *shadow_sentences(beliefs, name))
    if decision is not None and decided_predicate(decision, grounding.program) == name:
        queue = queue_of(beliefs, decision)
        table, notes = queue.added_to(table), (*notes, str(queue))
    order = pc.sort_indices(table, sort_keys=[("log_odds", "descending")])
    order = order.slice(0, top) if top else order
    table = table.take(order)
    if redactor is not None:
        table = redactor.table(table, len(grounding.program.sorts_of(name)))
    if reasons:
        with step(progress, "explaining"):
            atoms = beliefs.asked(name)[order.to_numpy()]
            table = _with_reasons(table, beliefs, atoms, reasons, redactor)
    return Predictions(table, notes, quality, counts, finding)


def _with_reasons(
    table: pa.Table,
    beliefs: Beliefs,
    atoms: NDArray[np.int64],
    reasons: int,
    redactor: Redactor | None,
) -> pa.Table:
    found = beliefs.explainer.explain_many(atoms.tolist(), reasons=reasons + 1)
    if redactor is not None:
        found = list(map(redactor.within, found))
    texts = [reason_texts(why, reasons) for why in found]
    for place in range(reasons):
        column = pa.array([own[place] if place < len(own) else None for own in texts], pa.string())
        table = table.append_column(f"reason_{place + 1}", column)
    return table


def marginals_of(beliefs: Beliefs, name: str, labelled: bool = False) -> pa.Table:
    """Marginals of a predicate with what models say, and what labels say where that is asked."""
    table: pa.Table = beliefs.marginals(name, models=True).to_arrow()
    if labelled:
        hidden = beliefs.grounding.hidden[beliefs.asked(name)]
        table = with_labels_column(table, pa.array(hidden == 1, mask=hidden == OPEN))
    return table


def hidden_labels(data: Dataset, predicate: str) -> Dataset:
    """The data set with all labels of a predicate held back."""
    rows = data.labels[predicate].num_rows if predicate in data.labels else 0
    return data.hide(predicate, np.ones(rows, np.bool_)) if rows else data


def _with_hidden_labels(run: Run, directory: Path | None, name: str) -> tuple[Dataset, int]:
    """All data without the labels of a predicate, and how many of these were learned from."""
    program = run.reasoner.program
    data = load_data(run.project, program, directory)
    learned = 0
    if directory is None:
        train = parts_of(run.project, program, data).train
        learned = train.labels[name].num_rows if name in train.labels else 0
    return hidden_labels(data, name), learned


def numeric_predictions(
    run: Run, data: Dataset, query: str, *, labelled: bool = False
) -> Predictions:
    """What a run estimates of a numeric query, highest first."""
    model = next(m for m in run.reasoner.estimates_ if m.predicate == query)
    table: pa.Table = run.reasoner.estimate(data, query).to_arrow()
    counts = asked_settings(data, query, table.num_rows)
    if labelled:
        known = data.named(query, data.hidden[query])
        names = table.column_names[: known.num_columns - 1]
        known = known.rename_columns([*names, "label"])
        table = table.join(known, names).sort_by([("value", "descending")])
    notes = (f"{model.name} for {query}: {'; '.join(model.fitted.report)}",)
    finding = counts.finding(query, things_of(data, query))
    return Predictions(table, notes, QualitySummary(), counts, finding)


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
    with step(progress, "reading"):
        run = load_run_on_tables(folder, project)
        data = data_of_run(run, directory)
    with step(progress, "auditing") as inner:
        return run.reasoner.audit(data, components=components, progress=inner)
