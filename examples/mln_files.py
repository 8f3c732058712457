"""Files of ground atoms, one a line: `father(1, 5)`, `!male(3)`."""

from __future__ import annotations

import os
from pathlib import Path

import polars as pl

ATOM = r"^\s*(?<negation>!?)(?<predicate>\w+)\((?<arguments>.*)\)\s*$"


def data_folder() -> Path:
    """Folder of the real data: `KNOWREASON_DATA`, or `shared/data` beside the checkout."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    return Path(os.environ.get("KNOWREASON_DATA", beside))


def read_atoms(path: Path) -> dict[str, pl.DataFrame]:
    """A frame a predicate: columns `a0 ...` (text) and `truth` (false after `!`).

    Raises:
        ValueError: naming the first line that is no ground atom.
    """
    lines = pl.Series("line", path.read_text().splitlines())
    frame = pl.DataFrame({"line": lines}).with_row_index("number", offset=1)
    frame = frame.filter(pl.col("line").str.strip_chars() != "")
    frame = frame.with_columns(pl.col("line").str.extract_groups(ATOM).alias("atom")).unnest("atom")
    wrong = frame.filter(pl.col("predicate").is_null())
    if wrong.height:
        raise ValueError(f"{path}:{wrong['number'][0]}: not a ground atom: {wrong['line'][0]}")
    return {name: _columns(group) for (name,), group in frame.group_by("predicate")}


def _columns(group: pl.DataFrame) -> pl.DataFrame:
    arguments = group["arguments"].str.split(",").list.eval(pl.element().str.strip_chars())
    names = [f"a{position}" for position in range(arguments.list.len().max())]
    return pl.DataFrame(
        {name: arguments.list.get(position) for position, name in enumerate(names)}
        | {"truth": group["negation"] != "!"}
    )
