"""How far a long computation is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Progress = Callable[[int, int, str], None]
"""Called as ``progress(done, total, message)``; a total of 0 is unknown.

A message is the name of a step, or the name, a colon and what happens in it. The step ends where
``done`` is ``total``."""


@contextmanager
def step(progress: Progress | None, name: str) -> Iterator[Progress | None]:
    """A block that is one step: its start and its end are told, and what is told inside belongs
    to it.

    >>> told = []
    >>> with step(lambda *state: told.append(state), "weights") as inner:
    ...     inner(1, 4, "gradient 0.2")
    >>> told
    [(0, 0, 'weights'), (1, 5, 'weights: gradient 0.2'), (1, 1, 'weights: done')]
    """
    if progress is None:
        yield None
        return
    tell = progress
    tell(0, 0, name)

    def within(done: int, total: int, message: str) -> None:
        tell(done, total and total + 1, f"{name}: {message}")  # the end is one more

    yield within
    tell(1, 1, f"{name}: done")
