"""How far a long computation is."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[int, int, str], None]
"""Called as ``progress(done, total, message)``; a total of 0 is unknown."""
