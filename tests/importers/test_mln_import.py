"""Files of Markov logic: what each dialect writes, what it becomes, what is said of it."""

import pyarrow.parquet as pq
import pytest

from knowreason.errors import ProjectError
from knowreason.importers.importing import import_project
from knowreason.lang import check
from knowreason.run.ground_files import ground_asked
from knowreason.testing.oracle import enumerate_worlds

SMOKING = """\
// declarations
person = { Anna, Bob, "Carl C" }
Friends(person, person)
Smokes(person)
Cancer(person)

1.5  Smokes(x) => Cancer(x)         // weight in front
Friends(x, y) ^ Smokes(x) => Smokes(y)   1.1
!Friends(x, x).
Smokes(x)
2 Friends(x, y) => Friends(y, x)
"""
FACTS = """\
Friends(Anna, Bob)
!Friends(Bob, Anna)   // closed world says so, too
Friends(Bob, "Carl C")
"""


@pytest.fixture
def imported(tmp_path):
    """Imports texts by file name; the report, the rule file and the project's folder."""

    def run(files, system="mln", **how):
        folder = tmp_path / "source"
        folder.mkdir()
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        report = import_project([folder], system, tmp_path / "made", **how)
        text = (tmp_path / "made" / "source.kr").read_text()
        assert check(text=text).ok, text
        return report, text, tmp_path / "made"

    return run


def statements(text):
    lines = text.replace("\n    ", " ").splitlines()
    return [" ".join(line.split("  #")[0].split()) for line in lines if line[:1] not in ("#", "")]


def reasons(report, line):
    return [one.reason for one in report.lines if one.line == line and one.file.endswith("mln")]


def test_alchemy(imported):
    report, text, folder = imported({"smoking.mln": SMOKING, "train.db": FACTS})
    assert statements(text) == [
        'domain Person = { "Anna", "Bob", "Carl C" }',
        "observed Friends(Person, Person)",
        "query Smokes(Person)",
        "query Cancer(Person)",
        "rule cancer_7 [1.5] : Smokes(x) => Cancer(x)",
        "rule smokes_8 [1.1] : Friends(x, y) & Smokes(x) => Smokes(y)",
        "rule friends_9 [hard] : !Friends(x, x)",
        "rule smokes_10 [?] : Smokes(x)",
    ]
    assert "# rule friends_11 [2] : Friends(x, y) => Friends(y, x)" in text  # facts decide it
    table = pq.read_table(folder / "data" / "Friends.parquet")
    assert table.to_pylist() == [{"a1": "Anna", "a2": "Bob"}, {"a1": "Bob", "a2": "Carl C"}]
    assert report.count("refused") == 0
    assert "became  rule cancer_7 [1.5]" in (folder / "import-report.txt").read_text()
    marginals = enumerate_worlds(ground_asked(folder).graph).marginals
    assert len(marginals) == 6
    assert float(marginals[0]) != pytest.approx(0.5)


def test_a_fault_costs_its_own_line(imported):
    text = "P(t)\n1 P(x\n2 P(x) ^^ P(y)\n3 Unknown(x)\n4 P(x, y)\n5 x < y => P(x)\n6 P(A)\n"
    report, text, _ = imported({"a.mln": text, "a.db": "?P(B)\nQ(A)\nP(A, B)\nwhat\n"})
    assert "rule p_7 [6] : P(" in text
    refused = {
        (one.file[-2:], one.line): one.reason for one in report.lines if one.outcome == "refused"
    }
    told = {line: refused["ln", line] for line in range(2, 7)}
    assert told[2] == "it ends too early"
    assert told[3] == "`^` at column 9 is not understood"
    assert told[4] == "`Unknown`: declared nowhere"
    assert "takes 1 argument, not 2 (KR203)" in told[5]
    assert "compares sizes" in told[6]
    assert refused[("db", 2)] == "`Q` is declared nowhere"
    assert refused[("db", 3)] == "`P` has 1 arguments"
    assert refused[("db", 4)] == "it is no ground atom"


