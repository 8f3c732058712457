"""A small world with known answers, on which models are checked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from knowreason.data.dataset import Dataset
from knowreason.data.edges import Edges, GraphTables
from knowreason.data.features import FeatureTable, ScoreColumns
from knowreason.data.vocabulary import Vocabulary
from knowreason.logic import Argument, Attribute, Domain, Predicate, Program
from knowreason.row_keys import distinct_rows

COLOURS = ("red", "green", "blue")
HOUR = 3_600_000_000


def example_program() -> Program:
    """A program of accounts that may be bad, payments among them, a colour of each account.

    ``Bad(Node)`` Boolean; ``Fraud(Pay)`` of things with a clock, which are edges;
    ``Has(Node, Colour!)`` and ``May(Node, Colour?)`` functional; ``Linked(Node, Node)``
    over listed pairs; ``Ring(Group)`` of things that hold accounts; ``Secret(Node)`` latent.

    >>> [domain.name for domain in example_program().domains]
    ['Node', 'Pay', 'Colour', 'Group']
    """
    node, pay, group = Argument("Node", "node"), Argument("Pay", "pay"), Argument("Group", "group")
    return Program(
        domains=(Domain("Node"), Domain("Pay"), Domain("Colour", COLOURS), Domain("Group")),
        predicates=(
            Predicate("Listed", "observed", (node,)),
            Predicate("Near", "observed", (Argument("Node", "one"), Argument("Node", "two"))),
            Predicate("Holds", "observed", (group, node)),
            Predicate("Bad", "query", (node,)),
            Predicate("Fraud", "query", (pay,)),
            Predicate("Has", "query", (node, Argument("Colour", "colour", "!"))),
            Predicate("May", "query", (node, Argument("Colour", "colour", "?"))),
            Predicate(
                "Linked",
                "query",
                (Argument("Node", "one"), Argument("Node", "two")),
                within="Near",
            ),
            Predicate("Ring", "query", (group,)),
            Predicate("Secret", "latent", (node,)),
        ),
        attributes=(
            Attribute("size", (node,), "float"),
            Attribute("tag", (node,), "string"),
            Attribute("at", (pay,), "time", clock=True),
        ),
    )


def example_data(nodes: int = 120, payments: int = 240, seed: int = 0, first: int = 0) -> Dataset:
    """A small data set for :func:`example_program`.

    Every fourth account is bad, and then has greater features and pays other bad ones;
    payments of bad accounts are frauds; the colour shows in the feature ``hue``; a group holds
    four accounts at most, and is a ring where they are bad. Labels of
    ``Bad`` are visible for the first half of the accounts, the rest is hidden.

    Args:
        nodes, payments: how many; none of either is allowed.
        seed: of the features and payments.
        first: number in the name of the first account and payment.

    >>> example_data().labels["Bad"].num_rows
    60
    """
    random = np.random.default_rng(seed)
    ids = np.arange(nodes, dtype=np.int32)
    bad = (ids % 4 == 0).astype(np.int8)
    colour = (ids // 4) % 3
    group = ids % 8 + 8 * (ids // 32)
    groups = np.unique(group)
    x = random.normal(size=(nodes, 2)) + 2.0 * bad[:, None]
    sort = np.where(random.random(nodes) < 0.8, bad, random.integers(0, 3, nodes))
    hue = random.normal(size=nodes) + 3.0 * colour
    source, target = _payments(random, bad, payments if nodes else 0)
    events = np.arange(len(source), dtype=np.int32)
    near = np.stack([source, target], axis=1)
    near = near[distinct_rows(near.T)[0]]
    half = nodes // 2
    amount = random.gamma(2, 1, (len(source), 1)).astype(np.float32)
    columns = np.column_stack([x, hue, sort]).astype(np.float32)
    return Dataset(
        program=example_program(),
        vocabularies={
            "Node": _names("Node", nodes, first),
            "Pay": _names("Pay", len(source), first),
            "Colour": Vocabulary("Colour", pa.array(COLOURS), True),
            "Group": _names("Group", len(groups), first),
        },
        facts={
            "Listed": _table(ids[bad == 1]),
            "Near": _table(*near.T),
            "Holds": _table(group, ids),
        },
        attributes={
            "size": _table(ids[1:], value=x[1:, 0]),
            "tag": _table(ids, value=pa.array(bad).cast(pa.string())),
            "at": _table(events, value=events.astype(np.int64) * HOUR),
        },
        evidence={},
        labels={
            "Bad": _table(ids[:half], value=bad[:half]),
            "Fraud": _table(events, value=bad[source]),
            "Has": _table(ids, colour, value=np.ones(nodes, np.int8)),
            "May": _table(ids, colour, value=np.ones(nodes, np.int8)),
            "Linked": _table(*near.T, value=bad[near[:, 0]]),
            "Ring": _table(groups, value=(groups % 4 == 0).astype(np.int8)),
        },
        hidden={"Bad": _table(ids[half:], value=bad[half:])},
        features={
            "Node": FeatureTable(
                ("one", "two", "hue", "sort"), columns, (None, None, None, ("x", "y", "z"))
            ),
            "Pay": FeatureTable(("amount",), amount, (None,)),
        },
        scores={"Bad": _scores(ids, x[:, 0])},
        graph=GraphTables((_edges(source, target, events),)),
    )


def with_value(data: Dataset, row: int, column: int, value: float) -> Dataset:
    """The same data with one feature of one account changed."""
    table = data.features["Node"]
    values = table.values.copy()
    values[row, column] = value
    return replace(data, features={**data.features, "Node": replace(table, values=values)})


def with_label_values(data: Dataset, predicate: str, values: NDArray[np.int8]) -> Dataset:
    """The same data with other visible labels, in the order of the label table."""
    table: pa.Table = data.labels[predicate]
    table = table.set_column(table.num_columns - 1, "value", pa.array(values, pa.int8()))
    return replace(data, labels={**data.labels, predicate: table})


def with_labels_alike(data: Dataset, predicate: str) -> Dataset:
    """The same data with labels of one kind only: all false, or all the first state."""
    table = data.labels[predicate]
    if data.program.predicate(predicate).functional_position is None:
        return with_label_values(data, predicate, np.zeros(table.num_rows, np.int8))
    table = table.filter(pc.equal(table.column("a1"), 0))
    return replace(data, labels={**data.labels, predicate: table})


def example_scores(data: Dataset, predicate: str) -> NDArray[np.float64]:
    """Log-odds of ``Bad`` from the first feature; what ``callable`` is checked with."""
    assert predicate == "Bad"
    return np.nan_to_num(data.features["Node"].values[:, 0]).astype(np.float64) - 2.0


def _payments(
    random: np.random.Generator, bad: NDArray[np.int8], count: int
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Payments between accounts of the same sort."""
    source = random.integers(0, max(len(bad), 1), count).astype(np.int32)
    target = np.zeros(count, np.int32)
    for sort in (0, 1):
        of_sort = bad[source] == sort if count else np.zeros(0, bool)
        if of_sort.any():
            target[of_sort] = random.choice(np.flatnonzero(bad == sort), of_sort.sum())
    return source, target


def _names(domain: str, count: int, first: int) -> Vocabulary:
    names = [f"{domain[0].lower()}{first + i}" for i in range(count)]
    return Vocabulary(domain, pa.array(names, pa.string()))


def _table(
    *ids: NDArray[np.integer], value: NDArray[np.generic] | pa.Array | None = None
) -> pa.Table:
    columns = {f"a{i}": pa.array(one.astype(np.int32)) for i, one in enumerate(ids)}
    if value is not None:
        columns["value"] = pa.array(value)
    return pa.table(columns)


def _scores(ids: NDArray[np.int32], x: NDArray[np.float64]) -> ScoreColumns:
    values = {"p": 1 / (1 + np.exp(2 - x)), "z": x - 2, "wild": np.exp(x)}
    return ScoreColumns(ids[:, None], values)


def _edges(
    source: NDArray[np.int32], target: NDArray[np.int32], events: NDArray[np.int32]
) -> Edges:
    none = FeatureTable((), np.zeros((len(source), 0), np.float32), ())
    time = events.astype(np.int64) * HOUR
    return Edges("pays", "Node", "Node", source, target, none, "Pay", events, time, "time")
