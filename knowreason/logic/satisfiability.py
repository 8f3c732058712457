"""Whether clauses over numbered propositions can hold together (a small DPLL)."""

from __future__ import annotations

from collections.abc import Sequence

Clause = frozenset[int]  # a literal is +i or -i, i from 1


def satisfiable(clauses: Sequence[Clause], budget: int = 2_000) -> bool:
    """Whether some assignment makes every clause true.

    Gives up, and says yes, after ``budget`` branchings.
    """
    counter = [budget]
    return _search(list(clauses), counter)


def _search(clauses: list[Clause], counter: list[int]) -> bool:
    while True:
        unit = next((clause for clause in clauses if len(clause) <= 1), None)
        if unit is None:
            break
        if not unit:
            return False
        clauses = _assume(clauses, next(iter(unit)))
    if not clauses:
        return True
    counter[0] -= 1
    if counter[0] < 0:
        return True
    shortest: Clause = min(clauses, key=lambda clause: len(clause))
    literal = min(shortest)
    return _search(_assume(clauses, literal), counter) or _search(
        _assume(clauses, -literal), counter
    )


def _assume(clauses: list[Clause], literal: int) -> list[Clause]:
    """The clauses that stay when the literal is true."""
    return [clause - {-literal} for clause in clauses if literal not in clause]


def smallest_conflict(sets: Sequence[Sequence[Clause]]) -> list[int]:
    """Indices of clause sets that cannot hold together, none of which can be left out."""
    conflict = list(range(len(sets)))
    for index in range(len(sets)):
        rest = [i for i in conflict if i != index]
        if not satisfiable([clause for i in rest for clause in sets[i]]):
            conflict = rest
    return conflict
