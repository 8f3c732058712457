"""Grounding one rule: list its settings, fold them, gather what stays open."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeGuard

import numpy as np
from numpy.typing import NDArray

from knowreason.errors import GroundingError
from knowreason.grounding.arrays.array_relations import ArrayRelations
from knowreason.grounding.folding.auxiliary_atoms import (
    FALSE_LITERAL,
    NO_UPPER,
    TRUE_LITERAL,
    UNKNOWN_LITERAL,
    Lists,
    normal_counts,
)
from knowreason.grounding.folding.fold_kernels import (
    MAX_CLAUSE,
    MAX_LEAVES,
    MAX_LITERALS,
    SATISFIED,
    VIOLATED,
    Folded,
    clause_signs,
    fold_clauses,
    fold_leaves,
    fold_literals,
    leaf_states,
    take_atoms,
    take_columns,
)
from knowreason.grounding.folding.rule_columns import GroundingBatch, Harvest
from knowreason.grounding.folding.rule_run import RuleRun
from knowreason.grounding.folding.rule_settings import Frame, Listing
from knowreason.grounding.folding.tie_folding import fold_directed, fold_pairs
from knowreason.grounding.folding.touched_rows import Touched
from knowreason.grounding.folding.truth_tables import residual
from knowreason.grounding.plan.domain_products import too_large
from knowreason.grounding.plan.formula_tree import Crisp, OpenCount, OpenLiteral
from knowreason.grounding.plan.rule_plan import clause_parts, leaves, outer_variables
from knowreason.grounding.rule_parameters import per_sizes

BATCH_ROWS = 1_000_000


def ground_rule(
    run: RuleRun, query: Listing, harvest: Harvest, only: Touched | None = None
) -> float:
    """Seconds of grounding a rule into ``harvest``, ``only`` settings in which some atoms stand.

    Raises:
        GroundingError: for a formula with too many open leaves.
    """
    start = time.perf_counter()
    if _streams(run, query):
        for frame in query.frames(BATCH_ROWS):
            _fold_frame(run, frame, harvest, only)
            _check_grown(run, harvest)
    else:
        frame = query.frame()
        if frame.rows:
            _fold_frame(run, frame, harvest, only)
    return time.perf_counter() - start


def add_counted(run: RuleRun, relations: ArrayRelations, harvest: Harvest) -> None:
    """Add what the settings that were only counted leave: literals, so many times each."""
    counted = relations.counted[run.plan.index]
    rows = len(counted.count)
    left = np.flatnonzero(relations.is_open(counted.hub, counted.things, rows))
    if not len(left):
        return
    atoms = run.literals.numbering.find(counted.hub, [ids[left] for ids in counted.things])
    if len(harvest.units.atoms):  # those there are have one setting each
        harvest.units.value.append(np.ones(len(harvest.units.atoms), np.float32))
    value = counted.count[left].astype(np.float32)
    things = tuple(ids[left].astype(np.int32) for ids in counted.example)
    codes = (atoms + 1) * np.int32(1 if counted.positive else -1)
    harvest.add_units(codes.astype(np.int32), GroundingBatch(len(left), value, None, things))


def _check_grown(run: RuleRun, harvest: Harvest) -> None:
    limit = run.literals.limit
    if harvest.candidate > limit:
        finding = too_large(run.plan, harvest.candidate, limit, run.data)
        raise GroundingError(diagnostics=(finding,))


def _streams(run: RuleRun, query: Listing) -> bool:
    """Whether rows come in batches. Of many rows, counts within fixed bounds are defined ahead for
    all settings around them; other rules with counts come in one piece."""
    if run.plan.directed is not None and run.plan.directed.how == "mean":
        return False  # over all settings of a head
    counts = [leaf for leaf in leaves(run.plan.residual) if isinstance(leaf, OpenCount)]
    if not counts:
        return True
    if not all(_is_defined(run, count) for count in counts):
        return False
    if query.conjunction is None or query.database.estimate(query.tree) <= BATCH_ROWS:
        return False
    for count in counts:
        run.literals.define_ahead(count, query)
    return True


def _is_defined(run: RuleRun, tally: OpenCount) -> bool:
    """Whether a count becomes an atom of its own that only what is around it decides."""
    parts = clause_parts(run.plan.residual)
    listed = parts is not None and (len(parts) > MAX_CLAUSE or (run.hard and len(parts) == 1))
    fixed = all(bound is None or isinstance(bound, int) for bound in (tally.lower, tally.upper))
    around = bool(tally.variables and outer_variables(tally))
    return around and fixed and not tally.is_exists and not listed


def _fold_frame(run: RuleRun, frame: Frame, harvest: Harvest, only: Touched | None) -> None:
    if only is not None:
        rows = only.settings(run, frame)
        frame = replace(frame, rows=len(rows), columns=frame.columns.take(rows))
    harvest.candidate += frame.rows
    batch, usable = _batch(run, frame)
    if usable is not None:
        harvest.drop_featureless(batch, np.setdiff1d(np.arange(frame.rows), usable))
        frame = replace(frame, rows=len(usable), columns=frame.columns.take(usable))
        batch = batch.take(usable)
    if not frame.rows:
        return
    value = batch.value
    harvest.amount += frame.rows if value is None else float(np.abs(value).sum(dtype=np.float64))
    if run.plan.directed is not None:
        fold_directed(run, run.plan.directed, frame, batch, harvest)
        return
    if run.plan.neutral is not None:
        fold_pairs(run, frame, batch, harvest)
        return
    parts = clause_parts(run.plan.residual)
    if parts is None:
        _fold_table(run, frame, batch, harvest)
    elif run.hard and len(parts) == 1 and _is_demand(parts[0]):
        _fold_demand(run, parts[0], frame, batch, harvest)
    elif len(parts) > MAX_CLAUSE or any(isinstance(p, OpenCount) and p.is_exists for p in parts):
        _fold_lists(run, parts, frame, batch, harvest)
    else:
        _fold_clause(run, parts, frame, batch, harvest)


def _batch(run: RuleRun, frame: Frame) -> tuple[GroundingBatch, NDArray[np.int64] | None]:
    """Feature, weight and substitution of each setting, and which have a feature."""
    weight = run.rule.weight
    value, usable = None, None
    if weight.feature is not None:
        numbers = frame.numbers(weight.feature)
        with np.errstate(over="ignore"):
            value = numbers.astype(np.float32)
        finite = np.isfinite(value)
        usable = None if finite.all() else np.flatnonzero(finite)
    parameter = None
    if weight.per and not run.hard:
        parameter = np.zeros(frame.rows, np.int32)
        for variable, size in zip(weight.per, per_sizes(run.rule, run.data), strict=True):
            parameter = parameter * np.int32(size) + frame.ids(variable)
        parameter += np.int32(run.base)
    things = tuple(frame.ids(variable) for variable in run.rule.variables)
    return GroundingBatch(frame.rows, value, parameter, things), usable


def _fold_clause(
    run: RuleRun,
    parts: Sequence[OpenLiteral | OpenCount | Crisp],
    frame: Frame,
    batch: GroundingBatch,
    harvest: Harvest,
) -> None:
    folded, take = _fold_plain(run, parts, frame, batch) or _fold_codes(run, parts, frame)
    harvest.add_satisfied(batch, folded.satisfied, run.base, folded.satisfied_count)
    harvest.add_violated(batch, folded.violated)
    harvest.missing += len(folded.missing)
    for pattern, rows in zip(folded.patterns, folded.rows, strict=True):
        literals = clause_signs(pattern)
        positions = tuple(j for j, _ in literals)
        signs = tuple(positive for _, positive in literals)
        atoms = take(rows, positions)
        unit = len(positions) == 1 and not run.hard
        groundings = batch.take(rows, things=unit or run.origins(positions) is None)
        if unit:
            harvest.add_units((atoms[:, 0] + 1) * np.int32(1 if signs[0] else -1), groundings)
        else:
            harvest.add_group((positions, signs), atoms, groundings)


Take = Callable[[NDArray[np.integer], Sequence[int]], NDArray[np.int32]]


def _fold_codes(
    run: RuleRun, parts: Sequence[OpenLiteral | OpenCount | Crisp], frame: Frame
) -> tuple[Folded, Take]:
    codes = np.empty((len(parts), frame.rows), np.int32)
    for j, part in enumerate(parts):
        codes[j] = run.literals.leaf(part, frame)
    return fold_clauses(codes), lambda rows, positions: take_atoms(codes, rows, positions)


def _fold_plain(
    run: RuleRun,
    parts: Sequence[OpenLiteral | OpenCount | Crisp],
    frame: Frame,
    batch: GroundingBatch,
) -> tuple[Folded, Take] | None:
    """The usual clause, a few literals over variables, straight from the evidence."""
    literals = [part for part in parts if isinstance(part, OpenLiteral)]
    if not literals or len(literals) < len(parts) or len(parts) > MAX_LITERALS:
        return None
    if any(term in frame.listing.terms for part in literals for term in part.atom.arguments):
        return None
    atoms = tuple(run.literals.index(part, frame) for part in literals)
    pairs = [
        (i, j)
        for j, part in enumerate(literals)
        for i in range(j)
        if literals[i].atom.predicate == part.atom.predicate
    ]
    folded = fold_literals(
        atoms,
        run.literals.states,
        [part.positive for part in literals],
        pairs,
        list_satisfied=batch.value is not None or batch.parameter is not None,
    )
    return folded, lambda rows, positions: take_columns(atoms, rows, positions)


def _fold_table(run: RuleRun, frame: Frame, batch: GroundingBatch, harvest: Harvest) -> None:
    node = run.plan.residual
    formula_leaves = leaves(node)
    if len(formula_leaves) > MAX_LEAVES:
        raise GroundingError(
            f"rule `{run.rule.name}` leaves {len(formula_leaves)} parts to be folded row by row, "
            f"over the limit of {MAX_LEAVES}",
            code="KR646",
            help="give a part of it a name: a `define` over what is observed, or a `latent` "
            "with a hard `<=>` over unknowns",
        )
    codes = np.stack([run.literals.leaf(leaf, frame) for leaf in formula_leaves])
    folded = fold_leaves(codes)
    for pattern, rows in zip(folded.patterns, folded.rows, strict=True):
        left = residual(node, leaf_states(pattern, len(formula_leaves)))
        if isinstance(left, int):
            if left == SATISFIED:
                harvest.add_satisfied(batch, rows, run.base)
            elif left == VIOLATED:
                harvest.add_violated(batch, rows)
            else:
                harvest.missing += len(rows)
            continue
        unit = len(left.positions) == 1 and not run.hard
        groundings = batch.take(rows, things=unit or run.origins(left.positions) is None)
        if unit:
            sign = 1 if left.table[1] else -1
            atoms = take_atoms(codes, rows, left.positions)[:, 0]
            harvest.add_units((sign * (atoms + 1)).astype(np.int32), groundings)
        else:
            shape = left.table.tobytes() if left.signs is None else left.signs
            atoms = take_atoms(codes, rows, left.positions)
            harvest.add_group((left.positions, shape), atoms, groundings)


def _fold_lists(
    run: RuleRun,
    parts: Sequence[OpenLiteral | OpenCount | Crisp],
    frame: Frame,
    batch: GroundingBatch,
    harvest: Harvest,
) -> None:
    """A clause some of whose disjuncts are lists: the lists go into the clause."""
    lengths = np.zeros(frame.rows, np.int64)
    pieces: list[Lists] = []
    unknown = np.zeros(frame.rows, bool)
    true = np.zeros(frame.rows, bool)
    for part in parts:
        if isinstance(part, OpenCount) and part.is_exists:
            lists, owner = run.literals.lists(part, frame)
            pieces.append(lists.take(owner))
        else:
            codes = run.literals.leaf(part, frame)
            unknown |= codes == UNKNOWN_LITERAL
            true |= codes == TRUE_LITERAL
            pieces.append(Lists.of_matrix(codes[:, None]))
        lengths += np.diff(pieces[-1].offsets)
    unknown &= ~true
    joined = _joined(pieces, lengths)
    one = np.ones(frame.rows, np.int32)
    codes, left, _, _, rows = normal_counts(joined, one, np.full(frame.rows, NO_UPPER))
    codes[unknown] = UNKNOWN_LITERAL
    open_rows = np.flatnonzero(~unknown[rows])
    harvest.missing += int(unknown.sum())
    harvest.add_satisfied(batch, np.flatnonzero(codes == TRUE_LITERAL), run.base)
    harvest.add_violated(batch, np.flatnonzero(codes == FALSE_LITERAL))
    _add_single(run, codes, batch, harvest)
    rows = rows[open_rows]
    if len(rows):
        harvest.lists.add_lists(left.take(open_rows), batch.take(rows))


def _fold_demand(
    run: RuleRun, tally: OpenCount, frame: Frame, batch: GroundingBatch, harvest: Harvest
) -> None:
    """A hard count by itself restricts the worlds and needs no atom of its own."""
    lists, owner = run.literals.lists(tally, frame)
    lower, upper, unknown = run.literals.bounds(tally, frame)
    stated = np.flatnonzero(~unknown)
    harvest.missing += frame.rows - len(stated)
    rows = np.broadcast_to(lower, frame.rows)[stated], np.broadcast_to(upper, frame.rows)[stated]
    codes = np.zeros(frame.rows, np.int32)
    codes[stated] = run.literals.auxiliary.demand(
        lists.take(owner[stated]), *rows, run.literals.rule
    )
    harvest.add_satisfied(batch, np.flatnonzero(codes == TRUE_LITERAL), run.base)
    harvest.add_violated(batch, np.flatnonzero(codes == FALSE_LITERAL))
    _add_single(run, codes, batch, harvest)


def _add_single(
    run: RuleRun, codes: NDArray[np.int32], batch: GroundingBatch, harvest: Harvest
) -> None:
    constants = (TRUE_LITERAL, FALSE_LITERAL, UNKNOWN_LITERAL)
    rows = np.flatnonzero(~np.isin(codes, constants))
    if not len(rows):
        return
    if not run.hard:
        harvest.add_units(codes[rows], batch.take(rows))
        return
    for positive in (True, False):
        signed = rows[(codes[rows] > 0) == positive]
        if len(signed):
            atoms = np.abs(codes[signed])[:, None] - 1
            harvest.add_group(((-1,), (positive,)), atoms, batch.take(signed))


def _is_demand(part: OpenLiteral | OpenCount | Crisp) -> TypeGuard[OpenCount]:
    return isinstance(part, OpenCount) and part.positive and not part.is_exists


def _joined(pieces: Sequence[Lists], lengths: NDArray[np.int64]) -> Lists:
    """Lists of the same rows, one after another in each row."""
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    literals = np.empty(int(offsets[-1]), np.int32)
    cursor = offsets[:-1].copy()
    for piece in pieces:
        sizes = np.diff(piece.offsets)
        target = np.repeat(cursor - piece.offsets[:-1], sizes) + np.arange(len(piece.literals))
        literals[target] = piece.literals
        cursor += sizes
    return Lists(offsets, literals)
