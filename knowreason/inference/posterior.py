"""What an engine believes, and how it came to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from math import isnan, nan
from typing import Literal

import torch
from torch import Tensor

Quality = Literal["exact", "confirmed", "unconfirmed"]
LogZKind = Literal["exact", "upper bound", "lower bound", "estimate", ""]
QUALITIES: tuple[Quality, ...] = ("exact", "confirmed", "unconfirmed")


@dataclass(frozen=True)
class EngineReport:
    """How many components and atoms one inference engine served, and how good that is.

    Attributes:
        engine: its name (``exact: template``, ``bp`` ...).
        components: number of connected components.
        atoms: number of atoms in them.
        converged: number of components whose iteration came to rest, which says nothing
            about accuracy.
        sweeps: sweeps or rounds made, 0 for exact engines.
        residual: greatest change in the last sweep, in log-odds.
        seconds: wall-clock time.
        notes: anything the user should know.
        quality: ``exact``; ``confirmed`` where a second opinion agrees; else ``unconfirmed``.
        error: the number behind the quality, in probabilities: 0 for exact, the greatest
            difference of two opinions or three Monte-Carlo errors; NaN where nothing was
            compared.
        checked: what was compared, a sentence; empty without a comparison.

    Example:
        >>> import torch
        >>> from knowreason import FactorGraph, infer
        >>> evidence = torch.tensor([-1]).char()
        >>> graph = FactorGraph(torch.tensor([0.5]), torch.zeros(0).double(), evidence)
        >>> infer(graph).reports[0].engine
        'exact: template'
    """

    engine: str
    components: int
    atoms: int
    converged: int
    sweeps: int = 0
    residual: float = 0.0
    seconds: float = 0.0
    notes: tuple[str, ...] = ()
    quality: Quality = "unconfirmed"
    error: float = float("nan")
    checked: str = ""


def summed(reports: Iterable[EngineReport]) -> tuple[EngineReport, ...]:
    """One report an engine and quality, of all that such reports served.

    Example:
        >>> summed([EngineReport("bp", 1, 8, 1), EngineReport("bp", 2, 9, 1)])[0].atoms
        17
    """
    found: dict[tuple[str, Quality], EngineReport] = {}
    for two in reports:
        one = found.setdefault((two.engine, two.quality), two)
        if one is two:
            continue
        errors = [e for e in (one.error, two.error) if not isnan(e)]
        found[two.engine, two.quality] = replace(
            one,
            components=one.components + two.components,
            atoms=one.atoms + two.atoms,
            converged=one.converged + two.converged,
            sweeps=max(one.sweeps, two.sweeps),
            residual=max(one.residual, two.residual),
            seconds=one.seconds + two.seconds,
            notes=tuple(dict.fromkeys((*one.notes, *two.notes))),
            error=max(errors, default=nan),
            checked=one.checked or two.checked,
        )
    return tuple(found.values())


@dataclass(frozen=True)
class Posterior:
    """Posterior marginals of every atom of a factor graph, and how they came about.

    Attributes:
        log_odds: ``float64[n]`` marginal log-odds, clipped to +-700, never only
            probabilities: saturated floats tie and ruin rankings. Clamped atoms are +-700.
        log_z: log partition function or its estimate, ``None`` where the engine has none.
        log_z_kind: ``exact``, ``upper bound``, ``lower bound`` or ``estimate`` (Bethe's);
            empty without ``log_z``.
        expectations: ``float64[p]``: ``E[sum v f]`` per parameter, decided groundings
            (``constant``) included; the gradient of ``log_z`` in ``theta``.
        component: ``int32[n]`` connected component of each atom.
        reports: per engine.
        world: ``int8[n]`` most probable world where the engine makes one (``map``).
        spread: ``float64[n]`` standard deviation of the log-odds, where estimated.
        quality: ``int8[n]`` index into :data:`QUALITIES`; ``None`` where an engine says
            nothing of single atoms.

    Example:
        >>> import torch
        >>> Posterior(torch.tensor([0.0, 700.0]).double(), None, "", None).probabilities
        tensor([0.5000, 1.0000], dtype=torch.float64)
    """

    log_odds: Tensor
    log_z: float | None
    log_z_kind: LogZKind
    expectations: Tensor | None
    component: Tensor | None = None
    reports: tuple[EngineReport, ...] = field(default=())
    world: Tensor | None = None
    spread: Tensor | None = None
    quality: Tensor | None = None

    def __repr__(self) -> str:
        z = "" if self.log_z is None else f", log Z {self.log_z:,.2f} ({self.log_z_kind})"
        engines = ", ".join(dict.fromkeys(report.engine for report in self.reports))
        return f"Posterior({len(self.log_odds):,} atoms{z}; {engines or 'nothing to infer'})"

    @property
    def probabilities(self) -> Tensor:
        """``float64[n]`` marginal probabilities."""
        return self.log_odds.sigmoid()

    @property
    def converged(self) -> bool:
        """Whether every iteration came to rest; accuracy is what ``quality`` speaks of."""
        return all(report.converged == report.components for report in self.reports)

    @property
    def qualities(self) -> Tensor:
        """``int8[n]``: ``quality``; where an engine says nothing only decided atoms are exact."""
        if self.quality is not None:
            return self.quality
        decided = self.log_odds.abs() >= 700.0
        return torch.where(decided, 0, QUALITIES.index("unconfirmed")).to(torch.int8)

    @property
    def unconfirmed(self) -> Tensor:
        """``bool[n]``: atoms whose marginals nothing has confirmed."""
        return self.qualities == QUALITIES.index("unconfirmed")


def quality_of_open(component: Tensor, quality: Quality) -> Tensor:
    """``int8[n]``: one quality at all open atoms, ``exact`` at decided ones.

    Args:
        component: ``int32[n]``, negative at decided atoms.
        quality: of the others.

    Example:
        >>> quality_of_open(torch.tensor([0, -1, 3]), "unconfirmed")
        tensor([2, 0, 2], dtype=torch.int8)
    """
    return torch.where(component < 0, 0, QUALITIES.index(quality)).to(torch.int8)
