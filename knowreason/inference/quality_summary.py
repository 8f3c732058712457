"""How good marginals are, in words: of an engine's report, of some atoms, of one atom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, isnan, nan

import numpy as np
from numpy.typing import NDArray

from knowreason.diagnostics import Diagnostic
from knowreason.factors.arrays import array
from knowreason.inference.posterior import QUALITIES, EngineReport, Posterior, Quality

EXACTLY = "this marginal is exact"


@dataclass(frozen=True)
class QualitySummary:
    """How many of some atoms have marginals of each quality, and what was compared.

    Attributes:
        exact, confirmed, unconfirmed: numbers of atoms.
        within: the number behind ``confirmed``, in probabilities: NaN without such atoms.
        apart: of ``unconfirmed`` ones, the greatest difference of two opinions: NaN where
            nothing was compared.
        why_confirmed, why_unconfirmed: what was compared; empty where nothing was.

    Example:
        >>> print(QualitySummary(exact=7, unconfirmed=2, apart=0.12))
        7 exact, 2 unconfirmed: two opinions differ by up to 0.12
    """

    exact: int = 0
    confirmed: int = 0
    unconfirmed: int = 0
    within: float = nan
    apart: float = nan
    why_confirmed: str = ""
    why_unconfirmed: str = ""

    def __str__(self) -> str:
        parts = [f"{self.exact:,} exact"] * bool(self.exact)
        if self.confirmed:
            said = quality_text("confirmed", self.within, self.why_confirmed)
            parts.append(f"{self.confirmed:,} {said}")
        if self.unconfirmed:
            said = quality_text("unconfirmed", self.apart, self.why_unconfirmed)
            parts.append(f"{self.unconfirmed:,} {said}")
        return ", ".join(parts) or "no open atoms"

    def __add__(self, other: QualitySummary) -> QualitySummary:
        """Of both sets of atoms."""

        def worse(one: float, two: float) -> float:
            return max((x for x in (one, two) if not isnan(x)), default=nan)

        return QualitySummary(
            self.exact + other.exact,
            self.confirmed + other.confirmed,
            self.unconfirmed + other.unconfirmed,
            worse(self.within, other.within),
            worse(self.apart, other.apart),
            self.why_confirmed or other.why_confirmed,
            self.why_unconfirmed or other.why_unconfirmed,
        )

    @property
    def atoms(self) -> int:
        """Number of atoms."""
        return self.exact + self.confirmed + self.unconfirmed

    @property
    def finding(self) -> Diagnostic | None:
        """KR708 where some atom is unconfirmed."""
        if not self.unconfirmed:
            return None
        said = quality_text("unconfirmed", self.apart, self.why_unconfirmed)
        verb = "is" if self.unconfirmed == 1 else "are"
        return Diagnostic(
            "KR708", f"{self.unconfirmed:,} of {self.atoms:,} asked marginals {verb} {said}"
        )


def quality_summary(quality: NDArray[np.int8], reports: Sequence[EngineReport]) -> QualitySummary:
    """How good some marginals are.

    Args:
        quality: ``int8[m]`` index into :data:`QUALITIES` of each.
        reports: of the posterior they are from.

    Example:
        >>> print(quality_summary(np.array([0, 2, 0], dtype=np.int8), ()))
        2 exact, 1 unconfirmed: there is no second opinion
    """
    exact, confirmed, unconfirmed = np.bincount(quality, minlength=len(QUALITIES)).tolist()
    within, why_confirmed = _compared(reports, "confirmed")
    apart, why_unconfirmed = _compared(reports, "unconfirmed")
    return QualitySummary(
        exact, confirmed, unconfirmed, within, apart, why_confirmed, why_unconfirmed
    )


def _compared(reports: Sequence[EngineReport], quality: Quality) -> tuple[float, str]:
    """Greatest error of the reports of one quality, and what they compared."""
    mine = [report for report in reports if report.quality == quality]
    errors = [report.error for report in mine if not isnan(report.error)]
    said = dict.fromkeys(report.checked for report in mine if report.checked)
    return max(errors, default=nan), "; ".join(said)


def quality_text(quality: Quality, error: float, checked: str) -> str:
    """A quality with the number behind it and what was compared.

    Example:
        >>> quality_text("confirmed", 0.004, "bp and sampling agree")
        'confirmed within 0.004: bp and sampling agree'
        >>> quality_text("unconfirmed", float("nan"), "")
        'unconfirmed: there is no second opinion'
    """
    if quality == "exact":
        return "exact"
    number = f"{error:.2g}" if isfinite(error) else ""
    if quality == "confirmed":
        within = f" within {number}" if number and number not in checked else ""
        return f"confirmed{within}" + (f": {checked}" if checked else "")
    differ = f"two opinions differ by up to {number}" if number else ""
    return f"unconfirmed: {checked or differ or 'there is no second opinion'}"


def atom_quality_text(posterior: Posterior, atom: int) -> str:
    """A sentence about the marginal of one atom.

    Example:
        >>> import torch
        >>> atom_quality_text(Posterior(torch.zeros(1).double(), None, "", None), 0)
        'this marginal is unconfirmed: there is no second opinion'
    """
    quality = QUALITIES[int(posterior.qualities[atom])]
    if quality == "exact":
        return EXACTLY
    return f"this marginal is {quality_text(quality, *_compared(posterior.reports, quality))}"


def report_text(report: EngineReport) -> str:
    """What an engine did, how good that is and what it took, a line.

    Example:
        >>> report_text(EngineReport("bp", 1, 128, 1, sweeps=31, seconds=0.2))
        'bp: 128 atoms in 1 component, unconfirmed: there is no second opinion; 31 sweeps, 0.20 s'
    """
    atoms = f"{report.atoms:,} atom{'s' * (report.atoms != 1)}"
    components = f"{report.components:,} component{'s' * (report.components != 1)}"
    said = quality_text(report.quality, report.error, report.checked)
    sweeps = f"{report.sweeps:,} sweep{'s' * (report.sweeps != 1)}, " if report.sweeps else ""
    return f"{report.engine}: {atoms} in {components}, {said}; {sweeps}{report.seconds:.2f} s"


def log_z_text(posterior: Posterior) -> str:
    """``log Z -3.2014 (exact)``; empty where the engine has none.

    Example:
        >>> import torch
        >>> zero = torch.zeros(1).double()
        >>> log_z_text(Posterior(zero, 0.6931472, "upper bound", None))
        'log Z 0.6931 (upper bound)'
    """
    if posterior.log_z is None:
        return ""
    kind = f" ({posterior.log_z_kind})" if posterior.log_z_kind else ""
    return f"log Z {posterior.log_z:.4f}{kind}"


def posterior_lines(posterior: Posterior) -> list[str]:
    """What served which atoms and how good that is, log Z, and the engines' notes.

    Example:
        >>> import torch
        >>> zero = torch.zeros(1).double()
        >>> posterior_lines(Posterior(zero, 0.6931472, "exact", None))
        ['log Z 0.6931 (exact)']
    """
    served = [report for report in posterior.reports if report.components]
    lines = [report_text(report) for report in served]
    notes = [note for report in posterior.reports for note in report.notes]
    return [line for line in (*lines, log_z_text(posterior), *notes) if line]


def quality_names(posterior: Posterior, atoms: NDArray[np.int64]) -> NDArray[np.str_] | None:
    """``str[m]``: the quality of each atom; ``None`` where all are exact.

    Example:
        >>> import torch
        >>> unsure = Posterior(torch.zeros(2).double(), None, "", None)
        >>> quality_names(unsure, np.array([0])).tolist()
        ['unconfirmed']
    """
    quality = array(posterior.qualities)[atoms]
    return np.array(QUALITIES)[quality] if quality.any() else None
