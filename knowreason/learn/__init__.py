"""Learning weights, biases and scales from labels, priors and what is left unlabelled."""

from knowreason.callable_modules import call_as
from knowreason.learn.bootstrap import Bootstrap, bootstrap
from knowreason.learn.fit import weight_lines
from knowreason.learn.learners import LEARNERS, learn
from knowreason.learn.problem import EstimatorReport, Fit, Problem

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

call_as(__name__, learn)
