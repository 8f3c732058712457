"""How a reasoner learns and infers, apart from what it reasons with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Settings:
    """Settings of a :class:`Reasoner` that most users leave alone.

    Attributes:
        fold_count: cross-fitting folds.
        labels: ``all``, or ``none`` to keep every weight at its prior mean.
        hard_violations: what to do with hard groundings that training labels break.
        clusters: an attribute; labels of things with one value of it are not independent (a
            campaign, a customer), and weights are learned as if there were as many fewer of
            them as whole clusters vouch for. Empty: labels of different components are
            independent.
        bootstrap: resamples for intervals on weights and conclusions, 0 for none.
        adapt: ``reliability`` passes every model through the channel fitted to today's
            data; empty for no adaptation.
        memory_limit, threads: of the relational engine.
        ground_limit: most ground factors a rule may make.
        learn: further options of the learner.
        infer: further options of the engine.
    """

    fold_count: int = 5
    labels: Literal["all", "none"] = "all"
    hard_violations: Literal["error", "drop"] = "error"
    clusters: str = ""
    bootstrap: int = 0
    adapt: Literal["", "reliability"] = ""
    memory_limit: str = "4GB"
    threads: int = 2
    ground_limit: int = 50_000_000
    learn: Mapping[str, Any] = field(default_factory=dict)
    infer: Mapping[str, Any] = field(default_factory=dict)
