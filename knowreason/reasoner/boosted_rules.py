"""Boosted trees that start from what rules say: a third member of the mean."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from knowreason.grounding import Grounding
from knowreason.models import cross_fit
from knowreason.models.base.calibration import Calibration
from knowreason.models.base.feature_columns import derived_features
from knowreason.models.base.predicate_rows import rows_of
from knowreason.models.base.stored_models import FittedModel
from knowreason.models.stacked.pool import Pool
from knowreason.models.tabular.margin_trees import MarginTrees
from knowreason.project.settings import Settings
from knowreason.reasoner.labels.fold_groups import FoldGroups
from knowreason.reasoner.labels.labelled_atoms import LabelledAtoms

BOOSTED = "trees from the rules"  # no name that a rule file can give
BOOSTED_LINE = (
    "a third of every conclusion is the models', a third the rules', a third trees that start "
    "from the rules"
)


def with_boosted(
    pool: Pool,
    grounding: Grounding,
    one: LabelledAtoms,
    rules: NDArray[np.float64],
    groups: FoldGroups,
    kind: str,
    settings: Settings,
    seed: int,
) -> tuple[Pool, FittedModel] | None:
    """The pool with a third member, and its trees; ``None`` where they have nothing to see.

    Trees over columns and definitions are fitted to what the calibrated rules leave (their
    log-odds, out of fold and with labels of the component hidden, are the base margin), in the
    folds of all other models, and the whole is calibrated out of fold once more.

    Args:
        pool: a mean of rules and stacked models.
        grounding: that weights were learned from.
        one: the labelled atoms.
        rules: ``float64[n]`` log-odds of these, out of fold.
        groups: atoms that share a cause.
        kind: of folds.
        settings: of the folds.
        seed: of everything random.
    """
    data, predicate = grounding.data, one.predicate
    features = derived_features(data, predicate)
    if not features:
        return None
    rows, start = rows_of(data, predicate), grounding.span(predicate).start
    said = pool.base + pool.slope * (rules - pool.base) + pool.intercept
    margin = np.full(rows.count, pool.base + one.drawn)
    margin[one.atoms - start] = said + one.drawn

    def blank() -> MarginTrees:
        trees = MarginTrees(features=features, hops=0, seed=seed)
        trees.margin = margin
        return trees

    group, groups_are = groups.of(data, predicate)
    fitted = cross_fit(
        blank,
        data,
        predicate,
        name=BOOSTED,
        folds=settings.fold_count,
        kind=kind,
        groups=group,
        groups_are=groups_are,
        deploy=settings.deploy,
        calibration="none",
        seed=seed,
    )
    added = fitted.output.llr[one.atoms - start].astype(np.float64)
    made = one.calibration(said + added, slice(None)) if one.matched else Calibration()
    boosted = replace(
        pool, boosted=BOOSTED, boosted_slope=made.slope, boosted_intercept=made.intercept
    )
    return boosted, FittedModel(BOOSTED, predicate, fitted)
