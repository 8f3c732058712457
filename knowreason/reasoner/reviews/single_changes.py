"""What would be believed if facts or values were others, and which single change turns it around.

Nothing is approximated: definitions, models, grounding and inference run again on changed data.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.special import expit

from knowreason.beliefs.beliefs import Beliefs
from knowreason.beliefs.reasons import explain_index
from knowreason.data import Dataset
from knowreason.data.id_tables import VALUE
from knowreason.explanation import DataChange
from knowreason.factors import OPEN
from knowreason.factors.kernel_decorators import FEW
from knowreason.lang import parse_formula
from knowreason.logic import (
    Atom,
    Attribute,
    AttributeTerm,
    Constant,
    ModelCall,
    Program,
    Term,
    Value,
    Wildcard,
)
from knowreason.logic.traversal import names_in, walk
from knowreason.logic.value_texts import value_as_text
from knowreason.reasoner.reviews.data_edits import ANY, Edit, parse_edit
from knowreason.reasoner.reviews.past_cases import Case, case_of
from knowreason.row_keys import locate

QUANTILES, TEXTS, REFINED = 8, 6, 5  # values that are tried, and how often a step is halved
DAY = 86_400_000_000
COARSE = 2  # quantiles where each question reads more than a few atoms
STEPS = tuple(s * DAY // 24 for s in (1, 6, 12, 24, 72, 168, 720))  # of times, both ways
REASONS = 4  # whose facts and attributes are tried


def after_changes(
    reasoner: Any,
    beliefs: Beliefs,
    atom: str,
    changes: Sequence[str],
    training: Dataset | None = None,
) -> tuple[DataChange, ...]:
    """What is believed after each change; arguments as for :meth:`Reasoner.what_if`."""
    case = case_of(reasoner, beliefs, atom, training)
    edits = [parse_edit(beliefs.grounding.program, change) for change in changes]
    return tuple(
        _told(case, edit, case.changed.log_odds(case.changed.after(edit))) for edit in edits
    )


def turning_changes(
    reasoner: Any, beliefs: Beliefs, atom: str, training: Dataset | None = None, most: int = 3
) -> tuple[DataChange, ...]:
    """Single changes that turn the conclusion around, the smallest first: of numbers the one that
    passes fewest things' values, then texts, then facts that would not be there."""
    case = case_of(reasoner, beliefs, atom, training)
    if int(case.beliefs.grounding.graph.evidence[case.atom]) != OPEN:
        return ()
    sign = np.sign(case.beliefs.log_odds[case.atom])
    found: list[tuple[float, Edit, float]] = []
    little = case.changed.now().grounding.graph.atom_count <= FEW
    for edits in _candidates(case, QUANTILES if little else COARSE):
        flipped = _first_flip(case, edits, float(sign), REFINED if little else 0)
        if flipped is not None:
            found.append(flipped)
    found.sort(key=lambda one: one[0])
    return tuple(_told(case, edit, log_odds) for _, edit, log_odds in found[:most])


@dataclass(frozen=True)
class _Candidates:
    """Values of one attribute, or one fact less, from near to far in one direction.

    Attributes:
        edits: in the order in which they are tried.
        sizes: of each, ascending.
        between: whether numbers in between can be tried, from ``now`` on.
    """

    edits: tuple[Edit, ...]
    sizes: tuple[float, ...]
    between: bool = False
    now: Value | None = None


def _first_flip(
    case: Case, candidates: _Candidates, sign: float, refined: int
) -> tuple[float, Edit, float] | None:
    last = candidates.now
    for edit, size in zip(candidates.edits, candidates.sizes, strict=True):
        log_odds = case.changed.log_odds(case.changed.after(edit))
        if log_odds * sign < 0:
            if candidates.between and last is not None:
                return size, *_nearer(case, edit, last, log_odds, sign, refined)
            return size, edit, log_odds
        last = edit.value
    return None


def _nearer(
    case: Case, edit: Edit, last: Value, log_odds: float, sign: float, refined: int
) -> tuple[Edit, float]:
    """A value nearer to one that does not turn it around, by halving."""
    low, high, best = float(last), float(edit.value), log_odds
    for _ in range(refined):
        middle = (low + high) / 2
        value = round(middle) if isinstance(edit.value, int) else float(f"{middle:.4g}")
        if value in (low, high):
            break
        found = case.changed.log_odds(case.changed.after(Edit(edit.name, edit.things, value)))
        if found * sign < 0:
            high, best = float(value), found
        else:
            low = float(value)
    value = int(high) if isinstance(edit.value, int) else high
    return Edit(edit.name, edit.things, value), best


