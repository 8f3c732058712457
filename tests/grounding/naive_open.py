"""Open formulas scored by substitution, one setting at a time.

Extends :mod:`tests.grounding.naive`: open atoms take their truth from a world, and a
grounding whose observed part leaves it unknown is dropped.
"""

from __future__ import annotations

from knowreason.logic import (
    Aggregate,
    And,
    Atom,
    Comparison,
    CountList,
    Exists,
    ForAll,
    Iff,
    Implies,
    Not,
    Or,
    Wildcard,
)
from knowreason.logic.traversal import walk
from tests.grounding.naive import NaiveWorld, compare

TRUE, FALSE, UNKNOWN, OPEN = "true", "false", "unknown", "open"


class NaiveOpen(NaiveWorld):
    """Scores worlds: ``known`` maps open atoms decided by evidence to their truth,
    ``open_atoms`` is the set of the others; ``world`` gives those their truth."""

    def set_atoms(self, known, open_atoms):
        self.known, self.open_atoms, self.world = known, open_atoms, {}
        self._is_open, self._states = {}, {}
        return self

    def score(self, rule, weight_of, world):
        """``(sum of w v f, number of groundings dropped, whether hard holds)``."""
        self.world = world
        total, dropped, holds = 0.0, 0, True
        for setting in self.settings(rule.variables):
            value = 1.0
            if rule.weight.feature is not None:
                value = self.value(rule.weight.feature, setting)
            if value is None or self.state(rule.formula, setting) == UNKNOWN:
                dropped += 1
                continue
            truth = self.holds(rule.formula, setting)
            if rule.weight.kind == "hard":
                holds &= truth
            elif truth:
                total += weight_of(rule, setting) * value
        return total, dropped, holds

    def is_open(self, part):
        if part not in self._is_open:
            atoms = (node for node in walk(part) if isinstance(node, Atom))
            self._is_open[part] = any(self.program.is_open(a.predicate) for a in atoms)
        return self._is_open[part]

    # -- before the open atoms are known -----------------------------------------

    def state(self, formula, setting):
        key = (formula, *setting.items())
        if key not in self._states:
            self._states[key] = self._state(formula, setting)
        return self._states[key]

    def _state(self, formula, setting):
        if not self.is_open(formula):
            return _of_truth(self.truth(formula, setting))
        match formula:
            case Atom():
                return self._open_atom_state(formula, setting)
            case Not():
                state = self.state(formula.operand, setting)
                return {TRUE: FALSE, FALSE: TRUE}.get(state, state)
            case And():
                return self._ranked(formula.operands, setting, (FALSE, UNKNOWN, OPEN, TRUE))
            case Or():
                return self._ranked(formula.operands, setting, (TRUE, UNKNOWN, OPEN, FALSE))
            case Implies():
                return self.state(Or((Not(formula.left), formula.right)), setting)
            case Iff():
                states = {self.state(formula.left, setting), self.state(formula.right, setting)}
                if UNKNOWN in states or OPEN in states:
                    return UNKNOWN if UNKNOWN in states else OPEN
                return TRUE if len(states) == 1 else FALSE
            case Exists():
                true, open_ = self._entries(formula.variables, formula.body, setting)
                return TRUE if true else OPEN if open_ else FALSE
            case ForAll():
                false, open_ = self._entries(formula.variables, Not(formula.body), setting)
                return FALSE if false else OPEN if open_ else TRUE
            case Comparison():
                return self._count_state(formula, setting)
        raise TypeError(formula)

    def _ranked(self, parts, setting, order):
        states = {self.state(part, setting) for part in parts}
        return next(state for state in order if state in states)

    def _open_atom_state(self, atom, setting):
        if any(isinstance(a, Wildcard) for a in atom.arguments):
            states = {self._key_state(key) for key in self._keys(atom, setting)}
            return TRUE if TRUE in states else OPEN if OPEN in states else FALSE
        key = tuple(self.value(a, setting) for a in atom.arguments)
        return UNKNOWN if None in key else self._key_state((atom.predicate, key))

    def _key_state(self, key):
        if key in self.known:
            return TRUE if self.known[key] else FALSE
        return OPEN if key in self.open_atoms else FALSE

    def _keys(self, atom, setting):
        fixed = [
            None if isinstance(a, Wildcard) else self.value(a, setting) for a in atom.arguments
        ]
        for predicate, key in [*self.known, *self.open_atoms]:
            if predicate == atom.predicate and all(
                isinstance(a, Wildcard) or f == k
                for a, f, k in zip(atom.arguments, fixed, key, strict=True)
            ):
                yield predicate, key

    def _entries(self, variables, body, setting):
        states = [self.state(body, setting | inner) for inner in self.settings(variables)]
        return states.count(TRUE), states.count(OPEN)

    def _count_state(self, formula, setting):
        operator, counted, bound = _sides(formula, self)
        limit = self.value(bound, setting)
        if limit is None:
            return UNKNOWN
        if isinstance(counted, CountList):
            states = [self.state(part, setting) for part in counted.formulas]
            true, open_ = states.count(TRUE), states.count(OPEN)
        else:
            true, open_ = self._entries(counted.variables, counted.body, setting)
        found = {compare(operator, true + extra, limit) for extra in range(open_ + 1)}
        return OPEN if len(found) > 1 else _of_truth(found.pop())

    # -- in a world --------------------------------------------------------------

    def holds(self, formula, setting):
        """Truth in the world, unknown entries of lists left out."""
        if not self.is_open(formula):
            return self.state(formula, setting) == TRUE
        match formula:
            case Atom():
                if any(isinstance(a, Wildcard) for a in formula.arguments):
                    return any(self._atom_holds(key) for key in self._keys(formula, setting))
                key = tuple(self.value(a, setting) for a in formula.arguments)
                return self._atom_holds((formula.predicate, key))
            case Not():
                return not self.holds(formula.operand, setting)
            case And():
                return all(self.holds(part, setting) for part in formula.operands)
            case Or():
                return any(self.holds(part, setting) for part in formula.operands)
            case Implies():
                return not self.holds(formula.left, setting) or self.holds(formula.right, setting)
            case Iff():
                return self.holds(formula.left, setting) == self.holds(formula.right, setting)
            case Exists():
                return self._count(formula.variables, formula.body, setting) > 0
            case ForAll():
                return self._count(formula.variables, Not(formula.body), setting) == 0
            case Comparison():
                operator, counted, bound = _sides(formula, self)
                if isinstance(counted, CountList):
                    number = sum(self._entry(part, setting) for part in counted.formulas)
                else:
                    number = self._count(counted.variables, counted.body, setting)
                return bool(compare(operator, number, self.value(bound, setting)))
        raise TypeError(formula)

    def _count(self, variables, body, setting):
        return sum(self._entry(body, setting | inner) for inner in self.settings(variables))

    def _entry(self, body, setting):
        return self.state(body, setting) != UNKNOWN and self.holds(body, setting)

    def _atom_holds(self, key):
        return self.known[key] if key in self.known else bool(self.world.get(key, False))


def _of_truth(truth):
    return UNKNOWN if truth is None else TRUE if truth else FALSE


def _sides(comparison, naive):
    flipped = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "=", "!=": "!="}
    if isinstance(comparison.left, Aggregate | CountList) and naive.is_open(comparison.left):
        return comparison.operator, comparison.left, comparison.right
    return flipped[comparison.operator], comparison.right, comparison.left
