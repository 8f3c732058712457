"""Rows of a query come in any order, and not twice in the same: definitions do not depend on it."""

import numpy as np
import pyarrow as pa
import pytest

from knowreason import Dataset, loads
from knowreason.grounding.relational.database import Relations

PROGRAM = loads("""
domain Pay
domain Card
domain Shop
observed Pays(Pay, card: Card, shop: Shop)
attribute card(Pay): Card
attribute at(Pay): time clock
attribute amount(Pay): float
define before(p) := count { q : Pays(q, card: card(p)) & at(q) < at(p) }
define dearer(p) := count { q : Pays(q, card: card(p)) & at(q) < at(p) & amount(q) > amount(p) }
define day(p) := count { q : Pays(q, card: card(p)) & at(q) < at(p) & at(q) >= at(p) - 1d }
define spent(p) := sum { amount(q) for q : Pays(q, card: card(p)) & at(q) < at(p) }
define shops(p) := count { s : exists q. (Pays(q, card(p), s) & at(q) < at(p)) }
define latest(p) := max { amount(q) for q : Pays(q, card: card(p)) & at(q) < at(p) last 3 by at(q) }
query Fraud(Pay)
""")


def payments(count=60):
    draw = np.random.default_rng(0)
    ids, cards = [f"p{i}" for i in range(count)], [f"c{i}" for i in draw.integers(0, 6, count)]
    return Dataset.from_frames(
        PROGRAM,
        facts={
            "Pays": {"p": ids, "c": cards, "s": [f"s{i}" for i in draw.integers(0, 9, count)]},
            "card": {"p": ids, "c": cards},
            "at": {"p": ids, "t": [f"2024-01-{day + 1:02}" for day in draw.integers(0, 20, count)]},
            "amount": {"p": ids, "a": draw.integers(1, 9, count).astype(float)},
        },
    )


def values(data):
    with Relations(PROGRAM, data) as relations:
        return {
            one.name: sorted(zip(*relations.read(one.name).to_pydict().values(), strict=True))
            for one in PROGRAM.definitions
        }


@pytest.mark.parametrize("seed", range(5))
def test_definitions_do_not_depend_on_the_order_of_rows(monkeypatch, seed):
    data = payments()
    expected = values(data)
    draw, arrow = np.random.default_rng(seed), Relations.arrow

    def shuffled(self, tree, batch_rows=1_000_000):
        table = arrow(self, tree, batch_rows).read_all()
        if not tree.args.get("order"):
            table = table.take(pa.array(draw.permutation(table.num_rows)))
        return table.to_reader()

    monkeypatch.setattr(Relations, "arrow", shuffled)
    assert values(data) == expected
