"""Do the tests notice a changed program? Mutants of packages, run against the packages' own tests.

    python .ci/mutants.py factors inference [--count 200] [--seed 0] [--out mutants.jsonl]
        [--tests inference=tests/inference,tests/factors] [--again survived] [--workers 2] [--list]

A mutant differs in one place: a comparison, an operation, a constant, a condition, what a function
returns, a statement, a bound of a slice. Docstrings, annotations, texts, decorators, arguments of
errors and ``__all__`` stay. The same seed draws the same mutants of the same sources; a larger
count adds to them. Each runs in a copy of the repository, the test files that import its module
first, until one test fails. Kernels that may hold the changed line are taken out of numba's cache.

Every result is a line of JSON in --out; a second call runs only what is missing there, and
``--again survived`` runs the survivors anew, after tests were written. Survivors are printed as
diffs. A mutant that runs into the time limit is killed. (DeMillo, Lipton and Sayward, 1978.)
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import queue
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from mutations import PACKAGE, ROOT, Mutant, drawn

MEMORY = 8 << 30  # bytes for one run: a mutant may allocate without end


def imports(path: Path) -> set[str]:
    """Modules of the package that a file names in its imports, as dotted names."""
    found = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
        elif isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
    return {name for name in found if name.startswith(PACKAGE)}


def module(file: str) -> str:
    return file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


RUNNING: set[subprocess.Popen[bytes]] = set()


def end(process: subprocess.Popen[bytes]) -> None:
    """Ends a run and what it started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    RUNNING.discard(process)


class Sources:
    """Who imports whom, and which files hold kernels."""

    def __init__(self) -> None:
        files = list((ROOT / PACKAGE).rglob("*.py"))
        names = {module(path.relative_to(ROOT).as_posix()): path for path in files}
        self.importers: dict[str, set[str]] = {name: set() for name in names}
        for name, path in names.items():
            for used in imports(path) & set(names):
                self.importers[used].add(name)
        self.kernels = {name for name, path in names.items() if b"numba" in path.read_bytes()}

    def stale(self, changed: str) -> set[str]:
        """File stems of kernels that the changed module may be compiled into."""
        seen, left = set(), [changed]
        while left:
            name = left.pop()
            if name not in seen:
                seen.add(name)
                left += self.importers[name]
        return {name.rsplit(".", 1)[-1] for name in seen & self.kernels}


class Worker:
    """A copy of the repository in which one mutant after the other is run."""

    def __init__(self, place: Path, tests: dict[str, list[str]]) -> None:
        self.root, self.cache = place / "copy", place / "numba"
        self.tests, self.limits = tests, {}
        self.cache.mkdir(parents=True)
        listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
        files = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        for file in filter(None, files.split("\0")):
            if (ROOT / file).is_file():
                (self.root / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / file, self.root / file)
        # Compiled once and checked by content: a mutant of equal size and second is seen.
        compiled = [sys.executable, "-m", "compileall", "-q", "--invalidation-mode", "checked-hash"]
        subprocess.run([*compiled, PACKAGE, "tests"], cwd=self.root, check=True)

    def files(self, package: str, changed: str) -> list[str]:
        """Test files of a package, those that import the changed module first."""
        paths = [
            path
            for folder in self.tests[package]
            for path in sorted((self.root / folder).rglob("test_*.py"))
        ]
        paths.sort(key=lambda path: changed not in imports(path))
        return [path.relative_to(self.root).as_posix() for path in paths]

    def pytest(self, files: list[str], cache: Path, limit: float | None) -> int | None:
        """The exit code; None where it took too long."""
        environment = {
            **os.environ,
            "PYTHONPATH": str(self.root),
            "PYTHONDONTWRITEBYTECODE": "1",
            "NUMBA_CACHE_DIR": str(cache),
            "OMP_NUM_THREADS": "1",
            "CI": "true",
        }
        options = ["-x", "-q", "-p", "no:cacheprovider", "--hypothesis-profile=first_failure"]
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest", *options, *files],
            cwd=self.root,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY)),
        )
        RUNNING.add(process)
        try:
            return process.wait(limit)
        except subprocess.TimeoutExpired:
            return None
        finally:
            end(process)

    def prepare(self, package: str) -> None:
        """Run the tests as they are: they must pass, warm the cache and set the time limit."""
        began = time.monotonic()
        if self.pytest(self.files(package, ""), self.cache, None) != 0:
            sys.exit(f"the tests of {package} fail without any mutant")
        self.limits[package] = 3 * (time.monotonic() - began) + 30

    def run(self, mutant: Mutant, sources: Sources) -> str:
        """``killed``, ``time`` (killed, too) or ``survived``."""
        if mutant.package not in self.limits:
            self.prepare(mutant.package)
        path, changed = self.root / mutant.file, module(mutant.file)
        kept, stamp = path.read_bytes(), path.stat()
        stale = sources.stale(changed)
        cache, limit = self.cache, self.limits[mutant.package]
        if stale:
            cache, limit = self.cache.with_name("without"), limit + 240
            shutil.rmtree(cache, ignore_errors=True)
            shutil.copytree(self.cache, cache)
            for stem in stale:
                for file in cache.rglob(f"{stem}.*"):
                    file.unlink()
        try:
            path.write_bytes(mutant.apply(kept))
            code = self.pytest(self.files(mutant.package, changed), cache, limit)
        finally:
            path.write_bytes(kept)
            os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))  # its own kernels stay cached
        return {None: "time", 0: "survived"}.get(code, "killed")


