"""The data behind the conclusions: how many, from when, how rare, what is missing or unmatched."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.special import expit

from knowreason.data import Dataset
from knowreason.data.binding.id_coverage import IdCoverage
from knowreason.data.id_tables import VALUE, id_table
from knowreason.data.splits.clocks import LATEST, label_clock
from knowreason.logic.value_texts import time_as_text, value_as_text
from knowreason.report.page_markup import Section, items, paragraphs, share_text, table
from knowreason.report.report_parts import ReportParts

MOST_TABLES = 40  # of ids, those that match least first


def data_section(findings: ReportParts) -> Section:
    """Sizes, dates, prevalence, missing values, and ids that no other table knows."""
    data = findings.beliefs.grounding.data
    things = ", ".join(f"{len(names):,} {sort}" for sort, names in data.vocabularies.items())
    facts = ", ".join(f"{found.num_rows:,} {name}" for name, found in data.facts.items())
    body = [
        items([f"Things: {things}.", *([f"Facts: {facts}."] if facts else [])]),
        _labels(findings),
        _prevalence(findings),
        _missing(data),
        _matched(findings, data),
    ]
    return Section("data", "The data", "".join(body), "Data")


def _labels(findings: ReportParts) -> str:
    """Labels learned from and held back, and what is asked, with their dates."""
    beliefs, training = findings.beliefs, findings.training
    data, rows = beliefs.grounding.data, []
    queries = [*findings.queries, *(q.name for q in findings.reasoner.program.numeric_queries)]
    for name in queries:
        if training is not None and name in training.labels:
            rows.append(_row(training, name, training.labels[name], "learned from"))
        if name in data.hidden:
            rows.append(_row(data, name, data.hidden[name], "held back to measure"))
        if name in beliefs.grounding.atoms.spans:
            asked, span = beliefs.asked(name), beliefs.grounding.span(name)
            atoms = id_table(list(span.arguments[asked - span.start].T.astype(np.int32)))
            expected = float(expit(beliefs.log_odds[asked]).sum())
            rows.append(
                [
                    f"{name}: asked",
                    f"{len(asked):,}",
                    f"{expected:,.1f} expected",
                    share_text(expected, len(asked)),
                    *_dates(data, name, atoms),
                ]
            )
    head = ["labels and questions", "how many", "true", "share true", "first", "last"]
    title = f"Labels and questions, with their dates (by the clock, in {data.program.zone})"
    return table(title, head, rows)


def _row(data: Dataset, name: str, labels: pa.Table, what: str) -> list[str]:
    dates, count = _dates(data, name, labels), labels.num_rows
    if data.program.is_number(name):
        return [f"{name}: {what}", f"{count:,}", "–", "–", *dates]
    true = pc.sum(pc.equal(labels.column(VALUE), 1)).as_py() or 0
    return [f"{name}: {what}", f"{count:,}", f"{true:,}", share_text(true, count), *dates]


def _dates(data: Dataset, name: str, atoms: pa.Table) -> list[str]:
    """First and last day (or value of a clock that counts) of atoms; dashes where there is none."""
    if not any(data.program.clock_of(sort) for sort in data.program.sorts_of(name)):
        return ["–", "–"]
    clock, sort = label_clock(data, name, atoms)
    known = clock[np.isfinite(clock) & (clock != LATEST)]
    if not len(known):
        return ["–", "–"]
    ends = [known.min().item(), known.max().item()]
    if sort == "time":
        return [time_as_text(end, data.program.zone)[: len("2026-01-31")] for end in ends]
    return [value_as_text(end, sort) for end in ends]


def _prevalence(findings: ReportParts) -> str:
    stated = findings.project.labels.prevalence
    if not stated:
        return ""
    return paragraphs(
        [
            f"The project file states a prevalence ({stated}): labels are taken to have been "
            "chosen, so shares among labels are no shares among all."
        ]
    )


def _missing(data: Dataset) -> str:
    """Things without a value, by attribute of one thing and by column of features."""
    rows = []
    for attribute in data.program.given_attributes:
        if len(attribute.sorts) != 1:
            continue
        known, whole = data.attributes[attribute.name].num_rows, data.count(attribute.sorts[0])
        rows.append(
            [
                attribute.name,
                attribute.sorts[0],
                f"{whole:,}",
                f"{whole - known:,}",
                share_text(whole - known, whole),
            ]
        )
    for domain, features in data.features.items():
        empty = np.isnan(features.values).sum(axis=0).tolist()
        rows += [
            [column, domain, f"{len(features):,}", f"{none:,}", share_text(none, len(features))]
            for column, none in zip(features.names, empty, strict=True)
        ]
    if not rows:
        return ""
    lacking = [row for row in rows if row[3] != "0"]
    body = paragraphs(
        [f"{len(rows) - len(lacking):,} of {len(rows):,} are known of every thing."], ""
    )
    if lacking:
        head = ["attribute or column", "of", "things", "without a value", "share"]
        body += table("Attributes and columns that lack values", head, lacking)
    return f"<h3>Missing values of attributes and columns</h3>{body}"


def _matched(findings: ReportParts, data: Dataset) -> str:
    """What ids of each table no other table has, and the other way round."""
    redacted = findings.redactor is not None
    found = sorted(data.coverage, key=lambda one: (-one.outside, -one.new, -one.missing))
    told = [] if redacted else [one.message for one in data.warnings]
    body = items(told)
    if redacted and data.warnings:
        body += paragraphs([f"{len(data.warnings):,} warnings about the data name things."])
    unlike = [one for one in found if one.outside or one.new or one.missing]
    if found:
        head = ["table", "of", "ids", "matched", "new", "missing", "for example"]
        rows = [
            [
                one.table,
                one.domain,
                *(f"{count:,}" for count in (one.ids, one.matched, one.new, one.missing)),
                "" if redacted else _examples(one),
            ]
            for one in unlike[:MOST_TABLES]
        ]
        text = (
            f"In {len(found) - len(unlike):,} of {len(found):,} places tables name the same things "
            "as others do. New: ids that no other table has. Missing: ids of other tables that "
            "this one lacks. Counted when the tables were read, before they were split."
        )
        body += paragraphs([text], "")
        body += table("Ids of each table that others know", head, rows) if rows else ""
    return f"<h3>Ids</h3>{body}" if body else ""


def _examples(one: IdCoverage) -> str:
    named = (("new", one.new_examples), ("missing", one.missing_examples))
    return "; ".join(f"{what} {', '.join(names)}" for what, names in named if names)
