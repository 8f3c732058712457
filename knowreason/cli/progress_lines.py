"""Progress as lines: one a step, where it ends, and a sign of life in a long one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Lock, Thread
from time import monotonic

SILENCE = 30.0  # seconds without a line after which the current step is told again


class ProgressLines:
    """A progress callback that writes a line at the end of each step, and what it is told of the
    whole step (``name: what``, without a total) at once.

    Args:
        write: takes one line.
        least: seconds; the end of a step that took less is not written.
        silence: seconds without a line, after which :meth:`beat` writes one.
        clock: seconds since whenever.

    >>> lines = ProgressLines(print, clock=lambda: 0.0)
    >>> lines(0, 3, "signs for Fraud: fold 1 of 3")
    >>> lines(1, 3, "signs for Fraud: fold 2 of 3")
    >>> lines(3, 3, "signs for Fraud: done")
    signs for Fraud: done (0.0 s)
    """

    def __init__(
        self,
        write: Callable[[str], None],
        least: float = 0.0,
        silence: float = SILENCE,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._write, self._least, self._silence, self._clock = write, least, silence, clock
        self._began: dict[str, float] = {}  # steps that have not ended
        self._latest = ""
        self._told = clock()
        self._lock = Lock()

    def __call__(self, done: int, total: int, message: str) -> None:
        """Take a message of :data:`knowreason.progress.Progress`."""
        name, told, _ = message.partition(": ")
        with self._lock:
            if total and done >= total:
                began = self._began.pop(name, None)
                took = 0.0 if began is None else self._clock() - began
                if took >= self._least:
                    self._tell(message if began is None else f"{message} ({took:.1f} s)")
                return
            if name not in self._began:
                self._began[name] = self._told = self._clock()
                if told and not total:
                    self._tell(message)
            count = f" ({done:,} of {total:,})" if total else ""
            self._latest = message + count

    def beat(self) -> None:
        """Say what was said last once more, where there was no line for a while."""
        with self._lock:
            if self._began and self._clock() - self._told >= self._silence:
                since = self._clock() - min(self._began.values())
                self._tell(f"{self._latest}, {since:.0f} s")

    def _tell(self, line: str) -> None:
        self._told = self._clock()
        self._write(line)


@contextmanager
def beating(lines: ProgressLines, every: float = 5.0) -> Iterator[None]:
    """Within it, :meth:`ProgressLines.beat` is called every few seconds."""
    ended = Event()

    def beats() -> None:
        while not ended.wait(every):
            lines.beat()

    thread = Thread(target=beats, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
