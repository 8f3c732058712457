"""Numbering of open ground atoms, their evidence and labels, and their blocks.

Atoms of a predicate are consecutive and sorted by their arguments, the functional
argument varying fastest, so that a functional block is a run of atoms and the index of
an atom is arithmetic (all combinations open) or a binary search (``within``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from knowreason.data import Dataset
from knowreason.data.id_tables import id_columns, id_matrix
from knowreason.errors import GroundingError, UnknownNameError
from knowreason.factors import FALSE, OPEN, TRUE, AtomSpan, AtomTable
from knowreason.factors.arrays import owners
from knowreason.grounding.arrays.array_context import open_relations
from knowreason.grounding.arrays.array_relations import AnyRelations
from knowreason.logic import Predicate, Program
from knowreason.logic.canonical_text import ground_atom_text, string_text
from knowreason.row_keys import KeyPlaces, RowKeys, ordered_rows

DEFAULT_LIMIT = 50_000_000  # rows of one rule, atoms of one predicate
_DENSE = 1 << 24  # combinations whose places are kept one by one

Values = NDArray[np.int8]
Ids = NDArray[np.int32]


def open_atoms(
    program: Program,
    data: Dataset,
    limit: int = DEFAULT_LIMIT,
    relations: AnyRelations | None = None,
) -> AtomTable:
    r"""The open atoms of every query and latent predicate, numbered.

    Args:
        program: the rules.
        data: tables bound to its predicates.
        limit: most atoms one predicate may have.
        relations: an open database of ``data``, made here if a definition is needed.

    Raises:
        GroundingError: where a predicate without ``within`` has too many combinations.

    Example:
        >>> from knowreason import loads
        >>> program = loads('domain P = {"anna", "bob"}\nquery Smokes(P)')
        >>> open_atoms(program, Dataset.from_frames(program)).count
        2
    """
    spans: dict[str, AtomSpan] = {}
    start = 0
    for predicate in program.open_predicates:
        if predicate.sees in spans:
            arguments = spans[predicate.sees].arguments
        else:
            arguments = asked_arguments(predicate, program, data, limit, relations)
        stop = start + len(arguments)
        position = predicate.functional_position
        spans[predicate.name] = AtomSpan(predicate.name, start, stop, arguments, position)
        start = stop
    return AtomTable(spans, start)


def asked_arguments(
    predicate: Predicate,
    program: Program,
    data: Dataset,
    limit: int = DEFAULT_LIMIT,
    relations: AnyRelations | None = None,
) -> Ids:
    """``int32[n, arity]``: what a predicate is asked of, in order; see :func:`open_atoms`."""
    if predicate.within is None:
        return _product(predicate, data, limit)
    candidates = id_matrix(_candidates(predicate.within, program, data, relations))
    if candidates.shape[1] < predicate.arity:
        candidates = _with_every_value(candidates, predicate, data, limit)
    return _sorted(candidates, predicate, data)


def argument_order(arity: int, functional_position: int | None) -> list[int]:
    """Argument positions from slowest to fastest varying."""
    order = [position for position in range(arity) if position != functional_position]
    return order if functional_position is None else [*order, functional_position]


def domain_sizes(predicate: Predicate, data: Dataset) -> list[int]:
    """How many things each argument place ranges over."""
    return [len(data.vocabularies[sort]) for sort in predicate.sorts]


def _product(predicate: Predicate, data: Dataset, limit: int) -> Ids:
    sizes = domain_sizes(predicate, data)
    total = prod(sizes)
    if total > limit:
        places = " x ".join(
            f"{size:,} {sort}" for size, sort in zip(sizes, predicate.sorts, strict=True)
        )
        help = f"list its candidate pairs: `{predicate.kind} {predicate.name}(...) within ...`"
        raise _too_many(predicate, places, total, limit, help)
    order = argument_order(predicate.arity, predicate.functional_position)
    arguments = np.empty((total, predicate.arity), np.int32)
    inner, outer = total, 1
    for position in order:
        inner //= max(sizes[position], 1)
        run = np.repeat(np.arange(sizes[position], dtype=np.int32), inner)
        arguments[:, position] = np.tile(run, outer)
        outer *= sizes[position]
    return arguments


def _too_many(
    predicate: Predicate, places: str, total: int, limit: int, help: str
) -> GroundingError:
    message = f"`{predicate.name}` has {places} = {total:,} open atoms, over the limit of {limit:,}"
    return GroundingError(message, code="KR640", help=help)


def _candidates(
    name: str, program: Program, data: Dataset, relations: AnyRelations | None
) -> pa.Table:
    if program.kind_of(name) == "observed":
        return data.facts[name]
    if relations is not None:
        return relations.read(name)
    with open_relations(program, data) as opened:
        return opened.read(name)


def _with_every_value(keys: Ids, predicate: Predicate, data: Dataset, limit: int) -> Ids:
    """Candidates of the key arguments, each with all values of the functional one."""
    position = predicate.functional_position
    assert position is not None
    count = domain_sizes(predicate, data)[position]
    if (total := len(keys) * count) > limit:
        places = f"{len(keys):,} `{predicate.within}` x {count:,} {predicate.sorts[position]}"
        raise _too_many(predicate, places, total, limit, "list fewer candidates")
    values = np.tile(np.arange(count, dtype=np.int32), len(keys))
    return np.insert(np.repeat(keys, count, axis=0), position, values, axis=1)


def _sorted(arguments: Ids, predicate: Predicate, data: Dataset) -> Ids:
    order = argument_order(predicate.arity, predicate.functional_position)
    sizes = domain_sizes(predicate, data)
    columns = [arguments[:, i] for i in order]
    ordered = ordered_rows(columns, [sizes[i] for i in order], len(arguments), distinct=True)
    if ordered is None:
        return arguments
    found = np.empty((len(ordered[0]), len(order)), np.int32)
    for position, column in zip(order, ordered, strict=True):
        found[:, position] = column
    return found


@dataclass(frozen=True)
class Numbering:
    """Looks ground atoms up by the ids of their arguments.

    Attributes:
        table: the atoms.
        sizes: by predicate, how many things each argument place ranges over.
        keys: by predicate with ``within``, how rows of arguments become keys, and the sorted
            keys of its atoms.
        places: by predicate with ``within`` and few combinations, the place of each
            combination among its atoms, ``-1`` where it is none.
    """

    table: AtomTable
    sizes: Mapping[str, tuple[int, ...]]
    keys: Mapping[str, tuple[RowKeys, KeyPlaces]]
    places: Mapping[str, Ids]

    @staticmethod
    def of(table: AtomTable, program: Program, data: Dataset) -> Numbering:
        """Lookups for the atoms of ``table``."""
        sizes, keys, places = {}, {}, {}
        for predicate in program.open_predicates:
            span = table.spans[predicate.name]
            own = sizes[predicate.name] = tuple(domain_sizes(predicate, data))
            total = prod(own)
            if span.count == total:
                continue
            order = argument_order(predicate.arity, predicate.functional_position)
            columns = [span.arguments[:, i] for i in order]
            makes, known = RowKeys.of(columns, [own[i] for i in order], span.count)
            if total <= max(_DENSE, 4 * span.count):
                place = np.full(total, -1, np.int32)
                place[known] = np.arange(span.start, span.stop, dtype=np.int32)
                places[predicate.name] = place
            keys[predicate.name] = makes, KeyPlaces.of(known)
        return Numbering(table, sizes, keys, places)

    def find(self, predicate: str, columns: Sequence[Ids], rows: int = 0) -> Ids:
        """``int32[m]`` atom of each row of argument ids, ``-1`` where it is no open atom.

        Args:
            predicate: an open predicate.
            columns: ids, one array an argument.
            rows: how many rows there are where there is no argument.
        """
        span = self.table.spans[predicate]
        sizes = self.sizes[predicate]
        order = argument_order(len(sizes), span.functional_position)
        if predicate not in self.keys:
            index = np.zeros(len(columns[0]) if columns else rows, np.int32)
            for position in order:
                index *= np.int32(sizes[position])
                index += columns[position]
            index += np.int32(span.start)
            return index
        makes, known = self.keys[predicate]
        wanted = makes([columns[i] for i in order], rows)
        if predicate in self.places:
            return np.where(wanted >= 0, self.places[predicate][wanted], -1)
        place = known.find(wanted)
        return np.where(place >= 0, place + span.start, -1).astype(np.int32)


def atom_values(
    numbering: Numbering, tables: Mapping[str, pa.Table], count: int
) -> tuple[Values, dict[str, int]]:
    """``int8[count]`` truth values given by tables (``OPEN`` elsewhere).

    Returns also, by predicate, how many true rows lie outside its candidates.
    """
    values = np.full(count, OPEN, np.int8)
    outside: dict[str, int] = {}
    for predicate, table in tables.items():
        if predicate not in numbering.sizes:  # a numeric query
            continue
        truth = table.column("value").to_numpy().astype(np.int8)
        index = numbering.find(predicate, id_columns(table), len(truth))
        inside = index >= 0
        values[index[inside]] = truth[inside]
        lost = int(np.count_nonzero(truth[~inside] == TRUE))
        if lost:
            outside[predicate] = lost
    return values, outside


def block_starts(span: AtomSpan) -> NDArray[np.int64]:
    """``int64[b + 1]``: where each functional block of a span begins, and the end."""
    order = argument_order(span.arguments.shape[1], span.functional_position)[:-1]
    if span.count == 0:
        return np.array([span.start], np.int64)
    changed = np.zeros(span.count, bool)
    changed[0] = True
    for position in order:
        column = span.arguments[:, position]
        changed[1:] |= column[1:] != column[:-1]
    return np.append(np.flatnonzero(changed), span.count).astype(np.int64) + span.start


def spread_over_blocks(
    values: Values, table: AtomTable, program: Program, data: Dataset, what: str
) -> Values:
    """What known values of a functional predicate say about the rest of their block.

    A true value makes the others false; in an exactly-one block the last one left is
    true.

    Raises:
        GroundingError: where a block has two true values, or none in an exactly-one block.
    """
    values = values.copy()
    for span, optional in _functional_spans(table, program):
        starts = block_starts(span)
        part = values[span.start : span.stop]
        owner = owners(starts)
        trues = np.bincount(owner[part == TRUE], minlength=len(starts) - 1)
        unknown = np.bincount(owner[part == OPEN], minlength=len(starts) - 1)
        empty = (trues == 0) & (unknown == 0) & (not optional)
        for wrong, problem, code in (
            (trues > 1, "more than one value", "KR641"),
            (empty, "no value left", "KR642"),
        ):
            if wrong.any():
                first = block_text(int(starts[:-1][wrong][0]), table, program, data)
                others = int(wrong.sum()) - 1
                more = f", and so {'have' if others > 1 else 'has'} {others:,} more"
                raise GroundingError(
                    f"`{first}` has {problem} in {what}{more * (others > 0)}", code=code
                )
        part[(trues[owner] == 1) & (part == OPEN)] = FALSE
        if not optional:
            part[(trues[owner] == 0) & (unknown[owner] == 1) & (part == OPEN)] = TRUE
    return values


def _functional_spans(table: AtomTable, program: Program) -> Iterator[tuple[AtomSpan, bool]]:
    """Atoms of each functional predicate that has any, and whether at most one of a block holds
    instead of exactly one."""
    for predicate in program.open_predicates:
        position = predicate.functional_position
        span = table.spans[predicate.name]
        if position is not None and span.count:
            yield span, predicate.arguments[position].functional == "?"


def open_blocks(
    evidence: Values, table: AtomTable, program: Program
) -> tuple[NDArray[np.int64], Ids, NDArray[np.bool_]]:
    """Blocks that still constrain something, as CSR: offsets, atoms, at-most-one flags."""
    lengths: list[NDArray[np.int64]] = []
    members: list[Ids] = []
    at_most: list[NDArray[np.bool_]] = []
    for span, optional in _functional_spans(table, program):
        starts = block_starts(span)
        owner = owners(starts)
        is_open = evidence[span.start : span.stop] == OPEN
        size = np.bincount(owner[is_open], minlength=len(starts) - 1)
        kept = size > 1
        chosen = is_open & kept[owner]
        lengths.append(size[kept].astype(np.int64))
        members.append((np.flatnonzero(chosen) + span.start).astype(np.int32))
        at_most.append(np.full(int(kept.sum()), optional))
    if not lengths:
        return np.zeros(1, np.int64), np.zeros(0, np.int32), np.zeros(0, bool)
    offsets = np.concatenate([[0], np.cumsum(np.concatenate(lengths))]).astype(np.int64)
    return offsets, np.concatenate(members), np.concatenate(at_most)


def atom_text(atom: int, table: AtomTable, program: Program, data: Dataset) -> str:
    """``Smokes("anna")``; auxiliary atoms are ``auxiliary 17``."""
    span = table.owner(atom)
    if span is None:
        return f"auxiliary {atom}"
    row = span.arguments[atom - span.start]
    return ground_atom_text(span.predicate, names_of(data, program.sorts_of(span.predicate), row))


def block_text(atom: int, table: AtomTable, program: Program, data: Dataset) -> str:
    """``Uses("e1", _)``: all atoms of a functional predicate that differ in its value only."""
    span = table.owner(atom)
    assert span is not None
    assert span.functional_position is not None
    names = names_of(data, program.sorts_of(span.predicate), span.arguments[atom - span.start])
    shown = [string_text(name) for name in names]
    shown[span.functional_position] = "_"
    return f"{span.predicate}({', '.join(shown)})"


def names_of(data: Dataset, sorts: Sequence[str], things: Ids) -> list[str]:
    """Names of the things of a row, one a sort."""
    return [
        data.vocabularies[sort].name(int(thing)) for sort, thing in zip(sorts, things, strict=True)
    ]


def ids_of_names(
    data: Dataset, program: Program, predicate: str, names: Sequence[object]
) -> list[Ids]:
    """Ids of named things, one ``int32[1]`` an argument.

    Raises:
        UnknownNameError: for a name that is no member of its domain, or a wrong number.
    """
    sorts = program.sorts_of(predicate)
    if len(sorts) != len(names):
        raise UnknownNameError(
            f"`{predicate}` takes {len(sorts)} argument(s), not {len(names)}",
            code="KR650",
            help=f"it is about ({', '.join(sorts)})",
        )
    columns = []
    for sort, name in zip(sorts, names, strict=True):
        ids = np.asarray(data.vocabularies[sort].ids([str(name)]), np.int32)
        if ids[0] < 0:
            raise UnknownNameError(
                f"`{sort}` has no member `{name}`",
                code="KR650",
                help=data.vocabularies[sort].near(str(name)),
            )
        columns.append(ids)
    return columns
