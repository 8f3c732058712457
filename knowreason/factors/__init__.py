"""Factor graphs as tensors; no rule and no table is known here."""

from knowreason.factors.atoms import AtomSpan, AtomTable
from knowreason.factors.graph import FALSE, OPEN, TRUE, Blocks, FactorGraph
from knowreason.factors.ground_factors import GroundFactors
from knowreason.factors.parameters import ParameterKind, ParameterTable

__all__ = [
    "FALSE",
    "OPEN",
    "TRUE",
    "AtomSpan",
    "AtomTable",
    "Blocks",
    "FactorGraph",
    "GroundFactors",
    "ParameterKind",
    "ParameterTable",
]
