"""Models by name, and models made from what a rule file or a project file says."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from knowreason.errors import ModelError, did_you_mean
from knowreason.logic.programs import ModelCall
from knowreason.models.protocol import KnowledgeModel
from knowreason.registry import Registry

GROUP = "knowreason.models"
BUILT_IN = {
    "callable": "knowreason.models.tabular:CallableModel",
    "column": "knowreason.models.scores:ColumnModel",
    "diffusion": "knowreason.models.diffusion:Diffusion",
    "enclosing_subgraph": "knowreason.models.enclosing_subgraph:EnclosingSubgraph",
    "gad_ebm": "knowreason.models.gad_ebm:GadEBM",
    "gnn": "knowreason.models.gnn:GNN",
    "infomax": "knowreason.models.infomax:InfoMax",
    "link_embedding": "knowreason.models.link_embedding:LinkEmbedding",
    "noisy": "knowreason.models.noise:Noisy",
    "sklearn": "knowreason.models.tabular:Sklearn",
    "temporal_link": "knowreason.models.temporal_link:TemporalLink",
    "torch": "knowreason.models.neural:Torch",
    "trees": "knowreason.models.boosting:Trees",
}
OPTION_KINDS = {int: "an integer", float: "a number", str: "a string", bool: "true or false"}

M = TypeVar("M", bound=type[KnowledgeModel])


MODELS: Registry[type[KnowledgeModel]] = Registry("model", GROUP, lazy=BUILT_IN)


def register(name: str) -> Callable[[M], M]:
    """Class decorator that makes a model usable by name in rule files.

    Raises:
        ValueError: when the name is taken.
    """

    def add(model: M) -> M:
        if name in BUILT_IN:
            raise ValueError(f"a model named `{name}` is built in")
        MODELS.register(name)(model)
        model.registered_as = name
        return model

    return add


def make(
    what: ModelCall | str | type[KnowledgeModel] | KnowledgeModel,
    overrides: Mapping[str, Any] | None = None,
) -> KnowledgeModel:
    """A new, unfitted model.

    Args:
        what: a call as it stands in a rule file (options may be calls themselves), a
            registered name, a class, or an instance, which is copied by its options.
        overrides: options that replace those of the call (``[models.NAME]`` of a project).

    Raises:
        UnknownNameError: KR801 for a kind that is not registered.
        ModelError: KR802 for an option the model does not have, KR803 for a value that
            does not fit the option, KR804 for too many positional options.
    """
    if isinstance(what, KnowledgeModel):
        from knowreason.models.protocol import options_of

        call_options = {name: _copied(value) for name, value in options_of(what).items()}
        return _construct(type(what), what.registered_as, call_options | dict(overrides or {}))
    if isinstance(what, type):
        return _construct(what, what.registered_as or what.__name__, dict(overrides or {}))
    call = ModelCall(what) if isinstance(what, str) else what
    model = MODELS[call.kind]
    options = _call_options(model, call)
    return _construct(model, call.kind, options | dict(overrides or {}))


def options_table(model: type[KnowledgeModel]) -> dict[str, inspect.Parameter]:
    """The options of a model kind by name, in order, without ``**params``."""
    parameters = inspect.signature(model).parameters
    return {
        name: parameter
        for name, parameter in parameters.items()
        if parameter.kind is not parameter.VAR_KEYWORD
    }


def _call_options(model: type[KnowledgeModel], call: ModelCall) -> dict[str, Any]:
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


def _value(value: Any) -> Any:
    """An option value as a constructor takes it: nested calls made, lists as tuples."""
    if isinstance(value, ModelCall):
        return make(value)
    if isinstance(value, tuple | list):
        return tuple(map(_value, value))
    return value


def _copied(value: Any) -> Any:
    return make(value) if isinstance(value, KnowledgeModel) else value


def _construct(
    model: type[KnowledgeModel], kind: str, options: Mapping[str, Any]
) -> KnowledgeModel:
    parameters_by_name = options_table(model)
    parameters = inspect.signature(model).parameters.values()
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    hints = get_type_hints(model.__init__)
    values = {name: _value(value) for name, value in options.items()}
    for name, value in values.items():
        if name not in parameters_by_name:
            if takes_any:
                continue
            raise ModelError(
                f"`{kind}` has no option `{name}`",
                code="KR802",
                help=did_you_mean(name, parameters_by_name)
                or f"its options: {', '.join(parameters_by_name) or 'none'}",
            )
        if name in hints and not _fits(value, hints[name]):
            raise ModelError(
                f"option `{name}` of `{kind}` is {_shown(value)}, not {_wanted(hints[name])}",
                code="KR803",
            )
    missing = [
        name
        for name, parameter in parameters_by_name.items()
        if parameter.default is parameter.empty and name not in values
    ]
    if missing:
        raise ModelError(f"`{kind}` needs the option `{missing[0]}`", code="KR804")
    return model(**values)


def _fits(value: Any, hint: Any) -> bool:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return value in arguments
    if origin in (Union, types.UnionType):
        return any(_fits(value, argument) for argument in arguments)
    if origin is tuple:
        return isinstance(value, tuple) and all(_fits(item, arguments[0]) for item in value)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if hint is typing.Any or origin is not None:
        return True
    return isinstance(value, hint)


def _wanted(hint: Any) -> str:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return "one of " + ", ".join(f'"{argument}"' for argument in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(_wanted(a) for a in arguments if a is not type(None))
    if origin is tuple:
        return "a list"
    if isinstance(hint, type) and issubclass(hint, KnowledgeModel):
        return "a model such as `gnn()`"
    return OPTION_KINDS.get(hint, getattr(hint, "__name__", str(hint)))


def _shown(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)
