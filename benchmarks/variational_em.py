"""Weights against truth on loopy relational worlds, by what stands for the posterior.

Pupils with friends who pull each other along and foes who keep apart (`tests/known_weights.py`),
one component of 400 to 5,000 atoms, three in ten unlabelled, couplings 0.5, 1.5 and 3. For each
posterior of `variational_em`, and the exact likelihood where junction trees allow it: how far
weights are from those that made the world (root mean square over the two couplings), how far
they spread over seeds, the largest distance in standard errors, how often the fit says that it
is not converged, CPU seconds a fit. `--figure` draws the picture of
docs/studies/gcn_posterior.md from the file of results. `--proposals` learns nothing: how often a
whole world drawn from the network's beliefs would be accepted as a proposal of Metropolis and
Hastings (the chain is independent of where it is; Liu 1996).

    python -m benchmarks.variational_em [--quick] [--atoms 400 ...] [--couplings 0.5 ...]
        [--seeds 10] [--posteriors gcn ...] [--out variational_em.json] [--figure FILE.svg]
        [--proposals]
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.special import expit, log_expit

from knowreason.errors import LearningError
from knowreason.factors.condition import condition
from knowreason.factors.energy import log_score
from knowreason.inference.gcn.gcn import network_beliefs
from knowreason.inference.gcn.gcn_training import load_gcn
from knowreason.learning import learn
from tests.known_weights import pupils

POSTERIORS = ("exact", "gcn", "gibbs", "bp", "composite", "auto")
HIDDEN = 0.3
SWEEPS = 200  # that draw a world
MOST = 20.0  # a weight beyond it counts as so far off: one that ran away says no more


@dataclass(frozen=True)
class WorldFit:
    """One posterior on one world."""

    atoms: int
    coupling: float
    seed: int
    posterior: str
    served: str
    weights: list[float]
    truth: list[float]
    standard_errors: list[float]
    converged: bool
    seconds: float
    notes: list[str]


def fit_world(atoms: int, coupling: float, seed: int, posterior: str) -> WorldFit | None:
    """Learns a world; ``None`` where exact inference cannot."""
    world = pupils(atoms, seed, coupling, sweeps=SWEEPS)
    problem = world.hide(HIDDEN, seed)
    method = "likelihood" if posterior == "exact" else "variational_em"
    options = {} if posterior == "exact" else {"posterior": posterior}
    began = time.process_time()
    try:
        fit = learn(problem, method, seed=seed, **options)
    except LearningError as error:
        if error.code != "KR853":
            raise
        return None
    return WorldFit(
        atoms,
        coupling,
        seed,
        posterior,
        fit.estimators[-1].estimator,
        fit.theta.tolist(),
        world.truth.tolist(),
        fit.standard_errors.tolist(),
        fit.converged,
        time.process_time() - began,
        list(fit.notes),
    )


def accepted(atoms: int, coupling: float, seed: int, draws: int = 4000) -> float:
    """Share of worlds drawn from the network's beliefs that a chain of such proposals accepts."""
    world = pupils(atoms, seed, coupling, sweeps=SWEEPS)
    graph = condition(world.graph.with_theta(torch.from_numpy(world.truth)))
    beliefs = network_beliefs(graph, load_gcn())[0].numpy()
    rng = np.random.default_rng(seed)
    drawn = rng.random((draws, atoms)) < expit(beliefs)
    told = np.where(drawn, log_expit(beliefs), log_expit(-beliefs)).sum(axis=1)
    parts = np.array_split(drawn.astype(np.int8), max(1, draws * atoms // 200_000))
    score = np.concatenate([log_score(graph, torch.from_numpy(part)).numpy() for part in parts])
    ratio, dared = score - told, np.log(rng.random(draws))
    here, moves = ratio[0], 0
    for ahead, dare in zip(ratio[1:], dared[1:], strict=True):
        if dare < ahead - here:
            here, moves = ahead, moves + 1
    return moves / (draws - 1)


def lines(found: list[WorldFit]) -> list[str]:
    """One a posterior, number of atoms and coupling."""
    keys = sorted({(f.atoms, f.coupling, POSTERIORS.index(f.posterior)) for f in found})
    told = [
        f"{'atoms':>6}{'coupling':>10}  {'posterior':<11}{'seeds':>6}{'friends':>9}{'foes':>8}"
        f"{'error':>8}{'spread':>8}{'max |z|':>9}{'open':>6}{'CPU s':>8}  served by"
    ]
    for atoms, coupling, place in keys:
        rows = [
            f
            for f in found
            if (f.atoms, f.coupling, f.posterior) == (atoms, coupling, POSTERIORS[place])
        ]
        weights = np.clip([row.weights[:2] for row in rows], -MOST, MOST)
        truth, error = np.array(rows[0].truth[:2]), [row.standard_errors[:2] for row in rows]
        gap = weights - truth
        served = sorted({row.served for row in rows})
        told.append(
            f"{atoms:>6}{coupling:>10}  {POSTERIORS[place]:<11}{len(rows):>6}"
            f"{weights[:, 0].mean():>9.2f}{weights[:, 1].mean():>8.2f}"
            f"{np.sqrt((gap**2).mean()):>8.2f}{weights.std(0).mean():>8.2f}"
            f"{np.abs(gap / np.maximum(error, 1e-9)).max():>9.1f}"
            f"{sum(not row.converged for row in rows):>6}"
            f"{np.mean([row.seconds for row in rows]):>8.1f}  {', '.join(served)}"
        )
    return told


def figure(found: list[WorldFit], path: Path) -> None:
    """The weight of `friends` that each posterior learned, a point a world, beside the truth."""
    from matplotlib.figure import Figure

    shown = [name for name in POSTERIORS if any(f.posterior == name for f in found)]
    couplings = sorted({f.coupling for f in found})
    atoms = min(f.atoms for f in found)
    drawn = Figure(figsize=(3.1 * len(couplings), 2.8), layout="constrained")
    grid = drawn.subplots(1, len(couplings), squeeze=False)[0]
    for axes, coupling in zip(grid, couplings, strict=True):
        for place, name in enumerate(shown):
            ends = [
                f.weights[0]
                for f in found
                if (f.atoms, f.coupling, f.posterior) == (atoms, coupling, name)
            ]
            top = 3 * coupling
            inside = [end for end in ends if end <= top]
            axes.plot([place] * len(inside), inside, "o", ms=5, alpha=0.6, color="#1f6f8b")
            away = len(ends) - len(inside)
            if away:
                axes.plot([place], [top], "^", ms=7, color="#b3402e")
                axes.annotate(f"{away} above", (place, top), ha="center", va="bottom", fontsize=7)
        axes.axhline(coupling, color="#555555", lw=1, ls="--")
        axes.set_title(f"coupling {coupling:g}", fontsize=10)
        axes.set_xticks(range(len(shown)), shown, rotation=30, fontsize=8)
        axes.set_ylim(0, 3.4 * coupling)
        axes.spines[["top", "right"]].set_visible(False)
    grid[0].set_ylabel("learned weight of `friends`", fontsize=9)
    drawn.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def main() -> None:
    """Learn every world by every posterior; print a line each and the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="400 atoms, 3 seeds")
    parser.add_argument("--atoms", type=int, nargs="*", default=[400, 2000, 5000])
    parser.add_argument("--couplings", type=float, nargs="*", default=[0.5, 1.5, 3.0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--posteriors", nargs="*", default=list(POSTERIORS))
    parser.add_argument("--out", type=Path, default=Path("variational_em.json"))
    parser.add_argument("--figure", type=Path, help="draw what --out holds, learn nothing")
    parser.add_argument("--proposals", action="store_true", help="acceptance of whole worlds")
    chosen = parser.parse_args()
    if chosen.proposals:
        for coupling in chosen.couplings:
            for atoms in chosen.atoms:
                print(f"coupling {coupling}, {atoms} atoms: {accepted(atoms, coupling, 0):.3f}")
        return
    if chosen.figure:
        found = [WorldFit(**one) for one in json.loads(chosen.out.read_text())]
        print("\n".join(lines(found)))
        figure(found, chosen.figure)
        return
    torch.set_num_threads(1)
    if chosen.quick:
        chosen.atoms, chosen.seeds = [400], 3
    found = []
    for seed in range(chosen.seeds):
        for atoms in chosen.atoms:
            for coupling in chosen.couplings:
                for posterior in chosen.posteriors:
                    one = fit_world(atoms, coupling, seed, posterior)
                    if one is None:
                        continue
                    found.append(one)
                    ends = " ".join(f"{value:.2f}" for value in one.weights)
                    print(
                        f"{atoms} atoms, coupling {coupling}, seed {seed}, {posterior} "
                        f"({one.served}): {ends}; {one.seconds:.1f} CPU s",
                        flush=True,
                    )
                    chosen.out.write_text(json.dumps([asdict(f) for f in found], indent=1))
    print("\n".join(lines(found)))


if __name__ == "__main__":
    main()