def test_scope_of_binders_and_parentheses(imported):
    text = "P(t)\nR(t, t)\nC(t)\n1 EXIST y R(x,y) ^ P(y) => C(x)\n"
    text += "2 (EXIST y (R(x,y))) ^ P(x) => C(x).\n"
    report, text, _ = imported({"a.mln": text})
    assert reasons(report, 5) == ["it has a weight and ends in a full stop: taken for hard"]
    assert "exists y. (R(x, y) & P(y) => C(x))" in text  # as far as it reaches, as in Alchemy
    assert "[hard] : (exists y. R(x, y)) & P(x) => C(x)" in text


@pytest.mark.parametrize(
    ("dialect", "written"),
    [("alchemy", "P(x) & Q(x) | S(x)"), ("pracmln", "P(x) & (Q(x) | S(x))")],
)
def test_precedence_is_the_dialect_s(imported, dialect, written):
    files = {"a.mln": "P(t)\nQ(t)\nS(t)\nP(x) ^ Q(x) v S(x).\n(P(x) ^ Q(x)) v S(x).\n"}
    report, text, _ = imported(files, dialect=dialect)
    assert f"[hard] : {written} #" in " ".join(text.split())
    assert f"read as {dialect} does" in reasons(report, 4)[0]
    assert reasons(report, 5) == [""]


def test_clauses_share_the_weight_but_in_pracmln(imported):
    files = {"a.mln": "P(t)\nQ(t)\nS(t)\n3 P(x) => Q(x) ^ S(y)\n"}
    report, text, _ = imported(files)
    assert "[1.5] : !P(x) | Q(x)" in text
    assert "[1.5] : !P(x) | S(y)" in text
    assert "makes 2 clauses" in reasons(report, 4)[0]


def test_pracmln_keeps_the_formula(imported):
    files = {"a.mln": "P(t)\nQ(t)\nlogx(0.8) P(x) <=> Q(x)\n", "a.db": "0.7 P(A)\nQ(A)\n"}
    report, text, folder = imported(files, dialect="pracmln", query=["P", "Q"])
    assert "[1.38629436111989" in text
    assert "P(x) <=> Q(x)" in text
    assert "rule p_1 [1 * saidP(x1)] : P(x1)" in " ".join(text.split())
    assert pq.read_table(folder / "data" / "saidP.parquet")["value"].to_pylist() == [
        pytest.approx(0.8472978)
    ]
    assert any("log-odds that are added" in one.reason for one in report.lines)


def test_weights_by_constant_and_both_signs(imported):
    files = {"a.mln": "W(d, w)\nT(d, t)\nU(d)\n1 W(d,+w) => T(d,+t)\n*U(d) v T(d,A)\n"}
    _, text, _ = imported(files)
    assert "[? 1 per w, t] : W(d, w) => T(d, t)" in text
    assert text.count(': U(d) | T(d, "A")') == text.count(': !U(d) | T(d, "A")') == 1


def test_marks(imported):
    files = {
        "a.mln": "course = {Db, Ai}\nTakes(person, course!)\nMay(person, course?)\nA(p!, q!)\n"
    }
    files["a.mln"] += "1 Takes(x, c) => May(x, c)\n1 A(x, y)\n"
    _, text, _ = imported(files)
    assert "query Takes(Person, Course!)" in text
    assert "query May(Person, Course?)" in text
    assert "[hard] : count { x1, x2 : A(x1, x2) } = 1" in text


