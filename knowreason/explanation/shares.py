"""An atom's log-odds split into prior, models and rules; the parts add up exactly.

Shapley values (Shapley 1953; Lundberg & Lee 2017) over the rules that touch the atom: the
value of a set of rules is the atom's log-odds with only their groundings at the atom.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import NDArray

from knowreason.explanation.graph_variants import FactorKey, Question, Variant
from knowreason.factors import FactorGraph
from knowreason.factors.arrays import array, owners

WORK = 150_000  # atoms in all copies of one batch
LEAST_ORDERS, MOST_ORDERS, EXACT_PLAYERS = 8, 64, 12

Player = tuple[str, int]  # ("rule", index) or ("parameter", index)
Present = frozenset[Player]


@dataclass(frozen=True, slots=True)
class Split:
    """Log-odds of an atom as a sum.

    Attributes:
        base: log-odds with nothing known: 0, or that of one among equal states.
        rules: share of each rule, by its label.
        parameters: share of each unary parameter (biases, models, unit rules).
        total: the sum.
        exact: whether Shapley values were enumerated rather than sampled.
    """

    base: float
    rules: Mapping[int, float]
    parameters: Mapping[int, float]
    total: float
    exact: bool


def ask_shares(graph: FactorGraph, centre: int, seed: int = 0) -> Question[Split]:
    """Ask how the log-odds of one atom of a small graph split.

    Args:
        graph: neighbourhood of the atom.
        centre: the atom.
        seed: of sampled orders, where there are too many rules.
    """
    site = site_of(graph, centre)
    players: dict[Player, dict[FactorKey, NDArray[np.bool_]]] = touching_rules(graph, site)
    unary = _unary(graph, centre)
    in_block = len(block_mates(graph, centre)) > 0
    if in_block:  # a state's log-odds are not additive in the states' scores
        players |= _unary_players(graph, site)
    names = sorted(players)
    exact = len(names) <= EXACT_PLAYERS and (1 << len(names)) * graph.atom_count <= WORK
    orders = () if exact else _orders(names, graph.atom_count, seed)
    sets = _subsets(names) if exact else _prefixes(orders)
    nothing: Present = frozenset()

    def answer(log_odds: NDArray[np.float64]) -> Split:
        worth = dict(zip(sets, log_odds.tolist(), strict=True))
        shares = shapley(names, worth) if exact else sampled_shapley(orders, worth)
        rules = {label: shares["rule", label] for kind, label in names if kind == "rule"}
        own = {label: shares["parameter", label] for kind, label in names if kind != "rule"}
        base = worth[nothing] if in_block else worth[nothing] - sum(unary.values())
        return Split(base, rules, own if in_block else unary, worth[frozenset(names)], exact)

    return Question(tuple(_without(players, present) for present in sets), answer)


def site_of(graph: FactorGraph, centre: int) -> NDArray[np.int64]:
    """The atom, its block, and the auxiliary atoms that counts define from them."""
    site = {centre, *block_mates(graph, centre)}
    for _ in range(3):  # counts of counts nest no deeper in practice
        for part in graph.factors:
            if part.target is not None:
                inside = np.zeros(graph.atom_count, dtype=bool)
                inside[list(site)] = True
                targets = part.targets()[part.holding(inside)]
                site |= set(targets[targets >= 0].tolist())
    return np.array(sorted(site), dtype=np.int64)


def block_mates(graph: FactorGraph, atom: int) -> list[int]:
    """Other atoms of the atom's block."""
    atoms = array(graph.blocks.atoms)
    place = np.flatnonzero(atoms == atom)
    if not len(place):
        return []
    owner = owners(array(graph.blocks.offsets))
    return [int(a) for a in atoms[owner == owner[place[0]]] if a != atom]


