"""The command line: a file a verb in ``run_verbs`` and ``verbs``, what is common in ``screen``."""

from __future__ import annotations


def main() -> None:
    """Entry point of the console script ``knowreason``."""
    from knowreason.cli.app import run

    run()
