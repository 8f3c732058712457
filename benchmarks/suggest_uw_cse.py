"""UW-CSE, one area left out: rules that the other areas suggest, alone, on the one left out.

    python benchmarks/suggest_uw_cse.py [--only AREA] [--count 10] [--out FILE]   # KNOWREASON_DATA

The program declares what the facts hold and which pairs are asked: all pairs of people in an
area's `queries`, no definition and no rule. `suggest` sees two areas, and a program of its rules
alone learns its weights there. Average precision is over all pairs of the third area.
BoostSRL's figure (boosted relational trees) is quoted.
"""

import argparse
import json
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
from sklearn.metrics import average_precision_score, roc_auc_score

import knowreason as kr

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))

import advisor
from mln_files import data_folder

BOOSTSRL = 0.35
DECLARATIONS = """
domain Person, Area, Paper, Course, Project, Quarter, Level, Position, Phase, Year
observed Student(Person)
observed Professor(Person)
observed HasPosition(Person, Position)
observed InPhase(Person, Phase)
observed YearsInProgram(Person, Year)
observed Publication(Paper, Person)
observed TaughtBy(Course, Person, Quarter)
observed TA(Course, Person, Quarter)
observed CourseLevel(Course, Level)
observed IntroCourse(Course)
observed ProjectMember(Project, Person)
observed TempAdvisedBy(Person, Person)
observed Asked(Person, Person)
attribute area(Person): Area
query AdvisedBy(Person, by: Person) within Asked
"""
SETTINGS = kr.Settings(answer="rules", weights="learned", auto_trees=False)


def load(root: Path, areas: list[str], program: kr.Program) -> kr.Dataset:
    """Facts of some areas, all asked pairs labelled."""
    parts = [advisor.area_tables(program, root / area) for area in areas]
    names = dict.fromkeys(name for part in parts for name in part)
    tables = {name: pl.concat([part[name] for part in parts if name in part]) for name in names}
    truths = tables.pop("AdvisedBy")
    tables["Asked"] = truths.select("a0", "a1")
    people = pl.concat([truths["a0"], truths["a1"]]).unique(maintain_order=True)
    tables["area"] = pl.DataFrame({"a0": people, "area": people.str.split("/").list.first()})
    return kr.Dataset.from_frames(program, facts=tables, labels={"AdvisedBy": truths})


def measure(root: Path, area: str, count: int, folds: str) -> dict[str, object]:
    """What is suggested without an area, and how it does there."""
    start = time.process_time()
    program = kr.loads(DECLARATIONS)
    past = load(root, [one for one in advisor.AREAS if one != area], program)
    found = kr.suggest(kr.Reasoner(program, folds=folds, settings=SETTINGS), past, count=count)
    suggested = time.process_time() - start
    rules = "\n".join(one.rule for one in found.rules)
    whole = kr.loads(f"{DECLARATIONS}\n{rules}")
    reasoner = kr.Reasoner(whole, folds=folds, settings=SETTINGS).fit(replace(past, program=whole))
    today = load(root, [area], whole)
    labels = today.labels["AdvisedBy"]
    beliefs = reasoner.infer(today.hide("AdvisedBy", [True] * labels.num_rows))
    atoms = beliefs.asked("AdvisedBy")
    truth, scores = beliefs.grounding.hidden[atoms], beliefs.log_odds[atoms]
    return {
        "area": area,
        "ap": average_precision_score(truth, scores),
        "auc": roc_auc_score(truth, scores),
        "pairs": len(atoms),
        "true": int(truth.sum()),
        "suggest_cpu_s": suggested,
        "cpu_s": time.process_time() - start,
        "searched": found.notes,
        "rules": [f"{one.gain:.1f} +- {one.error:.1f}  {one.rule}" for one in found.rules],
        "pruned": found.pruned,
    }


def main() -> None:
    """Each area left out in turn, and the mean."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=advisor.AREAS)
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--folds", default="", help="such as group:area")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    root = data_folder() / "mln" / "uw_cse"
    results = []
    for area in [options.only] if options.only else advisor.AREAS:
        found = measure(root, area, options.count, options.folds)
        results.append(found)
        print(
            f"{area}: AP {found['ap']:.3f}, AUC {found['auc']:.3f}, {found['pairs']} pairs, ",
            end="",
        )
        print(f"{found['true']} true; suggest {found['suggest_cpu_s']:.0f} CPU s")
        for line in (*found["searched"], *found["rules"]):
            print(f"  {line}", flush=True)
    mean = np.mean([found["ap"] for found in results])
    print(f"mean AP {mean:.3f} (BoostSRL {BOOSTSRL})")
    if options.out:
        options.out.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
