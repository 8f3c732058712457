"""knowreason: weighted first-order rules over learned models.

The words used throughout:

===================  =========================================================================
domain               a sort of things: people, payments, protocols
predicate            a relation between things: ``observed`` (what is not listed is false),
                     ``query`` (asked) or ``latent`` (never labelled, inferred jointly)
atom                 a predicate applied to terms; a *ground* atom to things: ``Smokes("anna")``
literal              an atom or its negation
clause               a disjunction of literals
rule                 a formula with a weight; each setting of its variables is a *grounding*
evidence             open atoms whose truth is known when predicting
factor graph         the unknown ground atoms and the groundings that tie them
knowledge model      anything that gives log-odds for the ground atoms of a predicate
log-odds             ``log(p / (1 - p))``
marginal             probability of one ground atom, all others summed out
posterior            marginals given evidence and models
pseudo-likelihood    product of each atom's probability given its neighbours
===================  =========================================================================

Start with :func:`load`, :class:`Dataset` and :class:`Reasoner`; stage by stage with
:func:`ground`, :func:`infer`, :func:`learn` and :func:`explain`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from knowreason.lazy import lazy_names
from knowreason.version import __version__

if TYPE_CHECKING:
    from knowreason import beliefs as beliefs
    from knowreason import data as data
    from knowreason import evaluate as evaluate
    from knowreason import explanation as explanation
    from knowreason import factors as factors
    from knowreason import grounding as grounding
    from knowreason import inference as inference
    from knowreason import lang as lang
    from knowreason import learning as learning
    from knowreason import logic as logic
    from knowreason import metrics as metrics
    from knowreason import models as models
    from knowreason import report as report
    from knowreason import suggestion as suggestion
    from knowreason import testing as testing
    from knowreason.beliefs import Beliefs as Beliefs
    from knowreason.data import Dataset as Dataset
    from knowreason.data import EdgeList as EdgeList
    from knowreason.data import FeatureSource as FeatureSource
    from knowreason.errors import KnowreasonError as KnowreasonError
    from knowreason.errors import ProgramError as ProgramError
    from knowreason.evaluate import Decision as Decision
    from knowreason.evaluate import compare as compare
    from knowreason.evaluate import cross_validate as cross_validate
    from knowreason.explanation import Explanation as Explanation
    from knowreason.explanation import explain as explain
    from knowreason.factors import FactorGraph as FactorGraph
    from knowreason.grounding import Grounding as Grounding
    from knowreason.grounding import ground as ground
    from knowreason.grounding import plan as plan
    from knowreason.inference import Posterior as Posterior
    from knowreason.inference import infer as infer
    from knowreason.lang import load as load
    from knowreason.lang import loads as loads
    from knowreason.learning import Fit as Fit
    from knowreason.learning import Problem as Problem
    from knowreason.learning import learn as learn
    from knowreason.logic import Program as Program
    from knowreason.models import KnowledgeModel as KnowledgeModel
    from knowreason.progress import Progress as Progress
    from knowreason.reasoner import Reasoner as Reasoner
    from knowreason.reasoner import RuleWeights as RuleWeights
    from knowreason.reasoner import Settings as Settings
    from knowreason.run import load_run as load_run
    from knowreason.suggestion import suggest as suggest

_HOMES = {
    "Beliefs": "knowreason.beliefs",
    "Dataset": "knowreason.data",
    "Decision": "knowreason.evaluate",
    "EdgeList": "knowreason.data",
    "Explanation": "knowreason.explanation",
    "FactorGraph": "knowreason.factors",
    "FeatureSource": "knowreason.data",
    "Fit": "knowreason.learning",
    "Grounding": "knowreason.grounding",
    "KnowledgeModel": "knowreason.models",
    "KnowreasonError": "knowreason.errors",
    "Posterior": "knowreason.inference",
    "Problem": "knowreason.learning",
    "Program": "knowreason.logic",
    "ProgramError": "knowreason.errors",
    "Progress": "knowreason.progress",
    "Reasoner": "knowreason.reasoner",
    "RuleWeights": "knowreason.reasoner",
    "Settings": "knowreason.reasoner",
    "compare": "knowreason.evaluate",
    "cross_validate": "knowreason.evaluate",
    "explain": "knowreason.explanation",
    "ground": "knowreason.grounding",
    "infer": "knowreason.inference",
    "learn": "knowreason.learning",
    "load": "knowreason.lang",
    "load_run": "knowreason.run",
    "loads": "knowreason.lang",
    "plan": "knowreason.grounding",
    "suggest": "knowreason.suggestion",
    "beliefs": "knowreason.beliefs",
    "data": "knowreason.data",
    "evaluate": "knowreason.evaluate",
    "explanation": "knowreason.explanation",
    "factors": "knowreason.factors",
    "grounding": "knowreason.grounding",
    "inference": "knowreason.inference",
    "lang": "knowreason.lang",
    "learning": "knowreason.learning",
    "logic": "knowreason.logic",
    "metrics": "knowreason.metrics",
    "models": "knowreason.models",
    "report": "knowreason.report",
    "suggestion": "knowreason.suggestion",
    "testing": "knowreason.testing",
}

__all__ = ["__version__", *_HOMES]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_names(__name__, _HOMES)
