"""Conjunctions of crisp formulas as one ``SELECT .. FROM .. WHERE``.

A conjunction has one row a setting of its variables: tables of predicates are
distinct, attributes unique, ``_`` is projected away, and whatever is not a guard
filters. So counting rows counts settings, and no ``DISTINCT`` is needed until
variables are projected away.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

from sqlglot import exp

from knowreason.errors import GroundingError
from knowreason.ground.aggregates import aggregate
from knowreason.ground.terms_sql import (
    cast,
    column,
    comparison,
    grouped,
    identifier,
    literal,
    operation,
)
from knowreason.logic import (
    VALUE_SORTS,
    Aggregate,
    And,
    Atom,
    AttributeTerm,
    BooleanTerm,
    Comparison,
    Constant,
    CountList,
    Exists,
    ForAll,
    Formula,
    Iff,
    Implies,
    Not,
    Operation,
    Or,
    ParameterTerm,
    Term,
    Truth,
    Variable,
    Wildcard,
)
from knowreason.logic.variables import conjuncts, free_variables

if TYPE_CHECKING:
    from knowreason.ground.relations import Relations


@dataclass(frozen=True)
class _Source:
    """One table of the FROM clause; ``left`` ones never change the rows."""

    table: exp.Expr
    alias: str
    on: tuple[exp.Expr, ...]
    left: bool = False


class Conjunction:
    """Builder of a query over the settings of some variables.

    Attributes:
        relations: where the tables are.
        columns: SQL expression of every bound variable, by name.
    """

    def __init__(self, relations: Relations, parent: Conjunction | None = None) -> None:
        self.relations = relations
        self.columns: dict[str, exp.Expr] = dict(parent.columns) if parent else {}
        self._parent = parent
        self._outer = frozenset(self.columns)
        self._aliases: Iterator[int] = parent._aliases if parent else count()
        self._sources: list[_Source] = []
        self._conditions: list[exp.Expr] = []
        self._attributes: dict[tuple[str, tuple[str, ...]], exp.Expr] = {}

    # -- rows ------------------------------------------------------------------

    def join(self, atom: Atom) -> str:
        """Keep settings for which an observed or defined atom is true; bind its variables.

        Returns:
            Alias of the joined table.
        """
        return self.join_table(self.relations.table(atom.predicate), atom.arguments)

    def join_table(self, table: exp.Expr, arguments: Sequence[Term]) -> str:
        """Join any relation with columns ``a0 ..``, one an argument.

        Variables not bound yet are bound to their column, other arguments become
        equalities. ``_`` is projected away, then other columns of the table too.

        Returns:
            Alias of the table: ``terms_sql.column(alias, name)`` reads other columns.
        """
        kept = [i for i, argument in enumerate(arguments) if not isinstance(argument, Wildcard)]
        if len(kept) < len(arguments):
            table = self._projected(table, kept)
        alias = self.fresh_alias()
        equalities = []
        for i in sorted(kept, key=lambda i: not isinstance(arguments[i], Variable)):
            argument, place = arguments[i], column(alias, f"a{i}")
            if isinstance(argument, Variable) and argument.name not in self.columns:
                self.columns[argument.name] = place
            else:
                equalities.append((place, argument))
        known = {source.alias for source in self._sources} | {alias}
        source_index = len(self._sources)
        conditions = [exp.EQ(this=place, expression=self.term(term)) for place, term in equalities]
        on = tuple(c for c in conditions if self._own_aliases(c) <= known)
        self._sources.insert(source_index, _Source(table, alias, on))
        self._conditions += [c for c in conditions if c not in on]
        return alias

    def range_over(self, variable: Variable) -> None:
        """Bind a variable to every thing of its domain (a product); nothing if it is bound."""
        if variable.name in self.columns:
            return
        alias = self.fresh_alias()
        self._sources.append(_Source(self.relations.domain(variable.sort), alias, ()))
        self.columns[variable.name] = column(alias, "a0")

    def where(self, formula: Formula) -> None:
        """Keep settings for which a crisp formula over bound variables is true.

        False and unknown settings are dropped; :meth:`dropped` counts the unknown ones.
        """
        for part in conjuncts(formula):
            self._conditions.append(self.condition(part))

    def satisfy(self, formula: Formula, variables: Iterable[Variable] = ()) -> None:
        """Keep the settings of ``variables`` and the formula's own that make it true.

        Positive atoms become joins, what they leave unbound ranges over its domain,
        the rest filters.
        """
        filters = self._join_guards(formula)
        for variable in (*variables, *free_variables(formula)):
            self.range_over(variable)
        for part in filters:
            self.where(part)

    # -- expressions -----------------------------------------------------------

    def condition(self, formula: Formula) -> exp.Expr:
        """A crisp formula over bound variables as a three-valued SQL condition.

        Quantifiers are two-valued, as SQL's: a setting whose body is unknown neither
        supports an ``exists`` nor breaks a ``forall``.
        """
        match formula:
            case Truth():
                return exp.Boolean(this=formula.value)
            case Atom():
                return self._atom(formula)
            case BooleanTerm():
                return grouped(self.term(formula.term))
            case Comparison():
                left, right = self.term(formula.left), self.term(formula.right)
                return comparison(formula.operator, left, right)
            case Not():
                return exp.Not(this=grouped(self.condition(formula.operand)))
            case And():
                return _fold(exp.And, [self.condition(part) for part in formula.operands])
            case Or():
                return _fold(exp.Or, [self.condition(part) for part in formula.operands])
            case Implies():
                return self.condition(Or((Not(formula.left), formula.right)))
            case Iff():
                left, right = self.condition(formula.left), self.condition(formula.right)
                return comparison("=", left, right)
            case Exists():
                child = self.child(formula.variables)
                child.satisfy(formula.body, formula.variables)
                return exp.Exists(this=child.select({"one": exp.Literal.number(1)}))
            case ForAll():
                return self.condition(Not(Exists(formula.variables, Not(formula.body))))
        raise TypeError(f"not a formula: {formula!r}")

    def term(self, term: Term) -> exp.Expr:
        """A term over bound variables; attributes it needs are joined once a distinct call.

        Raises:
            GroundingError: KR604 for a variable that is not bound here.
        """
        match term:
            case Variable():
                if term.name not in self.columns:
                    raise GroundingError(f"variable `{term.name}` is not bound", code="KR604")
                return self.columns[term.name].copy()
            case Constant() if term.sort in VALUE_SORTS:
                return literal(term.value, term.sort)
            case Constant():
                return identifier(self.relations.identity(term.sort, str(term.value)))
            case ParameterTerm():
                value = self.relations.program.parameter_value(term.name)
                return self.term(Constant(value.value, term.sort))
            case AttributeTerm():
                return self._attribute(term)
            case Operation():
                operands = [self.term(operand) for operand in term.operands]
                return operation(term.operator, operands, term.sort)
            case CountList():
                held = [self._held(formula) for formula in term.formulas]
                return _fold(exp.Add, held, exp.Literal.number(0))
            case Aggregate():
                return aggregate(self, term)
        raise GroundingError("`_` has no value: it stands only in atoms", code="KR604")

    # -- queries ---------------------------------------------------------------

    def select(self, outputs: Mapping[str, exp.Expr], *, distinct: bool = False) -> exp.Select:
        """The query, with the given columns."""
        query = self._from(outputs)
        conditions = [*self._first_conditions(), *self._conditions]
        if conditions:
            query = query.where(*conditions, copy=False)
        return query.distinct() if distinct else query

    def dropped(self) -> exp.Select:
        """One row a setting that a missing value makes unknown (so :meth:`select` lacks it)."""
        query = self._from({"one": exp.Literal.number(1)})
        if not self._conditions:
            return query.where(exp.false())
        unknown = exp.Is(
            this=grouped(_fold(exp.And, [c.copy() for c in self._conditions])),
            expression=exp.Null(),
        )
        return query.where(*self._first_conditions(), unknown, copy=False)

    def child(self, rebound: Iterable[Variable] = ()) -> Conjunction:
        """A conjunction for a subquery that sees this one's variables, but for ``rebound``."""
        child = Conjunction(self.relations, self)
        for variable in rebound:
            child.columns.pop(variable.name, None)
        child._outer = frozenset(child.columns)
        return child

    def sibling(self) -> Conjunction:
        """An empty conjunction whose aliases differ from this one's."""
        sibling = Conjunction(self.relations)
        sibling._aliases = self._aliases
        return sibling

    def left_join(self, table: exp.Expr, on: Mapping[str, exp.Expr]) -> str:
        """Join columns that never change the rows (``table`` is unique on the keys of ``on``).

        Returns:
            Alias of the table; its columns are ``NULL`` where it has no row.
        """
        alias = self.fresh_alias()
        equalities = [exp.EQ(this=column(alias, k), expression=e.copy()) for k, e in on.items()]
        self._sources.append(_Source(table, alias, tuple(equalities), left=True))
        return alias

    def fresh_alias(self) -> str:
        """A table alias nothing else in the query has."""
        return f"t{next(self._aliases)}"

    # -- parts -----------------------------------------------------------------

    def _join_guards(self, formula: Formula) -> list[Formula]:
        """Join what binds variables; return the parts that are left to filter by."""
        filters: list[Formula] = []
        atoms: list[Atom] = []
        derived: list[Or | Exists] = []
        for part in conjuncts(formula):
            if isinstance(part, Atom):
                atoms.append(part)
            elif isinstance(part, Or | Exists) and _is_guarded(part):
                derived.append(part)
            else:
                filters.append(part)
        while atoms:
            ready = next((a for a in atoms if not self._unbound_inside(a)), None)
            if ready is None:
                for variable in self._unbound_inside(atoms[0]):
                    self._bind_first(variable, atoms)
                continue
            atoms.remove(ready)
            self.join(ready)
        for part in derived:
            if all(v.name in self.columns for v in free_variables(part)):
                filters.append(part)
            else:
                self._join_derived(part)
        return filters

    def _bind_first(self, variable: Variable, atoms: list[Atom]) -> None:
        """Range over a variable needed inside a term, unless an atom is about to bind it."""
        if not any(variable in atom.arguments for atom in atoms[1:]):
            self.range_over(variable)
            return
        atoms.append(atoms.pop(0))
        if all(self._unbound_inside(atom) for atom in atoms):
            self.range_over(variable)

    def _unbound_inside(self, atom: Atom) -> list[Variable]:
        """Variables that the atom's terms need and nothing binds yet."""
        own = {argument.name for argument in atom.arguments if isinstance(argument, Variable)}
        inside = [
            v for a in atom.arguments if not isinstance(a, Variable) for v in free_variables(a)
        ]
        return [v for v in inside if v.name not in own and v.name not in self.columns]

    def _join_derived(self, part: Or | Exists) -> None:
        variables = free_variables(part)
        branches = part.operands if isinstance(part, Or) else (part.body,)
        queries: list[exp.Query] = []
        for branch in branches:
            inner = self.sibling()
            inner.satisfy(branch)
            outputs = {f"a{i}": inner.columns[v.name] for i, v in enumerate(variables)}
            queries.append(inner.select(outputs, distinct=True))
        union = queries[0]
        for query in queries[1:]:
            union = exp.union(union, query, distinct=True, copy=False)
        self.join_table(exp.Subquery(this=union), variables)

    def _atom(self, atom: Atom) -> exp.Expr:
        child = self.child()
        nullable = [a for a in atom.arguments if isinstance(a, AttributeTerm | Operation)]
        child.join_table(self.relations.table(atom.predicate), atom.arguments)
        holds: exp.Expr = exp.Exists(this=child.select({"one": exp.Literal.number(1)}))
        if not nullable:
            return holds
        known = [exp.Is(this=self.term(a), expression=exp.Null()).not_() for a in nullable]
        return grouped(exp.Case(ifs=[exp.If(this=_fold(exp.And, known), true=holds)]))

    def _attribute(self, term: AttributeTerm) -> exp.Expr:
        used = {variable.name for variable in free_variables(term)}
        if self._parent is not None and used <= self._outer:
            return self._parent.term(term)
        arguments = [self.term(argument) for argument in term.arguments]
        key = (term.name, tuple(argument.sql() for argument in arguments))
        if key not in self._attributes:
            table = self.relations.table(term.name)
            keys = {f"a{i}": argument for i, argument in enumerate(arguments)}
            if not self._sources:
                self._sources.append(_Source(_one_row(), self.fresh_alias(), ()))
            self._attributes[key] = column(self.left_join(table, keys), "value")
        return self._attributes[key].copy()

    def _held(self, formula: Formula) -> exp.Expr:
        """1 where the formula is true, 0 where it is false or unknown."""
        true = exp.If(this=self.condition(formula), true=cast(exp.Literal.number(1), "bigint"))
        return grouped(exp.Case(ifs=[true], default=cast(exp.Literal.number(0), "bigint")))

    def _projected(self, table: exp.Expr, kept: Sequence[int]) -> exp.Expr:
        alias = self.fresh_alias()
        outputs: Sequence[exp.Expr] = [column(alias, f"a{i}") for i in kept] or [
            exp.alias_(exp.Literal.number(1), "one", quoted=True)
        ]
        aliased = exp.alias_(table, alias, table=True)
        return exp.Subquery(this=exp.select(*outputs).distinct().from_(aliased))

    def _own_aliases(self, expression: exp.Expr) -> set[str]:
        mine = {source.alias for source in self._sources}
        return {c.table for c in expression.find_all(exp.Column) if c.table in mine}

    def _ordered(self) -> list[_Source]:
        """Inner joins first, as far as they need no left join."""
        late: set[str] = set()
        first: list[_Source] = []
        last: list[_Source] = []
        for source in self._sources:
            needed = {c.table for on in source.on for c in on.find_all(exp.Column)}
            if source.left or needed & late:
                late.add(source.alias)
                last.append(source)
            else:
                first.append(source)
        return first + last

    def _first_conditions(self) -> list[exp.Expr]:
        ordered = self._ordered()
        return [c.copy() for c in ordered[0].on] if ordered and not ordered[0].left else []

    def _from(self, outputs: Mapping[str, exp.Expr]) -> exp.Select:
        ordered = self._ordered()
        if not ordered or ordered[0].left:
            ordered.insert(0, _Source(_one_row(), self.fresh_alias(), ()))
        query = exp.select(
            *(exp.alias_(e.copy(), name, quoted=True) for name, e in outputs.items())
        ).from_(_aliased(ordered[0]), copy=False)
        for source in ordered[1:]:
            kind = "CROSS" if not source.on else "LEFT" if source.left else "INNER"
            on = _fold(exp.And, [c.copy() for c in source.on]) if source.on else None
            query = query.join(_aliased(source), on=on, join_type=kind, copy=False)
        return query


