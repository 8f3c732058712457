"""Everything learned before the first attack, as KnowGraph's study of LANL's log has it.

No malicious logon is known in training. ``main`` learns from the links themselves, in windows of
1,800 s; what needs labels learns from logons that were not: copies of logons of the past with
their source or target exchanged for another computer that had been active, labelled malicious.
Afterwards every logon of the days from the first attack on is scored. Two worlds, both
generated: ``before`` (all models and rules) and ``rare`` (over two million events, one attack in
100,000; ``main``, trees and the rules that read the log).
"""

from __future__ import annotations

import resource
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

import knowreason as kr
from benchmarks.answer_parts import answer_parts
from benchmarks.intrusion import CLUSTERS, HUB, LOG, PAPER, RULES, TREES
from benchmarks.reporting import show
from knowreason.data import Dataset
from knowreason.data import lanl_logs as lanl
from knowreason.data.worlds import intrusion
from knowreason.logic import Program
from knowreason.metrics.intervals import draw as resampled
from knowreason.metrics.metrics import Estimate, by_block, metric
from knowreason.models import make, predicted
from knowreason.models.base.feature_columns import evaluated
from knowreason.report.chart import INK, PALETTE
from knowreason.report.svg import save_svg

WORLDS: Mapping[str, dict[str, Any]] = {
    "before": {"people": 300, "servers": 60, "prevalence": 3e-3},
    "rare": {"people": 24_000, "servers": 1_500, "prevalence": 1e-5},
}
QUICK = {"before": {"people": 160}, "rare": {"people": 1_200, "prevalence": 2e-4}}
DAYS, FIRST_ATTACK = 14, 5
WINDOW, EPOCHS, QUICK_EPOCHS = "30m", 10, 2  # LANL's windows in the paper: 1,800 s
NOT_THERE = 0.02  # logons that were not, for each that was
RESAMPLES = 200
METRICS = ("roc_auc", "average_precision", "tpr@fpr=0.001", "tpr@fpr=0.01")
SHORT = dict(zip(METRICS, ("AUC", "AP", "TP at .1 % FP", "TP at 1 % FP"), strict=True))
BAND = (0.005, 0.05, 0.25, 0.5, 0.75, 0.95, 0.995)
COUNTS = ("n_src_dst", "n_user_src", "n_user_dst")
SELDOM = "seldom before (three counts)"
MAIN = "main, from the links alone"
STATED = "main and rules, stated weights, no label"
TREES_ALONE = "trees, from logons that were not"
DRAWN = (SELDOM, MAIN, STATED, TREES_ALONE, "answer")
Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Log:
    """A log cut before its first attack.

    Attributes:
        program: all models and rules.
        clean: the days before, nothing labelled.
        past: the same with logons that were not, which are the only malicious ones.
        future: the days from the first attack on, labels hidden.
        rows: ``int64[n]`` scored events, ascending; ``truth`` and ``days`` of them.
        logons: lines of the whole log.
    """

    program: Program
    clean: Dataset
    past: Dataset
    future: Dataset
    rows: NDArray[np.int64]
    truth: NDArray[np.bool_]
    days: NDArray[np.int64]
    logons: int


