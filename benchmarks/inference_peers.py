"""Marginals of friends and smokers beside PGMax and PSL: CPU seconds, and how far off they are.

    python benchmarks/inference_peers.py [--people 10000] [--peers-python PYTHON]
        [--sweeps 20000] [--out inference_peers.json]

The program of `rulesets/smokers.kr` over random friendships, six a person; of a fifth of the
people it is known whether they smoke (drawn at random). Each tool runs in a process of its own:
*first* is from the tables to marginals, with what it compiles; *again* the same once more in
that process. CPU seconds are of all threads, without importing.

    auto        the default engine, which checks belief propagation by sampling
    bp          belief propagation alone
    PGMax       200 sweeps of belief propagation, damping .5; its factor graph is made by hand
                (`pip install pgmax "jax<0.5"`: it does not run with newer ones)
    PSL         its own optimiser to its own end. PSL's truth values are of another model (the
                most probable state of a hinge-loss field), so their distance is no error of its
                optimiser. *Again* has a warm virtual machine

The truth is a Gibbs sampler of thirty lines in this file, which knows nothing of the package:
its marginals are told within about .004 by 20,000 sweeps.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path

import numpy as np
from numba import njit

PEERS, HARM = 1.1, 1.5
PROGRAM = f"""
domain Person
observed Friends(Person, Person) symmetric
query Smokes(Person)
query Cancer(Person)
rule peers [{PEERS}] : Smokes(x) & Friends(x, y) => Smokes(y)
rule harm  [{HARM}] : Smokes(x) => Cancer(x)
"""


def world(people: int) -> tuple[np.ndarray, np.ndarray]:
    """Friendships ``int64[f, 2]`` and what is known, ``int8[n]`` (-1 unknown)."""
    draw = np.random.default_rng(0)
    pairs = np.sort(draw.integers(0, people, (3 * people, 2)), 1)
    pairs = np.unique(pairs[pairs[:, 0] < pairs[:, 1]], axis=0)
    known = np.where(draw.random(people) < 0.2, draw.random(people) < 0.5, -1)
    return pairs, known.astype(np.int8)


@njit
def smoking_counts(starts, near, known, sweeps, draw):
    """How often each person smokes in a Gibbs chain, a tenth more being left to burn in."""
    state = np.where(known >= 0, known, np.int8(0))
    counts = np.zeros(len(known), np.int64)
    cancer = np.log((1 + np.exp(HARM)) / (2 * np.exp(HARM)))  # summed out
    for sweep in range(sweeps + sweeps // 10):
        for person in range(len(known)):
            if known[person] < 0:
                odds = cancer
                for at in range(starts[person], starts[person + 1]):
                    odds += PEERS if state[near[at]] else -PEERS
                state[person] = draw.random() < 1 / (1 + np.exp(-odds))
        if sweep >= sweeps // 10:
            counts += state
    return counts


def sampled(pairs: np.ndarray, known: np.ndarray, sweeps: int) -> np.ndarray:
    """``float64[n]``: chance that each person smokes, by a chain."""
    both = np.concatenate([pairs, pairs[:, ::-1]])
    both = both[np.argsort(both[:, 0], kind="stable")]
    starts = np.searchsorted(both[:, 0], np.arange(len(known) + 1))
    return (
        smoking_counts(starts, both[:, 1].copy(), known, sweeps, np.random.default_rng(1)) / sweeps
    )


def by_knowreason(pairs: np.ndarray, known: np.ndarray, engine: str) -> np.ndarray:
    """Chances by an engine of the package, from the tables."""
    import pyarrow as pa

    import knowreason as kr
    from knowreason.beliefs.beliefs import Beliefs
    from knowreason.grounding import ground
    from knowreason.inference import infer
    from knowreason.lang import loads

    program = loads(PROGRAM)
    told = np.flatnonzero(known >= 0)
    data = kr.Dataset.from_frames(
        program,
        facts={"Friends": pa.table({"x": pairs[:, 0], "y": pairs[:, 1]})},
        evidence={"Smokes": pa.table({"x": told, "value": known[told]})},
        things={"Person": pa.table({"x": np.arange(len(known))})},
    )
    grounding = ground(program, data)
    beliefs = Beliefs(infer(grounding.graph, engine=engine), grounding)
    table = beliefs.marginals("Smokes").to_arrow()
    found = np.where(known >= 0, known, 0.0).astype(np.float64)
    found[table["person"].to_numpy().astype(np.int64)] = table["probability"].to_numpy()
    return found


def by_pgmax(pairs: np.ndarray, known: np.ndarray, _: str) -> np.ndarray:
    """Chances by PGMax's belief propagation."""
    import jax
    from pgmax import fgraph, fgroup, infer, vgroup

    people = vgroup.NDVarArray(num_states=2, shape=(len(known),))
    graph = fgraph.FactorGraph(variable_groups=people)
    scopes = [[people[int(a)], people[int(b)]] for a, b in pairs]
    table = np.array([[2 * PEERS, PEERS], [PEERS, 2 * PEERS]])
    graph.add_factors(
        fgroup.PairwiseFactorGroup(variables_for_factors=scopes, log_potential_matrix=table)
    )
    unary = np.zeros((len(known), 2))
    unary[:, 1] = np.log((1 + np.exp(HARM)) / (2 * np.exp(HARM)))
    unary[known == 0, 1] = -1000.0
    unary[known == 1, 0] = -1000.0
    bp = infer.build_inferer(graph.bp_state, backend="bp")
    arrays = bp.init(evidence_updates={people: jax.numpy.asarray(unary)})
    arrays = bp.run(arrays, num_iters=200, damping=0.5, temperature=1.0)
    chances = infer.get_marginals(bp.get_beliefs(arrays))[people]
    return np.asarray(jax.block_until_ready(chances))[:, 1]


