"""Recommendations in time: who buys what in the week to come?

    python examples/recommendations.py [--users 240] [--items 48] [--seed 0]

Generated: items are parts of series, users like some series and have friends. In a week a user buys
the next part of a series begun, what a friend bought the week before, something popular of a
liked series, or something at random. Learned from the weeks before the last but one and its
purchases; asked about the last week, from all weeks before it. The model is a snapshot a week with
a recurrent state (`temporal_link`); the rules know parts, friends, and that nobody buys twice.
"""

from __future__ import annotations

import argparse

import numpy as np
import pyarrow as pa
from three_ways import ranked, show, three_ways

import knowreason as kr
from knowreason.data import Dataset, EdgeList

PROGRAM = """
domain User, Item
observed Bought(User, Item)
observed Lately(User, Item)               # in the week before
observed Follows(Item, Item)              # the next part of a series
observed Friends(User, User) symmetric
define Begun(u, i) := Follows(j, i) & Bought(u, j)
define Tip(u, i) := Friends(u, v) & Lately(v, i)

query Buys(User, Item)

model habits for Buys = temporal_link(window=1, score="link", epochs=40)

rule next_part    : Begun(u, i) => Buys(u, i)
rule tip          : Tip(u, i) => Buys(u, i)
rule twice        : Bought(u, i) => !Buys(u, i)
"""
PARTS, WEEKS, LIKED = 4, 12, 3


def purchases(users: int, items: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Purchases (`int[n, 3]`: week, user, item) and pairs of friends (`int[k, 2]`)."""
    series = np.arange(items) // PARTS
    likes = np.stack([rng.permutation(items // PARTS)[:LIKED] for _ in range(users)])
    friends = np.stack([np.repeat(np.arange(users), 2), rng.integers(0, users, 2 * users)], 1)
    friends = friends[friends[:, 0] != friends[:, 1]]
    near = [friends[(friends == u).any(1)].sum(1) - u for u in range(users)]
    popular = rng.dirichlet(np.full(items, 0.5))
    owned = np.zeros((users, items), bool)
    last, made = np.zeros((users, items), bool), []
    for week in range(WEEKS):
        now = np.zeros_like(owned)
        for u in range(users):
            for how in rng.random(rng.poisson(1.2)):
                begun = np.flatnonzero(owned[u][:-1] & (series[1:] == series[:-1])) + 1
                begun = begun[~owned[u][begun]]
                tips = np.flatnonzero(last[near[u]].any(0) & ~owned[u])
                liked = np.flatnonzero(np.isin(series, likes[u]) & ~owned[u])
                if how < 0.4 and len(begun):
                    item = rng.choice(begun)
                elif how < 0.6 and len(tips):
                    item = rng.choice(tips)
                elif how < 0.9 and len(liked):
                    share = popular[liked] + 1e-3
                    item = rng.choice(liked, p=share / share.sum())
                else:
                    item = rng.integers(items)
                now[u, item] = True
                made.append((week, u, item))
        owned, last = owned | now, now
    return np.unique(np.array(made), axis=0), friends


def at_week(
    program: kr.Program, made: np.ndarray, friends: np.ndarray, users: int, items: int, week: int
) -> Dataset:
    """What is known at the start of a week; what is bought in it is the label of all pairs."""
    user, item = (
        np.array([f"u{i}" for i in range(users)]),
        np.array([f"i{i}" for i in range(items)]),
    )
    before = made[made[:, 0] < week]
    bought = np.zeros((users, items), bool)
    now = made[made[:, 0] == week]
    bought[now[:, 1], now[:, 2]] = True
    pairs = {"u": np.repeat(user, items), "i": np.tile(item, users)}
    first = np.flatnonzero(np.arange(items) % PARTS < PARTS - 1)
    lately = before[before[:, 0] == week - 1]
    return Dataset.from_frames(
        program,
        facts={
            "Bought": {"u": user[before[:, 1]], "i": item[before[:, 2]]},
            "Lately": {"u": user[lately[:, 1]], "i": item[lately[:, 2]]},
            "Follows": {"a": item[first], "b": item[first + 1]},
            "Friends": {"a": user[friends[:, 0]], "b": user[friends[:, 1]]},
        },
        labels={"Buys": {**pairs, "label": bought.ravel()}},
        graph=EdgeList(
            pa.table({"u": user[before[:, 1]], "i": item[before[:, 2]], "week": before[:, 0]}),
            "u:User",
            "i:Item",
            time="week",
        ),
        things={"User": {"u": user}, "Item": {"i": item}},
    )


def compare(
    users: int = 240, items: int = 48, seed: int = 0, epochs: int = 40
) -> dict[str, dict[str, float]]:
    """Average precision and AUC of what is bought in the last week."""
    program = kr.loads(PROGRAM.replace("epochs=40", f"epochs={epochs}"))
    made, friends = purchases(users, items, np.random.default_rng(seed))
    past = at_week(program, made, friends, users, items, WEEKS - 2)
    today = at_week(program, made, friends, users, items, WEEKS - 1)
    today = today.hide("Buys", [True] * (users * items))
    return ranked(three_ways(program, past, today, "Buys"), today, "Buys")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--users", type=int, default=240)
    parser.add_argument("--items", type=int, default=48)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    show("what is bought", compare(given.users, given.items, given.seed))


if __name__ == "__main__":
    main()
