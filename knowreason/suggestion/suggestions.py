"""Candidate rules for a query predicate, ranked by held-out gain in log-likelihood."""

from __future__ import annotations

import re
from collections.abc import Collection
from copy import copy
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from knowreason.data import Dataset
from knowreason.data.arrow_types import ArrowTable
from knowreason.data.id_tables import id_table
from knowreason.data.table_results import TableResult
from knowreason.errors import ProjectError
from knowreason.factors.kernel_decorators import kernels_loaded
from knowreason.grounding.relational.database import Relations
from knowreason.lang import parse_formula
from knowreason.logic import Program, Rule, Weight
from knowreason.logic.canonical_text import rule_text
from knowreason.logic.traversal import free_variables
from knowreason.models.base.feature_columns import evaluated
from knowreason.progress import Progress, step
from knowreason.reasoner.labels.asked_labels import only_query
from knowreason.reasoner.labels.fold_groups import FoldGroups, fold_kind
from knowreason.reasoner.labels.label_selection import label_selections
from knowreason.reasoner.labels.labelled_atoms import labelled_atoms
from knowreason.reasoner.reasoner import Reasoner
from knowreason.suggestion.body_counts import LabelledRows, with_known_atoms
from knowreason.suggestion.body_search import COST, MOST, BodySearch, Found
from knowreason.suggestion.candidate_bodies import Templates
from knowreason.suggestion.held_out_gain import HeldOut, Measured

TRIED = 3  # finalists for each rule that is wanted
BEYOND = 2.0  # standard errors that a gain has to be above 0
BESIDE = 1.0  # and beside the rules before it
TIED = 20_000  # groundings of a rule with another unknown, which are not folded into one factor
LARGEST = 3_000_000  # groundings of a candidate


@dataclass(frozen=True)
class Suggestion:
    """A rule that data suggest.

    Attributes:
        name, rule: text for the rule file, weight to be learned.
        gain, error: nats by which held-out labels surprise less once the rule is added to the
            present program and all weights are learned, and the standard error of that.
        beside, beside_error: the same beside the suggestions before it.
        support: labelled atoms at which the body holds.
        confidence: share of these at which the head does.
        lift: confidence over the share of all labelled atoms.
        weight, weight_error: as learned from all labels.
        alike: bodies that hold at the same atoms, or all but.

    >>> text = "rule old [?] : age(p) > 60 => Bad(p)"
    >>> Suggestion("old", text, 9.1, 2.0, 9.1, 2.0, 40, 0.5, 2.1, 1.4, 0.3).lift
    2.1
    """

    name: str
    rule: str
    gain: float
    error: float
    beside: float
    beside_error: float
    support: int
    confidence: float
    lift: float
    weight: float
    weight_error: float
    alike: tuple[str, ...] = ()


@dataclass(frozen=True, repr=False)
class Suggestions(TableResult):
    """Suggested rules, the best first.

    Attributes:
        predicate: the query predicate.
        rules: the suggestions.
        pruned: rules that were measured and left out, each with the reason.
        notes: what was searched.

    >>> Suggestions("Bad").text
    '# No rule for Bad adds to the program beyond chance.\\n'
    """

    predicate: str
    rules: tuple[Suggestion, ...] = ()
    pruned: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = field(default=())

    def to_arrow(self) -> ArrowTable:
        """One row a rule: the attributes of :class:`Suggestion`, but for ``alike``."""
        names = [name for name in Suggestion.__dataclass_fields__ if name != "alike"]
        columns = {name: [getattr(rule, name) for rule in self.rules] for name in names}
        table: ArrowTable = pa.table(columns)
        return table

    @property
    def text(self) -> str:
        """Rules with comments, for a rule file."""
        if not self.rules:
            return f"# No rule for {self.predicate} adds to the program beyond chance.\n"
        lines = [f"# Suggested for {self.predicate}; {note}" for note in self.notes[:1]]
        for one in self.rules:
            lines += [
                "",
                f"# gain {one.gain:.1f} +- {one.error:.1f} nats, {one.beside:.1f} +- "
                f"{one.beside_error:.1f} beside those above; support {one.support:,}, confidence "
                f"{one.confidence:.2f}, lift {one.lift:.1f}; learned {one.weight:.2f}",
                one.rule,
            ]
        return "\n".join(lines) + "\n"

    @property
    def record(self) -> dict[str, object]:
        """Plain values, for JSON."""
        return asdict(self)


