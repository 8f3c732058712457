"""Program, models and weights together: fitted on labelled data, asked about other data."""

from knowreason.project.settings import Settings
from knowreason.reasoner.reasoner import Reasoner
from knowreason.reasoner.rule_weights import RuleWeight, RuleWeights

__all__ = ["Reasoner", "RuleWeight", "RuleWeights", "Settings"]
