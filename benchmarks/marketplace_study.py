"""One split of the marketplace, fitted once and reasoned about in many ways."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit
from sklearn.linear_model import LogisticRegression

import knowreason as kr
from knowreason.data import Dataset
from knowreason.data.worlds import marketplace
from knowreason.data.worlds.marketplace_data import bind, snapshot
from knowreason.factors.model_output import ModelOutput
from knowreason.grounding import Grounding, ground
from knowreason.inference import infer
from knowreason.learning import Fit
from knowreason.logic import Program
from knowreason.metrics.intervals import draw
from knowreason.metrics.metrics import Estimate, metric, resampled
from knowreason.models import make, predicted
from knowreason.models.base.feature_columns import evaluated_definitions
from knowreason.models.base.stored_models import FittedModel
from knowreason.reasoner.fit_steps import fit_weights, learning_problem
from knowreason.reasoner.fitting.model_fits import fit_models
from knowreason.reasoner.replicates import bootstrap_fit
from knowreason.reasoner.rule_weights import RuleWeights, theta_for

RULES = Path(__file__).resolve().parents[1] / "rulesets" / "collusion.kr"
ASKED = "Collusion"
WINDOW, TEST = 30, 40  # days of a snapshot; first day of the test snapshot
HIERARCHY = ("is_takeover", "is_sign_in", "is_one_day", "is_overridden", "some_kind")
BUSINESS = (
    *("old_account", "young_account", "was_declined", "was_overridden", "had_failed"),
    *("elsewhere", "forced", "newborn", "waved", "known_pair", "one_network", "overpriced"),
)
FAMILIES: Mapping[str, tuple[str, ...]] = {
    "hierarchy": HIERARCHY,
    "exclusion": ("one_kind",),
    "ensemble": ("agree",),
    "business": BUSINESS,
    "relations": ("same_tool", "tool_seen"),
}
DERIVED = ("markup", "n_pair", "n_seller", "n_device", "n_tool", "mean_markup", "networks")
TUNED = {"max_leaf_nodes": 4}  # by out-of-fold AP within the training days of other worlds
METRICS = ("average_precision", "roc_auc", "tpr@fpr=0.005", "ece", "log_loss")
Scores = NDArray[np.float64]
Found = Mapping[str, Scores]
Split = Literal["inductive", "transductive"]


@dataclass(frozen=True)
class Yard:
    """What scores of one world are measured against.

    Attributes:
        truth: ``bool[n]``.
        blocks: ``int64[n]`` days, resampled whole.
    """

    truth: NDArray[np.bool_]
    blocks: NDArray[np.int64]

    def where(self, mask: NDArray[np.bool_]) -> Yard:
        return Yard(self.truth[mask], self.blocks[mask])

    def save(self, file: Path, found: Found) -> None:
        """Write it with scores of one world; whole or not at all."""
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_name(f".{file.name}")
        np.savez_compressed(
            partial,
            **{f"score {name}": score.astype(np.float32) for name, score in found.items()},
            truth=self.truth,
            blocks=self.blocks,
        )
        partial.replace(file)

    @staticmethod
    def load(file: Path) -> tuple[Yard, dict[str, Scores]]:
        """What :meth:`save` wrote."""
        with np.load(file) as stored:
            scores = {
                name.removeprefix("score "): stored[name].astype(np.float64)
                for name in stored.files
                if name.startswith("score ")
            }
            return Yard(stored["truth"], stored["blocks"]), scores


@dataclass(frozen=True)
class Reasoned:
    """What one way of reasoning found: log-odds ``float64[n]``, the fit and seconds."""

    scores: Scores
    fit: Fit
    seconds: float


@dataclass(frozen=True)
class Study:
    """Models fitted once on a training part; their outputs there (out of fold) and on the test.

    Attributes:
        program: all rules and models.
        training, test: labels of the asked transactions are hidden in ``test``.
        models: fitted.
        now: their outputs on the test part.
        local: ``int64[n]`` asked atoms within the span of ``Collusion``.
        yard: truth and days of those.
        seconds: of fitting the models.
    """

    program: Program
    training: Dataset
    test: Dataset
    models: tuple[FittedModel, ...]
    now: tuple[ModelOutput, ...]
    local: NDArray[np.int64]
    yard: Yard
    seconds: float

    @staticmethod
    def of(
        program: Program,
        training: Dataset,
        test: Dataset,
        *,
        folds: int = 4,
        options: Mapping[str, Mapping[str, Any]] | None = None,
        known: Sequence[FittedModel] = (),
        folder: Path | None = None,
    ) -> Study:
        """Fit every model of the program that is not ``known`` already.

        Finished models are kept in ``folder`` and read again where they are there.

        Folds are random: forward folds would leave the first kinds two cases to learn from.
        """
        start = time.perf_counter()
        given = {(model.name, model.predicate) for model in known}
        names = {name for name, _ in given}
        wanted = replace(program, models=tuple(m for m in program.models if m.name not in names))
        fitted = fit_models(
            wanted,
            training,
            options or {},
            folds="random",
            fold_count=folds,
            seed=0,
            device="cpu",
            checkpoints=folder,
        )
        spent = time.perf_counter() - start
        models = (*known, *fitted)
        now = tuple(model.fitted.predict(test) for model in models)
        hidden = test.hidden[ASKED]
        local = hidden["a0"].to_numpy().astype(np.int64)
        yard = Yard(hidden["value"].to_numpy() == 1, days_of(test)[local])
        return Study(program, training, test, models, now, local, yard, spent)

    @property
    def day(self) -> NDArray[np.int64]:
        """``int64[n]`` of every transaction of the test part."""
        return days_of(self.test)

    def model_scores(self, name: str) -> Scores:
        """Log-odds by one model for the asked transactions, of whatever it speaks of."""
        (found,) = (output for output in self.now if output.model == name)
        return _log_odds(found)[self.local]

    def average(self) -> Scores:
        """Mean ratio of all models over the base rate of Collusion."""
        (base,) = (output.base_rate for output in self.now if output.model == "main")
        ratios = np.mean([output.llr[self.local] for output in self.now], axis=0)
        return np.asarray(ratios + logit(base), dtype=np.float64)

    def stacked(self, names: Sequence[str]) -> Scores:
        """Logistic regression on the ratios of some models, whatever they speak of."""
        labels = self.training.labels[ASKED]
        rows = labels["a0"].to_numpy()
        past = [m.fitted.output.llr for m in self.models if m.name in names]
        now = [output.llr[self.local] for output in self.now if output.model in names]
        regression = LogisticRegression(max_iter=1000)
        regression.fit(np.stack(past, axis=1)[rows], labels["value"].to_numpy() == 1)
        return np.asarray(regression.decision_function(np.stack(now, axis=1)), dtype=np.float64)

    def trees(self, features: tuple[str, ...] | None, **options: Any) -> Scores:
        """Boosted trees for Collusion on features of the transaction."""
        model = make("trees", {"features": features, "hops": 0, **options})
        model.fit(self.training, ASKED)
        return _log_odds(predicted(model, self.test, ASKED, "trees"))[self.local]

    def reason(
        self,
        rules: Sequence[str] | None = None,
        models: Sequence[str] | None = None,
        *,
        method: str = "variational_em",
        settings: kr.Settings = kr.Settings(),  # noqa: B008  (frozen)
    ) -> Reasoned:
        """Weights of some rules (all by default) over some models; beliefs about the test part."""
        start = time.perf_counter()
        program = part_of(self.program, rules, models)
        chosen = tuple(m for m in self.models if models is None or m.name in models)
        past = self._grounding(program, self.training, "open").with_models(
            tuple(m.fitted.output for m in chosen)
        )
        fit = fit_weights(past, chosen, method=method, settings=settings, seed=0)
        scores = self.believed(program, fit, models)
        return Reasoned(scores, fit, time.perf_counter() - start)

    def believed(
        self,
        program: Program,
        fit: Fit,
        models: Sequence[str] | None = None,
        of: tuple[str, NDArray[np.int64]] | None = None,
    ) -> Scores:
        """Log-odds at the fitted weights, of the asked transactions or of rows of a predicate."""
        outputs = tuple(o for o in self.now if models is None or o.model in models)
        return self._asked(program, fit, outputs, of, engine="auto")

    def by_network(self, fit: Fit, noise: float | None = None) -> Scores:
        """Log-odds by the network of method `knowgraph`; ``noise`` as its engine takes it."""
        network = {"network": fit.knowgraph, "parameters": fit.parameters, "noise": noise}
        return self._asked(self.program, fit, self.now, None, engine="knowgraph", **network)

    def _asked(
        self,
        program: Program,
        fit: Fit,
        outputs: tuple[ModelOutput, ...],
        of: tuple[str, NDArray[np.int64]] | None,
        **options: Any,
    ) -> Scores:
        today = self._grounding(program, self.test, "evidence").with_models(outputs)
        if "parameters" in options:
            options["parameters"] = today.parameters
        graph = today.graph.with_theta(theta_for(today, fit))
        posterior = infer(graph, seed=0, device="cpu", **options)
        predicate, rows = of or (ASKED, self.local)
        return posterior.log_odds.numpy()[today.span(predicate).start + rows].astype(np.float64)

    def learned_from(self) -> Grounding:
        """The training part under all rules, with the models' out-of-fold outputs."""
        outputs = tuple(m.fitted.output for m in self.models)
        return self._grounding(self.program, self.training, "open").with_models(outputs)

    def weights(self, replicates: int) -> RuleWeights:
        """Weights of all rules with bootstrap intervals."""
        past = self.learned_from()
        settings = kr.Settings()
        fit = fit_weights(past, self.models, method="variational_em", settings=settings, seed=0)
        problem = learning_problem(past, self.models, settings)
        return RuleWeights.of(
            fit, bootstrap_fit(problem, fit, replicates, 0) if replicates else None
        )

    def _grounding(self, program: Program, data: Dataset, labels: Any) -> Grounding:
        return ground(
            program,
            replace(data, program=program),
            labels=labels,
            threads=1,
            evaluated=evaluated_definitions(data),
        )