def _aliased(source: _Source) -> exp.Expr:
    return exp.alias_(source.table.copy(), source.alias, table=True, quoted=True)


def _one_row() -> exp.Expr:
    return exp.Subquery(this=exp.select(exp.alias_(exp.Literal.number(1), "one", quoted=True)))


def _fold(
    operator: type[exp.Binary],
    parts: Sequence[exp.Expr],
    start: exp.Expr | None = None,
) -> exp.Expr:
    folded = start if start is not None else parts[0]
    for part in parts if start is not None else parts[1:]:
        folded = operator(this=folded, expression=part)
    return grouped(folded)


def _is_guarded(part: Or | Exists) -> bool:
    """Whether its positive atoms bind all its free variables."""
    return {v.name for v in free_variables(part)} <= guards(part)


def guards(formula: Formula) -> frozenset[str]:
    """Names of the variables that a formula's positive atoms bind."""
    match formula:
        case Atom():
            return frozenset(a.name for a in formula.arguments if isinstance(a, Variable))
        case And():
            return frozenset().union(*(guards(part) for part in formula.operands))
        case Or():
            return frozenset.intersection(*(guards(part) for part in formula.operands))
        case Exists():
            return guards(formula.body) - {v.name for v in formula.variables}
        case _:
            return frozenset()
