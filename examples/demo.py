"""What ``make demo`` runs: handwritten Sudoku, then skimmed terminals from end to end.

python examples/demo.py [--output demo-output]
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from sudoku import draw, read_boards, show

from knowreason.data.worlds.skimming import skimming as world


def main() -> None:
    """Run both halves and say where the pictures and the report are."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("demo-output"))
    output = parser.parse_args().output
    start = time.perf_counter()
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    pictures = sudoku(output)
    pictures += skimming(output)
    title(f"Done in {time.perf_counter() - start:.0f} s. To look at")
    for path in pictures:
        print(f"  {path}")
    run, here = output / "skimming" / "run", Path(sys.executable).parent / "knowreason"
    title("To try next")
    print(f"  {here} predict {run} --top 20    # the queue: whom to look at, by day")
    print(f"  {here} audit {run}    # what to doubt: rules left out, weights moved")
    print(f"  {here} new mine --template fraud    # a project of your own to change")


def title(text: str) -> None:
    """A heading."""
    print(f"\n{text}\n{'=' * len(text)}\n", flush=True)


def sudoku(output: Path) -> list[Path]:
    """Real handwritten digits in Sudoku boards: read, then reasoned."""
    title("1. Handwritten Sudoku: a weak digit reader and one rule (real digits)")
    readings = [read_boards(20, labels) for labels in (30, 60, 150)]
    show(readings)
    paths = [output / f"sudoku_{reading.labels}.png" for reading in readings]
    for reading, path in zip(readings, paths, strict=True):
        draw(reading, 0, path)
    return paths


def skimming(output: Path) -> tuple[Path, ...]:
    """A generated card-fraud world through the command line: new, train, eval, explain."""
    title("2. Skimmed terminals: 400 labels, amounts that shift (a generated world)")
    project, run = output / "skimming", output / "skimming" / "run"
    knowreason("new", str(project), "--template", "fraud")
    tables = world(seed=0, drift=0.5, labels=400, terminals=240, cards=16_000)
    for name in ("payments", "cards", "terminals", "days", "labels"):
        pq.write_table(tables[name], project / "data" / f"{name}.parquet")
    print("\n(with four times the terminals and 400 labels: two dozen rank, but do not calibrate)")
    print("\nThe rules:\n")
    text = (project / "skimming.kr").read_text(encoding="utf-8")
    print("\n".join(line for line in text.splitlines() if line.startswith("rule ")), "\n")
    knowreason("train", str(project), "-o", str(run), "--set", "decision.capacity=5 a day")
    knowreason("eval", str(run))
    calibration(run)
    queue = predicted(run, 10)
    knowreason("explain", str(run), f'Fraud("{queue[0]}")')
    known = truth(project)
    right = sum(known[payment] for payment in queue)
    print(f"\nIts label was held back and says: {'fraud' if known[queue[0]] else 'no fraud'}.")
    print(f"Of the ten most probable payments {right} are fraud.")
    return run / "plots" / "calibration_Fraud.svg", run / "report.html"


def calibration(run: Path) -> None:
    """Of payments with like probabilities, how many were expected to be fraud and how many are."""
    (measured,) = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    curve = measured["calibration"]
    predicted, observed, count = (
        np.array(curve[name], float) for name in ("predicted", "observed", "count")
    )
    print("\nCalibration on held-back labels (in the picture equals are on the diagonal)\n")
    print(" payments   expected to be fraud         are fraud")
    group = np.digitize(predicted, [0.05, 0.2, 0.5, 0.8])
    for which in np.unique(group[count > 0]):
        rows = (group == which) & (count > 0)
        size, true = count[rows].sum(), (observed * count)[rows].sum()
        expected = (predicted * count)[rows].sum()
        figures = [f"{many:12,.1f} ({many / size:6.1%})" for many in (expected, true)]
        print(f" {size:8,.0f} {' '.join(figures)}")
    print()


def predicted(run: Path, count: int) -> list[str]:
    """The payments most likely to be fraud."""
    command = [sys.executable, "-m", "knowreason", "-q", "predict", str(run), "--json"]
    found = subprocess.run(
        [*command, "--top", str(count)], check=True, capture_output=True, text=True
    )
    return [row["payment"] for row in json.loads(found.stdout)]


def truth(project: Path) -> dict[str, bool]:
    """Labels of payments: those that were held back are among them."""
    table = pq.read_table(project / "data" / "labels.parquet").to_pydict()
    return {name: bool(label) for name, label in zip(table["id"], table["fraud"], strict=True)}


def knowreason(*arguments: str) -> None:
    """Show a command and run it."""
    shown = " ".join(f"'{a}'" if '"' in a else a for a in arguments)
    print(f"$ knowreason {shown}", flush=True)
    subprocess.run([sys.executable, "-m", "knowreason", *arguments], check=True)


if __name__ == "__main__":
    main()
