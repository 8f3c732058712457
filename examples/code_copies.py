"""Near-copies of functions: program dependence graphs of the standard library, pair by pair.

    python examples/code_copies.py [--pairs 160] [--seed 0]

Functions are read by Python's own `ast` from its standard library. A near-copy has other names
of variables, lost some statements and gained some of another function, and some of its calls go
elsewhere; what is no copy is a function of like length from the same module. Each pair is one small
graph: its statements, which of them control and feed which others (a program dependence graph),
and which of the two functions are alike, with how alike as a feature of the message. The network is
told which pairs are copies for half of the functions; rules count calls and constants in common.
"""

from __future__ import annotations

import argparse
import ast
import importlib.util
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
from three_ways import ranked, show, three_ways

import knowreason as kr
from knowreason.data import Dataset, EdgeList

PROGRAM = """
domain Pair, Statement
observed Contains(Pair, Statement)
attribute calls(Pair): float          # share of called names in common
attribute constants(Pair): float      # share of constants in common
attribute longer(Pair): float         # how many times as long the longer one is

query Copy(Pair)

model graph for Copy = gnn(pool="Contains", convolution="gine", hidden=32, epochs=30,
    whole_graphs="packed", batch_size=16, message_features=["kind", "alike"],
    edge_features="none", features=[])

rule same_calls     [? * calls(p)]     : Copy(p)
rule same_constants [? * constants(p)] : Copy(p)
rule other_length   [? <= 0]           : longer(p) > 1.5 => Copy(p)
"""
MODULES = (
    "argparse", "ast", "base64", "bdb", "calendar", "cmd", "configparser", "copy", "csv",
    "datetime", "difflib", "dis", "doctest", "email.message", "ftplib", "gettext", "heapq",
    "html.parser", "imaplib", "inspect", "json.decoder", "mailbox", "optparse", "pdb", "pickle",
    "plistlib", "pprint", "pstats", "shlex", "shutil", "smtplib", "statistics", "string", "tarfile",
    "textwrap", "tokenize", "traceback", "turtle", "unittest.case", "zipfile",
)  # fmt: skip
LEAST, MOST = 6, 20  # statements
LOST, GAINED, ELSEWHERE = 0.25, 0.2, 0.4


def functions() -> list[tuple[str, ast.FunctionDef]]:
    """Functions of the standard library, with their module."""
    found = []
    for name in MODULES:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            continue
        tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
        found += [
            (name, node)
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef) and LEAST <= len(statements(node)) <= MOST
        ]
    return found


def statements(function: ast.FunctionDef) -> list[ast.stmt]:
    """All statements inside, in order."""
    inside = [node for node in ast.walk(function) if isinstance(node, ast.stmt)][1:]
    return sorted(inside, key=lambda node: (node.lineno, node.col_offset))


