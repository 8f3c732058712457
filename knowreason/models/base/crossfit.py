"""Models judged only on rows they were not fitted on.

An overconfident model on its own training rows teaches the rules nothing, so the
reasoner learns from out-of-fold log-odds. What is deployed must be as strong as what those
were made with: it is the mean of the fold models where that can be.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import ks_2samp

from knowreason.errors import ModelError
from knowreason.factors.model_output import ModelOutput
from knowreason.models.base.calibration import Calibration, Method, calibrate
from knowreason.models.base.column_splits import ratio_columns
from knowreason.models.base.fold_mean import FoldMean, mean_scores
from knowreason.models.base.label_rows import LabelRows, row_groups
from knowreason.models.base.model_protocol import KnowledgeModel, Progress, fit_model
from knowreason.models.base.predicate_rows import UNKNOWN, PredicateRows, logit, rows_of

if TYPE_CHECKING:
    from knowreason.data import Dataset

Deploy = Literal["auto", "mean", "refit"]
Labels = NDArray[np.integer]
Scores = tuple[NDArray[np.float32], NDArray[np.float32] | None]
FOLDS = 6
FEWEST_OF_A_KIND, FEWEST_GROUPS = 15, 3  # below, a mean of fold models loses to one of all labels
SHARES = {2: "half", 3: "a third", 4: "a quarter", 5: "a fifth", 6: "a sixth"}
NOT_CALIBRATED = (
    "not calibrated: fold models saw less than the final one, which a step that corrects theirs "
    "would inflate"
)
SHRUNK = "shrunk"  # method of the calibration of a model that is fitted once more


@dataclass(frozen=True)
class CrossFit:
    """A model to deploy, and what it would have said without each row's own label.

    Attributes:
        output: out-of-fold ratios at labelled rows and those of their groups, the final
            model's elsewhere; 0 where a labelled row has no out-of-fold score. Where folds go
            forward, unlabelled rows are scored by the model of their time too: the final one
            has seen labels of their neighbours, and would make rules trust it more than it
            deserves. Those older than any fold's model are left to the final one: 0 would deny
            what is known of them.
        model: the final model: the mean of the fold models, or one fitted on all labels.
        calibration: what the final model's log-odds go through.
        out_of_fold: ``bool[n_atoms]``, atoms whose ratio is out of fold.
        silent: ``bool[n_atoms]``, labelled atoms without an out-of-fold score: the rows of
            the first fold where folds go forward.
        report: sentences about folds, calibration and the fit.
        refitting: Kolmogorov distance of the final model's ratios from the out-of-fold ones
            on the same rows: scores move that far by fitting on other labels alone.
        scores: what was said before calibration, to calibrate by other groups of rows.
        error: of a numeric query, whose ``output.llr`` are estimates: their root mean squared
            error out of fold; else NaN.

    >>> import knowreason as kr
    >>> data = kr.testing.example_data()
    >>> found = cross_fit(lambda: kr.models.make("column", {"column": "p"}), data, "Bad")
    >>> int(found.out_of_fold.sum()), found.predict(data).llr.shape
    (60, (120,))
    """

    output: ModelOutput
    model: KnowledgeModel
    calibration: Calibration
    out_of_fold: NDArray[np.bool_]
    silent: NDArray[np.bool_]
    report: tuple[str, ...]
    refitting: float = 0.0
    scores: FoldScores | None = None
    error: float = float("nan")

    @property
    def prototype(self) -> KnowledgeModel:
        """A model with the options of the final one, to be fitted again."""
        return self.model.models[0] if isinstance(self.model, FoldMean) else self.model

    @property
    def matched(self) -> bool:
        """Whether out-of-fold ratios come from models as strong as the final one."""
        refitted = self.shrunk or self.calibration.method == "none"
        return not (refitted and self.out_of_fold.any())

    @property
    def shrunk(self) -> bool:
        """Whether it was fitted once more because labels are few (:func:`moderation`)."""
        return self.calibration.method == SHRUNK

    @property
    def learned_from_labels(self) -> bool:
        """Whether what it says hangs on the labels; a given score's does not."""
        return not self.matched or isinstance(self.model, FoldMean)

    def predict(self, data: Dataset) -> ModelOutput:
        """The final model's ratios on other data, beside the base rate of ``output``.

        A model of a view speaks of what the view sees.
        """
        named, predicate = self.output.model, self.output.predicate
        question = data.program.question_of(predicate)
        said = predicted(self.model, data, question, named, self.calibration)
        columns = None
        if question == predicate:
            columns = ratio_columns(self.model, data, predicate, self.calibration, said.llr)
        base = self.output.base_rate
        return replace(said, predicate=predicate, base_rate=base, columns=columns)


