"""Where the grammar and the ready rule files are, in a wheel or in the repository."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def grammar_path() -> Path:
    """Path of ``knowreason.lark``."""
    return _folder("grammar") / "knowreason.lark"


def rulesets_path() -> Path:
    """Folder of the ready rule files."""
    return _folder("rulesets")


def template_path(name: str) -> Path:
    """Folder of a starter project: its project file, and rule files that are its own."""
    return rulesets_path() / "templates" / name


def _folder(name: str) -> Path:
    inside_wheel = _PACKAGE / f"_{name}"
    return inside_wheel if inside_wheel.is_dir() else _PACKAGE.parent / name
