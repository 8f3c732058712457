"""Which tests reach a line: recorded while they run, for compiled kernels read from the sources."""

from __future__ import annotations

import ast
import json
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Generator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from mutations import PACKAGE, ROOT, Mutant

Line = tuple[str, int]
KERNELS = {"njit", "numba.njit", "compiled", "inner"}  # decorators


@dataclass(frozen=True)
class Record:
    """Executed lines by file, by test; seconds by test; digests of the files of tests."""

    files: dict[str, str]
    lines: dict[str, dict[str, list[int]]]
    seconds: dict[str, float]

    def of(self, files: set[str]) -> Record:
        def kept(values: dict[str, Any]) -> dict[str, Any]:
            return {test: v for test, v in values.items() if test.partition("::")[0] in files}

        return Record(self.files, kept(self.lines), kept(self.seconds))

    def joined(self, other: Record) -> Record:
        return Record(other.files, {**self.lines, **other.lines}, {**self.seconds, **other.seconds})


class Recorder:
    """A plug-in of pytest that records lines of the package and seconds of each test."""

    def __init__(self, root: Path, out: Path, trace: bool) -> None:
        self.prefix, self.root, self.out, self.traced = f"{root / PACKAGE}/", root, out, trace
        self.lines: dict[str, set[Line]] = defaultdict(set)  # by test, or by file of tests
        self.seconds: dict[str, float] = {}
        self.current: set[Line] = set()

    def trace(self, frame: FrameType, event: str, argument: object) -> Any:
        code = frame.f_code
        if code.co_filename.startswith(self.prefix) and code.co_name != "<module>":
            return self.line
        return None

    def line(self, frame: FrameType, event: str, argument: object) -> Any:
        if event == "line":
            self.current.add((frame.f_code.co_filename, frame.f_lineno))
        return self.line

    def recording(self, name: str) -> Generator[None, Any, Any]:
        """Lines go to ``name`` while this generator waits."""
        before, self.current = self.current, self.lines[name]
        sys.settrace(self.trace if self.traced else None)
        result = yield
        sys.settrace(None)
        self.current = before
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(self, collector: pytest.Collector) -> Generator[None, Any, Any]:
        return (yield from self.recording(collector.nodeid))  # what a module computes: its tests'

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any, request: Any) -> Generator[None, Any, Any]:
        if fixturedef.scope == "function":
            return (yield)
        result = yield from self.recording(request.node.nodeid)
        sys.settrace(self.trace if self.traced else None)
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, Any]:
        for name, module in tuple(sys.modules.items()):
            if name.startswith(PACKAGE):  # or only the first test would seem to execute them
                for value in vars(module).values():
                    getattr(value, "cache_clear", lambda: None)()
        began = time.monotonic()
        result = yield from self.recording(item.nodeid)
        self.seconds[item.nodeid] = time.monotonic() - began
        return result

    def pytest_sessionfinish(self) -> None:
        found = {}
        for test in self.seconds:
            lines: dict[str, list[int]] = defaultdict(list)
            for file, line in self.lines[test] | self.lines[test.partition("::")[0]]:
                lines[Path(file).relative_to(self.root).as_posix()].append(line)
            found[test] = lines
        row = {"lines": found, "seconds": self.seconds}
        self.out.write_text(json.dumps(row), encoding="utf-8")


class Chosen:
    """A plug-in of pytest: these tests in this order, each with its time limit."""

    def __init__(self, tests: dict[str, float], slack: float, failed: Path) -> None:
        self.tests, self.slack, self.failed = tests, slack, failed

    def limit(self, seconds: float) -> None:
        """The process ends with SIGALRM unless another limit is set before."""
        signal.signal(signal.SIGALRM, signal.SIG_DFL)  # also inside of compiled code
        signal.setitimer(signal.ITIMER_REAL, seconds)

    def pytest_sessionstart(self) -> None:
        self.limit(60 + self.slack)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        order = {test: place for place, test in enumerate(self.tests)}
        found = [item for item in items if item.nodeid in order]
        items[:] = sorted(found, key=lambda item: order[item.nodeid])

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        self.limit(3 * self.tests[item.nodeid] + self.slack)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed.write_text(report.nodeid, encoding="utf-8")


def module(file: str) -> str:
    return file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def decorators(tree: ast.AST) -> set[str]:
    """Names in the decorators of a function, or of all functions below."""
    lists = [n.decorator_list for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)]
    called = [d.func if isinstance(d, ast.Call) else d for decorated in lists for d in decorated]
    return {ast.unparse(decorator) for decorator in called}


