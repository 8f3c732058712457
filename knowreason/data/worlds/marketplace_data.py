"""The generated marketplace as data of a program: snapshots of some days, bound to rules."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from knowreason.data.arrow_types import ArrowTable
from knowreason.data.dataset import Dataset
from knowreason.data.edges import EdgeList
from knowreason.data.features import FeatureSource
from knowreason.logic import Program

KEYS = ("id", "buyer", "seller", "item", "device")
UNSEEN = ("day", "second", "moment", "points", "velocity", *KEYS)  # no features of a model
DAY, WEEK = 86_400, 7 * 86_400
LABELS = {
    "Collusion": "collusion",
    "Suspected": "collusion",
    "Takeover": "takeover",
    "SignInTrouble": "sign_in",
    "OneDay": "one_day",
    "Overridden": "overridden",
}
Tables = Mapping[str, pa.Table]


def snapshot(world: Tables, first: int, last: int) -> dict[str, ArrowTable]:
    """The world as seen on the days ``first .. last - 1``: nothing before, nothing after.

    Buyers, sellers and items that do not trade in it are not in it; days keep their numbers.
    """
    trades = world["transactions"]
    day = trades.column("day").to_numpy()
    trades = trades.filter(pa.array((day >= first) & (day < last)))
    tables = dict(world) | {"transactions": trades}
    for table, key in (("buyers", "buyer"), ("sellers", "seller"), ("items", "item")):
        used = pc.is_in(world[table].column(key), trades.column(key).combine_chunks())
        tables[table] = world[table].filter(used)
    for table in ("labels", "truth"):
        used = pc.is_in(world[table].column("id"), trades.column("id").combine_chunks())
        tables[table] = world[table].filter(used)
    return tables


def bind(program: Program, world: Tables) -> Dataset:
    """The data set of a world or a snapshot, bound to a program such as ``rulesets/collusion.kr``.

    Attributes of transactions are the columns of their names, and query predicates get the
    labels of :data:`LABELS`. Models may see all signs of a transaction, regions, how long
    accounts had been registered when the snapshot begins, and the graph of buyers and
    sellers. Where the program knows items (``rulesets/collusion_items.kr``) they see categories
    and list prices too, and in the graph a transaction is a node, tied to its buyer, seller, item
    and device. Nothing of ``truth`` is read.
    """
    trades = with_derived(world)
    facts: dict[str, ArrowTable] = {
        "Buys": trades.select(["id", "buyer", "seller", "device"]),
        "Of": trades.select(["id", "item"]),
    }
    for attribute in program.attributes:
        if attribute.sorts == ("Transaction",):
            facts[attribute.name] = trades.select(["id", attribute.name])
    queries = {p.name for p in program.predicates if p.kind == "query"}
    labels = {
        name: world["labels"].select(["id", column])
        for name, column in LABELS.items()
        if name in queries
    }
    signs = trades.select(["id", *(c for c in trades.column_names if c not in UNSEEN)])
    start = int(pc.min(trades.column("day")).as_py())
    items = any(domain.name == "Item" for domain in program.domains)
    return Dataset.from_frames(
        program,
        facts={name: table for name, table in facts.items() if _declared(program, name)},
        labels=labels,
        features={
            "Transaction": FeatureSource(signs),
            "Buyer": FeatureSource(_account(world["buyers"], start)),
            "Seller": FeatureSource(_account(world["sellers"], start)),
            **({"Item": FeatureSource(world["items"].drop_columns(["seller"]))} if items else {}),
        },
        scores={"Collusion": trades.select(["id", "points", "velocity"])},
        graph=_four_relations(trades) if items else _who_with_whom(trades),
    )


def _who_with_whom(trades: pa.Table) -> list[EdgeList]:
    """A transaction is an edge from its buyer to its seller."""
    edges = trades.select(["id", "buyer", "seller", "moment"])
    ends = {"source": "buyer:Buyer", "target": "seller:Seller", "key": "id:Transaction"}
    return [EdgeList(edges, **ends, time="moment")]


def _four_relations(trades: pa.Table) -> list[EdgeList]:
    """A transaction is a node, tied to the four things it touches."""
    return [
        EdgeList(trades.select(["id", end]), "id:Transaction", f"{end}:{end.title()}", name=end)
        for end in ("buyer", "seller", "item", "device")
    ]


def with_derived(world: Tables) -> pa.Table:
    """Transactions with list price, ``moment`` (seconds since day 0) and ``velocity``.

    ``velocity`` is the second hand-made score: how many transactions of other buyers the
    device had seen within the last seven days.
    """
    trades = world["transactions"]
    item = pc.index_in(trades.column("item"), world["items"].column("item").combine_chunks())
    listed = world["items"].column("list_price").combine_chunks().take(item.combine_chunks())
    moment = trades.column("day").to_numpy() * DAY + trades.column("second").to_numpy()
    device, buyer = (_codes(trades.column(name)) for name in ("device", "buyer"))
    pair = np.unique(device * (buyer.max(initial=0) + 1) + buyer, return_inverse=True)[1]
    velocity = _recent(device, moment) - _recent(pair, moment)
    return (
        trades.append_column("list_price", pa.chunked_array([listed]))
        .append_column("moment", pa.array(moment))
        .append_column("velocity", pa.array(velocity.astype(np.float64)))
    )


def _recent(key: NDArray[np.int64], moment: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many rows of the same key lie within the week before each row."""
    span = int(moment.max(initial=0)) + WEEK + 1
    time = key.astype(np.int64) * span + moment
    ordered = np.sort(time)
    first = np.searchsorted(ordered, np.maximum(time - WEEK, key.astype(np.int64) * span))
    count: NDArray[np.int64] = np.searchsorted(ordered, time) - first
    return count


def _codes(column: pa.ChunkedArray) -> NDArray[np.int64]:
    codes: NDArray[np.int64] = (
        column.combine_chunks().dictionary_encode().indices.to_numpy().astype(np.int64)
    )
    return codes


def _account(people: pa.Table, start: int) -> pa.Table:
    tenure = pc.subtract(start, people.column("registered"))
    return people.drop_columns(["registered"]).append_column("tenure", tenure)


def _declared(program: Program, name: str) -> bool:
    return any(name in (p.name for p in kind) for kind in (program.predicates, program.attributes))
