"""Grounding a program over data: the bridge from rules and tables to tensors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from knowreason.data import Dataset
from knowreason.data.arrow_types import ArrowTable
from knowreason.diagnostics import Diagnostic
from knowreason.errors import GroundingError, UnknownNameError, did_you_mean
from knowreason.factors import OPEN, AtomSpan, AtomTable, FactorGraph, ParameterTable
from knowreason.factors.model_output import ModelOutput
from knowreason.grounding import factor_assembly as assemble
from knowreason.grounding.arrays.array_context import open_relations
from knowreason.grounding.arrays.array_relations import ArrayRelations
from knowreason.grounding.arrays.array_tables import Ids
from knowreason.grounding.atom_numbering import (
    DEFAULT_LIMIT,
    Numbering,
    atom_text,
    atom_values,
    block_text,
    ids_of_names,
    open_atoms,
    spread_over_blocks,
)
from knowreason.grounding.base_rates import BaseRates
from knowreason.grounding.conditionals import Conditionals
from knowreason.grounding.curve import Curve
from knowreason.grounding.curved_rows import add_associations, add_conditionals
from knowreason.grounding.folding.auxiliary_atoms import Auxiliary, atom_codes
from knowreason.grounding.folding.fold_kernels import literal_states
from knowreason.grounding.folding.open_literals import Literals
from knowreason.grounding.folding.rule_columns import Harvest
from knowreason.grounding.folding.rule_folding import add_counted, ground_rule
from knowreason.grounding.folding.rule_run import RuleRun
from knowreason.grounding.folding.touched_rows import Touched
from knowreason.grounding.neutral_pairs import NeutralPairs, PairCells
from knowreason.grounding.normaliser_cells import NormaliserCells, normaliser_cells
from knowreason.grounding.plan.domain_products import too_large
from knowreason.grounding.provenance import GroundRule, RuleProvenance, groundings_of
from knowreason.grounding.relational.engine_errors import Evaluated
from knowreason.grounding.rule_parameters import (
    parameter_table,
    rule_offsets,
    with_feature_units,
)
from knowreason.grounding.rule_report import (
    RuleReport,
    featureless,
    missing_rows,
    refuse_violated,
    unidentified,
)
from knowreason.grounding.size_estimate import checked_size, rule_query, warnings_of
from knowreason.logic import Program
from knowreason.logic.canonical_text import ground_atom_text
from knowreason.notebook.cells import html_cell, html_lines, html_table, listed
from knowreason.progress import Progress

LabelUse = Literal["open", "evidence", "ignore"]


@dataclass(frozen=True)
class Grounding:
    r"""A program over data as a factor graph, and how each came from the other.

    Attributes:
        program, data: what was grounded.
        atoms: which ground atom each index is.
        parameters: names and priors of ``graph.theta``.
        graph: the tensors.
        labels: ``int8[n]`` visible training labels, ``-1`` where none; what they imply in
            functional blocks included. Their atoms stay open in the graph.
        hidden: ``int8[n]`` labels held back.
        reports: one a rule.
        provenance: one a rule: where its ground factors came from.
        associations: where the tables of each rule with ``<~>`` stand, which follow the weights.
        conditionals: where the normalisers of rules with ``~>`` stand, which do so too.
        warnings: what the user should know.

    Example:
        >>> from knowreason.lang import loads
        >>> program = loads('domain P = {"anna", "bob"}\nquery Smokes(P)')
        >>> grounding = ground(program, Dataset.from_frames(program))
        >>> grounding.atom_index("Smokes", "bob"), grounding.atom_name(1)
        (1, 'Smokes("bob")')
    """

    program: Program
    data: Dataset
    atoms: AtomTable
    parameters: ParameterTable
    graph: FactorGraph
    labels: NDArray[np.int8]
    hidden: NDArray[np.int8]
    reports: tuple[RuleReport, ...] = ()
    provenance: tuple[RuleProvenance, ...] = ()
    associations: tuple[NeutralPairs, ...] = ()
    conditionals: tuple[Conditionals, ...] = ()
    warnings: tuple[Diagnostic, ...] = ()

    def __repr__(self) -> str:
        atoms = listed(f"{s.stop - s.start:,} {n}" for n, s in self.atoms.spans.items())
        factors = sum(report.open for report in self.reports)
        return f"Grounding({atoms} atoms; {factors:,} open groundings of {len(self.reports)} rules)"

    def _repr_html_(self) -> str:
        known = self.labels != OPEN
        atoms = html_table(
            ["predicate", "atoms", "labels"],
            [
                [name, span.count, int(known[span.start : span.stop].sum())]
                for name, span in self.atoms.spans.items()
            ],
        )
        rules = html_table(
            ["rule", "groundings", "open", "decided true", "decided false", "value missing"],
            [
                [r.rule, r.candidate, r.open, r.satisfied, r.violated, r.missing]
                for r in self.reports
            ],
        )
        told = html_lines((one.message for one in self.warnings), "Warnings:")
        return html_cell(repr(self), atoms, rules, told)

    def span(self, predicate: str) -> AtomSpan:
        """Atoms of an open predicate.

        Raises:
            UnknownNameError: for a predicate that has no open atoms.
        """
        if predicate not in self.atoms.spans:
            raise UnknownNameError(
                f"`{predicate}` has no open atoms",
                code="KR650",
                help=did_you_mean(predicate, self.atoms.spans),
            )
        return self.atoms.spans[predicate]

    def atom_index(self, predicate: str, *names: object) -> int:
        """Index of a ground atom.

        Raises:
            UnknownNameError: for an unknown name, or an atom outside its candidates.
        """
        self.span(predicate)
        columns = ids_of_names(self.data, self.program, predicate, names)
        index = int(self._numbering.find(predicate, columns, 1)[0])
        if index < 0:
            shown = ground_atom_text(predicate, map(str, names))
            raise UnknownNameError(
                f"`{shown}` is not among the candidates of `{predicate}`: it is false",
                code="KR651",
            )
        return index

    def atom_name(self, index: int) -> str:
        """``Smokes("anna")``; auxiliary atoms are ``auxiliary 17``."""
        return atom_text(index, self.atoms, self.program, self.data)

    def block_name(self, index: int) -> str:
        """``Uses("e1", _)`` of an atom of a functional predicate."""
        return block_text(index, self.atoms, self.program, self.data)

    def groundings_of(self, atom: int, limit: int = 1000) -> list[GroundRule]:
        """Ground factors an atom stands in, with names from the data."""
        return groundings_of(self, atom, limit)

    @property
    def is_linear(self) -> bool:
        """Whether the score of a world is linear in the weights: no rule has ``<~>`` or ``~>``."""
        return not self.associations and not self.conditionals

    def at(self, theta: Tensor) -> FactorGraph:
        """The graph at other weights (``float64[p]``).

        ``graph.with_theta`` is the same where the grounding is linear in them.
        """
        graph = self.graph.with_theta(theta)
        if self.is_linear:
            return graph
        weights = theta.detach().cpu().numpy()
        rates = self._rates
        known = rates.probabilities(weights)
        factors = list(graph.factors)
        for pairs in self.associations:
            factors[pairs.rest] = pairs.tables(factors[pairs.place], weights, known)
        for heads in self.conditionals:
            for place, normaliser in heads.tables(weights, rates):
                factors[place] = normaliser
        return replace(graph, factors=tuple(factors))

    def curved(self) -> tuple[FactorGraph, Curve | None]:
        """What weights are learned from: a graph whose worlds' scores are linear in its ``theta``.

        Returns:
            The graph, with the weights (``float64[p]``) and then the cells of rules with ``<~>``
            and ``~>`` as ``theta``, and how the cells follow from the weights; ``None`` where
            the grounding is linear in them.
        """
        if self.is_linear:
            return self.graph, None
        rates, factors = self._rates, list(self.graph.factors)
        cells: list[PairCells | NormaliserCells] = []
        used = len(self.parameters)
        for pairs in self.associations:
            factors[pairs.rest], made = pairs.cells(factors[pairs.place], rates, used)
            cells.append(made)
            used += len(made)
        for heads in self.conditionals:
            for place in heads.places[1:].tolist():
                factors[place] = factors[place].take(np.zeros(0, np.int64))
            factors[heads.places[0]], normaliser = normaliser_cells(heads, rates, used)
            cells.append(normaliser)
            used += len(normaliser)
        curve = Curve(rates, tuple(cells))
        values = torch.from_numpy(curve(self.graph.theta.numpy())[0])
        constant = self.graph.constant
        if constant is not None:
            constant = torch.cat([constant, torch.zeros_like(values)])
        theta = torch.cat([self.graph.theta, values])
        return replace(self.graph, theta=theta, factors=tuple(factors), constant=constant), curve

    def with_models(self, outputs: Mapping[str, ModelOutput] | Iterable[ModelOutput]) -> Grounding:
        """The same grounding with models' log-likelihood ratios as unary features.

        Args:
            outputs: each adds a parameter ``scale <model>``, or ``scale <model> for
                <predicate>`` where the program declares the model for several predicates.

        Raises:
            GroundingError: KR652 for log-odds of a wrong length.
        """
        if isinstance(outputs, Mapping):
            outputs = outputs.values()
        named = [(self.scale_of(output), output) for output in outputs]
        graph, parameters = assemble.with_models(self.graph, self.parameters, self.atoms, named)
        return replace(self, graph=graph, parameters=parameters)

    def scale_of(self, output: ModelOutput) -> str:
        """Name of the parameter that scales a model's log-odds."""
        declared = (model for model in self.program.models if model.name == output.model)
        several = any(len(model.predicates) > 1 for model in declared)
        return f"scale {output.model}" + (f" for {output.predicate}" if several else "")

    @property
    def _rates(self) -> BaseRates:
        return BaseRates.of(self.program, self.data, self._named_atoms, self.parameters)

    @property
    def _named_atoms(self) -> AtomTable:
        """The atoms without auxiliary ones."""
        stop = max((span.stop for span in self.atoms.spans.values()), default=0)
        return AtomTable(self.atoms.spans, stop)

    @cached_property
    def _numbering(self) -> Numbering:
        return Numbering.of(self.atoms, self.program, self.data)


