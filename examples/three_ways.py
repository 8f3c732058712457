"""What the examples share: models alone, rules alone and both, scored on labels held back."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

import knowreason as kr
from knowreason.data import Dataset
from knowreason.data.id_tables import id_matrix
from knowreason.logic import Program
from knowreason.models import make, rows_of
from knowreason.row_keys import locate

Scores = Mapping[str, np.ndarray]


def three_ways(
    program: Program,
    past: Dataset,
    today: Dataset,
    asked: str,
    others: Mapping[str, tuple[str, Mapping[str, object]]] | None = None,
    **settings: object,
) -> dict[str, np.ndarray]:
    """Log-odds of every atom of ``asked`` in today's data, by way.

    Args:
        program: with rules and models.
        past: what is learned from.
        today: what is asked about; the same data where its labels are hidden in part.
        asked: a query predicate.
        others: further models by name, a kind and options each, that are shown alone.
        settings: of the reasoner.
    """
    rows, found = rows_of(today, asked), {}
    models = {
        m.name: (m.call.kind, dict(m.call.options)) for m in program.models if asked in m.predicates
    }
    for name, (kind, options) in {**(others or {}), **models}.items():
        fitted = make(kind, options).fit(past, asked)
        found[f"{name} alone"] = rows.by_atom(fitted.log_odds(today, asked))
    rest = tuple(m for m in program.models if asked not in m.predicates)
    fixed = {"fold_count": 3, "auto_trees": False, "threads": 1, **settings}
    for name, kept, chosen in (
        ("rules alone", replace(program, models=rest), {**fixed, "answer": "rules"}),
        ("rules and model", program, fixed),
    ):
        reasoner = kr.Reasoner(kept, settings=kr.Settings(**chosen)).fit(
            replace(past, program=kept)
        )
        beliefs = reasoner.infer(replace(today, program=kept))
        span = beliefs.grounding.span(asked)
        found[name] = np.asarray(beliefs.log_odds[span.start : span.start + span.count])
    return found


def held_back(data: Dataset, asked: str) -> tuple[np.ndarray, np.ndarray]:
    """Atoms whose label is hidden (`int64[n]`) and those labels (`bool[n]`)."""
    rows, table = rows_of(data, asked), data.hidden[asked]
    if rows.classes is None:
        return locate(rows.things, id_matrix(table)), table["value"].to_numpy() == 1
    of_atom = np.column_stack([rows.things[rows.row_of_atom], rows.state_of_atom])
    return locate(of_atom, id_matrix(table)), table["value"].to_numpy() == 1


def ranked(scores: Scores, data: Dataset, asked: str) -> dict[str, dict[str, float]]:
    """Average precision and AUC over the labels held back."""
    atoms, truth = held_back(data, asked)
    return {
        name: {
            "AP": float(average_precision_score(truth, score[atoms])),
            "AUC": float(roc_auc_score(truth, score[atoms])),
        }
        for name, score in scores.items()
    }


def chosen(scores: Scores, data: Dataset, asked: str) -> dict[str, np.ndarray]:
    """State of the highest score of each row (`int64[rows]`) of a functional predicate."""
    rows = rows_of(data, asked)
    found = {}
    for name, score in scores.items():
        table = np.full((rows.count, rows.states), -np.inf)
        table[rows.row_of_atom, rows.state_of_atom] = score
        found[name] = table.argmax(axis=1)
    return found


def show(title: str, figures: Mapping[str, Mapping[str, float]]) -> None:
    """Print figures as a table, and the seconds since the start of the process."""
    columns = list(next(iter(figures.values())))
    width = max(len(name) for name in (*figures, title)) + 2
    print(f"\n{title:{width}}" + "".join(f"{column:>18}" for column in columns))
    for name, row in figures.items():
        print(f"{name:{width}}" + "".join(f"{row[column]:18.3f}" for column in columns))
    print(f"{time.process_time():.0f} seconds of CPU")
