"""What is computed from a data set once and shared by the data sets made from it."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from threading import Lock
from typing import TypeVar, cast

T = TypeVar("T")
LIMIT = 32  # values, each with the parts it was computed from


class DatasetCache:
    """Values by key, kept while one of the data sets that share the cache is.

    ``dataclasses.replace`` hands it on, so a value is stored with the parts of the data set it
    was computed from, and is found again only where these are the same objects.
    """

    def __init__(self) -> None:
        self._values: dict[Hashable, tuple[tuple[object, ...], object]] = {}
        self._lock = Lock()

    def __reduce__(self) -> tuple[type[DatasetCache], tuple[()]]:
        return DatasetCache, ()  # another process computes its own: parts are other objects there

    def get(self, key: Hashable, parts: tuple[object, ...], compute: Callable[[], T]) -> T:
        """The value of a key, computed where it is not there for these ``parts``.

        Threads that ask at the same time may each compute it; each gets that of its parts.
        """
        stored = self._values.get(key)
        if stored is not None and all(map(_same, stored[0], parts)):
            return cast("T", stored[1])
        value = compute()
        with self._lock:
            self._values.pop(key, None)
            self._values[key] = parts, value
            if len(self._values) > LIMIT:
                del self._values[next(iter(self._values))]
        return value


def _same(stored: object, part: object) -> bool:
    return stored is part
