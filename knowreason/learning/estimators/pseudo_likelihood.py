"""Pseudo-likelihood of whole worlds: each site given all the others.

Given the rest of a world the log-odds of a site's states are linear in ``theta``, so the
pseudo-likelihood of a set of worlds is a logistic regression on a sparse design that is
built once. Source: Besag 1977; Richardson & Domingos 2006.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from knowreason.factors.ground_factors import HARD
from knowreason.learning.sites import Ids, SiteWiring

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class PseudoLikelihood:
    """Mean log pseudo-likelihood of ``w`` worlds, a term of an
    :class:`~knowreason.learning.objective.Objective`.

    Attributes:
        worlds: their number ``w``.
        design: ``float64[w * k, p]``: feature change of each state against "none".
        offset: ``float64[w * k]``: fixed log-odds; ``-inf`` where a hard factor forbids it.
        start: ``int64[w * s]`` first state of each site.
        none: ``float64[w * s]``: 0 where "none" is a state, ``-inf`` where it is not.
        chosen: ``float64[w * k]``: 1 for the state each site is in.
        site: ``int64[w * k]``: site of each state.
    """

    worlds: int
    design: csr_matrix
    offset: Vector
    start: Ids
    none: Vector
    chosen: Vector
    site: Ids

    def __call__(self, theta: Vector) -> tuple[float, Vector]:
        """Value and gradient (``float64[p]``) at ``theta`` (``float64[p]``)."""
        logit, log_norm = self._states(theta)
        here = self.chosen > 0
        value = float(logit[here].sum() - log_norm.sum())
        residual = self.chosen - np.exp(logit - log_norm[self.site])
        return value / self.worlds, self.design.T @ residual / self.worlds

    def information(self, theta: Vector, jacobian: csr_matrix | None = None) -> NDArray[np.float64]:
        """``float64[p, p]``: minus the Hessian at ``theta``.

        With a ``jacobian`` (``float64[p, f]``): in coordinates, but for how these bend.
        """
        logit, log_norm = self._states(theta)
        probability = np.exp(logit - log_norm[self.site])
        design = self.design if jacobian is None else self.design @ jacobian
        weighted = design.multiply(probability[:, None]).tocsr()
        of_site = csr_matrix((np.ones(len(self.site)), (self.site, np.arange(len(self.site)))))
        mean = of_site @ weighted
        second = design.T @ weighted - mean.T @ mean
        return np.asarray(second.todense(), dtype=np.float64) / self.worlds

    def cluster_scores(self, theta: Vector, cluster: Ids, clusters: int) -> NDArray[np.float64]:
        """Gradients of the conditionals, summed within clusters of sites.

        Args:
            theta: ``float64[p]``.
            cluster: ``int64[s]`` of each site of a world.
            clusters: their number.

        Returns:
            ``float64[w, clusters, p]``.
        """
        logit, log_norm = self._states(theta)
        residual = self.chosen - np.exp(logit - log_norm[self.site])
        world = np.repeat(np.arange(self.worlds), len(self.none) // self.worlds) * clusters
        target = (world + np.tile(cluster, self.worlds))[self.site]
        shape = (self.worlds * clusters, len(residual))
        gather = csr_matrix((residual, (target, np.arange(len(residual)))), shape=shape)
        total = np.asarray((gather @ self.design).todense(), dtype=np.float64)
        return total.reshape(self.worlds, clusters, -1)

    def _states(self, theta: Vector) -> tuple[Vector, Vector]:
        """Log-odds of each state against "none", and log normaliser of each site."""
        logit = self.offset + self.design @ theta
        if len(logit) == 0:
            return logit, self.none
        top = np.maximum(np.maximum.reduceat(logit, self.start), self.none)
        total = np.add.reduceat(np.exp(logit - top[self.site]), self.start)
        return logit, top + np.log(total + np.exp(self.none - top))


def pseudo_likelihood(wiring: SiteWiring, worlds: NDArray[np.int8]) -> PseudoLikelihood:
    """The pseudo-likelihood of worlds (``int8[w, n]``, auxiliary atoms filled in)."""
    parts = [_design(wiring, world) for world in worlds]
    states, sites = len(wiring.states), len(wiring.site_start)
    shift = np.arange(len(worlds))[:, None]
    row = np.concatenate([part.row + index * states for index, part in enumerate(parts)])
    column = np.concatenate([part.column for part in parts])
    change = np.concatenate([part.change for part in parts])
    shape = (len(worlds) * states, wiring.parameter_count + 1)
    full = csr_matrix((change, (row, column)), shape=shape)
    offset = full[:, wiring.parameter_count].toarray().ravel()
    offset[np.concatenate([part.forbidden for part in parts])] = -np.inf
    none_free = ~np.concatenate([part.none_forbidden for part in parts])
    return PseudoLikelihood(
        len(worlds),
        full[:, : wiring.parameter_count].tocsr(),
        offset,
        (wiring.site_start[None, :] + shift * states).ravel(),
        np.where(none_free, 0.0, -np.inf),
        (worlds[:, wiring.states] == 1).astype(np.float64).ravel(),
        (wiring.site[None, :] + shift * sites).ravel(),
    )


@dataclass(frozen=True)
class _WorldDesign:
    row: Ids
    column: Ids
    change: Vector
    forbidden: NDArray[np.bool_]
    none_forbidden: NDArray[np.bool_]


def _design(wiring: SiteWiring, world: NDArray[np.int8]) -> _WorldDesign:
    """Feature changes of every state of one world, and the states hard factors forbid."""
    when_true, when_none = _pair_values(wiring, world)
    rows, columns, changes = [], [], []
    states = len(wiring.states)
    broken, none_broken = np.zeros(states), np.zeros(states)
    for factors, join in zip(wiring.factors, wiring.factor_joins, strict=True):
        old = factors.satisfied(world[factors.atoms], slice(None))
        base = factors.scores(world)
        true = factors.feature(join.score(factors, base, old, when_true), join.row)
        none = factors.feature(join.score(factors, base, old, when_none), join.row)
        rank, parameter = wiring.rank[join.state], factors.parameter[join.row]
        hard = parameter == HARD
        if hard.any():
            broken += np.bincount(rank[hard], 1 - true[hard], minlength=states)
            none_broken += np.bincount(rank[hard], 1 - none[hard], minlength=states)
        change = (true - none) * factors.value[join.row]
        moved = np.flatnonzero((change != 0) & ~hard)
        rows.append(rank[moved])
        columns.append(parameter[moved])
        changes.append(change[moved])
    none_forbidden = wiring.exactly_one.copy()
    if states:
        none_forbidden |= np.maximum.reduceat(none_broken, wiring.site_start) > 0.5
    empty: Ids = np.zeros(0, dtype=np.int64)
    return _WorldDesign(
        np.concatenate([*rows, empty]),
        np.concatenate([*columns, empty]),
        np.concatenate([*changes, empty.astype(np.float64)]),
        broken > 0.5,
        none_forbidden,
    )


def _pair_values(
    wiring: SiteWiring, world: NDArray[np.int8]
) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
    """Value of each paired atom when its state is true, and when its site is "none"."""
    pairs = wiring.pairs[0]
    when_true: NDArray[np.int8] = (pairs.atom == pairs.state).astype(np.int8)
    when_none: NDArray[np.int8] = np.zeros(len(pairs.atom), dtype=np.int8)
    for depth, (rows, join) in enumerate(
        zip(wiring.definitions, wiring.definition_joins, strict=True)
    ):
        old = rows.satisfied(world[rows.atoms], slice(None))
        base = rows.scores(world)
        true = rows.feature(join.score(rows, base, old, when_true), join.row)
        none = rows.feature(join.score(rows, base, old, when_none), join.row)
        atom = np.append(wiring.pairs[depth].atom, rows.target[join.row])
        order = np.argsort(atom, kind="stable")
        when_true = np.append(when_true, true.astype(np.int8))[order]
        when_none = np.append(when_none, none.astype(np.int8))[order]
    return when_true, when_none
