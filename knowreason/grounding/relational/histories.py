"""Aggregates over what came before: both sides are read once, sorted, and cut into frames.

What is asked and what is counted of a :class:`.HistoryAggregate` are two queries; their rows become
arrays, and :mod:`knowreason.grounding.history.event_frames` does the rest
(:mod:`.history_questions`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pyarrow as pa
from sqlglot import exp

from knowreason.diagnostics import Diagnostic
from knowreason.errors import GroundingError
from knowreason.grounding.plan.history_aggregates import split
from knowreason.grounding.relational.history_columns import ReadHistories
from knowreason.grounding.relational.history_questions import HistoryQuestion
from knowreason.grounding.relational.query_protocols import SettingsQuery, Tables
from knowreason.logic import INTEGER_SORTS, Aggregate, Variable

PAIRS = 10**10  # more than these are refused
PAIRS_A_SECOND = 1e7  # that DuckDB joins and filters (benchmarks/history.py)
WIDTH = 12  # bytes of a row of a table of a definition


class Histories:
    """Tables of aggregates over history.

    Args:
        relations: what they are read from.
        memory: bytes, of which an eighth may stay sorted for the next definition, and an eighth
            be tables of definitions that the engine does not hold.
    """

    def __init__(self, relations: Tables, memory: int) -> None:
        self.relations = relations
        self.memory = memory
        self.already = ReadHistories(relations, memory // 8)
        self._made: list[exp.Table] = []
        self._whole = 0  # bytes of tables of definitions

    def table(
        self, outer: SettingsQuery, term: Aggregate, keys: Sequence[Variable]
    ) -> tuple[exp.Table, bool] | None:
        """Rows ``a0 .., value`` of an aggregate (and ``rows`` of a rate), if it is a history.

        Settings of ``keys`` that nothing precedes may be absent.

        Returns:
            The table, and whether it has one row for each thing of the domain of a single key,
            in the order of their ids.

        Raises:
            GroundingError: KR607 where only a join of too many pairs tells.
            OverflowError: a whole number beyond 64 bits.
        """
        question = self._question(outer, term, keys)
        if question is None:
            return None
        if not question.history.is_frame or not question.is_unique():
            _refuse_many(term, question.pairs())
            return None
        made = self.relations.register("history", question.answer())
        self._made.append(made)
        return made, question.asked.table is None

    def whole(
        self, outer: SettingsQuery, term: Aggregate, keys: Sequence[Variable]
    ) -> pa.Table | None:
        """Rows ``a0, value`` of a definition that is an aggregate over the history of every thing.

        ``None`` where it is not just that, or takes room that the engine's own tables should.

        Raises:
            OverflowError: a whole number beyond 64 bits.
        """
        if term.kind == "rate" or (term.kind == "avg" and term.sort in INTEGER_SORTS):
            return None
        question = self._question(outer, term, keys)
        if question is None or not question.history.is_frame or question.asked.table is not None:
            return None
        self._whole += WIDTH * question.size(question.asked)
        if self._whole > self.memory // 8:
            return None
        return question.answer(nothing=False)

    def _question(
        self, outer: SettingsQuery, term: Aggregate, keys: Sequence[Variable]
    ) -> HistoryQuestion | None:
        history = split(term, keys)
        if history is None:
            return None
        return HistoryQuestion(self.already, outer, term, keys, history)

    @contextmanager
    def dropped_after(self) -> Iterator[None]:
        """A context whose tables are forgotten at its end."""
        before = len(self._made)
        try:
            yield
        finally:
            while len(self._made) > before:
                self.relations.drop(self._made.pop())


def _refuse_many(term: Aggregate, pairs: int) -> None:
    """Raise KR607 where the pairs that a join would try are too many."""
    if pairs > PAIRS:
        hours = pairs / PAIRS_A_SECOND / 3600
        message = (
            f"`{term.kind}` joins {pairs:,} pairs of what is asked and what is counted, about "
            f"{hours:.1f} hours of a core"
        )
        help = (
            "compare a clock and at most one other number of what is counted, each alone on its "
            "side; or narrow both by what they have in common"
        )
        raise GroundingError(diagnostics=(Diagnostic("KR607", message, span=term.span, help=help),))
