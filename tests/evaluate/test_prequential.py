"""Slices are scored with what was known then, and nothing else."""

import numpy as np
import polars as pl
import pytest

import knowreason as kr
from knowreason.errors import ProjectError
from knowreason.evaluate.prequential import RefitSchedule, carry, prequential, slice_starts

RULES = """
domain Visit, Shop
attribute shop(Visit): Shop
attribute day(Visit): int clock
attribute size(Visit): float
query Theft(Visit)
latent Targeted(Shop)
model signs for Theft = sklearn(estimator="logistic", features=["size"])
rule targeted : Targeted(shop(v)) => Theft(v)
rule betrays  : Theft(v) => Targeted(shop(v))
"""


def frame(turn: int = 99) -> pl.DataFrame:
    """Twelve days of 30 visits; large ones are thefts until ``turn``, small ones after."""
    rng = np.random.default_rng(0)
    day, shop = np.repeat(np.arange(12), 30), rng.integers(0, 15, 360)
    theft = rng.random(360) < 0.3
    size = rng.normal(size=360) + np.where(theft == (day < turn), 2.0, 0.0)
    return pl.DataFrame(
        {
            "visit": [f"v{i:03}" for i in range(360)],
            "shop": [f"s{i}" for i in shop],
            "day": day,
            "size": size,
            "theft": theft.astype(int),
        }
    )


def dataset(table: pl.DataFrame) -> kr.Dataset:
    return kr.Dataset.from_frames(
        kr.loads(RULES),
        facts={name: table.select("visit", name) for name in ("shop", "day", "size")},
        labels={"Theft": table.select("visit", "theft")},
    )


def reasoner() -> kr.Reasoner:
    return kr.Reasoner(kr.loads(RULES), settings=kr.Settings(fold_count=3))


@pytest.fixture(scope="module")
def fitted() -> kr.Reasoner:
    return reasoner().fit(dataset(frame()).split_by("day", before=8)[0])


def test_every_slice_is_scored_once(fitted):
    found = prequential(fitted, dataset(frame()), "day", 8)
    assert found.moments == (8, 9, 10, 11)
    assert np.bincount(found.blocks).tolist() == [30] * 4
    assert sorted(found.names["a0"].to_pylist()) == [f"v{i:03}" for i in range(240, 360)]
    assert np.isfinite(found.log_odds).all()


@pytest.mark.parametrize("delay", [0, 2])
def test_later_labels_and_things_change_nothing(fitted, delay):
    table = frame()
    known = pl.col("day") + max(delay, 1) <= 10
    other = table.with_columns(
        theft=pl.when(known).then("theft").otherwise(1 - pl.col("theft")),
        size=pl.when(pl.col("day") <= 10).then("size").otherwise(-pl.col("size")),
    )
    plan = RefitSchedule(weights=1, models=1)
    one, two = (
        prequential(fitted, dataset(t), "day", 8, delay=delay, schedule=plan)
        for t in (table, other)
    )
    till = one.blocks <= 2
    np.testing.assert_allclose(one.log_odds[till], two.log_odds[till], atol=1e-9)


def test_without_refits_it_is_the_frozen_reasoner_with_labels_clamped(fitted):
    data = dataset(frame())
    found = prequential(fitted, data, "day", 8, schedule=RefitSchedule(weights=0))
    assert len({tuple(w.items()) for w in found.weights}) == 1
    first = fitted.infer(data.split_by("day", before=9)[0].split_by("day", before=8)[1])
    atoms = first.asked("Theft")
    span = first.grounding.span("Theft")
    aligned = found.aligned(first.grounding.data, span.arguments[atoms - span.start])
    np.testing.assert_allclose(aligned, first.log_odds[atoms])


def test_rules_that_look_back_need_no_cutting(fitted):
    data, plan = dataset(frame()), RefitSchedule(weights=0)
    one = prequential(fitted, data, "day", 8, schedule=plan)
    two = prequential(fitted, data, "day", 8, schedule=plan, looks_back=True)
    assert one.names.equals(two.names)
    ratios = one.models["signs"], two.models["signs"]
    np.testing.assert_allclose(*ratios, atol=1e-5)


def test_refitting_follows_a_turn():
    data = dataset(frame(turn=4))
    fitted = reasoner().fit(data.split_by("day", before=5)[0])
    frozen = prequential(fitted, data, "day", 5, schedule=RefitSchedule(weights=0))
    follows = prequential(fitted, data, "day", 5, schedule=RefitSchedule(weights=0, models=1))
    late = frozen.blocks >= 5

    def right(found):
        return np.corrcoef(found.log_odds[late], found.truth[late])[0, 1]

    assert right(follows) > right(frozen) + 0.5


def test_the_reasoner_handed_in_stays_as_it_is(fitted):
    before = str(fitted.weights_), id(fitted.models_)
    prequential(fitted, dataset(frame()), "day", 10, schedule=RefitSchedule(1, 1))
    assert (str(fitted.weights_), id(fitted.models_)) == before


def test_an_unfitted_reasoner_is_fitted_on_the_past(fitted):
    data = dataset(frame())
    one = prequential(reasoner(), data, "day", 11)
    two = prequential(reasoner().fit(data.split_by("day", before=11)[0]), data, "day", 11)
    np.testing.assert_allclose(one.log_odds, two.log_odds)


def test_carried_models_keep_what_they_had_said(fitted):
    data = dataset(frame())
    past, _ = data.split_by("day", before=8)
    model = carry(fitted.models_[0], past, data)
    llr = model.fitted.output.llr
    names = data.vocabularies["Visit"].ids(past.vocabularies["Visit"].names)
    np.testing.assert_array_equal(llr[names], fitted.models_[0].fitted.output.llr)
    assert model.fitted.silent.sum() == fitted.models_[0].fitted.silent.sum()


def test_no_slices_is_an_error():
    with pytest.raises(ProjectError) as caught:
        slice_starts(dataset(frame()), "day", 40)
    assert caught.value.code == "KR921"
