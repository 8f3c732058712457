"""Marginals with the names the data uses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.special import expit, logit

from knowreason.data import Dataset
from knowreason.data.arrow_types import ArrowTable
from knowreason.data.table_results import TableResult
from knowreason.errors import UnknownNameError, did_you_mean
from knowreason.explanation import Explainer
from knowreason.factors import OPEN, AtomSpan
from knowreason.factors.model_output import ModelOutput
from knowreason.grounding import Grounding
from knowreason.inference.posterior import Posterior
from knowreason.inference.quality_summary import (
    QualitySummary,
    posterior_lines,
    quality_names,
    quality_summary,
)
from knowreason.models.stacked.pool import PooledAtoms
from knowreason.notebook.cells import html_cell, html_lines, html_table, listed


@dataclass(frozen=True, repr=False)
class MarginalTable(TableResult):
    """Marginals of one predicate: its arguments by name, ``probability``, ``log_odds``.

    Example:
        >>> table = pa.table({"person": ["anna"], "probability": [0.7]})
        >>> MarginalTable(table).to_arrow().to_pylist()
        [{'person': 'anna', 'probability': 0.7}]
    """

    table: ArrowTable

    def to_arrow(self) -> ArrowTable:
        """As an Arrow table."""
        return self.table


@dataclass(frozen=True)
class Beliefs:
    r"""A posterior over a grounding, in the words of the program.

    Attributes:
        posterior: beliefs by atom index.
        grounding: the graph they are about, labels known when predicting clamped.
        outputs: what each model said.
        notes: what the user should know (drift, adaptation, engines that stepped aside).
        diagnosis: how reliable each model was in training and is today.
        unadapted: the beliefs before adaptation, where models passed channels.
        answers: by predicate, how conclusions are made of rules and models; where there is none,
            they are those of the rules.
        interval: ``float32[2, n]`` log-odds between which each conclusion lies in 95 % of
            bootstrap replicates of the weights.
        show: by domain, the fields of things that explanations show.
        adaptation: log-odds by which base rates moved, by predicate, and the share that broken
            models (with their predicates) kept of what they saw; empty where nothing was adapted.

    Example:
        >>> import knowreason as kr
        >>> program = kr.loads('domain P = {"anna"}\nquery Smokes(P)\nrule often [1] : Smokes(x)')
        >>> grounding = kr.ground(program, kr.Dataset.from_frames(program))
        >>> Beliefs(kr.infer(grounding.graph), grounding).marginals("Smokes").to_arrow().to_pylist()
        [{'p': 'anna', 'probability': 0.731..., 'log_odds': 1.0}]
    """

    posterior: Posterior
    grounding: Grounding
    outputs: tuple[ModelOutput, ...] = ()
    notes: tuple[str, ...] = field(default=())
    diagnosis: tuple[str, ...] = field(default=())
    unadapted: Beliefs | None = None
    interval: NDArray[np.float32] | None = None
    answers: Mapping[str, PooledAtoms] = field(default_factory=dict)
    show: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    adaptation: tuple[
        Mapping[str, float | NDArray[np.float64]], Mapping[tuple[str, str], float]
    ] = field(default=({}, {}))

    def __repr__(self) -> str:
        spans = self.grounding.atoms.spans
        asked = listed(f"{len(self.asked(name)):,} {name}" for name in spans)
        engines = ", ".join(dict.fromkeys(report.engine for report in self.posterior.reports))
        return f"Beliefs({asked} asked; {engines or 'nothing to infer'}; {len(self.notes)} notes)"

    def _repr_html_(self) -> str:
        rows = []
        for name in self.grounding.atoms.spans:
            _, chance = self.probabilities(name)
            likely = int((chance > 0.5).sum())
            rows.append([name, len(chance), likely, float(chance.sum()), str(self.quality(name))])
        head = ["predicate", "asked", "above 50 %", "expected true", "quality"]
        notes = html_lines([*self.notes, *self.diagnosis])
        return html_cell("Beliefs", html_table(head, rows), notes)

    @property
    def info(self) -> str:
        """Engines used, components, how good their marginals are, log Z; a few lines of text."""
        return "\n".join([*posterior_lines(self.posterior), *self.notes, *self.diagnosis])

    def quality(self, predicate: str) -> QualitySummary:
        """How good the marginals of the asked atoms of a predicate are."""
        quality = self.posterior.qualities.numpy()[self.asked(predicate)]
        return quality_summary(quality, self.posterior.reports)

    @cached_property
    def explainer(self) -> Explainer:
        """Explains these beliefs; kept, so that the second explanation is quick."""
        return Explainer(
            self.grounding,
            self.posterior,
            self.outputs,
            self.answers,
            show=self.show,
            believed=self.log_odds,
        )

    @cached_property
    def log_odds(self) -> NDArray[np.float64]:
        """``float64[n]``: conclusions about all atoms; ``posterior`` has what rules alone say."""
        return self.answer_at(self.posterior.log_odds.numpy())

    def answer_at(self, rules: NDArray[np.float64]) -> NDArray[np.float64]:
        """``float64[n]``: what the conclusions are where the rules say ``rules``."""
        log_odds = rules.astype(np.float64)
        known = self.grounding.graph.evidence.numpy() != OPEN
        for predicate, pooled in self.answers.items():
            span = self.grounding.span(predicate)
            inside = slice(span.start, span.stop)
            answer = pooled.answer(slice(None), log_odds[inside])
            log_odds[inside] = np.where(known[inside], log_odds[inside], answer)
        return log_odds

    def asked(self, predicate: str) -> NDArray[np.int64]:
        """Atoms that are asked: open, without known truth, about things in scope."""
        grounding = self.grounding
        span = _span(grounding, predicate)
        decided = grounding.graph.evidence.numpy()[span.start : span.stop] != OPEN
        inside = in_scope(grounding.data, grounding.program.sorts_of(predicate), span.arguments)
        return np.flatnonzero(~decided & inside) + span.start

    def probabilities(self, predicate: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Asked atoms of a predicate and their marginals."""
        atoms = self.asked(predicate)
        return atoms, expit(self.log_odds[atoms])

    def marginals(
        self, predicate: str, *, everything: bool = False, models: bool = False
    ) -> MarginalTable:
        """Marginals of a predicate's atoms; where not all are exact, ``quality`` says which.

        Args:
            predicate: a query or latent predicate.
            everything: also atoms whose truth is known or that are out of scope.
            models: also what each model said, those of views too: one column a model, log-odds (of
                a functional predicate, log-probabilities).

        Raises:
            UnknownNameError: for a predicate without open atoms.
        """
        span, question = _span(self.grounding, predicate), self.grounding.program.question_of
        atoms = np.arange(span.start, span.stop) if everything else self.asked(predicate)
        log_odds = self.log_odds[atoms]
        columns = argument_columns(
            self.grounding.data, predicate, span.arguments[atoms - span.start]
        )
        columns["probability"] = pa.array(expit(log_odds))
        columns["log_odds"] = pa.array(log_odds)
        if models:
            columns |= {
                output.model: pa.array(said(output, span)[atoms - span.start])
                for output in self.outputs
                if predicate in (output.predicate, question(output.predicate))
            }
        quality = quality_names(self.posterior, atoms)
        if quality is not None:
            columns["quality"] = pa.array(quality)
        if self.posterior.spread is not None:
            steepness = self.answers[predicate].pool.steepness if predicate in self.answers else 1.0
            columns["spread"] = pa.array(self.posterior.spread.numpy()[atoms] * steepness)
        if self.interval is not None:
            low, high = expit([self.answer_at(end)[atoms] for end in self.interval])
            columns |= {"low": pa.array(low), "high": pa.array(high)}
        return MarginalTable(pa.table(columns))

    def most_probable(self, predicate: str) -> MarginalTable:
        """The true atoms of the most probable world (needs the ``map`` engine)."""
        if self.posterior.world is None:
            raise UnknownNameError("no most probable world: infer with engine='map'", code="KR912")
        span = _span(self.grounding, predicate)
        atoms = self.asked(predicate)
        atoms = atoms[self.posterior.world.numpy()[atoms] == 1]
        return MarginalTable(
            pa.table(
                argument_columns(self.grounding.data, predicate, span.arguments[atoms - span.start])
            )
        )


