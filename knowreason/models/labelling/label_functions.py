"""Label functions as a model: rules that vote or abstain, learned from without labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from numpy.typing import NDArray

from knowreason.data.arrow_types import ArrowTable
from knowreason.errors import ModelError
from knowreason.models.base.encoding import Encoder
from knowreason.models.base.feature_columns import columns_of
from knowreason.models.base.model_options import Within
from knowreason.models.base.model_protocol import KnowledgeModel, Progress
from knowreason.models.base.predicate_rows import PredicateRows, rows_of
from knowreason.models.labelling.dawid_skene import (
    UNKNOWN,
    AccuracyPrior,
    FittedVotes,
    fit_votes,
    softmax,
)
from knowreason.models.labelling.end_model import (
    calibrated_to,
    class_scores,
    fit_beliefs,
    held_out_scores,
    text_features,
    texts_of,
    through,
)
from knowreason.models.labelling.function_table import (
    FunctionLine,
    FunctionTable,
    function_table,
)
from knowreason.models.labelling.vote_checks import (
    Dependence,
    against_majority,
    best_reading,
    dependences,
    two_readings,
)
from knowreason.models.labelling.vote_matrix import Votes, votes_on
from knowreason.models.tabular.wrapped_models import estimator_named

if TYPE_CHECKING:
    from typing import Self

    from knowreason.data import Dataset

Vector = NDArray[np.float64]
LEAST_SHARE = 1e-3  # of a state
SHOWN = 5  # dependent pairs in the report


@dataclass(eq=False, repr=False)
class LabelFunctions(KnowledgeModel):
    """What functions that vote or abstain say together, and a classifier fitted to that.

    Accuracies come from the functions' agreement (EM); labels, where there are any, are known
    states. The classifier of a text or of columns is fitted to the beliefs, and the beliefs
    again with what it says, out of fold, as prior (Raykar et al., JMLR 11, 2010). The answer
    is the mean of both log-odds, each calibrated to the other.

    Args:
        votes: attributes whose value is a vote, a missing one an abstention: ``fires(Row,
            Function): bool``, or ``said(Row): bool``; of the states' domain for a functional
            predicate.
        true, false: predicates and definitions that vote so where they hold, else abstain.
        text: string attribute that the classifier reads.
        features: columns that it sees beside the text, as in ``trees``.
        estimator: the classifier, by a short name or the path of a scikit-learn class.
        prevalence: share of true rows; by default what the majority vote calls true.
        rounds: how often accuracies are estimated again beside the classifier.
        seed: of folds and of the estimator.
    """

    registered_as = "label_functions"
    reads = "named"
    needs_labels = False
    heavy = True  # with labels it is fitted once more on all, not a mean of fold models

    votes: tuple[str, ...] = ()
    true: tuple[str, ...] = ()
    false: tuple[str, ...] = ()
    text: str = ""
    features: tuple[str, ...] = ()
    estimator: str = "logistic"
    prevalence: Annotated[float | None, Within(0.0, 1.0)] = None
    rounds: Annotated[int, Within(0)] = 2
    seed: int = 0

    def fit(self, data: Dataset, predicate: str, *, progress: Progress | None = None) -> Self:
        """Estimate the functions' accuracies and fit the classifier.

        Raises:
            ModelError: KR866 for a name that holds no votes, KR867 where there is none,
                KR868 for a text that is none, KR869 for a prevalence of several states.
        """
        rows = rows_of(data, predicate)
        if rows.optional:
            raise ModelError(
                f"`{predicate}` may have no state at all, which no function votes for",
                code="KR866",
            )
        if self.prevalence is not None and rows.classes is not None:
            raise ModelError(
                f"`prevalence` is the share of true rows, and `{predicate}` has other states",
                code="KR869",
                help="leave it out: the majority's shares are held",
            )
        votes = votes_on(data, rows, self.votes, self.true, self.false)
        labels, prior = rows.labels, AccuracyPrior()
        shares = self._shares(votes)
        options: dict[str, Any] = {"shares": shares, "labels": labels, "accuracy": prior}
        pairs = _copies(votes, options)
        check = against_majority(votes, shares, labels, prior, pairs, self.seed)
        options["shared"] = check.below
        if check.below:
            fitted = fit_votes(votes, **options)
        else:
            fitted = best_reading(votes, shares, labels, prior)
        self.functions_, self.states_ = votes.functions, votes.states
        self.has_classifier_ = bool(self.text or self.features)
        if self.has_classifier_:
            fitted = self._beside_classifier(data, rows, votes, fitted, options, progress)
        self.tables_, self.shift_ = fitted.log_likelihoods, fitted.shift
        said = softmax(self._together(data, rows, votes))
        self.base_rate_ = float(shares[1]) if rows.classes is None else shares
        self.table_ = tuple(
            tuple(vars(line).values()) for line in function_table(votes, fitted, prior)
        )
        self.report_ = (
            str(check),
            *self._assumed(votes, shares),
            *self._readings(votes, shares, labels, prior),
            *_dependent(pairs),
            *self._agreement(votes, said),
        )
        if progress is not None:
            total = self.rounds + 1 if self.has_classifier_ else 1
            progress(
                total, total, f"{len(votes.functions)} functions fitted on {rows.count:,} rows"
            )
        return self

    @property
    def headline(self) -> str:
        """Whether the functions' own accuracies are worth more than a majority vote."""
        return self.report_[0] if self.report_ else ""

    def tables(self) -> Mapping[str, ArrowTable]:
        """The table of the functions."""
        return {"functions": self.function_table.to_arrow()}

    @property
    def function_table(self) -> FunctionTable:
        """Coverage, overlap, conflict, accuracy with interval and weight of each function."""
        return FunctionTable(tuple(FunctionLine(*line) for line in self.table_))

    def log_odds(self, data: Dataset, predicate: str) -> NDArray[np.float32]:
        """Log-odds of every row, or log-probabilities of its states."""
        rows = rows_of(data, predicate)
        votes = votes_on(data, rows, self.votes, self.true, self.false, self.functions_)
        scores = self._together(data, rows, votes)
        if rows.classes is None:
            return rows.checked(scores[:, 1] - scores[:, 0], self.name)
        return rows.checked(np.log(np.maximum(softmax(scores), 1e-6)), self.name)

    def parts(self, data: Dataset, predicate: str) -> Mapping[str, NDArray[np.float32]]:
        """What each function and the classifier add to the log-odds of a Boolean row."""
        rows = rows_of(data, predicate)
        if rows.classes is not None:
            return {}
        votes = votes_on(data, rows, self.votes, self.true, self.false, self.functions_)
        added = np.einsum("nmv,myv->nmy", votes.one_hot, self.tables_)
        factor = float(self.calibrations_[0][0]) / 2 if self.has_classifier_ else 1.0
        found = {
            name: (factor * (added[:, j, 1] - added[:, j, 0])).astype(np.float32)
            for j, name in enumerate(votes.functions)
        }
        if self.has_classifier_:
            scores = through(self.calibrations_[1], self._classified(data, rows))
            found[self.text or self.estimator] = ((scores[:, 1] - scores[:, 0]) / 2).astype(
                np.float32
            )
        return found

    def _shares(self, votes: Votes) -> Vector:
        if self.prevalence is not None:
            share = min(max(self.prevalence, LEAST_SHARE), 1 - LEAST_SHARE)
            return np.array([1 - share, share])
        covered = votes.majority()[votes.covered]
        share = covered.sum(0) + 0.5
        return np.asarray(share / share.sum())

    def _assumed(self, votes: Votes, shares: Vector) -> tuple[str, ...]:
        silent = f"{(~votes.covered).mean():.1%} of the rows have no vote"
        if self.prevalence is not None:
            return (silent,)
        named = ", ".join(f"{s:.1%} {n}" for n, s in zip(votes.states, shares, strict=True))
        return (f"assumed: {named}, as the majority has it (`prevalence` says otherwise)", silent)

    def _beside_classifier(
        self,
        data: Dataset,
        rows: PredicateRows,
        votes: Votes,
        fitted: FittedVotes,
        options: dict[str, Any],
        progress: Progress | None,
    ) -> FittedVotes:
        """Accuracies with the classifier's beliefs as prior, in turn; both are calibrated."""
        matrix = self._matrix(data, rows, fit=True)
        make = partial(estimator_named, self.estimator, self.seed, {})
        for number in range(self.rounds + 1):
            if progress is not None:
                progress(number, self.rounds + 1, "classifier beside the votes")
            scores = held_out_scores(make, matrix, fitted.posterior, self.seed)
            if number < self.rounds:
                given = {**options, "prior": scores, "start": fitted.posterior}
                fitted = fit_votes(votes, sides=not rows.labelled.size, **given)
        self.estimator_ = fit_beliefs(make, matrix, fitted.posterior)
        alone = fitted.scores(votes)
        open_rows = rows.labels == UNKNOWN
        known = np.eye(len(votes.states))[np.maximum(rows.labels, 0)]
        believed = np.where(open_rows[:, None], softmax(alone), known)
        of_classifier = calibrated_to(scores, believed)
        seconded = np.where(open_rows[:, None], softmax(through(of_classifier, scores)), known)
        of_votes = calibrated_to(alone, seconded)
        self.calibrations_ = (tuple(of_votes.tolist()), tuple(of_classifier.tolist()))
        return fitted

    def _together(self, data: Dataset, rows: PredicateRows, votes: Votes) -> Vector:
        alone = np.einsum("nmv,myv->ny", votes.one_hot, self.tables_, optimize=True) + self.shift_
        if not self.has_classifier_:
            return np.asarray(alone)
        classified = through(self.calibrations_[1], self._classified(data, rows))
        return np.asarray((through(self.calibrations_[0], alone) + classified) / 2)

    def _classified(self, data: Dataset, rows: PredicateRows) -> Vector:
        return class_scores(self.estimator_, self._matrix(data, rows), len(self.states_))

    def _matrix(self, data: Dataset, rows: PredicateRows, fit: bool = False) -> Any:
        from scipy import sparse

        blocks = []
        if self.text:
            texts = texts_of(data, rows, self.text)
            if fit and not any(texts):
                raise ModelError(f"every `{self.text}` is empty", code="KR868")
            if fit:
                self.vectoriser_ = text_features().fit(texts)
            blocks.append(self.vectoriser_.transform(texts))
        if self.features:
            columns = columns_of(data, rows, self.features)
            if fit:
                self.encoder_ = Encoder.fit(columns).to_values()
            dense = Encoder.from_values(self.encoder_).dense_matrix(columns)
            blocks.append(sparse.csr_matrix(dense) if self.text else dense)
        return blocks[0] if len(blocks) == 1 else sparse.hstack(blocks).tocsr()

    def _readings(
        self, votes: Votes, shares: Vector, labels: NDArray[np.integer], prior: AccuracyPrior
    ) -> tuple[str, ...]:
        found = two_readings(votes, shares, labels, prior)
        if found is None:
            return ()
        first, other = _trusted(votes, found.first), _trusted(votes, found.other)
        return (
            f"two readings explain the votes about as well ({found.behind:+.1f} log-likelihood) "
            f"and differ on {found.share:.0%} of the rows: in one {first}; in the other {other}; "
            "a few labels, or more functions you are sure of, decide",
        )

    def _agreement(self, votes: Votes, said: Vector) -> tuple[str, ...]:
        majority = votes.majority()
        decided = votes.covered & (majority.max(1) == 1)
        if not decided.any():
            return ()
        other = (said.argmax(1) != majority.argmax(1))[decided].mean()
        return (f"the answer is another than the majority's on {other:.1%} of the rows it decides",)


