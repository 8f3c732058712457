"""Files of PSL: rules, data in YAML and JSON, and what soft truth becomes."""

import json

import pyarrow.parquet as pq
import pytest

from knowreason.errors import ProjectError
from knowreason.importers.importing import import_project
from knowreason.lang import check
from knowreason.run.ground_files import ground_asked
from knowreason.testing.oracle import enumerate_worlds

RULES = """\
// who knows whom
2: Lived(P1, L) & Lived(P2, L) & (P1 != P2) -> Knows(P1, P2) ^2
0.5: Likes(P1, X) && Likes(P2, X) & P1 != P2 >> knows(P1, P2)
1: !Knows(P1, P2) ^2
Knows(P1, P2) = Knows(P2, P1) .
Knows(P1, 'ann') << Lived(P1, "rome") .
Knows(P1, P2) + Lived(P2, L) <= 2 .
3: Knows(P1, +P2) >= 1 ^2
1: Knows(P1, P2) -> ?
"""
DATA = """\
predicates:
  Knows/2: open
  Likes/2: closed
  Lived/2: closed
observations:
  Likes: likes.txt
  Lived:
    - lived.txt
  Knows: known.txt
targets:
  Knows: targets.txt
truth:
  Knows: truth.txt
runtime:
  log.level: DEBUG
"""
TABLES = {
    "likes.txt": "ann\tjazz\t0.9\nbob\tjazz\ncat\tjazz\t0\n",
    "lived.txt": "ann\toslo\nbob\toslo\ncat\trome\n",
    "known.txt": "bob\tcat\t0.2\ncat\tbob\t0.2\n",
    "targets.txt": "ann\tbob\nbob\tann\nann\tcat\ncat\tann\n",
    "truth.txt": "ann\tbob\t1\nbob\tann\t1\n",
}


@pytest.fixture
def imported(tmp_path):
    def run(files, paths=("acq",)):
        folder = tmp_path / "acq"
        folder.mkdir()
        for name, text in files.items():
            (folder / name).write_text(text)
        made = tmp_path / "made"
        report = import_project([tmp_path / path for path in paths], "psl", made)
        text = next(made.glob("*.kr")).read_text()
        assert check(text=text).ok, text
        return report, " ".join(text.split()), made

    return run


def test_rules_and_data(imported):
    report, text, folder = imported({"acq.psl": RULES, "acq.data": DATA, **TABLES})
    assert "query Knows(Knows1, Knows1) within KnowsListed" in text
    assert "[? 2 >= 0] : Lived(p1, l) & Lived(p2, l) & p1 != p2 => Knows(p1, p2)" in text
    assert "[? 0.5 >= 0 * likesValue(p1, x) * likesValue(p2, x)] : Likes(p1, x) &" in text
    assert "[hard] : Knows(p1, p2) <=> Knows(p2, p1)" in text
    assert '[hard] : Lived(p1, "rome") => Knows(p1, "ann")' in text
    assert "[hard] : count { Knows(p1, p2), Lived(p2, l) } <= 2" in text
    refused = {one.line: one.reason for one in report.lines if one.outcome == "refused"}
    assert "it is arithmetic" in refused[8]
    assert refused[9] == "`?` at column 21 is not understood"
    assert any("how PSL runs" in why for why in refused.values())
    why = next(one.reason for one in report.lines if one.line == 2 and "acq.psl" in one.file)
    assert "where learning starts" in why
    assert "`^2` is left out" in why
    knows = pq.read_table(folder / "data" / "Knows.parquet").to_pylist()
    assert {"a1": "bob", "a2": "cat", "evidence": False, "label": None} in knows
    assert {"a1": "ann", "a2": "bob", "evidence": None, "label": True} in knows
    values = pq.read_table(folder / "data" / "likesValue.parquet")["value"].to_pylist()
    assert values == [0.9, 1.0]  # cat likes nothing
    grounding = ground_asked(folder)
    marginals = enumerate_worlds(grounding.graph).marginals
    one, other = (grounding.atom_index("Knows", *pair) for pair in (("ann", "bob"), ("bob", "ann")))
    assert float(marginals[one]) == pytest.approx(float(marginals[other]))
    assert (
        float(marginals[one]) > 0.5 > float(marginals[grounding.atom_index("Knows", "bob", "cat")])
    )


@pytest.mark.parametrize(("operator", "mark"), [("=", "!"), ("<=", "?")])
def test_sums_to_one_are_functional(imported, operator, mark):
    rules = f"1: Near(A, B) -> Is(A, B)\nIs(A, +B) {operator} 1 .\n"
    data = "predicates:\n  Is/2: open\n  Near/2: closed\nobservations:\n  Near: near.txt\n"
    data += "targets:\n  Is: is.txt\n"
    tables = {"near.txt": "a\tx\n", "is.txt": "a\tx\na\ty\nb\tx\n"}
    _, text, folder = imported({"m.psl": rules, "m.data": data, **tables})
    assert f"{mark}) within IsListed" in text
    ground_asked(folder)


def test_json_with_rows_inside(imported):
    config = {
        "predicates": {
            "Old/1": {"observations": [["ann"], ["bob", 0.0]]},
            "Tired/1": {"targets": [["ann"], ["bob"]], "truth": "truth.txt"},
        },
        "rules": ["1.5: Old(A) -> Tired(A) ^2", "1: !Tired(A)"],
        "options": {"inference": "x"},
    }
    report, text, _ = imported(
        {"tired.json": json.dumps(config, indent=1), "truth.txt": "ann\t1\n"}
    )
    assert "domain Thing" in text
    assert "observed Old(Thing)" in text
    assert "[? 1.5 >= 0] : Old(a) => Tired(a)" in text
    assert [one.line for one in report.lines if one.text.startswith("1.5")] == [27]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a.psl": "1: A(X)\n", "a.data": "predicates:\n  A: open\n"}, "lacks its arity"),
        ({"a.psl": "1: A(X)\n", "a.data": "x: ["}, "a.data"),
        ({"a.psl": "1: A(X)\n", "a.data": "x: 1"}, "lists no `predicates`"),
        (
            {
                "a.psl": "1: A(X)\n",
                "a.data": "predicates:\n  A/1: open\ntargets:\n  A: t\n",
                "t": "a\tb\tc\n",
            },
            "rows of `A`.*Expected 2 columns, got 3",
        ),
    ],
)
def test_wrong_data(imported, files, message):
    with pytest.raises(ProjectError, match=message) as caught:
        imported(files)
    assert caught.value.code == "KR973"


def test_a_table_that_is_not_there(imported):
    files = {"a.psl": "1: A(X)\n", "a.data": "predicates:\n  A/1: open\ntargets:\n  A: gone.txt\n"}
    with pytest.raises(ProjectError, match=r"gone\.txt"):
        imported(files)
