"""Rules of probabilistic soft logic: logical ones as formulas, arithmetic ones as two sides."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from lark import Lark, Token, Transformer, UnexpectedInput, v_args

from knowreason import logic as lg
from knowreason.diagnostics import Source, Span
from knowreason.importers.import_report import ImportReport
from knowreason.logic.traversal import walk

_COMMENT = re.compile(r"(\"[^\"\n]*\"|'[^'\n]*')|//[^\n]*|#[^\n]*|/\*.*?\*/", re.DOTALL)


@dataclass(frozen=True)
class Linear:
    """One side of an arithmetic rule: atoms with coefficients, and a number.

    Attributes:
        atoms: each with its coefficient and the variables that are summed over (``+B``).
    """

    atoms: tuple[tuple[float, lg.Atom], ...]
    number: float


@dataclass(frozen=True)
class PslRule:
    """A rule as it is written; ``body`` is a formula, or two sides and what is between them."""

    body: lg.Formula | tuple[Linear, str, Linear]
    weight: float | None
    squared: bool
    hard: bool
    summed: tuple[str, ...]

    @property
    def atoms(self) -> list[lg.Atom]:
        """Every atom, as often as it stands."""
        if isinstance(self.body, tuple):
            left, _, right = self.body
            return [atom for _, atom in (*left.atoms, *right.atoms)]
        return [node for node in walk(self.body) if isinstance(node, lg.Atom)]


def rule_lines(source: Source) -> list[tuple[Span, str]]:
    """Lines of a rule file by place, without comments."""
    text = _COMMENT.sub(lambda m: m.group(1) or re.sub(r"[^\n]", " ", m.group()), source.text)
    lines = re.finditer(r"^[ \t]*(\S.*?)[ \t]*$", text, re.MULTILINE)
    return [(Span(source, *line.span(1)), line.group(1)) for line in lines]


def read_rules(report: ImportReport, spans: list[tuple[Span, str]]) -> list[tuple[Span, PslRule]]:
    """Rules by place; what is none is refused."""
    found = []
    for span, text in spans:
        try:
            found.append((span, _Rules().transform(_parser().parse(text))))
        except UnexpectedInput as fault:
            report.refuse(span, fault)
    return found


@cache
def _parser() -> Lark:
    grammar = Path(__file__).with_name("psl.lark").read_text(encoding="utf-8")
    return Lark(grammar, parser="lalr", maybe_placeholders=False)


@v_args(inline=True)
class _Rules(Transformer[Token, Any]):
    def __init__(self) -> None:
        super().__init__()
        self.summed_over: list[str] = []

    def start(self, *parts: Any) -> PslRule:
        kinds = {part.type: part for part in parts if isinstance(part, Token)}
        body = next(part for part in parts if not isinstance(part, Token))
        weight = float(kinds["NUMBER"]) if "NUMBER" in kinds else None
        squared = "SQUARED" in kinds and kinds["SQUARED"].endswith("2")
        return PslRule(body, weight, squared, "DOT" in kinds, tuple(self.summed_over))

    def implication(self, body: lg.Formula, head: lg.Formula) -> lg.Formula:
        return lg.Implies(body, head)

    def backwards(self, head: lg.Formula, body: lg.Formula) -> lg.Formula:
        return lg.Implies(body, head)

    def either(self, *parts: lg.Formula) -> lg.Formula:
        return lg.Or(parts)

    def both(self, *parts: lg.Formula) -> lg.Formula:
        return lg.And(parts)

    def negation(self, formula: lg.Formula) -> lg.Formula:
        return lg.Not(formula)

    def same(self, left: lg.Term, right: lg.Term) -> lg.Formula:
        return lg.Comparison("=", left, right)

    def different(self, left: lg.Term, right: lg.Term) -> lg.Formula:
        return lg.Comparison("!=", left, right)

    def atom(self, name: Token, *arguments: lg.Term) -> lg.Atom:
        return lg.Atom(str(name), arguments)

    def variable(self, name: Token) -> lg.Term:
        return lg.Variable(str(name), "")

    def summed(self, name: Token) -> lg.Term:
        self.summed_over.append(str(name))
        return lg.Variable(str(name), "")

    def string(self, text: Token) -> lg.Term:
        return lg.Constant(str(text)[1:-1], "thing")

    def arithmetic(
        self, left: Linear, operator: Token, right: Linear
    ) -> tuple[Linear, str, Linear]:
        return left, str(operator), right

    def item(self, *parts: Any) -> tuple[float, lg.Atom | None]:
        atom = parts[-1] if isinstance(parts[-1], lg.Atom) else None
        number = float(parts[0]) if isinstance(parts[0], Token) else 1.0
        return number, atom

    def linear(self, *parts: Any) -> Linear:
        atoms, number = [], 0.0
        for sign, (amount, atom) in zip(("+", *parts[1::2]), parts[::2], strict=True):
            signed = amount if sign == "+" else -amount
            if atom is None:
                number += signed
            else:
                atoms.append((signed, atom))
        return Linear(tuple(atoms), number)
