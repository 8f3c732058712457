"""What holds of the repository itself."""

import ast
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def imported(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def test_tests_import_no_study():
    """A study may use what tests are made of, never the other way round."""
    studies = {path.stem for path in (ROOT / "benchmarks").glob("*.py")} | {"benchmarks"}
    found = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in sorted((ROOT / "tests").rglob("*.py"))
        for name in imported(path)
        if name.split(".")[0] in studies
    ]
    assert not found


def test_what_studies_and_examples_import_is_there():
    """Nothing runs a whole study here: a name that has moved would be found by its reader."""
    missing = []
    for folder in ("benchmarks", "examples"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if not isinstance(node, ast.ImportFrom) or not node.module:
                    continue
                if node.module.split(".")[0] != "knowreason":
                    continue
                module = import_module(node.module)
                missing += [
                    f"{path.relative_to(ROOT)}: {node.module}.{name.name}"
                    for name in node.names
                    if not hasattr(module, name.name)
                    and not (
                        hasattr(module, "__path__") and find_spec(f"{node.module}.{name.name}")
                    )
                ]
    assert not missing
