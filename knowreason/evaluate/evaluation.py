"""``eval``: how good, beside what anyone would try first, and what each rule adds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from scipy.special import expit

from knowreason.audit.rule_effects import without_rules
from knowreason.beliefs.beliefs import Beliefs
from knowreason.data import Dataset
from knowreason.data.arrow_types import ArrowTable
from knowreason.data.id_tables import VALUE, id_columns
from knowreason.data.table_results import TableResult
from knowreason.evaluate.baselines import baseline_scores
from knowreason.evaluate.stability import Stability, stability
from knowreason.evaluate.verdict import Verdict, verdict
from knowreason.factors import FactorGraph
from knowreason.factors.components.connected import components
from knowreason.inference import infer
from knowreason.inference.quality_summary import QualitySummary, quality_summary
from knowreason.metrics.alarms import MeasuredAlarms
from knowreason.metrics.metrics import (
    DEFAULT_METRICS,
    CalibrationCurve,
    Estimate,
    by_block,
    calibration_curve,
    evaluate,
    metric,
    paired_difference,
)
from knowreason.notebook.cells import (
    MOST_ROWS,
    first_lines,
    html_cell,
    html_lines,
    html_table,
    text_table,
)
from knowreason.progress import Progress
from knowreason.reasoner.fit_steps import training_labels
from knowreason.reasoner.labels.asked_labels import hidden_truth
from knowreason.reasoner.labels.fold_groups import label_clusters
from knowreason.reasoner.labels.label_selection import label_selections
from knowreason.reasoner.reasoner import Reasoner

REASONER = "reasoner"
UNADAPTED = "reasoner, unadapted"
OURS = (REASONER, UNADAPTED)


@dataclass(frozen=True, repr=False)
class Evaluation(TableResult):
    """Scores and metrics of the reasoner and of baselines for one predicate.

    Attributes:
        predicate: which.
        verdict: what to do.
        atoms: ``int64[n]`` asked atoms with a held-back label.
        truth: ``bool[n]``.
        scores: log-odds by name; ``reasoner`` is ours.
        table: ``table[name][metric]``.
        ablation: the reasoner with one rule left out, weights kept.
        difference: reasoner less the best other row, by metric, paired, over what the verdict
            takes for clusters.
        best_other: that row's name, by metric.
        blocks: ``int64[n]`` slice of each atom, where intervals are by slice.
        slices: per slice the first metric of the reasoner, count and positives.
        curve: calibration of the reasoner.
        notes: what the reader must know.
        stability: how conclusions move when a rule is left out or weights are resampled.
        quality: how good the marginals of ``atoms`` are.
        alarms: what a decision comes to, where there is one.

    Example:
        >>> from knowreason.testing import example_data
        >>> data = example_data(nodes=8, payments=0)
        >>> reasoner = Reasoner(data.program).fit(data)
        >>> beliefs = reasoner.infer(data)
        >>> found = evaluate_reasoner(reasoner, data, beliefs, "Bad", metrics=["brier"])
        >>> found.best_other
        {'brier': 'boosted trees (own features)'}
    """

    predicate: str
    verdict: Verdict
    atoms: NDArray[np.int64]
    truth: NDArray[np.bool_]
    scores: Mapping[str, NDArray[np.float64]]
    table: Mapping[str, Mapping[str, Estimate]]
    ablation: Mapping[str, Mapping[str, Estimate]]
    difference: Mapping[str, Estimate]
    best_other: Mapping[str, str]
    curve: CalibrationCurve
    blocks: NDArray[np.int64] | None = None
    slices: tuple[Mapping[str, float], ...] = ()
    notes: tuple[str, ...] = field(default=())
    stability: tuple[Stability, ...] = ()
    quality: QualitySummary = field(default_factory=QualitySummary)
    alarms: MeasuredAlarms | None = None

    def to_arrow(self) -> ArrowTable:
        """One row a row of the table and a metric, those that leave a rule out included."""
        rows = {**self.table, **self.ablation}
        found = [
            {"row": name, "metric": key, **asdict(estimate)}
            for name, row in rows.items()
            for key, estimate in row.items()
        ]
        table: ArrowTable = pa.Table.from_pylist(found)
        return table

    def __repr__(self) -> str:
        return first_lines(f"{self._title()}\n{text_table(*self._figures())}\n{self.verdict}")

    def _repr_html_(self) -> str:
        table = html_table(*self._figures(), most=2 * MOST_ROWS)
        return html_cell(self._title(), html_lines([str(self.verdict)]), table)

    def _title(self) -> str:
        true = int(self.truth.sum())
        return f"Evaluation({self.predicate}: {len(self.truth):,} held-back labels, {true:,} true)"

    def _figures(self) -> tuple[list[str], list[list[object]]]:
        """Metrics with their intervals, the reasoner first and rules left out last."""
        ours = {name: self.table[name] for name in OURS if name in self.table}
        metrics = list(next(iter(self.table.values())))
        rows: list[list[object]] = [
            [name, *(_figure(row[key]) for key in metrics)]
            for name, row in {**ours, **self.table, **self.ablation}.items()
        ]
        return ["", *metrics], rows


def _figure(estimate: Estimate) -> str:
    return str(estimate) if np.isfinite(estimate.low) else f"{estimate.value:.3f}"


def evaluate_reasoner(
    reasoner: Reasoner,
    training: Dataset,
    beliefs: Beliefs,
    predicate: str,
    *,
    metrics: Sequence[str] = DEFAULT_METRICS,
    by: str = "",
    ablate: bool = True,
    seed: int = 0,
    progress: Progress | None = None,
) -> Evaluation:
    """Metrics of a fitted reasoner on a test part, beside those of baselines.

    Args:
        reasoner: fitted.
        training: what it was fitted on.
        beliefs: its beliefs about the test part, which has hidden labels.
        predicate: Boolean or functional query predicate; of a functional one every state
            is an atom, and baselines are the models alone.
        metrics: names for :func:`knowreason.metrics.metrics.metric`.
        by: attribute whose values are the blocks of the bootstrap and the slices.
        ablate: also leave each rule out.
        seed: of the bootstrap.
        progress: called as ``progress(done, total, message)``.

    Example:
        >>> from knowreason.testing import example_data
        >>> data = example_data(nodes=8, payments=0)
        >>> reasoner = Reasoner(data.program).fit(data)
        >>> beliefs = reasoner.infer(data)
        >>> found = evaluate_reasoner(reasoner, data, beliefs, "Bad", metrics=["brier"])
        >>> round(found.table["reasoner"]["brier"].value, 2)
        0.21
    """
    atoms, truth = hidden_truth(beliefs, predicate)
    grounding = reasoner.training_grounding(training)
    outputs = tuple(model.fitted.output for model in reasoner.models_)
    labels = training_labels(grounding, reasoner.models_, reasoner.settings)
    plain = beliefs.unadapted or beliefs
    selection = label_selections(training, reasoner.models_, reasoner.settings).get(predicate)
    drawn = 0.0 if selection is None else selection.shift
    scores, notes = baseline_scores(predicate, grounding, labels, outputs, plain, atoms, drawn)
    if beliefs.unadapted is not None:
        scores[UNADAPTED] = plain.log_odds[atoms]
    scores[REASONER] = beliefs.log_odds[atoms]
    blocks = block_of(beliefs, predicate, atoms, by) if by else None
    together = clusters_of(reasoner, beliefs, atoms) if blocks is None else blocks
    others = {name: score for name, score in scores.items() if name not in OURS}
    table = evaluate(truth, scores, metrics, blocks=blocks, seed=seed)
    best = {name: _best_other(table, name) for name in metrics}
    without = _without_rules(beliefs, reasoner, atoms, progress) if ablate else {}
    interval = None if beliefs.interval is None else beliefs.interval[:, atoms]
    return Evaluation(
        predicate,
        verdict(truth, scores[REASONER], others, together, _ranking(metrics), seed),
        atoms,
        truth,
        scores,
        table,
        evaluate(truth, without, metrics, blocks=blocks, resamples=0),
        {
            name: paired_difference(
                truth, scores[REASONER], scores[other], name, blocks=together, seed=seed
            )
            for name, other in best.items()
            if other
        },
        best,
        calibration_curve(truth, scores[REASONER]),
        blocks,
        slice_table(truth, scores[REASONER], blocks, metrics),
        (*notes, expected_note(truth, scores[REASONER]), *_pooled_note(truth, blocks)),
        stability(scores[REASONER], without, interval),
        quality_summary(beliefs.posterior.qualities.numpy()[atoms], beliefs.posterior.reports),
    )


def block_of(
    beliefs: Beliefs, predicate: str, atoms: NDArray[np.int64], attribute: str
) -> NDArray[np.int64] | None:
    """``int64[n]``: code of the attribute's value for each atom; ``None`` where it has none."""
    grounding = beliefs.grounding
    declared = grounding.program.attribute(attribute)
    sorts = grounding.program.sorts_of(predicate)
    if len(declared.sorts) != 1 or declared.sorts[0] not in sorts:
        return None
    position = sorts.index(declared.sorts[0])
    table: pa.Table = grounding.data.attributes[attribute]
    values = table.column(VALUE).to_numpy(zero_copy_only=False)
    of_thing = np.full(grounding.data.count(declared.sorts[0]), -1, dtype=np.int64)
    codes = values.astype(np.int64) if np.issubdtype(values.dtype, np.integer) else None
    if codes is None:
        codes = np.unique(values, return_inverse=True)[1]
    of_thing[id_columns(table)[0]] = codes
    span = grounding.span(predicate)
    blocks: NDArray[np.int64] = of_thing[span.arguments[atoms - span.start, position]]
    return blocks


