"""What the rules weigh, in numbers, words and a picture."""

from __future__ import annotations

from html import escape
from math import exp, isfinite

from knowreason.explanation.explanation_text import percent
from knowreason.logic import Program
from knowreason.logic.canonical_text import rule_text
from knowreason.reasoner.rule_weights import RuleWeight
from knowreason.report.page_markup import Section, figures, paragraphs, table
from knowreason.report.report_parts import ReportParts
from knowreason.report.svg import described, in_page, svg_text
from knowreason.report.weight_figure import WeightBar, weights_figure


def weights_section(findings: ReportParts) -> Section:
    """Weights before and after learning."""
    program, weights = findings.reasoner.program, list(findings.reasoner.weights_.shown())
    rows = [
        [w.name, f"{w.prior_mean:.2f}", f"{w.value:.2f}", weight_words(w, program)] for w in weights
    ]
    answers, body = findings.reasoner.answers_, ""
    if answers.weights is not None:
        body = paragraphs([f"Conclusions rest on others. {answers.notes[0].capitalize()}."], "")
    head = ["weight of", "before learning", "learned (log-odds)", "in words"]
    body += table("Weights in log-odds", head, rows)
    drawn = [
        w for w in weights if w.kind == "rule" and w.status != "given" and isfinite(w.interval[0])
    ]
    if drawn:
        bars = [WeightBar(w.name, w.prior_mean, w.value, *w.interval) for w in drawn]
        said = "; ".join(f"{b.name} {b.value:.2f} ({b.low:.2f} to {b.high:.2f})" for b in bars)
        title = "Learned weights with 95 % intervals"
        svg = described(svg_text(weights_figure(bars)), title, f"{said}.")
        body += figures([in_page(svg, "weights")])
    return Section("weights", "What the rules weigh", body, "Weights")


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


def rules_section(findings: ReportParts) -> Section:
    """The rules as they are written."""
    text = "\n".join(rule_text(rule) for rule in findings.reasoner.program.rules)
    return Section("rules", "The rules", f"<pre>{escape(text)}</pre>", "Rules")