def ground(
    program: Program,
    data: Dataset,
    *,
    limit: int = DEFAULT_LIMIT,
    memory_limit: str = "4GB",
    labels: LabelUse = "open",
    hard_violations: Literal["error", "drop"] = "error",
    threads: int | None = None,
    evaluated: Mapping[str, ArrowTable] | None = None,
    only: Touched | None = None,
    progress: Progress | None = None,
) -> Grounding:
    r"""The factor graph of a program over data, and where its factors came from.

    Columns of more than 64 MB are memory-mapped files without a name, where the system keeps
    temporary files (``TMPDIR``).

    Args:
        program: checked program.
        data: tables bound to it.
        limit: most rows a rule, or atoms a predicate, may have.
        memory_limit: of the relational engine.
        labels: visible labels stay ``open`` (to be clamped by a learner), become
            ``evidence`` (known when predicting), or are ignored.
        hard_violations: hard groundings that training labels make false are an error, or
            dropped and counted.
        threads: of the relational engine.
        evaluated: tables of definitions evaluated on this data before.
        only: atoms outside whose groundings nothing is wanted; base rates are of all.
        progress: called as ``progress(done, total, message)``.

    Raises:
        GroundingError: KR640-KR648, see ``knowreason explain-code``.

    Example:
        >>> from knowreason.lang import loads
        >>> program = loads('domain P = {"anna"}\nquery Smokes(P)\nrule rare [-1] : Smokes(x)')
        >>> ground(program, Dataset.from_frames(program))
        Grounding(1 Smokes atoms; 1 open groundings of 1 rules)
    """
    with open_relations(
        program, data, memory_limit=memory_limit, threads=threads, known=evaluated
    ) as relations:
        table = open_atoms(program, data, limit, relations)
        numbering = Numbering.of(table, program, data)
        given = known_atoms(program, data, table, numbering, labels)
        auxiliary = Auxiliary(table.count)
        codes, states = atom_codes(given.evidence), literal_states(given.evidence)
        relations.is_open = partial(_is_open, numbering, given.evidence)
        parameters = parameter_table(program, data)
        pieces = assemble.Pieces.new(len(parameters))
        reports: list[RuleReport] = []
        origins: list[RuleProvenance] = []
        warnings = list(given.warnings)

        def named(atom: int) -> str:
            return atom_text(atom, table, program, data)

        for index, base in enumerate(rule_offsets(program, data)):
            plan = relations.plan(index)
            name = plan.rule.name
            if progress is not None:
                progress(index, len(program.rules), f"rule {name}")
            literals = Literals(
                program, relations, numbering, states, codes, auxiliary, index, name, limit
            )
            run = RuleRun(plan, literals, data, base)
            feature = plan.rule.weight.feature
            parts = (plan.rule.formula, *([feature] if feature is not None else []))
            with relations.evaluating(Evaluated(f"rule `{name}`", parts, plan.rule.span)):
                harvest, report = _ground_one(run, limit, only)
            refuse_violated(harvest, plan.rule, data)
            made = assemble.add_rule(pieces, run, harvest, given.labels, hard_violations, named)
            reports.append(replace(report, merged=made.merged, open=made.open))
            origins.append(made.provenance)
            if harvest.featureless:
                warnings.append(featureless(plan.rule, harvest, data))
            warnings.extend(warnings_of(plan, table, data, harvest.amount))
            if not made.open and not plan.decided and not run.hard:
                warnings.append(unidentified(plan.rule, report.candidate))
    found = pieces, auxiliary, reports, origins, warnings
    return finished(program, data, table, parameters, given, *found)


