"""Errors carry codes; near names are offered."""

import ast
import pickle
import re
from pathlib import Path

import pytest

import knowreason
from knowreason.codes import catalogue
from knowreason.diagnostics import Diagnostic
from knowreason.errors import (
    DataError,
    DataWarning,
    KnowreasonError,
    UnknownNameError,
    did_you_mean,
)
from knowreason.registry import Registry

PACKAGE = Path(knowreason.__file__).parent


def test_near_names():
    assert did_you_mean("Malicous", ["Malicious", "Logon"]) == "did you mean `Malicious`?"
    assert did_you_mean("lable", ["table", "label"]) == "did you mean `label`?"
    assert did_you_mean("malicious", ["Malicious"]) == "did you mean `Malicious`?"
    assert did_you_mean("xyz", ["Malicious"]) is None


def test_errors_are_also_builtins():
    error = DataError("a fault", code="KR501", help="do this")
    assert isinstance(error, ValueError)
    assert isinstance(error, KnowreasonError)
    assert error.code == "KR501"
    assert str(error) == "error[KR501]: a fault (do this)"


def test_registry_offers_the_nearest_name():
    things: Registry[int] = Registry("thing")
    things.register("apple")(1)
    assert things["apple"] == 1
    assert list(things) == ["apple"]
    with pytest.raises(UnknownNameError, match="did you mean `apple`"):
        things["aple"]


def codes_in_source() -> set[str]:
    found = set()
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found |= {node.value} if re.fullmatch(r"KR[1-9]\d\d", node.value) else set()
    return found


def test_every_code_used_is_explained_and_every_explained_code_is_used():
    assert codes_in_source() == set(catalogue())


def test_catalogue_entries_say_something():
    for entry in catalogue().values():
        assert entry.title, entry.code
        assert len(entry.explanation) > 30, entry.code


@pytest.mark.parametrize("kind", [DataWarning, DataError])
def test_findings_survive_another_process(kind):
    finding = Diagnostic("KR529", "2 of 3 rows name no person", help="look at the ids")
    raised = kind(finding) if kind is DataWarning else kind(diagnostics=(finding,))
    again = pickle.loads(pickle.dumps(raised))
    assert str(again) == str(raised)
    assert vars(again) == vars(raised)
