"""Running totals of a history, kept beside its tables and grown with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from knowreason.data import Dataset
from knowreason.grounding.arrays.array_relations import ArrayRelations
from knowreason.grounding.arrays.array_tables import BeyondArrays
from knowreason.grounding.arrays.running_totals import (
    LATE,
    Running,
    RunningShape,
    Totals,
    contributions,
    running_shape,
)
from knowreason.grounding.arrays.scope_steps import FormulaScopes
from knowreason.logic import Aggregate, Formula
from knowreason.logic.traversal import walk
from knowreason.reasoner.serving.kept_tables import Ids

Parts = tuple[RunningShape, Totals, Totals]  # sorted long ago, and lately


@dataclass(frozen=True)
class KeptTotals:
    """Totals of a history at one moment; never changed.

    Attributes:
        scopes: of the program.
        parts: by the object of their shape.
    """

    scopes: FormulaScopes
    parts: Mapping[int, Parts]

    @staticmethod
    def of(scopes: FormulaScopes, data: Dataset) -> KeptTotals | None:
        """Totals of the aggregates in definitions; ``None`` where there are too many rows."""
        parts: dict[int, Parts] = {}
        tables = ArrayRelations(scopes, data)
        for shape in KeptTotals.shapes(scopes):
            try:
                made = contributions(shape, tables.settings({}, 1), {})
            except BeyondArrays:
                return None
            if made is None:
                return None
            parts[id(shape)] = shape, made, Totals.of(*_nothing())
        return KeptTotals(scopes, parts)

    @staticmethod
    def shapes(scopes: FormulaScopes) -> tuple[RunningShape, ...]:
        """Shapes of the aggregates in definitions whose totals can be kept, each once."""
        found: dict[int, RunningShape] = {}
        for definition in scopes.definitions.values():
            body = scopes.body(definition)
            for node in walk(body) if not isinstance(body, tuple | Formula) else ():
                shape = _shape(scopes, node) if isinstance(node, Aggregate) else None
                if shape is not None:
                    found[id(shape)] = shape
        return tuple(found.values())

    def fits(self, data: Dataset, ids: Mapping[str, Ids], counts: Mapping[str, int]) -> bool:
        """Whether new rows say nothing of things that were counted before."""
        for shape, _, _ in self.parts.values():
            sort = shape.counted.sort
            for name, place in shape.reads:
                table = data.facts.get(name)
                table = data.attributes.get(name) if table is None else table
                if table is None or not table.num_rows:
                    continue
                own = ids[sort][table.column(f"a{place}").to_numpy()]
                if int(own.min()) < counts[sort]:
                    return False
        return True

    def running(self, data: Dataset, ids: Mapping[str, Ids], numbers: Mapping[str, Ids]) -> Running:
        """Totals as one call sees them.

        Args:
            data: new rows.
            ids: of their things in the history, by domain.
            numbers: of the things of the tables that ask, by domain.
        """
        fresh: dict[int, tuple[Totals, ...]] = {}
        tables = ArrayRelations(self.scopes, data)

        def kept(shape: RunningShape) -> tuple[Totals, ...] | None:
            if id(shape) not in self.parts:
                return None
            if id(shape) not in fresh:
                made = contributions(shape, tables.settings({}, 1), ids)
                if made is None:
                    raise BeyondArrays
                _, early, late = self.parts[id(shape)]
                fresh[id(shape)] = tuple(part for part in (early, late, made) if len(part.key))
                fresh[id(shape)] = fresh[id(shape)] or (made,)
            return fresh[id(shape)]

        return Running(self.scopes, kept, numbers)

    def plus(self, data: Dataset, ids: Mapping[str, Ids]) -> KeptTotals | None:
        """With new rows; ``None`` where their keys do not fit."""
        tables = ArrayRelations(self.scopes, data)
        parts: dict[int, Parts] = {}
        for key, (shape, early, late) in self.parts.items():
            made = contributions(shape, tables.settings({}, 1), ids)
            if made is None:
                return None
            late = late.plus(made)
            if len(late.key) > max(LATE, len(early.key) // 32):
                early, late = early.plus(late), Totals.of(*_nothing())
            parts[key] = shape, early, late
        return KeptTotals(self.scopes, parts)


def _shape(scopes: FormulaScopes, term: Aggregate) -> RunningShape | None:
    return scopes.once("running", term, lambda: running_shape(scopes.program, term))


def _nothing() -> tuple[Ids, Ids, Ids, Ids]:
    nothing = np.zeros(0, np.int64)
    return nothing, nothing, nothing, nothing.astype(bool)
