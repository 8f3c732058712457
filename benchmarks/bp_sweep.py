"""Nanoseconds a clause and sweep of belief propagation, beside a gather/scatter floor.

    python benchmarks/bp_sweep.py [--clauses 1000000] [--atoms 200000] [--out bp_sweep.json]

The floor reads the same atoms and messages and multiplies one number into each atom,
computing nothing else: once in numpy (take, bincount), once in a numba loop; for clauses of
two atoms and of three.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from numba import njit

from knowreason.factors import FactorGraph, GroundFactors
from knowreason.inference.messages.message_graph import layout
from knowreason.inference.messages.sweeps import SweepSchedule, sweep_on_cpu
from knowreason.inference.messages.torch_messages import TorchMessages


def random_implications(clauses: int, atoms: int, arity: int, seed: int) -> FactorGraph:
    rng = np.random.default_rng(seed)
    rows = rng.integers(atoms, size=(clauses, arity), dtype=np.int32)
    rows[:, 1:] += rows[:, 1:] == rows[:, :1]
    rows %= atoms
    signs = (False,) * (arity - 1) + (True,)
    return FactorGraph(
        log_odds=torch.from_numpy(rng.normal(-1, 1, atoms).astype(np.float32)),
        theta=torch.tensor([0.7], dtype=torch.float64),
        evidence=torch.full((atoms,), -1, dtype=torch.int8),
        factors=(GroundFactors.of(torch.from_numpy(rows), (signs), 0),),
    )


@njit(nogil=True)
def gather_scatter(atoms, messages, odds, product):
    for row in range(atoms.shape[0]):
        a, b = atoms[row, 0], atoms[row, 1]
        to_a, to_b = messages[row, 0] * odds[b], messages[row, 1] * odds[a]
        messages[row, 0], messages[row, 1] = to_a, to_b
        product[a] += to_a
        product[b] += to_b


@njit(nogil=True)
def gather_scatter_3(atoms, messages, odds, product):
    for row in range(atoms.shape[0]):
        a, b, c = atoms[row, 0], atoms[row, 1], atoms[row, 2]
        to_a, to_b, to_c = (
            messages[row, 0] * odds[b],
            messages[row, 1] * odds[c],
            messages[row, 2] * odds[a],
        )
        messages[row, 0], messages[row, 1], messages[row, 2] = to_a, to_b, to_c
        product[a] += to_a
        product[b] += to_b
        product[c] += to_c


def best(work, repeats: int = 7, clock=time.process_time) -> float:
    """Least CPU seconds (so that a busy machine counts little); two threads by the wall."""
    work()
    times = []
    for _ in range(repeats):
        begin = clock()
        work()
        times.append(clock() - begin)
    return min(times)


def numba_sweep(graph: FactorGraph, threads: int) -> float:
    """Seconds a sweep: the slope between runs of 4 and 24, so that set-up does not count."""
    plan = layout(graph)
    weights = plan.weights(graph.theta)
    unary = graph.unary_log_odds()

    def run(sweeps: int):
        return sweep_on_cpu(
            plan, unary, weights, SweepSchedule(sweeps, tolerance=-1.0, threads=threads)
        )

    clock = time.process_time if threads == 1 else time.perf_counter
    return (best(lambda: run(24), 3, clock) - best(lambda: run(4), 3, clock)) / 20


def torch_sweep(graph: FactorGraph) -> float:
    plan = TorchMessages.of(layout(graph))
    weights = plan.weights(graph.theta)
    unary = graph.unary_log_odds()
    messages = torch.zeros(plan.graph.edge_count, dtype=torch.float64)

    def work():
        belief = plan.beliefs(plan.raw(unary, messages))
        return 0.5 * messages + 0.5 * plan.update(belief, messages, weights)

    return best(work, 3)


def floors(graph: FactorGraph) -> dict[str, float]:
    atoms = graph.factors[0].atoms.numpy()
    flat = atoms.reshape(-1)
    n = graph.atom_count
    odds, product = np.ones(n), np.zeros(n)
    messages = np.ones_like(atoms, dtype=np.float64)

    def in_numpy():
        return np.bincount(flat, np.take(odds, flat) * messages.reshape(-1), n)

    arity = atoms.shape[1]
    scatter = gather_scatter if arity == 2 else gather_scatter_3
    return {
        f"floor, numpy take + bincount, arity {arity}": best(in_numpy),
        f"floor, numba gather/scatter, arity {arity}": best(
            lambda: scatter(atoms, messages, odds, product)
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clauses", type=int, default=1_000_000)
    parser.add_argument("--atoms", type=int, default=200_000)
    parser.add_argument("--out", type=Path, default=Path("bp_sweep.json"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    graph = random_implications(options.clauses, options.atoms, 2, 0)
    seconds = floors(graph)
    seconds["bp, numba, 1 thread, arity 2"] = numba_sweep(graph, 1)
    seconds["bp, numba, 2 threads, arity 2"] = numba_sweep(graph, 2)
    seconds["bp, torch, 1 thread, arity 2"] = torch_sweep(graph)
    triples = random_implications(options.clauses, options.atoms, 3, 0)
    seconds |= floors(triples)
    seconds["bp, numba, 1 thread, arity 3"] = numba_sweep(triples, 1)
    nanoseconds = {name: s / options.clauses * 1e9 for name, s in seconds.items()}
    floor = nanoseconds["floor, numba gather/scatter, arity 2"]
    print(f"{options.clauses:,} clauses over {options.atoms:,} atoms\n")
    print(f"{'':42}{'ns a clause':>12}{'of first numba floor':>22}")
    for name, value in nanoseconds.items():
        print(f"{name:42}{value:12.1f}{value / floor:22.2f}")
    options.out.write_text(json.dumps({**vars(options), "out": None, "ns": nanoseconds}, indent=1))


if __name__ == "__main__":
    main()
