"""Who advises whom in one area of a department, learned from the other areas.

    python examples/advisor.py [--ask graphics]

Reads `mln/uw_cse` of the real data (`KNOWREASON_DATA`).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import polars as pl
from mln_files import data_folder, read_atoms

import knowreason as kr
from knowreason.resources import rulesets_path

AREAS = ("graphics", "language", "systems")
OF_ONE_AREA = {"Person", "Paper", "Course"}  # domains whose names mean something else elsewhere


def area_tables(program: kr.Program, folder: Path) -> dict[str, pl.DataFrame]:
    """Tables of one area by predicate, `AdvisedBy` with its truth; names begin with the area."""
    area = folder.name
    files = read_atoms(folder / "facts") | read_atoms(folder / "queries")
    by_name = {p.name.lower(): p.name for p in program.predicates}
    tables = {}
    for source, frame in files.items():
        name = by_name.get(source.lower())
        if name is None:
            continue
        local = [
            (pl.lit(f"{area}/") + pl.col(column) if sort in OF_ONE_AREA else pl.col(column)).alias(
                column
            )
            for column, sort in zip(frame.columns, program.sorts_of(name), strict=False)
        ]
        truth = ["truth"] if name == "AdvisedBy" else []
        tables[name] = frame.select(*local, *truth)
    people = pl.concat([tables["Student"], tables["Professor"]])
    tables["area"] = people.select("a0", pl.lit(area).alias("area")).unique(maintain_order=True)
    return tables


def load(folder: Path, areas: Sequence[str], program: kr.Program | None = None) -> kr.Dataset:
    """A data set of some areas together; who advises whom is labelled.

    Args:
        folder: with one folder an area.
        areas: their names.
        program: instead of `rulesets/advisor.kr`.
    """
    program = program or kr.load(rulesets_path() / "advisor.kr")
    parts = [area_tables(program, folder / area) for area in areas]
    names = {name: None for part in parts for name in part}
    tables = {name: pl.concat([part[name] for part in parts if name in part]) for name in names}
    truths = tables.pop("AdvisedBy")
    candidates = tables["Student"].join(tables["Professor"], how="cross", suffix="_professor")
    asked = truths.join(candidates, left_on=["a0", "a1"], right_on=["a0", "a0_professor"])
    return kr.Dataset.from_frames(program, facts=tables, labels={"AdvisedBy": asked})


def main() -> None:
    """Learn from the other areas, ask about one, and print the strongest conclusions."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ask", choices=AREAS, default="graphics")
    asked = parser.parse_args().ask
    folder = data_folder() / "mln" / "uw_cse"
    past = load(folder, [area for area in AREAS if area != asked])
    today = load(folder, [asked])
    today = today.hide("AdvisedBy", [True] * today.labels["AdvisedBy"].num_rows)
    reasoner = kr.Reasoner(past.program).fit(past)
    print(reasoner.weights_)
    print(f"average precision {reasoner.score(today)['average_precision']}")


if __name__ == "__main__":
    main()
