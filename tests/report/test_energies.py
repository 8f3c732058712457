"""The picture of energies over training."""

import numpy as np

from knowreason.report import energies_figure, svg_text


def test_bands_of_both_and_the_kept_step():
    steps = np.arange(0, 50, 10)
    levels = np.sort(np.random.default_rng(0).normal(size=(5, 5)), axis=1)
    figure = energies_figure(steps, levels, levels + 1, np.linspace(0.5, 0.8, 5), "Some graph")
    text = svg_text(figure)
    for word in ("observed", "perturbed", "told apart", "Some graph"):
        assert word in text
    assert text == svg_text(
        energies_figure(steps, levels, levels + 1, np.linspace(0.5, 0.8, 5), "Some graph")
    )