def cross_fit(
    make: Callable[[], KnowledgeModel],
    data: Dataset,
    predicate: str,
    *,
    name: str = "model",
    folds: int = FOLDS,
    kind: str = "grouped",
    groups: NDArray[np.integer] | None = None,
    groups_are: str = "rows",
    deploy: Deploy = "auto",
    calibration: Method = "platt",
    seed: int = 0,
    progress: Progress | None = None,
) -> CrossFit:
    """A fitted model, and the out-of-fold log-likelihood ratios of its atoms.

    Args:
        make: gives a new, unfitted model.
        data: with visible labels of the predicate; hidden ones are never read.
        predicate: what the model speaks of.
        name: the model's name in the program.
        folds: how many; fewer where fewer groups hold the rarer label.
        kind: ``"grouped"`` (by ``groups``), ``"random"`` (each row on its own),
            ``"group:ATTRIBUTE"``, or ``"forward"`` (in time: a fold's model sees earlier folds
            only, and the first fold has none).
        groups: ``int[n_rows]``, rows of one number are never told apart by a fold, labelled or
            not; ``None``: each row is a group.
        groups_are: what the report calls ``groups``.
        deploy: ``"mean"``: the final model is the mean of the fold models, unless folds go
            forward, or under 15 labels of a kind or under 3 groups with the rarer one are
            known; ``"refit"``: it is fitted once more, on all labels; ``"auto"``: the mean,
            unless the model is too heavy (:attr:`KnowledgeModel.heavy`).
        calibration: how log-odds are calibrated on out-of-fold rows; each fold by the other
            folds, the final model by all. A model fitted once more is not calibrated: those of the
            folds saw less, so that an intercept or a slope above 1 which corrects them would
            inflate it. Where labels are the reason, it is shrunk (:func:`moderation`).
        seed: of the dealing.
        progress: called with fits done, fits to do, and a message.

    Returns:
        Everything the reasoner and ``predict`` need. Without labels there are no folds,
        and the model must need none.

    >>> import knowreason as kr
    >>> data = kr.testing.example_data()
    >>> cross_fit(lambda: kr.models.make("column", {"column": "p"}), data, "Bad").calibration.method
    'platt'
    """
    rows = rows_of(data, predicate)
    if rows.numbers is not None:
        raise ModelError(
            f"`{predicate}` is a number, and likelihood ratios are of truths",
            code="KR883",
            help="`Reasoner.fit` cross-fits models of numeric queries",
        )
    labels = LabelRows.of(data, rows, folds, kind, seed, groups)
    _, _, attribute = kind.partition(":")
    groups_are = f"values of `{attribute}`" if attribute else groups_are
    forward = kind == "forward"
    tested = labels.order[1:] if forward or len(labels.order) == 1 else labels.order
    blank = make()
    against = why_refitted(labels, deploy == "refit" or (deploy == "auto" and blank.heavy))
    fits = len(tested) + (against is not None)
    ratios, spreads = np.full(shape_of(rows), np.nan), np.full(shape_of(rows), np.nan)
    models: list[KnowledgeModel] = []
    scores: list[Scores] = []
    told = partial(_told, progress, f"{name} for {predicate}", fits)
    for done, fold in enumerate(tested):
        inner = told(done, f"fold {done + 1} of {len(tested)}")
        seen = labels.fold < fold if forward else labels.fold != fold
        if blank.learns or not scores:
            model = fit_model(make(), labels.restricted(data, predicate, seen), predicate, inner)
            log_odds, spread = model.log_odds_and_spread(data, predicate)
        in_fold = labels.scored_with == fold
        ratios[in_fold] = (log_odds - base_log_odds(model.base_rate_))[in_fold]
        if spread is not None:
            spreads[in_fold] = spread[in_fold]
        scores.append((log_odds, spread))
        if not models or against is None:
            models.append(model)
    others = scores[1:] if blank.learns else ()
    learned = len(scores) < 2 or any((scores[0][0] != said).any() for said, _ in others)
    if against is None and learned:
        final: KnowledgeModel = FoldMean(tuple(models))
        said = mean_scores(scores)
        dealt = f"final model: mean of {len(models)}, {_without(labels, groups_are, rows)}"
    else:
        if blank.learns or not scores:
            model = fit_model(blank, data, predicate, told(fits - 1, "on all labels"))
            log_odds, spread = model.log_odds_and_spread(data, predicate)
        final, said = model, (log_odds, spread)
        dealt = f"final model: fitted on all labels{against and f' ({against})'}"
    if scores and (scores[0][0] == said[0]).all():  # models say the same whatever the labels
        dealt, against = "", None
    told(fits, "done")
    few = against is not None and too_few(labels) and len(scores) > 1
    method: Method = "none" if forward or (against is not None and not few) else calibration
    held = FoldScores(
        labels.fold_of_row,
        labels.scored_with,
        tuple(tested),
        forward,
        ratios,
        spreads,
        *said,
        method,
        dealt,
        moderation([z for z, _ in scores], said[0]) if few and method != "none" else None,
    )
    known = kind == "random" and groups is not None  # labels depend whatever the folds are
    dependent = None if forward else row_groups(data, rows, "grouped" if known else kind, groups)
    return held.calibrated(final, data, rows, name, dependent)


