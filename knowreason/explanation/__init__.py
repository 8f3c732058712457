"""Why an atom is believed, why not, and what would change it."""

from knowreason.explanation.explainer import Explainer, explain
from knowreason.explanation.explanation_text import (
    Change,
    Explanation,
    Obstacle,
    Reason,
    Share,
    explanation_lines,
)

__all__ = [
    "Change",
    "Explainer",
    "Explanation",
    "Obstacle",
    "Reason",
    "Share",
    "explain",
    "explanation_lines",
]
