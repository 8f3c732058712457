"""Labelled atoms as if nobody knew: what would have been said of a case that is decided."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from knowreason.beliefs.beliefs import Beliefs
from knowreason.beliefs.reasons import atom_index, explain_index
from knowreason.data import Dataset
from knowreason.explanation import Explanation
from knowreason.factors import OPEN
from knowreason.models import atoms_of
from knowreason.reasoner.reviews.changed_beliefs import ChangedBeliefs, heard_at
from knowreason.reasoner.reviews.data_edits import unlabelled
from knowreason.row_keys import locate

SEEN = "models that learned from its label are asked as they are: what was learned from is not here"


@dataclass(frozen=True)
class Case:
    """An atom, what is believed of it without its own label, and how to ask again.

    Attributes:
        beliefs, atom: beliefs in which the atom is open, and its number there.
        changed: asks again on other data.
        label: what was known of it; ``None`` where nothing was.
        notes: what the reader should know.
    """

    beliefs: Beliefs
    atom: int
    changed: ChangedBeliefs
    label: bool | None = None
    notes: tuple[str, ...] = ()


def case_of(reasoner: Any, beliefs: Beliefs, text: str, training: Dataset | None = None) -> Case:
    """The case of an atom written in ``text``.

    Args:
        reasoner: fitted.
        beliefs: of it.
        text: a ground atom.
        training: what was learned from.
    """
    atom = atom_index(beliefs, text)
    grounding = beliefs.grounding
    span = grounding.atoms.owner(atom)
    assert span is not None
    predicate, data = span.predicate, grounding.data
    ids = span.arguments[atom - span.start].tolist()
    names = tuple(
        data.vocabularies[sort].name(thing)
        for sort, thing in zip(grounding.program.sorts_of(predicate), ids, strict=True)
    )
    if int(grounding.graph.evidence[atom]) == OPEN:
        expected = float(beliefs.log_odds[atom])
        changed = ChangedBeliefs(reasoner, beliefs, data, predicate, names, expected)
        return Case(beliefs, atom, changed)
    hidden, label = unlabelled(data, predicate, ids)
    if label is None:  # rules or another label decide it
        return Case(beliefs, atom, ChangedBeliefs(reasoner, beliefs, data, predicate, names))
    if training is None and hasattr(reasoner, "grounding_"):
        training = reasoner.grounding_.data
    said, notes = _out_of_fold(reasoner, training, predicate, names)
    heard = heard_at(said, predicate, names) if said else None
    changed = ChangedBeliefs(reasoner, beliefs, hidden, predicate, names, None, heard)
    around = changed.now()
    return Case(around, changed.atom(around), changed, label, notes)


def explain_case(
    reasoner: Any, beliefs: Beliefs, text: str, training: Dataset | None = None, **options: int
) -> Explanation:
    """The explanation of :meth:`Reasoner.explain`."""
    atom = atom_index(beliefs, text)
    if int(beliefs.grounding.graph.evidence[atom]) == OPEN:
        return explain_index(beliefs, atom, **options)
    case = case_of(reasoner, beliefs, text, training)
    found = explain_index(case.beliefs, case.atom, **options)
    (fields,) = beliefs.explainer.fields([atom])  # all of them: the case may be a part of the data
    return replace(found, label=case.label, notes=(*found.notes, *case.notes), fields=fields)


def _out_of_fold(
    reasoner: Any, training: Dataset | None, predicate: str, names: tuple[str, ...]
) -> tuple[dict[tuple[str, str], float], tuple[str, ...]]:
    """What models said of the atom that had not seen its label, by model and predicate."""
    learned = [
        model
        for model in (*reasoner.models_, *reasoner.answers_.beside)
        if model.predicate == predicate and model.fitted.learned_from_labels
    ]
    if not learned:
        return {}, ()
    if training is None:
        return {}, (SEEN,)
    sorts = training.program.sorts_of(predicate)
    ids = [training.vocabularies[s].find(n) for s, n in zip(sorts, names, strict=True)]
    arguments = atoms_of(training, predicate).arguments
    row = int(locate(arguments, np.array([ids], arguments.dtype))[0]) if min(ids) >= 0 else -1
    if row < 0:  # labelled since
        return {}, ()
    said = {}
    for model in learned:
        fitted = model.fitted
        if len(fitted.output.llr) != len(arguments):
            return {}, (SEEN,)
        if fitted.out_of_fold[row]:
            said[model.name, predicate] = float(fitted.output.llr[row])
    return said, ()
