"""Where definitions and rules are evaluated in arrays, and where in a relational engine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa

from knowreason.grounding.arrays.array_relations import ArrayRelations
from knowreason.grounding.arrays.running_totals import CountedRows, Running
from knowreason.grounding.arrays.scope_steps import FormulaScopes
from knowreason.grounding.relational.database import Relations
from knowreason.logic import Program

if TYPE_CHECKING:
    from knowreason.data import Dataset

_ARRAYS = "remembered arrays"
_CHOSEN: ContextVar[_Chosen | None] = ContextVar("arrays", default=None)


@dataclass(frozen=True)
class _Chosen:
    """What :func:`in_arrays` says, and the tables that were read in it so far."""

    scopes: FormulaScopes
    running: Running | None
    counted: Mapping[int, CountedRows]
    opened: dict[int, ArrayRelations] = field(default_factory=dict)


@contextmanager
def in_arrays(
    scopes: FormulaScopes,
    running: Running | None = None,
    counted: Mapping[int, CountedRows] | None = None,
) -> Iterator[None]:
    """A context in which a program's definitions and rules are evaluated in arrays.

    Args:
        scopes: of the program.
        running: totals over a history that aggregates are read from.
        counted: by rule, settings decided by evidence that are counted, and not among the rows.

    Raises:
        BeyondArrays: in it, where a relational engine is needed.
    """
    token = _CHOSEN.set(_Chosen(scopes, running, counted or {}))
    try:
        yield
    finally:
        _CHOSEN.reset(token)


def only_open() -> bool:
    """Whether only what is not known matters, inside :func:`in_arrays`."""
    chosen = _CHOSEN.get()
    return chosen is not None and chosen.scopes.only_open


def opened_arrays(program: Program, data: Dataset) -> ArrayRelations | None:
    """The arrays of a data set, the same each time, inside :func:`in_arrays`; else ``None``."""
    chosen = _CHOSEN.get()
    if chosen is None or chosen.scopes.program is not program:
        return None
    kept = chosen.opened.get(id(data))
    if kept is None:
        kept = chosen.opened[id(data)] = ArrayRelations(
            chosen.scopes, data, chosen.running, chosen.counted
        )
    return kept


def remember_arrays(data: Dataset) -> None:
    """Keep with a data set how its arrays are read, for :func:`remembered_arrays` later on."""
    chosen = _CHOSEN.get()
    read = None if chosen is None else (chosen.scopes, chosen.running)
    data.computed(_ARRAYS, lambda: read)


def remembered_arrays(data: Dataset) -> ArrayRelations | None:
    """Arrays as a data set was grounded in, for formulas that do not live on; else ``None``."""
    read: tuple[FormulaScopes, Running | None] | None = data.computed(_ARRAYS, lambda: None)
    return None if read is None else ArrayRelations(read[0].apart(), data, read[1])


@contextmanager
def in_remembered_arrays(data: Dataset) -> Iterator[None]:
    """:func:`in_arrays` as a data set was grounded in, or no such context where it was not: rows
    that a history of totals stands for are not among those of the data set."""
    read: tuple[FormulaScopes, Running | None] | None = data.computed(_ARRAYS, lambda: None)
    with nullcontext() if read is None else in_arrays(read[0].apart(), read[1]):
        yield


def open_relations(
    program: Program,
    data: Dataset,
    *,
    memory_limit: str = "4GB",
    threads: int | None = None,
    known: Mapping[str, pa.Table] | None = None,
) -> Relations | ArrayRelations:
    """Tables in a relational engine; as arrays inside :func:`in_arrays`."""
    arrays = opened_arrays(program, data)
    if arrays is not None:
        return arrays
    return Relations(program, data, memory_limit=memory_limit, threads=threads, known=known)
