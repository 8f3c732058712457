"""Rules that are more than one weighted formula, taken apart: what is given, what is tied."""

from __future__ import annotations

from dataclasses import dataclass

from knowreason.logic.formulas import Atom, Formula, Implies, Neutral, Not
from knowreason.logic.traversal import conjuncts


@dataclass(frozen=True)
class NeutralForm:
    """``given & (left <~> right)``: an association of two literals.

    Attributes:
        given: what must hold for the two to be associated.
        left, right: the atoms.
        sign: 1, or -1 where one side is negated and the other is not.
    """

    given: tuple[Formula, ...]
    left: Atom
    right: Atom
    sign: float


def neutral_form(formula: Formula) -> NeutralForm | None:
    """The parts of ``C & (A <~> B)`` or ``C => (A <~> B)``; ``None`` where it is no such rule."""
    given: tuple[Formula, ...] = ()
    if isinstance(formula, Implies):
        given, formula = conjuncts(formula.left), formula.right
    parts = conjuncts(formula)
    ties = [part for part in parts if isinstance(part, Neutral)]
    if len(ties) != 1:
        return None
    left, right = _literal(ties[0].left), _literal(ties[0].right)
    if left is None or right is None:
        return None
    given += tuple(part for part in parts if part is not ties[0])
    return NeutralForm(given, left[0], right[0], left[1] * right[1])


def _literal(formula: Formula) -> tuple[Atom, float] | None:
    """An atom and its sign."""
    if isinstance(formula, Not):
        inner = _literal(formula.operand)
        return None if inner is None else (inner[0], -inner[1])
    return (formula, 1.0) if isinstance(formula, Atom) else None
