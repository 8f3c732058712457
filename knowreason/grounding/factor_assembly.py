"""From gathered columns to the factor graph's tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from knowreason.errors import GroundingError
from knowreason.factors import (
    OPEN,
    TRUE,
    AtomTable,
    Blocks,
    FactorGraph,
    GroundFactors,
    ParameterTable,
)
from knowreason.factors.model_output import ModelOutput
from knowreason.grounding.atom_numbering import open_blocks
from knowreason.grounding.folding.auxiliary_atoms import Auxiliary, Lists
from knowreason.grounding.folding.column_files import kept
from knowreason.grounding.folding.rule_columns import Bucket, Harvest, Key, merged
from knowreason.grounding.folding.rule_run import RuleRun
from knowreason.grounding.provenance import Part, RuleProvenance
from knowreason.grounding.rule_parameters import bias_parameters, with_scales
from knowreason.logic import Program
from knowreason.row_keys import distinct_rows, ordered_rows, row_keys, sorting_order

UNIT_ROWS = 4_000_000  # summed at once


@dataclass
class Pieces:
    """Factors so far.

    Attributes:
        constant: ``float64[p]`` feature totals of decided groundings.
    """

    constant: NDArray[np.float64]
    factors: list[GroundFactors] = field(default_factory=list)

    def add(self, factors: GroundFactors) -> int:
        """Adds ground factors; returns their place."""
        self.factors.append(factors)
        return len(self.factors) - 1

    @staticmethod
    def new(parameters: int) -> Pieces:
        """None yet."""
        return Pieces(np.zeros(parameters, np.float64))


@dataclass(frozen=True)
class Made:
    """What one rule added."""

    open: int
    merged: int
    provenance: RuleProvenance


def add_rule(
    pieces: Pieces,
    run: RuleRun,
    harvest: Harvest,
    labels: NDArray[np.int8],
    hard_violations: Literal["error", "drop"],
    name: Callable[[int], str],
) -> Made:
    """Turn a rule's columns into factor groups.

    Args:
        pieces: what is added to.
        run, harvest: the rule and its columns.
        labels: ``int8[n]`` visible training labels.
        hard_violations: what to do where they make a hard rule false.
        name: names an atom, for messages.

    Raises:
        GroundingError: KR645 where training labels contradict a hard rule.
    """
    if not run.hard:
        pieces.constant[run.base : run.base + harvest.parameters] += harvest.constant
    parts: list[Part] = []
    broken: list[tuple[int, ...]] = []
    dropped = 0
    for key, bucket in harvest.groups.items():
        part, lost = _add_group(pieces, run, key, bucket, labels, harvest.unordered)
        dropped += len(lost)
        broken.extend(tuple(atoms) for atoms in lost[:3].tolist())
        if part is not None:
            parts.append(part)
    if len(harvest.lists.lengths):
        part, lost_lists = _add_lists(pieces, run, harvest.lists, labels)
        dropped += len(lost_lists)
        broken.extend(lost_lists[:3])
        if part is not None:
            parts.append(part)
    if dropped and hard_violations == "error":
        raise GroundingError(
            f"training labels contradict hard rule `{run.rule.name}` in {dropped:,} grounding(s): "
            + "; ".join(" and ".join(name(atom) for atom in atoms) for atoms in broken[:3]),
            code="KR645",
            help='correct the labels, give the rule a weight, or set `hard_violations = "drop"`',
        )
    if len(harvest.units.atoms):
        parts.append(_add_units(pieces, run, harvest.units, run.literals.auxiliary.next_atom))
    rows = sum(part.rows for part in parts)
    factors = sum(pieces.factors[part.index].rows for part in parts)
    return Made(factors, rows - factors, RuleProvenance(run.plan.index, tuple(parts)))


def _add_group(
    pieces: Pieces,
    run: RuleRun,
    key: Key,
    bucket: Bucket,
    labels: NDArray[np.int8],
    unordered: bool,
) -> tuple[Part | None, NDArray[np.int32]]:
    """Add the rows of one shape; returns also those that labels make false."""
    positions, shape = key
    atoms, things = bucket.atoms.array(), bucket.substitution.array()
    value, parameter = bucket.value.array(), bucket.parameter.array()
    assert atoms is not None
    origins = run.origins(positions)
    lost = atoms[:0]
    if run.hard:
        wrong = _contradicted(atoms, shape, labels)
        if wrong.any():
            lost, atoms = atoms[wrong], atoms[~wrong]
            things = None if things is None else things[~wrong]
    if not len(atoms):
        return None, lost
    row = None
    rows, group_value, group_parameter = atoms, value, parameter
    if origins is None:
        first, row, group_value = merged(atoms, value, parameter, hard=run.hard)
        rows = atoms[first]
        group_parameter = None if parameter is None else parameter[first]
    elif unordered and value is None and parameter is None:
        columns = ordered_rows(atoms.T)
        if columns is not None:
            rows = atoms = kept(np.stack(columns, 1))
    elif unordered:
        order = sorting_order(row_keys(atoms.T))
        if order is not None:
            rows = atoms = kept(atoms[order])
            group_value = value = None if value is None else value[order]
            group_parameter = parameter = None if parameter is None else parameter[order]
    weight = None if run.hard else run.base if group_parameter is None else _tensor(group_parameter)
    potential = (
        shape if isinstance(shape, tuple) else _tensor(np.frombuffer(shape, np.float32).copy())
    )
    place = pieces.add(
        GroundFactors.of(_tensor(rows), potential, weight, _optional(group_value), run.plan.index)
    )
    owner = None if run.hard else run.base if parameter is None else parameter
    return Part("group", place, atoms, things, owner, value, row=row, origins=origins), lost


def _contradicted(
    atoms: NDArray[np.int32], shape: tuple[bool, ...] | bytes, labels: NDArray[np.int8]
) -> NDArray[np.bool_]:
    """Rows that labelled atoms alone make false."""
    inside = atoms < len(labels)
    states = np.where(inside, labels[np.where(inside, atoms, 0)], OPEN)
    known = (states != OPEN).all(axis=1)
    if isinstance(shape, tuple):
        broken: NDArray[np.bool_] = ~(states == np.asarray(shape, np.int8)).any(axis=1)
    else:
        table = np.frombuffer(shape, np.float32)
        index = (np.maximum(states, 0).astype(np.int64) << np.arange(atoms.shape[1])).sum(axis=1)
        broken = table[index] == 0
    false: NDArray[np.bool_] = known & broken
    return false


def _add_lists(
    pieces: Pieces, run: RuleRun, bucket: Bucket, labels: NDArray[np.int8]
) -> tuple[Part | None, list[tuple[int, ...]]]:
    """Add clauses of varying length; returns also those that labels make false."""
    lengths, literals = bucket.lengths.array(), bucket.atoms.array()
    assert lengths is not None
    assert literals is not None
    lists = Lists(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64), literals)
    value, parameter = bucket.value.array(), bucket.parameter.array()
    things = bucket.substitution.array()
    lost: list[tuple[int, ...]] = []
    if run.hard:
        wrong = _contradicted_lists(lists, labels)
        lost = [
            tuple((np.abs(lists.take(np.array([row])).literals) - 1).tolist())
            for row in np.flatnonzero(wrong)
        ]
        lists = lists.take(np.flatnonzero(~wrong)) if lost else lists
        things = None if things is None else things[~wrong]
    if not lists.rows:
        return None, lost
    atoms = (np.abs(lists.literals) - 1).astype(np.int32)
    weight = None if run.hard else run.base if parameter is None else _tensor(parameter)
    place = pieces.add(
        GroundFactors.clauses(
            _tensor(lists.offsets),
            _tensor(atoms),
            _tensor(lists.literals > 0),
            weight,
            _optional(value),
            run.plan.index,
        )
    )
    owner = None if run.hard else run.base if parameter is None else parameter
    return Part("list", place, atoms, things, owner, value, offsets=lists.offsets), lost


def _contradicted_lists(lists: Lists, labels: NDArray[np.int8]) -> NDArray[np.bool_]:
    atoms = np.abs(lists.literals) - 1
    inside = atoms < len(labels)
    state = np.where(inside, labels[np.where(inside, atoms, 0)], OPEN)
    false = (state != OPEN) & (state != (lists.literals > 0))
    owner = np.repeat(np.arange(lists.rows), np.diff(lists.offsets))
    open_or_true = np.bincount(owner[~false], minlength=lists.rows)
    all_false: NDArray[np.bool_] = open_or_true == 0
    return all_false


def _add_units(pieces: Pieces, run: RuleRun, bucket: Bucket, atom_count: int) -> Part:
    """Sum single literals by atom: ``+v`` for a positive one, ``-v`` and a constant else."""
    codes = bucket.atoms.array()
    assert codes is not None
    value, parameter = bucket.value.array(), bucket.parameter.array()
    first, owner = None, None
    if parameter is not None:
        first, owner = distinct_rows([np.abs(codes), parameter])
    total = np.zeros(atom_count if first is None else len(first), np.float64)
    touched = np.zeros(len(total), bool)
    for start in range(0, len(codes), UNIT_ROWS):
        part = slice(start, start + UNIT_ROWS)
        some = np.asarray(codes[part])
        weight = np.ones(len(some)) if value is None else value[part].astype(np.float64)
        place = np.abs(some) - 1 if owner is None else owner[part]
        signed = np.where(some > 0, weight, -weight)
        total += np.bincount(place, weights=signed, minlength=len(total))
        touched[place] = True
        negative = some < 0
        which = np.zeros(negative.sum(), np.int64) + run.base
        if parameter is not None:
            which = parameter[part][negative]
        length = len(pieces.constant)
        pieces.constant += np.bincount(which, weights=weight[negative], minlength=length)
    rows = np.flatnonzero(touched)
    summed = total[rows]
    atoms = rows if first is None else np.abs(codes[first]) - 1
    place = pieces.add(
        GroundFactors.units(
            _tensor(atoms.astype(np.int32)),
            run.base if parameter is None else _tensor(parameter[first]),
            None if (summed == 1).all() else _tensor(summed),
            run.plan.index,
        )
    )
    told = run.base if parameter is None else parameter
    return Part("unit", place, codes, bucket.substitution.array(), told, value)


def add_biases(
    pieces: Pieces,
    program: Program,
    atoms: AtomTable,
    parameters: ParameterTable,
    evidence: NDArray[np.int8],
) -> None:
    """Base rates of predicates that no rule gives: a unit feature of every open atom."""
    for predicate in program.open_predicates:
        indices = list(bias_parameters(predicate, parameters).values())
        span = atoms.spans[predicate.name]
        if not indices or not span.count:
            continue
        state = np.zeros(span.count, np.int64)
        if len(indices) > 1:
            assert span.functional_position is not None
            state = span.arguments[:, span.functional_position].astype(np.int64)
        parameter = state + indices[0]
        known = evidence[span.start : span.stop]
        np.add.at(pieces.constant, parameter[known == TRUE], 1.0)
        rows = np.flatnonzero(known == OPEN)
        if len(rows):
            weight = indices[0] if len(indices) == 1 else _tensor(parameter[rows].astype(np.int32))
            atoms_of_rows = _tensor((rows + span.start).astype(np.int32))
            pieces.add(GroundFactors.units(atoms_of_rows, weight))


def factor_graph(
    pieces: Pieces,
    program: Program,
    atoms: AtomTable,
    parameters: ParameterTable,
    evidence: NDArray[np.int8],
    auxiliary: Auxiliary,
) -> FactorGraph:
    """All factors as one graph; atoms decided by evidence keep their index."""
    count = auxiliary.next_atom
    known = np.full(count, OPEN, np.int8)
    known[: len(evidence)] = evidence
    offsets, members, at_most = open_blocks(evidence, atoms, program)
    made = torch.zeros(count, dtype=torch.bool)
    made[atoms.count :] = True
    return FactorGraph(
        log_odds=torch.zeros(count, dtype=torch.float32),
        theta=torch.from_numpy(parameters.start.copy()),
        evidence=_tensor(known),
        factors=(*pieces.factors, *auxiliary.groups),
        blocks=Blocks(_tensor(offsets), _tensor(members), _tensor(at_most)),
        auxiliary=made if count > atoms.count else None,
        constant=_tensor(pieces.constant),
    )


def with_models(
    graph: FactorGraph,
    parameters: ParameterTable,
    atoms: AtomTable,
    outputs: Sequence[tuple[str, ModelOutput]],
) -> tuple[FactorGraph, ParameterTable]:
    """Add models' log-likelihood ratios as unit features, each with the scale named."""
    table = with_scales(parameters, [name for name, _ in outputs])
    theta = torch.from_numpy(table.start.copy())
    theta[: graph.parameter_count] = graph.theta
    constant = torch.zeros(len(table), dtype=torch.float64)
    if graph.constant is not None:
        constant[: graph.parameter_count] = graph.constant
    units: list[GroundFactors] = []
    evidence = graph.evidence.numpy()
    for name, output in outputs:
        span = atoms.spans[output.predicate]
        if output.llr.shape != (span.count,):
            raise GroundingError(
                f"model `{output.model}` gives {output.llr.shape} log-odds for the "
                f"{span.count:,} atoms of `{output.predicate}`",
                code="KR652",
            )
        scale = table.index(name)
        known = evidence[span.start : span.stop]
        llr = np.asarray(output.llr, np.float32)
        constant[scale] += float(llr[known == TRUE].sum(dtype=np.float64))
        rows = np.flatnonzero(known == OPEN)
        atoms_of_rows = (rows + span.start).astype(np.int32)
        value = _tensor(llr[rows].astype(np.float64))
        units.append(GroundFactors.units(_tensor(atoms_of_rows), scale, value))
    factors = (*graph.factors, *units)
    return replace(graph, theta=theta, constant=constant, factors=factors), table


def _tensor(array: NDArray[Any]) -> Tensor:
    return torch.from_numpy(kept(np.ascontiguousarray(array)))


def _optional(array: NDArray[Any] | None) -> Tensor | None:
    return None if array is None else _tensor(array)
