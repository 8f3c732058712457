"""The energy of a node as a weighted sum of named terms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from knowreason.models.base.model_protocol import Progress
from knowreason.models.energy.ego_subgraphs import (
    PERTURBATIONS,
    Egos,
    perturbed,
    symmetric_adjacency,
)
from knowreason.models.energy.energy_scaling import Standard
from knowreason.models.energy.energy_terms import (
    CLOSED_FORM,
    EnergyTerm,
    InputMaps,
    Inputs,
    flattened,
    unflattened,
)
from knowreason.models.energy.neural_energy import EnergyHistory, Net, Training, rebuilt, train_net

Weighting = Literal["equal", "contrast", "agreement"]
TERMS = (*CLOSED_FORM, "net")
PARTS = 32
HELD = 0.2  # share of ego-subgraphs on which contrasts are measured
PRIOR_EGOS = 100  # that speak for equal weights
CONTRAST_ROWS = 5_000  # few ego-subgraphs are perturbed several times
AGREEMENT_ROWS = 20_000


@dataclass(frozen=True)
class AdditiveEnergy:
    """A fitted energy: higher is stranger, on any graph with the same features.

    Attributes:
        maps: of features to what the terms see.
        terms: by name, in order.
        standards: of the energies of each term.
        weights: of each term, at least 0, with sum 1.
        contrasts: by term and kind of perturbation, share of perturbed ego-subgraphs with
            the higher energy; 0.5 is blind.
        report: how it was fitted, sentences.
    """

    maps: InputMaps
    terms: Mapping[str, EnergyTerm]
    standards: Mapping[str, Standard]
    weights: Mapping[str, float]
    contrasts: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    report: tuple[str, ...] = ()

    def shares(
        self,
        x: NDArray[np.floating],
        edge_index: NDArray[np.integer],
        centres: NDArray[np.integer] | None = None,
    ) -> dict[str, NDArray[np.float32]]:
        """Each term's share of the energy; the shares add up to it.

        Args:
            x: ``float[n, d]`` features of all nodes, no missing values.
            edge_index: ``int[2, m]``, directions, repeats and self loops do not matter.
            centres: the nodes to score, by default all.

        Returns:
            By term ``float32[len(centres)]``; 0 where a term has nothing to say.
        """
        egos = Egos.of(symmetric_adjacency(edge_index, len(x)), centres)
        by_term = energies(self.terms, egos, self.maps(x))
        return {
            name: (self.weights[name] * self.standards[name](energy)).astype(np.float32)
            for name, energy in by_term.items()
        }

    def __call__(
        self,
        x: NDArray[np.floating],
        edge_index: NDArray[np.integer],
        centres: NDArray[np.integer] | None = None,
    ) -> NDArray[np.float32]:
        """The energy, ``float32``; arguments as for :meth:`shares`."""
        shares = self.shares(x, edge_index, centres)
        energy: NDArray[np.float32] = np.sum(list(shares.values()), axis=0, dtype=np.float32)
        return energy

    @property
    def history(self) -> EnergyHistory | None:
        """Energies over the training of the networks, ``None`` without them."""
        net = self.terms.get("net")
        return net.history if isinstance(net, Net) else None


def fit_energy(
    x: NDArray[np.floating],
    edge_index: NDArray[np.integer],
    *,
    terms: Sequence[str] = TERMS,
    weights: Weighting = "contrast",
    training: Training | None = None,
    centres: NDArray[np.integer] | None = None,
    progress: Progress | None = None,
) -> AdditiveEnergy:
    """Fit the terms on one graph. No label is involved.

    Args:
        x: ``float[n, d]`` features of all nodes, no missing values.
        edge_index: ``int[2, m]`` as in PyG; directions, repeats and self loops do not matter.
        terms: which of ``attributes``, ``difference``, ``edge``, ``degree``, ``net``.
        weights: ``"equal"``; ``"contrast"``, by how well a term tells held-out ego-subgraphs from
            perturbed ones; ``"agreement"``, leading eigenvector of the terms' rank
            correlations.
        training: of the networks; also the share of edges changed, and the seed.
        centres: nodes whose ego-subgraphs are learned, by default all. Features of the
            others are seen as neighbours.
        progress: called at each step of the networks' training.
    """
    how = training or Training()
    maps = InputMaps.fit(x, PARTS)
    inputs = maps(x)
    egos = Egos.of(symmetric_adjacency(edge_index, len(x)), centres)
    held, seen = held_out(len(egos), how.seed)
    closed = tuple(name for name in CLOSED_FORM if name in terms)
    fitted = _fitted(closed, egos, inputs)
    judged = _fitted(closed, egos.take(seen), inputs)
    report: tuple[str, ...] = ()
    if "net" in terms:
        net = train_net(egos, inputs, held, how, progress)
        fitted["net"], judged["net"], report = net, net, (net.note,)
    fitted = {name: fitted[name] for name in terms}
    observed = energies(fitted, egos, inputs)
    contrasts = contrasts_of({n: judged[n] for n in terms}, egos.take(held), inputs, how)
    by_term = weights_of(weights, observed, contrasts, len(held))
    listed = ", ".join(f"{name} {weight:.2f}" for name, weight in by_term.items())
    return AdditiveEnergy(
        maps,
        fitted,
        {name: Standard.fit(energy) for name, energy in observed.items()},
        by_term,
        contrasts,
        (*report, f"weights of the terms, set without labels ({weights}): {listed}"),
    )


def energy_of(
    x: NDArray[np.floating], edge_index: NDArray[np.integer], **how: Any
) -> NDArray[np.float32]:
    """The energy of every node of a graph, fitted on that graph; higher is stranger.

    Takes arrays, or tensors on the CPU such as PyG's ``data.x`` and ``data.edge_index``;
    ``how`` are options of :func:`fit_energy`.
    """
    x, edge_index = np.asarray(x), np.asarray(edge_index)
    return fit_energy(x, edge_index, **how)(x, edge_index)


def energies(
    terms: Mapping[str, EnergyTerm], egos: Egos, inputs: Inputs
) -> dict[str, NDArray[np.float64]]:
    """Energy of every ego-subgraph by term."""
    return {name: term.energy(egos, inputs) for name, term in terms.items()}


def held_out(count: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Places of a fifth of the ego-subgraphs, and of the others; all in both under five."""
    order = np.random.default_rng(seed).permutation(count)
    held = order[: int(HELD * count)]
    return (held, np.sort(order[len(held) :])) if len(held) else (order, np.sort(order))


