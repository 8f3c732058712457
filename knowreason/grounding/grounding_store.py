"""A grounding on disk: one file of raw columns, and JSON that says what they are.

``columns.bin`` holds every array, aligned to 64 bytes, and is memory-mapped when read
(copy on write), so opening a stored grounding costs next to nothing. ``grounding.json``
holds the tree of dataclasses with arrays replaced by their places.
"""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from torch import Tensor

from knowreason.data import Dataset
from knowreason.diagnostics import Diagnostic
from knowreason.disk import whole_folder
from knowreason.errors import GroundingError
from knowreason.factors import (
    AtomSpan,
    AtomTable,
    Blocks,
    FactorGraph,
    GroundFactors,
    ParameterTable,
)
from knowreason.grounding.conditionals import Bodies, Conditionals
from knowreason.grounding.grounding import Grounding
from knowreason.grounding.neutral_pairs import NeutralPairs
from knowreason.grounding.provenance import Part, RuleProvenance
from knowreason.grounding.rule_report import RuleReport
from knowreason.logic import Program

FORMAT = 3
ALIGNMENT = 64
COLUMNS, STRUCTURE = "columns.bin", "grounding.json"
_STORED = (
    "atoms",
    "parameters",
    "graph",
    "labels",
    "hidden",
    "reports",
    "provenance",
    "associations",
    "conditionals",
    "warnings",
)
_CLASSES: dict[str, type[Any]] = {
    cls.__name__: cls
    for cls in (
        AtomSpan,
        AtomTable,
        Blocks,
        Bodies,
        Conditionals,
        Diagnostic,
        FactorGraph,
        GroundFactors,
        NeutralPairs,
        ParameterTable,
        Part,
        RuleProvenance,
        RuleReport,
    )
}


def save(grounding: Grounding, folder: str | Path) -> None:
    """Write a grounding; the folder appears only when it is whole.

    The program and the data are not written: they are given again to :func:`load`.

    Raises:
        GroundingError: KR654 where something is there that is no stored grounding; a stored
            grounding is replaced.
    """
    folder = Path(folder)
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    if folder.exists() and not names == {COLUMNS, STRUCTURE}:
        raise GroundingError(f"`{folder}` is there and is no stored grounding", code="KR654")
    with whole_folder(folder) as partial:
        with (partial / COLUMNS).open("wb") as file:
            tree = {name: _encoded(getattr(grounding, name), file) for name in _STORED}
        text = json.dumps({"format": FORMAT, "grounding": tree})
        (partial / STRUCTURE).write_text(text, encoding="utf-8")


def load(folder: str | Path, program: Program, data: Dataset) -> Grounding:
    """Read a stored grounding of ``program`` over ``data``, arrays memory-mapped.

    Raises:
        GroundingError: KR653 where the folder holds no grounding this version can read.
    """
    folder = Path(folder)
    try:
        content = json.loads((folder / STRUCTURE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise GroundingError(f"no stored grounding in `{folder}`", code="KR653") from error
    if content.get("format") != FORMAT:
        raise GroundingError(
            f"`{folder}` was stored in format {content.get('format')}, not {FORMAT}",
            code="KR653",
            help="ground again",
        )
    size = (folder / COLUMNS).stat().st_size
    columns = np.memmap(folder / COLUMNS, np.uint8, "c") if size else np.zeros(0, np.uint8)
    stored = {name: _decoded(value, columns) for name, value in content["grounding"].items()}
    return Grounding(program=program, data=data, **stored)


def _encoded(value: Any, file: IO[bytes]) -> Any:
    if isinstance(value, Tensor):
        return {"tensor": _written(value.detach().cpu().numpy(), file)}
    if isinstance(value, np.ndarray):
        return {"array": _written(value, file)}
    if is_dataclass(value):
        content = {
            item.name: _encoded(getattr(value, item.name), file)
            for item in fields(value)
            if item.name not in ("span", "related")  # places in a text stay with the text
        }
        return {"class": type(value).__name__, "fields": content}
    if isinstance(value, dict):
        return {"dict": {str(key): _encoded(item, file) for key, item in value.items()}}
    if isinstance(value, tuple):
        return [_encoded(item, file) for item in value]
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    return value.item() if isinstance(value, np.generic) else value


def _written(array: np.ndarray[Any, Any], file: IO[bytes]) -> dict[str, Any]:
    array = np.ascontiguousarray(array)
    file.write(b"\0" * (-file.tell() % ALIGNMENT))
    place = {"at": file.tell(), "kind": array.dtype.str, "shape": list(array.shape)}
    array.tofile(file)
    return place


def _decoded(value: Any, columns: np.ndarray[Any, Any]) -> Any:
    if isinstance(value, list):
        return tuple(_decoded(item, columns) for item in value)
    if not isinstance(value, dict):
        return value
    if "tensor" in value:
        return torch.from_numpy(np.asarray(_read(value["tensor"], columns)))
    if "array" in value:
        return _read(value["array"], columns)
    if "bytes" in value:
        return bytes.fromhex(value["bytes"])
    if "dict" in value:
        return {key: _decoded(item, columns) for key, item in value["dict"].items()}
    content = {key: _decoded(item, columns) for key, item in value["fields"].items()}
    return _CLASSES[value["class"]](**content)


def _read(place: dict[str, Any], columns: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    kind = np.dtype(place["kind"])
    shape = tuple(place["shape"])
    count = int(np.prod(shape, dtype=np.int64)) * kind.itemsize
    array: np.ndarray[Any, Any] = (
        np.asarray(columns[place["at"] : place["at"] + count]).view(kind).reshape(shape)
    )
    return array