def imports(tree: ast.Module) -> set[str]:
    """Modules that a file names in its imports, as dotted names."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
        elif isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
    return found


@dataclass(frozen=True)
class Place:
    """The statement that a line belongs to, and how others call it where it is not traced."""

    first: int
    last: int  # of a compound statement: of its head
    names: tuple[str, ...]  # of the kernel, the constants or the class; none in plain functions


class Sources:
    """Who imports whom, which files hold kernels, where a name is used."""

    def __init__(self) -> None:
        paths = [path.relative_to(ROOT).as_posix() for path in (ROOT / PACKAGE).rglob("*.py")]
        self.texts = {file: (ROOT / file).read_text(encoding="utf-8") for file in sorted(paths)}
        self.trees = {file: ast.parse(text) for file, text in self.texts.items()}
        files = {module(file): file for file in self.texts}
        self.importers: dict[str, set[str]] = {file: set() for file in self.texts}
        for file, tree in self.trees.items():
            for used in imports(tree) & set(files):
                self.importers[files[used]].add(file)
        self.uses: dict[str, set[Line]] = defaultdict(set)
        for file, tree in self.trees.items():
            for node in ast.walk(tree):
                if isinstance(node, ast.Name | ast.Attribute):
                    self.uses[node.id if isinstance(node, ast.Name) else node.attr].add(
                        (file, node.lineno)
                    )
        self.kernels = {file for file, tree in self.trees.items() if KERNELS & decorators(tree)}

    @cache  # noqa: B019  (one object)
    def place(self, file: str, line: int) -> Place | None:
        """The innermost statement at a line; None for imports."""
        outer: list[ast.stmt] = []
        body: list[ast.AST] = [self.trees[file]]
        while body:
            for child in ast.iter_child_nodes(body.pop()):
                if getattr(child, "lineno", line) <= line <= getattr(child, "end_lineno", line):
                    body.append(child)
                    outer += [child] if isinstance(child, ast.stmt) else []
        if not outer or isinstance(outer[-1], ast.Import | ast.ImportFrom):
            return None
        top, inner = outer[0], outer[-1]
        last = inner.end_lineno or line
        if isinstance(getattr(inner, "body", None), list) and not isinstance(
            inner, ast.FunctionDef
        ):
            last = max(inner.lineno, inner.body[0].lineno - 1)  # type: ignore[attr-defined]  # asked above
        for function in outer[:-1]:
            if isinstance(function, ast.FunctionDef):
                kernel = bool(KERNELS & decorators(function))
                return Place(inner.lineno, last, (function.name,) if kernel else ())
        if isinstance(top, ast.ClassDef | ast.FunctionDef):  # defaults
            return Place(inner.lineno, last, (top.name,))
        targets = getattr(top, "targets", [getattr(top, "target", None)])
        names = [n.id for t in targets if t for n in ast.walk(t) if isinstance(n, ast.Name)]
        return Place(inner.lineno, last, tuple(names))

    def stale(self, mutant: Mutant) -> set[str]:
        """File stems of kernels that the changed line may be compiled into."""
        place = self.place(mutant.file, mutant.line)
        seen: set[str] = set()
        left = [mutant.file] if place is None or place.names else []
        while left:
            file = left.pop()
            if file not in seen:
                seen.add(file)
                left += self.importers[file]
        return {Path(file).stem for file in (seen | {mutant.file}) & self.kernels}


class Reached:
    """The tests that reach a mutant."""

    def __init__(self, record: Record, budget: float) -> None:
        self.sources, self.seconds, self.budget = Sources(), record.seconds, budget
        self.by_line: dict[Line, set[str]] = defaultdict(set)
        for test, files in record.lines.items():
            for file, lines in files.items():
                for line in lines:
                    self.by_line[file, line].add(test)

    def tests(self, mutant: Mutant) -> dict[str, float]:
        """Tests with their seconds, quickest first, within the budget."""
        found, seen, named = set(), set(), set()
        left = [(mutant.file, mutant.line)]
        while left:
            file, line = left.pop()
            place = self.sources.place(file, line)
            if place is None or (file, place.first) in seen:
                continue
            seen.add((file, place.first))
            for number in range(place.first, place.last + 1):
                found |= self.by_line.get((file, number), set())
            for name in () if place.names in named else place.names:
                left += self.sources.uses[name]
            named.add(place.names)
        tests, total = {}, 0.0
        for test in sorted(found, key=self.seconds.__getitem__):
            if total <= self.budget:
                tests[test] = self.seconds[test]
            total += self.seconds[test]
        return tests

    def files(self, tests: dict[str, float]) -> list[str]:
        return list(dict.fromkeys(test.partition("::")[0] for test in tests))
