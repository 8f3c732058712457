"""Pictures are SVG that any browser shows, the same for the same data."""

import re
import xml.etree.ElementTree as ElementTree

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
from knowreason.report.chart import Chart, ticks
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


def test_a_picture_is_written_whole(tmp_path):
    save_svg(figures()["weights"], tmp_path / "w.svg")
    assert [path.name for path in tmp_path.iterdir()] == ["w.svg"]
    assert (tmp_path / "w.svg").read_text().startswith("<svg")


def test_stairs_pass_every_level():
    """Dropping what cannot be seen leaves the same line."""
    chart = Chart("", "", "", (0, 1), (0, 1))
    x, y = np.sort(RNG.random(4000)), np.round(RNG.random(4000), 1)
    chart.line(x, y, stairs=True)
    path = chart.marks[0].split("'")[1]
    steps = np.array(re.findall(r"V([\d.]+)H([\d.]+)", path), float)
    drawn = np.round(chart.at(x, y), 1)
    assert len(steps) < len(drawn) - 500
    between = np.unique(drawn[1:, 0])[:-1] + 0.05
    one = steps[np.searchsorted(steps[:, 1], between), 0]
    other = drawn[np.searchsorted(drawn[:, 0], between), 1]
    np.testing.assert_array_equal(one, other)
    assert steps[-1].tolist() == drawn[-1, ::-1].tolist()


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-0.03, 1.03), (-7.3, 12.1), (0, 3e-4), (5, 5)])
def test_ticks_are_round_and_few(low, high):
    found = np.array(ticks(low, high))
    assert 1 <= len(found) <= 7
    assert (found >= low - 1e-9).all()
    assert (found <= high + 1e-9).all()
    assert np.ptp(np.diff(found)) < 1e-9 if len(found) > 1 else True