def touching_rules(
    graph: FactorGraph, site: NDArray[np.int64]
) -> dict[Player, dict[FactorKey, NDArray[np.bool_]]]:
    """Rules with ground factors at the site, and which rows those are."""
    found: dict[Player, dict[FactorKey, NDArray[np.bool_]]] = {}
    here = np.zeros(graph.atom_count, dtype=bool)
    here[site] = True
    for place, part in enumerate(graph.factors):
        if part.is_unit or part.is_count:
            continue
        rows = part.holding(here)
        if rows.any():
            found.setdefault(("rule", part.rule), {})[place] = rows
    return found


def _unary(graph: FactorGraph, centre: int) -> dict[int, float]:
    """Contribution of each parameter to the atom's own log-odds."""
    theta = array(graph.theta)
    found: dict[int, float] = {}
    for unit in graph.units:
        rows = np.flatnonzero(unit.entry_atoms == centre)
        parameters, values = unit.parameters()[rows], unit.values()[rows]
        for parameter, value in zip(parameters.tolist(), values.tolist(), strict=True):
            found[parameter] = found.get(parameter, 0.0) + float(theta[parameter]) * value
    return found


def _unary_players(
    graph: FactorGraph, site: NDArray[np.int64]
) -> dict[Player, dict[FactorKey, NDArray[np.bool_]]]:
    found: dict[Player, dict[FactorKey, NDArray[np.bool_]]] = {}
    for place, unit in enumerate(graph.factors):
        if not unit.is_unit:
            continue
        here = np.isin(unit.entry_atoms, site)
        parameters = unit.parameters()
        for parameter in np.unique(parameters[here]).tolist():
            rows = here & (parameters == parameter)
            found.setdefault(("parameter", parameter), {})[place] = rows
    return found


def _without(
    players: Mapping[Player, Mapping[FactorKey, NDArray[np.bool_]]], present: Present
) -> Variant:
    left_out: dict[FactorKey, NDArray[np.bool_]] = {}
    for player, masks in players.items():
        if player not in present:
            for key, rows in masks.items():
                left_out[key] = left_out[key] | rows if key in left_out else rows
    return Variant(left_out)


def _subsets(names: Sequence[Player]) -> list[Present]:
    return [frozenset(c) for size in range(len(names) + 1) for c in combinations(names, size)]


def shapley(names: Sequence[Player], worth: Mapping[Present, float]) -> dict[Player, float]:
    """Shapley values by enumeration.

    Args:
        names: the players.
        worth: of every set of them.
    """
    count = len(names)
    return {
        name: sum(
            (worth[present | {name}] - value) / (count * comb(count - 1, len(present)))
            for present, value in worth.items()
            if name not in present
        )
        for name in names
    }


def _orders(names: Sequence[Player], atoms: int, seed: int) -> tuple[tuple[Player, ...], ...]:
    """Random orders and their reverses, as many as the work allows."""
    rng = np.random.default_rng(seed)
    pairs = min(MOST_ORDERS, max(LEAST_ORDERS, WORK // (atoms * (len(names) + 1)))) // 2
    drawn = [tuple(names[i] for i in rng.permutation(len(names))) for _ in range(pairs)]
    return tuple(order for one in drawn for order in (one, one[::-1]))


def _prefixes(orders: Sequence[tuple[Player, ...]]) -> list[Present]:
    return list(
        dict.fromkeys(frozenset(order[:size]) for order in orders for size in range(len(order) + 1))
    )


def sampled_shapley(
    orders: Sequence[tuple[Player, ...]], worth: Mapping[Present, float]
) -> dict[Player, float]:
    """Mean marginal worth over orders; the values add up all the same.

    Args:
        orders: of the players.
        worth: of every prefix of an order.
    """
    shares: dict[Player, float] = dict.fromkeys(orders[0], 0.0)
    for order in orders:
        for place, name in enumerate(order):
            before = frozenset(order[:place])
            shares[name] += (worth[before | {name}] - worth[before]) / len(orders)
    return shares
