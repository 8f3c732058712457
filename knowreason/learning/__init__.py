"""Learning weights, biases and scales from labels, priors and what is left unlabelled."""

from knowreason.learning.bootstrap import Bootstrap, bootstrap
from knowreason.learning.fit import weight_lines
from knowreason.learning.learners import LEARNERS, learn
from knowreason.learning.problem import EstimatorReport, Fit, Problem

__all__ = [
    "LEARNERS",
    "Bootstrap",
    "EstimatorReport",
    "Fit",
    "Problem",
    "bootstrap",
    "learn",
    "weight_lines",
]
