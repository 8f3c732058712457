"""Grounding `Friends(x, y) & Smokes(x) => Smokes(y)` over random edges, beside DuckDB and PSL.

    python benchmarks/grounding_peers.py [--quick] [--rows 100000 1000000 10000000]
        [--psl-python PYTHON] [--psl-limit 1000000] [--out grounding_peers.json]

The same two headerless text files of integers (friends: pairs; people: one a line) for all;
every atom of Smokes is open. Each figure comes from a process of its own, so that peak memory
is its own; CPU seconds are of all threads, without importing. One thread for DuckDB and ours.

    join        DuckDB alone, encoded columns in memory: Friends joined twice with the numbered
                atoms of Smokes, streamed as Arrow batches
    ground      knowreason's `ground` on a bound data set: numbering, join, fold, factors,
                provenance
    file        knowreason from the text files: reading, names to ids, `ground`
    PSL file    PSL from the text files through ground rules, and one optimisation step (PSL
                has no call that grounds only and keeps the rules); the virtual machine's own
                start and compilation are in it

PSL runs where `pslpython` can be imported by `--psl-python` (and java is present); otherwise
the reason is printed.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RULE = "Friends(x, y) & Smokes(x) => Smokes(y)"
PROGRAM = f"""
domain Person
observed Friends(Person, Person)
query Smokes(Person)
rule peers [1.1] : {RULE}
"""


def write_files(rows: int, folder: Path) -> None:
    """Random distinct pairs among a fifth as many people."""
    import numpy as np
    import pyarrow as pa
    from pyarrow import csv

    draw, people = np.random.default_rng(0), max(rows // 5, 10)
    pairs = np.unique(draw.integers(0, people * people, rows))
    draw.shuffle(pairs)
    options = csv.WriteOptions(include_header=False, delimiter="\t")
    edges = pa.table({"x": pairs // people, "y": pairs % people})
    csv.write_csv(edges, folder / "friends.tsv", options)
    csv.write_csv(pa.table({"x": np.arange(people)}), folder / "people.tsv", options)


def text_columns(path: Path, names: list[str]):
    import pyarrow as pa
    from pyarrow import csv

    return csv.read_csv(
        path,
        csv.ReadOptions(column_names=names),
        csv.ParseOptions(delimiter="\t"),
        csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string())),
    )


def join_alone(folder: Path) -> tuple[int, float]:
    """Rows and CPU seconds of the join in DuckDB."""
    import duckdb

    db = duckdb.connect()
    db.execute("SET threads = 1")
    read = "read_csv(?, header=false, delim='\t', columns={})"
    pairs = read.replace("{}", "{'x': 'INTEGER', 'y': 'INTEGER'}")
    db.execute(f"CREATE TABLE friends AS FROM {pairs}", [str(folder / "friends.tsv")])
    people = read.replace("{}", "{'x': 'INTEGER'}")
    db.execute(
        f"CREATE TABLE smokes AS SELECT x, row_number() OVER () - 1 AS atom FROM {people}",
        [str(folder / "people.tsv")],
    )
    query = (
        "SELECT s.atom::INTEGER AS one, t.atom::INTEGER AS two FROM friends f "
        "JOIN smokes s ON s.x = f.x JOIN smokes t ON t.x = f.y"
    )
    start = time.process_time()
    rows = sum(batch.num_rows for batch in db.execute(query).to_arrow_reader(1_000_000))
    return rows, time.process_time() - start


def bound(folder: Path):
    import knowreason as kr
    from knowreason.lang import loads

    return kr.Dataset.from_frames(
        loads(PROGRAM),
        facts={"Friends": text_columns(folder / "friends.tsv", ["x", "y"])},
        things={"Person": text_columns(folder / "people.tsv", ["x"])},
    )


def ground_alone(folder: Path) -> tuple[int, float]:
    """Rows and CPU seconds of `ground` on a bound data set."""
    from knowreason.grounding import ground

    data = bound(folder)
    start = time.process_time()
    grounding = ground(data.program, data, threads=1)
    return grounding.reports[0].candidate, time.process_time() - start


def file_to_factors(folder: Path) -> tuple[int, float]:
    """Rows and CPU seconds from the text files to factors."""
    from knowreason.grounding import ground

    start = time.process_time()
    data = bound(folder)
    grounding = ground(data.program, data, threads=1)
    return grounding.reports[0].candidate, time.process_time() - start


def psl_file(folder: Path) -> tuple[int, float]:
    """Rows and CPU seconds of PSL from the text files to ground rules."""
    import pslpython.runtime

    options = {
        "runtime.log.level": "ERROR",
        "runtime.learn": False,
        "runtime.inference": True,
        "runtime.inference.output.results": False,
        "reasoner.maxiterations": 1,
    }
    predicates = {
        "Friends/2": {"types": ["UniqueIntID"] * 2, "observations": [str(folder / "friends.tsv")]},
        "Smokes/1": {"types": ["UniqueIntID"], "targets": [str(folder / "people.tsv")]},
    }
    rule = "1.1: Friends(X, Y) & Smokes(X) -> Smokes(Y) ^2"
    config = {"options": options, "rules": [rule], "predicates": predicates}
    start = time.process_time()
    pslpython.runtime.run(config, jvm_options=["-Xmx12g"])
    seconds = time.process_time() - start
    with (folder / "friends.tsv").open() as lines:
        return sum(1 for _ in lines), seconds


WORKERS = {
    "join": join_alone,
    "ground": ground_alone,
    "file": file_to_factors,
    "PSL file": psl_file,
}


def warm_up(name: str) -> None:
    """Imports and compiles on a few rows, outside the figures."""
    if name != "PSL file":
        with tempfile.TemporaryDirectory() as folder:
            write_files(1000, Path(folder))
            WORKERS[name](Path(folder))


def peak_kilobytes() -> int:
    """Peak resident memory of this process; `ru_maxrss` would include its parent's."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    line = next(x for x in status.read_text().splitlines() if x.startswith("VmHWM:"))
    return int(line.split()[1])


