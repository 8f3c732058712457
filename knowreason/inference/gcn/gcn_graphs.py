"""Random factor graphs of small loopy components, for training the GCN posterior.

Every component is made of the kinds of factors that rules ground to: clauses of two and
three literals, equivalences and other tables of two or three atoms, and functional blocks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from knowreason.factors.arrays import offsets_of
from knowreason.factors.factor_graph import OPEN, Blocks, FactorGraph
from knowreason.factors.ground_factors import GroundFactors

Array = NDArray[np.int64]


@dataclass(frozen=True)
class Family:
    """A kind of random component.

    Attributes:
        atoms: least and greatest number of atoms.
        density: least and greatest number of factors an atom.
        weight: standard deviation of the factors' weights; three quarters are positive.
        unary: standard deviation of the atoms' log-odds.
        triples: share of factors with three atoms.
        tables: share of factors that are tables, not clauses.
        blocks: share of components with a block of three atoms.
        rules: number of rules of a batch, each one potential and one weight; 0 for a
            potential and a weight of its own for every factor.
        window: atoms of a factor are no further apart than so many numbers, so that exact
            inference serves large components; 0 for any atoms of the component.
    """

    atoms: tuple[int, int] = (8, 20)
    density: tuple[float, float] = (0.9, 2.0)
    weight: float = 1.5
    unary: float = 1.2
    triples: float = 0.35
    tables: float = 0.25
    blocks: float = 0.3
    rules: int = 0
    window: int = 0


def random_components(
    count: int, family: Family, rng: np.random.Generator, batches: int = 20
) -> FactorGraph:
    """A graph of ``count`` random components, in batches of one size and density each.

    Weights are feature values of a single parameter that is 1, so that every factor has a
    weight of its own.
    """
    sizes = np.full(batches, count // batches) + (np.arange(batches) < count % batches)
    atoms = rng.integers(family.atoms[0], family.atoms[1] + 1, batches)
    density = rng.uniform(*family.density, batches)
    pairs, triples, blocks, first = [], [], [], 0
    for components, n, factors in zip(sizes, atoms, density, strict=True):
        rows = max(1, round(float(n * factors)))
        wide = int(rng.binomial(rows, family.triples))
        start = first + n * np.arange(components)[:, None]
        pairs.append(_scopes(start, n, rows - wide, 2, rng, family.window))
        triples.append(_scopes(start, n, wide, 3, rng, family.window))
        blocked = start[rng.random(components) < family.blocks]
        blocks.append(_scopes(blocked, n, 1, 3, rng, family.window))
        first += int(components * n)
    block = np.concatenate(blocks)
    return FactorGraph(
        log_odds=torch.from_numpy(rng.normal(0, family.unary, first).astype(np.float32)),
        theta=torch.ones(1, dtype=torch.float64),
        evidence=torch.full((first,), OPEN, dtype=torch.int8),
        factors=(
            *_groups(pairs, family, rng),
            *_groups(triples, family, rng),
        ),
        blocks=Blocks(
            torch.from_numpy(offsets_of(np.full(len(block), 3))),
            torch.from_numpy(block.ravel().astype(np.int32)),
            torch.from_numpy(rng.random(len(block)) < 0.5),
        ),
    )


def _scopes(
    start: Array, n: int, rows: int, arity: int, rng: np.random.Generator, window: int
) -> Array:
    """``int64[components * rows, arity]`` distinct atoms of each component."""
    span = min(window or n, n)
    order = rng.random((len(start), rows, span)).argsort(2)[:, :, :arity]
    if span < n:
        order += rng.integers(n - span + 1, size=(len(start), rows, 1))
    return (start[:, :, None] + order).reshape(-1, arity)


def _groups(batches: list[Array], family: Family, rng: np.random.Generator) -> list[GroundFactors]:
    """Rows dealt out to every sign pattern of a clause and to some tables."""
    scopes = np.concatenate(batches)
    potentials = potentials_of(scopes.shape[1])
    clauses = 1 << scopes.shape[1]
    share = np.full(len(potentials), family.tables / (len(potentials) - clauses))
    share[:clauses] = (1 - family.tables) / clauses
    drawn = len(scopes) if family.rules == 0 else len(batches) * family.rules
    kind = rng.choice(len(potentials), drawn, p=share)
    sign = np.where(rng.random(drawn) < 0.75, 1.0, -1.0)
    weight = (sign * np.abs(rng.normal(0, family.weight, drawn))).astype(np.float32)
    if family.rules:
        batch = np.repeat(np.arange(len(batches)), [len(part) for part in batches])
        rule = batch * family.rules + rng.integers(family.rules, size=len(scopes))
        kind, weight = kind[rule], weight[rule]
    return [
        GroundFactors.of(
            torch.from_numpy(scopes[kind == k].astype(np.int32)),
            potential,
            0,
            torch.from_numpy(weight[kind == k]),
        )
        for k, potential in enumerate(potentials)
        if (kind == k).any()
    ]


def potentials_of(arity: int) -> list[tuple[bool, ...] | Tensor]:
    """Every clause of ``arity`` literals, then agreement, parity and majority or conjunction."""
    states = np.arange(1 << arity)[:, None] >> np.arange(arity) & 1
    clauses: list[tuple[bool, ...] | Tensor] = [tuple(map(bool, row)) for row in states]
    true = states.sum(1)
    tables = [(true == 0) | (true == arity), true % 2 == 1, true * 2 > arity]
    return [*clauses, *(torch.from_numpy(values.astype(np.float64)) for values in tables)]