def with_non_logons(events: pa.Table, share: float, seed: int) -> pa.Table:
    """The events and, labelled malicious, others that never were.

    Args:
        events: of :func:`knowreason.data.lanl_logs.events`, all benign.
        share: of them that is copied, from the second day on; half of the copies come from
            another computer, half go to another one. Copies that are in the log, or that stay
            on one computer, are left out.
        seed: of the draw.
    """
    rng = np.random.default_rng([seed, 2])
    later = np.flatnonzero(events["day"].to_numpy() > events["day"][0].as_py())
    chosen = np.sort(rng.choice(later, round(share * len(later)), replace=False))
    copies = events.take(pa.array(chosen))
    other = rng.random(len(chosen)) < 0.5
    for column, exchanged in (("source", other), ("target", ~other)):
        pool = pc.unique(events[column])
        drawn = pool.take(pa.array(rng.integers(0, len(pool), len(chosen))))
        values = pc.if_else(pa.array(exchanged), drawn, copies[column].combine_chunks())
        copies = copies.set_column(copies.column_names.index(column), column, values)

    def keys(table: pa.Table) -> pa.Array:
        columns = [table[name] for name in ("user", "source", "target")]
        return pc.binary_join_element_wise(*columns, " ").combine_chunks()

    absent = pc.invert(pc.is_in(keys(copies), pc.unique(keys(events))))
    copies = copies.filter(pc.and_(absent, pc.not_equal(copies["source"], copies["target"])))
    place = copies.column_names.index("malicious")
    copies = copies.set_column(place, "malicious", pa.array(np.ones(len(copies), np.int8)))
    names = pc.binary_join_element_wise("not ", copies["id"], "")
    both = pa.concat_tables([events, copies.set_column(0, "id", names)])
    return both.take(pa.array(np.argsort(both["time"].to_numpy(), kind="stable")))


def drawn_log(name: str, seed: int, quick: bool) -> Log:
    """A world, counted, cut and bound."""
    knobs = WORLDS[name] | (QUICK[name] if quick else {})
    world = intrusion(seed, days=DAYS, first_attack=FIRST_ATTACK, **knobs)
    cut = int(world["truth"]["time"].to_numpy().min()) // lanl.DAY
    events = lanl.events(world["auth"], world["redteam"])
    history = ", ".join(f'"{column}"' for column in TREES)
    trees = f"model trees for Malicious = trees(features=[{history}], hops=0, l2=1.0)\n"
    program = kr.loads(RULES.read_text() + trees, str(RULES))

    def bound(table: pa.Table) -> Dataset:
        return Dataset.from_frames(program, **lanl.frames(table))

    early = events.filter(pa.array(events["day"].to_numpy() < cut))
    _, future = bound(events).split_by("at", before=np.datetime64(cut * lanl.DAY, "s").item())
    hidden = future.hidden["Malicious"]
    order = np.argsort(hidden["a0"].to_numpy(), kind="stable")
    rows = hidden["a0"].to_numpy()[order].astype(np.int64)
    return Log(
        program,
        bound(early.drop_columns(["malicious"])),
        bound(with_non_logons(early, NOT_THERE, seed)),
        future,
        rows,
        hidden["value"].to_numpy()[order] == 1,
        _by_event(future, future.attributes["day"])[rows].astype(np.int64),
        world["auth"].num_rows,
    )


def part(program: Program, models: Sequence[str], rules: Sequence[str]) -> Program:
    """The program with some of its models and rules."""
    return replace(
        program,
        models=tuple(m for m in program.models if m.name in models),
        rules=tuple(r for r in program.rules if r.name in rules),
    )


