"""Files of Markov logic as statements; a fault costs its own statement only."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from lark import Lark, Token, Transformer, UnexpectedInput, v_args

from knowreason import logic as lg
from knowreason.diagnostics import Source, Span
from knowreason.importers.import_report import ImportReport

Dialect = Literal["alchemy", "pracmln", "tuffy", "lomrf"]

_QUOTED_OR_COMMENT = re.compile(r'("(?:\\.|[^"\\\n])*")|//[^\n]*|/\*.*?\*/', re.DOTALL)
_GOES_ON = re.compile(r"(=>|⇒|<=>|⇔|:-|[\^∧∨,!¬]|(?<=\s)v)\s*$")
_GOES_ON_BELOW = re.compile(r"\s*(=>|⇒|<=>|⇔|:-|[\^∧∨]|v\s)")


@dataclass(frozen=True)
class Declaration:
    """A predicate (or, with a result, a function) and the types of its arguments.

    Attributes:
        marks: of each argument: ``!`` exactly one, ``?`` at most one, or nothing.
        closed: whether a ``*`` before it says that what is not listed is false (Tuffy).
    """

    name: str
    types: tuple[str, ...]
    marks: tuple[str, ...] = ()
    closed: bool = False
    result: str = ""


@dataclass(frozen=True)
class Constants:
    """``type = { A, B }``."""

    type: str
    members: tuple[str, ...]


@dataclass(frozen=True)
class WeightedFormula:
    """A formula under its source's names.

    Attributes:
        weight: infinite for a hard one, ``None`` where it is to be learned.
        per: variables marked with ``+``.
        both: atoms marked with ``*``: once as they are, once negated.
        mixed: whether ``^`` and ``v`` meet without parentheses.
        clause: whether it is written ``head :- body``.
        overruled: whether it has a weight and yet ends in a full stop.
    """

    formula: lg.Formula
    weight: float | None
    per: tuple[str, ...] = ()
    both: tuple[lg.Atom, ...] = ()
    mixed: bool = False
    clause: bool = False
    overruled: bool = False


MlnStatement = Declaration | Constants | WeightedFormula


def read_statements(
    path: Path, dialect: Dialect, report: ImportReport
) -> Iterator[tuple[Span, MlnStatement]]:
    """Statements of a file and of what it includes; what is none is refused."""
    known: set[str] = set()
    yield from _read(path, dialect, report, known, set())


def without_comments(text: str) -> str:
    """The text with spaces for comments, so that everything stays where it is."""

    def blank(match: re.Match[str]) -> str:
        return match.group(1) or re.sub(r"[^\n]", " ", match.group())

    return _QUOTED_OR_COMMENT.sub(blank, text)


def _read(
    path: Path, dialect: Dialect, report: ImportReport, known: set[str], read: set[Path]
) -> Iterator[tuple[Span, MlnStatement]]:
    read.add(path.resolve())
    source = Source(str(path), path.read_text(encoding="utf-8-sig"))
    for span, text in _logical_lines(source):
        builder = _Nodes()
        try:
            found = builder.transform(_parser(dialect).parse(text))
        except UnexpectedInput as fault:
            report.refuse(span, fault)
            continue
        if isinstance(found, Path):
            other = path.parent / found
            if not other.is_file():
                report.add(span, reason=f"there is no file `{other}`", refused=True)
            elif other.resolve() not in read:
                report.add(span, became="what follows")
                yield from _read(other, dialect, report, known, read)
            continue
        statement = _declared(found, builder, known) or found
        if isinstance(statement, Declaration):
            known.add(statement.name)
        yield span, statement


def _logical_lines(source: Source) -> Iterator[tuple[Span, str]]:
    """Statements by place: a line, or several where parentheses or operators go on."""
    lines = without_comments(source.text).splitlines(keepends=True)
    number = start = 0
    while number < len(lines):
        count = _lines_of_statement(lines[number:])
        statement = "".join(lines[number : number + count])
        if statement.strip():
            first = start + len(statement) - len(statement.lstrip())
            yield Span(source, first, start + len(statement.rstrip())), statement.strip()
        start, number = start + len(statement), number + count


def _lines_of_statement(lines: list[str]) -> int:
    """How many lines the first statement takes: one where parentheses never close."""
    depth = 0
    for number, line in enumerate(lines):
        bare = re.sub(r'"(\\.|[^"\\])*"', "", line)
        depth += sum(map(bare.count, "({[")) - sum(map(bare.count, ")}]"))
        below = lines[number + 1] if number + 1 < len(lines) else ""
        if not below.strip():
            return 1 if depth > 0 else number + 1
        if depth <= 0 and not _GOES_ON.search(line) and not _GOES_ON_BELOW.match(below):
            return number + 1
    return 1


def _declared(found: object, builder: _Nodes, known: set[str]) -> Declaration | Constants | None:
    """A bare atom of a new predicate declares it; an equation with a set declares a type."""
    if isinstance(found, Declaration):
        return found
    if builder.members is not None:
        return builder.members
    if not isinstance(found, WeightedFormula) or found.weight is not None:
        return None
    atom = found.formula
    if not isinstance(atom, lg.Atom) or atom.predicate in known:
        return None
    if not all(isinstance(one, lg.Variable) for one in atom.arguments):
        return None
    return _declaration(atom, closed=bool(found.both))


def _declaration(atom: lg.Atom, **more: Any) -> Declaration:
    named = [one.name for one in atom.arguments if isinstance(one, lg.Variable)]
    types = tuple(name.rstrip("!?") for name in named)
    marks = tuple(name[len(type) :] for name, type in zip(named, types, strict=True))
    return Declaration(atom.predicate, types, marks, **more)


@cache
def _parser(dialect: Dialect) -> Lark:
    grammar = Path(__file__).with_name("mln.lark").read_text(encoding="utf-8")
    if dialect == "pracmln":
        names = {"OUTER.": "INNER.", "INNER.": "OUTER."}
        grammar = re.sub(r"^(OUTER|INNER)\.", lambda m: names[m.group()], grammar, flags=re.M)
    return Lark(grammar, parser="lalr", maybe_placeholders=False)


@v_args(inline=True)
class _Nodes(Transformer[Token, Any]):
    """Formulas of the tree, and on the way what marks say of the line."""

    def __init__(self) -> None:
        super().__init__()
        self.per: list[str] = []
        self.both: list[lg.Atom] = []
        self.members: Constants | None = None
        self.mixed = False
        self.is_clause = False
        self.grouped: set[int] = set()

    # ------------------------------------------------------------ statements

    def include(self, name: Token) -> Path:
        return Path(_unquoted(name))

    def function(self, result: Token, atom: lg.Atom) -> Declaration:
        return _declaration(atom, result=str(result))

    def weight(self, *parts: Token) -> float:
        if len(parts) == 1:
            return float(parts[0])
        if parts[0].type != "LOG":
            return float(parts[0])
        share = float(parts[1]) / (float(parts[2]) if len(parts) == 3 else 1.0)
        odds = share / (1 - share) if parts[0] == "logx" else share
        return math.log(odds) if odds > 0 else -math.inf

    def condition(self, formula: lg.Formula) -> lg.Implies:
        return lg.Implies(formula, lg.Truth(True))

    def rule(self, *parts: Any) -> WeightedFormula:
        weight: float | None = None
        formula: lg.Formula | None = None
        overruled = False
        for part in parts:
            if isinstance(part, float):
                weight = part
            elif isinstance(part, Token):
                overruled, weight = weight is not None, math.inf
            elif formula is None:
                formula = part
            else:  # a condition in brackets
                formula = lg.Implies(part.left, formula)
        assert formula is not None
        if weight == -math.inf:
            weight, formula = math.inf, lg.Not(formula)
        both, per = tuple(self.both), tuple(dict.fromkeys(self.per))
        return WeightedFormula(formula, weight, per, both, self.mixed, self.is_clause, overruled)

    def rule_weight_last(self, formula: lg.Formula, weight: Token) -> WeightedFormula:
        return self.rule(float(weight), formula)

    # ------------------------------------------------------------ formulas

    def formula(self, *parts: lg.Formula) -> lg.Formula:
        left = parts[0]
        for right in parts[1:]:
            left = lg.Iff(left, right)
        return left

    def implied(self, left: lg.Formula, right: lg.Formula) -> lg.Formula:
        return lg.Implies(left, right)

    def clause(self, head: lg.Formula, body: lg.Formula) -> lg.Formula:
        self.is_clause = True
        return lg.Implies(body, head)

    def listed(self, *parts: lg.Formula) -> lg.Formula:
        return lg.And(parts)

    def outer(self, *parts: Any) -> lg.Formula:
        loose = (part for part in parts[::2] if id(part) not in self.grouped)
        self.mixed |= any(isinstance(part, lg.And | lg.Or) for part in loose)
        return self.inner(*parts)

    def inner(self, *parts: Any) -> lg.Formula:
        return (lg.Or if parts[1] in ("v", "∨") else lg.And)(parts[::2])

    def group(self, formula: lg.Formula) -> lg.Formula:
        self.grouped.add(id(formula))
        return formula

    def negation(self, _: Token, formula: lg.Formula) -> lg.Formula:
        return lg.Not(formula)

    def binder(self, word: Token, *parts: Any) -> lg.Formula:
        node = lg.Exists if word[0] in "eE∃" else lg.ForAll
        return node(tuple(lg.Variable(str(name), "") for name in parts[:-1]), parts[-1])

    def either(self, atom: lg.Atom) -> lg.Formula:
        self.both.append(atom)
        return atom

    def comparison(self, left: lg.Term, operator: Token, right: Any) -> lg.Formula:
        if isinstance(right, tuple):
            assert isinstance(left, lg.Variable)
            self.members = Constants(left.name, right)
            return lg.Truth(True)
        if operator == "=":
            return lg.Comparison("=", left, right)
        if operator in ("!=", "=/="):
            return lg.Comparison("!=", left, right)
        return lg.Comparison(str(operator), left, right)  # type: ignore[arg-type]  # by grammar

    def atom(self, name: Token, *arguments: lg.Term) -> lg.Atom:
        return lg.Atom(str(name), arguments)

    # ------------------------------------------------------------ terms

    def plus(self, name: Token) -> lg.Term:
        self.per.append(str(name))
        return lg.Variable(str(name), "")

    def name(self, name: Token, mark: str = "") -> lg.Term:
        constant = name[0].isupper()
        return lg.Constant(str(name), "thing") if constant else lg.Variable(name + mark, "")

    def mark(self, mark: Token) -> str:
        return str(mark)

    def call(self, name: Token, *arguments: lg.Term) -> lg.Term:
        return lg.AttributeTerm(str(name), arguments, "")

    def string(self, text: Token) -> lg.Term:
        return lg.Constant(_unquoted(text), "thing")

    def number(self, text: Token) -> lg.Term:
        return lg.Constant(str(text), "thing")

    def set(self, *members: Token) -> tuple[str, ...]:
        if any(one.type == "DOTS" for one in members):
            first, last = int(members[0]), int(members[-1])
            return tuple(map(str, range(first, last + 1)))
        return tuple(_unquoted(one) for one in members)


def _unquoted(text: str) -> str:
    if text[:1] in ("'", '"'):
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    return str(text)
