"""A generated world of a functional predicate, for the drift study: cases of one of four kinds.

Three models each see a noisy measurement of their own (a vector a kind stands at the corner
of a tetrahedron), trained while all is well; then a model breaks, loses one kind, takes one
kind for another, all fade, or the shares of the kinds move.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from knowreason import Dataset, Reasoner, lang
from knowreason.beliefs.beliefs import Beliefs
from knowreason.data.features import FeatureSource

KINDS = ("a", "b", "c", "d")
SHARES = (0.4, 0.3, 0.2, 0.1)
DISTANCE = (1.7, 1.4, 1.4)  # of a kind's corner from the origin, in standard deviations
PROGRAM = lang.loads("""
domain Case
domain Kind = { "a", "b", "c", "d" }
query Is(Case, Kind!)
model one   for Is = sklearn("logistic", features=["x0", "x1", "x2"])
model two   for Is = sklearn("logistic", features=["y0", "y1", "y2"])
model three for Is = sklearn("logistic", features=["z0", "z1", "z2"])
""")
CORNERS = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) / np.sqrt(3)


@dataclass(frozen=True)
class Change:
    """What happens at test time.

    Attributes:
        name: in tables.
        left: share of cases that each model still sees; the others look like any kind.
        blind: a kind that model one no longer sees.
        taken: pairs of kinds: model one sees the second where the first is.
        shares: of the kinds, at test time.
        shared: standard deviation of noise that all models have in common, in training too.
        new_shared: the same, from test time on.
    """

    name: str
    left: tuple[float, float, float] = (1.0, 1.0, 1.0)
    blind: int | None = None
    taken: dict[int, int] = field(default_factory=dict)
    shares: tuple[float, ...] = SHARES
    shared: float = 0.0
    new_shared: float = 0.0


CHANGES = (
    Change("nothing"),
    Change("model one breaks", (0.28, 1.0, 1.0)),
    Change("model one is blind to c", blind=2),
    Change("model one takes b for c", taken={1: 2}),
    Change("model one swaps a and b", taken={0: 1, 1: 0}),
    Change("all fade", (0.6, 0.6, 0.6)),
    Change("other shares of kinds", shares=(0.1, 0.2, 0.3, 0.4)),
    Change("other shares, one takes b for c", taken={1: 2}, shares=(0.1, 0.2, 0.3, 0.4)),
    Change("shared cause of error, nothing else", shared=0.8),
    Change("shared cause of error, model one breaks", (0.28, 1.0, 1.0), shared=0.8),
    Change("a new cause of error shared by all", new_shared=0.8),
)


def cases(n: int, change: Change, rng: np.random.Generator) -> tuple[pl.DataFrame, NDArray[Any]]:
    """Measurements of ``n`` cases and their kinds."""
    kind = rng.choice(len(KINDS), n, p=change.shares)
    common = (change.shared + change.new_shared) * rng.normal(size=(n, 3))
    columns: dict[str, Any] = {"id": [f"c{i}" for i in range(n)]}
    for place, (letter, distance) in enumerate(zip("xyz", DISTANCE, strict=True)):
        said = kind.copy()
        if place == 0:
            for of, to in change.taken.items():
                said[kind == of] = to
            if change.blind is not None:
                lost = kind == change.blind
                said[lost] = rng.choice(len(KINDS), lost.sum(), p=SHARES)
        gone = rng.random(n) >= change.left[place]
        said[gone] = rng.choice(len(KINDS), gone.sum(), p=SHARES)
        seen = distance * CORNERS[said] + rng.normal(size=(n, 3)) + common
        columns |= {f"{letter}{i}": seen[:, i] for i in range(3)}
    return pl.DataFrame(columns), kind


def dataset(frame: pl.DataFrame, kind: NDArray[Any] | None) -> Dataset:
    """Cases, labelled where their kinds are given."""
    labels = {} if kind is None else {"Is": frame.select("id", pl.Series([KINDS[k] for k in kind]))}
    return Dataset.from_frames(
        PROGRAM,
        labels=labels,
        features={"Case": FeatureSource(frame)},
        things={"Case": frame["id"]},
    )


def accuracy(beliefs: Beliefs, kind: NDArray[Any]) -> tuple[float, float]:
    """Share of cases whose likeliest kind is theirs, and the mean log-probability of theirs."""
    span = beliefs.grounding.span("Is")
    state = beliefs.log_odds[span.start : span.stop].reshape(-1, len(KINDS))
    probability = 1 / (1 + np.exp(-np.clip(state, -40, 40)))
    own = probability[np.arange(len(kind)), kind]
    return float((state.argmax(1) == kind).mean()), float(np.log(np.clip(own, 1e-9, 1)).mean())


def run(change: Change, labels: int, n: int, seed: int) -> dict[str, Any]:
    """One seed: accuracy without and with adapting, and what is said."""
    rng = np.random.default_rng([seed, labels])
    past, kind = cases(labels, Change("usual", shared=change.shared), rng)
    reasoner = Reasoner(PROGRAM, folds="random", seed=seed).fit(dataset(past, kind))
    today, truth = cases(n, change, rng)
    beliefs = reasoner.infer(dataset(today, None), adapt="reliability")
    plain = beliefs.unadapted or beliefs
    (before, told), (after, retold) = accuracy(plain, truth), accuracy(beliefs, truth)
    return {
        "before": before,
        "after": after,
        "log_before": told,
        "log_after": retold,
        "named": [m for m in ("one", "two", "three") if _named(m, plain.notes)],
        "notes": list(plain.notes),
        "warned": any("err together" in note for note in beliefs.notes),
        "diagnosis": list(plain.diagnosis),
    }


def _named(model: str, notes: tuple[str, ...]) -> bool:
    return any(note.startswith(f"model `{model}`") for note in notes)