def scores_of(log: Log, name: str, store: Path, epochs: int) -> dict[str, Scores]:
    """Log-odds (or another score that ranks) of the scored events by row."""
    found: dict[str, Scores] = {}

    def keep(row: str, score: NDArray[np.floating]) -> None:
        found[row] = np.asarray(score, np.float64)
        print(f"{name}: {row}, {_spent():.0f} CPU s so far", flush=True)

    tables = evaluated(log.future, COUNTS)
    keep(SELDOM, -sum(np.log1p(_by_event(log.future, tables[c])[log.rows]) for c in COUNTS))
    main = {"main": {"window": WINDOW, "epochs": epochs}}
    if name == "rare":
        trees = make("trees", {"features": TREES, "hops": 0, "l2": 1.0}).fit(log.past, "Malicious")
        keep(TREES_ALONE, predicted(trees, log.future, "Malicious", "trees").llr[log.rows])
    unlabelled = ("main",) if name == "rare" else ("main", "auth")
    rules = LOG if name == "rare" else PAPER + LOG + HUB
    reasoner = kr.Reasoner(
        part(log.program, unlabelled, rules), models=main, settings=kr.Settings(labels="none")
    ).fit(log.clean, checkpoints=store / "clean")
    beliefs = reasoner.infer(log.future)
    (said,) = (o for o in beliefs.outputs if o.model == "main")
    keep(MAIN, said.llr[log.rows])
    atoms = beliefs.grounding.span("Malicious").start + log.rows
    keep(STATED, beliefs.log_odds[atoms])
    if name == "rare":
        return found
    every = ("main", "twohop", "auth", "trees")
    reasoner = kr.Reasoner(
        part(log.program, every, PAPER + LOG + HUB),
        models=main,
        folds=f"group:{CLUSTERS}",
        settings=kr.Settings(clusters=CLUSTERS),
    ).fit(log.past, checkpoints=store / "past")
    beliefs = reasoner.infer(log.future)
    for output in beliefs.outputs:
        if output.predicate == "Malicious" and len(output.llr) > log.rows.max():
            keep(f"{output.model}, from logons that were not", output.llr[log.rows])
    atoms = beliefs.grounding.span("Malicious").start + log.rows
    parts = answer_parts(reasoner, beliefs, "Malicious", atoms)
    for row, said_of in PARTS.items():
        if row in parts:
            keep(said_of, parts[row])
    print(*reasoner.answers_.notes, sep="\n  ", flush=True)
    return found


PARTS = {
    "S": "S: models stacked",
    "P": "P: rules, stated weights",
    "L": "L: rules, learned weights",
    "R": "R: rules, the weights in use",
    "answer": "answer",
}


def run(name: str, seed: int, out: Path, quick: bool) -> dict[str, Any]:
    """One world measured: rows, AUC a day, bands of scores a day."""
    log = drawn_log(name, seed, quick)
    drawn = _spent()
    store = out / "models" / f"{name}{'-quick' * quick}-{seed}"
    found = scores_of(log, name, store, QUICK_EPOCHS if quick else EPOCHS)
    rows, days, bands = [], {}, {}
    for row, score in found.items():
        figures = figures_of(log.truth, score, log.days)
        rows.append({"row": row} | {SHORT[m]: asdict(figures[m]) for m in METRICS})
        days[row] = by_block(log.truth, score, log.days, "roc_auc")
        bands[row] = bands_of(log.truth, score, log.days)
    attacks = np.bincount(log.days[log.truth], minlength=DAYS)
    return {
        "setting": name,
        "logons": log.logons,
        "learned from": log.clean.count("Event"),
        "non-logons": log.past.count("Event") - log.clean.count("Event"),
        "scored": len(log.truth),
        "malicious": int(log.truth.sum()),
        "prevalence": float(log.truth.mean()),
        "attacks": {str(day): int(attacks[day]) for day in np.unique(log.days)},
        "rows": rows,
        "days": {row: {str(d): v for d, v in of.items()} for row, of in days.items()},
        "bands": bands,
        "CPU s": {"draw and bind": drawn, "all": _spent()},
        "peak MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
    }


def figures_of(
    truth: NDArray[np.bool_], score: Scores, days: NDArray[np.int64]
) -> dict[str, Estimate]:
    """:data:`METRICS` with intervals over whole days, of millions of events.

    Only how many benign events of a day lie between two malicious ones, or level with one,
    matters to a ranking: such a group is one row with its size as weight.
    """
    levels = np.unique(score[truth])
    place = np.searchsorted(levels, score)
    level = levels[np.minimum(place, len(levels) - 1)] == score
    key = ((2 * place + level) * 2 + truth) * (days.max() + 1) + days
    groups, size = np.unique(key, return_counts=True)
    rank, day = np.divmod(groups, days.max() + 1)
    rank, true = np.divmod(rank, 2)
    drawn = resampled(len(groups), day, RESAMPLES, 0)
    weights = np.concatenate([np.ones((1, len(groups))), *drawn.weights()]) * size
    found = {}
    for name in METRICS:
        value, *values = metric(name).each(true == 1, rank.astype(np.float64), weights)
        low, high = np.nanpercentile(values, [2.5, 97.5])
        found[name] = Estimate(float(value), float(low), float(high))
    return found


