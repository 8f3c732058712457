"""Brute force: every world of a small factor graph, for tests and audits."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from knowreason.errors import InferenceError
from knowreason.factors.energy import features, log_score
from knowreason.factors.factor_graph import OPEN, TRUE, FactorGraph

MAX_ATOMS = 20
_CLIP = 700.0


@dataclass(frozen=True)
class Enumeration:
    """Exact marginals, partition function and worlds of a small factor graph.

    Attributes:
        log_odds: ``float64[n]`` marginal log-odds, clipped to +-700.
        log_z: log partition function.
        expectations: ``float64[p]``, ``E[sum v f]`` per parameter.
        world: ``int8[n]`` a most probable world.
        worlds: ``int8[s, n]`` every possible world.
        log_probability: ``float64[s]`` of each of them.

    >>> log_odds, theta = torch.tensor([1.0, -2.0]), torch.zeros(0, dtype=torch.float64)
    >>> graph = FactorGraph(log_odds, theta, evidence=torch.full((2,), OPEN, dtype=torch.int8))
    >>> enumerate_worlds(graph).worlds.shape
    torch.Size([4, 2])
    """

    log_odds: Tensor
    log_z: float
    expectations: Tensor
    world: Tensor
    worlds: Tensor
    log_probability: Tensor

    @property
    def marginals(self) -> Tensor:
        """``float64[n]`` marginal probabilities."""
        return self.log_odds.sigmoid()


def all_worlds(evidence: Tensor) -> Tensor:
    """``int8[2**open, n]``: every completion of the evidence (``int8[n]``).

    >>> all_worlds(torch.tensor([OPEN, TRUE, OPEN], dtype=torch.int8))
    tensor([[0, 1, 0],
            [1, 1, 0],
            [0, 1, 1],
            [1, 1, 1]], dtype=torch.int8)
    """
    unknown = (evidence == OPEN).nonzero().ravel()
    worlds = (evidence == TRUE).to(torch.int8).repeat(1 << len(unknown), 1)
    states = torch.arange(1 << len(unknown))
    worlds[:, unknown] = ((states[:, None] >> torch.arange(len(unknown))) & 1).to(torch.int8)
    return worlds


def enumerate_worlds(graph: FactorGraph) -> Enumeration:
    """Exact marginals and partition function of a graph with at most 20 open atoms.

    Raises:
        InferenceError: more atoms than that (KR701), or no world satisfies the hard
            factors (KR702).

    >>> log_odds, theta = torch.tensor([1.0, -2.0]), torch.zeros(0, dtype=torch.float64)
    >>> graph = FactorGraph(log_odds, theta, evidence=torch.full((2,), OPEN, dtype=torch.int8))
    >>> enumerate_worlds(graph).log_odds
    tensor([ 1.0000, -2.0000], dtype=torch.float64)
    """
    unknown = int((graph.evidence == OPEN).sum())
    if unknown > MAX_ATOMS:
        raise InferenceError(
            f"{unknown} open atoms have too many worlds to enumerate",
            code="KR701",
            help=f"enumeration serves at most {MAX_ATOMS} open atoms; use engine `exact`",
        )
    worlds = all_worlds(graph.evidence)
    score = log_score(graph, worlds)
    possible = score > -torch.inf
    if not possible.any():
        raise InferenceError("no world satisfies the hard rules", code="KR702")
    worlds, score = worlds[possible], score[possible]
    log_z = score.logsumexp(0)
    log_p = score - log_z
    return Enumeration(
        log_odds=_log_odds(worlds, log_p),
        log_z=float(log_z),
        expectations=log_p.exp() @ features(graph, worlds),
        world=worlds[log_p.argmax()],
        worlds=worlds,
        log_probability=log_p,
    )


def _log_odds(worlds: Tensor, log_p: Tensor) -> Tensor:
    columns = []
    for atom in worlds.T.bool():
        true, false = log_p[atom].logsumexp(0), log_p[~atom].logsumexp(0)
        columns.append((true - false).clamp(-_CLIP, _CLIP))
    return torch.stack(columns) if columns else torch.zeros(0, dtype=torch.float64)
