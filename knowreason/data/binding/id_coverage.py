"""Ids that no other table knows: counted and said.

An id that is written otherwise in two tables (``7`` and ``007``) makes two things of one, and
nothing else fails: the label is learned from and joins nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from knowreason.data.binding.binder import Encoded, TableBinder
from knowreason.data.vocabulary import Coded
from knowreason.errors import did_you_mean
from knowreason.logic.canonical_text import string_text

EXAMPLES, SUGGESTIONS = 3, 10_000  # ids shown, and names among which a near one is sought


def check_ids(
    binding: TableBinder,
    *,
    facts: Sequence[Encoded],
    features: Sequence[Encoded],
    others: Sequence[Encoded],
) -> None:
    """Find ids that no other table knows; call after :meth:`TableBinder.freeze`.

    A row of ``others`` (labels, evidence, scores) is unknown where neither a fact nor a
    feature mentions its id, a row of ``features`` where no fact does. Some unknown rows are
    a warning (KR529), but for features of things that are labelled: examples may stand
    outside of all facts. A table of unknown rows alone is an error (KR530), or a warning
    where it is statements of a facts file. A domain that no such table names is enumerated by its
    labels, which is fine. Facts introduce things of their own, so a table of facts is told
    only where it shares none with any other table (KR529).
    """
    known, labelled = _Mentions(binding), _Mentions(binding)
    of_facts = [_things(binding, encoded) for encoded in facts]
    for things in of_facts:
        known.count(things)
    if features:
        labelled.add(others)
    for encoded in features:
        _check_rows(binding, encoded, known, "fact", labelled)
    known.add(features)
    for encoded in others:
        _check_rows(binding, encoded, known, "fact or feature")
    known.add(others)
    for encoded, things in zip(facts, of_facts, strict=True):
        _check_facts(binding, encoded, things, known)


class _Mentions:
    """By domain, how many tables mention each thing (``int32[n]``), and how many name any."""

    def __init__(self, binding: TableBinder) -> None:
        self.binding = binding
        self.counts = {d: np.zeros(len(v), np.int32) for d, v in binding.vocabularies.items()}
        self.tables = dict.fromkeys(binding.vocabularies, 0)

    def add(self, tables: Iterable[Encoded]) -> None:
        """Count tables."""
        for encoded in tables:
            self.count(_things(self.binding, encoded))

    def count(self, things: Mapping[str, NDArray[np.integer]]) -> None:
        """Count a table that mentions some things, by domain."""
        for domain, ids in things.items():
            self.counts[domain][ids] += 1
            self.tables[domain] += 1


def _things(binding: TableBinder, encoded: Encoded) -> dict[str, NDArray[np.integer]]:
    """Distinct ids that a table mentions, by domain; domains without any left out."""
    parts: dict[str, list[NDArray[np.integer]]] = {}
    for _, domain, coded in _columns(binding, encoded):
        ids = binding.builders[domain].numbers(coded)
        parts.setdefault(domain, []).append(ids[ids >= 0])
    whole = {d: p[0] if len(p) == 1 else np.unique(np.concatenate(p)) for d, p in parts.items()}
    return {domain: ids for domain, ids in whole.items() if len(ids)}


def _columns(binding: TableBinder, encoded: Encoded) -> Iterator[tuple[str, str, Coded]]:
    """Name, domain and codes of each column that holds things."""
    yield from zip(encoded.columns, encoded.sorts, encoded.keys, strict=True)
    if isinstance(encoded.value, Coded):
        sort = binding.program.attribute(encoded.name).sort
        yield encoded.frame.table.column_names[-1], sort, encoded.value


def _check_rows(
    binding: TableBinder,
    encoded: Encoded,
    known: _Mentions,
    what: str,
    excused: _Mentions | None = None,
) -> None:
    """Tell of rows that name a thing which no table of ``known`` mentions.

    Rows whose thing ``excused`` mentions are told only where no row at all is known.
    """
    frame = encoded.frame
    for column, domain, coded in _columns(binding, encoded):
        if not known.tables[domain] or binding.vocabularies[domain].enumerated:
            continue
        numbers = binding.builders[domain].numbers(coded)
        strange = known.counts[domain][numbers] == 0
        every = bool(strange.all())
        if excused is not None and not every:
            strange &= excused.counts[domain][numbers] == 0
        if not strange.any():
            continue
        rows = coded.rows_of(strange)
        total = int((coded.indices >= 0).sum())
        names = coded.distinct.filter(pa.array(strange)).slice(0, EXAMPLES + 1).to_pylist()
        message = (
            f"{frame.title}, column `{column}`: {len(rows):,} of {total:,} rows name a `{domain}` "
            f"that no {what} mentions: {_quoted(names)}"
        )
        help, span = _help(binding, domain, names[0], known), frame.span(int(rows[0]))
        if every and not frame.spans:
            binding.findings.add("KR530", message, help=help, span=span)
        else:
            binding.findings.warn("KR529", message, help=help, span=span)


def _check_facts(
    binding: TableBinder,
    encoded: Encoded,
    things: Mapping[str, NDArray[np.integer]],
    known: _Mentions,
) -> None:
    """Tell of a table of facts that shares no thing with any other table."""
    frame = encoded.frame
    for domain, ids in things.items():
        alone = known.tables[domain] > 1 and (known.counts[domain][ids] == 1).all()
        if frame.spans or not alone or binding.vocabularies[domain].enumerated:
            continue
        names = binding.vocabularies[domain].decode(ids[: EXAMPLES + 1]).to_pylist()
        binding.findings.warn(
            "KR529",
            f"{frame.title}: no other table knows any of its {len(ids):,} `{domain}`: "
            f"{_quoted(names)}",
            help=_help(binding, domain, names[0], known),
        )


def _quoted(names: Sequence[str]) -> str:
    shown = ", ".join(map(string_text, names[:EXAMPLES]))
    return f"{shown} ..." if len(names) > EXAMPLES else shown


def _help(binding: TableBinder, domain: str, name: str, known: _Mentions) -> str:
    """The known name nearest to an unknown one, or what names have to be."""
    others = np.flatnonzero(known.counts[domain])[:SUGGESTIONS]
    names = [n for n in binding.vocabularies[domain].decode(others).to_pylist() if n != name]
    near = did_you_mean(name, names)
    if near is not None:
        return near
    return (
        f"others are written as {string_text(names[0])}; names are compared as text: 7 is not 007"
    )
