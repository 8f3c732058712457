"""A project written back as TOML with every default filled in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from knowreason.pipeline.project import Project


def project_toml(project: Project) -> str:
    """TOML text that :func:`knowreason.pipeline.project.load_project` reads back.

    Paths are absolute: a run folder may be moved, its tables stay where they were.
    """
    lines: list[str] = []
    sections: list[tuple[str, Any]] = []
    for entry in fields(project):
        value = getattr(project, entry.name)
        if entry.name == "directory":
            continue
        if is_dataclass(value) or isinstance(value, Mapping):
            sections.append((entry.name, value))
        else:
            lines.append(f"{entry.name} = {_value(value)}")
    for name, value in sections:
        lines += ["", f"[{name}]"]
        items = _fields(value) if is_dataclass(value) else dict(value)
        lines += [f"{_key(key)} = {_value(item)}" for key, item in items.items()]
    return "\n".join(lines) + "\n"


def _fields(value: Any) -> dict[str, Any]:
    items = {entry.name: getattr(value, entry.name) for entry in fields(value)}
    return {name: item for name, item in items.items() if item is not None}


def _key(key: str) -> str:
    return key if key.replace("_", "").isalnum() and key.isascii() else json.dumps(key)


def _value(value: Any) -> str:
    if is_dataclass(value):
        value = _fields(value)
    if isinstance(value, Mapping):
        inner = ", ".join(f"{_key(key)} = {_value(item)}" for key, item in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, Path):
        value = str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else str(value)
