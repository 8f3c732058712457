"""New events on a kept history are believed what a run from scratch believes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import knowreason as kr
from knowreason.errors import DataError, ProjectError
from knowreason.project.manifests import seal

PROGRAM = """
domain Pay
domain Card
domain Shop
domain Kind = {"chip", "swipe"}
observed Pays(Pay, card: Card, shop: Shop)
observed Near(Shop, Shop) symmetric
attribute card(Pay): Card
attribute at(Pay): time clock
attribute amount(Pay): float
attribute kind(Pay): Kind
attribute shop(Pay): Shop
attribute home(Card): Shop
query Fraud(Pay)
latent Bad(Shop) within Open
define Open(s) := Pays(_, _, s)
define before(p) := count { q : Pays(q, card: card(p)) & at(q) < at(p) }
define dearer(p) := count { q : Pays(q, card: card(p)) & at(q) < at(p) & amount(q) > amount(p) }
define day(p) := count { q : Pays(q, card: card(p)) & at(q) < at(p) & at(q) >= at(p) - 1d }
define chips(p) := rate { kind(q) = "chip" for q : Pays(q, card: card(p)) & at(q) < at(p)
    prior 0.5 of 2 }
define spent(p) := sum { amount(q) for q : Pays(q, card: card(p)) & at(q) < at(p) }
define usual(p) := avg { amount(q) for q : Pays(q, card: card(p), shop: _) & shop(q) = shop(p) &
    at(q) <= at(p) }
