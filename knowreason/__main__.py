"""``python -m knowreason``: the command line."""

from knowreason.cli import main

main()
