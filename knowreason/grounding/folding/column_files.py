"""Columns that grow in memory, and in nameless memory-mapped files once they are large."""

from __future__ import annotations

from dataclasses import dataclass, field
from tempfile import TemporaryFile
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

LARGE = 1 << 26  # bytes from which a column is a file


@dataclass
class GrowingColumn:
    """Arrays appended one after another along the first axis.

    A file has no name: it is gone when nothing refers to its rows any more. It lies where the
    system keeps temporary files (``TMPDIR``).
    """

    _parts: list[NDArray[np.generic]] = field(default_factory=list)
    _file: IO[bytes] | None = None
    _rows: int = 0
    _bytes: int = 0
    _shape: tuple[int, ...] = (0,)
    _kind: np.dtype[np.generic] = field(default_factory=lambda: np.dtype(np.int32))

    def __len__(self) -> int:
        return self._rows

    def append(self, rows: NDArray[np.generic]) -> None:
        """Add rows (all of one dtype and inner shape)."""
        if not len(rows):
            return
        self._rows += len(rows)
        self._bytes += rows.nbytes
        self._shape, self._kind = rows.shape[1:], rows.dtype
        self._parts.append(rows)
        if self._bytes >= LARGE:
            self._file = self._file or TemporaryFile()  # noqa: SIM115  (open as long as it grows)
            for part in self._parts:
                np.ascontiguousarray(part).tofile(self._file)
            self._parts = []

    def array(self) -> NDArray[Any] | None:
        """All rows; memory-mapped (copy on write) when they are in a file. ``None`` if none."""
        if not self._rows:
            return None
        if self._file is not None:
            self._file.flush()
            shape = (self._rows, *self._shape)
            return np.asarray(np.memmap(self._file, self._kind, "c", shape=shape))
        if len(self._parts) > 1:
            self._parts = [np.concatenate(self._parts)]
        return self._parts[0]


def kept(values: NDArray[Any]) -> NDArray[Any]:
    """The same values, in a file where they are many and in none yet."""
    if values.nbytes < LARGE or isinstance(values.base, np.memmap):
        return values
    column = GrowingColumn()
    column.append(values)
    found = column.array()
    assert found is not None
    return found