define visits(p) := count { q : Pays(q, shop: shop(p)) }
define lately(p) := count { q : Pays(q, card: card(p)) & at(q) < at(p) & at(q) >= at(p) - 1mo }
define First(p) := before(p) = 0
define Away(p) := Pays(p, c, s) & home(c) != s
define Known(p) := exists q. (Pays(q, card: card(p)) & at(q) < at(p) & kind(q) = kind(p))
"""

RULES = """
rule seldom [-1.2] : Fraud(p)
rule first [0.9] : First(p) => Fraud(p)
rule often [0.7] : day(p) >= 2 => Fraud(p)
rule dear [0.4] : dearer(p) < 1 => Fraud(p)
rule spent [0.5] : amount(p) > 0.3 * spent(p) => Fraud(p)
rule usual [0.4] : amount(p) > usual(p) & visits(p) > 3 => Fraud(p)
rule swiped [0.6] : chips(p) < 0.5 & !Known(p) => Fraud(p)
rule away [0.5] : Away(p) => Fraud(p)
rule there [1.5] : Bad(s) & Pays(p, shop: s) => Fraud(p)
rule few [-1] : Bad(s)
rule near [0.8] : Near(s, t) & Bad(s) => Bad(t)
rule both [1] : Fraud(p) & Fraud(q) & Pays(p, c, s) & Pays(q, c, _) & at(q) < at(p) => Bad(s)
rule again [0.3] : (exists q. (Fraud(q) & Pays(q, card: card(p)) & at(q) < at(p))) => Fraud(p)
rule blank [0.5] : missing(home(card(p))) | lately(p) < 2 => Fraud(p)
rule weekend [0.4] : weekday(at(p) - 1mo, "Asia/Tokyo") > 5 & month(at(p)) = 1 => Fraud(p)
rule told [0.7] : Fraud(p) & Pays(p, shop: s) ~> Bad(s)
rule many [0.5] : count { q : Fraud(q) & Pays(q, shop: s) } >= 2 => Bad(s)
rule listed [0.6] : shop(p) in { "s1", "s3" } & kind(p) in { "chip" } => Fraud(p)
rule chosen [0.5] : (if day(p) > 1 then spent(p) else 10) > amount(p) => Fraud(p)
""".strip().splitlines()
READS = """
define risk(p) := rate { Fraud(q) for q : Pays(q, card: card(p)) & at(q) < at(p) prior 0.1 of 2 }
rule risky [1] : risk(p) > 0.2 => Fraud(p)
"""


def world(seed, payments=40):
    """Rows by name; payments in the order of their times."""
    draw = np.random.default_rng(seed)
    ids = [f"p{i}" for i in range(payments)]
    cards = [f"c{i}" for i in draw.integers(0, 9, payments)]
    shops = [f"s{i}" for i in draw.integers(0, 12, payments)]
    days = np.sort(draw.integers(0, 20, payments))
    facts = {
        "Pays": [ids, cards, shops],
        "card": [ids, cards],
        "shop": [ids, shops],
        "at": [ids, [f"2024-01-{day + 1:02}" for day in days]],
        "amount": [ids, draw.integers(1, 5, payments).astype(float).tolist()],
        "kind": [ids, draw.choice(["chip", "swipe"], payments).tolist()],
    }
    static = {
        "home": [[f"c{i}" for i in range(9)], [f"s{i}" for i in draw.integers(0, 12, 9)]],
        "Near": [["s0", "s1", "s5"], ["s1", "s2", "s6"]],
    }
    known = draw.random(payments) < 0.6
    truth = draw.random(payments) < 0.3
    return facts, static, known, truth


def rows(facts, part):
    return {
        name: {f"x{i}": column[part] for i, column in enumerate(columns)}
        for name, columns in facts.items()
    }


def labels(facts, known, truth, part):
    there = [i for i in range(*part.indices(len(known))) if known[i]]
    ids = facts["card"][0]
    return {"Fraud": {"pay": [ids[i] for i in there], "fraud": [int(truth[i]) for i in there]}}


def believed(beliefs):
    return {
        beliefs.grounding.atom_name(atom): beliefs.log_odds[atom]
        for name in ("Fraud", "Bad")
        for atom in beliefs.asked(name)
    }


def reasoner_of(seed, reads):
    draw = np.random.default_rng(seed)
    chosen = draw.choice(RULES, 7, replace=False)
    text = PROGRAM + (READS if reads else "")
    return kr.loads(text + "\n".join(chosen))


def opened_again(server, reasoner, folder):
    server.save(folder / "run" / "serving", force=True)
    return reasoner.serve(folder / "run" / "serving")


@pytest.mark.parametrize("seed", range(9))
def test_events_are_believed_what_a_run_from_scratch_believes(seed, tmp_path):
    program = reasoner_of(seed, reads=seed % 3 == 0)
    facts, static, known, truth = world(seed)
    static = {name: {f"x{i}": c for i, c in enumerate(cs)} for name, cs in static.items()}
    second, asked = slice(28, 37), slice(37, 40)

    def data(until):
        part = slice(0, until)
        given = labels(facts, known, truth, slice(0, min(until, 37)))
        return kr.Dataset.from_frames(program, facts={**rows(facts, part), **static}, labels=given)

    reasoner = kr.Reasoner(program, engine="exact").fit(data(28))
    reasoner.snapshot_ = None
    server = reasoner.serve(data(28))
    server.score(rows(facts, second))  # leaves nothing behind
    steps = [slice(28, 31), slice(31, 32), slice(32, 37)]
    for step in np.random.default_rng(seed).permutation(3):
        server = opened_again(server, reasoner, tmp_path) if seed % 2 else server
        server.observe(rows(facts, steps[step]), labels=labels(facts, known, truth, steps[step]))
    ours = believed(server.score(rows(facts, asked)))
    theirs = believed(reasoner.infer(data(40)))
    assert {name for name in ours if name.startswith("Fraud")} == {
        f'Fraud("p{i}")' for i in range(37, 40)
    }
    for name, log_odds in ours.items():
        assert log_odds == pytest.approx(theirs[name], abs=1e-6), name


def test_only_what_an_event_touches_is_read():
    program = kr.loads(PROGRAM + "\n".join(RULES[:6]))
    facts, static, *_ = world(1)
    static = {name: {f"x{i}": c for i, c in enumerate(cs)} for name, cs in static.items()}
    history = kr.Dataset.from_frames(program, facts={**rows(facts, slice(0, 39)), **static})
    server = kr.Reasoner(program).fit(history).serve(history)
    touched = server.slice(rows(facts, slice(39, 40)))
    _, cards, shops = facts["Pays"]
    near = [c == cards[39] or s == shops[39] for c, s in zip(cards, shops, strict=True)]
    assert touched.count("Pay") == sum(near) < 40


def test_threads_get_the_answers_of_one():
    program = reasoner_of(3, reads=False)
    facts, static, known, truth = world(3)
    static = {name: {f"x{i}": c for i, c in enumerate(cs)} for name, cs in static.items()}
    first = slice(0, 24)
    given = labels(facts, known, truth, first)
    history = kr.Dataset.from_frames(program, facts={**rows(facts, first), **static}, labels=given)
    reasoner = kr.Reasoner(program, engine="exact").fit(history)
    server = reasoner.serve(history)
    events = [rows(facts, slice(i, i + 1)) for i in range(24, 30)]
    alone = [believed(server.score(event)) for event in events]
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(lambda event: believed(server.score(event)), events * 2))
    assert together == alone * 2
    server.observe(rows(facts, slice(36, 38)))
    later = [believed(server.score(event)) for event in events]
    server = reasoner.serve(history)
    with ThreadPoolExecutor(4) as threads:
        found = [threads.submit(server.score, event) for event in events * 2]
        threads.submit(server.observe, rows(facts, slice(36, 38))).result()
        for event, beliefs in zip(range(12), found, strict=True):
            own = believed(beliefs.result())
            assert own in (alone[event % 6], later[event % 6])


def test_what_rows_say_of_old_things_is_read_anew():
    program = reasoner_of(1, reads=False)
    facts, static, *_ = world(1)
    static = {name: {f"x{i}": c for i, c in enumerate(cs)} for name, cs in static.items()}
    part = rows(facts, slice(0, 37))
    early = {name: table for name, table in part.items() if name != "amount"}
    late = {"amount": part["amount"]}

    def data(frames):
        return kr.Dataset.from_frames(program, facts={**frames, **static})

    reasoner = kr.Reasoner(program, engine="exact").fit(data(part))
    server = reasoner.serve(data(early))
    server.observe(late)
    ours = believed(server.score(rows(facts, slice(37, 40))))
    theirs = believed(reasoner.infer(data(rows(facts, slice(0, 40)))))
    for name, log_odds in ours.items():
        assert log_odds == pytest.approx(theirs[name], abs=1e-6), name


def test_a_stored_state_is_found_out_where_it_does_not_fit(tmp_path):
    program = kr.loads(PROGRAM + "\n".join(RULES[:3]))
    facts, *_ = world(1)
    features = {"Pay": {"p": ["p1", "p2"], "tall": [1.0, 2.0], "colour": ["red", "blue"]}}
    scores = {"Fraud": {"p": ["p1"], "elsewhere": [0.3]}}
    history = kr.Dataset.from_frames(
        program, facts=rows(facts, slice(0, 30)), features=features, scores=scores
    )
    reasoner = kr.Reasoner(program).fit(history)
    folder = tmp_path / "serving"
    server = reasoner.serve(history)
    server.save(folder)
    event, more = rows(facts, slice(30, 31)), {"features": {"Pay": {"p": ["p30"], "tall": [3.0]}}}
    before, after = server.slice(event, **more), reasoner.serve(folder).slice(event, **more)
    assert before.features["Pay"].categories == after.features["Pay"].categories
    assert np.array_equal(before.features["Pay"].values, after.features["Pay"].values, True)
    assert str(before) == str(after)
    with pytest.raises(ProjectError, match="KR914"):
        server.save(folder)
    with pytest.raises(ProjectError, match=r"KR939.*missing"):
        reasoner.serve(tmp_path)
    other = kr.Reasoner(kr.loads(PROGRAM + "\n".join(RULES[:2]))).fit(history)
    with pytest.raises(ProjectError, match=r"KR939.*rule `dear` is gone|KR939.*`often`"):
        other.serve(folder)
    structure = folder / "serving.json"
    text = structure.read_text()
    for damaged in (text[:-9], text.replace('"format": 1', '"format": 0'), '{"format": 1}', "[]"):
        structure.write_text(damaged)
        with pytest.raises(ProjectError, match="KR960"):
            reasoner.serve(folder)
    structure.write_text(text.replace('"late"', '"never"'))
    seal(folder)
    with pytest.raises(ProjectError, match="KR939"):
        reasoner.serve(folder)
    structure.write_text(text)
    seal(folder)
    columns = folder / "columns.bin"
    columns.write_bytes(columns.read_bytes()[:-100])
    with pytest.raises(ProjectError, match=r"KR960.*columns\.bin"):
        reasoner.serve(folder)
    run = tmp_path / "run"
    reasoner.save(run)
    with pytest.raises(ProjectError, match="KR939"):
        reasoner.serve(run)


def test_what_the_history_says_is_not_said_anew():
    program = kr.loads(PROGRAM + "\n".join(RULES[:6]))
    facts, *_ = world(1)
    history = kr.Dataset.from_frames(program, facts=rows(facts, slice(0, 30)))
    server = kr.Reasoner(program).fit(history).serve(history)
    with pytest.raises(DataError, match="KR886"):
        server.score({"amount": {"p": ["p3"], "value": [7.0]}})


HUBS = """
domain Pay
domain Card
domain Day
observed Pays(Pay, card: Card, day: Day)
observed Next(Day, Day)
query Fraud(Pay)
query Odd(Pay)
latent Bad(Card, Day) within Seen
latent Thief(Card)
define Seen(c, d) := Pays(_, c, d)
rule seldom [-1] : Fraud(p)
rule odd [0.7] : Fraud(p) => Odd(p)
rule betrays [1.5] : Fraud(p) & Pays(p, c, d) => Bad(c, d)
rule reaches [0.8] : Bad(c, d) & Pays(p, c, d) => Fraud(p)
rule stays [1] : Bad(c, d) & Next(d, e) & Seen(c, e) => Bad(c, e)
rule few [-1] : Bad(c, d)
rule thief [0.3] : Pays(p, card: c) => (Thief(c) | !Fraud(p))
rule honest [-2] : Thief(c)
"""


@pytest.mark.parametrize("seed", range(6))
def test_decided_rows_around_a_hub_are_counted(seed, tmp_path):
    program = kr.loads(HUBS)
    draw = np.random.default_rng(seed)
    count = 70
    ids = [f"p{i}" for i in range(count)]
    cards = [f"c{i}" for i in draw.integers(0, 3, count)]
    days = [f"d{i}" for i in np.sort(draw.integers(0, 2, count))]
    pays = {"Pays": [ids, cards, days]}
    following = {"Next": {"d": [f"d{i}" for i in range(5)], "e": [f"d{i}" for i in range(1, 6)]}}
    known = (draw.random(count) < 0.8) & (np.arange(count) < 64)
    late = known & (draw.random(count) < 0.2)  # labels that come after all payments
    truth = draw.random(count) < 0.3

    def told(mask, part):
        mask = mask & np.isin(np.arange(count), np.arange(count)[part])
        return {"Fraud": {"p": np.array(ids)[mask].tolist(), "fraud": truth[mask].astype(int)}}

    def history(facts, labels, **more):
        return kr.Dataset.from_frames(program, facts=facts | following, labels=labels, **more)

    first, asked = slice(0, 50), slice(66, 70)
    begun = history(rows(pays, first), told(known & ~late, first))
    reasoner = kr.Reasoner(program, engine="exact").fit(begun)
    server = reasoner.serve(begun)
    for part in (slice(50, 55), slice(55, 56), slice(56, 66)):
        server.observe(rows(pays, part), labels=told(known & ~late, part))
        server = opened_again(server, reasoner, tmp_path) if seed % 2 else server
    server.observe({}, labels=told(late, slice(0, 66)))
    whole = rows(pays, slice(0, 70))
    beliefs = server.score(rows(pays, asked))
    ours, theirs = (
        believed(beliefs),
        believed(reasoner.infer(history(whole, told(known, slice(0, 70))))),
    )
    assert ours == {name: pytest.approx(theirs[name], abs=1e-6) for name in ours}
    touched = set(beliefs.grounding.data.vocabularies["Pay"].names.to_pylist())
    theirs_too = {ids[i] for i in range(66) if known[i] and cards[i] in cards[asked]}
    assert len(touched & theirs_too) < 0.7 * len(theirs_too)
    said = {"Fraud": {"p": [p for p, k in zip(ids, known, strict=True) if not k][:2], "v": [1, 0]}}
    server.observe({}, evidence=said)  # other tables speak now: rows are read again
    ours = believed(server.score(rows(pays, asked)))
    data = history(whole, told(known, slice(0, 70)), evidence=said)
    theirs = believed(reasoner.infer(data))
    assert ours == {name: pytest.approx(theirs[name], abs=1e-6) for name in ours}


def served_and_from_scratch(program):
    """A reasoner of 36 payments; beliefs with the four after them, of a server and of all."""
    facts, static, known, truth = world(1)
    static = {name: {f"x{i}": c for i, c in enumerate(cs)} for name, cs in static.items()}
    given = labels(facts, known, truth, slice(0, 36))

    def data(until):
        part = rows(facts, slice(0, until))
        return kr.Dataset.from_frames(program, facts={**part, **static}, labels=given)

    reasoner = kr.Reasoner(program, engine="exact").fit(data(36))
    beliefs = reasoner.serve(data(36)).score(rows(facts, slice(36, 40)))
    return reasoner, beliefs, reasoner.infer(data(40))


def test_reasons_are_those_of_a_run_from_scratch():
    kept = [line for line in PROGRAM.splitlines() if "define" not in line and "prior" not in line]
    counts = "define before(p) := count { q : Pays(q, card: card(p)) & at(q) < at(p) }\n"
    counts += "define Open(s) := Pays(_, _, s)\ndefine First(p) := before(p) = 0\n"
    text = [line for line in kept if not line.startswith("    at(q)")]
    program = kr.loads("\n".join(text) + "\n" + counts + "\n".join(RULES[:2]))
    reasoner, beliefs, whole = served_and_from_scratch(program)
    for payment in range(36, 40):
        ours = reasoner.explain(beliefs, f'Fraud("p{payment}")')
        theirs = reasoner.explain(whole, f'Fraud("p{payment}")')
        assert str(ours.why_not) == str(theirs.why_not)
        assert {share.name: share.log_odds for share in ours.shares} == pytest.approx(
            {share.name: share.log_odds for share in theirs.shares}, abs=1e-6
        )


def test_columns_of_models_are_read_as_in_a_run_from_scratch():
    model = 'model m for Fraud = trees(features=["spent"])\n'
    program = kr.loads(PROGRAM + model + RULES[0])
    reasoner, beliefs, whole = served_and_from_scratch(program)
    for payment in range(36, 40):
        ours, theirs = (reasoner.explain(b, f'Fraud("p{payment}")') for b in (beliefs, whole))
        ours, theirs = ({p.column: (p.text, p.log_odds) for p in w.columns} for w in (ours, theirs))
        assert "spent" in ours
        assert ours.keys() == theirs.keys()
        for column, (text, share) in ours.items():  # against the average row of the training data
            assert (text, pytest.approx(share, abs=1e-6)) == theirs[column]


def test_tables_of_an_event_may_share_no_thing():
    program = kr.loads("""domain Pay
observed Next(Pay, Pay)
observed Disputed(Pay)
query Fraud(Pay)
rule seldom [-2] : Fraud(p)
rule near [1] : Next(p, q) & Disputed(p) => Fraud(q)""")
    facts = {"Next": {"p": ["p1"], "q": ["p2"]}, "Disputed": {"p": ["p1"]}}
    history = kr.Dataset.from_frames(program, facts=facts)
    server = kr.Reasoner(program).fit(history).serve(history)
    event = {"Next": {"p": ["p2"], "q": ["p3"]}, "Disputed": {"p": ["p1"]}}
    found = server.score(event).marginals("Fraud").to_arrow()
    assert set(found.column(0).to_pylist()) >= {"p1", "p2", "p3"}
