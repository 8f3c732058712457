"""What training costs, in CPU seconds on one thread, beside scikit-learn's own part of it.

    python -m benchmarks.training [--only PART ...] [--labels N] [--out DIR]

Parts: `starter` (`knowreason train` of `knowreason new`, a process of its own; beside it a process
that imports the libraries it needs), `s_ffsd` (`Reasoner.fit` on slices before 34, clusters of
merchants; left out where KNOWREASON_DATA names no folder with it) and `labels` (generated: a
million labelled payments at 100,000 shops, one model of trees, three rules with a hub). Of the last
two the floor is what scikit-learn's fits take of it, measured in the same run; of `labels` also its
logistic regression on the same rows alone. The first run compiles kernels: run it twice.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

import knowreason as kr
from benchmarks.card_fraud import RULES, Bench
from benchmarks.reporting import DATA, parser, show, write
from benchmarks.start_up import HERE, cpu_seconds

LIBRARIES = "import duckdb, numba, pyarrow, scipy.stats, sklearn.ensemble, torch"
PROGRAM = """
domain Payment, Shop
observed At(Payment, shop: Shop)
attribute amount(Payment): float
attribute hour(Payment): float
query Fraud(Payment)
latent Bad(Shop) within Active
define Active(s) := At(_, shop: s)
model signs for Fraud = trees(features=["amount", "hour"])
rule rare   [? -3]     : Fraud(p)
rule skim   [? 2 >= 0] : Bad(s) & At(p, shop: s) ~> Fraud(p)
rule seldom [? -3]     : Bad(s)
"""
Row = dict[str, object]


@contextmanager
def timed(spent: list[float]) -> Iterator[None]:
    """Adds what scikit-learn's boosting takes within it to ``spent``."""
    fit = HistGradientBoostingClassifier.fit

    def measured(*given: object, **named: object) -> object:
        start = time.process_time()
        try:
            return fit(*given, **named)
        finally:
            spent.append(time.process_time() - start)

    HistGradientBoostingClassifier.fit = measured
    try:
        yield
    finally:
        HistGradientBoostingClassifier.fit = fit


def trained(what: str, learn: Callable[[], kr.Reasoner]) -> tuple[Row, kr.Reasoner]:
    """A row of the table, and what was fitted."""
    spent: list[float] = []
    with threadpool_limits(1), timed(spent):
        wall, start = time.perf_counter(), time.process_time()
        reasoner = learn()
        seconds = time.process_time() - start
    row: Row = {
        "training": what,
        "CPU s": seconds,
        "of it scikit-learn's fits": sum(spent),
        "fits": len(spent),
        "wall s": time.perf_counter() - wall,
    }
    return row, reasoner


def starter() -> list[Row]:
    """The verb, and a process that imports what it needs."""
    with tempfile.TemporaryDirectory() as folder:
        project, run = str(Path(folder) / "starter"), str(Path(folder) / "run")
        cpu_seconds(["-m", "knowreason", "new", project], HERE, 1)
        train = ["-m", "knowreason", "train", project, "-o", run, "--force"]
        seconds = min(cpu_seconds(train, HERE, 1) for _ in range(2))
    floor = min(cpu_seconds(["-c", LIBRARIES], HERE, 1) for _ in range(2))
    return [
        {"training": "starter, `knowreason train`", "CPU s": seconds},
        {"training": "floor: its libraries are imported", "CPU s": floor},
    ]


def s_ffsd() -> list[Row]:
    """All labels of the past; models in this process."""
    if not (Path(os.environ.get(DATA, "")) / "s_ffsd").is_dir():
        print(f"s_ffsd: left out, {DATA} names no folder with it")
        return []
    bench = Bench.load(RULES / "card_fraud.kr")
    settings = kr.Settings(clusters="target", threads=1)
    row, _ = trained(
        "s_ffsd", lambda: kr.Reasoner(bench.past.program, settings=settings).fit(bench.past)
    )
    return [row]


def world(labels: int, seed: int = 0) -> tuple[kr.Dataset, np.ndarray, np.ndarray]:
    """Generated payments, the columns that the model sees, and what is true."""
    rng = np.random.default_rng(seed)
    shop = rng.integers(0, max(labels // 10, 1), labels)
    bad = rng.random(shop.max() + 1) < 0.03
    columns = rng.standard_normal((labels, 2)).astype(np.float32)
    score = columns[:, 0] - 0.5 * columns[:, 1] ** 2 - 3.5 + 3.0 * bad[shop]
    fraud = rng.random(labels) < 1 / (1 + np.exp(-score))
    payment = np.arange(labels)
    program = kr.loads(PROGRAM)
    data = kr.Dataset.from_frames(
        program,
        facts={
            "At": {"p": payment, "s": shop},
            "amount": {"p": payment, "v": columns[:, 0]},
            "hour": {"p": payment, "v": columns[:, 1]},
        },
        labels={"Fraud": {"p": payment, "v": fraud}},
    )
    return data, columns, fraud


def labels(count: int) -> list[Row]:
    """Training on generated labels, and a logistic regression of them alone."""
    data, columns, fraud = world(count)
    row, reasoner = trained(
        f"{count:,} labels",
        lambda: kr.Reasoner(data.program, settings=kr.Settings(threads=1)).fit(data),
    )
    print(reasoner.weights_)
    start = time.process_time()
    LogisticRegression().fit(columns, fraud)
    alone = {"training": "peer: logistic regression of them", "CPU s": time.process_time() - start}
    return [row, alone]


def main() -> None:
    """Run the parts and print their table."""
    options = parser(__doc__, "training")
    options.add_argument("--only", nargs="*", choices=("starter", "s_ffsd", "labels"))
    options.add_argument("--labels", type=int, default=1_000_000)
    chosen = options.parse_args()
    parts: dict[str, Callable[[], list[Row]]] = {
        "starter": starter,
        "s_ffsd": s_ffsd,
        "labels": lambda: labels(chosen.labels),
    }
    rows: list[Row] = []
    for name, part in parts.items():
        if not chosen.only or name in chosen.only:
            rows += part()
    show("Training, CPU seconds on one thread", rows)
    write(chosen.out, "training", rows)


if __name__ == "__main__":
    main()
