"""``knowreason backtest``: each rule, and the file as a whole, over past slices of time."""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from knowreason.cli.screen import progress_bar, say, write_json, write_table
from knowreason.cli.verb_options import SetOption, settings_of

if TYPE_CHECKING:
    from knowreason.lifecycle.backtest import Backtest, BacktestRow
    from knowreason.metrics.intervals import Estimate

SURE = 0.01  # chance below which a change of precision is marked


def backtest(
    project: Annotated[Path, typer.Argument(help="Project file, or the folder that holds it.")],
    start: Annotated[
        str,
        typer.Option("--from", help="Where the first slice begins; default: where [split] cuts."),
    ] = "",
    slices: Annotated[int, typer.Option(min=1, help="So many slices of one length.")] = 6,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="A row a rule and slice: .parquet or .csv"),
    ] = None,
    picture: Annotated[Path | None, typer.Option(help="Precision by slice, as .svg")] = None,
    force: Annotated[bool, typer.Option(help="Replace files that are there.")] = False,
    set: SetOption = None,
    json: Annotated[bool, typer.Option("--json", help="JSON instead of tables.")] = False,
) -> None:
    """Test each rule, and the file as a whole, on past slices of time.

    Each slice is judged by what is learned from what lies before it. A rule fires at an atom of its
    head where its body holds; unknown atoms in it hold where they are more likely than not.
    """
    with progress_bar() as progress:  # which shows while libraries are imported, too
        from knowreason.lifecycle.backtest import backtest_project
        from knowreason.project.project_file import load_project
        from knowreason.run.run_prediction import check_result_file, save_table

        loaded = load_project(project, settings_of(set))
        for file in (output, picture):
            if file is not None:
                check_result_file(file, loaded, replace=force, picture=file is picture)
        found = backtest_project(loaded, start=start, slices=slices, progress=progress)
    if output is not None:
        table = found.to_arrow()
        save_table(table, output)
        say(f"{table.num_rows:,} rows: {output}")
    if picture is not None:
        _draw(found, picture)
        say(f"picture: {picture}")
    if json:
        write_json(found.to_dict())
    else:
        show(found)


def show(found: Backtest) -> None:
    """The tables of rules and slices, and what is to be said of them."""
    from knowreason.lifecycle.backtest import WHOLE

    for predicate in dict.fromkeys(row.predicate for row in found.rows):
        rows = [row for row in found.rows if row.predicate == predicate]
        title = f"{predicate}: {len(found.slices)} slices by {found.by}, from {found.slices[0]} on"
        head = ("", "fired", "labelled", "precision", "recall", "unique", "overlap", "with most")
        lines = [(*_line(row), *_halves(row)) for row in rows]
        write_table([*head, "early", "late", ""], lines, title=title)
        (whole,) = (row for row in rows if row.rule == WHOLE)
        slices = [
            (name, f.fired, f.labelled, f.wanted, _share(f.precision), _share(f.recall))
            for name, f in zip(found.slices, whole.by_slice, strict=True)
        ]
        columns = ("slice", "alarms", "labelled", "true", "precision", "recall")
        write_table(
            columns, slices, title=f"{predicate}: alarms {found.alarms[predicate]}, by slice"
        )
    say("unique: right, and no other rule that acts fires there (of alarms: no rule does)")
    if any(row.drift < SURE for row in found.rows):
        say("*: precision differs between the earlier and the later slices beyond chance (1 %)")
    for why in dict.fromkeys(found.left.values()):
        names = ", ".join(f"`{name}`" for name, own in found.left.items() if own == why)
        say(f"not measured: {names} ({why})")


def _draw(found: Backtest, path: Path) -> None:
    from knowreason.lifecycle.backtest import WHOLE
    from knowreason.report.curves import slice_shares_figure
    from knowreason.report.svg import save_svg

    shares = {
        row.rule: [figures.precision.value for figures in row.by_slice]
        for row in found.rows
        if row.predicate == found.rows[0].predicate
    }
    save_svg(slice_shares_figure(found.slices, shares, WHOLE, "precision"), path)


def _line(row: BacktestRow) -> Iterator[object]:
    said = "" if row.says else f" (!{row.predicate})"
    yield f"{row.rule}{said}{' [shadow]' if row.shadow else ''}"
    yield row.figures.fired
    yield row.figures.labelled
    precision = row.figures.precision
    yield (
        f"{_share(precision)} ({precision.low:.2f}-{precision.high:.2f})"
        if isfinite(precision.value)
        else "-"
    )
    yield _share(row.figures.recall)
    yield row.unique
    yield f"{row.overlap:.0%}" if isfinite(row.overlap) else "-"
    yield row.with_most


def _halves(row: BacktestRow) -> Iterator[str]:
    for half in row.halves:
        yield _share(half.precision)
    yield "*" if row.drift < SURE else ""


def _share(estimate: Estimate) -> str:
    return f"{estimate.value:.2f}" if isfinite(estimate.value) else "-"