def _told(progress: Progress | None, name: str, fits: int, done: int, what: str) -> Progress | None:
    """Say how far the fits are; a callback that says how far the next of them is."""
    if progress is None:
        return None
    tell = progress
    tell(done, fits, f"{name}: {what}")
    return lambda _, __, message: tell(done, fits, f"{name}: {what}, {message}")


def moderation(folds: Sequence[NDArray[np.floating]], final: NDArray[np.floating]) -> float:
    """By how much to shrink a model fitted to all labels, as models without a fold differ from it.

    Their variance about it is that of the jackknife, ``(K - 1) / K sum_k (z_k - z)^2`` (Efron &
    Stein 1981), in the mean over rows; log-odds that vary so are worth ``1 / sqrt(1 + pi/8
    variance)`` of themselves (MacKay 1992, equation 10).

    Args:
        folds: K arrays of log-odds ``[n]`` or ``[n, K]``.
        final: those of the model fitted to all labels.

    >>> moderation([np.array([1.0, -3.0]), np.array([5.0, 1.0])], np.array([3.0, -1.0]))
    0.62...
    """
    count = len(folds)
    apart = [np.mean(np.square(np.subtract(one, final, dtype=np.float64))) for one in folds]
    return float(1 / np.sqrt(1 + np.pi / 8 * (count - 1) / count * np.sum(apart)))


def shrunk(calibration: Calibration, factor: float) -> Calibration:
    """A slope of at most 1, times the factor, and no intercept."""
    slope = min(1.0, calibration.slope)
    note = (
        f"counts for {slope * factor:.2g} of what it says: its fold models agree to {factor:.2g}, "
        f"and labels they had not seen bear out {slope:.2g}"
    )
    return Calibration(SHRUNK, slope * factor, note=note)


def why_refitted(labels: LabelRows, asked: bool) -> str | None:
    """Why the final model is not the mean of the fold models; ``None`` where it is, empty where
    there is nothing to say."""
    dealt = labels.dealt
    if dealt is None or len(labels.order) < 2:
        return ""
    if asked:
        return "`deploy` or the model's size asks for it"
    if dealt.rows < FEWEST_OF_A_KIND:
        return f"{dealt.rows} labels are of the rarest kind, a mean asks for {FEWEST_OF_A_KIND}"
    if dealt.groups < FEWEST_GROUPS:
        hold = "group holds" if dealt.groups == 1 else "groups hold"
        return f"{dealt.groups} {hold} the rarest label, a mean asks for {FEWEST_GROUPS}"
    return None


def too_few(labels: LabelRows) -> bool:
    """Whether there are too few labels for a mean of fold models."""
    dealt = labels.dealt
    return dealt is not None and (dealt.rows < FEWEST_OF_A_KIND or dealt.groups < FEWEST_GROUPS)


def _without(labels: LabelRows, groups_are: str, rows: PredicateRows) -> str:
    """``each without a sixth of the 36 groups with Malicious``."""
    dealt = labels.dealt
    assert dealt is not None
    share = SHARES.get(dealt.count, f"1/{dealt.count}")
    states = [f"!{rows.predicate}", rows.predicate] if rows.classes is None else [*rows.classes]
    state = [*states, "none"][dealt.rarest]
    return f"each without {share} of the {dealt.groups:,} {groups_are} with {state}"


def predicted(
    model: KnowledgeModel,
    data: Dataset,
    predicate: str,
    name: str,
    calibration: Calibration | None = None,
) -> ModelOutput:
    """Log-likelihood ratios of a fitted model on any data, calibrated; estimates of a numeric
    query.

    >>> import knowreason as kr
    >>> data = kr.testing.example_data()
    >>> model = kr.models.make("column", {"column": "p"}).fit(data, "Bad")
    >>> predicted(model, data, "Bad", name="column").llr.shape
    (120,)
    """
    rows = rows_of(data, predicate)
    log_odds, spread = model.log_odds_and_spread(data, predicate)
    if rows.numbers is not None:
        return ModelOutput(name, predicate, log_odds, float("nan"), spread)
    ratios = calibrated(
        log_odds - base_log_odds(model.base_rate_), model.base_rate_, calibration or Calibration()
    )
    parts = model.parts(data, predicate)
    return rows.output(name, ratios, model.base_rate_, spread, parts)


