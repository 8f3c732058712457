"""Parts of a data set: past and future, training and test, folds. Pure functions.

A *visible* label is in ``labels``; one that is held back is in ``hidden``. A functional
predicate is split by setting, so that no block is half known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from knowreason.data.arrow_types import ArrowTable
from knowreason.data.encoded_tables import EncodedTables
from knowreason.data.id_tables import VALUE, id_columns
from knowreason.data.splits.attribute_groups import group_codes
from knowreason.data.splits.clocks import (
    LATEST,
    Moment,
    at_most,
    label_clock,
    thing_values,
    to_moment,
)
from knowreason.data.splits.restriction import restrict, seen_only_with
from knowreason.diagnostics import Diagnostic
from knowreason.errors import DataError, did_you_mean
from knowreason.row_keys import row_keys

Mask = NDArray[np.bool_]
Rows = NDArray[np.bool_] | NDArray[np.integer]
D = TypeVar("D", bound=EncodedTables)


def split_by(data: D, attribute: str, *, before: Moment) -> tuple[D, D]:
    """Past and future: what is before a moment (or a value), and everything.

    The *past* holds the things whose value is below ``before`` and the rows that mention
    only such things; things of other open domains that are seen only with later ones are
    not in it either. The *future* keeps all rows; labels of the past stay visible, those of
    things at or after the cut move to ``hidden``, and those things are its scope. Where the
    attribute is a ``clock``, things of other domains are cut by their clocks of the same
    sort. A thing without a value counts as later. Definitions over labels read those of the
    past only; in training they read labels as old as those that the future reads
    (``label_refresh``: the length of the future, where it is 0).

    Args:
        data: what to split.
        attribute: of one argument, a time or a number.
        before: the cut: a datetime, ISO text, or number.

    Raises:
        DataError: KR519 for an attribute that has no order or a part that is empty.
    """
    early = _early_things(data, attribute, before)
    data = replace(
        data,
        warnings=data.warnings + _timeless(data, attribute),
        label_refresh=data.label_refresh or _length_after(data, attribute, before),
    )
    past = restrict(data, {**early, **seen_only_with(data, early)}, until=(attribute, before))
    future = data
    for predicate, table in data.labels.items():
        rows = _touching(data, predicate, table, {d: ~mask for d, mask in early.items()})
        future = hide(future, predicate, rows)
    scope = {domain: ~mask for domain, mask in early.items()}
    for domain, mask in scope.items():
        if mask.all() or not mask.any():
            raise DataError(
                f"`{attribute}` before {before}: "
                f"{'no' if mask.all() else 'every'} `{domain}` is in the past",
                code="KR519",
                help="choose a cut between the least and the greatest value",
            )
    return past, replace(future, scope={**data.scope, **scope})


def split_random(data: D, predicate: str, *, test: float = 0.3, seed: int = 0) -> tuple[D, D]:
    """Training and test part: a share of a predicate's labels is held back, the same of each class.

    Both parts keep all facts. In the training part the held-back labels are gone; in the
    test part they are in ``hidden`` and, for a predicate of one thing, those things are its
    scope.

    Raises:
        DataError: KR519 for a share that is not between 0 and 1, or no labels.
    """
    if not 0 < test < 1:
        raise DataError(f"a test share of {test} leaves a part empty", code="KR519")
    position = _random_position(data, predicate, seed)
    return _hold_back(data, {predicate: position < test}, predicate)


def fold_parts(data: D, predicate: str, test: Rows) -> tuple[D, D]:
    """Training and test part of one fold: these visible labels (mask or rows) are held back.

    As :func:`split_random` has it; labels that were held back before are in neither part.
    """
    mask = _as_mask(test, labels_of(data, predicate).num_rows)
    hidden = {name: table.slice(0, 0) for name, table in data.hidden.items()}
    return _hold_back(replace(data, hidden=hidden), {predicate: mask}, predicate)


def split_by_key(data: D, domain: str, members: Sequence[str] | Mask) -> tuple[D, D]:
    """Training and test part: labels that mention some things of a domain are held back.

    Both parts keep all facts; ``members`` (names, or ``bool[n]``) are the scope of the test
    part.

    Raises:
        DataError: KR509 for a name that the domain does not have.
    """
    mask = _members(data, domain, members)
    rows = {
        predicate: _touching(data, predicate, table, {domain: mask})
        for predicate, table in data.labels.items()
    }
    training, test = _hold_back(data, rows, None)
    return training, replace(test, scope={**data.scope, domain: mask})


def hide(data: D, predicate: str, mask: Rows) -> D:
    """The data set with some visible labels of a predicate (mask or rows) moved to ``hidden``."""
    table = labels_of(data, predicate)
    moved = _as_mask(mask, table.num_rows)
    if not moved.any():
        return data
    before = [data.hidden[predicate]] if predicate in data.hidden else []
    held = pa.concat_tables([*before, table.filter(pa.array(moved))])
    visible = with_labels(data, predicate, table.filter(pa.array(~moved)))
    return replace(visible, hidden={**data.hidden, predicate: held.combine_chunks()})


def labels_only(data: D, predicate: str, rows: Rows) -> D:
    """The data set with only some visible labels of a predicate (mask or rows)."""
    table = labels_of(data, predicate)
    return with_labels(data, predicate, table.filter(pa.array(_as_mask(rows, table.num_rows))))


def with_labels(data: D, predicate: str, table: pa.Table) -> D:
    """The data set with other visible labels (an encoded table) of a predicate."""
    labels_of(data, predicate)
    return replace(data, labels={**data.labels, predicate: table})


def labels_of(data: EncodedTables, predicate: str) -> pa.Table:
    """Visible labels of a predicate; raises :class:`DataError` KR519 for no query predicate."""
    if predicate not in data.labels:
        raise DataError(
            f"`{predicate}` is no query predicate, so it has no labels",
            code="KR519",
            help=did_you_mean(predicate, data.labels),
        )
    return data.labels[predicate]


def known_labels(
    data: EncodedTables,
    predicate: str,
    when: Moment,
    delay: float = 0,
    table: ArrowTable | None = None,
) -> Mask:
    """Labels known at a moment: their atom's clock + ``delay`` <= ``when``, ``bool[rows]``.

    Args:
        data: with a clock on some argument of the predicate.
        predicate: whose labels.
        when: a datetime, ISO text or number.
        delay: in units of the clock (microseconds for times).
        table: labels to ask about, the visible ones by default. An atom whose clock is
            missing is never known.

    >>> import knowreason as kr
    >>> known_labels(kr.testing.example_data(payments=5), "Fraud", "1970-01-01T02:00Z")
    array([ True,  True,  True, False, False])
    """
    table = labels_of(data, predicate) if table is None else table
    clock, sort = label_clock(data, predicate, table)
    return at_most(clock, to_moment(when, sort, data.program.zone) - delay)


def known_at(data: D, when: Moment, delay: float = 0) -> D:
    """The data set as it is known at a moment: later labels move to ``hidden``.

    Labels of predicates without a clocked argument stay.

    >>> import knowreason as kr
    >>> facts = {"at": {"pay": ["p1", "p2"], "time": ["2024-01-01", "2024-02-01"]}}
    >>> labels = {"Fraud": {"pay": ["p1", "p2"], "label": [1, 0]}}
    >>> data = kr.Dataset.from_frames(kr.testing.example_program(), facts=facts, labels=labels)
    >>> known_at(data, "2024-01-15")
    Dataset(0 Node, 2 Pay, 3 Colour, 0 Group; 2 facts, 1 labels, 1 held back)
    """
    for predicate, table in data.labels.items():
        if any(data.program.clock_of(sort) for sort in data.program.sorts_of(predicate)):
            data = hide(data, predicate, ~known_labels(data, predicate, when, delay, table))
    return data


def folds(
    data: EncodedTables, predicate: str, k: int = 5, kind: str = "random", seed: int = 0
) -> NDArray[np.int32]:
    """Fold of every visible label row, ``int32[rows]`` in ``0 .. k-1``.

    Args:
        data: with labels.
        predicate: whose labels.
        k: number of folds.
        kind: ``random`` (each class spread evenly); ``forward``: by the clock of the atom,
            fold 0 the older half, the others even parts of the newer half, one moment never
            in two folds: a model for fold i is fitted on folds below i, and so on half of
            the rows or more; ``group:ATTRIBUTE``: rows with one value stay together.
        seed: of the shuffling.

    Raises:
        DataError: KR519 for a kind that does not exist or does not apply, or ``k`` below 2.

    >>> import knowreason as kr
    >>> np.bincount(folds(kr.testing.example_data(nodes=12), "Bad", k=2))
    array([3, 3])
    """
    if k < 2:
        raise DataError(f"{k} folds: at least 2 are needed", code="KR519")
    if kind == "random":
        return _even(_random_position(data, predicate, seed), k)
    if kind == "forward":
        return _newer_half(_forward_position(data, predicate), k)
    name, _, attribute = kind.partition(":")
    if name != "group" or not attribute:
        raise DataError(
            f"no folds of kind `{kind}`", code="KR519", help="random, forward or group:ATTRIBUTE"
        )
    return _even(_group_position(data, predicate, attribute, seed), k)


def _early_things(data: EncodedTables, attribute: str, before: Moment) -> dict[str, Mask]:
    """Per domain that is cut, which things are before the cut."""
    values, sort = thing_values(data, attribute)
    moment = to_moment(before, sort, data.program.zone)
    declared = data.program.attribute(attribute)
    early = {declared.sorts[0]: values < moment}
    if declared.clock:
        for domain in data.vocabularies:
            clock = data.program.clock_of(domain)
            if clock is not None and clock.sort == sort and domain not in early:
                early[domain] = thing_values(data, clock.name)[0] < moment
    return early


def _length_after(data: EncodedTables, attribute: str, before: Moment) -> float:
    """From a cut to the last thing, both included; 0 where the attribute is no clock."""
    values, sort = thing_values(data, attribute)
    if not data.program.attribute(attribute).clock:
        return 0
    moment = to_moment(before, sort, data.program.zone)
    later = values[(values != LATEST) & (values >= moment)]
    return float(later.max() - moment + 1) if len(later) else 0


def _timeless(data: EncodedTables, attribute: str) -> tuple[Diagnostic, ...]:
    (domain,) = data.program.attribute(attribute).sorts
    missing = data.count(domain) - data.attributes[attribute].num_rows
    if not missing:
        return ()
    text = f"{missing:,} `{domain}` have no `{attribute}`: they count as later than any cut"
    return (Diagnostic("KR526", text, "warning"),)


def _hold_back(data: D, rows: Mapping[str, Mask], predicate: str | None) -> tuple[D, D]:
    training, test = data, data
    for name, mask in rows.items():
        training = labels_only(training, name, ~mask)
        test = hide(test, name, mask)
    if predicate is None or len(data.program.sorts_of(predicate)) != 1:
        return training, test
    (domain,) = data.program.sorts_of(predicate)
    asked = np.zeros(data.count(domain), dtype=bool)
    asked[id_columns(labels_of(data, predicate))[0][rows[predicate]]] = True
    return training, replace(test, scope={**data.scope, domain: asked})


def _random_position(data: EncodedTables, predicate: str, seed: int) -> NDArray[np.float64]:
    """Place in 0..1 of each label row in a shuffle of its class; one place a setting."""
    table = labels_of(data, predicate)
    settings, first = _settings(data, predicate, table)
    classes = _classes(data, predicate, table)[first]
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(first))
    order = order[np.argsort(classes[order], kind="stable")]
    starts = np.searchsorted(classes[order], classes[order], side="left")
    sizes = np.searchsorted(classes[order], classes[order], side="right") - starts
    share = np.empty(len(first))
    offset = rng.random(int(classes.max()) + 1 if len(classes) else 0)
    within = (np.arange(len(first)) - starts + offset[classes[order]]) / sizes
    share[order] = within % 1.0
    return share[settings]


def _forward_position(data: EncodedTables, predicate: str) -> NDArray[np.float64]:
    """Share of label rows that are earlier."""
    clock, _sort = label_clock(data, predicate, labels_of(data, predicate))
    if not len(clock):
        return clock.astype(np.float64)
    return np.searchsorted(np.sort(clock), clock, side="left") / len(clock)


def _group_position(
    data: EncodedTables, predicate: str, attribute: str, seed: int
) -> NDArray[np.float64]:
    """Share of label rows in groups shuffled to stand before the row's own."""
    table = labels_of(data, predicate)
    codes, domain = group_codes(data, attribute)
    sorts = data.program.sorts_of(predicate)
    if domain not in sorts:
        raise DataError(
            f"folds by `{attribute}`: no attribute of an argument of `{predicate}`", code="KR519"
        )
    groups = codes[id_columns(table)[sorts.index(domain)]] + 1
    sizes = np.bincount(groups)
    order = np.random.default_rng(seed).permutation(len(sizes))
    before = np.empty(len(sizes))
    before[order] = np.cumsum(sizes[order]) - sizes[order]
    return before[groups] / max(len(groups), 1)


