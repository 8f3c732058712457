"""Do the learners find the weights that made the worlds?

Worlds are drawn from known weights (`tests/known_weights.py` says which), then part of their atoms
is hidden. For every learner and share hidden: estimates, standard errors and z-scores over seeds.
They should keep ``max |z| < 4`` and ``0.7 < sd(z) < 1.3``.

    python -m benchmarks.weight_recovery [--quick] [--out recovery.json]
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from knowreason.learning import learn
from tests.known_weights import hubs, instances, people


@dataclass(frozen=True)
class Recovery:
    """One learner on one world at one share hidden, over seeds."""

    world: str
    learner: str
    hidden: float
    names: tuple[str, ...]
    truth: list[float]
    estimates: list[list[float]]
    standard_errors: list[list[float]]
    z: list[list[float]]
    learned: list[list[bool]]
    converged: int
    seconds: float

    @property
    def identified(self) -> np.ndarray:
        """z-scores of the parameters that the data, not the prior, set."""
        return np.array(self.z)[np.array(self.learned)]

    def line(self) -> str:
        mean = np.mean(self.estimates, axis=0)
        error = np.mean(self.standard_errors, axis=0)
        weights = "  ".join(
            f"{name} {m:.3f}±{e:.3f}"
            for name, m, e in zip(self.names, mean, error, strict=True)
            if not name.startswith("bias")
        )
        z = self.identified
        return (
            f"{self.world:<10}{self.learner:<18}{self.hidden:>5.0%}  {weights}  "
            f"max|z| {np.abs(z).max():.2f}  sd(z) {z.std():.2f}  mean(z) {z.mean():+.2f}  "
            f"{self.converged}/{len(self.z)} converged  {self.seconds:.1f} s a fit"
        )


def recover(kind: str, make, learner: str, hidden: float, seeds: range, **options) -> Recovery:
    """Draws, hides and learns once a seed."""
    estimates, errors, learned, converged, spent = [], [], [], 0, 0.0
    for seed in seeds:
        world = make(seed)
        problem = world.hide(hidden, seed)
        began = time.perf_counter()
        fit = learn(problem, learner, seed=seed, **options)
        spent += time.perf_counter() - began
        estimates.append(fit.theta.tolist())
        errors.append(fit.standard_errors.tolist())
        learned.append([status == "learned" for status in fit.status])
        converged += fit.converged
    z = (np.array(estimates) - world.truth) / np.array(errors)
    names, truth = world.parameters.names, world.truth.tolist()
    return Recovery(
        kind, learner, hidden, names, truth, estimates, errors, z.tolist(), learned, converged,
        spent / len(seeds),
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="2,000 instances, 3 seeds")
    parser.add_argument("--out", type=Path, default=Path("weight_recovery.json"))
    parser.add_argument("--seeds", type=int, default=None)
    parser.add_argument("--hidden", type=float, nargs="*", default=[0.0, 0.3, 0.7])
    parser.add_argument("--learners", nargs="*", default=None)
    parser.add_argument("--worlds", nargs="*", default=["instances", "hubs", "people"])
    chosen = parser.parse_args()
    seeds = range(chosen.seeds or (3 if chosen.quick else 10))
    size = 2_000 if chosen.quick else 20_000
    found = []

    def run(kind: str, make, learners: list[str], hidden: float) -> None:
        for learner in learners:
            if (chosen.learners and learner not in chosen.learners) or kind not in chosen.worlds:
                continue
            if hidden not in chosen.hidden:
                continue
            found.append(recover(kind, make, learner, hidden, seeds))
            print(found[-1].line(), flush=True)

    for hidden in (0.0, 0.3, 0.7):
        learners = ["likelihood", "variational_em", "pseudo_likelihood"]
        run("instances", lambda seed: instances(size, seed), learners, hidden)
    for hidden in (0.0, 0.3):
        run("hubs", lambda seed: hubs(2 * size, seed), ["variational_em"], hidden)
    for hidden in (0.0, 0.3):
        learners = ["variational_em", "pseudo_likelihood"]
        run("people", lambda seed: people(400, seed), learners, hidden)
    chosen.out.write_text(json.dumps([asdict(one) for one in found], indent=1))
    print(f"written: {chosen.out}")


if __name__ == "__main__":
    main()
