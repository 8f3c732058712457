"""The rule language: text to a checked :class:`~knowreason.logic.Program`, and findings."""

from knowreason.lang.ground_atoms import Facts
from knowreason.lang.layout.formatter import format_text
from knowreason.lang.program_loader import (
    CheckResult,
    check,
    load,
    loads,
    parse_facts,
    parse_formula,
)

__all__ = [
    "CheckResult",
    "Facts",
    "check",
    "format_text",
    "load",
    "loads",
    "parse_facts",
    "parse_formula",
]