def suggest(
    reasoner: Reasoner | Program,
    data: Dataset,
    predicate: str | None = None,
    *,
    count: int = 10,
    max_length: int = 3,
    seed: int | None = None,
    models: Path | str | None = None,
    progress: Progress | None = None,
) -> Suggestions:
    """Rules that would add to a program, with what each adds on labels held out.

    Bodies are conditions on the query atom's things, thresholds of their numbers, and paths of
    relations that end in a condition, in another atom of the query, or at another argument. Their
    groundings are counted by the relational engine; a score test beside the present program keeps
    a beam, whose members are refined and combined. What is left is grounded, learned and measured
    fold by fold.

    Args:
        reasoner: with the present program; where it is fitted on ``data``, its models are taken.
        data: with visible labels; nothing else is looked at.
        predicate: a Boolean query predicate; may be left out where only one is asked.
        count: most rules.
        max_length: most relations in a path.
        seed: of folds and learning, instead of the reasoner's.
        models: run folder whose models are taken where they are the same.
        progress: called as ``progress(done, total, message)``.

    Raises:
        ProjectError: KR958 where there are no labels to rank by, KR912 for another predicate.

    Example:
        >>> from knowreason.testing import example_data
        >>> data = example_data(nodes=80, payments=80)
        >>> suggest(data.program, data, "Bad", count=1).rules[0].rule
        'rule listed [?] : Listed(n) => Bad(n)'
    """
    given = Reasoner(reasoner) if isinstance(reasoner, Program) else reasoner
    name = predicate or only_query(given.program)
    boolean = [
        p.name
        for p in given.program.predicates
        if p.kind == "query" and p.functional_position is None
    ]
    if name not in boolean:
        raise ProjectError(
            f"`{name}` is no Boolean query predicate",
            code="KR912",
            help=f"there is: {', '.join(boolean) or 'none'}",
        )
    with kernels_loaded():
        fitted = _fitted(given, data, seed, models, progress)
        held = _held_out(fitted, data, name)
        with step(progress, "measuring the present program"):
            base = held.measured(())
        with step(progress, "counting candidates") as within:
            most = TRIED * count
            search, templates, finalists = _searched(held, base, max_length, most, within)
        return _ranked(held, base, search, finalists, templates, count, progress)


def _fitted(
    given: Reasoner,
    data: Dataset,
    seed: int | None,
    models: Path | str | None,
    progress: Progress | None,
) -> Reasoner:
    """A reasoner whose models and weights are fitted; nothing else is needed of it."""
    grounding = getattr(given, "grounding_", None)
    if grounding is not None and grounding.data is data and seed in (None, given.seed):
        return given
    one = copy(given)
    one.seed = given.seed if seed is None else seed
    one.settings = replace(
        given.settings, answer="rules", weights="learned", auto_trees=False, bootstrap=0
    )
    return one.fit(data, models=models, progress=progress)


def _held_out(fitted: Reasoner, data: Dataset, predicate: str) -> HeldOut:
    settings, grounding = fitted.settings, fitted.training_grounding(data)
    kind = fitted.folds or fold_kind(fitted.program, predicate)
    groups = FoldGroups.by(grounding, settings.clusters)
    selection = label_selections(data, fitted.models_, settings).get(predicate)
    atoms = labelled_atoms(
        grounding, predicate, fitted.models_, groups, kind, settings, fitted.seed, selection
    )
    if atoms is None:
        raise ProjectError(
            f"no labels to rank by: those of `{predicate}` are not of both kinds in two folds",
            code="KR958",
        )
    return HeldOut(fitted, data, atoms, kind == "forward")


def _searched(
    held: HeldOut, base: Measured, length: int, most: int, progress: Progress | None
) -> tuple[BodySearch, Templates, list[Found]]:
    fitted, data, atoms = held.reasoner, held.data, held.atoms
    program, settings = fitted.program, fitted.settings
    beliefs = fitted.infer(data)
    fold = np.full(beliefs.grounding.graph.atom_count, -1, np.int32)
    fold[atoms.atoms] = atoms.fold
    true = {}
    for name, span in beliefs.grounding.atoms.spans.items():
        likely = beliefs.log_odds[span.start : span.stop] > 0
        columns = list(span.arguments[likely].T)
        folds = [fold[span.start : span.stop][likely]] if name == atoms.predicate else []
        true[name] = id_table([*columns, *folds])
    # what tells folds apart says nothing of the next one
    groups = frozenset({settings.clusters, fitted.folds.partition(":")[2]})
    templates = Templates(program, data, atoms.predicate, length, groups)
    known = evaluated(data, list(program.label_readers))
    seen = with_known_atoms(data, true)
    span = beliefs.grounding.span(atoms.predicate)
    limit = min(settings.ground_limit, LARGEST)
    memory, threads = settings.memory_limit, settings.threads
    with Relations(
        seen.program, seen, memory_limit=memory, threads=threads, known=known
    ) as relations:
        things = span.arguments[atoms.atoms - span.start]
        forward = held.forward
        rows = LabelledRows.of(
            relations, templates, things, atoms.fold, limit=limit, forward=forward
        )
        offset = base.log_odds + atoms.drawn
        labels = atoms.labels.astype(np.float64)
        search = BodySearch(rows, labels, offset, progress=progress)
        finalists = search.run(templates, most)
    return search, templates, finalists


