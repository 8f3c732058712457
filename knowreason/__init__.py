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

Start with :func:`load`, :class:`Dataset` and :class:`Reasoner`.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from knowreason.version import __version__

_HOME = {
    "Dataset": "knowreason.data",
    "EdgeList": "knowreason.data",
    "FeatureSource": "knowreason.data",
    "KnowledgeModel": "knowreason.models",
    "KnowreasonError": "knowreason.errors",
    "Program": "knowreason.logic",
    "ProgramError": "knowreason.errors",
    "Reasoner": "knowreason.pipeline.reasoner",
    "Settings": "knowreason.pipeline.settings",
    "load": "knowreason.lang",
    "load_run": "knowreason.pipeline.run_folder",
    "loads": "knowreason.lang",
    "plan": "knowreason.ground",
}
# `ground`, `infer`, `learn` and `explain` are packages that are called like functions.
_MODULES = (
    "data",
    "explain",
    "factors",
    "ground",
    "infer",
    "lang",
    "learn",
    "logic",
    "metrics",
    "models",
    "plot",
)

__all__ = ["__version__", *_HOME, *_MODULES]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    if name in _MODULES:
        return import_module(f"knowreason.{name}")
    raise AttributeError(f"module 'knowreason' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
