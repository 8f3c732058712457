"""What a user writes: two type checkers read it, and it runs."""

from __future__ import annotations

import sys

import numpy as np
import polars as pl
from numpy.typing import NDArray

import knowreason as kr
from knowreason.models import check_model

RULES = """
domain Person
observed Friends(Person, Person) symmetric
query Smokes(Person)
model base for Smokes = constant_rate(log_odds=-1.0)
rule peers [1.2] : Friends(x, y) & Smokes(x) => Smokes(y)
"""


@kr.models.register("constant_rate")
class ConstantRate(kr.KnowledgeModel):
    """The same log-odds for every atom."""

    def __init__(self, log_odds: float = -1.0) -> None:
        self.value = log_odds

    def fit(
        self, data: kr.Dataset, predicate: str, *, progress: kr.Progress | None = None
    ) -> ConstantRate:
        """Nothing to learn."""
        return self

    def log_odds(self, data: kr.Dataset, predicate: str) -> NDArray[np.float32]:
        """``float32[n]``: the constant."""
        return np.full(data.count("Person"), self.value, dtype=np.float32)


def stages(program: kr.Program, data: kr.Dataset) -> kr.Posterior:
    """Beliefs, stage by stage."""
    print(kr.plan(program, data))
    grounding = kr.ground(program, data)
    posterior = kr.infer(grounding.graph, engine="exact")
    why = kr.explain(grounding, posterior, 0)
    print(why.probability, [share.name for share in why.shares])
    return posterior


def main() -> int:
    """Bind tables, fit, ask, measure, explain."""
    program = kr.loads(RULES)
    names = [f"p{i}" for i in range(40)]
    friends = pl.DataFrame({"a": names[:-1], "b": names[1:]})
    smokes = pl.DataFrame({"id": names, "truth": [i % 4 < 2 for i in range(40)]})
    data = kr.Dataset.from_frames(program, facts={"Friends": friends}, labels={"Smokes": smokes})
    train, test = data.split_random("Smokes", test=0.5, seed=0)
    print(stages(program, train).log_z)

    reasoner = kr.Reasoner(program, settings=kr.Settings(fold_count=3), seed=0).fit(train)
    for weight in reasoner.weights_:
        print(weight.name, weight.value, weight.standard_error, weight.status)
    beliefs: kr.Beliefs = reasoner.infer(test)
    frame = beliefs.marginals("Smokes").to_polars()
    print(frame.filter(pl.col("probability") > 0.5).height)
    score = reasoner.score(test, metrics=["average_precision"])["average_precision"]
    print(score.value, score.low, score.high)
    print(reasoner.explain(beliefs, 'Smokes("p0")'))
    print(kr.metrics.evaluate([True, False], {"mine": [2.0, -1.0]}))
    print(check_model.__name__, kr.models.make("trees").registered_as)
    return 0


if __name__ == "__main__":
    sys.exit(main())
