"""``knowreason infer``: marginals of a rule file and a facts file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from knowreason.cli.render import say, show_warnings, write_json, write_table


def infer(
    program: Annotated[Path, typer.Argument(help="Rule file (.kr).")],
    facts: Annotated[Path, typer.Argument(help="Facts file of the same syntax.")],
    engine: Annotated[str, typer.Option(help="auto, exact, bp, gibbs, mean_field, map.")] = "auto",
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
) -> None:
    """Marginals of every asked atom; no project and no tables needed."""
    from knowreason.data import Dataset
    from knowreason.errors import ProjectError
    from knowreason.ground import ground
    from knowreason.infer import infer as infer_marginals
    from knowreason.lang import load, parse_facts
    from knowreason.pipeline.beliefs import Beliefs

    for file in (program, facts):
        if not file.is_file():
            raise ProjectError(f"there is no file `{file}`", code="KR915")
    loaded = load(program)
    text = facts.read_text(encoding="utf-8")
    data = Dataset.from_facts(loaded, parse_facts(loaded, text, str(facts)))
    show_warnings(data.warnings)
    grounding = ground(loaded, data)
    show_warnings(grounding.warnings)
    beliefs = Beliefs(infer_marginals(grounding.graph, engine=engine, seed=seed), grounding)
    rows = [
        (predicate.name, grounding.atom_name(int(atom)), float(probability))
        for predicate in loaded.open_predicates
        for atom, probability in zip(*beliefs.probabilities(predicate.name), strict=True)
    ]
    if json:
        write_json([{"atom": atom, "probability": p} for _, atom, p in rows])
    else:
        write_table(["atom", "probability"], [(atom, p) for _, atom, p in rows])
    say(beliefs.info)
