"""Intrusion: rules over models in an authentication log, after KnowGraph's study of LANL's log.

    python -m benchmarks.intrusion [--quick] [--only SETTING ...] [--out DIR]

The log is generated (``knowreason.data.worlds.intrusion``), with campaigns of its own or
(``planted``) with LANL's real red-team events put in. Settings: ``inductive`` (fitted on the
days before the cut; later days bring new computers, people, campaigns), ``transductive`` (three
tenths of all labels held back at random), ``few`` (inductive, labels of the first days only),
``planted`` (inductive) and ``choice`` (what the past alone says: a cut within it). Each is run
with and without noise on the models' weights; ``before`` and ``rare`` once, learned before the
first attack (``benchmarks.intrusion_before``), with scores over days. Prints tables, writes a JSON
a run and AUC over days; what was found before in --out is kept. Intervals are 95 % by bootstrap
over whole days. --quick takes half the people and leaves out ``planted``.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import knowreason as kr
from benchmarks.answer_parts import answer_parts
from benchmarks.reporting import data_folder, parser, show, write
from knowreason.data import Dataset
from knowreason.data import lanl_logs as lanl
from knowreason.data.worlds import intrusion
from knowreason.evaluate.evaluation import evaluate_reasoner
from knowreason.logic import Program
from knowreason.metrics.metrics import by_block, evaluate, paired_difference
from knowreason.models import make, predicted
from knowreason.reasoner.labels.asked_labels import hidden_truth

RULES = Path(__file__).resolve().parents[1] / "rulesets" / "intrusion.kr"
SETTINGS = ("choice", "inductive", "transductive", "few", "planted")
BEFORE = ("before", "rare")
CUT, EARLY_CUT, FEW_UNTIL = 16, 11, 7  # days
PEOPLE, QUICK_PEOPLE, PLANTED_PEOPLE = 320, 160, 400
METRICS = ("roc_auc", "average_precision", "tpr@fpr=0.005", "ece", "log_loss")
SHORT = dict(zip(METRICS, ("AUC", "AP", "TP .5 %", "ECE", "log loss"), strict=True))
PAPER, LOG = ("by_ntlm",), ("guest", "new_pair", "spoken")
CLUSTERS = "src"  # attacks from one computer are one campaign
HUB = ("betrays", "reaches", "stays", "seldom")
HISTORY = ("n_user", "n_src", "n_dst", "n_user_src", "n_user_dst", "n_src_dst", "ntlm_user")
TREES = ("*", *HISTORY, "ntlm_dst", "guests", "new_pairs", "fan_out")
BASELINES = ("average of models", "stacking (logistic)", "stacking + neighbours' mean")
Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Bench:
    """One setting of one world.

    Attributes:
        name: of the setting, with ``, noise`` where weights are disturbed.
        past, future: what is fitted on and what is scored.
        folds: kind of cross-fitting.
        models: ready models by name, where weights are disturbed.
        store: folder of fitted models.
        scores: log-odds of the scored events, by row of the table.
        rows: what was measured.
    """

    name: str
    past: Dataset
    future: Dataset
    folds: str
    models: Mapping[str, Any]
    store: Path
    scores: dict[str, Scores]
    rows: list[dict[str, Any]]

    @property
    def program(self) -> Program:
        """All models and rules."""
        return self.past.program

    def fit(self, models: Sequence[str], rules: Sequence[str], method: str) -> kr.Reasoner:
        """A reasoner with some of the models and rules."""
        program = self.program
        part = replace(
            program,
            models=tuple(m for m in program.models if m.name in models),
            rules=tuple(r for r in program.rules if r.name in rules),
        )
        reasoner = kr.Reasoner(
            part,
            method=method,
            folds=self.folds,
            models=self.models,
            settings=kr.Settings(clusters=CLUSTERS if method == "variational_em" else ""),
        )
        return reasoner.fit(self.past, checkpoints=self.store)

    def add(
        self,
        name: str,
        score: Scores,
        truth: NDArray[np.bool_],
        days: NDArray[np.int64],
        spent: float,
    ) -> None:
        """Measure a row."""
        self.scores[name] = score
        found = evaluate(truth, {"": score}, METRICS[:2], blocks=days)[""]
        found |= evaluate(truth, {"": score}, METRICS[2:], resamples=0)[""]
        figures = {SHORT[key]: asdict(estimate) for key, estimate in found.items()}
        self.rows.append({"row": name, "seconds": spent, **figures})
        print(
            f"{self.name}: {name:44} AUC {found['roc_auc']} AP {found['average_precision']}",
            flush=True,
        )


def bench(setting: str, noise: bool, out: Path, seed: int, people: int) -> Bench:
    """Draw the world of a setting and split it."""
    real = data_folder() / "lanl_redteam" / "redteam.parquet" if setting == "planted" else None
    people = max(people, PLANTED_PEOPLE) if real else people
    world = intrusion(seed, people=people, planted=real)
    stop = CUT * lanl.DAY if setting == "choice" else None
    events = lanl.events(world["auth"], world["redteam"], stop=stop)
    history = ", ".join(f'"{name}"' for name in TREES)
    text = f"model trees for Malicious = trees(features=[{history}], hops=0, l2=1.0)\n"
    program = kr.loads(RULES.read_text() + text, str(RULES))
    data = Dataset.from_frames(program, **lanl.frames(events))
    if setting == "transductive":
        past, future = data.split_random("Malicious", test=0.3, seed=seed)
    else:
        cut = (EARLY_CUT if setting == "choice" else CUT) * lanl.DAY
        past, future = data.split_by("at", before=np.datetime64(cut, "s").item())
    if setting == "few":
        past = _early_labels(past)
    name = setting + (", noise" if noise else "")
    models = (
        {m.name: make("noisy", {"model": make(m.call)}) for m in program.models} if noise else {}
    )
    models.pop("trees", None)
    store = out / "models" / f"{setting}{'-noise' * noise}-{people}-{seed}"
    store.mkdir(parents=True, exist_ok=True)
    folds = "random" if setting == "transductive" else f"group:{CLUSTERS}"
    return Bench(name, past, future, folds, models, store, {}, [])


def _early_labels(past: Dataset) -> Dataset:
    """Only the labels of the first days."""
    table, clock = past.labels["Malicious"], past.attributes["day"]
    day = np.zeros(past.count("Event"), np.int64)
    day[clock["a0"].to_numpy()] = clock["value"].to_numpy()
    return past.labels_only("Malicious", day[table["a0"].to_numpy()] < FEW_UNTIL)


VARIANTS = {
    "auth, rule of the paper": (("auth",), PAPER),
    "main + auth": (("main", "auth"), PAPER),
    "main + twohop": (("main", "twohop"), PAPER),
    "twohop + auth": (("twohop", "auth"), PAPER),
    "main + twohop + auth": (("main", "twohop", "auth"), PAPER),
    "no model, rules on the log": ((), LOG),
    "three models, paper + log": (("main", "twohop", "auth"), PAPER + LOG),
    "three models, all rules": (("main", "twohop", "auth"), PAPER + LOG + HUB),
    "three models, log": (("main", "twohop", "auth"), LOG),
    "three models, log + hub": (("main", "twohop", "auth"), LOG + HUB),
    "trees + three models, paper + log": (("trees", "main", "twohop", "auth"), PAPER + LOG),
    "trees + three models, all rules": (("trees", "main", "twohop", "auth"), PAPER + LOG + HUB),
}
WITHOUT_PAPER = ("three models, log", "three models, log + hub")
KNOWGRAPH = ("main + twohop + auth", "three models, paper + log")  # also with its learner
PARTS = {
    "answer": "",
    "S": ", models stacked",
    "P": ", rules at stated weights",
    "L": ", rules at learned weights",
}


def run(one: Bench, rows: Sequence[str] = tuple(VARIANTS)) -> dict[str, Any]:
    """Rows of one setting; what it takes to draw and to print it."""
    weights: dict[str, str] = {}
    truth, days = np.zeros(0, bool), np.zeros(0, np.int64)
    notes: dict[str, list[str]] = {}
    for name, (models, rules) in VARIANTS.items():
        few_only = name in WITHOUT_PAPER and not one.name.startswith("few")
        if few_only or name not in rows:
            continue
        start = time.perf_counter()
        reasoner = one.fit(models, rules, "variational_em")
        beliefs = reasoner.infer(one.future)
        atoms, truth = hidden_truth(beliefs, "Malicious")
        days = days_of(beliefs, atoms)
        spent = time.perf_counter() - start
        parts = answer_parts(reasoner, beliefs, "Malicious", atoms)
        for part, suffix in PARTS.items():
            if part in parts:
                one.add(name + suffix, parts[part], truth, days, spent)
        weights[name] = str(reasoner.weights_)
        notes[name] = [*reasoner.answers_.notes, *map(str, reasoner.answers_.pools)]
        if name in KNOWGRAPH:
            other = one.fit(models, rules, "knowgraph")
            score = answer_parts(other, other.infer(one.future), "Malicious", atoms)["L"]
            one.add(name + ", knowgraph's weights", score, truth, days, float("nan"))
            score = other.infer(one.future, engine="knowgraph").posterior.log_odds.numpy()[atoms]
            one.add(name + ", knowgraph's network", score, truth, days, float("nan"))
        if name == "three models, all rules":
            _beside(one, reasoner, beliefs, atoms, truth, days)
    _trees(one, truth, days)
    return {
        "setting": one.name,
        "scored": len(truth),
        "malicious": int(truth.sum()),
        "rows": one.rows,
        "weights": weights,
        "notes": notes,
        "differences": list(differences(one, truth, days)),
        "days": {
            name: {str(d): v for d, v in by_block(truth, one.scores[name], days, "roc_auc").items()}
            for name in DRAWN
            if name in one.scores
        },
    }


def _beside(
    one: Bench,
    reasoner: kr.Reasoner,
    beliefs: Any,
    atoms: NDArray[np.int64],
    truth: NDArray[np.bool_],
    days: NDArray[np.int64],
) -> None:
    """Models alone, stacking, the GCN posterior."""
    found = evaluate_reasoner(
        reasoner, one.past, beliefs, "Malicious", metrics=METRICS[:1], by="day", ablate=False
    )
    assert (found.atoms == atoms).all()
    for name, score in found.scores.items():
        if name.startswith(("model ", "boosted")) or name in BASELINES:
            one.add(name, score, truth, days, float("nan"))
    start = time.perf_counter()
    gcn = reasoner.infer(one.future, engine="gcn").posterior.log_odds.numpy()[atoms]
    one.add("three models, all rules, GCN posterior", gcn, truth, days, time.perf_counter() - start)


def _trees(one: Bench, truth: NDArray[np.bool_], days: NDArray[np.int64]) -> None:
    """Boosted trees on the event's columns, its history and its day: the fair baseline."""
    start = time.perf_counter()
    model = make("trees", {"features": TREES, "hops": 0, "l2": 1.0}).fit(one.past, "Malicious")
    output = predicted(model, one.future, "Malicious", "trees")
    table = one.future.hidden["Malicious"]["a0"].to_numpy()
    score = output.llr.astype(np.float64)[np.sort(table)]
    one.add(ALONE, score, truth, days, time.perf_counter() - start)


