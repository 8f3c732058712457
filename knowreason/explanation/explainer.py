"""Explanations of one set of beliefs; what they share is prepared once."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from knowreason.explanation.counterfactuals import ask_changes
from knowreason.explanation.explanation_text import (
    ColumnShare,
    Explanation,
    FieldValue,
    Obstacle,
    Share,
)
from knowreason.explanation.factor_index import Incidence
from knowreason.explanation.graph_variants import Question, solve_each
from knowreason.explanation.grounding_reasons import Effects, ask_effects, reason_of
from knowreason.explanation.neighbourhood import Neighbourhood, neighbourhood
from knowreason.explanation.pooled_shares import (
    AnswerLine,
    column_shares,
    parts_notes,
    unsplit_notes,
)
from knowreason.explanation.shares import Split, ask_shares
from knowreason.explanation.shown_values import ShownValues
from knowreason.explanation.why_not import why_not
from knowreason.factors import OPEN
from knowreason.factors.kernel_decorators import FEW, kernels_loaded
from knowreason.factors.model_output import ModelOutput
from knowreason.grounding import Grounding, GroundRule
from knowreason.grounding.arrays.array_context import in_remembered_arrays, remembered_arrays
from knowreason.grounding.arrays.array_relations import ArrayRelations
from knowreason.grounding.arrays.array_tables import BeyondArrays
from knowreason.grounding.relational.database import Relations
from knowreason.inference.posterior import Posterior
from knowreason.inference.quality_summary import atom_quality_text
from knowreason.models.stacked.pool import PooledAtoms

TOGETHER = 64  # atoms whose questions are solved in one batch
T = TypeVar("T")


@dataclass(frozen=True)
class _Wanted:
    """How much is asked of each atom; as for :func:`explain`."""

    reasons: int
    obstacles: int
    changes: int
    atoms: int
    seed: int


@dataclass(frozen=True)
class _Found:
    """What the graph said of one atom."""

    atom: int
    near: Neighbourhood
    groundings: Sequence[GroundRule]
    answer: AnswerLine
    parts: Split
    effects: Effects
    changes: tuple[Any, ...]


class Explainer:
    r"""Explains atoms of one posterior.

    Args:
        grounding: the factor graph at the weights that were used, and where it came from.
        posterior: beliefs about it.
        outputs: what the models said.
        answers: by predicate, how conclusions are made of rules and stacked models.
        show: by domain, the fields that are shown of things; see :class:`.ShownValues`.
        believed: ``float64[n]`` log-odds of the conclusions about all atoms, where they are not
            what the rules say.

    Example:
        >>> import knowreason as kr
        >>> program = kr.loads('domain P = {"anna"}\nquery Smokes(P)\nrule often [1] : Smokes(x)')
        >>> grounding = kr.ground(program, kr.Dataset.from_frames(program))
        >>> Explainer(grounding, kr.infer(grounding.graph)).explain(0).shares
        (Share(kind='rule', name='often', log_odds=1.0),)
    """

    def __init__(
        self,
        grounding: Grounding,
        posterior: Posterior,
        outputs: Sequence[ModelOutput] = (),
        answers: Mapping[str, PooledAtoms] | None = None,
        show: Mapping[str, Sequence[str]] | None = None,
        believed: NDArray[np.float64] | None = None,
    ) -> None:
        self.grounding = grounding
        self.outputs = tuple(outputs)
        self.answers = answers or {}
        self.posterior = posterior
        self.show = show or {}
        self.log_odds: NDArray[np.float64] = posterior.log_odds.numpy()
        self.believed = self.log_odds if believed is None else believed
        self._component: tuple[NDArray[np.int64], Neighbourhood] | None = None

    @cached_property
    def incidence(self) -> Incidence:
        """Of the whole graph."""
        return Incidence.of(self.grounding.graph)

    @cached_property
    def arrays(self) -> ArrayRelations | None:
        """The same where the grounding was made in arrays, history that was counted included."""
        return remembered_arrays(self.grounding.data)

    @cached_property
    def shown(self) -> ShownValues:
        """Fields of things and values of rules."""
        return ShownValues(self.grounding.program, self.grounding.data, self.arrays, self.show)

    @cached_property
    def relations(self) -> Relations:
        """What is observed; closed with this object."""
        relations = Relations(self.grounding.program, self.grounding.data)
        weakref.finalize(self, relations.close)
        return relations

    def explain(
        self,
        atom: int,
        *,
        reasons: int = 5,
        obstacles: int = 3,
        changes: int = 3,
        atoms: int = 400,
        seed: int = 0,
    ) -> Explanation:
        """Explain one atom; arguments as for :func:`explain`."""
        how = _Wanted(reasons, obstacles, changes, atoms, seed)
        with self._kernels():
            return self._explained([atom], how)[0]

    def _kernels(self) -> AbstractContextManager[None]:
        """Compiled code where beliefs came of it: of a server, or of more than a few atoms."""
        used = self.arrays is not None or self.grounding.graph.atom_count > FEW
        return kernels_loaded() if used else nullcontext()

    def explain_many(
        self,
        atoms: Iterable[int],
        *,
        reasons: int = 5,
        obstacles: int = 0,
        changes: int = 0,
        neighbours: int = 400,
        seed: int = 0,
    ) -> list[Explanation]:
        """Explain atoms, :data:`TOGETHER` in one batch each; for many quicker than one by one.

        Args:
            atoms: their indices.
            reasons, obstacles, changes, seed: as for :func:`explain`.
            neighbours: ``atoms`` of that function.
        """
        how = _Wanted(reasons, obstacles, changes, neighbours, seed)
        every = [int(atom) for atom in atoms]
        # atoms of one component after each other: it is found once
        order = sorted(range(len(every)), key=lambda i: self._component_of(every[i]))
        found: dict[int, Explanation] = {}
        with self._kernels():
            for start in range(0, len(order), TOGETHER):
                chunk = order[start : start + TOGETHER]
                explained = self._explained([every[i] for i in chunk], how)
                found |= dict(zip(chunk, explained, strict=True))
        return [found[i] for i in range(len(every))]

    def _component_of(self, atom: int) -> int:
        component = self.posterior.component
        return -1 if component is None else int(component[atom])

    def _explained(self, atoms: Sequence[int], how: _Wanted) -> list[Explanation]:
        evidence = self.grounding.graph.evidence.numpy()
        answered = iter(self._found([a for a in atoms if evidence[a] == OPEN], how))
        found = [next(answered) if evidence[atom] == OPEN else None for atom in atoms]
        fields = self.fields(atoms)
        values = self._values([one for one in found if one is not None])
        columns = self._columns([one for one in found if one is not None])
        made = []
        for atom, one, own in zip(atoms, found, fields, strict=True):
            if one is None:
                made.append(self._given(atom, float(self.log_odds[atom]), own))
                continue
            made.append(self._whole(one, how, own, next(values), next(columns)))
        return made

    def _found(self, atoms: Sequence[int], how: _Wanted) -> list[_Found]:
        nears, lists, asked = [], [], []
        for atom in atoms:
            near = self._near(atom, how.atoms)
            wanted = how.reasons or how.obstacles
            groundings = self.grounding.groundings_of(atom) if wanted else []
            questions: list[Question[Any]] = [
                ask_shares(near.graph, near.centre, how.seed),
                ask_effects(self.grounding, near, groundings, how.reasons),
            ]
            if how.changes:
                answer = self._answer(atom)
                changed = ask_changes(self.grounding, near, self.believed, answer, how.changes)
                questions.append(changed)
            nears.append(near)
            lists.append(groundings)
            asked.append(questions)
        results = solve_each(
            [
                (near, [v for question in questions for v in question.variants])
                for near, questions in zip(nears, asked, strict=True)
            ],
            how.seed,
        )
        found = []
        for i, atom in enumerate(atoms):
            dealt = _dealt(asked[i], results[i][:, nears[i].centre])
            parts, effects, *changes = dealt
            answer = self._answer(atom)
            one = _Found(atom, nears[i], lists[i], answer, parts, effects, tuple(changes))
            found.append(one)
        return found

    def _near(self, atom: int, limit: int) -> Neighbourhood:
        if self._component is not None:  # that of the atom before it
            atoms, near = self._component
            place = int(np.searchsorted(atoms, atom))
            if place < len(atoms) and atoms[place] == atom and len(atoms) <= limit:
                return replace(near, centre=place)
        graph = self.grounding.graph
        near = neighbourhood(graph, self.incidence, atom, self.log_odds, limit)
        if near.whole:
            self._component = near.atoms, near
        return near

    def _whole(
        self,
        one: _Found,
        how: _Wanted,
        fields: tuple[FieldValue, ...],
        values: Sequence[tuple[FieldValue, ...]],
        columns: tuple[ColumnShare, ...],
    ) -> Explanation:
        atom, answer, shares = one.atom, one.answer, self._shares(one)
        notes: tuple[str, ...] = (
            () if one.parts.exact else ("rules' shares are averages over sampled orders",)
        )
        if not one.near.whole:
            notes = (*notes, f"solved within {len(one.near.atoms)} atoms around it")
        notes += tuple(parts_notes(self.grounding, atom, self.outputs))
        notes += unsplit_notes(shares, columns, {o.model for o in self.outputs if not o.parts})
        reasons = tuple(
            replace(
                reason_of(self.grounding, atom, rule, effect * answer.slope, self.believed),
                values=own,
            )
            for (rule, effect), own in zip(one.effects, values, strict=True)
        )
        total = answer(float(self.log_odds[atom]))
        return Explanation(
            self.grounding.atom_name(atom),
            float(expit(total)),
            total,
            shares,
            reasons,
            self._obstacles(atom, one.groundings, how.obstacles) if total < 0 else (),
            one.changes[0] if one.changes else (),
            notes,
            atom_quality_text(self.posterior, atom),
            fields,
            columns,
        )

    def _shares(self, one: _Found) -> tuple[Share, ...]:
        parts = _shares(self.grounding, one.parts, float(self.log_odds[one.atom]))
        return one.answer.shares(parts)

    def fields(self, atoms: Sequence[int]) -> list[tuple[FieldValue, ...]]:
        """What is shown of the things of each atom."""
        found: list[tuple[FieldValue, ...]] = [()] * len(atoms)
        for name, span in self.grounding.atoms.spans.items():
            places = [i for i, atom in enumerate(atoms) if span.start <= atom < span.stop]
            if not places:
                continue
            things = span.arguments[np.array([atoms[i] for i in places]) - span.start]
            for place, own in zip(places, self.shown.fields(name, things), strict=True):
                found[place] = own
        return found

    def _values(self, found: Sequence[_Found]) -> Iterator[list[tuple[FieldValue, ...]]]:
        rules = [(rule, self._own(one.atom)) for one in found for rule, _ in one.effects]
        values = self.shown.of_groundings([rule for rule, _ in rules], [own for _, own in rules])
        dealt = iter(values)
        return iter([[next(dealt) for _ in one.effects] for one in found])

    def _own(self, atom: int) -> dict[str, set[str]]:
        """By domain, names of the things of an atom."""
        span = self.grounding.atoms.owner(atom)
        found: dict[str, set[str]] = {}
        if span is not None:
            sorts = self.grounding.program.sorts_of(span.predicate)
            for sort, thing in zip(sorts, span.arguments[atom - span.start], strict=True):
                name = self.grounding.data.vocabularies[sort].name(int(thing))
                found.setdefault(sort, set()).add(name)
        return found

    def _columns(self, found: Sequence[_Found]) -> Iterator[tuple[ColumnShare, ...]]:
        shares = [self._shares(one) for one in found]
        atoms = [one.atom for one in found]
        with in_remembered_arrays(self.grounding.data):
            return iter(column_shares(self.grounding, atoms, shares, self.outputs, self.answers))

    def _answer(self, atom: int) -> AnswerLine:
        span = self.grounding.atoms.owner(atom)
        if span is None or span.predicate not in self.answers:
            return AnswerLine()
        return AnswerLine(self.answers[span.predicate], atom - span.start)

    def _obstacles(
        self, atom: int, groundings: Sequence[GroundRule], limit: int
    ) -> tuple[Obstacle, ...]:
        if not limit:
            return ()
        asked = self.grounding, atom, self.believed, groundings
        if self.arrays is not None:
            with suppress(BeyondArrays):
                return why_not(*asked, self.arrays, limit)
        return why_not(*asked, self.relations, limit)

    def _given(self, atom: int, total: float, fields: tuple[FieldValue, ...]) -> Explanation:
        share = Share("base", "known, not inferred", total)
        name = self.grounding.atom_name(atom)
        notes = ("its truth is given",)
        return Explanation(name, float(expit(total)), total, (share,), notes=notes, fields=fields)


def explain(
    grounding: Grounding,
    posterior: Posterior,
    atom: int,
    outputs: Sequence[ModelOutput] = (),
    *,
    reasons: int = 5,
    obstacles: int = 3,
    changes: int = 3,
    atoms: int = 400,
    seed: int = 0,
) -> Explanation:
    r"""Why an atom has the marginal it has; for many atoms, make one :class:`Explainer`.

    Its component is solved again (its surroundings, with the marginals of the atoms at
    the edge, where it has more than ``atoms``), with and without the rules that touch it.

    Args:
        grounding: the factor graph at the weights that were used, and where it came from.
        posterior: beliefs about it.
        atom: index of an open atom.
        outputs: what the models said.
        reasons, obstacles, changes: how many to give at most; 0 leaves the question out.
        atoms: size of the neighbourhood.
        seed: of the engine and of sampled Shapley orders.

    Example:
        >>> import knowreason as kr
        >>> program = kr.loads('domain P = {"anna"}\nquery Smokes(P)\nrule often [1] : Smokes(x)')
        >>> grounding = kr.ground(program, kr.Dataset.from_frames(program))
        >>> print(explain(grounding, kr.infer(grounding.graph), 0))
        Smokes("anna"): probability 73 % (log-odds +1.00)
        ...
          rule often   +1.00  ++++
        ...
           +1.00  often: Smokes("anna")
    """
    return Explainer(grounding, posterior, outputs).explain(
        atom, reasons=reasons, obstacles=obstacles, changes=changes, atoms=atoms, seed=seed
    )


def _dealt(asked: Sequence[Question[T]], results: NDArray[np.float64]) -> list[T]:
    """The log-odds of all variants, dealt out to the questions."""
    edges = np.cumsum([len(question.variants) for question in asked])[:-1]
    dealt = np.split(results, edges)
    return [question.answer(part) for question, part in zip(asked, dealt, strict=True)]


def _shares(grounding: Grounding, parts: Split, total: float) -> tuple[Share, ...]:
    names, kinds = grounding.parameters.names, grounding.parameters.kinds
    rules: dict[str, float] = {}
    for label, value in parts.rules.items():
        name = grounding.program.rules[label].name if label >= 0 else "hard constraint"
        rules[name] = rules.get(name, 0.0) + value
    shares = []
    if abs(parts.base) > 1e-9:
        shares.append(Share("base", "one state among several", parts.base))
    for parameter, value in parts.parameters.items():
        name, kind = names[parameter], kinds[parameter]
        if kind == "scale":
            shares.append(Share("model", name.removeprefix("scale ").split(" for ")[0], value))
        elif kind == "bias":
            shares.append(Share("prior", f"prior ({name})", value))
        else:
            if kind == "fixed":  # the rest of a rule that is not linear in its weight
                name = grounding.program.rules[grounding.parameters.owner[parameter]].name
            rules[name] = rules.get(name, 0.0) + value
    shares += [Share("rule", name, value) for name, value in rules.items()]
    beyond = total - sum(share.log_odds for share in shares)
    if abs(beyond) > 1e-3:
        shares.append(Share("beyond", "the rest of the graph", beyond))
    order = {"base": 0, "prior": 1, "model": 2, "rule": 3, "beyond": 4}
    return tuple(sorted(shares, key=lambda s: (order[s.kind], -abs(s.log_odds))))