def test_tuffy(imported):
    rules = "*wrote(person, paper)\n*refers(paper, paper)\ncat(paper, area)\n"
    rules += "1 wrote(a, p1), wrote(a, p2), cat(p1, c) => cat(p2, c) [p1 != p2]\n"
    rules += "-1 cat(p, c)\ncat(p, c1), cat(p, c2) => c1 = c2.\n"
    facts = 'wrote(Ann, "P 1")\nwrote(Ann, P2)\ncat("P 1", Db)\n!cat(P2, Ai)\n'
    _, text, folder = imported({"prog.mln": rules, "evidence.db": facts}, dialect="tuffy")
    assert "observed Wrote(Person, Paper)" in text
    assert "query Cat(Paper, Area)" in text
    assert "p1 != p2 => Wrote(a, p1) & Wrote(a, p2) & Cat(p1, c) => Cat(p2, c)" in text
    assert pq.read_table(folder / "data" / "Cat.parquet")["evidence"].to_pylist() == [True, False]
    assert "rule cat_5 [-1] : Cat(p, c)" in " ".join(text.split())


def test_lomrf_functions_and_clauses(imported):
    rules = "time = {1, ..., 3}\ntime next(time)\nHappens(event, time)\nHolds(fluent, time)\n"
    rules += "2 Holds(f, next(t)) :- Holds(f, t), !Happens(Stop, t)\n"
    facts = "2 = next(1)\nnext(2) = 3\nHappens(Stop, 2)\n"
    report, text, folder = imported({"a.mln": rules, "a.db": facts}, dialect="lomrf")
    assert "attribute next(Time): Time" in text
    assert 'Holds(f, t) & !Happens("Stop", t) => Holds(f, next(t))' in text
    assert "completes the predicate" in reasons(report, 5)[0]
    values = pq.read_table(folder / "data" / "next.parquet")
    assert values.to_pylist() == [{"a1": "1", "value": "2"}, {"a1": "2", "value": "3"}]


def test_includes_comments_and_lines_that_go_on(imported):
    files = {"a.mln": '#include "sub/types.mln"\n/* two\nlines */ 1 P(x) ^\n  P(y) =>\n  Q("//")\n'}
    files["sub/types.mln"] = "P(t)\nQ(t)\n"
    _, text, _ = imported(files)
    assert "P(x) & P(y) => Q(" in text
    assert '"//"' in text


def test_names_that_are_not_ours(imported):
    files = {
        "predicates": "author(bib, author)\nAuthor(bib)\nsame(bib)\n",
        "rules": "1 !author(in, rule) v same(in)\n1 !Author(b) v same(b)\n",
        "facts": "author(B1, A1)\nAuthor(B1)\n",
        "queries": "same(B1)\n!same(B2)\n",
    }
    report, text, folder = imported(files)
    assert "Author(in_, rule_)" in text
    assert "Author2(b)" in text
    assert report.renamed["author"].startswith("Author")
    assert pq.read_table(folder / "data" / "Same.parquet")["label"].to_pylist() == [True, False]


def test_query_closed_and_learn(imported):
    files = {"a.mln": SMOKING, "a.db": FACTS + "Smokes(Anna)\n!Smokes(Bob)\n"}
    _, text, folder = imported(files, query=["Smokes"], closed=["Cancer"], learn=True)
    assert "observed Cancer(Person)" in text
    assert "[? 1.1]" in text
    assert pq.read_table(folder / "data" / "Smokes.parquet")["label"].to_pylist() == [True, False]


def test_a_query_that_is_declared_nowhere(imported):
    with pytest.raises(ProjectError, match="declares the predicate `Smoke`") as caught:
        imported({"a.mln": SMOKING}, query=["Smoke"])
    assert caught.value.code == "KR972"


@pytest.mark.parametrize(
    ("text", "system"),
    [
        ("{3,1} embed(A) :- c(A). [activation=tanh]\n", "NeuraLogic"),
        ("0.3::stress(X) :- person(X).\n", "ProbLog"),
    ],
)
def test_other_systems_are_refused(imported, text, system):
    with pytest.raises(ProjectError, match=f"template.txt:1: these are rules of {system}"):
        imported({"templates/template.txt": text})


def test_nothing_there(imported, tmp_path):
    with pytest.raises(ProjectError) as caught:
        imported({"readme.md": "hello"})
    assert caught.value.code == "KR971"
    assert not (tmp_path / "made").exists()
