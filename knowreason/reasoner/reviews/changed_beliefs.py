"""What is believed of one atom where the data differ in a little, without reading all of them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from knowreason.beliefs.beliefs import Beliefs
from knowreason.data import Dataset
from knowreason.errors import ModelError
from knowreason.factors.kernel_decorators import kernels_loaded
from knowreason.grounding.arrays.array_context import in_arrays, remember_arrays
from knowreason.grounding.arrays.array_tables import BeyondArrays
from knowreason.grounding.arrays.scope_steps import FormulaScopes
from knowreason.logic import Program
from knowreason.monitor.adaptation import Outputs
from knowreason.reasoner.reviews.data_edits import Edit, edited, ids_of
from knowreason.reasoner.serving.server import Server

APART = 0.02  # log-odds by which a part of the data may differ from all of them
Heard = Callable[[Outputs, Dataset], Outputs]


@dataclass
class ChangedBeliefs:
    """Beliefs in one atom on changed data.

    Where models judge atoms by their own columns, only the rows that can matter to the atom are
    read, as a :class:`.Server` does, once it was seen that they give the same belief. Otherwise
    all data are judged again for each change.

    Args:
        reasoner: fitted.
        beliefs: about the data as they are.
        data: these.
        predicate, names: the atom.
        expected: log-odds that a part of the data must give to stand for all; ``None``: any.
        heard: what becomes of the models' outputs about a part of the data.
    """

    reasoner: Any
    beliefs: Beliefs
    data: Dataset
    predicate: str
    names: tuple[str, ...]
    expected: float | None = None
    heard: Heard | None = None
    _arrays_suffice: bool = field(default=True, init=False)

    def now(self) -> Beliefs:
        """On the data as they are: about the part that matters, or all of them."""
        return self._around if self._around is not None else self._about(self.data)

    def after(self, edit: Edit) -> Beliefs:
        """Where one thing is changed."""
        ids_of(self.data, edit)
        if self._around is None:
            return self._about(edited(self.data, edit))
        if _reads_no_more(self.data.program, edit):
            part = self._around.grounding.data
            if _knows(part, edit):
                return self._judged(edited(part, edit))
            return self._around  # it is about things that do not matter
        server = Server(self.reasoner, edited(self.data, edit))
        return self._judged(server.slice({}, things=self._things))

    def log_odds(self, beliefs: Beliefs) -> float:
        """Of the atom."""
        return float(beliefs.log_odds[self.atom(beliefs)])

    def atom(self, beliefs: Beliefs) -> int:
        """Its number there."""
        return beliefs.grounding.atom_index(self.predicate, *self.names)

    @property
    def _things(self) -> dict[str, dict[str, list[str]]]:
        sorts = self.data.program.sorts_of(self.predicate)
        found: dict[str, list[str]] = {}
        for sort, name in zip(sorts, self.names, strict=True):
            if not self.data.vocabularies[sort].enumerated:
                found.setdefault(sort, []).append(name)
        return {sort: {"thing": list(dict.fromkeys(names))} for sort, names in found.items()}

    @cached_property
    def _scopes(self) -> FormulaScopes:
        return FormulaScopes(self.data.program)

    @cached_property
    def _around(self) -> Beliefs | None:
        """Beliefs about the rows that can matter to the atom; ``None`` where that is no help."""
        if not self._things:
            return None
        try:
            server = Server(self.reasoner, self.data)
        except ModelError:  # a model that sees more than an atom's own columns
            return None
        around = self._judged(server.slice({}, things=self._things))
        if self.expected is not None and abs(self.log_odds(around) - self.expected) > APART:
            return None
        return around

    def _judged(self, part: Dataset) -> Beliefs:
        """Beliefs about a part, in arrays where they suffice: where they did not, they are not
        tried again for data that differ in a little."""
        if self._arrays_suffice:
            with suppress(BeyondArrays), in_arrays(self._scopes), kernels_loaded():
                beliefs = self._about(part)
                remember_arrays(part)
                return beliefs
            self._arrays_suffice = False
        return self._about(part)

    def _about(self, data: Dataset) -> Beliefs:
        quick = copy.copy(self.reasoner)
        quick.settings = replace(self.reasoner.settings, hard_violations="drop", threads=1)
        heard = None
        if self.heard is not None:
            own = self.heard
            heard = lambda outputs: own(outputs, data)  # noqa: E731
        beliefs: Beliefs = quick.infer_as(data, self.beliefs, heard)
        return beliefs


def _reads_no_more(program: Program, edit: Edit) -> bool:
    """Whether no row comes to matter by a change that did not before: a fact fewer, or another
    number or text, which nothing is joined by."""
    attribute = next((a for a in program.attributes if a.name == edit.name), None)
    if attribute is not None:
        return not any(domain.name == attribute.sort for domain in program.domains)
    observed = any(p.name == edit.name and not p.is_open for p in program.predicates)
    return observed and edit.value is False


def _knows(part: Dataset, edit: Edit) -> bool:
    sorts = part.program.sorts_of(edit.name)
    return all(
        name == "_" or name in part.vocabularies[sort]
        for name, sort in zip(edit.things, sorts, strict=True)
    )


def heard_at(
    values: Mapping[tuple[str, str], float], predicate: str, names: tuple[str, ...]
) -> Heard:
    """Outputs in which models say something else of one atom.

    Args:
        values: log-likelihood ratios by model and predicate.
        predicate, names: the atom.
    """

    def heard(outputs: Outputs, data: Dataset) -> Outputs:
        from knowreason.models import atoms_of

        changed = []
        for output in outputs:
            said = values.get((output.model, output.predicate))
            if said is not None and output.predicate == predicate:
                things = atoms_of(data, predicate).arguments
                row = _row(data, predicate, names, things)
                if row >= 0:
                    llr = output.llr.copy()
                    llr[row] = said
                    output = replace(output, llr=llr)
            changed.append(output)
        return tuple(changed)

    return heard


def _row(data: Dataset, predicate: str, names: tuple[str, ...], things: NDArray[np.integer]) -> int:
    sorts = data.program.sorts_of(predicate)
    ids = [data.vocabularies[s].find(n) for s, n in zip(sorts, names, strict=True)]
    rows = np.flatnonzero((things == np.array(ids)).all(axis=1))
    return int(rows[0]) if len(rows) else -1
