"""What people of SQL, Python, Prolog, PSL and Drools write first, and what they are told.

`first_tries.txt` holds a text, what is found, and the help. `KNOWREASON_GOLDEN=write pytest
tests/lang/test_first_tries.py` writes findings and helps anew.
"""

import os
from pathlib import Path

import pytest

from knowreason.lang import check

HEAD = """domain Acc, Pay
domain Kind = { "cash", "card" }
observed Pays(Pay, acc: Acc, to: Acc)
observed Old(Acc)
attribute amount(Pay): float
attribute country(Pay): string
attribute kind(Pay): Kind
attribute open(Pay): bool
attribute at(Pay): time clock
query Fraud(Pay)
latent Bad(Acc)
"""
TABLE = Path(__file__).with_name("first_tries.txt")
CASES = [block.split("\n") for block in TABLE.read_text().strip().split("\n\n")]


def told(text):
    found = check(text=HEAD + text + "\n").diagnostics
    first = next(finding for finding in found if finding.severity == "error")
    return [f"  {first.code}: {first.message}", f"  help: {first.help}"]


def test_the_table_is_written():
    if os.environ.get("KNOWREASON_GOLDEN") == "write":
        blocks = ["\n".join([case[0], *told(case[0])]) for case in CASES]
        TABLE.write_text("\n\n".join(blocks) + "\n")
    texts = [case[0] for case in CASES]
    assert len(set(texts)) == len(texts) > 150


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_a_first_try_is_told_what_to_write(case):
    text, finding, help_line = case
    assert help_line != "  help: None"
    assert told(text) == [finding, help_line]