def _trusted(votes: Votes, fitted: FittedVotes) -> str:
    """``a, b are mostly right and c mostly wrong``."""
    right = [n for n, a in zip(votes.functions, fitted.accuracy, strict=True) if a > 0.5]
    wrong = [n for n in votes.functions if n not in right]
    text = f"{', '.join(right) or 'no function'} are mostly right"
    return text + (f" and {', '.join(wrong)} mostly wrong" if wrong else "")


def _copies(votes: Votes, options: dict[str, Any]) -> tuple[Dependence, ...]:
    """Dependent pairs by both fits: one accuracy for all is wrong where accuracies differ, and
    their own are where functions copy each other."""
    common = dependences(votes, fit_votes(votes, shared=True, **options))
    if not common:
        return ()
    own = {(pair.one, pair.other) for pair in dependences(votes, fit_votes(votes, **options))}
    return tuple(pair for pair in common if (pair.one, pair.other) in own)


def _dependent(pairs: tuple[Dependence, ...]) -> tuple[str, ...]:
    if not pairs:
        return ()
    named = "; ".join(map(str, pairs[:SHOWN]))
    more = f" (and {len(pairs) - SHOWN} more pairs)" if len(pairs) > SHOWN else ""
    return (
        f"functions that copy each other, and count twice: {named}{more}; merge them or drop one",
    )