def bands_of(
    truth: NDArray[np.bool_], score: Scores, days: NDArray[np.int64]
) -> dict[str, dict[str, list[float]]]:
    """Quantiles :data:`BAND` of the scores of each day, benign and malicious."""
    found: dict[str, dict[str, list[float]]] = {"benign": {}, "malicious": {}}
    for kind, mask in (("benign", ~truth), ("malicious", truth)):
        for day in np.unique(days[mask]):
            values = np.quantile(score[mask & (days == day)], BAND)
            found[kind][str(day)] = values.tolist()
    return found


def tables(record: Mapping[str, Any]) -> None:
    """Print one world."""

    def text(estimate: Mapping[str, float]) -> str:
        return f"{estimate['value']:.3f} [{estimate['low']:.3f}, {estimate['high']:.3f}]"

    show(
        f"{record['setting']} (generated): learned from {record['learned from']:,} events before"
        f" the first attack; {record['scored']:,} events, {record['malicious']} malicious"
        f" ({record['prevalence']:.1e}); {record['CPU s']['all']:.0f} CPU s, peak"
        f" {record['peak MB']:,.0f} MB",
        [
            {"": row["row"], **{key: text(row[key]) for key in SHORT.values()}}
            for row in record["rows"]
        ],
    )
    attacks = {day: count for day, count in record["attacks"].items() if count}
    show(
        "AUC a day (number of attacks)",
        [{"": "attacks", **{day: str(count) for day, count in attacks.items()}}]
        + [
            {"": row, **{day: f"{of[day]:.3f}" for day in attacks if day in of}}
            for row, of in record["days"].items()
        ],
    )


def draw(record: Mapping[str, Any], out: Path) -> None:
    """``intrusion_scores_NAME.svg``: scores by day, benign bands and attacks (Figure 5)."""
    from matplotlib.figure import Figure

    names = [name for name in DRAWN if name in record["bands"]]
    figure = Figure(figsize=(8.4, 0.9 + 1.7 * len(names)), layout="constrained")
    axes = figure.subplots(len(names), 1, sharex=True, squeeze=False)[:, 0]
    for axis, name in zip(axes, names, strict=True):
        for kind, colour, shift in (("benign", PALETTE[0], -0.15), ("malicious", PALETTE[1], 0.15)):
            of_kind = record["bands"][name][kind]
            days = np.array([int(day) for day in of_kind]) + shift
            lowest, low, quarter, middle, most, high, highest = np.array(list(of_kind.values())).T
            axis.vlines(days, lowest, highest, color=colour, linewidth=0.8)
            axis.vlines(days, low, high, color=colour, linewidth=2.5, alpha=0.5)
            axis.vlines(days, quarter, most, color=colour, linewidth=6, label=kind)
            axis.plot(days, middle, "_", color=INK, markersize=9)
        axis.set_title(name, fontsize=10, color=INK, loc="left")
        axis.spines[["top", "right"]].set_visible(False)
        axis.xaxis.get_major_locator().set_params(integer=True)
    axes[-1].set_xlabel("day")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    figure.suptitle(
        f"generated log, {record['malicious']} of {record['scored']:,} events malicious; scores by"
        " day: quartiles, 5 to 95 %, .5 to 99.5 %",
        fontsize=9,
        color=INK,
    )
    save_svg(figure, out / f"intrusion_scores_{record['setting']}.svg")
    figure.savefig(out / f"intrusion_scores_{record['setting']}.png", dpi=100)


def _spent() -> float:
    """CPU seconds of this process and of those it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _by_event(data: Dataset, table: pa.Table) -> NDArray[np.float64]:
    """``float64[events]`` of a table of event and value."""
    values = np.zeros(data.count("Event"))
    values[table["a0"].to_numpy()] = table["value"].to_numpy()
    return values