def said(output: ModelOutput, span: AtomSpan) -> NDArray[np.float64]:
    """``float64[n]``: a model's own log-odds (log-probabilities, for a functional predicate)."""
    if np.ndim(output.base_rate) == 0 or span.functional_position is None:
        log_odds: NDArray[np.float64] = logit(output.base_rate) + output.llr.astype(np.float64)
        return log_odds
    state = span.arguments[:, span.functional_position]
    log_probability: NDArray[np.float64] = np.log(np.asarray(output.base_rate))[
        state
    ] + output.llr.astype(np.float64)
    return log_probability


def in_scope(
    data: Dataset, sorts: tuple[str, ...], arguments: NDArray[np.int32]
) -> NDArray[np.bool_]:
    """``bool[n]``: whether every thing of each row is one that is asked about."""
    inside = np.ones(len(arguments), dtype=bool)
    for position, sort in enumerate(sorts):
        if sort in data.scope:
            inside &= data.scope[sort][arguments[:, position]]
    return inside


def _span(grounding: Grounding, predicate: str) -> AtomSpan:
    spans = grounding.atoms.spans
    if predicate not in spans:
        raise UnknownNameError(
            f"no open atoms of a predicate `{predicate}`",
            code="KR912",
            help=f"it is a number, which `estimate` (`predict --predicate {predicate}`) tells"
            if grounding.program.is_number(predicate)
            else did_you_mean(predicate, spans),
        )
    return spans[predicate]


def argument_columns(
    data: Dataset, predicate: str, arguments: NDArray[np.int32]
) -> dict[str, pa.Array]:
    """Names of the things of each row (ids ``int32[n, arity]``), by argument."""
    declared = data.program.asked(predicate)
    columns: dict[str, pa.Array] = {}
    for position, argument in enumerate(declared.arguments):
        name = argument.name or argument.sort.lower()
        name = name if name not in columns else f"{name}_{position}"
        names = data.vocabularies[argument.sort].names
        columns[name] = names.take(pa.array(arguments[:, position]))
    return columns
