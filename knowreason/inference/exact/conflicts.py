"""Which hard rules cannot hold together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from knowreason.errors import InferenceError
from knowreason.factors.components.connected import subgraph
from knowreason.factors.condition import rule_name
from knowreason.factors.factor_graph import FactorGraph


def conflict(
    graph: FactorGraph,
    keep: NDArray[np.bool_],
    is_possible: Callable[[FactorGraph], bool],
) -> InferenceError:
    """The error for a component without a possible world.

    A deletion filter over rule labels finds a smallest set of rules (none can be left
    out) that no world of the component satisfies.

    Args:
        graph: a conditioned graph.
        keep: ``bool[n]``, the component's atoms.
        is_possible: whether a graph has a possible world.
    """
    component, _ = subgraph(graph, keep)
    component = _only_hard(component)
    labels = sorted({part.rule for part in component.factors})
    needed = list(labels)
    for label in labels:
        rest = [other for other in needed if other != label]
        if not is_possible(_with_rules(component, set(rest))):
            needed = rest
    error = InferenceError(
        f"no world satisfies {_names(needed)} together with the evidence, "
        f"in a component of {component.atom_count} atoms",
        code="KR702",
        help="make one of them soft, or correct the data",
    )
    error.rules = tuple(needed)
    return error


def _only_hard(graph: FactorGraph) -> FactorGraph:
    return replace(
        graph,
        log_odds=torch.zeros_like(graph.log_odds),
        factors=tuple(part for part in graph.factors if part.is_hard),
    )


def _with_rules(graph: FactorGraph, rules: set[int]) -> FactorGraph:
    return replace(graph, factors=tuple(part for part in graph.factors if part.rule in rules))


def _names(labels: list[int]) -> str:
    named = [rule_name(label) for label in labels if label >= 0]
    if not named or -1 in labels:
        named.append(rule_name(-1))
    return named[0] if len(named) == 1 else f"{', '.join(named[:-1])} and {named[-1]}"
