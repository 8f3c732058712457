"""Pictures are SVG that any browser shows, the same for the same data."""

import runpy
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest

from knowreason.metrics.metrics import calibration_curve
from knowreason.report import (
    calibration_figure,
    precision_recall_figure,
    save_svg,
    slices_figure,
    svg_text,
    weights_figure,
)
from knowreason.report.weight_figure import WeightBar

RNG = np.random.default_rng(0)
TRUTH = RNG.random(300) < 0.3
SCORES = {"reasoner": RNG.normal(size=300) + 2 * TRUTH, "model <a> & b": RNG.normal(size=300)}


def figures():
    slices = [{"slice": day, "true": day, "auc": 0.5} for day in range(4)]
    return {
        "calibration": calibration_figure(calibration_curve(TRUTH, SCORES["reasoner"])),
        "precision": precision_recall_figure(TRUTH, SCORES, "reasoner"),
        "slices": slices_figure(slices, "auc"),
        "weights": weights_figure([WeightBar("skimmed", 1.0, 1.4, 0.9, 1.9)]),
    }


@pytest.mark.parametrize("name", list(figures()))
def test_svg_is_well_formed_and_repeatable(name):
    text = svg_text(figures()[name])
    root = ElementTree.fromstring(text)
    assert root.tag.endswith("svg")
    assert text == svg_text(figures()[name])
    assert "<image" not in text


def test_words_of_a_picture():
    words = svg_text(figures()["precision"])
    for word in ("recall", "precision", "reasoner", "model &lt;a&gt; &amp; b", "chance"):
        assert word in words
    assert "skimmed" in svg_text(figures()["weights"])


def test_slices_are_called_by_the_title():
    rows = [{"slice": 0, "true": 4, "average_precision": 0.8}]
    words = svg_text(slices_figure(rows, "average_precision", "average precision"))
    assert "Average precision by slice" in words
    assert "average_precision" not in words


def test_each_picture_of_the_gallery_has_a_page(tmp_path):
    gallery = Path(__file__).parents[2] / "docs/gallery"
    runpy.run_path(str(gallery / "draw.py"))["main"](tmp_path)
    drawn = {path.name for path in tmp_path.iterdir()}
    assert drawn == {path.name for path in gallery.glob("pictures/*.svg")}
    pages = "".join(page.read_text() for page in gallery.glob("*.md"))
    assert [name for name in sorted(drawn) if f"](pictures/{name})" not in pages] == []
    around = (tmp_path / "neighbourhood.svg").read_text()
    assert "Fraud(&quot;p3&quot;) known true" in around
    assert "over 99.99 %" not in around


def test_a_picture_is_written_whole(tmp_path):
    save_svg(figures()["weights"], tmp_path / "w.svg")
    assert [path.name for path in tmp_path.iterdir()] == ["w.svg"]
    assert (tmp_path / "w.svg").read_text().startswith("<svg")
