"""What an audit looked at and found, as values and as text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan
from typing import TYPE_CHECKING

from knowreason.audit.accuracy import BINS, Accuracy
from knowreason.diagnostics import Diagnostic
from knowreason.inference.quality_summary import QualitySummary

if TYPE_CHECKING:
    from knowreason.inference.gcn.gcn_fitting import GcnErrors

BAR = 30  # characters of the longest bar


@dataclass(frozen=True)
class RuleRow:
    """What a rule does in the data.

    Attributes:
        rule: its name.
        listed, open: its groundings, and those that evidence does not decide.
        looked: asked atoms that were looked at.
        effect: greatest change of their marginals without the rule; NaN where it was not
            left out (hard rules, and rules without open groundings).
    """

    rule: str
    listed: int
    open: int
    looked: int
    effect: float


@dataclass(frozen=True)
class Pair:
    """Two rules that pull the same asked atoms in opposite directions, by name.

    ``up`` and ``down`` are mean absolute changes of the probabilities of ``atoms`` by the
    rule that ``raises`` most of them, and by the other; ``together`` counts the asked atoms
    that both move.
    """

    raises: str
    lowers: str
    atoms: int
    together: int
    up: float
    down: float


@dataclass(frozen=True)
class Audit:
    """What was looked at, and what was found.

    Attributes:
        quality: of the asked marginals.
        accuracy: of the engine; ``None`` where no world is possible.
        hard: number of hard rules.
        components, atoms: of the sample in which rules were left out.
        rules: one a rule.
        pairs: rules that pull against each other, most atoms first.
        findings: errors, warnings and hints, each with what to do.
        gcn: how near the GCN posterior of training is to exact on today's data.

    Example:
        >>> print(Audit(QualitySummary(exact=3)))
        asked marginals: 3 exact
        nothing found
    """

    quality: QualitySummary
    accuracy: Accuracy | None = None
    hard: int = 0
    components: int = 0
    atoms: int = 0
    rules: tuple[RuleRow, ...] = ()
    pairs: tuple[Pair, ...] = ()
    findings: tuple[Diagnostic, ...] = ()
    gcn: GcnErrors | None = None

    @property
    def failed(self) -> bool:
        """Whether there is an error or a warning; hints alone are none."""
        return any(finding.severity != "hint" for finding in self.findings)

    def __str__(self) -> str:
        found = [f"{f.severity} {f.code}: {f.message}" for f in self.findings]
        return "\n".join([*audit_lines(self), *(found or ["nothing found"])])


def audit_lines(audit: Audit) -> list[str]:
    """What an audit looked at, without its findings."""
    lines = [f"asked marginals: {audit.quality}"]
    if audit.accuracy is None:
        return lines
    lines += accuracy_lines(audit.accuracy)
    if audit.gcn is not None:
        lines.append(f"GCN posterior of training: {audit.gcn}")
    if audit.hard and all(check.possible for check in audit.accuracy.checks):
        where = (
            "the exact and the sampled components" if audit.accuracy.checks else "all components"
        )
        lines.append(f"hard rules ({audit.hard:,}) can hold together in {where}")
    looked = f"{audit.components:,} of {audit.accuracy.components:,} components"
    lines += ["", f"rules, each left out of {looked} ({audit.atoms:,} atoms)"]
    cells = [("rule", "groundings", "open", "greatest change of an asked marginal")]
    cells += [
        (r.rule, f"{r.listed:,}", f"{r.open:,}", "-" if isnan(r.effect) else f"{r.effect:.3f}")
        for r in audit.rules
    ]
    lines += _aligned(cells)
    if audit.pairs:
        lines += ["", "rules that pull against each other at the same asked atoms"]
        columns = [("raises", "lowers", "atoms", "of", "up", "down")]
        columns += [
            (p.raises, p.lowers, f"{p.atoms:,}", f"{p.together:,}", f"{p.up:.3f}", f"{p.down:.3f}")
            for p in audit.pairs
        ]
        lines += _aligned(columns, left=2)
    return [*lines, ""]


def accuracy_lines(found: Accuracy) -> list[str]:
    """Errors of the engine as a histogram, and what sampling says of itself."""
    if found.exact == found.components:
        return [f"all {found.components:,} components are exact ({found.atoms:,} atoms)"]
    lines = [
        f"{found.exact:,} of {found.components:,} components are exact; "
        f"{len(found.checks):,} of the others were looked at"
    ]
    for against in ("exact", "sampling"):
        counts = found.histogram(against)
        if not any(counts):
            continue
        rival = "exact inference" if against == "exact" else "sampling"
        lines += ["", f"error of a marginal against {rival}: atoms"]
        longest = max(counts)
        lines += [
            f"  {name:<12} {count:>9,}  {'#' * -(-BAR * count // longest)}".rstrip()
            for name, count in zip(BINS, counts, strict=True)
        ]
    for check in found.checks:
        lines += ["", f"{check.atoms:,} atoms around {check.around}, {check.quality}; sampled:"]
        lines += [f"  {line}" for line in check.chains]
    return lines


def _aligned(rows: Sequence[Sequence[str]], left: int = 1) -> list[str]:
    """Rows in columns: the first ``left`` of them to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  "
        + "  ".join(
            cell.ljust(width) if place < left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def audit_record(audit: Audit) -> dict[str, object]:
    """An audit as plain values, for JSON.

    Example:
        >>> audit_record(Audit(QualitySummary(exact=3)))["findings"]
        []
    """
    findings = [
        {
            "code": found.code,
            "severity": found.severity,
            "message": found.message,
            "place": None if found.span is None else found.span.place(),
            "help": found.help,
        }
        for found in audit.findings
    ]
    known = audit.accuracy
    return {
        "quality": audit.quality,
        "accuracy": known,
        "errors": {
            "bins": BINS,
            **{name: known.histogram(name) for name in ("exact", "sampling") if known},
        },
        "gcn": audit.gcn,
        "hard_rules": audit.hard,
        "sample": {"components": audit.components, "atoms": audit.atoms},
        "rules": audit.rules,
        "pairs": audit.pairs,
        "findings": findings,
    }
