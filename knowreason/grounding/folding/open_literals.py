"""From formulas over settings to literal codes: atom lookups, counts, nested bodies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sqlglot import exp

from knowreason.errors import GroundingError
from knowreason.grounding.arrays.array_relations import AnyRelations
from knowreason.grounding.atom_numbering import Numbering
from knowreason.grounding.folding.auxiliary_atoms import (
    FALSE_LITERAL,
    NO_LOWER,
    NO_UPPER,
    TRUE_LITERAL,
    UNKNOWN_LITERAL,
    Auxiliary,
    Codes,
    Lists,
)
from knowreason.grounding.folding.fold_kernels import literal_codes
from knowreason.grounding.folding.rule_settings import Frame, Keys, Listing, listing
from knowreason.grounding.folding.truth_tables import (
    FALSE_STATE,
    FIRST_OPEN,
    TRUE_STATE,
    UNKNOWN_STATE,
    known_states,
)
from knowreason.grounding.plan.formula_tree import (
    All,
    Any_,
    Crisp,
    Node,
    OpenCount,
    OpenLiteral,
    Same,
)
from knowreason.grounding.plan.rule_plan import leaves, outer_variables, peel
from knowreason.logic import Constant, Program, Term, Variable
from knowreason.row_keys import KeyPlaces, RowKeys, distinct_rows


@dataclass(frozen=True)
class DefinedCounts:
    """Codes of a count for every setting of what is around it.

    Attributes:
        outer: variables around it.
        keys: how rows of their ids become keys.
        places: of the keys.
        codes: ``int32[k]``, of each key.
    """

    outer: tuple[Variable, ...]
    keys: RowKeys
    places: KeyPlaces
    codes: Codes

    def of(self, frame: Frame) -> Codes:
        """Codes of the settings of a batch."""
        keys = self.keys([frame.ids(variable) for variable in self.outer], frame.rows)
        return self.codes[self.places.find(keys)]


@dataclass(frozen=True)
class Literals:
    """Evaluates formulas over the settings of one rule.

    Attributes:
        program: for the kinds of predicates.
        relations: everything observed.
        numbering: lookups of open atoms.
        states: :func:`fold.literal_states` of the evidence.
        codes: ``int32[n]`` code of each atom's positive literal.
        auxiliary: where definitions go.
        rule: label of the definitions.
        name: name of the rule, for messages.
        limit: most rows a list may have.
        defined: counts that were defined ahead of their rule's rows.
    """

    program: Program
    relations: AnyRelations
    numbering: Numbering
    states: NDArray[np.uint8]
    codes: Codes
    auxiliary: Auxiliary
    rule: int
    name: str
    limit: int
    defined: dict[OpenCount, DefinedCounts] = field(default_factory=dict)

    def of(self, node: Node, frame: Frame) -> Codes:
        """``int32[rows]``: one literal a setting that is equivalent to the formula."""
        node_leaves = leaves(node)
        codes = [self.leaf(leaf, frame) for leaf in node_leaves]
        if len(node_leaves) == 1 and node is node_leaves[0]:
            return codes[0]
        states = known_states(node, [leaf_state(code) for code in codes])
        result = self._combined(node, codes, frame.rows)
        result[np.broadcast_to(states == UNKNOWN_STATE, frame.rows)] = UNKNOWN_LITERAL
        return result

    def leaf(self, leaf: Crisp | OpenLiteral | OpenCount, frame: Frame) -> Codes:
        """Codes of a crisp formula, an open atom or a count."""
        if isinstance(leaf, Crisp):
            return frame.truth(leaf)
        return self.atoms(leaf, frame) if isinstance(leaf, OpenLiteral) else self.tally(leaf, frame)

    def atoms(self, literal: OpenLiteral, frame: Frame) -> Codes:
        """Codes of an open atom; unknown where an argument has no value."""
        codes = literal_codes(self.index(literal, frame), self.codes, literal.positive)
        for argument in literal.atom.arguments:
            if argument in frame.listing.terms:
                codes[frame.ids(argument) < 0] = UNKNOWN_LITERAL
        return codes

    def index(self, literal: OpenLiteral, frame: Frame) -> NDArray[np.int32]:
        """``int32[rows]`` open atoms, ``-1`` for those outside their candidates."""
        arguments = literal.atom.arguments
        if any(
            isinstance(a, Constant) and self.relations.identity(a.sort, str(a.value)) < 0
            for a in arguments
        ):
            return np.full(frame.rows, -1, np.int32)  # a thing that this data set does not have
        columns = [frame.ids(argument) for argument in arguments]
        return self.numbering.find(literal.atom.predicate, columns, frame.rows)

    def tally(self, tally: OpenCount, frame: Frame) -> Codes:
        """Codes of a count, each defined once a distinct list and interval."""
        if tally in self.defined:
            return self.defined[tally].of(frame)
        lists, owner = self.lists(tally, frame)
        lower, upper, unknown = self.bounds(tally, frame)
        if lower.ndim == 0:
            defined = self.auxiliary.define(lists, lower, upper, self.rule)[owner]
        else:
            first, same = distinct_rows([owner, lower, upper])
            counted = lists.take(owner[first])
            defined = self.auxiliary.define(counted, lower[first], upper[first], self.rule)[same]
            defined[unknown] = UNKNOWN_LITERAL
        return defined if tally.positive else -defined

    def define_ahead(self, tally: OpenCount, query: Listing) -> None:
        """Define a count for all settings of a rule, so that these can come in batches.

        Args:
            tally: with bounds that are numbers.
            query: for the settings.
        """
        outer = outer_variables(tally)
        columns = [exp.column(query.variables[v.name], quoted=True) for v in outer]
        tree = exp.select(*columns).distinct().from_(query.tree.copy().subquery("q"))
        table = query.database.arrow(tree.order_by(*columns)).read_all().combine_chunks()
        frame = Frame(query, table.num_rows, table)
        keys, known = RowKeys.of([frame.ids(variable) for variable in outer], None, frame.rows)
        codes = self.tally(tally, frame)
        self.defined[tally] = DefinedCounts(outer, keys, KeyPlaces.of(known), codes)

    def bounds(
        self, tally: OpenCount, frame: Frame
    ) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.bool_]]:
        """Lower and upper bounds (scalars where they are numbers), and where they are missing."""
        unknown = np.zeros(frame.rows, bool)
        if isinstance(tally.lower, int | None) and isinstance(tally.upper, int | None):
            lower = NO_LOWER if tally.lower is None else np.int32(tally.lower)
            upper = NO_UPPER if tally.upper is None else np.int32(tally.upper)
            return np.asarray(lower), np.asarray(upper), unknown
        limits = []
        for bound, default in ((tally.lower, NO_LOWER), (tally.upper, NO_UPPER)):
            if bound is None or isinstance(bound, int):
                limits.append(np.full(frame.rows, default if bound is None else bound, np.int32))
                continue
            values = frame.numbers(bound)
            unknown |= np.isnan(values)
            clipped = np.clip(np.nan_to_num(values), NO_LOWER, NO_UPPER)
            limits.append(clipped.astype(np.int32))
        return limits[0], limits[1], unknown

    def lists(self, tally: OpenCount, frame: Frame) -> tuple[Lists, NDArray[np.int64]]:
        """Literals of a count's entries, and which list belongs to each setting."""
        if not tally.variables:
            codes = [self.of(entry, frame) for entry in tally.entries]
            return Lists.of_matrix(np.stack(codes, axis=1)), np.arange(frame.rows)
        outer = outer_variables(tally)
        keys, owner, count = self._keys(outer, frame)
        node = tally.entries[0]
        entry, guards = self.relations.once(
            "entry", node, lambda: peel(node, self.program, skip_true=False, skip_false=True)
        )
        query = listing(self.relations, guards, tally.variables, entry, keys=Keys(keys, outer))
        self._check_size(self.relations.estimate(query.tree), query.tree)
        entries = query.frame()
        codes_of_entries = self.of(entry, entries)
        return _grouped(entries.keys(), codes_of_entries, count), owner

    def _keys(self, outer: Sequence[Term], frame: Frame) -> tuple[pa.Table, NDArray[np.int64], int]:
        """Distinct settings of the outer variables, and which one each row has."""
        if not outer:
            table = pa.table({"key": pa.array([0], pa.int32())})
            return table, np.zeros(frame.rows, np.int64), 1
        columns = [frame.ids(variable) for variable in outer]
        first, owner = distinct_rows(columns)
        table = {f"a{i}": column[first] for i, column in enumerate(columns)}
        table["key"] = np.arange(len(first), dtype=np.int32)
        return pa.table(table), owner, len(first)

    def _check_size(self, estimate: int, tree: exp.Query) -> None:
        if estimate <= self.limit or self.relations.rows(tree) <= self.limit:
            return
        raise GroundingError(
            f"a quantifier or count of rule `{self.name}` runs over more than {self.limit:,} rows",
            code="KR647",
            help="add an observed atom to its body that ties its variables to the rule's",
        )

    def _combined(self, node: Node, codes: Sequence[Codes], rows: int) -> Codes:
        """The literal of a formula, given its leaves'; unknown ones count as false."""
        match node:
            case All(parts) | Any_(parts):
                sign = 1 if isinstance(node, All) else -1
                sizes = np.cumsum([0, *(len(leaves(part)) for part in parts)])
                children = [
                    sign * self._combined(part, codes[start:stop], rows)
                    for part, start, stop in zip(parts, sizes[:-1], sizes[1:], strict=True)
                ]
                return sign * self._conjunction(children, rows)
            case Same(left, right):
                size = len(leaves(left))
                one = self._combined(left, codes[:size], rows)
                two = self._combined(right, codes[size:], rows)
                lists = Lists.of_matrix(np.stack([one, -two], axis=1))
                interval = np.ones(rows, np.int32)
                return self.auxiliary.define(lists, interval, interval, self.rule)
            case _:
                return np.where(codes[0] == UNKNOWN_LITERAL, FALSE_LITERAL, codes[0])

    def _conjunction(self, parts: Sequence[Codes], rows: int) -> Codes:
        if not parts:
            return np.full(rows, TRUE_LITERAL, np.int32)
        width = np.full(rows, len(parts), np.int32)
        return self.auxiliary.define(
            Lists.of_matrix(np.stack(parts, axis=1)), width, width, self.rule
        )


def leaf_state(codes: Codes) -> NDArray[np.int8]:
    """False, true, unknown or open, of each literal code."""
    state = np.full(len(codes), FIRST_OPEN, np.int8)
    state[codes == FALSE_LITERAL] = FALSE_STATE
    state[codes == TRUE_LITERAL] = TRUE_STATE
    state[codes == UNKNOWN_LITERAL] = UNKNOWN_STATE
    return state


def _grouped(keys: NDArray[np.int32], codes: Codes, count: int) -> Lists:
    """Entries by key, those that cannot hold left out."""
    kept = np.flatnonzero((codes != FALSE_LITERAL) & (codes != UNKNOWN_LITERAL))
    keys, codes = keys[kept], codes[kept]
    order = np.argsort(keys, kind="stable")
    lengths = np.bincount(keys, minlength=count)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return Lists(offsets, codes[order])
