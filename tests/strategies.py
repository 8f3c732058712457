"""Random factor graphs, seeded and as hypothesis strategies.

Hard rows always hold in a planted random world, so every graph has a possible world.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from hypothesis import strategies as st

from knowreason.factors import Blocks, FactorGraph, GroundFactors


@dataclass
class _Builder:
    rng: np.random.Generator
    parameters: int
    world: list[bool]
    groups: list[GroundFactors] = field(default_factory=list)
    clause_lists: list[GroundFactors] = field(default_factory=list)
    counts: list[GroundFactors] = field(default_factory=list)
    blocks: list[tuple[list[int], bool]] = field(default_factory=list)
    rules: int = 0

    def rule(self) -> int:
        self.rules += 1
        return self.rules - 1

    def parameter(self, rows: int, hard: bool):
        if hard:
            return None
        if self.rng.random() < 0.3:
            return torch.tensor(self.rng.integers(self.parameters, size=rows), dtype=torch.int32)
        return int(self.rng.integers(self.parameters))

    def value(self, rows: int):
        if self.rng.random() < 0.5:
            return None
        return torch.tensor(self.rng.normal(1.0, 0.5, rows), dtype=torch.float32)

    def clauses(self, scopes: list[list[int]], hard: bool) -> None:
        k = len(scopes[0])
        signs = tuple(bool(s) for s in self.rng.random(k) < 0.5)
        if hard:
            scopes = [
                s for s in scopes if any(self.world[a] == b for a, b in zip(s, signs, strict=True))
            ]
        if scopes:
            self.add(scopes, signs, hard)

    def tables(self, scopes: list[list[int]], hard: bool) -> None:
        k = len(scopes[0])
        values = (self.rng.random(1 << k) < 0.5).astype(np.float32)
        if hard:
            for scope in scopes:
                values[sum(self.world[a] << j for j, a in enumerate(scope))] = 1.0
        self.add(scopes, torch.tensor(values), hard)

    def add(self, scopes: list[list[int]], potential, hard: bool) -> None:
        m = len(scopes)
        self.groups.append(
            GroundFactors.of(
                atoms=torch.tensor(scopes, dtype=torch.int32),
                potential=potential,
                parameter=self.parameter(m, hard),
                value=None if hard else self.value(m),
                rule=self.rule(),
            )
        )

    def lists(self, scopes: list[list[int]], hard: bool) -> None:
        signs = [[bool(s) for s in self.rng.random(len(scope)) < 0.5] for scope in scopes]
        if hard:
            for scope, sign in zip(scopes, signs, strict=True):
                sign[0] = self.world[scope[0]]
        self.clause_lists.append(
            GroundFactors.clauses(
                offsets=_offsets(scopes),
                atoms=_flat(scopes, torch.int32),
                signs=_flat(signs, torch.bool),
                parameter=self.parameter(len(scopes), hard),
                value=None if hard else self.value(len(scopes)),
                rule=self.rule(),
            )
        )

    def count(self, scope: list[int], target: bool) -> None:
        """A count over ``scope``; with ``target`` it defines a new auxiliary atom."""
        signs = [bool(s) for s in self.rng.random(len(scope)) < 0.5]
        total = sum(self.world[a] == s for a, s in zip(scope, signs, strict=True))
        lower, upper = sorted(int(v) for v in self.rng.integers(0, len(scope) + 1, size=2))
        if not target:
            lower, upper = min(lower, total), max(upper, total)
        else:
            self.world.append(lower <= total <= upper)
        self.counts.append(
            GroundFactors.counts(
                offsets=_offsets([scope]),
                atoms=_flat([scope], torch.int32),
                signs=_flat([signs], torch.bool),
                lower=torch.tensor([lower], dtype=torch.int32),
                upper=torch.tensor([upper], dtype=torch.int32),
                target=torch.tensor([len(self.world) - 1 if target else -1], dtype=torch.int32),
                rule=self.rule(),
            )
        )

    def graph(self, scale: float, auxiliary_from: int, evidence: float) -> FactorGraph:
        n, rng = len(self.world), self.rng
        units = tuple(
            GroundFactors.units(
                atoms=torch.tensor(rng.integers(n, size=max(1, n // 2)), dtype=torch.int32),
                parameter=self.parameter(max(1, n // 2), hard=False),
                value=self.value(max(1, n // 2)),
                rule=self.rule(),
            )
            for _ in range(2)
        )
        log_odds = rng.normal(0, scale, n).astype(np.float32)
        log_odds[auxiliary_from:] = 0
        clamped = (rng.random(n) < evidence) & (np.arange(n) < auxiliary_from)
        state = np.where(clamped, np.array(self.world, dtype=np.int8), -1)
        return FactorGraph(
            log_odds=torch.tensor(log_odds),
            theta=torch.tensor(rng.normal(0, scale, self.parameters)),
            evidence=torch.tensor(state, dtype=torch.int8),
            factors=(
                *self.groups,
                *self.clause_lists,
                *units,
                *self.counts,
            ),
            blocks=Blocks(
                _offsets([atoms for atoms, _ in self.blocks]),
                _flat([atoms for atoms, _ in self.blocks], torch.int32),
                torch.tensor([at_most for _, at_most in self.blocks], dtype=torch.bool),
            ),
            auxiliary=torch.arange(n) >= auxiliary_from,
            constant=torch.tensor(rng.normal(0, 1, self.parameters)),
        )


def random_graph(
    seed: int,
    atoms: int = 8,
    *,
    factors: int | None = None,
    hard: int = 0,
    blocks: int = 0,
    counts: int = 0,
    tables: int = 2,
    clause_lists: int = 1,
    tree: bool = False,
    parameters: int = 4,
    evidence: float = 0.0,
    scale: float = 1.0,
) -> FactorGraph:
    """A random factor graph with at least one possible world.

    Args:
        seed: same seed and arguments, same graph.
        atoms: number of atoms; counts add one auxiliary atom for about every other count.
        factors: rows of soft clauses, ``atoms`` by default.
        hard: groups of hard rows.
        blocks: blocks of two to four atoms.
        counts: count definitions and demands.
        tables, clause_lists: number of soft groups of those kinds.
        tree: the factor graph (blocks as factors) is a tree; the numbers above then
            only say which kinds may occur.
        parameters: length of ``theta``.
        evidence: share of atoms clamped to the planted world.
        scale: standard deviation of ``log_odds`` and ``theta``.
    """
    rng = np.random.default_rng(seed)
    world = [bool(x) for x in rng.random(atoms) < 0.5]
    builder = _Builder(rng, parameters, world)
    if tree:
        _grow_tree(builder, atoms, hard, blocks, counts, tables, clause_lists)
    else:
        _scatter(builder, atoms, factors, hard, blocks, counts, tables, clause_lists)
    return builder.graph(scale, atoms, evidence)


def _scatter(b: _Builder, atoms, factors, hard, blocks, counts, tables, clause_lists) -> None:
    def scope(k: int) -> list[int]:
        return [int(a) for a in b.rng.permutation(len(b.world))[:k]]

    def scopes(rows: int, k: int) -> list[list[int]]:
        return [scope(min(k, atoms)) for _ in range(rows)]

    _plant_blocks(b, atoms, blocks)
    for i in range(counts):
        b.count(scope(int(b.rng.integers(1, min(5, atoms) + 1))), target=i % 2 == 0)
    rows = atoms if factors is None else factors
    for part in np.array_split(np.arange(rows), 3):
        if len(part):
            b.clauses(scopes(len(part), int(b.rng.integers(2, 4))), hard=False)
    for i in range(hard):
        make = b.clauses if i % 2 == 0 else b.tables
        make(scopes(2, int(b.rng.integers(1, 4))), hard=True)
    for _ in range(tables):
        b.tables(scopes(2, int(b.rng.integers(1, 4))), hard=False)
    for i in range(clause_lists):
        sizes = b.rng.integers(1, min(5, atoms) + 1, size=2)
        b.lists([scope(int(k)) for k in sizes], hard=hard > 0 and i % 2 == 1)


def _plant_blocks(b: _Builder, atoms: int, blocks: int) -> None:
    spare = [int(a) for a in b.rng.permutation(atoms)]
    for i in range(blocks):
        size = int(b.rng.integers(2, 5))
        members, spare = spare[:size], spare[size:]
        if members:
            _plant(b, members, at_most_one=i % 2 == 1)


def _plant(b: _Builder, members: list[int], at_most_one: bool) -> None:
    chosen = int(b.rng.integers(len(members) + at_most_one))
    for j, atom in enumerate(members):
        b.world[atom] = j == chosen
    b.blocks.append((members, at_most_one))


def _grow_tree(b: _Builder, atoms, hard, blocks, counts, tables, clause_lists) -> None:
    kinds = ["clauses", "clauses"] + ["tables"] * bool(tables) + ["lists"] * bool(clause_lists)
    kinds += ["block"] * bool(blocks) + ["count"] * bool(counts)
    joined, waiting = [0], list(range(1, atoms))
    blocked: set[int] = set()
    while waiting:
        anchor = int(b.rng.choice(joined))
        kind = str(b.rng.choice(kinds))
        size = int(b.rng.integers(1, 4))
        fresh, waiting = waiting[:size], waiting[size:]
        scope = [anchor, *fresh]
        b.rng.shuffle(scope)
        if kind == "block" and anchor not in blocked:
            blocked.update(scope)
            keep = b.world[anchor]
            for atom in fresh:
                b.world[atom] = False
            if not keep and b.rng.random() < 0.7:
                b.world[fresh[0]] = True
            b.blocks.append((scope, not any(b.world[a] for a in scope)))
        elif kind == "count":
            target = b.rng.random() < 0.5
            b.count(scope, target)
            if target:
                joined.append(len(b.world) - 1)
        else:
            make = getattr(b, kind if kind != "block" else "clauses")
            make([scope], hard=hard > 0 and b.rng.random() < 0.3)
        joined += fresh


def _offsets(rows: list[list]) -> torch.Tensor:
    return torch.tensor(np.cumsum([0, *map(len, rows)]), dtype=torch.int64)


def _flat(rows: list[list], dtype: torch.dtype) -> torch.Tensor:
    return torch.tensor([x for row in rows for x in row], dtype=dtype)


def factor_graphs(
    max_atoms: int = 8,
    *,
    hard: bool = True,
    blocks: bool = True,
    counts: bool = True,
    tables: bool = True,
    clause_lists: bool = True,
    tree: bool = False,
    evidence: bool = True,
) -> st.SearchStrategy[FactorGraph]:
    """Random factor graphs of at most ``max_atoms`` atoms (auxiliary ones come on top)."""
    return st.builds(
        random_graph,
        seed=st.integers(0, 2**32 - 1),
        atoms=st.integers(1, max_atoms),
        hard=st.integers(0, 3 if hard else 0),
        blocks=st.integers(0, 2 if blocks else 0),
        counts=st.integers(0, 3 if counts else 0),
        tables=st.integers(0, 2 if tables else 0),
        clause_lists=st.integers(0, 2 if clause_lists else 0),
        tree=st.just(tree),
        evidence=st.sampled_from([0.0, 0.2, 0.5] if evidence else [0.0]),
    )
