"""Learning in scaled columns: every weight is learned times the size of its features.

Numbers in the millions beside a bias would leave finite differences, line searches and
inverses without digits. Fits come back in the units of the user's features.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import Concatenate, ParamSpec

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from knowreason.factors import FactorGraph, GroundFactors, ParameterTable
from knowreason.learning.problem import Curve, Fit, Problem

Vector = NDArray[np.float64]
Options = ParamSpec("Options")


def in_scaled_columns(
    method: Callable[Concatenate[Problem, Options], Fit],
) -> Callable[Concatenate[Problem, Options], Fit]:
    """The same method of learning, in columns of features whose root mean square is 1."""

    @wraps(method)
    def scaled(problem: Problem, /, *args: Options.args, **options: Options.kwargs) -> Fit:
        scale = column_scales(problem)
        if (scale == 1).all():
            return method(problem, *args, **options)
        fit = method(
            replace(
                problem,
                graph=_graph(problem.graph, scale),
                parameters=_table(problem.parameters, scale),
                curve=None if problem.curve is None else _curve(problem.curve, scale),
            ),
            *args,
            **options,
        )
        return replace(
            fit,
            theta=np.where(problem.parameters.learned, fit.theta / scale, fit.theta),
            standard_errors=fit.standard_errors / scale,
            covariance=fit.covariance / np.outer(scale, scale),
            spread=fit.spread / scale,
            parameters=problem.parameters,
        )

    return scaled


def column_scales(problem: Problem) -> Vector:
    """``float64[p]``: root mean square of each parameter's feature values.

    It is 1 for rules without a numeric feature, for given weights and for scales of models
    (learned as logarithms, which have no unit).
    """
    table = problem.parameters
    beyond = problem.graph.parameter_count
    square, count = np.zeros(beyond), np.zeros(beyond)
    for part in problem.graph.factors:
        if part.is_hard:
            continue
        parameter = part.parameters()
        square += np.bincount(parameter, np.square(part.values()), minlength=beyond)
        count += np.bincount(parameter, minlength=beyond)
    square, count = square[: len(table)], count[: len(table)]
    scale = np.sqrt(square / np.maximum(count, 1))
    usable = table.learned & ~table.log_normal & (scale > 0) & np.isfinite(scale)
    return np.where(usable, scale, 1.0)


def _graph(graph: FactorGraph, scale: Vector) -> FactorGraph:
    """Features divided by their column's scale, weights times it."""
    scale = np.append(scale, np.ones(graph.parameter_count - len(scale)))
    by = torch.from_numpy(scale)

    def divided(part: GroundFactors) -> GroundFactors:
        if part.is_hard:
            return part
        each = scale[part.parameters()]
        if (each == 1).all():
            return part
        return replace(part, value=torch.from_numpy(part.values() / each))

    return replace(
        graph,
        theta=graph.theta * by,
        factors=tuple(divided(part) for part in graph.factors),
        constant=None if graph.constant is None else graph.constant / by,
    )


def _curve(curve: Curve, scale: Vector) -> Curve:
    """What follows from the parameters, as a function of the scaled ones."""

    def scaled(theta: Vector) -> tuple[Vector, csr_matrix]:
        value, slopes = curve(theta / scale)
        return value, slopes.multiply(1 / scale).tocsr()

    return scaled


def _table(table: ParameterTable, scale: Vector) -> ParameterTable:
    return replace(
        table,
        start=table.start * scale,
        prior_mean=table.prior_mean * scale,
        prior_sd=table.prior_sd * scale,
        lower=table.lower * scale,
        upper=table.upper * scale,
    )
