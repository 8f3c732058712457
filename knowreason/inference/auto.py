"""The default engine: exact where components allow it, approximate elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from knowreason.factors.arrays import array
from knowreason.factors.components.connected import subgraph
from knowreason.factors.factor_graph import FactorGraph
from knowreason.inference import component_parts
from knowreason.inference.engine_protocol import ENGINES
from knowreason.inference.exact.exact import Prepared, prepare
from knowreason.inference.exact.exact_budget import MEMORY, SECONDS
from knowreason.inference.posterior import Posterior

_EXACT = ("device", "exact_memory", "states", "width")  # options of exact inference


@dataclass(frozen=True)
class Divided:
    """A graph divided between exact inference and another engine; call it with ``theta``.

    Attributes:
        exact: serves the tractable components.
        rest: the other components with their atoms renumbered, ``None`` without any.
        atoms: ``int64[m]`` which atom each atom of ``rest`` is.
        engine: name of the engine that serves ``rest``.
        options: of that engine.
    """

    exact: Prepared
    rest: FactorGraph | None
    atoms: NDArray[Any]
    engine: str
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def graph(self) -> FactorGraph:
        """The conditioned graph."""
        return self.exact.graph

    def __call__(self, theta: Tensor | None = None) -> Posterior:
        """The posterior of all components; raises ``InferenceError``."""
        posterior = self.exact(theta)
        if self.rest is None:
            return posterior
        rest = self.rest if theta is None else self.rest.with_theta(theta.detach().double())
        return component_parts.joined(
            posterior, ENGINES[self.engine](rest, **self.options), self.atoms
        )


def divide(
    graph: FactorGraph,
    *,
    approximate: str = "bp",
    seed: int = 0,
    device: str = "auto",
    exact_memory: str | int = MEMORY,
    exact_seconds: float = SECONDS,
    states: int = 1 << 16,
    width: int | None = None,
    **options: Any,
) -> Divided:
    """Decides which engine serves each component, once for many ``theta``.

    A component is served by a template, as a tree, or by a junction tree where its budget
    allows that (``exact_memory``, ``exact_seconds``, ``states`` and ``width`` as
    :func:`knowreason.inference.exact.exact.prepare` has them); the rest goes to the engine
    called ``approximate`` with its ``options``.

    Raises:
        InferenceError: as :func:`knowreason.inference.exact.exact.prepare`.
    """
    exact = prepare(
        graph,
        device=device,
        exact_memory=exact_memory,
        exact_seconds=exact_seconds,
        states=states,
        width=width,
    )
    left = ~array(exact.tractable)
    options = {"seed": seed, "device": device, **options}
    if not left.any():
        return Divided(exact, None, np.zeros(0, np.int64), approximate, options)
    rest, atoms = subgraph(exact.graph, left)
    return Divided(exact, rest, atoms, approximate, options)


def auto(
    graph: FactorGraph,
    *,
    seed: int = 0,
    device: str = "auto",
    approximate: str = "checked",
    **options: Any,
) -> Posterior:
    """Exact beliefs where a component allows it, approximate ones elsewhere.

    Components too tangled for exact inference are served by belief propagation and by
    sampling, each of which checks the other (:func:`.checked`): their beliefs are confirmed,
    or the report says how far the two are apart.

    The reports say how many components and atoms each engine served; ``log_z`` is exact
    or, with any component approximated, of that engine's kind. A large graph is served part
    by part (:mod:`.component_parts`), and only what is left then as a whole.

    Args:
        graph: given its evidence, at its ``theta``.
        seed: for the approximate engine.
        device: ``auto`` takes the GPU where there is one.
        approximate: name of the engine for what exact inference cannot serve.
        options: of :func:`divide`.

    Raises:
        InferenceError: no world satisfies the hard rules.
    """
    options = {"approximate": approximate, "seed": seed, "device": device, **options}
    if graph.atom_count <= component_parts.MOST:
        return divide(graph, **options)()
    exact = {name: options[name] for name in _EXACT if name in options}
    posterior, known, left = component_parts.posterior_in_parts(graph, **exact)
    if not left.any():
        return posterior
    rest, atoms = subgraph(known, left)
    return component_parts.joined(posterior, divide(rest, **options)(), atoms)
