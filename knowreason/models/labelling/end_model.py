"""A classifier of rows fitted to beliefs instead of labels: of a text, or of columns."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import minimize
from scipy.special import logsumexp

from knowreason.errors import ModelError, did_you_mean
from knowreason.models.base.predicate_rows import PredicateRows
from knowreason.models.labelling.dawid_skene import softmax

if TYPE_CHECKING:
    from knowreason.data import Dataset

Vector = NDArray[np.float64]
FOLDS = 5
LEAST = 1e-4  # of a belief, so that classifiers know every state
TEXT_LIMIT = 50_000  # features of a text


def text_features() -> Any:
    """An unfitted vectoriser: words and their pairs, and pieces of 2 to 5 letters, as tf-idf."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import FeatureUnion

    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, max_features=TEXT_LIMIT)
    letters = TfidfVectorizer(
        analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True, max_features=TEXT_LIMIT
    )
    return FeatureUnion([("words", words), ("letters", letters)])


def texts_of(data: Dataset, rows: PredicateRows, name: str) -> list[str]:
    """The text of each row's thing, empty where there is none.

    Raises:
        ModelError: KR868 where ``name`` is no string attribute of one of its things.
    """
    attributes = {a.name: a for a in data.program.attributes if a.sort == "string"}
    found = attributes.get(name)
    if found is None or len(found.sorts) != 1 or found.sorts[0] not in rows.sorts:
        raise ModelError(
            f"`{name}` is no text of a thing of `{rows.predicate}`",
            code="KR868",
            help=did_you_mean(name, attributes) or "declare `attribute text(D): string`",
        )
    table = data.attributes[name]
    texts = np.full(len(data.vocabularies[found.sorts[0]]), "", object)
    texts[table.column(0).to_numpy()] = table.column(1).to_pylist()
    return list(texts[rows.things[:, rows.sorts.index(found.sorts[0])]])


def fit_beliefs(make: Any, matrix: Any, belief: Vector) -> Any:
    """A classifier fitted to beliefs: each row once a state, weighted by its belief."""
    stack: Any = partial(sparse.vstack, format="csr") if sparse.issparse(matrix) else np.vstack
    states = belief.shape[1]
    classifier = make()
    classifier.fit(
        stack([matrix] * states),
        np.repeat(np.arange(states), len(belief)),
        sample_weight=np.maximum(belief, LEAST).T.ravel(),
    )
    return classifier


def class_scores(classifier: Any, matrix: Any, states: int) -> Vector:
    """``float64[n, K]`` log-probabilities."""
    if not matrix.shape[0]:
        return np.zeros((0, states))
    return np.asarray(np.log(np.clip(classifier.predict_proba(matrix), 1e-9, 1.0)))


def held_out_scores(make: Any, matrix: Any, belief: Vector, seed: int) -> Vector:
    """``float64[n, K]``: what classifiers say that have not seen the row's belief."""
    fold = np.random.default_rng(seed).permutation(len(belief)) % FOLDS
    scores = np.zeros_like(belief)
    for number in range(FOLDS):
        here = fold == number
        if here.any() and not here.all():
            classifier = fit_beliefs(make, matrix[~here], belief[~here])
            scores[here] = class_scores(classifier, matrix[here], belief.shape[1])
    return scores


def calibrated_to(scores: Vector, target: Vector) -> Vector:
    """``float64[K + 1]``: slope and offsets that make scores say ``target`` in the mean.

    ``softmax(slope * scores + offsets)``, slope with a prior log N(0, 1).
    """
    states = scores.shape[1]
    centred = scores - scores.mean(1, keepdims=True)

    def loss(eta: Vector) -> tuple[float, Vector]:
        slope, offsets = np.exp(eta[0]), eta[1:]
        joint = slope * centred + offsets
        total = logsumexp(joint, axis=1, keepdims=True)
        error = np.exp(joint - total) - target
        value = -float((target * (joint - total)).sum()) + 0.5 * float(eta @ eta)
        gradient = np.r_[slope * (error * centred).sum(), error.sum(0)] + eta
        return value, gradient

    found = minimize(loss, np.zeros(states + 1), jac=True, method="L-BFGS-B").x
    return np.asarray(np.r_[np.exp(found[0]), found[1:]])


def through(calibration: Sequence[float] | Vector, scores: Vector) -> Vector:
    """Calibrated log-probabilities, ``float64[n, K]``."""
    values = np.asarray(calibration)
    joint = values[0] * (scores - scores.mean(1, keepdims=True)) + values[1:]
    return np.asarray(np.log(softmax(joint)))
