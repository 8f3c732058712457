"""Formulas and terms evaluated by substitution, one setting at a time.

Slow and plain: the yardstick for everything the relational engine and the fold do.
Truth values are ``True``, ``False`` and ``None`` (unknown); a missing value is ``None``.
Things are ids. Atoms of open predicates are looked up in ``facts`` too.
"""

from __future__ import annotations

import calendar
import math
import re
from datetime import UTC, datetime, timedelta
from itertools import product
from zoneinfo import ZoneInfo

from knowreason.data.id_tables import id_matrix
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
    Truth,
    Variable,
    Wildcard,
)
from knowreason.logic.traversal import free_variables, names_in


class NaiveWorld:
    """A program with its facts (sets of id tuples) and attributes (dicts by id tuple)."""

    def __init__(self, program, sizes, facts, attributes, ids=None):
        self.program = program
        self.sizes = sizes
        self.facts = facts
        self.attributes = attributes
        self.ids = ids or (lambda domain, name: -1)
        self._defined = {}

    @classmethod
    def of(cls, program, data):
        """From a Dataset (or anything with its ``vocabularies``, ``facts``, ``attributes``)."""

        def settings(table):
            return list(map(tuple, id_matrix(table).tolist()))

        facts = {name: set(settings(table)) for name, table in data.facts.items()}
        attributes = {
            name: dict(zip(settings(table), table.column("value").to_pylist(), strict=True))
            for name, table in data.attributes.items()
        }
        return cls(
            program,
            {domain: len(vocabulary) for domain, vocabulary in data.vocabularies.items()},
            facts,
            attributes,
            lambda domain, name: int(data.vocabularies[domain].ids([name])[0]),
        )

    def settings(self, variables):
        """Every setting of the variables, as dicts name -> id."""
        ranges = [range(self.sizes[variable.sort]) for variable in variables]
        for values in product(*ranges):
            yield {v.name: value for v, value in zip(variables, values, strict=True)}

    def solutions(self, formula, variables):
        """Sorted id tuples of the settings for which the formula is true."""
        names = [variable.name for variable in variables]
        return sorted(
            tuple(s[name] for name in names)
            for s in self.settings(variables)
            if self.truth(formula, s) is True
        )

    def truth(self, formula, setting):
        match formula:
            case Truth():
                return formula.value
            case Atom():
                return self._atom(formula, setting)
            case BooleanTerm():
                return self.value(formula.term, setting)
            case Comparison():
                return compare(
                    formula.operator,
                    self.value(formula.left, setting),
                    self.value(formula.right, setting),
                )
            case Not():
                truth = self.truth(formula.operand, setting)
                return None if truth is None else not truth
            case And():
                return conjunction([self.truth(part, setting) for part in formula.operands])
            case Or():
                return disjunction([self.truth(part, setting) for part in formula.operands])
            case Implies():
                return self.truth(Or((Not(formula.left), formula.right)), setting)
            case Iff():
                left, right = self.truth(formula.left, setting), self.truth(formula.right, setting)
                return None if left is None or right is None else left == right
            case Exists():
                return any(
                    self.truth(formula.body, setting | inner) is True
                    for inner in self.settings(formula.variables)
                )
            case ForAll():
                return not any(
                    self.truth(formula.body, setting | inner) is False
                    for inner in self.settings(formula.variables)
                )
        raise TypeError(formula)

    def value(self, term, setting):
        match term:
            case Variable():
                return setting[term.name]
            case Constant():
                if term.sort in VALUE_SORTS:
                    return term.value
                return self.ids(term.sort, term.value)
            case ParameterTerm():
                return self.value(self.program.parameter_value(term.name), setting)
            case AttributeTerm():
                key = tuple(self.value(argument, setting) for argument in term.arguments)
                return self.attribute(term.name).get(key)
            case Operation(operator="missing"):
                return self.value(term.operands[0], setting) is None
            case Operation():
                operands = [self.value(operand, setting) for operand in term.operands]
                return None if None in operands else operate(term.operator, operands, term.sort)
            case ConstantSet():
                return tuple(self.value(member, setting) for member in term.members)
            case Conditional():
                truth = self.truth(term.condition, setting)
                branch = term.one if truth else term.other
                return None if truth is None else self.value(branch, setting)
            case CountList():
                return sum(self.truth(part, setting) is True for part in term.formulas)
            case Aggregate():
                return self._aggregate(term, setting)
        raise TypeError(term)

    def predicate(self, name):
        """Id tuples for which an observed or defined predicate is true."""
        if any(definition.name == name for definition in self.program.definitions):
            if name not in self._defined:
                self._fix(name)
            return self._defined[name]
        return self.facts.get(name, set())

    def attribute(self, name):
        """Values of an attribute or defined attribute by id tuple."""
        if any(definition.name == name for definition in self.program.definitions):
            if name not in self._defined:
                definition = self.program.definition(name)
                values = {
                    tuple(s.values()): self.value(definition.body, s)
                    for s in self.settings(definition.parameters)
                }
                self._defined[name] = {k: v for k, v in values.items() if v is not None}
            return self._defined[name]
        return {
            k: v
            for k, v in self.attributes.get(name, {}).items()
            if v is not None and not (isinstance(v, float) and math.isnan(v))
        }

    def _fix(self, name):
        """All predicates that this one needs, from nothing on until none grows."""
        needed, pending = {}, [name]
        while pending:
            one = pending.pop()
            body = next((d.body for d in self.program.definitions if d.name == one), None)
            if isinstance(body, Formula) and one not in needed:
                needed[one] = body
                pending += names_in(body)
        circles = [n for n in needed if self._needs(n, name)] or [name]
        for one in circles:
            self._defined[one] = set()
        grown = True
        while grown:
            grown = False
            for one in circles:
                definition = self.program.definition(one)
                names = {parameter.name for parameter in definition.parameters}
                loose = tuple(v for v in free_variables(definition.body) if v.name not in names)
                body = Exists(loose, definition.body) if loose else definition.body
                found = set(self.solutions(body, definition.parameters))
                grown |= found != self._defined[one]
                self._defined[one] = found

    def _needs(self, name, other):
        """Whether a definition needs another one, through any others."""
        bodies = {d.name: d.body for d in self.program.definitions}
        reached, pending = set(), [name]
        while pending:
            new = names_in(bodies[pending.pop()]) & set(bodies) - reached
            reached |= new
            pending += new
        return other in reached

    def _atom(self, atom, setting):
        places = [i for i, a in enumerate(atom.arguments) if not isinstance(a, Wildcard)]
        key = tuple(self.value(atom.arguments[i], setting) for i in places)
        if None in key:
            return None
        rows = self.predicate(atom.predicate)
        return any(tuple(row[i] for i in places) == key for row in rows)

    def _aggregate(self, term, setting):
        inside = {v.name for v in term.variables} | set(setting)
        loose = tuple(v for v in free_variables(term.body) if v.name not in inside)
        body = Exists(loose, term.body) if loose else term.body
        rows = [
            setting | inner
            for inner in self.settings(term.variables)
            if self.truth(body, setting | inner) is True
        ]
        if term.last is not None:
            keyed = [
                (self.value(term.by, row), tuple(row[v.name] for v in term.variables), row)
                for row in rows
            ]
            keyed = sorted((r for r in keyed if r[0] is not None), key=lambda r: r[:2])
            limit = self.value(term.last, setting)
            rows = [row for _, _, row in keyed[max(0, len(keyed) - limit) :]]
        if term.kind == "count":
            return len(rows)
        if isinstance(term.value, Formula):
            values = [self.truth(term.value, row) for row in rows]
            values = [None if value is None else int(value) for value in values]
        else:
            values = [self.value(term.value, row) for row in rows]
        values = [value for value in values if value is not None]
        if term.kind == "rate":
            prior = self.value(term.prior, setting) if term.prior is not None else 0.0
            strength = self.value(term.strength, setting) if term.strength is not None else 0.0
            if len(values) + strength == 0:
                return None
            return (sum(values) + prior * strength) / (len(values) + strength)
        if term.kind == "sum":
            return sum(values)
        if not values:
            return None
        result = {"min": min, "max": max, "avg": lambda v: sum(v) / len(v)}[term.kind](values)
        return round(result) if term.sort in ("int", "time", "duration") else result