def days_of(beliefs: Any, atoms: NDArray[np.int64]) -> NDArray[np.int64]:
    """``int64[n]``: the day of each scored event."""
    grounding = beliefs.grounding
    span, clock = grounding.span("Malicious"), grounding.data.attributes["day"]
    day = np.zeros(grounding.data.count("Event"), np.int64)
    day[clock["a0"].to_numpy()] = clock["value"].to_numpy()
    return np.asarray(day[span.arguments[atoms - span.start, 0]], np.int64)


ALL, ALL_TREES = "three models, all rules", "trees + three models, all rules"
ALONE = "trees alone (history and day)"
COMPARED = (
    ("main + twohop + auth", "model main"),
    ("main + twohop + auth", "stacking (logistic)"),
    (ALL, "stacking (logistic)"),
    (ALL, ALONE),
    (f"{ALL}, rules at stated weights", "stacking (logistic)"),
    (f"{ALL}, rules at stated weights", ALONE),
    (f"{ALL}, rules at learned weights", f"{ALL}, rules at stated weights"),
    ("trees + three models, paper + log", ALONE),
    (ALL_TREES, ALONE),
    (f"{ALL_TREES}, rules at stated weights", ALONE),
    (f"{ALL_TREES}, rules at learned weights", ALONE),
)
DRAWN = (
    "model main",
    "model twohop",
    "main + twohop + auth",
    ALL,
    ALL_TREES,
    ALONE,
)


