"""Fitted models on disk: ``model.json``, ``arrays.safetensors``, ``*.skops``; no pickle.

The mean of several is a folder of folders ``fold0``, ``fold1`` ...
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from knowreason.errors import ModelError
from knowreason.models.base.fold_mean import FoldMean
from knowreason.models.base.model_protocol import KnowledgeModel, ModelState, options_of
from knowreason.models.base.model_registry import MODELS, make

FORMAT = 2
MEAN_FORMAT = 3  # of the mean of several, each in a folder of its own
TRUSTED = (  # compiled parts of scikit-learn, which hold arrays; a partial of what is trusted
    "functools.partial",
    "sklearn._loss.link.Interval",
    "sklearn._loss.link.LogitLink",
    "sklearn._loss.link.MultinomialLogit",
    "sklearn._loss.loss.HalfBinomialLoss",
    "sklearn._loss.loss.HalfMultinomialLoss",
    "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.metrics._dist_metrics.EuclideanDistance64",
    "sklearn.neighbors._kd_tree.KDTree",
    "sklearn.neighbors._ball_tree.BallTree",
    "sklearn.tree._tree.Tree",
    "sklearn.utils.validation.check_array",
)


def save_model(model: KnowledgeModel, folder: Path | str) -> None:
    """Write a fitted model into a folder, which is made.

    Raises:
        ModelError: KR840 for an option that is no plain value, such as a function.

    >>> import knowreason as kr
    >>> import tempfile
    >>> data = kr.testing.example_data()
    >>> model = kr.models.make("column", {"column": "p"}).fit(data, "Bad")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_model(model, folder)
    ...     sorted(path.name for path in Path(folder).iterdir())
    ['arrays.safetensors', 'model.json']
    """
    from safetensors.numpy import save_file

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(model, FoldMean):
        for number, of_fold in enumerate(model.models):
            save_model(of_fold, folder / f"fold{number}")
        mean = json.dumps({"format": MEAN_FORMAT, "mean_of": len(model.models)})
        (folder / "model.json").write_text(mean + "\n", encoding="utf-8")
        return
    state = model.state()
    document = {
        "format": FORMAT,
        "model": describe(model),
        "base_rate": np.asarray(model.base_rate_).tolist(),
        "values": state.values,
        "estimators": sorted(state.estimators),
    }
    text = json.dumps(document, indent=1, ensure_ascii=False)
    (folder / "model.json").write_text(text + "\n", encoding="utf-8")
    arrays = {name: np.ascontiguousarray(array) for name, array in state.arrays.items()}
    save_file(arrays, folder / "arrays.safetensors")
    if state.estimators:
        import skops.io  # goes through all of scikit-learn: half a second

        for name, estimator in state.estimators.items():
            skops.io.dump(estimator, folder / f"{name}.skops")


def load_model(folder: Path | str, trusted: tuple[str, ...] = ()) -> KnowledgeModel:
    """The fitted model stored in a folder.

    Args:
        folder: where :func:`save_model` wrote it.
        trusted: further types a stored estimator may hold, beside :data:`TRUSTED`.

    Raises:
        ModelError: KR841 for a folder that holds no model of this format, KR842 for an
            estimator with types that are not trusted.

    >>> import knowreason as kr
    >>> import tempfile
    >>> data = kr.testing.example_data()
    >>> model = kr.models.make("column", {"column": "p"}).fit(data, "Bad")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_model(model, folder)
    ...     load_model(folder).column
    'p'
    """
    from safetensors.numpy import load_file

    folder = Path(folder)
    try:
        document = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        if document.get("format") == MEAN_FORMAT:
            numbers = range(document["mean_of"])
            return FoldMean(tuple(load_model(folder / f"fold{n}", trusted) for n in numbers))
        arrays = load_file(folder / "arrays.safetensors")
    except (OSError, ValueError) as error:
        raise ModelError(f"`{folder}` holds no stored model: {error}", code="KR841") from error
    if document.get("format") != FORMAT:
        raise ModelError(
            f"`{folder}` is of format {document.get('format')}, this version reads {FORMAT}"
            f" and {MEAN_FORMAT}",
            code="KR841",
        )
    estimators = {}
    for name in document["estimators"]:
        import skops.io

        file = folder / f"{name}.skops"
        unknown = set(skops.io.get_untrusted_types(file=file)) - {*TRUSTED, *trusted}
        if unknown:
            raise ModelError(
                f"`{file}` holds types that are not trusted: {', '.join(sorted(unknown))}",
                code="KR842",
                help="read it with `load_model(folder, trusted=...)` if you know where it is from",
            )
        estimators[name] = skops.io.load(file, trusted=[*TRUSTED, *trusted])
    model = made_from(document["model"])
    model.load_state(ModelState(arrays, document["values"], estimators))
    base = document["base_rate"]
    model.base_rate_ = np.array(base) if isinstance(base, list) else float(base)
    return model


def describe(model: KnowledgeModel) -> dict[str, object]:
    """Kind and options of a model as plain values; the inverse of :func:`made_from`.

    Raises:
        ModelError: KR840 for an option that is no plain value.
    """
    kind = model.registered_as or f"{type(model).__module__}:{type(model).__qualname__}"
    return {"kind": kind, "options": {k: _plain(k, v) for k, v in options_of(model).items()}}


def made_from(description: Mapping[str, Any]) -> KnowledgeModel:
    """An unfitted model from what :func:`describe` gave."""
    kind = str(description["kind"])
    options = {name: _option(value) for name, value in description["options"].items()}
    if ":" in kind:
        module, _, name = kind.partition(":")
        return make(getattr(import_module(module), name), options)
    return make(MODELS[kind], options)


def _plain(name: str, value: object) -> object:
    if isinstance(value, KnowledgeModel):
        return {"model": describe(value)}
    if isinstance(value, tuple | list):
        return [_plain(name, item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ModelError(
        f"option `{name}` is a {type(value).__name__}, which cannot be stored",
        code="KR840",
        help='give functions and classes by path: "package.module:name"',
    )


def _option(value: Any) -> object:
    if isinstance(value, dict):
        return made_from(value["model"])
    return tuple(map(_option, value)) if isinstance(value, list) else value
