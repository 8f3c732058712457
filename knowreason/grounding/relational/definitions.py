"""Definitions as tables: computed at their first use, whatever they need before them."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import pyarrow as pa
from sqlglot import exp

from knowreason.errors import GroundingError
from knowreason.grounding.plan.label_aggregates import over_known_labels
from knowreason.grounding.relational.conjunctive_query import Conjunction
from knowreason.grounding.relational.engine_errors import Evaluated
from knowreason.grounding.relational.query_protocols import Tables
from knowreason.grounding.relational.recursion import (
    Member,
    mentions,
    recursive_query,
    row_columns,
    rows_of_member,
)
from knowreason.grounding.relational.term_sql import aliased, column, known, union
from knowreason.logic import (
    Aggregate,
    And,
    Definition,
    Exists,
    Formula,
    Operation,
    Or,
    Term,
    Variable,
)
from knowreason.logic.traversal import conjuncts, free_variables, names_in, strong_components


class Definitions:
    """Tables of defined predicates and attributes."""

    def __init__(self, relations: Tables) -> None:
        self._relations = relations
        self._computing: list[str] = []
        self._groups: dict[str, exp.Table] = {}

    def table(self, name: str) -> exp.Table:
        """Table of a definition, in the order of its arguments; what it needs is computed first.

        Raises:
            GroundingError: KR605 for a circle in which not every step is a positive predicate.
        """
        if name in self._computing:
            raise _cyclic([*self._computing[self._computing.index(name) :], name])
        definition = self._relations.program.definition(name)
        self._computing.append(name)
        try:
            with (
                self._relations.evaluating(
                    Evaluated(f"definition `{name}`", (definition.body,), definition.span)
                ),
                self._relations.histories.dropped_after(),
            ):
                whole = self._whole(definition)
                if whole is not None:
                    return self._relations.register(name, whole)
                rows = self._query(definition)
                in_order = [column("rows", f"a{i}") for i in range(len(definition.parameters))]
                tree = exp.select(exp.Star()).from_(aliased(rows, "rows"))
                tree = tree.order_by(*in_order) if in_order else tree
                return self._relations.materialise(name, tree)
        finally:
            self._computing.pop()

    def _whole(self, definition: Definition) -> pa.Table | None:
        """Its rows where it is an aggregate over history and nothing beside it."""
        relations, keys = self._relations, definition.parameters
        definition = over_known_labels(relations.program, definition)
        if not isinstance(definition.body, Aggregate) or not relations.engine.ordered:
            return None
        term = closed(definition.body, keys)
        if len(keys) != 1 or free_variables(term) != keys or not isinstance(term, Aggregate):
            return None
        return relations.histories.whole(Conjunction(relations), term, keys)

    def _query(self, definition: Definition) -> exp.Query:
        relations = self._relations
        definition = over_known_labels(relations.program, definition)
        if not isinstance(definition.body, Formula):
            return _attribute_query(relations, definition, definition.body)
        members = self._members(definition.name)
        if len(members) > 1:
            if definition.name not in self._groups:
                rows = relations.materialise(definition.name, recursive_query(relations, members))
                self._groups |= {member.name: rows for member in members}
            return rows_of_member(self._groups[definition.name], members, definition.name)
        if mentions(definition.body, (definition.name,)):
            return recursive_query(relations, members)
        return predicate_query(relations, definition.parameters, definition.body)

    @cached_property
    def _mutual(self) -> dict[str, tuple[str, ...]]:
        """By definition, those that it needs and that need it, itself among them."""
        bodies = {d.name: d.body for d in self._relations.program.definitions}
        uses = {name: names_in(body) & set(bodies) for name, body in bodies.items()}
        return {name: group for group in strong_components(uses) for name in group}

    def _members(self, name: str) -> list[Member]:
        """The predicates that need each other, this one among them."""
        program = self._relations.program
        members = []
        for other in self._mutual[name]:
            definition = over_known_labels(program, program.definition(other))
            if not isinstance(definition.body, Formula):
                raise _cyclic([name, other, name])
            members.append(Member(other, definition.parameters, definition.body))
        return members


def predicate_query(
    relations: Tables, parameters: tuple[Variable, ...], body: Formula
) -> exp.Query:
    """Distinct settings of the parameters (``a0 ..``) for which the body is true.

    Other free variables of the body are existential.
    """
    queries: list[exp.Query] = []
    for branch in branches(parameters, body):
        conjunction = Conjunction(relations)
        conjunction.satisfy(branch, parameters)
        outputs = row_columns(conjunction, parameters)
        queries.append(conjunction.select(outputs, distinct=True))
    return union(queries)


def branches(parameters: tuple[Variable, ...], body: Formula) -> tuple[Formula, ...]:
    """Formulas of which one holds where a predicate's body does."""
    names = {variable.name for variable in parameters}
    loose = {v.name for v in free_variables(body) if v.name not in names}
    return tuple(_unbound(branch, names) for branch in _branches(_narrowed(body, loose)))


def _branches(formula: Formula) -> tuple[Formula, ...]:
    """The disjuncts of a formula, nested ``|`` flattened."""
    if isinstance(formula, Or):
        return tuple(part for operand in formula.operands for part in _branches(operand))
    return (formula,)


def _narrowed(formula: Formula, loose: set[str]) -> Formula:
    """The formula with existential variables bound inside the disjunctions they belong to.

    So no branch ranges over what only another one mentions.
    """
    if isinstance(formula, Or):
        return Or(tuple(_bound(operand, loose) for operand in formula.operands))
    if not isinstance(formula, And):
        return formula
    parts = conjuncts(formula)
    free = [{v.name for v in free_variables(part)} for part in parts]
    alone = {name for name in loose if sum(name in names for names in free) == 1}
    return And(tuple(_narrowed(part, alone) for part in parts))


def _bound(formula: Formula, loose: set[str]) -> Formula:
    variables = tuple(v for v in free_variables(formula) if v.name in loose)
    return Exists(variables, formula) if variables else formula


def _unbound(formula: Formula, taken: set[str]) -> Formula:
    """A branch without its outermost binder: rows are made distinct on the head anyway."""
    if isinstance(formula, Exists) and not taken & {v.name for v in formula.variables}:
        return formula.body
    return formula


def _attribute_query(relations: Tables, definition: Definition, body: Term) -> exp.Query:
    conjunction = Conjunction(relations)
    for parameter in definition.parameters:
        conjunction.range_over(parameter)
    value = conjunction.term(closed(body, definition.parameters))
    outputs = {f"a{i}": conjunction.columns[v.name] for i, v in enumerate(definition.parameters)}
    alias = conjunction.fresh_alias()
    rows = aliased(conjunction.select(outputs | {"value": value}), alias)
    return exp.select(exp.Star()).from_(rows).where(known(column(alias, "value")))


def closed(term: Term, parameters: tuple[Variable, ...]) -> Term:
    """Bind what an aggregate's body mentions beyond its own variables and the parameters."""
    if isinstance(term, Operation):
        return replace(term, operands=tuple(closed(part, parameters) for part in term.operands))
    if not isinstance(term, Aggregate):
        return term
    names = {variable.name for variable in (*parameters, *term.variables)}
    loose = tuple(v for v in free_variables(term.body) if v.name not in names)
    return replace(term, body=Exists(loose, term.body)) if loose else term


def _cyclic(names: list[str]) -> GroundingError:
    chain = " needs ".join(f"`{name}`" for name in names)
    return GroundingError(
        f"definitions need each other in a circle: {chain}",
        code="KR605",
        help="only predicates may need themselves or each other, and only positively",
    )
