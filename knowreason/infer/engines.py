"""Inference engines by name."""

from __future__ import annotations

from typing import Any, Protocol

from knowreason.factors.graph import FactorGraph
from knowreason.infer.posterior import Posterior
from knowreason.registry import Registry


class Engine(Protocol):
    """Turns a factor graph into beliefs, at the graph's ``theta`` and given its evidence."""

    def __call__(
        self, graph: FactorGraph, *, seed: int = 0, device: str = "auto", **options: Any
    ) -> Posterior:
        """The posterior; raises ``InferenceError`` for graphs it cannot serve."""


ENGINES: Registry[Engine] = Registry(
    "inference engine",
    "knowreason.engines",
    lazy={
        "auto": "knowreason.infer.auto:auto",
        "exact": "knowreason.infer.exact:exact",
        "bp": "knowreason.infer.bp:bp",
        "gcn": "knowreason.infer.gcn:gcn",
        "gibbs": "knowreason.infer.gibbs:gibbs",
        "map": "knowreason.infer.map:map_",
        "mean_field": "knowreason.infer.mean_field:mean_field",
        "trw": "knowreason.infer.trw:trw",
    },
)


def infer(
    graph: FactorGraph, engine: str = "auto", *, seed: int = 0, device: str = "auto", **options: Any
) -> Posterior:
    """Beliefs about every atom of a factor graph.

    Args:
        graph: at the ``theta`` and ``evidence`` it holds.
        engine: a name in :data:`ENGINES`.
        seed: for engines that draw.
        device: ``auto`` takes the GPU where there is one.
        options: the engine's own.

    Raises:
        InferenceError: the engine cannot serve the graph, or no world satisfies the
            hard rules.
        UnknownNameError: no such engine.
    """
    return ENGINES[engine](graph, seed=seed, device=device, **options)
