"""Definitions over known labels against evaluation by substitution; what they may not see."""

from dataclasses import replace

import numpy as np
import pytest

from knowreason import Dataset, lang
from knowreason.data.splits.label_history import as_of
from knowreason.grounding.plan.history_aggregates import split
from knowreason.grounding.plan.label_aggregates import over_known_labels
from knowreason.grounding.relational.database import Relations
from knowreason.logic import Aggregate, And, Atom, Exists, ForAll, Not, Or
from knowreason.logic.label_reads import label_atoms
from knowreason.logic.traversal import free_variables, walk
from knowreason.models.base.feature_columns import evaluated
from tests.grounding.naive import NaiveWorld

DECLARATIONS = """
domain Pay, Acc
domain Kind = { "k0", "k1", "k2" }
observed Pays(Pay, Acc)
observed Near(Acc, Acc)
attribute at(Pay): int clock
attribute acc(Pay): Acc
attribute size(Pay): float
query Bad(Pay)
query Is(Pay, Kind!)
"""
DEFINITIONS = """
define risk(e) := rate { Bad(f) for f : Pays(f, acc(e)) prior 0.15 of 2 }
define bads(e) := count { f : Bad(f) & Pays(f, acc(e)) }
define goods(e) := count { f : !Bad(f) & Pays(f, acc(e)) }
define recent(e) := rate { Bad(f) for f : Pays(f, acc(e)) last 2 by at(f) prior 0.5 of 1 }
define lost(e) := sum { size(f) for f : Bad(f) & Pays(f, acc(e)) }
define loss(e) := avg { size(f) for f : Bad(f) & Pays(f, acc(e)) }
define latest(e) := at(e) - max { at(f) for f : Bad(f) & Pays(f, acc(e)) }
define either(e) := count { f : (Bad(f) | size(f) > 1) & Pays(f, acc(e)) }
define overall(e) := rate { Bad(f) for f : Pays(f, _) & at(f) < at(e) prior 0.1 of 1 }
define near(e) := rate { Bad(f) for f : Near(acc(e), acc(f)) & Pays(f, _) prior 0.1 of 1 }
define kinds(e) := rate { Is(f, "k1") for f : Pays(f, acc(e)) prior 0.3 of 1 }
define same(e, p) := count { f : Is(f, p) & Pays(f, acc(e)) }
define early(e) := rate { Bad(f) for f : Pays(f, acc(e)) & at(f) <= at(e) - 3 prior 0.1 of 1 }
define neighbours(e) := count { a : Near(acc(e), a) & exists f. (Bad(f) & Pays(f, a)) }
define clean(e) := count { a : Near(acc(e), a) & forall f. (Pays(f, a) => !Bad(f)) }
define worst(e) := max { risk(f) for f : Pays(f, acc(e)) & at(f) <= at(e) }
define Risky(e) := rate { Bad(f) for f : Pays(f, acc(e)) prior 0.1 of 1 } > 0.3
define pair(e, g) := count { f : Bad(f) & Pays(f, acc(e)) & Pays(g, acc(f)) }
"""
PROGRAM = lang.loads(DECLARATIONS + DEFINITIONS)
NAMES = [definition.name for definition in PROGRAM.definitions]
HISTORIES = ("risk", "bads", "goods", "recent", "lost", "latest", "overall", "early", "kinds")