def _candidates(case: Case, levels: int) -> Iterator[_Candidates]:
    program, data = case.beliefs.grounding.program, case.changed.data
    read = _names_read(program)
    attributes: dict[tuple[str, tuple[str, ...]], None] = {}
    facts: dict[tuple[str, tuple[str, ...]], None] = {}
    sorts = program.sorts_of(case.changed.predicate)
    for name, sort in zip(case.changed.names, sorts, strict=True):
        for attribute in program.given_attributes:
            if attribute.sorts == (sort,) and attribute.name in read:
                attributes[attribute.name, (name,)] = None
    explained = explain_index(case.beliefs, case.atom, obstacles=0, changes=0, reasons=REASONS)
    for reason in explained.reasons:
        for node in walk(parse_formula(program, reason.text)):
            if not isinstance(node, Atom | AttributeTerm):
                continue
            names = [_name(argument) for argument in node.arguments]
            things = tuple(name for name in names if name is not None)
            if len(things) < len(names) or not set(things) - {ANY}:
                continue
            if isinstance(node, AttributeTerm):
                attributes[node.name, things] = None
            elif any(p.name == node.predicate and not p.is_open for p in program.predicates):
                facts[node.predicate, things] = None
    given = {attribute.name: attribute for attribute in program.given_attributes}
    for name, things in attributes:
        if name in given and ANY not in things:
            yield from _values(data, given[name], things, levels)
    for name, things in facts:
        yield _Candidates((Edit(name, things, False),), (2.0,))


def _name(term: Term) -> str | None:
    if isinstance(term, Wildcard):
        return ANY
    return str(term.value) if isinstance(term, Constant) else None


def _values(
    data: Dataset, attribute: Attribute, things: tuple[str, ...], count: int
) -> Iterator[_Candidates]:
    """Other values of an attribute of some things, both ways for what has an order."""
    now = value_now(data, attribute, things)
    if now is None:
        return
    column: Any = data.attributes[attribute.name].column(VALUE)

    def edits(values: Sequence[Value]) -> tuple[Edit, ...]:
        return tuple(Edit(attribute.name, things, value) for value in values)

    if isinstance(now, bool):
        yield _Candidates(edits([not now]), (1.0,))
    elif attribute.sort in ("time", "duration") and isinstance(now, int):
        for way in (-1, 1):
            sizes = tuple(step / STEPS[-1] for step in STEPS)
            yield _Candidates(edits([now + way * step for step in STEPS]), sizes)
    elif isinstance(now, int | float):
        values = np.asarray(column.drop_null(), np.float64)
        levels = np.unique(np.quantile(values, np.linspace(0, 1, count + 1), method="nearest"))
        for side in (levels[levels < now][::-1], levels[levels > now]):
            passed = [float(np.mean(_between(values, now, level))) for level in side]
            kind = int if isinstance(now, int) else float
            tried = edits([kind(level) for level in side.tolist()])
            yield _Candidates(tried, tuple(passed), True, now)
    elif attribute.sort == "string":
        counts = pc.value_counts(column).to_pylist()
        common = sorted(counts, key=lambda c: (-c["counts"], str(c["values"])))[: TEXTS + 1]
        texts = [c["values"] for c in common if c["values"] not in (now, None)][:TEXTS]
        yield _Candidates(edits(texts), tuple(1.0 for _ in texts))


def _between(values: NDArray[np.float64], one: float, other: float) -> NDArray[np.bool_]:
    return (values > min(one, other)) & (values < max(one, other))


def value_now(data: Dataset, attribute: Attribute, things: Sequence[str]) -> Value | None:
    """The value of an attribute of some things as the data have it; of a domain a name."""
    ids = [data.vocabularies[s].find(n) for s, n in zip(attribute.sorts, things, strict=True)]
    table: Any = data.attributes[attribute.name]
    own = np.stack([np.asarray(column) for column in table.columns[: len(ids)]], axis=1)
    row = int(locate(own, np.array([ids], own.dtype))[0]) if ids else 0
    if row < 0 or not table.num_rows:
        return None
    value: Value | None = table.column(VALUE)[row].as_py()
    if attribute.sort in data.vocabularies and value is not None:
        return data.vocabularies[attribute.sort].name(int(value))
    return value


def _names_read(program: Program) -> set[str]:
    """Names that rules, definitions and models' options mention."""
    found: set[str] = set()
    for rule in program.rules:
        found |= names_in(rule.formula)
        found |= names_in(rule.weight.feature) if rule.weight.feature is not None else set()
    for definition in program.definitions:
        found |= names_in(definition.body)
    for model in program.models:
        found |= set(_texts(model.call))
    return found


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, ModelCall):
        for _, option in value.options:
            yield from _texts(option)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _texts(one)


def _told(case: Case, edit: Edit, log_odds: float) -> DataChange:
    program = case.beliefs.grounding.program
    attribute = next((a for a in program.given_attributes if a.name == edit.name), None)
    now = None if attribute is None else value_now(case.changed.data, attribute, edit.things)
    said = (
        "" if now is None or attribute is None else value_as_text(now, attribute.sort, program.zone)
    )
    return DataChange(edit.text(program), said, float(expit(log_odds)), log_odds)
