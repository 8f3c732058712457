"""Cost against size: logons, their scores, and an attacker's hub, step by step.

    python benchmarks/scale.py [--rows 1000 100000 1000000] [--out scale.json]

KnowGraph's rules with a hub (``rulesets/intrusion.kr``) over generated logons and generated
scores of three models: two for ``Malicious``, one for ``Ntlm``. CPU seconds and the peak of
memory of every step, each size in a process of its own. Limits in the same run: ``numpy`` is
these rules by hand, all messages of the same trees in plain arrays from ids that are there
already; its marginals are compared with the package's.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

import knowreason as kr
from knowreason.beliefs.beliefs import Beliefs
from knowreason.data import Dataset
from knowreason.grounding import ground
from knowreason.models import make, predicted

T = TypeVar("T")
Table = dict[str, Any]

PROGRAM = """
domain Event, User, Host, Day
observed Logon(Event, user: User, src: Host, dst: Host, day: Day)
observed Next(Day, Day)
attribute package(Event): string
query Malicious(Event)
query Ntlm(Event)
model main for Malicious = column("main", kind="log_odds", base_rate=0.01)
model twohop for Malicious = column("twohop", kind="log_odds", base_rate=0.01)
model auth for Ntlm = column("auth", kind="log_odds", base_rate=0.15)
rule by_ntlm [1.5] : Malicious(e) => Ntlm(e)
rule spoken  [1]   : package(e) = "NTLM" => Malicious(e)
define Seen(h, d) := Logon(_, src: h, day: d)
latent Foothold(Host, Day) within Seen
rule betrays [5]  : Malicious(e) & Logon(e, src: h, day: d) => Foothold(h, d)
rule reaches [1]  : Foothold(h, d) & Logon(e, src: h, day: d) => Malicious(e)
rule stays   [1]  : Foothold(h, d) & Next(d, f) & Seen(h, f) => Foothold(h, f)
rule seldom  [-5] : Foothold(h, d)
"""
WEIGHTS = {"by_ntlm": 1.5, "spoken": 1.0, "betrays": 5.0, "reaches": 1.0, "stays": 1.0}
SELDOM, DAYS = -5.0, 30


def logons(rows: int, seed: int = 0) -> Table:
    """Columns of generated logons: ids, an authentication package, log-odds of three models.

    Computers log on as often as a Zipf law says, so that hubs are of all sizes. Log-odds stay
    within 13, as models' are cut at 14.
    """
    draw = np.random.default_rng(seed)
    hosts, users = max(rows // 400, 4), max(rows // 200, 4)
    host = np.minimum(draw.pareto(1.1, rows) * hosts / 60, hosts - 1).astype(np.int32)
    return {
        "user": draw.integers(0, users, rows, dtype=np.int32),
        "src": host,
        "dst": draw.integers(0, hosts, rows, dtype=np.int32),
        "day": np.sort(draw.integers(0, DAYS, rows, dtype=np.int32)),
        "ntlm": draw.random(rows) < 0.15,
        "main": draw.normal(-4, 2, rows).clip(-13, 13).round(3),
        "twohop": draw.normal(-4, 2, rows).clip(-13, 13).round(3),
        "auth": draw.normal(-1.5, 1, rows).round(3),
    }


def named(table: Table) -> dict[str, Any]:
    """The same logons with names for ids, as arguments of ``Dataset.from_frames``."""
    rows = len(table["src"])

    def names(letter: str, ids: NDArray[np.int32]) -> pa.Array:
        numbers = np.arange(int(ids.max()) + 1)
        return pa.array([f"{letter}{i}" for i in numbers]).take(pa.array(ids))

    event = pc.binary_join_element_wise("e", pa.array(np.arange(rows)).cast(pa.string()), "")
    hosts = int(max(table["src"].max(), table["dst"].max())) + 1
    host_names = pa.array([f"c{i}" for i in range(hosts)])
    ends = {end: host_names.take(pa.array(table[end])) for end in ("src", "dst")}
    day = pa.array(table["day"])
    packages = pa.array(["Kerberos", "NTLM"]).take(pa.array(table["ntlm"].astype(np.int8)))
    days = np.arange(DAYS)
    return {
        "facts": {
            "Logon": pa.table({"e": event, "user": names("u", table["user"]), **ends, "day": day}),
            "Next": {"day": days[:-1], "next": days[1:]},
            "package": pa.table({"e": event, "package": packages}),
        },
        "scores": {
            "Malicious": pa.table({"e": event, "main": table["main"], "twohop": table["twohop"]}),
            "Ntlm": pa.table({"e": event, "auth": table["auth"]}),
        },
    }


def by_hand(table: Table, base: tuple[float, float] = (0.01, 0.15)) -> NDArray[np.float64]:
    """``float64[rows]``: log-odds of ``Malicious``, by messages in plain arrays.

    Each logon is a leaf of the foothold of its computer and day; footholds of a computer are a
    chain over the days.
    """
    w = WEIGHTS
    prior = [float(np.log(p / (1 - p))) for p in base]
    own = table["main"] + table["twohop"] - 2 * prior[0] + w["spoken"] * table["ntlm"]
    ntlm = table["auth"] - prior[1]
    own = (
        own + np.logaddexp(0, ntlm + w["by_ntlm"]) - np.logaddexp(w["by_ntlm"], ntlm + w["by_ntlm"])
    )
    hosts = int(table["src"].max()) + 1
    cell = table["src"].astype(np.int64) * DAYS + table["day"]
    # what each logon says of its foothold: betrays M => F, reaches F => M
    b, r = w["betrays"], w["reaches"]
    to_false = np.logaddexp(b + r, own + r)  # F false: M false, M true breaks betrays
    to_true = np.logaddexp(b, own + b + r)  # F true: M false breaks reaches
    leaf = to_true - to_false
    seen = np.bincount(cell, minlength=hosts * DAYS).reshape(hosts, DAYS) > 0
    field = np.bincount(cell, leaf, hosts * DAYS).reshape(hosts, DAYS) + SELDOM
    field[~seen] = 0.0
    s = w["stays"]
    forward, backward = np.zeros_like(field), np.zeros_like(field)
    for d in range(1, DAYS):  # stays: F(d) => F(d + 1), where both are seen
        h = field[:, d - 1] + forward[:, d - 1]
        message = np.logaddexp(s, h + s) - np.logaddexp(s, h)
        forward[:, d] = np.where(seen[:, d - 1] & seen[:, d], message, 0.0)
    for d in range(DAYS - 2, -1, -1):
        h = field[:, d + 1] + backward[:, d + 1]
        message = np.logaddexp(0, h + s) - np.logaddexp(s, h + s)
        backward[:, d] = np.where(seen[:, d] & seen[:, d + 1], message, 0.0)
    hub = (field + forward + backward).reshape(-1)[cell] - leaf
    # F => M and M => F, summed over F
    return own + np.logaddexp(r, hub + b + r) - np.logaddexp(b + r, hub + b)


class Meter:
    """CPU seconds and peak memory of steps, one after another."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, float]] = {}

    def __call__(self, name: str, work: Callable[[], T]) -> T:
        """What ``work`` returns."""
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        start = time.process_time()
        found = work()
        self.rows[name] = {
            "cpu": time.process_time() - start,
            "peak": _memory("VmHWM"),
            "own": _memory("RssAnon"),
        }
        return found


