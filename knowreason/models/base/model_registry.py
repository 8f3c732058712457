"""Models by name, and models made from what a rule file or a project file says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Literal, TypeVar

from knowreason.errors import ModelError
from knowreason.logic import ModelCall
from knowreason.models.base.model_options import check_options, options_table
from knowreason.models.base.model_protocol import KnowledgeModel, Level, options_of
from knowreason.registry import Registry

GROUP = "knowreason.models"
BUILT_IN = {
    "callable": "knowreason.models.tabular.wrapped_models:CallableModel",
    "column": "knowreason.models.tabular.score_column:ColumnModel",
    "diffusion": "knowreason.models.diffusion:Diffusion",
    "enclosing_subgraph": "knowreason.models.links.enclosing_subgraph:EnclosingSubgraph",
    "gad_ebm": "knowreason.models.energy:GadEBM",
    "gnn": "knowreason.models.graph.gnn:GNN",
    "infomax": "knowreason.models.graph.infomax:InfoMax",
    "label_functions": "knowreason.models.labelling.label_functions:LabelFunctions",
    "link_embedding": "knowreason.models.links.link_embedding:LinkEmbedding",
    "noisy": "knowreason.models.noisy_weights:Noisy",
    "sklearn": "knowreason.models.tabular.wrapped_models:Sklearn",
    "temporal_link": "knowreason.models.links.temporal_link:TemporalLink",
    "torch": "knowreason.models.nn.neural_model:Torch",
    "trees": "knowreason.models.tabular.boosting:Trees",
}
TOLD: dict[str, tuple[Level | Literal["any"], str]] = {  # level and first line of each, unimported
    "callable": (
        "any",
        "A Python function ``function(data, predicate)`` that gives log-odds or probabilities.",
    ),
    "column": (
        "any",
        "A column of scores of the data; an atom without a score is said nothing about.",
    ),
    "diffusion": (
        "node",
        "A classifier fitted with synthetic things of rare classes, by latent diffusion.",
    ),
    "enclosing_subgraph": (
        "edge",
        "The enclosing subgraph of a link, without the link, read by a graph network.",
    ),
    "gad_ebm": ("node", "How strange a node's ego-subgraph is, learned without labels."),
    "gnn": ("any", "A graph neural network over the bound edges."),
    "infomax": (
        "any",
        "Node embeddings learned without labels, then a classifier on features and embedding.",
    ),
    "label_functions": (
        "any",
        "What functions that vote or abstain say together, and a classifier fitted to that.",
    ),
    "link_embedding": (
        "tuple",
        "Link prediction by embedding: each thing a vector, each relation a map between vectors.",
    ),
    "noisy": ("any", "A torch model trained and asked under Gaussian noise on its weights."),
    "sklearn": (
        "any",
        "Any scikit-learn classifier (or regressor, for a numeric query), one row an atom.",
    ),
    "temporal_link": (
        "edge",
        "A snapshot of the graph a window, a recurrent state a node, and a link decoder.",
    ),
    "torch": ("any", "A torch module that maps the features of a row to its logits."),
    "trees": ("any", "Histogram gradient boosting (scikit-learn) for any level of predicate."),
}

M = TypeVar("M", bound=type[KnowledgeModel])


MODELS: Registry[type[KnowledgeModel]] = Registry("model", GROUP, lazy=BUILT_IN)


def register(name: str) -> Callable[[M], M]:
    """Class decorator that makes a model usable by name in rule files.

    Raises:
        ValueError: when the name is taken.

    >>> register("trees")(KnowledgeModel)
    Traceback (most recent call last):
        ...
    ValueError: a model named `trees` is built in
    """

    def add(model: M) -> M:
        if name in BUILT_IN:
            raise ValueError(f"a model named `{name}` is built in")
        MODELS.register(name)(model)
        model.registered_as = name
        return model

    return add


def told(name: str) -> tuple[str, str]:
    """Level of a kind of model, and what it is; ours are not imported for that.

    Raises:
        UnknownNameError: KR801 for a kind that is not registered.

    >>> told("trees")
    ('any', 'Histogram gradient boosting (scikit-learn) for any level of predicate.')
    """
    if name in TOLD:
        return TOLD[name]
    model = MODELS[name]
    return model.level, (model.__doc__ or "").strip().partition("\n")[0]


def make(
    what: ModelCall | str | type[KnowledgeModel] | KnowledgeModel,
    overrides: Mapping[str, object] | None = None,
) -> KnowledgeModel:
    """A new, unfitted model.

    Args:
        what: a call as it stands in a rule file (options may be calls themselves), a
            registered name, a class, or an instance, which is copied by its options.
        overrides: options that replace those of the call (``[models.NAME]`` of a project).

    Raises:
        UnknownNameError: KR801 for a kind that is not registered.
        ModelError: KR802 for an option the model does not have, KR803 for a value that
            does not fit the option, KR804 for too many positional options, KR861 for a number
            out of range.

    >>> make("column", {"column": "p", "kind": "log_odds"}).kind
    'log_odds'
    """
    if isinstance(what, KnowledgeModel):
        call_options = {name: _copied(value) for name, value in options_of(what).items()}
        return _construct(type(what), what.registered_as, call_options | dict(overrides or {}))
    if isinstance(what, type):
        return _construct(what, what.registered_as or what.__name__, dict(overrides or {}))
    call = ModelCall(what) if isinstance(what, str) else what
    model = MODELS[call.kind]
    options = _call_options(model, call)
    return _construct(model, call.kind, options | dict(overrides or {}))


def imported(path: str) -> Any:
    """The thing at ``"package.module:name"`` (or ``package.module.name``).

    Raises:
        ModelError: KR822 where there is none.
    """
    module, _, name = path.partition(":") if ":" in path else path.rpartition(".")
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ModelError(
            f"`{path}` cannot be imported: {error}",
            code="KR822",
            help='write it as "package.module:name"',
        ) from error


def _call_options(model: type[KnowledgeModel], call: ModelCall) -> dict[str, object]:
    names = [
        name
        for name, parameter in options_table(model).items()
        if parameter.kind is not parameter.KEYWORD_ONLY
    ]
    if len(call.positional) > len(names):
        raise ModelError(
            f"`{call.kind}` takes {len(names)} options without a name,"
            f" {len(call.positional)} are given",
            code="KR804",
            help=f"its options: {', '.join(options_table(model))}",
        )
    given = dict(zip(names, call.positional, strict=False)) | dict(call.options)
    return {name: _value(value) for name, value in given.items()}


def _value(value: object) -> object:
    """An option value as a constructor takes it: nested calls made, lists as tuples."""
    if isinstance(value, ModelCall):
        return make(value)
    if isinstance(value, tuple | list):
        return tuple(map(_value, value))
    return value


def _copied(value: object) -> object:
    return make(value) if isinstance(value, KnowledgeModel) else value


def _construct(
    model: type[KnowledgeModel], kind: str, options: Mapping[str, object]
) -> KnowledgeModel:
    values = {name: _value(value) for name, value in options.items()}
    check_options(model, kind, values)
    return model(**values)
