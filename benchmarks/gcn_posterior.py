"""How near the GCN posterior comes to exact marginals, beside mean field and belief propagation.

Mean absolute error of probabilities over the atoms of random components that no training
saw: small templates, loopy components of 12-16 and of 18-20 atoms, dense and strongly
coupled ones, smokers and their friends, and sparse components of 300 atoms (where the
engine steps aside for ``bp``; ``network`` is what its network would have said). Exact
marginals by junction trees and tables.

    python benchmarks/gcn_posterior.py [--quick] [--retrain] [--out gcn_posterior.json]
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from knowreason.factors import FactorGraph, GroundFactors
from knowreason.inference.exact.exact import exact
from knowreason.inference.gcn.gcn import gcn
from knowreason.inference.gcn.gcn_graphs import Family, random_components
from knowreason.inference.gcn.gcn_network import DAMPING, ROUNDS, Corrections
from knowreason.inference.gcn.gcn_training import load_gcn, train_gcn
from knowreason.inference.mean_field.mean_field import mean_field
from knowreason.inference.messages.bp import bp
from knowreason.inference.messages.rounds_of_bp import bp_rounds

FAMILIES = {
    "template": Family(atoms=(4, 8), density=(0.8, 1.6)),
    "loopy 12-16": Family(atoms=(12, 16)),
    "loopy 18-20": Family(atoms=(18, 20)),
    "loopy 28-36": Family(atoms=(28, 36), density=(0.9, 1.5)),
    "dense 15-18": Family(atoms=(15, 18), density=(3.0, 5.0), weight=0.6),
    "dense 21-22": Family(atoms=(21, 22), density=(3.5, 5.0), weight=1.0, triples=0.2),
    "strong 12-16": Family(atoms=(12, 16), weight=2.5),
}
SPARSE = Family(atoms=(300, 300), density=(0.5, 0.75), triples=0.2)


def smokers(people: int, worlds: int, seed: int) -> FactorGraph:
    """``Smokes(x) => Cancer(x)`` and ``Friends(x, y) => (Smokes(x) <=> Smokes(y))``."""
    rng = np.random.default_rng(seed)
    first = 2 * people * np.arange(worlds)[:, None]
    person = np.arange(people)
    harm = np.stack(np.broadcast_arrays(first + person, first + people + person), 2).reshape(-1, 2)
    one, other = np.nonzero(np.triu(rng.random((people, people)) < 3.0 / people, 1))
    peers = np.stack(np.broadcast_arrays(first + one, first + other), 2).reshape(-1, 2)
    agree = torch.tensor([1.0, 0.0, 0.0, 1.0])
    return FactorGraph(
        log_odds=torch.tensor(rng.normal(-0.5, 1.0, 2 * people * worlds), dtype=torch.float32),
        theta=torch.tensor([1.5, 1.1], dtype=torch.float64),
        evidence=torch.full((2 * people * worlds,), -1, dtype=torch.int8),
        factors=(
            GroundFactors.of(torch.tensor(harm, dtype=torch.int32), (False, True), 0),
            GroundFactors.of(torch.tensor(peers, dtype=torch.int32), agree, 1),
        ),
    )


def graphs(quick: bool) -> Iterator[tuple[str, list[FactorGraph], int]]:
    """Name, graphs and number of atoms the network may serve."""
    for place, (name, family) in enumerate(FAMILIES.items()):
        count = (40 if quick else 300) if family.atoms[1] < 21 else (4 if quick else 12)
        rng = np.random.default_rng([11, place])
        yield name, [random_components(count, family, rng, batches=min(count, 20))], 40
    worlds = 5 if quick else 20
    yield "smokers 10", [smokers(10, worlds, seed) for seed in range(2 if quick else 8)], 40
    rng = np.random.default_rng([11, 99])
    count = 2 if quick else 8
    yield "sparse 300", [random_components(1, SPARSE, rng, batches=1) for _ in range(count)], 400


def measure(several: list[FactorGraph], most_atoms: int, network: Corrections) -> dict[str, float]:
    """Mean absolute errors, seconds, and shares of atoms the network served."""
    engines: dict[str, Callable[[FactorGraph], torch.Tensor]] = {
        "mean field": lambda graph: mean_field(graph).probabilities,
        "bp": lambda graph: bp(graph).probabilities,
        "rounds": lambda graph: bp_rounds(graph, ROUNDS, DAMPING).sigmoid(),
        "gcn": lambda graph: gcn(graph, network=network).probabilities,
        "ensemble": lambda graph: gcn(graph, network=network, noise=0.1).probabilities,
        "network": lambda graph: gcn(
            graph, network=network, most_atoms=most_atoms
        ).probabilities,
    }  # fmt: skip
    wide = {"states": 1 << 18, "width": 22}
    truth = [exact(graph, **wide).probabilities for graph in several]
    row: dict[str, float] = {"atoms": sum(graph.atom_count for graph in several)}
    for name, engine in engines.items():
        began = time.process_time()
        found = [engine(graph) for graph in several]
        row[f"{name} seconds"] = time.process_time() - began
        pairs = zip(found, truth, strict=True)
        row[name] = float(torch.cat([(p - q).abs() for p, q in pairs]).mean())
    served = [
        report.atoms
        for graph in several
        for report in gcn(graph, network=network).reports
        if report.engine == "gcn"
    ]
    row["served"] = sum(served) / row["atoms"]
    row["ratio"] = row["gcn"] / min(row["bp"], row["rounds"])
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer components")
    parser.add_argument("--retrain", action="store_true", help="train afresh, seed 1")
    parser.add_argument("--out", type=Path, default=Path("gcn_posterior.json"))
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    network, found = load_gcn(), {}
    if chosen.retrain:
        began = time.process_time()
        network = train_gcn(seed=1)
        found["training"] = {"seconds": time.process_time() - began}
        print(f"trained in {found['training']['seconds']:.0f} CPU s")
    columns = ("mean field", "bp", "rounds", "gcn", "ensemble", "network")
    print(f"{'':<14}" + "".join(f"{name:>11}" for name in columns) + "   gcn/best  served  gcn s")
    for name, several, most_atoms in graphs(chosen.quick):
        row = measure(several, most_atoms, network)
        found[name] = row
        errors = "".join(f"{row[column]:>11.4f}" for column in columns)
        tail = f"{row['ratio']:>11.2f}{row['served']:>8.0%}{row['gcn seconds']:>7.2f}"
        print(f"{name:<14}{errors}{tail}", flush=True)
    chosen.out.write_text(json.dumps(found, indent=1))
    print(f"written: {chosen.out}")


if __name__ == "__main__":
    main()
