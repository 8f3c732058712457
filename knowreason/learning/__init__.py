"""Learning weights, biases and scales from labels, priors and what is left unlabelled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from knowreason.lazy import lazy_names

if TYPE_CHECKING:
    from knowreason.learning.bootstrapping import Bootstrap as Bootstrap
    from knowreason.learning.bootstrapping import bootstrap as bootstrap
    from knowreason.learning.fit import weight_lines as weight_lines
    from knowreason.learning.learners import LEARNERS as LEARNERS
    from knowreason.learning.learners import learn as learn
    from knowreason.learning.problem import EstimatorReport as EstimatorReport
    from knowreason.learning.problem import Fit as Fit
    from knowreason.learning.problem import Problem as Problem

_HOMES = {
    "Bootstrap": "knowreason.learning.bootstrapping",
    "EstimatorReport": "knowreason.learning.problem",
    "Fit": "knowreason.learning.problem",
    "LEARNERS": "knowreason.learning.learners",
    "Problem": "knowreason.learning.problem",
    "bootstrap": "knowreason.learning.bootstrapping",
    "learn": "knowreason.learning.learners",
    "weight_lines": "knowreason.learning.fit",
}

__all__ = [*_HOMES]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_names(__name__, _HOMES)
