"""A project of visits and thefts on small CSV tables, for tests of the rules' life cycle."""

import csv
from pathlib import Path

import numpy as np

RULES = """domain Visit
observed Night(Visit)
observed Big(Visit)
attribute day(Visit): int clock
query Theft(Visit)

rule rare  [?]    : Theft(v)
rule night [? 1]  : Night(v) => Theft(v)
rule big   [? 1]  : Big(v) => Theft(v)
rule both  [shadow] : Night(v) & Big(v) => Theft(v)
"""
PROJECT = """program = "visits.kr"
[tables.visits]
path = "data/visits.csv"
[tables.night]
path = "data/night.csv"
[tables.big]
path = "data/big.csv"
[tables.labels]
path = "data/labels.csv"
[bind]
day   = { table = "visits", columns = ["visit"], value = "day" }
Night = { table = "night", columns = ["visit"] }
Big   = { table = "big", columns = ["visit"] }
Theft = { table = "labels", columns = ["visit"], label = "theft" }
[split]
by = "day"
train = "< 6"
test = ">= 6"
"""


def write_visits(folder: Path, rules: str = RULES) -> Path:
    """Ten days of 24 visits: half at night, a third big; a theft is likely at night, surer if
    big."""
    rng = np.random.default_rng(0)
    names = [f"v{i:03}" for i in range(240)]
    day = np.repeat(np.arange(10), 24)
    night, big = rng.random(240) < 0.5, rng.random(240) < 0.3
    theft = rng.random(240) < 0.1 + 0.3 * night + 0.3 * big
    (folder / "data").mkdir(parents=True)
    (folder / "knowreason.toml").write_text(PROJECT)
    (folder / "visits.kr").write_text(rules)
    tables = {
        "visits": [("visit", "day"), *zip(names, day.tolist(), strict=True)],
        "night": [("visit",), *((name,) for name in np.array(names)[night].tolist())],
        "big": [("visit",), *((name,) for name in np.array(names)[big].tolist())],
        "labels": [("visit", "theft"), *zip(names, theft.astype(int).tolist(), strict=True)],
    }
    for name, rows in tables.items():
        with (folder / "data" / f"{name}.csv").open("w", newline="") as file:
            csv.writer(file).writerows(rows)
    return folder
