"""Values on disk: one file of raw columns that is memory-mapped, and JSON that says what they are.

``columns.bin`` holds every array and table, aligned to 64 bytes, and is mapped copy on write, so
that opening costs next to nothing however long the columns are. The JSON file holds the tree of
dataclasses, dictionaries and tuples with arrays replaced by their places.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa

ALIGNMENT = 64
COLUMNS = "columns.bin"


def store(content: Mapping[str, Any], folder: Path, structure: str, version: int) -> None:
    """Write values by name into a folder that is there.

    Args:
        content: dataclasses, dictionaries with texts as keys, tuples, arrays, tensors, Arrow
            tables, bytes and plain values, in each other.
        folder: of ``columns.bin`` and the JSON file.
        structure: name of the JSON file.
        version: of the content; :func:`opened` asks for the same.
    """
    with (folder / COLUMNS).open("wb") as file:
        tree = {name: _encoded(value, file) for name, value in content.items()}
        size = file.tell()
    text = json.dumps({"format": version, "bytes": size, "content": tree})
    (folder / structure).write_text(text, encoding="utf-8")


def opened(
    folder: Path, structure: str, version: int, classes: Mapping[str, type[Any]]
) -> dict[str, Any]:
    """What :func:`store` wrote, arrays and tables memory-mapped.

    Args:
        folder, structure, version: as for that function.
        classes: dataclasses by name.

    Raises:
        OSError, ValueError: where something is missing or damaged, or of another version.
    """
    stored = json.loads((folder / structure).read_text(encoding="utf-8"))
    if not isinstance(stored, dict) or "format" not in stored:
        raise ValueError(f"`{structure}` is damaged")
    if stored["format"] != version:
        raise ValueError(f"it was stored in format {stored['format']}, not {version}")
    size = (folder / COLUMNS).stat().st_size
    if size != stored.get("bytes"):
        raise ValueError(f"`{COLUMNS}` is damaged")
    columns = np.memmap(folder / COLUMNS, np.uint8, "c") if size else np.zeros(0, np.uint8)
    try:
        return {n: _decoded(v, columns, classes) for n, v in stored["content"].items()}
    except (KeyError, TypeError, AttributeError, pa.ArrowException) as error:
        raise ValueError(f"`{structure}` is damaged") from error


def _encoded(value: Any, file: IO[bytes]) -> Any:
    if isinstance(value, np.ndarray):
        return {"array": _written(value, file)}
    if isinstance(value, pa.Table):
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, value.schema) as stream:
            stream.write_table(value.combine_chunks())
        return {"table": _written(np.frombuffer(sink.getvalue(), np.uint8), file)}
    if is_dataclass(value):
        content = {
            item.name: _encoded(getattr(value, item.name), file)
            for item in fields(value)
            if item.name not in ("span", "related")  # places in a text stay with the text
        }
        return {"class": type(value).__name__, "fields": content}
    if isinstance(value, Mapping):
        return {"dict": {str(key): _encoded(item, file) for key, item in value.items()}}
    if isinstance(value, tuple | list):
        return [_encoded(item, file) for item in value]
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if hasattr(value, "detach"):
        return {"tensor": _written(value.detach().cpu().numpy(), file)}
    return value.item() if isinstance(value, np.generic) else value


def _written(array: np.ndarray[Any, Any], file: IO[bytes]) -> dict[str, Any]:
    array = np.ascontiguousarray(array)
    file.write(b"\0" * (-file.tell() % ALIGNMENT))
    place = {"at": file.tell(), "kind": array.dtype.str, "shape": list(array.shape)}
    array.tofile(file)
    return place


def _decoded(value: Any, columns: np.ndarray[Any, Any], classes: Mapping[str, type[Any]]) -> Any:
    if isinstance(value, list):
        return tuple(_decoded(item, columns, classes) for item in value)
    if not isinstance(value, dict):
        return value
    if "tensor" in value:
        import torch

        return torch.from_numpy(np.asarray(_read(value["tensor"], columns)))
    if "array" in value:
        return _read(value["array"], columns)
    if "table" in value:
        return pa.ipc.open_stream(pa.py_buffer(_read(value["table"], columns))).read_all()
    if "bytes" in value:
        return bytes.fromhex(value["bytes"])
    if "dict" in value:
        return {key: _decoded(item, columns, classes) for key, item in value["dict"].items()}
    content = {key: _decoded(item, columns, classes) for key, item in value["fields"].items()}
    return classes[value["class"]](**content)


def _read(place: dict[str, Any], columns: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    kind = np.dtype(place["kind"])
    shape = tuple(place["shape"])
    count = int(np.prod(shape, dtype=np.int64)) * kind.itemsize
    array: np.ndarray[Any, Any] = (
        np.asarray(columns[place["at"] : place["at"] + count]).view(kind).reshape(shape)
    )
    return array
