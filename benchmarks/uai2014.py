"""Quality of beliefs on the networks of the UAI 2014 evaluation, said and true.

    KNOWREASON_DATA=... python -m benchmarks.uai2014 [--only Grids_12 ...] [--out out/uai2014]

Marginals of ``infer --engine auto`` against the reference marginals (``.MAR``, six digits) and
log Z against ``.PR`` (base 10); the most probable world of ``--engine map``. Peers in the same run,
where they are installed: pyAgrum (Shafer-Shenoy) for marginals, toulbar2 for the most probable
world. Every figure comes from a process of its own; peak memory includes the interpreter and
PyTorch (the column before it says how much those are). Exit code 1 where a bar is broken: a
variable called exact is off by more than 1e-6, one called confirmed by more than .01, fewer than
ten of 14 networks are exact or confirmed, log Z called exact differs, or toulbar2 finds a better
world than one proven here.
"""

import importlib.util
import json
import math
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.reporting import data_folder, parser, show, write
from knowreason.inference import infer
from knowreason.inference.posterior import QUALITIES, Posterior
from knowreason.inference.uai_networks import UaiNetwork, parse_evidence, read_network

EXACT, CONFIRMED, SERVED = 1e-6, 0.01, 10
LOG_Z = 2e-5  # relative, of reference values with six digits
LONGEST = 15  # seconds toulbar2 may take on one network
FORBIDDEN = 1e6  # cost of a state with probability 0
PEERS = {"pyagrum": "pyAgrum", "pytoulbar2": "toulbar2"}


def answers(path: Path) -> list[np.ndarray]:
    """Reference marginals by variable."""
    tokens = path.read_text().split()
    start, rows = 2, []
    for _ in range(int(tokens[1])):
        size = int(tokens[start])
        rows.append(np.array(tokens[start + 1 : start + 1 + size], dtype=float))
        start += 1 + size
    return rows


def factors(path: Path) -> tuple[list[int], list[tuple[list[int], np.ndarray]]]:
    """Sizes of the variables, and scope and table of each function."""
    tokens = iter(path.read_text().split())
    next(tokens)
    sizes = [int(next(tokens)) for _ in range(int(next(tokens)))]
    scopes = [
        [int(next(tokens)) for _ in range(int(next(tokens)))] for _ in range(int(next(tokens)))
    ]
    tables = []
    for scope in scopes:
        values = np.array([float(next(tokens)) for _ in range(int(next(tokens)))])
        tables.append((scope, values.reshape([sizes[v] for v in scope])))
    return sizes, tables


def score(path: Path, states: Sequence[int]) -> float:
    """Natural logarithm of the product of all functions."""
    _, tables = factors(path)
    with np.errstate(divide="ignore"):
        values = [np.log(table[tuple(states[v] for v in scope)]) for scope, table in tables]
    return float(np.sum(values))


def variable_quality(network: UaiNetwork, posterior: Posterior) -> np.ndarray:
    """``int[v]``: the worst quality of the atoms of each variable."""
    assert posterior.quality is not None
    widths = np.where(network.sizes == 2, 1, network.sizes)
    starts = np.concatenate([[0], np.cumsum(widths)[:-1]])
    return np.maximum.reduceat(posterior.quality.numpy(), starts)


def megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def marginals(folder: Path, name: str, seed: int) -> dict[str, object]:
    """What `auto` says of its beliefs, and how far they are off."""
    path = folder / f"{name}.uai"
    network = read_network(path, folder / f"{name}.uai.evid")
    before, begin = megabytes(), time.process_time()
    posterior = infer(network.graph, "auto", seed=seed)
    seconds = time.process_time() - begin
    wrong = [
        float(np.abs(row - truth).max())
        for row, truth in zip(
            network.marginals(posterior), answers(folder / f"{name}.uai.MAR"), strict=True
        )
    ]
    said = variable_quality(network, posterior)
    by_quality = {
        quality: max((e for e, q in zip(wrong, said, strict=True) if q == i), default=None)
        for i, quality in enumerate(QUALITIES)
    }
    reference = float((folder / f"{name}.uai.PR").read_text().split()[-1])
    log_z = None if posterior.log_z is None else posterior.log_z / math.log(10) - reference
    open_reports = [report for report in posterior.reports if report.atoms]
    return {
        "engine": max(open_reports, key=lambda report: report.atoms).engine,
        "quality": QUALITIES[int(said.max())],
        "variables": len(wrong),
        "error": max(wrong),
        "errors": by_quality,
        "log10 Z off": log_z,
        "log10 Z": reference,
        "log Z kind": posterior.log_z_kind,
        "CPU s": seconds,
        "idle MB": before,
        "peak MB": megabytes(),
    }


def best_world(folder: Path, name: str, seed: int) -> dict[str, object]:
    """The score of the world `map` finds, and whether it is proven best."""
    path = folder / f"{name}.uai"
    network = read_network(path, folder / f"{name}.uai.evid")
    begin = time.process_time()
    found = infer(network.graph, "map", seed=seed)
    seconds = time.process_time() - begin
    assert found.world is not None
    sure = replace(found, log_odds=torch.where(found.world > 0, 700.0, -700.0).double())
    states = [int(row.argmax()) for row in network.marginals(sure)]
    return {"map": score(path, states), "map proven": found.converged, "map CPU s": seconds}


def toulbar2(folder: Path, name: str, seed: int) -> dict[str, object]:
    """The score of toulbar2's world; proven unless its time ran out."""
    import pytoulbar2

    path = folder / f"{name}.uai"
    sizes, tables = factors(path)
    observed = parse_evidence((folder / f"{name}.uai.evid").read_text(), sizes)
    begin = time.process_time()
    problem = pytoulbar2.CFN(resolution=6, seed=seed + 1)
    for v, size in enumerate(sizes):
        problem.AddVariable(f"x{v}", range(size))
    for v, state in observed.items():
        problem.AddFunction([v], [0 if s == state else FORBIDDEN for s in range(sizes[v])])
    for scope, table in tables:
        with np.errstate(divide="ignore"):
            costs = np.minimum(-np.log(table), FORBIDDEN)
        problem.AddFunction(scope, costs.ravel().tolist())
    solution = problem.Solve(timeLimit=LONGEST)
    seconds = time.process_time() - begin
    if solution is None:
        return {"toulbar2": None, "toulbar2 proven": False, "toulbar2 CPU s": seconds}
    proven = problem.GetDDualBound() >= solution[1] - 1e-5
    return {
        "toulbar2": score(path, solution[0]),
        "toulbar2 proven": bool(proven),
        "toulbar2 CPU s": seconds,
    }


def pyagrum(folder: Path, name: str, seed: int) -> dict[str, object]:
    """Error and time of pyAgrum's junction tree."""
    import pyagrum as gum

    path = folder / f"{name}.uai"
    sizes, _ = factors(path)
    observed = parse_evidence((folder / f"{name}.uai.evid").read_text(), sizes)
    begin = time.process_time()
    if path.read_text().split()[0] == "BAYES":
        model = gum.BayesNet()
        model.loadUAI(str(path))
        engine = gum.ShaferShenoyInference(model)
    else:
        model = gum.MarkovRandomField()
        model.loadUAI(str(path))
        engine = gum.ShaferShenoyMRFInference(model)
    engine.setNumberOfThreads(1)
    engine.setEvidence(dict(observed))
    engine.makeInference()
    rows = [engine.posterior(v).toarray() for v in range(len(sizes))]
    seconds = time.process_time() - begin
    wrong = [
        float(np.abs(row - truth).max())
        for row, truth in zip(rows, answers(folder / f"{name}.uai.MAR"), strict=True)
    ]
    return {"pyAgrum error": max(wrong), "pyAgrum CPU s": seconds}


