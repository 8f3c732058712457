"""Seconds to read rule files, and to start.

    python benchmarks/rule_files.py [--rules 1000 10000] [--out rule_files.json]

A rule here has 42 tokens: four atoms, a comparison with arithmetic, a constant. The last row
has errors in ten places. Wall and CPU seconds are the least of three runs.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from knowreason.diagnostics import Source
from knowreason.lang import check, format_text, loads
from knowreason.lang.syntax.grammar import grammar
from knowreason.lang.syntax.parser import parse_program

HEAD = """domain P
observed Friends(P, P)
query Smokes(P)
query Likes(P, P)
attribute at(P): int
"""
RULE = (
    "rule r{i} [1.5] : Smokes(x) & Friends(x, y) & at(x) - at(y) <= {i} "
    '=> Smokes(y) | Likes(x, "p{i}")\n'
)


def rules(count: int, errors: int = 0) -> str:
    """A program of so many rules, some with a name that is not declared."""
    lines = [RULE.format(i=i) for i in range(count)]
    for number in range(errors):
        place = number * count // errors
        lines[place] = lines[place].replace("Smokes", "Smoke", 1)
    return HEAD + "".join(lines)


def least(work, repeats: int = 3) -> tuple[float, float]:
    """Least wall and CPU seconds of several runs."""
    found = []
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        found.append((time.perf_counter() - wall, time.process_time() - cpu))
    return min(wall for wall, _ in found), min(cpu for _, cpu in found)


def start(code: str) -> tuple[float, float]:
    """Seconds of a fresh interpreter that runs a line."""
    found = []
    for _ in range(3):
        wall = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
        found.append(time.perf_counter() - wall)
    return min(found), float("nan")


def main() -> None:
    """Print the table and write the JSON."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rules", type=int, nargs="*", default=[1000, 10_000])
    options.add_argument("--out", type=Path)
    given = options.parse_args()
    grammar()
    rows = {}
    for count in given.rules:
        text, faulty = rules(count), rules(count, errors=10)
        rows[f"parse {count:,}"] = least(lambda t=text: parse_program(Source("b", t)))
        rows[f"load {count:,}"] = least(lambda t=text: loads(t))
        rows[f"check {count:,}"] = least(lambda t=text: check(text=t))
        rows[f"check {count:,}, 10 errors"] = least(lambda t=faulty: check(text=t))
        rows[f"format {count:,}"] = least(lambda t=text: format_text(t))
        found = [d for d in check(text=faulty).diagnostics if d.severity == "error"]
        assert len(found) == 10
    rows["start: python"] = start("pass")
    rows["start: import knowreason.lang"] = start("import knowreason.lang")
    rows["start: check two lines"] = start(
        "from knowreason.lang import check; check(text='domain A\\nquery Q(A)\\n')"
    )
    print(f"{'':32}{'wall s':>9}{'CPU s':>9}")
    for name, (wall, cpu) in rows.items():
        print(f"{name:32}{wall:9.2f}{cpu:9.2f}")
    if given.out:
        given.out.write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