def _log_odds(output: ModelOutput) -> Scores:
    return np.asarray(output.llr.astype(np.float64) + logit(output.base_rate))


def part_of(program: Program, rules: Sequence[str] | None, models: Sequence[str] | None) -> Program:
    """The program with some of its rules and models."""
    kept = tuple(r for r in program.rules if rules is None or r.name in rules)
    chosen = tuple(m for m in program.models if models is None or m.name in models)
    return replace(program, rules=kept, models=chosen)


def without(family: str) -> list[str]:
    """Names of all rules but those of a family."""
    return [rule for name, rules in FAMILIES.items() if name != family for rule in rules]


@dataclass(frozen=True)
class World:
    """A generated world and what is asked of it.

    Attributes:
        tables: from the generator.
        program: the rules.
    """

    tables: Mapping[str, Any]
    program: Program

    @staticmethod
    def draw(seed: int, transactions: int, prevalence: float, **knobs: Any) -> World:
        """A world under ``rulesets/collusion.kr``."""
        tables = marketplace(seed, transactions=transactions, prevalence=prevalence, **knobs)
        return World(tables, kr.load(str(RULES)))

    def days(self, first: int, last: int) -> Dataset:
        """The snapshot of some days."""
        return bind(self.program, snapshot(self.tables, first, last))

    def inductive(self, overlap: int = 0) -> tuple[Dataset, Dataset]:
        """Train on the 30 days that end ``overlap`` days into the test snapshot."""
        first = TEST - WINDOW + overlap
        return self.days(first, first + WINDOW), hidden(self.days(TEST, TEST + WINDOW))

    def transductive(self, share: float = 0.4) -> tuple[Dataset, Dataset]:
        """Hold back all labels of some transactions of the test snapshot, at random."""
        data = self.days(TEST, TEST + WINDOW)
        chosen = np.random.default_rng(0).random(data.count("Transaction")) < share
        return data.split_by_key("Transaction", chosen)


