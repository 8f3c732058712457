"""Which predicate is asked, and what is known of the truth of its atoms."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from knowreason.beliefs.beliefs import Beliefs
from knowreason.data import Dataset
from knowreason.errors import ProjectError
from knowreason.factors import OPEN
from knowreason.logic import Program


def only_query(program: Program) -> str:
    """The query predicate, where there is only one, or the only numeric query where there is no
    predicate; raises :class:`ProjectError` KR912."""
    names = [p.name for p in program.predicates if p.kind == "query"]
    names = names or [query.name for query in program.numeric_queries]
    if len(names) != 1:
        raise ProjectError(f"say which predicate: one of {', '.join(names)}", code="KR912")
    return names[0]


def with_hidden_labels(data: Dataset) -> Dataset:
    """The data itself where some labels are held back, else with all of them hidden."""
    if any(table.num_rows for table in data.hidden.values()):
        return data
    for predicate, table in data.labels.items():
        data = data.hide(predicate, np.ones(table.num_rows, dtype=bool))
    return data


def hidden_truth(beliefs: Beliefs, predicate: str) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Asked atoms with a held-back label, and the labels."""
    atoms = beliefs.asked(predicate)
    hidden = beliefs.grounding.hidden[atoms]
    held_back = hidden != OPEN
    return atoms[held_back], hidden[held_back] == 1