def _ranked(
    held: HeldOut,
    base: Measured,
    search: BodySearch,
    finalists: list[Found],
    templates: Templates,
    count: int,
    progress: Progress | None,
) -> Suggestions:
    """Each finalist measured beside the program, then beside the better ones."""
    program = held.reasoner.program
    taken = {rule.name for rule in program.rules}
    rules: list[tuple[Found, Rule]] = []
    for one in finalists:
        rule = _rule(one, templates, taken)
        taken.add(rule.name)
        rules.append((one, rule))
    pruned: list[tuple[str, str]] = []
    measured: list[tuple[float, float, Found, Rule, Measured]] = []
    with step(progress, "learning candidates one by one") as inner:
        for place, (one, rule) in enumerate(rules):
            if inner is not None:
                inner(place, len(rules), rule.name)
            tied = held.groundings(rule) if templates.unknowns(one.body) else 0
            if tied > TIED:
                pruned.append((rule_text(rule), f"ties unknowns by {tied:,} groundings"))
                continue
            after = held.measured((rule,))
            measured.append((*held.gain(base, after), one, rule, after))
    measured.sort(key=lambda found: -found[0])
    kept: list[Suggestion] = []
    accepted: list[Rule] = []
    before = base
    with step(progress, "learning the best ones together") as inner:
        for place, (gain, error, one, rule, alone) in enumerate(measured):
            if len(kept) == count:
                break
            if inner is not None:
                inner(place, len(measured), rule.name)
            after = held.measured((*accepted, rule)) if accepted else alone
            beside, beside_error = held.gain(before, after)
            clear = gain > max(BEYOND * error, COST * one.body.size)
            least = BESIDE * beside_error
            if not clear:  # alone, so it has to be beside the others
                least = max(BEYOND * beside_error, COST * one.body.size)
            if beside <= least:
                said = f"gain {gain:.1f} ± {error:.1f}"
                if accepted:
                    others = ", ".join(r.name for r in accepted)
                    said += f", {beside:.1f} ± {beside_error:.1f} beside {others}"
                why = "redundant" if clear else "not beyond chance"
                pruned.append((rule_text(rule), f"{why}: {said}"))
                continue
            accepted.append(rule)
            before = after
            support, learned = _support(one, search.labels), alone.weights[rule.name]
            text = rule_text(rule)
            kept.append(
                Suggestion(
                    rule.name,
                    text,
                    gain,
                    error,
                    beside,
                    beside_error,
                    *support,
                    *learned,
                    one.alike,
                )
            )
    return Suggestions(held.atoms.predicate, tuple(kept), tuple(pruned), _notes(search, len(rules)))


def _notes(search: BodySearch, measured: int) -> tuple[str, ...]:
    labels = search.labels
    searched = (
        f"{search.tried:,} candidate bodies counted at {len(labels):,} labelled atoms "
        f"({int(labels.sum()):,} true), {measured} of them learned and measured on held-out labels"
    )
    left = (
        f"{search.same:,} hold where another one does, {search.rare:,} almost nowhere or everywhere"
    )
    large = f", {search.large:,} have too many groundings" if search.large else ""
    cut = (f"of conditions and paths the {MOST:,} shortest were counted",) * search.cut
    return searched, left + large, *cut


def _support(one: Found, labels: NDArray[np.float64]) -> tuple[int, float, float]:
    """Support, confidence and lift."""
    held = one.values > 0
    truth = labels if one.weight > 0 else 1 - labels
    confidence = float(truth[held].mean())
    return int(held.sum()), confidence, confidence / float(truth.mean())


def _rule(one: Found, templates: Templates, taken: Collection[str]) -> Rule:
    head = templates.head if one.weight > 0 else f"!{templates.head}"
    formula = parse_formula(templates.program, f"{one.body.text} => {head}")
    words = re.findall(r"(\w+)\(", one.body.text) or ["suggested"]
    short = "_".join(
        re.sub(r"(?<=[a-z])(?=[A-Z])", "_", word).lower() for word in dict.fromkeys(words[:3])
    )
    names = (short, *(f"{short}_{number}" for number in range(2, 1000)))
    name = next(name for name in names if name not in taken)
    return Rule(name, Weight("open"), formula, free_variables(formula))
