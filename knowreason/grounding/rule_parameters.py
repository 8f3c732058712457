"""The parameter vector of a program: rule weights, base rates, model scales."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import prod

import numpy as np

from knowreason.data import Dataset
from knowreason.factors import GroundFactors, ParameterKind, ParameterTable
from knowreason.logic import Atom, Predicate, Program, Rule, Variable
from knowreason.logic.canonical_text import string_text
from knowreason.logic.declarations import OPEN_SD

SCALE_SD = 0.5  # of the logarithm of a model's scale


@dataclass(frozen=True)
class _Row:
    name: str
    kind: ParameterKind
    start: float
    prior_sd: float
    bounds: tuple[float, float] = (-np.inf, np.inf)
    learned: bool = True
    log_normal: bool = False
    owner: int = -1


def parameter_table(program: Program, data: Dataset) -> ParameterTable:
    """Rule weights in program order, then base rates of predicates no rule gives."""
    rows = [row for index in range(len(program.rules)) for row in _rule_rows(program, index, data)]
    for predicate in program.open_predicates:
        if not any(is_base_rate(rule, program, predicate) for rule in program.rules):
            rows.extend(
                _Row(name, "bias", 0.0, OPEN_SD) for name in _bias_names(predicate, program, data)
            )
    return _table(rows)


def with_feature_units(
    table: ParameterTable, program: Program, factors: Sequence[GroundFactors]
) -> ParameterTable:
    """The same table with the priors of numeric features in the units of those features.

    A prior is stated per standard deviation of the feature, about zero, so that it does not
    matter whether an amount is in cents or in millions. A mean that was written is a weight in
    the feature's units, as a given one is, and never held tighter than its own size.
    """
    mean, sd = table.prior_mean.copy(), table.prior_sd.copy()
    for index, rule in enumerate(program.rules):
        if not rule.weight.is_learned or rule.weight.feature is None:
            continue
        size = _feature_size([part for part in factors if part.rule == index])
        own, written = table.owner == index, rule.weight.value
        sd[own] = rule.weight.prior_sd / size
        if written is None:
            mean[own] = rule.weight.prior_mean / size
        else:
            sd[own] = np.maximum(sd[own], min(abs(written), rule.weight.prior_sd))
    start = np.where(table.prior_mean == mean, table.start, mean)
    return replace(table, start=start, prior_mean=mean, prior_sd=sd)


def _feature_size(factors: Sequence[GroundFactors]) -> float:
    """Root mean square, over atoms, of what a rule's features add up to at one.

    Atoms of a grounding share its feature: a count of neighbours that each grounding is
    divided by has size 1, as a rule that speaks of one atom once. 1 where nothing is open.
    """
    last = max((int(part.entry_atoms.max(initial=-1)) for part in factors), default=-1)
    totals = np.zeros(last + 1)
    for part in factors:
        share = np.abs(part.values()) / np.maximum(np.diff(part.row_offsets), 1)
        totals += np.bincount(part.entry_atoms, share[part.owners()], minlength=len(totals))
    some = totals[totals > 0]
    return float(np.sqrt(np.mean(np.square(some)))) if some.size else 1.0


def with_scales(table: ParameterTable, names: Sequence[str]) -> ParameterTable:
    """The same table with a model scale of each name it does not have yet."""
    rows = [
        _Row(name, "scale", 1.0, SCALE_SD, (0.0, np.inf), log_normal=True)
        for name in dict.fromkeys(names)
        if name not in table.names
    ]
    return _joined(table, _table(rows))


def _joined(table: ParameterTable, more: ParameterTable) -> ParameterTable:
    return ParameterTable(
        names=table.names + more.names,
        kinds=table.kinds + more.kinds,
        **{name: np.concatenate([getattr(table, name), getattr(more, name)]) for name in _ARRAYS},
    )


def with_fixed(table: ParameterTable, names: Mapping[str, int]) -> ParameterTable:
    """The same table with a parameter that is always 1 for each name, owned by a rule."""
    rows = [
        _Row(name, "fixed", 1.0, 0.0, (1.0, 1.0), learned=False, owner=owner)
        for name, owner in names.items()
    ]
    return _joined(table, _table(rows))


def is_base_rate(rule: Rule, program: Program, predicate: Predicate | None = None) -> bool:
    """Whether a rule is the base rate of an open predicate: one bare atom, no feature.

    For a functional predicate it has a weight a state (``per`` its functional variable).
    """
    atom = rule.formula
    if rule.weight.kind == "hard" or rule.weight.feature is not None:
        return False
    if not isinstance(atom, Atom) or not program.is_open(atom.predicate):
        return False
    if predicate is not None and atom.predicate != predicate.name:
        return False
    names = [a.name for a in atom.arguments if isinstance(a, Variable)]
    if len(set(names)) < len(atom.arguments):
        return False
    position = program.predicate(atom.predicate).functional_position
    per = {variable.name for variable in rule.weight.per}
    return position is None or names[position] in per


def rule_offsets(program: Program, data: Dataset) -> list[int]:
    """First parameter of each rule (``-1`` for hard ones)."""
    offsets, used = [], 0
    for rule in program.rules:
        hard = rule.weight.kind == "hard"
        offsets.append(-1 if hard else used)
        used += 0 if hard else prod(per_sizes(rule, data))
    return offsets


def per_sizes(rule: Rule, data: Dataset) -> list[int]:
    """Number of values of each ``per`` variable."""
    return [len(data.vocabularies[variable.sort]) for variable in rule.weight.per]


def bias_parameters(predicate: Predicate, table: ParameterTable) -> Mapping[str, int]:
    """Positions of the implicit base rates of a predicate, by name."""
    start = f"bias {predicate.name}"
    return {
        name: i
        for i, name in enumerate(table.names)
        if table.kinds[i] == "bias" and (name == start or name.startswith(start + "["))
    }


def _rule_rows(program: Program, index: int, data: Dataset) -> Iterator[_Row]:
    rule = program.rules[index]
    weight = rule.weight
    if weight.kind == "hard":
        return
    names = [rule.name]
    if weight.per:
        members = [list(data.vocabularies[variable.sort]) for variable in weight.per]
        names = [f"{rule.name}[{_quoted(values)}]" for values in product(*members)]
    for name in names:
        yield _Row(
            name,
            "rule",
            weight.prior_mean,
            weight.prior_sd,
            weight.bounds,
            learned=weight.is_learned,
            owner=index,
        )


def _bias_names(predicate: Predicate, program: Program, data: Dataset) -> list[str]:
    name = f"bias {predicate.name}"
    position = predicate.functional_position
    if position is None:
        return [name]
    argument = predicate.arguments[position]
    if program.domain(argument.sort).members is not None:
        return [f"{name}[{_quoted((value,))}]" for value in data.vocabularies[argument.sort]]
    return [name] if argument.functional == "?" else []


def _quoted(values: Sequence[str]) -> str:
    return ", ".join(map(string_text, values))


_ARRAYS = ("start", "prior_mean", "prior_sd", "lower", "upper", "learned", "log_normal", "owner")


def _table(rows: Sequence[_Row]) -> ParameterTable:
    return ParameterTable(
        names=tuple(row.name for row in rows),
        kinds=tuple(row.kind for row in rows),
        start=np.array([row.start for row in rows], np.float64),
        prior_mean=np.array([0.0 if row.log_normal else row.start for row in rows], np.float64),
        prior_sd=np.array([row.prior_sd for row in rows], np.float64),
        lower=np.array([row.bounds[0] for row in rows], np.float64),
        upper=np.array([row.bounds[1] for row in rows], np.float64),
        learned=np.array([row.learned for row in rows], bool),
        log_normal=np.array([row.log_normal for row in rows], bool),
        owner=np.array([row.owner for row in rows], np.int64),
    )
