"""Room in a factor graph for the tables of rules that are not linear in their weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from knowreason.factors import GroundFactors, ParameterTable
from knowreason.grounding.base_rates import BaseRates
from knowreason.grounding.conditionals import Bodies, Conditionals, conditionals_of
from knowreason.grounding.factor_assembly import Pieces
from knowreason.grounding.neutral_pairs import NeutralPairs
from knowreason.grounding.provenance import Part, RuleProvenance
from knowreason.grounding.rule_parameters import with_fixed
from knowreason.logic import Directed, Program
from knowreason.logic.rule_forms import neutral_form


def add_associations(
    pieces: Pieces,
    program: Program,
    parameters: ParameterTable,
    origins: Sequence[RuleProvenance],
) -> tuple[ParameterTable, tuple[NeutralPairs, ...]]:
    """Gives rules with ``<~>`` their features and room for the rest, and says where both stand."""
    forms = {made.rule: neutral_form(program.rules[made.rule].formula) for made in origins}
    places = {made.rule: made.parts[0].index for made in origins if made.parts}
    tied = [rule for rule, form in forms.items() if form is not None and rule in places]
    names = {f"fixed {program.rules[rule].name}": rule for rule in tied}
    table = with_fixed(parameters, names)
    pieces.constant = np.append(pieces.constant, np.zeros(len(names)))
    found = []
    for name, rule in names.items():
        form, fixed = forms[rule], table.index(name)
        assert form is not None
        pairs = pieces.factors[places[rule]]
        both = torch.tensor([[0.0, 0.0, 0.0, form.sign]], dtype=torch.float64)
        pieces.factors[places[rule]] = replace(pairs, table=both, table_id=None)
        rest = pieces.add(replace(pairs, parameter=fixed, value=None))
        found.append(NeutralPairs(rule, places[rule], rest, fixed, form.sign))
    return table, tuple(found)


def add_conditionals(
    pieces: Pieces,
    program: Program,
    parameters: ParameterTable,
    origins: Sequence[RuleProvenance],
    rates: BaseRates,
    atom_count: int,
) -> tuple[ParameterTable, tuple[Conditionals, ...]]:
    """Makes room for the normalisers of directed rules, and says where they stand."""
    names: dict[int, str] = {}
    noisy: list[int] = []
    parts: list[tuple[int, GroundFactors]] = []
    for made in origins:
        rule = program.rules[made.rule]
        if not isinstance(rule.formula, Directed):
            continue
        names[made.rule] = rule.name
        for part in made.parts:
            rows = pieces.factors[part.index]
            if rule.formula.how == "any":  # a cause a setting; what they add is no sum of features
                pieces.factors[part.index] = rows.take(np.zeros(0, np.int64))
                rows = _unmerged(rows, part)
            parts.append((made.rule, rows))
        noisy += [made.rule] if rule.formula.how == "any" else []
    if not parts:
        return parameters, ()
    bodies = Bodies.of(parts)
    table = with_fixed(parameters, {f"fixed {name}": rule for rule, name in names.items()})
    pieces.constant = np.append(pieces.constant, np.zeros(len(names)))
    found = []
    for heads in conditionals_of(bodies, rates, noisy, names, atom_count):
        which = [table.index(f"fixed {names[rule]}") for rule in heads.order]
        room = GroundFactors.of(
            torch.from_numpy(heads.scopes), torch.zeros(1 << heads.scopes.shape[1]), 0
        )
        places = [
            pieces.add(replace(room, parameter=parameter, rule=rule))
            for rule, parameter in zip(heads.order, which, strict=True)
        ]
        found.append(
            replace(heads, places=np.array(places, np.int64), fixed=np.array(which, np.int64))
        )
    return table, tuple(found)


def _unmerged(rows: GroundFactors, part: Part) -> GroundFactors:
    """A row a setting."""
    atoms = part.atoms if part.kind == "group" else (np.abs(part.atoms) - 1)[:, None]
    told, value = part.parameter, part.value
    return replace(
        rows,
        atoms=torch.from_numpy(np.ascontiguousarray(atoms)),
        parameter=torch.from_numpy(told) if isinstance(told, np.ndarray) else told,
        value=None if value is None else torch.from_numpy(np.asarray(value, np.float64)),
    )
