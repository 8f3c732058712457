"""The command line: one file a verb in ``verbs/``, and ``screen.py`` for what is common to them."""

from __future__ import annotations


def main() -> None:
    """Entry point of the console script ``knowreason``."""
    from knowreason.cli.app import run

    run()