def clusters_of(
    reasoner: Reasoner, beliefs: Beliefs, atoms: NDArray[np.int64]
) -> NDArray[np.int64]:
    """``int64[n]``: atoms that share a cause: a value of the attribute ``clusters``, else what
    rules tie to each other; where these tie more than half of the atoms, each is alone."""
    attribute = reasoner.settings.clusters
    if attribute:
        return label_clusters(beliefs.grounding, attribute)[atoms]
    component, count = components(beliefs.grounding.graph)
    codes = np.where(component < 0, count + np.arange(len(component)), component)[atoms]
    largest = np.unique(codes, return_counts=True)[1].max(initial=0)
    return np.arange(len(atoms)) if 2 * largest > len(atoms) else codes.astype(np.int64)


def _ranking(metrics: Sequence[str]) -> str:
    ranking = [name for name in metrics if not metric(name).lower_is_better]
    return ranking[0] if ranking else "average_precision"


def slice_table(
    truth: NDArray[np.bool_],
    log_odds: NDArray[np.float64],
    blocks: NDArray[np.int64] | None,
    metrics: Sequence[str],
) -> tuple[dict[str, float], ...]:
    """One row a slice: atoms, positives, ranking metrics."""
    if blocks is None:
        return ()
    shown = [name for name in metrics if not metric(name).lower_is_better][:2]
    figures = {name: by_block(truth, log_odds, blocks, name) for name in shown}
    return tuple(
        {
            "slice": int(which),
            "atoms": int((blocks == which).sum()),
            "true": int(truth[blocks == which].sum()),
            **{name: figures[name][int(which)] for name in shown},
        }
        for which in np.unique(blocks)
    )


