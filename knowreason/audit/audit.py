"""An audit: what a person should look at before trusting beliefs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from math import exp, isfinite, nan
from typing import TYPE_CHECKING, Protocol

import numpy as np

from knowreason.audit.accuracy import WRONG, Accuracy, accuracy
from knowreason.audit.audit_report import Audit, Pair, RuleRow
from knowreason.audit.rule_effects import (
    NEEDED,
    Infer,
    oppositions,
    rule_effects,
    sampled_part,
    without_rule,
    without_rules,
)
from knowreason.beliefs.beliefs import Beliefs
from knowreason.diagnostics import Diagnostic
from knowreason.errors import GroundingError, InferenceError
from knowreason.factors import FactorGraph
from knowreason.factors.components.connected import components as count_components
from knowreason.factors.components.connected import subgraph
from knowreason.factors.condition import condition
from knowreason.grounding.rule_report import RuleReport
from knowreason.inference.quality_summary import QualitySummary, quality_summary
from knowreason.logic import Atom, Not, Program, Rule
from knowreason.progress import Progress

if TYPE_CHECKING:
    from knowreason.inference.gcn.gcn_fitting import GcnErrors
    from knowreason.inference.gcn.gcn_network import Corrections

CONTRADICTIONS = ("KR644", "KR702", "KR703")
MOST_PAIRS = 5  # of rules that pull against each other
WIDE = 4.6  # log-odds; ends of an interval whose odds differ by a factor of a hundred


class AuditedWeight(Protocol):
    """A learned parameter: :class:`knowreason.reasoner.rule_weights.RuleWeight`."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def kind(self) -> str:
        """``rule``, ``bias`` or ``scale``."""

    @property
    def value(self) -> float:
        """What was learned."""

    @property
    def status(self) -> str:
        """What the data had to say about it."""

    @property
    def interval(self) -> tuple[float, float]:
        """Ends of its 95 % interval."""


def audit_beliefs(
    beliefs: Beliefs,
    weights: Iterable[AuditedWeight],
    infer: Infer,
    *,
    components: int = 8,
    atoms: int = 20_000,
    seed: int = 0,
    progress: Progress | None = None,
    network: Corrections | None = None,
    also: Iterable[Diagnostic] = (),
) -> Audit:
    r"""Look for what is wrong although nothing failed.

    Args:
        beliefs: of a fitted reasoner about some data.
        weights: what it learned.
        infer: the engine that made the beliefs.
        components: most components that are compared with exact inference or sampling.
        atoms: in components where rules are left out (one of every rule at least).
        seed: of what is sampled.
        progress: called as ``progress(done, total, message)``.
        network: a GCN posterior that was fitted in training.
        also: what was found elsewhere.

    Example:
        >>> import knowreason as kr
        >>> program = kr.loads('domain P = {"anna"}\nquery Smokes(P)\nrule often [1] : Smokes(x)')
        >>> grounding = kr.ground(program, kr.Dataset.from_frames(program))
        >>> beliefs = Beliefs(kr.infer(grounding.graph), grounding)
        >>> audit_beliefs(beliefs, (), kr.infer).rules[0].effect.__round__(3)
        0.231
    """
    grounding, graph = beliefs.grounding, beliefs.grounding.graph
    rules = grounding.program.rules
    asked = np.zeros(graph.atom_count, dtype=bool)
    for predicate in grounding.atoms.spans:
        asked[beliefs.asked(predicate)] = True
    known = accuracy(graph, beliefs.posterior, grounding.atom_name, most=components, seed=seed)
    part, places = sampled_part(graph, len(rules), atoms, seed)
    soft = [
        index
        for index, report in enumerate(grounding.reports)
        if report.open and rules[index].weight.kind != "hard"
    ]
    here = np.zeros(graph.atom_count, dtype=bool)
    here[places] = True

    def without(rule: int) -> FactorGraph:
        if grounding.is_linear:
            return without_rule(part, rule)
        return subgraph(condition(without_rules(grounding, [rule])), here)[0]

    variants = {rule: partial(without, rule) for rule in soft}
    effects = rule_effects(part, asked[places], variants, infer, progress)
    greatest = {effect.rule: effect.greatest for effect in effects if effect.atoms}
    rows = tuple(
        RuleRow(r.rule, r.candidate, r.open, int(asked[places].sum()), greatest.get(i, nan))
        for i, r in enumerate(grounding.reports)
    )
    pulling = [effect for effect in effects if not _is_prior(rules[effect.rule])]
    pairs = tuple(
        Pair(rules[p.raises].name, rules[p.lowers].name, p.atoms, p.together, p.up, p.down)
        for p in oppositions(pulling)
    )
    found = [*also, *_of_accuracy(known), *_of_pairs(pairs), *_of_weights(weights)]
    for rule, report, row in zip(rules, grounding.reports, rows, strict=True):
        found += _of_rule(rule, report, row)
    return Audit(
        quality_summary(beliefs.posterior.qualities.numpy()[asked], beliefs.posterior.reports),
        known,
        sum(rule.weight.kind == "hard" for rule in rules),
        count_components(part)[1],
        part.atom_count,
        rows,
        pairs,
        tuple(sorted(found, key=lambda f: ("error", "warning", "hint").index(f.severity))),
        _of_network(graph, network, seed),
    )


