"""No circle of imports inside a package, `TYPE_CHECKING` imports included."""

import ast
from collections.abc import Iterator
from pathlib import Path

import networkx
import pytest

import knowreason

ROOT = Path(knowreason.__file__).parent
MODULES = {
    ".".join(("knowreason", *path.relative_to(ROOT).with_suffix("").parts)): path
    for path in sorted(ROOT.rglob("*.py"))
    if path.name != "__init__.py"
}
CLEAN = ("data", "ground", "lang", "logic")  # packages in which modules import one way only


def imported(name: str, path: Path) -> Iterator[str]:
    """What a module imports, wherever in its text it does."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = name.split(".")[: -node.level] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def import_graph() -> networkx.DiGraph:
    """Module -> module that it imports."""
    graph = networkx.DiGraph()
    graph.add_nodes_from(MODULES)
    for name, path in MODULES.items():
        graph.add_edges_from((name, other) for other in imported(name, path) if other in MODULES)
    return graph


def circles(graph: networkx.DiGraph) -> list[list[str]]:
    """Sets of nodes that reach one another."""
    components = networkx.strongly_connected_components(graph)
    return sorted(sorted(component) for component in components if len(component) > 1)


def inside(package: str) -> networkx.DiGraph:
    names = [name for name in MODULES if name.startswith(f"knowreason.{package}.")]
    return import_graph().subgraph(names)


def room(name: str) -> str:
    """The sub-package of a module; the module itself where it lies in the package's own folder."""
    return ".".join(name.split(".")[:3])


@pytest.mark.parametrize("package", CLEAN)
def test_modules_import_one_way(package):
    assert circles(inside(package)) == []


@pytest.mark.parametrize("package", CLEAN)
def test_subpackages_import_one_way(package):
    rooms = networkx.DiGraph()
    rooms.add_edges_from((room(one), room(two)) for one, two in inside(package).edges)
    assert circles(rooms) == []


@pytest.mark.parametrize("package", CLEAN)
def test_modules_do_not_import_what_their_package_hands_on(package):
    own = f"knowreason.{package}"
    assert own in {name.rsplit(".", 1)[0] for name in MODULES}
    for name, path in MODULES.items():
        if name.startswith(f"{own}."):
            tree = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            handed = [
                alias.name
                for node in tree
                if isinstance(node, ast.ImportFrom) and node.module == own
                for alias in node.names
                if f"{own}.{alias.name}" not in MODULES
            ]
            assert handed == [], name


def test_a_circle_is_seen(tmp_path):
    one = tmp_path / "one.py"
    one.write_text("if TYPE_CHECKING:\n    from knowreason.data import dataset\nimport a.b\n")
    seen = set(imported("knowreason.x.one", one))
    assert {"knowreason.data.dataset", "a.b"} <= seen
    one.write_text("from ..data.dataset import Dataset")
    assert "knowreason.data.dataset" in set(imported("knowreason.x.one", one))
    assert circles(networkx.DiGraph([("a", "b"), ("b", "a"), ("b", "c")])) == [["a", "b"]]
