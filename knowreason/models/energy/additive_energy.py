"""The energy of a node as the mean of named terms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from knowreason.models.base.model_protocol import Progress
from knowreason.models.energy.ego_subgraphs import Egos, symmetric_adjacency
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

TERMS = (*CLOSED_FORM, "net")
PARTS = 32
HELD = 0.2  # share of ego-subgraphs that only say when to stop


@dataclass(frozen=True)
class AdditiveEnergy:
    """A fitted energy: higher is stranger, on any graph with the same features.

    Attributes:
        maps: of features to what the terms see.
        terms: by name, in order.
        standards: of the energies of each term.
        report: how it was fitted, sentences.
    """

    maps: InputMaps
    terms: Mapping[str, EnergyTerm]
    standards: Mapping[str, Standard]
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
            name: (self.standards[name](energy) / len(by_term)).astype(np.float32)
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
    training: Training | None = None,
    centres: NDArray[np.integer] | None = None,
    progress: Progress | None = None,
) -> AdditiveEnergy:
    """Fit the terms on one graph. No label is involved.

    Args:
        x: ``float[n, d]`` features of all nodes, no missing values.
        edge_index: ``int[2, m]`` as in PyG; directions, repeats and self loops do not matter.
        terms: which of ``difference``, ``edge``, ``degree``, ``triangles``, ``net``.
        training: of the networks, and the seed.
        centres: nodes whose ego-subgraphs are learned, by default all. Features of the
            others are seen as neighbours.
        progress: called at each step of the networks' training.
    """
    how = training or Training()
    maps = InputMaps.fit(x, PARTS)
    inputs = maps(x)
    egos = Egos.of(symmetric_adjacency(edge_index, len(x)), centres)
    fitted: dict[str, EnergyTerm] = {}
    report: tuple[str, ...] = ()
    for name in terms:
        if name in CLOSED_FORM:
            fitted[name] = CLOSED_FORM[name].fit(egos, inputs)
        else:
            net = train_net(egos, inputs, held_out(len(egos), how.seed), how, progress)
            fitted[name], report = net, (net.note,)
    observed = energies(fitted, egos, inputs)
    standards = {name: Standard.fit(energy) for name, energy in observed.items()}
    return AdditiveEnergy(maps, fitted, standards, report)


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


def held_out(count: int, seed: int) -> NDArray[np.int64]:
    """Places of a fifth of the ego-subgraphs; of all under five."""
    order = np.random.default_rng(seed).permutation(count)
    return order[: int(HELD * count)] if count >= 1 / HELD else order


def energy_arrays(
    energy: AdditiveEnergy,
) -> tuple[dict[str, NDArray[np.generic]], dict[str, object]]:
    """Arrays and plain values from which :func:`energy_from` makes it again."""
    arrays = flattened(energy.maps, "maps")
    values: dict[str, object] = {"terms": tuple(energy.terms), "report": energy.report}
    for name, term in energy.terms.items():
        if isinstance(term, Net):
            weights = term.module.state_dict().items()
            arrays |= {f"net.{key}": value.detach().cpu().numpy() for key, value in weights}
            arrays |= {} if term.history is None else flattened(term.history, "history")
            values |= {"degree": term.degree, "encoder": term.encoder}
        else:
            arrays |= flattened(term, f"term.{name}")
        arrays |= flattened(energy.standards[name], f"standard.{name}")
    return arrays, values


def energy_from(
    arrays: Mapping[str, NDArray[np.generic]], values: Mapping[str, Any], device: str
) -> AdditiveEnergy:
    """Inverse of :func:`energy_arrays`."""
    terms: dict[str, EnergyTerm] = {}
    for name in values["terms"]:
        if name in CLOSED_FORM:
            terms[name] = unflattened(CLOSED_FORM[name], arrays, f"term.{name}")
        else:
            weights = {k.removeprefix("net."): a for k, a in arrays.items() if k[:4] == "net."}
            history = unflattened(EnergyHistory, arrays, "history")
            degree, encoder = tuple(values["degree"]), values["encoder"]
            terms[name] = rebuilt(weights, degree, device, encoder, history)
    standards = {name: unflattened(Standard, arrays, f"standard.{name}") for name in terms}
    return AdditiveEnergy(
        unflattened(InputMaps, arrays, "maps"),
        terms,
        standards,
        tuple(values["report"]),
    )
