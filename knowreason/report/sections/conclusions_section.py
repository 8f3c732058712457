"""The most probable conclusions: fields, truth where it is known, and reasons."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from knowreason.beliefs.beliefs import argument_columns
from knowreason.evaluate.decisions import queue_of
from knowreason.explanation import Explanation, reason_texts
from knowreason.explanation.explanation_text import percent, values_text
from knowreason.factors import OPEN
from knowreason.inference.quality_summary import EXACTLY
from knowreason.project.decided import decided_predicate
from knowreason.report.page_markup import Markup, Section, items, paragraphs, table
from knowreason.report.report_parts import ReportParts

MOST = 50  # conclusions of a predicate
WHOLE = 10  # of them have their whole explanation
REASONS = 3
TRUTH = {
    1: Markup("<span class='true'>✓ true</span>"),
    0: Markup("<span class='false'>✗ false</span>"),
}


def conclusions_section(findings: ReportParts, predicate: str) -> Section:
    """The most probable atoms of a predicate in a table that can be sorted and searched."""
    beliefs = findings.beliefs
    asked = beliefs.asked(predicate)
    order = np.argsort(-beliefs.log_odds[asked], kind="stable")[:MOST]
    atoms, alarms = asked[order], _alarms(findings, predicate, order)
    whole = atoms[:WHOLE].tolist()
    explained = beliefs.explainer.explain_many(whole, changes=3)
    explained += beliefs.explainer.explain_many(atoms[WHOLE:].tolist(), reasons=REASONS + 1)
    if findings.redactor is not None:
        explained = [findings.redactor.within(why) for why in explained]
    span = beliefs.grounding.span(predicate)
    data = beliefs.grounding.data
    things = argument_columns(data, predicate, span.arguments[atoms - span.start])
    named = {name: column.to_pylist() for name, column in things.items()}
    if findings.redactor is not None:
        named = {name: list(map(findings.redactor.name, own)) for name, own in named.items()}
    truth = beliefs.grounding.hidden[atoms].tolist()
    fields = _field_names(explained)
    rows = [
        [
            str(place + 1),
            *(own[place] for own in named.values()),
            _probability(why),
            *alarms[place],
            TRUTH.get(truth[place], "not known"),
            *(_field(why, name) for name in fields),
            *([_other_fields(why, fields)] if _has_others(explained, fields) else []),
            _reasons(why, whole=place < WHOLE),
        ]
        for place, why in enumerate(explained)
    ]
    others = ["more"] if _has_others(explained, fields) else []
    alarm = ["alarm"] if any(alarms) else []
    head = ["rank", *named, "probability", *alarm, "truth", *fields, *others, "reasons"]
    key = f"conclusions-{predicate}"
    known = [mark for mark in truth if mark != OPEN]
    text = (
        f"The {len(atoms):,} most probable of {len(asked):,} candidates; of {len(known):,} of them "
        f"the truth is known, {sum(known):,} are true. "
        "Figures behind reasons are log-odds: +0.69 doubles the odds."
    )
    shown = table(
        f"Most probable conclusions about {predicate}",
        head,
        rows,
        heading=1 if named else 0,
        sortable=f"{key}-tools",
    )
    body = paragraphs([text], "")
    body += _tools(f"{key}-tools") + shown if rows else ""
    return Section(
        key, f"The strongest conclusions, and why: {predicate}", body, f"Conclusions ({predicate})"
    )


def _alarms(
    findings: ReportParts, predicate: str, order: NDArray[np.int64]
) -> list[tuple[str, ...]]:
    """A cell for each row, where the project's decision is about the predicate; else none."""
    decision = findings.project.decision
    if decision is None or decided_predicate(decision, findings.reasoner.program) != predicate:
        return [()] * len(order)
    alarm = queue_of(findings.beliefs, decision).alarm[order].tolist()
    return [("yes" if raised else "no",) for raised in alarm]


def _tools(key: str) -> str:
    """Searching and sorting, hidden until the script runs."""
    return (
        f"<div class='tools' id='{key}' role='search' hidden>"
        f"<div><label for='{key}-words'>Search (every word)</label>"
        f"<input id='{key}-words' type='search' autocomplete='off'></div>"
        f"<div><label for='{key}-order'>Sort by</label><select id='{key}-order'></select></div>"
        f"<output for='{key}-words' aria-live='polite'></output></div>"
    )


def _field_names(explained: Sequence[Explanation]) -> list[str]:
    """Fields that are columns: those that do not name their thing as well."""
    return list(dict.fromkeys(f.name for why in explained for f in why.fields if "(" not in f.name))


def _has_others(explained: Sequence[Explanation], fields: Sequence[str]) -> bool:
    return any(field.name not in fields for why in explained for field in why.fields)


def _field(why: Explanation, name: str) -> str:
    return "; ".join(field.text for field in why.fields if field.name == name)


def _other_fields(why: Explanation, fields: Sequence[str]) -> str:
    return values_text([field for field in why.fields if field.name not in fields])


def _probability(why: Explanation) -> str:
    return Markup(f"<data value='{why.probability:.9g}'>{percent(why.probability)}</data>")


def _reasons(why: Explanation, *, whole: bool) -> Markup:
    said = items(reason_texts(why, REASONS)) or "what is said of all alike"
    if why.quality and why.quality != EXACTLY:
        said += paragraphs([why.quality])
    if whole:
        said += f"<details><summary>Whole explanation</summary>{_explanation(why)}</details>"
    return Markup(said)


def _explanation(why: Explanation) -> str:
    """Shares as bars, groundings, columns and changes."""
    largest = max((abs(share.log_odds) for share in why.shares), default=1.0) or 1.0
    bars = "".join(
        f"<li><span>{escape(f'{s.kind} {s.name}' if s.kind in ('model', 'rule') else s.name)}"
        f"</span><span>{s.log_odds:+.2f}</span><span class='bar'>"
        f"<span class='{'plus' if s.log_odds > 0 else 'minus'}' "
        f"style='width:{100 * abs(s.log_odds) / largest:.0f}%'></span></span></li>"
        for s in why.shares
    )
    reasons: list[str] = [
        Markup(
            f"<code>{escape(reason.text)}</code> ({reason.effect:+.2f})"
            + (f"<br>{escape(values_text(reason.values))}" if reason.values else "")
            + "".join(f"<br>{escape(name)}: {percent(p)} likely" for name, p in reason.others)
        )
        for reason in why.reasons
    ]
    changes = [f"{c.what} ({percent(c.before)} now, {percent(c.after)} then)" for c in why.what_if]
    columns = [f"{c.model}: {c.column} {c.text} ({c.log_odds:+.2f})" for c in why.columns]
    parts: list[tuple[str, list[str]]] = [
        ("Of the models' shares:", columns),
        ("Groundings that matter most:", reasons),
        ("It would turn around:", changes),
    ]
    lists = "".join(f"<p>{title}</p>{items(lines)}" for title, lines in parts if lines)
    return f"<p>Parts of the log-odds; they add up:</p><ul class='shares'>{bars}</ul>{lists}"
