"""Rules without labels: functions that vote or abstain, against other label models.

    KNOWREASON_DATA=DIR python -m benchmarks.labelling [--folders DIR ...] [--quick] [--out DIR]

`youtube_spam` has ten functions and a text, `tennis_rally` six functions on frames in order. No
label is used but for the row `all labels`. `--folders` adds data sets in WRENCH's format
(`train.json` and `test.json` with `weak_labels`, `label` and `data.text`; two classes). Other label
models are compared where they can be imported: `crowdkit`, `snorkel`, `flyingsquid`. Prints
tables, writes `labelling.json`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import expit, logit

import knowreason as kr
from benchmarks.reporting import data_folder, parser, show, write
from knowreason.metrics.metrics import evaluate
from knowreason.models.base.predicate_rows import rows_of
from knowreason.models.labelling.dawid_skene import fit_votes
from knowreason.models.labelling.end_model import fit_beliefs, text_features
from knowreason.models.labelling.vote_matrix import Votes
from knowreason.models.tabular.wrapped_models import estimator_named

Array = NDArray[Any]
METRICS = ("accuracy", "average_precision", "log_loss", "ece")
CHAIN = 3.0  # log odds ratio of two frames in a row, stated before anything was measured
RULES = """domain Item, Function
attribute text(Item): string
attribute fires(Item, Function): bool
observed Next(Item, Item)
query Yes(Item)
model functions for Yes = label_functions(votes=["fires"]{options})
"""
STEADY = "rule steady [{weight}] : Next(x, y) & (Yes(x) <~> Yes(y))\n"
Said = tuple[Array, Array]  # log-odds of the rows learned from, and of the test


@dataclass(frozen=True)
class Task:
    """Votes (-1 where a function abstains) and truth.

    Attributes:
        name: itself.
        train, test: ``int[n, m]``.
        truth: ``int[n]`` of the test.
        known: of the rows learned from, where there is one.
        texts: of both.
        in_order: whether rows follow each other.
    """

    name: str
    train: Array
    test: Array
    truth: Array
    known: Array | None = None
    texts: tuple[list[str], list[str]] | None = None
    in_order: bool = False


def wrench(folder: Path) -> Task:
    """A data set in WRENCH's format."""
    parts = {}
    for part in ("train", "test"):
        rows = json.loads((folder / f"{part}.json").read_text()).values()
        votes = np.array([row["weak_labels"] for row in rows])
        labels = np.array([row["label"] for row in rows])
        parts[part] = votes, labels, [str(row["data"].get("text", "")) for row in rows]
    (train, known, texts), (test, truth, others) = parts["train"], parts["test"]
    read = (texts, others) if any(texts) else None
    return Task(folder.name, train, test, truth, known, read)


def tennis(folder: Path) -> Task:
    """Frames in order; -1 is no, 0 an abstention, 1 yes."""
    read = [np.load(folder / f"L_{part}_video.npy") for part in ("train", "dev")]
    train, test = (np.where(votes == 0, -1, votes > 0).astype(int) for votes in read)
    truth = (np.load(folder / "Y_dev_video.npy") > 0).astype(int)
    return Task(folder.name, train, test, truth, in_order=True)


def dataset(program: kr.Program, votes: Array, texts: list[str] | None, in_order: bool) -> Any:
    """One part of a task, and the row of each atom."""
    items = np.array([f"i{row}" for row in range(len(votes))])
    row, function = np.nonzero(votes >= 0)
    facts: dict[str, Any] = {
        "fires": pl.DataFrame(
            {
                "item": items[row],
                "function": [f"f{j}" for j in function],
                "vote": votes[row, function] == 1,
            }
        )
    }
    if texts:
        facts["text"] = pl.DataFrame({"item": items, "text": texts})
    if in_order:
        facts["Next"] = pl.DataFrame({"one": items[:-1], "other": items[1:]})
    data = kr.Dataset.from_frames(program, facts=facts, things={"Item": {"item": items.tolist()}})
    names = data.vocabularies["Item"].names.to_pylist()
    return data, np.array([int(names[i][1:]) for i in rows_of(data, "Yes").things[:, 0]])


def ours(task: Task, options: str = "", weight: float = 0.0) -> tuple[Said, tuple[str, ...]]:
    """The reasoner's log-odds, and what the model reports."""
    text = RULES.format(options=options) + (STEADY.format(weight=weight) if weight else "")
    program = kr.loads(text)
    read = task.texts or (None, None)
    (data, row), (today, other) = (
        dataset(program, votes, texts, bool(weight))
        for votes, texts in zip((task.train, task.test), read, strict=True)
    )
    reasoner = kr.Reasoner(program).fit(data)
    said = []
    for part, order in ((data, row), (today, other)):
        beliefs = reasoner.infer(part)
        log_odds = np.zeros(len(order))
        log_odds[order] = beliefs.posterior.log_odds.numpy()[beliefs.asked("Yes")]
        said.append(log_odds)
    return (said[0], said[1]), reasoner.models_[0].fitted.report


def majority(task: Task) -> Said:
    """The difference of votes as log-odds; ties are nought."""
    train, test = ((v == 1).sum(1) - (v == 0).sum(1) for v in (task.train, task.test))
    return train.astype(float), test.astype(float)


def crowd_kit(task: Task) -> Said:
    """Dawid-Skene, fitted to the votes of both parts: it scores only what it was fitted to."""
    import pandas as pd
    from crowdkit.aggregation import DawidSkene

    votes = np.concatenate([task.train, task.test])
    row, function = np.nonzero(votes >= 0)
    frame = pd.DataFrame({"task": row, "worker": function, "label": votes[row, function]})
    found = DawidSkene(n_iter=100).fit_predict_proba(frame)
    chance = np.full(len(votes), 0.5)
    chance[found.index] = found[1]
    both = _log_odds(chance)
    return both[: len(task.train)], both[len(task.train) :]


