"""How good the conclusions are: measures, pictures, calibration, stability."""

from __future__ import annotations

from collections.abc import Mapping

from knowreason.beliefs.beliefs import Beliefs
from knowreason.evaluate.evaluation import REASONER, Evaluation
from knowreason.evaluate.numeric_evaluation import NumericEvaluation
from knowreason.explanation.explanation_text import percent
from knowreason.inference.quality_summary import quality_text
from knowreason.metrics.metrics import CalibrationCurve, metric
from knowreason.report.evaluation_pictures import belong_to, calibration_text
from knowreason.report.page_markup import (
    Section,
    figure_text,
    figures,
    items,
    paragraphs,
    table,
)
from knowreason.report.svg import in_page


def measures_section(evaluation: Evaluation) -> Section:
    """Measures of the reasoner, of others and without each rule."""
    name, metrics = evaluation.predicate, list(next(iter(evaluation.table.values())))
    head = ["score", *(metric(key).title or key for key in metrics)]
    rows = [
        [row, *(figure_text(found[key]) for key in metrics)]
        for row, found in evaluation.table.items()
    ]
    rows += [
        [row, *(f"{found[key].value:.3f}" for key in metrics)]
        for row, found in evaluation.ablation.items()
    ]
    blocks = " over whole slices" if evaluation.blocks is not None else ""
    text = (
        f"{len(evaluation.truth):,} held-back labels of {name}, "
        f"{int(evaluation.truth.sum()):,} of them true. Small figures: 95 % intervals by "
        f"bootstrap{blocks}. Rows “without ...” leave a rule out and keep the others."
    )
    shown = table(f"Measures of {name} by score", head, rows, strong=[REASONER])
    title = f"How good, with and without rules: {name}"
    body = paragraphs([text], "") + shown + paragraphs(evaluation.notes)
    return Section(f"good-{name}", title, body, f"How good ({name})")


def pictures_section(evaluation: Evaluation, drawn: Mapping[str, str]) -> Section:
    """Pictures of an evaluation, and the bins of its calibration."""
    name = evaluation.predicate
    names = belong_to(evaluation, list(drawn))
    svgs = [in_page(drawn[one], f"{name}-{place}") for place, one in enumerate(names)]
    text = (
        "Calibration: of the cases given a probability, how many were true, with 95 % intervals "
        "for cases that do not depend on each other, and how many there were. Where the band "
        "holds the dashed line, the probabilities can be taken at their word. "
        + calibration_text(evaluation.curve)
    )
    body = paragraphs([text], "") + figures(svgs) + _bins(name, evaluation.curve)
    return Section(f"pictures-{name}", f"Calibration and other pictures: {name}", body, "Pictures")


def _bins(name: str, curve: CalibrationCurve) -> str:
    head = ["predicted on average", "true", "share true", "95 % from", "to", "predicted is"]
    columns = (curve.predicted, curve.observed, curve.low, curve.high, curve.count)
    rows = [
        [
            percent(predicted),
            f"{observed * count:,.0f} of {count:,}",
            *(f"{share:.1%}".replace("%", " %") for share in (observed, low, high)),
            "within" if low <= predicted <= high else "too low" if predicted < low else "too high",
        ]
        for predicted, observed, low, high, count in zip(*columns, strict=True)
    ]
    shown = table(f"Calibration of {name} by bins of probability", head, rows)
    return f"<details><summary>Calibration as a table</summary>{shown}</details>"


def numbers_section(evaluation: NumericEvaluation) -> Section:
    """Measures of a numeric query."""
    name, metrics = evaluation.predicate, list(next(iter(evaluation.table.values())))
    rows = [
        [row, *(figure_text(found[key]) for key in metrics)]
        for row, found in evaluation.table.items()
    ]
    text = (
        f"{len(evaluation.truth):,} held-back numbers. Small figures: 95 % intervals by bootstrap."
    )
    shown = table(f"Measures of {name} by estimate", ["estimate", *metrics], rows)
    body = paragraphs([text], "") + shown + paragraphs(evaluation.notes)
    return Section(f"good-{name}", f"How good: {name}", body, f"How good ({name})")


def stability_section(evaluation: Evaluation) -> Section | None:
    """How conclusions move when rules or weights change."""
    if not evaluation.stability:
        return None
    rows = [
        [row.change, f"{row.kept} of 10", f"{row.moved:.3f}", f"{row.turned:,}"]
        for row in evaluation.stability
    ]
    head = ["change", "strongest ten that stay", "mean change of a probability", "cross 50 %"]
    text = (
        "How the conclusions move when a rule is left out, or the weights are fitted to "
        "resampled cases (then: half the width of 95 % intervals, and how many hold 50 %)."
    )
    name = evaluation.predicate
    body = paragraphs([text], "") + table(f"Conclusions of {name} after a change", head, rows)
    return Section(f"stable-{name}", f"How stable: {name}", body)


def accuracy_section(beliefs: Beliefs) -> Section:
    """What computed the probabilities, and how well they are known to be right."""
    lines = [f"{name}: {beliefs.quality(name)}" for name in beliefs.grounding.atoms.spans]
    head = ["engine", "atoms", "components", "its probabilities are"]
    rows = [
        [
            report.engine,
            f"{report.atoms:,}",
            f"{report.components:,}",
            quality_text(report.quality, report.error, report.checked),
        ]
        for report in beliefs.posterior.reports
    ]
    text = (
        "Exact: the rules and weights leave no other number. Confirmed: a second way of "
        "computing them agrees. Unconfirmed: nothing has checked them, or it does not agree."
    )
    shown = table("Engines", head, rows) if rows else ""
    body = paragraphs([text], "") + items(lines) + shown
    return Section("exact", "How exactly the probabilities were computed", body)
