"""``plan``, ``compile``, ``train`` and ``predict`` of a log that memory does not hold, in parts.

    python benchmarks/divided.py --rules log --rows 45000000 --parts 16 [--folder DIR] [--keep]
    python benchmarks/divided.py --rules pairs --rows 1000000 --parts 50 --steps compile
    python benchmarks/divided.py --rules one --rows 1000000000 --parts 100 --steps train predict

Logons are generated as ``benchmarks/scale.py`` has them, into Parquet files of five million with
narrow columns. Rules: ``log``, KnowGraph's with a hub and the rules over the log (an account that
hardly ever came from there, a new pair of computers); ``hub``, without the latter; ``one``, one
rule and one model over edges, which are sorted by their number; ``pairs``, a rule over pairs of an
account's payments (100 candidates a payment) and a count. Weights are learned from a slice.
Each verb is a process of its own: CPU seconds and the peak of memory are those of the process, and
disk is what files were written, its temporary ones among them.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

FILE_ROWS, SLICE, DAYS = 5_000_000, 20_000, 30

LOGON = """
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
rule spoken [? 1] : package(e) = "NTLM" => Malicious(e)
define Seen(h, d) := Logon(_, src: h, day: d)
latent Foothold(Host, Day) within Seen
rule betrays [? 5 >= 0] : Malicious(e) & Logon(e, src: h, day: d) => Foothold(h, d)
rule reaches [? 1 >= 0] : Foothold(h, d) & Logon(e, src: h, day: d) => Malicious(e)
rule stays   [? 1 >= 0] : Foothold(h, d) & Next(d, f) & Seen(h, f) => Foothold(h, f)
rule seldom  [-5]       : Foothold(h, d)
"""
LOG = """
attribute user(Event): User
attribute src(Event): Host
attribute dst(Event): Host
attribute at(Event): int clock
attribute day(Event): int
define n_here(e)    := count { f : Logon(f, user: user(e), src: src(e)) & day(f) < day(e) }
define n_src_dst(e) := count { f : Logon(f, src: src(e), dst: dst(e)) & at(f) < at(e) }
define Guest(e)     := n_here(e) <= 5
define NewPair(e)   := n_src_dst(e) = 0
rule guest    [? 1] : Guest(e) => Malicious(e)
rule new_pair [? 1] : NewPair(e) => Malicious(e)
"""
ONE = """
domain Event, Host
observed Logon(Event, src: Host, dst: Host)
observed Watched(Host)
query Malicious(Event)
model main for Malicious = column("main", kind="log_odds", base_rate=0.01)
rule watched [? 1] : Logon(e, src: h) & Watched(h) => Malicious(e)
"""
PAIRS = """
domain Payment, Account
observed Pays(Payment, Account)
attribute amount(Payment): int
query Bad(Payment)
query Late(Payment)
define Has(a) := Pays(_, a)
latent Ring(Account) within Has
rule above [0.01] : Pays(x, a) & Pays(y, a) & amount(x) < amount(y) & Ring(a) => Bad(y)
rule late  [1]    : count { x : Late(x) & Pays(x, a) } >= 3 => Ring(a)
"""
PAYMENTS = 200  # of an account, each of which is a candidate with each other
EDGE = ["event", "src", "dst"]
BINDINGS = {
    "Logon": ("logons", ["event", "user", "src", "dst", "day"], {}),
    "Next": ("days", ["day", "next"], {}),
    "package": ("logons", ["event"], {"value": "package"}),
    "user": ("logons", ["event"], {"value": "user"}),
    "src": ("logons", ["event"], {"value": "src"}),
    "dst": ("logons", ["event"], {"value": "dst"}),
    "at": ("logons", ["event"], {"value": "at"}),
    "day": ("logons", ["event"], {"value": "day"}),
    "Malicious": ("labels", ["event"], {"label": "malicious"}),
}
HUB_NAMES = ("Logon", "Next", "package", "Malicious")
SCORES = {"Malicious": ["main", "twohop"], "Ntlm": ["auth"]}


def hosts_of(rows: int) -> int:
    """How many computers there are."""
    return min(max(rows // 400, 4), 1_000_000)


def logons(first: int, rows: int, total: int, rules: str) -> pa.Table:
    """Logons ``first`` to ``first + rows`` of ``total``, in the order of their time."""
    draw = np.random.default_rng((1, first))
    if rules == "pairs":
        account = draw.integers(0, total // PAYMENTS, rows, dtype=np.int32)
        amount = draw.integers(0, 1_000_000, rows, dtype=np.int32)
        return pa.table({"event": np.arange(rows, dtype=np.int32), "src": account, "at": amount})
    hosts = hosts_of(total)
    source = np.minimum(draw.pareto(1.1, rows) * hosts / 60, hosts - 1).astype(np.int32)
    event = np.arange(first, first + rows, dtype=np.int32)
    columns: dict[str, Any] = {
        "event": event,
        "src": source,
        "dst": draw.integers(0, hosts, rows, dtype=np.int32),
        "main": draw.normal(-4, 2, rows).clip(-13, 13).astype(np.float32),
    }
    if rules != "one":
        packages = pa.array(["Kerberos", "NTLM"]).dictionary_encode().dictionary
        spoken = (draw.random(rows) < 0.15).astype(np.int8)
        columns |= {
            "user": (source % 977 * 7 + draw.integers(0, 7, rows)).astype(np.int32),
            "day": (event.astype(np.int64) * DAYS // total).astype(np.int32),
            "at": event,
            "package": pa.DictionaryArray.from_arrays(pa.array(spoken), packages),
            "twohop": draw.normal(-4, 2, rows).clip(-13, 13).astype(np.float32),
            "auth": draw.normal(-1.5, 1, rows).astype(np.float32),
        }
    return pa.table(columns)


def write_world(folder: Path, rows: int, rules: str, parts: int) -> None:
    """The log, a slice of it with labels, the rules, and a project file for each."""
    days = pa.table({"day": np.arange(DAYS - 1), "next": np.arange(1, DAYS)})
    watched = pa.table({"host": np.arange(0, hosts_of(rows), 7, dtype=np.int32)})
    for name in ("all", "slice"):
        (folder / name).mkdir(parents=True)
        parquet.write_table(days, folder / name / "days.parquet")
        parquet.write_table(watched, folder / name / "watched.parquet")
    for place, first in enumerate(range(0, rows, FILE_ROWS)):
        table = logons(first, min(FILE_ROWS, rows - first), rows, rules)
        parquet.write_table(
            table,
            folder / "all" / f"logons{place:04}.parquet",
            row_group_size=1_000_000,
            use_dictionary=["package"] if rules != "one" else False,
            column_encoding={n: "DELTA_BINARY_PACKED" for n in EDGE if n in table.column_names},
        )
        if place == 0 and rules != "pairs":
            few = table.slice(0, SLICE)
            main = few.column("main").to_numpy()
            bad = np.random.default_rng(2).random(len(main)) < 1 / (1 + np.exp(-main))
            parquet.write_table(few, folder / "slice" / "logons0000.parquet")
            known = pa.table({"event": few.column("event"), "malicious": bad.astype(np.int8)})
            parquet.write_table(known.slice(0, SLICE // 2), folder / "slice" / "labels.parquet")
    texts = {"one": ONE, "pairs": PAIRS, "hub": LOGON, "log": LOGON + LOG}
    (folder / "rules.kr").write_text(texts[rules])
    for name in ("all", "slice"):
        (folder / f"{name}.toml").write_text(project(name, rules, parts))


def project(name: str, rules: str, parts: int) -> str:
    """The project file over the tables of a folder."""
    whole = name == "all"
    names = list(BINDINGS) if rules == "log" else list(HUB_NAMES)
    bindings = {n: BINDINGS[n] for n in names}
    scores = SCORES
    if rules == "one":
        bindings = {
            "Logon": ("logons", EDGE, {}),
            "Watched": ("watched", ["host"], {}),
            "Malicious": BINDINGS["Malicious"],
        }
        scores = {"Malicious": ["main"]}
    if rules == "pairs":
        amount = ("logons", ["event"], {"value": "at"})
        bindings, scores = {"Pays": ("logons", ["event", "src"], {}), "amount": amount}, {}
    elif whole:
        del bindings["Malicious"]
    tables = sorted({table for table, _, _ in bindings.values()})
    lines = ['program = "rules.kr"', 'memory_limit = "2GB"', "ground_limit = 200000000"]
    for table in tables:
        pattern = f"{name}/logons*.parquet" if table == "logons" else f"{name}/{table}.parquet"
        lines += [f"[tables.{table}]", f'path = "{pattern}"']
    for predicate, (table, columns, more) in bindings.items():
        lines += [f"[bind.{predicate}]", f'table = "{table}"', f"columns = {json.dumps(columns)}"]
        lines += [f"{key} = {json.dumps(value)}" for key, value in more.items()]
    for predicate, columns in scores.items():
        lines += [f"[scores.{predicate}]", 'table = "logons"', 'key = ["event"]']
        lines += [f"columns = {json.dumps(columns)}"]
    lines += ["[split]", "share = 0.0", "[learn]", "auto_trees = false"]
    lines += ["[infer]", "threads = 1"]
    lines += ["[engine]", f"partitions = {parts}"] * whole
    return "\n".join(lines) + "\n"


def measured(command: list[str], folder: Path) -> dict[str, float]:
    """CPU seconds, gigabytes of memory and of disk, and seconds of a verb."""
    start, most, done = time.monotonic(), [0], threading.Event()
    before = _written(folder)

    def watch() -> None:
        while not done.wait(5):
            most[0] = max(most[0], _written(folder) - before)

    env = {**os.environ, "TMPDIR": str(folder / "tmp"), "OMP_NUM_THREADS": "1"}
    verb = [sys.executable, "-m", "knowreason", *command]
    process = subprocess.Popen(verb, env=env, cwd=folder)
    watcher = threading.Thread(target=watch)
    watcher.start()
    _, status, usage = os.wait4(process.pid, 0)
    done.set()
    watcher.join()
    if status:
        raise SystemExit(f"{' '.join(command)} failed")
    return {
        "cpu": usage.ru_utime + usage.ru_stime,
        "peak": usage.ru_maxrss / 1e6,
        "disk": max(most[0], _written(folder) - before) / 1e9,
        "seconds": time.monotonic() - start,
    }


def _written(folder: Path) -> int:
    total = 0
    for file in folder.rglob("*"):
        try:
            total += file.stat().st_size if file.is_file() else 0
        except OSError:
            continue
    return total


def main() -> None:
    """Write the world, then run the verbs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rules", choices=["log", "hub", "one", "pairs"], default="log")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--parts", type=int, default=4)
    steps = ["plan", "compile", "train", "predict"]
    parser.add_argument("--steps", nargs="+", choices=steps, default=steps)
    parser.add_argument("--folder", type=Path, help="for the log and all that is made of it")
    parser.add_argument("--keep", action="store_true", help="leave the folder")
    parser.add_argument("--out", type=Path, default=Path("divided.json"))
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp()) if options.folder is None else options.folder.resolve()
    start = time.process_time()
    if not (folder / "all.toml").exists():
        write_world(folder, options.rows, options.rules, options.parts)
    (folder / "tmp").mkdir(exist_ok=True)
    data = _written(folder) / 1e9
    print(f"{options.rows:,} logons, {options.parts} parts, rules {options.rules}")
    print(f"  {'generated':10} {time.process_time() - start:8.1f} CPU s {data:20.2f} GB of disk")
    commands = {
        "plan": ["plan", "all.toml"],
        "compile": ["compile", "all.toml", "-o", "compiled", "--force"],
        "train": ["train", "slice.toml", "-o", "run", "--force"],
        "predict": [
            "predict",
            "run",
            "--data",
            "all",
            "-o",
            "found.parquet",
            "--force",
            "--predicate",
            "Malicious",
        ],
    }
    commands["predict"] += ["--parts", str(options.parts)]
    results: dict[str, Any] = {"rows": options.rows, "rules": options.rules}
    try:
        for step in options.steps:
            found = results[step] = measured(commands[step], folder)
            print(
                f"  {step:10} {found['cpu']:8.1f} CPU s {found['peak']:8.2f} GB of memory "
                f"{found['disk']:6.2f} GB of disk {found['seconds']:8.1f} s",
                flush=True,
            )
            options.out.write_text(json.dumps(results, indent=1))
            shutil.rmtree(folder / "compiled", ignore_errors=True)
            (folder / "found.parquet").unlink(missing_ok=True)
    finally:
        if not options.keep:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
