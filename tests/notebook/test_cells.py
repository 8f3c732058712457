from html.parser import HTMLParser

import pyarrow as pa
import pytest

import knowreason as kr
from knowreason.beliefs.beliefs import MarginalTable
from knowreason.explanation import Explanation, Share
from knowreason.notebook.cells import (
    MOST_LINES,
    MOST_ROWS,
    first_lines,
    html_cell,
    html_lines,
    html_table,
    html_text,
    text_table,
)
from knowreason.reasoner.rule_weights import RuleWeight, RuleWeights

BAD = "<script>alert('&')</script>"
RULES = f"""
domain Person
observed Friends(Person, Person) symmetric
query Smokes(Person)
query Wheezes(Person)
rule rare [-1] : Smokes(x)
rule peers [1.2] : Friends(x, y) & Smokes(x) => Smokes(y)
rule odd [1] : Smokes("{BAD}") => Wheezes(x)
"""


class Tags(HTMLParser):
    """Which tags are open, and all that were."""

    def __init__(self, text):
        super().__init__()
        self.open, self.seen, self.text = [], set(), ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.seen.add(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def shown():
    """A value of each kind, over 40 people of whom one has an odd name."""
    program = kr.loads(RULES)
    names = [BAD, *(f"p{i}" for i in range(39))]
    data = kr.Dataset.from_frames(
        program,
        facts={"Friends": {"a": names[:-1], "b": names[1:]}},
        labels={"Smokes": {"id": names[:20], "truth": [i % 4 < 2 for i in range(20)]}},
        things={"Person": {"id": names}},
    )
    settings = kr.Settings(fold_count=2)
    reasoner = kr.Reasoner(program, settings=settings).fit(data)
    beliefs = reasoner.infer(data)
    return {
        "Program": program,
        "Dataset": data,
        "Plan": kr.plan(program, data),
        "Grounding": reasoner.grounding_,
        "Reasoner": reasoner,
        "Unfitted": kr.Reasoner(program),
        "RuleWeights": reasoner.weights_,
        "Beliefs": beliefs,
        "MarginalTable": beliefs.marginals("Smokes", everything=True),
        "Explanation": reasoner.explain(beliefs, 'Wheezes("p1")'),
        "Fit": reasoner.fit_,
        "Posterior": beliefs.posterior,
        "FactorGraph": beliefs.grounding.graph,
    }


def test_reprs_are_short_and_show_no_tensors(shown):
    for name, value in shown.items():
        text = repr(value)
        assert len(text.splitlines()) <= MOST_LINES, name
        assert max(map(len, text.splitlines())) <= 200, name
        assert not any(word in text for word in ("tensor(", "array(", "pyarrow.")), name
        if name != "Explanation":
            assert text.startswith(f"{type(value).__name__}("), name


def test_cells_are_html_without_the_names_of_others(shown):
    for name, value in shown.items():
        if name in ("Fit", "Posterior", "FactorGraph"):
            continue
        html = value._repr_html_()
        tags = Tags(html)
        assert tags.open == [], name
        assert "script" not in tags.seen, name
        assert len(html) < 10_000, name
    for name in ("Program", "MarginalTable"):
        assert BAD in Tags(shown[name]._repr_html_()).text


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Program", ["3 rules", "asks Smokes, Wheezes"]),
        ("Dataset", ["40", "Friends", "labels", "20"]),
        ("Plan", ["peers", "seconds", "all"]),
        ("Grounding", ["groundings", "peers", "Wheezes"]),
        ("Reasoner", ["fitted on 20 labels", "peers", "learned"]),
        ("Unfitted", ["not fitted", "rule rare"]),
        ("RuleWeights", ["peers", "before", "95 % from"]),
        ("Beliefs", ["asked", "20", "quality", "Wheezes"]),
        ("MarginalTable", ["40 rows", "the first 20", "probability"]),
        ("Explanation", ["Wheezes", "these add up", "log-odds", "probability"]),
    ],
)
def test_cells_show_what_is_asked_for(shown, name, words):
    text = Tags(shown[name]._repr_html_()).text
    assert [word for word in words if word not in text] == []


def test_a_reasoner_shows_its_own_cell(shown):
    bundle = shown["Reasoner"]._repr_mimebundle_(include=None, exclude=None)
    assert bundle["text/html"] == shown["Reasoner"]._repr_html_()


def test_long_values_are_cut():
    many = RuleWeights(
        tuple(RuleWeight(f"rule{i}", "rule", 1.0, 0.1, 0.0, 2.0, "learned") for i in range(500))
    )
    assert len(repr(many).splitlines()) == MOST_LINES
    assert many._repr_html_().count("<tr>") == 2 * MOST_ROWS + 1
    shares = tuple(Share("rule", f"r{i}", 0.1) for i in range(500))
    why = Explanation(f'Bad("{BAD}")', 0.7, 50.0, shares)
    assert len(repr(why).splitlines()) == MOST_LINES
    assert "<script" not in why._repr_html_()
    wide = kr.loads("domain P\n" + "\n".join(f"query Q{i}(P)" for i in range(300)))
    assert wide._repr_html_().count("\n") < MOST_LINES
    assert len(repr(wide)) <= 200


def test_tables_are_cut_and_escaped():
    rows = [["<", i] for i in range(50)]
    assert html_table(["a>", "b"], rows).count("<tr>") == MOST_ROWS + 1
    assert ".. and 30 more" in html_table(["a", "b"], rows)
    assert text_table(["a", "b"], rows).endswith(".. and 30 more")
    cells = html_cell("<i>"), html_lines(["<i>"], "<i>"), html_text("<i>")
    for text in (html_table(["<i>"], []), *cells):
        assert "&lt;i&gt;" in text
        assert "<i>" not in text
    assert html_lines([]) == ""
    assert html_lines(map(str, range(30))).endswith("<li>.. and 10 more</li></ul>")


def test_text_tables_align():
    table = text_table(["name", "x", "on"], [["a", 1.5, True], ["long name", float("nan"), None]])
    assert table.splitlines() == ["name           x  on", "a          1.500  true", "long name"]
    assert text_table(["a", "b"], []) == "a  b"


def test_texts_are_cut():
    assert first_lines("\n".join("abc")) == "a\nb\nc"
    text = first_lines("\n".join(map(str, range(100))))
    assert text.splitlines()[-1] == ".. and 71 more"
    assert len(first_lines("x" * 1000)) == 160


def test_marginals_print_as_a_table():
    table = MarginalTable(pa.table({"person": ["anna"], "probability": [0.7]}))
    assert repr(table) == "MarginalTable(1 rows)\nperson  probability\nanna          0.700"
    many = MarginalTable(pa.table({"person": [str(i) for i in range(12)]}))
    assert repr(many).endswith(".. and 2 more")
