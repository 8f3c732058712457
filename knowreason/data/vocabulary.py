"""Names of things and their int32 ids, one vocabulary a domain."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from knowreason.data.arrow_types import ArrowColumn, NameColumn
from knowreason.data.name_encoding import UNKNOWN, as_text, encode, one_chunk, to_ids
from knowreason.errors import DataError, did_you_mean
from knowreason.logic.canonical_text import string_text

EXAMPLES, SUGGESTIONS = 3, 10_000  # names shown, and names among which a near one is sought


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """The things of one domain; ids are ``0 .. len - 1``.

    Attributes:
        domain: name of the domain.
        names: ``string[n]``, id to name.
        enumerated: whether the program fixes the members.

    >>> people = Vocabulary("Person", pa.array(["anna", "bob"]))
    >>> people.ids(["bob", "eve"])
    array([ 1, -1], dtype=int32)
    """

    domain: str
    names: pa.StringArray
    enumerated: bool = False

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names.to_pylist())

    def __contains__(self, name: object) -> bool:
        return self.find(str(name)) != UNKNOWN

    def ids(self, names: Sequence[object] | ArrowColumn) -> NDArray[np.int32]:
        """Ids of names, ``int32[n]``; -1 where there is no such thing (or null).

        Integers are their decimal text, so ``3`` and ``"3"`` are one thing.
        """
        asked = as_names(names)
        if len(asked) * 8 < len(self.names):  # hash the shorter side
            return self._ids_of_few(asked)
        return to_ids(pc.index_in(asked, value_set=self.names, skip_nulls=True))

    def find(self, name: str) -> int:
        """Id of one name, -1 when there is none."""
        return int(pc.index(self.names, name).as_py())

    def id(self, name: str) -> int:
        """Id of one name.

        Raises:
            DataError: KR509 when the domain has no such thing.
        """
        index = self.find(str(name))
        if index == UNKNOWN:
            raise DataError(
                f"no `{self.domain}` is called `{name}`", code="KR509", help=self.near(str(name))
            )
        return index

    def near(self, name: str) -> str:
        """A help line with what has almost the name among the first 10,000, or with examples."""
        near = did_you_mean(name, self.names.slice(0, SUGGESTIONS).to_pylist())
        if near and not any(map(str.isdigit, name)):  # of numbers there is always a near one
            return near
        few = ", ".join(map(string_text, self.names.slice(0, EXAMPLES).to_pylist()))
        more = "" if len(self) <= EXAMPLES else " ..."
        return f"there are {few}{more}: names are compared as text" if few else "it has no members"

    def name(self, id: int) -> str:
        """Name of an id."""
        return str(self.names[int(id)].as_py())

    def decode(self, ids: NDArray[np.integer] | ArrowColumn) -> NameColumn:
        """Names of ids, ``string[n]``."""
        indices = ids if isinstance(ids, pa.Array | pa.ChunkedArray) else pa.array(ids)
        names: NameColumn = one_chunk(pc.take(self.names, indices))
        return names

    def take(self, keep: NDArray[np.bool_]) -> tuple[Vocabulary, NDArray[np.int32]]:
        """The vocabulary of the things kept, and old id to new id (-1 for a dropped one)."""
        renumber = np.where(keep, np.cumsum(keep) - 1, UNKNOWN).astype(np.int32)
        names = self.names.filter(pa.array(keep))
        return Vocabulary(self.domain, names, self.enumerated), renumber

    def _ids_of_few(self, asked: pa.Array) -> NDArray[np.int32]:
        distinct = asked.unique().drop_null()
        hits = pc.index_in(self.names, value_set=distinct)
        where = np.flatnonzero(hits.is_valid().to_numpy(zero_copy_only=False))
        ids = np.full(len(distinct) + 1, UNKNOWN, dtype=np.int32)
        ids[hits.take(pa.array(where)).to_numpy(zero_copy_only=False)] = where
        return ids[to_ids(pc.index_in(asked, value_set=distinct, skip_nulls=True))]


@dataclass(frozen=True, eq=False)
class Coded:
    """A column of names as indices into its own distinct names.

    Attributes:
        indices: ``int32[rows]``, -1 for null.
        distinct: ``string[d]``, in order of first appearance.
        piece: which column added to the builder this is.
    """

    indices: NDArray[np.int32]
    distinct: pa.StringArray
    piece: int

    @cached_property
    def nameless(self) -> NDArray[np.bool_]:
        """``bool[d]``: distinct names that are empty."""
        return np.asarray(pc.equal(self.distinct, ""))

    def rows_of(self, wanted: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Rows whose distinct name is ``wanted`` (``bool[d]``)."""
        return np.flatnonzero(np.append(wanted, False)[self.indices])


