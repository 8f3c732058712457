"""The project file (``knowreason.toml``): where data is, how to train, what to report.

Logic stays in the rule file. The file is read into frozen dataclasses; every unknown
key and wrong type is a finding that points into the file, all of them at once.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from knowreason.data.tables import TableSource
from knowreason.diagnostics import Diagnostic, Source
from knowreason.errors import ProjectError, did_you_mean
from knowreason.pipeline.toml_places import find_key, syntax_error_span

Scalar = bool | int | float | str


@dataclass(frozen=True, slots=True)
class Binding:
    """Which columns of which table fill a predicate or attribute.

    Attributes:
        table: name of a table.
        columns: one column a position.
        value: column of the attribute's value; of an observed predicate without arguments,
            whether it holds.
        label: column with 0/1 labels of a query predicate.
        unknown: label values that mean "unlabelled".
        evidence: column with 0/1 truth known whenever predicting.
    """

    table: str
    columns: tuple[str, ...]
    value: str | None = None
    label: str | None = None
    unknown: tuple[Scalar, ...] = ()
    evidence: str | None = None


@dataclass(frozen=True, slots=True)
class FeatureBinding:
    """What models may see of the things of a domain."""

    table: str
    key: str
    columns: tuple[str, ...]
    categorical: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ScoreBinding:
    """Columns of scores for ``column(...)`` models, keyed by a predicate's atoms."""

    table: str
    key: tuple[str, ...]
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EdgeBinding:
    """An edge table: ``source = "column:Domain"``, ``target = "column:Domain"``.

    ``key`` names the thing that the edge itself is (a payment), where it is one.
    """

    table: str
    source: str
    target: str
    key: str | None = None
    time: str | None = None
    features: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GraphSection:
    """Edges for graph models."""

    edges: tuple[EdgeBinding, ...] = ()


@dataclass(frozen=True, slots=True)
class TimeSection:
    """When labels become known.

    Both are durations (``"2d"``) for a clock that is a time, or numbers in the clock's own
    units.

    Attributes:
        label_delay: labels are known this long after their atom's clock.
        label_refresh: for how long labels are not gathered anew in use, for definitions that
            read labels; by default the length of the test part.
    """

    label_delay: str | int | float = 0
    label_refresh: str | int | float = 0


@dataclass(frozen=True, slots=True)
class SplitSection:
    """Which things are trained on: conditions on an attribute, or a random share.

    Attributes:
        by: an attribute of the program; empty for a random split.
        train, test: ``"< 34"``, ``">= 34"``; only these two operators.
        share: share of the labels held back by a random split.
        protocol: ``frozen``, or ``prequential``: ``eval`` also scores slice after slice
            with what was known then, at delay 0 and at ``[time] label_delay``.
        refit_weights, refit_models: every how many slices; 0 for never.
    """

    by: str = ""
    train: str = ""
    test: str = ""
    share: float = 0.3
    protocol: Literal["frozen", "prequential"] = "frozen"
    refit_weights: int = 1
    refit_models: int = 1


@dataclass(frozen=True, slots=True)
class LearnSection:
    """How weights are learned; see :class:`knowreason.pipeline.settings.Settings`."""

    method: str = "variational_em"
    folds: str = ""
    fold_count: int = 5
    labels: Literal["all", "none"] = "all"
    hard_violations: Literal["error", "drop"] = "error"
    clusters: str = ""
    bootstrap: int = 0
    adapt: Literal["", "reliability"] = ""
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class InferSection:
    """How marginals are computed."""

    engine: str = "auto"
    threads: int = 2
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReportSection:
    """What ``eval`` measures, and in which blocks intervals are resampled."""

    metrics: tuple[str, ...] = (
        "average_precision",
        "roc_auc",
        "tpr@fpr=0.005",
        "tpr@fpr=0.01",
        "tpr@fpr=0.02",
        "log_loss",
        "brier",
        "ece",
    )
    by: str = ""
    question: str = ""