def work(name: str, folder: Path) -> None:
    """Measures one figure in this process and prints it as JSON."""
    warm_up(name)
    before = peak_kilobytes()
    start = time.perf_counter()
    rows, cpu = WORKERS[name](folder)
    peak = peak_kilobytes()
    found = {
        "rows": rows,
        "cpu_s": cpu,
        "wall_s": time.perf_counter() - start,
        "rows_per_cpu_s": rows / cpu,
        "peak_mb": peak / 1024,
        "before_mb": before / 1024,
    }
    print(json.dumps(found))


def in_process(python: str, name: str, folder: Path) -> dict[str, float]:
    """One figure from a process of its own."""
    command = [python, __file__, "--work", name, "--folder", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def psl_missing(python: str) -> str:
    """Why PSL cannot run here; empty if it can."""
    asked = subprocess.run(
        [python, "-c", "import pslpython.runtime"], capture_output=True, text=True, check=False
    )
    return asked.stderr.strip().splitlines()[-1] if asked.returncode else ""


def main() -> None:
    """Every figure at every size, and ratios to the join and to PSL."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[10**5, 10**6, 10**7])
    parser.add_argument("--quick", action="store_true", help="100,000 rows only")
    parser.add_argument("--psl-python", default=sys.executable)
    parser.add_argument("--psl-limit", type=int, default=10**6, help="no PSL above so many rows")
    parser.add_argument("--out", type=Path, default=Path("grounding_peers.json"))
    parser.add_argument("--work", choices=WORKERS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options.work, options.folder)
        return
    missing = psl_missing(options.psl_python)
    if missing:
        print(f"no PSL: {missing} (give --psl-python an interpreter that has pslpython)")
    print(f"{'rows':>11} {'what':10}{'CPU s':>9}{'rows/CPU s':>13}{'peak MB':>9}{'x join':>8}")
    results = []
    for rows in options.rows[:1] if options.quick else options.rows:
        results += at_size(rows, options, missing)
    options.out.write_text(json.dumps(results, indent=1))


def at_size(rows: int, options: argparse.Namespace, missing: str) -> list[dict]:
    """All figures of one size, printed."""
    found = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_files(rows, folder)
        for name in WORKERS:
            if name == "PSL file" and (missing or rows > options.psl_limit):
                continue
            python = options.psl_python if name == "PSL file" else sys.executable
            figure = in_process(python, name, folder)
            found.append({"size": rows, "what": name, **figure})
            print(
                f"{figure['rows']:11,} {name:10}{figure['cpu_s']:9.2f}"
                f"{figure['rows_per_cpu_s']:13,.0f}{figure['peak_mb']:9,.0f}"
                f"{figure['cpu_s'] / found[0]['cpu_s']:8.1f}",
                flush=True,
            )
    by_name = {figure["what"]: figure for figure in found}
    if "PSL file" in by_name:
        times = by_name["PSL file"]["cpu_s"] / by_name["file"]["cpu_s"]
        print(f"{'':12}PSL takes {times:.0f} times the CPU of knowreason, file to factors")
    return found


if __name__ == "__main__":
    main()