class Renamed(ast.NodeTransformer):
    """Other variables, some calls elsewhere, some statements lost and some gained."""

    def __init__(self, rng: np.random.Generator, strange: list[ast.stmt]) -> None:
        self.rng, self.strange = rng, strange
        self.calls: dict[str, str] = {}

    def other(self, name: str) -> str:
        """The name, or one that stands for it everywhere."""
        moved = f"other_{len(self.calls)}" if self.rng.random() < ELSEWHERE else name
        return self.calls.setdefault(name, moved)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        """A variable under another name."""
        return ast.copy_location(ast.Name("v_" + node.id[::-1], node.ctx), node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """A call of the same function, or of another."""
        called = node.func
        self.generic_visit(node)
        if isinstance(called, ast.Name):
            node.func = ast.Name(self.other(called.id), ast.Load())
        elif isinstance(called, ast.Attribute):
            node.func = ast.Attribute(called.value, self.other(called.attr), ast.Load())
        return node

    def block(self, body: list[ast.stmt]) -> list[ast.stmt]:
        """A block with statements lost and gained."""
        kept = [s for s in body if self.rng.random() > LOST] or body[:1]
        if self.rng.random() < GAINED and self.strange:
            at = int(self.rng.integers(len(kept) + 1))
            kept.insert(at, self.strange[int(self.rng.integers(len(self.strange)))])
        return kept


def copied(
    function: ast.FunctionDef, strange: ast.FunctionDef, rng: np.random.Generator
) -> ast.FunctionDef:
    """A near-copy."""
    simple = [s for s in statements(strange) if not hasattr(s, "body")]
    made = Renamed(rng, simple)
    copy = made.visit(ast.parse(ast.unparse(function)).body[0])
    for node in ast.walk(copy):
        for part in ("body", "orelse"):
            block = getattr(node, part, None)
            if isinstance(block, list) and block and isinstance(block[0], ast.stmt):
                setattr(node, part, made.block(block))
    return ast.parse(ast.unparse(ast.fix_missing_locations(copy))).body[0]


def own_nodes(statement: ast.stmt) -> list[ast.AST]:
    """What a statement is made of, without the statements inside it."""
    found, open_ = [], [statement]
    while open_:
        node = open_.pop()
        found.append(node)
        open_ += [n for n in ast.iter_child_nodes(node) if not isinstance(n, ast.stmt)]
    return found


def dependence(function: ast.FunctionDef) -> tuple[list[list[ast.AST]], list[tuple[int, int, str]]]:
    """Nodes of each statement, and pairs of statements: `control`, `data` and `next`."""
    body = statements(function)
    place = {id(statement): i for i, statement in enumerate(body)}
    nodes = [own_nodes(statement) for statement in body]
    edges, written = [], {}
    for i, statement in enumerate(body):
        edges += [
            (i, place[id(inner)], "control")
            for inner in ast.iter_child_nodes(statement)
            if isinstance(inner, ast.stmt)
        ]
        if i:
            edges.append((i - 1, i, "next"))
    for i, mine in enumerate(nodes):
        names = [n for n in mine if isinstance(n, ast.Name)]
        edges += [
            (written[n.id], i, "data")
            for n in names
            if isinstance(n.ctx, ast.Load) and written.get(n.id, i) != i
        ]
        written |= {n.id: i for n in names if isinstance(n.ctx, ast.Store)}
    return nodes, edges


def share(one: Counter[str], other: Counter[str]) -> float:
    """How much of both is in common; 0 where there is nothing."""
    return (one & other).total() / max((one | other).total(), 1)


def pair_graph(one: ast.FunctionDef, other: ast.FunctionDef) -> tuple[list, list, dict[str, float]]:
    """Statements, edges with kind and likeness, and what rules see of a pair."""
    (first, ours), (second, theirs) = dependence(one), dependence(other)
    kinds = [Counter(type(n).__name__ for n in mine) for mine in (*first, *second)]
    n = len(first)
    edges = [(a, b, kind, np.nan) for a, b, kind in ours]
    edges += [(a + n, b + n, kind, np.nan) for a, b, kind in theirs]
    for i in range(n):
        likeness = [share(kinds[i], kinds[n + j]) for j in range(len(second))]
        edges += [(i, n + int(j), "alike", likeness[j]) for j in np.argsort(likeness)[-2:]]
    rows = [
        (type(mine[0]).__name__, float(len(mine)), "one" if i < n else "other")
        for i, mine in enumerate((*first, *second))
    ]
    names, constants = [], []
    for function in (one, other):
        every = list(ast.walk(function))
        called = [node.func for node in every if isinstance(node, ast.Call)]
        names.append(Counter(getattr(f, "attr", getattr(f, "id", "")) for f in called))
        constants.append(Counter(repr(c.value) for c in every if isinstance(c, ast.Constant)))
    lengths = sorted([n, len(second)])
    seen = {"calls": share(*names), "constants": share(*constants)}
    return rows, edges, {**seen, "longer": lengths[1] / max(lengths[0], 1)}


def load(pairs: int, seed: int, epochs: int = 30) -> Dataset:
    """Pairs, half of them copies; the labels of those of half of the functions are hidden."""
    rng = np.random.default_rng(seed)
    every = functions()
    drawn = rng.permutation(len(every))[: (pairs + 1) // 2]
    nodes, edges, seen, truth = [], [], [], []
    for i in drawn:
        module, function = every[i]
        beside = [f for m, f in every if m == module and f is not function] or [every[i - 1][1]]
        long = len(statements(function))
        beside.sort(key=lambda f: abs(len(statements(f)) - long))
        for copy in (True, False):
            strange = beside[int(rng.integers(min(len(beside), 3)))]
            other = copied(function, strange, rng) if copy else strange
            rows, links, counts = pair_graph(function, other)
            p, first = f"p{len(truth)}", len(nodes)
            nodes += [(p, f"s{first + j}", *row) for j, row in enumerate(rows)]
            edges += [(f"s{first + a}", f"s{first + b}", kind, like) for a, b, kind, like in links]
            seen.append({"pair": p, **counts})
            truth.append(copy)
    names = [row["pair"] for row in seen]
    pair, statement, kind, size, side = zip(*nodes, strict=True)
    source, target, relation, alike = zip(*edges, strict=True)
    data = Dataset.from_frames(
        kr.loads(PROGRAM.replace("epochs=30", f"epochs={epochs}")),
        facts={"Contains": {"p": pair, "s": statement}}
        | {
            name: {"p": names, "value": [row[name] for row in seen]}
            for name in ("calls", "constants", "longer")
        },
        labels={"Copy": {"p": names, "copy": truth}},
        features={"Statement": pa.table({"s": statement, "type": kind, "size": size, "of": side})},
        graph=EdgeList(
            pa.table({"a": source, "b": target, "kind": relation, "alike": alike}),
            "a:Statement",
            "b:Statement",
            features=["kind", "alike"],
        ),
    )
    return data.hide("Copy", np.arange(len(truth)) >= len(truth) // 2 // 2 * 2)


def compare(pairs: int = 160, seed: int = 0, epochs: int = 30) -> dict[str, dict[str, float]]:
    """Average precision and AUC on the pairs of other functions."""
    data = load(pairs, seed, epochs)
    blind = {"pool": "Contains", "convolution": "gin", "hidden": 32, "epochs": epochs}
    blind |= {"whole_graphs": "packed", "batch_size": 16, "edge_features": "none", "features": ()}
    others = {"graph without kinds of edges": ("gnn", blind)}
    return ranked(three_ways(data.program, data, data, "Copy", others), data, "Copy")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=160)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    show("which are copies", compare(given.pairs, given.seed))


if __name__ == "__main__":
    main()
