"""Rules taken apart: what is given, what is tied, what a rule says of which atom."""

from __future__ import annotations

from dataclasses import dataclass

from knowreason.logic.formulas import And, Atom, Directed, Formula, Implies, Neutral, Not, Or
from knowreason.logic.programs import Program
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


@dataclass(frozen=True)
class HeadForm:
    """``body => head``: what a rule says of one atom, and where it says so.

    Attributes:
        head: the atom, of a query or latent predicate.
        says: whether it is true, rather than false.
        body: what must hold for that.
    """

    head: Atom
    says: bool
    body: Formula


def head_form(formula: Formula, program: Program) -> HeadForm | None:
    """What a rule says of which atom; ``None`` where it says nothing of one atom alone.

    Of ``body => Head``, ``body ~> Head`` and their like the head is on the right, where that is a
    literal of an open predicate. Else it is the only literal of a query predicate (or, without any,
    of a latent one) among the parts of an implication, a disjunction, or a conjunction: ``Head &
    body``. A literal alone is a base rate; an association ties and says nothing.

    >>> import knowreason as kr
    >>> program = kr.testing.example_program()
    >>> form = head_form(kr.lang.parse_formula(program, "Near(x, y) & Bad(x) => !Bad(y)"), program)
    >>> form.says, str(form.head.arguments[0].name)
    (False, 'y')
    """
    parts: list[Formula] = []
    while isinstance(formula, Implies | Directed):
        parts += [_negation(part) for part in conjuncts(formula.left)]
        formula = formula.right
    is_clause = bool(parts) or isinstance(formula, Or)
    last = formula.operands if isinstance(formula, Or) else conjuncts(formula)
    parts += [formula] if parts and isinstance(formula, And) else last
    literals = [(place, found) for place, part in enumerate(parts) if (found := _literal(part))]
    kinds = {place: program.kind_of(atom.predicate) for place, (atom, _) in literals}
    heads = [one for one in literals if kinds[one[0]] == "query"]
    heads = heads or [one for one in literals if kinds[one[0]] == "latent"]
    if is_clause and len(last) == 1 and kinds.get(len(parts) - 1) in ("query", "latent"):
        heads = literals[-1:]
    rest = [part for place, part in enumerate(parts) if heads and place != heads[0][0]]
    if len(heads) != 1 or not rest or any(isinstance(part, Neutral) for part in parts):
        return None
    body = [_negation(part) for part in rest] if is_clause else rest
    atom, sign = heads[0][1]
    return HeadForm(atom, sign > 0, body[0] if len(body) == 1 else And(tuple(body)))


def _negation(formula: Formula) -> Formula:
    return formula.operand if isinstance(formula, Not) else Not(formula)


def _literal(formula: Formula) -> tuple[Atom, float] | None:
    """An atom and its sign."""
    if isinstance(formula, Not):
        inner = _literal(formula.operand)
        return None if inner is None else (inner[0], -inner[1])
    return (formula, 1.0) if isinstance(formula, Atom) else None
