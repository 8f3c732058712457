"""The verdict: what to do, in words, before any table."""

from __future__ import annotations

from html import escape

from knowreason.evaluate.evaluation import Evaluation
from knowreason.metrics.alarms import ANSWER, alarm_rows, loss_sentence
from knowreason.report.page_markup import Section, items, paragraphs, table
from knowreason.report.redaction import redacted_names
from knowreason.report.report_parts import ReportParts

# By kind of a verdict: its words, and the look of the box.
WORDS = {
    "use": ("Use", "good"),
    "use another": ("Do not use", "bad"),
    "ranking only": ("Use for ranking only", "part"),
    "cannot be told": ("Do not use yet: it cannot be told", "part"),
}


def verdict_section(findings: ReportParts) -> Section:
    """What to do with each query, what was asked, and what to know before."""
    body = [_box(evaluation) for evaluation in findings.evaluations]
    judged = {evaluation.predicate for evaluation in findings.evaluations}
    measured = {evaluation.predicate for evaluation in findings.numbers}
    body += [
        _words(name, "Do not use yet: not measured", "part", ["no label of it was held back"])
        for name in findings.queries
        if name not in judged
    ]
    body += [
        f"<p>{escape(name)} is a number: how far off it is stands below.</p>"
        for name in sorted(measured)
    ]
    beliefs = findings.beliefs
    for name in findings.queries:
        finding = beliefs.quality(name).finding
        body += [] if finding is None else paragraphs([f"{name}: {finding.message}"], "headline")
    body.append(_asked(findings))
    body.append(paragraphs(redacted_names(findings.redactor, beliefs.notes)))
    return Section("verdict", "Verdict", "".join(body), "Verdict")


def _box(evaluation: Evaluation) -> str:
    word, look = WORDS[evaluation.verdict.kind]
    lines = [] if evaluation.alarms is None else [str(evaluation.alarms)]
    return _words(evaluation.predicate, word, look, [*lines, str(evaluation.verdict)])


def _words(predicate: str, word: str, look: str, lines: list[str]) -> str:
    said = "".join(f"<p>{escape(f'{predicate}: {line}')}</p>" for line in lines)
    return f"<div class='verdict {look}'><p class='word'>{escape(word)}</p>{said}</div>"


def _asked(findings: ReportParts) -> str:
    program = findings.reasoner.program
    counts = {name: len(findings.beliefs.asked(name)) for name in findings.queries}
    asked = ", ".join(f"<b>{escape(n)}</b> of {count:,} candidates" for n, count in counts.items())
    models = ", ".join(escape(model.name) for model in program.models) or "none declared"
    beside = {escape(model.name): None for model in findings.reasoner.answers_.beside}
    models += f", beside them {', '.join(beside)}" * bool(beside)
    found = f"<p>Asked: {asked}. {len(program.rules)} rules; models: {models}.</p>"
    return found + items(
        f"{m.name} for {m.predicate}: {m.fitted.model.headline}"
        for m in findings.reasoner.models_
        if m.fitted.model.headline
    )


def alarm_section(evaluation: Evaluation) -> Section | None:
    """What the decision comes to, beside other scores, none and all."""
    measured = evaluation.alarms
    if measured is None:
        return None
    head, rows = alarm_rows(measured)
    title = f"Alarms {measured.decision}: {evaluation.predicate}"
    caption = "Alarms on held-back labels, by who raises them"
    shown = table(caption, head, rows, strong=[ANSWER])
    lines = [loss_sentence(measured), *measured.notes]
    key = f"alarms-{evaluation.predicate}"
    return Section(key, title, shown + paragraphs(lines), "Alarms")
