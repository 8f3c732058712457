"""How right `plan` is: stated against true groundings of every rule that comes along.

    python -m benchmarks.plan_sizes [--things 400] [--rows 4000] [--seeds 3] [--out FILE.json]
    python -m benchmarks.plan_sizes --costs

Every rule file of `rulesets/`, over drawn facts: ids by Zipf's law (hubs), so many things a domain
and rows a predicate, each attribute of most things. Beside them the templates of `knowreason new`
on their own tables, and the generated worlds of intrusion and of the marketplace; where
KNOWREASON_DATA names a folder with `lanl_redteam`, 400 people with the real red team among them.
"engine" is what the relational engine itself guesses (`EXPLAIN`). `--few 0` draws rows where all
could be filtered. A figure is right where both it and the truth are within a factor of two, one
row counting as none.

`--costs` compares stated bytes and seconds with what `ground` takes (CPU, of two runs the quicker),
of whole programs at two sizes each.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.grounding import PROGRAM as FRIENDS
from benchmarks.grounding import RULES as CANDIDATE_RULES
from benchmarks.grounding import candidate_data, random_data
from knowreason.data import Dataset, Vocabulary, lanl_logs, worlds
from knowreason.data.worlds.marketplace_data import bind
from knowreason.errors import KnowreasonError
from knowreason.grounding import Grounding, ground, plan
from knowreason.grounding.plan.rule_plan import plan_rule
from knowreason.grounding.relational.database import Relations
from knowreason.grounding.relational.join_counts import FEW_ROWS, count_rows
from knowreason.grounding.size_estimate import rule_query
from knowreason.lang import load, loads
from knowreason.logic import VALUE_SORTS, Constant, Program
from knowreason.logic.traversal import walk
from knowreason.project.project_file import load_project
from knowreason.project.project_tables import load_parts
from knowreason.resources import rulesets_path
from knowreason.run.starters import TEMPLATES, new_project

DAY = 86_400_000_000


def drawn_world(program: Program, things: int, rows: int, seed: int) -> Dataset:
    """Facts and attributes at random for everything a program observes.

    Args:
        program: checked program.
        things: a domain, beside those it names.
        rows: drawn for a predicate (repeats are dropped), or an attribute of several things.
        seed: of the draws.
    """
    draw = np.random.default_rng(seed)
    named: dict[str, list[str]] = {domain.name: [] for domain in program.domains}
    words: list[Any] = ["a", "b"]
    bodies = [rule.formula for rule in program.rules] + [d.body for d in program.definitions]
    for part in (part for body in bodies for part in walk(body) if isinstance(part, Constant)):
        (words if part.sort == "string" else named.get(part.sort, [])).append(part.value)
    vocabularies = {}
    for domain in program.domains:
        names = domain.members or tuple(named[domain.name]) + tuple(f"#{i}" for i in range(things))
        vocabularies[domain.name] = Vocabulary(domain.name, pa.array(list(dict.fromkeys(names))))

    def ids(sort: str, count: int) -> Any:
        size = len(vocabularies[sort])
        chance = 1 / np.arange(1, size + 1) ** 0.8
        return draw.choice(size, count, p=chance / chance.sum()).astype(np.int32)

    def settings(sorts: tuple[str, ...]) -> dict[str, Any]:
        if len(sorts) == 1:
            size = len(vocabularies[sorts[0]])
            columns = [np.sort(draw.permutation(size)[: size - size // 20]).astype(np.int32)]
        else:
            columns = [ids(sort, rows) for sort in sorts]
        if not columns:
            return {}
        distinct = np.unique(np.stack(columns, 1), axis=0)
        return {f"a{i}": distinct[:, i] for i in range(len(sorts))}

    def values(sort: str, count: int) -> pa.Array:
        if sort in vocabularies:
            return pa.array(ids(sort, count))
        if sort in ("time", "duration"):
            return pa.array(draw.integers(0, 30 * DAY, count))
        return {
            "int": lambda: pa.array(draw.integers(0, 60, count)),
            "float": lambda: pa.array(draw.lognormal(2, 1, count)),
            "bool": lambda: pa.array(draw.random(count) < 0.3),
            "string": lambda: pa.array([words[i] for i in draw.integers(0, len(words), count)]),
        }[sort]()

    facts = {}
    for predicate in program.predicates:
        if not predicate.is_open:
            columns = settings(predicate.sorts)
            facts[predicate.name] = pa.table(columns or {"truth": pa.array([True])})
    attributes = {}
    for attribute in program.attributes:
        columns = settings(attribute.sorts)
        count = len(columns["a0"]) if columns else 1
        attributes[attribute.name] = pa.table({**columns, "value": values(attribute.sort, count)})
    assert set(VALUE_SORTS) >= {a.sort for a in program.attributes} - set(vocabularies)
    return Dataset(program, vocabularies, facts, attributes, {}, {}, {})


def intrusion_data(people: int) -> Dataset:
    """A small network's log."""
    return bound(
        worlds.intrusion(0, days=9, people=people, servers=12, services=3, red_campaigns=3)
    )


def bound(world: dict[str, Any]) -> Dataset:
    """A log bound to the rules about it."""
    events = lanl_logs.events(world["auth"], world["redteam"])
    frames = lanl_logs.frames(events)
    return Dataset.from_frames(load(rulesets_path() / "intrusion.kr"), **frames)


