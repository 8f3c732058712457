"""Factor graphs as tensors; no rule and no table is known here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from knowreason.lazy import lazy_names

if TYPE_CHECKING:
    from knowreason.factors.atom_table import FALSE as FALSE
    from knowreason.factors.atom_table import OPEN as OPEN
    from knowreason.factors.atom_table import TRUE as TRUE
    from knowreason.factors.atom_table import AtomSpan as AtomSpan
    from knowreason.factors.atom_table import AtomTable as AtomTable
    from knowreason.factors.factor_graph import Blocks as Blocks
    from knowreason.factors.factor_graph import FactorGraph as FactorGraph
    from knowreason.factors.ground_factors import GroundFactors as GroundFactors
    from knowreason.factors.parameter_table import ParameterKind as ParameterKind
    from knowreason.factors.parameter_table import ParameterTable as ParameterTable
    from knowreason.factors.potentials import POTENTIALS as POTENTIALS
    from knowreason.factors.potentials import Potential as Potential

_HOMES = {
    "AtomSpan": "knowreason.factors.atom_table",
    "AtomTable": "knowreason.factors.atom_table",
    "Blocks": "knowreason.factors.factor_graph",
    "FALSE": "knowreason.factors.atom_table",
    "FactorGraph": "knowreason.factors.factor_graph",
    "GroundFactors": "knowreason.factors.ground_factors",
    "OPEN": "knowreason.factors.atom_table",
    "POTENTIALS": "knowreason.factors.potentials",
    "ParameterKind": "knowreason.factors.parameter_table",
    "ParameterTable": "knowreason.factors.parameter_table",
    "Potential": "knowreason.factors.potentials",
    "TRUE": "knowreason.factors.atom_table",
}

__all__ = [*_HOMES]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_names(__name__, _HOMES)
