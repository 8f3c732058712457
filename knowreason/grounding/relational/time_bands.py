"""Bands: two clocks that differ by at most so much, joined by buckets of time.

``0s < at(f) - at(e) <= horizon`` says that ``at(f)`` lies in a stretch of a known length
after ``at(e)``. With buckets as long as the stretch, ``f`` lies in one of two buckets, so
each row of ``e`` stands twice and the band becomes an equality, which joins by hashing;
the comparisons stay as filters. No pair can meet twice: ``f`` has one bucket.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlglot import exp

from knowreason.grounding.plan.history_aggregates import FLIPPED
from knowreason.grounding.relational.from_clause import JoinedTable
from knowreason.grounding.relational.query_protocols import Tables
from knowreason.grounding.relational.term_sql import aliased, cast, column, grouped, named
from knowreason.logic import (
    INTEGER_SORTS,
    AttributeTerm,
    Comparison,
    Constant,
    Formula,
    Operation,
    ParameterTerm,
    Program,
    Term,
    Variable,
)

BUCKET = "bucket"


@dataclass(frozen=True)
class Band:
    """``low <= later - earlier <= high``; ``None`` where that side is open."""

    earlier: AttributeTerm
    later: AttributeTerm
    low: int | None = None
    high: int | None = None

    def swapped(self) -> Band:
        """The same band with the two clocks in the other order."""
        low = None if self.high is None else -self.high
        high = None if self.low is None else -self.low
        return Band(self.later, self.earlier, low, high)

    def meet(self, other: Band) -> Band:
        """Both bands at once; they are over the same clocks in the same order."""
        lows = [b.low for b in (self, other) if b.low is not None]
        highs = [b.high for b in (self, other) if b.high is not None]
        return replace(self, low=max(lows, default=None), high=min(highs, default=None))


def band_of(formula: Formula, program: Program) -> Band | None:
    """What a comparison says about the difference of two whole-numbered attributes."""
    if not isinstance(formula, Comparison) or formula.operator in ("!=", "in"):
        return None
    left, right = formula.left, formula.right
    operator: str = formula.operator
    if isinstance(right, Operation) and right.operator == "abs":
        left, right, operator = right, left, FLIPPED.get(operator, operator)
    if isinstance(left, Operation) and left.operator == "abs":
        return _around(left.operands[0], operator, linear_form(right, program), program)
    one, two = linear_form(left, program), linear_form(right, program)
    if one is None or two is None:
        return None
    difference = _sum(one, _scaled(two, -1))
    strict = operator in ("<", ">")
    low = None if operator in ("<", "<=") else int(strict)
    high = None if operator in (">", ">=") else -int(strict)
    return _band(difference, low, high)


def gathered(bands: Iterable[Band]) -> list[Band]:
    """One band a pair of clocks, where both sides are closed (and are no equality)."""
    by_clocks: dict[frozenset[AttributeTerm], Band] = {}
    for band in bands:
        pair = frozenset((band.earlier, band.later))
        before = by_clocks.get(pair)
        if before is not None and before.earlier != band.earlier:
            band = band.swapped()
        by_clocks[pair] = band if before is None else before.meet(band)
    return [b for b in by_clocks.values() if None not in (b.low, b.high) and b.low != b.high]


def bucketed(
    relations: Tables,
    sources: Sequence[JoinedTable],
    columns: Mapping[str, exp.Expr],
    bands: Iterable[Band],
) -> tuple[list[JoinedTable], list[exp.Expr]]:
    """Sources with bucket columns, and the equalities of buckets, for the bands that allow it.

    A band is left to the filters where its clocks are not of two different sources, or a
    source has a bucket already.
    """
    changed = list(sources)
    equalities: list[exp.Expr] = []
    used: set[str] = set()
    for band in gathered(bands):
        earlier, later = (_source_of(c, sources, columns) for c in (band.earlier, band.later))
        if earlier is None or later is None or earlier == later or {earlier, later} & used:
            continue
        used |= {earlier, later}
        for alias, clock, is_earlier in ((earlier, band.earlier, True), (later, band.later, False)):
            position = next(i for i, source in enumerate(changed) if source.alias == alias)
            table = _with_bucket(relations, changed[position], columns, clock, band, is_earlier)
            changed[position] = replace(changed[position], table=table)
        equalities.append(exp.EQ(this=column(earlier, BUCKET), expression=column(later, BUCKET)))
    return changed, equalities


def _source_of(
    clock: AttributeTerm, sources: Sequence[JoinedTable], columns: Mapping[str, exp.Expr]
) -> str | None:
    """Alias of the inner source that binds all arguments of a clock."""
    inner = {source.alias for source in sources if not source.left}
    if not all(isinstance(a, Variable) and a.name in columns for a in clock.arguments):
        return None
    places = [columns[a.name] for a in clock.arguments if isinstance(a, Variable)]
    aliases = {p.table if isinstance(p, exp.Column) else "" for p in places}
    return next(iter(aliases)) if len(aliases) == 1 and aliases <= inner else None


def _with_bucket(
    relations: Tables,
    source: JoinedTable,
    columns: Mapping[str, exp.Expr],
    clock: AttributeTerm,
    band: Band,
    is_earlier: bool,
) -> exp.Expr:
    assert band.low is not None
    assert band.high is not None
    width = max(band.high - band.low + 1, 1)
    keys = [columns[a.name].name for a in clock.arguments if isinstance(a, Variable)]
    on = [
        exp.EQ(this=column("v", f"a{i}"), expression=column("s", key)) for i, key in enumerate(keys)
    ]
    value: exp.Expr = column("v", "value")
    if is_earlier:
        value = grouped(exp.Add(this=value, expression=_whole(band.low)))
    bucket = _floored(value, width)
    if is_earlier:
        bucket = exp.Add(this=grouped(bucket), expression=column("d", "shift"))
    query = (
        exp.select(exp.Column(this=exp.Star(), table=exp.to_identifier("s", quoted=True)))
        .select(exp.alias_(bucket, BUCKET, quoted=True))
        .from_(aliased(source.table.copy(), "s"))
        .join(aliased(relations.table(clock.name), "v"), on=exp.and_(*on), join_type="INNER")
    )
    if is_earlier:
        shifts = exp.union(named({"shift": _whole(0)}), named({"shift": _whole(1)}), distinct=False)
        query = query.join(aliased(shifts, "d"), join_type="CROSS")
    # as a table: engines count its distinct buckets, and do not take the join by them for that by
    # a key, which comes first and pairs all that happened in one stretch of time
    return relations.materialise(f"{clock.name}_buckets", query)


def _floored(value: exp.Expr, width: int) -> exp.Expr:
    """``floor(value / width)`` in whole numbers, below zero too."""
    rest = exp.Mod(this=value.copy(), expression=_whole(width))
    rest = exp.Mod(
        this=grouped(exp.Add(this=grouped(rest), expression=_whole(width))),
        expression=_whole(width),
    )
    return exp.IntDiv(
        this=grouped(exp.Sub(this=value, expression=grouped(rest))), expression=_whole(width)
    )


def _whole(number: int) -> exp.Expr:
    return cast(exp.Literal.number(number), "bigint")


Linear = tuple[dict[AttributeTerm, int], int]


def linear_form(term: Term, program: Program) -> Linear | None:
    """A whole-numbered term as a sum of attributes (their factors) and a constant."""
    match term:
        case Constant() if term.sort in INTEGER_SORTS:
            return {}, int(term.value)
        case ParameterTerm() if term.sort in INTEGER_SORTS:
            return {}, int(program.parameter_value(term.name).value)
        case AttributeTerm() if term.sort in INTEGER_SORTS:
            return {term: 1}, 0
        case Operation("+" | "-" | "neg"):
            parts = [linear_form(operand, program) for operand in term.operands]
            linear = [part for part in parts if part is not None]
            if len(linear) < len(parts):
                return None
            if term.operator == "+":
                return _sum(*linear)
            return (
                _scaled(linear[0], -1)
                if term.operator == "neg"
                else _sum(linear[0], _scaled(linear[1], -1))
            )
    return None


def _sum(one: Linear, two: Linear) -> Linear:
    terms = dict(one[0])
    for term, factor in two[0].items():
        terms[term] = terms.get(term, 0) + factor
    return {term: factor for term, factor in terms.items() if factor}, one[1] + two[1]


def _scaled(linear: Linear, factor: int) -> Linear:
    return {term: factor * f for term, f in linear[0].items()}, factor * linear[1]


def _around(inside: Term, operator: str, width: Linear | None, program: Program) -> Band | None:
    """The band of ``abs(inside) < width`` or ``<=``."""
    difference = linear_form(inside, program)
    if operator not in ("<", "<=") or difference is None or width is None or width[0]:
        return None
    reach = width[1] - (operator == "<")
    return _band(difference, -reach, reach)


def _band(difference: Linear, low: int | None, high: int | None) -> Band | None:
    """The band of ``low <= difference <= high``."""
    terms, constant = difference
    if sorted(terms.values()) != [-1, 1]:
        return None
    later = next(term for term, factor in terms.items() if factor == 1)
    earlier = next(term for term, factor in terms.items() if factor == -1)
    low = None if low is None else low - constant
    high = None if high is None else high - constant
    return Band(earlier, later, low, high)
