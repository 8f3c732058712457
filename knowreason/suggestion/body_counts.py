"""How often bodies hold at the labelled atoms of a query predicate, counted by the engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sqlglot import exp

from knowreason.data import Dataset
from knowreason.data.arrow_types import ArrowTable
from knowreason.data.id_tables import id_table
from knowreason.grounding.relational.conjunctive_query import Conjunction
from knowreason.grounding.relational.database import Relations
from knowreason.grounding.relational.term_sql import column
from knowreason.lang import parse_formula
from knowreason.logic import And, Atom, Comparison, Formula, Implies, Truth, Variable
from knowreason.logic.traversal import conjuncts
from knowreason.suggestion.candidate_bodies import Body, Measure, Node, Templates

Counts = NDArray[np.float32]
ROW = "row"
FOLD = "fold"


def with_known_atoms(data: Dataset, true: Mapping[str, ArrowTable]) -> Dataset:
    """The data with open predicates observed, whose facts are the ``true`` atoms, and no rule."""
    seen = tuple(
        replace(p, kind="observed", within=None, sees=None) if p.is_open else p
        for p in data.program.predicates
    )
    program = replace(data.program, predicates=seen, rules=(), models=())
    return replace(data, program=program, facts={**data.facts, **true})


@dataclass(frozen=True)
class LabelledRows:
    """The labelled atoms as a relation that bodies are joined with.

    Attributes:
        relations: of data in which all predicates are observed.
        predicate: the query predicate; its facts have the fold of each as a further argument.
        head: the query atom as text.
        arguments: its variables.
        table: one row an atom: its things, its fold, and its number.
        count: how many there are.
        limit: most groundings of a body; those of more are not counted.
        forward: whether an atom knows the labels of earlier folds, not of all others.
    """

    relations: Relations
    predicate: str
    head: str
    arguments: tuple[Node, ...]
    table: exp.Table
    count: int
    limit: int
    forward: bool

    @staticmethod
    def of(
        relations: Relations,
        templates: Templates,
        things: NDArray[np.int32],
        fold: NDArray[np.int32],
        *,
        limit: int,
        forward: bool,
    ) -> LabelledRows:
        """The atoms about ``things`` (``int32[n, arity]``) in their folds (``int32[n]``)."""
        rows = id_table([*things.T, fold]).append_column(ROW, pa.array(np.arange(len(things))))
        table = relations.register("labelled", rows)
        head, arguments = templates.head, templates.arguments
        name, count = templates.predicate, len(things)
        return LabelledRows(relations, name, head, arguments, table, count, limit, forward)

    def counts(self, body: Body) -> Counts | None:
        """``float32[n]``: groundings of a body at each atom; ``None`` where they are too many."""
        joined, row, _ = self._joined(body)
        counted = {"value": exp.Count(this=exp.Star())}
        values = self._by_row(joined, {ROW: row}, counted, 0, self.limit + 1)["value"]
        return values if values.sum(dtype=np.float64) <= self.limit else None

    def range_of(self, measure: Measure) -> tuple[Counts, Counts]:
        """``float32[n]`` twice: least and greatest number on a path at each atom, NaN where there
        is none; durations in microseconds."""
        known = f"{measure.call} = {measure.call}"  # a term is elaborated as part of a formula
        body = replace(measure.path, parts=(*measure.path.parts, known))
        joined, row, formula = self._joined(body)
        last = conjuncts(formula)[-1]
        assert isinstance(last, Comparison)
        place = column("q", "number")
        ends = {"low": exp.Min(this=place), "high": exp.Max(this=place.copy())}
        columns = self._by_row(joined, {ROW: row, "number": joined.term(last.left)}, ends, np.nan)
        return columns["low"], columns["high"]

    def _joined(self, body: Body) -> tuple[Conjunction, exp.Expr, Formula]:
        conjunction = Conjunction(self.relations)
        own = Variable("own fold", FOLD)
        variables = [*(Variable(node.term, node.sort) for node in self.arguments), own]
        alias = conjunction.join_table(self.table.copy(), variables)
        rule = parse_formula(self.relations.program, f"{' & '.join(body.parts)} => {self.head}")
        assert isinstance(rule, Implies)
        parts: list[Formula] = []
        for place, part in enumerate(conjuncts(rule.left)):
            if isinstance(part, Atom) and part.predicate == self.predicate:
                fold = Variable(f"fold {place}", FOLD)
                other: Formula = Comparison("<" if self.forward else "!=", fold, own)
                parts += [replace(part, arguments=(*part.arguments, fold)), other]
            else:
                parts.append(part)
        conjunction.satisfy(And((*parts, Truth(True))))
        return conjunction, column(alias, ROW), rule.left

    def _by_row(
        self,
        conjunction: Conjunction,
        outputs: Mapping[str, exp.Expr],
        aggregates: Mapping[str, exp.Expr],
        missing: float,
        limit: int | None = None,
    ) -> dict[str, Counts]:
        inner = conjunction.select(outputs)
        inner = inner if limit is None else inner.limit(limit)
        row = column("q", ROW)
        columns = [row, *(value.as_(name) for name, value in aggregates.items())]
        tree = exp.select(*columns).from_(inner.subquery("q")).group_by(row.copy())
        table = self.relations.arrow(tree).read_all()
        rows = table[ROW].to_numpy()
        found = {}
        for name in aggregates:
            values = np.full(self.count, missing, np.float32)
            values[rows] = table[name].to_numpy().astype(np.float32)
            found[name] = values
        return found
