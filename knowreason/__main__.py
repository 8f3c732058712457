"""``python -m knowreason``: the command line."""

from knowreason.cli import process

process()
