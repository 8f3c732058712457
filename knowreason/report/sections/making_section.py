"""How the run was made: models, notes of training, tables of models."""

from __future__ import annotations

from collections.abc import Mapping

from knowreason.report.page_markup import Section, items, table
from knowreason.report.redaction import redacted_names
from knowreason.report.report_parts import ReportParts


def making_section(findings: ReportParts) -> Section:
    """Reports of models and learners, findings and engines."""
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
    body = items(redacted_names(findings.redactor, lines))
    if findings.redactor is None:  # tables of models may be of things
        body += "".join(
            table(
                f"{model.name} for {model.predicate}: {title}",
                found.column_names,
                [_cells(row) for row in found.to_pylist()],
            )
            for model in findings.reasoner.models_
            for title, found in model.fitted.model.tables().items()
        )
    return Section("made", "How it was made", body, "How it was made")


def _cells(row: Mapping[str, object]) -> list[str]:
    return [f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in row.values()]
