"""CPU time of grounding `Friends(x, y) & Smokes(x) => Smokes(y)` over random edges.

    python benchmarks/grounding.py [--rows 1000000] [--candidates 3000000] [--out grounding.json]

Beside the whole of `ground` (numbering, join, fold, factors, provenance): the fold alone,
a copy of both id columns (the memory-bandwidth bound), and opening a stored grounding.
A third of the atoms are evidence.

``--candidates`` grounds rules whose atoms are listed candidates instead (transitive, similarity,
collusion), about so many rows each, beside the join of the same rows alone.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from knowreason.data import Dataset, Vocabulary
from knowreason.grounding import ground
from knowreason.grounding.folding.fold_kernels import fold_literals, literal_states
from knowreason.grounding.grounding_store import load, save
from knowreason.grounding.plan.rule_plan import plan_rule
from knowreason.grounding.relational.database import Relations
from knowreason.grounding.size_estimate import rule_query
from knowreason.lang import loads

PROGRAM = """
domain Person
observed Friends(Person, Person)
query Smokes(Person)
rule peers [1.1] : Friends(x, y) & Smokes(x) => Smokes(y)
"""


def cpu_seconds(work, repeats: int = 5) -> float:
    """Least CPU seconds of several runs."""
    found = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        found.append(time.process_time() - start)
    return min(found)


def random_data(program, rows: int, seed: int = 0) -> Dataset:
    """Random edges among a fifth as many people, a third of whom are known."""
    draw, people = np.random.default_rng(seed), max(rows // 5, 10)
    pairs = np.unique(draw.integers(0, people * people, rows))
    draw.shuffle(pairs)
    columns = {"a0": (pairs // people).astype(np.int32), "a1": (pairs % people).astype(np.int32)}
    known = draw.permutation(people)[: people // 3].astype(np.int32)
    truths = draw.integers(0, 2, len(known)).astype(np.int8)
    return Dataset(
        program=program,
        vocabularies={"Person": Vocabulary("Person", pa.array([f"p{i}" for i in range(people)]))},
        facts={"Friends": pa.table(columns)},
        attributes={},
        evidence={"Smokes": pa.table({"a0": known, "value": truths})},
        labels={},
        hidden={},
    )


def measure(rows: int) -> dict[str, float]:
    """Nanoseconds of CPU a candidate row, and milliseconds to open a stored grounding."""
    program = loads(PROGRAM)
    data = random_data(program, rows)
    grounding = ground(program, data, threads=1)
    candidates = grounding.reports[0].candidate
    edges = data.facts["Friends"]
    batch = slice(0, 1_000_000)
    atoms = tuple(edges.column(name).to_numpy()[batch] for name in ("a0", "a1"))
    states = literal_states(grounding.graph.evidence.numpy())
    signs, pairs = (False, True), [(0, 1)]
    fold = cpu_seconds(lambda: fold_literals(atoms, states, signs, pairs, list_satisfied=False))
    copy = cpu_seconds(lambda: [column.copy() for column in atoms])
    with tempfile.TemporaryDirectory() as folder:
        save(grounding, Path(folder) / "stored")
        opened = cpu_seconds(lambda: load(Path(folder) / "stored", program, data))
    return {
        "rows": candidates,
        "ground": 1e9 * cpu_seconds(lambda: ground(program, data, threads=1), 3) / candidates,
        "fold": 1e9 * fold / len(atoms[0]),
        "copy": 1e9 * copy / len(atoms[0]),
        "open ms": 1e3 * opened,
    }


CANDIDATES = """
domain P, Q
observed Pair(P, P)
observed Alike(P, P)
observed Wanted(P, Q)
query Same(P, P) within Pair
query Likes(P, Q) within Wanted
query Bad(P)
"""
RULES = {  # and how many pairs there are to a grounding
    "Same(x, y) & Same(y, z) => Same(x, z)": 0.1,
    "Alike(x, y) & Likes(x, q) => Likes(y, q)": 0.1,
    "Same(x, y) & Bad(x) => Bad(y)": 1.0,
}


def candidate_data(rule: str, rows: int) -> Dataset:
    """Random candidates, ten to a thing, so that a rule has about so many groundings."""
    program, draw = loads(f"{CANDIDATES}rule r [1] : {rule}"), np.random.default_rng(0)
    pairs, things = int(rows * RULES[rule]), int(rows * RULES[rule]) // 10
    facts = {}
    for name in ("Pair", "Alike", "Wanted"):
        key = np.unique(draw.integers(0, things * things, pairs))
        draw.shuffle(key)
        ends = {"a0": (key // things).astype(np.int32), "a1": (key % things).astype(np.int32)}
        facts[name] = pa.table(ends)
    names = pa.array([f"p{i}" for i in range(things)])
    return Dataset(
        program=program,
        vocabularies={domain: Vocabulary(domain, names) for domain in "PQ"},
        facts=facts,
        attributes={},
        evidence={},
        labels={},
        hidden={},
    )


def over_candidates(rule: str, rows: int) -> dict[str, float | str]:
    """CPU seconds of a rule over random candidates, and of its join alone."""
    data = candidate_data(rule, rows)
    program = data.program
    candidates = ground(program, data, threads=1).reports[0].candidate
    with Relations(program, data, threads=1) as relations:
        query = rule_query(relations, plan_rule(program, 0))
        join = cpu_seconds(lambda: [frame.rows for frame in query.frames()], 2)
    spent = cpu_seconds(lambda: ground(program, data, threads=1), 2)
    return {"rule": rule, "rows": candidates, "ground": spent, "join": join}


def main() -> None:
    """Measure a tenth of the rows and all of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--out", type=Path, default=Path("grounding.json"))
    parser.add_argument("--candidates", type=int, help="rows of rules over candidates")
    options = parser.parse_args()
    if options.candidates:
        found = [over_candidates(rule, options.candidates) for rule in RULES]
        for one in found:
            print(f"{one['rule']:42}{one['rows']:12,}{one['ground']:8.2f} s{one['join']:8.2f} s")
        options.out.write_text(json.dumps(found, indent=1))
        return
    results = [measure(rows) for rows in (options.rows // 10, options.rows)]
    print(f"{'rows':>12}{'ground ns':>11}{'fold ns':>9}{'copy ns':>9}{'open ms':>9}")
    for found in results:
        print(
            f"{found['rows']:12,}{found['ground']:11.1f}{found['fold']:9.2f}"
            f"{found['copy']:9.2f}{found['open ms']:9.2f}"
        )
    options.out.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
