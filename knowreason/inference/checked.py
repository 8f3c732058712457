"""Belief propagation and sampling beside each other: what one says, the other checks."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit
from torch import Tensor

from knowreason.factors import FactorGraph
from knowreason.factors.arrays import array
from knowreason.factors.components.connected import subgraph
from knowreason.factors.energy import holds
from knowreason.inference.gibbs.gibbs import (
    STATES,
    UPDATES,
    GibbsSampler,
    log_odds_spread,
    prepare_gibbs,
    sampling_report,
    seconds_told,
)
from knowreason.inference.gibbs.replicas import SampledBeliefs
from knowreason.inference.gibbs.verdicts import Verdicts, verdicts
from knowreason.inference.messages.bp import bp
from knowreason.inference.messages.cut_outs import corrected_by_cut_outs
from knowreason.inference.messages.message_beliefs import decided_clipped
from knowreason.inference.posterior import (
    QUALITIES,
    EngineReport,
    Posterior,
    Quality,
    quality_of_open,
)
from knowreason.progress import Progress


def checked(
    graph: FactorGraph,
    *,
    chains: int = 4,
    updates: int = UPDATES,
    states: int = STATES,
    seconds: float | None = None,
    threads: int = 1,
    device: str = "auto",
    seed: int = 0,
    progress: Progress | None = None,
    **options: Any,
) -> Posterior:
    """Belief propagation and tempered chains, each component by the better of the two.

    Chains start from dispersed worlds: what ``bp`` and max-product decode to, and random
    ones. Where they tell the marginals within .01 (see :func:`.gibbs`) a component gets
    theirs, *confirmed*; where chains that mixed and ``bp`` are within .01 of each other,
    four Monte-Carlo errors included, it gets ``bp``'s, *confirmed*. What is undecided then
    is compared once more, with ``bp`` corrected by exact inference on cut-outs around each
    atom. Elsewhere a component gets the chains' at a split R-hat of at most 1.2, else
    ``bp``'s, *unconfirmed*, and the report says by how much the two differ.

    ``log_z`` is Bethe's estimate; ``expectations`` are those of the beliefs, of chains where
    cut-outs corrected ``bp``'s.

    Args:
        graph: any factor graph.
        chains, updates, states, seconds, threads, progress: of :func:`.gibbs`.
        device: of ``bp``.
        seed: same seed, same answer.
        **options: of ``bp``.

    Raises:
        InferenceError: no world satisfies the hard rows.
    """
    begin = time.perf_counter()
    sampler = prepare_gibbs(graph)
    known = sampler.graph
    opinion = bp(known, seed=seed, device=device, **options)
    ensembles = sampler.ensembles(states=states, seed=seed, threads=threads)
    starts = dispersed(sampler, opinion, chains, seed)
    if progress is not None:
        progress(0, updates, seconds_told(updates, threads))
    label, told, other = ensembles.label, sampler.told, array(opinion.log_odds)
    found = ensembles.run(
        starts,
        lambda now: verdicts(now, label, told, other).settled,
        updates=updates,
        seconds=seconds,
    )
    said = verdicts(found, label, told, other)
    corrected = np.zeros(len(said.settled), np.bool_)
    if not said.settled.all():
        opinion, corrected = _corrected(known, opinion, label, ~said.settled)
        said = verdicts(found, label, told, array(opinion.log_odds))
    both = _Opinions(sampler, opinion, found, said, label, corrected, begin)
    return both.posterior(seed=seed, device=device, **options)


def dispersed(
    sampler: GibbsSampler, opinion: Posterior, chains: int, seed: int
) -> NDArray[np.int8]:
    """``int8[s, n]``: possible worlds of ``bp`` and of max-product, and random ones."""
    worlds = sampler.start(sampler.graph, chains, seed)
    likely = bp(sampler.graph, product="max", fallback=False).world
    assert likely is not None
    decoded = torch.stack([likely, (opinion.log_odds > 0).to(torch.int8)])[:chains]
    given = torch.from_numpy(sampler.mend(decoded))
    possible = array(holds(sampler.graph, given))
    worlds[: len(given)][possible] = array(given)[possible]
    return worlds


def _corrected(
    graph: FactorGraph, opinion: Posterior, label: NDArray[np.int32], chosen: NDArray[np.bool_]
) -> tuple[Posterior, NDArray[np.bool_]]:
    """The opinion of ``bp`` with chosen components (``bool[c]``) corrected, and which were."""
    part, atoms = subgraph(graph, np.append(chosen, False)[label])
    found = corrected_by_cut_outs(part, opinion.log_odds[atoms])
    corrected = np.zeros_like(chosen)
    if found is None:
        return opinion, corrected
    corrected[label[atoms[array(found != opinion.log_odds[atoms])]]] = True
    log_odds = opinion.log_odds.clone()
    log_odds[atoms] = found
    return replace(opinion, log_odds=log_odds), corrected


@dataclass(frozen=True)
class _Opinions:
    """Both opinions about a conditioned graph."""

    sampler: GibbsSampler
    bp: Posterior
    found: SampledBeliefs
    said: Verdicts
    label: NDArray[np.int32]
    corrected: NDArray[np.bool_]
    begin: float

    def posterior(self, **options: Any) -> Posterior:
        """The better opinion about each component; ``options`` are of ``bp``."""
        said, known = self.said, self.sampler.graph
        log_odds = self.bp.log_odds.clone()
        component = torch.from_numpy(self.label)
        quality = quality_of_open(component, "unconfirmed")
        quality[self._atoms(said.settled)] = QUALITIES.index("confirmed")
        expectations = known.constants.clone()
        reports: list[EngineReport] = []
        choices: tuple[tuple[Quality, NDArray[np.bool_], NDArray[np.bool_]], ...] = (
            ("confirmed", said.confirmed, said.seconded & ~said.confirmed),
            ("unconfirmed", ~said.settled & said.usable, ~said.settled & ~said.usable),
        )
        for name, by_chains, by_bp in choices:
            if by_chains.any():
                here = self._atoms(by_chains)
                log_odds[here] = torch.from_numpy(self.found.log_odds)[here]
                expectations += self._sampled(by_chains, here)
                reports.append(self._of_chains(by_chains, name))
            changed = self.corrected & said.usable  # their expectations would be another's
            for sampled, mine in ((False, by_bp & ~changed), (True, by_bp & changed)):
                if not mine.any():
                    continue
                here = self._atoms(mine)
                alone = bp(subgraph(known, here.numpy())[0], **options)
                assert alone.expectations is not None
                expectations += self._sampled(mine, here) if sampled else alone.expectations
                served = [report for report in alone.reports if report.components]
                reports += [self._of_bp(report, mine, name) for report in served]
        log_odds = decided_clipped(known, log_odds)
        apart = expit(array(log_odds)) - expit(self.found.log_odds)
        error = np.where(self.label >= 0, np.hypot(self.found.error, apart), 0.0)
        return replace(
            self.bp,
            log_odds=log_odds,
            expectations=expectations,
            reports=tuple(reports),
            spread=log_odds_spread(error, log_odds),
            quality=quality,
        )

    def _atoms(self, chosen: NDArray[np.bool_]) -> Tensor:
        """``bool[n]``: atoms of components (``bool[c]``)."""
        return torch.from_numpy(np.append(chosen, False)[self.label])

    def _sampled(self, chosen: NDArray[np.bool_], here: Tensor) -> Tensor:
        """``float64[p]``: expectations of components by their chains."""
        part, atoms = subgraph(self.sampler.graph, here.numpy())
        truth = self.found.truth[chosen[self.sampler.wiring.row_label(self.label)]]
        sampled = torch.from_numpy(self.found.log_odds[atoms])
        return prepare_gibbs(part).expectations(sampled, truth)

    def _of_chains(self, chosen: NDArray[np.bool_], quality: Quality) -> EngineReport:
        report = sampling_report(self.sampler, self.found, self.said, chosen, quality, self.begin)
        if quality == "confirmed":
            return report
        error = max(report.error, self._apart(chosen))
        return replace(report, error=error, checked=self._told(chosen))

    def _of_bp(
        self, report: EngineReport, chosen: NDArray[np.bool_], quality: Quality
    ) -> EngineReport:
        apart, told = self._apart(chosen), self._told(chosen)
        if quality == "confirmed":
            told = f"bp and sampling agree within {apart:.4f}"
        engine = report.engine + ", cut-outs" * bool((chosen & self.corrected).any())
        return replace(report, engine=engine, quality=quality, error=apart, checked=told)

    def _apart(self, chosen: NDArray[np.bool_]) -> float:
        return float(self.said.difference[chosen].max(initial=0.0))

    def _told(self, chosen: NDArray[np.bool_]) -> str:
        apart = f"bp and sampling differ by up to {self._apart(chosen):.4f}"
        return f"{apart}; {self.said.told(chosen)}"