def differences(
    one: Bench, truth: NDArray[np.bool_], days: NDArray[np.int64]
) -> Iterator[dict[str, Any]]:
    """Paired differences by whole days."""
    for first, second in COMPARED:
        if first not in one.scores or second not in one.scores:
            continue
        found = {
            SHORT[metric]: asdict(
                paired_difference(truth, one.scores[first], one.scores[second], metric, blocks=days)
            )
            for metric in METRICS[:2]
        }
        yield {"row": first, "less": second, **found}


def text(estimate: Mapping[str, float], interval: bool = True) -> str:
    """``.812 [.790, .840]``."""
    if not interval:
        return f"{estimate['value']:.4f}"
    value = f"{estimate['value']:.3f}"
    return f"{value} [{estimate['low']:.3f}, {estimate['high']:.3f}]"


def tables(record: Mapping[str, Any]) -> None:
    """Print one setting."""
    short = tuple(SHORT.values())
    show(
        f"{record['setting']}: {record['scored']:,} events, {record['malicious']} malicious"
        " (generated)",
        [
            {"": row["row"], **{key: text(row[key], key in ("AUC", "AP")) for key in short}}
            for row in record["rows"]
        ],
    )
    show(
        f"{record['setting']}: paired differences",
        [
            {"": row["row"], "less": row["less"], "AUC": text(row["AUC"]), "AP": text(row["AP"])}
            for row in record["differences"]
        ],
    )


