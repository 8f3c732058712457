"""Priors, bounds and the coordinates in which parameters are optimised.

A scale ``alpha`` is optimised as ``eta = log alpha`` with a normal prior on ``eta``; every
other parameter is its own coordinate. The mode is taken in ``eta``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, vstack

from knowreason.factors import OPEN, ParameterTable
from knowreason.learning.problem import Curve, Problem

Vector = NDArray[np.float64]
SMALLEST_SCALE = 1e-4  # log-normal parameters stay above this


@dataclass(frozen=True)
class Coordinates:
    """The free coordinates ``eta`` of a parameter table, given values fixed.

    Attributes:
        table: all parameters.
        free: ``int64[f]`` indices of the learned ones.
        curve: of a problem whose graph has more than these (:class:`Problem`).
    """

    table: ParameterTable
    free: NDArray[np.int64]
    curve: Curve | None = None

    @staticmethod
    def of(table: ParameterTable, curve: Curve | None = None) -> Coordinates:
        """Coordinates of every learned parameter."""
        return Coordinates(table, np.flatnonzero(table.learned), curve)

    @property
    def log_normal(self) -> NDArray[np.bool_]:
        """``bool[f]``: coordinates that are logarithms of scales."""
        return self.table.log_normal[self.free]

    def eta(self, theta: Vector) -> Vector:
        """``float64[f]`` coordinates of ``theta`` (``float64[p]``)."""
        value = theta[self.free]
        scale = self.log_normal
        return np.where(
            scale, np.log(np.maximum(np.where(scale, value, 1.0), SMALLEST_SCALE)), value
        )

    def parameters(self, eta: Vector) -> Vector:
        """``float64[p]``, given values at their start."""
        theta = self.table.start.astype(np.float64).copy()
        scale = self.log_normal
        theta[self.free] = np.where(scale, np.exp(np.where(scale, eta, 0.0)), eta)
        return theta

    def theta(self, eta: Vector) -> Vector:
        """``float64[q]``: the parameters, and what follows from them, as the graph holds them."""
        theta = self.parameters(eta)
        return theta if self.curve is None else np.concatenate([theta, self.curve(theta)[0]])

    def jacobian(self, eta: Vector) -> csr_matrix:
        """``float64[q, f]``: how the graph's ``theta`` changes with ``eta``."""
        slope, p = self.slope(eta), len(self.table)
        direct = csr_matrix((slope, (self.free, np.arange(len(slope)))), (p, len(slope)))
        if self.curve is None:
            return direct
        return vstack([direct, self.curve(self.parameters(eta))[1] @ direct]).tocsr()

    def chain(self, eta: Vector, gradient: Vector) -> Vector:
        """``float64[..., f]``: gradients in the graph's ``theta`` (``[..., q]``) as in ``eta``."""
        jacobian = self.jacobian(eta)
        flat = gradient.reshape(-1, gradient.shape[-1]) @ jacobian
        return np.asarray(flat).reshape(*gradient.shape[:-1], jacobian.shape[1])

    def tied(self, eta: Vector, together: csr_matrix) -> csr_matrix:
        """Sparse ``[f, f]``: coordinates that occur together, from those of the graph."""
        follows = abs(self.jacobian(eta))
        return (follows.T @ abs(together) @ follows).tocsr()

    def concerned(self, named: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """``bool[p]``: parameters that some of the graph's (``bool[q]``) are or follow from."""
        if self.curve is None:
            return named
        bent = abs(self.curve(self.table.start)[1])[named[len(self.table) :]]
        followed = np.asarray(bent.sum(axis=0)).ravel() > 0
        return np.asarray(named[: len(self.table)] | followed, np.bool_)

    def slope(self, eta: Vector) -> Vector:
        """``float64[f]``: ``d theta / d eta`` of each free parameter."""
        scale = self.log_normal
        return np.where(scale, np.exp(np.where(scale, eta, 0.0)), 1.0)

    def bounds(self) -> tuple[Vector, Vector]:
        """Lower and upper ends of ``eta``, each ``float64[f]``."""
        lower, upper = self.table.lower[self.free], self.table.upper[self.free]
        scale = self.log_normal
        with np.errstate(divide="ignore"):
            low = np.where(scale, np.log(np.maximum(lower, SMALLEST_SCALE)), lower)
            high = np.where(scale, np.log(np.where(scale, upper, 1.0)), upper)
        return low.astype(np.float64), high.astype(np.float64)

    def log_prior(self, eta: Vector) -> tuple[float, Vector]:
        """Log density of the priors, up to a constant, and its gradient (``float64[f]``)."""
        deviation = (eta - self.table.prior_mean[self.free]) * self.precision()
        value = -0.5 * float(deviation @ (eta - self.table.prior_mean[self.free]))
        return value, -deviation

    def precision(self) -> Vector:
        """``float64[f]``: ``1 / prior_sd**2``, 0 for a flat prior."""
        return 1.0 / np.square(self.table.prior_sd[self.free])


def start_values(problem: Problem) -> Vector:
    """``float64[p]``: the table's start, each bias at the base rate of its labels.

    The rate of a bias is that of the labelled atoms its unit features touch; in log-odds for a
    Boolean atom, less the fixed log-odds of those atoms (of how they were drawn), in
    log-probability less the mean over the states for an exactly-one block, and against "no
    value" for an at-most-one block.
    """
    table = problem.parameters
    start = np.clip(table.start.astype(np.float64), table.lower, table.upper)
    biases = table.learned & np.array([kind == "bias" for kind in table.kinds], dtype=np.bool_)
    if not biases.any():
        return start
    true, total, fixed = _label_counts(problem)
    seen = biases & (total > 0)
    rate = (true + 0.5) / (total + 1.0)
    free, exactly_one, owner = _bias_shape(problem)
    log_odds = np.log(rate) - np.log1p(-rate) - fixed / np.maximum(total, 1)
    start[seen & free] = log_odds[seen & free]
    blocked = seen & ~free
    for shape in np.unique(owner[blocked]):
        states = blocked & (owner == shape)
        logs = np.log(rate[states])
        one = exactly_one[states].all()
        none = np.log(max(1.0 - float(rate[states].sum()), 0.5 / float(total[states].max() + 1)))
        start[states] = logs - (logs.mean() if one else none)
    return np.clip(start, table.lower, table.upper)


def _label_counts(problem: Problem) -> tuple[Vector, Vector, Vector]:
    """True and all labels under each parameter's unit features, and the sum of those atoms' fixed
    log-odds, ``float64[p]`` each."""
    p, log_odds = len(problem.parameters), problem.graph.log_odds.numpy()
    true, total, fixed = np.zeros(p), np.zeros(p), np.zeros(p)
    for atoms, parameter in _unit_rows(problem):
        label = problem.labels[atoms]
        labelled = label != OPEN
        true += np.bincount(parameter[labelled], label[labelled], minlength=p)
        total += np.bincount(parameter[labelled], minlength=p)
        fixed += np.bincount(parameter[labelled], log_odds[atoms[labelled]], minlength=p)
    return true, total, fixed


def _bias_shape(problem: Problem) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.int64]]:
    """Per parameter: outside any block, in an exactly-one block, and which set of states."""
    p, n = len(problem.parameters), problem.graph.atom_count
    blocks = problem.graph.blocks
    kind = np.zeros(n, dtype=np.int8)
    sizes = np.diff(blocks.offsets.numpy())
    kind[blocks.atoms.numpy()] = np.repeat(2 - blocks.at_most_one.numpy().astype(np.int8), sizes)
    free, one = np.ones(p, dtype=np.bool_), np.zeros(p, dtype=np.bool_)
    for atoms, parameter in _unit_rows(problem):
        free[parameter[kind[atoms] > 0]] = False
        one[parameter[kind[atoms] == 2]] = True
    prefix = np.array([name.split("[")[0] for name in problem.parameters.names])
    owner = np.unique(prefix, return_inverse=True)[1] if p else np.zeros(0, dtype=np.int64)
    return free, one, owner.astype(np.int64)


def _unit_rows(problem: Problem) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Atoms and parameters of every unit row, less what follows from parameters."""
    rows = [(unit.entry_atoms.astype(np.int64), unit.parameters()) for unit in problem.graph.units]
    p = len(problem.parameters)
    return [(atoms[which < p], which[which < p]) for atoms, which in rows]
