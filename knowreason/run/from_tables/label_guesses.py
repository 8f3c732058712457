"""Which column is the label, which of its values is true, and what beside it gives it away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from knowreason.data.engine.duckdb_engine import literal, quoted
from knowreason.errors import ProjectError, did_you_mean
from knowreason.run.from_tables.schema_guesses import Guess, Place
from knowreason.run.from_tables.table_profiles import (
    ColumnProfile,
    TableProfile,
    TableProfiler,
    word_set,
    words,
)

SURE = word_set(
    "label labels fraud fraudulent y class churn churned default defaulted spam malicious attack "
    "anomaly anomalous outlier banned laundering illicit outcome dnf infected malware scam bot "
    "suspicious mule abuse chargeback"
)
LIKELY = word_set("target flag bad positive result status response converted approved")
GENERIC = word_set("label labels y class target flag outcome result response is has")
TRUE = word_set(
    "1 1.0 true t yes y positive pos bad fraud fraudulent spam malicious attack anomaly illicit "
    "default defaulted churned banned"
)
FALSE = word_set("0 0.0 false f no n negative neg good legit legitimate ok normal benign")
UNKNOWN = word_set("-1 -1.0 unknown unlabelled unlabeled none null na n/a ? \\n missing")


@dataclass(frozen=True, slots=True)
class Label:
    """A column with truths.

    Attributes:
        table, column: where it is.
        predicate: what it is called in rules.
        true, false, unknown: its cells.
        positives, known: rows that are true, and rows that are known.
    """

    table: str
    column: str
    predicate: str
    true: tuple[str, ...]
    false: tuple[str, ...]
    unknown: tuple[str, ...]
    positives: int
    known: int

    @property
    def share(self) -> float:
        """Of true rows among the known."""
        return self.positives / self.known

    @property
    def sql(self) -> str:
        """1, 0 or NULL of a row, as SQL."""
        truths = ", ".join(map(literal, self.true))
        column = f"{quoted(self.table)}.{quoted(self.column)}"
        unknown = ", ".join(map(literal, self.unknown))
        known = f"{column} IS NOT NULL" + (
            f" AND {column}::VARCHAR NOT IN ({unknown})" * bool(unknown)
        )
        return f"CASE WHEN {known} THEN ({column}::VARCHAR IN ({truths}))::INT END"


def guessed_label(
    tables: Sequence[TableProfile],
    told: Place | None,
    true: Sequence[str] = (),
    unknown: Sequence[str] = (),
) -> tuple[Label | None, list[Guess]]:
    """The label, ``None`` where no column looks like one, and what is to be said of it.

    Raises:
        ProjectError: KR954 for a column that is no label: all rows of one value, or more than two
            values none of which was said to be true.
    """
    if told is not None:
        column = next(t for t in tables if t.name == told[0]).columns[told[1]]
        return _label(told[0], column, true, unknown, "you said so", sure=True)
    ranked = []
    weak = []
    for table in tables:
        for column in table.columns.values():
            if not _two_valued(column, unknown):
                continue
            found = set(words(column.name))
            rank = 2 * bool(found & SURE) + bool(found & LIKELY)
            if rank:
                ranked.append((rank, table.name, column))
            elif column.name.lower() not in TRUE:
                weak.append(f"{table.name}.{column.name}")
    if not ranked:
        why = "no column is called like a label and has two values"
        if weak:
            why += f"; two values have {', '.join(weak[:5])}: `--label {weak[0]}`"
        return None, [Guess("", "", "no label", why, False)]
    ranked.sort(key=lambda found: -found[0])
    rank, name, column = ranked[0]
    rivals = [f"{t}.{c.name}" for _, t, c in ranked[1:]]
    why = "its name, and its values"
    why += f"; {', '.join(rivals)} could be it too: `--label {rivals[0]}`" if rivals else ""
    sure = rank > 1 and not any(r == rank for r, *_ in ranked[1:])
    return _label(name, column, true, unknown, why, sure=sure)


def column_of(tables: Sequence[TableProfile], option: str, text: str) -> Place:
    """The column that an option names, as ``TABLE.COLUMN``.

    Raises:
        ProjectError: KR953 where there is none.
    """
    name, _, column = text.partition(".")
    known = {f"{table.name}.{c}" for table in tables for c in table.columns}
    if text in known:
        return name, column
    raise ProjectError(
        f"`{option} {text}`: the tables have no such column",
        code="KR953",
        help=did_you_mean(text, known) or f"one of {', '.join(sorted(known)[:12])}",
    )


def gives_away(profiler: TableProfiler, label: Label, table: TableProfile) -> dict[str, str]:
    """Columns beside a label that say it almost alone, and how well, in words."""
    found = {}
    rare = min(label.positives, label.known - label.positives)
    for column in table.columns.values():
        if (
            column.name == label.column
            or column.sort == "other"
            or 2 * column.distinct > table.profiled
        ):
            continue
        value = f"{quoted(table.name)}.{quoted(column.name)}"
        if column.distinct > 20 and column.sort != "text":
            value = f"floor(20 * percent_rank() OVER (ORDER BY {value}))"
        elif column.distinct > 20:
            continue
        wrong, alone = profiler.rows(
            "SELECT sum(least(n - k, k)), sum(k) FILTER (WHERE k = n AND n >= 20) "
            "FROM (SELECT v, count(*) AS n, sum(y) AS k FROM "
            f"(SELECT {value} AS v, {label.sql} AS y FROM {quoted(table.name)}) "
            f"WHERE y IS NOT NULL GROUP BY v)"
        )[0]
        if wrong is not None and rare >= 10 and wrong <= 0.05 * rare:
            found[column.name] = (
                f"says the label alone, wrong in {wrong:,} of {label.known:,} rows: known only "
                "afterwards? If not, add it to the model"
            )
        elif alone and alone >= 0.4 * label.positives and label.share < 0.5:
            found[column.name] = (
                f"has values that only true rows have, {alone:,} of {label.positives:,}: known "
                "only afterwards? If not, add it to the model"
            )
    return found


def _two_valued(column: ColumnProfile, unknown: Sequence[str]) -> bool:
    values = [value for value, _ in column.values]
    said = {*unknown} | UNKNOWN
    known = [value for value in values if value.lower() not in said and value not in said]
    if column.sort not in ("truth", "whole", "number", "text"):
        return False
    return len(known) == 2 or (
        sorted(values) == ["0", "1", "2"] and bool(set(words(column.name)) & SURE)
    )


def _label(
    table: str,
    column: ColumnProfile,
    true: Sequence[str],
    unknown: Sequence[str],
    why: str,
    *,
    sure: bool,
) -> tuple[Label, list[Guess]]:
    counts = dict(column.values)
    where = f"{table}.{column.name}"
    for value in (*true, *unknown):
        if value not in counts:
            raise ProjectError(
                f"`{where}` has no cell `{value}`",
                code="KR954",
                help=did_you_mean(value, counts) or f"it has {', '.join(list(counts)[:8])}",
            )
    unknowns = tuple(unknown) or tuple(
        value for value in counts if value.lower() in UNKNOWN and value not in true
    )
    known = [value for value in counts if value not in unknowns]
    guesses = []
    if not true and sorted(known) == ["0", "1", "2"]:
        unknowns, known = (*unknowns, "2"), ["0", "1"]
        guesses.append(
            Guess(
                table, column.name, "2 is unknown", "0 and 1 are truths; or `--label-true 2`", False
            )
        )
    if len(known) < 2 or (not true and len(known) > 2):
        has = f"it has {len(known)} values" if known else f"it has {column.distinct:,} values"
        raise ProjectError(
            f"`{where}` is no label: {has}, and a label is true or false",
            code="KR954",
            help="say which are true: --label-true VALUE, once for each",
        )
    rarer = min(known, key=lambda value: counts[value])
    by_name = [value for value in known if value.lower() in TRUE]
    by_other = [v for v in known if any(w.lower() in FALSE for w in (v,)) and len(known) == 2]
    if true:
        trues, reason, certain = tuple(true), "you said so", True
    elif len(by_name) == 1:
        trues, reason, certain = (by_name[0],), f"`{by_name[0]}` says yes", True
    elif len(by_other) == 1:
        trues = tuple(value for value in known if value not in by_other)
        reason, certain = f"`{by_other[0]}` says no", True
    else:
        trues, reason, certain = (rarer,), "the rarer value; else `--label-true VALUE`", False
    falses = tuple(value for value in known if value not in trues)
    positives = sum(counts[value] for value in trues)
    label = Label(
        table,
        column.name,
        _predicate(column.name),
        trues,
        falses,
        unknowns,
        positives,
        positives + sum(counts[value] for value in falses),
    )
    said = f"true: {', '.join(trues)}; {label.positives:,} of {label.known:,} known"
    said += f"; unknown: {', '.join(unknowns)}" if unknowns else ""
    guesses[:0] = [
        Guess(table, column.name, f"label of {label.predicate}", why, sure),
        Guess(table, column.name, said, reason, certain),
    ]
    return label, guesses


def _predicate(name: str) -> str:
    parts = [word for word in words(name) if word not in GENERIC]
    text = "".join(part.capitalize() for part in parts)
    return text if text[:1].isalpha() else "Positive"
