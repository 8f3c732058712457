"""The sections of a project file, checked as they are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    TypeAdapter,
    model_validator,
)
from pydantic.dataclasses import dataclass
from pydantic.json_schema import SkipJsonSchema
from pydantic_core import PydanticCustomError

from knowreason.data.binding.column_reading import ColumnReading
from knowreason.data.binding.table_files import TableSource
from knowreason.data.engine.engine_choice import EngineChoice
from knowreason.errors import KnowreasonError, ProgramError
from knowreason.logic.time_zones import check_zone
from knowreason.metrics.alarms import Decision
from knowreason.metrics.metrics import DEFAULT_METRICS
from knowreason.project.settings import (
    CHECKED,
    SHOW,
    ExactLimits,
    GroundingLimits,
    LabelSettings,
    LearnSettings,
    Options,
    Settings,
    Shown,
    Threads,
)

Scalar = StrictBool | StrictInt | StrictFloat | str


@dataclass(config=CHECKED, frozen=True)
class TableSection(TableSource):
    """A table: ``path`` (a file or a glob of csv, tsv, parquet, json lines) or ``sql`` over the
    tables above it."""

    path: str | None = None
    """A file, or a glob of files of one kind; relative to the project file."""
    sql: str | None = None
    """A query over tables named above this one."""

    @model_validator(mode="after")
    def _one_source(self) -> TableSection:
        if (self.path is None) == (self.sql is None):
            raise PydanticCustomError("KR904", "a table needs either `path` or `sql`")
        return self


@dataclass(config=CHECKED, frozen=True)
class TableBinding:
    """Which columns of which table fill a predicate or attribute."""

    table: str
    """Name of a table."""
    columns: tuple[str, ...]
    """One column a position."""
    value: str | None = None
    """Column of the attribute's value; of an observed predicate without arguments, whether it
    holds."""
    label: str | None = None
    """Column with 0/1 labels of a query predicate."""
    true: tuple[Scalar, ...] = ()
    """Cells of labels, evidence or a Boolean attribute that are true; 1 and true where neither
    `true` nor `false` is given."""
    false: tuple[Scalar, ...] = ()
    """Cells that are false. What is neither, nor unknown, is a finding."""
    unknown: tuple[Scalar, ...] = ()
    """Cells that mean "unlabelled", or of an attribute "missing"."""
    format: str = ""
    """How the times of an attribute are written (``"%d.%m.%Y"``), where not as ISO 8601."""
    weight: str | None = None
    """Column of the labels' sampling weights: 1 over the chance that such an atom was labelled."""
    evidence: str | None = None
    """Column with 0/1 truth known whenever predicting."""

    @property
    def reading(self) -> ColumnReading:
        """How cells of the column of values are read."""
        return ColumnReading(self.true, self.false, self.unknown, self.format)


@dataclass(config=CHECKED, frozen=True)
class DomainBinding:
    """The table that has all things of a domain; ids of other tables that it does not have are
    findings and make none."""

    table: str
    """Name of a table."""
    key: str
    """Column that names the thing."""


@dataclass(config=CHECKED, frozen=True)
class FeatureBinding:
    """What models may see of the things of a domain."""

    table: str
    """Name of a table."""
    key: str
    """Column that names the thing."""
    columns: tuple[str, ...]
    """What models may see."""
    categorical: tuple[str, ...] = ()
    """Those of the columns whose values are names, not amounts."""


@dataclass(config=CHECKED, frozen=True)
class ScoreBinding:
    """Columns of scores for ``column(...)`` models, keyed by a predicate's atoms."""

    table: str
    """Name of a table."""
    key: tuple[str, ...]
    """One column an argument of the predicate."""
    columns: tuple[str, ...]
    """The scores, by which ``column(...)`` models name them."""


@dataclass(config=CHECKED, frozen=True)
class EdgeBinding:
    """An edge table."""

    table: str
    """Name of a table."""
    source: str
    """``"column:Domain"``."""
    target: str
    """``"column:Domain"``."""
    key: str | None = None
    """Names the thing that the edge itself is (a payment), where it is one."""
    time: str | None = None
    """Column that says when it was."""
    format: str = ""
    """How the times are written, where not as ISO 8601."""
    features: tuple[str, ...] = ()
    """Columns that graph models may see."""
    categorical: tuple[str, ...] = ()
    """Those of them whose values are names, not amounts."""


