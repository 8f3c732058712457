"""Growing columns, in memory or in memory-mapped files."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass
class GrowingColumn:
    """Arrays appended one after another along the first axis.

    Attributes:
        path: file the rows are appended to; ``None`` keeps them in memory.
    """

    path: Path | None = None
    _parts: list[NDArray[np.generic]] = field(default_factory=list)
    _rows: int = 0
    _shape: tuple[int, ...] = (0,)
    _kind: np.dtype[np.generic] = field(default_factory=lambda: np.dtype(np.int32))

    def __len__(self) -> int:
        return self._rows

    def append(self, rows: NDArray[np.generic]) -> None:
        """Add rows (all of one dtype and inner shape)."""
        if not len(rows):
            return
        self._rows += len(rows)
        self._shape, self._kind = rows.shape[1:], rows.dtype
        if self.path is None:
            self._parts.append(rows)
            return
        with self.path.open("ab") as file:
            np.ascontiguousarray(rows).tofile(file)

    def array(self) -> NDArray[Any] | None:
        """All rows; memory-mapped (copy on write) when they are in a file. ``None`` if none."""
        if not self._rows:
            return None
        if self.path is not None:
            return np.memmap(self.path, self._kind, "c", shape=(self._rows, *self._shape))
        if len(self._parts) > 1:
            self._parts = [np.concatenate(self._parts)]
        return self._parts[0]


@dataclass
class ColumnStore:
    """Makes columns, as numbered files of a folder or in memory."""

    folder: Path | None = None
    _made: int = 0

    def __post_init__(self) -> None:
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)

    def column(self) -> GrowingColumn:
        """A new empty column."""
        self._made += 1
        if self.folder is None:
            return GrowingColumn()
        path = self.folder / f"{self._made}.column"
        path.unlink(missing_ok=True)
        return GrowingColumn(path)
