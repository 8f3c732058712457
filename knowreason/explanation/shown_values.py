"""What things and groundings are in the data, as people write it: amounts, times, names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from knowreason.data import Dataset
from knowreason.explanation.explanation_text import FieldValue
from knowreason.grounding import GroundRule
from knowreason.grounding.arrays.array_relations import ArrayRelations
from knowreason.grounding.arrays.array_settings import ArraySettings
from knowreason.grounding.arrays.array_tables import BeyondArrays
from knowreason.grounding.arrays.scope_steps import FormulaScopes
from knowreason.grounding.relational.history_columns import Column
from knowreason.logic import (
    Aggregate,
    Atom,
    AttributeTerm,
    Constant,
    Formula,
    Operation,
    Program,
    Term,
    Variable,
)
from knowreason.logic.canonical_text import term_text
from knowreason.logic.thing_fields import usual_fields
from knowreason.logic.traversal import bound_variables, children, free_variables, substitute, walk
from knowreason.logic.value_texts import feature_texts, value_as_text

MOST_FIELDS = 8  # of a thing, where the project file names none
MOST_VALUES = 6  # of a rule in one grounding
MOST_NAMES = 3  # in one place of a fact
DEPTH = 2  # definitions in definitions that are read
COMPARED = ("-", "/")  # operations whose results people read, too: "2 days after"
Ids = NDArray[np.integer]


class ShownValues:
    """Reads fields of things and values of rules' terms, many at once.

    Args:
        program, data: what is explained.
        arrays: where the grounding was made in arrays, those.
        show: by domain, attributes, definitions, columns of features and named places of facts
            whose first place is the thing; where a domain is absent, its attributes, then columns
            and places, :data:`MOST_FIELDS` at most.

    Example:
        >>> import knowreason as kr
        >>> program = kr.loads('domain P\\nattribute age(P): int\\nquery Old(P)')
        >>> facts = {"age": {"p": ["anna"], "age": [31]}}
        >>> shown = ShownValues(program, kr.Dataset.from_frames(program, facts=facts))
        >>> shown.fields("Old", np.array([[0]]))
        [(FieldValue(name='age', text='31'),)]
    """

    def __init__(
        self,
        program: Program,
        data: Dataset,
        arrays: ArrayRelations | None = None,
        show: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self.program = program
        self.data = data
        self.arrays = arrays or ArrayRelations(FormulaScopes(program), data)
        self.show = show or {}
        self._terms: dict[int, list[Term]] = {}
        self._defined = {d.name: d for d in program.definitions}

    def fields(self, predicate: str, things: Ids) -> list[tuple[FieldValue, ...]]:
        """Fields of the things of atoms (``int[m, k]``), one tuple an atom."""
        sorts = self.program.sorts_of(predicate)
        columns: list[list[FieldValue | None]] = []
        for place, sort in enumerate(sorts):
            several = sorts.count(sort) > 1
            columns += self._of_things(sort, things[:, place], several)
        return [tuple(v for v in row if v is not None) for row in zip(*columns, strict=True)] or [
            ()
        ] * len(things)

    def of_groundings(
        self, groundings: Sequence[GroundRule], own: Sequence[Mapping[str, set[str]]]
    ) -> list[tuple[FieldValue, ...]]:
        """What the rule of each grounding reads there, and the fields that are to be shown of its
        other things.

        Args:
            groundings: of any rules.
            own: by domain, names of the asked atom's things: they need not be named again.
        """
        found: list[tuple[FieldValue, ...]] = [()] * len(groundings)
        by_rule: dict[int, list[int]] = {}
        for place, one in enumerate(groundings):
            if one.substitution:
                by_rule.setdefault(one.rule_index, []).append(place)
        for rule, places in by_rule.items():
            chosen = [groundings[place] for place in places]
            values = self._of_rule(rule, chosen, [own[place] for place in places])
            for place, read in zip(places, values, strict=True):
                found[place] = read
        return found

    # -- things ------------------------------------------------------------------

    def _of_things(
        self, sort: str, ids: Ids, named: bool | Sequence[bool]
    ) -> list[list[FieldValue | None]]:
        """Fields of things of one domain, one list a field; ``named`` says the thing as well."""
        names = self.data.vocabularies[sort].decode(ids).to_pylist()
        whose = [named] * len(names) if isinstance(named, bool) else named
        columns = []
        for name in self.show.get(sort, self._usual.get(sort, ())):
            texts = self._field(name, sort, ids)
            columns.append(
                [
                    None if text is None else FieldValue(f"{name}({n})" if said else name, text)
                    for text, n, said in zip(texts, names, whose, strict=True)
                ]
            )
        return columns

    @cached_property
    def _usual(self) -> dict[str, tuple[str, ...]]:
        found = {}
        for domain in self.program.domains:
            table = self.data.features.get(domain.name)
            columns = () if table is None else table.names
            found[domain.name] = usual_fields(self.program, columns, domain.name)[:MOST_FIELDS]
        return found

    def _field(self, name: str, sort: str, ids: Ids) -> list[str | None]:
        """Texts of one field; ``None`` where it has no value."""
        rows = len(ids)
        variable = Variable("x", sort)
        attribute = next((a for a in self.program.attributes if a.name == name), None)
        definition = self._defined.get(name)
        value_sort = None if definition is None else definition.sort
        value_sort = value_sort if attribute is None else attribute.sort
        if value_sort is not None:
            term = AttributeTerm(name, (variable,), value_sort)
            return self._texts(self._settings({"x": ids}, rows), term)
        if definition is not None:
            with suppress(BeyondArrays):
                held = self.arrays.holds(name, [np.asarray(ids, np.int64)], rows)
                return ["yes" if one else "no" for one in held.tolist()]
            return [None] * rows
        table = self.data.features.get(sort)
        if table is not None and name in table.names:
            place = table.names.index(name)
            return feature_texts(table.values[ids, place], table.categories[place])
        return self._place(name, sort, ids)

    def _place(self, name: str, sort: str, ids: Ids) -> list[str | None]:
        """Names in a named place of the facts whose first place is the thing."""
        for predicate in self.program.predicates:
            arguments = predicate.arguments
            if predicate.kind != "observed" or not arguments or arguments[0].sort != sort:
                continue
            for place, argument in enumerate(arguments[1:], start=1):
                if argument.name == name:
                    wanted = {0: np.asarray(ids, np.int64)}
                    left, columns = self.arrays.rows_of(predicate.name, wanted, len(ids))
                    names = self.data.vocabularies[argument.sort].decode(columns[place]).to_pylist()
                    return _listed(left, names, len(ids))
        return [None] * len(ids)

    # -- rules -------------------------------------------------------------------

    def _of_rule(
        self, index: int, groundings: Sequence[GroundRule], own: Sequence[Mapping[str, set[str]]]
    ) -> list[tuple[FieldValue, ...]]:
        rule, rows = self.program.rules[index], len(groundings)
        names = {v.name: [g.substitution[v.name] for g in groundings] for v in rule.variables}
        ids = {v.name: self.data.vocabularies[v.sort].ids(names[v.name]) for v in rule.variables}
        parts: list[Term | Formula] = [rule.formula]
        parts += [rule.weight.feature] if rule.weight.feature is not None else []
        settings = self._settings(ids, rows)
        columns = [
            column for part in parts for column in self._read(part, settings, names, own, DEPTH)
        ]
        for variable in rule.variables:
            if variable.sort in self.show:
                of_asked = [
                    name in things.get(variable.sort, ())
                    for name, things in zip(names[variable.name], own, strict=True)
                ]
                columns += [
                    [
                        None if known else value
                        for known, value in zip(of_asked, column, strict=True)
                    ]
                    for column in self._of_things(variable.sort, ids[variable.name], True)
                ]
        found = []
        for row in range(rows):
            values = [column[row] for column in columns]
            found.append(tuple(dict.fromkeys(v for v in values if v is not None))[:MOST_VALUES])
        return found

    def _read(
        self,
        part: Term | Formula,
        settings: ArraySettings,
        names: Mapping[str, Sequence[str]],
        own: Sequence[Mapping[str, set[str]]],
        depth: int,
    ) -> list[list[FieldValue | None]]:
        """Values of the terms of a formula, and of the definitions that it reads."""
        columns = []
        for term in readable_terms(part):
            if any(v.name not in names for v in free_variables(term)):
                continue
            if isinstance(term, Aggregate) and depth < DEPTH:
                continue  # the definition's own value says it
            texts = self._texts(settings, term)
            said = [self._said(term, names, own, row) for row in range(settings.rows)]
            columns.append(
                [None if t is None else FieldValue(s, t) for s, t in zip(said, texts, strict=True)]
            )
            if depth and isinstance(term, AttributeTerm) and term.name in self._defined:
                columns += self._inside(term.name, term.arguments, settings, names, own, depth)
        for node in walk(part):
            if depth and isinstance(node, Atom) and node.predicate in self._defined:
                columns += self._inside(node.predicate, node.arguments, settings, names, own, depth)
        return columns

    def _inside(
        self,
        name: str,
        arguments: Sequence[Term],
        settings: ArraySettings,
        names: Mapping[str, Sequence[str]],
        own: Sequence[Mapping[str, set[str]]],
        depth: int,
    ) -> list[list[FieldValue | None]]:
        """What a definition reads, where its arguments are variables: by the first rows in which
        a disjunct of it holds."""
        given = [a.name if isinstance(a, Variable) else "" for a in arguments]
        if not all(name in names for name in given):
            return []
        definition, rows = self._defined[name], settings.rows
        columns: list[list[FieldValue | None]] = []
        parameters = [p.name for p in definition.parameters]
        bound = {p: settings.columns[g] for p, g in zip(parameters, given, strict=True)}
        said = {p: names[g] for p, g in zip(parameters, given, strict=True)}
        body = self.arrays.scopes.body(self.arrays.scopes.definitions[name])
        if not isinstance(body, tuple):
            return self._read(body, self._settings(bound, rows), said, own, depth - 1)
        for branch in body:
            inner = ArraySettings(self.arrays, rows, dict(bound), np.arange(rows))
            try:
                inner.satisfy(branch, ())
            except BeyondArrays:
                continue
            assert inner.owner is not None
            owner, first = np.unique(inner.owner, return_index=True)
            if not len(first):
                continue
            inner.take(first)
            sorts = {v.name: v.sort for v in _variables(branch)}
            texts = {
                variable: self.data.vocabularies[sorts[variable]].decode(ids).to_pylist()
                for variable, ids in inner.columns.items()
                if variable in sorts
            }
            theirs = [own[row] for row in owner.tolist()]
            for column in self._read(branch, inner, texts, theirs, depth - 1):
                spread: list[FieldValue | None] = [None] * rows
                for row, value in zip(owner.tolist(), column, strict=True):
                    spread[row] = value
                columns.append(spread)
        return columns

    def _said(
        self,
        term: Term,
        names: Mapping[str, Sequence[str]],
        own: Sequence[Mapping[str, set[str]]],
        row: int,
    ) -> str:
        """``amount`` of the asked thing, ``opened(c7)`` of another; else the term as written."""
        if isinstance(term, AttributeTerm) and all(
            isinstance(a, Variable | Constant) for a in term.arguments
        ):
            things = [
                names[a.name][row] if isinstance(a, Variable) else str(getattr(a, "value", ""))
                for a in term.arguments
            ]
            sorts = self.program.sorts_of(term.name)
            mine = all(t in own[row].get(s, ()) for t, s in zip(things, sorts, strict=True))
            return term.name if mine else f"{term.name}({', '.join(things)})"
        free = free_variables(term)
        return term_text(
            substitute(term, {v.name: Constant(names[v.name][row], v.sort) for v in free})
        )

    # -- values ------------------------------------------------------------------

    def _settings(self, columns: Mapping[str, Ids], rows: int) -> ArraySettings:
        return self.arrays.settings({n: np.asarray(c, np.int64) for n, c in columns.items()}, rows)

    def _texts(self, settings: ArraySettings, term: Term) -> list[str | None]:
        """The term in each row, as people write it; ``None`` where it is not known."""
        try:
            column = settings.term(term)
        except BeyondArrays:
            return [None] * settings.rows
        return self._written(column, getattr(term, "sort", "float"))

    def _written(self, column: Column, sort: str) -> list[str | None]:
        if sort in self.data.vocabularies:
            ids = np.maximum(column.values, 0)
            texts: list[str] = self.data.vocabularies[sort].decode(ids).to_pylist()
        else:
            texts = [
                value_as_text(value, sort, self.program.zone) for value in column.values.tolist()
            ]
        if column.known is None:
            return list(texts)
        return [t if k else None for t, k in zip(texts, column.known.tolist(), strict=True)]


def readable_terms(part: Term | Formula) -> list[Term]:
    """The outermost terms that read data, and the attributes in what is computed of them, whose
    variables nothing in ``part`` binds."""
    found: list[Term] = []

    def visit(node: Term | Formula, bound: frozenset[str]) -> None:
        reads = isinstance(node, AttributeTerm | Aggregate)
        computed = (
            isinstance(node, Operation)
            and node.operator in COMPARED
            and any(isinstance(inner, AttributeTerm | Aggregate) for inner in walk(node))
        )
        if reads or computed:
            if not any(v.name in bound for v in free_variables(node)):
                assert not isinstance(node, Formula)
                found.append(node)
            if reads:
                return
        inside = bound | {v.name for v in bound_variables(node)}
        for child in children(node):
            visit(child, inside)

    visit(part, frozenset())
    return list(dict.fromkeys(found))


def _variables(formula: Formula) -> list[Variable]:
    return [node for node in walk(formula) if isinstance(node, Variable)]


def _listed(left: Ids, names: Sequence[str], rows: int) -> list[str | None]:
    """Names of each row in one text."""
    found: list[list[str]] = [[] for _ in range(rows)]
    for row, name in zip(left.tolist(), names, strict=True):
        if name not in found[row]:
            found[row].append(name)
    return [
        None
        if not own
        else ", ".join(own[:MOST_NAMES])
        + (f" and {len(own) - MOST_NAMES} more" if len(own) > MOST_NAMES else "")
        for own in found
    ]
