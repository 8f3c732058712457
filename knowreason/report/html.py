"""``report.html``: one file, no network, that a manager can read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import exp, isfinite
from typing import TYPE_CHECKING

import numpy as np

from knowreason.beliefs.beliefs import Beliefs
from knowreason.beliefs.reasons import explain_index
from knowreason.evaluate.evaluation import REASONER, Evaluation
from knowreason.evaluate.numeric_evaluation import NumericEvaluation
from knowreason.explanation import Explanation
from knowreason.explanation.explanation_text import percent, values_text
from knowreason.inference.quality_summary import EXACTLY, quality_text
from knowreason.logic import Program
from knowreason.logic.canonical_text import rule_text
from knowreason.metrics.alarms import ANSWER, alarm_rows, loss_sentence
from knowreason.metrics.metrics import Estimate, metric
from knowreason.project.schema import Project
from knowreason.reasoner.reasoner import Reasoner
from knowreason.reasoner.rule_weights import RuleWeight
from knowreason.report import (
    calibration_figure,
    precision_recall_figure,
    slices_figure,
    svg_text,
    weights_figure,
)
from knowreason.report.redaction import Redactor, redacted_names
from knowreason.report.style import PAGE, STYLE
from knowreason.report.weight_figure import WeightBar

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STRONGEST = 10


@dataclass(frozen=True)
class ReportParts:
    """What a report is made of."""

    project: Project
    reasoner: Reasoner
    beliefs: Beliefs
    evaluations: tuple[Evaluation, ...]
    numbers: tuple[NumericEvaluation, ...] = ()
    redactor: Redactor | None = None  # of the names of things


def report_html(findings: ReportParts, pictures: Mapping[str, str] | None = None) -> str:
    """The whole page; ``pictures`` are :func:`pictures_of` its evaluations where drawn before."""
    parts = [_asked(findings)]
    drawn = pictures_of(findings.evaluations) if pictures is None else pictures
    for evaluation in findings.evaluations:
        shown = [svg for name, svg in drawn.items() if name in _pictures_of(evaluation)]
        parts += [_alarms(evaluation), _how_good(evaluation), _pictures(shown), _stable(evaluation)]
    parts += [_numbers(found) for found in findings.numbers]
    parts.append(_accuracy(findings.beliefs))
    parts += [_weights(findings), _strongest(findings), _rules(findings), _how_made(findings)]
    title = findings.project.name.replace("_", " ")
    return PAGE.format(title=escape(title), style=STYLE, body="\n".join(parts))


def weight_words(weight: RuleWeight, program: Program) -> str:
    """A weight and its interval in words."""
    low, high = weight.interval
    if weight.kind == "bias":
        return f"base rate {percent(1 / (1 + exp(-weight.value)))} before models and rules"
    if not isfinite(low):
        return weight.status
    if weight.kind == "scale":
        return f"counted {weight.value:.2f} times (about {max(low, 0):.2f} to {high:.2f})"
    if weight.status == "given":
        return f"given: odds times {_factor(weight.value)}"
    if weight.status.startswith("at its bound"):
        return "no weight: the data do not support it"
    return (
        f"odds times {_factor(weight.value)} where it applies "
        f"({_factor(low)} to {_factor(high)}); {weight.status}"
    )


def _factor(log_odds: float) -> str:
    value = exp(min(log_odds, 30))
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}" if value >= 0.1 else f"{value:.2g}"


def _asked(findings: ReportParts) -> str:
    program = findings.reasoner.program
    asked = [p for p in program.predicates if p.kind == "query"]
    counts = {p.name: len(findings.beliefs.asked(p.name)) for p in asked}
    candidates = ", ".join(
        f"<b>{escape(n)}</b> of {count:,} candidates" for n, count in counts.items()
    )
    models = ", ".join(escape(model.name) for model in program.models) or "none"
    question = escape(findings.project.report.question)
    lines = [f"<p class='question'>{question}</p>"] if question else []
    lines.append(f"<p>Asked: {candidates}. {len(program.rules)} rules; models: {models}.</p>")
    lines += [
        f"<p><b>{escape(f'{m.name} for {m.predicate}: {m.fitted.model.headline}')}</b></p>"
        for m in findings.reasoner.models_
        if m.fitted.model.headline
    ]
    lines += [
        f"<p class='headline'>{escape(f'{e.predicate}: {e.alarms}')}</p>"
        for e in findings.evaluations
        if e.alarms is not None
    ]
    lines += [
        f"<p class='headline'>{escape(f'{e.predicate}: {e.verdict}')}</p>"
        for e in findings.evaluations
    ]
    unsure = [(name, findings.beliefs.quality(name).finding) for name in counts]
    lines += [
        f"<p><b>{escape(f'{name}: {finding.message}')}</b></p>"
        for name, finding in unsure
        if finding is not None
    ]
    notes = redacted_names(findings.redactor, findings.beliefs.notes)
    lines += [f"<p class='note'>{escape(note)}</p>" for note in notes]
    return _section("What was asked", "".join(lines))


def _alarms(evaluation: Evaluation) -> str:
    """What the decision comes to, beside other scores, none and all."""
    measured = evaluation.alarms
    if measured is None:
        return ""
    head, rows = alarm_rows(measured)
    table = _table(head, [(row, row[0] == ANSWER) for row in rows])
    lines = [loss_sentence(measured), *measured.notes]
    notes = "".join(f"<p class='note'>{escape(line)}</p>" for line in lines)
    title = f"Alarms {measured.decision}: {evaluation.predicate}"
    return _section(title, table + notes)


def _how_good(evaluation: Evaluation) -> str:
    metrics = list(next(iter(evaluation.table.values())))
    head = ["", *(metric(name).title or name for name in metrics)]
    rows = [
        ([name, *(_estimate(row[key]) for key in metrics)], name == REASONER)
        for name, row in evaluation.table.items()
    ]
    rows += [
        ([name, *(f"{row[key].value:.3f}" for key in metrics)], False)
        for name, row in evaluation.ablation.items()
    ]
    blocks = " over whole slices" if evaluation.blocks is not None else ""
    text = (
        f"<p>{len(evaluation.truth):,} held-back labels of {escape(evaluation.predicate)}, "
        f"{int(evaluation.truth.sum()):,} of them true. Small figures: 95 % intervals by "
        f"bootstrap{blocks}. Rows “without ...” leave a rule out and keep the others.</p>"
    )
    notes = "".join(f"<p class='note'>{escape(note)}</p>" for note in evaluation.notes)
    title = f"How good, with and without rules: {evaluation.predicate}"
    return _section(title, text + _table(head, rows) + notes)


def _numbers(evaluation: NumericEvaluation) -> str:
    metrics = list(next(iter(evaluation.table.values())))
    rows = [
        ([name, *(_estimate(row[key]) for key in metrics)], False)
        for name, row in evaluation.table.items()
    ]
    text = (
        f"<p>{len(evaluation.truth):,} held-back numbers. Small figures: 95 % intervals by "
        "bootstrap.</p>"
    )
    notes = "".join(f"<p class='note'>{escape(note)}</p>" for note in evaluation.notes)
    title = f"How good: {evaluation.predicate}"
    return _section(title, text + _table(["", *metrics], rows) + notes)


def _pictures(drawn: Sequence[str]) -> str:
    pictures = "".join(f"<figure>{svg}</figure>" for svg in drawn)
    text = (
        "<p>On the left: of the cases given a probability, how many were true, with 95 % intervals "
        "for cases that do not depend on each other; where these hold the dashed line, the "
        "probabilities can be taken at their word.</p>"
    )
    return _section("In pictures", f"{text}<div class='figures'>{pictures}</div>")


def _shown(evaluation: Evaluation) -> dict[str, np.ndarray]:
    """The reasoner and the four best others."""
    first = next(iter(evaluation.table[REASONER]))
    others = [name for name in evaluation.scores if name != REASONER]
    others.sort(key=lambda name: -np.nan_to_num(evaluation.table[name][first].value))
    return {name: evaluation.scores[name] for name in (*others[:4], REASONER)}


def _stable(evaluation: Evaluation) -> str:
    if not evaluation.stability:
        return ""
    rows = [
        ([row.change, f"{row.kept} of 10", f"{row.moved:.3f}", f"{row.turned:,}"], False)
        for row in evaluation.stability
    ]
    head = ["", "strongest ten that stay", "mean change of a probability", "cross 50 %"]
    text = (
        "<p>How the conclusions move when a rule is left out, or the weights are fitted to "
        "resampled cases (then: half the width of 95 % intervals, and how many hold 50 %).</p>"
    )
    return _section(f"How stable: {evaluation.predicate}", text + _table(head, rows))


def _accuracy(beliefs: Beliefs) -> str:
    """What computed the probabilities, and how well they are known to be right."""
    spans = beliefs.grounding.atoms.spans
    lines = [f"<li>{escape(f'{name}: {beliefs.quality(name)}')}</li>" for name in spans]
    head = ["engine", "atoms", "components", "its probabilities are"]
    rows = [
        (
            [
                report.engine,
                f"{report.atoms:,}",
                f"{report.components:,}",
                quality_text(report.quality, report.error, report.checked),
            ],
            False,
        )
        for report in beliefs.posterior.reports
    ]
    text = (
        "<p>Exact: the rules and weights leave no other number. Confirmed: a second way of "
        "computing them agrees. Unconfirmed: nothing has checked them, or it does not agree.</p>"
    )
    table = _table(head, rows) if rows else ""
    title = "How exactly the probabilities were computed"
    return _section(title, f"{text}<ul>{''.join(lines)}</ul>{table}")


def _weights(findings: ReportParts) -> str:
    program, weights = findings.reasoner.program, list(findings.reasoner.weights_.shown())
    rows = [
        ([w.name, f"{w.prior_mean:.2f}", f"{w.value:.2f}", weight_words(w, program)], False)
        for w in weights
    ]
    head = ["", "before learning", "learned (log-odds)", "in words"]
    unused = ""
    answers = findings.reasoner.answers_
    if answers.weights is not None:
        unused = f"<p>Conclusions rest on others. {escape(answers.notes[0].capitalize())}.</p>"
    table = unused + _table(head, rows)
    drawn = [
        w for w in weights if w.kind == "rule" and w.status != "given" and isfinite(w.interval[0])
    ]
    picture = ""
    if drawn:
        bars = [WeightBar(w.name, w.prior_mean, w.value, *w.interval) for w in drawn]
        picture = f"<figure>{svg_text(weights_figure(bars))}</figure>"
    return _section("What the rules weigh", table + picture)


def _strongest(findings: ReportParts) -> str:
    blocks = []
    for predicate in findings.reasoner.program.predicates:
        if predicate.kind != "query":
            continue
        atoms = findings.beliefs.asked(predicate.name)
        log_odds = findings.beliefs.log_odds[atoms]
        for rank in np.argsort(-log_odds, kind="stable")[:STRONGEST].tolist():
            explanation = explain_index(findings.beliefs, int(atoms[rank]), obstacles=0)
            if findings.redactor is not None:
                explanation = findings.redactor.within(explanation)
            blocks.append(_conclusion(explanation))
    return _section("The strongest conclusions, and why", "".join(blocks))


def _conclusion(explanation: Explanation) -> str:
    largest = max((abs(share.log_odds) for share in explanation.shares), default=1.0) or 1.0
    bars = "".join(
        f"<tr><td>{escape(f'{s.kind} {s.name}' if s.kind in ('model', 'rule') else s.name)}</td>"
        f"<td class='num'>{s.log_odds:+.2f}</td><td class='bar'>"
        f"<span class='{'plus' if s.log_odds > 0 else 'minus'}' "
        f"style='width:{100 * abs(s.log_odds) / largest:.0f}%'></span></td></tr>"
        for s in explanation.shares
    )
    reasons = "".join(
        f"<li><code>{escape(reason.text)}</code> ({reason.effect:+.2f})"
        + (f"<br>{escape(values_text(reason.values))}" if reason.values else "")
        + "".join(f"<br>{escape(name)}: {percent(p)} likely" for name, p in reason.others)
        + "</li>"
        for reason in explanation.reasons
    )
    changes = "".join(
        f"<li>{escape(c.what)} ({percent(c.before)} now, {percent(c.after)} then)</li>"
        for c in explanation.what_if
    )
    columns = "".join(
        f"<li>{escape(f'{c.model}: {c.column} {c.text}')} ({c.log_odds:+.2f})</li>"
        for c in explanation.columns
    )
    fields = values_text(explanation.fields)
    body = f"<p>{escape(fields)}</p>" if fields else ""
    body += f"<table class='shares'>{bars}</table>"
    body += f"<p>Of the models' shares:</p><ul>{columns}</ul>" if columns else ""
    body += f"<p>Groundings that matter most:</p><ul>{reasons}</ul>" if reasons else ""
    body += f"<p>It would turn around:</p><ul>{changes}</ul>" if changes else ""
    if explanation.quality and explanation.quality != EXACTLY:
        body = f"<p class='note'>{escape(explanation.quality)}</p>{body}"
    summary = f"{escape(explanation.atom)}: {percent(explanation.probability)}"
    return f"<details><summary>{summary}</summary>{body}</details>"


def _rules(findings: ReportParts) -> str:
    text = "\n".join(rule_text(rule) for rule in findings.reasoner.program.rules)
    return _section("The rules", f"<pre>{escape(text)}</pre>")


def _how_made(findings: ReportParts) -> str:
    lines = [
        *(
            f"{model.name} for {model.predicate}: {'; '.join(model.fitted.report)}"
            for model in findings.reasoner.models_
        ),
        *findings.reasoner.answers_.notes,
        *map(str, findings.reasoner.fit_.estimators),
        *findings.reasoner.fit_.notes,
        *(f"{one.message} ({one.help})" for one in findings.reasoner.fit_.findings),
        *findings.beliefs.info.splitlines(),
    ]
    shown = redacted_names(findings.redactor, lines)
    items = "".join(f"<li>{escape(line)}</li>" for line in shown)
    if findings.redactor is not None:  # tables of models may be of things
        return _section("How it was made", f"<ul>{items}</ul>")
    tables = "".join(
        f"<p>{escape(f'{model.name} for {model.predicate}: {title}')}</p>"
        + _table(table.column_names, [(_cells(row), False) for row in table.to_pylist()])
        for model in findings.reasoner.models_
        for title, table in model.fitted.model.tables().items()
    )
    return _section("How it was made", f"<ul>{items}</ul>{tables}")


def _cells(row: Mapping[str, object]) -> list[str]:
    return [f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in row.values()]


def _section(title: str, body: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{body}</section>"


def _table(head: Sequence[str], rows: Iterable[tuple[Sequence[str], bool]]) -> str:
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join(
        f"<tr{' class=ours' if ours else ''}>"
        + "".join(f"<td>{_cell(c)}</td>" for c in row)
        + "</tr>"
        for row, ours in rows
    )
    return f"<div class='scroll'><table><tr>{top}</tr>{body}</table></div>"


def _cell(text: str) -> str:
    return text if text.startswith("<span") else escape(text)


def _estimate(estimate: Estimate) -> str:
    if not np.isfinite(estimate.low):
        return f"{estimate.value:.3f}"
    return (
        f"<span>{estimate.value:.3f}<small> {estimate.low:.3f}–{estimate.high:.3f}</small></span>"
    )


def pictures_of(evaluations: Sequence[Evaluation]) -> dict[str, str]:
    """SVG text of every picture by file name."""
    return {
        name: svg_text(draw())
        for evaluation in evaluations
        for name, draw in _pictures_of(evaluation).items()
    }


def _pictures_of(evaluation: Evaluation) -> dict[str, Callable[[], Figure]]:
    """What draws each picture of an evaluation, by file name."""
    name = evaluation.predicate
    found = {f"calibration_{name}.svg": lambda: calibration_figure(evaluation.curve)}
    if evaluation.truth.any():
        found[f"precision_recall_{name}.svg"] = lambda: precision_recall_figure(
            evaluation.truth, _shown(evaluation), REASONER
        )
    ranking = [
        key
        for key in (evaluation.slices[0] if evaluation.slices else ())
        if key in evaluation.table[REASONER]
    ]
    if ranking:
        found[f"slices_{name}.svg"] = lambda: slices_figure(evaluation.slices, ranking[0])
    return found
