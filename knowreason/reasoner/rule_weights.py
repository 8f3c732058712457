"""Learned weights in the words of the rule file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import exp, isnan, nan

import numpy as np
import pyarrow as pa
import torch

from knowreason.data.arrow_types import ArrowTable
from knowreason.data.table_results import TableResult
from knowreason.factors import ParameterTable
from knowreason.grounding import Grounding
from knowreason.learning import Bootstrap, EstimatorReport, Fit
from knowreason.notebook.cells import MOST_ROWS, first_lines, html_cell, html_lines, html_table
from knowreason.reasoner.fitting.group_shrinkage import common_means

MOST_SHOWN, ENDS = 16, 5  # weights of a rule that are listed all, else so many of each end
NORMAL_95 = 1.959964  # 97.5 % point of the standard normal


@dataclass(frozen=True, slots=True)
class RuleWeight:
    """One parameter after learning.

    Attributes:
        name: ``pivot``, ``per_protocol["NTLM"]``, ``bias Malicious``, ``scale euler``.
        kind: ``rule``, ``bias`` or ``scale``.
        value: what it is now.
        standard_error: posterior standard deviation, 0 where given, NaN where the method
            gives none.
        prior_mean: before learning; of a scale the median, 1.
        prior_sd: of ``log value`` for a scale.
        status: what the data had to say about it.
        low, high: 95 % of bootstrap replicates lie between them, NaN without a bootstrap.

    Example:
        >>> RuleWeight("peers", "rule", 1.5, 0.2, 0.0, 2.0, "learned", low=1.1, high=1.8).interval
        (1.1, 1.8)
    """

    name: str
    kind: str
    value: float
    standard_error: float
    prior_mean: float
    prior_sd: float
    status: str
    low: float = nan
    high: float = nan

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval: of the bootstrap, or by the normal approximation."""
        if self.low == self.low:
            return self.low, self.high
        reach = NORMAL_95 * self.standard_error
        return self.value - reach, self.value + reach


@dataclass(frozen=True)
class RuleWeights(TableResult):
    """All parameters of a fitted reasoner, in order; iterable and printable.

    Attributes:
        weights: one a parameter; not the constants of kind ``fixed``.
        estimators: which estimator served which components.

    Example:
        >>> print(RuleWeights((RuleWeight("peers", "rule", 1.5, 0.2, 0.0, 2.0, "learned"),)))
        peers    0.00 ->   1.50 +- 0.20  learned
    """

    weights: tuple[RuleWeight, ...]
    estimators: tuple[EstimatorReport, ...] = ()

    @staticmethod
    def of(fit: Fit, bootstrap: Bootstrap | None = None) -> RuleWeights:
        """From a learner's result, with intervals of a bootstrap where there is one."""
        table = fit.parameters
        unknown = np.full(len(table), nan)
        low = unknown if bootstrap is None else bootstrap.lower
        high = unknown if bootstrap is None else bootstrap.upper
        return RuleWeights(
            tuple(
                RuleWeight(
                    table.names[i],
                    table.kinds[i],
                    float(fit.theta[i]),
                    float(fit.standard_errors[i]),
                    float(exp(table.prior_mean[i]) if table.log_normal[i] else table.prior_mean[i]),
                    float(table.prior_sd[i]),
                    fit.status[i],
                    float(low[i]),
                    float(high[i]),
                )
                for i in range(len(table))
                if table.kinds[i] != "fixed"
            ),
            fit.estimators,
        )

    def __iter__(self) -> Iterator[RuleWeight]:
        return iter(self.weights)

    def __len__(self) -> int:
        return len(self.weights)

    def __getitem__(self, name: str) -> RuleWeight:
        for weight in self.weights:
            if weight.name == name:
                return weight
        raise KeyError(name)

    def to_arrow(self) -> ArrowTable:
        """One row a parameter."""
        fields = RuleWeight.__dataclass_fields__
        columns = {name: [getattr(w, name) for w in self.weights] for name in fields}
        table: ArrowTable = pa.table(columns)
        return table

    def shown(self) -> tuple[RuleWeight, ...]:
        """The parameters, and of a rule with many weights the greatest and the smallest ones."""
        by_rule: dict[str, list[RuleWeight]] = {}
        for weight in self.weights:
            by_rule.setdefault(weight.name.partition("[")[0], []).append(weight)
        found: list[RuleWeight] = []
        for rule, own in by_rule.items():
            if len(own) <= MOST_SHOWN:
                found += own
                continue
            ranked = sorted(own, key=lambda weight: -weight.value)
            mean = sum(weight.value for weight in own) / len(own)
            status = f"mean of {len(own):,}; the {ENDS} greatest and smallest follow"
            summary = replace(own[0], name=rule, value=mean, standard_error=nan, status=status)
            found += [summary, *ranked[:ENDS], *ranked[-ENDS:]]
        return tuple(found)

    def __str__(self) -> str:
        shown = self.shown()
        width = max((len(weight.name) for weight in shown), default=0)
        lines = [
            f"{w.name:<{width}}  {w.prior_mean:6.2f} -> {w.value:6.2f} "
            f"{'' if isnan(w.standard_error) else f'+- {w.standard_error:.2f}':<7}  {w.status}"
            for w in shown
        ]
        return "\n".join([*lines, *map(str, self.estimators)])

    def __repr__(self) -> str:
        return first_lines(f"RuleWeights({len(self):,} parameters)\n{self}")

    def _repr_html_(self) -> str:
        rows = [
            [w.name, w.kind, w.prior_mean, w.value, *w.interval, w.status] for w in self.shown()
        ]
        head = ["name", "is", "before", "learned", "95 % from", "to", "what the data said"]
        table = html_table(head, rows, most=2 * MOST_ROWS)
        title = f"RuleWeights: {len(self):,} parameters, log-odds"
        return html_cell(title, table, html_lines(map(str, self.estimators)))


def theta_for(grounding: Grounding, fit: Fit) -> torch.Tensor:
    """``float64[p]``: learned values by name.

    A parameter not seen in training starts anew, at the common mean where weights are shrunk to
    one.
    """
    learned = dict(zip(fit.parameters.names, fit.theta, strict=True))
    means = {rule: mean for rule, (_, mean, _) in common_means(fit, grounding.program).items()}
    table: ParameterTable = grounding.parameters
    values = [
        learned[name] if name in learned else means.get(name.partition("[")[0], start)
        for name, start in zip(table.names, table.start, strict=True)
    ]
    return torch.from_numpy(np.asarray(values, dtype=np.float64))


def notes_of_new_groups(grounding: Grounding, fit: Fit) -> tuple[str, ...]:
    """A sentence for each rule with weights of things that training has not seen."""
    learned, notes = set(fit.parameters.names), []
    for rule, (domain, mean, deviation) in common_means(fit, grounding.program).items():
        own = [name for name in grounding.parameters.names if name.partition("[")[0] == rule]
        new = [name for name in own if name not in learned]
        if new:
            listed = ", ".join(new[:3]) + ", .." * (len(new) > 3)
            notes.append(
                f"{len(new):,} of {len(own):,} {domain} are new to rule `{rule}` ({listed}): they "
                f"have the common mean of its weights, {mean:.2f}, which differ by {deviation:.2f}"
            )
    return tuple(notes)
