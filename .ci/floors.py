"""Tries the lowest versions that pyproject.toml allows: installs them, runs the starter.

    python .ci/floors.py

uv solves for the lowest version of each direct dependency; what these need in turn is as in
constraints.txt. pip installs, since it finds a CPU build of torch that is at hand: torch is of the
version in constraints.txt, its lower bound is the one not tried. Then the installed package checks
the rule sets, infers the smokers, and goes through the starter project.

Exits with 0 where that works, and where no registry is reached, which is then said in a line
that starts with ``skipped:``; with 1 where it does not.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Pinned to one version by what needs them, so they move with its lower bound.
TIED = {"llvmlite", "pydantic-core"}
SMOKERS = ('Smokes("bob")', "0.422")  # as in README.md
STARTER = (
    ("--help",),
    ("train", "--help"),
    ("new", "starter"),
    ("plan", "starter"),
    ("train", "starter", "-o", "starter/run"),
    ("eval", "starter/run"),
    ("predict", "starter/run", "-o", "predictions.parquet"),
    ("predict", "starter/run", "-o", "predictions.csv"),
)


def name(requirement: str) -> str:
    """The distribution that a requirement or pin names, normalised."""
    return re.sub(r"[-_.]+", "-", re.split(r"[^\w.-]", requirement.strip(), maxsplit=1)[0]).lower()


def call(*command: str | Path, cwd: Path) -> str:
    """What a command prints; `SystemExit` where it fails."""
    print("$", *(part.name if isinstance(part, Path) else part for part in command), flush=True)
    done = subprocess.run(
        [*map(str, command)], cwd=cwd, text=True, capture_output=True, check=False
    )
    if done.returncode:
        sys.exit(
            f"{done.stdout[-4000:]}{done.stderr[-8000:]}\nfailed: {' '.join(map(str, command))}"
        )
    return done.stdout


def environment(folder: Path) -> Path:
    """The folder of programs of a fresh virtual environment."""
    call(sys.executable, "-m", "venv", folder, cwd=folder.parent)
    return folder / ("Scripts" if os.name == "nt" else "bin")


def solver(work: Path) -> Path | None:
    """uv in an environment of its own; None where no registry is reached."""
    programs = environment(work / "uv")
    pip = [programs / "python", "-m", "pip", "install", "--quiet", "uv"]
    done = subprocess.run(pip, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["pip failed"])[-1]
        print(f"skipped: lowest versions, no uv to solve for them ({last})")
        return None
    return programs / "uv"


def solve(uv: Path, work: Path) -> Path:
    """File of the lowest versions."""
    stated = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    build = stated["build-system"]["requires"]
    moving = {*map(name, stated["project"]["dependencies"]), *map(name, build), *TIED} - {"torch"}
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    kept, builders, lowest = work / "kept.txt", work / "build.in", work / "lowest.txt"
    kept.write_text("\n".join(pin for pin in pins if name(pin) not in moving), encoding="utf-8")
    builders.write_text("\n".join(build), encoding="utf-8")
    call(
        *(uv, "pip", "compile", "--quiet", "--no-annotate", "--resolution", "lowest-direct"),
        *("-c", kept, "-o", lowest, ROOT / "pyproject.toml", builders),
        cwd=work,
    )
    shown = [pin for pin in lowest.read_text(encoding="utf-8").splitlines() if name(pin) in moving]
    print(*shown, sep="\n")
    return lowest


def main() -> None:
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        work = Path(place)
        uv = solver(work)
        if uv is None:
            return
        lowest = solve(uv, work)
        programs = environment(work / "lowest")
        pip = (programs / "python", "-m", "pip", "install", "--quiet", "--no-compile", "-c", lowest)
        call(*pip, "torch", "hatchling", cwd=work)
        call(*pip, "--no-build-isolation", ROOT, cwd=work)
        knowreason = programs / "knowreason"
        rules = ROOT / "rulesets"
        call(knowreason, "check", *sorted(rules.glob("*.kr")), cwd=work)
        told = call(knowreason, "infer", rules / "smokers.kr", rules / "smokers.facts", cwd=work)
        if not any(all(part in line for part in SMOKERS) for line in told.splitlines()):
            sys.exit(f"{told}\nfailed: {' '.join(SMOKERS)} is not there")
        for arguments in STARTER:
            call(knowreason, *arguments, cwd=work)
    print(f"the lowest versions work ({time.monotonic() - began:.0f} s)")


if __name__ == "__main__":
    main()
