"""Pictures of the marketplace study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.marketplace_days import NEW, SAME
from knowreason.report import save_svg, weights_figure
from knowreason.report.chart import INK, PALETTE
from knowreason.report.weight_figure import WeightBar

Row = Mapping[str, Any]
ALL_DAYS, LATER = "whole test snapshot", "days after the training snapshot"


def draw_weights(rows: Sequence[Row], out: Path) -> None:
    """``marketplace_weights.svg``: rules only."""
    bars = [
        WeightBar(row["weight"], row["prior"], row["learned"], row["low"], row["high"])
        for row in rows
        if not row["weight"].startswith(("bias ", "scale "))
    ]
    out.mkdir(parents=True, exist_ok=True)
    save_svg(weights_figure(bars), out / "marketplace_weights.svg")


def draw_days(rows: Sequence[Row], out: Path) -> None:
    """``marketplace_days.svg``: AP on the days learned from and on one new day."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.6, 0.9 + 0.42 * len(rows)), layout="constrained")
    axis = figure.subplots()
    for shift, colour, part in ((-0.12, PALETTE[0], SAME), (0.12, PALETTE[1], NEW)):
        found = [row[part]["average_precision"] for row in rows]
        places = [place + shift for place in range(len(rows))]
        values = [one["value"] for one in found]
        axis.hlines(places, [o["low"] for o in found], [o["high"] for o in found], color=colour)
        axis.plot(values, places, "o", color=colour, label=part)
    axis.set_yticks(range(len(rows)), [row["name"] for row in rows], fontsize=9)
    axis.invert_yaxis()
    axis.set_xlim(0, 1)
    axis.set_xlabel("average precision (generated marketplace; 95 % by bootstrap over days)")
    axis.grid(axis="x", color="#e4e7eb", linewidth=0.6)
    axis.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper center", ncols=2, frameon=False, fontsize=9)
    out.mkdir(parents=True, exist_ok=True)
    save_svg(figure, out / "marketplace_days.svg")
    figure.savefig(out / "marketplace_days.png", dpi=110)


def draw_overlap(rows: Sequence[Row], out: Path) -> None:
    """``marketplace_overlap.svg``: AP and AUC by days of overlap, generated data."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.4, 6.0), layout="constrained")
    axes = figure.subplots(2, 2, sharex=True)
    names = list(dict.fromkeys(row["name"] for row in rows))
    for line, metric in enumerate(("average_precision", "roc_auc")):
        for column, part in enumerate((ALL_DAYS, LATER)):
            one = axes[line][column]
            for place, (colour, name) in enumerate(zip(PALETTE, names, strict=False)):
                mine = [
                    r for r in rows if (r["name"], r["part"], r["metric"]) == (name, part, metric)
                ]
                days = [r["overlap"] + 0.25 * (place - 1.5) for r in mine]
                middle = [r["value"] for r in mine]
                one.plot(days, middle, color=colour, marker="o", markersize=4, label=name)
                one.vlines(days, [r["low"] for r in mine], [r["high"] for r in mine], color=colour)
            one.set_title(part if line == 0 else "", fontsize=10, color=INK)
            one.grid(color="#e4e7eb", linewidth=0.6)
            one.spines[["top", "right"]].set_visible(False)
            one.set_ylabel(
                {"average_precision": "AP", "roc_auc": "AUC"}[metric] if not column else ""
            )
        axes[1][0].set_xlabel("days of overlap")
        axes[1][1].set_xlabel("days of overlap")
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    figure.suptitle("generated marketplace; 95 % by bootstrap over days", fontsize=9, color=INK)
    out.mkdir(parents=True, exist_ok=True)
    save_svg(figure, out / "marketplace_overlap.svg")
    figure.savefig(out / "marketplace_overlap.png", dpi=110)