def _of_network(graph: FactorGraph, network: Corrections | None, seed: int) -> GcnErrors | None:
    """Errors of a GCN posterior on cut-outs of today's graph."""
    if network is None:
        return None
    from knowreason.inference.gcn.gcn_fitting import gcn_errors

    return gcn_errors([graph], network, seed=seed)


def refused(error: GroundingError | InferenceError, program: Program) -> Audit:
    """The audit of data for which no world is possible; re-raises any other error.

    The rules that cannot hold together are named.
    """
    if error.code not in CONTRADICTIONS:
        raise error
    labels = getattr(error, "rules", ())
    names = [f"`{program.rules[label].name}`" for label in labels if label >= 0]
    first = error.diagnostics[0]
    if names and not all(name in first.message for name in names):
        first = replace(first, message=f"{first.message} (that is, {' and '.join(names)})")
    return Audit(QualitySummary(), findings=(first, *error.diagnostics[1:]))


def _is_prior(rule: Rule) -> bool:
    """A rule of one literal is a base rate, against which every other rule pulls."""
    formula = rule.formula.operand if isinstance(rule.formula, Not) else rule.formula
    return isinstance(formula, Atom)


def _of_accuracy(found: Accuracy) -> Iterator[Diagnostic]:
    for check in found.checks:
        where = f"a component of {check.atoms:,} atoms around {check.around}"
        if not check.possible:
            yield Diagnostic(
                "KR761",
                f"{where} could be neither summed nor sampled: {check.chains[0]}",
                "warning",
                help="make a hard rule soft, or observe some of its atoms",
            )
        elif check.greatest > WRONG:
            severe = check.quality == "confirmed"
            rival = "exact inference" if check.against == "exact" else "sampling"
            yield Diagnostic(
                "KR760",
                f"{where}: {check.quality} marginals are {check.greatest:.2g} from {rival} "
                f"(on average {check.mean:.2g})",
                "error" if severe else "warning",
                help="give exact inference a larger budget, sample longer, or observe more",
            )


def _of_pairs(pairs: Sequence[Pair]) -> Iterator[Diagnostic]:
    for pair in [pair for pair in pairs if 2 * pair.atoms > pair.together][:MOST_PAIRS]:
        yield Diagnostic(
            "KR765",
            f"rules `{pair.raises}` and `{pair.lowers}` pull against each other at {pair.atoms:,} "
            f"of the {pair.together:,} asked atoms that both move: {pair.up:.2g} up and "
            f"{pair.down:.2g} down on average",
            "hint",
            help="if that is not meant, one of them has the wrong sign or needs a condition",
        )


def _of_weights(weights: Iterable[AuditedWeight]) -> Iterator[Diagnostic]:
    for weight in weights:
        low, high = weight.interval
        if weight.status.startswith("at its bound"):
            yield Diagnostic(
                "KR766",
                f"weight `{weight.name}` stands at its bound, {weight.value:.3g}: "
                "the data say the opposite of the rule, or nothing",
                "warning",
                help="turn the rule round, drop it, or widen its bounds",
            )
        elif weight.kind == "rule" and isfinite(high - low) and high - low > WIDE:
            yield Diagnostic(
                "KR767",
                f"weight `{weight.name}` is anything from {low:+.1f} to {high:+.1f}: odds times "
                f"{_odds(low)} to {_odds(high)} ({weight.status})",
                "warning",
                help="label more cases that it speaks of, or state a narrower prior",
            )


def _odds(log_odds: float) -> str:
    value = exp(min(log_odds, 50.0))
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def _of_rule(rule: Rule, report: RuleReport, row: RuleRow) -> Iterator[Diagnostic]:
    name = f"`{rule.name}`"
    if report.decided and rule.weight.kind != "hard":
        yield Diagnostic(
            "KR763",
            f"nothing unknown stands in rule {name}",
            "warning",
            rule.span,
            help="it says nothing about what is asked: drop it",
        )
    elif not report.candidate:
        yield Diagnostic(
            "KR762",
            f"nothing in the data matches rule {name}",
            "warning",
            rule.span,
            help="compare its names and conditions with the tables, or drop it",
        )
    elif not report.open:
        known = f"all {report.candidate:,} groundings of rule {name} are"
        told = f"{known} true already" if not report.violated else f"{known} decided by evidence"
        yield Diagnostic(
            "KR763",
            told,
            "warning",
            rule.span,
            help="it says nothing about what is asked here",
        )
    elif row.effect < NEEDED:
        yield Diagnostic(
            "KR764",
            f"without rule {name} none of {row.looked:,} asked marginals changes by more than "
            f"{NEEDED:g} (at most {row.effect:.1g})",
            "warning",
            rule.span,
            help="drop it, or keep it for other data",
        )