class KnownWorld(NaiveWorld):
    """Labels are known by thing and time; a definition sees them as of its arguments."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.now = [np.inf]

    def of_data(self, data):
        self.labels = {
            p: dict(
                zip(
                    zip(*(c.to_pylist() for c in t.columns[:-1]), strict=True),
                    t["value"].to_pylist(),
                    strict=True,
                )
            )
            for p, t in data.labels.items()
        }
        for key, value in list(self.labels["Is"].items()):
            if value:
                self.labels["Is"] |= {(key[0], k): int(k == key[1]) for k in range(3)}
        self.horizon = dict(zip(*(c.to_pylist() for c in as_of(data, "at").columns), strict=True))
        return self

    def attribute(self, name):
        if name in PROGRAM.label_readers and name not in self._defined:
            definition = PROGRAM.definition(name)
            values = {}
            for s in self.settings(definition.parameters):
                self.now.append(self._by_then(definition, s))
                values[tuple(s.values())] = self.value(definition.body, s)
                self.now.pop()
            self._defined[name] = {k: v for k, v in values.items() if v is not None}
        return super().attribute(name)

    def _fix(self, name):
        definition = PROGRAM.definition(name)
        self._defined[name] = set()
        for s in self.settings(definition.parameters):
            self.now.append(self._by_then(definition, s))
            if self.truth(definition.body, s):
                self._defined[name].add(tuple(s.values()))
            self.now.pop()

    def _by_then(self, definition, setting):
        heads = [v.name for v in definition.parameters if v.sort == "Pay"]
        return min(self.horizon.get(setting[name], -np.inf) for name in heads)

    def truth(self, formula, setting):
        if isinstance(formula, Atom) and formula.predicate in self.labels:
            key = tuple(self.value(a, setting) for a in formula.arguments)
            when = self.attributes["at"].get(key[:1])
            if when is None or when > self.now[-1]:
                return None
            label = self.labels[formula.predicate].get(key)
            return None if label is None else label == 1
        if isinstance(formula, Exists | ForAll):
            rows = [setting | inner for inner in self.settings(formula.variables)]
            rows = [row for row in rows if self._all_known(formula, row)]
            truths = [self.truth(formula.body, row) for row in rows]
            return True in truths if isinstance(formula, Exists) else False not in truths
        return super().truth(formula, setting)

    def _aggregate(self, term, setting):
        return super()._aggregate(replace(term, body=known_body(term)), setting)

    def _all_known(self, node, row):
        atoms = label_atoms(self.labels, node)
        return all(self.truth(atom, row) is not None for atom in atoms)


def known_body(term):
    """A body that is false where a label is not known: conjunctions do not look further."""
    atoms = list(label_atoms({"Bad", "Is"}, term))
    return And((term.body, *(Or((a, Not(a))) for a in atoms))) if atoms else term.body


def world(seed, payments=14, accounts=4, **how):
    """Payments at random times, some without clock, account or label."""
    rng = np.random.default_rng(seed)
    ids = [f"p{i}" for i in range(payments)]
    account = [f"a{i}" for i in rng.integers(0, accounts, payments)]
    some = lambda share: np.flatnonzero(rng.random(payments) < share)  # noqa: E731
    times = rng.integers(0, 8, payments)
    bad, kind = rng.integers(0, 2, payments), rng.integers(0, 3, payments)
    labelled, kinded = some(0.7), some(0.6)

    def frame(rows, *columns):
        return {f"c{i}": [column[r] for r in rows] for i, column in enumerate(columns)}

    pairs = rng.random((accounts, accounts)) < 0.4
    near = [(f"a{i}", f"a{j}") for i, j in zip(*np.nonzero(pairs), strict=True)]
    return Dataset.from_frames(
        PROGRAM,
        facts={
            "Pays": frame(some(0.9), ids, account),
            "Near": {"x": [a for a, _ in near], "y": [b for _, b in near]},
            "at": frame(some(0.9), ids, times.tolist()),
            "acc": frame(some(0.9), ids, account),
            "size": frame(some(0.8), ids, rng.choice([0.5, 1.5, 2.0], payments).tolist()),
        },
        labels={
            "Bad": frame(labelled, ids, bad.tolist()),
            "Is": frame(kinded, ids, [f"k{k}" for k in kind]),
        },
        things={"Pay": {"id": ids}, "Acc": {"id": [f"a{i}" for i in range(accounts)]}},
        **how,
    )


def rows(table):
    columns = [column.to_pylist() for column in table.columns]
    if "value" in table.column_names:
        return dict(zip(zip(*columns[:-1], strict=True), columns[-1], strict=True))
    return set(zip(*columns, strict=True))


@pytest.mark.parametrize("delay", [0, 1, 3])
@pytest.mark.parametrize("refresh", [0, 4])
def test_definitions_against_substitution(delay, refresh):
    data = world(10 * delay + refresh, payments=20, label_delay=delay, label_refresh=refresh)
    naive = KnownWorld.of(PROGRAM, data).of_data(data)
    with Relations(PROGRAM, data) as relations:
        for name in NAMES:
            found = rows(relations.read(name))
            wanted = naive.predicate(name) if name[0].isupper() else naive.attribute(name)
            if isinstance(found, set):
                assert found == wanted, name
            else:
                assert found == pytest.approx(wanted), name


@pytest.mark.parametrize("name", HISTORIES)
def test_they_are_computed_as_histories(name):
    definition = over_known_labels(PROGRAM, PROGRAM.definition(name))
    for term in (node for node in walk(definition.body) if isinstance(node, Aggregate)):
        assert split(term, free_variables(term)).is_frame


@pytest.mark.parametrize("delay", [0, 2])
def test_later_labels_change_nothing(delay):
    data = world(delay, payments=300, accounts=20, label_delay=delay)
    table = data.labels["Bad"]
    clock = dict(zip(*(c.to_pylist() for c in data.attributes["at"].columns), strict=True))
    moment = 4
    things, values = table["a0"].to_numpy(), table["value"].to_numpy().copy()
    late = np.array([clock.get(int(t), 99) + max(delay, 1) > moment for t in things])
    values[late] = 1 - values[late]
    other = data.with_labels("Bad", table.set_column(1, "value", [values]))
    unary = [n for n in NAMES if n not in ("same", "pair")]
    one, two = evaluated(data, unary), evaluated(other, unary)
    for name in unary:
        early = [
            {k: v for k, v in _as_dict(found[name]).items() if clock.get(k[0], 99) <= moment}
            for found in (one, two)
        ]
        assert early[0] == early[1], name


def _as_dict(table):
    found = rows(table)
    return found if isinstance(found, dict) else dict.fromkeys(found, True)


def test_what_is_asked_reads_all_and_what_is_learned_from_reads_as_old():
    data = world(0, payments=400)
    past, future = data.split_by("at", before=5)
    assert past.label_refresh == future.label_refresh == 3
    clock = thing_clock(past)
    age = {thing: clock[thing] - 1 - value for thing, value in pairs(as_of(past, "at"))}
    assert set(age.values()) == {0, 1, 2}
    counts = np.bincount(list(age.values()))
    assert counts.max() - counts.min() < 0.15 * len(age)
    clock = thing_clock(future)
    asked = future.scope["Pay"]
    assert all(clock[t] - 1 == value for t, value in pairs(as_of(future, "at")) if asked[t])


def test_delay_is_counted_from_the_clock():
    data = world(0, label_delay=3)
    clock = thing_clock(data)
    assert all(value == clock[thing] - 3 for thing, value in pairs(as_of(data, "at")))


def thing_clock(data):
    return dict(pairs(data.attributes["at"]))


def pairs(table):
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))


def test_hidden_labels_are_not_read_and_what_is_kept_is_not_mixed_up():
    data = world(1, payments=60)
    _, future = data.split_by("at", before=5)
    known = set(future.labels["Bad"]["a0"].to_pylist())
    clock = thing_clock(future)
    assert known
    assert all(clock[thing] < 5 for thing in known)
    with Relations(PROGRAM, future) as relations:
        fresh = rows(relations.read("bads"))
    evaluated(data, ["bads"])
    assert rows(evaluated(future, ["bads"])["bads"]) == fresh


def test_large_groups_take_no_pairs():
    n = 40_000
    rng = np.random.default_rng(0)
    ids = [f"p{i}" for i in range(n)]
    account = [f"a{i}" for i in rng.integers(0, 3, n)]
    data = Dataset.from_frames(
        PROGRAM,
        facts={
            "Pays": {"p": ids, "a": account},
            "at": {"p": ids, "t": np.arange(n)},
            "acc": {"p": ids, "a": account},
        },
        labels={"Bad": {"p": ids, "y": rng.integers(0, 2, n)}},
    )
    values = rows(evaluated(data, ["bads"])["bads"])
    bad = data.labels["Bad"]["value"].to_numpy()
    of = data.attributes["acc"]["value"].to_numpy()
    for thing in (0, 1, n // 2, n - 1):
        assert values[thing,] == bad[:thing][of[:thing] == of[thing]].sum()