def read(out: Path, again: str) -> dict[str, dict[str, object]]:
    """Results that are there, by mutant; the last of each counts."""
    lines = out.read_text(encoding="utf-8").splitlines() if out.exists() else []
    found = {row["key"]: row for row in map(json.loads, lines)}
    return {key: row for key, row in found.items() if row["status"] != again}


def run_all(missing: list[Mutant], chosen: argparse.Namespace, place: Path) -> None:
    """Runs what is missing, two at a time; each result is written at once."""
    tests = {package: [f"tests/{package}"] for package in chosen.packages}
    tests |= {name: value.split(",") for name, value in (t.split("=") for t in chosen.tests)}
    # Packages one after the other: each has its tests' time to be measured once a worker.
    left: queue.SimpleQueue[Mutant] = queue.SimpleQueue()
    for mutant in sorted(missing, key=lambda mutant: chosen.packages.index(mutant.package)):
        left.put(mutant)
    sources, lock, wrong = Sources(), threading.Lock(), []

    def work(number: int) -> None:
        try:
            worker = Worker(place / str(number), tests)
            while not wrong:
                mutant = left.get_nowait()
                began = time.monotonic()
                status = worker.run(mutant, sources)
                row = {**asdict(mutant), "key": mutant.key, "status": status}
                row |= {"seconds": round(time.monotonic() - began, 1), "diff": mutant.diff()}
                with lock, chosen.out.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")
                    where = f"{mutant.file}:{mutant.line}"
                    print(
                        f"{status:<9}{row['seconds']:>6} s  {where}  {mutant.operator}", flush=True
                    )
        except queue.Empty:
            pass
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(n,), daemon=True) for n in range(chosen.workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if wrong:
        raise wrong[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("packages", nargs="+", help="folders of the package, such as factors")
    parser.add_argument("--count", type=int, default=200, help="mutants of all these together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("mutants.jsonl"))
    parser.add_argument("--tests", nargs="+", default=[], help="PACKAGE=FOLDER,FOLDER")
    parser.add_argument("--again", default="", help="a status to run anew: survived")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--list", action="store_true", help="show them, run nothing")
    chosen = parser.parse_args()
    mutants = drawn(chosen.packages, chosen.count, chosen.seed)
    if chosen.list:
        print(*(mutant.diff() for mutant in mutants), sep="\n")
        return
    stored = read(chosen.out, chosen.again)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
        try:
            run_all([m for m in mutants if m.key not in stored], chosen, Path(place))
        finally:
            for process in tuple(RUNNING):
                end(process)
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
