"""Milliseconds that one new event takes on a kept history, by the length of the history.

    python -m benchmarks.serving [--sizes 10000 100000 1000000] [--calls 1000] [--out serving.json]

Three rule files, each with a latent cause as hub: `cards` (below: four definitions over history,
ten payments a card, a hundred a shop and a thousand at the busiest), the starter
(`rulesets/skimming.kr`: two models and no labels, so that all payments of a terminal are open) and
`rulesets/intrusion.kr` with its three models as columns (a source computer with a hundredth of
all logons; labels but on the last day). One process, warm: each call scores one new event of people
and places drawn from the history. Times are of the wall; those with `cpu` are CPU time, which
other work on the machine changes less. The limit, in the same run: `models_ms`, what the models'
own `predict_proba` takes on one row, and `state_ms`, what four dictionaries of running counts take.
`full_s` is one `Reasoner.infer` of the whole history and one event. Ready is `bind_s` and
`serve_s`, or `open_s` of a stored state (`read_s`: its bytes read); the first event is apart. With
`--best N`, 24 events are scored N times each, and `least_cpu_p50_ms` is the median of the least CPU
times: what other work on the machine changes least.
"""

import argparse
import gc
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

import knowreason as kr
from knowreason.data.worlds.skimming import skimming
from knowreason.resources import rulesets_path