@dataclass
class VocabularyBuilder:
    """Collects the columns that mention a domain, then numbers their names once.

    A column that was added before (the key of many tables, usually) is not hashed again.
    """

    domain: str
    members: tuple[str, ...] | None = None
    closed: bool = False  # only columns added with `fills` give members
    _columns: list[pa.ChunkedArray] = field(default_factory=list)
    _coded: list[Coded] = field(default_factory=list)
    _filling: set[int] = field(default_factory=set)
    _mappings: list[NDArray[np.int32] | None] = field(default_factory=list)

    def add(self, column: pa.ChunkedArray, *, fills: bool = False) -> Coded:
        """Encode a column of text or integers against its own distinct names."""
        piece = next((p for p, seen in enumerate(self._columns) if _equal(seen, column)), None)
        if piece is None:
            piece = len(self._columns)
            self._columns.append(column)
            self._coded.append(Coded(*encode(column), piece))
        if fills:
            self._filling.add(piece)
        return self._coded[piece]

    def freeze(self) -> Vocabulary:
        """Number the names: members as declared, or first appearance in an open domain."""
        pieces = [coded.distinct for coded in self._coded]
        if self.members is not None or self.closed:
            filling = [pieces[place] for place in sorted(self._filling)]
            members = pa.array(self.members or (), pa.string())
            names = members if self.members else pa.concat_arrays([members, *filling]).unique()
            self._mappings = [to_ids(pc.index_in(p, value_set=names)) for p in pieces]
            return Vocabulary(self.domain, names, enumerated=self.members is not None)
        if len(self._coded) == 1:
            self._mappings = [None]
            return Vocabulary(self.domain, self._coded[0].distinct)
        joined = pa.concat_arrays(pieces) if pieces else pa.array([], pa.string())
        numbers, names = encode(pa.chunked_array([joined]))
        stops = np.cumsum([len(piece) for piece in pieces])
        self._mappings = list(np.split(numbers, stops[:-1]))
        return Vocabulary(self.domain, names)

    def outside(self, coded: Coded) -> NDArray[np.bool_]:
        """``bool[d]``: distinct names of a column that an enumerated or closed domain does not
        have."""
        unknown: NDArray[np.bool_] = self.numbers(coded) == UNKNOWN
        return unknown

    def first_in(self, coded: Coded) -> NDArray[np.bool_]:
        """``bool[d]``: distinct names that no column added before mentions."""
        numbers = self.numbers(coded)
        before = [self.numbers(c) for c in self._coded[: coded.piece] if len(c.distinct)]
        return numbers > max((int(piece.max()) for piece in before), default=UNKNOWN)

    def ids(self, coded: Coded) -> NDArray[np.int32]:
        """Ids of a column's rows, ``int32[rows]``; call after :meth:`freeze`."""
        mapping = self._mappings[coded.piece]
        if mapping is None:
            return coded.indices
        return np.append(mapping, np.int32(UNKNOWN))[coded.indices]

    def numbers(self, coded: Coded) -> NDArray[np.int32]:
        """Ids of a column's distinct names, ``int32[d]``; call after :meth:`freeze`."""
        mapping = self._mappings[coded.piece]
        return np.arange(len(coded.distinct), dtype=np.int32) if mapping is None else mapping


def _equal(column: pa.ChunkedArray, other: pa.ChunkedArray) -> bool:
    same: bool = column.type == other.type and len(column) == len(other) and column.equals(other)
    return same


def as_names(names: Sequence[object] | pa.Array | pa.ChunkedArray) -> pa.StringArray:
    """One string array: text as it is, everything else as its text."""
    if not isinstance(names, pa.Array | pa.ChunkedArray):
        names = pa.array([None if name is None else str(name) for name in names], pa.string())
    return as_text(names)
