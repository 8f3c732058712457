"""CPU seconds of verbs, each in a process of its own, and of importing numpy and torch alone.

    python benchmarks/start_up.py [--times 3] [--threads 1] [--before CHECKOUT] [--only VERB ...]

User and system seconds of the process and its children, the least of several. `before` is a
checkout of an earlier version, run in turns with this one. `plan` and `train` are of the starter
(`knowreason new`), `train, wrong ...` of copies of it with a mistake; the greatest difference of
the probabilities of `train` to those of the earlier version is told.
The first run compiles kernels for the cache and is not counted.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

HERE = Path(__file__).resolve().parent.parent
LIBRARIES = ["-c", "import numpy, torch"]
WRONG = "wrong "  # how names of run folders begin that are never written


def cpu_seconds(arguments: Sequence[str], checkout: Path, threads: int) -> float:
    """Of one process of this interpreter and what it starts."""
    environment = os.environ | {"PYTHONPATH": str(checkout), "OMP_NUM_THREADS": str(threads)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    if "new" in arguments:
        shutil.rmtree(arguments[-1], ignore_errors=True)
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(  # `-m` looks into the working directory first
        [sys.executable, *arguments], cwd=checkout, env=environment, stdout=quiet, stderr=quiet
    )
    _, status, used = os.wait4(process.pid, 0)
    expected = 2 if Path(arguments[-1]).name.startswith(WRONG) else 0
    if os.waitstatus_to_exitcode(status) != expected:
        raise SystemExit(f"{arguments} failed")
    return used.ru_utime + used.ru_stime


def verbs(checkout: Path, folder: Path) -> dict[str, list[str]]:
    """Arguments of each verb that is timed."""
    project, rules = folder / "starter", checkout / "rulesets"
    smokers = [str(rules / "smokers.kr"), str(rules / "smokers.facts")]
    copies = {name: str(folder / name) for name in ("rules", "binding", "data")}
    found = {
        "help": ["--help"],
        "explain-code": ["explain-code", "KR101"],
        "models": ["models"],
        "fmt": ["fmt", "--check", str(rules / "smokers.kr")],
        "check": ["check", str(rules / "smokers.kr")],
        "check, project": ["check", str(project)],
        "new": ["new", str(folder / "another")],
        "plan": ["plan", str(project)],
        **{
            f"train, wrong {name}": ["train", copy, "-o", str(folder / (WRONG + name))]
            for name, copy in copies.items()
        },
        "infer": ["infer", *smokers],
        "train": ["train", str(project), "-o", str(folder / "run"), "--force"],
    }
    return {verb: ["-m", "knowreason", *arguments] for verb, arguments in found.items()}


def write_wrong(project: Path) -> None:
    """Copies of a starter that `train` refuses: its rules, a binding, values of a table."""
    mistakes = {
        "rules": ("skimming.kr", "query Fraud(", "query Frau("),
        "binding": ("knowreason.toml", 'label = "fraud"', 'label = "fraudd"'),
        "data": ("knowreason.toml", 'value = "amount"', 'value = "entry"'),
    }
    for name, (file, right, wrong) in mistakes.items():
        changed = shutil.copytree(project, project.parent / name) / file
        changed.write_text(changed.read_text("utf-8").replace(right, wrong), "utf-8")


def difference(one: Path, two: Path) -> float:
    """Greatest difference of the marginals of two runs."""
    worst = 0.0
    for file in sorted((one / "run" / "marginals").glob("*.parquet")):
        tables = [pq.read_table(folder / "run" / "marginals" / file.name) for folder in (one, two)]
        found, other = (table["probability"].to_numpy() for table in tables)
        worst = max(worst, float(np.abs(found - other).max(initial=0.0)))
    return worst


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--before", type=Path)
    parser.add_argument("--only", nargs="*")
    given = parser.parse_args()
    checkouts = [HERE] + ([given.before.resolve()] if given.before else [])
    with tempfile.TemporaryDirectory() as scratch:
        folders = [Path(scratch) / str(number) for number in range(len(checkouts))]
        timed = [verbs(*pair) for pair in zip(checkouts, folders, strict=True)]
        for number, folder in enumerate(folders):
            folder.mkdir()
            made = ["-m", "knowreason", "new", str(folder / "starter")]
            cpu_seconds(made, checkouts[number], given.threads)
            write_wrong(folder / "starter")
        print("| verb | CPU s" + (" | before" if given.before else "") + " | numpy and torch |")
        print("|---|---|---|" + ("---|" if given.before else ""))
        for verb in given.only or timed[0]:
            rounds = [
                [
                    *(
                        cpu_seconds(mine[verb], checkout, given.threads)
                        for mine, checkout in zip(timed, checkouts, strict=True)
                    ),
                    cpu_seconds(LIBRARIES, HERE, given.threads),
                ]
                for _ in range(given.times + 1)
            ]
            least = np.min(rounds[1:], axis=0)
            print(f"| {verb} | " + " | ".join(f"{seconds:.2f}" for seconds in least) + " |")
            if verb == "train" and given.before:
                print(f"\ngreatest difference of probabilities: {difference(*folders):.1e}")


if __name__ == "__main__":
    main()
