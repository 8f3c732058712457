"""Weights of the terms of `gad_ebm` that were tried without labels, and paired tests of scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata, ttest_1samp

from knowreason.metrics import paired_difference
from knowreason.models.energy import Training
from knowreason.models.energy.additive_energy import AdditiveEnergy, energies, held_out
from knowreason.models.energy.ego_subgraphs import ONE_AT_A_TIME, Egos, perturbed
from knowreason.models.energy.energy_terms import CLOSED_FORM

PRIOR_EGOS = 100  # that speak for equal weights
METRICS = {"AUC": "roc_auc", "AP": "average_precision"}
Array = NDArray[np.floating]


def by_contrast(
    energy: AdditiveEnergy, x: Array, egos: Egos, how: Training, rounds: int = 5
) -> dict[str, float]:
    """By how often a term gives a perturbed ego-subgraph the higher energy, less one half.

    Measured on a fifth of the nodes, on which no term was fitted; drawn towards equal weights as by
    100 further ego-subgraphs.
    """
    inputs, held = energy.maps(x), held_out(len(egos), how.seed)
    seen, held_egos = egos.take(np.setdiff1d(np.arange(len(egos)), held)), egos.take(held)
    terms = {
        name: CLOSED_FORM[name].fit(seen, inputs) if name in CLOSED_FORM else term
        for name, term in energy.terms.items()
    }
    random = np.random.default_rng(how.seed)
    observed = energies(terms, held_egos, inputs)
    told: dict[str, list[float]] = {name: [] for name in terms}
    for kind in ONE_AT_A_TIME * rounds:
        after = energies(terms, perturbed(held_egos, kind, how.share, random), inputs)
        for name in terms:
            gap = after[name] - observed[name]
            gap = gap[~np.isnan(gap)]
            told[name].append(((gap > 0) + 0.5 * (gap == 0)).mean() if len(gap) else 0.5)
    excess = np.maximum([np.mean(shares) - 0.5 for shares in told.values()], 0)
    raw = (len(held) * excess + PRIOR_EGOS * excess.mean()) / (len(held) + PRIOR_EGOS)
    return _shared(list(terms), raw)


def by_agreement(surprise: Mapping[str, Array]) -> dict[str, float]:
    """Leading eigenvector of the rank correlations of the terms."""
    with np.errstate(invalid="ignore"):
        correlation = np.corrcoef([rankdata(column) for column in surprise.values()])
    leading = np.linalg.eigh(np.nan_to_num(correlation))[1][:, -1]
    return _shared(list(surprise), np.maximum(leading * np.sign(leading.sum()), 0))


def _shared(names: list[str], raw: NDArray[np.float64]) -> dict[str, float]:
    raw = raw if raw.sum() > 1e-9 else np.ones(len(raw))
    return dict(zip(names, (raw / raw.sum()).tolist(), strict=True))


def paired(
    labels: Mapping[str, NDArray[np.integer]],
    scores: Mapping[str, Mapping[str, Array]],
    first: str,
    others: tuple[str, ...],
) -> Iterator[dict[str, object]]:
    """``first`` less each other, in points: a set and metric at a time, and over sets.

    Args:
        labels: 0/1 by set.
        scores: by set and method.
        first: the method that is compared.
        others: with which.

    Yields:
        Rows with ``[low, high]``, 95 %, paired over nodes (bootstrap); the last ones of each
        other hold the mean over sets, its 95 % interval (t, sets as draws), and on how many sets
        the interval over nodes leaves out 0.
    """
    for other in others:
        for short, metric in METRICS.items():
            row: dict[str, object] = {"less": other, "of": short}
            gaps, wins, losses = [], 0, 0
            for name, methods in scores.items():
                if other not in methods:
                    continue
                found = paired_difference(labels[name], methods[first], methods[other], metric)
                low, high = 100 * found.low, 100 * found.high
                row[name] = f"{100 * found.value:+.1f} [{low:+.1f}, {high:+.1f}]"
                gaps.append(100 * found.value)
                wins, losses = wins + (low > 0), losses + (high < 0)
            if len(gaps) > 1:
                over = ttest_1samp(gaps, 0).confidence_interval()
                row["mean"] = f"{np.mean(gaps):+.1f} [{over.low:+.1f}, {over.high:+.1f}]"
                row["ahead, behind"] = f"{wins}, {losses} of {len(gaps)}"
            yield row
