"""Pictures for reports: matplotlib figures as SVG text, no display needed."""

from knowreason.plot.curves import calibration_figure, precision_recall_figure, slices_figure
from knowreason.plot.energies import energies_figure
from knowreason.plot.svg import save_svg, svg_text
from knowreason.plot.weights import weights_figure

__all__ = [
    "calibration_figure",
    "energies_figure",
    "precision_recall_figure",
    "save_svg",
    "slices_figure",
    "svg_text",
    "weights_figure",
]
