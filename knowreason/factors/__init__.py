"""Factor graphs as tensors; no rule and no table is known here."""

from knowreason.factors.atom_table import AtomSpan, AtomTable
from knowreason.factors.factor_graph import FALSE, OPEN, TRUE, Blocks, FactorGraph
from knowreason.factors.ground_factors import GroundFactors
from knowreason.factors.parameter_table import ParameterKind, ParameterTable
from knowreason.factors.potentials import POTENTIALS, Potential

__all__ = [
    "FALSE",
    "OPEN",
    "POTENTIALS",
    "TRUE",
    "AtomSpan",
    "AtomTable",
    "Blocks",
    "FactorGraph",
    "GroundFactors",
    "ParameterKind",
    "ParameterTable",
    "Potential",
]
