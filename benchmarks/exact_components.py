"""Exact inference: components a second, stars, tangled components, and fits of equal ones.

    python benchmarks/exact_components.py [--scale 1.0] [--before CHECKOUT] [--out FILE.json]

``prepare`` is done once a graph, ``posterior`` (log Z, marginals and expected features) at every
new ``theta``; ``solve`` is the part of it that fills in log Z and marginals from log-odds and
weights of rows. CPU seconds of one thread, best of several. Beside them in the same run:

- numpy, on components of three atoms: all states of all of them in plain arrays, no graph; and on
  the votes of ``votes.py``, EM.
- an earlier version, from a checkout of it: this file with that package, or that version's own.
- KLay (``klay_circuits.py``), where it is installed: value and gradient.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from knowreason.factors import FactorGraph, GroundFactors
from knowreason.inference.exact.exact import Prepared, prepare
from knowreason.inference.exact.partial_beliefs import ComponentBeliefs
from knowreason.learning import learn

sys.path.insert(0, str(Path(__file__).parent))
import klay_circuits
import votes

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
    yield "stars of 10 leaves", stars(of(50_000), 10)
    yield "stars of 100 leaves", stars(of(5_000), 100)
    yield "tied stars of 100 leaves", triangles(of(1_000), 100)
    yield "tangles of 8 atoms", tangles(of(2_000), 8)
    yield "rings of 40 atoms", rings(of(5_000), 40)


def best(work: Callable[[], object], repeats: int = 4) -> float:
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
    seconds = best(prepared)
    solving = best(solve_of(prepared))
    components = prepared.component_count
    return {
        "case": name,
        "components": components,
        "atoms": graph.atom_count,
        "prepare_s": round(preparing, 3),
        "solve_s": round(solving, 4),
        "posterior_s": round(seconds, 4),
        "components_a_second": round(components / seconds),
        "atoms_a_second": round(graph.atom_count / seconds),
        "engines": sorted({report.engine for report in prepared().reports}),
    }


def solve_of(prepared: Prepared) -> Callable[[], object]:
    """The solvers of a graph at its ``theta``."""
    graph, rows = prepared.graph, prepared.rows
    unary, weights = graph.unary_log_odds().numpy(), rows.weights(graph.theta.numpy())
    beliefs = ComponentBeliefs.empty(len(unary), len(weights), prepared.component_count)

    def work() -> None:
        with np.errstate(divide="ignore", over="ignore"):
            for solver in prepared.solvers:
                solver.solve(unary, weights, beliefs)

    return work


def fitted(name: str, items: int, strengths: bool) -> dict[str, object]:
    """A fit with standard errors from three starts, and what EM needs for one."""
    drawn = votes.simulated(items, strengths=strengths)
    learn(votes.simulated(20, strengths=False).problem)  # imports and compiled kernels
    begin = time.process_time()
    fit = learn(drawn.problem)
    row: dict[str, object] = {
        "case": name,
        "components": items,
        "fit_s": round(time.process_time() - begin, 3),
        "log_likelihood": round(fit.log_likelihood, 2),
    }
    if not strengths:
        row["numpy_s"] = round(best(lambda: votes.expectation_maximisation(drawn.votes), 2), 3)
        row["numpy_log_likelihood"] = round(votes.expectation_maximisation(drawn.votes), 2)
    return row


def three_atoms_in_numpy(components: int) -> Callable[[], object]:
    """log Z, log-odds and expected features of rings of three atoms: 8 states, 6 features."""
    rng = np.random.default_rng(0)
    states = np.array([[s >> j & 1 for j in range(3)] for s in range(8)], dtype=np.float64)
    a, b, c = states.T
    table = np.stack([a, b, c, a == b, (b <= c), (c <= a)])
    inputs = rng.normal(size=(components, 6))

    def work() -> object:
        energy = inputs @ table
        top = energy.max(axis=1, keepdims=True)
        share = np.exp(energy - top)
        total = share.sum(axis=1)
        sums = share @ table.T
        log_z = top[:, 0] + np.log(total)
        return (
            log_z,
            np.log(sums[:, :3] / (share @ (1 - table[:3]).T)),
            sums[:, 3:] / total[:, None],
        )

    return work


def earlier(checkout: Path, scale: float) -> dict[str, dict[str, float]]:
    """An earlier version's results by case."""
    for script in (Path(__file__).resolve(), checkout / "benchmarks" / Path(__file__).name):
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "before.json"
            command = [sys.executable, str(script), "--scale", str(scale), "--out", str(out)]
            where = {**os.environ, "PYTHONPATH": str(checkout)}
            if subprocess.run(command, env=where, capture_output=True, check=False).returncode == 0:
                return {row["case"]: row for row in json.loads(out.read_text())["cases"]}
    raise SystemExit(f"neither this file nor that of {checkout} runs with its package")


def print_table(results: list[dict], before: dict[str, dict[str, float]]) -> None:
    header = (
        "case",
        "components",
        "prepare s",
        "solve s",
        "CPU s",
        "before",
        "numpy",
        "KLay",
        "a second",
    )
    print("".join(f"{word:{'<34' if word == 'case' else '>12'}}" for word in header), " engines")
    for row in results:
        old = before.get(row["case"], {})
        now, was = (found.get("posterior_s", found.get("fit_s")) for found in (row, old))
        a_second = row.get("components_a_second")
        print(
            f"{row['case']:<34}{row['components']:>12,}{_cell(row.get('prepare_s'))}"
            f"{_cell(row.get('solve_s'))}{_cell(now)}{_cell(was)}{_cell(row.get('numpy_s'))}{_cell(row.get('klay_s'))}"
            f"{f'{a_second:,}' if a_second else '':>12}  {', '.join(row.get('engines', []))}"
        )
        if "log_likelihood" in row:
            print(
                f"    log likelihood {row['log_likelihood']:.2f} with priors; EM without "
                f"{row.get('numpy_log_likelihood', '')}"
            )


def _cell(seconds: float | None) -> str:
    return f"{seconds:>12.4f}" if seconds is not None else " " * 12


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--scale", type=float, default=1.0, help="share of the components")
    options.add_argument("--before", type=Path, help="checkout of an earlier version")
    options.add_argument("--out", type=Path)
    chosen = options.parse_args()
    torch.set_num_threads(1)
    results = [measure(name, graph) for name, graph in cases(chosen.scale)]
    results.append(fitted("fit: 1,836 items of 10 votes", 1836, strengths=False))
    results.append(fitted("fit: the same, no two items alike", 1836, strengths=True))
    by_case = {row["case"]: row for row in results}
    rings_of_3 = by_case["rings of 3 atoms"]
    rings_of_3["numpy_s"] = round(best(three_atoms_in_numpy(rings_of_3["components"])), 4)
    peers = klay_circuits.evaluators()
    if isinstance(peers, str):
        print(f"KLay is left out: {peers}")
        peers = {}
    for case, peer in peers.items():
        row = by_case[case]
        row["klay_s"] = round(best(peer(row["components"])), 4)
    before = earlier(chosen.before, chosen.scale) if chosen.before else {}
    print_table(results, before)
    if chosen.out:
        written = {"cases": results, "before": list(before.values())}
        chosen.out.write_text(json.dumps(written, indent=2))


if __name__ == "__main__":
    main()
