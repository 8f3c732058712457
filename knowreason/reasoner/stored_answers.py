"""How conclusions are made, on disk: ``answers.json``, and weights that are not learned ones."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from knowreason.models.base.stored_models import FittedModel, folder_name, load_fitted
from knowreason.models.stacked.pool import Pool
from knowreason.reasoner.answers import Answers
from knowreason.reasoner.stored_fit import load_fit, save_fit

FILE, WEIGHTS = "answers.json", "weights"


def save_answers(answers: Answers, folder: Path) -> None:
    """Write ``answers.json``, and ``weights/`` where they are not the learned ones."""
    document = {
        "pools": [pool.to_values() for pool in answers.pools],
        "beside": [[model.name, model.predicate] for model in answers.beside],
        "boosted": [[model.name, model.predicate] for model in answers.boosted],
        "weights": answers.weights is not None,
        "notes": answers.notes,
        "share": answers.share,
    }
    (folder / FILE).write_text(json.dumps(document, indent=1), encoding="utf-8")
    if answers.weights is not None:
        (folder / WEIGHTS).mkdir(exist_ok=True)
        save_fit(answers.weights, folder / WEIGHTS)


def load_answers(folder: Path) -> Answers:
    """What :func:`save_answers` wrote; models beside the program's are read from ``models/``."""
    document = json.loads((folder / FILE).read_text(encoding="utf-8"))

    def stored(names: Iterable[tuple[str, str]]) -> tuple[FittedModel, ...]:
        models = folder / "models"
        return tuple(load_fitted(models / folder_name(*named)) for named in names)

    return Answers(
        load_fit(folder / WEIGHTS) if document["weights"] else None,
        tuple(Pool.from_values(values) for values in document["pools"]),
        stored(document["beside"]),
        stored(document.get("boosted", ())),
        tuple(document["notes"]),
        float(document.get("share", not document["weights"])),  # runs stored before it was kept
    )
