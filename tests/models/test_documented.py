"""Every model that a rule file can name is described, and shown at work in a rule file."""

from pathlib import Path

import pytest

from knowreason.lang import load
from knowreason.logic import ModelCall
from knowreason.models.base.model_registry import BUILT_IN

ROOT = Path(__file__).resolve().parents[2]
ADAPTERS = {"callable", "column", "noisy", "sklearn", "torch"}


def kinds(call):
    """The kind of a call, and of the calls among its options."""
    nested = [*call.positional, *(value for _, value in call.options)]
    return {call.kind}.union(*(kinds(value) for value in nested if isinstance(value, ModelCall)))


@pytest.mark.parametrize("name", BUILT_IN)
def test_is_in_the_docs(name):
    assert f"`{name}`" in (ROOT / "docs" / "reference" / "models.md").read_text()


def test_is_at_work_in_a_rule_file():
    used = set()
    for path in sorted((ROOT / "rulesets").glob("*.kr")):
        for model in load(path).models:
            used |= kinds(model.call)
    assert set(BUILT_IN) - ADAPTERS - used == set()