@dataclass(frozen=True, slots=True)
class Project:
    """A whole project file; paths are absolute.

    Attributes:
        program: the rule file.
        params: overrides of ``param``, as literals of the rule language.
        models: options of models the rule file declares, by model name.
        directory: where the file lies.
    """

    program: Path
    directory: Path
    name: str = ""
    seed: int = 0
    device: str = "auto"
    memory_limit: str = "4GB"
    ground_limit: int = 50_000_000
    params: Mapping[str, Scalar] = field(default_factory=dict)
    tables: Mapping[str, TableSource] = field(default_factory=dict)
    bind: Mapping[str, Binding] = field(default_factory=dict)
    features: Mapping[str, FeatureBinding] = field(default_factory=dict)
    scores: Mapping[str, ScoreBinding] = field(default_factory=dict)
    graph: GraphSection = field(default_factory=GraphSection)
    time: TimeSection = field(default_factory=TimeSection)
    split: SplitSection = field(default_factory=SplitSection)
    models: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    learn: LearnSection = field(default_factory=LearnSection)
    infer: InferSection = field(default_factory=InferSection)
    report: ReportSection = field(default_factory=ReportSection)


def load_project(path: str | Path, overrides: Mapping[str, str] | None = None) -> Project:
    """Read a project file.

    Args:
        path: the file, or a directory that holds ``knowreason.toml``.
        overrides: ``--set a.b=c`` settings: dotted keys to TOML values as text (a value
            that is no TOML literal is taken as a string).

    Raises:
        ProjectError: with every finding (KR901-KR908).
    """
    path = Path(path)
    if path.is_dir():
        path = path / "knowreason.toml"
    if not path.is_file():
        raise ProjectError(f"there is no project file at `{path}`", code="KR901")
    try:
        source = Source(str(path), path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ProjectError(f"`{path}` cannot be read: {error}", code="KR901") from None
    try:
        table = tomllib.loads(source.text)
    except tomllib.TOMLDecodeError as error:
        span, message = syntax_error_span(source, error)
        raise ProjectError(diagnostics=[Diagnostic("KR902", message, span=span)]) from None
    for key, text in (overrides or {}).items():
        _override(table, key, text)
    return _build(source, table, path.parent.resolve())


def paths_of(project: Project) -> tuple[Path, ...]:
    """What the project lives on: its folder, its rule file, the files of its tables."""
    files = [file for source in project.tables.values() for file in source.files()]
    return (project.directory, project.program, *files)


def _override(table: dict[str, Any], key: str, text: str) -> None:
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    *parents, last = key.split(".")
    for parent in parents:
        table = table.setdefault(parent, {})
        if not isinstance(table, dict):
            raise ProjectError(f"`--set {key}`: `{parent}` is not a section", code="KR903")
    table[last] = value


def _build(source: Source, table: dict[str, Any], directory: Path) -> Project:
    reader = _Reader(source)
    project = reader.value(Project, table | {"directory": directory}, ())
    if reader.findings:
        raise ProjectError(diagnostics=reader.findings)
    for name, table_source in project.tables.items():
        if (table_source.path is None) == (table_source.sql is None):
            message = f"table `{name}` needs either `path` or `sql`"
            reader.report("KR904", message, ("tables", name))
    _check_tables(reader, project)
    if reader.findings:
        raise ProjectError(diagnostics=reader.findings)
    return project


def _check_tables(reader: _Reader, project: Project) -> None:
    uses: list[tuple[tuple[str, ...], str]] = [
        (("bind", name), binding.table) for name, binding in project.bind.items()
    ]
    uses += [(("features", name), entry.table) for name, entry in project.features.items()]
    uses += [(("scores", name), entry.table) for name, entry in project.scores.items()]
    uses += [(("graph", "edges"), edge.table) for edge in project.graph.edges]
    for place, name in uses:
        if name not in project.tables:
            reader.report(
                "KR905",
                f"`{'.'.join(place)}` uses table `{name}`, which is not in [tables]",
                (*place, "table"),
                did_you_mean(name, project.tables),
            )


class _Reader:
    """Turns a TOML table into dataclasses, collecting findings with their places."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.findings: list[Diagnostic] = []

    def report(
        self, code: str, message: str, place: tuple[str, ...], help: str | None = None
    ) -> None:
        span = find_key(self.source, place)
        self.findings.append(Diagnostic(code, message, span=span, help=help))

    def value(self, kind: Any, raw: Any, place: tuple[str, ...]) -> Any:
        origin, arguments = get_origin(kind), get_args(kind)
        if isinstance(kind, type) and hasattr(kind, "__dataclass_fields__"):
            return self._dataclass(kind, raw, place)
        if origin is tuple:
            return self._tuple(arguments[0], raw, place)
        if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
            return self._mapping(arguments[1], raw, place)
        if origin is Literal:
            return self._choice(arguments, raw, place)
        if kind is Path and isinstance(raw, str):
            return raw
        if kind is Any or _fits(kind, raw):
            return float(raw) if kind is float else raw
        self.report(
            "KR907", f"`{'.'.join(place)}` must be {_describe(kind)}, not {_show(raw)}", place
        )
        return None

    def _dataclass(self, kind: Any, raw: Any, place: tuple[str, ...]) -> Any:
        if not isinstance(raw, dict):
            self.report("KR907", f"`{'.'.join(place)}` must be a table, not {_show(raw)}", place)
            return None
        hints = get_type_hints(kind)
        known = [f.name for f in fields(kind)]
        for key in raw:
            if key not in known:
                section = f"[{'.'.join(place)}]" if place else "a project file"
                self.report(
                    "KR906",
                    f"unknown key `{key}` in {section}",
                    (*place, key),
                    did_you_mean(key, known) or f"known keys: {', '.join(known)}",
                )
        values = {k: self.value(hints[k], v, (*place, k)) for k, v in raw.items() if k in known}
        for f in fields(kind):
            required = f.default is MISSING and f.default_factory is MISSING
            if required and f.name not in values:
                where = f"[{'.'.join(place)}]" if place else "the project file"
                self.report("KR908", f"{where} needs `{f.name}`", place)
        if self.findings:
            return None
        return self._resolve(kind, values)

    def _resolve(self, kind: Any, values: dict[str, Any]) -> Any:
        directory = Path(self.source.name).parent.resolve()
        if kind is Project:
            values["program"] = (directory / values["program"]).resolve()
            values.setdefault("name", values["program"].stem)
        if kind is TableSource and values.get("path"):
            values["path"] = str(directory / os.path.expandvars(values["path"]))
        return kind(**values)

    def _tuple(self, kind: Any, raw: Any, place: tuple[str, ...]) -> Any:
        if not isinstance(raw, list):
            self.report("KR907", f"`{'.'.join(place)}` must be a list, not {_show(raw)}", place)
            return None
        return tuple(self.value(kind, item, place) for item in raw)

    def _mapping(self, kind: Any, raw: Any, place: tuple[str, ...]) -> Any:
        if not isinstance(raw, dict):
            self.report("KR907", f"`{'.'.join(place)}` must be a table, not {_show(raw)}", place)
            return None
        return {key: self.value(kind, item, (*place, key)) for key, item in raw.items()}

    def _choice(self, choices: tuple[Any, ...], raw: Any, place: tuple[str, ...]) -> Any:
        if raw not in choices:
            self.report(
                "KR907",
                f"`{'.'.join(place)}` must be one of {', '.join(map(repr, choices))}, "
                f"not {_show(raw)}",
                place,
                did_you_mean(str(raw), [str(c) for c in choices]),
            )
        return raw


def _fits(kind: Any, raw: Any) -> bool:
    kinds = get_args(kind) or (kind,)
    if isinstance(raw, bool):
        return bool in kinds
    if isinstance(raw, int) and float in kinds:
        return True
    return isinstance(raw, tuple(k for k in kinds if isinstance(k, type)))


def _describe(kind: Any) -> str:
    words = {str: "a string", int: "an integer", float: "a number", bool: "true or false"}
    named = [words.get(k, getattr(k, "__name__", str(k))) for k in get_args(kind) or (kind,)]
    return " or ".join(name for name in named if name != "NoneType")


def _show(raw: Any) -> str:
    return "a table" if isinstance(raw, dict) else f"`{raw}`"
