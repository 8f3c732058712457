"""What of each table's ids other tables know: counted for all, said where it looks wrong.

An id that is written otherwise in two tables (``7`` and ``007``) makes two things of one, and
nothing else fails: the label is learned from and joins nothing.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from knowreason.data.binding.binder import Encoded, TableBinder
from knowreason.data.binding.data_findings import NamedTable
from knowreason.data.binding.id_spelling import find_spelling
from knowreason.data.vocabulary import EXAMPLES, SUGGESTIONS, Coded
from knowreason.diagnostics import Severity
from knowreason.errors import did_you_mean
from knowreason.logic.canonical_text import string_text

LIST = "[domains."  # of the project file: a table of all there are, which closes a domain
NEW_SHARE = 0.01  # of new ids, up to which they are a hint and no warning
Kind = Literal["things", "facts", "features", "others"]
KINDS: tuple[Kind, ...] = ("things", "facts", "features", "others")
Marks = NDArray[np.bool_]
_PARTS: ContextVar[tuple[Kind, ...]] = ContextVar("parts", default=())


@contextmanager
def of_a_part(*kinds: Kind) -> Iterator[None]:
    """Within it, tables of these kinds are a part of larger ones, as those of one day are, so that
    all of their ids may be new and no error."""
    before = _PARTS.set(kinds)
    try:
        yield
    finally:
        _PARTS.reset(before)


@dataclass(frozen=True)
class IdCoverage:
    """What of a table's ids other tables know, in one domain.

    Attributes:
        table: which, and what it fills.
        domain: what the ids name.
        ids: distinct ids of the table.
        matched: those that another table has too.
        new: those that no other table has.
        missing: ids of other tables that this one does not have.
        new_examples, missing_examples: the first of them.
        outside: ids that a closed domain does not have; their rows are left out.
    """

    table: str
    domain: str
    ids: int
    matched: int
    new: int
    missing: int
    new_examples: tuple[str, ...] = ()
    missing_examples: tuple[str, ...] = ()
    outside: int = 0


def check_ids(
    binding: TableBinder,
    *,
    things: Sequence[Encoded] = (),
    facts: Sequence[Encoded] = (),
    features: Sequence[Encoded] = (),
    others: Sequence[Encoded] = (),
) -> tuple[IdCoverage, ...]:
    """What of each table's ids other tables know; call after :meth:`TableBinder.freeze`.

    What is bound from one file, from one table of a project or with one column of ids is one table.

    - A row of ``others`` (labels, evidence, scores) is new where neither a fact nor a feature
      mentions its id, a row of ``features`` where no fact does, nor a label of another table:
      examples may stand outside of all facts. A domain that no such table names is enumerated by
      its labels, which is fine.
    - Facts introduce things. New ids of a table of facts are told where it lacks ids of others
      too: a table that has all of them is where things come from.
    - In a closed domain every id that its own table does not have is told, and its rows are left
      out (KR534).

    Up to 1 % new ids are a hint, more a warning (KR529). All of them are an error (KR530), but
    never for statements of a facts file.
    """
    tables = (things, facts, features, others)
    sources = _sources(binding, tuple(zip(KINDS, tables, strict=True)))
    mentions = _Mentions(binding, sources)
    for encoded in (*facts, *features, *others):
        _check_closed(binding, encoded)
    for encoded in features:
        labelled = mentions.elsewhere(_key(binding, encoded), encoded.sorts[0], "others")
        _check_rows(binding, encoded, mentions, "fact", ("things", "facts"), labelled)
    for encoded in others:
        _check_rows(binding, encoded, mentions, "fact or feature", KINDS[:3])
    for domain in binding.vocabularies:
        if not _is_fixed(binding, domain):
            _check_facts(binding, domain, sources, mentions)
    return tuple(
        _coverage(binding, source, domain, mentions)
        for source in sources
        for domain in source.domains()
        if not binding.vocabularies[domain].enumerated
    )


@dataclass(eq=False)
class _Source:
    """A table, whatever it fills.

    Attributes:
        marks: ``bool[n]`` by domain and kind: the things it mentions.
        outside: names by domain that a closed domain does not have.
    """

    key: Hashable
    names: dict[str, list[str]] = field(default_factory=dict)  # by domain
    origin: str = ""
    stated: bool = False  # in a facts file
    marks: dict[tuple[str, Kind], Marks] = field(default_factory=dict)
    outside: dict[str, list[pa.StringArray]] = field(default_factory=dict)

    def title(self, domain: str) -> str:
        """What of it names things of a domain, and where it is."""
        names = ", ".join(dict.fromkeys(self.names[domain]))
        return f"{names} ({self.origin})" if self.origin else names

    def domains(self) -> list[str]:
        """Domains whose things it mentions."""
        return list(dict.fromkeys([*(domain for domain, _ in self.marks), *self.outside]))

    def marked(self, domain: str, kinds: Iterable[Kind], size: int) -> Marks:
        """``bool[n]``: things that it mentions in one of the kinds."""
        mark = np.zeros(size, np.bool_)
        for kind in kinds:
            if (domain, kind) in self.marks:
                mark |= self.marks[domain, kind]
        return mark


def _key(binding: TableBinder, encoded: Encoded) -> Hashable:
    """The same for what is of one table: its origin, or the columns of ids it has first."""
    if encoded.frame.origin:
        return encoded.frame.origin
    return tuple((domain, coded.piece) for _, domain, coded in _columns(binding, encoded))[:1]


def _sources(
    binding: TableBinder, kinds: Sequence[tuple[Kind, Sequence[Encoded]]]
) -> list[_Source]:
    sources: dict[Hashable, _Source] = {}
    for kind, tables in kinds:
        for encoded in tables:
            key = _key(binding, encoded)
            source = sources.setdefault(key, _Source(key, origin=encoded.frame.origin))
            source.stated |= bool(encoded.frame.spans)
            for _, domain, coded in _columns(binding, encoded):
                ids = binding.builders[domain].numbers(coded)
                if not len(ids):
                    continue
                mark = source.marks.setdefault(
                    (domain, kind), np.zeros(len(binding.vocabularies[domain]), np.bool_)
                )
                mark[ids[ids >= 0]] = True
                source.names.setdefault(domain, []).append(encoded.frame.name)
                if binding.builders[domain].closed and (ids < 0).any():
                    names = coded.distinct.filter(pa.array(ids < 0))
                    source.outside.setdefault(domain, []).append(names)
    return list(sources.values())


class _Mentions:
    """How many tables of a kind mention each thing of a domain (``int32[n]``)."""

    def __init__(self, binding: TableBinder, sources: Sequence[_Source]) -> None:
        self.sizes = {domain: len(names) for domain, names in binding.vocabularies.items()}
        self.sources = {source.key: source for source in sources}
        self.counts: dict[tuple[str, Kind], NDArray[np.int32]] = {}
        for source in sources:
            for place, mark in source.marks.items():
                if place not in self.counts:
                    self.counts[place] = np.zeros(len(mark), np.int32)
                self.counts[place] += mark

    def known(self, domain: str, kinds: Iterable[Kind]) -> Marks:
        """``bool[n]``: things that some table of the kinds mentions."""
        known = np.zeros(self.sizes[domain], np.bool_)
        for kind in kinds:
            if (domain, kind) in self.counts:
                known |= self.counts[domain, kind] > 0
        return known

    def elsewhere(self, key: Hashable, domain: str, *kinds: Kind) -> Marks:
        """``bool[n]``: things that another table than that of ``key`` mentions."""
        found, own = np.zeros(self.sizes[domain], np.bool_), self.sources[key].marks
        for kind in kinds:
            if (domain, kind) in self.counts:
                found |= self.counts[domain, kind] > own.get((domain, kind), 0)
        return found


def _columns(binding: TableBinder, encoded: Encoded) -> Iterator[tuple[str, str, Coded]]:
    """Name, domain and codes of each column that holds things."""
    yield from zip(encoded.columns, encoded.sorts, encoded.keys, strict=True)
    if isinstance(encoded.value, Coded):
        sort = binding.program.attribute(encoded.name).sort
        yield encoded.frame.table.column_names[-1], sort, encoded.value


def _check_closed(binding: TableBinder, encoded: Encoded) -> None:
    """Tell of rows that name a thing which a closed domain does not have."""
    frame = encoded.frame
    for column, domain, coded in _columns(binding, encoded):
        if not binding.builders[domain].closed:
            continue
        outside = binding.builders[domain].outside(coded)
        outside &= ~coded.nameless
        if not outside.any():
            continue
        rows = coded.rows_of(outside)
        names, members = (
            coded.distinct.filter(pa.array(outside)),
            binding.vocabularies[domain].names,
        )
        message = (
            f"{frame.title}, column `{column}`: {len(rows):,} of {_present(coded):,} rows name a "
            f"`{domain}` that is none of the {len(members):,} there are: {_quoted(names)}; there "
            f"are {_quoted(members)}"
        )
        help = _help(domain, names, members, _of_table(frame, column), closed=True)
        span = frame.span(int(rows[0]))
        if outside.all() and _is_whole(frame):
            binding.findings.add("KR530", message, help=help, span=span)
        else:
            message += "; these rows are left out"
            binding.findings.warn("KR534", message, help=help, span=span)


def _check_rows(
    binding: TableBinder,
    encoded: Encoded,
    mentions: _Mentions,
    what: str,
    kinds: Sequence[Kind],
    excused: Marks | None = None,
) -> None:
    """Tell of rows that name a thing which no table of the kinds mentions.

    Rows whose thing is ``excused`` are told only where no row at all is known.
    """
    frame = encoded.frame
    for column, domain, coded in _columns(binding, encoded):
        known = mentions.known(domain, kinds)
        if not known.any() or _is_fixed(binding, domain):
            continue
        numbers = binding.builders[domain].numbers(coded)
        strange = ~known[numbers]
        every = bool(strange.all())
        if excused is not None and not every:
            strange &= ~excused[numbers]
        if not strange.any():
            continue
        rows, total = coded.rows_of(strange), _present(coded)
        names = coded.distinct.filter(pa.array(strange))
        known[numbers] = False
        others = _names(binding, domain, known)
        message = (
            f"{frame.title}, column `{column}`: {len(rows):,} of {total:,} rows name a `{domain}` "
            f"that no {what} mentions: {_quoted(names)}"
        ) + (f"; others are {_quoted(others)}" if len(others) else "")
        help = _help(domain, names, others, _of_table(frame, column))
        span = frame.span(int(rows[0]))
        if every and _is_whole(frame):
            binding.findings.add("KR530", message, help=help, span=span)
        else:
            message += f"; {_made(len(names), domain)}"
            severity = _severity(len(rows), total)
            binding.findings.warn("KR529", message, severity=severity, help=help, span=span)


def _check_facts(
    binding: TableBinder, domain: str, sources: Sequence[_Source], mentions: _Mentions
) -> None:
    """Tell of tables of facts some of whose things no other table knows, while they lack things
    that others know: the worst first, whose own things others need not have."""
    told = np.zeros(mentions.sizes[domain], np.bool_)
    found = []
    for source in sources:
        if source.stated or (domain, "facts") not in source.marks:
            continue
        own = source.marks[domain, "facts"]
        new = own & ~mentions.elsewhere(source.key, domain, *KINDS)
        if new.any():
            found.append((new.sum() / own.sum(), -own.sum(), source, own, new))
    for _, _, source, own, new in sorted(found, key=lambda one: one[:2], reverse=True):
        missing = mentions.elsewhere(source.key, domain, "facts") & ~own & ~told
        if not missing.any():
            continue
        told |= new
        ids, count = int(own.sum()), int(new.sum())
        names, others = (_names(binding, domain, mark) for mark in (new, missing))
        help = _help(domain, names, others)
        if count == ids:
            message = (
                f"{source.title(domain)}: no other table knows any of its {ids:,} `{domain}`: "
                f"{_quoted(names)}; others are {_quoted(others)}"
            )
            if _is_error(names, others):
                if LIST not in help:
                    help += f"; are they other things, let a table of all there are say so: {LIST}"
                    help += f"{domain}]"
                binding.findings.add("KR530", message, help=help)
                continue
        else:
            message = (
                f"{source.title(domain)}: {count:,} of {ids:,} `{domain}` are in no other table: "
                f"{_quoted(names)}; others have {len(others):,} that are not in it: "
                f"{_quoted(others)}"
            )
        severity = _severity(count, ids)
        binding.findings.warn("KR529", message, severity=severity, help=help)


def _coverage(
    binding: TableBinder, source: _Source, domain: str, mentions: _Mentions
) -> IdCoverage:
    own = source.marked(domain, KINDS, mentions.sizes[domain])
    others = mentions.elsewhere(source.key, domain, *KINDS)
    outside = source.outside.get(domain, [])
    names = pa.concat_arrays(outside).unique() if outside else pa.array([], pa.string())
    alone, missing = own & ~others, others & ~own
    examples = [*_first(names), *_first(_names(binding, domain, alone))][:EXAMPLES]
    ids, new = int(own.sum()) + len(names), int(alone.sum()) + len(names)
    return IdCoverage(
        source.title(domain),
        domain,
        ids,
        ids - new,
        new,
        int(missing.sum()),
        tuple(examples),
        tuple(_first(_names(binding, domain, missing))),
        len(names),
    )


def _is_whole(frame: NamedTable) -> bool:
    """Whether a table is all there is, so that it is wrong if none of its ids is known."""
    return not frame.spans and "others" not in _PARTS.get()


def _is_error(names: pa.StringArray, others: pa.StringArray) -> bool:
    """Whether facts about none but new things are wrong: of one day, only where it is seen how."""
    parts = _PARTS.get()
    if "others" in parts:
        return False
    return "facts" not in parts or find_spelling(names, others) is not None


def _is_fixed(binding: TableBinder, domain: str) -> bool:
    """Whether the program or one table says what there is."""
    return binding.vocabularies[domain].enumerated or binding.builders[domain].closed


def _of_table(frame: NamedTable, column: str) -> str:
    """The name of the column in SQL; a facts file has none."""
    return "id" if frame.spans else column


def _severity(new: int, total: int) -> Severity:
    return "hint" if new <= NEW_SHARE * total else "warning"


def _made(count: int, domain: str) -> str:
    return f"each is a `{domain}` of its own now, {count:,} in all"


def _present(coded: Coded) -> int:
    """Rows that name something."""
    return int((coded.indices >= 0).sum())


def _names(binding: TableBinder, domain: str, mark: Marks) -> pa.StringArray:
    return binding.vocabularies[domain].names.filter(pa.array(mark))


def _first(names: pa.StringArray) -> list[str]:
    shown: list[str] = names.slice(0, EXAMPLES).to_pylist()
    return shown


def _quoted(names: pa.StringArray) -> str:
    shown = ", ".join(map(string_text, _first(names)))
    return f"{shown} ..." if len(names) > EXAMPLES else shown


def _help(
    domain: str,
    names: pa.StringArray,
    others: pa.StringArray,
    column: str = "id",
    *,
    closed: bool = False,
) -> str:
    """How the names of others are written, or the nearest, or what can be done."""
    spelling = find_spelling(names, others)
    if spelling is not None:
        return spelling.said(column)
    name = str(names[0])
    near = did_you_mean(name, others.slice(0, SUGGESTIONS).to_pylist())
    if near and not any(map(str.isdigit, name)):  # of numbers there is always a near one
        return near
    compared = "names are compared as text: 7 is not 007"
    if closed:
        return f"{compared}; what is missing belongs into the table that has all there are"
    return f"{compared}; where one table has all there are, name it under {LIST}{domain}]"
