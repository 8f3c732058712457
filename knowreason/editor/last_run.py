"""What the last run of a project learned: weights, their errors and the support of rules."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from knowreason.errors import KnowreasonError
from knowreason.lang import load
from knowreason.logic import Program
from knowreason.logic.canonical_text import rule_text
from knowreason.project.manifests import MANIFEST, RULES, has_manifest

_LINES = 6  # weights of one rule that are listed


@dataclass(frozen=True)
class LastRun:
    """A run folder as an editor reads it.

    Attributes:
        folder: where it is.
        finished: when, as its manifest says.
        weights: the tables of ``weights.toml``, by name.
        support: what became of the groundings of each rule.
        rules: canonical text of each rule that was learned.
    """

    folder: Path
    finished: str
    weights: dict[str, dict[str, Any]]
    support: dict[str, dict[str, Any]]
    rules: dict[str, str]

    def of_rule(self, name: str, program: Program) -> list[str]:
        """Lines about a rule: its weights, its groundings, and whether it changed since."""
        lines = self.of_weights(name, f"{name}[")
        if not lines:
            return []
        counts = self.support.get(name)
        if counts:
            parts = [f"{counts[k]:,} {k}" for k in ("satisfied", "violated", "open")]
            lines.append(f"{counts['candidate']:,} groundings: {', '.join(parts)}")
        now = {rule.name: rule_text(rule) for rule in program.rules}
        if name in now and self.rules.get(name) != now[name]:
            lines.append("**the rule has changed since that run**")
        return lines

    def of_weights(self, name: str, *prefixes: str) -> list[str]:
        """A line for each weight of that name, or whose name begins with a prefix."""
        found = [n for n in self.weights if n == name or n.startswith(prefixes or ("\n",))]
        lines = [self._weight(each) for each in found[:_LINES]]
        return lines + [f"... {len(found) - _LINES} more"] * (len(found) > _LINES)

    def _weight(self, name: str) -> str:
        weight = self.weights[name]
        error = weight.get("standard_error")
        spread = "" if not error or error != error else f" ± {error:.3g}"
        return f"`{name}`: weight **{weight['weight']:.3g}**{spread} ({weight['status']})"


def last_run(folder: Path, program: str) -> LastRun | None:
    """The newest run below a folder or in its ``runs``, or in ``runs/PROGRAM`` of the working
    folder, where ``train`` writes; ``None`` without one."""
    places = [*folder.glob("*"), *folder.glob("runs/*"), Path("runs").resolve() / program]
    found = [place for place in places if has_manifest(place) and (place / RULES).is_file()]
    times = {place: (place / MANIFEST).stat().st_mtime_ns for place in found}
    for place in sorted(found, key=times.__getitem__, reverse=True):
        run = _read(place, times[place])
        if run is not None:
            return run
    return None


@lru_cache(maxsize=8)
def _read(folder: Path, _: int) -> LastRun | None:
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        weights = tomllib.loads((folder / "weights.toml").read_text(encoding="utf-8"))
        support = {each["rule"]: each for each in _support(folder)}
        rules = {rule.name: rule_text(rule) for rule in load(folder / RULES).rules}
    except (OSError, ValueError, KeyError, KnowreasonError):
        return None  # a folder that is being written, or of another version
    return LastRun(folder, str(manifest.get("finished", "")), weights, support, rules)


def _support(folder: Path) -> Iterator[dict[str, Any]]:
    file = folder / "grounding.json"
    yield from json.loads(file.read_text(encoding="utf-8")) if file.is_file() else ()
