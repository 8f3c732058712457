"""The GCN posterior: rounds of belief propagation corrected by a trained network."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from knowreason.factors import FactorGraph
from knowreason.factors.components.connected import components, subgraph
from knowreason.factors.condition import condition
from knowreason.inference.exact.exact import decided_log_odds
from knowreason.inference.gcn.gcn_network import ROUNDS, Corrections, course
from knowreason.inference.gcn.gcn_training import load_gcn
from knowreason.inference.gcn.weight_noise import Noise, ensemble
from knowreason.inference.messages.bp import bp
from knowreason.inference.messages.cut_outs import (
    CutOutSource,
    corrected_by_cut_outs,
    in_loops,
)
from knowreason.inference.messages.message_beliefs import decided_clipped
from knowreason.inference.messages.message_graph import layout
from knowreason.inference.posterior import EngineReport, Posterior, quality_of_open

MOST_ATOMS = 40
CUT_OUT, TOLD = 24, 8  # atoms of a cut-out of a larger one, and how many of them it tells
SIZES = (12, 20, MOST_ATOMS)  # components are probed together up to these numbers of atoms


def gcn(
    graph: FactorGraph,
    *,
    seed: int = 0,
    device: str = "auto",
    network: Corrections | None = None,
    most_atoms: int = MOST_ATOMS,
    large: Literal["cut_outs", "network"] = "cut_outs",
    noise: Noise | float | None = None,
    **options: Any,
) -> Posterior:
    """Rounds of damped belief propagation, corrected by a network of message passing.

    The network serves components with loops and at most ``most_atoms`` atoms. Trees, where
    belief propagation is exact, are left to ``bp``; so are larger components, whose beliefs
    are then corrected on cut-outs (:func:`.corrected_by_cut_outs`): exactly, since exact
    inference on a cut-out is nearer to the truth than the network, and faster. The reports
    say so. ``log_z`` and ``expectations`` are those of ``bp`` everywhere (gradients of one
    another).

    Args:
        graph: any factor graph, at its ``theta``.
        seed: of ``bp``'s fallback and of ``noise`` given as a number.
        device: of ``bp``; the network runs on the CPU.
        network: trained by :func:`~knowreason.inference.gcn.gcn_training.train_gcn`, or fitted
            by :func:`~knowreason.inference.gcn.gcn_fitting.fit_gcn`; the package's own by default.
        most_atoms: of a component that the network serves whole.
        large: what serves larger ones: ``cut_outs``, exactly as above, or ``network``, which
            reads a cut-out around each few atoms (:func:`network_beliefs`).
        noise: an ensemble of passes with noise on the network's weights: the mean of
            their log-odds, the standard deviation in ``spread`` (0 where ``bp`` served). A
            number is relative noise of that scale, ten passes. Absolute noise of 0.1 ruins
            a network trained without it (error .055 against .006 on 12 to 16 atoms).
        **options: of ``bp``.

    Raises:
        InferenceError: the evidence contradicts hard rows (KR703).
    """
    network = load_gcn() if network is None else network
    if isinstance(noise, int | float):
        noise = Noise(float(noise), relative=True, seed=seed)
    known = condition(graph)
    label, count = components(known)
    served, notes = _served(known, label, count, most_atoms, large)
    here = np.append(served, False)[label]
    begin = time.perf_counter()
    log_odds = torch.from_numpy(decided_log_odds(known))
    spread = torch.zeros_like(log_odds) if noise is not None else None
    size = np.append(np.bincount(label[label >= 0], minlength=count), 0)[label]
    whole = here & (size <= most_atoms)
    for atoms, mean, deviation in (
        *_corrected(known, label, whole, network, noise),
        *_by_cut_outs(known, here & ~whole, network, noise, seed),
    ):
        log_odds[atoms] = mean
        if spread is not None:
            spread[atoms] = deviation
    reports = []
    if served.any():
        seconds = time.perf_counter() - begin
        done = int(served.sum())
        reports.append(
            EngineReport("gcn", done, int(here.sum()), done, ROUNDS, 0.0, seconds, notes)
        )
    swept = _swept(known, (label >= 0) & ~here, seed, device, options, correct=True)
    beside = _swept(known, here, seed, device, options)
    log_z, expectations = known.offset, torch.zeros(known.parameter_count, dtype=torch.float64)
    if known.constant is not None:
        expectations += known.constant
        log_z += float(known.theta @ known.constant)
    for part in (swept, beside):
        if part is not None and part[1].expectations is not None:
            log_z += part[1].log_z or 0.0
            expectations += part[1].expectations
    if swept is not None:
        log_odds[swept[0]] = swept[1].log_odds
        reports += [_told(report, notes) for report in swept[1].reports]
    component = torch.from_numpy(label)
    return Posterior(
        log_odds,
        log_z,
        "estimate",
        expectations,
        component,
        tuple(reports),
        spread=spread,
        quality=quality_of_open(component, "unconfirmed"),
    )


def corrected(
    graph: FactorGraph, component: Tensor, network: Corrections, noise: Noise | None = None
) -> tuple[Tensor, Tensor]:
    """Log-odds of a conditioned graph and their standard deviation, ``float64[n]`` each.

    Args:
        graph: conditioned; every component is served, trees and large ones too.
        component: ``int64[n]`` of each atom, ``-1`` for decided ones.
        network: the corrections.
        noise: of an ensemble; ``None`` for one pass without noise.
    """
    seen = course(graph, component)
    if noise is not None:
        return ensemble(network, lambda: decided_clipped(graph, network(seen)), noise)
    with torch.no_grad():
        found = decided_clipped(graph, network(seen))
    return found, torch.zeros_like(found)


def network_beliefs(
    graph: FactorGraph, network: Corrections, *, noise: Noise | None = None, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Log-odds of components of any size and their standard deviation, ``float64[n]`` each.

    The network reads cut-outs of :data:`CUT_OUT` atoms, bounded by belief propagation's
    messages, and each tells the :data:`TOLD` atoms nearest to its centre.

    Args:
        graph: conditioned, at its ``theta``; without loops, beliefs are belief propagation's.
        network: the corrections.
        noise: of an ensemble; ``None`` for one pass without noise.
        seed: of the centres.
    """
    around = CutOutSource.of(graph)
    log_odds = torch.from_numpy(around.beliefs.copy())
    spread = torch.zeros_like(log_odds)
    rng = np.random.default_rng([seed, 2])
    for centres, copy, atoms in around.cover(around.looped, TOLD, rng):
        cut = around.cut(centres, CUT_OUT)
        component = torch.from_numpy(components(cut.graph)[0]).long()
        mean, deviation = corrected(cut.graph, component, network, noise)
        places = cut.places(copy, atoms, graph.atom_count)
        log_odds[atoms], spread[atoms] = mean[places], deviation[places]
    return decided_clipped(graph, log_odds), spread


