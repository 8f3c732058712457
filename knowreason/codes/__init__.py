"""What each finding code means, for ``knowreason explain-code`` and the docs.

One TOML file a hundred: ``kr1_syntax.toml``, ``kr2_names.toml``, ``kr3_style.toml``,
``kr4_logic.toml``, ``kr5_data.toml``, ``kr6_grounding.toml``, ``kr7_inference.toml``,
``kr8_learning.toml``, ``kr9_project.toml``. Each table is a code with ``title``,
``explanation`` and, where it helps, ``wrong`` and ``right`` examples.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class CodeEntry:
    """One code: what it says and what to do, with an example where it helps."""

    code: str
    title: str
    explanation: str
    wrong: str = ""
    right: str = ""


@cache
def catalogue() -> dict[str, CodeEntry]:
    """Every code there is, in order."""
    entries: dict[str, CodeEntry] = {}
    for file in sorted(files(__package__).iterdir(), key=lambda f: f.name):
        if file.name.endswith(".toml"):
            table = tomllib.loads(file.read_text(encoding="utf-8"))
            entries |= {code: CodeEntry(code, **fields) for code, fields in table.items()}
    return dict(sorted(entries.items()))