def _even(position: NDArray[np.float64], k: int) -> NDArray[np.int32]:
    return np.minimum((position * k).astype(np.int32), k - 1)


def _newer_half(position: NDArray[np.float64], k: int) -> NDArray[np.int32]:
    """Fold 0 is the older half; were folds even, the first models would have seen too little
    and rules would be taught that models are weaker than the final ones are."""
    cut = min(0.5, float(position.max(initial=0.0)))
    later = 1 + _even((position - cut) / (1 - cut) + 1e-9, k - 1)
    return np.where((position < cut) | (cut == 0), 0, later).astype(np.int32)


def _settings(
    data: EncodedTables, predicate: str, table: pa.Table
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Setting of each label row, and the row that stands for each setting."""
    position = data.program.asked(predicate).functional_position
    if position is None:
        rows = np.arange(table.num_rows)
        return rows, rows
    columns = id_columns(table)
    others = [ids for argument, ids in enumerate(columns) if argument != position]
    sorts = data.program.sorts_of(predicate)
    sizes = [data.count(s) for p, s in enumerate(sorts) if p != position]
    key = row_keys(others, sizes, table.num_rows)
    true_last = np.lexsort((-table.column(VALUE).to_numpy().astype(np.int64), key))
    _, first, settings = np.unique(key[true_last], return_index=True, return_inverse=True)
    inverse = np.empty(table.num_rows, dtype=np.int64)
    inverse[true_last] = settings
    return inverse, true_last[first]


def _classes(data: EncodedTables, predicate: str, table: pa.Table) -> NDArray[np.int64]:
    if data.program.is_number(predicate):
        return np.zeros(table.num_rows, np.int64)
    value: NDArray[np.int64] = table.column(VALUE).to_numpy().astype(np.int64)
    position = data.program.predicate(predicate).functional_position
    if position is None:
        return value
    return np.where(value == 1, id_columns(table)[position] + 1, 0)


def _touching(
    data: EncodedTables, predicate: str, table: pa.Table, things: Mapping[str, Mask]
) -> Mask:
    """Rows that mention some of the things, ``bool[rows]``."""
    touching = np.zeros(table.num_rows, dtype=bool)
    for sort, ids in zip(data.program.sorts_of(predicate), id_columns(table), strict=True):
        if sort in things:
            touching |= things[sort][ids]
    return touching


def _members(data: EncodedTables, domain: str, members: Sequence[str] | Mask) -> Mask:
    if isinstance(members, np.ndarray) and members.dtype == bool:
        return members
    vocabulary = data.vocabularies[domain]
    ids = vocabulary.ids(list(members))
    if (ids < 0).any():
        vocabulary.id(str(list(members)[int(np.argmax(ids < 0))]))
    mask = np.zeros(len(vocabulary), dtype=bool)
    mask[ids] = True
    return mask


def _as_mask(rows: Rows, count: int) -> Mask:
    given = np.asarray(rows)
    if given.dtype == bool:
        return given.astype(bool, copy=False)
    mask = np.zeros(count, dtype=bool)
    mask[given] = True
    return mask