def contrasts_of(
    terms: Mapping[str, EnergyTerm], egos: Egos, inputs: Inputs, how: Training
) -> dict[str, dict[str, float]]:
    """How often a perturbed ego-subgraph has the higher energy, ties counting half.

    Args:
        terms: not fitted on these ego-subgraphs, which they would know again.
        egos: observed.
        inputs: of all nodes.
        how: share of edges changed, and the seed.
    """
    random = np.random.default_rng(how.seed)
    observed = energies(terms, egos, inputs)
    rounds = 1 + CONTRAST_ROWS // max(len(egos), 100)
    contrasts: dict[str, dict[str, float]] = {name: {} for name in terms}
    for kind in PERTURBATIONS:
        drawn = [
            energies(terms, perturbed(egos, kind, how.share, random), inputs) for _ in range(rounds)
        ]
        for name in terms:
            gap = np.array([after[name] - observed[name] for after in drawn])
            gap = gap[~np.isnan(gap)]
            contrasts[name][kind] = (
                float(((gap > 0) + 0.5 * (gap == 0)).mean()) if len(gap) else 0.5
            )
    return contrasts


def _fitted(names: Sequence[str], egos: Egos, inputs: Inputs) -> dict[str, EnergyTerm]:
    return {name: CLOSED_FORM[name].fit(egos, inputs) for name in names}


