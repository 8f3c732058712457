"""Whether a program falls into parts that know nothing of each other, and by which things.

A key is a domain. Each of its things belongs to one part, each row of a table to the part of the
thing at one place of it, and rows without such a place to every part. A formula is *local* where
all rows it may read are of the part of one of its free variables: its truth is then the same in
that part as over all data. Where every rule and definition is local, and every unknown has a part,
the parts are independent: marginals of the whole are those of the parts, log Z is their sum.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice, product

from knowreason.grounding.plan.domain_products import ranging_variables
from knowreason.grounding.plan.range_restriction import guards
from knowreason.grounding.plan.rule_plan import plan_rule
from knowreason.logic import (
    Aggregate,
    And,
    Atom,
    Attribute,
    AttributeTerm,
    Constant,
    Definition,
    Directed,
    Exists,
    ForAll,
    Formula,
    Implies,
    Neutral,
    Not,
    Predicate,
    Program,
    Term,
    Variable,
)
from knowreason.logic.formulas import VALUE_SORTS
from knowreason.logic.rule_forms import neutral_form
from knowreason.logic.traversal import children, conjuncts, names_in, strong_components, walk

MOST = 256  # choices of places that are tried a key
Bindings = Mapping[str, str]  # variable name to the name that stands for all it is equal to


@dataclass(frozen=True)
class Owner:
    """Things of a domain that belong to a thing of the key: ``Logon(e, src: h)``, ``src(e)``.

    Attributes:
        relation: an observed predicate or an attribute.
        thing, key: places of the thing and of what it belongs to; an attribute's value comes after
            its arguments.
    """

    relation: str
    thing: int
    key: int


@dataclass(frozen=True)
class PartitionKey:
    """By what the tables of a program are divided.

    Attributes:
        domain: whose things the parts are made of.
        owners: by domain, how its things belong to one of the key; the data must have one each,
            in all tables the same.
        places: by predicate, attribute and definition, the place that says which part a row is
            in; what is absent is in every part.

    Example:
        >>> from knowreason.lang import loads
        >>> program = loads('''domain Account, Shop
        ... observed Buys(Account, Shop)
        ... query Bad(Account)
        ... rule likes [1] : Buys(a, _) => Bad(a)''')
        >>> keys, refused = partition_keys(program)
        >>> [(key.domain, dict(key.places)) for key in keys]
        [('Account', {'Buys': 0, 'Bad': 0})]
    """

    domain: str
    owners: Mapping[str, tuple[Owner, ...]]
    places: Mapping[str, int]


class NotLocal(Exception):
    """Why a program does not fall into parts by a key."""


def partition_keys(program: Program) -> tuple[list[PartitionKey], list[str]]:
    """Keys by which the program may be divided, and by domain why it is not: a sentence each.

    Keys without owners come first: nothing has to hold of the data for them.
    """
    found: list[PartitionKey] = []
    refused: list[str] = []
    for reason in _never(program):
        return [], [reason]
    for domain in program.domains:
        if domain.members is not None:
            continue
        nearest, before = (-1, f"no unknown is of a `{domain.name}`"), len(found)
        for key in islice(_choices(program, domain.name), MOST):
            check = _Check(program, key)
            try:
                found.append(check.complete())
            except NotLocal as reason:
                nearest = max((check.passed, str(reason)), nearest, key=lambda one: one[0])
        if len(found) == before:
            refused.append(f"by `{domain.name}`: {nearest[1]}")
    return sorted(found, key=lambda key: len(key.owners)), refused


def _never(program: Program) -> Iterator[str]:
    """What ties everything to everything, whatever the key."""
    if program.numeric_queries:
        yield f"`{program.numeric_queries[0].name}` is a numeric query, estimated from all rows"
    for rule in program.rules:
        if isinstance(rule.formula, Neutral | Directed) or neutral_form(rule.formula):
            yield f"rule `{rule.name}` keeps base rates, which are of all rows"
    for model in program.models:
        if model.call.kind != "column":
            yield f"model `{model.name}` may read other rows than its own"


def _choices(program: Program, domain: str) -> Iterator[PartitionKey]:
    """Places and owners that a key might have, those without owners first."""
    relations = [p for p in program.predicates if not p.is_open]
    tables: list[Predicate | Attribute] = [*relations, *program.given_attributes]
    wanted = dict.fromkeys(
        sort for p in program.open_predicates if domain not in p.sorts for sort in p.sorts
    )
    ways = [_ways(sort, domain, tables) for sort in wanted]
    for picked in product(*ways):
        owners = {sort: owner for sort, owner in zip(wanted, picked, strict=True) if owner}
        keyed = {
            table.name: places
            for table in tables
            if (places := _places(table.sorts, domain, owners))
        }
        fixed = {o.relation: o.key for o in chain(*owners.values()) if o.key in keyed[o.relation]}
        for choice in product(*keyed.values()):
            at = dict(zip(keyed, choice, strict=True))
            if all(at[name] == place for name, place in fixed.items()):
                yield PartitionKey(domain, owners, at)


def _ways(
    sort: str, domain: str, tables: Sequence[Predicate | Attribute]
) -> list[tuple[Owner, ...]]:
    """How things of a sort may belong to some of a domain: not, by an attribute, by a relation, by
    one of each that agree."""
    values = [
        Owner(table.name, 0, 1)
        for table in tables
        if isinstance(table, Attribute) and (table.sorts, table.sort) == ((sort,), domain)
    ]
    rows = [
        Owner(table.name, i, j)
        for table in tables
        if isinstance(table, Predicate)
        for i, own in enumerate(table.sorts)
        for j, other in enumerate(table.sorts)
        if own == sort and other == domain
    ]
    both = list(product(rows, values))
    return [(), *((one,) for one in values), *((one,) for one in rows), *both]


def _places(sorts: Sequence[str], domain: str, owners: Mapping[str, object]) -> list[int]:
    """Places of the key, or where there is none those of what belongs to it."""
    own = [i for i, sort in enumerate(sorts) if sort == domain]
    return own or [i for i, sort in enumerate(sorts) if sort in owners]


@dataclass
class _Check:
    """Completes a choice with the places of definitions and unknowns; raises what is not local."""

    program: Program
    key: PartitionKey
    places: dict[str, int] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)  # definitions that nothing may use
    fresh: int = 0
    passed: int = 0  # rules that are local

    def complete(self) -> PartitionKey:
        """The key with every place; raises :class:`NotLocal`."""
        program = self.program
        free = [p for p in program.open_predicates if p.within is None]
        self.places = {**self.key.places, **{p.name: self._place_of(p) for p in free}}
        for group in strong_components(self._uses()):
            self._define(group)
        self.places |= {p.name: self._place_of(p) for p in program.open_predicates}
        for predicate in program.predicates:
            if predicate.symmetric and predicate.name in self.places:
                raise NotLocal(f"`{predicate.name}` is symmetric: a row is of two parts")
        for predicate in program.open_predicates:
            self._check_unknown(predicate)
        for index, rule in enumerate(program.rules):
            what = f"rule `{rule.name}`"
            parts = [rule.formula, *([rule.weight.feature] if rule.weight.feature else [])]
            names = self._merged(rule.formula, {v.name: v.name for v in rule.variables})
            read = self._local(names, parts, {v.name for v in rule.variables}, what)
            if not read:
                raise NotLocal(f"{what} speaks of no `{self.key.domain}`")
            listed = plan_rule(program, index).guards
            self._demand_listed(listed, names, read.pop(), rule.variables, what)
            for variable in ranging_variables(listed, rule.variables):
                self._demand_complete(variable.sort, f"{what}: `{variable.name}`")
            self.passed += 1
        return PartitionKey(self.key.domain, self.key.owners, self.places)

    def _uses(self) -> dict[str, set[str]]:
        names = {definition.name for definition in self.program.definitions}
        return {d.name: names_in(d.body) & names for d in self.program.definitions}

    def _define(self, group: Sequence[str]) -> None:
        """Where the rows of a definition are, or why nothing may use it."""
        if len(group) > 1:
            self.refused |= {name: f"definition `{name}` is of itself by others" for name in group}
            return
        definition = self.program.definition(group[0])
        places = [i for i, p in enumerate(definition.parameters) if p.sort in self._keyed]
        for place in (*places, None):
            before = dict(self.places)
            if place is not None:  # of itself too, where it is recursive
                self.places[definition.name] = place
            try:
                self._check_definition(definition, place)
            except NotLocal as reason:
                self.places = before
                self.refused.setdefault(definition.name, str(reason))
                continue
            self.refused.pop(definition.name, None)
            return

    def _check_definition(self, definition: Definition, place: int | None) -> None:
        what, body, parameters = (
            f"definition `{definition.name}`",
            definition.body,
            definition.parameters,
        )
        names: Bindings = {p.name: p.name for p in parameters}
        if definition.is_predicate:
            names = self._merged(body, names)
        allowed = set() if place is None else {parameters[place].name}
        self._local(names, [body], allowed, what)
        if isinstance(body, Term):  # an attribute is looked up, never listed
            return
        if place is not None:
            name = parameters[place].name
            self._demand_listed(conjuncts(body), names, names.get(name, name), parameters, what)
        for parameter in parameters:
            if parameter.name not in guards(body):
                self._demand_complete(parameter.sort, f"{what}: `{parameter.name}`")

    def _place_of(self, predicate: Predicate) -> int:
        """The place of an unknown that says which part it is in."""
        if predicate.within is not None:
            self._refuse(predicate.within)
            place = self.places.get(predicate.within)
            if place is not None:
                place = self.program.candidate_places(predicate)[place]
        else:
            place = next(iter(_places(predicate.sorts, self.key.domain, self.key.owners)), None)
        if place is None:
            raise NotLocal(f"`{predicate.name}` is of no `{self.key.domain}`")
        return place

    def _check_unknown(self, predicate: Predicate) -> None:
        what, position = f"`{predicate.name}`", predicate.functional_position
        if self.places[predicate.name] == position:
            raise NotLocal(f"{what} has one `{predicate.sorts[position]}` of many")
        for place, sort in enumerate(predicate.sorts):
            if predicate.within is None or place == position:
                self._demand_complete(sort, what)

    def _demand_listed(
        self,
        listed: Sequence[Formula],
        names: Bindings,
        root: str,
        variables: Sequence[Variable],
        what: str,
    ) -> None:
        """Raise unless a part lists its own settings only: rows of the part bind its variable."""
        for atom in listed:
            if isinstance(atom, Atom) and atom.predicate in self.places:
                term = atom.arguments[self.places[atom.predicate]]
                if isinstance(term, Variable) and names.get(term.name) == root:
                    return
        for variable in variables:
            if names.get(variable.name) == root:
                self._demand_complete(variable.sort, f"{what}: `{variable.name}`")

    @property
    def _keyed(self) -> set[str]:
        return {self.key.domain, *self.key.owners}

    def _refuse(self, name: str) -> None:
        if name in self.refused:
            raise NotLocal(self.refused[name])

    def _merged(self, formula: Formula | Term, names: Bindings) -> Bindings:
        """Bindings where what an owner's atom ties together is one; the atom must hold for the
        rest of the formula to matter."""
        if isinstance(formula, Implies):
            formula = formula.left
        parts = conjuncts(formula) if isinstance(formula, And | Atom) else ()
        for atom in parts:
            if not isinstance(atom, Atom):
                continue
            for owner in chain(*self.key.owners.values()):
                if atom.predicate == owner.relation:
                    one = self._root(atom.arguments[owner.thing], names)
                    two = self._root(atom.arguments[owner.key], names)
                    if one and two:
                        names = _equal(names, one, two)
        return names

    def _root(self, term: Term, names: Bindings) -> str:
        """The variable whose part a term is of, or the name that stands for it; empty without."""
        if isinstance(term, Variable):
            return names.get(term.name, f"{term.name}#existential")
        if isinstance(term, AttributeTerm):
            for owner in chain(*self.key.owners.values()):
                if term.name == owner.relation:
                    return self._root(term.arguments[owner.thing], names)
        return ""

    def _local(
        self, names: Bindings, parts: Sequence[Formula | Term], allowed: set[str], what: str
    ) -> set[str]:
        """Which variables' parts are read: one of ``allowed``, or none.

        Raises:
            NotLocal: where rows of several things, or of a thing bound inside, are read.
        """
        read = {name for part in parts for name in self._read(part, names, what)}
        roots = {names.get(name, name) for name in allowed}
        for name in read - roots:
            shown = name.partition("#")[0]
            raise NotLocal(f"{what} reads rows of every `{self.key.domain}` (`{shown}`)")
        if len(read) > 1:
            both = " and ".join(f"`{name}`" for name in sorted(read))
            raise NotLocal(f"{what} joins rows of {both}, which may lie in two parts")
        return read

    def _read(self, node: Formula | Term, names: Bindings, what: str) -> Iterator[str]:
        """Variables at places that say which part is read, equal ones under one name."""
        if isinstance(node, And | Implies):
            names = self._merged(node, names)
        if isinstance(node, ForAll | Exists | Aggregate):
            self.fresh += 1
            names = {**names, **{v.name: f"{v.name}#{self.fresh}" for v in node.variables}}
            inner = node.body
            names = self._merged(inner, names)
            self._demand_bound(node, what)
        if isinstance(node, Atom | AttributeTerm):
            name = node.predicate if isinstance(node, Atom) else node.name
            self._refuse(name)
            if name in self.places:
                root = self._root(node.arguments[self.places[name]], names)
                if not root:
                    raise NotLocal(f"{what} reads `{name}` of no one `{self.key.domain}`")
                yield root
        for child in children(node):
            yield from self._read(child, names, what)

    def _demand_bound(self, node: ForAll | Exists | Aggregate, what: str) -> None:
        """Bound variables that no atom ties run over a domain, which must be whole in a part."""
        body = node.body
        if isinstance(node, ForAll):
            body = body.left if isinstance(body, Implies) else Not(body)
        tied = guards(body)
        for variable in node.variables:
            if variable.name not in tied:
                self._demand_complete(variable.sort, f"{what}: `{variable.name}`")

    def _demand_complete(self, sort: str, what: str) -> None:
        """Raise unless a part holds exactly its things of a domain (all, of one without parts)."""
        if sort in VALUE_SORTS or self.program.domain(sort).members is not None:
            return
        program, keyed = self.program, sort in self._keyed
        if keyed and any(sort == constant.sort for constant in _constants(program)):
            raise NotLocal(f"{what} is any `{sort}`, and the rules name one")
        tables: list[Predicate | Attribute] = [*program.predicates, *program.attributes]
        for table in tables:
            owners = [o for o in chain(*self.key.owners.values()) if o.relation == table.name]
            own = {place for owner in owners for place in (owner.thing, owner.key)}
            if table.name in self.places:
                own.add(self.places[table.name])
            elif not keyed and not (isinstance(table, Predicate) and table.is_open):
                continue  # in every part
            sorts = [*table.sorts, *([table.sort] if isinstance(table, Attribute) else [])]
            if sort in (named for place, named in enumerate(sorts) if place not in own):
                raise NotLocal(
                    f"{what} is any `{sort}`, and `{table.name}` names some beside those of a part"
                )


def _constants(program: Program) -> Iterator[Constant]:
    """Constants that become things of their domains."""
    for rule in program.rules:
        for part in (rule.formula, rule.weight.feature):
            yield from (n for n in walk(part) if isinstance(n, Constant)) if part else ()
    for definition in program.definitions:
        yield from (node for node in walk(definition.body) if isinstance(node, Constant))


def _equal(names: Bindings, first: str, second: str) -> Bindings:
    """Bindings under which what two names stand for is one; free variables go before others."""
    root = first if "#" not in first else second
    merged = {n: root if bound in (first, second) else bound for n, bound in names.items()}
    inner = [n.partition("#")[0] for n in (first, second) if n.endswith("#existential")]
    return {**merged, **dict.fromkeys(inner, root)}