@functools.lru_cache(maxsize=8)
def studied(
    kind: Split,
    seed: int,
    overlap: int = 0,
    *,
    transactions: int,
    prevalence: float,
    annotated: float = 1.0,
    out: Path,
) -> Study:
    """A study of one world; models that do not depend on ``annotated`` are fitted once."""
    size = {"transactions": transactions, "prevalence": prevalence}
    world = World.draw(seed, transactions, prevalence, annotated=annotated)
    split = world.transductive() if kind == "transductive" else world.inductive(overlap)
    known: tuple[FittedModel, ...] = ()
    if annotated < 1:
        full = studied(kind, seed, overlap, **size, out=out)
        known = tuple(m for m in full.models if m.predicate in (ASKED, "Suspected"))
    key = f"{kind}-{transactions}-{prevalence:.6f}-{seed}-{overlap}-{annotated}"
    return Study.of(world.program, *split, known=known, folder=out / "models" / key)


def days_of(data: Dataset) -> NDArray[np.int64]:
    """``int64[n]``: the day of every transaction."""
    day = np.zeros(data.count("Transaction"), dtype=np.int64)
    table = data.attributes["day"]
    day[table["a0"].to_numpy()] = table["value"].to_numpy()
    return day


def hidden(data: Dataset) -> Dataset:
    """All labels held back."""
    for predicate, table in data.labels.items():
        data = data.hide(predicate, np.ones(table.num_rows, dtype=bool))
    return data


