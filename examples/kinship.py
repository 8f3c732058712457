"""Who is a man, from family relations alone.

    python examples/kinship.py [S1 S2 S3]

Reads `mln/kinship` of the real data (`KNOWREASON_DATA`).
No labels are used: every rule stands at its prior weight.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from mln_files import data_folder, read_atoms

import knowreason as kr
from knowreason.resources import rulesets_path

RELATIONS = ("Father", "Mother", "Husband", "Wife", "Son", "Daughter", "Brother", "Sister")


def load(folder: Path, program: kr.Program | None = None) -> kr.Dataset:
    """A data set of one folder; the truth of every question is a hidden label.

    Args:
        folder: with the files `facts` and `queries`.
        program: instead of `rulesets/kinship.kr`.
    """
    program = program or kr.load(rulesets_path() / "kinship.kr")
    facts, asked = read_atoms(folder / "facts"), read_atoms(folder / "queries")["male"]
    data = kr.Dataset.from_frames(
        program,
        facts={name: facts[name.lower()].drop("truth") for name in RELATIONS},
        labels={"Male": asked},
    )
    return data.hide("Male", [True] * asked.height)


def main() -> None:
    """Print average precision of each set, rules at their prior weights."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", nargs="*", default=["S1", "S2", "S3"])
    for name in parser.parse_args().sets:
        data = load(data_folder() / "mln" / "kinship" / name)
        reasoner = kr.Reasoner(data.program).fit(data)
        print(f"{name}: average precision {reasoner.score(data)['average_precision']}")


if __name__ == "__main__":
    main()
