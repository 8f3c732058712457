"""Results without names: pseudonyms in place of them, values of attributes left out."""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, TypeVar, cast

import pyarrow as pa
import pyarrow.compute as pc

from knowreason.errors import ProjectError
from knowreason.logic import Program

T = TypeVar("T")
LEAST_SECRET = 16  # bytes
DIGITS = 16  # of a pseudonym, 64 bits: of ten million names two are alike once in 370,000 times
# Parts of explanations and evaluations that hold values of attributes, wherever they stand.
LEFT_OUT = ("values", "fields", "columns", "data_changes", "slices")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True)
class Redactor:
    """Puts pseudonyms in place of the names of things.

    A pseudonym is a keyed hash (HMAC-SHA-256) of the name: the same in every result under one
    secret, and not to be undone or recomputed without it. What the rules themselves name stays.

    Attributes:
        secret: of the hash.
        kept: names that stay.

    >>> redactor = Redactor(b"a secret of this example", frozenset({"card"}))
    >>> redactor.text('Pays("anna", "card")')
    'Pays("id-bd377b17d15d3773", "card")'
    """

    secret: bytes
    kept: frozenset[str] = frozenset()

    @staticmethod
    def of(program: Program, secret: bytes) -> Redactor:
        """A redactor that keeps what the rules name."""
        return Redactor(secret, frozenset(map(_plain, _QUOTED.findall(str(program)))))

    def name(self, name: str) -> str:
        """The pseudonym of a name."""
        if name in self.kept:
            return name
        return "id-" + hmac.digest(self.secret, name.encode(), "sha256").hex()[:DIGITS]

    def text(self, text: str) -> str:
        """A text with pseudonyms for all names in double quotes."""
        return _QUOTED.sub(lambda found: f'"{self.name(_plain(found[1]))}"', text)

    def within(self, value: T) -> T:
        """An explanation, an evaluation, or another value made of dataclasses, tuples and texts:
        pseudonyms for the names in its texts, and no values of attributes."""
        return cast("T", self._within(value))

    def _within(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, tuple):
            return tuple(map(self._within, value))
        if is_dataclass(value) and not isinstance(value, type):
            changed = {
                one.name: () if one.name in LEFT_OUT else self._within(getattr(value, one.name))
                for one in fields(value)
            }
            return replace(value, **changed)
        return value

    def table(self, table: pa.Table, names: int) -> pa.Table:
        """A table of atoms whose first columns (``names`` of them) are names; names in quotes
        within other texts are redacted too."""
        for place, column in enumerate(table.columns):
            if not pa.types.is_string(column.type):
                continue
            distinct = pc.unique(column).drop_null()
            put = self.name if place < names else self.text
            told = pa.array(map(put, distinct.to_pylist()), pa.string())
            column = told.take(pc.index_in(column, value_set=distinct).combine_chunks())
            table = table.set_column(place, table.column_names[place], column)
        return table


def _plain(quoted: str) -> str:
    return re.sub(r"\\(.)", r"\1", quoted)


def secret_of(file: Path) -> tuple[bytes, str]:
    """The secret in a file, which is made where there is none, and what to tell of that.

    Raises:
        ProjectError: KR945 for a file with less than 16 bytes.
    """
    said = ""
    if not file.exists():
        file.touch(mode=0o600)
        file.write_text(secrets.token_hex(32) + "\n", encoding="ascii")
        said = f"a secret for pseudonyms was made: {file}. Keep it apart from what is given away"
    secret = file.read_bytes().strip()
    if len(secret) < LEAST_SECRET:
        raise ProjectError(
            f"`{file}` has {len(secret)} bytes, too few for a secret",
            code="KR945",
            help="name a file that is not there: it will be made",
        )
    return secret, said


def redacted_names(redactor: Redactor | None, lines: Sequence[str]) -> list[str]:
    """Lines with pseudonyms, where there is a redactor."""
    return list(lines) if redactor is None else [redactor.text(line) for line in lines]
