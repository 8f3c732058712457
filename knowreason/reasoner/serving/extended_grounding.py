"""A grounding with the groundings of some atoms exchanged: what new rows change of a graph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from knowreason.data import Dataset
from knowreason.errors import GroundingError
from knowreason.factors import AtomSpan, AtomTable, GroundFactors
from knowreason.grounding import factor_assembly as assemble
from knowreason.grounding.atom_numbering import Numbering, argument_order, domain_sizes
from knowreason.grounding.folding.auxiliary_atoms import Auxiliary
from knowreason.grounding.folding.touched_rows import Touched
from knowreason.grounding.grounding import Grounding, finished, known_atoms
from knowreason.grounding.plan.formula_tree import OpenCount
from knowreason.grounding.plan.rule_plan import leaves, plan_rule
from knowreason.grounding.provenance import Part, RuleProvenance
from knowreason.grounding.rule_parameters import parameter_table
from knowreason.grounding.rule_report import RuleReport, unidentified
from knowreason.logic import Program
from knowreason.row_keys import ordered_rows

Ids = NDArray[Any]  # of integers


@dataclass(frozen=True)
class GroundingPiece:
    """A grounding, and what its things are called in the data it becomes part of.

    Attributes:
        grounding: itself.
        things: by domain, ids there.
    """

    grounding: Grounding
    things: Mapping[str, Ids]


def refuse_extension(program: Program) -> None:
    """Raise where groundings of single atoms cannot be exchanged.

    Raises:
        GroundingError: KR655 naming the rules or definitions.
    """
    why = []
    for index, rule in enumerate(program.rules):
        plan = plan_rule(program, index)
        if plan.directed is not None and plan.directed.how != "sum":
            why.append(f"rule `{rule.name}` weighs all bodies of a head together")
        elif any(isinstance(leaf, OpenCount) for leaf in leaves(plan.residual)):
            why.append(f"rule `{rule.name}` counts unknowns")
        elif plan.decided and rule.weight.kind == "hard":
            why.append(f"hard rule `{rule.name}` checks what is observed")
    why += [f"`{name}` reads labels" for name in program.label_readers]
    if why:
        raise not_extended("; ".join(why))


def not_extended(why: str) -> GroundingError:
    """The error KR655."""
    return GroundingError(
        f"rows cannot be appended: {why}", code="KR655", help="ground all of it anew"
    )


def extended(
    before: GroundingPiece,
    removed: GroundingPiece,
    added: GroundingPiece,
    data: Dataset,
    touched: Touched,
) -> Grounding:
    """The grounding of a program over data, made of an earlier one.

    Args:
        before: over other data.
        removed: of those data, the groundings of the touched atoms alone.
        added: of the new data, the same.
        data: the new data.
        touched: atoms, by things of the new data, outside whose groundings nothing differs.

    Raises:
        GroundingError: KR655 for lists of unknowns; KR64x as :func:`ground`.
    """
    program = before.grounding.program
    table = _atoms(program, data, before, added, touched)
    numbering = Numbering.of(table, program, data)
    known = known_atoms(program, data, table, numbering, "open")
    parameters = parameter_table(program, data)
    pieces = assemble.Pieces.new(len(parameters))
    place = {name: i for i, name in enumerate(parameters.names)}
    for piece, sign in ((before, 1), (removed, -1), (added, 1)):
        own = piece.grounding
        constant = own.graph.constants.numpy()
        of_rules = np.flatnonzero(np.array([kind == "rule" for kind in own.parameters.kinds], bool))
        at = [place[own.parameters.names[i]] for i in of_rules.tolist()]
        np.add.at(pieces.constant, at, sign * constant[of_rules])
    moves = [_Move.of(piece, numbering, touched, place) for piece in (before, added)]
    moves[1].drop[:] = False
    origins, reports, warnings = [], [], []
    for index, rule in enumerate(program.rules):
        parts = [part for move in moves for part in move.parts(index)]
        whole = tuple(_added(pieces, group) for group in _alike(parts))
        origins.append(RuleProvenance(index, whole))
        factors = sum(pieces.factors[part.index].rows for part in whole)
        rows = sum(part.rows for part in whole)
        report = _report([p.grounding.reports[index] for p in (before, removed, added)])
        reports.append(replace(report, merged=rows - factors, open=factors))
        if not factors and not report.decided and rule.weight.kind != "hard":
            warnings.append(unidentified(rule, report.candidate))
    earlier = [w for w in before.grounding.warnings if w.code not in ("KR662", "KR663")]
    said = [*known.warnings, *earlier, *warnings]
    nothing = Auxiliary(table.count)
    made = pieces, nothing, reports, origins, said
    return finished(program, data, table, parameters, known, *made)


def _atoms(
    program: Program, data: Dataset, before: GroundingPiece, added: GroundingPiece, touched: Touched
) -> AtomTable:
    """All atoms: the old ones that are not touched, and the touched ones as they are now."""
    spans: dict[str, AtomSpan] = {}
    start = 0
    for predicate in program.open_predicates:
        kept = []
        for piece, wanted in ((before, False), (added, True)):
            span = piece.grounding.atoms.spans[predicate.name]
            columns = _renamed(span.arguments, predicate.sorts, piece.things)
            own = touched.holds(predicate.name, columns, span.count) == wanted
            kept.append(np.stack(columns, 1)[own] if columns else span.arguments[own])
        arguments = np.concatenate(kept).astype(np.int32)
        position = predicate.functional_position
        if predicate.arity:
            order = argument_order(predicate.arity, position)
            sizes = domain_sizes(predicate, data)
            columns = [arguments[:, i] for i in order]
            found = ordered_rows(columns, [sizes[i] for i in order], len(arguments))
            if found is not None:
                for i, column in zip(order, found, strict=True):
                    arguments[:, i] = column
        stop = start + len(arguments)
        spans[predicate.name] = AtomSpan(predicate.name, start, stop, arguments, position)
        start = stop
    return AtomTable(spans, start)


def _renamed(rows: Ids, sorts: Sequence[str], things: Mapping[str, Ids]) -> list[Ids]:
    return [things[sort][rows[:, place]] for place, sort in enumerate(sorts)]


@dataclass(frozen=True)
class _Move:
    """How a piece's groundings are numbered in the whole.

    Attributes:
        piece: itself.
        number: ``int32[n]`` index of each atom there.
        drop: ``bool[n]`` atoms whose groundings are left out.
        parameter: ``int32[p]`` index of each parameter there.
    """

    piece: GroundingPiece
    number: Ids
    drop: NDArray[np.bool_]
    parameter: Ids

    @staticmethod
    def of(
        piece: GroundingPiece, numbering: Numbering, touched: Touched, place: Mapping[str, int]
    ) -> _Move:
        grounding = piece.grounding
        program = grounding.program
        if grounding.graph.auxiliary is not None:
            raise not_extended("unknowns are counted")
        number = np.zeros(grounding.atoms.count, np.int32)
        drop = np.zeros(grounding.atoms.count, bool)
        for name, span in grounding.atoms.spans.items():
            columns = _renamed(span.arguments, program.sorts_of(name), piece.things)
            own = slice(span.start, span.stop)
            number[own] = numbering.find(name, columns, span.count)
            drop[own] = touched.holds(name, columns, span.count)
        names = grounding.parameters.names
        parameter = np.array([place.get(name, -1) for name in names], np.int32)
        return _Move(piece, number, drop, parameter)

    def parts(self, index: int) -> Iterator[tuple[GroundFactors, Part]]:
        """What a rule left open, in the numbers of the whole."""
        grounding = self.piece.grounding
        variables = grounding.program.rules[index].variables
        for part in grounding.provenance[index].parts:
            if part.kind == "list":
                raise not_extended(f"rule `{grounding.program.rules[index].name}` has long clauses")
            factors = grounding.graph.factors[part.index]
            keep = np.flatnonzero(~self.drop[factors.atoms.numpy()].any(axis=1))
            codes = part.atoms
            atoms = np.abs(codes) - 1 if part.kind == "unit" else codes
            rows = np.flatnonzero(~self.drop[atoms.reshape(part.rows, -1)].any(axis=1))
            if not len(keep):
                continue
            new = self.number[atoms[rows]]
            things, row = part.substitution, part.row
            if things is not None:
                columns = [
                    self.piece.things[v.sort][things[rows, i]] for i, v in enumerate(variables)
                ]
                things = np.stack(columns, 1).astype(np.int32) if columns else things[rows]
            if row is not None:
                place = np.zeros(factors.rows, np.int64)
                place[keep] = np.arange(len(keep))
                row = place[row[rows]]
            moved = replace(
                part,
                atoms=np.sign(codes[rows]) * (new + 1) if part.kind == "unit" else new,
                substitution=things,
                parameter=self._weights(part.parameter, rows),
                value=None if part.value is None else part.value[rows],
                row=row,
            )
            taken = factors.take(keep).renumbered(self.number)
            weight = factors.parameter
            if isinstance(weight, torch.Tensor):
                weight = torch.from_numpy(self.parameter[taken.parameters()])
            elif weight is not None:
                weight = int(self.parameter[weight])
            yield replace(taken, parameter=weight), moved

    def _weights(self, own: int | Ids | None, rows: Ids) -> int | Ids | None:
        if isinstance(own, np.ndarray):
            return self.parameter[own[rows]]
        return None if own is None else int(self.parameter[own])


def _alike(
    parts: Sequence[tuple[GroundFactors, Part]],
) -> list[list[tuple[GroundFactors, Part]]]:
    """Parts that are one: of the same potential, told by the same atoms."""
    groups: dict[object, list[tuple[GroundFactors, Part]]] = {}
    for factors, part in parts:
        signs = None if factors.signs is None else tuple(factors.signs.tolist())
        values = None if factors.table is None else factors.table.numpy().tobytes()
        width = factors.atoms.shape[1]
        key = (part.kind, part.origins, part.row is None, factors.potential, signs, values, width)
        groups.setdefault(key, []).append((factors, part))
    return list(groups.values())


def _added(pieces: assemble.Pieces, parts: Sequence[tuple[GroundFactors, Part]]) -> Part:
    """Add parts as one group of factors."""
    factors, part = parts[0]
    for others, more in parts[1:]:
        start, plain = factors.rows, factors.value is None and others.value is None
        rows = part.rows, more.rows
        part = replace(
            part,
            atoms=np.concatenate([part.atoms, more.atoms]),
            substitution=_both(part.substitution, more.substitution),
            parameter=_weights_of(part.parameter, more.parameter, rows),
            value=None
            if part.value is None and more.value is None
            else np.concatenate([_values(part), _values(more)]),
            row=None
            if part.row is None or more.row is None
            else np.concatenate([part.row, more.row + start]),
        )
        weights = [one.parameters().astype(np.int32) for one in (factors, others)]
        value = None if plain else np.concatenate([factors.values(), others.values()])
        weight: int | torch.Tensor | None = factors.parameter
        if isinstance(weight, torch.Tensor) or weight != others.parameter:
            weight = torch.from_numpy(np.concatenate(weights))
        factors = replace(
            factors,
            atoms=torch.cat([factors.atoms, others.atoms]),
            parameter=weight,
            value=None if value is None else torch.from_numpy(value),
        )
    return replace(part, index=pieces.add(factors))


def _both(one: Ids | None, two: Ids | None) -> Ids | None:
    return None if one is None or two is None else np.concatenate([one, two])


def _values(part: Part) -> NDArray[np.float32]:
    return np.ones(part.rows, np.float32) if part.value is None else part.value


def _weights_of(
    one: int | Ids | None, two: int | Ids | None, rows: tuple[int, int]
) -> int | Ids | None:
    if not isinstance(one, np.ndarray) and not isinstance(two, np.ndarray) and one == two:
        return one
    return np.concatenate(
        [
            np.broadcast_to(np.asarray(own, np.int32), n)
            for own, n in zip((one, two), rows, strict=True)
        ]
    )


def _report(three: Sequence[RuleReport]) -> RuleReport:
    """Counts of the whole: what there was, without the removed, with the added."""
    before, removed, added = three
    counts = {
        name: getattr(before, name) - getattr(removed, name) + getattr(added, name)
        for name in ("candidate", "satisfied", "violated")
    }
    return replace(
        before,
        **counts,
        missing=None,  # settings without a value are not told by atoms
        seconds=removed.seconds + added.seconds,
        estimate=max(before.estimate - removed.estimate + added.estimate, 0),
    )
