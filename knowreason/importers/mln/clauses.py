"""Formulas as clauses, as systems do that share a weight among the clauses of its formula."""

from __future__ import annotations

from itertools import product

from knowreason import logic as lg

MOST_CLAUSES = 64


def clauses(formula: lg.Formula) -> list[lg.Formula] | None:
    """Clauses whose conjunction is the formula; those that are always true are left out.

    Quantified parts are literals, outermost ``forall`` excepted.

    Returns:
        ``None`` where there are more than :data:`MOST_CLAUSES`.
    """
    while isinstance(formula, lg.ForAll):
        formula = formula.body
    found = _clauses(formula, True)
    if found is None:
        return None
    kept = [c for c in found if not any(_negated(literal) in c for literal in c)]
    return [lg.Or(tuple(c)) if len(c) > 1 else next(iter(c)) for c in kept]


Clause = dict[lg.Formula, None]


def _clauses(formula: lg.Formula, positive: bool) -> list[Clause] | None:
    match formula:
        case lg.Not():
            return _clauses(formula.operand, not positive)
        case lg.Implies():
            return _clauses(lg.Or((lg.Not(formula.left), formula.right)), positive)
        case lg.Iff():
            one = lg.Implies(formula.left, formula.right)
            return _clauses(lg.And((one, lg.Implies(formula.right, formula.left))), positive)
        case lg.And() | lg.Or():
            parts = [_clauses(part, positive) for part in formula.operands]
            listed = [part for part in parts if part is not None]
            if len(listed) < len(parts):
                return None
            if isinstance(formula, lg.And) == positive:
                return _few([clause for part in listed for clause in part])
            return _distributed(listed)
        case _:
            return [{formula if positive else _negated(formula): None}]


def _distributed(parts: list[list[Clause]]) -> list[Clause] | None:
    found: list[Clause] = [{}]
    for part in parts:
        found = [one | other for one, other in product(found, part)]
        if len(found) > MOST_CLAUSES:
            return None
    return found


def _few(found: list[Clause]) -> list[Clause] | None:
    return found if len(found) <= MOST_CLAUSES else None


def _negated(formula: lg.Formula) -> lg.Formula:
    return formula.operand if isinstance(formula, lg.Not) else lg.Not(formula)
