"""What a rule adds to a program on labels that its weights were not learned from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from knowreason.data import Dataset
from knowreason.factors import OPEN
from knowreason.factors.components.connected import components, subgraph
from knowreason.factors.condition import clamp, condition
from knowreason.grounding import Grounding, ground, plan
from knowreason.inference import infer
from knowreason.learning import learn
from knowreason.learning.estimators.left_out import without_folds
from knowreason.logic import Atom, Rule
from knowreason.logic.traversal import names_in, walk
from knowreason.metrics.cluster_test import cluster_test
from knowreason.models.base.feature_columns import evaluated
from knowreason.reasoner.fit_steps import fit_weights, learning_problem, options_again
from knowreason.reasoner.labels.labelled_atoms import LabelledAtoms
from knowreason.reasoner.reasoner import Reasoner

SURE = 14.0  # log-odds of what hard rules decide
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Measured:
    """A program with rules added.

    Attributes:
        losses: ``float64[n]``, surprise of each label when its fold was left out.
        log_odds: ``float64[n]``, of the labelled atoms then.
        weights: by rule, its weight and the standard error, learned from all labels.
    """

    losses: Floats
    log_odds: Floats
    weights: dict[str, tuple[float, float]]


@dataclass(frozen=True)
class HeldOut:
    """How programs are measured: always by the same folds.

    Attributes:
        reasoner: fitted; its models stay as they are.
        data: what it was fitted on.
        atoms: the labelled ones.
        forward: whether folds follow each other in time.
    """

    reasoner: Reasoner
    data: Dataset
    atoms: LabelledAtoms
    forward: bool

    def groundings(self, rule: Rule) -> int:
        """How many groundings a rule has, by the plan."""
        program = replace(self.reasoner.program, rules=(rule,))
        return plan(program, self.data, limit=self.reasoner.settings.ground_limit).rules[0].rows

    def measured(self, rules: Sequence[Rule]) -> Measured:
        """The program with further rules: weights learned without each fold, whose labels are
        asked while the others (in time: the earlier ones) are known."""
        reasoner, settings = self.reasoner, self.reasoner.settings
        program = replace(reasoner.program, rules=(*reasoner.program.rules, *rules))
        models = reasoner.models_
        used = {name for rule in program.rules for name in names_in(rule.formula)}
        defined = [one.name for one in program.definitions if one.name in used]
        grounding = ground(
            program,
            self.data,
            limit=settings.ground_limit,
            memory_limit=settings.memory_limit,
            threads=settings.threads,
            evaluated=evaluated(self.data, defined),
            hard_violations=settings.hard_violations,
        ).with_models(tuple(model.fitted.output for model in models))
        problem = learning_problem(grounding, models, settings)
        method = self._method(rules)
        options = settings.learn if method == reasoner.method else {}
        fit = fit_weights(
            grounding,
            models,
            method=method,
            settings=replace(settings, learn=options),
            seed=reasoner.seed,
            problem=problem,
        )
        again = options_again(options, fit)
        refit = partial(learn, method=method, seed=reasoner.seed, **again)
        fold = np.full(grounding.graph.atom_count, -1)
        fold[self.atoms.atoms] = self.atoms.fold
        log_odds = self._asked(grounding, fold, without_folds(problem, fit, fold, refit))
        table = zip(fit.parameters.names, fit.theta, fit.standard_errors, strict=True)
        names = {rule.name for rule in rules}
        weights = {name: (float(w), float(e)) for name, w, e in table if name in names}
        return Measured(self.atoms.losses(log_odds, calibrated=True), log_odds, weights)

    def gain(self, before: Measured, after: Measured) -> tuple[float, float]:
        """Nats by which the labels surprise less, and the standard error: the greatest of those
        by each clustering of the labels."""
        apart = before.losses - after.losses
        tests = [cluster_test(apart, clusters) for clusters in self.atoms.clusterings.values()]
        total = float(apart.sum())
        errors = [abs(total / test.statistic) for test in tests if test.statistic]
        return total, max(errors, default=0.0)

    def _method(self, rules: Sequence[Rule]) -> str:
        """Pseudo-likelihood where rules that are tried tie labelled atoms to each other: hundreds
        of fits of one large component would take hours."""
        program = self.reasoner.program
        several = any(
            sum(program.is_open(n.predicate) for n in walk(r.formula) if isinstance(n, Atom)) > 1
            for r in rules
        )
        latent = any(p.kind == "latent" for p in program.predicates)
        return "pseudo_likelihood" if several and not latent else self.reasoner.method

    def _asked(
        self, grounding: Grounding, fold: NDArray[np.integer], thetas: Sequence[Floats]
    ) -> Floats:
        reasoner = self.reasoner
        found = np.zeros(len(fold))
        for one, theta in enumerate(thetas):
            hidden = fold >= one if self.forward else fold == one
            known = np.where(hidden, OPEN, grounding.labels).astype(np.int8)
            graph = clamp(grounding.at(torch.from_numpy(theta)), torch.from_numpy(known))
            graph = condition(graph)
            asked = fold == one
            decided = graph.evidence.numpy()
            found[asked] = np.where(decided[asked] == 1, SURE, -SURE)
            component, _ = components(graph)
            keep = np.isin(component, component[asked & (component >= 0)])
            part, atoms = subgraph(graph, keep)
            inside = asked[atoms]
            options = reasoner.engine_options(reasoner.engine)
            said = infer(part, engine=reasoner.engine, **options).log_odds.numpy()
            found[atoms[inside]] = said[inside]
        return found[self.atoms.atoms]
