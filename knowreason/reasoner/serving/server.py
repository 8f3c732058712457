"""New events judged one after the other on a history that is kept ready."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from knowreason.beliefs.beliefs import Beliefs
from knowreason.data import Dataset
from knowreason.data.binding.frames import TableLike
from knowreason.data.binding.id_coverage import KINDS, of_a_part
from knowreason.errors import DataError, DataWarning, ModelError
from knowreason.factors.kernel_decorators import kernels_loaded
from knowreason.grounding.arrays.array_context import in_arrays, remember_arrays
from knowreason.grounding.arrays.array_tables import BeyondArrays
from knowreason.grounding.arrays.running_totals import CountedRows, Running
from knowreason.grounding.arrays.scope_steps import FormulaScopes
from knowreason.reasoner.serving.history_state import HistoryState
from knowreason.reasoner.serving.kept_parts import counted_rows
from knowreason.reasoner.serving.kept_tables import Ids, Kept
from knowreason.reasoner.serving.program_lookups import Lookups
from knowreason.reasoner.serving.reached_rows import Reached
from knowreason.reasoner.serving.slices import grown_features, slice_of


class Server:
    """A fitted reasoner beside a history: what new events are believed to be, and why.

    What is believed is what :meth:`Reasoner.infer` believes on the history with the events in it.
    Only rows that can change it are read: those that definitions, models and rules join with the
    events, through all atoms that are tied to theirs and whose truth is not known. They are found
    by sorted ids, so that an event costs what it touches, not what there is. A rule or definition
    that joins by nothing but a comparison (``at(f) < at(e)``) touches everything.

    Hard rules that labels break are counted and dropped, and no drift is looked for: that takes a
    period, not an event.

    Several threads may ask while one adds.

    Args:
        reasoner: fitted.
        history: what is known so far, or the folder in which :meth:`save` stored that.

    Raises:
        NotFittedError: before :meth:`Reasoner.fit`.
        ModelError: KR885 for a model that sees more than an atom's own columns.
        ProjectError: KR939 for a folder without a state of this program.

    >>> import knowreason as kr
    >>> program = kr.loads('''domain Pay
    ... domain Card
    ... observed Pays(Pay, card: Card)
    ... attribute card(Pay): Card
    ... attribute at(Pay): time clock
    ... query Fraud(Pay)
    ... define n(p) := count { q : Pays(q, card(p)) & at(q) < at(p) }
    ... rule seldom [-2] : Fraud(p)
    ... rule new    [1]  : n(p) = 0 => Fraud(p)''')
    >>> pays = {"p": ["p1"], "c": ["c1"]}
    >>> facts = {"Pays": pays, "card": pays, "at": {"p": ["p1"], "t": ["2024-01-01"]}}
    >>> history = kr.Dataset.from_frames(program, facts=facts)
    >>> server = kr.Reasoner(program).fit(history).serve(history)
    >>> pays = {"p": ["p2"], "c": ["c1"]}
    >>> event = {"Pays": pays, "card": pays, "at": {"p": ["p2"], "t": ["2024-01-02"]}}
    >>> server.score(event).marginals("Fraud").to_arrow().column(0).to_pylist()
    ['p2']
    """

    def __init__(self, reasoner: Any, history: Dataset | Path | str) -> None:
        learned = reasoner.learned()
        models = (*learned.models, *learned.answers.beside, *learned.answers.boosted)
        program, state = reasoner.program, None
        if isinstance(history, Dataset):
            program = program if history.program == program else history.program
            self._scopes = FormulaScopes(program, only_open=True)
            began = replace(history, program=program)
        else:
            self._scopes = FormulaScopes(program, only_open=True)
            state = HistoryState.opened(self._scopes, Path(history))
            began = state.kept.data
        for model in (*models, *learned.estimates):
            _refuse(model.fitted.model, model.name, began)
        if learned.estimates:
            raise ModelError(
                "numeric queries are estimated for a whole data set",
                code="KR885",
                help="use `infer` and `estimate`",
            )
        self._reasoner = copy.copy(reasoner)
        self._reasoner.snapshot_ = None
        self._reasoner.settings = replace(reasoner.settings, hard_violations="drop", threads=1)
        self._lock = Lock()
        self._moment = HistoryState.of(self._scopes, began) if state is None else state
        self._by_totals = Lookups.of(program, models, running=True)
        self._by_rows = Lookups.of(program, models)

    def save(self, folder: Path | str, *, force: bool = False) -> None:
        """Store the history as it is kept, so that ``reasoner.serve(folder)`` need not sort it.

        What calls have sorted so far is stored too; models and weights are not.

        Args:
            folder: appears whole or not at all, in a run folder (``run/serving``) or elsewhere.
            force: replace a state that is there.

        Raises:
            ProjectError: KR914 where something is there, KR924 where it is not ours.
        """
        self._moment.save(Path(folder), force=force)

    def score(self, events: Mapping[str, TableLike], **more: Any) -> Beliefs:
        """What is believed of the things that some new rows mention; the history stays as it is.

        Args:
            events: facts and attributes by name, as for :meth:`Dataset.from_frames`.
            more: ``features``, ``scores``, ``evidence`` and ``labels`` of that method.

        Returns:
            Beliefs; asked are the atoms all of whose things the rows mention.

        Raises:
            DataError: KR5xx, as for that method; KR886 where a row says something else than the
                history does.
        """
        data, moment = self._bound(events, **more), self._moment
        beliefs: Beliefs
        try:
            touched, running, counted = self._touched(moment, data, by_totals=True)
            with in_arrays(self._scopes, running, counted), kernels_loaded():
                beliefs = self._reasoner.infer(touched)
                remember_arrays(touched)
            return beliefs
        except BeyondArrays:  # too many pairs, recursion, or an error that SQL explains
            pass
        touched, *_ = self._touched(moment, data, by_totals=False)
        beliefs = self._reasoner.infer(touched)
        return beliefs

    def slice(self, events: Mapping[str, TableLike], **more: Any) -> Dataset:
        """The rows of the history that new ones touch, with these.

        :meth:`score` reads fewer: counts and sums over history come from running totals.
        """
        return self._touched(self._moment, self._bound(events, **more), by_totals=False)[0]

    def observe(self, events: Mapping[str, TableLike], **more: Any) -> None:
        """Add rows, and labels, to the history.

        Args:
            events, more: as for :meth:`score`.
        """
        data = self._bound(events, **more)
        with self._lock:
            moment = self._moment
            grown, ids = moment.kept.plus(data)
            _refuse_changes(moment.kept, grown, data, ids)
            features = grown_features(moment.features, data, ids, grown.counts)
            totals = moment.totals
            if totals is not None:
                fit = totals.fits(data, ids, moment.kept.counts)
                totals = totals.plus(data, ids) if fit else None
            shortcuts = moment.shortcuts.plus(moment.kept, grown, data, ids)
            grown = grown.settled()
            self._moment = HistoryState(grown, features, totals, shortcuts.settled(grown))

    def _touched(
        self, moment: HistoryState, data: Dataset, *, by_totals: bool
    ) -> tuple[Dataset, Running | None, dict[int, CountedRows]]:
        grown, ids = moment.kept.plus(data)
        _refuse_changes(moment.kept, grown, data, ids)
        totals = moment.totals if by_totals else None
        if totals is not None and not totals.fits(data, ids, moment.kept.counts):
            totals = None
        asked = {d: np.sort(own) for d, own in ids.items() if d in grown.names and len(own)}
        lookups = self._by_rows if totals is None else self._by_totals
        shortcuts = moment.shortcuts.plus(moment.kept, grown, data, ids)
        if not by_totals:
            shortcuts = shortcuts.without_hubs()
        reached = Reached(lookups, grown, shortcuts)
        reached.reach(asked)
        counted = reached.counted()
        if counted is None:
            counted = {}
            reached = Reached(lookups, grown, shortcuts.without_hubs())
            reached.reach(asked)
        features = grown_features(moment.features, data, ids, grown.counts)
        touched, numbers = slice_of(grown, reached, asked, features)
        running = None if totals is None else totals.running(data, ids, numbers)
        return touched, running, counted_rows(grown.program, counted, numbers)

    def _bound(self, events: Mapping[str, TableLike], **more: Any) -> Dataset:
        with warnings.catch_warnings(), of_a_part(*KINDS):  # ids that only the history knows
            warnings.simplefilter("ignore", DataWarning)
            return Dataset.from_frames(self._scopes.program, facts=events, **more)


def _refuse(model: Any, name: str, history: Dataset) -> None:
    inner = getattr(model, "models", (model,))[0]
    reads_graph = history.graph is not None and inner.registered_as == "trees"
    if not inner.of_one_row or reads_graph:
        raise ModelError(
            f"`{name}` ({inner.name}) sees more of the data than an atom's own columns",
            code="KR885",
            help="score its atoms elsewhere and bind them as `scores` of a model `column`",
        )


def _refuse_changes(before: Kept, grown: Kept, data: Dataset, ids: Mapping[str, Ids]) -> None:
    """Raise KR886 where an attribute or a label of something has a value already."""
    for kind in ("attributes", "labels", "evidence"):
        for name, table in getattr(data, kind).items():
            sorts = data.program.sorts_of(name)
            if not table.num_rows or any(
                sort in before.names and bool((ids[sort] >= before.counts[sort]).all())
                for sort in sorts
            ):
                continue
            own = {
                place: np.unique(ids[sort][table.column(f"a{place}").to_numpy()])
                for place, sort in enumerate(sorts)
            }
            if len(sorts) == 1 and len(before.tables[kind, name].rows(own)):
                raise DataError(
                    f"`{name}` says something of a thing of which the history does too",
                    code="KR886",
                    help="give each value once",
                )
