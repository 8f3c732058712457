"""Do the tests notice a changed program? Mutants of packages, and the tests that reach them.

    python .ci/mutants.py factors inference [--count 200] [--seed 0] [--out mutants.jsonl]
        [--tests factors inference] [--again survived] [--workers 2]
        [--budget SECONDS] [--list]

A mutant differs in one place: a comparison, an operation, a constant, a condition, what a function
returns, a statement, a bound of a slice. Docstrings, annotations, texts, decorators, arguments of
errors and ``__all__`` stay. The same seed draws the same mutants of the same sources; a larger
count adds to them.

Which test executes which line is recorded once, at the start (``reached_tests.py``); a mutant runs
only against the tests that execute its statement, quickest first, until one fails. Constants and
compiled kernels are not traced: for them, the tests that execute a line with their name, or with
the name of a kernel that names them. A mutant is a fork of a process that has imported the
libraries, in a copy of the repository; kernels that may hold the changed line are taken out of
numba's cache. A statement that no test executes survives without a run, and so does what passes the
quickest tests within --budget. The record and the copies stay in the folder of --out's name: only
changed files of tests are recorded anew, all of them when the package changed.

Every result is a line of JSON in --out, with the test that failed; a second call runs only what is
missing there, and ``--again survived`` runs the survivors anew, after tests were written.
Survivors are printed as diffs. A mutant that runs into a test's time limit is killed. (DeMillo,
Lipton and Sayward, 1978.)
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import importlib
import json
import multiprocessing
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from math import inf
from pathlib import Path

from mutations import PACKAGE, ROOT, Mutant, drawn
from reached_tests import Chosen, Reached, Record, Recorder

MEMORY = 8 << 30  # bytes for one run: a mutant may allocate without end
LIBRARIES = (
    "duckdb", "hypothesis", "lark", "numba", "pandas", "polars", "pyarrow", "pydantic", "pytest",
    "scipy.optimize", "scipy.sparse.csgraph", "scipy.stats", "sklearn", "sqlglot", "torch",
)  # fmt: skip
COMPILED = 180  # seconds that kernels may take to be compiled anew
OPTIONS = ["-x", "-q", "-p", "no:cacheprovider", "--assert=plain"]
forked = multiprocessing.get_context("fork")


class Copy:
    """A copy of the repository in which one mutant after the other is run."""

    def __init__(self, place: Path) -> None:
        self.root, self.cache = place / "copy", place / "numba"
        self.cache.mkdir(parents=True, exist_ok=True)
        listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
        files = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        for file in filter(None, files.split("\0")):
            new, old = ROOT / file, self.root / file
            if not new.is_file() or (old.exists() and old.read_bytes() == new.read_bytes()):
                continue  # the kernels of an earlier run are of this file
            old.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(new, old)
        # Compiled once and checked by content: a mutant of equal size and second is seen.
        compiled = [sys.executable, "-m", "compileall", "-q", "--invalidation-mode", "checked-hash"]
        subprocess.run([*compiled, PACKAGE, "tests"], cwd=self.root, check=True)

    def pytest(self, arguments: Sequence[str], plugin: object, cache: Path) -> int:
        """The exit code of pytest in a fork of this process; negative: the signal that ended it."""
        process = forked.Process(target=self._pytest, args=(arguments, plugin, cache))
        process.start()
        try:
            process.join()
        finally:
            assert process.pid is not None
            with contextlib.suppress(ProcessLookupError):  # what it started, too
                os.killpg(process.pid, signal.SIGKILL)
            process.kill()
            process.join()
        return process.exitcode or 0

    def _pytest(self, arguments: Sequence[str], plugin: object, cache: Path) -> None:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
        output = os.open(self.root.parent / "output", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(output, 1), os.dup2(output, 2)
        os.chdir(self.root)
        sys.path.insert(0, str(self.root))
        os.environ["PYTHONPATH"] = str(self.root)
        import numba
        import pytest

        numba.config.CACHE_DIR = str(cache)  # type: ignore[attr-defined]  # made when imported
        code = pytest.main([*OPTIONS, *arguments], plugins=[plugin])
        sys.stdout.flush()
        os._exit(code)

    def run(self, mutant: Mutant, reached: Reached) -> dict[str, object]:
        """``status`` is killed, time (killed, too) or survived; ``by`` the test that failed."""
        tests = reached.tests(mutant)
        if not tests:
            return {"status": "survived", "tests": 0, "by": ""}
        path, cache, slack = self.root / mutant.file, self.cache, 30
        original, stamp = path.read_bytes(), path.stat()
        stale = reached.sources.stale(mutant)
        if stale:
            cache, slack = self.cache.with_name("without"), COMPILED
            shutil.rmtree(cache, ignore_errors=True)
            shutil.copytree(self.cache, cache, copy_function=os.link)  # numba replaces, not writes
            for stem in stale:
                for file in cache.rglob(f"{stem}.*"):
                    file.unlink()
        failed = self.root.parent / "failed"
        failed.write_text("", encoding="utf-8")
        try:
            path.write_bytes(mutant.apply(original))
            code = self.pytest(reached.files(tests), Chosen(tests, slack, failed), cache)
        finally:
            path.write_bytes(original)
            os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))  # its own kernels stay cached
        if code == 5:
            raise RuntimeError(f"the tests of {mutant.file}:{mutant.line} are not found")
        status = {-signal.SIGALRM: "time", 0: "survived"}.get(code, "killed")
        return {"status": status, "tests": len(tests), "by": failed.read_text(encoding="utf-8")}


def record(copy: Copy, folders: list[str], stored: Path) -> Record:
    """Which test executes which lines, and how long it takes; all must pass, with warm kernels."""

    def digest(paths: Iterable[Path]) -> str:
        return hashlib.sha256(b"".join(path.read_bytes() for path in sorted(paths))).hexdigest()

    tests = [path for folder in folders for path in (ROOT / "tests" / folder).rglob("test_*.py")]
    shared = digest([*(ROOT / PACKAGE).rglob("*.py"), *(ROOT / "tests").glob("*.py")])
    files = {str(path.relative_to(ROOT)): digest([path]) + shared for path in sorted(tests)}
    known = Record(**json.loads(stored.read_text())) if stored.exists() else Record({}, {}, {})
    changed = [file for file in files if known.files.get(file) != files[file]]
    if changed:
        out = stored.with_suffix(".part")
        parts = []
        for traced in (True, False):  # seconds once more, with warm kernels
            if copy.pytest(changed, Recorder(copy.root, out, traced), copy.cache):
                sys.exit(f"{(copy.root.parent / 'output').read_text()}\nfails without any mutant")
            parts.append(json.loads(out.read_text(encoding="utf-8")))
        new = Record(files, parts[0]["lines"], parts[1]["seconds"])
        known = known.of(set(files) - set(changed)).joined(new)
        out.unlink()
        stored.write_text(json.dumps(asdict(known)), encoding="utf-8")
    return known.of(set(files))


def work(mutants: list[Mutant], copy: Copy, reached: Reached, out: Path) -> None:
    """One mutant after the other; each result is written at once."""
    for mutant in mutants:
        began = time.monotonic()
        row = {**asdict(mutant), "key": mutant.key, **copy.run(mutant, reached)}
        row |= {"seconds": round(time.monotonic() - began, 1), "diff": mutant.diff()}
        with out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        where = f"{mutant.file}:{mutant.line}"
        said = f"{row['status']:<9}{row['seconds']:>6} s {row['tests']:>4} tests"
        print(f"{said}  {where}  {mutant.operator}  {row['by']}", flush=True)


def run_all(missing: list[Mutant], chosen: argparse.Namespace, place: Path) -> None:
    os.environ |= {"OMP_NUM_THREADS": "1", "CI": "true"}  # torch reads it when it is imported
    sys.dont_write_bytecode = True
    copies = [Copy(place / str(number)) for number in range(chosen.workers)]
    for name in LIBRARIES:  # forks need not import them
        importlib.import_module(name)
    reached = Reached(record(copies[0], chosen.tests, place / "record.json"), chosen.budget)
    workers = [
        forked.Process(
            target=work, args=(missing[number :: chosen.workers], copy, reached, chosen.out)
        )
        for number, copy in enumerate(copies)
    ]
    try:
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    finally:
        for worker in workers:
            worker.terminate()
            worker.join()
    if any(worker.exitcode for worker in workers):
        sys.exit("a worker failed")


def read(out: Path, again: str) -> dict[str, dict[str, object]]:
    """Results that are there, by mutant; the last of each counts."""
    lines = out.read_text(encoding="utf-8").splitlines() if out.exists() else []
    found = {row["key"]: row for row in map(json.loads, lines)}
    return {key: row for key, row in found.items() if row["status"] != again}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("packages", nargs="+", help="folders of the package, such as factors")
    parser.add_argument("--count", type=int, default=200, help="mutants of all these together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("mutants.jsonl"))
    parser.add_argument("--tests", nargs="+", help="folders of tests; those of the packages")
    parser.add_argument("--again", default="", help="a status to run anew: survived")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--budget", type=float, default=inf, help="recorded seconds of tests each")
    parser.add_argument("--list", action="store_true", help="show them, run nothing")
    chosen = parser.parse_args()
    chosen.tests, chosen.out = chosen.tests or chosen.packages, chosen.out.absolute()
    mutants = drawn(chosen.packages, chosen.count, chosen.seed)
    if chosen.list:
        print(*(mutant.diff() for mutant in mutants), sep="\n")
        return
    stored = read(chosen.out, chosen.again)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    missing = [mutant for mutant in mutants if mutant.key not in stored]
    if missing:
        run_all(missing, chosen, chosen.out.with_suffix(""))
    stored = read(chosen.out, "")
    results = [stored[mutant.key] for mutant in mutants]
    print(*(row["diff"] for row in results if row["status"] == "survived"), sep="\n")
    for package in chosen.packages:
        counted = Counter(row["status"] for row in results if row["package"] == package)
        total = max(counted.total(), 1)
        killed = total - counted["survived"]
        print(f"{package:<12} {killed}/{total} killed ({killed / total:.0%}), {dict(counted)}")


if __name__ == "__main__":
    main()
