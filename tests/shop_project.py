"""A small project with a graph, a clock and a rare class, for tests of `augment`."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

RULES = """
domain Account, Shop, Buy
attribute joined(Account): int
attribute kind(Account): string
attribute since(Account): int
attribute at(Buy): int clock
observed Listed(Account)
observed Buys(Buy, Account, Shop)
query Bad(Account)
query Late(Buy)
model more for Bad = diffusion(classifier=trees(features=["*", "kind"]), ratio=0.5, epochs=5,
    denoiser_steps=10, steps=5, width=4, hidden=16)
"""
PROJECT = """
program = "shop.kr"
[tables.accounts]
path = "accounts.parquet"
[tables.profiles]
path = "profiles.csv"
[tables.listed]
path = "listed.csv"
[tables.raw_buys]
path = "buys.parquet"
[tables.buys]
sql = "select * from raw_buys where amount > 0"
[tables.labels]
path = "labels.parquet"
[bind]
joined = { table = "accounts", columns = ["id"], value = "joined" }
kind   = { table = "accounts", columns = ["id"], value = "kind" }
since  = { table = "profiles", columns = ["who"], value = "since" }
Listed = { table = "listed", columns = ["id"] }
Buys   = { table = "buys", columns = ["buy", "who", "shop"] }
at     = { table = "buys", columns = ["buy"], value = "day" }
Bad    = { table = "labels", columns = ["id"], label = "bad", unknown = [-1] }
[features.Account]
table = "accounts"
key = "id"
columns = ["age", "rank"]
[[graph.edges]]
table = "buys"
source = "who:Account"
target = "shop:Shop"
key = "buy:Buy"
time = "day"
features = ["amount"]
"""
BY_TIME = '[split]\nby = "joined"\ntrain = "< 80"\ntest = ">= 80"\n'


def write_shop(folder, split=BY_TIME, rules=RULES):
    """Accounts, what they bought and when, and which are bad: every fifth."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    ids = np.arange(100)
    bad = ids % 5 == 0
    accounts = {
        "id": ids,
        "joined": ids,
        "kind": np.where(bad, "x", "y"),
        "age": rng.normal(size=100) + 2 * bad,
        "rank": rng.integers(0, 4, 100) + 3 * bad,
        "note": [f"secret {i}" for i in ids],
    }
    pq.write_table(pa.table(accounts), folder / "accounts.parquet")
    (folder / "listed.csv").write_text("id\n" + "\n".join(map(str, ids[::2])) + "\n")
    lines = [f"{i},{1900 + i}" for i in ids[1:]]
    (folder / "profiles.csv").write_text("\n".join(["who,since", *lines]) + "\n")
    who = np.repeat(ids, 3)
    buys = {
        "buy": [f"b{i}" for i in range(300)],
        "who": who,
        "shop": np.where(bad[who], rng.integers(0, 4, 300), rng.integers(4, 8, 300)),
        "day": who,
        "amount": rng.integers(1, 9, 300),
    }
    pq.write_table(pa.table(buys), folder / "buys.parquet")
    label = np.where(ids % 10 == 7, -1, bad.astype(int))
    pq.write_table(pa.table({"id": ids, "bad": label}), folder / "labels.parquet")
    (folder / "shop.kr").write_text(rules)
    (folder / "knowreason.toml").write_text(PROJECT + split)
    return folder
