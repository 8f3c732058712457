"""KnowGraph's learner beside the exact likelihood: weights [1.5, 2, 1] of 20,000 instances.

python -m benchmarks.knowgraph_recovery [--quick] [--seeds 2] [--out knowgraph_recovery.json]
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

from knowreason.learning import learn
from tests.known_weights import WEIGHTS, instances

LEARNERS = {
    "likelihood": ("likelihood", {}),
    "knowgraph": ("knowgraph", {}),
    "knowgraph, exp weights": ("knowgraph", {"weights": "exp"}),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="2,000 instances")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("knowgraph_recovery.json"))
    chosen = parser.parse_args()
    found = []
    print(f"truth {list(WEIGHTS)}")
    for hidden in (0.0, 0.3, 0.7):
        for name, (method, options) in LEARNERS.items():
            ends, began = [], time.process_time()
            for seed in range(chosen.seeds):
                problem = instances(2_000 if chosen.quick else 20_000, seed).hide(hidden, seed)
                ends.append(learn(problem, method, seed=seed, **options).theta[:3].tolist())
            seconds = (time.process_time() - began) / chosen.seeds
            found.append({"hidden": hidden, "learner": name, "weights": ends, "seconds": seconds})
            each = "   ".join(" ".join(f"{value:.2f}" for value in end) for end in ends)
            mean = " ".join(f"{value:.2f}" for value in np.mean(ends, axis=0))
            print(f"{hidden:>4.0%} hidden  {name:<24}mean {mean}   ({each})   {seconds:.1f} CPU s",
                  flush=True)  # fmt: skip
    chosen.out.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
