"""One question, five views: trees, infomax, gnn, diffusion and gad_ebm in one program.

    KNOWREASON_DATA=DIR python -m benchmarks.views [--users N] [--models NAME ...] [--seeds N]

`rulesets/five_views.kr` on amazon_upu (10,224 users, 175,608 links; half of the labels train, drawn
by the seed, the rest measure). --users takes the links among the first N users of a random order,
--models some of the models. The table is that of `eval`: every view's models, their stacking, the
reasoner, and the reasoner without each view; beside it the answers that are the rules' or the
stacked models' alone, and those of the same fitted models declared for `Fraud` itself, without
views. CPU seconds are those of this process.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

import knowreason as kr
from benchmarks.reporting import data_folder, parser, show, write
from knowreason.data import Dataset, EdgeList
from knowreason.evaluate.evaluation import Evaluation, evaluate_reasoner
from knowreason.logic import Program
from knowreason.reasoner.fit_reasoner import fit_weights_and_answers
from knowreason.reasoner.labels.fold_groups import FoldGroups
from knowreason.reasoner.stored_reasoner import Learned

RULES = Path(__file__).resolve().parents[1] / "rulesets" / "five_views.kr"
METRICS = ("average_precision", "roc_auc", "log_loss", "ece")
KINDS = ("mean", "rules", "models")


@dataclass
class Clock:
    """CPU seconds of what the reasoner says it does, by its words."""

    spent: dict[str, float] = field(default_factory=dict)
    last: str = ""
    since: float = field(default_factory=time.process_time)

    def __call__(self, done: int, total: int, message: str) -> None:
        """Charge the time since the last call to what was said then."""
        now = time.process_time()
        if self.last:
            self.spent[self.last] = self.spent.get(self.last, 0.0) + now - self.since
        if message.split(":")[0] != self.last:
            print(f"{now:7.0f} CPU s  {message}", flush=True)
        self.last, self.since = message.split(":")[0], now


def users(folder: Path, program: Program, count: int, seed: int) -> Dataset:
    """The data set, of some users where ``count`` is not 0."""
    arrays = np.load(folder / "amazon_upu" / "amazon_upu.npz")
    truth, (source, target) = arrays["y"], arrays["edge_index"]
    kept = np.ones(len(truth), bool)
    if count:
        kept = np.random.default_rng([seed, 1]).permutation(len(truth)) < count
    ids = np.flatnonzero(kept)
    inside = kept[source] & kept[target]
    columns = {f"x{i}": column[ids] for i, column in enumerate(arrays["x"].T)}
    return Dataset.from_frames(
        program,
        things={"User": pa.table({"user": ids})},
        labels={"Fraud": pa.table({"user": ids, "fraud": truth[ids]})},
        features={"User": pa.table({"user": ids, **columns})},
        graph=EdgeList(
            pa.table({"source": source[inside], "target": target[inside]}),
            source="source:User",
            target="target:User",
        ),
    )


def chosen(program: Program, names: list[str]) -> Program:
    """The program with some of its models, and the views that have one."""
    models = tuple(m for m in program.models if m.name in names)
    speak = {predicate for model in models for predicate in model.predicates}
    predicates = tuple(p for p in program.predicates if not p.sees or p.name in speak)
    gone = {p.name for p in program.predicates} - {p.name for p in predicates}
    rules = tuple(r for r in program.rules if r.formula.left.predicate not in gone)
    return replace(program, models=models, predicates=predicates, rules=rules)


def without_views(reasoner: kr.Reasoner, train: Dataset) -> kr.Reasoner:
    """A reasoner whose rules add up the same fitted models at `Fraud`, with learned scales."""
    models = tuple(
        replace(m, predicate="Fraud", fitted=replace(m.fitted, output=output))
        for m in reasoner.models_
        for output in [replace(m.fitted.output, predicate="Fraud")]
    )
    other = kr.Reasoner(train.program, seed=reasoner.seed)
    bare = other._ground(train, ())
    grounding = bare.with_models(m.fitted.output for m in models)
    groups = FoldGroups.by(bare, "")
    beside = reasoner.answers_.beside
    fit, answers = fit_weights_and_answers(other, grounding, models, beside, groups)
    return other.adopt(Learned(models, fit, answers=answers))


def added_up(program: Program) -> Program:
    """The program with every model for the predicate that its view sees."""
    models = tuple(replace(m, predicates=("Fraud",)) for m in program.models)
    predicates = tuple(p for p in program.predicates if not p.sees)
    return replace(program, models=models, predicates=predicates, rules=())


def answers_alone(reasoner: kr.Reasoner, beliefs: kr.Beliefs) -> dict[str, NDArray[np.float64]]:
    """Log-odds of all atoms where the answer is the mean, the rules' or the stacked models'."""
    found = {}
    for kind in KINDS:
        answers = {
            predicate: replace(atoms, pool=replace(atoms.pool, kind=kind))
            for predicate, atoms in beliefs.answers.items()
        }
        found[kind] = replace(beliefs, answers=answers).log_odds
    return found


def measure(folder: Path, seed: int, options: Any) -> dict[str, Any]:
    """Train, infer and evaluate."""
    program = kr.load(RULES)
    if options.models:
        program = chosen(program, options.models)
    data = users(folder, program, options.users, seed)
    train, test = data.split_random("Fraud", test=0.5, seed=seed)
    clock, start = Clock(), time.process_time()
    reasoner = kr.Reasoner(program, seed=seed).fit(train, progress=clock)
    clock(1, 1, "")
    trained = time.process_time()
    beliefs = reasoner.infer(test)
    inferred = time.process_time()
    atoms = beliefs.asked("Fraud")
    alone = answers_alone(reasoner, beliefs)
    evaluation = evaluate_reasoner(reasoner, train, beliefs, "Fraud", metrics=METRICS, seed=seed)
    plain = users(folder, added_up(program), options.users, seed)
    plain_train, plain_test = plain.split_random("Fraud", test=0.5, seed=seed)
    other = without_views(reasoner, plain_train)
    found = answers_alone(other, other.infer(plain_test))
    alone |= {f"{kind}, without views": found[kind] for kind in ("mean", "rules")}
    return {
        "seed": seed,
        "users": data.count("User"),
        "asked": len(atoms),
        "CPU s": {"train": trained - start, "infer": inferred - trained, "by step": clock.spent},
        "verdict": str(evaluation.verdict),
        "answers": reasoner.answers_.notes,
        "weights": {w.name: [w.value, w.standard_error, w.status] for w in reasoner.weights_},
        "stacking": [
            {"models": p.stacking.models, "own": p.stacking.own, "around": p.stacking.around}
            for p in reasoner.answers_.pools
            if p.stacking
        ],
        "models": {m.name: m.fitted.report for m in reasoner.models_},
        "table": rows_of(evaluation, alone),
        "without views": {w.name: [w.value, w.standard_error] for w in other.weights_},
    }


def rows_of(evaluation: Evaluation, alone: dict[str, NDArray[np.float64]]) -> list[dict[str, Any]]:
    """The table of ``eval``, and answers of one half alone."""
    halves = {
        f"answer: {kind}": kr.metrics.evaluate(
            evaluation.truth, {kind: score[evaluation.atoms]}, METRICS
        )[kind]
        for kind, score in alone.items()
    }
    table = {**evaluation.table, **halves, **evaluation.ablation}
    return [
        {
            "row": name,
            **{m: round(e.value, 4) for m, e in row.items()},
            "AP from": round(row["average_precision"].low, 3),
            "AP to": round(row["average_precision"].high, 3),
        }
        for name, row in table.items()
    ]


def main() -> None:
    """Measure each seed and print its table."""
    options = parser(__doc__, "views")
    options.set_defaults(seeds=1)
    options.add_argument("--users", type=int, default=0, help="how many; 0 for all")
    options.add_argument("--models", nargs="*", default=[], help="some of the five")
    options.add_argument("--first", type=int, default=0, help="first seed")
    given = options.parse_args()
    given.users = given.users or (2_000 if given.quick else 0)
    for seed in range(given.first, given.first + given.seeds):
        record = measure(data_folder(), seed, given)
        write(given.out, f"views_{record['users']}_{seed}", record)
        show(f"amazon_upu, {record['users']:,} users, seed {seed}", record["table"])
        steps = record["CPU s"]["by step"].items()
        show("CPU seconds", [{"step": s, "CPU s": t} for s, t in steps if t >= 0.05])
        print({k: v for k, v in record["CPU s"].items() if k != "by step"})
        print(record["verdict"], *record["answers"], sep="\n")
        show(
            "weights",
            [{"name": n, "value": v[0], "+-": v[1]} for n, v in record["weights"].items()],
        )


if __name__ == "__main__":
    main()
