"""Drift: what is said when models and rules no longer hold, and what adapting gains and loses.

    KNOWREASON_DATA=DIR python -m benchmarks.drift [--quick] [--only PART ...] [--out DIR]

Fitted once on the past; then period after period beliefs without and with reliability EM
(`adapt="reliability"`), average precision and AUC of both, and the sentences that compare the
period with training. Parts: `card_fraud` (s_ffsd, whose models fail at slices 43-48),
`intrusion` and `marketplace` (generated worlds that drift, and the same ones with their drift
switched off), `states` (a generated world of a functional predicate) and `starter` (the project
of `knowreason new`, five worlds). In intrusion and marketplace boosted trees stand in for the
graph models, so that a run takes minutes.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.metrics import average_precision_score, roc_auc_score

import knowreason as kr
from benchmarks import drift_states
from benchmarks.card_fraud import SETTINGS, VIEWS, Bench
from benchmarks.reporting import data_folder, parser, show, spread, write
from knowreason.beliefs.beliefs import Beliefs
from knowreason.data import Dataset
from knowreason.data import lanl_logs as lanl
from knowreason.data.splits.clocks import thing_values
from knowreason.data.worlds import intrusion, marketplace
from knowreason.data.worlds.marketplace_data import bind
from knowreason.data.worlds.skimming import skimming
from knowreason.metrics.metrics import metric
from knowreason.monitor.adaptation import NOTHING_TO_ADAPT
from knowreason.project.project_file import load_project
from knowreason.project.project_tables import load_parts
from knowreason.reasoner.labels.asked_labels import hidden_truth
from knowreason.run.run_folder import reasoner_of
from knowreason.run.starters import new_project

RULES = Path(__file__).resolve().parents[1] / "rulesets"
INTRUSION_MODELS = """
model main for Malicious = trees(features=["n_user", "n_src", "n_dst", "n_user_src", "n_user_dst",
  "n_src_dst"], hops=0, l2=1.0)
model burst for Malicious = trees(features=["guests", "new_pairs", "fan_out", "failures"],
  hops=0, l2=1.0)
