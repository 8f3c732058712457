"""Settings of a reasoner, declared once: in Python as :class:`Settings`, in sections of a file.

A section of the project file inherits the fields it shares with :class:`Settings`, so a new
setting is one field of one class below.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic.dataclasses import dataclass
from pydantic_core import PydanticCustomError

Options = Mapping[str, Any]
"""Options of a model, learner or engine: which there are and of what kind is for it to say."""
Share = Annotated[StrictFloat, Field(gt=0, lt=1)]


def _in_one_sentence(value: object, check: ValidatorFunctionWrapHandler) -> Any:
    try:
        return check(value)
    except ValidationError:
        kinds = 'a share above 0 and below 1, "estimate", or a table of these by predicate'
        raise PydanticCustomError("prevalence", kinds) from None


Prevalence = Share | Literal["estimate"]
Prevalences = Annotated[
    Prevalence | Mapping[str, Prevalence] | None, WrapValidator(_in_one_sentence)
]
Shown = Mapping[str, tuple[str, ...]]
SHOW = (
    "By domain, what explanations show of its things: attributes, definitions, feature columns and "
    "named places of facts whose first place is the thing."
)
CHECKED = ConfigDict(extra="forbid", use_attribute_docstrings=True)
# pydantic hands down descriptions of inherited fields only where they are written as `Field`


@dataclass(config=CHECKED, frozen=True)
class GroundingLimits:
    """How much grounding may use."""

    memory_limit: str = Field(default="4GB", description="Memory of the relational engine.")
    ground_limit: StrictInt = Field(
        default=50_000_000, description="Most ground factors a rule may make."
    )


@dataclass(config=CHECKED, frozen=True)
class Threads:
    """How many threads the relational engine takes, and how many processes models."""

    threads: StrictInt = Field(
        default=2,
        description="Threads of the relational engine, and most processes in which models are "
        "fitted side by side.",
    )


@dataclass(config=CHECKED, frozen=True)
class ExactLimits:
    """How much exact inference may use; components beyond it are approximated."""

    exact_memory: str = Field(
        default="1GB", description="Memory of exact inference; ``0`` switches junction trees off."
    )
    exact_seconds: StrictFloat = Field(
        default=60.0,
        description="Time of exact inference, counted beforehand and not by the clock, so that "
        "answers are the same on any machine.",
    )


@dataclass(config=CHECKED, frozen=True)
class LearnSettings:
    """How weights are learned, apart from the learner's own options."""

    fold_count: StrictInt = Field(default=6, description="Cross-fitting folds.")
    deploy: Literal["auto", "mean", "refit"] = Field(
        default="auto",
        description="The final model: ``mean`` of the fold models (where there are labels enough), "
        "or one fitted on all labels (``refit``), which is stronger than those that calibration "
        "and rules learn from. ``auto``: the mean, but for models too heavy to keep several of.",
    )
    answer: Literal["auto", "mean", "rules", "models"] = Field(
        default="auto",
        description="Where conclusions come from: the ``mean`` of the stacked models' and the "
        "rules' log-odds, the ``rules`` (over models) alone as inference gives them, or the "
        "``models`` alone. ``auto``: the mean, but where whole clusters of labels show that one "
        "half is better, or hard, functional or counting rules tie conclusions to each other.",
    )
    weights: Literal["auto", "stated", "halfway", "learned"] = Field(
        default="auto",
        description="Whose weights conclusions rest on: those the program states, learned ones, or "
        "``halfway`` between them. ``auto``: halfway, but where whole clusters of labels show that "
        "one of the two is better.",
    )
    auto_trees: StrictBool = Field(
        default=True,
        description="Whether trees over columns and definitions join the stacked models by "
        "themselves, where the program declares none.",
    )
    boosted_rules: StrictBool = Field(
        default=False,
        description="Whether trees over columns and definitions that start from what the rules say "
        "(as base margin) are a third member of the mean.",
    )
    labels: Literal["all", "none"] = Field(
        default="all", description="``none`` keeps every weight at its prior mean."
    )
    hard_violations: Literal["error", "drop"] = Field(
        default="error", description="What happens to hard groundings that training labels break."
    )
    clusters: str = Field(
        default="",
        description="An attribute; labels of things with one value of it are not independent "
        "(a campaign, a customer), and weights are learned as if there were as many fewer of "
        "them as whole clusters vouch for; folds keep clusters whole. Empty: labels of different "
        "components are independent, and folds keep components whole.",
    )
    bootstrap: StrictInt = Field(
        default=0, description="Resamples for intervals on weights and conclusions, 0 for none."
    )
    adapt: Literal["", "reliability"] = Field(
        default="",
        description="``reliability`` passes every model through the channel fitted to today's "
        "data; empty for no adaptation.",
    )


@dataclass(config=CHECKED, frozen=True)
class LabelSettings:
    """Where labels come from."""

    prevalence: Prevalences = Field(
        default=None,
        description="Share of true atoms among all atoms of the query predicate, where labels were "
        "chosen by their outcome and hold another share (cases that were looked into): a number, "
        "or ``estimate`` from the models' scores of unlabelled atoms; a table by predicate where "
        "there are several. Left out: labels are a fair sample, unless they have a ``weight``.",
    )


@dataclass(config=CHECKED, frozen=True)
class Settings(LearnSettings, LabelSettings, Threads, ExactLimits, GroundingLimits):
    """Settings of a :class:`Reasoner` that most users leave alone.

    All are keywords: ``Settings(fold_count=3, clusters="campaign")``. A wrong name or value is
    a ``pydantic.ValidationError``, which is a ``ValueError``.

    Example:
        >>> Settings(fold_count=3, clusters="campaign").fold_count
        3
    """

    learn: Options = Field(default_factory=dict, description="Further options of the learner.")
    infer: Options = Field(default_factory=dict, description="Further options of the engine.")
    show: Shown = Field(default_factory=dict, description=SHOW)
