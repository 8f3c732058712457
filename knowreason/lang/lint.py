"""Warnings and hints about a program that is not wrong."""

from __future__ import annotations

from knowreason.diagnostics import Diagnostic
from knowreason.logic import Program


def lint(program: Program, *, whole: bool) -> list[Diagnostic]:
    """Every warning and hint; ``whole`` says that no statement was left out for an error."""
    return []
