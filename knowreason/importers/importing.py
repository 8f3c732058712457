"""Files of another system as a project; which importer, and where it writes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from knowreason.errors import ProjectError
from knowreason.importers.import_report import ImportReport
from knowreason.importers.imported_project import Draft
from knowreason.importers.mln.mln_syntax import Dialect
from knowreason.project.manifests import run_folder

System = Literal["mln", "psl", "triples"]

# what marks the files of systems whose rules mean something else
_OTHERS = {
    "NeuraLogic": (
        r"^\s*\{[\d,\s]+\}.*:-|\[activation=|:-\s*\{[\d,\s]+\}",
        "its rules are layers of a neural network and its weights matrices: there is no weight of"
        " a formula to carry over",
    ),
    "ProbLog": (
        r"^\s*\d*\.?\d+\s*::",
        "its probabilities are of independent facts, from which everything else follows by logic:"
        " docs/coming-from/problog.md says what to write",
    ),
}


def import_project(
    paths: Sequence[Path],
    system: System,
    target: Path,
    *,
    dialect: Dialect = "alchemy",
    query: Iterable[str] = (),
    closed: Iterable[str] = (),
    learn: bool = False,
) -> ImportReport:
    """Writes a project that holds what the files say, and returns what became of each line.

    Args:
        paths: files and folders.
        system: whose files they are.
        target: folder of the project; must not be there yet.
        dialect: of Markov logic.
        query: predicates of Markov logic that are asked, under their own names.
        closed: predicates of Markov logic that are false where no file lists them.
        learn: weights are where learning starts, not given.

    Raises:
        ProjectError: KR914 where the target is there, KR915 where a file is not, KR971 for files
            of another system, KR972 for a name that none of them has.
    """
    for path in paths:
        if not path.exists():
            raise ProjectError(f"there is no file `{path}`", code="KR915")
    _refuse_other_systems(paths)
    first = paths[0]
    name = re.sub(r"\W+", "_", first.stem if first.is_file() else first.resolve().name) or "rules"
    draft = Draft(name)
    with run_folder(target) as folder:
        if system == "mln":
            from knowreason.importers.mln.mln_import import import_mln

            how = {"query": query, "closed": closed}
            import_mln(paths, draft, dialect=dialect, learn=learn, **how)
            draft.write(folder)
        elif system == "psl":
            from knowreason.importers.psl.psl_import import import_psl

            import_psl(paths, draft)
            draft.write(folder)
        else:
            from knowreason.importers.triple_files import import_triples

            import_triples(paths, draft, folder)
    return draft.report


def _refuse_other_systems(paths: Sequence[Path]) -> None:
    """Raise KR971 for files whose rules mean something else, naming the system."""
    for path in paths:
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in files:
            if not file.is_file() or file.suffix not in ("", ".txt", ".pl", ".mln", ".psl"):
                continue
            with file.open(encoding="utf-8", errors="replace") as opened:
                head = opened.read(1 << 14)
            for system, (mark, why) in _OTHERS.items():
                if found := re.search(mark, head, re.MULTILINE):
                    line = head.count("\n", 0, found.start()) + 1
                    raise ProjectError(
                        f"{file}:{line}: these are rules of {system}: {why}", code="KR971"
                    )
