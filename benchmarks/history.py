"""CPU seconds of definitions over history, beside numpy and DuckDB's own window frame.

    python benchmarks/history.py [--rows 1000000] [--quick] [--out history.json]

Events of as many keys as a tenth of them, and of one key (a hub), at random times. Ours starts
from encoded tables and ends with the table of the definition, joins included; numpy and DuckDB's
frame start from three columns that are joined already. `thirty` are counts, means, sums, extremes,
rates, last ones and windows of one key and clock, `five` are the first of them. `larger` compares
an amount beside the clock; what a join of all pairs takes is measured on a hub of 10,000 and is
quadratic. DuckDB's frame is left out of hubs of more than 100,000.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from knowreason.data import Dataset, Vocabulary
from knowreason.grounding.relational.database import Relations
from knowreason.lang import loads

DECLARED = """
domain Event, Key
observed Pays(Event, key: Key)
attribute key(Event): Key
attribute at(Event): time clock
attribute amount(Event): float
query Bad(Event)
"""
PAST = "f : Pays(f, key: key(e)) & at(f) < at(e)"
SPANS = ("1d", "3d", "7d", "14d", "30d", "60d")
DEFINITIONS = (
    f"count {{ {PAST} }}",
    f"avg {{ amount(f) for {PAST} }}",
    f"count {{ {PAST} & at(e) - at(f) <= 7d }}",
    f"max {{ amount(f) for {PAST} }}",
    f"sum {{ amount(f) for {PAST} last 20 by at(f) }}",
    f"min {{ amount(f) for {PAST} }}",
    f"sum {{ amount(f) for {PAST} }}",
    f"rate {{ amount(f) > 2.0 for {PAST} prior 0.1 of 2 }}",
    "count { f : Pays(f, key: key(e)) }",
    "avg { amount(f) for f : Pays(f, key: key(e)) & at(f) <= at(e) }",
    *(f"count {{ {PAST} & at(e) - at(f) <= {span} }}" for span in SPANS if span != "7d"),
    *(f"avg {{ amount(f) for {PAST} & at(e) - at(f) <= {span} }}" for span in SPANS),
    *(f"max {{ amount(f) for {PAST} & at(e) - at(f) <= {span} }}" for span in SPANS),
    *(f"avg {{ amount(f) for {PAST} last {most} by at(f) }}" for most in (1, 5, 10)),
)
LARGER = f"count {{ {PAST} & amount(f) > amount(e) }}"
PAIRED = f"count {{ {PAST} & amount(f) - amount(e) > 0.0 & amount(f) * amount(e) > 0.0 }}"
YEAR = 365 * 86_400_000_000
FRAME_ROWS = 100_000


def cpu_seconds(work: Callable[[], object], repeats: int = 3) -> float:
    """Least CPU seconds of several runs."""
    found = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        found.append(time.process_time() - start)
    return min(found)


def columns(rows: int, keys: int, seed: int = 0) -> dict[str, pa.Array]:
    """Key, time and amount of each event."""
    draw = np.random.default_rng(seed)
    return {
        "key": pa.array(draw.integers(0, keys, rows).astype(np.int32)),
        "at": pa.array(draw.integers(0, YEAR, rows)),
        "amount": pa.array(draw.lognormal(size=rows)),
    }


def evaluated(definitions: tuple[str, ...], events: dict[str, pa.Array]) -> Callable[[], object]:
    """What evaluates definitions on a connection of its own."""
    text = "".join(f"define f{i}(e) := {body}\n" for i, body in enumerate(definitions))
    program = loads(DECLARED + text)
    rows, keys = len(events["at"]), int(np.asarray(events["key"]).max()) + 1
    ids = pa.array(np.arange(rows, dtype=np.int32))
    names = {"Event": np.arange(rows).astype(str), "Key": np.arange(keys).astype(str)}
    data = Dataset(
        program=program,
        vocabularies={sort: Vocabulary(sort, pa.array(own)) for sort, own in names.items()},
        facts={"Pays": pa.table({"a0": ids, "a1": events["key"]})},
        attributes={name: pa.table({"a0": ids, "value": own}) for name, own in events.items()},
        evidence={},
        labels={},
        hidden={},
    )

    def run() -> pa.Table:
        with Relations(program, data, threads=1) as relations:
            for i in range(len(definitions)):
                relations.table(f"f{i}")
            return relations.read("f0")["value"]

    return run


def earlier(events: dict[str, pa.Array]) -> np.ndarray:
    """How many events of the same key are earlier, by numpy."""
    key, at = np.asarray(events["key"]), np.asarray(events["at"])
    order = np.lexsort((at, key))
    key, at = key[order], at[order]
    begins = np.concatenate([[True], key[1:] != key[:-1]])
    moves = begins | np.concatenate([[True], at[1:] != at[:-1]])
    place = np.arange(len(key))
    group = np.maximum.accumulate(np.where(begins, place, 0))
    counts = np.empty(len(key), np.int64)
    counts[order] = np.maximum.accumulate(np.where(moves, place, 0)) - group
    return counts


def framed(events: dict[str, pa.Array]) -> np.ndarray:
    """The same by DuckDB's frame, in the order of events."""
    table = pa.table({"e": np.arange(len(events["at"])), **events})
    connection = duckdb.connect(config={"threads": 1})
    connection.register("events", table)
    frame = 'partition by key order by "at" range between unbounded preceding and 1 preceding'
    query = f"select e, count(*) over ({frame}) as n from events order by e"
    return connection.sql(query).to_arrow_table()["n"].to_numpy()


