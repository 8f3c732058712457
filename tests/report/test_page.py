"""The page of a run: one file, no network, one script that its policy names, text for all."""

import re
from base64 import b64encode
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from knowreason.project.project_tables import load_parts
from knowreason.project.schema import DecisionSection
from knowreason.report.html import report_html
from knowreason.report.page_markup import Markup, Section, table
from knowreason.report.report_parts import ReportParts
from knowreason.report.svg import described, in_page, new_figure, svg_text
from knowreason.run.run_evaluation import evaluate_parts
from knowreason.run.run_folder import load_run
from knowreason.run.run_prediction import beliefs_of_run

VOID = {"meta", "input", "br", "link", "img"}


class Page(HTMLParser):
    """Elements in order, each with its attributes, text and what it lies in."""

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.closed_wrong = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        element = {"tag": tag, "in": [e["tag"] for e in self.open], "text": "", **dict(attrs)}
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag, attrs):
        self.elements.append(
            {"tag": tag, "in": [e["tag"] for e in self.open], "text": "", **dict(attrs)}
        )

    def handle_endtag(self, tag):
        if not self.open or self.open[-1]["tag"] != tag:
            self.closed_wrong.append(tag)
        else:
            self.open.pop()

    def handle_data(self, data):
        for element in self.open:
            element["text"] += data

    def all(self, *tags):
        return [element for element in self.elements if element["tag"] in tags]


@pytest.fixture(scope="module")
def page(skimming_run):
    return Page((skimming_run / "report.html").read_text(encoding="utf-8"))


def test_elements_close_and_ids_are_unique(page):
    assert page.closed_wrong == []
    assert page.open == []
    ids = [element["id"] for element in page.elements if "id" in element]
    assert len(ids) == len(set(ids))
    named = {
        name
        for element in page.elements
        for key in ("aria-labelledby", "for", "data-tools")
        for name in element.get(key, "").split()
    }
    assert named <= set(ids)


def test_nothing_is_fetched(page):
    links = [
        element[key] for element in page.elements for key in ("src", "href", "xlink:href")
        if key in element
    ]  # fmt: skip
    assert all(link.startswith("#") for link in links)
    assert {link[1:] for link in links} <= {element.get("id") for element in page.elements}
    assert "@import" not in page.all("style")[0]["text"]
    assert "url(http" not in page.all("style")[0]["text"]


def test_the_policy_names_the_only_script(page):
    (script,) = page.all("script")
    (policy,) = (e for e in page.all("meta") if e.get("http-equiv") == "Content-Security-Policy")
    place = page.elements.index(policy)
    assert all(e["tag"] in ("html", "head", "meta") for e in page.elements[:place])
    digest = b64encode(sha256(script["text"].encode()).digest()).decode()
    rules = dict(rule.split(" ", 1) for rule in policy["content"].split("; "))
    assert rules["script-src"] == f"'sha256-{digest}'"
    assert rules["default-src"] == "'none'"
    assert not any(key.startswith("on") for element in page.elements for key in element)
    assert "eval(" not in script["text"]
    assert "innerHTML" not in script["text"]


def test_the_question_is_the_title_and_the_verdict_is_first(page):
    (title,) = page.all("h1")
    assert title["text"].startswith("Which payments are fraud")
    assert page.all("title")[0]["text"] == title["text"]
    box = next(e for e in page.elements if e.get("class", "").startswith("verdict"))
    assert box["text"].startswith(("Use", "Do not use"))
    assert page.elements.index(box) < page.elements.index(page.all("table")[0])
    said = [element["text"] for element in page.all("h2")]
    assert said == [
        "Verdict",
        "The data",
        "How good, with and without rules: Fraud",
        "Calibration and other pictures: Fraud",
        "The strongest conclusions, and why: Fraud",
        "What the rules weigh",
        "How stable: Fraud",
        "How exactly the probabilities were computed",
        "The rules",
        "How it was made",
    ]


