"""UW-CSE, one area left out: who advises whom, weights learned on the other areas.

    python benchmarks/advisor.py [--quick] [--out advisor.json]   # reads KNOWREASON_DATA

Average precision over every pair of people in the area's `queries` (pairs that are not a
student and a professor are false by `within`; they rank last and no true pair is among them).
Beside the learned weights: all weights at their priors, and the learned rules that look at one
pair alone. Intervals: bootstrap over pairs. PSL's figures are quoted: unit weights.
"""

import argparse
import json
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

import knowreason as kr

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))

import advisor
from mln_files import data_folder, read_atoms

PSL = {"graphics": 0.077, "language": 0.039, "systems": 0.186}
JOINT = {"one_advisor", "no_two"}  # rules over several pairs


def asked_pairs(folder: Path) -> tuple[list[tuple[str, str]], np.ndarray]:
    """All pairs of an area's `queries`, and their truth."""
    frame = read_atoms(folder / "queries")["advisedBy"]
    names = (f"{folder.name}/" + frame[column] for column in ("a0", "a1"))
    return list(zip(*names, strict=True)), frame["truth"].to_numpy()


def measure(root: Path, area: str, program: kr.Program, learned: bool) -> dict[str, float]:
    """Average precision and AUC on one area, and CPU seconds of learning and asking."""
    start = time.process_time()
    past = advisor.load(root, [a for a in advisor.AREAS if a != area], program)
    if not learned:
        past = past.hide("AdvisedBy", [True] * past.labels["AdvisedBy"].num_rows)
    reasoner = kr.Reasoner(program).fit(past)
    today = advisor.load(root, [area], program)
    today = today.hide("AdvisedBy", [True] * today.labels["AdvisedBy"].num_rows)
    table = reasoner.infer(today).marginals("AdvisedBy").table
    seconds = time.process_time() - start
    believed = dict(
        zip(
            zip(table.column(0).to_pylist(), table.column(1).to_pylist(), strict=True),
            table.column("log_odds").to_pylist(),
            strict=True,
        )
    )
    pairs, truth = asked_pairs(root / area)
    scores = np.array([believed.get(pair, -1e3) for pair in pairs])
    low, high = interval(truth, scores)
    return {
        "ap": average_precision_score(truth, scores),
        "low": low,
        "high": high,
        "auc": roc_auc_score(truth, scores),
        "cpu_s": seconds,
        "pairs": len(pairs),
        "true": int(truth.sum()),
    }


def interval(truth: np.ndarray, scores: np.ndarray, draws: int = 300) -> tuple[float, float]:
    """95 % of the bootstrap over pairs."""
    rng = np.random.default_rng(0)
    rows = (rng.integers(0, len(truth), len(truth)) for _ in range(draws))
    found = [average_precision_score(truth[r], scores[r]) for r in rows if truth[r].any()]
    return tuple(np.quantile(found, [0.025, 0.975]).tolist())


def main() -> None:
    """Every area with learned weights, at the priors, and without the joint rules."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="language only")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    root = data_folder() / "mln" / "uw_cse"
    whole = kr.load(advisor.rulesets_path() / "advisor.kr")
    single = replace(whole, rules=tuple(r for r in whole.rules if r.name not in JOINT))
    ways = (
        ("learned", whole, True),
        ("prior weights", whole, False),
        ("learned, no joint rules", single, True),
    )
    results = []
    print(f"{'area':10}{'weights':>25}{'AP':>7}{'95 %':>14}{'AUC':>7}{'CPU s':>7}{'PSL AP':>8}")
    for area in ("language",) if options.quick else advisor.AREAS:
        for label, program, learned in ways:
            found = measure(root, area, program, learned)
            results.append({"area": area, "weights": label, **found})
            print(
                f"{area:10}{label:>25}{found['ap']:7.3f}  [{found['low']:.2f}, {found['high']:.2f}]"
                f"{found['auc']:7.3f}{found['cpu_s']:7.1f}{PSL[area]:8.3f}"
            )
    if options.out:
        options.out.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
