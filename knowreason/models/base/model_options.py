"""Options of models: which there are, and whether values fit their types and ranges."""

from __future__ import annotations

import inspect
import math
import sys
import types
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from knowreason.errors import ModelError, did_you_mean
from knowreason.models.base.model_protocol import KnowledgeModel

OPTION_KINDS = {int: "an integer", float: "a number", str: "a string", bool: "true or false"}


@dataclass(frozen=True)
class Within:
    """Least and greatest value of a number, both allowed: ``Annotated[int, Within(1)]``."""

    least: float
    greatest: float = math.inf

    def __str__(self) -> str:
        if self.greatest == math.inf:
            return f"at least {self.least:g}"
        return f"between {self.least:g} and {self.greatest:g}"


AtLeastOne = Annotated[int, Within(1)]
AtLeastZero = Annotated[int, Within(0)]
Share = Annotated[float, Within(0, 1)]


def options_table(model: type[KnowledgeModel]) -> dict[str, inspect.Parameter]:
    """The options of a model kind by name, in order, without ``**params``."""
    return {
        name: parameter
        for name, parameter in inspect.signature(model).parameters.items()
        if parameter.kind is not parameter.VAR_KEYWORD
    }


def check_options(model: type[KnowledgeModel], kind: str, values: Mapping[str, object]) -> None:
    """Refuse options that a model does not have, or values that do not fit them.

    Args:
        model: the class.
        kind: what messages call it.
        values: of the options by name.

    Raises:
        ModelError: KR802 for an option the model does not have, KR803 for a value of another
            type, KR861 for a number out of range, KR804 for an option that is missing.
    """
    table, hints = options_table(model), _option_types(model)
    takes_any = len(table) < len(inspect.signature(model).parameters)
    for name, value in values.items():
        if name not in table and not takes_any:
            raise ModelError(
                f"`{kind}` has no option `{name}`",
                code="KR802",
                help=did_you_mean(name, table) or f"its options: {', '.join(table) or 'none'}",
            )
        if name in table and name in hints:
            _check(kind, name, value, hints[name])
    for name, parameter in table.items():
        if parameter.default is parameter.empty and name not in values:
            raise ModelError(f"`{kind}` needs the option `{name}`", code="KR804")


def _option_types(model: type[KnowledgeModel]) -> dict[str, object]:
    """Types of the options; each class's are read in the module it stands in."""
    table, hints = options_table(model), dict[str, object]()
    for base in reversed(model.__mro__):
        declared = dict(vars(base).get("__annotations__", {}))
        if "__init__" in vars(base) and "__dataclass_fields__" not in vars(base):
            declared |= getattr(vars(base)["__init__"], "__annotations__", {})
        options = {
            name: hint
            for name, hint in declared.items()
            if name in table
            and "ClassVar" not in str(hint)  # an option of that name is another thing
        }
        holder = types.SimpleNamespace(__annotations__=options)
        space = vars(sys.modules[base.__module__])
        hints |= get_type_hints(holder, globalns=space, include_extras=True)
    return hints


def _check(kind: str, name: str, value: object, hint: object) -> None:
    shown = f'"{value}"' if isinstance(value, str) else str(value)
    if not _fits(value, hint):
        raise ModelError(
            f"option `{name}` of `{kind}` is {shown}, not {_wanted(hint)}", code="KR803"
        )
    for limit in get_args(hint)[1:] if get_origin(hint) is Annotated else ():
        if isinstance(value, int | float) and not limit.least <= value <= limit.greatest:
            raise ModelError(f"option `{name}` of `{kind}` is {shown}; it is {limit}", code="KR861")


def _fits(value: object, hint: object) -> bool:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _fits(value, arguments[0])
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
    if hint is Any or not isinstance(hint, type):
        return True
    return isinstance(value, hint)


def _wanted(hint: object) -> str:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _wanted(arguments[0])
    if origin is Literal:
        return "one of " + ", ".join(f'"{argument}"' for argument in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(_wanted(a) for a in arguments if a is not type(None))
    if origin is tuple:
        return "a list"
    if not isinstance(hint, type):
        return str(hint)
    if issubclass(hint, KnowledgeModel):
        return "a model such as `gnn()`"
    return OPTION_KINDS.get(hint, hint.__name__)