CARDS = """
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


def named(prefix, ids):
    """Names of things."""
    return pa.array([f"{prefix}{i}" for i in ids])


def cards(draw, size, calls):
    """Program, query, tables of the history, labels, and what comes with new events."""
    count, shops = size + calls, max(size // 100, 2)
    shop = draw.integers(1, shops, count)
    shop[draw.random(count) < 1000 / size] = 0  # the hub
    card, amount = draw.integers(0, size // 10, count), draw.exponential(1, count)
    times = np.sort(draw.integers(0, 360 * DAY, size))
    times = np.concatenate([times, 361 * DAY + np.arange(calls)])
    ids, cards, shops = named("p", range(count)), named("c", card), named("s", shop)
    facts = {
        "Pays": pa.table({"p": ids, "c": cards, "s": shops, "d": named("d", times // DAY)}),
        "card": pa.table({"p": ids, "c": cards}),
        "shop": pa.table({"p": ids, "s": shops}),
        "at": pa.table({"p": ids, "t": START + times}),
        "amount": pa.table({"p": ids, "a": amount}),
    }
    truth = pa.array((draw.random(size) < 0.02).astype(np.int8))
    labels = {"Fraud": pa.table({"p": ids.slice(0, size), "fraud": truth})}
    return kr.loads(CARDS), "Fraud", facts, labels, {}, {}


def starter(draw, size, calls):
    """The same of `knowreason new --template fraud`."""
    terminals = max(size // 400, 2)
    world = skimming(seed=0, terminals=terminals, cards=max(size // 6, 100))
    old = world["payments"]
    size = old.num_rows
    pick = draw.integers(0, size, calls)
    new = old.take(pa.array(draw.integers(0, size, calls)))
    last = old.slice(size - 1, 1)
    new = new.set_column(0, "id", named("new", range(calls)))
    new = new.set_column(2, "terminal", old["terminal"].take(pa.array(pick)))
    for name in ("day", "time"):
        value = pa.array([last[name][0].as_py()] * calls, old.schema.field(name).type)
        new = new.set_column(new.column_names.index(name), name, value)
    rows = pa.concat_tables([old, new.cast(old.schema)])
    facts = {
        "Pays": rows.select(["id", "card", "terminal"]),
        "On": rows.select(["id", "day"]),
        **{name: rows.select(["id", own]) for name, own in (("day", "day"), ("at", "time"))},
        **{name: rows.select(["id", name]) for name in ("amount", "entry")},
    }
    always = {
        "Next": world["days"].select(["day", "next"]),
        "home": world["cards"].select(["card", "region"]),
        "region": world["terminals"].select(["terminal", "region"]),
    }
    past = set(old["id"].to_pylist()[: size * 3 // 4])
    keep = [name in past for name in world["labels"]["id"].to_pylist()]
    labels = {"Fraud": world["labels"].filter(pa.array(keep))}
    program = kr.load(rulesets_path() / "skimming.kr")
    return program, "Fraud", facts, labels, {}, always


def intrusion(draw, size, calls):
    """The same of logons."""
    count, users, hosts, days = size + calls, max(size // 200, 5), max(size // 100, 5), 30
    user = draw.integers(0, users, count)
    home = draw.integers(1, hosts, users)
    src = np.where(draw.random(count) < 0.8, home[user], draw.integers(1, hosts, count))
    src[draw.random(count) < 0.01] = 0  # the hub
    dst = (hosts * draw.random(count) ** 3).astype(np.int64)
    day = np.concatenate([np.sort(draw.integers(0, days, size)), np.full(calls, days - 1)])
    times = np.sort(day * DAY + draw.integers(0, DAY, count))
    package = draw.choice(["Kerberos", "NTLM", "?"], count, p=[0.6, 0.15, 0.25])
    ids = named("e", range(count))
    things = {"user": named("u", user), "src": named("h", src), "dst": named("h", dst)}
    things["during"] = named("d", day)
    value = {"at": START + times, "day": day, "package": package}
    value |= {"logon_type": np.full(count, "Network"), "logons": np.ones(count, int)}
    value["failures"] = np.zeros(count, int)
    facts = {
        "Logon": pa.table({"e": ids, **things}),
        **{name: pa.table({"e": ids, name: own}) for name, own in (things | value).items()},
    }
    days_in_order = pa.table({"d": named("d", range(days)), "f": named("d", range(1, days + 1))})
    past = np.flatnonzero(day[:size] < days - 1)
    truth = pa.array((draw.random(len(past)) < 0.001).astype(np.int8))
    known = np.flatnonzero((day < days - 1) & (package != "?"))
    ntlm = pa.array((package[known] == "NTLM").astype(np.int8))
    labels = {
        "Malicious": pa.table({"e": ids.take(pa.array(past)), "malicious": truth}),
        "Ntlm": pa.table({"e": ids.take(pa.array(known)), "ntlm": ntlm}),
    }
    scores = {
        "Malicious": pa.table({"e": ids, **{n: draw.normal(-3, 1, count) for n in ("a", "b")}}),
        "Ntlm": pa.table({"e": ids, "auth": draw.normal(-1, 1, count)}),
    }
    text = (rulesets_path() / "intrusion.kr").read_text()
    models = ("main", '"a"'), ("twohop", '"b"'), ("auth", '"auth"')
    kept = text[: text.index("model main")] + text[text.index("# KnowGraph: attackers") :]
    for name, own in models:
        about = "Ntlm" if name == "auth" else "Malicious"
        kept += f'model {name} for {about} = column({own}, kind="log_odds")\n'
    program = kr.loads(kept, str(rulesets_path() / "intrusion.kr"))
    return program, "Malicious", facts, labels, scores, {"Next": days_in_order}


CASES = {"cards": cards, "starter": starter, "intrusion": intrusion}


def cut(tables, start, count):
    """Some rows of each table."""
    return {name: table.slice(start, count) for name, table in tables.items()}


def percentiles(seconds, name):
    """Two of them in milliseconds."""
    return {f"{name}p{q}_ms": 1000 * float(np.percentile(seconds, q)) for q in (50, 99)}


def measured(case: str, size: int, calls: int, full: bool, best: int) -> dict[str, float]:
    """Seconds and milliseconds at one length of history."""
    draw = np.random.default_rng(0)
    make = CASES[case]
    few = 1000
    program, query, facts, labels, scores, always = make(draw, 2000, 10)
    small = {"facts": facts | always, "labels": labels, "scores": scores}
    reasoner = kr.Reasoner(program).fit(kr.Dataset.from_frames(program, **small))
    extra = max(calls, few) + 100
    program, query, facts, labels, scores, always = make(draw, size, extra)
    size = len(next(iter(facts.values()))) - extra
    began = time.perf_counter()
    old = {"facts": cut(facts, 0, size) | always, "labels": labels}
    old["scores"] = cut(scores, 0, size)
    history = kr.Dataset.from_frames(program, **old)
    found = {"case": case, "size": size, "bind_s": time.perf_counter() - began}
    began = time.perf_counter()
    server = reasoner.serve(history)
    found["serve_s"] = time.perf_counter() - began

    def event(i, count=1):
        return cut(facts, size + i, count), {"scores": cut(scores, size + i, count)}

    one = [event(i) for i in range(extra)]
    began = time.perf_counter()
    server.score(one[0][0], **one[0][1])
    found["first_s"] = time.perf_counter() - began
    for new, more in one[calls : calls + 100]:
        server.score(new, **more)
    found |= reopened(server, reasoner, *one[0])
    gc.collect()
    gc.freeze()
    took, busy, why, why_busy, touched = [], [], [], [], []
    for new, more in one[:calls]:
        began, worked = time.perf_counter(), time.process_time()
        server.score(new, **more)
        took.append(time.perf_counter() - began)
        busy.append(time.process_time() - worked)
    found |= percentiles(took, "") | percentiles(busy, "cpu_")
    if best:
        least = np.full(min(24, calls), np.inf)
        for _ in range(best):
            for place, (new, more) in enumerate(one[: len(least)]):
                worked = time.process_time()
                server.score(new, **more)
                least[place] = min(least[place], time.process_time() - worked)
        found["least_cpu_p50_ms"] = 1000 * float(np.median(least))
    for new, more in one[:calls]:
        began, worked = time.perf_counter(), time.process_time()
        beliefs = server.score(new, **more)
        atom = beliefs.grounding.atom_name(int(beliefs.asked(query)[0]))
        reasoner.explain(beliefs, atom)
        why.append(time.perf_counter() - began)
        why_busy.append(time.process_time() - worked)
        touched.append(sum(map(len, beliefs.grounding.data.vocabularies.values())))
    found |= percentiles(why, "reasons_") | percentiles(why_busy, "reasons_cpu_")
    found |= {"touched_p50": float(np.median(touched)), "touched_max": max(touched)}
    new, more = event(0, few)
    server.score(new, **more)
    began, worked = time.perf_counter(), time.process_time()
    server.score(new, **more)
    found["thousand_s"] = time.perf_counter() - began
    found["thousand_cpu_s"] = time.process_time() - worked
    found |= limits(reasoner, beliefs, facts, size)
    if full:
        new = {n: t.slice(0, size + 1) for n, t in facts.items()} | always
        more = {n: t.slice(0, size + 1) for n, t in scores.items()}
        data = kr.Dataset.from_frames(program, facts=new, labels=labels, scores=more)
        began = time.perf_counter()
        reasoner.infer(data)
        found["full_s"] = time.perf_counter() - began
    return found


def reopened(server, reasoner, new, more):
    """The state stored, and opened again; with the bytes it takes, read as a limit."""
    found = {}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "serving"
        began = time.perf_counter()
        server.save(folder)
        found["save_s"] = time.perf_counter() - began
        began = time.perf_counter()
        size = sum(len(file.read_bytes()) for file in folder.iterdir())
        found |= {"read_s": time.perf_counter() - began, "state_mb": size / 1e6}
        began = time.perf_counter()
        again = reasoner.serve(folder)
        found["open_s"] = time.perf_counter() - began
        began = time.perf_counter()
        again.score(new, **more)
        found["open_first_s"] = time.perf_counter() - began
    return found


def limits(reasoner, beliefs, facts, size):
    """What cannot be saved: the models on one row, and running counts by key."""
    asked, found = beliefs.grounding.data, {}
    learned = reasoner.learned()
    began = time.perf_counter()
    for _ in range(20):
        for model in (*learned.models, *learned.answers.beside, *learned.answers.boosted):
            model.fitted.model.log_odds(asked, model.predicate)
    found["models_ms"] = 1000 * (time.perf_counter() - began) / 20
    rows = next(iter(facts.values()))
    keys = [rows.column(i).slice(size - 1000, 1000).to_pylist() for i in range(1, rows.num_columns)]
    counts = [{} for _ in range(4)]
    began = time.perf_counter()
    for row in zip(*keys, strict=True):
        for place, count in enumerate(counts):
            key = row[place % len(row)]
            count[key] = count.get(key, 0) + 1
    found["state_ms"] = (time.perf_counter() - began) / 1000 * 1000
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--full", action="store_true", help="a run of everything, to compare")
    parser.add_argument("--best", type=int, default=0, help="calls an event: the quickest counts")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    rows = []
    for case in given.cases:
        for size in given.sizes:
            rows.append(measured(case, size, given.calls, given.full, given.best))
            print(
                {n: round(v, 3) if isinstance(v, float) else v for n, v in rows[-1].items()},
                flush=True,
            )
    if given.out:
        given.out.write_text(json.dumps(rows, indent=1), encoding="utf-8")
