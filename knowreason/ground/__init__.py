"""From rules and tables to factor graphs."""

from knowreason.ground.atoms import open_atoms
from knowreason.ground.grounding import Grounding, ground
from knowreason.ground.provenance import GroundRule
from knowreason.ground.report import RuleReport

__all__ = ["GroundRule", "Grounding", "RuleReport", "ground", "open_atoms"]