def snorkel(task: Task) -> Said:
    """Snorkel's label model at its defaults."""
    from snorkel.labeling.model import LabelModel

    model = LabelModel(cardinality=2, verbose=False)
    model.fit(task.train, n_epochs=500, seed=0, progress_bar=False)
    train, test = (model.predict_proba(part)[:, 1] for part in (task.train, task.test))
    return _log_odds(train), _log_odds(test)


def flying_squid(task: Task) -> Said:
    """FlyingSquid's triplets at their defaults."""
    from flyingsquid.label_model import LabelModel

    train, test = (np.where(part < 0, 0, 2 * part - 1) for part in (task.train, task.test))
    model = LabelModel(train.shape[1])
    model.fit(train)
    found = [model.predict_proba(part)[:, 1] for part in (train, test)]
    return _log_odds(found[0]), _log_odds(found[1])


PEERS: dict[str, tuple[str, Callable[[Task], Said]]] = {
    "Dawid-Skene (crowd-kit)": ("crowdkit", crowd_kit),
    "label model (Snorkel)": ("snorkel", snorkel),
    "triplets (FlyingSquid)": ("flyingsquid", flying_squid),
}


def then_text(task: Task, belief: Array) -> Said:
    """The same classifier of texts as ours, on somebody's beliefs (or labels)."""
    assert task.texts is not None
    features = text_features().fit(task.texts[0])
    train, test = (features.transform(part) for part in task.texts)
    make = partial(estimator_named, "logistic", 0, {})
    classifier = fit_beliefs(make, train, np.column_stack([1 - belief, belief]))
    return classifier.decision_function(train), classifier.decision_function(test)


def measure(task: Task) -> list[dict[str, Any]]:
    """A row a method."""
    rows: list[dict[str, Any]] = []

    def add(name: str, make: Callable[[], Said]) -> Said | None:
        start = time.process_time()
        try:
            said = make()
        except Exception as error:  # a peer's failure is a result
            print(f"{task.name}: {name}: {type(error).__name__}: {error}")
            return None
        seconds = time.process_time() - start
        rows.append({"method": name, **_scores(task, said), "cpu_s": round(seconds, 2)})
        return said

    beliefs = {"majority vote": add("majority vote", lambda: majority(task))}
    for name, (package, make) in PEERS.items():
        if find_spec(package) is None:
            print(f"{task.name}: {name}: `{package}` is not installed")
        else:
            beliefs[name] = add(name, partial(make, task))
    add("label_functions, votes alone", lambda: ours(task)[0])
    if task.in_order:
        add(f"label_functions, chain [{CHAIN:g}] over frames", lambda: ours(task, weight=CHAIN)[0])
    if task.texts:
        for name, said in beliefs.items():
            if said is not None:
                chance = expit(said[0])
                add(f"{name}, then text", partial(then_text, task, chance))
        add("label_functions with text", lambda: ours(task, ', text="text"')[0])
        if task.known is not None:
            add("all labels: text", lambda: then_text(task, task.known.astype(float)))
    return rows


def _scores(task: Task, said: Said) -> dict[str, Any]:
    table = evaluate(task.truth == 1, {"it": said[1]}, METRICS, seed=0)["it"]
    found: dict[str, Any] = {name: round(table[name].value, 4) for name in METRICS}
    found["accuracy"] = round(_accuracy(said[1], task.truth), 4)  # ties count half
    found["rows learned from"] = (
        None if task.known is None else round(_accuracy(said[0], task.known), 4)
    )
    return found


def _accuracy(log_odds: Array, truth: Array) -> float:
    right = np.where(log_odds == 0, 0.5, (log_odds > 0) == (truth == 1))
    return float(right.mean())


def _log_odds(chance: Array) -> Array:
    return np.asarray(logit(np.clip(chance, 1e-6, 1 - 1e-6)))


def fit_seconds(task: Task) -> float:
    """CPU seconds of one fit to the votes, of five the least."""
    votes = np.concatenate([task.train, task.test]).astype(np.int16)
    found = []
    for _ in range(5):
        read = Votes(tuple(map(str, range(votes.shape[1]))), votes)
        start = time.process_time()
        fit_votes(read, shares=read.majority()[read.covered].mean(0))
        found.append(time.process_time() - start)
    return min(found)


def main() -> None:
    """Run the study."""
    options = parser(__doc__, "labelling")
    options.add_argument("--folders", type=Path, nargs="*", default=[], help="further data sets")
    given = options.parse_args()
    folder = data_folder() / "weak_supervision"
    tasks = [wrench(folder / "youtube_spam"), tennis(folder / "tennis_rally")]
    tasks = (tasks[:1] if given.quick else tasks) + [wrench(path) for path in given.folders]
    record: dict[str, Any] = {}
    for task in tasks:
        rows = measure(task)
        seconds = fit_seconds(task)
        report = ours(task, ', text="text"' if task.texts else "")[1]
        record[task.name] = {"rows": rows, "fit_cpu_s": seconds, "report": report}
        size = len(task.train) + len(task.test)
        show(f"{task.name}: {len(task.truth)} test rows", rows)
        print(f"fit to {size:,} rows x {task.train.shape[1]} functions: {seconds:.2f} CPU s")
        print("\n".join(report), "\n")
    print(f"written: {write(given.out, 'labelling', record)}")


if __name__ == "__main__":
    main()
