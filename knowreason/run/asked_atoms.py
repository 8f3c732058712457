"""How many atoms a prediction answers, whose truth was known, and of which nothing is known."""

from __future__ import annotations

from dataclasses import astuple, dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from knowreason.beliefs.beliefs import Beliefs, in_scope
from knowreason.data import Dataset
from knowreason.data.id_tables import VALUE, id_columns
from knowreason.diagnostics import Diagnostic
from knowreason.factors import OPEN


@dataclass(frozen=True)
class AskedAtoms:
    """Atoms of a predicate about the things in question, or settings of a numeric query.

    Attributes:
        asked: those that were answered.
        labelled: those whose truth is known, which are not.
        unseen: those of the asked that are about a thing which no fact, feature, score or edge
            mentions: what is said of them is the base rate.
    """

    asked: int = 0
    labelled: int = 0
    unseen: int = 0

    def __add__(self, other: AskedAtoms) -> AskedAtoms:
        return AskedAtoms(
            *(one + two for one, two in zip(astuple(self), astuple(other), strict=True))
        )

    def __str__(self) -> str:
        return f"{self.asked:,} asked, {self.labelled:,} labelled, {self.unseen:,} unseen"

    def finding(self, predicate: str, things: str) -> Diagnostic | None:
        """What to do where nothing was asked; ``things`` says how many there are."""
        if self.asked:
            return None
        if self.labelled:
            message = f"nothing is asked of `{predicate}`: all {self.labelled:,} atoms are labelled"
            help = "`--labelled` scores them as if they were not"
        else:
            message = f"nothing is asked of `{predicate}`: there are {things}"
            help = "look at the tables (--data), [split] test, and what the predicate is `within`"
        return Diagnostic("KR912", message, help=help)


def asked_atoms(beliefs: Beliefs, predicate: str) -> AskedAtoms:
    """Counts of a predicate that has open atoms, or had before their truth was known."""
    grounding = beliefs.grounding
    span = grounding.atoms.spans.get(predicate)
    if span is None:
        return AskedAtoms()
    data, sorts = grounding.data, grounding.program.sorts_of(predicate)
    inside = in_scope(data, sorts, span.arguments)
    known = grounding.graph.evidence.numpy()[span.start : span.stop] != OPEN
    asked = beliefs.asked(predicate)
    arguments = span.arguments[asked - span.start]
    return AskedAtoms(len(asked), int((known & inside).sum()), _unseen(data, sorts, arguments))


def asked_settings(data: Dataset, query: str, asked: int) -> AskedAtoms:
    """Counts of a numeric query of which so many settings were estimated."""
    return AskedAtoms(asked, data.labels[query].num_rows if query in data.labels else 0)


def things_of(data: Dataset, predicate: str) -> str:
    """How many things there are of the domains of a predicate, in words."""
    sorts = dict.fromkeys(data.program.sorts_of(predicate))
    counts = (f"{int(data.in_scope(sort).sum()):,} `{sort}` in question" for sort in sorts)
    return " and ".join(counts) or "no arguments"


def _unseen(data: Dataset, sorts: tuple[str, ...], arguments: NDArray[np.int32]) -> int:
    unseen = np.zeros(len(arguments), np.bool_)
    for place, sort in enumerate(sorts):
        if not data.vocabularies[sort].enumerated:
            unseen |= ~_mentioned(data, sort)[arguments[:, place]]
    return int(unseen.sum())


def _mentioned(data: Dataset, domain: str) -> NDArray[np.bool_]:
    """``bool[n]``: things that a fact, attribute, feature, score or edge mentions."""
    found = np.zeros(data.count(domain), np.bool_)
    program = data.program
    values = {a.name for a in program.given_attributes if a.sort == domain}
    for name, table in (*data.facts.items(), *data.attributes.items()):
        for sort, ids in zip(program.sorts_of(name), id_columns(table), strict=True):
            if sort == domain:
                found[ids] = True
        if name in values:
            found[np.asarray(pc.drop_null(table.column(VALUE)))] = True
    if domain in data.features:
        found |= ~np.isnan(data.features[domain].values).all(axis=1)
    for name, scores in data.scores.items():
        for place, sort in enumerate(program.sorts_of(name)):
            if sort == domain:
                found[scores.arguments[:, place]] = True
    for edges in data.graph.relations if data.graph is not None else ():
        ends = (
            (edges.source_domain, edges.source),
            (edges.target_domain, edges.target),
            (edges.key_domain, edges.key),
        )
        for of, end in ends:
            if of == domain and end is not None:
                found[end] = True
    return found


def with_labels_column(table: pa.Table, truth: pa.Array) -> pa.Table:
    """The rows with what their labels say: null where there is none."""
    name = "label"
    while name in table.column_names:
        name += "_"
    return table.append_column(name, truth)
