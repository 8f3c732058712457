"""Aggregates over what came before: a window instead of a quadratic join.

The asked and the counted settings of a :class:`.History` go
into one relation, sorted by clock within each group, and a ``RANGE`` frame sums what lies
within the bounds: n log n instead of n² in the size of a group. Without bounds each group
is summed once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sqlglot import exp

from knowreason.grounding.plan.history_aggregates import ClockBound, HistoryAggregate, split
from knowreason.grounding.relational.aggregate_sql import amount, known_rows, summary
from knowreason.grounding.relational.query_protocols import SettingsQuery
from knowreason.grounding.relational.term_sql import (
    aliased,
    cast,
    column,
    defined_where,
    grouped,
    known,
    named,
)
from knowreason.logic import Aggregate, And, Formula, Truth, Variable

FAR = 1 << 61  # beyond every clock, and twice it fits


def history_query(
    outer: SettingsQuery, term: Aggregate, keys: Sequence[Variable]
) -> exp.Query | None:
    """Rows ``k0 .., value, rows`` of the aggregate, ``None`` where it is no history.

    Settings of ``keys`` that nothing precedes may be absent.
    """
    history = split(term, keys)
    framed = history is not None and (history.clock is not None or term.last is not None)
    if history is None or (framed and not outer.relations.engine.varying_frames):
        return None
    asked = _asked_rows(outer, history, keys)
    if history.asked and not _is_unique(outer, asked, len(keys)):
        return None
    counted = _counted_rows(outer, term, history)
    groups = len(history.pairs) + len(history.links)
    bounded = history.clock is not None
    frames = _Frames(outer, term, asked, counted, len(keys), groups, bounded)
    if term.last is not None:
        return frames.last_rows()
    if history.excluded is not None:
        other, own = history.excluded
        places = (_place(term.variables, other), _place(keys, own))
        summed = replace(frames, term=replace(term, kind="sum")) if term.kind == "avg" else frames
        return summed.without(places, _within(summed, history), term.kind == "avg")
    return _within(frames, history)


def _within(frames: _Frames, history: HistoryAggregate) -> exp.Select:
    one_row = history.one_row({variable.name for variable in frames.term.variables})
    return frames.whole_groups(one_row) if history.clock is None else frames.within_bounds(one_row)


def _place(variables: Sequence[Variable], variable: Variable) -> int:
    return [v.name for v in variables].index(variable.name)


def _asked_rows(
    outer: SettingsQuery, history: HistoryAggregate, keys: Sequence[Variable]
) -> exp.Select:
    """``h0 .., g0 .., low, high``: settings of the keys, their group and their bounds."""
    asked = outer.sibling()
    asked.satisfy(_all(history.asked), (*keys, *history.links))
    low, high = _limits(asked, history.bounds)
    groups = [asked.term(term) for term in (*(own for _, own in history.pairs), *history.links)]
    outputs = {
        **{f"h{i}": asked.columns[variable.name] for i, variable in enumerate(keys)},
        **{f"g{i}": group for i, group in enumerate(groups)},
        "low": low,
        "high": high,
    }
    needed = [e for e in (*groups, low, high) if not isinstance(e, exp.Null)]
    query = asked.select(outputs, distinct=bool(history.asked))
    return query.where(*(known(e) for e in needed), copy=False)


def _limits(asked: SettingsQuery, bounds: Sequence[ClockBound]) -> tuple[exp.Expr, exp.Expr]:
    """Least and greatest clock taken, both included; ``NULL`` where there is no bound."""
    low: list[exp.Expr] = []
    high: list[exp.Expr] = []
    for bound in bounds:
        limit, one = grouped(asked.term(bound.limit)), exp.Literal.number(1)
        if bound.operator == "<":
            limit = exp.Sub(this=limit, expression=one)
        elif bound.operator == ">":
            limit = exp.Add(this=limit, expression=one)
        (high if bound.operator in ("<", "<=") else low).append(limit)
    return _tightest(exp.Greatest, low), _tightest(exp.Least, high)


def _tightest(choose: type[exp.Func], limits: Sequence[exp.Expr]) -> exp.Expr:
    """One limit of several, ``NULL`` where one is missing."""
    if not limits:
        return exp.Null()
    if len(limits) == 1:
        return limits[0]
    tightest = choose(this=limits[0].copy(), expressions=[limit.copy() for limit in limits[1:]])
    return exp.Case(ifs=[exp.If(this=exp.and_(*(known(e) for e in limits)), true=tightest)])


def _counted_rows(outer: SettingsQuery, term: Aggregate, history: HistoryAggregate) -> exp.Select:
    """``g0 .., clock, b0 .., value``: distinct counted settings, their group and value."""
    counted = outer.sibling()
    counted.satisfy(_all(history.counted), term.variables)
    clock = exp.Null() if history.clock is None else counted.term(history.clock)
    groups = [counted.term(own) for own in (*(own for own, _ in history.pairs), *history.links)]
    outputs = {
        **{f"g{i}": group for i, group in enumerate(groups)},
        "clock": clock,
        **{f"b{i}": counted.columns[v.name] for i, v in enumerate(term.variables)},
        "value": exp.Null() if history.value is None else amount(counted, history.value),
    }
    query = counted.select(outputs, distinct=True)
    needed = [e for e in (*groups, clock) if not isinstance(e, exp.Null)]
    return query.where(*(known(e) for e in needed), copy=False)


def _is_unique(outer: SettingsQuery, asked: exp.Select, heads: int) -> bool:
    """Whether every setting of the keys has one group: atoms may give it several."""
    alias = outer.fresh_alias()
    names = [column(alias, f"h{i}") for i in range(heads)]
    keys = exp.select(*names).from_(aliased(asked.copy(), alias))
    relations = outer.relations
    return relations.rows(keys.copy().distinct()) == relations.rows(keys)


@dataclass(frozen=True)
class _Frames:
    """Window queries over asked and counted rows.

    Attributes:
        outer: where fresh aliases come from.
        term: the aggregate.
        asked: query of ``h0 .., g0 .., low, high``.
        counted: query of ``g0 .., clock, b0 .., value``.
        heads: number of ``h`` columns.
        groups: number of ``g`` columns.
        is_bounded: whether there is a clock.
    """

    outer: SettingsQuery
    term: Aggregate
    asked: exp.Select
    counted: exp.Select
    heads: int
    groups: int
    is_bounded: bool

    def whole_groups(self, one_row: bool) -> exp.Select:
        """The aggregate over all counted rows of the group, a row an asked one."""
        alias, asking, summed = (self.outer.fresh_alias() for _ in range(3))
        groups = self._groups(alias)
        outputs = groups | {
            "value": self._total(alias, one_row),
            "rows": known_rows(self._value(alias)),
        }
        totals = named(outputs).from_(aliased(self.counted.copy(), alias))
        totals = totals.group_by(*groups.values())
        on = [exp.EQ(this=column(asking, g), expression=column(summed, g)) for g in groups]
        names = {f"k{i}": column(asking, f"h{i}") for i in range(self.heads)}
        names |= {name: column(summed, name) for name in ("value", "rows")}
        left, right = aliased(self.asked.copy(), asking), aliased(totals, summed)
        return named(names).from_(left).join(right, on=exp.and_(*on), join_type="INNER")

    def within_bounds(self, one_row: bool) -> exp.Select:
        """The aggregate over the counted rows within the bounds, a row an asked one."""
        alias = self.outer.fresh_alias()
        total = self._total(alias, one_row)
        results = {"value": total, "rows": known_rows(self._value(alias))}
        return self._asked_only(alias, results, {})

    def without(self, places: tuple[int, int], whole: exp.Select, mean: bool) -> exp.Select:
        """``whole`` less the counted row that is the asked thing itself.

        Args:
            places: of the counted and of the asked variable that must differ.
            whole: rows ``k0 .., value, rows`` with that row.
            mean: whether the mean is wanted rather than the sum.
        """
        all_rows, own = self.outer.fresh_alias(), self.outer.fresh_alias()
        keys = {f"k{i}": column(all_rows, f"k{i}") for i in range(self.heads)}
        nothing = exp.Literal.number(0)
        value, rows = (
            exp.Sub(
                this=column(all_rows, name),
                expression=exp.Coalesce(this=column(own, name), expressions=[nothing.copy()]),
            )
            for name in ("value", "rows")
        )
        some = exp.GT(this=rows.copy(), expression=nothing.copy())
        quotient = exp.Div(this=cast(value, "double"), expression=grouped(rows.copy()))
        outputs = keys | {"value": defined_where(quotient, some) if mean else value, "rows": rows}
        on = [exp.EQ(this=key, expression=column(own, name)) for name, key in keys.items()]
        return (
            named(outputs)
            .from_(aliased(whole, all_rows))
            .join(aliased(self._own_rows(places), own), on=exp.and_(*on), join_type="LEFT")
        )

    def _own_rows(self, places: tuple[int, int]) -> exp.Select:
        """``k0 .., value, rows``: what asked things add to their own aggregate."""
        a, c = self.outer.fresh_alias(), self.outer.fresh_alias()
        top, bottom = self._limits(a)
        clock = column(c, "clock")
        keys = {f"k{i}": column(a, f"h{i}") for i in range(self.heads)}
        on: list[exp.Expr] = [
            exp.EQ(this=column(c, f"b{places[0]}"), expression=column(a, f"h{places[1]}")),
            *(exp.EQ(this=column(a, g), expression=column(c, g)) for g in self._groups(a)),
        ]
        if self.is_bounded:
            on += [exp.LTE(this=bottom, expression=clock), exp.LTE(this=clock, expression=top)]
        totals = {
            "value": summary(self.term.kind, self._value(c)),
            "rows": known_rows(self._value(c)),
        }
        return (
            named(keys | totals)
            .from_(aliased(self.asked.copy(), a))
            .join(aliased(self.counted.copy(), c), on=exp.and_(*on), join_type="INNER")
            .group_by(*keys.values())
        )

    def last_rows(self) -> exp.Select:
        """The aggregate of the last few rows within the bounds, a row an asked one.

        It is computed at each counted row over the rows before it; an asked row looks up
        the counted row whose place in its group is how many lie within its bounds.
        """
        alias = self.outer.fresh_alias()
        seen = self._asked_only(alias, {"seen": exp.Count(this=exp.Star())}, self._groups(alias))
        asking, running = self.outer.fresh_alias(), self.outer.fresh_alias()
        pairs = {f"g{i}": f"g{i}" for i in range(self.groups)} | {"seen": "place"}
        on = [
            exp.EQ(this=column(asking, a), expression=column(running, b)) for a, b in pairs.items()
        ]
        names = [column(asking, f"k{i}") for i in range(self.heads)]
        return (
            exp.select(*names, column(running, "value"), column(running, "rows"))
            .from_(aliased(seen, asking))
            .join(aliased(self._running(), running), on=exp.and_(*on), join_type="INNER")
        )

    def _running(self) -> exp.Select:
        """``g0 .., place, value, rows``: the aggregate of the last rows up to each counted row."""
        alias = self.outer.fresh_alias()
        term = self.term
        assert term.last is not None
        bound = [column(alias, f"b{i}") for i in range(len(term.variables))]
        order = [column(alias, "clock"), *bound]
        before = exp.Sub(this=grouped(self.outer.term(term.last)), expression=exp.Literal.number(1))
        frame = exp.WindowSpec(kind="ROWS", start=before, start_side="PRECEDING", end="CURRENT ROW")
        value = self._value(alias)
        outputs = {
            **self._groups(alias),
            "place": self._window(exp.RowNumber(), alias, order, None),
            "value": self._window(summary(term.kind, value), alias, order, frame),
            "rows": self._window(known_rows(value and value.copy()), alias, order, frame.copy()),
        }
        return named(outputs).from_(aliased(self.counted.copy(), alias))

    def _asked_only(
        self,
        alias: str,
        results: Mapping[str, exp.Expr],
        extra: Mapping[str, exp.Expr],
    ) -> exp.Select:
        """Asked rows (``k0 ..``) with aggregates over the counted rows in their bounds."""
        frame = exp.WindowSpec(
            kind="RANGE", start=column(alias, "reach"), start_side="PRECEDING", end="CURRENT ROW"
        )
        counts = exp.Where(this=exp.Not(this=column(alias, "asks")))
        order = [column(alias, "position")]
        outputs = {f"k{i}": column(alias, f"h{i}") for i in range(self.heads)} | dict(extra)
        for name, total in results.items():
            filtered = exp.Filter(this=total, expression=counts.copy())
            outputs[name] = self._window(filtered, alias, order, frame.copy())
        outside = self.outer.fresh_alias()
        windows = named(outputs | {"asks": column(alias, "asks")})
        windows = windows.from_(aliased(self._both(), alias))
        columns = [column(outside, name) for name in outputs]
        return exp.select(*columns).from_(aliased(windows, outside)).where(column(outside, "asks"))

    def _both(self) -> exp.Query:
        """Asked and counted rows one under the other, with ``position`` and ``reach``.

        The frame of an asked row reaches from its highest clock down to its lowest.
        """
        a, c = self.outer.fresh_alias(), self.outer.fresh_alias()
        top, bottom = self._limits(a)
        heads, bound = range(self.heads), range(len(self.term.variables))
        asked = {
            **{f"h{i}": column(a, f"h{i}") for i in heads},
            **self._groups(a),
            "position": top,
            "reach": exp.Sub(this=top, expression=bottom),
            **{f"b{i}": exp.Null() for i in bound},
            "value": exp.Null(),
            "asks": exp.true(),
        }
        counted = {
            **{f"h{i}": exp.Null() for i in heads},
            **self._groups(c),
            "position": column(c, "clock"),
            "reach": cast(exp.Literal.number(0), "bigint"),
            **{f"b{i}": column(c, f"b{i}") for i in bound},
            "value": column(c, "value"),
            "asks": exp.false(),
        }
        possible = exp.LTE(this=bottom.copy(), expression=top.copy())
        upper = named(asked).from_(aliased(self.asked.copy(), a)).where(possible)
        lower = named(counted).from_(aliased(self.counted.copy(), c))
        return exp.union(upper, lower, distinct=False)

    def _window(
        self,
        aggregate: exp.Expr,
        alias: str,
        order: Sequence[exp.Expr],
        spec: exp.WindowSpec | None,
    ) -> exp.Window:
        return exp.Window(
            this=aggregate,
            partition_by=list(self._groups(alias).values()),
            order=exp.Order(expressions=[exp.Ordered(this=o.copy()) for o in order]),
            spec=spec,
        )

    def _limits(self, alias: str) -> tuple[exp.Expr, exp.Expr]:
        """Highest and lowest clock of an asked row."""
        far = cast(exp.Literal.number(FAR), "bigint")
        top = exp.Coalesce(this=column(alias, "high"), expressions=[far])
        bottom = exp.Coalesce(this=column(alias, "low"), expressions=[exp.Neg(this=far.copy())])
        return top, bottom

    def _total(self, alias: str, one_row: bool) -> exp.Expr:
        if one_row:
            return summary(self.term.kind, self._value(alias))
        return exp.Count(this=exp.Distinct(expressions=[column(alias, "b0")]))

    def _groups(self, alias: str) -> dict[str, exp.Expr]:
        return {f"g{i}": column(alias, f"g{i}") for i in range(self.groups)}

    def _value(self, alias: str) -> exp.Expr | None:
        return None if self.term.value is None else column(alias, "value")


def _all(parts: Sequence[Formula]) -> Formula:
    return And(tuple(parts)) if parts else Truth(True)