def measure(rows: int, keys: int) -> dict[str, float]:
    """Seconds of everything on events of so many keys."""
    events = columns(rows, keys)
    one = evaluated(DEFINITIONS[:1], events)
    found = {"rows": rows, "keys": keys, "one": cpu_seconds(one)}
    found["numpy"] = cpu_seconds(lambda: earlier(events))
    assert (one().to_numpy() == earlier(events)).all()
    if keys > 1 or rows <= FRAME_ROWS:
        found["frame"] = cpu_seconds(lambda: framed(events))
        assert (framed(events) == earlier(events)).all()
    found["five"] = cpu_seconds(evaluated(DEFINITIONS[:5], events), 1)
    found["thirty"] = cpu_seconds(evaluated(DEFINITIONS[:30], events), 1)
    found["larger"] = cpu_seconds(evaluated((LARGER,), events), 1)
    return found


def main() -> None:
    """Measure groups of ten and a hub, and what a join of pairs costs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--quick", action="store_true", help="a tenth of the rows")
    parser.add_argument("--out", type=Path, default=Path("history.json"))
    options = parser.parse_args()
    rows = options.rows // 10 if options.quick else options.rows
    cpu_seconds(evaluated((*DEFINITIONS, LARGER), columns(100, 10)), 1)  # kernels are compiled
    results = [measure(rows, keys) for keys in (rows // 10, 1)]
    names = ("rows", "keys", "one", "numpy", "frame", "five", "thirty", "larger")
    print("".join(f"{name:>10}" for name in names))
    for found in results:
        shown = [f"{found[n]:10,}" for n in names[:2]]
        shown += [f"{found[n]:10.2f}" if n in found else f"{'-':>10}" for n in names[2:]]
        print("".join(shown))
    hub = 10_000
    seconds = cpu_seconds(evaluated((PAIRED,), columns(hub, 1)), 1)
    print(
        f"a join of pairs, hub of {hub:,}: {seconds:.1f} s, {hub**2 / seconds:.1e} pairs a second"
    )
    options.out.write_text(json.dumps([*results, {"hub": hub, "pairs": seconds}], indent=1))


if __name__ == "__main__":
    main()
