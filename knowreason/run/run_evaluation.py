"""``eval`` of a run folder: measured on its test part or on other tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

from knowreason.beliefs.beliefs import Beliefs
from knowreason.data import Dataset
from knowreason.data.splits.clocks import Moment
from knowreason.errors import ProjectError
from knowreason.evaluate.decisions import measured_decision
from knowreason.evaluate.evaluation import Evaluation, clusters_of, evaluate_reasoner
from knowreason.evaluate.numeric_evaluation import NumericEvaluation, evaluate_query
from knowreason.evaluate.prequential import RefitSchedule, prequential
from knowreason.evaluate.rule_figures import shadow_sentences
from knowreason.metrics.metrics import Estimate, evaluate
from knowreason.models import atoms_of
from knowreason.progress import Progress, step
from knowreason.project.decided import decided_predicate
from knowreason.project.partition import label_delay, parts_of
from knowreason.project.project_tables import load_data
from knowreason.project.schema import Project
from knowreason.reasoner.labels.asked_labels import hidden_truth, with_hidden_labels
from knowreason.reasoner.reasoner import Reasoner
from knowreason.run.run_folder import load_run_on_tables

Evaluations = tuple[Evaluation | NumericEvaluation, ...]


def evaluate_run(
    folder: Path,
    directory: Path | None = None,
    *,
    project: Path | None = None,
    progress: Progress | None = None,
) -> Evaluations:
    """Evaluations of a run on the test part of its data, or on tables in ``directory``.

    ``project`` is as :func:`load_run` has it; progress is called as ``progress(done, total,
    message)``.

    Raises:
        ProjectError: KR919 where nothing is held back and so nothing can be measured.
    """
    with step(progress, "reading"):
        run = load_run_on_tables(folder, project)
        program = run.reasoner.program
        parts = parts_of(run.project, program, load_data(run.project, program))
        test = parts.test
        if directory is not None:
            test = with_hidden_labels(load_data(run.project, program, directory))
    if test is None or not any(table.num_rows for table in test.hidden.values()):
        raise ProjectError(
            "no label is held back, so nothing can be measured",
            code="KR919",
            help="give [split], or other tables with --data",
        )
    with step(progress, "reasoning"):
        beliefs = run.reasoner.infer(test)
    with step(progress, "measuring") as inner:
        evaluations = evaluate_parts(run.reasoner, run.project, parts.train, beliefs, inner)
    if run.project.split.protocol == "prequential" and directory is None and parts.cut is not None:
        whole = load_data(run.project, program)
        evaluations = tuple(
            with_prequential(
                evaluation, run.reasoner, run.project, whole, test, parts.cut, progress
            )
            if isinstance(evaluation, Evaluation)
            else evaluation
            for evaluation in evaluations
        )
    return evaluations


def evaluate_parts(
    reasoner: Reasoner,
    project: Project,
    training: Dataset,
    beliefs: Beliefs,
    progress: Progress | None = None,
) -> Evaluations:
    """One evaluation a query predicate or numeric query with held-back labels."""
    evaluations: list[Evaluation | NumericEvaluation] = []
    for predicate in reasoner.program.predicates:
        if predicate.kind != "query" or not len(hidden_truth(beliefs, predicate.name)[0]):
            continue
        evaluation = evaluate_reasoner(
            reasoner,
            training,
            beliefs,
            predicate.name,
            metrics=project.report.metrics,
            by=project.report.by,
            seed=project.seed,
            progress=progress,
        )
        told = (*evaluation.notes, *shadow_sentences(beliefs, predicate.name))
        evaluation = replace(evaluation, notes=told)
        evaluations.append(_with_alarms(evaluation, reasoner, project, beliefs))
    for query in reasoner.program.numeric_queries:
        by, seed = project.report.by, project.seed
        found = evaluate_query(reasoner, training, beliefs, query.name, by=by, seed=seed)
        evaluations += [] if found is None else [found]
    return tuple(evaluations)


def _with_alarms(
    evaluation: Evaluation, reasoner: Reasoner, project: Project, beliefs: Beliefs
) -> Evaluation:
    """The evaluation with what the project's decision comes to, where it is about the predicate."""
    decision = project.decision
    if decision is None or decided_predicate(decision, reasoner.program) != evaluation.predicate:
        return evaluation
    atoms, truth, scores = evaluation.atoms, evaluation.truth, evaluation.scores
    clusters = evaluation.blocks
    clusters = clusters_of(reasoner, beliefs, atoms) if clusters is None else clusters
    seed = project.seed
    alarms = measured_decision(beliefs, decision, atoms, truth, scores, clusters, seed)
    return replace(evaluation, alarms=alarms)


def with_prequential(
    evaluation: Evaluation,
    reasoner: Reasoner,
    project: Project,
    whole: Dataset,
    test: Dataset,
    cut: Moment,
    progress: Progress | None = None,
) -> Evaluation:
    """The evaluation with a row for each label delay: 0 and the project's own."""
    split, delay = project.split, label_delay(project)
    schedule = RefitSchedule(split.refit_weights, split.refit_models)
    span = atoms_of(test, evaluation.predicate)
    asked = span.arguments[evaluation.atoms - span.start]
    scores = dict(evaluation.scores)
    for wait in sorted({0, delay}):
        with step(progress, f"prequential, delay {wait:g}") as inner:
            walk = prequential(
                reasoner,
                whole,
                split.by,
                cut,
                delay=wait,
                schedule=schedule,
                predicate=evaluation.predicate,
                progress=inner,
            )
        scores[f"prequential, delay {wait:g}"] = walk.aligned(test, asked)
    added = {name: scores[name] for name in scores if name not in evaluation.scores}
    metrics = list(next(iter(evaluation.table.values())))
    rows = evaluate(evaluation.truth, added, metrics, blocks=evaluation.blocks, seed=project.seed)
    return replace(evaluation, scores=scores, table={**evaluation.table, **rows})


def evaluation_record(evaluation: Evaluation | NumericEvaluation) -> dict[str, object]:
    """An evaluation as plain values, for ``metrics.json``."""
    if isinstance(evaluation, NumericEvaluation):
        return {
            "predicate": evaluation.predicate,
            "labels": len(evaluation.truth),
            "table": _plain(evaluation.table),
            "notes": list(evaluation.notes),
        }
    return {
        "predicate": evaluation.predicate,
        **({} if evaluation.alarms is None else {"alarms": asdict(evaluation.alarms)}),
        "verdict": asdict(evaluation.verdict),
        "atoms": len(evaluation.truth),
        "true": int(evaluation.truth.sum()),
        "table": _plain(evaluation.table),
        "ablation": _plain(evaluation.ablation),
        "difference": {
            metric: {"against": evaluation.best_other[metric], **asdict(estimate)}
            for metric, estimate in evaluation.difference.items()
        },
        "slices": [dict(row) for row in evaluation.slices],
        "calibration": {
            "predicted": evaluation.curve.predicted.tolist(),
            "observed": evaluation.curve.observed.tolist(),
            "count": evaluation.curve.count.tolist(),
        },
        "notes": list(evaluation.notes),
        "stability": [asdict(row) for row in evaluation.stability],
        "quality": asdict(evaluation.quality),
    }


def _plain(table: Mapping[str, Mapping[str, Estimate]]) -> dict[str, dict[str, object]]:
    return {
        name: {metric: asdict(estimate) for metric, estimate in row.items()}
        for name, row in table.items()
    }