def finished(
    program: Program,
    data: Dataset,
    table: AtomTable,
    parameters: ParameterTable,
    known: KnownAtoms,
    pieces: assemble.Pieces,
    auxiliary: Auxiliary,
    reports: Sequence[RuleReport],
    origins: Sequence[RuleProvenance],
    warnings: Sequence[Diagnostic],
) -> Grounding:
    """The grounding whose rules' factors are in ``pieces``: base rates, rooms for tables, graph.

    Args:
        program, data, table, known: the numbered atoms, and what is known of them.
        parameters: of the program, in the units it states.
        pieces: is added to.
        auxiliary: atoms beyond those.
        reports, origins: one a rule.
        warnings: so far.
    """
    assemble.add_biases(pieces, program, table, parameters, known.evidence)
    parameters = with_feature_units(parameters, program, pieces.factors)
    parameters, associations = add_associations(pieces, program, parameters, origins)
    rates = BaseRates.of(program, data, table, parameters)
    parameters, conditionals = add_conditionals(
        pieces, program, parameters, origins, rates, auxiliary.next_atom
    )
    graph = assemble.factor_graph(pieces, program, table, parameters, known.evidence, auxiliary)
    grounding = Grounding(
        program,
        data,
        AtomTable(table.spans, auxiliary.next_atom),
        parameters,
        graph,
        _padded(known.labels, auxiliary.next_atom),
        _padded(known.hidden, auxiliary.next_atom),
        tuple(reports),
        tuple(origins),
        associations,
        conditionals,
        tuple(warnings),
    )
    return replace(grounding, graph=grounding.at(graph.theta))


