"""Starter projects for ``knowreason new``; each runs as it is and teaches by its comments."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from knowreason.project.manifests import run_folder
from knowreason.registry import Registry
from knowreason.resources import rulesets_path, template_path

if TYPE_CHECKING:
    import pyarrow as pa

Template = Callable[[Path], str]
TEMPLATES: Registry[Template] = Registry("template", "knowreason.templates")


@TEMPLATES.register("fraud")
def fraud(folder: Path) -> str:
    """Card fraud at skimmed terminals: two models, a hub nobody labels, drift after the cut."""
    from knowreason.data.worlds.skimming import skimming

    world = skimming(seed=0, drift=0.5)
    names = ("payments", "cards", "terminals", "days", "labels")
    return _written(folder, "fraud", {name: world[name] for name in names}, "skimming.kr")


@TEMPLATES.register("intrusion")
def intrusion(folder: Path) -> str:
    """Attackers among logons: history by account and computer, trees, footholds over days."""
    from knowreason.data.lanl_logs import events
    from knowreason.data.worlds.intrusion import intrusion as world

    site = {"people": 40, "servers": 12, "services": 3, "machine": 0.5}
    log = world(0, days=10, red_campaigns=5, red_events=90, **site)  # type: ignore[arg-type]
    return _written(folder, "intrusion", {"events": events(log["auth"], log["redteam"])})


@TEMPLATES.register("labelling")
def labelling(folder: Path) -> str:
    """Spam without a label: functions that vote or abstain, and a text; generated comments."""
    from knowreason.data.worlds.comments import comments

    world = comments(seed=0)
    tables = {name: world[name] for name in ("comments", "votes", "labels")}
    return _written(folder, "labelling", tables, "labelling.kr")


@TEMPLATES.register("linkage")
def linkage(folder: Path) -> str:
    """Which records are one person: blocking in SQL, comparison levels, households."""
    from knowreason.data.worlds.duplicates import duplicates

    return _written(folder, "linkage", duplicates(seed=0))


@TEMPLATES.register("knowledge-graph")
def knowledge_graph(folder: Path) -> str:
    """What a graph of families leaves out: rules over any relation beside an embedding."""
    from knowreason.data.worlds.families import families

    tables = families(seed=0)
    return _written(folder, "knowledge-graph", tables, "knowledge_graph_rules.kr")


@TEMPLATES.register("blank")
def blank(folder: Path) -> str:
    """Each statement of the language once, over a table of 400 rows: to be replaced."""
    import numpy as np
    import pyarrow as pa

    rng = np.random.default_rng(0)
    count = 400
    office, amount = rng.integers(0, 40, count), rng.lognormal(6, 1, count).round(2)
    odds = 2 * (amount > 1000) + 3 * (office < 6) - 2.5
    wrong = rng.random(count) < 1 / (1 + np.exp(-odds))
    unknown = rng.random(count) < 0.1
    cases = {
        "id": [f"c{number}" for number in range(count)],
        "office": [f"o{number}" for number in office],
        "amount": amount,
        "kind": rng.choice(["loan", "card", "rent"], count),
        "wrong": pa.array(wrong.astype(int), mask=unknown),
    }
    return _written(folder, "blank", {"cases": pa.table(cases)}, form="csv")


def new_project(folder: Path, template: str) -> str:
    """Write a starter project; the command that runs it is returned.

    Raises:
        UnknownNameError: for a template that does not exist.
        ProjectError: KR914 where the folder is there.
    """
    fill = TEMPLATES[template]
    with run_folder(folder) as partial:
        command = fill(partial)
    return command.format(folder=folder)


def _written(
    folder: Path, name: str, tables: Mapping[str, pa.Table], *rules: str, form: str = "parquet"
) -> str:
    """Files of a template, ready rule files beside them, and generated tables."""
    shutil.copytree(template_path(name), folder, dirs_exist_ok=True)
    for file in rules:
        shutil.copy(rulesets_path() / file, folder)
    (folder / "data").mkdir()
    for table_name, table in tables.items():
        path = folder / "data" / f"{table_name}.{form}"
        if form == "csv":
            import pyarrow.csv as csv

            csv.write_csv(table, path)
        else:
            import pyarrow.parquet as pq

            pq.write_table(table, path)
    return "knowreason train {folder} -o {folder}/run"