def _served(
    graph: FactorGraph, label: NDArray[np.int32], count: int, most_atoms: int, large: str
) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
    """``bool[c]``: components for the network, and why the others are not among them."""
    size = np.bincount(label[label >= 0], minlength=count)
    looped = np.zeros(count, dtype=np.bool_)
    looped[label[in_loops(graph, layout(graph))]] = True
    small = size <= most_atoms
    trees, many = int((~looped).sum()), int((looped & ~small).sum())
    notes = []
    if trees:
        notes.append(f"{trees} components without loops left to bp, which is exact there")
    if many and large == "network":
        notes.append(f"{many} components of more than {most_atoms} atoms read in cut-outs")
        return looped, tuple(notes)
    if many:
        notes.append(f"{many} components of more than {most_atoms} atoms left to bp and cut-outs")
    return looped & small, tuple(notes)


def _by_cut_outs(
    graph: FactorGraph,
    here: NDArray[np.bool_],
    network: Corrections,
    noise: Noise | None,
    seed: int,
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Atoms of large components, log-odds and standard deviations."""
    if here.any():
        part, atoms = subgraph(graph, here)
        yield torch.from_numpy(atoms), *network_beliefs(part, network, noise=noise, seed=seed)


def _corrected(
    graph: FactorGraph,
    label: NDArray[np.int32],
    here: NDArray[np.bool_],
    network: Corrections,
    noise: Noise | None,
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Atoms, log-odds and standard deviations, components of about one size together."""
    size = np.append(np.bincount(label[label >= 0], minlength=label.max(initial=-1) + 1), 0)[label]
    order = np.searchsorted(SIZES, size)
    for step in np.unique(order[here]):
        part, atoms = subgraph(graph, here & (order == step))
        component = torch.from_numpy(np.unique(label[atoms], return_inverse=True)[1])
        yield torch.from_numpy(atoms), *corrected(part, component, network, noise)


def _swept(
    graph: FactorGraph,
    keep: NDArray[np.bool_],
    seed: int,
    device: str,
    options: dict[str, Any],
    correct: bool = False,
) -> tuple[Tensor, Posterior] | None:
    """Belief propagation on some components, ``None`` without any."""
    if not keep.any():
        return None
    part, atoms = subgraph(graph, keep)
    found = bp(part, seed=seed, device=device, **options)
    better = corrected_by_cut_outs(part, found.log_odds) if correct else None
    if better is not None:
        moved = int((better != found.log_odds).sum())
        note = f"beliefs of {moved} atoms are corrected on cut-outs"
        reports = tuple(_told(report, (note,)) for report in found.reports)
        found = replace(found, log_odds=better, reports=reports)
    return torch.from_numpy(atoms), found


def _told(report: EngineReport, notes: tuple[str, ...]) -> EngineReport:
    return replace(report, notes=report.notes + tuple(f"gcn: {note}" for note in notes))
