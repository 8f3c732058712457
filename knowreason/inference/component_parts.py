"""Exact inference part by part: whole components at a time, so that memory stays small."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from knowreason.factors.arrays import array
from knowreason.factors.components.connected import components, parts_of, subgraph
from knowreason.factors.condition import condition
from knowreason.factors.factor_graph import FactorGraph
from knowreason.inference.exact.exact import decided_log_odds, exact, prepare
from knowreason.inference.exact.order_search import CHEAP
from knowreason.inference.posterior import QUALITIES, EngineReport, Posterior, summed

MOST = 1 << 20  # atoms of a part


def posterior_in_parts(
    graph: FactorGraph, **options: Any
) -> tuple[Posterior, FactorGraph, NDArray[np.bool_]]:
    """The posterior of what exact inference serves cheaply, of any number of components.

    Parts of whole components are prepared, solved and forgotten; log partition function and
    expectations are their sums. Junction trees that are not cheap share one budget and are left
    out, with what is too tangled.

    Args:
        graph: given its evidence, at its ``theta``.
        options: of :func:`knowreason.inference.exact.exact.prepare`.

    Returns:
        The posterior, with log-odds 0 where nothing is served; the conditioned graph; and
        ``bool[n]`` atoms that are left.

    Raises:
        InferenceError: as :func:`knowreason.inference.exact.exact.prepare`.
    """
    known = condition(graph)
    labels, count = components(known)
    log_odds = decided_log_odds(known)
    left = np.zeros(len(log_odds), np.bool_)
    log_z, expectations = known.offset, known.constants.clone()
    log_z += float(known.constants @ known.theta)
    reports: tuple[EngineReport, ...] = ()
    for part, atoms in parts_of(known, labels, count, MOST):
        prepared = prepare(part, **{**options, "exact_seconds": CHEAP * 1e-9})
        found = prepared()
        assert found.log_z is not None
        assert found.expectations is not None
        log_odds[atoms] = array(found.log_odds)
        left[atoms] = ~array(prepared.tractable)
        log_z += found.log_z
        expectations += found.expectations
        reports = summed((*reports, *found.reports))
    quality = torch.from_numpy(left).to(torch.int8) * QUALITIES.index("unconfirmed")
    posterior = Posterior(
        log_odds=torch.from_numpy(log_odds),
        log_z=log_z,
        log_z_kind="exact",
        expectations=expectations,
        component=torch.from_numpy(labels),
        reports=reports,
        quality=quality,
    )
    return posterior, known, left


def exact_in_parts(
    graph: FactorGraph, *, seed: int = 0, device: str = "auto", **options: Any
) -> Posterior:
    """As :func:`knowreason.inference.exact.exact.exact`, a large graph part by part."""
    if graph.atom_count <= MOST:
        return exact(graph, seed=seed, device=device, **options)
    posterior, known, left = posterior_in_parts(graph, device=device, **options)
    if not left.any():
        return posterior
    rest, atoms = subgraph(known, left)
    return joined(posterior, exact(rest, seed=seed, device=device, **options), atoms)


def joined(posterior: Posterior, rest: Posterior, atoms: NDArray[Any]) -> Posterior:
    """The posterior with the beliefs of another about ``atoms`` put in."""
    index = torch.from_numpy(atoms)
    log_odds = posterior.log_odds.clone()
    log_odds[index] = rest.log_odds.cpu()
    expectations = None
    if posterior.expectations is not None and rest.expectations is not None:
        expectations = posterior.expectations + rest.expectations.cpu()
    known = posterior.log_z is not None and rest.log_z is not None
    quality = None
    if posterior.quality is not None and rest.quality is not None:
        quality = posterior.quality.clone()
        quality[index] = rest.quality
    spread = None
    if rest.spread is not None:
        spread = torch.zeros_like(log_odds)
        spread[index] = rest.spread
    return replace(
        posterior,
        log_odds=log_odds,
        log_z=(posterior.log_z or 0.0) + (rest.log_z or 0.0) if known else None,
        log_z_kind=rest.log_z_kind if known else "",
        expectations=expectations,
        reports=(*posterior.reports, *rest.reports),
        quality=quality,
        spread=spread,
    )
