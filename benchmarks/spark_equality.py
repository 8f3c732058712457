"""Do DuckDB, Spark and substitution ground the same? Seeded random programs, in local mode.

A program passes where both engines make the same factor graph, tensor by tensor, or refuse it with
the same code, and where the score of random worlds is what naive substitution gives.

    python -m benchmarks.spark_equality            # 1,000 programs; hours on two busy cores
    python -m benchmarks.spark_equality --quick    # 30

Prints one table; exit code 1 where a program does not pass. Needs the extra `spark` and Java 17.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter

import numpy as np
import torch

from knowreason.data import EngineChoice, using_engine
from knowreason.errors import GroundingError
from knowreason.grounding import ground
from tests.grounding.programs import random_data, random_program
from tests.grounding.test_engines import same_graph
from tests.grounding.test_ground_random import compared_with_substitution
from tests.spark_sessions import small_session


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0, help="seed of the first program")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    small_session("local[2]")
    seconds: Counter[str] = Counter()
    results: Counter[str] = Counter()
    for seed in range(options.first, options.first + (30 if options.quick else options.count)):
        program = random_program(seed, missing=seed % 2 == 0, quantifiers=seed % 3 > 0)
        data = random_data(program, seed)
        made = {}
        for kind in ("duckdb", "spark"):
            start = time.perf_counter()
            with using_engine(EngineChoice(kind, "local[2]", 1)):
                try:
                    made[kind] = ground(program, data, threads=1)
                except GroundingError as error:
                    made[kind] = str(error.code)
            seconds[kind] += time.perf_counter() - start
        result = verdict(made["duckdb"], made["spark"], seed)
        results[result] += 1
        if result.startswith("DIFFERS"):
            print(f"program {seed}: {result}", flush=True)
    for result, count in results.most_common():
        print(f"{count:6} {result}")
    for kind, total in seconds.items():
        print(f"{total:8.1f} s of grounding on {kind}")
    return any(result.startswith("DIFFERS") for result in results)


def verdict(here: object, there: object, seed: int) -> str:
    if isinstance(here, str) or isinstance(there, str):
        return f"both refuse: {here}" if here == there else f"DIFFERS: {here}, {there}"
    try:
        same_graph(here, there)
        compared_with_substitution(there, seed)
    except AssertionError as error:
        return f"DIFFERS: {str(error).strip().splitlines()[0]}"
    return "same graph, and scores of substitution"


if __name__ == "__main__":
    torch.set_num_threads(1)
    np.seterr(all="ignore")
    sys.exit(main())
