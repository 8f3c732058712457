"""What every result that is a table offers: Arrow, polars, pandas, a short look at it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, cast

from knowreason.data.arrow_types import ArrowTable
from knowreason.notebook.cells import MOST_ROWS, html_cell, html_table, text_table

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

FIRST = 10  # rows of a text


class TableResult(ABC):
    """A result that is a table: ``pl.DataFrame(result)``, ``pa.table(result)`` and DuckDB read it
    by the Arrow PyCapsule interface."""

    @abstractmethod
    def to_arrow(self) -> ArrowTable:
        """As an Arrow table."""

    def to_polars(self) -> pl.DataFrame:
        """As a polars frame (polars must be installed)."""
        import polars

        return cast("pl.DataFrame", polars.from_arrow(self.to_arrow()))

    def to_pandas(self) -> pd.DataFrame:
        """As a pandas frame (pandas must be installed)."""
        return self.to_arrow().to_pandas()

    def __arrow_c_stream__(self, requested_schema: object = None, /) -> object:
        return self.to_arrow().__arrow_c_stream__(requested_schema)

    def __len__(self) -> int:
        return self.to_arrow().num_rows

    def __repr__(self) -> str:
        table = self.to_arrow()
        shown = text_table(table.column_names, _rows(table, FIRST))
        left = table.num_rows - FIRST
        more = f"\n.. and {left:,} more" if left > 0 else ""
        return f"{type(self).__name__}({table.num_rows:,} rows)\n{shown}{more}"

    def _repr_html_(self) -> str:
        table = self.to_arrow()
        title = f"{type(self).__name__}: {table.num_rows:,} rows"
        if table.num_rows > MOST_ROWS:
            title += f", the first {MOST_ROWS} of them"
        return html_cell(title, html_table(table.column_names, _rows(table, MOST_ROWS)))


def _rows(table: ArrowTable, most: int) -> list[list[object]]:
    return [list(row.values()) for row in table.slice(0, most).to_pylist()]
