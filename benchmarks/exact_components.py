"""Exact inference: components a second, stars, tangled components.

    python benchmarks/exact_components.py [--scale 1.0] [--out exact_components.json]

``prepare`` is done once a graph, ``posterior`` at every new ``theta``; CPU seconds of one
thread, best of several.
The floor of the small templates is one exponential a state (numpy) on the same machine.
"""

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from knowreason.factors import FactorGraph, GroundFactors
from knowreason.inference.exact.exact import prepare

IMPLIES, EITHER = ((False, True)), (True, False)
AGREE = torch.tensor([1.0, 0.0, 0.0, 1.0])


def graph_of(
    atoms: int, *groups: tuple[np.ndarray, tuple[bool, ...] | torch.Tensor]
) -> FactorGraph:
    generator = torch.Generator().manual_seed(0)
    unit = GroundFactors.units(
        torch.arange(atoms, dtype=torch.int32), 0, torch.randn(atoms, generator=generator)
    )
    return FactorGraph(
        log_odds=torch.randn(atoms, generator=generator),
        theta=torch.tensor([0.7, 1.1, 0.4], dtype=torch.float64),
        evidence=torch.full((atoms,), -1, dtype=torch.int8),
        factors=(
            *tuple(
                GroundFactors.of(torch.as_tensor(rows, dtype=torch.int32), potential, i % 3)
                for i, (rows, potential) in enumerate(groups)
            ),
            unit,
        ),
    )


def rings(copies: int, atoms: int) -> FactorGraph:
    """Components of so many atoms in a ring, one rule a step."""
    first = np.arange(copies)[:, None] * atoms
    steps = [
        (first + np.array([j, (j + 1) % atoms]), IMPLIES if j else AGREE) for j in range(atoms)
    ]
    return graph_of(copies * atoms, *steps)


def stars(hubs: int, leaves: int) -> FactorGraph:
    """Two rules between each hub and each of its leaves."""
    pairs = np.stack([np.repeat(np.arange(hubs), leaves), hubs + np.arange(hubs * leaves)], axis=1)
    return graph_of(hubs * (leaves + 1), (pairs, IMPLIES), (pairs, EITHER))


def triangles(hubs: int, leaves: int) -> FactorGraph:
    """Stars whose leaves are tied in pairs: junction trees of width three."""
    pairs = np.stack([np.repeat(np.arange(hubs), leaves), hubs + np.arange(hubs * leaves)], axis=1)
    tied = hubs + np.arange(hubs * leaves).reshape(-1, 2)
    return graph_of(hubs * (leaves + 1), (pairs, IMPLIES), (tied, AGREE))


def tangles(copies: int, atoms: int) -> FactorGraph:
    """Small random components, hardly two of one shape."""
    rng = np.random.default_rng(0)
    pairs = rng.integers(atoms, size=(copies, atoms + 4, 2))
    pairs[..., 1] += pairs[..., 0] == pairs[..., 1]
    rows = (pairs % atoms + np.arange(copies)[:, None, None] * atoms).reshape(-1, 2)
    return graph_of(copies * atoms, (rows, IMPLIES))


def cases(scale: float) -> Iterator[tuple[str, FactorGraph]]:
    def of(count: int) -> int:
        return max(1, int(scale * count))

    yield "rings of 3 atoms", rings(of(1_000_000), 3)
    yield "rings of 9 atoms", rings(of(50_000), 9)
    yield "one star of 100,000 leaves", stars(1, of(100_000))
    yield "stars of 100 leaves", stars(of(5_000), 100)
    yield "tied stars of 100 leaves", triangles(of(1_000), 100)
    yield "tangles of 8 atoms", tangles(of(2_000), 8)
    yield "rings of 40 atoms", rings(of(5_000), 40)


def best(work, repeats: int) -> float:
    times = []
    for _ in range(repeats):
        begin = time.process_time()
        work()
        times.append(time.process_time() - begin)
    return min(times)


def measure(name: str, graph: FactorGraph) -> dict[str, object]:
    begin = time.process_time()
    prepared = prepare(graph, device="cpu")
    preparing = time.process_time() - begin
    seconds = best(prepared, 4)
    components = prepared.component_count
    return {
        "case": name,
        "components": components,
        "atoms": graph.atom_count,
        "prepare_s": round(preparing, 3),
        "posterior_s": round(seconds, 4),
        "components_a_second": round(components / seconds),
        "atoms_a_second": round(graph.atom_count / seconds),
        "engines": sorted({report.engine for report in prepared().reports}),
    }


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--scale", type=float, default=1.0, help="share of the components")
    options.add_argument("--out", type=Path)
    chosen = options.parse_args()
    torch.set_num_threads(1)
    states = np.random.default_rng(0).normal(size=8_000_000)
    floor = best(lambda: np.exp(states), 4)
    results = [measure(name, graph) for name, graph in cases(chosen.scale)]
    print(f"floor: one exponential a state of a million 3-atom components {floor:.3f} s")
    print(
        f"{'case':28} {'components':>10} {'prepare s':>10} {'posterior s':>12}   a second  engines"
    )
    for row in results:
        print(
            f"{row['case']:28} {row['components']:>10,} {row['prepare_s']:>10.2f} "
            f"{row['posterior_s']:>12.3f} {row['components_a_second']:>10,}  "
            f"{', '.join(row['engines'])}"
        )
    if chosen.out:
        chosen.out.write_text(json.dumps({"floor_s": floor, "cases": results}, indent=2))


if __name__ == "__main__":
    main()
