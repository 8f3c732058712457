"""From rules and tables to factor graphs."""

from knowreason.grounding.atom_numbering import open_atoms
from knowreason.grounding.grounding import Grounding, ground
from knowreason.grounding.provenance import GroundRule
from knowreason.grounding.rule_report import RuleReport
from knowreason.grounding.size_estimate import Plan, RuleEstimate, plan

__all__ = [
    "GroundRule",
    "Grounding",
    "Plan",
    "RuleEstimate",
    "RuleReport",
    "ground",
    "open_atoms",
    "plan",
]
