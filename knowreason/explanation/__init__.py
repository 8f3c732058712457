"""Why an atom is believed, why not, and what would change it."""

from knowreason.explanation.explainer import Explainer, explain
from knowreason.explanation.explanation_text import (
    Change,
    ColumnShare,
    DataChange,
    Explanation,
    FieldValue,
    Obstacle,
    Reason,
    Share,
    explanation_lines,
)
from knowreason.explanation.reason_table import explanation_table, reason_texts

__all__ = [
    "Change",
    "ColumnShare",
    "DataChange",
    "Explainer",
    "Explanation",
    "FieldValue",
    "Obstacle",
    "Reason",
    "Share",
    "explain",
    "explanation_lines",
    "explanation_table",
    "reason_texts",
]
