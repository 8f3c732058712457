"""What the studies share: their options, tables on the screen, JSON and pictures in a folder.

A study is run as ``python -m benchmarks.NAME`` from the root of the repository.
"""

from __future__ import annotations

import argparse
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

DATA = "KNOWREASON_DATA"
Row = Mapping[str, Any]


def parser(doc: str, name: str) -> argparse.ArgumentParser:
    """A parser with ``--out``, ``--seeds`` and ``--quick``."""
    made = argparse.ArgumentParser(description=doc.split("\n")[0])
    made.add_argument("--out", type=Path, default=Path("out") / name, help="folder for results")
    made.add_argument("--seeds", type=int, default=5, help="how many seeds, from 0")
    made.add_argument("--quick", action="store_true", help="the reduced run, in minutes")
    return made


def data_folder() -> Path:
    """Where the outside data sets are: ``KNOWREASON_DATA``.

    Raises:
        SystemExit: when the variable is not set or names no folder.
    """
    folder = Path(os.environ.get(DATA, ""))
    if DATA not in os.environ or not folder.is_dir():
        raise SystemExit(f"set {DATA} to the folder with the data sets")
    return folder


def show(title: str, rows: Iterable[Row], columns: Sequence[str] = ()) -> None:
    """Print rows as a table; floats with three digits, ``None`` as nothing."""
    rows = list(rows)
    names = list(columns) or list(dict.fromkeys(name for row in rows for name in row))
    table = Table(title=title, title_justify="left", header_style="bold")
    for name in names:
        number = any(isinstance(row.get(name), int | float) for row in rows)
        table.add_column(name, justify="right" if number else "left", no_wrap=number)
    for row in rows:
        table.add_row(*(_text(row.get(name)) for name in names))
    Console(width=max(160, Console().width)).print(table)


def spread(values: Iterable[float], digits: int = 3) -> str:
    """``mean ± standard deviation`` over seeds; the value alone where there is one."""
    array = np.array([value for value in values if not math.isnan(value)])
    if not len(array):
        return "-"
    if len(array) == 1:
        return f"{array[0]:.{digits}f}"
    return f"{array.mean():.{digits}f} ± {array.std(ddof=1):.{digits}f}"


def write(out: Path, name: str, record: Any) -> Path:
    """Write ``record`` as ``NAME.json`` into ``out``; returns the file."""
    out.mkdir(parents=True, exist_ok=True)
    file = out / f"{name}.json"
    temporary = file.with_suffix(".json.part")
    temporary.write_text(json.dumps(record, indent=1, default=_plain) + "\n")
    temporary.replace(file)
    return file


def _text(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.3f}" if isinstance(value, float | np.floating) else str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise TypeError(f"a {type(value).__name__} is no JSON")
