"""Golden findings: each `golden/*.kr` renders as the `.txt` beside it.

`KNOWREASON_GOLDEN=write pytest tests/lang/test_golden.py` writes them anew.
"""

import os
import re
from pathlib import Path

import pytest

import knowreason
from knowreason.codes import catalogue
from knowreason.lang import check
from knowreason.lang.diagnostic_rendering import render_text, summary

GOLDEN = Path(__file__).parent / "golden"
FILES = sorted(GOLDEN.glob("*.kr"))
PACKAGE = Path(knowreason.__file__).parent
ELSEWHERE = {"KR211", "KR113"}  # of values and programs from Python: test_load.py, test_build.py


STYLE = ("KR301", "KR302", "KR303", "KR305", "KR306", "KR411")  # beside the point of most files


def rendered(path: Path) -> str:
    found = check(text=path.read_text(), name=path.name).diagnostics
    if not path.stem.startswith("KR3"):
        found = tuple(d for d in found if d.code not in STYLE or path.stem.startswith(d.code))
    return f"{render_text(found)}\n{summary(found)}\n"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_findings_render_as_written(path):
    expected = path.with_suffix(".txt")
    if os.environ.get("KNOWREASON_GOLDEN") == "write":
        expected.write_text(rendered(path))
    assert rendered(path) == expected.read_text()
    assert f"[{path.stem[:5]}]" in expected.read_text()


def codes_raised() -> set[str]:
    sources = [*(PACKAGE / "lang").rglob("*.py"), *(PACKAGE / "logic").glob("*.py")]
    return {code for path in sources for code in re.findall(r'"(KR\d{3})"', path.read_text())}


def test_every_code_raised_is_in_the_catalogue():
    assert codes_raised() <= set(catalogue())


def test_every_code_raised_has_a_golden_file():
    shown = {path.stem[:5] for path in FILES}
    raised = {code for code in codes_raised() if code < "KR500" and code != "KR000"}
    assert raised - shown - ELSEWHERE == set()


def test_every_code_of_the_language_is_raised():
    ours = {code for code in catalogue() if "KR100" < code < "KR500"}
    assert ours - codes_raised() == set()
