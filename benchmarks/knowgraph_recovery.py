"""KnowGraph's method beside the exact likelihood: weights [1.5, 2, 1], and beliefs about new data.

python -m benchmarks.knowgraph_recovery [--quick] [--seeds 2] [--only WORD ...] [--out FILE]

Of each way of learning: the weights, and mean absolute errors of the probabilities of 1,000 new
instances against exact inference at the true parameters, of its network and of exact inference
at its weights. ``--quick`` takes 512 instances in place of 20,000, and every deviation from the
paper as well (the table of :mod:`knowreason.learning.estimators.knowgraph`).
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from knowreason.inference import infer
from knowreason.learning import learn
from knowreason.learning.estimators.knowgraph_network import InstanceBatch
from tests.known_weights import WEIGHTS, World, instances

HIDDEN = 0.3
LEARNERS: dict[str, tuple[str, dict[str, Any]]] = {
    "likelihood": ("likelihood", {}),
    "knowgraph": ("knowgraph", {}),
    "knowgraph, exp weights": ("knowgraph", {"weights": "exp"}),
}
DEVIATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "width 512": ("knowgraph", {"width": 512}),
    "width 16": ("knowgraph", {"width": 16}),
    "ELBO clamped": ("knowgraph", {"clamp": "labels"}),
    "ELBO in closed form": ("knowgraph", {"e_step": "closed"}),
    "leave-one-out baseline": ("knowgraph", {"baseline": "leave_one_out"}),
    "without noise": ("knowgraph", {"noise": 0.0}),
    "without decay and schedule": ("knowgraph", {"decay": 0.0, "drop": 1.0}),
    "eta 5": ("knowgraph", {"eta": 5.0}),
    "10 epochs": ("knowgraph", {"epochs": 10}),
    "worlds without labels": ("knowgraph", {}),
    "weights unbounded": ("knowgraph", {}),
    "A known": ("knowgraph", {}),
    "A known, not told": ("knowgraph", {}),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="512 instances, and every deviation")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--only", nargs="*", default=())
    parser.add_argument("--out", type=Path, default=Path("knowgraph_recovery.json"))
    chosen = parser.parse_args()
    found = []
    print(f"truth {list(WEIGHTS)}, {HIDDEN:.0%} of labels hidden")
    for name, (method, options) in (LEARNERS | (DEVIATIONS if chosen.quick else {})).items():
        if chosen.only and not any(word in name for word in chosen.only):
            continue
        ends, errors, began = [], [], time.process_time()
        for seed in range(chosen.seeds):
            count = 512 if chosen.quick else 20_000
            past = _world(name, count, seed)
            problem = past.hide(HIDDEN, seed)
            with _changed(name):
                fit = learn(problem, method, seed=seed, **options)
                ends.append(fit.theta[:3].tolist())
                errors.append(_errors(fit, _world(name, 1_000, seed + 50)))
        seconds = (time.process_time() - began) / chosen.seeds
        row = {"learner": name, "weights": ends, "errors": errors, "seconds": seconds}
        found.append(row)
        weights = " ".join(f"{value:.2f}" for value in np.mean(ends, axis=0))
        network, exact = np.mean(errors, axis=0)
        print(f"{name:<28}weights {weights}   its network {network:.4f}   its weights, exact "
              f"{exact:.4f}   {seconds:.1f} CPU s", flush=True)  # fmt: skip
        chosen.out.write_text(json.dumps(found, indent=1))


def _world(name: str, count: int, seed: int) -> World:
    """Instances; ``A known``: of observed A; ``unbounded``: weights may be negative."""
    world = instances(count, seed)
    if name.startswith("A known"):
        evidence = world.graph.evidence.clone()
        evidence[:count] = torch.from_numpy(world.world[:count])
        world = replace(world, graph=replace(world.graph, evidence=evidence))
    if name == "weights unbounded":
        lower = np.full(len(world.parameters), -np.inf)
        world = replace(world, parameters=replace(world.parameters, lower=lower))
    return world


@contextmanager
def _changed(name: str) -> Iterator[None]:
    """The package without one of its deviations, where no option takes it away."""
    if name == "worlds without labels":
        with patch.object(InstanceBatch, "clamped", lambda self, raw: raw):
            yield
    elif name.endswith("not told"):
        whole = "knowreason.inference.gcn.instance_network._numbers"

        def biases_alone(table, kind, names):
            index = {name: i + 1 for i, name in enumerate(names)}
            asked = kind == "bias"
            return np.array([index.get(name, 0) * asked for name in table.names], dtype=np.int64)

        with patch(whole, biases_alone):
            yield
    else:
        yield


def _errors(fit: Any, new: World) -> tuple[float, float]:
    """Of the network (NaN without one) and of exact inference at the weights, on new data."""
    open_atoms = new.graph.evidence == -1
    truth = infer(new.graph.with_theta(torch.tensor(new.truth)), "exact").probabilities
    graph = new.graph.with_theta(torch.from_numpy(fit.theta))
    exact = infer(graph, "exact").probabilities
    network = torch.full_like(truth, float("nan"))
    if fit.knowgraph is not None:
        options = {"network": fit.knowgraph, "parameters": fit.parameters}
        network = infer(graph, "knowgraph", **options).probabilities
    apart = ((found - truth)[open_atoms].abs().mean() for found in (network, exact))
    one, other = (float(value) for value in apart)
    return one, other


if __name__ == "__main__":
    main()
