"""Explanations as tables: one row a part, or a few reasons a row of predictions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa

from knowreason.data.arrow_types import ArrowTable
from knowreason.explanation.explanation_text import Explanation, percent, values_text

SCHEMA = pa.schema(
    [
        ("atom", pa.string()),
        ("probability", pa.float64()),
        ("rank", pa.int32()),
        ("kind", pa.string()),
        ("name", pa.string()),
        ("share", pa.float64()),
        ("text", pa.string()),
        ("grounding", pa.string()),
    ]
)


def explanation_table(explanations: Sequence[Explanation]) -> ArrowTable:
    """One row a part of each explanation.

    ``kind`` is that of a share (``prior``, ``model``, ``rule``, ``stacked`` ...: of one atom they
    add up to its log-odds), ``grounding`` (what of a rule's share one grounding has), ``column``
    (of a model's share) or ``field`` (a value of the atom's things; no share). ``rank`` counts
    from 1 among the rows of one kind, the largest first; ``text`` has the values.

    Args:
        explanations: of any atoms.

    Example:
        >>> from knowreason.explanation import Share
        >>> why = Explanation('Smokes("anna")', 0.73, 1.0, (Share("rule", "often", 1.0),))
        >>> explanation_table([why]).to_pylist()[0]["name"]
        'often'
    """
    rows = [row for explanation in explanations for row in _rows(explanation)]
    columns = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in SCHEMA]
    arrays = [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)]
    table: ArrowTable = pa.table(arrays, schema=SCHEMA)
    return table


Row = tuple[str, float, int, str, str, float | None, str, str]


def _rows(why: Explanation) -> Iterator[Row]:
    shares = [(s.kind, s.name, s.log_odds, "", "") for s in why.shares]
    groundings = [
        ("grounding", r.rule, r.effect, _said(values_text(r.values), r.others), r.text)
        for r in why.reasons
    ]
    columns = [("column", f"{c.model} {c.column}", c.log_odds, c.text, "") for c in why.columns]
    rank: dict[str, int] = {}
    for kind, name, share, text, grounding in sorted(
        [*shares, *groundings, *columns], key=lambda row: -abs(row[2])
    ):
        rank[kind] = rank.get(kind, 0) + 1
        yield why.atom, why.probability, rank[kind], kind, name, share, text, grounding
    for place, field in enumerate(why.fields, start=1):
        yield why.atom, why.probability, place, "field", field.name, None, field.text, ""


def _said(values: str, others: Sequence[tuple[str, float]]) -> str:
    likely = ", ".join(f"{name} {percent(probability)}" for name, probability in others)
    return "; ".join(part for part in (values, likely) if part)


def reason_texts(why: Explanation, most: int) -> list[str]:
    """What speaks for the atom, the strongest first: groundings of rules and models' columns (or
    models, where these are not split), each with its log-odds. What is said of all atoms alike,
    priors and rules about nothing but the atom, is left out.

    Args:
        why: with its reasons.
        most: how many at most.

    Example:
        >>> from knowreason.explanation import Share
        >>> reason_texts(Explanation('Bad("n")', 0.8, 1.5, (Share("model", "eye", 1.5),)), 2)
        ['eye +1.50']
    """
    split = {(column.kind, column.model) for column in why.columns}
    found = [
        (r.effect, f"{r.rule} {r.effect:+.2f}", _said(values_text(r.values), r.others) or r.text)
        for r in why.reasons
        if r.text != why.atom
    ]
    said: dict[tuple[str, str], float] = {}  # by rules and by the stacking
    for share in why.shares:
        if share.kind in ("model", "stacked") and (share.kind, share.name) not in split:
            said[share.name, ""] = said.get((share.name, ""), 0.0) + share.log_odds
    for c in why.columns:
        if c.text:
            key = c.model, f"{c.column} {c.text}"
            said[key] = said.get(key, 0.0) + c.log_odds
    found += [(value, f"{model} {value:+.2f}", text) for (model, text), value in said.items()]
    for_it = sorted((one for one in found if one[0] > 0), key=lambda one: -one[0])
    return [f"{head}: {text}" if text else head for _, head, text in for_it[:most]]
