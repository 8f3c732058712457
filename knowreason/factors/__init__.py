"""Factor graphs as tensors; no rule and no table is known here."""

from knowreason.factors.atoms import AtomSpan, AtomTable
from knowreason.factors.graph import (
    FALSE,
    OPEN,
    TRUE,
    Blocks,
    Clause,
    ClauseList,
    CountGroup,
    FactorGraph,
    FactorGroup,
    Table,
    UnitGroup,
    row_weights,
)
from knowreason.factors.parameters import ParameterKind, ParameterTable

__all__ = [
    "FALSE",
    "OPEN",
    "TRUE",
    "AtomSpan",
    "AtomTable",
    "Blocks",
    "Clause",
    "ClauseList",
    "CountGroup",
    "FactorGraph",
    "FactorGroup",
    "ParameterKind",
    "ParameterTable",
    "Table",
    "UnitGroup",
    "row_weights",
]
