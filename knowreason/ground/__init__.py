"""From rules and tables to factor graphs."""

from knowreason.callable_modules import call_as
from knowreason.ground.atoms import open_atoms
from knowreason.ground.estimate import Plan, RuleEstimate, plan
from knowreason.ground.grounding import Grounding, ground
from knowreason.ground.provenance import GroundRule
from knowreason.ground.report import RuleReport

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

call_as(__name__, ground)