def _without_rules(
    beliefs: Beliefs, reasoner: Reasoner, atoms: NDArray[np.int64], progress: Progress | None
) -> dict[str, NDArray[np.float64]]:
    scores = {}
    grounding, program = beliefs.grounding, beliefs.grounding.program

    def answered(graph: FactorGraph) -> NDArray[np.float64]:
        options = reasoner.engine_options(reasoner.engine, grounding.parameters)
        posterior = infer(graph, reasoner.engine, **options)
        marginals = np.asarray(posterior.log_odds.to(torch.float64).numpy())
        return beliefs.answer_at(marginals)[atoms]

    for index, rule in enumerate(program.rules):
        if progress is not None:
            progress(index, len(program.rules) + 1, f"without rule {rule.name}")
        graph = without_rules(grounding, [index])
        scores[f"without {rule.name}"] = answered(graph)
    if program.rules:
        soft = [i for i, rule in enumerate(program.rules) if rule.weight.kind != "hard"]
        graph = without_rules(grounding, soft)
        scores["without any soft rule"] = answered(graph)
    return scores


def _best_other(table: Mapping[str, Mapping[str, Estimate]], name: str) -> str:
    figures = {row: figure[name].value for row, figure in table.items() if row not in OURS}
    figures = {row: value for row, value in figures.items() if np.isfinite(value)}
    if not figures:
        return ""
    choose = min if metric(name).lower_is_better else max
    return choose(figures, key=figures.__getitem__)


def expected_note(truth: NDArray[np.bool_], log_odds: NDArray[np.float64]) -> str:
    """How many atoms are expected to be true, beside how many are.

    >>> expected_note(np.array([True, False]), np.array([1.1, -1.1]))
    '1.0 of 2 were expected to be true, 1 are'
    """
    return f"{expit(log_odds).sum():,.1f} of {len(truth):,} were expected to be true, " + (
        f"{int(truth.sum()):,} are"
    )


def _pooled_note(truth: NDArray[np.bool_], blocks: NDArray[np.int64] | None) -> tuple[str, ...]:
    """A pooled figure that two slices dominate is said to be so."""
    if blocks is None or truth.sum() == 0:
        return ()
    positives = np.bincount(np.unique(blocks, return_inverse=True)[1], weights=truth)
    share = np.sort(positives)[::-1][:2].sum() / truth.sum()
    if share < 0.5 or len(positives) < 4:
        return ()
    return (
        f"{share:.0%} of the true atoms lie in two of {len(positives)} slices: pooled figures "
        "speak mostly of these, so read the table by slice",
    )
