"""Labels of a predicate, and the fold of each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from knowreason.data.id_tables import id_matrix
from knowreason.data.splits.attribute_groups import group_codes
from knowreason.data.splits.dealt_folds import NO_FOLD, DealtFolds, dealt_folds
from knowreason.data.splits.holdout import folds
from knowreason.errors import DataError
from knowreason.models.base.predicate_rows import UNKNOWN, PredicateRows, atoms_of
from knowreason.row_keys import locate

if TYPE_CHECKING:
    from knowreason.data import Dataset


@dataclass(frozen=True)
class LabelRows:
    """Visible labels of a predicate and the fold of each.

    Attributes:
        fold: ``int32[n_labels]`` by row of the label table.
        fold_of_row: ``int32[n_rows]``, ``-1`` for a row without a label.
        scored_with: ``int32[n_rows]``, the fold whose model speaks of the row: that of its
            group, or where folds go forward that of its time; ``-1`` for the final model.
        order: folds that hold a labelled row, ascending.
        dealt: how groups were dealt; ``None`` where folds go forward.
    """

    fold: NDArray[np.int32]
    fold_of_row: NDArray[np.int32]
    scored_with: NDArray[np.int32]
    order: list[int]
    dealt: DealtFolds | None = None

    @staticmethod
    def of(
        data: Dataset,
        rows: PredicateRows,
        count: int,
        kind: str,
        seed: int,
        groups: NDArray[np.integer] | None = None,
    ) -> LabelRows:
        """Folds of the labels; a row of a functional predicate is never cut.

        Args:
            data: with the labels.
            rows: of the predicate.
            count: folds at most.
            kind: ``"grouped"``, ``"random"``, ``"forward"`` or ``"group:ATTRIBUTE"``.
            seed: of the dealing.
            groups: ``int[n_rows]``, rows of one number stay together (kind ``"grouped"``).

        Raises:
            DataError: KR519 for another kind, and for fewer than 2 folds.
        """
        none = np.full(rows.count, NO_FOLD, np.int32)
        table = data.labels.get(rows.predicate)
        if table is None or not table.num_rows:
            return LabelRows(np.zeros(0, np.int32), none, none, [])
        atoms = locate(atoms_of(data, rows.predicate).arguments, id_matrix(table))
        row = np.where(atoms >= 0, rows.row_of_atom[atoms], -1)
        labelled = rows.labels != UNKNOWN
        if kind == "forward":
            of_table = np.asarray(folds(data, rows.predicate, count, kind, seed), np.int32)
            fold_of_row = none.copy()
            fold_of_row[row[row >= 0]] = of_table[row >= 0]
            fold_of_row[~labelled] = NO_FOLD
            fold = np.where(row >= 0, fold_of_row[row], of_table)
            scored_with, dealt = by_time(rows, fold_of_row), None
        else:
            if count < 2:
                raise DataError(f"{count} folds: at least 2 are needed", code="KR519")
            dealt = dealt_folds(row_groups(data, rows, kind, groups), rows.labels, count, seed)
            scored_with = dealt.fold
            fold_of_row = np.where(labelled, scored_with, NO_FOLD)
            fold = np.where(row >= 0, scored_with[row], NO_FOLD)
        order = np.unique(fold_of_row[fold_of_row >= 0]).tolist()
        return LabelRows(fold, fold_of_row, scored_with, order, dealt)

    def restricted(self, data: Dataset, predicate: str, seen: NDArray[np.bool_]) -> Dataset:
        """The data with only the labels of the rows ``seen``.

        Definitions go on reading all of them: each reads labels from before its own time.
        """
        table = data.labels[predicate].filter(pa.array(seen))
        readable = data.labels if data.readable is None else data.readable
        return replace(data, labels={**data.labels, predicate: table}, readable=readable)


def row_groups(
    data: Dataset, rows: PredicateRows, kind: str, groups: NDArray[np.integer] | None = None
) -> NDArray[np.integer]:
    """``int[n_rows]``: rows of one number stay together; see :meth:`LabelRows.of`."""
    alone = np.arange(rows.count)
    if kind == "random" or (kind == "grouped" and groups is None):
        return alone
    if kind == "grouped":
        assert groups is not None
        return groups
    name, _, attribute = kind.partition(":")
    if name != "group" or not attribute:
        raise DataError(
            f"no folds of kind `{kind}`",
            code="KR519",
            help="grouped, random, forward or group:ATTRIBUTE",
        )
    codes, domain = group_codes(data, attribute)
    if domain not in rows.sorts:
        raise DataError(
            f"folds by `{attribute}`: no attribute of an argument of `{rows.predicate}`",
            code="KR519",
        )
    code = codes[rows.things[:, rows.sorts.index(domain)]]
    return np.where(code >= 0, code, codes.max(initial=-1) + 1 + alone)


def by_time(rows: PredicateRows, fold_of_row: NDArray[np.int32]) -> NDArray[np.int32]:
    """``int32[n_rows]``: the fold of each row, for unlabelled ones the fold of their time."""
    if rows.time is None or len(np.unique(fold_of_row[fold_of_row >= 0])) < 2:
        return fold_of_row
    folds_seen = np.unique(fold_of_row[fold_of_row >= 0])
    starts = np.array([rows.time[fold_of_row == fold].min() for fold in folds_seen])
    latest_start = np.searchsorted(starts, rows.time, side="right") - 1
    return np.where(fold_of_row >= 0, fold_of_row, folds_seen[np.maximum(latest_start, 0)])