def _is_open(
    numbering: Numbering, evidence: NDArray[np.int8], predicate: str, ids: Sequence[Ids], rows: int
) -> NDArray[np.bool_]:
    atoms = numbering.find(predicate, ids, rows)
    return np.asarray((atoms >= 0) & (evidence[atoms] == OPEN))


@dataclass(frozen=True)
class KnownAtoms:
    """What is known of atoms: evidence, labels and labels held back, ``int8[n]`` each."""

    evidence: NDArray[np.int8]
    labels: NDArray[np.int8]
    hidden: NDArray[np.int8]
    warnings: tuple[Diagnostic, ...]


def known_atoms(
    program: Program, data: Dataset, table: AtomTable, numbering: Numbering, use: LabelUse
) -> KnownAtoms:
    """What tables say of numbered atoms.

    Raises:
        GroundingError: KR641-KR643 for what contradicts itself or the candidates.
    """
    evidence, outside = atom_values(numbering, data.evidence, table.count)
    for predicate, count in outside.items():
        raise GroundingError(
            f"{count:,} true evidence atom(s) of `{predicate}` are not among its candidates",
            code="KR643",
            help=f"widen what `{predicate}` is declared `within`, or drop those rows",
        )
    labels, lost = atom_values(numbering, data.labels, table.count)
    warnings = [
        Diagnostic(
            "KR663",
            f"{count:,} true label(s) of `{predicate}` are not among its candidates, so no "
            "answer can find them",
            "warning",
        )
        for predicate, count in lost.items()
    ]
    hidden, _ = atom_values(numbering, data.hidden, table.count)
    if use == "evidence":
        evidence = np.where(evidence == OPEN, labels, evidence)
    if use != "open":
        labels = np.full(table.count, OPEN, np.int8)
    evidence = spread_over_blocks(evidence, table, program, data, "the evidence")
    labels = spread_over_blocks(labels, table, program, data, "the labels")
    hidden = spread_over_blocks(hidden, table, program, data, "the hidden labels")
    labels[evidence != OPEN] = OPEN
    return KnownAtoms(evidence, labels, hidden, tuple(warnings))


def _ground_one(run: RuleRun, limit: int, only: Touched | None) -> tuple[Harvest, RuleReport]:
    relations, data = run.literals.relations, run.data
    query = rule_query(relations, run.plan)
    size = checked_size(query, limit)
    if size.rows > limit:
        raise GroundingError(diagnostics=(too_large(run.plan, size.rows, limit, data),))
    harvest = Harvest(run.parameters, query.joins)
    seconds = 0.0
    if not run.plan.decided or run.hard:
        seconds = ground_rule(run, query, harvest, only)
        if isinstance(relations, ArrayRelations) and run.plan.index in relations.counted:
            add_counted(run, relations, harvest)
    unlisted = missing_rows(query, run.plan.guards, limit)
    report = RuleReport(
        rule=run.rule.name,
        candidate=harvest.candidate,
        satisfied=harvest.satisfied,
        violated=harvest.violated,
        missing=None if unlisted is None else unlisted + harvest.missing,
        merged=0,
        open=0,
        seconds=seconds,
        estimate=size.rows,
        decided=run.plan.decided,
    )
    return harvest, report


def _padded(values: NDArray[np.int8], count: int) -> NDArray[np.int8]:
    padded = np.full(count, OPEN, np.int8)
    padded[: len(values)] = values
    return padded
