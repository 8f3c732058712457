"""``explain``: why a stored run believes what it does, and what would change it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from knowreason.beliefs.beliefs import Beliefs
from knowreason.explanation import Explanation
from knowreason.progress import Progress, step
from knowreason.project.partition import parts_of
from knowreason.project.project_tables import load_data
from knowreason.reasoner.labels.asked_labels import only_query
from knowreason.reasoner.reviews.past_cases import case_of
from knowreason.run.run_folder import load_run_on_tables

NOTHING_TURNS = "no single change of a fact or value that was tried turns it around"


@dataclass(frozen=True)
class RunExplanations:
    """Explanations with a run; ``around`` are beliefs in which the first atom is open, and its
    number there, where that was asked for."""

    found: tuple[Explanation, ...]
    around: tuple[Beliefs, int] | None = None


def explain_run(
    folder: Path,
    atoms: Sequence[str],
    directory: Path | None = None,
    *,
    top: int = 0,
    predicate: str = "",
    changes: Sequence[str] = (),
    turning: bool = False,
    around: bool = False,
    project: Path | None = None,
    progress: Progress | None = None,
) -> RunExplanations:
    """Explain atoms with a run; labelled ones as if nobody knew.

    Args:
        folder, directory, predicate, project, progress: as for :func:`predict_run`.
        atoms: such as ``Fraud("p17")``.
        top: so many of the most probable ones beside, in one batch.
        changes: of the data, what would be believed after each; as :meth:`Reasoner.what_if`.
        turning: search for single changes that turn each of ``atoms`` around.
        around: say what stands around the first of ``atoms``.
    """
    run = load_run_on_tables(folder, project)
    reasoner = run.reasoner
    with step(progress, "reading"):
        everything = load_data(run.project, reasoner.program, directory)
        parts = None if directory else parts_of(run.project, reasoner.program, everything)
    data = everything if parts is None else parts.test or everything
    with step(progress, "reasoning"):
        beliefs = reasoner.infer(data)
    training = None if parts is None else parts.train
    found = []
    for atom in atoms:
        why = reasoner.explain(beliefs, atom, training=training)
        then = reasoner.what_if(beliefs, atom, changes, training=training) if changes else ()
        turned = reasoner.what_if(beliefs, atom, training=training) if turning else ()
        notes = (*why.notes, NOTHING_TURNS) if turning and not turned else why.notes
        why = replace(why, data_changes=(*then, *turned), notes=notes)
        found.append(why)
    if top:
        name = predicate or only_query(reasoner.program)
        asked = beliefs.asked(name)
        order = np.argsort(-beliefs.log_odds[asked], kind="stable")[:top]
        with step(progress, "explaining"):
            found += beliefs.explainer.explain_many(asked[order].tolist())
    if not around:
        return RunExplanations(tuple(found))
    case = case_of(reasoner, beliefs, atoms[0], training)
    return RunExplanations(tuple(found), (case.beliefs, case.atom))
