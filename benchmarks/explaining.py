"""What explanations cost: one by one, many in one batch, and single changes searched for.

    python -m benchmarks.explaining [--atoms 1000]

The world is that of `knowreason new DIR --template fraud`. The limit is one inference over all
of it, which every explanation would cost if it were done by inferring again.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from knowreason.project.project_file import load_project
from knowreason.project.project_tables import load_parts
from knowreason.run.run_folder import reasoner_of
from knowreason.run.starters import new_project


def main() -> None:
    """Print the table and, on the last line, JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--atoms", type=int, default=1000)
    parser.add_argument("--single", type=int, default=50, help="explained one by one")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        new_project(Path(folder) / "project", "fraud")
        project = load_project(Path(folder) / "project")
        parts = load_parts(project)
    reasoner = reasoner_of(project, parts.train.program).fit(parts.train)
    assert parts.test is not None
    beliefs = reasoner.infer(parts.test)
    asked = beliefs.asked("Fraud")
    order = asked[np.argsort(-beliefs.log_odds[asked], kind="stable")]
    rows: dict[str, tuple[int, float]] = {}

    def measured(what: str, times: int, run: Callable[[], object]) -> None:
        start = time.process_time()
        run()
        rows[what] = times, time.process_time() - start

    measured("inference over all atoms", 1, lambda: reasoner.infer(parts.test))
    explainer = beliefs.explainer
    measured("the first explanation", 1, lambda: explainer.explain(int(order[0])))
    single = order[: options.single].tolist()
    measured("one by one", len(single), lambda: [explainer.explain(atom) for atom in single])
    small = {"obstacles": 0, "changes": 0}
    measured(
        "one by one, shares and reasons only",
        len(single),
        lambda: [explainer.explain(atom, **small) for atom in single],
    )
    many = order[: options.atoms].tolist()
    measured("in a batch, shares and reasons", len(many), lambda: explainer.explain_many(many))
    name = beliefs.grounding.atom_name(int(order[0]))
    measured("a change searched for", 1, lambda: reasoner.what_if(beliefs, name))
    print("| what | atoms | CPU seconds | ms an atom |\n|---|---:|---:|---:|")
    for what, (times, seconds) in rows.items():
        print(f"| {what} | {times:,} | {seconds:.2f} | {1000 * seconds / times:.1f} |")
    print(json.dumps({what: {"atoms": n, "seconds": s} for what, (n, s) in rows.items()}))


if __name__ == "__main__":
    main()
