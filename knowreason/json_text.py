"""Values as JSON that every reader takes: no ``NaN``, dataclasses and arrays as plain values."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from math import isfinite

Json = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]


def json_text(value: object) -> str:
    """Indented JSON; a figure that is not finite is ``null``."""
    return json.dumps(plain(value), indent=1, ensure_ascii=False, allow_nan=False)


def plain(value: object) -> Json:
    """The value in JSON's own kinds."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {entry.name: plain(getattr(value, entry.name)) for entry in fields(value)}
    return plain(value.tolist()) if hasattr(value, "tolist") else str(value)
