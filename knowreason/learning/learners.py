"""The methods of learning by name, and :func:`learn`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from inspect import Parameter, signature
from typing import TYPE_CHECKING, Literal, get_args, get_origin, get_type_hints

import numpy as np

from knowreason.errors import LearningError, did_you_mean
from knowreason.factors import OPEN
from knowreason.progress import Progress
from knowreason.registry import Registry

if TYPE_CHECKING:
    from knowreason.learning.problem import Fit, Problem

Learner = Callable[..., "Fit"]
OURS = ("problem", "seed", "progress")  # arguments every learner takes
NOT_EXACT = (
    "labels count as independent: what they owe to their clusters is known only where exact "
    "inference serves every component"
)

LEARNERS: Registry[Learner] = Registry(
    "learner",
    "knowreason.learners",
    lazy={
        "variational_em": "knowreason.learning.methods:variational_em",
        "likelihood": "knowreason.learning.methods:likelihood",
        "pseudo_likelihood": "knowreason.learning.methods:pseudo_likelihood",
        "composite": "knowreason.learning.methods:composite",
        "knowgraph": "knowreason.learning.estimators.knowgraph:knowgraph",
    },
)


def learn(
    problem: Problem,
    method: str = "variational_em",
    *,
    seed: int = 0,
    progress: Progress | None = None,
    **options: object,
) -> Fit:
    """The fit of a problem's learned parameters.

    Args:
        problem: graph, parameters and labels.
        method: ``variational_em``, ``likelihood``, ``pseudo_likelihood``, ``composite``,
            ``knowgraph`` or another registered learner.
        seed: of everything random.
        progress: called as ``progress(step, total, note)``.
        **options: of the learner; the fields of its schedule or recipe by their own names.

    Returns:
        The fit. Without any label, or without anything to learn, every weight stays at its
        start and is said to be set by the prior.

    Raises:
        UnknownNameError: no such learner.
        LearningError: labels that contradict evidence, blocks or hard rules, components
            the learner cannot serve, or KR858 for an option it does not have.

    Example:
        >>> from knowreason import ground
        >>> from knowreason.learning import Problem
        >>> from knowreason.testing import example_data
        >>> data = example_data(nodes=8)
        >>> grounding = ground(data.program, data)
        >>> problem = Problem(grounding.graph, grounding.parameters, grounding.labels)
        >>> float(learn(problem).theta[0].round(2))  # bias of ``Bad``
        -0.84
    """
    from knowreason.learning.fit import prior_fit

    keywords = learner_options(method, options)
    if not np.any(problem.labels != OPEN):
        return prior_fit(problem, "no labels: every weight is at its prior mean")
    if not problem.parameters.learned.any():
        return prior_fit(problem, "every weight is given")
    fit = LEARNERS[method](problem, seed=seed, progress=progress, **keywords)
    if problem.clusters is None or fit.clusters:
        return fit
    return replace(fit, notes=(*fit.notes, NOT_EXACT))


def learner_options(method: str, options: Mapping[str, object]) -> dict[str, object]:
    """Keyword arguments of a learner, from its options as a project file gives them.

    An argument whose default is a dataclass (a schedule, a recipe) has its fields as options.

    Raises:
        UnknownNameError: no such learner.
        LearningError: KR858 for an option the learner does not have, or of another type, KR856
            for one that is no choice.
    """
    arguments = signature(LEARNERS[method]).parameters
    defaults = {
        name: argument.default
        for name, argument in arguments.items()
        if name not in OURS and argument.kind is not Parameter.VAR_KEYWORD
    }
    nested = {
        field.name: name
        for name, default in defaults.items()
        if is_dataclass(default)
        for field in fields(default)
    }
    open_ended = any(one.kind is Parameter.VAR_KEYWORD for one in arguments.values())
    given: dict[str, object] = {n: v for n, v in options.items() if n not in nested}
    unknown = [name for name in given if name not in defaults]
    if unknown and not open_ended:
        names = [*(name for name in defaults if name not in nested.values()), *nested]
        raise LearningError(
            f"method `{method}` has no option `{unknown[0]}`",
            code="KR858",
            help=did_you_mean(unknown[0], names) or f"one of {', '.join(names)}",
        )
    hints = get_type_hints(LEARNERS[method])
    for name, value in given.items():
        _check_type(name, value, defaults.get(name))
        if get_origin(hints.get(name)) is Literal:
            refuse_unknown(name, value, get_args(hints[name]))
    for name, value in options.items():
        whole = given.get(nested[name], defaults[nested[name]]) if name in nested else None
        if is_dataclass(whole) and not isinstance(whole, type):
            _check_type(name, value, getattr(whole, name))
            given[nested[name]] = replace(whole, **{name: value})
    return given


def refuse_unknown(name: str, value: object, choices: Sequence[str]) -> None:
    """Raise KR856 where ``value`` is none of the choices that an option has."""
    if value not in choices:
        raise LearningError(
            f"no {name} is called `{value}`",
            code="KR856",
            help=did_you_mean(str(value), choices) or f"one of {', '.join(choices)}",
        )


def _check_type(name: str, value: object, default: object) -> None:
    """Raise where a value is of another type than its default; a whole number is a number."""
    wanted = type(default)
    if not isinstance(default, bool | int | float | str):
        return
    fits = isinstance(value, (int, float) if wanted is float else wanted)
    if not fits or (isinstance(value, bool) and wanted is not bool):
        raise LearningError(
            f"`{name}` is {value!r}; it is a {_NAMES[wanted]}, {default!r} unless said otherwise",
            code="KR858",
        )


_NAMES = {bool: "yes or no", int: "whole number", float: "number", str: "text"}
