"""Pictures for reports: matplotlib figures as SVG text, no display needed."""

from knowreason.report.curves import (
    calibration_figure,
    precision_recall_figure,
    scores_figure,
    slice_shares_figure,
    slices_figure,
)
from knowreason.report.svg import save_svg, svg_text
from knowreason.report.weight_figure import weights_figure

__all__ = [
    "calibration_figure",
    "precision_recall_figure",
    "save_svg",
    "scores_figure",
    "slice_shares_figure",
    "slices_figure",
    "svg_text",
    "weights_figure",
]
