"""Rules over slices of time: figures by hand, and what must not change them."""

import numpy as np
import pytest

import knowreason as kr
from knowreason.errors import ProjectError
from knowreason.lifecycle.backtest import WHOLE, backtest, slice_moments

HEAD = """domain Visit
observed Night(Visit)
observed Big(Visit)
attribute day(Visit): int clock
query Theft(Visit)
"""
RULES = """rule night : Night(v) => Theft(v)
rule big   : Big(v) => Theft(v)
rule both  [shadow] : Night(v) & Big(v) => Theft(v)
rule quiet : !Night(v) & !Big(v) => !Theft(v)
rule rare  [?] : Theft(v)
"""
VISITS = [  # day, night, big, theft
    *[(day, k % 2, k % 3 == 0, int(k % 4 == 0)) for day in (0, 1) for k in range(8)],
    (2, 1, 0, 1),
    (2, 1, 1, 1),
    (2, 1, 0, 0),
    (2, 0, 1, 1),
    (2, 0, 0, 1),
    (2, 1, 0, None),
    (3, 1, 0, 0),
    (3, 1, 0, 0),
    (3, 0, 1, 1),
    (3, 1, 1, 0),
]


def dataset(rules=RULES):
    names = [f"v{i}" for i in range(len(VISITS))]
    day, night, big, theft = (list(column) for column in zip(*VISITS, strict=True))

    def where(flags):
        return {"visit": [name for name, flag in zip(names, flags, strict=True) if flag]}

    return kr.Dataset.from_frames(
        kr.loads(HEAD + rules),
        facts={"Night": where(night), "Big": where(big), "day": {"v": names, "day": day}},
        labels={"Theft": {"v": names, "theft": theft}},
    )


def past(rules=RULES):
    data = dataset(rules)
    return backtest(kr.Reasoner(data.program), data, "day", (2, 3))


@pytest.fixture(scope="module")
def found():
    return past()


def test_figures_are_those_by_hand(found):
    rows = {row.rule: row for row in found.rows}
    counts = {
        name: (row.figures.fired, row.figures.labelled, row.figures.right, row.figures.wanted)
        for name, row in rows.items()
    }
    assert counts["night"] == (7, 6, 2, 5)
    assert counts["big"] == (4, 4, 3, 5)
    assert counts["both"] == (2, 2, 1, 5)
    assert counts["quiet"] == (1, 1, 0, 4)
    assert {n: (row.unique, row.with_most) for n, row in rows.items() if n != WHOLE} == {
        "night": (1, "big"),
        "big": (2, "night"),
        "both": (0, "night"),
        "quiet": (0, ""),
    }
    assert rows["night"].overlap == pytest.approx(2 / 7)
    assert (rows["big"].overlap, rows["both"].overlap, rows["quiet"].overlap) == (0.5, 1, 0)
    assert [half.precision.value for half in rows["night"].halves] == pytest.approx([2 / 3, 0])
    assert rows["night"].drift == pytest.approx(0.4)  # of 20 ways to place two right ones
    assert np.isnan(rows["quiet"].drift)
    assert dict(found.left) == {"rare": "no body says where"}
    assert found.slices == ("2", "3")


def test_the_file_as_a_whole_is_its_alarms(found):
    row = found.rows[0]
    assert (row.rule, row.figures.wanted) == (WHOLE, 5)
    assert sum(figures.fired for figures in row.by_slice) == row.figures.fired
    table = found.to_arrow().to_pylist()
    assert [line["slice"] for line in table[:3]] == [None, "2", "3"]
    assert table[0]["fired"] == row.figures.fired
    assert len(table) == 5 * 3
    assert found.to_dict()["rows"][1]["by_slice"][0]["right"] == 2


def test_the_order_of_rules_changes_nothing(found):
    turned = "".join(f"{line}\n" for line in reversed(RULES.splitlines()))
    again = past(turned)
    of = {row.rule: row for row in again.rows}
    for row in found.rows:
        assert of[row.rule].figures == row.figures
        assert (of[row.rule].unique, of[row.rule].overlap) == (row.unique, row.overlap)


def test_the_parts_of_a_split_rule_add_up_to_it(found):
    night = next(row for row in found.rows if row.rule == "night")
    parts = past(
        "rule loud  [shadow] : Night(v) & Big(v) => Theft(v)\n"
        "rule still [shadow] : Night(v) & !Big(v) => Theft(v)\n" + RULES
    )
    some = [row.figures for row in parts.rows if row.rule in ("loud", "still")]
    assert sum(figures.fired for figures in some) == night.figures.fired
    assert sum(figures.right for figures in some) == night.figures.right


def test_shadows_move_no_conclusion():
    data, plain = dataset(), dataset(RULES.replace("rule both  [shadow]", "# rule"))
    one, two = (kr.Reasoner(d.program).fit(d).infer(d) for d in (data, plain))
    assert np.array_equal(one.log_odds, two.log_odds)


def test_slices_begin_where_there_is_something():
    data = dataset()
    assert slice_moments(data, "day", 2, 6) == (2, 3)
    assert slice_moments(data, "day", 1, 2) == (1, 2)
    assert slice_moments(data, "day", "", 6) == (1, 2, 3)
    with pytest.raises(ProjectError, match="nothing lies before") as error:
        slice_moments(data, "day", 0, 6)
    assert error.value.code == "KR948"
    with pytest.raises(ProjectError, match="nothing lies after"):
        slice_moments(data, "day", 9, 6)
