"""Every declared model cross-fitted for its predicates, or taken from where it was fitted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from knowreason.data import Dataset
from knowreason.errors import KnowreasonError, ModelError
from knowreason.logic import ModelDeclaration, Program
from knowreason.models import KnowledgeModel
from knowreason.models.base.crossfit import Deploy
from knowreason.models.base.predicate_rows import rows_of
from knowreason.models.base.stored_models import (
    FittedModel,
    folder_name,
    is_finished,
    load_fitted,
    save_fitted,
    stored_fingerprint,
)
from knowreason.progress import Progress
from knowreason.project.settings import Options
from knowreason.reasoner.fitting.fingerprints import (
    GROUPS,
    DataParts,
    Fingerprint,
    dealt_parts,
    differences,
    model_parts,
)
from knowreason.reasoner.fitting.model_fit import ModelFit, made
from knowreason.reasoner.fitting.model_pool import fit_in_processes
from knowreason.reasoner.labels.fold_groups import FoldGroups, fold_kind

UNKNOWN = "nothing says what it was fitted on"


def fit_models(
    program: Program,
    data: Dataset,
    options: Mapping[str, Options | KnowledgeModel],
    *,
    folds: str,
    fold_count: int,
    seed: int,
    device: str,
    deploy: Deploy = "auto",
    groups: FoldGroups | None = None,
    checkpoints: Path | None = None,
    known: Path | None = None,
    threads: int = 1,
    progress: Progress | None = None,
) -> tuple[FittedModel, ...]:
    """Cross-fit every declared model for each of its predicates.

    A fit that is in ``checkpoints`` or ``known`` is taken where its fingerprint is that of the fit
    to be made; what differs is said. Two or more long fits (:attr:`ModelFit.is_long`) are made on
    one thread each, in up to ``threads`` processes, so that what comes out does not depend on
    ``threads``.

    Args:
        program: declares the models.
        data: visible labels are learned from.
        options: by model name: options over those of the rule file, or a ready model.
        folds: ``grouped``, ``random``, ``forward`` or ``group:ATTRIBUTE``; empty: forward where
            definitions read labels and atoms have a clock, else grouped.
        fold_count: how many folds at most.
        seed, device: handed to models that take them.
        deploy: ``auto``, ``mean`` or ``refit``; see :func:`knowreason.models.cross_fit`.
        groups: rows that no fold tells apart; each row on its own where there are none.
        checkpoints: folder where finished fits are kept.
        known: folder of fits of another run.
        threads: most processes.
        progress: ``progress(done, total, message)``.

    Raises:
        ModelError: as the models do; KR872 where a process ends before its fit.
    """
    fit_of = partial(
        _fit,
        DataParts(data),
        groups or FoldGroups(),
        fold_count=fold_count,
        deploy=deploy,
        seed=seed,
        device=device,
    )
    fits = [
        fit_of(
            one,
            predicate,
            options.get(one.name),
            folds or fold_kind(program, program.question_of(predicate)),
        )
        for one in program.models
        for predicate in one.predicates
    ]
    found: dict[int, FittedModel] = {}

    def keep(number: int, model: FittedModel) -> None:
        found[number] = model
        if checkpoints is not None:
            save_fitted(model, checkpoints / folder_name(model.name, model.predicate))

    for number, fit in enumerate(fits):
        taken = _taken(fit, checkpoints, known)
        if isinstance(taken, FittedModel):
            keep(number, taken)
            if progress is not None:
                progress(1, 1, f"{fit.name}: {taken.origin}")
        elif taken:
            fits[number] = replace(fit, origin=taken)
            if progress is not None:
                progress(0, 0, f"{fit.name}: {taken}")
    missing = [number for number in range(len(fits)) if number not in found]
    long = [number for number in missing if fits[number].is_long]
    if len(long) < 2:
        long = []
    for number in missing:
        if number not in long:
            keep(number, fits[number](progress))
    together = {number: replace(fits[number], one_thread=True) for number in long}
    if threads > 1 and together:
        fit_in_processes(together, threads, keep, progress)
    else:
        for number, fit in together.items():
            keep(number, fit(progress))
    return tuple(found[number] for number in range(len(fits)))


def _fit(
    parts: DataParts,
    grouping: FoldGroups,
    declaration: ModelDeclaration,
    predicate: str,
    options: Options | KnowledgeModel | None,
    folds: str,
    *,
    fold_count: int,
    deploy: Deploy,
    seed: int,
    device: str,
) -> ModelFit:
    """The fit to be made, with its fingerprint."""
    data = parts.data
    question = data.program.question_of(predicate)  # a view is learned as what it sees
    kind = folds or fold_kind(data.program, question)
    group, groups_are = grouping.of(data, question)
    model = made(declaration, options, seed, device)
    try:
        fingerprint = model_parts(model) | parts.of_model(model, question)
        fingerprint |= {"folds": kind, "fold_count": str(fold_count), "deploy": deploy}
        fingerprint |= {"seed": str(seed), **dealt_parts(data, question, kind, group, groups_are)}
    except ModelError:  # an option that is no plain value, of which nobody can tell what it does
        fingerprint = {}
    return ModelFit(
        declaration,
        predicate,
        options,
        data,
        kind,
        fold_count,
        group,
        groups_are,
        deploy,
        seed,
        device,
        fingerprint,
    )


def _taken(fit: ModelFit, checkpoints: Path | None, known: Path | None) -> FittedModel | str:
    """The fit from the first place that has it, else why not; empty where nobody asked."""
    why = f"fitted: there is none in `{known.parent}`" if known is not None else ""
    for place in (checkpoints, known):
        folder = place and place / folder_name(fit.declaration.name, fit.predicate)
        if place is None or folder is None or not is_finished(folder):
            continue
        try:
            before = stored_fingerprint(folder)
            differs = differences(fit.fingerprint, before)
            if not before or not fit.fingerprint:
                differs = (UNKNOWN,)
            origin = f"taken from `{place.parent}`"
            if not differs:
                model = load_fitted(folder)
                fitted = model.fitted  # a run keeps the population's base rate beside the ratios
                output = replace(fitted.output, base_rate=fitted.model.base_rate_)
                return replace(model, fitted=replace(fitted, output=output), origin=origin)
            again = _calibrated_again(fit, before, folder)
            if again is not None:
                origin = f"{origin} and calibrated again: {'; '.join(differs)}"
                return replace(again, origin=origin)
        except (KnowreasonError, OSError, ValueError) as error:
            differs = (f"it cannot be read ({error})",)
        why = f"fitted again, not taken from `{place.parent}`: {'; '.join(differs)}"
    return why


def _calibrated_again(fit: ModelFit, before: Fingerprint, folder: Path) -> FittedModel | None:
    """The stored fit where all that differs is which rows depend on each other, and no fold was
    dealt by that; else ``None``."""
    if fit.kind != "random" or _without_groups(fit.fingerprint) != _without_groups(before):
        return None
    model = load_fitted(folder)
    if model.fitted.scores is None:
        return None
    rows = rows_of(fit.data, fit.question)
    groups = np.arange(rows.count) if fit.groups is None else fit.groups
    final = model.fitted.model
    fitted = model.fitted.scores.calibrated(final, fit.data, rows, model.name, groups)
    return fit.finished(fitted, model.origin)


def _without_groups(parts: Fingerprint) -> Fingerprint:
    return {part: value for part, value in parts.items() if not part.startswith(GROUPS)}
