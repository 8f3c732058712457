"""Explanations of one set of beliefs; what they share is prepared once."""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from knowreason.explanation.counterfactuals import ask_changes
from knowreason.explanation.explanation_text import Explanation, Obstacle, Reason, Share
from knowreason.explanation.factor_index import Incidence
from knowreason.explanation.graph_questions import Question
from knowreason.explanation.graph_variants import Variant, solve
from knowreason.explanation.neighbourhood import Neighbourhood, neighbourhood
from knowreason.explanation.pooled_shares import AnswerLine
from knowreason.explanation.shares import Split, ask_shares
from knowreason.explanation.why_not import why_not
from knowreason.factors import OPEN
from knowreason.factors.kernel_decorators import kernels_loaded
from knowreason.factors.model_output import ModelOutput
from knowreason.grounding import Grounding, GroundRule
from knowreason.grounding.arrays.array_context import remembered_arrays
from knowreason.grounding.arrays.array_relations import ArrayRelations
from knowreason.grounding.arrays.array_tables import BeyondArrays
from knowreason.grounding.relational.database import Relations
from knowreason.inference.posterior import Posterior
from knowreason.inference.quality_summary import atom_quality_text
from knowreason.logic import Constant, Directed, Formula
from knowreason.logic.canonical_text import formula_text
from knowreason.logic.traversal import substitute
from knowreason.models.stacked.pool import PooledAtoms

MOST_GROUNDINGS = 64  # whose effect is asked for
T = TypeVar("T")


class Explainer:
    r"""Explains atoms of one posterior.

    Args:
        grounding: the factor graph at the weights that were used, and where it came from.
        posterior: beliefs about it.
        outputs: what the models said.
        answers: by predicate, how conclusions are made of rules and stacked models.

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
    ) -> None:
        self.grounding = grounding
        self.outputs = tuple(outputs)
        self.answers = answers or {}
        self.posterior = posterior
        self.log_odds: NDArray[np.float64] = posterior.log_odds.numpy()

    @cached_property
    def incidence(self) -> Incidence:
        """Of the whole graph."""
        return Incidence.of(self.grounding.graph)

    @cached_property
    def arrays(self) -> ArrayRelations | None:
        """The same where the grounding was made in arrays, history that was counted included."""
        return remembered_arrays(self.grounding.data)

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
        if self.arrays is None:
            return self._explain(atom, reasons, obstacles, changes, atoms, seed)
        with kernels_loaded():  # beliefs of a server
            return self._explain(atom, reasons, obstacles, changes, atoms, seed)

    def _explain(
        self, atom: int, reasons: int, obstacles: int, changes: int, atoms: int, seed: int
    ) -> Explanation:
        graph, total = self.grounding.graph, float(self.log_odds[atom])
        if int(graph.evidence[atom]) != OPEN:
            return self._given(atom, total)
        near = neighbourhood(graph, self.incidence, atom, self.log_odds, atoms)
        groundings = self.grounding.groundings_of(atom) if reasons or obstacles else []
        splitting = ask_shares(near.graph, near.centre, seed)
        effects = ask_reasons(
            self.grounding, near, self.log_odds, groundings[:MOST_GROUNDINGS], reasons
        )
        answer = self._answer(atom)
        flips = ask_changes(
            self.grounding, near, self.log_odds, answer, self.outputs if changes else (), changes
        )
        asked: list[Question[Any]] = [splitting, effects, *([flips] if changes else [])]
        parts, found, *changed = _answers(near, asked, seed)
        notes: tuple[str, ...] = (
            () if parts.exact else ("rules' shares are averages over sampled orders",)
        )
        if not near.whole:
            notes = (*notes, f"solved within {len(near.atoms)} atoms around it")
        notes += tuple(parts_notes(self.grounding, atom, self.outputs))
        shares = answer.shares(_shares(self.grounding, parts, total))
        found = tuple(replace(reason, effect=reason.effect * answer.slope) for reason in found)
        total = answer(total)
        return Explanation(
            self.grounding.atom_name(atom),
            float(expit(total)),
            total,
            shares,
            found,
            self._obstacles(atom, groundings, obstacles) if total < 0 else (),
            changed[0] if changed else (),
            notes,
            atom_quality_text(self.posterior, atom),
        )

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
        asked = self.grounding, atom, self.log_odds, groundings
        if self.arrays is not None:
            with suppress(BeyondArrays):
                return why_not(*asked, self.arrays, limit)
        return why_not(*asked, self.relations, limit)

    def _given(self, atom: int, total: float) -> Explanation:
        share = Share("base", "known, not inferred", total)
        name = self.grounding.atom_name(atom)
        return Explanation(
            name, float(expit(total)), total, (share,), notes=("its truth is given",)
        )


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
    """
    return Explainer(grounding, posterior, outputs).explain(
        atom, reasons=reasons, obstacles=obstacles, changes=changes, atoms=atoms, seed=seed
    )


