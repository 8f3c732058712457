"""The house: names that occur once, folders that can be overlooked, imports one way."""

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import networkx

import knowreason

ROOT = Path(knowreason.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
MODULES = {
    ".".join(("knowreason", *path.relative_to(ROOT).with_suffix("").parts)): path
    for path in FILES
    if path.name != "__init__.py"
}
MOST_FILES = 15


def imported(path: Path) -> Iterator[str]:
    """What a module imports, wherever in its text it does, ``TYPE_CHECKING`` included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def circles(graph: networkx.DiGraph) -> list[list[str]]:
    """Sets of nodes that reach one another."""
    components = networkx.strongly_connected_components(graph)
    return sorted(sorted(component) for component in components if len(component) > 1)


def test_modules_import_one_way():
    graph = networkx.DiGraph()
    for name, path in MODULES.items():
        graph.add_edges_from((name, other) for other in imported(path) if other in MODULES)
    assert graph.number_of_edges() > len(MODULES)
    assert circles(graph) == []


def test_a_circle_is_seen():
    graph = networkx.DiGraph([("a", "b"), ("b", "c"), ("c", "a"), ("c", "d")])
    assert circles(graph) == [["a", "b", "c"]]


def test_a_file_name_occurs_once():
    names = Counter(path.name for path in MODULES.values())
    assert [name for name, count in names.items() if count > 1] == []


def test_a_class_name_occurs_once():
    names = Counter(
        node.name
        for path in FILES
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    assert [name for name, count in names.items() if count > 1] == []


def test_no_folder_is_crowded():
    folders = Counter(path.parent.relative_to(ROOT).as_posix() for path in FILES)
    assert {name: count for name, count in folders.items() if count > MOST_FILES} == {}
