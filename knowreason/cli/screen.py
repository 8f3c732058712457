"""What the verbs share: screens, tables, progress bars, findings, JSON."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Timer
from typing import TYPE_CHECKING, TextIO

from knowreason.cli.progress_lines import ProgressLines, beating
from knowreason.diagnostics import Diagnostic
from knowreason.errors import DataWarning, KnowreasonError
from knowreason.progress import Progress

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True, slots=True)
class Screen:
    """How much is said on stderr."""

    quiet: bool = False
    verbose: bool = False


PATIENCE = 2.0  # seconds that pass without a word
_screen = Screen()
_shown: set[str] = set()  # texts of warnings that were shown


def set_screen(screen: Screen) -> None:
    """Choose how much is said for the rest of the process."""
    global _screen
    _screen = screen
    _shown.clear()


def screen() -> Screen:
    """How much is said."""
    return _screen


def stdout() -> Console:
    """Where results go. Wide when it is no terminal, so that nothing is cut."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else 200
    return Console(width=width, highlight=False, soft_wrap=False)


def stderr() -> Console:
    """Where everything else goes."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def say(text: str) -> None:
    """A line for the user, on stderr, unless quiet."""
    if not _screen.quiet:
        sys.stderr.write(text + "\n")


def write(text: str) -> None:
    """A line of the result, on stdout."""
    sys.stdout.write(text + "\n")


def write_json(value: object) -> None:
    """A result as JSON, on stdout."""
    from knowreason.json_text import json_text

    write(json_text(value))


def write_table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str | None = None
) -> None:
    """A table on stdout; numbers stand to the right."""
    from rich import box
    from rich.table import Table

    cells = [[_cell(value) for value in row] for row in rows]
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    for position, column in enumerate(columns):
        numeric = bool(cells) and all(_is_number(row[position]) for row in cells)
        table.add_column(column, justify="right" if numeric else "left", no_wrap=numeric)
    for line in cells:
        table.add_row(*line)
    stdout().print(table)


def show_findings(diagnostics: Sequence[Diagnostic]) -> None:
    """Findings as text on stderr; what says the same at several places is one, with a count."""
    from knowreason.lang.diagnostic_rendering import render_text, together

    colour = sys.stderr.isatty() and "NO_COLOR" not in os.environ
    sys.stderr.write(render_text(together(diagnostics), color=colour))


def show_error(error: KnowreasonError) -> None:
    """An error the user can do something about."""
    show_findings(error.diagnostics)


def show_warnings(diagnostics: Sequence[Diagnostic], limit: int = 5) -> None:
    """Warnings that were not shown yet, the first few, unless quiet."""
    diagnostics = [d for d in diagnostics if d.message not in _shown]
    if _screen.quiet or not diagnostics:
        return
    _shown.update(d.message for d in diagnostics)
    shown = diagnostics if _screen.verbose else diagnostics[:limit]
    show_findings(shown)
    if len(shown) < len(diagnostics):
        say(f"... and {len(diagnostics) - len(shown)} more (-v shows all)")


@contextmanager
def warnings_as_findings() -> Iterator[None]:
    """Within it, Python's warnings about data are shown as findings."""
    with warnings.catch_warnings():
        plainly = warnings.showwarning

        def show(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            if isinstance(message, DataWarning):
                show_warnings([message.diagnostic])
            else:
                plainly(message, category, filename, lineno, file, line)

        warnings.simplefilter("always", DataWarning)
        warnings.showwarning = show
        yield


@contextmanager
def progress_bar(*, brief: bool = False) -> Iterator[Progress | None]:
    """A progress callback; ``None`` when quiet.

    It writes a line where a step ends, and one at least every minute; on a terminal each step
    that runs has a bar with time left below them.

    Args:
        brief: for what is done in a moment, mostly: nothing is shown before :data:`PATIENCE`
            seconds have passed, and of no step that took less.
    """
    least = PATIENCE if brief else 0.0
    if _screen.quiet:
        yield None
        return
    if not sys.stderr.isatty():
        lines = ProgressLines(say, least)
        with beating(lines):
            yield lines
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    bar = Bar(*columns, TimeRemainingColumn(), console=stderr(), transient=True)
    between = bar.add_task("starting", total=None)  # steps
    running: dict[str, TaskID] = {}
    above = ProgressLines(lambda line: bar.console.print(line, markup=False), least)

    def update(done: int, total: int, message: str) -> None:
        above(done, total, message)
        name = message.partition(": ")[0]
        if total and done >= total:
            if name in running:
                bar.remove_task(running.pop(name))
        else:
            if name not in running:
                running[name] = bar.add_task(message, total=None)
            bar.update(running[name], description=message, completed=done, total=total or None)
        bar.update(between, description="working", visible=not running)

    shown = Timer(least, bar.start)
    shown.start()
    try:
        yield update
    finally:
        shown.cancel()
        shown.join()
        bar.stop()


def _cell(value: object) -> str:
    from rich.markup import escape

    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: ""}[value]
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) >= 1000 else f"{value:.3f}"
    if isinstance(value, int):
        return f"{value:,}"
    return escape(str(value))


def _is_number(text: str) -> bool:
    stripped = text.replace(",", "").replace("%", "").strip()
    try:
        float(stripped)
    except ValueError:
        return stripped in ("", "-", "nan")
    return True
