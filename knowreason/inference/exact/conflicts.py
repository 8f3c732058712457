"""Which hard rules cannot hold together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from knowreason.errors import InferenceError
from knowreason.factors.arrays import array, segment_sum
from knowreason.factors.components.connected import components, subgraph
from knowreason.factors.condition import condition, rule_name
from knowreason.factors.factor_graph import OPEN, FactorGraph
from knowreason.factors.propagate import propagate

Item = tuple[int, int]  # place in ``FactorGraph.factors`` and row; place -1: a block
T = TypeVar("T", int, Item)
_BLOCKS = -2  # stands for a rule


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
    named = [rule_name(label) for label in sorted(labels, key=lambda label: (label < 0, label))]
    return named[0] if len(named) == 1 else f"{', '.join(named[:-1])} and {named[-1]}"


@dataclass(frozen=True)
class Conflict:
    """What no world satisfies together, none of which can be left out.

    Attributes:
        rows: hard rows, each its place in ``FactorGraph.factors`` and its number there.
        blocks: numbers of blocks.
        given: atoms whose evidence has a part in it.
        minimal: false where so many were needed that not each was tried.
    """

    rows: tuple[Item, ...]
    blocks: tuple[int, ...]
    given: tuple[int, ...]
    minimal: bool


def find_conflict(
    graph: FactorGraph, is_possible: Callable[[FactorGraph], bool], tries: int = 1_000
) -> Conflict | None:
    """Hard rows, blocks and evidence that cannot hold together; ``None`` where all can.

    The rows around a contradiction are gathered until they contradict each other, then
    divided by QuickXplain (Junker 2004): rules first, then their rows, then the evidence.

    Args:
        graph: with the evidence that it is given, not conditioned.
        is_possible: whether a graph has a possible world; where it cannot tell, it says yes.
        tries: how often it is asked at most; beyond, more may be named than need be.
    """
    hard = _only_hard(graph)
    seed = _place_of_conflict(hard, is_possible)
    if seed is None:
        return None
    asked = [0]

    def clash(items: list[Item], evidence: NDArray[np.int8]) -> bool:
        asked[0] += 1
        return asked[0] <= tries and not is_possible(_of_items(hard, items, evidence))

    evidence = array(hard.evidence)
    items = _around(hard, seed, is_possible)
    by_rule: dict[int, list[Item]] = {}
    for place, row in items:
        by_rule.setdefault(_BLOCKS if place < 0 else hard.factors[place].rule, []).append(
            (place, row)
        )
    rules = quick_explain(sorted(by_rule), lambda some: clash(_together(by_rule, some), evidence))
    items = quick_explain(_together(by_rule, rules), lambda some: clash(some, evidence))
    inside = _atoms_inside(hard, items)
    given = quick_explain(
        np.flatnonzero(inside & (evidence != OPEN)).tolist(),
        lambda some: clash(items, _kept(evidence, some)),
    )
    factors = [place for place, part in enumerate(graph.factors) if part.is_hard]
    return Conflict(
        tuple((factors[place], row) for place, row in items if place >= 0),
        tuple(row for place, row in items if place < 0),
        tuple(given),
        asked[0] <= tries,
    )


def quick_explain(items: list[T], clash: Callable[[list[T]], bool]) -> list[T]:
    """Items that clash, none of which can be left out; nothing where no item is needed.

    About ``2 k log2(n / k)`` questions for ``k`` of ``n`` items.
    """

    def needed(background: list[T], added: bool, items: list[T]) -> list[T]:
        if added and clash(background):
            return []
        if len(items) == 1:
            return items
        first, second = items[: len(items) // 2], items[len(items) // 2 :]
        late = needed(background + first, True, second)
        return needed(background + late, bool(late), first) + late

    return sorted(needed([], True, items)) if items else []


def _place_of_conflict(
    hard: FactorGraph, is_possible: Callable[[FactorGraph], bool]
) -> list[Item] | None:
    """One broken row or block, or the rows and blocks of one impossible component."""
    if _is_broken(hard):
        settled = propagate(hard)
        items = _all_items(hard)
        while len(items) > 1:
            first, second = items[: len(items) // 2], items[len(items) // 2 :]
            items = first if _is_broken(_of_items(hard, first, settled)) else second
        return items
    folded = condition(hard)
    labels, count = components(folded)
    if is_possible(folded):
        return None
    some = np.arange(count)
    while len(some) > 1:
        half = some[: len(some) // 2]
        part, _ = subgraph(folded, np.isin(labels, half))
        some = some[len(half) :] if is_possible(part) else half
    return _holding(hard, labels == some[0])


def _is_broken(graph: FactorGraph) -> bool:
    try:
        condition(graph)
    except InferenceError:
        return True
    return False


def _around(
    hard: FactorGraph, items: list[Item], is_possible: Callable[[FactorGraph], bool]
) -> list[Item]:
    """Rows and blocks, and others that decide open atoms of these, until they clash."""
    evidence = array(hard.evidence)
    while is_possible(_of_items(hard, items, evidence)):
        before = len(items)
        open_atoms = _atoms_inside(hard, items) & (evidence == OPEN)
        items = sorted({*items, *_holding(hard, open_atoms)})
        if len(items) == before:
            return _all_items(hard)
    return items


def _holding(hard: FactorGraph, atoms: NDArray[np.bool_]) -> list[Item]:
    items: list[Item] = []
    for place, part in enumerate(hard.factors):
        target = part.targets()
        inside = part.holding(atoms) | ((target >= 0) & atoms[np.maximum(target, 0)])
        items += [(place, row) for row in np.flatnonzero(inside).tolist()]
    blocks = hard.blocks
    inside = segment_sum(atoms[array(blocks.atoms)], array(blocks.offsets)) > 0
    return items + [(-1, row) for row in np.flatnonzero(inside).tolist()]


def _all_items(hard: FactorGraph) -> list[Item]:
    rows = [(place, row) for place, part in enumerate(hard.factors) for row in range(part.rows)]
    return rows + [(-1, block) for block in range(hard.blocks.count)]


def _of_items(hard: FactorGraph, items: list[Item], evidence: NDArray[np.int8]) -> FactorGraph:
    """The graph of some rows and blocks alone."""
    chosen: dict[int, list[int]] = {}
    for place, row in sorted(items):
        chosen.setdefault(place, []).append(row)
    blocks = np.array(chosen.pop(-1, []), np.int64)
    return replace(
        hard,
        evidence=torch.from_numpy(evidence),
        factors=tuple(hard.factors[place].take(np.array(r)) for place, r in chosen.items()),
        blocks=hard.blocks.take(blocks),
    )


def _atoms_inside(hard: FactorGraph, items: list[Item]) -> NDArray[np.bool_]:
    """``bool[n]``: atoms of some rows and blocks."""
    part = _of_items(hard, items, array(hard.evidence))
    inside = np.zeros(hard.atom_count, np.bool_)
    inside[array(part.blocks.atoms)] = True
    for factors in part.factors:
        inside[factors.entry_atoms] = True
        inside[factors.targets()[factors.targets() >= 0]] = True
    return inside


def _kept(evidence: NDArray[np.int8], atoms: list[int]) -> NDArray[np.int8]:
    kept = np.full_like(evidence, OPEN)
    kept[atoms] = evidence[atoms]
    return kept


def _together(by_rule: dict[int, list[Item]], rules: list[int]) -> list[Item]:
    return [item for rule in rules for item in by_rule[rule]]
