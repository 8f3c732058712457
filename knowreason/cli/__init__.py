"""The command line: a file a verb in ``run_verbs`` and ``verbs``, what is common in ``screen``."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence
from contextlib import suppress


def main() -> None:
    """Run the command line of ``sys.argv``; ends with its exit code.

    Threads that wait for each other sleep, unless ``OMP_WAIT_POLICY`` says otherwise: OpenMP's
    way, to wait at full load, took a third of the starter's CPU time on a busy machine.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when torch is imported
    from knowreason.cli.app import run

    run()


def process() -> None:
    """Entry point of the console script: :func:`main` in a process that does nothing else.

    Cyclic garbage is sought less often. Python's way, after every 700 new objects, took a sixth
    of the time to import the libraries, whose objects all stay.
    """
    gc.set_threshold(20_000, 20, 50)
    if _reads_no_frames(sys.argv[1:]):
        _hide_pandas_from_arrow()
    main()


def _reads_no_frames(arguments: Sequence[str]) -> bool:
    """Whether it is a verb that needs Arrow, but meets no data frame: only rules and files."""
    verb = next((argument for argument in arguments if not argument.startswith("-")), "")
    if verb == "check":
        return not all(argument.endswith((".kr", "check", "-")) for argument in arguments)
    return verb in ("infer", "new", "plan")


def _hide_pandas_from_arrow() -> None:
    """Arrow would import pandas at its first conversion, for .5 s.

    It asks once in each of two places, and would know no ``pandas.NaT`` among Python values later.
    """
    import pyarrow as pa

    sys.modules["pandas"] = None  # type: ignore[assignment]  # as if it were not installed
    with suppress(AttributeError, ImportError):
        pa.array([0])
    pa.array([0])
    del sys.modules["pandas"]
