"""Milliseconds that one new event takes on a kept history, by the length of the history.

    python benchmarks/serving.py [--sizes 10000 100000 1000000] [--calls 1000] [--out serving.json]

Payments of cards at shops, ten a card and a hundred a shop and 1,000 at the busiest (the hub), four
definitions over history, a latent cause of a shop and a day. History payments have labels. One
process, warm: each call scores one new payment of a card and shop drawn from the history's.
`full` is one `Reasoner.infer` of the whole history and one event. Times are of the wall, but for
`cpu_ms`, the CPU time of a call, which other work on the machine does not change.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

import knowreason as kr

PROGRAM = """
domain Pay, Card, Shop, Day
observed Pays(Pay, card: Card, shop: Shop, day: Day)
attribute at(Pay): time clock
attribute amount(Pay): float
attribute card(Pay): Card
attribute shop(Pay): Shop
query Fraud(Pay)
latent Skimmed(Shop, Day) within Open
define Open(s, d)  := Pays(_, _, s, d)
define before(p)   := count { q : Pays(q, card: card(p)) & at(q) < at(p) }
define lately(p)   := count { q : Pays(q, card: card(p)) & at(q) < at(p) & at(p) - at(q) <= 1d }
define usual(p)    := avg { amount(q) for q : Pays(q, card: card(p)) & at(q) < at(p) }
define at_shop(p)  := count { q : Pays(q, card: card(p), shop: shop(p)) & at(q) < at(p) }
rule rare    [-3]  : Fraud(p)
rule first   [1]   : at_shop(p) = 0 => Fraud(p)
rule dear    [0.8] : amount(p) > 3 * usual(p) => Fraud(p)
rule often   [0.7] : lately(p) >= 2 => Fraud(p)
rule new     [0.4] : before(p) = 0 => Fraud(p)
rule skimmed [2]   : Skimmed(s, d) & Pays(p, shop: s, day: d) => Fraud(p)
rule seldom  [-3]  : Skimmed(s, d)
"""
START = np.datetime64("2024-01-01", "us")
DAY = 86_400_000_000


def frames(numbers, cards, shops, times, amounts):
    """Tables of payments by name of predicate or attribute."""
    ids = pa.array([f"p{i}" for i in numbers])
    card, shop = (pa.array([f"{x}{i}" for i in own]) for x, own in (("c", cards), ("s", shops)))
    day = pa.array([f"d{i}" for i in times // DAY])
    return {
        "Pays": pa.table({"p": ids, "c": card, "s": shop, "d": day}),
        "card": pa.table({"p": ids, "c": card}),
        "shop": pa.table({"p": ids, "s": shop}),
        "at": pa.table({"p": ids, "t": START + times}),
        "amount": pa.table({"p": ids, "a": amounts}),
    }


def measured(size: int, calls: int) -> dict[str, float]:
    """Seconds and milliseconds at one length of history."""
    draw = np.random.default_rng(0)
    cards, shops = size // 10, size // 100

    def some(first, count, latest):
        shop = draw.integers(1, shops, count)
        shop[draw.random(count) < 1000 / size] = 0  # the hub
        card, amount = draw.integers(0, cards, count), draw.exponential(1, count)
        times = (
            np.sort(draw.integers(0, 360 * DAY, count)) if latest else 361 * DAY + np.arange(count)
        )
        return frames(np.arange(first, first + count), card, shop, times, amount)

    facts = some(0, size, True)
    truth = (draw.random(size) < 0.02).astype(np.int8)
    labels = {"Fraud": pa.table({"p": facts["card"]["p"], "fraud": truth})}
    program = kr.loads(PROGRAM)
    history = kr.Dataset.from_frames(program, facts=facts, labels=labels)
    small = kr.Dataset.from_frames(program, facts={n: t.slice(0, 200) for n, t in facts.items()})
    reasoner = kr.Reasoner(program).fit(small)
    began = time.perf_counter()
    server = reasoner.serve(history)
    found = {"size": size, "serve_s": time.perf_counter() - began}
    events = some(size, calls + 10, False)
    one = [{n: t.slice(i, 1) for n, t in events.items()} for i in range(calls + 10)]
    for event in one[:10]:
        server.score(event)
    took, why = [], []
    busy = time.process_time()
    for event in one[10:]:
        server.score(event)
    found["cpu_ms"] = 1000 * (time.process_time() - busy) / calls
    for event in one[10:]:
        began = time.perf_counter()
        beliefs = server.score(event)
        took.append(time.perf_counter() - began)
        if len(why) < 50:
            atom = beliefs.grounding.atom_name(int(beliefs.asked("Fraud")[0]))
            reasoner.explain(beliefs, atom)
            why.append(time.perf_counter() - began)
    found |= {f"p{q}_ms": 1000 * float(np.percentile(took, q)) for q in (50, 99)}
    found |= {f"reasons_p{q}_ms": 1000 * float(np.percentile(why, q)) for q in (50, 99)}
    began = time.perf_counter()
    server.score({n: t.slice(10, 1000) for n, t in events.items()})
    found["thousand_s"] = time.perf_counter() - began
    whole = {
        n: pa.concat_tables([t, events[n].slice(0, 1).cast(t.schema)]) for n, t in facts.items()
    }
    whole_data = kr.Dataset.from_frames(program, facts=whole, labels=labels)
    began = time.perf_counter()
    reasoner.infer(whole_data)
    return found | {"full_s": time.perf_counter() - began}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    rows = []
    for size in given.sizes:
        rows.append(measured(size, given.calls))
        print({name: round(value, 2) for name, value in rows[-1].items()}, flush=True)
    if given.out:
        given.out.write_text(json.dumps(rows, indent=1), encoding="utf-8")