def calibrated(
    ratios: NDArray[np.floating],
    base_rate: float | NDArray[np.float64],
    calibration: Calibration,
) -> NDArray[np.float64]:
    """Ratios through a calibration; those of states still belong to probabilities after it."""
    changed = calibration(ratios)
    if changed.ndim == 1:
        return changed
    offset = base_log_odds(base_rate)
    total = np.logaddexp.reduce(changed + offset, axis=1, keepdims=True)
    return changed - total


def base_log_odds(base_rate: float | NDArray[np.float64]) -> NDArray[np.float64]:
    """Log-odds of a base rate, or log-probabilities of the states' shares."""
    return np.log(base_rate) if np.ndim(base_rate) else logit(base_rate)


def shape_of(rows: PredicateRows) -> tuple[int, ...]:
    """Shape of a model's output."""
    return (rows.count,) if rows.classes is None else (rows.count, rows.states)


@dataclass(frozen=True)
class FoldScores:
    """What models said before calibration: those of the folds of rows they had not seen.

    Attributes:
        fold_of_row: ``int32[n]`` of labelled rows, else ``-1``.
        scored_with: ``int32[n]``, see :class:`.LabelRows`.
        tested: folds with out-of-fold scores, in order.
        forward: whether folds go forward in time.
        ratios, spreads: ``float64[n]`` or ``[n, K]``, NaN where there is none.
        log_odds, spread: of the final model for every row.
        method: of calibration.
        dealt: the sentence about the final model.
        moderation: of a final model that is stronger than these; ``None`` where it is not.
    """

    fold_of_row: NDArray[np.int32]
    scored_with: NDArray[np.int32]
    tested: tuple[int, ...]
    forward: bool
    ratios: NDArray[np.float64]
    spreads: NDArray[np.float64]
    log_odds: NDArray[np.float32]
    spread: NDArray[np.float32] | None
    method: Method
    dealt: str
    moderation: float | None = None

    def calibrations(
        self, labels: Labels, groups: NDArray[np.integer] | None, offset: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], Calibration]:
        """Ratios, each fold calibrated by the others, and the calibration by all folds."""

        def fitted(rows: NDArray[np.bool_]) -> Calibration:
            own = None if groups is None else groups[rows]
            if self.moderation is None:
                return calibrate(self.ratios[rows], labels[rows], self.method, offset, own)
            found = calibrate(self.ratios[rows], labels[rows], "temperature", offset, own)
            return shrunk(found, self.moderation)

        in_fold = np.isin(self.fold_of_row, self.tested)
        changed = self.ratios.copy()
        base = np.exp(offset) if offset.ndim else 1 / (1 + np.exp(-offset))
        for fold in self.tested:
            own = self.scored_with == fold
            changed[own] = calibrated(self.ratios[own], base, fitted(in_fold & ~own))
        return changed, fitted(in_fold)

    def calibrated(
        self,
        final: KnowledgeModel,
        data: Dataset,
        rows: PredicateRows,
        name: str,
        groups: NDArray[np.integer] | None,
    ) -> CrossFit:
        """The cross-fit of the final model, calibrated.

        Args:
            final: the model to deploy.
            data: that it was fitted on.
            rows: of the predicate.
            name: the model's.
            groups: ``int[n]``, rows of one number depend on each other.
        """
        base = final.base_rate_
        changed, calibration = self.calibrations(rows.labels, groups, base_log_odds(base))
        ratios = calibrated(self.log_odds - base_log_odds(base), base, calibration)
        tested = np.isin(self.fold_of_row, self.tested)
        silent = (rows.labels != UNKNOWN) & ~tested
        scored = np.isin(self.scored_with, self.tested)
        refitting = 0.0
        if scored.any():
            refitting = float(ks_2samp(ratios[scored].ravel(), changed[scored].ravel()).statistic)
        ratios[scored] = changed[scored]
        ratios[silent] = 0.0
        spread = self.spread
        if spread is not None:
            spread = np.where(np.isnan(self.spreads), spread, self.spreads).astype(spread.dtype)
        report = list(final.report_)
        note = NOT_CALIBRATED if self.method == "none" and self.tested else calibration.note
        report += filter(None, [self.dealt, note])
        report.append(
            f"{int(tested.sum())} labelled rows scored out of {len(self.tested)} folds"
            + (", forward in time" if self.forward else "")
            + (f"; {int(silent.sum())} without such a score say nothing" if silent.any() else "")
        )
        return CrossFit(
            rows.output(name, ratios, base, spread, final.parts(data, rows.predicate)),
            final,
            calibration,
            tested[rows.row_of_atom],
            silent[rows.row_of_atom],
            tuple(report),
            refitting,
            self,
        )
