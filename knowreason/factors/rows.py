"""Some rows of a part of a factor graph, and its atoms under other numbers."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from knowreason.factors.arrays import Array, array, entries_of, tensor
from knowreason.factors.graph import Blocks, ClauseList, CountGroup, FactorGroup, UnitGroup

Part = TypeVar("Part", FactorGroup, UnitGroup, ClauseList, CountGroup, Blocks)

OF_ENTRIES = ("atoms", "signs")


def some_rows(part: Part, rows: Array) -> Part:
    """The part with only these rows (``int64[r]``), in this order.

    Every tensor of a part has a value a row, but for those of a part with ``offsets`` that
    have one an entry: atoms and signs.
    """
    row = entry = torch.from_numpy(rows)
    changed: dict[str, Any] = {}
    if not isinstance(part, FactorGroup | UnitGroup):
        entries, offsets = entries_of(array(part.offsets), rows)
        entry, changed["offsets"] = torch.from_numpy(entries), torch.from_numpy(offsets)
    for field in fields(part):
        value = getattr(part, field.name)
        if isinstance(value, Tensor) and field.name != "offsets":
            changed[field.name] = value[entry if field.name in OF_ENTRIES else row]
    return replace(part, **changed)


def renumbered(part: Part, number: Array) -> Part:
    """The part over other numbers of its atoms: ``number`` is ``int32[n]``."""
    changed: dict[str, Any] = {"atoms": tensor(number[array(part.atoms)], torch.int32)}
    if isinstance(part, CountGroup):
        target = array(part.target)
        new = np.where(target >= 0, number[np.maximum(target, 0)], -1)
        changed["target"] = tensor(new, torch.int32)
    return replace(part, **changed)