@dataclass(config=CHECKED, frozen=True)
class GraphSection:
    """Edges for graph models."""

    edges: tuple[EdgeBinding, ...] = ()
    """One entry a table of edges."""


def _zone(name: str) -> str:
    try:
        return check_zone(name)
    except ProgramError as error:
        (found,) = error.diagnostics
        raise PydanticCustomError("zone", "a time zone", {"help": found.help}) from None


@dataclass(config=CHECKED, frozen=True)
class TimeSection:
    """The time zone, and when labels become known.

    Delays are durations (``"2d"``) for a clock that is a time, or numbers in the clock's own
    units.
    """

    zone: Annotated[str, AfterValidator(_zone)] = "UTC"
    """IANA name (``"Europe/Vienna"``): of ``hour``, ``weekday``, ``month``, months of the calendar,
    and of times without a zone in data and rules."""

    label_delay: str | StrictInt | StrictFloat = 0
    """Labels are known this long after their atom's clock."""
    label_refresh: str | StrictInt | StrictFloat = 0
    """For how long labels are not gathered anew in use, for definitions that read labels; by
    default the length of the test part."""


@dataclass(config=CHECKED, frozen=True)
class SplitSection:
    """Which things are trained on: conditions on an attribute, or a random share."""

    by: str = ""
    """An attribute of the program; empty for a random split."""
    train: str = ""
    """``"< 34"``; no other operator."""
    test: str = ""
    """``">= 34"``; no other operator."""
    share: StrictFloat = 0.3
    """Share of the labels held back by a random split."""
    protocol: Literal["frozen", "prequential"] = "frozen"
    """``prequential``: ``eval`` also scores slice after slice with what was known then, at
    delay 0 and at ``[time] label_delay``."""
    refit_weights: StrictInt = 1
    """Weights are fitted again every so many slices; 0 for never."""
    refit_models: StrictInt = 1
    """Models are fitted again every so many slices; 0 for never."""


@dataclass(config=CHECKED, frozen=True)
class LabelsSection(LabelSettings):
    """Where labels come from."""


@dataclass(config=CHECKED, frozen=True)
class LearnSection(LearnSettings):
    """How weights are learned."""

    method: str = "variational_em"
    """A learner by name."""
    folds: str = ""
    """``grouped``, ``random``, ``forward``, ``group:ATTRIBUTE``; empty: ``forward`` where
    definitions read labels by a clock, else ``grouped``."""
    options: Options = field(default_factory=dict)
    """Further options of the learner."""


@dataclass(config=CHECKED, frozen=True)
class InferSection(Threads, ExactLimits):
    """How marginals are computed."""

    engine: str = "auto"
    """An inference engine by name."""
    options: Options = field(default_factory=dict)
    """Further options of the engine."""


@dataclass(config=CHECKED, frozen=True)
class EngineSection(EngineChoice):
    """Where definitions and rules are joined: ``duckdb``, in this process, or ``spark``."""

    kind: Literal["duckdb", "spark"] = "duckdb"
    """Which engine."""
    master: str = "local[*]"
    """Of Spark: ``local[2]``, ``spark://host:7077``, ``yarn``, ``sc://host`` (Connect)."""
    directory: str = ""
    """Where Spark keeps tables as Parquet. Empty: a temporary folder, enough for local mode."""
    partitions: Annotated[StrictInt, Field(ge=0)] = 0
    """With ``duckdb``, parts in which ``plan``, ``compile`` and ``predict`` are done one after
    another, so that memory holds one: independent of each other, or refused (KR938). With
    ``spark``, of its shuffles; its own default when 0."""


@dataclass(config=CHECKED, frozen=True)
class ReportSection:
    """What ``eval`` measures."""

    metrics: tuple[str, ...] = DEFAULT_METRICS
    """Names of measures, such as ``precision@20`` or ``tpr@fpr=0.01``."""
    by: str = ""
    """An attribute whose values are the blocks of the bootstrap and the slices of the table."""
    question: str = ""
    """What the report answers, in the reader's words."""


