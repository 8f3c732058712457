"""``train``: from a project file to a run folder."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from knowreason.factors.kernel_decorators import kernels_loaded
from knowreason.inference.engine_protocol import ENGINES
from knowreason.json_text import json_text
from knowreason.learning.learners import LEARNERS, learner_options
from knowreason.logic import ModelCall, Program
from knowreason.metrics.metrics import metric
from knowreason.models.base.model_registry import MODELS
from knowreason.progress import Progress, step
from knowreason.project.manifests import (
    has_manifest,
    holds,
    not_replaced,
    partial_folder,
    refuse_existing,
    run_folder,
)
from knowreason.project.partition import Parts, parts_of
from knowreason.project.plugins import load_plugins
from knowreason.project.project_file import data_hash, paths_of
from knowreason.project.project_tables import load_data, load_program
from knowreason.project.schema import Project

if TYPE_CHECKING:
    from knowreason.beliefs.beliefs import Beliefs
    from knowreason.data import Dataset
    from knowreason.inference.quality_summary import QualitySummary
    from knowreason.reasoner.reasoner import Reasoner
    from knowreason.report.redaction import Redactor
    from knowreason.run.run_folder import Run

STATE = "state.json"


def train(
    project: Project,
    target: Path,
    *,
    resume: bool = False,
    models: Path | None = None,
    compiled: Path | None = None,
    force: bool = False,
    redactor: Redactor | None = None,
    progress: Progress | None = None,
) -> Run:
    """Fit models and weights and write a run folder, whole or not at all.

    Args:
        project: a read project file.
        target: the run folder.
        resume: take up the models an interrupted run had finished, as far as nothing that made
            them has changed.
        models: another run folder whose models are taken in the same manner.
        compiled: what :func:`knowreason.run.compilation.compile_project` stored.
        force: replace a run that is there.
        redactor: of the names in ``report.html``; the other files need them.
        progress: called as ``progress(done, total, message)``.

    Raises:
        ProjectError: KR914 where the folder is there, KR924 where it is not ours to replace,
            KR911 where ``models`` is no run folder, KR935 where ``compiled`` was made of other
            rules or data.
    """
    start = time.perf_counter()
    keep = paths_of(project)
    refuse_existing(target, replace=force, keep=keep)
    partial = partial_folder(target)
    if holds(partial, keep) is not None:
        raise not_replaced(partial, "unfinished runs get this name, and the project is there")
    load_plugins(project)
    program = load_program(project)
    _check_names(project, program)
    fingerprint = data_hash(project)
    with step(progress, "reading"):
        parts = parts_of(project, program, load_data(project, program))
    # Seconds to import, which nobody waits for to be told of a mistake.
    from knowreason.evaluate.rule_figures import shadow_sentences
    from knowreason.reasoner.stored_reasoner import write_learned
    from knowreason.run.compiled_graph import load_compiled
    from knowreason.run.run_folder import load_run, reasoner_of

    learner_options(project.learn.method, project.learn.options)
    grounding = None if compiled is None else load_compiled(compiled, project, parts.train)
    reasoner = reasoner_of(project, program)
    whole = run_folder(target, replace=force, keep=keep, partial=partial)
    with kernels_loaded(), whole as folder:
        _start_state(folder, resume)
        reasoner.fit(
            parts.train,
            checkpoints=folder / "models",
            models=models,
            grounding=grounding,
            progress=progress,
        )
        quality: dict[str, QualitySummary] = {}
        measured: Beliefs | Dataset = parts.train
        if parts.test is not None:
            measured = beliefs = _write_results(
                project, reasoner, parts, folder, progress, redactor
            )
            quality = {name: beliefs.quality(name) for name in beliefs.grounding.atoms.spans}
        write_learned(
            reasoner.learned(),
            program,
            project,
            folder,
            reports=reasoner.grounding_.reports,
            seconds=time.perf_counter() - start,
            data_hash=fingerprint,
        )
        (folder / STATE).unlink()
        shadows = shadow_sentences(measured)
    run = load_run(target)
    run.reasoner.grounding_ = reasoner.grounding_
    return replace(run, quality=quality, shadows=shadows)


def _check_names(project: Project, program: Program) -> None:
    """Raise for a learner, engine, metric or model that does not exist, before hours are spent;
    none is imported."""
    LEARNERS.require(project.learn.method)
    ENGINES.require(project.infer.engine)
    for name in project.report.metrics:
        metric(name)
    for declaration in program.models:
        for call in _calls(declaration.call):
            MODELS.require(call.kind)


def _calls(call: ModelCall) -> Iterator[ModelCall]:
    """The call of a model, and those among its options."""
    yield call
    for value in (*call.positional, *dict(call.options).values()):
        if isinstance(value, ModelCall):
            yield from _calls(value)


def _write_results(
    project: Project,
    reasoner: Reasoner,
    parts: Parts,
    folder: Path,
    progress: Progress | None,
    redactor: Redactor | None,
) -> Beliefs:
    from knowreason.evaluate.evaluation import Evaluation
    from knowreason.evaluate.numeric_evaluation import NumericEvaluation
    from knowreason.report.evaluation_pictures import pictures_of
    from knowreason.report.html import report_html
    from knowreason.report.report_parts import ReportParts
    from knowreason.run.run_evaluation import evaluate_parts, evaluation_record

    assert parts.test is not None
    with step(progress, "reasoning about the test part"):
        beliefs = reasoner.infer(parts.test)
        write_marginals(beliefs, reasoner, folder / "marginals")
    with step(progress, "measuring"):
        evaluations = evaluate_parts(reasoner, project, parts.train, beliefs)
        records = [evaluation_record(evaluation) for evaluation in evaluations]
        (folder / "metrics.json").write_text(json_text(records), encoding="utf-8")
    with step(progress, "writing the report"):
        plots = folder / "plots"
        plots.mkdir(exist_ok=True)
        numbers = tuple(e for e in evaluations if isinstance(e, NumericEvaluation))
        others = tuple(e for e in evaluations if isinstance(e, Evaluation))
        if redactor is not None:
            others = tuple(replace(one, slices=()) for one in others)
        pictures = pictures_of(others)
        for name, svg in pictures.items():
            (plots / name).write_text(svg, encoding="utf-8")
        findings = ReportParts(project, reasoner, beliefs, others, numbers, redactor, parts.train)
        page = report_html(findings, pictures)
        (folder / "report.html").write_text(page, encoding="utf-8")
    return beliefs


def write_marginals(beliefs: Beliefs, reasoner: Reasoner, folder: Path) -> None:
    """One Parquet file a predicate or numeric query."""
    folder.mkdir(parents=True, exist_ok=True)
    for predicate in beliefs.grounding.program.open_predicates:
        table = beliefs.marginals(predicate.name, models=True).to_arrow()
        pq.write_table(table, folder / f"{predicate.name}.parquet")
    for query in beliefs.grounding.program.numeric_queries:
        table = reasoner.estimate(beliefs.grounding.data, query.name).to_arrow()
        pq.write_table(table, folder / f"{query.name}.parquet")


def _start_state(folder: Path, resume: bool) -> None:
    state = folder / STATE
    if resume and state.is_file():
        return
    if any(folder.iterdir()) and not (state.is_file() or has_manifest(folder)):
        raise not_replaced(folder, "unfinished runs get this name, and it is none of ours")
    shutil.rmtree(folder)
    folder.mkdir()
    state.write_text("{}", encoding="utf-8")


def has_interrupted_run(target: Path) -> bool:
    """Whether there is something to resume."""
    return (partial_folder(target) / STATE).is_file()
