"""Items with a true label nobody knows and ten votes: a fit by rules, and EM in numpy.

31 weights: how common each of 11 atoms is, and for each voter ``label => vote`` and
``vote => label``. EM (Dawid and Skene, Applied Statistics 28, 1979) fits the same family, the
share of true labels and two rates a voter, without priors.
"""

from dataclasses import dataclass

import numpy as np
import torch

from knowreason.factors import FactorGraph, GroundFactors, ParameterTable
from knowreason.learning import Problem

VOTERS = 10


@dataclass(frozen=True)
class Votes:
    """``bool[n, 10]`` votes and the same as something to learn from."""

    votes: np.ndarray
    problem: Problem


def simulated(items: int, *, strengths: bool, seed: int = 0) -> Votes:
    """Votes drawn from the family; with ``strengths`` every rule of every item has a feature of
    its own, so that no two items are alike."""
    rng = np.random.default_rng(seed)
    label = rng.random((items, 1)) < 0.45
    rates = rng.uniform(0.3, 0.8, VOTERS), rng.uniform(0.02, 0.3, VOTERS)
    votes = rng.random((items, VOTERS)) < np.where(label, *rates)
    atoms = np.arange(items)[:, None] * (VOTERS + 1) + np.arange(VOTERS + 1)
    factors = [GroundFactors.units(_ints(atoms[:, j]), j) for j in range(VOTERS + 1)]
    for j in range(1, VOTERS + 1):
        value = torch.from_numpy(rng.gamma(4.0, 0.25, items)) if strengths else None
        for signs in ((False, True), (True, False)):
            pair = _ints(atoms[:, [0, j]])
            factors.append(GroundFactors.of(pair, signs, len(factors), value, rule=len(factors)))
    known = np.full(atoms.shape, -1, dtype=np.int8)
    known[:, 1:] = votes
    graph = FactorGraph(
        log_odds=torch.zeros(atoms.size),
        theta=torch.zeros(len(factors), dtype=torch.float64),
        evidence=torch.full((atoms.size,), -1, dtype=torch.int8),
        factors=tuple(factors),
    )
    rule = np.arange(len(factors)) > VOTERS
    return Votes(votes, Problem(graph, _table(rule), known.ravel(), latent_rules=rule))


def expectation_maximisation(votes: np.ndarray, most: int = 1000) -> float:
    """Log likelihood of the votes at EM's end: steps of less than 1e-6."""
    counted = votes.astype(np.float64)
    share, on, off = 0.5, np.full(VOTERS, 0.6), np.full(VOTERS, 0.2)
    last = -np.inf
    for _ in range(most):
        true = np.log(share) + counted @ np.log(on) + (1 - counted) @ np.log1p(-on)
        false = np.log1p(-share) + counted @ np.log(off) + (1 - counted) @ np.log1p(-off)
        total = np.logaddexp(true, false)
        if total.sum() - last < 1e-6:
            break
        last = float(total.sum())
        chance = np.exp(true - total)
        share = chance.mean()
        on, off = chance @ counted / chance.sum(), (1 - chance) @ counted / (1 - chance).sum()
        on, off = on.clip(1e-9, 1 - 1e-9), off.clip(1e-9, 1 - 1e-9)
    return last


def _ints(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(values)).int()


def _table(rule: np.ndarray) -> ParameterTable:
    """Weights of rules N(.5, 2), of base rates N(0, 2)."""
    p, mean = len(rule), np.where(rule, 0.5, 0.0)
    return ParameterTable(
        tuple(f"w{i}" for i in range(p)),
        tuple("rule" if is_rule else "bias" for is_rule in rule),
        mean,
        mean,
        np.full(p, 2.0),
        np.full(p, -np.inf),
        np.full(p, np.inf),
        np.ones(p, dtype=bool),
        np.zeros(p, dtype=bool),
        np.where(rule, np.arange(p), -1),
    )
