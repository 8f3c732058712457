"""Program, models and weights together, in scikit-learn's manners."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.exceptions import NotFittedError

from knowreason.audit import Audit, audit_beliefs, refused
from knowreason.beliefs.beliefs import Beliefs, MarginalTable
from knowreason.data import Dataset
from knowreason.errors import GroundingError, InferenceError, ProjectError, did_you_mean
from knowreason.explanation import DataChange, Explanation
from knowreason.explanation.contradictions import contradictions_named
from knowreason.factors import OPEN, FactorGraph, ParameterTable
from knowreason.factors.kernel_decorators import kernels_loaded
from knowreason.factors.model_output import ModelOutput
from knowreason.grounding import Grounding, ground
from knowreason.inference import infer
from knowreason.inference.engine_protocol import BUDGETED
from knowreason.inference.gcn.instance_network import no_network
from knowreason.inference.posterior import Posterior
from knowreason.learning import Fit
from knowreason.logic import Program
from knowreason.metrics.metrics import Estimate, evaluate
from knowreason.metrics.numeric_metrics import evaluate_numbers
from knowreason.models import KnowledgeModel
from knowreason.models.base.feature_columns import evaluated_definitions
from knowreason.models.base.stored_models import FittedModel
from knowreason.monitor.adaptation import (
    Believe,
    Kept,
    Outputs,
    as_adapted,
    watched,
)
from knowreason.monitor.readings import Shifts, shifted
from knowreason.monitor.separations import weakened
from knowreason.notebook.cells import html_cell, html_lines, html_text
from knowreason.progress import Progress
from knowreason.project.manifests import run_folder
from knowreason.project.schema import InferSection, LearnSection, Project, TimeSection
from knowreason.project.settings import ExactLimits, Options, Settings
from knowreason.reasoner.fit_reasoner import Sources, fit_reasoner
from knowreason.reasoner.fit_steps import (
    model_outputs,
)
from knowreason.reasoner.fitting.numeric_fits import (
    estimates_table,
    hidden_numbers,
    with_estimates,
)
from knowreason.reasoner.labels.asked_labels import hidden_truth, only_query, with_hidden_labels
from knowreason.reasoner.replicates import CONCLUSIONS, with_intervals
from knowreason.reasoner.rule_coupling import (
    coupling_warnings,
    latent_warnings,
)
from knowreason.reasoner.rule_weights import RuleWeights, notes_of_new_groups, theta_for
from knowreason.reasoner.stored_reasoner import Learned, check_plain, write_learned

if TYPE_CHECKING:
    from typing import Self

    from knowreason.inference.gcn.gcn_fitting import FittedGcn
    from knowreason.reasoner.serving.server import Server

    BaseEstimator = object  # scikit-learn has no types: every attribute would be Any
else:
    from sklearn.base import BaseEstimator


NO_INTERVALS = "no intervals: conclusions rest on the stated weights (`weights`)"
AUTO, KNOWGRAPH = "auto", "knowgraph"  # engines
HEADLINE_METRICS = ("average_precision", "roc_auc", "log_loss", "ece")


class Reasoner(BaseEstimator):
    r"""Weighted rules over models: fit on labelled data, ask about other data.

    Args:
        program: from :func:`knowreason.load` or built in Python.
        method: learner: ``variational_em``, ``likelihood``, ``pseudo_likelihood``,
            ``knowgraph``.
        engine: inference engine, ``auto`` by default; ``knowgraph`` asks the network of that
            method.
        folds: cross-fitting of models: ``grouped``, ``random``, ``forward``,
            ``group:ATTRIBUTE``; empty chooses ``forward`` where definitions read labels and
            atoms have a clock, else ``grouped`` (by ``clusters``, or by what rules tie together).
        models: by model name, options over those of the rule file or a ready model.
        settings: everything else.
        seed: of everything random.
        device: ``auto``, ``cpu`` or ``cuda``.

    Attributes:
        weights_: :class:`RuleWeights`, every parameter with its error and what the data
            said about it.
        models_: fitted models of predicates.
        estimates_: those of numeric queries.
        fit_: the learner's result.
        gcn_: the GCN posterior fitted to the program, which engine ``gcn`` uses; ``None``
            without.
        answers_: how conclusions are made of models and rules, and with whose weights.
        grounding_: what was learned from.
        snapshot_: what held on the training data; today's is compared with it.
        bootstrap_: replicates of the parameters, where the settings ask for them.

    Example:
        >>> from knowreason import loads
        >>> program = loads("domain Person\nquery Smokes(Person)")
        >>> labels = {"person": ["anna", "bob"], "smokes": [True, None]}
        >>> data = Dataset.from_frames(program, labels={"Smokes": labels})
        >>> Reasoner(program).fit(data).predict_proba(data).round(2)
        array([[0.26, 0.74]])
    """

    def __init__(
        self,
        program: Program,
        *,
        method: str = "variational_em",
        engine: str = "auto",
        folds: str = "",
        models: Mapping[str, Options | KnowledgeModel] | None = None,
        settings: Settings = Settings(),  # noqa: B008  (frozen)
        seed: int = 0,
        device: str = "auto",
    ) -> None:
        self.program = program
        self.method = method
        self.engine = engine
        self.folds = folds
        self.models = models
        self.settings = settings
        self.seed = seed
        self.device = device

    def fit(
        self,
        data: Dataset,
        y: None = None,
        *,
        checkpoints: Path | str | None = None,
        models: Path | str | None = None,
        grounding: Grounding | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Fit the models, then the weights, on the visible labels of ``data``.

        A model is taken from ``checkpoints`` or ``models`` where the data it reads, its options,
        folds, seed and code are what they were; ``origin`` of each of ``models_`` says so, or
        what differs.

        Args:
            data: past data.
            y: nothing; labels are part of ``data``.
            checkpoints: folder where finished models are kept and taken up again.
            models: run folder whose models are taken.
            grounding: that of the program over ``data``, where it is there already.
            progress: called as ``progress(done, total, message)``.

        Raises:
            ProjectError: KR911 where ``models`` is no run folder, KR935 for a grounding of another
                program or other data.
            DataError, ModelError, GroundingError, LearningError: as their parts do.
            InferenceError: KR710 for engine ``knowgraph`` with another method.
        """
        if self.engine == KNOWGRAPH and self.method != KNOWGRAPH:
            raise no_network()
        if grounding is not None:
            grounding = self._checked(grounding, data)
        kept = None if checkpoints is None else Path(checkpoints)
        sources = Sources(kept, None if models is None else Path(models), grounding)
        self.gcn_: FittedGcn | None = None  # not that of an earlier fit
        with kernels_loaded():  # of hundreds of passes
            self.grounding_, learned = fit_reasoner(self, data, sources, progress)
        return self.adopt(learned)

    def _checked(self, grounding: Grounding, data: Dataset) -> Grounding:
        if grounding.data is not data or grounding.program != self.program:
            what = "of another program" if grounding.data is data else "over another data set"
            raise ProjectError(f"the grounding is {what}", code="KR935")
        return grounding

    def adopt(self, learned: Learned) -> Self:
        """Take over what was learned (of a stored run)."""
        self.models_ = learned.models
        self.estimates_ = learned.estimates
        self.fit_ = learned.fit
        self.gcn_ = learned.fit.gcn
        self.answers_ = learned.answers
        self.snapshot_ = learned.snapshot
        self.bootstrap_ = learned.replicates
        self.weights_ = RuleWeights.of(learned.fit, learned.replicates)
        return self

    def learned(self) -> Learned:
        """What :meth:`fit` learned, as it is stored."""
        models, estimates = self._fitted(), self.estimates_
        answers, drawn = self.answers_, self.bootstrap_
        return Learned(models, self.fit_, self.snapshot_, drawn, answers, estimates)

    def save(self, folder: Path | str, *, force: bool = False) -> None:
        """Write a run folder that :func:`knowreason.load_run` and the command line read.

        Program, settings, weights and models are in it, without pickle; data are not.

        Args:
            folder: appears whole or not at all.
            force: replace a run folder that is there.

        Raises:
            NotFittedError: before :meth:`fit`.
            ProjectError: KR914 where something is there, KR924 where it is no run folder.
            ModelError: KR840 for a model or an option that is no plain value.
        """
        self._fitted()
        given = self.models or {}
        options = {n: dict(o) for n, o in given.items() if not isinstance(o, KnowledgeModel)}
        for name, values in options.items():
            check_plain(values, f"{name}.")
        project = Project(
            program=Path("program.kr"),
            seed=self.seed,
            device=self.device,
            models=options,
            time=TimeSection(zone=self.program.zone),
            learn=LearnSection(method=self.method, folds=self.folds),
            infer=InferSection(engine=self.engine),
        )
        grounded = self.grounding_.reports if hasattr(self, "grounding_") else ()
        with run_folder(Path(folder), replace=force) as partial:
            write_learned(
                self.learned(),
                self.program,
                project.with_settings(self.settings),
                partial,
                reports=grounded,
                ready=tuple(name for name in given if name not in options),
            )

    def infer(
        self,
        data: Dataset,
        *,
        engine: str | None = None,
        adapt: Literal["", "reliability"] | None = None,
    ) -> Beliefs:
        """Beliefs about every open atom of ``data``; its visible labels are known truths.

        Args:
            data: today's data; labels optional.
            engine: instead of the reasoner's own.
            adapt: ``reliability`` passes every model through what happened to it since
                training; the unadapted beliefs stay in ``unadapted``. ``None`` takes the
                settings' choice.

        Raises:
            NotFittedError: before :meth:`fit`.
        """
        outputs, beside, believe = self._believing(data, engine)
        beliefs = believe(outputs, {}, {})
        told = notes_of_new_groups(beliefs.grounding, self.fit_)
        beliefs = replace(beliefs, notes=(*beliefs.notes, *told))
        if self.snapshot_ is not None and beliefs.posterior.world is None:
            adapt = self.settings.adapt if adapt is None else adapt
            beliefs = watched(beliefs, self.snapshot_, believe, beside, adapt=bool(adapt))
        if self.bootstrap_ is None or beliefs.posterior.world is not None:
            return beliefs
        if not self.answers_.share:
            return replace(beliefs, notes=(*beliefs.notes, NO_INTERVALS))
        engine = engine or self.engine
        drawn = self.answers_.replicates(self.fit_, self.bootstrap_.theta[:CONCLUSIONS])
        return with_intervals(beliefs, drawn, engine, self.engine_options(engine))

    def infer_as(
        self, data: Dataset, beliefs: Beliefs, heard: Callable[[Outputs], Outputs] | None = None
    ) -> Beliefs:
        """Beliefs about ``data`` by models, adapted as they were for ``beliefs``; drift is not
        looked for again.

        Args:
            data: such as a changed part of what ``beliefs`` are about.
            beliefs: from :meth:`infer`.
            heard: what becomes of the models' outputs, adapted already; nothing by default.
        """
        outputs, _, believe = self._believing(data, None, heard)
        shifts, kept = beliefs.adaptation
        return believe(as_adapted(outputs, beliefs), shifts, kept)

    def _believing(
        self,
        data: Dataset,
        engine: str | None,
        heard: Callable[[Outputs], Outputs] | None = None,
    ) -> tuple[Outputs, Outputs, Believe]:
        """What models over which rules stand say, what others do, and what is believed by it."""
        models = self._fitted()
        if data.label_refresh:  # labels are as old as they are
            data = replace(data, label_refresh=0)
        data = with_estimates(data, self.estimates_)
        heard = heard or tuple
        outputs = heard(model_outputs(models, data))
        beside = heard(model_outputs(self.answers_.beside, data))
        boosted = model_outputs(self.answers_.boosted, data)
        bare = self._ground(data, (), labels="evidence")

        def believe(outputs: Outputs, shifts: Shifts, kept: Kept) -> Beliefs:
            grounding = shifted(bare.with_models(outputs), shifts)
            fit = self.answers_.used(self.fit_)
            beliefs = self._believe(grounding, outputs, fit, engine)
            if beliefs.posterior.world is not None:
                return beliefs
            said = (*outputs, *weakened(beside, kept), *boosted)
            answers = self.answers_.pooled(beliefs.grounding, said, shifts, kept)
            return replace(beliefs, answers=answers, adaptation=(shifts, kept))

        return outputs, beside, believe

    def serve(self, history: Dataset | Path | str) -> Server:
        """A server of new events on a history that is kept ready.

        Args:
            history: what is known so far, labels included, or the folder in which
                ``Server.save`` stored that.

        Raises:
            NotFittedError: before :meth:`fit`.
            ModelError: KR885 for a model that sees more than an atom's own columns.
            ProjectError: KR939 for a folder without a state of this program.
        """
        from knowreason.reasoner.serving.server import Server

        return Server(self, history)

    def _believe(
        self,
        grounding: Grounding,
        outputs: tuple[ModelOutput, ...],
        fit: Fit,
        engine: str | None = None,
    ) -> Beliefs:
        graph = grounding.at(theta_for(grounding, fit))
        with contradictions_named(grounding):
            name = engine or self.engine
            options = self.engine_options(name, grounding.parameters, fit)
            posterior = infer(graph, engine=name, **options)
        grounding = replace(grounding, graph=graph)
        return Beliefs(posterior, grounding, outputs, show=self.settings.show)

    def _posterior(self, graph: FactorGraph) -> Posterior:
        """Of held-out labels, by the weights: a network has seen them in training."""
        name = AUTO if self.engine == KNOWGRAPH else self.engine
        return infer(graph, engine=name, **self.engine_options(name))

    def engine_options(
        self, engine: str, parameters: ParameterTable | None = None, fit: Fit | None = None
    ) -> Options:
        """Keywords with which :func:`knowreason.infer` is called for an engine.

        Args:
            engine: its name.
            parameters: of the graph; engine ``knowgraph`` wants them.
            fit: whose network it uses; the reasoner's own by default.
        """
        limits: Options = {}
        if engine == KNOWGRAPH:
            fit = fit or getattr(self, "fit_", None)
            network = None if fit is None else fit.knowgraph
            limits = {"network": network, "parameters": parameters}
        if engine in BUDGETED:
            names = ExactLimits.__dataclass_fields__
            limits = {name: getattr(self.settings, name) for name in names}
        fitted = getattr(self, "gcn_", None)
        if engine == "gcn" and fitted is not None:
            limits = {"network": fitted.network, "large": "network"}
        return {"seed": self.seed, "device": self.device, **limits, **self.settings.infer}

    def training_grounding(self, data: Dataset) -> Grounding:
        """The grounding that was learned from; grounded again for a reasoner read from disk."""
        if not hasattr(self, "grounding_"):
            self.grounding_ = self._ground(
                with_estimates(data, self.estimates_, training=True),
                tuple(model.fitted.output for model in self._fitted()),
            )
        return self.grounding_

    def predict_proba(self, data: Dataset, predicate: str | None = None) -> NDArray[np.float64]:
        """``float64[n, 2]``: probability of false and true of each asked atom.

        Args:
            data: today's data.
            predicate: which; may be left out where only one is asked.
        """
        beliefs = self.infer(data)
        atoms = beliefs.asked(predicate or only_query(self.program))
        probability = expit(beliefs.log_odds[atoms])
        return np.column_stack([1 - probability, probability])

    def estimate(self, data: Dataset, query: str | None = None) -> MarginalTable:
        """What is estimated of a numeric query: its arguments by name, ``value`` and ``sd``, one
        row a setting that is asked and has no known label, highest first.

        ``value`` is the mean of the fold models, ``sd`` the root mean squared error of these on
        labels they had not seen, the same in every row.

        Args:
            data: today's data.
            query: which; may be left out where only one is declared.

        Raises:
            ProjectError: KR912 for what is no numeric query.
        """
        self._fitted()
        models = {model.predicate: model for model in self.estimates_}
        name = query or (next(iter(models)) if len(models) == 1 else "")
        if name not in models:
            said = f"`{name}` is no numeric query" if name else "say which numeric query"
            help = did_you_mean(name, models) or f"there is: {', '.join(models) or 'none'}"
            raise ProjectError(said, code="KR912", help=help)
        return MarginalTable(estimates_table(data, models[name]))

    def predict(self, data: Dataset, predicate: str | None = None) -> NDArray[np.int8]:
        """``int8[n]``: whether each asked atom is more likely true than not."""
        return (self.predict_proba(data, predicate)[:, 1] > 0.5).astype(np.int8)

    def score(
        self,
        data: Dataset,
        y: None = None,
        *,
        metrics: Sequence[str] = HEADLINE_METRICS,
        predicate: str | None = None,
    ) -> dict[str, Estimate]:
        """Metrics against held-back labels, with bootstrap intervals.

        Args:
            data: with hidden labels (the later part of a split); where there are none, the
                visible ones are hidden first.
            metrics: names for :func:`knowreason.metrics.metrics.metric`; numeric queries have
                ``rmse``, ``mae``, ``r2`` and ``spearman``.
            predicate: which; all that have hidden labels where it is left out.

        Returns:
            Estimates by metric; by ``"Predicate.metric"`` where there are several predicates.

        Raises:
            ProjectError: KR919 where there is no label to measure by.
        """
        data = with_hidden_labels(data)
        names = [name for name, table in data.hidden.items() if table.num_rows]
        asked = [predicate] if predicate else names
        if not set(asked) & set(names):
            raise ProjectError("no label is held back, so nothing can be measured", code="KR919")
        beliefs = self.infer(data)
        estimates = {name: self._measured(beliefs, name, metrics) for name in asked}
        if len(estimates) == 1:
            return estimates[asked[0]]
        return {f"{name}.{key}": e for name, row in estimates.items() for key, e in row.items()}

    def _measured(
        self, beliefs: Beliefs, predicate: str, metrics: Sequence[str]
    ) -> dict[str, Estimate]:
        if self.program.is_number(predicate):
            _, numbers, said = hidden_numbers(beliefs.grounding.data, predicate)
            return evaluate_numbers(numbers, {"reasoner": said}, seed=self.seed)["reasoner"]
        atoms, truth = hidden_truth(beliefs, predicate)
        log_odds = beliefs.log_odds[atoms]
        return evaluate(truth, {"reasoner": log_odds}, metrics, seed=self.seed)["reasoner"]

    def explain(
        self,
        beliefs: Beliefs,
        atom: str,
        *,
        training: Dataset | None = None,
        **options: int,
    ) -> Explanation:
        """Why an atom is believed or not; see :func:`knowreason.explanation.explain`.

        A labelled atom is explained as if nobody knew: its own label is hidden, and a model that
        learned from it is replaced by what was said of the atom out of fold.

        Args:
            beliefs: from :meth:`infer`.
            atom: such as ``Fraud("p17")``.
            training: what was learned from, where :meth:`fit` was not called on this object.
            **options: of that function.
        """
        from knowreason.reasoner.reviews.past_cases import explain_case

        return explain_case(self, beliefs, atom, training, **options)

    def what_if(
        self,
        beliefs: Beliefs,
        atom: str,
        changes: Sequence[str] = (),
        *,
        training: Dataset | None = None,
        most: int = 3,
    ) -> tuple[DataChange, ...]:
        """What would be believed of an atom if the data were otherwise.

        Definitions, models, rules and inference are evaluated again on the changed data.

        Args:
            beliefs, atom, training: as for :meth:`explain`.
            changes: as facts files have them, each by itself: ``amount("p1") = 20``,
                ``!Pays("p1", _, "t2")``, ``Fraud("p2")`` (a label). Without any, single changes
                of facts and attributes that turn the conclusion around are searched for, the
                smallest first.
            most: of what is searched for.

        Raises:
            ProjectError: KR941 for a change that cannot be made.
        """
        from knowreason.reasoner.reviews.single_changes import after_changes, turning_changes

        if changes:
            return after_changes(self, beliefs, atom, changes, training)
        return turning_changes(self, beliefs, atom, training, most)

    def audit(
        self,
        data: Dataset,
        *,
        components: int = 8,
        atoms: int = 20_000,
        progress: Progress | None = None,
    ) -> Audit:
        """What to look at before trusting beliefs about ``data``: engine, rules, weights.

        Args:
            data: today's data; its visible labels are known truths.
            components: most components that are compared with exact inference or sampling.
            atoms: in components where each rule is left out.
            progress: called as ``progress(done, total, message)``.

        Raises:
            NotFittedError: before :meth:`fit`.
        """
        try:
            beliefs = self.infer(data)
        except (GroundingError, InferenceError) as error:
            return refused(error, self.program)
        grounding = beliefs.grounding
        theta, parameters = grounding.graph.theta.numpy(), grounding.parameters
        used = self.answers_.weights
        weights = self.weights_ if used is None else RuleWeights.of(used)
        fitted = self.gcn_
        return audit_beliefs(
            beliefs,
            weights,
            partial(infer, engine=self.engine, **self.engine_options(self.engine, parameters)),
            components=components,
            atoms=atoms,
            seed=self.seed,
            progress=progress,
            network=None if fitted is None else fitted.network,
            also=(
                *self.fit_.findings,
                *coupling_warnings(grounding, theta),
                *latent_warnings(grounding, theta),
            ),
        )

    def _ground(
        self,
        data: Dataset,
        outputs: tuple[ModelOutput, ...],
        labels: Literal["open", "evidence"] = "open",
    ) -> Grounding:
        return ground(
            self.program,
            data,
            labels=labels,
            limit=self.settings.ground_limit,
            memory_limit=self.settings.memory_limit,
            threads=self.settings.threads,
            evaluated=evaluated_definitions(data) if data.program is self.program else None,
            hard_violations=self.settings.hard_violations,
        ).with_models(outputs)

    def __repr__(self) -> str:
        program = self.program
        asked = ", ".join(p.name for p in program.predicates if p.kind == "query") or "nothing"
        rules, models = len(program.rules), len(program.models)
        counts = (
            f"{rules} rule{'s' * (rules != 1)}, {models} model{'s' * (models != 1)}; asks {asked}"
        )
        if not hasattr(self, "fit_"):
            return f"Reasoner({counts}; method={self.method!r}, not fitted)"
        labels = ""
        if hasattr(self, "grounding_"):
            labels = f" on {int((self.grounding_.labels != OPEN).sum()):,} labels"
        weights = [weight for weight in self.weights_ if weight.kind == "rule"]
        weights.sort(key=lambda weight: -abs(weight.value))
        strongest = [
            f"{w.name} {w.value:.2f}"
            + ("" if np.isnan(w.standard_error) else f" +- {w.standard_error:.2f}")
            for w in weights[:3]
        ]
        second = f"\n  strongest: {', '.join(strongest)}" if strongest else ""
        return f"Reasoner({counts}; method={self.method!r}, fitted{labels}){second}"

    def _repr_html_(self) -> str:
        if not hasattr(self, "fit_"):
            return html_cell(repr(self), html_text(str(self.program)))
        notes = html_lines([*self.answers_.notes, *self.fit_.notes], "Notes:")
        return html_cell(repr(self), self.weights_._repr_html_(), notes)

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        """Ours, not scikit-learn's diagram of an estimator."""
        return {"text/plain": repr(self), "text/html": self._repr_html_()}

    def _fitted(self) -> tuple[FittedModel, ...]:
        if not hasattr(self, "fit_"):
            raise NotFittedError("this Reasoner is not fitted: call `fit` first")
        return self.models_
