"""What a user's type checker and editor say: no error, and nothing is Any."""

import inspect
import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import knowreason

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = Path(__file__).with_name("user_script.py")
CLEAN = ("user_script.py", "readme.py")
WRONG = """\
import knowreason as kr
from knowreason.models import no_such_model  # wrong

kr.nothing  # wrong
kr.metrics.nothing  # wrong
kr.metrics.np  # wrong
kr.infer("a graph")  # wrong
kr.load("rules.kr").predicates[0].nmae  # wrong
kr.Reasoner(kr.loads("domain A"), sed=1)  # wrong
reasoner: kr.Reasoner = kr.load("rules.kr")  # wrong
"""
PYRIGHT = {
    "typeCheckingMode": "strict",
    "reportAny": "error",
    "include": ["."],
    "extraPaths": [str(ROOT)],
}


def public_names() -> list[str]:
    """``kr.x``, ``kr.package.x`` and ``kr.Class.method`` of all that is listed as public."""
    names = []
    for name in knowreason.__all__:
        value = getattr(knowreason, name)
        names += [f"kr.{name}", *methods(f"kr.{name}", value)]
        if inspect.ismodule(value):
            for below in getattr(value, "__all__", ()):
                inner = f"kr.{name}.{below}"
                names += [inner, *methods(inner, getattr(value, below))]
    return names


def methods(name: str, value: object) -> list[str]:
    if not inspect.isclass(value):
        return []
    plain = {key: getattr(held, "__func__", held) for key, held in vars(value).items()}
    return [f"{name}.{k}" for k, v in plain.items() if inspect.isfunction(v) and k[0] != "_"]


NAMES = public_names()


@pytest.fixture(scope="module")
def scripts(tmp_path_factory) -> Path:
    """A folder that lies outside the repository, with what a user has written."""
    folder = tmp_path_factory.mktemp("user")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)
    assert blocks
    (folder / "readme.py").write_text("\n\n".join(blocks), encoding="utf-8")
    (folder / "user_script.py").write_text(SCRIPT.read_text(encoding="utf-8"), encoding="utf-8")
    (folder / "wrong.py").write_text(WRONG, encoding="utf-8")
    revealed = "\n".join(f"reveal_type({name})" for name in NAMES)
    (folder / "names.py").write_text(
        f"# mypy: disallow-any-expr=False\nimport knowreason as kr\n{revealed}\n", encoding="utf-8"
    )
    (folder / "pyrightconfig.json").write_text(json.dumps(PYRIGHT), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def mypy(scripts, request) -> dict[str, list[tuple[int, str, str]]]:
    """Line, severity and text of what mypy says of each script."""
    pytest.importorskip("mypy")
    flags = ["--strict", "--disallow-any-expr", "--follow-imports=silent", "--config-file="]
    cache = f"--cache-dir={request.config.cache.mkdir('mypy')}"
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "mypy",
            *flags,
            cache,
            *sorted(p.name for p in scripts.glob("*.py")),
        ],
        cwd=scripts,
        env={**os.environ, "MYPYPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    said = re.findall(r"^(\w+\.py):(\d+): (\w+): (.*)$", done.stdout, re.MULTILINE)
    assert said, done.stdout + done.stderr
    return by_file((file, int(line), kind, text) for file, line, kind, text in said)


@pytest.fixture(scope="module")
def pyright(scripts) -> dict[str, list[tuple[int, str, str]]]:
    """Line, severity and text of what pyright says of each script."""
    if find_spec("basedpyright") is None:
        pytest.skip("the basedpyright wheel is not installed")
    done = subprocess.run(
        [sys.executable, "-m", "basedpyright", "--outputjson", "--pythonpath", sys.executable],
        cwd=scripts,
        capture_output=True,
        text=True,
        check=False,
    )
    report = json.loads(done.stdout)
    assert report["summary"]["filesAnalyzed"] == len([*scripts.glob("*.py")])
    return by_file(
        (Path(d["file"]).name, d["range"]["start"]["line"] + 1, d["severity"], d["message"])
        for d in report["generalDiagnostics"]
    )


def by_file(found) -> dict[str, list[tuple[int, str, str]]]:
    said: dict[str, list[tuple[int, str, str]]] = {}
    for file, line, severity, text in found:
        said.setdefault(file, []).append((line, severity, text))
    return said


@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_clean(checker, request):
    said = request.getfixturevalue(checker)
    assert {file: said[file] for file in CLEAN if file in said} == {}


@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_wrong_lines_are_errors(checker, request):
    said = request.getfixturevalue(checker)["wrong.py"]
    marked = {n for n, line in enumerate(WRONG.splitlines(), 1) if line.endswith("# wrong")}
    assert {line for line, severity, _ in said if severity == "error"} >= marked


@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_public_names_have_types(checker, request):
    said = request.getfixturevalue(checker)["names.py"]
    types = [re.search(r'(?:Revealed type|Type of ".*") is "(.*)"', text) for _, _, text in said]
    assert sum(found is not None for found in types) == len(NAMES)
    assert not [found[0] for found in types if found and found[1] in ("Any", "Unknown")]
    assert not [text for _, severity, text in said if severity == "error"]


def test_script_runs(tmp_path):
    done = subprocess.run(
        [sys.executable, str(SCRIPT)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert 'Smokes("p0"): probability' in done.stdout
