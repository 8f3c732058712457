"""The rule language: text to a checked :class:`~knowreason.logic.Program`, and findings."""

from __future__ import annotations

from knowreason.lang.facts import Facts
from knowreason.lang.format import format_text
from knowreason.lang.load import (
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
