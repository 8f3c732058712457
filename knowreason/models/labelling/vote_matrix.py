"""What label functions say of each row: a value, or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from knowreason.errors import ModelError, did_you_mean
from knowreason.models.base.feature_columns import columns_of
from knowreason.models.base.predicate_rows import PredicateRows
from knowreason.row_keys import locate

if TYPE_CHECKING:
    from knowreason.data import Dataset

ABSTAINS = -1


@dataclass(frozen=True)
class Votes:
    """Votes of ``m`` functions on ``n`` rows of ``K`` states.

    Attributes:
        functions: names.
        values: ``int16[n, m]``, the state a function votes for, :data:`ABSTAINS` where it says
            nothing.
        states: names of the states; ``("false", "true")`` of a Boolean predicate.

    >>> votes = Votes(("a", "b"), np.array([[1, 0], [1, -1]], np.int16))
    >>> votes.covered.tolist(), votes.majority().tolist()
    ([True, True], [[0.5, 0.5], [0.0, 1.0]])
    """

    functions: tuple[str, ...]
    values: NDArray[np.int16]
    states: tuple[str, ...] = ("false", "true")

    @cached_property
    def one_hot(self) -> NDArray[np.float64]:
        """``float64[n, m, K]``: 1 at the state voted for, 0 throughout where one abstains."""
        return np.asarray(self.values[:, :, None] == np.arange(len(self.states)), np.float64)

    @property
    def counts(self) -> NDArray[np.float64]:
        """``float64[n, K]``: votes for each state."""
        return np.asarray(self.one_hot.sum(1))

    @property
    def covered(self) -> NDArray[np.bool_]:
        """``bool[n]``: rows on which somebody votes."""
        return np.asarray((self.values != ABSTAINS).any(1))

    def majority(self) -> NDArray[np.float64]:
        """``float64[n, K]``: the state with most votes; ties, and rows without a vote, divided."""
        counts = self.counts
        first = (counts == counts.max(1, keepdims=True)).astype(np.float64)
        return np.asarray(first / first.sum(1, keepdims=True))

    def take(self, rows: NDArray[np.integer] | NDArray[np.bool_]) -> Votes:
        """Some rows."""
        return Votes(self.functions, self.values[rows], self.states)


def votes_on(
    data: Dataset,
    rows: PredicateRows,
    votes: Sequence[str],
    true: Sequence[str],
    false: Sequence[str],
    known: Sequence[str] = (),
) -> Votes:
    """The votes that data hold on the rows of a predicate.

    Args:
        data: with the attributes and predicates named.
        rows: of the predicate.
        votes: attributes whose value is the vote, a missing one an abstention: of the row's
            thing, or of it and a second thing, which is the function.
        true, false: predicates and definitions that vote true (false) where they hold and
            abstain elsewhere.
        known: functions in their order, as they were in training.

    Raises:
        ModelError: KR866 for a name that holds no votes, KR867 where there is none.
    """
    states = ("false", "true") if rows.classes is None else rows.classes
    columns: dict[str, NDArray[np.int16]] = {}
    for name in votes:
        columns |= _of_attribute(data, rows, name)
    for value, names in ((1, true), (0, false)):
        if names and rows.classes is not None:
            raise _no_votes(f"`{rows.predicate}` has more than two states", None)
        for name in names:
            holds = columns_of(data, rows, (name,)).values[:, 0] == 1
            columns[name] = np.where(holds, value, ABSTAINS).astype(np.int16)
    names = tuple(known) or tuple(columns)
    if not names:
        raise ModelError(
            f"no function votes on `{rows.predicate}`",
            code="KR867",
            help='name them: `label_functions(votes=["fires"])`',
        )
    silent = np.full(rows.count, ABSTAINS, np.int16)
    values = np.stack([columns.get(name, silent) for name in names], axis=1)
    return Votes(names, values, states)


def _of_attribute(data: Dataset, rows: PredicateRows, name: str) -> dict[str, NDArray[np.int16]]:
    attributes = {attribute.name: attribute for attribute in data.program.given_attributes}
    if name not in attributes:
        raise _no_votes(f"`{name}` is no attribute", did_you_mean(name, attributes))
    attribute = attributes[name]
    if attribute.sorts[: len(rows.sorts)] != rows.sorts or len(attribute.sorts) > 1 + len(
        rows.sorts
    ):
        raise _no_votes(f"`{name}` is not about {', '.join(rows.sorts)} and a function", None)
    table = data.attributes[name]
    keys = np.stack([_ids(table, i) for i in range(len(attribute.sorts))], axis=1)
    row = locate(rows.things, np.ascontiguousarray(keys[:, : len(rows.sorts)]))
    value = _states(data, rows, table, attribute.sort, name)
    if len(attribute.sorts) == len(rows.sorts):
        function, names = np.zeros(len(row), np.int64), [name]
    else:
        function = keys[:, -1].astype(np.int64)
        names = data.vocabularies[attribute.sorts[-1]].names.to_pylist()
    values = np.full((rows.count, len(names)), ABSTAINS, np.int16)
    here = row >= 0
    values[row[here], function[here]] = value[here]
    return {named: values[:, place] for place, named in enumerate(names)}


def _states(
    data: Dataset, rows: PredicateRows, table: pa.Table, sort: str, name: str
) -> NDArray[np.int16]:
    column = table.column(table.num_columns - 1)
    if rows.classes is None and sort in ("bool", "int"):
        value = column.cast(pa.int64()).to_numpy()
        if not np.isin(value, (0, 1)).all():
            wrong = value[~np.isin(value, (0, 1))][0]
            raise _no_votes(
                f"`{name}` votes {wrong}", "votes are 0 and 1; no row or no value abstains"
            )
        return np.asarray(value, np.int16)
    if rows.classes is not None and sort in data.vocabularies:
        place = {state: index for index, state in enumerate(rows.classes)}
        names = data.vocabularies[sort].names.to_pylist()
        code = np.array([place.get(text, ABSTAINS) for text in names], np.int16)
        return np.asarray(code[column.to_numpy()])
    raise _no_votes(
        f"`{name}` is of sort {sort}",
        "`bool` for a Boolean predicate, its own domain for a functional one",
    )


def _ids(table: pa.Table, position: int) -> NDArray[np.int32]:
    return np.asarray(table.column(position).to_numpy(), np.int32)


def _no_votes(message: str, help: str | None) -> ModelError:
    return ModelError(f"{message}, so it holds no votes", code="KR866", help=help)
