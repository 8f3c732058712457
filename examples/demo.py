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

from sudoku import draw, read_boards, show


def main() -> None:
    """Run both halves and say where the pictures and the report are."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("demo-output"))
    output = parser.parse_args().output
    start = time.perf_counter()
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    pictures = sudoku(output)
    report = skimming(output)
    title(f"Done in {time.perf_counter() - start:.0f} s. To look at")
    for path in (*pictures, report):
        print(f"  {path}")


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


def skimming(output: Path) -> Path:
    """A generated card-fraud world through the command line: new, train, eval, explain."""
    title("2. Skimmed terminals: two dozen labels, amounts that shift (a generated world)")
    project, run = output / "skimming", output / "skimming" / "run"
    knowreason("new", str(project), "--template", "skimming")
    print("\nThe rules:\n")
    text = (project / "skimming.kr").read_text(encoding="utf-8")
    print("\n".join(line for line in text.splitlines() if line.startswith("rule ")), "\n")
    knowreason("train", str(project), "-o", str(run))
    knowreason("eval", str(run))
    knowreason("explain", str(run), strongest(run))
    return run / "report.html"


def strongest(run: Path) -> str:
    """The payment most likely to be fraud, as an atom."""
    command = [
        sys.executable,
        "-m",
        "knowreason",
        "-q",
        "predict",
        str(run),
        "--json",
        "--top",
        "1",
    ]
    found = subprocess.run(command, check=True, capture_output=True, text=True)
    return f'Fraud("{json.loads(found.stdout)[0]["payment"]}")'


def knowreason(*arguments: str) -> None:
    """Show a command and run it."""
    shown = " ".join(f"'{a}'" if '"' in a else a for a in arguments)
    print(f"$ knowreason {shown}", flush=True)
    subprocess.run([sys.executable, "-m", "knowreason", *arguments], check=True)


if __name__ == "__main__":
    main()
