"""Listing the settings a rule is grounded over, with everything observed about each.

A :class:`Listing` is a query: one row a setting, a column a variable, and columns for
the terms and crisp formulas that its residual needs. A :class:`Frame` is a batch of its
rows as numpy arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sqlglot import exp

from knowreason.grounding.arrays.array_relations import AnyRelations, ArrayRelations
from knowreason.grounding.arrays.array_settings import ArraySettings
from knowreason.grounding.folding.auxiliary_atoms import (
    FALSE_LITERAL,
    TRUE_LITERAL,
    UNKNOWN_LITERAL,
    Codes,
)
from knowreason.grounding.plan.formula_tree import Crisp, Node, OpenCount, OpenLiteral
from knowreason.grounding.plan.rule_plan import leaves
from knowreason.grounding.relational.conjunctive_query import Conjunction
from knowreason.grounding.relational.database import Relations
from knowreason.grounding.relational.history_columns import Column
from knowreason.grounding.relational.term_sql import column
from knowreason.logic import (
    VALUE_SORTS,
    And,
    Constant,
    Formula,
    Term,
    Variable,
)

NO_THING = -1  # id of a missing value


@dataclass(frozen=True)
class Listing:
    """A query over the settings of some variables.

    Attributes:
        relations: where it runs.
        tree: the query; empty where rows were found without one.
        conjunction: its joins and conditions.
        variables: name of each variable, and its column.
        crisp: column of each crisp leaf.
        terms: column of each term that is neither a variable nor a constant.
    """

    relations: AnyRelations
    tree: exp.Select
    conjunction: Conjunction | None
    variables: Mapping[str, str]
    crisp: Mapping[Crisp, str]
    terms: Mapping[Term, str]

    @property
    def database(self) -> Relations:
        """Where the query runs."""
        assert isinstance(self.relations, Relations)
        return self.relations

    @property
    def joins(self) -> bool:
        """Whether tables are joined, so that rows may come in any order."""
        return bool(self.tree.args.get("joins")) or not self.database.engine.ordered

    def dropped(self) -> exp.Select:
        """The query for settings that a missing value makes unknown."""
        assert self.conjunction is not None
        return self.conjunction.dropped()

    def frames(self, batch_rows: int = 1_000_000) -> Iterator[Frame]:
        """Its rows in batches."""
        for batch in self.database.arrow(self.tree, batch_rows):
            if batch.num_rows:
                yield Frame(self, batch.num_rows, batch)

    def frame(self) -> Frame:
        """All its rows at once, in order of key and variables."""
        tree = self.tree
        if self.joins:
            names = [name for name in tree.named_selects if name == "key" or name[0] == "v"]
            in_order = [exp.column(name, quoted=True) for name in names]
            tree = tree.copy().order_by(*in_order) if in_order else tree
        table = self.database.arrow(tree).read_all().combine_chunks()
        return Frame(self, table.num_rows, table)


@dataclass(frozen=True)
class Keys:
    """Settings of the variables around a count, to list its entries for.

    Attributes:
        table: ``a0 ..`` one column a variable, and ``key``.
        variables: the variables.
    """

    table: pa.Table
    variables: tuple[Variable, ...]


def listing(
    relations: AnyRelations,
    guards: Sequence[Formula],
    variables: Sequence[Variable],
    node: Node,
    terms: Sequence[Term] = (),
    keys: Keys | None = None,
    *,
    only_open: bool = False,
    must_be_open: str | None = None,
) -> Listing:
    """The query for the settings of ``variables`` in which all guards hold.

    Args:
        relations: everything observed.
        guards: crisp formulas.
        variables: one row a setting of these.
        node: formula whose leaves are needed.
        terms: further terms needed.
        keys: settings of other variables to list for.
        only_open: settings whose atoms are all known may be left out.
        must_be_open: predicate whose known atoms' settings are left out, as they are counted.
    """
    if isinstance(relations, ArrayRelations):
        wanted = partial(_undecided, relations, node, must_be_open)
        wanted_now = wanted if only_open and relations.scopes.only_open else None
        return _evaluated(relations, guards, variables, node, terms, keys, wanted_now)
    conjunction = Conjunction(relations)
    outputs: dict[str, exp.Expr] = {}
    if keys is not None:
        alias = conjunction.join_table(relations.register("keys", keys.table), keys.variables)
        outputs["key"] = column(alias, "key")
    if guards:
        conjunction.satisfy(guards[0] if len(guards) == 1 else And(tuple(guards)), variables)
    for variable in variables:
        conjunction.range_over(variable)
    names = {name: f"v{i}" for i, name in enumerate(conjunction.columns)}
    outputs |= {names[name]: place for name, place in conjunction.columns.items()}
    crisp = {leaf: f"c{i}" for i, leaf in enumerate(_crisp_leaves(node))}
    outputs |= {name: conjunction.condition(leaf.formula) for leaf, name in crisp.items()}
    needed = dict.fromkeys([*_leaf_terms(node), *(t for t in terms if not _is_plain(t))])
    places = {term: f"t{i}" for i, term in enumerate(needed)}
    outputs |= {name: conjunction.term(term) for term, name in places.items()}
    if not outputs:
        outputs["one"] = exp.Literal.number(1)
    tree = conjunction.select(outputs)
    return Listing(relations, tree, conjunction, names, crisp, places)


@dataclass(frozen=True)
class EvaluatedListing(Listing):
    """A listing whose rows were found in arrays."""

    rows: pa.Table = field(kw_only=True)

    @property
    def joins(self) -> bool:
        """Rows come in any order."""
        return True

    def frames(self, batch_rows: int = 1_000_000) -> Iterator[Frame]:
        """Its rows, in one batch."""
        if self.rows.num_rows:
            yield Frame(self, self.rows.num_rows, self.rows)

    def frame(self) -> Frame:
        """All its rows at once, in order of key and variables."""
        names = [name for name in self.rows.column_names if name == "key" or name[0] == "v"]
        if not names:
            return Frame(self, self.rows.num_rows, self.rows)
        order = np.lexsort([self.rows[name].to_numpy() for name in reversed(names)])
        return Frame(self, self.rows.num_rows, self.rows.take(order))


def _evaluated(
    relations: ArrayRelations,
    guards: Sequence[Formula],
    variables: Sequence[Variable],
    node: Node,
    terms: Sequence[Term],
    keys: Keys | None,
    wanted: Callable[[ArraySettings], NDArray[np.bool_] | None] | None,
) -> Listing:
    """:func:`listing` in arrays; ``wanted`` says which rows matter."""
    scopes = relations.scopes
    settings = relations.settings({}, 1)
    if keys is not None:
        own = {
            v.name: np.asarray(keys.table[f"a{i}"]).astype(np.int64)
            for i, v in enumerate(keys.variables)
        }
        settings = relations.settings(own, keys.table.num_rows)
        settings.owner = np.asarray(keys.table["key"])
    settings.satisfy(scopes.together(guards), variables, wanted)
    names = {name: f"v{i}" for i, name in enumerate(settings.columns)}
    columns = {names[name]: pa.array(ids, pa.int32()) for name, ids in settings.columns.items()}
    if keys is not None:
        columns = {"key": pa.array(settings.owner, pa.int32()), **columns}
    crisp, needed = scopes.once(
        "leaves", node, lambda: (_crisp_leaves(node), tuple(_leaf_terms(node)))
    )
    crisp_names = {leaf: f"c{i}" for i, leaf in enumerate(crisp)}
    for leaf, name in crisp_names.items():
        columns[name] = _arrow(settings.condition(leaf.formula))
    others = dict.fromkeys([*needed, *(term for term in terms if not _is_plain(term))])
    places = {term: f"t{i}" for i, term in enumerate(others)}
    for term, name in places.items():
        columns[name] = _arrow(settings.term(term))
    columns = columns or {"one": pa.array(np.ones(settings.rows, np.int32))}
    rows = pa.table(columns)
    return EvaluatedListing(relations, exp.Select(), None, names, crisp_names, places, rows=rows)


def _undecided(
    relations: ArrayRelations, node: Node, must_be: str | None, settings: ArraySettings
) -> NDArray[np.bool_] | None:
    """Settings with an atom whose truth is not known; ``None`` where that is not seen at once."""
    found = np.zeros(settings.rows, bool)
    needed = np.ones(settings.rows, bool)
    for leaf in leaves(node):
        if isinstance(leaf, Crisp):
            continue
        if isinstance(leaf, OpenCount) or not all(map(_is_plain, leaf.atom.arguments)):
            return None
        ids = [settings.term(argument).values for argument in leaf.atom.arguments]
        if any(len(own) and own.min() < 0 for own in ids):
            return None
        own = relations.is_open(leaf.atom.predicate, ids, settings.rows)
        found |= own
        if leaf.atom.predicate == must_be:
            needed &= own
    return found & needed


def _arrow(column: Column) -> pa.Array:
    return pa.array(column.values, mask=None if column.known is None else ~column.known)


@dataclass(frozen=True)
class Frame:
    """A batch of settings.

    Attributes:
        listing: which query it is of.
        rows: number of settings.
        columns: the Arrow batch.
    """

    listing: Listing
    rows: int
    columns: pa.RecordBatch | pa.Table

    def ids(self, term: Term) -> NDArray[np.int32]:
        """``int32[rows]`` things a term stands for, ``-1`` where it has no value."""
        if isinstance(term, Variable):
            return self._array(self.listing.variables[term.name]).astype(np.int32, copy=False)
        if isinstance(term, Constant):
            thing = self.listing.relations.identity(term.sort, str(term.value))
            return np.full(self.rows, thing, np.int32)
        return self._array(self.listing.terms[term], NO_THING).astype(np.int32, copy=False)

    def numbers(self, term: Term) -> NDArray[np.float64]:
        """``float64[rows]`` values of a term, NaN where it has none."""
        values = self.columns.column(self.listing.terms[term]).cast(pa.float64())
        return np.asarray(values.to_numpy(zero_copy_only=False), np.float64)

    def truth(self, leaf: Crisp) -> Codes:
        """``int32[rows]`` literal codes of a crisp formula."""
        values = self.columns.column(self.listing.crisp[leaf])
        known = values.is_valid().to_numpy(zero_copy_only=False)
        true = values.fill_null(False).to_numpy(zero_copy_only=False)
        codes = np.where(true, TRUE_LITERAL, FALSE_LITERAL)
        return np.where(known, codes, UNKNOWN_LITERAL).astype(np.int32)

    def keys(self) -> NDArray[np.int32]:
        """``int32[rows]`` which key each setting belongs to."""
        return self._array("key")

    def substitution(self, variables: Sequence[Variable]) -> NDArray[np.int32]:
        """``int32[rows, len(variables)]`` things each variable stands for."""
        out = np.empty((self.rows, len(variables)), np.int32)
        for i, variable in enumerate(variables):
            out[:, i] = self.ids(variable)
        return out

    def _array(self, name: str, missing: int | None = None) -> NDArray[np.int32]:
        values = self.columns.column(name)
        if isinstance(values, pa.ChunkedArray):
            values = values.combine_chunks()
        if missing is not None and values.null_count:
            values = values.fill_null(missing)
        return np.asarray(values.to_numpy(zero_copy_only=False))


def _needed_leaves(node: Node) -> Iterator[Crisp | OpenLiteral | OpenCount]:
    """Leaves whose columns a setting needs; those of a written list are among them."""
    for leaf in leaves(node):
        yield leaf
        if isinstance(leaf, OpenCount) and not leaf.variables:
            for entry in leaf.entries:
                yield from _needed_leaves(entry)


def _crisp_leaves(node: Node) -> tuple[Crisp, ...]:
    return tuple(dict.fromkeys(leaf for leaf in _needed_leaves(node) if isinstance(leaf, Crisp)))


def _leaf_terms(node: Node) -> Iterator[Term]:
    """Terms in argument places and bounds of the leaves that need a column."""
    for leaf in _needed_leaves(node):
        terms: Sequence[Term | int | None] = ()
        if isinstance(leaf, OpenLiteral):
            terms = leaf.atom.arguments
        elif isinstance(leaf, OpenCount):
            terms = (leaf.lower, leaf.upper)
        yield from (t for t in terms if not isinstance(t, int | None) and not _is_plain(t))


def _is_plain(term: Term) -> bool:
    """Whether a term needs no column of its own."""
    return isinstance(term, Variable) or (
        isinstance(term, Constant) and term.sort not in VALUE_SORTS
    )