def weights_of(
    how: Weighting,
    observed: Mapping[str, NDArray[np.floating]],
    contrasts: Mapping[str, Mapping[str, float]],
    held: int,
) -> dict[str, float]:
    """Weights with sum 1; equal ones where a scheme would leave nothing.

    Args:
        how: see :func:`fit_energy`. Weights by contrast go with its excess over one half,
            drawn towards equal ones as by :data:`PRIOR_EGOS` further ego-subgraphs.
        observed: energies by term.
        contrasts: from :func:`contrasts_of`.
        held: on how many ego-subgraphs those were measured.
    """
    if how == "contrast":
        excess = np.array([np.mean(list(kinds.values())) - 0.5 for kinds in contrasts.values()])
        excess = np.maximum(excess, 0)
        raw = (held * excess + PRIOR_EGOS * excess.mean()) / (held + PRIOR_EGOS)
    elif how == "agreement":
        raw = np.maximum(_agreement(np.array(list(observed.values()))), 0)
    else:
        raw = np.ones(len(observed))
    raw = raw if raw.sum() > 1e-9 else np.ones(len(raw))
    return dict(zip(observed, (raw / raw.sum()).tolist(), strict=True))


def _agreement(observed: NDArray[np.float64]) -> NDArray[np.float64]:
    """Leading eigenvector of the rank correlations of the terms ``[k, n]``."""
    filled = np.where(np.isnan(observed), np.nanmedian(observed, axis=1)[:, None], observed)
    ranks = rankdata(filled[:, :AGREEMENT_ROWS], axis=1)
    with np.errstate(invalid="ignore"):
        correlation = np.nan_to_num(np.atleast_2d(np.corrcoef(ranks)))
    leading = np.linalg.eigh(correlation)[1][:, -1]
    agreement: NDArray[np.float64] = leading * np.sign(leading.sum())
    return agreement


def energy_arrays(
    energy: AdditiveEnergy,
) -> tuple[dict[str, NDArray[np.generic]], dict[str, object]]:
    """Arrays and plain values from which :func:`energy_from` makes it again."""
    arrays = flattened(energy.maps, "maps")
    degree: tuple[float, ...] = ()
    for name, term in energy.terms.items():
        if isinstance(term, Net):
            weights = term.module.state_dict().items()
            arrays |= {f"net.{key}": value.detach().cpu().numpy() for key, value in weights}
            degree = term.degree
            arrays |= {} if term.history is None else flattened(term.history, "history")
        else:
            arrays |= flattened(term, f"term.{name}")
        arrays |= flattened(energy.standards[name], f"standard.{name}")
    values = {
        "weights": dict(energy.weights),
        "contrasts": {k: dict(v) for k, v in energy.contrasts.items()},
    }
    return arrays, values | {"degree": degree, "report": energy.report}


def energy_from(
    arrays: Mapping[str, NDArray[np.generic]], values: Mapping[str, Any], device: str
) -> AdditiveEnergy:
    """Inverse of :func:`energy_arrays`."""
    terms: dict[str, EnergyTerm] = {}
    for name in values["weights"]:
        if name in CLOSED_FORM:
            terms[name] = unflattened(CLOSED_FORM[name], arrays, f"term.{name}")
        else:
            weights = {k.removeprefix("net."): a for k, a in arrays.items() if k[:4] == "net."}
            history = unflattened(EnergyHistory, arrays, "history")
            terms[name] = rebuilt(weights, tuple(values["degree"]), device, history)
    standards = {name: unflattened(Standard, arrays, f"standard.{name}") for name in terms}
    return AdditiveEnergy(
        unflattened(InputMaps, arrays, "maps"),
        terms,
        standards,
        dict(values["weights"]),
        values["contrasts"],
        tuple(values["report"]),
    )
