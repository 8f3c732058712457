"""The built wheel holds the grammar and the rule sets, and works away from the repository."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def test_the_wheel_infers_from_its_own_rule_set(installed, tmp_path):
    rules = installed / "knowreason" / "_rulesets"
    program = (
        "import sys; sys.path.insert(0, sys.argv.pop(1))\n"
        "import knowreason; assert knowreason.__file__.startswith(sys.path[0])\n"
        "from knowreason.cli import main; main()"
    )
    files = [str(rules / "smokers.kr"), str(rules / "smokers.facts")]
    done = subprocess.run(
        [sys.executable, "-c", program, str(installed), "infer", *files],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert 'Smokes("bob")' in done.stdout


def test_the_wheel_is_typed_and_has_no_tests(installed):
    assert (installed / "knowreason" / "py.typed").is_file()
    assert (installed / "knowreason" / "_grammar" / "knowreason.lark").is_file()
    templates = installed / "knowreason" / "_rulesets" / "templates"
    ours = ROOT / "rulesets" / "templates"
    assert {p.relative_to(templates) for p in templates.rglob("*.toml")} == {
        p.relative_to(ours) for p in ours.rglob("*.toml")
    }
    assert not (installed / "tests").exists()
