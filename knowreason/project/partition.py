"""The parts of a project's data: what is trained on, what is tested."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np

from knowreason.data import Dataset, known_at
from knowreason.errors import DataError, ProjectError
from knowreason.lang.syntax.literal_values import parse_duration
from knowreason.logic import Program
from knowreason.project.schema import Project

_CONDITION = re.compile(r"^\s*(<|>=)(?!=)\s*(\S.*?)\s*$")


@dataclass(frozen=True)
class Parts:
    """Training and test part; ``test`` is ``None`` where nothing is held back.

    Attributes:
        train: its visible labels are learned from.
        test: its hidden labels are what predictions are scored against.
        cut: where the split is by an attribute.
    """

    train: Dataset
    test: Dataset | None
    cut: int | float | str | None = None


def parts_of(project: Project, program: Program, data: Dataset) -> Parts:
    """Split as ``[split]`` says; labels not yet known at the cut are held back.

    Raises:
        ProjectError: KR910 for a condition that is not understood.
        DataError: where a part is empty.
    """
    split = project.split
    if not split.by:
        return _random(project, data)
    cut = boundary(split.train, "<", "train")
    later = boundary(split.test or f">= {cut}", ">=", "test")
    try:
        train, test = data.split_by(split.by, before=cut)
    except DataError as error:
        said = f'[split] train = "{split.train}"'
        raise DataError(
            diagnostics=[replace(d, message=f"{said}: {d.message}") for d in error.diagnostics]
        ) from None
    delay = label_delay(project)
    if delay and _is_clock(program, split.by):
        train, test = known_at(train, cut, delay), known_at(test, cut, delay)
    if later != cut:
        _, much_later = data.split_by(split.by, before=later)
        test = replace(test, scope=much_later.scope)
    return Parts(train, test, cut)


def boundary(condition: str, operator: str, key: str) -> int | float | str:
    """The value in ``"< 34"``, a number where it is one.

    Raises:
        ProjectError: KR910.
    """
    match = _CONDITION.match(condition)
    if match is None or match.group(1) != operator:
        raise ProjectError(
            f'[split] {key} = "{condition}" is not understood',
            code="KR910",
            help=f'write it as "{operator} 34" or "{operator} 2026-01-20"',
        )
    text = match.group(2)
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return text


def label_delay(project: Project) -> int | float:
    """``[time] label_delay`` in the clock's units (microseconds for times)."""
    return duration(project.time.label_delay, "label_delay")


def duration(value: str | int | float, key: str) -> int | float:
    """A value of ``[time]`` in the clock's units.

    Raises:
        ProjectError: KR910 for text that is no duration.
    """
    if not isinstance(value, str):
        return value
    units = parse_duration(value)
    if units is None:
        raise ProjectError(
            f'[time] {key} = "{value}" is not a duration', code="KR910", help='such as "2d"'
        )
    return units


def _is_clock(program: Program, attribute: str) -> bool:
    return program.attribute(attribute).clock


def _random(project: Project, data: Dataset) -> Parts:
    labelled = [name for name, table in data.labels.items() if table.num_rows]
    if not labelled or project.split.share == 0:
        return Parts(data, None)
    train, test = data, data
    for predicate in labelled:
        train, _ = train.split_random(predicate, test=project.split.share, seed=project.seed)
        _, test = test.split_random(predicate, test=project.split.share, seed=project.seed)
    if len(labelled) > 1:
        scope = {name: np.ones_like(mask) for name, mask in test.scope.items()}
        test = replace(test, scope=scope)
    return Parts(train, test)