def _memory(which: str) -> float:
    """Gigabytes, as Linux counts them."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(which)) / 1e6


def measure(rows: int) -> dict[str, Any]:
    """Every step at one size."""
    meter, table = Meter(), logons(rows)
    hand = meter("numpy", partial(by_hand, table))
    frames = named(table)
    del table
    program = kr.loads(PROGRAM)
    data = meter("bind", partial(Dataset.from_frames, program, **frames))
    del frames
    options: dict[str, Any] = {"labels": "evidence", "threads": 1}
    bare = meter("ground", partial(ground, program, data, **options))

    def scores() -> list[Any]:
        found = []
        for model in program.models:
            predicate = model.predicates[0]
            made = make(model.call).fit(data, predicate)
            found.append(predicted(made, data, predicate, model.name))
        return found

    said = meter("columns", scores)
    grounding = meter("with models", partial(bare.with_models, said))
    theta = grounding.graph.theta.clone()
    for place, name in enumerate(grounding.parameters.names):
        if name.startswith("bias"):
            theta[place] = 0.0
    graph = grounding.at(theta)
    posterior = meter("infer", partial(kr.infer, graph))
    answer = Beliefs(posterior, grounding, tuple(said))
    found = meter("marginals", partial(answer.marginals, "Malicious")).table["log_odds"].to_numpy()
    steps = meter.rows
    cpu = sum(row["cpu"] for name, row in steps.items() if name != "numpy")
    steps["all"] = {"cpu": cpu, "peak": max(row["peak"] for row in steps.values())}
    return {
        "rows": rows,
        "atoms": graph.atom_count,
        "factors": sum(part.rows for part in graph.factors),
        "engines": [(told.engine, told.components, told.atoms) for told in posterior.reports],
        "difference": float(np.abs(found - hand).max()),
        "log_z": posterior.log_z,
        "steps": steps,
    }


def main() -> None:
    """Measure every size in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000, 100_000, 1_000_000])
    parser.add_argument("--out", type=Path, default=Path("scale.json"))
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one is not None:
        options.out.write_text(json.dumps(measure(options.one)))
        return
    results = []
    for rows in options.rows:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "one.json"
            command = [sys.executable, __file__, "--one", str(rows), "--out", str(out)]
            subprocess.run(command, check=True)
            found = json.loads(out.read_text())
        results.append(found)
        print(f"{rows:,} logons, {found['atoms']:,} atoms, {found['factors']:,} ground factors")
        print(f"  {found['engines']}; log-odds differ from numpy's by {found['difference']:.1e}")
        print(f"  {'':12} {'CPU s':>8} {'peak GB':>8} {'own GB after':>13}")
        for step, told in found["steps"].items():
            own = told.get("own", 0.0)
            print(f"  {step:12} {told['cpu']:8.2f} {told['peak']:8.2f} {own:13.2f}", flush=True)
        options.out.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