def compare(operator, left, right):
    if left is None or right is None:
        return None
    if operator == "in":
        return left in right
    return {
        "=": left == right,
        "!=": left != right,
        "<": left < right,
        "<=": left <= right,
        ">": left > right,
        ">=": left >= right,
    }[operator]


def conjunction(truths):
    return False if False in truths else None if None in truths else True


def disjunction(truths):
    return True if True in truths else None if None in truths else False


def operate(operator, operands, sort):
    first, *rest = operands
    second = rest[0] if rest else None
    match operator:
        case "hour" | "weekday" | "month":
            shown = _shown(first, second)
            return shown.isoweekday() if operator == "weekday" else getattr(shown, operator)
        case "add_months" | "subtract_months":
            return _months_later(first, second * (-1) ** (operator != "add_months"), *rest[1:])
        case "starts_with":
            return first.startswith(second)
        case "matches":
            return bool(re.search(second.replace("$", r"\Z"), first, re.ASCII))
        case "+":
            return first + second
        case "-":
            return first - second
        case "*":
            result = first * second
        case "/":
            result = first / second if second else None
        case "neg":
            return -first
        case "abs":
            return abs(first)
        case "floor":
            result = math.floor(first)
        case "log":
            result = math.log(first) if first > 0 else None
        case "log1p":
            result = math.log1p(first) if first > -1 else None
        case "exp":
            result = math.exp(first) if first <= 709 else None
        case "sqrt":
            result = math.sqrt(first) if first >= 0 else None
        case "min":
            return min(operands)
        case "max":
            return max(operands)
    if result is not None and sort in ("int", "time", "duration"):
        return round(result)
    return result


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def _shown(micros, zone):
    return (EPOCH + micros * MICROSECOND).astimezone(ZoneInfo(zone or "UTC"))


def _months_later(micros, months, zone="UTC"):
    """The same day and time of another month, its last day where it has no such day."""
    shown = _shown(micros, zone)
    year, month = divmod(shown.year * 12 + shown.month - 1 + months, 12)
    day = min(shown.day, calendar.monthrange(year, month + 1)[1])
    there = shown.replace(year=year, month=month + 1, day=day, fold=0)
    again = there.replace(fold=1)
    if there.utcoffset() != shown.utcoffset() == again.utcoffset():
        there = again if again.astimezone(UTC).astimezone(there.tzinfo) == again else there
    return (there - EPOCH) // MICROSECOND
