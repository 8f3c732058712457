"""Inference engines by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from knowreason.registry import Registry

if TYPE_CHECKING:
    from knowreason.factors.factor_graph import FactorGraph
    from knowreason.inference.posterior import Posterior


class Engine(Protocol):
    """A function from a factor graph, at its ``theta`` and evidence, to posterior marginals.

    Example:
        >>> import torch
        >>> from knowreason.factors import FactorGraph
        >>> evidence = torch.tensor([-1]).char()
        >>> graph = FactorGraph(torch.tensor([0.5]), torch.zeros(0).double(), evidence)
        >>> ENGINES["exact"](graph).log_z_kind
        'exact'
    """

    def __call__(
        self, graph: FactorGraph, *, seed: int = 0, device: str = "auto", **options: Any
    ) -> Posterior:
        """The posterior; raises ``InferenceError`` for graphs it cannot serve."""


ENGINES: Registry[Engine] = Registry(
    "inference engine",
    "knowreason.engines",
    lazy={
        "auto": "knowreason.inference.auto:auto",
        "exact": "knowreason.inference.component_parts:exact_in_parts",
        "checked": "knowreason.inference.checked:checked",
        "bp": "knowreason.inference.messages.bp:bp",
        "gcn": "knowreason.inference.gcn.gcn:gcn",
        "gibbs": "knowreason.inference.gibbs.gibbs:gibbs",
        "knowgraph": "knowreason.inference.gcn.instance_network:instance_posterior",
        "map": "knowreason.inference.map.most_probable_world:map_",
        "mean_field": "knowreason.inference.mean_field.mean_field:mean_field",
        "trw": "knowreason.inference.messages.trw:trw",
    },
)

BUDGETED = ("auto", "exact", "map")  # engines with `exact_memory` and `exact_seconds`


def infer(
    graph: FactorGraph, engine: str = "auto", *, seed: int = 0, device: str = "auto", **options: Any
) -> Posterior:
    """Posterior marginals of every atom of a factor graph.

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

    Example:
        >>> import torch
        >>> from knowreason.factors import FactorGraph
        >>> evidence = torch.tensor([-1, -1]).char()  # open
        >>> graph = FactorGraph(torch.tensor([0.5, -1.0]), torch.zeros(0).double(), evidence)
        >>> infer(graph).log_odds
        tensor([ 0.5000, -1.0000], dtype=torch.float64)
    """
    return ENGINES[engine](graph, seed=seed, device=device, **options)
