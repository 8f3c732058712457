"""The propositional skeleton of a formula: its leaves, truth table and canonical names.

A leaf is an atom, a comparison, a Boolean term or a whole quantifier or count. Its text is
kept as a template with a hole for each free variable, so that it can be read under other
names without looking at the formula again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations, product
from math import factorial, prod
from typing import Any

from knowreason.logic import formulas as fm
from knowreason.logic.canonical_text import value_text

HOLE = "\x00"
MAX_LEAVES = 12  # 2^12 rows of a truth table
_MAX_RENAMINGS = 24


@dataclass(frozen=True, slots=True)
class Leaf:
    """A leaf with holes for its variables.

    Attributes:
        template: text in which each free variable is :data:`HOLE`.
        variables: the variables of the holes, in order.
        commutes: whether two holes may change places (``x = y``, a symmetric predicate).
        predicate: name of the predicate of an atom, else empty.
    """

    template: str
    variables: tuple[str, ...]
    commutes: bool = False
    predicate: str = ""

    def text(self, names: Mapping[str, str]) -> str:
        """The leaf under other names for its variables."""
        labels = [names.get(variable, variable) for variable in self.variables]
        if self.commutes:
            labels.sort()
        text = self.template
        for label in labels:
            text = text.replace(HOLE, label, 1)
        return text


Literal = tuple[bool, Leaf]
_FLIPPED = {"!=": "=", ">=": "<", ">": "<="}


class Leaves:
    """Makes leaves; knows which predicates are symmetric."""

    def __init__(self, symmetric: Collection[str] = ()) -> None:
        self._symmetric = frozenset(symmetric)

    def literal(self, node: fm.Formula) -> Literal:
        """Sign and leaf of a formula that is no connective."""
        positive = True
        if isinstance(node, fm.Atom):
            out: list[str] = []
            variables: list[str] = []
            for argument in node.arguments:
                if argument.__class__ is fm.Variable:
                    variables.append(argument.name)
                    out.append(HOLE)
                else:
                    out.append(_template(argument, variables, ()))
            template = f"{node.predicate}({','.join(out)})"
            commutes = len(variables) == 2 and node.predicate in self._symmetric
            return True, Leaf(template, tuple(variables), commutes, node.predicate)
        if isinstance(node, fm.Comparison):
            return self._comparison(node)
        variables = []
        return positive, Leaf(_template(node, variables, ()), tuple(variables))

    def _comparison(self, node: fm.Comparison) -> Literal:
        operator = _FLIPPED.get(node.operator, node.operator)
        left_variables: list[str] = []
        right_variables: list[str] = []
        left = _template(node.left, left_variables, ())
        right = _template(node.right, right_variables, ())
        if operator == "=" and right < left:
            left, right = right, left
            left_variables, right_variables = right_variables, left_variables
        names = (*left_variables, *right_variables)
        commutes = operator == "=" and left == right and len(left_variables) == 1
        return operator == node.operator, Leaf(f"{left}{operator}{right}", names, commutes)


def clause(formula: fm.Formula, leaves: Leaves) -> list[Literal] | None:
    """Literals of which one must hold, or ``None`` when the formula is no clause."""
    literals: list[Literal] = []
    return literals if _clause(formula, True, leaves, literals) else None


def _clause(node: fm.Formula, positive: bool, leaves: Leaves, found: list[Literal]) -> bool:
    if isinstance(node, fm.Not):
        return _clause(node.operand, not positive, leaves, found)
    if isinstance(node, fm.Implies):
        return (
            positive
            and _clause(node.left, False, leaves, found)
            and _clause(node.right, True, leaves, found)
        )
    if isinstance(node, fm.And | fm.Or):
        return positive == isinstance(node, fm.Or) and all(
            _clause(operand, positive, leaves, found) for operand in node.operands
        )
    if isinstance(node, fm.Iff | fm.Neutral | fm.Directed | fm.Truth):
        return False
    sign, leaf = leaves.literal(node)
    found.append((sign == positive, leaf))
    return True


# ---------------------------------------------------------------- truth tables


@dataclass(frozen=True)
class Skeleton:
    """A formula over numbered leaves; ``table`` has bit ``r`` set where row ``r`` makes it true."""

    leaves: tuple[Leaf, ...]
    table: int

    @property
    def never_false(self) -> bool:
        """Whether every row is true."""
        return self.table == (1 << (1 << len(self.leaves))) - 1

    @property
    def never_true(self) -> bool:
        """Whether no row is true."""
        return self.table == 0


def skeleton(formula: fm.Formula, leaves: Leaves) -> Skeleton | None:
    """Truth table over the leaves, or ``None`` over :data:`MAX_LEAVES`."""
    numbers: dict[str, int] = {}
    atoms: list[Leaf] = []
    shape = _shape(formula, leaves, numbers, atoms)
    if len(atoms) > MAX_LEAVES:
        return None
    return Skeleton(tuple(atoms), _table(shape, columns(len(atoms)), (1 << (1 << len(atoms))) - 1))


def columns(count: int) -> list[int]:
    """Column of each leaf in a truth table: bit ``r`` is bit ``i`` of the row number ``r``."""
    rows = 1 << count
    out = []
    for i in range(count):
        block = ((1 << (1 << i)) - 1) << (1 << i)
        period = 1 << (i + 1)
        out.append(sum(block << shift for shift in range(0, rows, period)))
    return out


def _shape(
    node: fm.Formula, leaves: Leaves, numbers: dict[str, int], known: list[Leaf]
) -> tuple[Any, ...]:
    """The formula with a number in place of each leaf."""

    def below(part: fm.Formula) -> tuple[Any, ...]:
        return _shape(part, leaves, numbers, known)

    if isinstance(node, fm.Not):
        return ("!", below(node.operand))
    if isinstance(node, fm.And | fm.Or):
        return ("&" if isinstance(node, fm.And) else "|", *map(below, node.operands))
    if isinstance(node, fm.Implies | fm.Directed):
        return ("|", ("!", below(node.left)), below(node.right))
    if isinstance(node, fm.Iff | fm.Neutral):
        return ("=", below(node.left), below(node.right))
    if isinstance(node, fm.Truth):
        return ("true" if node.value else "false",)
    positive, leaf = leaves.literal(node)
    text = leaf.text({})
    number = numbers.setdefault(text, len(known))
    if number == len(known):
        known.append(leaf)
    return ("leaf", number) if positive else ("!", ("leaf", number))


def _table(shape: tuple[Any, ...], column: Sequence[int], full: int) -> int:
    operator, *parts = shape
    if operator == "leaf":
        return column[int(parts[0])]
    if operator in ("true", "false"):
        return full if operator == "true" else 0
    values = [_table(part, column, full) for part in parts]
    if operator == "!":
        return full ^ values[0]
    if operator == "=":
        return full ^ values[0] ^ values[1]
    result = values[0]
    for value in values[1:]:
        result = result & value if operator == "&" else result | value
    return result


# ---------------------------------------------------------------- canonical names


def canonical_clause(literals: Iterable[Literal]) -> tuple[tuple[str, ...], dict[str, str]]:
    """A clause up to order and names of variables: sorted texts, and the new names.

    Two clauses get the same texts when one is the other renamed (for more than
    24 ways to order like literals, only some of these are recognised). Variables are
    named where their order counts first.
    """
    groups: dict[tuple[bool, bool, str], list[Literal]] = {}
    for literal in literals:
        sign, leaf = literal
        groups.setdefault((leaf.commutes, sign, leaf.template), []).append(literal)
    ordered = [groups[key] for key in sorted(groups)]
    ways = prod(factorial(len(group)) for group in ordered)
    if ways == 1 or ways > _MAX_RENAMINGS:
        return _renamed([literal for group in ordered for literal in group])
    orders = product(*(permutations(group) for group in ordered))
    return min(
        (_renamed([literal for group in order for literal in group]) for order in orders),
        key=lambda pair: pair[0],
    )


def _renamed(literals: Sequence[Literal]) -> tuple[tuple[str, ...], dict[str, str]]:
    names: dict[str, str] = {}
    for _, leaf in literals:
        for variable in leaf.variables:
            if variable not in names:
                names[variable] = f"?{len(names)}"
    texts = sorted(("" if sign else "!") + leaf.text(names) for sign, leaf in literals)
    return tuple(texts), names


def canonical_text(formula: fm.Formula, leaves: Leaves, names: Mapping[str, str]) -> str:
    """Text of a formula under other names, with the sides of ``& | <=>`` in one order."""

    def text(node: fm.Formula) -> str:
        if isinstance(node, fm.Not):
            return f"!({text(node.operand)})"
        if isinstance(node, fm.And | fm.Or):
            sign = " & " if isinstance(node, fm.And) else " | "
            return f"({sign.join(sorted(map(text, node.operands)))})"
        if isinstance(node, fm.Implies):
            return f"({text(node.left)} => {text(node.right)})"
        if isinstance(node, fm.Directed):
            return f"({text(node.left)} ~> {node.how} {text(node.right)})"
        if isinstance(node, fm.Iff):
            return f"({' <=> '.join(sorted((text(node.left), text(node.right))))})"
        if isinstance(node, fm.Neutral):
            return f"({' <~> '.join(sorted((text(node.left), text(node.right))))})"
        if isinstance(node, fm.Truth):
            return str(node.value)
        positive, leaf = leaves.literal(node)
        return leaf.text(names) if positive else f"!({leaf.text(names)})"

    return text(formula)


def term_template(term: fm.Term) -> Leaf:
    """A term with holes for its variables."""
    variables: list[str] = []
    return Leaf(_template(term, variables, ()), tuple(variables))


# ---------------------------------------------------------------- templates


def _template(node: Any, variables: list[str], bound: tuple[str, ...]) -> str:
    """Text of any node, free variables as holes and bound ones by their depth."""
    return _TEMPLATES[node.__class__](node, variables, bound)


def _many(nodes: Iterable[Any], variables: list[str], bound: tuple[str, ...]) -> str:
    return ",".join(_template(node, variables, bound) for node in nodes)


def _variable(node: fm.Variable, variables: list[str], bound: tuple[str, ...]) -> str:
    if node.name in bound:
        return f"#{bound.index(node.name)}"
    variables.append(node.name)
    return HOLE


def _named(name: str) -> Callable[[Any, list[str], tuple[str, ...]], str]:
    def text(node: Any, variables: list[str], bound: tuple[str, ...]) -> str:
        return f"{getattr(node, name)}({_many(node.arguments, variables, bound)})"

    return text


def _infix(operator: str) -> Callable[[Any, list[str], tuple[str, ...]], str]:
    def text(node: Any, variables: list[str], bound: tuple[str, ...]) -> str:
        left = _template(node.left, variables, bound)
        return f"({left}{operator}{_template(node.right, variables, bound)})"

    return text


def _comparison(node: fm.Comparison, variables: list[str], bound: tuple[str, ...]) -> str:
    return _infix(node.operator)(node, variables, bound)


def _listed(sign: str) -> Callable[[Any, list[str], tuple[str, ...]], str]:
    def text(node: Any, variables: list[str], bound: tuple[str, ...]) -> str:
        return f"{sign}({_many(node.operands, variables, bound)})"

    return text


def _binder(node: Any, variables: list[str], bound: tuple[str, ...]) -> str:
    inside = (*bound, *(variable.name for variable in node.variables))
    kind = getattr(node, "kind", node.__class__.__name__)
    sorts = ",".join(variable.sort for variable in node.variables)
    parts = [node.body]
    if isinstance(node, fm.Aggregate):
        parts += [p for p in (node.value, node.by) if p is not None]
        outside = [p for p in (node.last, node.prior, node.strength) if p is not None]
        kind += _many(outside, variables, bound)
    return f"{kind}[{sorts}]({_many(parts, variables, inside)})"


_TEMPLATES: dict[type, Callable[[Any, list[str], tuple[str, ...]], str]] = {
    fm.Variable: _variable,
    fm.Wildcard: lambda node, variables, bound: "_",
    fm.Constant: lambda n, v, b: value_text(n.value, n.sort).replace(HOLE, "\\0"),
    fm.ParameterTerm: lambda node, variables, bound: node.name,
    fm.AttributeTerm: _named("name"),
    fm.ConstantSet: lambda n, v, b: ",".join(sorted(_template(m, v, b) for m in n.members)),
    fm.Conditional: lambda n, v, b: f"if({_many((n.condition, n.one, n.other), v, b)})",
    fm.Operation: lambda n, v, b: f"{n.operator}({_many(n.operands, v, b)})",
    fm.Aggregate: _binder,
    fm.CountList: lambda n, v, b: f"count({_many(n.formulas, v, b)})",
    fm.Truth: lambda node, variables, bound: str(node.value),
    fm.Atom: _named("predicate"),
    fm.BooleanTerm: lambda n, v, b: _template(n.term, v, b),
    fm.Comparison: _comparison,
    fm.Not: lambda n, v, b: f"!({_template(n.operand, v, b)})",
    fm.And: _listed("&"),
    fm.Or: _listed("|"),
    fm.Implies: _infix("=>"),
    fm.Iff: _infix("<=>"),
    fm.Neutral: _infix("<~>"),
    fm.Directed: lambda n, v, b: _infix(f"~> {n.how} ")(n, v, b),
    fm.ForAll: _binder,
    fm.Exists: _binder,
}
