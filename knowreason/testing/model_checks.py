"""A conformance suite: what every knowledge model has to keep to."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from knowreason.data.dataset import Dataset
from knowreason.diagnostics import Diagnostic
from knowreason.errors import ModelError
from knowreason.factors.model_output import LLR_LIMIT
from knowreason.models.base.model_protocol import KnowledgeModel, fit_model, options_of
from knowreason.models.base.model_storage import load_model, save_model
from knowreason.testing.example_world import example_data, with_labels_alike, with_value

Make = Callable[[], KnowledgeModel]


def check_model(make: Make, predicate: str = "Bad") -> None:
    """Check a model on a small world (:mod:`knowreason.testing.example_world`).

    Shapes and types, determinism, save and load, things not seen in training, labels that
    are all alike or absent, missing and infinite features, no things at all, hidden labels
    left alone.

    Args:
        make: gives a new, unfitted model, always with the same options.
        predicate: which predicate of the example world the model is for.

    Raises:
        ModelError: KR845 for each check that fails, all of them at once.

    >>> from knowreason.models import make
    >>> check_model(lambda: make("column", {"column": "p"}))  # nothing is wrong
    """
    findings = []
    for check in CHECKS:
        try:
            check(make, predicate)
        except Exception as error:  # whatever a model raises is a finding about it
            text = str(error).split("\n")[0]
            what = (check.__doc__ or check.__name__).split(".")[0].lower()
            findings.append(Diagnostic("KR845", f"{what}: {type(error).__name__}: {text}"))
    if findings:
        raise ModelError(diagnostics=findings)


def stores_options(make: Make, predicate: str) -> None:
    """Stores its options and nothing else when made."""
    first, second = make(), make()
    assert options_of(first).keys() == options_of(second).keys()
    fitted = [name for name in vars(first) if name.endswith("_")]
    assert not fitted, f"{', '.join(fitted)} set before fit"


def gives_log_odds(make: Make, predicate: str) -> None:
    """Gives one finite float32 log-odds within +-14 an atom, and a base rate."""
    data = example_data()
    model = make()
    assert fit_model(model, data, predicate) is model, "fit must return the model"
    assert 0 < np.min(model.base_rate_) <= np.max(model.base_rate_) < 1, "base_rate_ is no share"
    output = _checked(model, data, predicate)
    assert len(output) == _rows(data, predicate), f"{len(output)} rows"


def is_deterministic(make: Make, predicate: str) -> None:
    """Gives the same twice."""
    data = example_data()
    first, second = (_checked(fit_model(make(), data, predicate), data, predicate) for _ in "12")
    np.testing.assert_array_equal(first, second)


def survives_storage(make: Make, predicate: str) -> None:
    """Says the same after saving and loading."""
    data = example_data()
    model = fit_model(make(), data, predicate)
    with tempfile.TemporaryDirectory() as folder:
        save_model(model, folder)
        again = load_model(folder)
    np.testing.assert_array_equal(model.log_odds(data, predicate), again.log_odds(data, predicate))
    np.testing.assert_array_equal(model.base_rate_, again.base_rate_)


def takes_unseen_things(make: Make, predicate: str) -> None:
    """Speaks of things that were not there in training."""
    model = fit_model(make(), example_data(), predicate)
    other = example_data(nodes=50, payments=70, seed=1, first=1000)
    assert len(_checked(model, other, predicate)) == _rows(other, predicate)


def takes_labels_alike(make: Make, predicate: str) -> None:
    """Says nothing much, and does not fail, when all labels are alike."""
    data = with_labels_alike(example_data(), predicate)
    _checked(fit_model(make(), data, predicate), data, predicate)


def says_when_labels_lack(make: Make, predicate: str) -> None:
    """Refuses to be fitted without labels, or needs none."""
    data = replace(example_data(), labels={})
    model = make()
    if not model.needs_labels:
        _checked(fit_model(model, data, predicate), data, predicate)
        return
    _refused(lambda: fit_model(model, data, predicate), "fit without labels")


def treats_missing_features(make: Make, predicate: str) -> None:
    """Takes missing features, or refuses them by row and column."""
    data = example_data()
    missing = with_value(data, 7, 1, np.nan)
    model = make()
    if getattr(model, "takes_missing", model.handles_missing):
        _checked(fit_model(model, missing, predicate), missing, predicate)
        return
    message = _refused(lambda: fit_model(model, missing, predicate), "fit on a missing feature")
    assert "row" in message, f"no row in: {message}"
    assert "two" in message, f"no column in: {message}"
    fit_model(model, data, predicate)
    _refused(lambda: model.log_odds(missing, predicate), "log_odds of a missing feature")


def refuses_infinite_features(make: Make, predicate: str) -> None:
    """Refuses infinite features by row and column, if it looks at them."""
    infinite = with_value(example_data(), 7, 1, np.inf)
    message = "row two"
    try:
        _checked(fit_model(make(), infinite, predicate), infinite, predicate)
    except ModelError as error:
        message = str(error)
    assert "row" in message, f"no row in: {message}"
    assert "two" in message, f"no column in: {message}"


def takes_nothing(make: Make, predicate: str) -> None:
    """Gives an empty answer for an empty world."""
    model = fit_model(make(), example_data(), predicate)
    empty = example_data(nodes=0, payments=0)
    assert len(model.log_odds(empty, predicate)) == 0


def leaves_hidden_labels(make: Make, predicate: str) -> None:
    """Does not read hidden labels."""
    data = example_data()
    blind = replace(data, hidden={})
    np.testing.assert_array_equal(
        fit_model(make(), data, predicate).log_odds(data, predicate),
        fit_model(make(), blind, predicate).log_odds(blind, predicate),
    )


def reports_progress(make: Make, predicate: str) -> None:
    """Counts up to the total when it reports progress."""
    steps: list[tuple[int, int]] = []
    fit_model(make(), example_data(), predicate, lambda done, total, _: steps.append((done, total)))
    assert all(0 <= done <= total for done, total in steps), steps
    assert [done for done, _ in steps] == sorted(done for done, _ in steps), steps


CHECKS = (
    stores_options,
    gives_log_odds,
    is_deterministic,
    survives_storage,
    takes_unseen_things,
    takes_labels_alike,
    says_when_labels_lack,
    treats_missing_features,
    refuses_infinite_features,
    takes_nothing,
    leaves_hidden_labels,
    reports_progress,
)


def _checked(model: KnowledgeModel, data: Dataset, predicate: str) -> NDArray[np.float32]:
    output = model.log_odds(data, predicate)
    assert output.dtype == np.float32, f"log-odds are {output.dtype}"
    assert np.isfinite(output).all(), "log-odds that are not finite"
    assert np.abs(output).max(initial=0) <= LLR_LIMIT + 1e-4, "log-odds beyond 14"
    if output.ndim == 2:
        np.testing.assert_allclose(np.exp(output.astype(float)).sum(axis=1), 1, atol=1e-3)
    return output


def _rows(data: Dataset, predicate: str) -> int:
    from knowreason.models.base.predicate_rows import rows_of

    return rows_of(data, predicate).count


def _refused(action: Callable[[], object], what: str) -> str:
    try:
        action()
    except ModelError as error:
        return str(error)
    raise AssertionError(f"{what} is not refused")
