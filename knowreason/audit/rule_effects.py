"""What each rule does to marginals: found by leaving it out."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit

from knowreason.factors import FactorGraph
from knowreason.factors.arrays import array
from knowreason.factors.components.connected import components, subgraph
from knowreason.factors.condition import condition
from knowreason.grounding import Grounding
from knowreason.inference import Posterior
from knowreason.progress import Progress

NEEDED = 1e-3  # change of a probability below which a rule says nothing
PULLS = 1e-2  # change of a probability above which it pulls

Infer = Callable[[FactorGraph], Posterior]


@dataclass(frozen=True)
class RuleEffect:
    """What leaving a rule out does to the asked atoms that were looked at.

    Attributes:
        rule: its index.
        atoms: asked atoms looked at.
        change: ``float64[atoms]``: probability with the rule less that without.
    """

    rule: int
    atoms: int
    change: NDArray[np.float64]

    @property
    def greatest(self) -> float:
        """Greatest absolute change of a probability."""
        return float(np.abs(self.change).max(initial=0.0))


@dataclass(frozen=True)
class Opposition:
    """Two rules that pull the same asked atoms in opposite directions.

    Attributes:
        raises, lowers: indices of the rules; the first raises most of these atoms.
        atoms: asked atoms that one raises and the other lowers, each by over :data:`PULLS`.
        together: asked atoms that both move by as much, whichever way.
        up, down: mean changes of the probabilities of ``atoms`` by either rule, absolute.
    """

    raises: int
    lowers: int
    atoms: int
    together: int
    up: float
    down: float


def without_rule(graph: FactorGraph, rule: int) -> FactorGraph:
    """The graph without the soft ground factors of a rule."""
    kept = tuple(part for part in graph.factors if part.rule != rule or part.is_hard)
    return graph if len(kept) == len(graph.factors) else replace(graph, factors=kept)


def without_rules(grounding: Grounding, rules: Sequence[int]) -> FactorGraph:
    """The graph of a grounding without soft rules, weights of the others kept.

    Rules with ``<~>`` or ``~>`` share normalisers, whose parts cannot be dropped one by one: their
    weights become 0, and the tables are those at 0.
    """
    if grounding.is_linear:
        return functools.reduce(without_rule, rules, grounding.graph)
    left_out = torch.from_numpy(np.isin(grounding.parameters.owner, rules))
    return grounding.at(torch.where(left_out, 0.0, grounding.graph.theta))


def sampled_part(
    graph: FactorGraph, rules: int, most: int, seed: int
) -> tuple[FactorGraph, NDArray[np.int64]]:
    """Components of up to ``most`` atoms, drawn at random, with at least one of every rule.

    Args:
        graph: given its evidence.
        rules: their number.
        most: atoms, where one component of every rule has no more.
        seed: of the draw.

    Returns:
        The conditioned graph of these components, and ``int64[m]`` which atom each of its
        atoms is.
    """
    known = condition(graph)
    label, count = components(known)
    size = np.bincount(label[label >= 0], minlength=count)
    order = np.random.default_rng(seed).permutation(count)
    rank = np.empty(count, dtype=np.int64)
    rank[order] = np.arange(count)
    chosen = np.zeros(count, dtype=bool)
    for rule in range(rules):
        found = [label[part.first_atoms()] for part in known.factors if part.rule == rule]
        here = np.unique(np.concatenate([np.zeros(0, np.int32), *found]))
        if len(here) and not chosen[here].any():
            chosen[here[rank[here].argmin()]] = True
    room = most - int(size[chosen].sum())
    rest = order[~chosen[order]]
    chosen[rest[np.cumsum(size[rest]) <= room]] = True
    return subgraph(known, np.append(chosen, False)[label])


def rule_effects(
    graph: FactorGraph,
    asked: NDArray[np.bool_],
    rules: Mapping[int, Callable[[], FactorGraph]],
    infer: Infer,
    progress: Progress | None = None,
) -> tuple[RuleEffect, ...]:
    """Change of the marginals of asked atoms when each rule is left out, weights kept.

    Args:
        graph: of some components.
        asked: ``bool[n]``, its atoms that are looked at.
        rules: by index of a soft rule, the same components without it.
        infer: the engine that is used.
        progress: called as ``progress(done, total, message)``.
    """
    with_all = expit(array(infer(graph).log_odds)[asked])
    effects = []
    for done, (rule, leave_out) in enumerate(rules.items()):
        if progress:
            progress(done, len(rules), "leaving rules out")
        without = leave_out()
        same = without is graph
        then = with_all if same else expit(array(infer(without).log_odds)[asked])
        effects.append(RuleEffect(rule, len(then), with_all - then))
    return tuple(effects)


def oppositions(effects: Sequence[RuleEffect]) -> tuple[Opposition, ...]:
    """Pairs of rules that pull against each other, those that do so at most atoms first."""
    found = []
    for one, other in combinations(effects, 2):
        together = (np.abs(one.change) > PULLS) & (np.abs(other.change) > PULLS)
        against = together & (one.change * other.change < 0)
        if not against.any():
            continue
        first, second = one.change[against], other.change[against]
        if (first > 0).sum() * 2 < against.sum():
            one, other, first, second = other, one, second, first
        found.append(
            Opposition(
                one.rule,
                other.rule,
                int(against.sum()),
                int(together.sum()),
                float(np.abs(first).mean()),
                float(np.abs(second).mean()),
            )
        )
    return tuple(sorted(found, key=lambda pair: -pair.atoms))
