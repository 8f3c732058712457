"""Exact inference on many components of one shape: a layered arithmetic circuit a shape.

The cliques of a shape's clique tree, layered by depth, are compiled once. Inputs (log-odds of
atoms, weights of rows) enter a layer by one matrix product; a layer's cliques are a row each,
the components the last and contiguous axis of every array. The upward pass gives log Z and
keeps each clique's states given its separator; the downward pass multiplies these: it is the
derivative of log Z in every input, all of them at once.

Source: Darwiche, "A differential approach to inference in Bayesian networks", J. ACM 50
(2003); layers as in Maene, Derkinderen, Zuidberg Dos Martires, "KLay" (2025).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from knowreason.factors.components.shapes import Stack
from knowreason.inference.exact.partial_beliefs import ComponentBeliefs, Impossible

_Column: TypeAlias = range | NDArray[np.int64]
NEVER = -1e30  # log-weight of what is forbidden: finite, for 0 times it is 0
_CHUNK_ENTRIES = 1 << 17  # states of cliques held at once: about the second cache
_CHUNK_ENTRIES_GPU = 1 << 26
_GPU_ENTRIES = 1 << 20  # states of a stack from which a GPU is worth the trip


@dataclass(frozen=True)
class ChildLink:
    """Messages from cliques of one layer to those of another, over like separators.

    Attributes:
        layer: of the children.
        children: ``int64[c]`` rows of the child layer.
        owner: ``int64[c]`` position of each child's parent in ``parents``.
        parents: ``int64[u]`` rows of the parent layer.
        axes: of the separator in the parents, increasing.
    """

    layer: int
    children: Tensor
    owner: Tensor
    parents: Tensor
    axes: tuple[int, ...]

    def to(self, device: torch.device) -> ChildLink:
        """The same on a device."""
        moved = (self.children.to(device), self.owner.to(device), self.parents.to(device))
        return ChildLink(self.layer, *moved, self.axes)


@dataclass(frozen=True)
class Layer:
    """Cliques of one depth and shape.

    Attributes:
        shape: states of each variable of a clique; the separator's variables first.
        separator: joint states of the separator.
        inputs: ``int64[g, k]``; atoms first, then rows; ``None`` for all, in order.
        table: ``float64[g, s, k]``: what each input adds in each state.
        readout: ``float64[g, 2 * atoms + rows, s]``: states in which each atom is true, is
            false, and the potential of each row.
        forbidden: ``float64[g, s, 1]``: ``NEVER`` where a hard row fails; ``None`` for nowhere.
        links: what comes in from below.
        atoms, rows: ``int64[3, n]``: number of an atom (a row), clique, and column of it.
    """

    shape: tuple[int, ...]
    separator: int
    inputs: Tensor | None
    table: Tensor
    readout: Tensor
    forbidden: Tensor | None
    links: tuple[ChildLink, ...]
    atoms: NDArray[np.int64]
    rows: NDArray[np.int64]

    def to(self, device: torch.device) -> Layer:
        """The same on a device."""
        return replace(
            self,
            inputs=None if self.inputs is None else self.inputs.to(device),
            table=self.table.to(device),
            readout=self.readout.to(device),
            forbidden=None if self.forbidden is None else self.forbidden.to(device),
            links=tuple(link.to(device) for link in self.links),
        )


@dataclass(frozen=True)
class CircuitBeliefs:
    """What a circuit gives for ``b`` components.

    Attributes:
        log_z: ``float64[b]``.
        log_odds: ``float64[a, b]`` of each atom.
        truth: ``float64[r, b]`` expected potential of each soft row.
    """

    log_z: NDArray[np.float64]
    log_odds: NDArray[np.float64]
    truth: NDArray[np.float64]


@dataclass(frozen=True)
class Circuit:
    """A shape's circuit; the root is alone in the last layer.

    Attributes:
        layers: deepest first.
        atoms, rows: number of atoms and of soft rows.
    """

    layers: tuple[Layer, ...]
    atoms: int
    rows: int

    @property
    def states(self) -> int:
        """States of all cliques."""
        return sum(layer.table.shape[0] * layer.table.shape[1] for layer in self.layers)

    def to(self, device: torch.device) -> Circuit:
        """The same on a device."""
        return replace(self, layers=tuple(layer.to(device) for layer in self.layers))

    def __call__(self, inputs: Tensor) -> CircuitBeliefs:
        """Beliefs of ``b`` components.

        Args:
            inputs: ``float64[a + r + 1, b]``: log-odds of atoms, weights of soft rows, zeros.
        """
        given, log_z = self._up(inputs)
        log_odds = np.empty((self.atoms, inputs.shape[1]))
        truth = np.empty((self.rows, inputs.shape[1]))
        above: dict[int, Tensor] = {}
        for number in range(len(self.layers) - 1, -1, -1):
            layer, share = self.layers[number], given[number]
            if number in above:
                share.mul_(above[number][:, :, None])
            share = share.flatten(1, 2)
            for link in layer.links:
                _send_below(link, layer, share, above, given[link.layer])
            sums = (layer.readout @ share).cpu().numpy()
            width = layer.table.shape[2]
            units = layer.readout.shape[1] - width  # inputs that are atoms
            odds = np.log(sums[:, :units] / sums[:, width:])
            if layer.inputs is None:
                log_odds, truth = odds[0], sums[0, units:width]
                continue
            atom, clique, column = layer.atoms
            log_odds[atom] = odds[clique, column]
            row, clique, column = layer.rows
            truth[row] = sums[clique, column]
        return CircuitBeliefs(log_z, log_odds, truth)

    def _up(self, inputs: Tensor) -> tuple[list[Tensor], NDArray[np.float64]]:
        """Each layer's states given its separator's, ``float64[g, q, s / q, b]``, and log Z."""
        given: list[Tensor] = []
        messages: list[Tensor] = []
        for layer in self.layers:
            mine = inputs[None, :-1] if layer.inputs is None else inputs[layer.inputs]
            energy = layer.table @ mine
            if layer.forbidden is not None:
                energy += layer.forbidden
            for link in layer.links:
                _add_messages(link, layer, messages[link.layer], energy)
            share = energy.view(len(energy), layer.separator, -1, energy.shape[2])
            best = share.amax(2)
            total = _exp(share.sub_(best[:, :, None])).sum(2)
            share.div_(total[:, :, None])
            messages.append(best.add_(_log(total)))
            given.append(share)
        return given, messages[-1][0, 0].cpu().numpy()


def _add_messages(link: ChildLink, layer: Layer, message: Tensor, energy: Tensor) -> None:
    """Adds the children's messages (``float64[g, q, b]``) to their parents' energies."""
    total = message[link.children]
    if len(link.parents) < len(link.children):
        total = total.new_zeros(len(link.parents), *total.shape[1:])
        total.index_add_(0, link.owner, message[link.children])
    along = (size if axis in link.axes else 1 for axis, size in enumerate(layer.shape))
    cube = energy.view(len(energy), *layer.shape, energy.shape[2])
    share = total.reshape(len(total), *along, total.shape[-1])
    if len(link.parents) == len(cube):
        cube += share
    else:
        cube.index_add_(0, link.parents, share.expand(-1, *layer.shape, -1))


def _send_below(
    link: ChildLink, layer: Layer, share: Tensor, above: dict[int, Tensor], child: Tensor
) -> None:
    """Sets the probability of each child's separator (``float64[g, q, b]``)."""
    others = [1 + axis for axis in range(len(layer.shape)) if axis not in link.axes]
    cube = share.reshape(len(share), *layer.shape, share.shape[2])[link.parents]
    known = cube.sum(others) if others else cube
    known = known.reshape(len(known), -1, known.shape[-1])
    if link.layer not in above:
        above[link.layer] = child.new_empty(child.shape[0], child.shape[1], child.shape[3])
    above[link.layer][link.children] = known[link.owner]


