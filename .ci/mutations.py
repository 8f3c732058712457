"""Mutants of a source file: the same program with one place changed."""

from __future__ import annotations

import ast
import difflib
import hashlib
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "knowreason"
COMPARED = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
OPERATED = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Mod: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitAnd, ast.LShift: ast.RShift, ast.RShift: ast.LShift,
}  # fmt: skip
OPPOSITE = {ast.Lt: ast.GtE, ast.LtE: ast.Gt, ast.Gt: ast.LtE, ast.GtE: ast.Lt}
# Keyword arguments that change no result.
WITHOUT_EFFECT = {"strict", "cache", "copy", "frozen", "slots", "eq", "stacklevel", "non_blocking"}


@dataclass(frozen=True)
class Mutant:
    """One change: bytes ``start`` to ``end`` of a file become ``text``."""

    package: str
    file: str
    line: int
    operator: str
    start: int
    end: int
    text: str
    digest: str

    @property
    def key(self) -> str:
        return f"{self.file}:{self.start}:{self.end}:{self.text}:{self.digest}"

    def apply(self, source: bytes) -> bytes:
        return source[: self.start] + self.text.encode() + source[self.end :]

    def diff(self) -> str:
        source = (ROOT / self.file).read_bytes()
        one, other = source.decode().splitlines(), self.apply(source).decode().splitlines()
        lines = difflib.unified_diff(one, other, self.file, self.operator, n=1, lineterm="")
        return "\n".join(lines)


class Sites:
    """All changes of one file, found by walking its tree."""

    def __init__(self, package: str, path: Path) -> None:
        self.package, self.file = package, path.relative_to(ROOT).as_posix()
        self.source = path.read_bytes()
        self.starts = [0]
        for line in self.source.splitlines(keepends=True):
            self.starts.append(self.starts[-1] + len(line))
        self.digest = hashlib.sha256(self.source).hexdigest()[:12]
        self.found: list[Mutant] = []
        self.walk(ast.parse(self.source))

    def add(self, node: ast.expr | ast.stmt, operator: str, text: str) -> None:
        start = self.starts[node.lineno - 1] + node.col_offset
        end = self.starts[(node.end_lineno or node.lineno) - 1] + (node.end_col_offset or 0)
        self.found.append(
            Mutant(self.package, self.file, node.lineno, operator, start, end, text, self.digest)
        )

    def swap(self, node: ast.expr, operator: str, **changed: object) -> None:
        fields = {name: getattr(node, name) for name in node._fields}
        self.add(node, operator, f"({ast.unparse(type(node)(**{**fields, **changed}))})")

    def children(self, node: ast.AST) -> Iterator[ast.AST]:
        """What may be changed inside: no decorators, annotations, texts, arguments of errors."""
        for name, value in ast.iter_fields(node):
            if name in ("decorator_list", "annotation", "returns", "type_params"):
                continue
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    yield child

    def walk(self, node: ast.AST) -> None:
        if isinstance(node, ast.JoinedStr | ast.Import | ast.ImportFrom | ast.Assert):
            return
        if isinstance(node, ast.Raise):
            self.add(node, "removed", "pass")
            return
        if isinstance(node, ast.keyword) and node.arg in WITHOUT_EFFECT:
            return
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            return
        if isinstance(node, ast.Assign) and "__all__" in map(ast.unparse, node.targets):
            return
        change = getattr(self, type(node).__name__, None)
        if change is not None:
            change(node)
        for child in self.children(node):
            self.walk(child)

    def Compare(self, node: ast.Compare) -> None:
        # `<=` for `<` is another program where both may be equal: seldom with floats.
        kind = type(node.ops[0])
        whole = _is_whole(node.left) or _is_whole(node.comparators[0])
        changed = COMPARED[kind] if whole else OPPOSITE.get(kind, COMPARED[kind])
        self.swap(node, "comparison", ops=[changed(), *node.ops[1:]])

    def BinOp(self, node: ast.BinOp) -> None:
        texts = [side for side in (node.left, node.right) if _is_text(side)]
        if type(node.op) in OPERATED and not texts:
            self.swap(node, "operation", op=OPERATED[type(node.op)]())

    def AugAssign(self, node: ast.AugAssign) -> None:
        self.add(node, "removed", "pass")

    def BoolOp(self, node: ast.BoolOp) -> None:
        self.swap(node, "and/or", op=ast.Or() if isinstance(node.op, ast.And) else ast.And())

    def UnaryOp(self, node: ast.UnaryOp) -> None:
        if isinstance(node.op, ast.Not):
            self.add(node, "negation", f"({ast.unparse(node.operand)})")
        elif not isinstance(node.operand, ast.Constant):
            self.add(node, "sign", f"({ast.unparse(node.operand)})")

    def Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, bool):
            self.add(node, "constant", str(not node.value))
        elif isinstance(node.value, int | float) and abs(node.value) < 2**31:  # else: bits to mix
            step = -1 if node.value and (node.lineno + node.col_offset) % 2 else 1
            self.add(node, "constant", f"({node.value + step})")

    def condition(self, node: ast.If | ast.While | ast.IfExp) -> None:
        if not isinstance(node.test, ast.Compare | ast.UnaryOp | ast.Constant):
            self.add(node.test, "negation", f"(not ({ast.unparse(node.test)}))")

    If = While = IfExp = condition

    def comprehension(self, node: ast.comprehension) -> None:
        for test in node.ifs:
            if not isinstance(test, ast.Compare | ast.UnaryOp):
                self.add(test, "negation", f"(not ({ast.unparse(test)}))")

    def Return(self, node: ast.Return) -> None:
        if node.value is not None and ast.unparse(node.value) != "None":
            self.add(node.value, "returned", "None")

    def Expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):
            self.add(node, "removed", "pass")

    def Assign(self, node: ast.Assign) -> None:
        if all(isinstance(target, ast.Subscript | ast.Attribute) for target in node.targets):
            self.add(node, "removed", "pass")

    def Continue(self, node: ast.Continue) -> None:
        self.add(node, "removed", "pass")

    def Break(self, node: ast.Break) -> None:
        self.add(node, "removed", "continue")

    def Slice(self, node: ast.Slice) -> None:
        for bound, step in ((node.lower, "+ 1"), (node.upper, "- 1")):
            if bound is not None and not isinstance(bound, ast.Constant):
                self.add(bound, "slice", f"({ast.unparse(bound)}) {step}")


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (
        isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def _is_whole(node: ast.expr) -> bool:
    if isinstance(node, ast.Constant):
        return isinstance(node.value, int)
    return any(word in ast.unparse(node) for word in ("len(", "size", "shape", "count"))


def drawn(packages: list[str], count: int, seed: int) -> list[Mutant]:
    """The first ``count`` of all mutants in an order that the seed sets."""
    every = []
    for package in packages:
        files = sorted((ROOT / PACKAGE / package).rglob("*.py"))
        if not files:
            sys.exit(f"no package {PACKAGE}/{package}")
        every += [mutant for path in files for mutant in Sites(package, path).found]
    random.Random(seed).shuffle(every)
    return every[:count]
