"""One fit of a model for a predicate: all it takes, so that any process can make it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from knowreason.data import Dataset
from knowreason.logic import ModelDeclaration
from knowreason.models import MODELS, KnowledgeModel, cross_fit, make
from knowreason.models.base.crossfit import CrossFit, Deploy
from knowreason.models.base.model_options import options_table
from knowreason.models.base.stored_models import FittedModel
from knowreason.progress import Progress
from knowreason.project.settings import Options
from knowreason.reasoner.fitting.fingerprints import Fingerprint
from knowreason.reasoner.fitting.numeric_fits import cross_fit_numbers

LONG = 3_000_000  # visits: six fits of them take some 25 s of a core, a process 5 to 7 to start


@dataclass(frozen=True)
class ModelFit:
    """One fit to be made: a model, a predicate, and how rows are dealt to folds.

    Attributes:
        declaration, predicate: which model, of what.
        options: over those of the rule file, or a ready model.
        data: visible labels are learned from.
        kind, fold_count, groups, groups_are, deploy, seed: as
            :func:`knowreason.models.cross_fit` takes them.
        device: handed to models that take it.
        fingerprint: of all that; empty where a part cannot be told.
        origin: why the fit was not taken from elsewhere.
        one_thread: whether it is made on one thread.
    """

    declaration: ModelDeclaration
    predicate: str
    options: Options | KnowledgeModel | None
    data: Dataset
    kind: str
    fold_count: int
    groups: NDArray[np.int64] | None
    groups_are: str
    deploy: Deploy
    seed: int
    device: str
    fingerprint: Fingerprint
    origin: str = ""
    one_thread: bool = False

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"{self.declaration.name} for {self.predicate}"

    @property
    def question(self) -> str:
        """Whose labels are learned from: the predicate, or what it sees where it is a view."""
        return self.data.program.question_of(self.predicate)

    def make(self) -> KnowledgeModel:
        """A new, unfitted model."""
        return made(self.declaration, self.options, self.seed, self.device)

    @property
    def is_long(self) -> bool:
        """Whether the fit takes longer than the start of a process: by the model's options and how
        many labels and edges there are, never by the clock."""
        return self.make().visits(self.data, self.question) >= LONG

    def __call__(self, progress: Progress | None = None) -> FittedModel:
        """Make it."""
        with one_thread(self.one_thread):
            numeric = self.data.program.is_number(self.predicate)
            fitted = (cross_fit_numbers if numeric else cross_fit)(
                self.make,
                self.data,
                self.question,
                name=self.declaration.name,
                folds=self.fold_count,
                kind=self.kind,
                groups=self.groups,
                groups_are=self.groups_are,
                deploy=self.deploy,
                seed=self.seed,
                progress=progress,
            )
        return self.finished(fitted, self.origin)

    def finished(self, fitted: CrossFit, origin: str) -> FittedModel:
        """The fitted model, which speaks of the predicate that declares it."""
        output = replace(fitted.output, predicate=self.predicate)
        fitted = replace(fitted, output=output)
        return FittedModel(self.declaration.name, self.predicate, fitted, self.fingerprint, origin)


def made(
    declaration: ModelDeclaration,
    options: Options | KnowledgeModel | None,
    seed: int,
    device: str,
) -> KnowledgeModel:
    """A new model as it is declared, with options over those of the rule file."""
    if isinstance(options, KnowledgeModel):
        return make(options)
    accepted = options_table(MODELS[declaration.call.kind])
    given = {"seed": seed, "device": device}
    common = {name: value for name, value in given.items() if name in accepted}
    written = dict(declaration.call.options)
    return make(
        declaration.call,
        {name: value for name, value in common.items() if name not in written}
        | dict(options or {}),
    )


@contextmanager
def one_thread(wanted: bool = True) -> Iterator[None]:
    """Within it, torch, BLAS and OpenMP compute on one thread, as they do in a process of many:
    sums in another order differ in the last bits."""
    if not wanted:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(before)
