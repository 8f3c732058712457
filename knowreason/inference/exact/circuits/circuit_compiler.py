"""From a clique tree to a circuit: cliques layered by depth and shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from knowreason.factors.components.scope_tables import state_digits
from knowreason.inference.exact.circuits.circuits import NEVER, ChildLink, Circuit, Layer, layer_of
from knowreason.inference.exact.clique_layout import Eliminated
from knowreason.inference.exact.elimination import CliqueTree

# by layer of the children and axes of their separator: rows of parent and child
_Pairs: TypeAlias = dict[tuple[int, tuple[int, ...]], list[tuple[int, int]]]


@dataclass
class _Clique:
    """A clique as it is collected; columns over its flattened states."""

    shape: tuple[int, ...]
    separators: int  # variables of the separator, its first axes
    depth: int
    parent: int
    axes: tuple[int, ...]  # of the separator in the parent
    atoms: list[tuple[int, NDArray[np.float64]]]
    rows: list[tuple[int, NDArray[np.float64]]]
    forbidden: NDArray[np.bool_]


def compiled(part: Eliminated) -> Circuit:
    """The circuit of a clique tree, cliques by depth and shape."""
    cliques = _collected(part)
    layers: dict[tuple[int, tuple[int, ...], int], list[int]] = {}
    for number, clique in enumerate(cliques):
        layers.setdefault((-clique.depth, clique.shape, clique.separators), []).append(number)
    order = sorted(layers)
    place = {
        number: (layer, row)
        for layer, key in enumerate(order)
        for row, number in enumerate(layers[key])
    }
    atoms = part.stack.shape.atoms
    soft = np.cumsum([not row.is_hard for row in part.stack.shape.rows]) - 1
    links: dict[int, _Pairs] = {}
    for number, clique in enumerate(cliques):
        if clique.parent >= 0:
            (child, row), (parent, parent_row) = place[number], place[clique.parent]
            found = links.setdefault(parent, {}).setdefault((child, clique.axes), [])
            found.append((parent_row, row))
    built = [
        _layer([cliques[i] for i in layers[key]], links.get(number, {}), atoms, soft)
        for number, key in enumerate(order)
    ]
    return Circuit(tuple(built), atoms, int(soft[-1]) + 1 if len(soft) else 0)


def depth(part: Eliminated) -> int:
    """Depth of the clique tree: the layers its circuit has at least."""
    return max(_depths(part.tree)) + 1


def _depths(tree: CliqueTree) -> list[int]:
    found = [0] * len(tree.parents)
    for i in range(len(found) - 1, -1, -1):
        up = tree.parents[i]
        found[i] = found[up] + 1 if up >= 0 else 0
    return found


def _collected(part: Eliminated) -> list[_Clique]:
    model, tree = part.model, part.tree
    cliques: list[_Clique] = []
    depths, atoms = _depths(tree), model.atoms
    for i, variables in enumerate(tree.cliques):
        shape = tuple(model.sizes[v] for v in variables)
        states = state_digits(shape)
        above = [v for v in variables if tree.homes[v] != i]
        up = tree.parents[i]
        columns = [
            (atom, (states[axis] == digit).astype(np.float64))
            for axis, v in enumerate(variables)
            if tree.homes[v] == i
            for atom, digit in atoms[v]
        ]
        axes = tuple(tree.cliques[up].index(v) for v in above)
        allowed = np.zeros(states.shape[1], dtype=np.bool_)
        cliques.append(_Clique(shape, len(above), depths[i], up, axes, columns, [], allowed))
    for factor in model.factors:
        clique = cliques[home := tree.home(factor.scope)]
        axes = tuple(tree.cliques[home].index(v) for v in factor.scope)
        sizes = tuple(clique.shape[axis] for axis in axes)
        states = state_digits(clique.shape)[list(axes)]
        column = factor.values[np.ravel_multi_index(tuple(states), sizes)]
        if factor.row < 0:
            clique.forbidden |= column <= 0
        else:
            clique.rows.append((factor.row, column))
    return cliques


def _layer(
    cliques: Sequence[_Clique],
    links: _Pairs,
    atoms: int,
    soft: NDArray[np.int64],
) -> Layer:
    a = max(len(clique.atoms) for clique in cliques)
    r = max(len(clique.rows) for clique in cliques)
    size = prod(cliques[0].shape)
    nothing = atoms + (int(soft[-1]) + 1 if len(soft) else 0)
    inputs = np.full((len(cliques), a + r), nothing)
    table = np.zeros((len(cliques), size, a + r))
    places: tuple[list[tuple[int, int, int]], list[tuple[int, int, int]]] = ([], [])
    for g, clique in enumerate(cliques):
        for k, (atom, column) in enumerate(clique.atoms):
            inputs[g, k], table[g, :, k] = atom, column
            places[0].append((atom, g, k))
        for k, (row, column) in enumerate(clique.rows, start=a):
            inputs[g, k], table[g, :, k] = atoms + soft[row], column
            places[1].append((int(soft[row]), g, k))
    forbidden = np.stack([np.where(clique.forbidden, NEVER, 0.0) for clique in cliques])
    return layer_of(
        cliques[0].shape,
        prod(cliques[0].shape[: cliques[0].separators]),
        inputs,
        table,
        a,
        nothing,
        forbidden=forbidden[:, :, None] if forbidden.any() else None,
        links=tuple(_link(key, pairs) for key, pairs in links.items()),
        places=(_places(places[0]), _places(places[1])),
    )


def _places(found: list[tuple[int, int, int]]) -> NDArray[np.int64]:
    return np.array(found, dtype=np.int64).reshape(-1, 3).T


def _link(key: tuple[int, tuple[int, ...]], pairs: list[tuple[int, int]]) -> ChildLink:
    parent, child = np.array(sorted(pairs)).T
    parents, owner = np.unique(parent, return_inverse=True)
    children = torch.from_numpy(child.copy())
    return ChildLink(key[0], children, torch.from_numpy(owner), torch.from_numpy(parents), key[1])