def by_psl(pairs: np.ndarray, known: np.ndarray, _: str) -> np.ndarray:
    """Truth values by PSL."""
    import pslpython.runtime

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        lines = {
            "friends": [f"{a}\t{b}" for pair in pairs for a, b in (pair, pair[::-1])],
            "told": [f"{i}\t{known[i]}" for i in np.flatnonzero(known >= 0)],
            "asked": [str(i) for i in np.flatnonzero(known < 0)],
            "people": [str(i) for i in range(len(known))],
        }
        for name, text in lines.items():
            (folder / name).write_text("\n".join(text) + "\n")
        smokes = {
            "types": ["UniqueIntID"],
            "observations": [str(folder / "told")],
            "targets": [str(folder / "asked")],
        }
        cancer = {"types": ["UniqueIntID"], "targets": [str(folder / "people")]}
        friends = {"types": ["UniqueIntID"] * 2, "observations": [str(folder / "friends")]}
        rules = [
            f"{PEERS}: Friends(X, Y) & Smokes(X) -> Smokes(Y)",
            f"{HARM}: Smokes(X) -> Cancer(X)",
        ]
        options = {"runtime.log.level": "ERROR", "runtime.learn": False, "runtime.inference": True}
        predicates = {"Friends/2": friends, "Smokes/1": smokes, "Cancer/1": cancer}
        config = {"options": options, "rules": rules, "predicates": predicates}
        out = pslpython.runtime.run(config, jvm_options=["-Xmx8g"])
    found = np.where(known >= 0, known, 0.0).astype(np.float64)
    for atom in out["atoms"]:
        if atom["predicate"] == "SMOKES":
            found[int(atom["arguments"][0])] = atom["value"]
    return found


TOOLS = {
    "auto": by_knowreason,
    "bp": by_knowreason,
    "PGMax": by_pgmax,
    "PSL": by_psl,
}


IMPORTS = {"PGMax": ("pgmax.infer",), "PSL": ("pslpython.runtime",)}


def work(name: str, people: int) -> None:
    """Runs a tool twice in this process; prints CPU seconds and chances as JSON."""
    pairs, known = world(people)
    for module in IMPORTS.get(name, ("knowreason.grounding", "knowreason.inference")):
        import_module(module)  # is not counted
    seconds = []
    for _ in range(2):
        begin = time.process_time()
        chances = TOOLS[name](pairs, known, name)
        seconds.append(time.process_time() - begin)
    print(json.dumps({"seconds": seconds, "chances": np.asarray(chances, float).tolist()}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, default=10_000)
    parser.add_argument("--peers-python", default=sys.executable)
    parser.add_argument("--sweeps", type=int, default=20_000)
    parser.add_argument("--out", type=Path, default=Path("inference_peers.json"))
    parser.add_argument("--work", choices=TOOLS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options.work, options.people)
        return
    pairs, known = world(options.people)
    truth = sampled(pairs, known, options.sweeps)
    open_ = known < 0
    print(f"{options.people:,} people, {len(pairs):,} friendships\n")
    print(f"{'':8}{'first':>9}{'again':>9}{'mean off':>10}{'most off':>10}")
    results = []
    for name in TOOLS:
        python = sys.executable if name in ("auto", "bp") else options.peers_python
        command = [python, __file__, "--work", name, "--people", str(options.people)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"{name:8}not run: {done.stderr.strip().splitlines()[-1]}")
            continue
        found = json.loads(done.stdout.strip().splitlines()[-1])
        off = np.abs(np.array(found["chances"]) - truth)[open_]
        first, again = found["seconds"]
        results.append(
            {"tool": name, "first": first, "again": again, "mean": off.mean(), "most": off.max()}
        )
        print(f"{name:8}{first:9.2f}{again:9.2f}{off.mean():10.4f}{off.max():10.4f}", flush=True)
    options.out.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
