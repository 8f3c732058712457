"""Guesses at how ids of one table are written in another: what people do to ids."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from knowreason.data.engine.duckdb_engine import literal, quoted
from knowreason.logic.canonical_text import string_text

MOST_NEW, MOST_OTHERS = 10_000, 1_000_000  # names that are tried
LEAST_SHARE = 0.5  # of names that have to fit
LEAST_DISTINCT = 0.9  # of names that a rule does not make equal, or writes right
Rewriting = Callable[[pa.StringArray], pa.StringArray]


@dataclass(frozen=True)
class Spelling:
    """How names that no other table knows become names that one does.

    Attributes:
        new: a name nobody knows.
        other: what it is written as elsewhere.
        what: the difference in words.
        sql: the column ``id`` as the others write it; empty where the others are to be changed.
        fitting, tried: so many of so many names fit.
    """

    new: str
    other: str
    what: str
    sql: str
    fitting: int
    tried: int

    def __str__(self) -> str:
        return self.said("id")

    def said(self, column: str) -> str:
        """In a sentence, with SQL over a column of that name."""
        before, _, after = self.sql.rpartition("id")
        plain = re.fullmatch(r"[a-z_][a-z0-9_]*", column)
        sql = f"{before}{column if plain else quoted(column)}{after}"
        how = f"; `{sql}` in `[tables] sql` writes it so" if self.sql else ""
        return (
            f"{string_text(self.new)} may be {string_text(self.other)}: {self.what}, "
            f"{self.fitting:,} of {self.tried:,} would be known{how}"
        )


def find_spelling(new: pa.StringArray, others: pa.StringArray) -> Spelling | None:
    """The spelling by which at least half of the new names are others, the most of them; ``None``
    where there is none.

    >>> print(find_spelling(pa.array(["272", "31"]), pa.array(["p31", "p272", "p4"])))
    "272" may be "p272": with `p` before it, 2 of 2 would be known; `'p' || id` in ...
    """
    new, others = new.slice(0, MOST_NEW), others.slice(0, MOST_OTHERS)
    found = [spelling for rule in _RULES if (spelling := _by_rule(new, others, *rule))]
    return max(found, key=lambda one: one.fitting, default=None)


def _by_rule(
    new: pa.StringArray, others: pa.StringArray, of_new: Rewriting, of_others: Rewriting
) -> Spelling | None:
    mine, theirs = of_new(new), of_others(others)
    if len(theirs.unique()) < LEAST_DISTINCT * len(others):
        return None
    places = pc.index_in(mine, value_set=theirs)
    fits = pc.and_(places.is_valid(), pc.not_equal(mine, ""))
    count = pc.sum(fits).as_py() or 0
    if not count or count < LEAST_SHARE * len(new):
        return None
    first = pc.index(fits, True).as_py()
    name, other = str(new[first]), str(others[places[first].as_py()])
    for what, sql, rewriting in _differences(name, other):
        written = pc.is_in(rewriting(new), value_set=others)
        if (pc.sum(written).as_py() or 0) >= LEAST_DISTINCT * count:
            return Spelling(name, other, what, sql, count, len(new))
    return Spelling(name, other, "written in another way", "", count, len(new))


def _differences(new: str, other: str) -> Iterator[tuple[str, str, Rewriting]]:
    """In words, in SQL and as a function what may make ``other`` of ``new``."""
    if new.strip() == other:
        yield "without spaces around it", "trim(id)", pc.utf8_trim_whitespace
    if new.lower() == other:
        yield "in another case", "lower(id)", pc.utf8_lower
    if new.upper() == other:
        yield "in another case", "upper(id)", pc.utf8_upper
    if other.endswith(new):
        front, size = other[: -len(new)], len(other)
        zeros = f"lpad(id::VARCHAR, {size}, '0')"
        yield f"with zeros in front, {size} digits long", zeros, partial(_padded, size=size)
        before = partial(_without, "^", kept=front)
        yield f"with `{front}` before it", f"{literal(front)} || id", before
    if (match := re.match(r"(\D+)(\d+)$", other)) and other.endswith(new):
        size = len(match[2])
        sql = f"{literal(match[1])} || lpad(id::VARCHAR, {size}, '0')"
        both = partial(_padded, size=size, front=match[1])
        yield f"with `{match[1]}` and zeros before it", sql, both
    if (match := re.match(r"(\D+)0+(\d+)$", new)) and match[2] == other:
        cut = partial(_without, f"^{re.escape(match[1])}0*")
        sql = f"ltrim(substr(id, {len(match[1]) + 1}), '0')"
        yield f"without `{match[1]}` and zeros before it", sql, cut
    if new.endswith(other):
        front = new[: -len(other)]
        yield "without zeros in front", "ltrim(id::VARCHAR, '0')", _zeros
        cut = partial(_without, f"^{re.escape(front)}")
        yield f"without `{front}` before it", f"substr(id, {len(front) + 1})", cut
    if new.rstrip("0") == f"{other}.":
        yield "as a whole number", "id::DOUBLE::BIGINT", _point


def _padded(names: pa.StringArray, size: int, front: str = "") -> pa.StringArray:
    return _without("^", pc.utf8_lpad(names, width=size, padding="0"), kept=front)


def _same(names: pa.StringArray) -> pa.StringArray:
    return names


def _without(pattern: str, names: pa.StringArray, kept: str = "") -> pa.StringArray:
    return pc.replace_substring_regex(names, pattern, kept)


def _plain(names: pa.StringArray) -> pa.StringArray:
    """Letters and digits alone, in lower case, numbers without zeros around them."""
    bare = _without(r"\.0+\s*$", names)
    return _without(r"(^|\D)0+(\d)", _without(r"[^0-9a-z]", pc.utf8_lower(bare)), r"\1\2")


_digits = partial(_without, r"^\D+")
_zeros = partial(_without, r"^0+(\d)", kept=r"\1")
_point = partial(_without, r"^([+-]?\d+)\.0+$", kept=r"\1")
_both: tuple[Rewriting, ...] = (pc.utf8_trim_whitespace, pc.utf8_lower, _point, _zeros, _plain)
_RULES: tuple[tuple[Rewriting, Rewriting], ...] = (
    *((rule, rule) for rule in _both),
    (_same, _digits),  # a prefix on one side only: `a7` and `b7` are hardly one thing
    (_digits, _same),
    (_zeros, lambda names: _zeros(_digits(names))),
    (lambda names: _zeros(_digits(names)), _zeros),
)
