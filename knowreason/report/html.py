"""``report.html``: one file, no network, that a manager can read."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from knowreason.report.evaluation_pictures import pictures_of
from knowreason.report.page_markup import Section
from knowreason.report.page_script import POLICY, SCRIPT
from knowreason.report.report_parts import ReportParts
from knowreason.report.sections.conclusions_section import conclusions_section
from knowreason.report.sections.data_section import data_section
from knowreason.report.sections.making_section import making_section
from knowreason.report.sections.measures_section import (
    accuracy_section,
    measures_section,
    numbers_section,
    pictures_section,
    stability_section,
)
from knowreason.report.sections.verdict_section import alarm_section, verdict_section
from knowreason.report.sections.weights_section import rules_section, weights_section
from knowreason.report.style import PAGE, STYLE


def report_html(findings: ReportParts, pictures: Mapping[str, str] | None = None) -> str:
    """The whole page; ``pictures`` are :func:`pictures_of` its evaluations where drawn before."""
    drawn = pictures_of(findings.evaluations) if pictures is None else pictures
    evaluations = findings.evaluations
    found: list[Section | None] = [
        verdict_section(findings),
        *map(alarm_section, evaluations),
        data_section(findings),
    ]
    for evaluation in evaluations:
        found += [measures_section(evaluation), pictures_section(evaluation, drawn)]
    found += map(numbers_section, findings.numbers)
    found += [conclusions_section(findings, name) for name in findings.queries]
    found += [weights_section(findings), *map(stability_section, evaluations)]
    found += [accuracy_section(findings.beliefs), rules_section(findings), making_section(findings)]
    sections = [section for section in found if section is not None]
    name = findings.project.name.replace("_", " ")
    listed = "".join(
        f'<li><a href="#{escape(one.key)}">{escape(one.short)}</a></li>'
        for one in sections
        if one.short
    )
    return PAGE.format(
        policy=escape(POLICY),
        title=escape(findings.project.report.question or name),
        style=STYLE,
        name=escape(f"Report: {name}"),
        listed=listed,
        body="\n".join(map(str, sections)),
        script=SCRIPT,
    )