def measured(
    file: Path, study: Callable[[], Study], rows: Callable[[Study], Found]
) -> tuple[Yard, Found]:
    """Scores of one world, read where an earlier run has left them."""
    if not file.exists():
        start = time.perf_counter()
        made = study()
        found = rows(made)
        made.yard.save(file, found)
        print(
            f"{file.stem}: {len(made.yard.truth):,} asked, {int(made.yard.truth.sum())} collusive; "
            f"models {made.seconds:.0f} s, all {time.perf_counter() - start:.0f} s",
            flush=True,
        )
    return Yard.load(file)


def mean_over_worlds(
    yards: Sequence[Yard], scores: Sequence[Scores], name: str, resamples: int = 200
) -> Estimate:
    """Mean of a metric over worlds; the interval resamples days within each world."""
    value = np.mean([metric(name)(y.truth, s) for y, s in zip(yards, scores, strict=True)])
    return _interval(float(value), _draws(yards, scores, name, resamples))


def difference(
    yards: Sequence[Yard], one: Sequence[Scores], two: Sequence[Scores], name: str
) -> Estimate:
    """Mean paired difference over worlds, ``one`` less ``two``, days resampled."""
    function: Callable[..., float] = metric(name)
    value = np.mean(
        [
            function(y.truth, a) - function(y.truth, b)
            for y, a, b in zip(yards, one, two, strict=True)
        ]
    )
    return _interval(float(value), _draws(yards, one, name, 200) - _draws(yards, two, name, 200))


def _draws(
    yards: Sequence[Yard], scores: Sequence[Scores], name: str, resamples: int
) -> NDArray[np.float64]:
    each = [
        resampled(name, yard.truth, values, draw(len(values), yard.blocks, resamples, seed))
        for seed, (yard, values) in enumerate(zip(yards, scores, strict=True))
    ]
    return np.mean(each, axis=0)


def _interval(value: float, values: NDArray[np.float64]) -> Estimate:
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return Estimate(value, float(low), float(high))
