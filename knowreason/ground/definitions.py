"""Definitions as tables: computed at their first use, in topological order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from knowreason.errors import GroundingError
from knowreason.ground.query import Conjunction
from knowreason.logic import (
    Aggregate,
    And,
    Atom,
    AttributeTerm,
    Definition,
    Exists,
    Formula,
    Or,
    Term,
    Variable,
)
from knowreason.logic.variables import free_variables, walk

if TYPE_CHECKING:
    from knowreason.ground.relations import Relations


class Definitions:
    """Tables of defined predicates and attributes."""

    def __init__(self, relations: Relations) -> None:
        self._relations = relations
        self._open: list[str] = []

    def table(self, name: str) -> exp.Table:
        """Compute a definition; whatever it needs is computed first.

        Raises:
            GroundingError: KR605 for a cycle other than positive self-recursion.
        """
        if name in self._open:
            raise cyclic([*self._open[self._open.index(name) :], name])
        definition = self._relations.program.definition(name)
        self._open.append(name)
        try:
            return self._relations.materialise(name, self._query(definition))
        finally:
            self._open.pop()

    def _query(self, definition: Definition) -> exp.Query:
        if isinstance(definition.body, Formula):
            return predicate_query(self._relations, definition.parameters, definition.body)
        return _attribute_query(self._relations, definition, definition.body)


def cyclic(names: list[str]) -> GroundingError:
    """The error for a definition that needs itself."""
    chain = " needs ".join(f"`{name}`" for name in names)
    return GroundingError(
        f"definitions need each other in a circle: {chain}",
        code="KR605",
        help="only a predicate may need itself, and only positively",
    )


def dependencies(definition: Definition) -> tuple[str, ...]:
    """Names of the predicates and attributes in a definition, each once."""
    found = {
        (node.predicate if isinstance(node, Atom) else node.name): None
        for node in walk(definition.body)
        if isinstance(node, Atom | AttributeTerm)
    }
    return tuple(found)


def predicate_query(
    relations: Relations, parameters: tuple[Variable, ...], body: Formula
) -> exp.Query:
    """Distinct settings of the parameters (``a0 ..``) for which the body is true."""
    queries: list[exp.Query] = []
    for branch in branches(existential(body, parameters)):
        conjunction = Conjunction(relations)
        conjunction.satisfy(branch, parameters)
        outputs = {f"a{i}": conjunction.columns[v.name] for i, v in enumerate(parameters)}
        queries.append(conjunction.select(outputs, distinct=True))
    union = queries[0]
    for query in queries[1:]:
        union = exp.union(union, query, distinct=True, copy=False)
    return union


def branches(formula: Formula) -> tuple[Formula, ...]:
    """The disjuncts of a formula, nested ``|`` flattened."""
    if isinstance(formula, Or):
        return tuple(part for operand in formula.operands for part in branches(operand))
    return (formula,)


def existential(formula: Formula, parameters: tuple[Variable, ...]) -> Formula:
    """The formula with variables that are not parameters bound, as far inside as can be.

    A disjunction binds in each of its branches, so that none ranges over what it
    does not mention. The outermost binder of a branch is left open: rows are made
    distinct on the parameters anyway.
    """
    if isinstance(formula, Or):
        return Or(tuple(existential(operand, parameters) for operand in formula.operands))
    return formula


def _attribute_query(relations: Relations, definition: Definition, body: Term) -> exp.Query:
    conjunction = Conjunction(relations)
    for parameter in definition.parameters:
        conjunction.range_over(parameter)
    value = conjunction.term(close_aggregates(body, definition.parameters))
    outputs = {
        **{f"a{i}": conjunction.columns[v.name] for i, v in enumerate(definition.parameters)},
        "value": value,
    }
    alias = conjunction.fresh_alias()
    rows = exp.alias_(exp.Subquery(this=conjunction.select(outputs)), alias, table=True)
    known = exp.Is(this=exp.column("value", table=alias), expression=exp.Null()).not_()
    return exp.select(exp.Star()).from_(rows).where(known)


def close_aggregates(term: Term, parameters: tuple[Variable, ...]) -> Term:
    """Bind what an aggregate's body mentions beyond its own variables and the parameters."""
    from dataclasses import replace

    from knowreason.logic import Operation

    if isinstance(term, Operation):
        operands = tuple(close_aggregates(part, parameters) for part in term.operands)
        return replace(term, operands=operands)
    if not isinstance(term, Aggregate):
        return term
    bound = {variable.name for variable in (*parameters, *term.variables)}
    loose = tuple(v for v in free_variables(term.body) if v.name not in bound)
    return replace(term, body=Exists(loose, term.body)) if loose else term


__all__ = ["And", "Definitions", "branches", "cyclic", "dependencies", "predicate_query"]