@dataclass(config=CHECKED, frozen=True)
class DecisionSection(Decision):
    """When to raise an alarm: by two costs, or by a capacity."""

    cost_of_miss: StrictFloat | None = None
    """What a true one without an alarm costs."""
    cost_of_alarm: StrictFloat | None = None
    """What an alarm about a false one costs, in the same unit."""
    capacity: StrictInt | str | None = None
    """Most alarms: ``200`` in all, or ``"50 a day"`` by the clock: hour, day, week, month; step."""
    predicate: str = ""
    """Whose; may be left out where only one is asked."""

    def __post_init__(self) -> None:
        try:
            super().__post_init__()
        except KnowreasonError as error:
            (found,) = error.diagnostics
            said = {"message": found.message, "help": found.help}
            raise PydanticCustomError("KR943", "a decision", said) from None


@dataclass(config=CHECKED, frozen=True, kw_only=True)
class Project(GroundingLimits):
    """A whole project file; paths are absolute once it is read."""

    program: Path
    """The rule file."""
    directory: SkipJsonSchema[Path] = Path()
    """Where the project file lies; no key of it."""
    name: str = ""
    """Of the report; by default that of the rule file."""
    plugins: tuple[str, ...] = ()
    """Modules that register models, engines, learners or metrics of one's own; looked up beside
    the project file and among what is installed."""
    seed: StrictInt = 0
    """Of everything random."""
    device: str = "auto"
    """``auto``, ``cpu`` or ``cuda``."""
    params: Mapping[str, Scalar] = field(default_factory=dict)
    """Overrides of ``param`` in the rule file, as literals of the rule language."""
    tables: Mapping[str, TableSection] = field(default_factory=dict)
    bind: Mapping[str, TableBinding] = field(default_factory=dict)
    """Predicates and attributes, and the columns that fill them."""
    domains: Mapping[str, DomainBinding] = field(default_factory=dict)
    """Domains of which one table has all things there are."""
    features: Mapping[str, FeatureBinding] = field(default_factory=dict)
    """By domain."""
    scores: Mapping[str, ScoreBinding] = field(default_factory=dict)
    """By predicate."""
    graph: GraphSection = field(default_factory=GraphSection)
    time: TimeSection = field(default_factory=TimeSection)
    split: SplitSection = field(default_factory=SplitSection)
    labels: LabelsSection = field(default_factory=LabelsSection)
    models: Mapping[str, Options] = field(default_factory=dict)
    """Options of models the rule file declares, by model name."""
    learn: LearnSection = field(default_factory=LearnSection)
    infer: InferSection = field(default_factory=InferSection)
    report: ReportSection = field(default_factory=ReportSection)
    show: Shown = Field(default_factory=dict, description=SHOW)
    decision: DecisionSection | None = None
    """When to raise an alarm."""
    engine: EngineSection = field(default_factory=EngineSection)

    def settings(self) -> Settings:
        """What the file says of a reasoner's settings."""
        shared = vars(self) | vars(self.labels) | vars(self.learn) | vars(self.infer)
        shared |= {"learn": self.learn.options, "infer": self.infer.options}
        return Settings(**{name: shared[name] for name in Settings.__dataclass_fields__})

    def with_settings(self, settings: Settings) -> Project:
        """The project with a reasoner's settings in their sections."""
        learn = {name: getattr(settings, name) for name in LearnSettings.__dataclass_fields__}
        exact = {name: getattr(settings, name) for name in ExactLimits.__dataclass_fields__}
        limits = {name: getattr(settings, name) for name in GroundingLimits.__dataclass_fields__}
        return replace(
            self,
            learn=replace(self.learn, **learn, options=settings.learn),
            labels=LabelsSection(settings.prevalence),
            show=settings.show,
            infer=replace(self.infer, threads=settings.threads, options=settings.infer, **exact),
            **limits,
        )


PROJECT = TypeAdapter(Project)


def is_divided(project: Project) -> bool:
    """Whether the project asks for parts, one after another."""
    return project.engine.kind == "duckdb" and project.engine.partitions > 1


def project_schema() -> dict[str, object]:
    """The JSON schema of a project file, for editors that complete and check as one writes."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **PROJECT.json_schema(),
        "title": "knowreason project file",
    }