def _answers(near: Neighbourhood, asked: Sequence[Question[T]], seed: int) -> list[T]:
    """One solution of all variants, dealt out to the questions."""
    variants = [variant for question in asked for variant in question.variants]
    results = solve(near.graph, variants, seed)[:, near.centre]
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


def parts_notes(
    grounding: Grounding, atom: int, outputs: Sequence[ModelOutput], most: int = 3
) -> list[str]:
    """The largest parts of each model's score of an atom, where the score is a sum."""
    span = grounding.atoms.owner(atom)
    notes = []
    for output in outputs:
        if span is None or output.predicate != span.predicate or not output.parts:
            continue
        values = {name: float(part[atom - span.start]) for name, part in output.parts.items()}
        largest = sorted(values, key=lambda name: -abs(values[name]))[:most]
        said = ", ".join(f"{name} {values[name]:+.2f}" for name in largest)
        notes.append(f"score of {output.model} {sum(values.values()):+.2f}: {said}")
    return notes


def ask_reasons(
    grounding: Grounding,
    near: Neighbourhood,
    log_odds: NDArray[np.float64],
    groundings: Sequence[GroundRule],
    limit: int,
) -> Question[tuple[Reason, ...]]:
    """Ask for the groundings at the atom with the strongest effects.

    Args:
        grounding: what is explained.
        near: neighbourhood of the atom.
        log_odds: ``float64[n]`` marginals of all atoms.
        groundings: of rules at the atom.
        limit: most reasons; with 0 nothing is asked.
    """
    place = {whole: local for local, (whole, _) in enumerate(near.rows)}
    candidates: dict[tuple[int, int], GroundRule] = {}
    centre = int(near.atoms[near.centre])
    for ground_rule in groundings if limit else ():
        if _at_a_body(grounding, ground_rule, centre):
            continue
        local = place.get(ground_rule.place) if ground_rule.kind == "group" else None
        if local is not None:
            row = int(np.searchsorted(near.rows[local][1], ground_rule.row))
            candidates.setdefault((local, row), ground_rule)
    chosen = list(candidates.values())

    def answer(results: NDArray[np.float64]) -> tuple[Reason, ...]:
        effects = results[:1] - results[1:]
        order = np.argsort(-np.abs(effects), kind="stable")[:limit]
        return tuple(
            _reason(grounding, near, log_odds, chosen[i], float(effects[i])) for i in order.tolist()
        )

    rests = {pairs.place: pairs.rest for pairs in grounding.associations}
    return Question(tuple(_leave_one_out(near, candidates, rests)), answer)


def _at_a_body(grounding: Grounding, ground_rule: GroundRule, atom: int) -> bool:
    """Whether the atom is a body of a directed rule: what the head says of it is not said by one
    grounding, whose table alone would push an unobserved head's bodies."""
    formula = grounding.program.rules[ground_rule.rule_index].formula
    if ground_rule.kind != "group" or not isinstance(formula, Directed):
        return False
    head = grounding.graph.factors[ground_rule.place].atoms[ground_rule.row, -1]
    return int(head) != atom


def _leave_one_out(
    near: Neighbourhood,
    candidates: dict[tuple[int, int], GroundRule],
    rests: Mapping[int, int],
) -> list[Variant]:
    """All factors, and each candidate's left out; ``rests`` are places of fixed tables."""
    if not candidates:
        return []
    variants = [Variant()]
    local_of = {whole: local for local, (whole, _) in enumerate(near.rows)}
    for (local, row), ground_rule in candidates.items():
        mask = np.zeros(near.graph.factors[local].rows, dtype=bool)
        mask[row] = True
        masks = {local: mask}
        rest = local_of.get(rests.get(ground_rule.place, -1))
        if rest is not None:  # a fixed table a pair, in the same order
            masks[rest] = mask
        variants.append(Variant(masks))
    return variants


def _reason(
    grounding: Grounding,
    near: Neighbourhood,
    log_odds: NDArray[np.float64],
    ground_rule: GroundRule,
    effect: float,
) -> Reason:
    atom = int(near.atoms[near.centre])
    others = tuple(
        (grounding.atom_name(other), float(expit(log_odds[other])))
        for other in ground_rule.atoms
        if other != atom and grounding.atoms.owner(other) is not None
    )
    return Reason(ground_rule.rule, grounding_text(grounding, ground_rule), effect, others)


def grounding_text(grounding: Grounding, ground_rule: GroundRule) -> str:
    """The rule's formula with names from the data in place of its variables."""
    return formula_text(ground_formula(grounding, ground_rule))


def ground_formula(grounding: Grounding, ground_rule: GroundRule) -> Formula:
    """The rule's formula with constants in place of its variables."""
    rule = grounding.program.rules[ground_rule.rule_index]
    terms = {
        variable.name: Constant(ground_rule.substitution[variable.name], variable.sort)
        for variable in rule.variables
    }
    return substitute(rule.formula, terms)
