"""The command line: a file a verb in ``run_verbs`` and ``verbs``, what is common in ``screen``."""

from __future__ import annotations

import os


def main() -> None:
    """Entry point of the console script ``knowreason``.

    Threads that wait for each other sleep, unless ``OMP_WAIT_POLICY`` says otherwise: OpenMP's
    way, to wait at full load, took a third of the starter's CPU time on a busy machine.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when torch is imported
    from knowreason.cli.app import run

    run()
