"""Who is fraudulent by whom they trust and distrust: one rule in every form, and what is warned of.

    KNOWREASON_DATA=DIR python -m benchmarks.trust_forms [--quick] [--seeds N] [--sampled N]
        [--weights given learned] [--forms "=>" "<=>" "<~>"] [--out DIR]

Bitcoin-OTC with ten known users, half of them fraudulent, drawn anew for each seed; the other
labelled users are the test. `Distrusts` and `Trusts`, alone and together, as implication,
equivalence and neutral association, with the weight as it is or divided by the number of those who
say so, given or learned. Belief propagation answers; in the first draws (--sampled) `auto` too,
which has it checked by sampling. Prints AUC and the coupling; keeps every run in `runs.json` of
--out and does not repeat one that is there.
"""

from __future__ import annotations

import json
import math
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch

import knowreason as kr
from benchmarks.accounts import METHOD, World, users
from benchmarks.reporting import data_folder, parser, show, spread, write
from knowreason.factors.components.coupling import Coupling
from knowreason.factors.condition import condition
from knowreason.reasoner.rule_coupling import with_rule_warnings

KNOWN = 10
HEAD = """
domain User
observed Trusts(User, User)
observed Distrusts(User, User)
query Fraud(User)
define distrusters(u) := count { v : Distrusts(v, u) }
define trusters(u) := count { v : Trusts(v, u) }
rule seldom [-1] : Fraud(u)
"""
FORMS = {
    "=>": {
        "Distrusts": "Distrusts(u, v) & !Fraud(u) => Fraud(v)",
        "Trusts": "Trusts(u, v) & !Fraud(u) => !Fraud(v)",
    },
    "<=>": {
        "Distrusts": "Distrusts(u, v) => (Fraud(v) <=> !Fraud(u))",
        "Trusts": "Trusts(u, v) => (Fraud(v) <=> Fraud(u))",
    },
    "<~>": {
        "Distrusts": "Distrusts(u, v) & (Fraud(v) <~> !Fraud(u))",
        "Trusts": "Trusts(u, v) & (Fraud(v) <~> Fraud(u))",
    },
}
NUMBER = {"Distrusts": "distrusters(v)", "Trusts": "trusters(v)"}
RULES = (("Distrusts",), ("Trusts",), ("Distrusts", "Trusts"))


WEIGHTS = {"as it is": "{0}", "divided": "{0} * 1 / {1}", "half, divided": "{0} * 0.5 / {1}"}


def program(form: str, rules: tuple[str, ...], weight: str, learned: bool) -> kr.Program:
    """The rules of one cell of the table."""
    number = "? 1 >= 0" if learned else "1"
    text = []
    for name in rules:
        written = WEIGHTS[weight].format(number, NUMBER[name])
        text.append(f"rule {name.lower()} [{written}] : {FORMS[form][name]}")
    return kr.loads(HEAD + "\n".join(text))


def world(folder: Path) -> World:
    """Bitcoin-OTC: who rated whom above and below 0."""
    made = users(folder, ratings=True)
    facts = made.inputs["facts"]
    pairs = ["source", "target"]
    facts["Trusts"] = facts.pop("Rates").join(facts["Distrusts"], on=pairs, how="anti")
    del made.inputs["features"], made.inputs["graph"]
    return made


def run(
    source: World,
    form: str,
    rules: tuple[str, ...],
    weight: str,
    weights: str,
    seed: int,
    engines: tuple[str, ...],
) -> dict[str, Any]:
    """AUC by engine, coupling before and after, and what is warned of."""
    written = program(form, rules, weight, weights == "learned")
    data, truth = source.drawn(source.data(written), KNOWN, seed)
    grounding = with_rule_warnings(kr.ground(written, data))
    table = grounding.parameters
    theta = table.start
    if weights == "learned":
        theta = kr.Reasoner(written, method=METHOD, engine="bp", seed=seed).fit(data).fit_.theta
    known = kr.ground(written, data, labels="evidence")
    span = known.atoms.spans["Fraud"]
    figures = {}
    for engine in engines:
        posterior = kr.infer(known.at(torch.from_numpy(theta)), engine=engine, seed=seed)
        scores = posterior.log_odds.numpy()[span.start : span.stop]
        figures[engine] = truth.figures(scores)["AUC"]
    return {
        "AUC": figures,
        "stated": _radius(grounding, table.start),
        "coupling": _radius(grounding, theta),
        "weights": dict(zip(table.names, theta.tolist(), strict=True)),
        "warned": [w.code for w in grounding.warnings if w.code in ("KR832", "KR833")],
    }


def _radius(grounding: kr.Grounding, theta: np.ndarray) -> float:
    return Coupling.of(condition(grounding.at(torch.from_numpy(theta)))).radius()


def rows(runs: dict[str, Any]) -> list[dict[str, Any]]:
    """Mean over draws of each cell, and the worst draw against `Distrusts` as association."""
    cells: dict[str, dict[str, Any]] = {}
    for key, found in runs.items():
        cell, seed = key.rsplit("/", 1)
        cells.setdefault(cell, {})[seed] = found
    made = []
    for cell, draws in cells.items():
        form, rules, weight, weights = cell.split("/")
        reference = cells.get(f"<~>/Distrusts/{weight}/given", {})
        less = [
            draws[seed]["AUC"]["bp"] - reference[seed]["AUC"]["bp"]
            for seed in draws
            if seed in reference
        ]
        made.append(
            {
                "rules": rules,
                "form": form,
                "weight": weight,
                "weights": weights,
                "draws": len(draws),
                "AUC": spread(d["AUC"]["bp"] for d in draws.values()),
                "auto": spread(d["AUC"].get("auto", math.nan) for d in draws.values()),
                "stated coupling": float(np.mean([d["stated"] for d in draws.values()])),
                "coupling": float(np.mean([d["coupling"] for d in draws.values()])),
                "warned": " ".join(sorted({w for d in draws.values() for w in d["warned"]})),
                "worst draw less Distrusts <~> alike": min(less, default=math.nan),
            }
        )
    return made


def main() -> None:
    """Run what is missing and print the table."""
    arguments = parser(__doc__ or "", "trust_forms")
    arguments.set_defaults(seeds=10)
    arguments.add_argument("--sampled", type=int, default=2, help="draws with `auto` too")
    both = ["given", "learned"]
    arguments.add_argument("--weights", nargs="+", choices=both, default=both)
    arguments.add_argument("--forms", nargs="+", choices=list(FORMS), default=list(FORMS))
    chosen = arguments.parse_args()
    source = world(data_folder())
    stored = chosen.out / "runs.json"
    for weights, seed in product(chosen.weights, range(2 if chosen.quick else chosen.seeds)):
        for form, rules, weight in product(chosen.forms, RULES, WEIGHTS):
            if weight == "half, divided" and weights == "learned":
                continue
            key = f"{form}/{' + '.join(rules)}/{weight}/{weights}/{seed}"
            runs = json.loads(stored.read_text()) if stored.exists() else {}
            if key in runs:
                continue
            engines = ("bp", "auto") if seed < chosen.sampled else ("bp",)
            found = run(source, form, rules, weight, weights, seed, engines)
            write(chosen.out, "runs", {**runs, key: found})
            print(f"{key}: {found['AUC']['bp']:.3f} {found['coupling']:.2f}", flush=True)
    show("Ten known users", rows(json.loads(stored.read_text())))


if __name__ == "__main__":
    main()
