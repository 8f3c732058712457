"""Conjunctions of crisp formulas as one ``SELECT .. FROM .. WHERE``.

A conjunction has one row a setting of its variables: tables of predicates are
distinct, attributes unique, ``_`` is projected away, and whatever is not a guard
filters. So counting rows counts settings, and no ``DISTINCT`` is needed until
variables are projected away.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import count

from sqlglot import exp

from knowreason.data.wall_clocks import ZONE
from knowreason.errors import GroundingError
from knowreason.grounding.plan.range_restriction import is_guarded, is_strict, needs_values
from knowreason.grounding.relational.aggregates import aggregate
from knowreason.grounding.relational.from_clause import (
    JoinedTable,
    from_clause,
    one_row,
    ordered,
    required,
)
from knowreason.grounding.relational.query_protocols import Tables
from knowreason.grounding.relational.term_sql import (
    CALENDAR,
    aliased,
    all_of,
    cast,
    column,
    combined,
    comparison,
    grouped,
    identifier,
    known,
    literal,
    named,
    offset_key,
    operation,
    union,
)
from knowreason.grounding.relational.time_bands import Band, band_of, bucketed
from knowreason.logic import (
    VALUE_SORTS,
    Aggregate,
    And,
    Atom,
    AttributeTerm,
    BooleanTerm,
    Comparison,
    Conditional,
    Constant,
    ConstantSet,
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
from knowreason.logic.traversal import conjuncts, free_variables


class Conjunction:
    """Builder of a query over the settings of some variables.

    Attributes:
        relations: where the tables are.
        columns: SQL expression of every bound variable, by name.
    """

    def __init__(self, relations: Tables, parent: Conjunction | None = None) -> None:
        self.relations = relations
        self.columns: dict[str, exp.Expr] = dict(parent.columns) if parent else {}
        self._parent = parent
        self._outer = frozenset(self.columns)
        self._aliases: Iterator[int] = parent._aliases if parent else count()
        self._sources: list[JoinedTable] = []
        self._ranging: set[str] = set()  # aliases of whole domains
        self._conditions: list[exp.Expr] = []
        self._strict: list[exp.Expr] = []
        self._bands: list[Band] = []
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
        bound = [i for i, argument in enumerate(arguments) if not isinstance(argument, Wildcard)]
        if len(bound) < len(arguments):
            table = self._projected(table, bound)
        alias = self.fresh_alias()
        equalities = []
        for i in sorted(bound, key=lambda i: not isinstance(arguments[i], Variable)):
            argument, place = arguments[i], column(alias, f"a{i}")
            if isinstance(argument, Variable) and argument.name not in self.columns:
                self.columns[argument.name] = place
            else:
                equalities.append((place, argument))
        present = {source.alias for source in self._sources} | {alias}
        source_index = len(self._sources)
        conditions = [exp.EQ(this=place, expression=self.term(term)) for place, term in equalities]
        on = tuple(c for c in conditions if self._own_aliases(c) <= present)
        self._sources.insert(source_index, JoinedTable(table, alias, on))
        self._conditions += [c for c in conditions if c not in on]
        self._strict += [
            c for c, (_, term) in zip(conditions, equalities, strict=True) if needs_values(term)
        ]
        return alias

    def range_over(self, variable: Variable) -> None:
        """Bind a variable to every thing of its domain (a product); nothing if it is bound."""
        if variable.name in self.columns:
            return
        alias = self.fresh_alias()
        self._sources.append(JoinedTable(self.relations.domain(variable.sort), alias))
        self._ranging.add(alias)
        self.columns[variable.name] = column(alias, "a0")

    def where(self, formula: Formula) -> None:
        """Keep settings for which a crisp formula over bound variables is true.

        False and unknown settings are dropped; :meth:`dropped` counts the unknown ones.
        """
        for part in conjuncts(formula):
            condition = self.condition(part)
            self._conditions.append(condition)
            if is_strict(part):
                self._strict.append(condition)
            band = band_of(part, self.relations.program)
            if band is not None:
                self._bands.append(band)

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
            case Comparison(right=ConstantSet(members)):
                listed = [self.term(member) for member in members]
                # in parentheses: Spark does not read `a IN (b) = c`
                return exp.paren(exp.In(this=grouped(self.term(formula.left)), expressions=listed))
            case Comparison():
                left, right = self.term(formula.left), self.term(formula.right)
                return comparison(formula.operator, left, right)
            case Not():
                return exp.Not(this=grouped(self.condition(formula.operand)))
            case And():
                return all_of([self.condition(part) for part in formula.operands])
            case Or():
                return combined(exp.Or, [self.condition(part) for part in formula.operands])
            case Implies():
                return self.condition(Or((Not(formula.left), formula.right)))
            case Iff():
                left, right = self.condition(formula.left), self.condition(formula.right)
                return comparison("=", left, right)
            case Exists():
                child = self.child(formula.variables)
                child.satisfy(formula.body, formula.variables)
                query = child.select({"one": exp.Literal.number(1)})
                if self.relations.engine.deep or not _reaches_deep(query):
                    return exp.Exists(this=query)
                return self._listed(formula)
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
            case Operation(operator) if operator in CALENDAR:
                return self._calendar(term)
            case Operation():
                operands = [self.term(operand) for operand in term.operands]
                return operation(term.operator, operands, term.sort)
            case Conditional():
                one, other = self.term(term.one), self.term(term.other)
                return _chosen(self.condition(term.condition), one, other)
            case CountList():
                return combined(exp.Add, [self._held(formula) for formula in term.formulas])
            case Aggregate():
                return aggregate(self, term)
        raise GroundingError("`_` has no value: it stands only in atoms", code="KR604")

    # -- queries ---------------------------------------------------------------

    def select(self, outputs: Mapping[str, exp.Expr], *, distinct: bool = False) -> exp.Select:
        """The query, with the given columns.

        An attribute that a condition cannot do without is an inner join here, and bands
        between two clocks are joined by buckets.
        """
        sources = required(self._sources, self._strict)
        sources, buckets = bucketed(self.relations, sources, self.columns, self._bands)
        query = from_clause(outputs, self._in_order(sources), [*self._conditions, *buckets])
        return query.distinct() if distinct else query

    def parts(self) -> tuple[list[JoinedTable], list[exp.Expr]]:
        """Tables (inner joins first) and conditions of :meth:`select`, without buckets."""
        return self._in_order(required(self._sources, self._strict)), list(self._conditions)

    def dropped(self) -> exp.Select:
        """One row a setting that a missing value makes unknown (so :meth:`select` lacks it)."""
        conditions = [c.copy() for c in self._conditions] or [exp.true()]
        unknown = exp.Is(this=all_of(conditions), expression=exp.Null())
        one = {"one": exp.Literal.number(1)}
        return from_clause(one, self._in_order(self._sources), [unknown])

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

    def alone(self) -> Conjunction:
        """An empty conjunction that is run by itself: equal ones have equal text."""
        return Conjunction(self.relations)

    def left_join(
        self, table: exp.Expr, on: Mapping[str, exp.Expr], *, covers: bool = False
    ) -> str:
        """Join columns that never change the rows (``table`` is unique on the keys of ``on``).

        Args:
            table: what is joined.
            on: by column of the table, what it equals.
            covers: whether it has one row for each thing of a domain, in ``a0``: then it takes
                the place of the domain.

        Returns:
            Alias of the table; its columns are ``NULL`` where it has no row.
        """
        place = on.get("a0")
        if covers and isinstance(place, exp.Column) and place.table in self._ranging:
            self._ranging.remove(place.table)
            position = [source.alias for source in self._sources].index(place.table)
            self._sources[position] = replace(self._sources[position], table=table)
            return place.table
        alias = self.fresh_alias()
        equalities = [exp.EQ(this=column(alias, k), expression=e.copy()) for k, e in on.items()]
        self._sources.append(JoinedTable(table, alias, tuple(equalities), left=True))
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
            elif isinstance(part, Or | Exists) and is_guarded(part):
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
        self.join_table(exp.Subquery(this=union(queries)), variables)

    def _atom(self, atom: Atom) -> exp.Expr:
        for place, argument in enumerate(atom.arguments):
            if isinstance(argument, Conditional):
                # one atom a choice: atoms in its condition would stand a level deeper otherwise,
                # where Spark's subqueries do not see this query
                before, after = atom.arguments[:place], atom.arguments[place + 1 :]
                one, other = (
                    self._atom(replace(atom, arguments=(*before, chosen, *after)))
                    for chosen in (argument.one, argument.other)
                )
                return _chosen(self.condition(argument.condition), one, other)
        child = self.child()
        nullable = [a for a in atom.arguments if isinstance(a, AttributeTerm | Operation)]
        child.join_table(self.relations.table(atom.predicate), atom.arguments)
        holds: exp.Expr = exp.Exists(this=child.select({"one": exp.Literal.number(1)}))
        if not nullable:
            return holds
        present = all_of([known(self.term(argument)) for argument in nullable])
        return grouped(exp.Case(ifs=[exp.If(this=present, true=holds)]))

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
                self._sources.append(one_row(self.fresh_alias()))
            self._attributes[key] = column(self.left_join(table, keys), "value")
        return self._attributes[key].copy()

    def _calendar(self, term: Operation) -> exp.Expr:
        """A function of the calendar: offsets of a time zone are joined as attributes are."""
        used = {variable.name for variable in free_variables(term)}
        if self._parent is not None and used <= self._outer:
            return self._parent.term(term)
        zone = term.operands[-1]
        operands = [self.term(o) for o in term.operands if o.sort != "string"]
        if not isinstance(zone, Constant) or zone.sort != "string":
            return operation(term.operator, operands, term.sort)
        name = ZONE + str(zone.value)

        def offset(at: exp.Expr) -> exp.Expr:
            key = (name, (at.sql(),))
            if key not in self._attributes:
                if not self._sources:
                    self._sources.append(one_row(self.fresh_alias()))
                alias = self.left_join(self.relations.table(name), {"a0": offset_key(at)})
                late = exp.LT(this=at.copy(), expression=column(alias, "change"))
                change = exp.Case(ifs=[exp.If(this=late, true=column(alias, "before"))])
                self._attributes[key] = grouped(change.else_(column(alias, "after")))
            return self._attributes[key].copy()

        return operation(term.operator, operands, term.sort, offset)

    def _listed(self, formula: Exists) -> exp.Expr:
        """``exists`` as a join with all settings of its free variables for which it holds."""
        free = free_variables(formula)
        inner = self.sibling()
        inner.satisfy(formula.body, (*free, *formula.variables))
        keys = {f"k{i}": inner.columns[variable.name] for i, variable in enumerate(free)}
        table = exp.Subquery(this=inner.select(keys, distinct=True))
        on = {key: self.term(variable) for key, variable in zip(keys, free, strict=True)}
        return known(column(self.left_join(table, on), "k0"))

    def _held(self, formula: Formula) -> exp.Expr:
        """1 where the formula is true, 0 where it is false or unknown."""
        true = exp.If(this=self.condition(formula), true=cast(exp.Literal.number(1), "bigint"))
        return grouped(exp.Case(ifs=[true], default=cast(exp.Literal.number(0), "bigint")))

    def _projected(self, table: exp.Expr, kept: Sequence[int]) -> exp.Expr:
        alias = self.fresh_alias()
        outputs: dict[str, exp.Expr] = {f"a{i}": column(alias, f"a{i}") for i in kept}
        outputs = outputs or {"one": exp.Literal.number(1)}
        return exp.Subquery(this=named(outputs).distinct().from_(aliased(table, alias)))

    def _own_aliases(self, expression: exp.Expr) -> set[str]:
        own = {source.alias for source in self._sources}
        return {c.table for c in expression.find_all(exp.Column) if c.table in own}

    def _in_order(self, sources: Sequence[JoinedTable]) -> list[JoinedTable]:
        in_order = ordered(sources)
        if not in_order or in_order[0].left:
            in_order.insert(0, one_row(self.fresh_alias()))
        return in_order


def _chosen(holds: exp.Expr, one: exp.Expr, other: exp.Expr) -> exp.Expr:
    """``one`` where the condition holds, ``other`` where it does not, else unknown."""
    ifs = [exp.If(this=exp.true(), true=one), exp.If(this=exp.false(), true=other)]
    return exp.Case(this=grouped(holds), ifs=ifs)


def _reaches_deep(query: exp.Select) -> bool:
    """Whether columns from outside stand below another subquery or an outer join of the query."""
    inside = {alias.name for alias in query.find_all(exp.TableAlias)}
    for place in query.find_all(exp.Column):
        if place.table in inside:
            continue
        above = place.parent
        while above is not None and above is not query:
            if isinstance(above, exp.Select) or (isinstance(above, exp.Join) and above.side):
                return True
            above = above.parent
    return False