def _exp(values: Tensor) -> Tensor:
    """Exponentials, in place; numpy's are twice as fast as torch's on a CPU."""
    if values.is_cuda:
        return values.exp_()
    array = values.numpy()
    np.exp(array, out=array)
    return values


def _log(values: Tensor) -> Tensor:
    """Logarithms, in place."""
    if values.is_cuda:
        return values.log_()
    array = values.numpy()
    np.log(array, out=array)
    return values


def layer_of(
    shape: tuple[int, ...],
    separator: int,
    inputs: NDArray[np.int64],
    table: NDArray[np.float64],
    atoms: int,
    width: int,
    places: tuple[NDArray[np.int64], NDArray[np.int64]],
    forbidden: NDArray[np.float64] | None = None,
    links: tuple[ChildLink, ...] = (),
) -> Layer:
    """A :class:`Layer` of a circuit of ``width`` inputs; the first ``atoms`` of each clique are
    atoms."""
    whole = np.array_equal(inputs, [np.arange(width)])
    columns = table.transpose(0, 2, 1)
    readout = np.concatenate([columns, 1 - columns[:, :atoms]], axis=1)
    return Layer(
        shape,
        separator,
        None if whole else torch.from_numpy(inputs),
        torch.from_numpy(table),
        torch.from_numpy(np.ascontiguousarray(readout)),
        None if forbidden is None else torch.from_numpy(forbidden),
        links,
        *places,
    )


