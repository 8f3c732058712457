"""The engine that was used against exact inference or sampling, on sampled components."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import nan
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from knowreason.errors import InferenceError
from knowreason.factors import FactorGraph
from knowreason.factors.arrays import array
from knowreason.factors.components.connected import components, subgraph
from knowreason.factors.condition import condition
from knowreason.inference import Posterior, infer
from knowreason.inference.posterior import QUALITIES

EXACT = {"exact_memory": "2GB", "exact_seconds": 120.0}  # what an audit pays for
EDGES = (1e-6, 1e-3, 1e-2, 1e-1)  # of the histogram of errors
BINS = ("0", "up to .001", ".001 to .01", ".01 to .1", "over .1")
WRONG = 1e-2  # an error of a probability that is a finding


@dataclass(frozen=True)
class ComponentCheck:
    """Marginals of one component that were not exact, and what they are compared with.

    Attributes:
        atoms: how many it has.
        around: name of its atom with the greatest error, or of the first.
        quality: what the engine said, the worst of its atoms.
        against: ``exact`` or ``sampling``; empty where neither could serve it.
        errors: atoms in each bin of :data:`BINS`, absolute errors of probabilities.
        greatest, mean: error; NaN where there is nothing to compare with.
        chains: what sampling says of itself (R-hat, effective sample size).
        possible: whether a world is known in which the hard rules hold.
    """

    atoms: int
    around: str = ""
    quality: str = ""
    against: str = ""
    errors: tuple[int, ...] = (0,) * len(BINS)
    greatest: float = nan
    mean: float = nan
    chains: tuple[str, ...] = ()
    possible: bool = False


@dataclass(frozen=True)
class Accuracy:
    """How right the marginals of a posterior are.

    Attributes:
        components, atoms: open ones.
        exact: components whose marginals are all exact.
        checks: sampled components of the others.
    """

    components: int
    atoms: int
    exact: int
    checks: tuple[ComponentCheck, ...]

    def histogram(self, against: str) -> tuple[int, ...]:
        """Atoms in each bin of :data:`BINS`, of the components compared with ``against``."""
        rows = [check.errors for check in self.checks if check.against == against]
        return tuple(np.sum(rows, axis=0).tolist()) if rows else (0,) * len(BINS)


def accuracy(
    graph: FactorGraph, posterior: Posterior, name: Callable[[int], str], *, most: int, seed: int
) -> Accuracy:
    """Compare sampled components that are not exact with exact inference, else with sampling.

    Args:
        graph: given its evidence.
        posterior: about it.
        name: of an atom.
        most: components that are compared.
        seed: of which those are, and of the chains.
    """
    known = condition(graph)
    label, count = components(known)
    worst = np.zeros(count, dtype=np.int8)
    quality = array(posterior.qualities)
    np.maximum.at(worst, label[label >= 0], quality[label >= 0])
    inexact = np.flatnonzero(worst)
    chosen = np.random.default_rng(seed).permutation(inexact)[:most]
    checks = []
    for component in np.sort(chosen).tolist():
        part, atoms = subgraph(known, label == component)
        probability = expit(array(posterior.log_odds)[atoms])
        errors, check = _check(part, probability, seed)
        around = name(int(atoms[errors.argmax()]))
        quality_name = QUALITIES[int(worst[component])]
        checks.append(replace(check, around=around, quality=quality_name))
    return Accuracy(count, int((label >= 0).sum()), count - len(inexact), tuple(checks))


def _check(
    part: FactorGraph, probability: NDArray[np.float64], seed: int
) -> tuple[NDArray[np.float64], ComponentCheck]:
    """Errors of the atoms, and all about the component but its name and quality."""
    exact, sampled = _answer(part, "exact", **EXACT), _answer(part, "gibbs", seed=seed)
    chains = _said(sampled)
    truth = exact or sampled
    if truth is None:
        return np.zeros(part.atom_count), ComponentCheck(part.atom_count, chains=chains)
    error = np.abs(expit(array(truth.log_odds)) - probability)
    if part.auxiliary is not None:
        error[array(part.auxiliary)] = 0.0
    return error, ComponentCheck(
        part.atom_count,
        against="exact" if exact else "sampling",
        errors=histogram(error),
        greatest=float(error.max()),
        mean=float(error.mean()),
        chains=chains,
        possible=True,
    )


def _answer(part: FactorGraph, engine: str, **options: Any) -> Posterior | None:
    try:
        return infer(part, engine, **options)
    except InferenceError:
        return None  # too large, or no world found


def _said(sampled: Posterior | None) -> tuple[str, ...]:
    if sampled is None:
        return ("sampling found no world in which the hard rules hold",)
    said = [note for report in sampled.reports for note in (report.checked, *report.notes)]
    return tuple(note for note in said if note)


def histogram(errors: Sequence[float] | NDArray[np.float64]) -> tuple[int, ...]:
    """How many errors lie in each bin of :data:`BINS`.

    Example:
        >>> histogram([0.0, 1e-4, 0.2, 0.3])
        (1, 1, 0, 0, 2)
    """
    place = np.searchsorted(EDGES, np.asarray(errors, dtype=np.float64))
    return tuple(np.bincount(place, minlength=len(BINS)).tolist())