model auth for Ntlm = trees(features=["logon_type", "ntlm_user", "ntlm_dst"], hops=0, l2=1.0)
"""
Row = dict[str, Any]


@dataclass(frozen=True)
class World:
    """A reasoner, what comes after its training, and how that is cut into periods.

    Attributes:
        name: in tables.
        reasoner: fitted on the past.
        future: labels of what is asked are hidden.
        predicate: what is measured.
        clock: attribute that the periods are cut by.
        edges: where periods begin, and where the last one ends.
    """

    name: str
    reasoner: kr.Reasoner
    future: Dataset
    predicate: str
    clock: str
    edges: Sequence[float]

    def periods(self) -> Iterator[tuple[str, Beliefs]]:
        """Name of each period and the adapted beliefs about it."""
        (domain,) = self.future.program.attribute(self.clock).sorts
        values, _ = thing_values(self.future, self.clock)
        for low, high in zip(self.edges[:-1], self.edges[1:], strict=True):
            inside = self.future.in_scope(domain) & (values >= low) & (values < high)
            today = replace(self.future, scope={**self.future.scope, domain: inside})
            name = f"{low:g}" if high == low + 1 else f"{low:g}-{high - 1:g}"
            yield name, self.reasoner.infer(today, adapt="reliability")


def measured(world: World) -> list[Row]:
    """A row a period, and rows of all periods at once."""
    rows, scores = [], []
    for name, beliefs in world.periods():
        plain = beliefs.unadapted
        assert plain is not None
        atoms, truth = hidden_truth(beliefs, world.predicate)
        before, after = (b.log_odds[atoms] for b in (plain, beliefs))
        row = compared(world.name, name, truth, before, after)
        rows.append(row | said(beliefs, plain))
        scores.append((truth, before, after))
        print(f"{world.name} {name}: {'; '.join(row_notes(rows[-1])) or 'nothing'}", flush=True)
    whole = [np.concatenate(part) for part in zip(*scores, strict=True)]
    return [*rows, compared(world.name, "all", *whole)]


def compared(world: str, period: str, truth: NDArray[np.bool_], before: Any, after: Any) -> Row:
    """Average precision, AUC, log loss and ECE of beliefs before and after adapting."""
    row: Row = {"world": world, "period": period, "n": len(truth), "true": int(truth.sum())}
    both = 0 < truth.sum() < len(truth)
    for name, of in (("AP", average_precision_score), ("AUC", roc_auc_score)):
        for which, score in (("", before), (" adapted", after)):
            row[name + which] = float(of(truth, score)) if both else float("nan")
    for which, score in (("", before), (" adapted", after)):
        row["log loss" + which] = float(np.logaddexp(0, np.where(truth, -score, score)).mean())
        row["ECE" + which] = metric("ece")(truth, score)
    return row


def said(beliefs: Beliefs, plain: Beliefs) -> Row:
    """What is said of a period."""
    return {
        "notes": list(plain.notes),
        "changed": NOTHING_TO_ADAPT not in beliefs.notes,
        "warned": any("adapting by reliability can lose" in note for note in beliefs.notes),
        "diagnosis": list(plain.diagnosis),
    }


def row_notes(row: Row) -> list[str]:
    """What the sentences of a period are about, in a few words."""
    found = []
    for note in row.get("notes", ()):
        words = note.split("`")
        if note.startswith("model `"):
            found.append(f"{words[1]} {'sees less' if ' sees' in note else 'takes more'}")
        elif note.startswith("rule `"):
            found.append(f"rule {words[1]}")
        elif note.startswith("scores"):
            found.append(f"scores of {words[1]} moved")
        elif note.startswith("models "):
            found.append("models disagree")
        elif " common " in note:
            found.append("more common" if " seems more " in note else "less common")
    return list(dict.fromkeys(found))


def card_fraud(quick: bool) -> list[Row]:
    """s_ffsd under the rules and hub of card_fraud.kr, with two view models, slice by slice."""
    del quick
    bench = Bench.load(more=VIEWS)
    reasoner = kr.Reasoner(bench.past.program, settings=SETTINGS).fit(bench.past)
    world = World("s_ffsd", reasoner, bench.future, "Fraud", "slice", range(34, 50))
    return measured(world)


def intruded(quick: bool) -> list[Row]:
    """The generated authentication log, three days at a time, with and without drift."""
    rules = (RULES / "intrusion.kr").read_text()
    kept = "\n".join(part for part in _statements(rules) if not part.startswith("model "))
    program = kr.loads(kept + INTRUSION_MODELS, str(RULES / "intrusion.kr"))
    rows = []
    for drift in (1.0, 0.0):
        log = intrusion(0, people=120 if quick else 200, drift=drift)
        events = lanl.events(log["auth"], log["redteam"])
        data = Dataset.from_frames(program, **lanl.frames(events))
        past, future = data.split_by("at", before=np.datetime64(16 * lanl.DAY, "s").item())
        reasoner = kr.Reasoner(program, settings=kr.Settings(clusters="src")).fit(past)
        name = f"intrusion, drift {drift:g}"
        rows += measured(World(name, reasoner, future, "Malicious", "day", range(16, 29, 3)))
    return rows


def traded(quick: bool) -> list[Row]:
    """The generated marketplace, five days at a time, with and without drift."""
    text = (RULES / "collusion.kr").read_text()
    start, end = text.index("infomax(classifier="), text.index(", hidden=16)")
    trees = text[start + len("infomax(classifier=") : end]
    program = kr.loads(text[:start] + trees + text[end + len(", hidden=16)") :])
    rows = []
    for drift in (1.0, 0.0):
        count = 40_000 if quick else 80_000
        world = marketplace(0, transactions=count, prevalence=1 / 300, drift=drift)
        past, future = bind(program, world).split_by("day", before=40)
        reasoner = kr.Reasoner(program, settings=kr.Settings(fold_count=3)).fit(past)
        name = f"marketplace, drift {drift:g}"
        rows += measured(World(name, reasoner, future, "Collusion", "day", range(40, 71, 6)))
    return rows


def _statements(text: str) -> list[str]:
    """Statements of a rule file: each starts on an unindented line."""
    found: list[str] = []
    for line in text.splitlines():
        if line[:1].isspace() and found:
            found[-1] += "\n" + line
        else:
            found.append(line)
    return found


def stated(quick: bool, seeds: int = 5) -> list[Row]:
    """The functional predicate: accuracy, mean log-probability, and who is named."""
    rows = []
    count = 2000 if quick else 4000
    for change in drift_states.CHANGES:
        found = [drift_states.run(change, count, count, seed) for seed in range(seeds)]
        named = {m: sum(m in f["named"] for f in found) for m in ("one", "two", "three")}
        rows.append(
            {
                "world": "states",
                "period": change.name,
                "accuracy": spread(f["before"] for f in found),
                "adapted": spread(f["after"] for f in found),
                "gain": float(np.mean([f["after"] - f["before"] for f in found])),
                "log-probability": float(np.mean([f["log_before"] for f in found])),
                "then": float(np.mean([f["log_after"] for f in found])),
                "named": ", ".join(f"{m} {c}/{seeds}" for m, c in named.items() if c),
                "notes": found[0]["notes"],
                "warned": any(f["warned"] for f in found),
            }
        )
        print(change.name, rows[-1]["accuracy"], rows[-1]["adapted"], flush=True)
    return rows


def started(quick: bool) -> list[Row]:
    """The starter project, whose model `amount` breaks at the cut, and the same without drift."""
    rows = []
    for seed in range(2 if quick else 5):
        for drift in (0.5, 0.0):
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name) / "starter"
                new_project(folder, "fraud")
                for table_name, drawn in skimming(seed=seed, drift=drift).items():
                    if (file := folder / "data" / f"{table_name}.parquet").is_file():
                        pq.write_table(drawn, file)
                project = load_project(folder, {})
                parts = load_parts(project)
            if drift:  # the past is the same in both
                reasoner = reasoner_of(project, parts.train.program).fit(parts.train)
            beliefs = reasoner.infer(parts.test, adapt="reliability")
            plain = beliefs.unadapted
            assert plain is not None
            atoms, truth = hidden_truth(beliefs, "Fraud")
            before, after = (b.log_odds[atoms] for b in (plain, beliefs))
            row = compared(f"drift {drift:g}", f"seed {seed}", truth, before, after)
            sums = {"expected": expit(before).sum(), "expected adapted": expit(after).sum()}
            rows.append(row | sums | said(beliefs, plain))
    return rows


PARTS: Mapping[str, Callable[[bool], list[Row]]] = {
    "starter": started,
    "card_fraud": card_fraud,
    "states": stated,
    "intrusion": intruded,
    "marketplace": traded,
}


def table(part: str, rows: Sequence[Row]) -> None:
    """Print the rows of a part, and each sentence once."""
    if part == "states":
        left_out = ("world", "notes", "warned", "part")
        shown = [{k: v for k, v in row.items() if k not in left_out} for row in rows]
    else:
        keys = ("world", "period", "n", "true", "AP", "AP adapted", "AUC", "AUC adapted")
        keys += ("log loss", "log loss adapted", "ECE", "ECE adapted")
        keys += ("expected", "expected adapted")
        shown = [
            {key: row[key] for key in keys if key in row} | {"said": "; ".join(row_notes(row))}
            for row in rows
        ]
    show(f"Drift: {part}", shown)
    for note in dict.fromkeys(note for row in rows for note in row.get("notes", ())[:4]):
        print(f"  {note}")


def draw(rows: Sequence[Row], folder: Path) -> None:
    """AP by period without and with adapting, one panel a world."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    periods = [r for r in rows if r["world"] != "states" and r["period"] != "all"]
    worlds = list(dict.fromkeys(r["world"] for r in periods))
    if not worlds:
        return
    figure, axes = pyplot.subplots(len(worlds), 1, figsize=(8, 2.2 * len(worlds)), squeeze=False)
    for axis, world in zip(axes[:, 0], worlds, strict=True):
        mine = [r for r in periods if r["world"] == world]
        place = np.arange(len(mine))
        for key, style in (("AP", "o-"), ("AP adapted", "s--")):
            axis.plot(place, [r[key] for r in mine], style, label=key)
        for i, row in enumerate(mine):
            if any("sees less" in n or "takes more" in n for n in row_notes(row)):
                axis.axvspan(i - 0.5, i + 0.5, color="0.9", lw=0)
        axis.set_xticks(place, [r["period"] for r in mine], fontsize=7)
        axis.set_title(f"{world} (grey: a model is said to be broken)", fontsize=8)
        axis.set_ylabel("AP")
    axes[0, 0].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(folder / "drift.svg")
    figure.savefig(folder / "drift.png", dpi=100)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the parts; results of earlier parts in the folder are kept."""
    options = parser(__doc__ or "", "drift")
    options.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    chosen = options.parse_args(arguments)
    if "card_fraud" in chosen.only:
        data_folder()
    file = chosen.out / "drift.json"
    kept = json.loads(file.read_text()) if file.is_file() else []
    for part in chosen.only:
        rows = stated(chosen.quick, chosen.seeds) if part == "states" else PARTS[part](chosen.quick)
        rows = [{"part": part, **row} for row in rows]
        kept = [row for row in kept if row["part"] != part] + rows
        write(chosen.out, "drift", kept)
        table(part, rows)
    draw(kept, chosen.out)


if __name__ == "__main__":
    main()