WORK = {"marginals": marginals, "best_world": best_world, "toulbar2": toulbar2, "pyagrum": pyagrum}


def separately(work: str, name: str, seed: int) -> tuple[dict[str, object], str]:
    """What the work returns in a process of its own, or why it returns nothing."""
    command = [sys.executable, "-m", "benchmarks.uai2014", "--work", work, "--only", name]
    done = subprocess.run(
        [*command, "--seed", str(seed)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        return {}, (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
    return json.loads(done.stdout.splitlines()[-1]), ""


def broken(row: dict[str, object]) -> list[str]:
    """Which bars a network breaks."""
    found = []
    errors = row.get("errors", {})
    for quality, most in (("exact", EXACT), ("confirmed", CONFIRMED)):
        if (errors.get(quality) or 0.0) > most:
            found.append(f"{row['network']}: {quality} is said, off by {errors[quality]:.2g}")
    if "quality" not in row:
        found.append(f"{row['network']}: no marginals")
    elif row["log Z kind"] == "exact":
        off = abs(row["log10 Z off"])
        if off > LOG_Z * max(1.0, abs(row["log10 Z"])):
            found.append(f"{row['network']}: exact log Z is said, off by {off:.2g}")
    ours, theirs = row.get("map"), row.get("toulbar2")
    if ours is not None and theirs is not None and row["map proven"] and theirs > ours + 1e-3:
        found.append(
            f"{row['network']}: proven best is said, toulbar2 finds {theirs - ours:.3g} more"
        )
    return found


def main() -> int:
    options = parser(__doc__, "uai2014")
    options.add_argument("--only", nargs="*", default=[], help="networks by name")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--work", choices=WORK, help="one figure in this process, as JSON")
    chosen = options.parse_args()
    folder = data_folder() / "uai2014"
    torch.set_num_threads(1)
    if chosen.work:
        print(json.dumps(WORK[chosen.work](folder, chosen.only[0], chosen.seed)))
        return 0
    names = chosen.only or sorted(path.stem for path in folder.glob("*.uai"))
    left_out = {
        PEERS[module]: "is not installed"
        for module in PEERS
        if importlib.util.find_spec(module) is None
    }
    rows, failures = [], []
    for name in names:
        row: dict[str, object] = {"network": name}
        for work in WORK:
            if PEERS.get({"toulbar2": "pytoulbar2"}.get(work, work)) in left_out:
                continue
            figures, why = separately(work, name, chosen.seed)
            row |= figures
            if why:
                failures.append(f"{name}: {work}: {why}")
        rows.append(row)
        print(f"{name} done", file=sys.stderr)
    hidden = ("errors", "log10 Z", "variables", "toulbar2 proven", "map proven")
    show(
        "UAI 2014",
        [
            {k: v for k, v in row.items() if k not in hidden}
            | {"map": _marked(row, "map"), "toulbar2": _marked(row, "toulbar2")}
            for row in rows
        ],
    )
    for peer, why in left_out.items():
        print(f"{peer} {why}: its columns are left out")
    for failure in failures:
        print(failure)
    bars = [bar for row in rows for bar in broken(row)]
    served = sum(row.get("quality") in ("exact", "confirmed") for row in rows)
    print(f"{served} of {len(rows)} networks are exact or confirmed")
    if len(rows) == 14 and served < SERVED:
        bars.append(f"only {served} networks are exact or confirmed")
    for bar in bars:
        print(f"broken: {bar}")
    write(chosen.out, "uai2014", {"networks": rows, "broken": bars})
    return 1 if bars else 0


def _marked(row: dict[str, object], name: str) -> str | None:
    """The score of a world, with ``?`` where it is not proven best."""
    if row.get(name) is None:
        return None
    return f"{row[name]:.4f}" + ("" if row[f"{name} proven"] else " ?")


if __name__ == "__main__":
    sys.exit(main())
