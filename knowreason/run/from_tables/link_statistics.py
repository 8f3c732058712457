"""What links of things say, counted: whether a label goes with them, how fast events follow."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from knowreason.data.engine.duckdb_engine import quoted
from knowreason.run.from_tables.label_guesses import Label
from knowreason.run.from_tables.schema_guesses import TableGuess
from knowreason.run.from_tables.table_profiles import TableProfiler

WINDOWS = {
    "1h": 3600,
    "6h": 21_600,
    "1d": 86_400,
    "7d": 604_800,
    "30d": 2_592_000,
    "365d": 31_536_000,
}


@dataclass(frozen=True, slots=True)
class Shared:
    """How often rows that share a thing with a true one are true: ``share`` of ``pairs``."""

    share: float
    pairs: int


def shared_labels(
    profiler: TableProfiler, label: Label, labelled: TableGuess, table: TableGuess, column: str
) -> Shared:
    """Of labelled rows, how those agree that have the same thing in a column.

    Args:
        profiler: has the tables.
        label: whose truths.
        labelled: table of the label.
        table: holds the column; its key names what is labelled, as that of ``labelled`` does.
        column: names the thing that is shared.
    """
    source = _joined(labelled, table)
    share, pairs = profiler.rows(
        f"SELECT sum(k * (k - 1)) / sum(k * (n - 1)), sum(k * (n - 1))::BIGINT FROM (SELECT "
        f"count(y) AS n, sum(y)::DOUBLE AS k FROM (SELECT {table.profile.references(column)} AS v, "
        f"{label.sql} AS y FROM {source}) WHERE v IS NOT NULL GROUP BY v)"
    )[0]
    return Shared(float(share or 0), int(pairs or 0))


def linked_labels(
    profiler: TableProfiler,
    label: Label,
    labelled: TableGuess,
    table: TableGuess,
    ends: tuple[str, str],
) -> Shared:
    """Of labelled things that a row of a table links, how often one is true where the other is."""
    key = quoted(labelled.key)
    known = f"(SELECT {key}::VARCHAR AS id, {label.sql} AS y FROM {quoted(labelled.name)})"
    one, other = (f"{table.profile.references(end)}::VARCHAR" for end in ends)
    both, pairs = profiler.rows(
        f"SELECT sum(a.y * b.y), count(*) FILTER (WHERE a.y + b.y > 0) FROM {quoted(table.name)} "
        f"JOIN {known} AS a ON a.id = {one} JOIN {known} AS b ON b.id = {other} WHERE a.id != b.id"
    )[0]
    both, pairs = int(both or 0), int(pairs or 0)
    return Shared(2 * both / (pairs + both) if pairs else 0.0, pairs)


def usual_window(profiler: TableProfiler, table: TableGuess, columns: Iterable[str]) -> str:
    """A time in which a few events of one thing usually fall, as a rule file writes it."""
    times = table.profile.columns[table.clock].sort == "time"
    clock = quoted(table.clock)
    moment = f"epoch({clock}::TIMESTAMP)" if times else f"{clock}::DOUBLE"
    gaps = []
    for column in columns:
        (gap,) = profiler.rows(
            f"SELECT median(g) FROM (SELECT {moment} - lag({moment}) OVER "
            f"(PARTITION BY {quoted(column)} ORDER BY {clock}) AS g FROM {quoted(table.name)} "
            f"WHERE {quoted(column)} IS NOT NULL) WHERE g > 0"
        )[0]
        if gap is not None:
            gaps.append(float(gap))
    span = 5 * min(gaps, default=0.0)
    if not times:
        return str(max(round(span), 1))
    return next((name for name, seconds in WINDOWS.items() if seconds >= span), "365d")


def cut_between(
    profiler: TableProfiler, label: Label, labelled: TableGuess, table: TableGuess
) -> str:
    """A value of a table's clock with both truths before and after it, most before; or ``""``."""
    clock = table.profile.references(table.clock)
    text = f"strftime({clock}::TIMESTAMP, '%Y-%m-%d')"
    times = table.profile.columns[table.clock].sort == "time"
    known = f"(SELECT {clock} AS c, {label.sql} AS y FROM {_joined(labelled, table)}) AS k"
    for share in (0.7, 0.6, 0.8, 0.5):
        (cut,) = profiler.rows(
            f"SELECT quantile_disc({text.replace(clock, 'c') if times else 'c'}, {share})::VARCHAR "
            f"FROM {known} WHERE y IS NOT NULL AND c IS NOT NULL"
        )[0]
        if cut is None:
            return ""
        border = f"TIMESTAMP '{cut}'" if times else cut
        counts = profiler.rows(
            f"SELECT (c{'::TIMESTAMP' if times else ''} < {border}) AS early, sum(y), sum(1 - y) "
            f"FROM {known} WHERE y IS NOT NULL AND c IS NOT NULL GROUP BY early"
        )
        if len(counts) == 2 and min(min(row[1:]) for row in counts) >= 5:
            return str(cut)
    return ""


def rises_with(profiler: TableProfiler, table: TableGuess, column: str) -> bool:
    """Whether a number only counts on as the clock does: later rows have values never seen."""
    clock = quoted(table.clock)
    if table.profile.columns[table.clock].sort == "time":
        clock = f"epoch({clock}::TIMESTAMP)"
    (found,) = profiler.rows(f"SELECT corr({clock}, {quoted(column)}) FROM {quoted(table.name)}")[0]
    return found is not None and abs(found) > 0.95


def _joined(labelled: TableGuess, table: TableGuess) -> str:
    """SQL of a table with the labels beside it, which may stand in another one."""
    if table.name == labelled.name:
        return quoted(table.name)
    return (
        f"{quoted(labelled.name)} JOIN {quoted(table.name)} ON "
        f"{table.profile.references(table.key)}::VARCHAR = "
        f"{labelled.profile.references(labelled.key)}::VARCHAR"
    )