def data_sets(things: int, rows: int, seeds: int, generated: bool) -> Iterator[tuple[str, Dataset]]:
    """Every rule file and template with its data."""
    for path in sorted(rulesets_path().glob("*.kr")):
        program = load(path)
        if program.rules:
            for seed in range(seeds):
                yield path.stem, drawn_world(program, things, rows, seed)
    if generated:
        return
    with tempfile.TemporaryDirectory() as folder:
        for name in TEMPLATES:
            new_project(Path(folder) / name, name)
            yield f"new {name}", load_parts(load_project(Path(folder) / name)).train
    yield "world intrusion", intrusion_data(40)
    real = Path(os.environ.get("KNOWREASON_DATA", "")) / "lanl_redteam" / "redteam.parquet"
    if real.is_file():
        yield "world planted", bound(worlds.intrusion(0, people=400, planted=real))
    program = load(rulesets_path() / "collusion.kr")
    yield "world marketplace", bind(program, worlds.marketplace(0, transactions=3000))


def measured(name: str, data: Dataset, few: int) -> Iterator[dict[str, Any]]:
    """Figures of each rule."""
    program = data.program
    with Relations(program, data) as relations:
        for index, rule in enumerate(program.rules):
            try:
                query = rule_query(relations, plan_rule(program, index))
            except KnowreasonError as error:
                print(f"{name} {rule.name}: {error}")
                continue
            start = time.process_time()
            found = count_rows(relations, query.conjunction, few)
            seconds = time.process_time() - start
            start = time.process_time()
            true = relations.rows(query.tree)
            yield {
                "data": name,
                "rule": rule.name,
                "true": true,
                "stated": found.rows,
                "engine": relations.estimate(query.tree),
                "how": found.how,
                "seconds": seconds,
                "seconds to count": time.process_time() - start,
            }


def sized() -> Iterator[tuple[str, Dataset]]:
    """Programs at two sizes each."""
    for rows in (100_000, 3_000_000):
        yield f"friends {rows:,}", random_data(loads(FRIENDS), rows)
    for rule in CANDIDATE_RULES:
        for rows in (100_000, 1_000_000):
            yield f"{rule.split(' => ')[1]} {rows:,}", candidate_data(rule, rows)
    for people in (20, 200):
        yield f"intrusion {people}", intrusion_data(people)
    program = load(rulesets_path() / "collusion.kr")
    for rows in (1000, 8000):
        yield f"collusion {rows:,}", bind(program, worlds.marketplace(0, transactions=rows))


def held_bytes(grounding: Grounding) -> int:
    """Bytes of the ids and factors of rules."""
    parts = [part for origin in grounding.provenance for part in origin.parts]
    factors = [grounding.graph.factors[place] for place in {part.index for part in parts}]
    arrays = [getattr(one, item.name) for one in (*parts, *factors) for item in fields(one)]
    return sum(int(array.nbytes) for array in arrays if hasattr(array, "nbytes"))


def costs() -> None:
    """Print stated and measured bytes and seconds."""
    print(f"{'program':24}{'rows':>12}{'MB':>9}{'stated':>9}{'seconds':>9}{'stated':>9}")
    for name, data in sized():
        seconds = []
        for _ in range(2):
            start = time.process_time()
            grounding = ground(data.program, data, threads=1)
            seconds.append(time.process_time() - start)
        stated = plan(data.program, data)
        told = sum(rule.bytes for rule in stated.rules)
        print(
            f"{name:24}{stated.total.rows:12,}{held_bytes(grounding) / 1e6:9.2f}{told / 1e6:9.2f}"
            f"{min(seconds):9.2f}{stated.total.seconds:9.2f}",
            flush=True,
        )


def right(row: dict[str, Any], key: str) -> bool:
    """Whether a figure is within a factor of two."""
    true, stated = max(row["true"], 1), max(row[key], 1)
    return true <= 2 * stated and stated <= 2 * true


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--things", type=int, default=400)
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--few", type=int, default=FEW_ROWS, help="joined rows not drawn from")
    parser.add_argument("--generated", action="store_true", help="rule files only")
    parser.add_argument("--all", action="store_true", help="print rules that are right, too")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--costs", action="store_true", help="bytes and seconds instead")
    options = parser.parse_args()
    if options.costs:
        costs()
        return
    rows = []
    for name, data in data_sets(options.things, options.rows, options.seeds, options.generated):
        for row in measured(name, data, options.few):
            rows.append(row)
            if options.all or not right(row, "stated"):
                print(
                    f"{name:20} {row['rule']:24} {row['true']:>12,} stated {row['stated']:>12,} "
                    f"engine {row['engine']:>14,}  {row['how']}",
                    flush=True,
                )
    for key in ("stated", "engine"):
        share = sum(right(row, key) for row in rows) / len(rows)
        print(f"{key}: {share:.1%} of {len(rows)} rules within 2x")
    kinds = [row["how"].split(" of ")[0].strip("0123456789, ") for row in rows]
    print({kind: kinds.count(kind) for kind in dict.fromkeys(kinds)})
    for key in ("seconds", "seconds to count"):
        print(f"{key}: {sum(row[key] for row in rows):.2f} CPU seconds")
    if options.out:
        options.out.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