@dataclass(frozen=True)
class CircuitSolver:
    """Solves a stack by its shape's circuit.

    Attributes:
        stack: the components.
        circuit: of their shape.
        name: for reports.
        device: where layers are computed.
        atoms_of: atoms of the graph at each local number.
        rows_of: flat rows at each soft row of the shape.
    """

    stack: Stack
    circuit: Circuit
    name: str
    device: torch.device
    atoms_of: tuple[_Column, ...]
    rows_of: tuple[_Column, ...]

    @staticmethod
    def prepare(
        stack: Stack, circuit: Circuit, device: str = "cpu", name: str = "exact: circuit"
    ) -> CircuitSolver:
        """Device ``auto`` is the GPU where there is one and the stack is worth the trip."""
        if device == "auto":
            worth = len(stack.components) * circuit.states >= _GPU_ENTRIES
            device = "cuda" if worth and torch.cuda.is_available() else "cpu"
        soft = [number for number, row in enumerate(stack.shape.rows) if not row.is_hard]
        at = torch.device(device)
        return CircuitSolver(
            stack,
            circuit.to(at),
            name,
            at,
            tuple(_column(index) for index in stack.atoms.T),
            tuple(_column(stack.rows[:, number]) for number in soft),
        )

    @property
    def components(self) -> NDArray[np.int64]:
        """Labels of the components served."""
        return self.stack.components

    @property
    def atoms(self) -> int:
        """Number of atoms served."""
        return self.stack.atoms.size

    def solve(
        self, unary: NDArray[np.float64], weights: NDArray[np.float64], beliefs: ComponentBeliefs
    ) -> None:
        """Fills in beliefs of the stack's components; see :class:`.Solver`.

        Raises:
            Impossible: they have no possible world.
        """
        a, width = len(self.atoms_of), len(self.atoms_of) + len(self.rows_of)
        for start, stop in self._parts():
            inputs = np.empty((width + 1, stop - start))
            inputs[-1] = 0.0
            for number, column in enumerate(self.atoms_of):
                inputs[number] = unary[_within(column, start, stop)]
            for number, column in enumerate(self.rows_of, start=a):
                inputs[number] = weights[_within(column, start, stop)]
            found = self.circuit(torch.from_numpy(inputs).to(self.device))
            if found.log_z.min() < NEVER / 2:
                raise Impossible(int(self.components[start + found.log_z.argmin()]))
            for column, log_odds in zip(self.atoms_of, found.log_odds, strict=True):
                beliefs.log_odds[_within(column, start, stop)] = log_odds
            for column, truth in zip(self.rows_of, found.truth, strict=True):
                beliefs.truth[_within(column, start, stop)] = truth
            beliefs.log_z[self.components[start:stop]] = found.log_z

    def _parts(self) -> Iterator[tuple[int, int]]:
        """First and last of the components whose states are held at once."""
        most = _CHUNK_ENTRIES if self.device.type == "cpu" else _CHUNK_ENTRIES_GPU
        step, count = max(1, most // self.circuit.states), len(self.components)
        for start in range(0, count, step):
            yield start, min(count, start + step)


def _column(index: NDArray[np.int64]) -> _Column:
    """Places in an array; equal steps up are a range, which numpy reads and writes faster."""
    steps = np.diff(index[:2])
    if len(steps) and steps[0] > 0 and (np.diff(index) == steps[0]).all():
        return range(int(index[0]), int(index[-1]) + 1, int(steps[0]))
    return np.ascontiguousarray(index)


def _within(column: _Column, start: int, stop: int) -> slice | NDArray[np.int64]:
    """Some of a column's places."""
    if isinstance(column, range):
        chosen = column[start:stop]
        return slice(chosen.start, chosen.stop, chosen.step)
    chosen_places: NDArray[np.int64] = column[start:stop]
    return chosen_places
