"""What is offered of pyarrow's tables and columns, which have no types of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

Flags = np.ndarray[tuple[int], np.dtype[np.bool_]]


class ArrowColumn(Protocol):
    """A ``pyarrow`` array, in one piece or chunks."""

    def __len__(self) -> int:
        """Number of values."""

    def to_pylist(self) -> Sequence[object]:
        """The values as Python objects."""

    def to_numpy(self) -> np.ndarray[tuple[int], np.dtype[np.generic]]:
        """The values as a numpy array."""


class NameColumn(ArrowColumn, Protocol):
    """Names of things, as a ``pyarrow.StringArray``."""

    def to_pylist(self) -> list[str]:
        """The names."""


class ArrowTable(Protocol):
    """A ``pyarrow.Table``; polars, pandas and DuckDB read it without a copy."""

    @property
    def num_rows(self) -> int:
        """Number of rows."""

    @property
    def column_names(self) -> list[str]:
        """Names, in order."""

    def column(self, name: str | int, /) -> ArrowColumn:
        """One column."""

    def select(self, columns: Sequence[str], /) -> ArrowTable:
        """Some columns, in this order."""

    def filter(self, mask: object, /) -> ArrowTable:
        """The rows whose mask is true."""

    def slice(self, offset: int = 0, length: int | None = None) -> ArrowTable:
        """Some consecutive rows."""

    def to_pylist(self) -> list[dict[str, object]]:
        """Rows as dictionaries."""

    def to_pandas(self) -> pd.DataFrame:
        """As a pandas frame."""

    def __arrow_c_stream__(self, requested_schema: object = None, /) -> object:
        """A capsule of the stream, for other libraries."""
