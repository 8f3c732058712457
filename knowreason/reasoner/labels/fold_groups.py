"""Which labelled rows belong together, and how folds are dealt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from knowreason.data import Dataset
from knowreason.data.splits.attribute_groups import group_codes
from knowreason.errors import DataError
from knowreason.factors.components.connected import components
from knowreason.grounding import Grounding
from knowreason.logic import Program
from knowreason.models.base.predicate_rows import atoms_of, rows_of

TIES = "groups of rows that rules tie together"


def fold_kind(program: Program, predicate: str) -> str:
    """``forward`` where definitions read labels and atoms of the predicate have a clock, else
    ``grouped``."""
    clocked = any(program.clock_of(sort) for sort in program.sorts_of(predicate))
    return "forward" if clocked and program.label_readers else "grouped"


@dataclass(frozen=True)
class FoldGroups:
    """Atoms that share a cause: no fold may tell them apart, or its model knows the answer.

    Attributes:
        atoms: ``int64[n]`` by predicate: atoms of one number belong together.
        named: what the groups are; empty where they are ties by rules.
    """

    atoms: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    named: str = ""

    @staticmethod
    def by(grounding: Grounding, clusters: str) -> FoldGroups:
        """Groups by the attribute ``clusters``; where that is empty, by what rules tie to each
        other: a hub's payments, a chain's links."""
        if clusters:
            codes = label_clusters(grounding, clusters)
        else:
            component, count = components(grounding.graph)
            alone = count + np.arange(len(component))
            codes = np.where(component >= 0, component, alone).astype(np.int64)
        spans = grounding.atoms.spans.items()
        return FoldGroups({p: codes[span.start : span.stop] for p, span in spans}, clusters)

    @staticmethod
    def of_numbers(data: Dataset, clusters: str) -> FoldGroups:
        """Settings of numeric queries by the attribute ``clusters``, where they are about such
        things; rules tie none of them, and each other one is alone."""
        if not clusters:
            return FoldGroups()
        codes, domain = group_codes(data, clusters)
        atoms: dict[str, NDArray[np.int64]] = {}
        for query in data.program.numeric_queries:
            if domain in query.sorts:
                arguments = atoms_of(data, query.name).arguments
                code = codes[arguments[:, query.sorts.index(domain)]]
                alone = codes.max(initial=-1) + 1 + np.arange(len(code))
                atoms[query.name] = np.where(code >= 0, code, alone)
        return FoldGroups(atoms, clusters)

    def of(self, data: Dataset, predicate: str) -> tuple[NDArray[np.int64] | None, str]:
        """``int64[n_rows]`` for the rows of a predicate, ``None`` where each is alone, and what
        the groups are called.

        Rules that tie more than half of the labelled rows to each other make no groups.
        """
        if predicate not in self.atoms:
            return None, "rows"
        rows = rows_of(data, predicate)
        group = np.zeros(rows.count, np.int64)
        group[rows.row_of_atom] = self.atoms[predicate]
        labelled = np.unique(group[rows.labelled], return_counts=True)[1]
        if self.named:
            return group, f"values of `{self.named}`"
        if len(labelled) == len(rows.labelled) or 2 * labelled.max() > len(rows.labelled):
            return None, "rows"
        return group, TIES


def label_clusters(grounding: Grounding, attribute: str) -> NDArray[np.int64]:
    """``int64[n]``: atoms of things with one value of the attribute share a number.

    Raises:
        DataError: KR519 where no query predicate speaks of such things.
    """
    codes, domain = group_codes(grounding.data, attribute)
    clusters: NDArray[np.int64] = codes.max(initial=-1) + 1 + np.arange(grounding.graph.atom_count)
    labels_concerned = any(domain in q.sorts for q in grounding.program.numeric_queries)
    for predicate, span in grounding.atoms.spans.items():
        sorts = grounding.program.sorts_of(predicate)
        if domain in sorts:
            code = codes[span.arguments[:, sorts.index(domain)]]
            own = clusters[span.start : span.stop]
            clusters[span.start : span.stop] = np.where(code >= 0, code, own)
            labels_concerned = True
    if not labels_concerned:
        raise DataError(f"clusters by `{attribute}`: no label is about {domain}", code="KR519")
    return clusters
