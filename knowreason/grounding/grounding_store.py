"""A grounding on disk, read by memory mapping: opening it costs next to nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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
from knowreason.mapped_columns import COLUMNS, opened, store

FORMAT = 4
STRUCTURE = "grounding.json"
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
        store({name: getattr(grounding, name) for name in _STORED}, partial, STRUCTURE, FORMAT)


def load(folder: str | Path, program: Program, data: Dataset) -> Grounding:
    """Read a stored grounding of ``program`` over ``data``, arrays memory-mapped.

    Raises:
        GroundingError: KR653 where the folder holds no grounding this version can read.
    """
    try:
        stored = opened(Path(folder), STRUCTURE, FORMAT, _CLASSES)
    except (OSError, ValueError) as error:
        why = "" if isinstance(error, OSError) else f": {error}"
        raise GroundingError(
            f"no stored grounding in `{folder}`{why}", code="KR653", help="ground again"
        ) from error
    return Grounding(program=program, data=data, **stored)
