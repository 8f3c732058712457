"""What the propositional skeletons of rules say: truths, contradictions, repetitions.

Everything is found through hashed canonical forms, so that ten thousand rules take a
fraction of a second.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

from knowreason.diagnostics import Diagnostic, Related, Severity
from knowreason.lang.check.symbols import is_capital, name_span
from knowreason.lang.lint.rule_shapes import Shape
from knowreason.logic.propositional_form import (
    Leaves,
    Literal,
    Skeleton,
    canonical_clause,
    canonical_text,
    skeleton,
    term_template,
)
from knowreason.logic.satisfiability import Clause, satisfiable, smallest_conflict

_LARGEST_CONFLICT = 400  # rules of a connected set in which a contradiction is looked for
_LONGEST_CLAUSE = 8


def truths(shapes: Sequence[Shape], leaves: Leaves) -> Iterator[Diagnostic]:
    """Rules that can never be false, or never be true."""
    for shape in shapes:
        if shape.clause is not None and _all_different(shape.clause):
            continue  # a clause of different leaves is neither
        table = skeleton(shape.rule.formula, leaves)
        if table is None:
            continue
        name = shape.rule.name
        if table.never_false:
            yield Diagnostic(
                "KR401",
                f"rule `{name}` can never be false, so it says nothing",
                "warning",
                shape.rule.formula.span,
            )
        elif table.never_true:
            yield Diagnostic(
                "KR402",
                f"rule `{name}` can never be true",
                _gravity([shape]) if _hard(shape) else "warning",
                shape.rule.formula.span,
                "no world satisfies it" if _hard(shape) else "it changes nothing",
            )


def _gravity(shapes: Sequence[Shape]) -> Severity:
    """A contradiction is certain unless a missing value may drop the grounding."""
    valued = any(not is_capital(name) for shape in shapes for name in shape.names)
    return "warning" if valued else "error"


def _all_different(literals: Sequence[Literal]) -> bool:
    leaves = {
        (leaf.template, tuple(sorted(leaf.variables)) if leaf.commutes else leaf.variables)
        for _, leaf in literals
    }
    return len(leaves) == len(literals)


# ---------------------------------------------------------------- contradictions


def contradictions(shapes: Sequence[Shape], leaves: Leaves) -> Iterator[Diagnostic]:
    """Smallest sets of hard rules that no world satisfies.

    The variables of each rule are named in order of appearance within their domain, which
    makes one common grounding of all rules; if that has no model, the rules have none.
    """
    numbers: dict[str, int] = {}
    hard: list[tuple[Shape, list[Clause]]] = []
    for shape in shapes:
        if shape.rule.weight.kind == "hard":
            clauses = _ground_clauses(shape, leaves, numbers)
            if clauses is not None and frozenset() not in clauses:
                hard.append((shape, clauses))
    for members in _connected([clauses for _, clauses in hard]):
        sets = [hard[member][1] for member in members]
        if len(members) > _LARGEST_CONFLICT or satisfiable([c for s in sets for c in s]):
            continue
        conflict = [hard[members[index]][0] for index in smallest_conflict(sets)]
        yield _conflict(conflict)


def _conflict(conflict: Sequence[Shape]) -> Diagnostic:
    *others, last = sorted(
        conflict, key=lambda shape: shape.rule.span.start if shape.rule.span else 0
    )
    names = ", ".join(f"`{shape.rule.name}`" for shape in (*others, last))
    related = [(name_span(shape.rule), f"`{shape.rule.name}`") for shape in others]
    return Diagnostic(
        "KR403",
        f"hard rules contradict each other: {names}",
        _gravity(conflict),
        name_span(last.rule),
        "no world satisfies all of these",
        tuple(Related(span, text) for span, text in related if span is not None),
        "make one of them soft or narrower",
    )


def _ground_clauses(shape: Shape, leaves: Leaves, numbers: dict[str, int]) -> list[Clause] | None:
    counts: dict[str, int] = {}
    names: dict[str, str] = {}
    for variable in shape.rule.variables:
        number = counts[variable.sort] = counts.get(variable.sort, 0) + 1
        names[variable.name] = f"?{variable.sort}{number}"

    def number_of(text: str) -> int:
        return numbers.setdefault(text, len(numbers) + 1)

    if shape.clause is not None:
        literals = {
            number_of(leaf.text(names)) * (1 if sign else -1) for sign, leaf in shape.clause
        }
        return [] if any(-literal in literals for literal in literals) else [frozenset(literals)]
    table = skeleton(shape.rule.formula, leaves)
    if table is None or table.never_true:  # reported by itself
        return None
    atoms = [number_of(leaf.text(names)) for leaf in table.leaves]
    return _forbidden_rows(table, atoms)


def _forbidden_rows(table: Skeleton, atoms: Sequence[int]) -> list[Clause]:
    """One clause for each false row of a truth table."""
    return [
        frozenset(-atom if row >> bit & 1 else atom for bit, atom in enumerate(atoms))
        for row in range(1 << len(atoms))
        if not table.table >> row & 1
    ]


def _connected(sets: Sequence[Sequence[Clause]]) -> list[list[int]]:
    """Indices of the sets that share propositions, directly or through others."""
    parent = list(range(len(sets)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    owner: dict[int, int] = {}
    for index, clauses in enumerate(sets):
        for atom in {abs(literal) for clause in clauses for literal in clause}:
            parent[root(index)] = root(owner.setdefault(atom, index))
    grouped: dict[int, list[int]] = {}
    for index in range(len(sets)):
        grouped.setdefault(root(index), []).append(index)
    return list(grouped.values())


# ---------------------------------------------------------------- repetitions


def repetitions(shapes: Sequence[Shape], leaves: Leaves) -> Iterator[Diagnostic]:
    """Rules that are there twice, and rules that follow from a shorter one."""
    first: dict[object, Shape] = {}
    forms: dict[tuple[str, ...], list[Shape]] = {}
    for shape in shapes:
        texts, names = _form(shape, leaves)
        if shape.clause is not None:
            forms.setdefault(texts, []).append(shape)
        key = (texts, *_weight_key(shape, names))
        earlier = first.setdefault(key, shape)
        if earlier is not shape:
            yield _repeated(earlier, shape)
    yield from _subsumed(shapes, forms)


def _form(shape: Shape, leaves: Leaves) -> tuple[tuple[str, ...], dict[str, str]]:
    if shape.clause is not None:
        return canonical_clause(shape.clause)
    names = {v.name: f"?{i}" for i, v in enumerate(shape.rule.variables)}
    return (canonical_text(shape.rule.formula, leaves, names),), names


def _weight_key(shape: Shape, names: dict[str, str]) -> tuple[object, ...]:
    weight = shape.rule.weight
    feature = "" if weight.feature is None else term_template(weight.feature).text(names)
    return feature, tuple(sorted(names[variable.name] for variable in weight.per))


def _repeated(known: Shape, shape: Shape) -> Diagnostic:
    earlier_name = name_span(known.rule)
    return Diagnostic(
        "KR404",
        f"rule `{shape.rule.name}` says the same as `{known.rule.name}`",
        "warning",
        name_span(shape.rule),
        "the same up to names of variables",
        (Related(earlier_name, "said here first"),) if earlier_name else (),
        "leave one of them out",
    )


def _subsumed(
    shapes: Sequence[Shape], forms: dict[tuple[str, ...], list[Shape]]
) -> Iterator[Diagnostic]:
    """Clauses that hold a shorter clause; a soft clause of one literal is a base rate."""
    shorter = {
        _signature(shape.clause)
        for same in forms.values()
        for shape in same
        if shape.clause and _may_subsume(shape)
    }
    sizes = sorted({len(signature) for signature in shorter})
    for shape in shapes:
        literals = shape.clause
        if literals is None or not 1 < len(literals) <= _LONGEST_CLAUSE:
            continue
        if not _all_different(literals):
            continue
        stronger = _subsumer(shape, literals, shorter, sizes, forms)
        if stronger is not None:
            yield _follows(stronger, shape)


def _subsumer(
    shape: Shape,
    literals: Sequence[Literal],
    shorter: set[tuple[tuple[bool, str], ...]],
    sizes: Sequence[int],
    forms: dict[tuple[str, ...], list[Shape]],
) -> Shape | None:
    ordered = sorted(literals, key=lambda literal: (literal[0], literal[1].template))
    signs = [(sign, leaf.template) for sign, leaf in ordered]
    for size in sizes:
        for picked in combinations(range(len(ordered)), size if size < len(ordered) else 0):
            if tuple([signs[i] for i in picked]) in shorter:
                subset = [ordered[i] for i in picked]
                for other in forms.get(canonical_clause(subset)[0], ()):
                    if _may_subsume(other) and (_hard(other) or not _hard(shape)):
                        return other
    return None


def _signature(literals: Sequence[Literal] | None) -> tuple[tuple[bool, str], ...]:
    return tuple(sorted((sign, leaf.template) for sign, leaf in literals or ()))


def _hard(shape: Shape) -> bool:
    return shape.rule.weight.kind == "hard"


def _may_subsume(shape: Shape) -> bool:
    weight = shape.rule.weight
    plain = weight.feature is None and not weight.per
    return _hard(shape) or (plain and shape.clause is not None and len(shape.clause) > 1)


def _follows(known: Shape, shape: Shape) -> Diagnostic:
    earlier_name = name_span(known.rule)
    hard = _hard(known)
    return Diagnostic(
        "KR405",
        f"rule `{shape.rule.name}` holds wherever `{known.rule.name}` does",
        "warning" if hard else "hint",
        name_span(shape.rule),
        "so it says nothing" if hard else "where both hold, their weights add up",
        (Related(earlier_name, "the shorter rule"),) if earlier_name else (),
        None,
    )
