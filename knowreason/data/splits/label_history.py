"""Labels as history: which are known, and as of when each thing may read them.

A label is known ``label_delay`` after its atom's clock, and never at its own time. What is
asked reads labels that were gathered when it was last possible, which may be long ago: rows
that are learned from read labels as old, so that a feature ages in training as it will in
use.
"""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from knowreason.data.encoded_tables import EncodedTables
from knowreason.data.id_tables import VALUE, Ids, id_columns, id_table
from knowreason.data.splits.clocks import LATEST, thing_values
from knowreason.row_keys import row_keys

NONE = -1  # state of a setting that is known to have none
GOLDEN = (math.sqrt(5) - 1) / 2


def known_truths(data: EncodedTables, predicate: str) -> pa.Table:
    """Labels and evidence that definitions may read.

    Returns:
        ``a0 ..`` and ``value``: bool; for a functional predicate its other arguments, and
        the id of the state, -1 for none.
    """
    tables = [t for t in (readable(data, predicate), data.evidence[predicate]) if t.num_rows]
    table = pa.concat_tables(tables) if tables else data.evidence[predicate]
    columns, value = id_columns(table), table.column(VALUE).to_numpy() == 1
    position = data.program.predicate(predicate).functional_position
    if position is None:
        return _distinct(data, predicate, columns, value.astype(np.int32), None)
    state = np.where(value, columns[position], NONE).astype(np.int32)
    return _distinct(data, predicate, columns, state, position)


def readable(data: EncodedTables, predicate: str) -> pa.Table:
    """Encoded labels that definitions may read: the visible ones, or those set apart."""
    return (data.labels if data.readable is None else data.readable)[predicate]


def as_of(data: EncodedTables, clock: str) -> pa.Table:
    """By thing, the latest clock of a label it may read: ``a0`` and ``value`` int64.

    ``clock - age - max(delay, 1)``, where the age is 0 for what is asked (``data.scope``).
    Other things are as old as what is asked may be: evenly from 0 to ``label_refresh``, by
    the golden ratio, so that any stretch of them has all ages. Things without a clock are
    left out.
    """
    times, _ = thing_values(data, clock)
    (domain,) = data.program.attribute(clock).sorts
    age = np.floor(np.arange(len(times)) * GOLDEN % 1 * data.label_refresh).astype(np.int64)
    if domain in data.scope:
        age[data.scope[domain]] = 0
    there = np.flatnonzero(times != LATEST)
    value = times[there] - age[there] - max(1, math.ceil(data.label_delay))
    return id_table([there.astype(np.int32)], pa.array(value))


def sources(data: EncodedTables) -> tuple[object, ...]:
    """The tables and masks that decide which labels definitions read."""
    read = [p for p in data.labels if p in data.evidence]  # no label of a number is read
    tables = [t for p in read for t in (readable(data, p), data.evidence[p])]
    return (*tables, *(data.scope[domain] for domain in sorted(data.scope)))


def _distinct(
    data: EncodedTables,
    predicate: str,
    columns: list[Ids],
    value: Ids,
    position: int | None,
) -> pa.Table:
    """One row a setting, of the greatest value."""
    sorts = data.program.sorts_of(predicate)
    others = [i for i in range(len(columns)) if i != position]
    own = [columns[i] for i in others]
    key = row_keys(own, [data.count(sorts[i]) for i in others], len(value))
    order = np.lexsort((-value, key))
    _, first = np.unique(key[order], return_index=True)
    rows = order[first]
    values = pa.array(value[rows])
    if position is None:
        values = pc.cast(values, pa.bool_())
    return id_table([ids[rows].astype(np.int32) for ids in own], values)