def test_headings_and_landmarks(page):
    levels = [int(e["tag"][1]) for e in page.elements if re.fullmatch("h[1-6]", e["tag"])]
    assert levels[0] == 1
    assert all(later <= before + 1 for before, later in pairwise(levels))
    for landmark in ("header", "nav", "main", "footer"):
        assert len(page.all(landmark)) == 1
    assert page.all("html")[0]["lang"] == "en"


def test_every_head_says_its_scope_and_every_picture_has_a_text(page):
    assert page.all("th")
    assert {e.get("scope") for e in page.all("th")} == {"row", "col"}
    assert len(page.all("caption")) == len(page.all("table"))
    assert all(e["text"].strip() for e in page.all("th", "caption", "summary", "label"))
    pictures = page.all("svg")
    assert len(pictures) >= 4  # and one of weights, where labels say something of them
    for picture in pictures:
        assert picture["role"] == "img"
        place = page.elements.index(picture)
        assert [e["tag"] for e in page.elements[place + 1 : place + 3]] == ["title", "desc"]
        assert all(e["text"] for e in page.elements[place + 1 : place + 3])
    assert not page.all("img")


def test_cells_say_their_column_where_rows_are_cards(page):
    cells = [e for e in page.all("td", "th") if "tbody" in e["in"]]
    assert all(cell.get("data-label") for cell in cells)
    boxes = [e for e in page.all("div") if e.get("class") == "scroll"]
    assert all(box["tabindex"] == "0" and box["aria-label"] for box in boxes)


def test_conclusions_have_fields_truth_and_reasons(page):
    listed = next(e for e in page.all("table") if e.get("class") == "listed")
    for word in ("amount", "terminal", "truth", "reasons", "skimmed +"):
        assert word in listed["text"]
    assert re.search("✓ true|✗ false", listed["text"])
    values = [float(e["value"]) for e in page.all("data")]
    assert values == sorted(values, reverse=True)
    tools = next(e for e in page.elements if e.get("class") == "tools")
    assert "hidden" in tools  # nothing is offered that does not work without the script


def test_the_data_section_tells_sizes_dates_prevalence_and_ids(page):
    section = next(e for e in page.all("section") if e["aria-labelledby"] == "data")["text"]
    for word in ("Fraud: learned from", "Fraud: asked", "prevalence (0.02)", "2026-01-", "Missing"):
        assert word in section
    assert "Ids of each table that others know" in section


def test_a_decision_stands_first(skimming_run):
    run = load_run(skimming_run)
    project = replace(run.project, decision=DecisionSection(capacity="3 a day"))
    parts, beliefs = load_parts(project), beliefs_of_run(skimming_run)
    evaluations = evaluate_parts(run.reasoner, project, parts.train, beliefs)
    page = Page(report_html(ReportParts(project, run.reasoner, beliefs, evaluations)))
    box = next(e for e in page.elements if e.get("class", "").startswith("verdict"))
    measured = evaluations[0].alarms
    assert box["text"].index(str(measured)) < box["text"].index(str(evaluations[0].verdict))
    said = [element["text"] for element in page.all("h2")]
    assert said[:2] == ["Verdict", "Alarms at 3 a day: Fraud"]
    alarms = [e["text"] for e in page.all("td") if e.get("data-label") == "alarm"]
    assert set(alarms) == {"yes", "no"}
    assert alarms[0] == "yes"


def test_text_is_escaped():
    nasty = "<script>alert('1')</script>"
    made = table(nasty, [nasty], [[nasty]], sortable=nasty) + str(Section(nasty, nasty, ""))
    assert "<script" not in made
    assert "'1'" not in made  # attributes stand in single quotes
    assert "<b>a</b>" in table("t", ["x"], [[Markup("<b>a</b>")]])


def test_a_picture_in_a_page_keeps_its_references():
    figure, axes = new_figure()
    axes.plot([0, 1], [0, 1], "o-")
    svg = described(in_page(svg_text(figure), "one"), "a < b", "A line.")
    ids = set(re.findall(r'(?<= )id="([^"]+)"', svg))
    used = set(re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', svg))
    assert all(name.startswith("one-") for name in ids)
    assert {name for pair in used for name in pair if name} <= ids
    assert "#1f2933" not in svg
    assert "<title>a &lt; b</title>" in svg
