"""Ids of names that are stored: found by checksum, so that opening them reads none."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from knowreason.data import Vocabulary


@dataclass
class FoundNames:
    """Ids by name, searched for one by one in a vocabulary; later names may be added."""

    vocabulary: Vocabulary
    known: dict[str, int] = field(default_factory=dict)

    def get(self, name: str, default: int) -> int:
        """Id of a name."""
        found = self.known.get(name, -1)
        found = self.vocabulary.find(name) if found < 0 else found
        return default if found < 0 else found

    def __setitem__(self, name: str, id: int) -> None:
        self.known[name] = id


@dataclass
class StoredNames:
    """Ids by name; later names may be added.

    Attributes:
        names: ``string[n]``, id to name.
        checksums: ``uint32[n]``, of the names, ascending.
        ids: ``int32[n]``, for each checksum.
        known: ids of names that were added, or looked up before.

    >>> names = StoredNames.of(pa.array(["anna", "bob"]))
    >>> names.get("bob", -1), names.get("eve", -1)
    (1, -1)
    """

    names: pa.StringArray
    checksums: NDArray[np.uint32]
    ids: NDArray[np.int32]
    known: dict[str, int] = field(default_factory=dict)

    @staticmethod
    def of(names: pa.StringArray) -> StoredNames:
        """Those of an array, sorted."""
        texts = names.to_pylist()
        own = np.fromiter((crc32(text.encode()) for text in texts), np.uint32, len(texts))
        order = np.argsort(own, kind="stable").astype(np.int32)
        return StoredNames(names, own[order], order)

    def columns(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Checksums and ids."""
        return self.checksums, self.ids

    def get(self, name: str, default: int) -> int:
        """Id of a name."""
        found = self.known.get(name)
        if found is not None:
            return found
        own = np.uint32(crc32(name.encode()))  # of the column's type, or all of it is converted
        place = int(self.checksums.searchsorted(own))
        while place < len(self.checksums) and self.checksums[place] == own:
            id = int(self.ids[place])
            if self.names[id].as_py() == name:
                self.known[name] = id
                return id
            place += 1
        return default

    def __setitem__(self, name: str, id: int) -> None:
        self.known[name] = id
