"""What holds of the repository itself."""

import ast
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
