"""Messages and beliefs of tables, vectorised over rows in torch; all differentiable.

``energy`` is the log-potential of every state (``float64[m, 2**k]``, or one row for all),
less :data:`FORBIDDEN` where a hard row excludes it.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import softplus

FORBIDDEN = 1e4  # what an excluded state loses


def table_messages(cavity: Tensor, energy: Tensor, maximum: bool) -> Tensor:
    """To each atom (``float64[m, k]`` log-odds), from cavities ``float64[m, k]``."""
    truth = bits(cavity.shape[1], cavity.device)
    joint = cavity @ truth.to(cavity.dtype).T + energy
    columns = []
    for chosen in truth.T:
        with_j, without_j = joint[:, chosen], joint[:, ~chosen]
        if maximum:
            columns.append(with_j.amax(1) - without_j.amax(1))
        else:
            columns.append(with_j.logsumexp(1) - without_j.logsumexp(1))
    return torch.stack(columns, 1) - cavity


def table_beliefs(cavity: Tensor, energy: Tensor) -> tuple[Tensor, Tensor]:
    """``log sum_x potential * cavities`` (``float64[m]``) and ``float64[m, 2**k]`` chances."""
    joint = cavity @ bits(cavity.shape[1], cavity.device).to(cavity.dtype).T + energy
    log_z = joint.logsumexp(1)
    return log_z - softplus(cavity).sum(1), (joint - log_z[:, None]).exp()


def table_chances(true: Tensor, false: Tensor) -> Tensor:
    """``float64[m, 2**k]``: chances of every state of independent atoms (``float64[m, k]``)."""
    joint = torch.ones_like(true[:, :1])
    for j in range(true.shape[1]):
        joint = torch.cat([joint * false[:, j, None], joint * true[:, j, None]], 1)
    return joint


def bits(arity: int, device: torch.device) -> Tensor:
    """``bool[2**k, k]``: truth of each atom in every state."""
    states = torch.arange(1 << arity, device=device)
    return (states[:, None] >> torch.arange(arity, device=device) & 1).bool()
