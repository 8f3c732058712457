"""Which things each row of a model is about, and what is known of it.

A Boolean predicate has one row an atom; a functional one has one row a setting of its
other arguments, and the model chooses among the states.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from knowreason.data.id_tables import id_matrix
from knowreason.errors import ModelError
from knowreason.factors.atom_table import AtomSpan
from knowreason.factors.model_output import LLR_LIMIT, ModelOutput
from knowreason.row_keys import by_appearance, distinct_rows, locate

if TYPE_CHECKING:
    from knowreason.data import Dataset

UNKNOWN = -1
STATE_LIMIT = 1000


@dataclass(frozen=True)
class PredicateRows:
    """The rows of a predicate for a model.

    Attributes:
        predicate: its name.
        sorts: sort of each thing of a row.
        places: name of each thing's argument place (``a0``, ``a1`` ... where it has none).
        things: ``int32[n, k]``, ids of the things of each row.
        labels: ``int32[n]``, visible label: 0/1, or the state; ``-1`` where unknown.
        classes: texts of the states of a functional predicate, ``None`` for a Boolean one.
        optional: whether "no state" is possible; it is then state ``len(classes)``.
        time: ``int64[n]``, latest clock of the row's things; ``None`` without a clock.
        row_of_atom: ``int64[n_atoms]``.
        state_of_atom: ``int32[n_atoms]``, 0 throughout for a Boolean predicate.
        asked: ``bool[n]``, rows about things in the scope of the data; all where ``None``.
        numbers: ``float64[n]`` visible labels of a numeric query, NaN where unknown (``labels``
            is then 0 where there is one); ``None`` for a predicate.

    >>> import knowreason as kr
    >>> rows = rows_of(kr.testing.example_data(nodes=8), "Has")
    >>> rows.count, rows.classes, rows.states
    (8, ('red', 'green', 'blue'), 3)
    """

    predicate: str
    sorts: tuple[str, ...]
    places: tuple[str, ...]
    things: NDArray[np.int32]
    labels: NDArray[np.int32]
    classes: tuple[str, ...] | None
    optional: bool
    time: NDArray[np.int64] | None
    row_of_atom: NDArray[np.int64]
    state_of_atom: NDArray[np.int32]
    asked: NDArray[np.bool_] | None = None
    numbers: NDArray[np.float64] | None = None

    @property
    def count(self) -> int:
        """Number of rows."""
        return len(self.things)

    @property
    def states(self) -> int:
        """Number of states a row can be in: 2, K, or K + 1 with "none"."""
        return 2 if self.classes is None else len(self.classes) + self.optional

    @property
    def labelled(self) -> NDArray[np.int64]:
        """Rows with a visible label."""
        return np.flatnonzero(self.labels != UNKNOWN)

    def base_rate(self) -> float | NDArray[np.float64]:
        """Share of each state among the labelled rows, half a row added to each; NaN for a
        numeric query."""
        if self.numbers is not None:
            return float("nan")
        counts = np.bincount(self.labels[self.labelled], minlength=self.states) + 0.5
        share = counts / counts.sum()
        return float(share[1]) if self.classes is None else share

    def take(self, rows: NDArray[np.int64]) -> PredicateRows:
        """Some rows, each its own atom; of a Boolean predicate."""
        return replace(
            self,
            things=self.things[rows],
            labels=self.labels[rows],
            time=None if self.time is None else self.time[rows],
            row_of_atom=np.arange(len(rows)),
            state_of_atom=np.zeros(len(rows), np.int32),
            asked=None if self.asked is None else self.asked[rows],
        )

    def constant(self, base_rate: float | NDArray[np.float64]) -> NDArray[np.float32]:
        """The output of a model that knows the base rate only."""
        if self.classes is None:
            return np.full(self.count, logit(base_rate), np.float32)
        return np.tile(np.log(base_rate).astype(np.float32), (self.count, 1))

    def checked(self, output: NDArray[np.floating], model: str) -> NDArray[np.float32]:
        """``output`` as float32 within +-14; of a numeric query without bounds.

        Raises:
            ModelError: KR807 for another shape, KR808 for a value that is not a number.
        """
        shape = (self.count,) if self.classes is None else (self.count, self.states)
        if output.shape != shape:
            raise ModelError(
                f"`{model}` gave an array of shape {output.shape} for `{self.predicate}`,"
                f" which needs {shape}",
                code="KR807",
            )
        wrong = np.argwhere(np.isnan(output) if self.numbers is None else ~np.isfinite(output))
        if len(wrong):
            raise ModelError(
                f"`{model}` gave no number for row {wrong[0][0] + 1} of `{self.predicate}`",
                code="KR808",
            )
        if self.numbers is None:
            output = np.clip(output, -LLR_LIMIT, LLR_LIMIT)
        return np.asarray(output, np.float32)

    def output(
        self,
        model: str,
        ratios: NDArray[np.floating],
        base_rate: float | NDArray[np.float64],
        spread: NDArray[np.floating] | None = None,
        parts: Mapping[str, NDArray[np.float32]] | None = None,
    ) -> ModelOutput:
        """What the reasoner takes, by atom, from ratios by row (and state).

        Where "none" is a state, its own ratio is taken off the others, so that "none" has
        log-odds 0.
        """
        if self.optional:
            ratios = ratios - ratios[:, -1:]
        llr = np.clip(self.by_atom(ratios), -LLR_LIMIT, LLR_LIMIT).astype(np.float32)
        spreads = None if spread is None else self.by_atom(spread).astype(np.float32)
        by_atom = {name: self.by_atom(values) for name, values in (parts or {}).items()}
        return ModelOutput(model, self.predicate, llr, base_rate, spreads, by_atom)

    def by_atom(self, values: NDArray[np.floating]) -> NDArray[np.floating]:
        """Values by row (and state) in the order of the atoms."""
        if self.classes is None:
            return values[self.row_of_atom]
        return values[self.row_of_atom, self.state_of_atom]


def logit(probability: float | NDArray[np.floating]) -> NDArray[np.float64]:
    """Log-odds of probabilities, within +-14."""
    p = np.asarray(probability, np.float64)
    with np.errstate(divide="ignore"):
        odds: NDArray[np.float64] = np.clip(np.log(p) - np.log1p(-p), -LLR_LIMIT, LLR_LIMIT)
    return odds


def atoms_of(data: Dataset, predicate: str) -> AtomSpan:
    """The open atoms of a predicate, in the order in which the grounding numbers them; of a
    numeric query the settings it is asked of.

    Raises:
        ModelError: KR805 for a predicate that is not open.

    >>> import knowreason as kr
    >>> atoms_of(kr.testing.example_data(nodes=3), "Has").arguments[:4]
    array([[0, 0],
           [0, 1],
           [0, 2],
           [1, 0]], dtype=int32)
    """
    from knowreason.grounding.atom_numbering import asked_arguments, open_atoms

    if data.program.is_number(predicate):
        asked = data.program.asked(predicate)
        key = ("asked of", predicate)
        arguments = data.computed(key, lambda: asked_arguments(asked, data.program, data))
        return AtomSpan(predicate, 0, len(arguments), arguments, None)
    if not data.program.is_open(predicate):
        raise ModelError(
            f"a model can only speak of a query or latent predicate, and `{predicate}` is"
            f" {data.program.kind_of(predicate)}",
            code="KR805",
        )
    table = data.computed("open atoms", lambda: open_atoms(data.program, data))
    return table.spans[predicate]


def rows_of(data: Dataset, predicate: str) -> PredicateRows:
    """The rows of a predicate, with the labels that may be seen.

    A numeric query has one row a setting it is asked of, and ``numbers``.

    Raises:
        ModelError: KR805 for a predicate that is not open, KR806 for more states than a
            model can choose among.

    >>> import knowreason as kr
    >>> rows_of(kr.testing.example_data(nodes=8), "Bad").labels
    array([ 1,  0,  0,  0, -1, -1, -1, -1], dtype=int32)
    """
    from knowreason.grounding.arrays.array_context import only_open

    if not only_open():
        return _rows_of(data, predicate)
    key = ("rows of", predicate)
    return data.computed(key, lambda: _rows_of(data, predicate), data.labels, data.scope)


def _rows_of(data: Dataset, predicate: str) -> PredicateRows:
    span = atoms_of(data, predicate)
    declared = data.program.asked(predicate)
    position = span.functional_position
    keep = [i for i in range(declared.arity) if i != position]
    places = tuple(declared.arguments[i].name or f"a{i}" for i in keep)
    sorts = tuple(declared.sorts[i] for i in keep)
    if position is None:
        things, row_of_atom = span.arguments, np.arange(span.count)
        state_of_atom, classes, optional = np.zeros(span.count, np.int32), None, False
    else:
        own = span.arguments[:, keep]
        first, row_of_atom = by_appearance(*distinct_rows(own.T, rows=span.count))
        things = own[first]
        state_of_atom = span.arguments[:, position]
        classes = _states(data, predicate, declared.sorts[position])
        optional = declared.arguments[position].functional == "?"
    numbers = _numbers(data, predicate, span) if data.program.is_number(predicate) else None
    if numbers is None:
        labels = _labels(data, predicate, span, things.shape[0], row_of_atom, state_of_atom)
    else:
        labels = np.where(np.isnan(numbers), UNKNOWN, 0).astype(np.int32)
    return PredicateRows(
        predicate,
        sorts,
        places,
        things,
        labels,
        classes,
        optional,
        _time(data, sorts, things),
        row_of_atom,
        state_of_atom,
        _asked(data, sorts, things),
        numbers,
    )


def _states(data: Dataset, predicate: str, sort: str) -> tuple[str, ...]:
    names = data.vocabularies[sort].names
    if len(names) > STATE_LIMIT:
        raise ModelError(
            f"`{predicate}` chooses among {len(names)} values of `{sort}`; a model can choose"
            f" among {STATE_LIMIT} at most",
            code="KR806",
            help=f"score each candidate instead: a query without the mark on `{sort}`",
        )
    return tuple(names.to_pylist())


def _labels(
    data: Dataset,
    predicate: str,
    span: AtomSpan,
    count: int,
    row_of_atom: NDArray[np.int64],
    state_of_atom: NDArray[np.int32],
) -> NDArray[np.int32]:
    labels = np.full(count, UNKNOWN, np.int32)
    table = data.labels.get(predicate)
    if table is None:
        return labels
    atoms = locate(span.arguments, id_matrix(table))
    value = table.column("value").to_numpy()
    atoms, value = atoms[atoms >= 0], value[atoms >= 0]
    if span.functional_position is None:
        labels[atoms] = value
        return labels
    if data.program.predicate(predicate).arguments[span.functional_position].functional == "?":
        denied = np.bincount(row_of_atom[atoms[value == 0]], minlength=count)
        candidates = np.bincount(row_of_atom, minlength=count)
        labels[denied == candidates] = len(data.vocabularies[_state_sort(data, predicate)].names)
    true = atoms[value == 1]
    labels[row_of_atom[true]] = state_of_atom[true]
    return labels


def _numbers(data: Dataset, query: str, span: AtomSpan) -> NDArray[np.float64]:
    numbers = np.full(span.count, np.nan)
    table = data.labels.get(query)
    if table is not None:
        row = locate(span.arguments, id_matrix(table))
        numbers[row[row >= 0]] = table.column("value").to_numpy()[row >= 0]
    return numbers


def _state_sort(data: Dataset, predicate: str) -> str:
    declared = data.program.predicate(predicate)
    position = declared.functional_position
    assert position is not None
    return declared.sorts[position]


def _asked(
    data: Dataset, sorts: tuple[str, ...], things: NDArray[np.int32]
) -> NDArray[np.bool_] | None:
    if not any(sort in data.scope for sort in sorts):
        return None
    scopes = [data.in_scope(sort)[things[:, position]] for position, sort in enumerate(sorts)]
    return np.asarray(np.all(scopes, axis=0))


def _time(
    data: Dataset, sorts: tuple[str, ...], things: NDArray[np.int32]
) -> NDArray[np.int64] | None:
    latest: NDArray[np.int64] | None = None
    for position, sort in enumerate(sorts):
        clock = data.program.clock_of(sort)
        if clock is None or clock.name not in data.attributes:
            continue
        table = data.attributes[clock.name]
        of_thing = np.full(len(data.vocabularies[sort]), np.iinfo(np.int64).min)
        of_thing[table.column("a0").to_numpy()] = table.column("value").to_numpy()
        time = of_thing[things[:, position]]
        latest = time if latest is None else np.maximum(latest, time)
    return latest
