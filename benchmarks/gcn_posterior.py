"""How near the GCN posterior and cut-outs come to exact marginals, beside belief propagation.

Small components, which no training saw: mean absolute error of probabilities over the atoms
of templates, loopy components of 12-16 and of 18-20 atoms, dense and strongly coupled ones,
smokers and their friends, and sparse components of 300 atoms. ``cut-outs`` is exact inference
on cut-outs of at most 16 atoms around each atom, ``network`` what the network would say of
components of any size.

Large ones: random components of 120-240 atoms, grids, and the networks of the UAI 2014
evaluation that no training saw (``KNOWREASON_DATA/uai2014``; left out where it is not there).
First the error on cut-outs of 24 atoms against the exact marginals of each cut-out, then the
error against those of the whole component: ``network`` reads cut-outs of 24 atoms, ``cut-outs``
is exact inference on those of up to 40 that the engine makes. Numbers of atoms that come nearer
and that move away by more than .001, against ``bp``. Exact marginals by junction trees, those of
the UAI networks from their files.

    KNOWREASON_DATA=FOLDER python benchmarks/gcn_posterior.py [--quick] [--retrain]
        [--only small|large] [--out FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from knowreason.factors import OPEN, FactorGraph, GroundFactors
from knowreason.factors.components.connected import components
from knowreason.factors.condition import condition
from knowreason.inference.exact.exact import exact, prepare
from knowreason.inference.gcn.gcn import corrected, gcn
from knowreason.inference.gcn.gcn_graphs import Family, random_components
from knowreason.inference.gcn.gcn_network import DAMPING, ROUNDS, SETTLING, Corrections
from knowreason.inference.gcn.gcn_training import HELD_OUT, load_gcn, train_gcn
from knowreason.inference.mean_field.mean_field import mean_field
from knowreason.inference.messages.bp import bp
from knowreason.inference.messages.cut_outs import CutOutSource, corrected_by_cut_outs
from knowreason.inference.messages.rounds_of_bp import bp_rounds
from knowreason.inference.posterior import Posterior
from knowreason.inference.uai_networks import read_network

Array = NDArray[np.float64]

FAMILIES = {
    "template": Family(atoms=(4, 8), density=(0.8, 1.6)),
    "loopy 12-16": Family(atoms=(12, 16)),
    "loopy 18-20": Family(atoms=(18, 20)),
    "loopy 28-36": Family(atoms=(28, 36), density=(0.9, 1.5)),
    "dense 15-18": Family(atoms=(15, 18), density=(3.0, 5.0), weight=0.6),
    "dense 21-22": Family(atoms=(21, 22), density=(3.5, 5.0), weight=1.0, triples=0.2),
    "strong 12-16": Family(atoms=(12, 16), weight=2.5),
}
LARGE = {
    "rules 120-240": Family(atoms=(120, 240), density=(0.9, 1.4), rules=2, window=12),
    "own 120-240": Family(atoms=(120, 240), density=(1.0, 1.8), window=10),
    "strong 120-240": Family(atoms=(120, 240), density=(1.0, 1.6), weight=2.5, window=10),
    "dense 120-240": Family(atoms=(120, 240), density=(2.0, 3.0), weight=0.7, window=12),
}
NOTICED = 1e-3  # differences of probabilities that count as won or lost
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
        count = (40 if quick else 120) if family.atoms[1] < 21 else (4 if quick else 8)
        rng = np.random.default_rng([11, place])
        yield name, [random_components(count, family, rng, batches=min(count, 20))], 40
    worlds = 5 if quick else 20
    yield "smokers 10", [smokers(10, worlds, seed) for seed in range(2 if quick else 8)], 40
    rng = np.random.default_rng([11, 99])
    count = 2 if quick else 8
    yield "sparse 300", [random_components(1, SPARSE, rng, batches=1) for _ in range(count)], 400


def by_cut_outs(graph: FactorGraph, swept: Posterior) -> torch.Tensor:
    """Log-odds corrected on cut-outs of 16 atoms."""
    found = corrected_by_cut_outs(graph, swept.log_odds, (16,))
    return swept.log_odds if found is None else found


def grid(side: int, coupling: float, seed: int) -> FactorGraph:
    """A square grid whose neighbours agree or differ, couplings and log-odds normal."""
    rng = np.random.default_rng(seed)
    place = np.arange(side * side, dtype=np.int32).reshape(side, side)
    pairs = [np.stack([place[:, :-1], place[:, 1:]], 2), np.stack([place[:-1], place[1:]], 2)]
    atoms = torch.from_numpy(np.concatenate([pair.reshape(-1, 2) for pair in pairs]))
    agree = torch.tensor([1.0, 0.0, 0.0, 1.0])
    weight = torch.from_numpy(rng.normal(0, coupling, len(atoms)))
    return FactorGraph(
        log_odds=torch.from_numpy(rng.normal(0, 0.5, side * side)).float(),
        theta=torch.ones(1, dtype=torch.float64),
        evidence=torch.full((side * side,), OPEN, dtype=torch.int8),
        factors=(GroundFactors.of(atoms, agree, 0, weight),),
    )


def large_graphs(quick: bool) -> Iterator[tuple[str, list[tuple[FactorGraph, Array]]]]:
    """Name, and graphs with their exact marginals (``float64[n]``)."""
    count = 2 if quick else 4
    made = {
        name: [
            random_components(1, family, np.random.default_rng([13, place, seed]), batches=1)
            for seed in range(count)
        ]
        for place, (name, family) in enumerate(LARGE.items())
    }
    made["grid 12, 1"] = [grid(12, 1.0, seed) for seed in range(count)]
    made["grid 12, 2"] = [grid(12, 2.0, seed) for seed in range(count)]
    for name, several in made.items():
        yield name, [(graph, exact(graph).probabilities.numpy()) for graph in several]
    folder = Path(os.environ.get("KNOWREASON_DATA", "")) / "uai2014"
    for name in HELD_OUT if folder.is_dir() else ():
        network = read_network(folder / f"{name}.uai", folder / f"{name}.uai.evid")
        yield name, [(network.graph, reference(folder / f"{name}.uai.MAR"))]


def reference(path: Path) -> Array:
    """``float64[n]``: marginals of the atoms of a network, from its file of marginals."""
    tokens = path.read_text().split()[1:]
    place, found = 1, []
    for _ in range(int(tokens[0])):
        size = int(tokens[place])
        row = [float(token) for token in tokens[place + 1 : place + 1 + size]]
        found += row[1:] if size == 2 else row
        place += 1 + size
    return np.array(found)


def measure_large(
    graphs: list[tuple[FactorGraph, Array]], network: Corrections
) -> dict[str, float]:
    """Errors on cut-outs and on the whole, wins and losses against ``bp``, seconds."""
    sums: dict[str, float] = {}

    def add(**numbers: float) -> None:
        for name, number in numbers.items():
            sums[name] = sums.get(name, 0.0) + float(number)

    for graph, truth in graphs:
        known = condition(graph)
        began = time.process_time()
        swept = bp(known)
        add(bp_seconds=time.process_time() - began)
        around = CutOutSource.of(known)
        opened = known.evidence.numpy() == OPEN
        centres = np.flatnonzero(opened)
        add(rest=around.correctable.sum(), atoms=len(centres))
        began = time.process_time()
        found = corrected_by_cut_outs(known, swept.log_odds)
        add(cut_seconds=time.process_time() - began)
        began = time.process_time()
        cut = around.cut(centres, 24)
        component = torch.from_numpy(components(cut.graph)[0]).long()
        said = corrected(cut.graph, component, network)[0].sigmoid().numpy()
        add(network_seconds=time.process_time() - began)
        prepared = prepare(cut.graph)
        here = prepared.tractable.numpy()
        own = prepared().probabilities.numpy()[here]
        beliefs = swept.probabilities.numpy()
        add(own=len(own), own_bp=np.abs(beliefs[cut.atoms][here] - own).sum())
        add(own_network=np.abs(said[here] - own).sum())
        mine, central = beliefs.copy(), cut.central & (cut.atoms == centres[cut.component])
        mine[cut.atoms[central]] = said[central]
        exactly = beliefs if found is None else found.sigmoid().numpy()
        error = [np.abs(values - truth)[opened] for values in (beliefs, mine, exactly)]
        add(bp=error[0].sum(), network=error[1].sum(), cut_outs=error[2].sum())
        for name, values in zip(("network", "cut"), error[1:], strict=True):
            gain = error[0] - values
            add(
                **{
                    f"{name}_wins": (gain > NOTICED).sum(),
                    f"{name}_losses": (-gain > NOTICED).sum(),
                }
            )
    for name, total in {
        **dict.fromkeys(("bp", "network", "cut_outs", "rest"), "atoms"),
        "own_bp": "own",
        "own_network": "own",
    }.items():
        sums[name] /= max(sums[total], 1)
    return sums


def measure(several: list[FactorGraph], most_atoms: int, network: Corrections) -> dict[str, float]:
    """Mean absolute errors, seconds, and shares of atoms the network served."""
    engines: dict[str, Callable[[FactorGraph], torch.Tensor]] = {
        "mean field": lambda graph: mean_field(graph).probabilities,
        "bp": lambda graph: bp(graph).probabilities,
        "rounds": lambda graph: bp_rounds(graph, SETTLING + ROUNDS, DAMPING).sigmoid(),
        "gcn": lambda graph: gcn(graph, network=network).probabilities,
        "cut-outs": lambda graph: by_cut_outs(graph, bp(graph)).sigmoid(),
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


def small_components(quick: bool, network: Corrections) -> dict[str, dict[str, float]]:
    """Prints and returns the figures of small components, by name."""
    found = {}
    columns = ("mean field", "bp", "rounds", "gcn", "ensemble", "network", "cut-outs")
    print(
        f"{'':<14}"
        + "".join(f"{name:>11}" for name in columns)
        + "   gcn/best  served  gcn s  cut s"
    )
    for name, several, most_atoms in graphs(quick):
        row = measure(several, most_atoms, network)
        found[name] = row
        errors = "".join(f"{row[column]:>11.4f}" for column in columns)
        tail = f"{row['ratio']:>11.2f}{row['served']:>8.0%}{row['gcn seconds']:>7.2f}"
        tail += f"{row['cut-outs seconds']:>7.2f}"
        print(f"{name:<14}{errors}{tail}", flush=True)
    return found


def large_components(quick: bool, network: Corrections) -> dict[str, dict[str, float]]:
    """Prints and returns the figures of large components, by name."""
    found = {}
    print(
        f"\n{'':<16} atoms rest | own: bp network | {'bp':>7}{'network':>9}{'cut-outs':>9}"
        "   network +/-  cut-outs +/- | seconds: bp network cut-outs"
    )
    for name, large in large_graphs(quick):
        row = found[name] = measure_large(large, network)
        print(
            f"{name:<16}{row['atoms']:>6.0f}{row['rest']:>5.0%} |{row['own_bp']:>8.4f}"
            f"{row['own_network']:>8.4f} |{row['bp']:>8.4f}{row['network']:>9.4f}"
            f"{row['cut_outs']:>9.4f}{row['network_wins']:>8.0f}/{row['network_losses']:<5.0f}"
            f"{row['cut_wins']:>8.0f}/{row['cut_losses']:<5.0f} |{row['bp_seconds']:>12.2f}"
            f"{row['network_seconds']:>8.2f}{row['cut_seconds']:>9.2f}",
            flush=True,
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer components")
    parser.add_argument("--retrain", action="store_true", help="train afresh, seed 1")
    parser.add_argument("--only", choices=("small", "large"), help="one of the two tables")
    parser.add_argument("--out", type=Path, default=Path("gcn_posterior.json"))
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    network, found = load_gcn(), {}
    if chosen.retrain:
        began = time.process_time()
        network = train_gcn(seed=1)
        found["training"] = {"seconds": time.process_time() - began}
        print(f"trained in {found['training']['seconds']:.0f} CPU s")
    for name, part in (("small", small_components), ("large", large_components)):
        if chosen.only in (None, name):
            found |= part(chosen.quick, network)
    chosen.out.write_text(json.dumps(found, indent=1))
    print(f"written: {chosen.out}")


if __name__ == "__main__":
    main()
