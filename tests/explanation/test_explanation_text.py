"""An explanation as text, word for word."""

import numpy as np
import pytest

import knowreason as kr
from knowreason import lang
from knowreason.explanation.explanation_text import (
    Change,
    Explanation,
    Obstacle,
    Reason,
    Share,
    bar,
    percent,
)
from knowreason.explanation.pooled_shares import parts_notes
from knowreason.factors.model_output import ModelOutput
from knowreason.grounding import ground

TEXT = """\
Fraud("p"): probability 12 % (log-odds -2.00)

why (parts of the log-odds; they add up)
  bias Fraud     -2.50  ----------
  model amount   -0.25  -
  rule seen      +0.75  +++

groundings that matter most
   +0.75  seen: Seen("p") => Fraud("p")
            Seen("p") is 93.5 % likely

why not (rules that could support it, and what is missing)
  burst: Burst("t") is only 25 % likely
  known: Known("p") does not hold in the data

what would turn it around
  if Burst("t") were known to be true (25 % now, over 99.99 % then): log-odds +0.40
note: solved within 9 atoms around it"""


def test_every_part_is_told():
    found = Explanation(
        'Fraud("p")',
        0.12,
        -2.0,
        (
            Share("prior", "bias Fraud", -2.5),
            Share("model", "amount", -0.25),
            Share("rule", "seen", 0.75),
        ),
        (Reason("seen", 'Seen("p") => Fraud("p")', 0.75, (('Seen("p")', 0.935),)),),
        (Obstacle("burst", 'Burst("t")', 0.25), Obstacle("known", 'Known("p")', 0.0)),
        (Change('if Burst("t") were known to be true', 0.25, 1.0, 0.4),),
        ("solved within 9 atoms around it",),
    )
    assert str(found) == TEXT


@pytest.mark.parametrize(
    ("probability", "text"),
    [
        (0.0, "under 0.01 %"),
        (0.00004, "under 0.01 %"),
        (0.004, "0.40 %"),
        (0.012, "1.2 %"),
        (0.1, "10 %"),
        (0.9, "90 %"),
        (0.956, "95.6 %"),
        (0.9961, "99.61 %"),
        (1.0, "over 99.99 %"),
    ],
)
def test_chances_in_percent(probability, text):
    assert percent(probability) == text


def test_bars():
    assert [bar(value) for value in (0.0, 0.25, -0.5, 1.1)] == ["", "+", "--", "++++"]
    assert bar(-99.0) == "-" * 20


def test_the_largest_parts_of_a_score_are_noted():
    program = kr.loads("domain P\nobserved In(P)\nquery Q(P)\nquery R(P)\n")
    grounding = ground(
        program, kr.Dataset.from_facts(program, lang.parse_facts(program, 'In("a") In("b")'))
    )
    parts = {
        name: np.array([0.0, value], np.float32)
        for name, value in {"time": 0.5, "shape": -2.0, "size": 1.0, "rest": 0.25}.items()
    }
    zero = np.zeros(2, np.float32)
    outputs = [ModelOutput("ebm", "Q", zero, 0.5, parts=parts), ModelOutput("eye", "Q", zero, 0.5)]
    noted = parts_notes(grounding, grounding.atom_index("Q", "b"), outputs)
    assert noted == ["score of ebm -0.25: shape -2.00, size +1.00, time +0.50"]
    assert parts_notes(grounding, grounding.atom_index("R", "b"), outputs) == []