def draw(records: Sequence[Mapping[str, Any]], out: Path) -> None:
    """AUC over days."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    plain = [r for r in records if "noise" not in r["setting"] and r["setting"] != "choice"]
    if not plain:
        return
    figure, axes = pyplot.subplots(len(plain), 1, figsize=(8, 3.2 * len(plain)), squeeze=False)
    for axis, record in zip(axes[:, 0], plain, strict=True):
        for name, values in record["days"].items():
            kept = {int(d): v for d, v in values.items() if np.isfinite(v)}
            axis.plot(list(kept), list(kept.values()), marker="o", markersize=3, label=name)
        axis.set(title=f"{record['setting']} (generated)", ylabel="AUC of the day", xlabel="day")
        axis.spines[["top", "right"]].set_visible(False)
        axis.xaxis.get_major_locator().set_params(integer=True)
    lines, names = axes[0, 0].get_legend_handles_labels()
    figure.tight_layout(rect=(0, 0.7 / figure.get_figheight(), 1, 1))
    figure.legend(lines, names, loc="lower center", ncols=3, fontsize=8, frameon=False)
    figure.savefig(out / "intrusion_days.svg")
    figure.savefig(out / "intrusion_days.png", dpi=100)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the settings and write what was found."""
    made = parser(__doc__, "intrusion")
    made.set_defaults(seeds=1)
    made.add_argument("--only", nargs="+", choices=SETTINGS + BEFORE, default=list(SETTINGS))
    made.add_argument("--first", type=int, default=0, help="the first seed")
    made.add_argument("--rows", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    made.add_argument("--noise", choices=("both", "with", "without"), default="both")
    chosen = made.parse_args(arguments)
    settings = [s for s in chosen.only if s in SETTINGS and (not chosen.quick or s != "planted")]
    people = QUICK_PEOPLE if chosen.quick else PEOPLE
    chosen.out.mkdir(parents=True, exist_ok=True)
    for seed in range(chosen.first, chosen.first + chosen.seeds):
        for setting in settings:
            for noise in {"both": (False, True), "with": (True,), "without": (False,)}[
                chosen.noise
            ]:
                record = run(bench(setting, noise, chosen.out, seed, people), chosen.rows)
                name = f"intrusion_{setting}{'_noise' * noise}_{seed}"
                write(chosen.out, name, record | {"seed": seed})
                tables(record)
        for setting in [s for s in chosen.only if s in BEFORE]:
            _before(setting, seed, chosen.out, chosen.quick)
    found = sorted(chosen.out.glob("intrusion_*_0.json"))
    draw([json.loads(file.read_text()) for file in found], chosen.out)


def _before(setting: str, seed: int, out: Path, quick: bool) -> None:
    from benchmarks import intrusion_before as before  # it reads this file's rules and columns

    record = before.run(setting, seed, out, quick)
    write(out, f"{setting}_{seed}", record | {"seed": seed})
    before.tables(record)
    if seed == 0:
        before.draw(record, out)


if __name__ == "__main__":
    main()
