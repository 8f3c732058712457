"""Folding rules with `<~>` and `~>`: pairs of atoms, and bodies of heads."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from knowreason.grounding.folding.auxiliary_atoms import (
    FALSE_LITERAL,
    TRUE_LITERAL,
    UNKNOWN_LITERAL,
)
from knowreason.grounding.folding.rule_columns import GroundingBatch, Harvest
from knowreason.grounding.folding.rule_run import RuleRun
from knowreason.grounding.folding.rule_settings import Frame
from knowreason.grounding.plan.formula_tree import OpenLiteral
from knowreason.grounding.plan.rule_plan import leaves
from knowreason.logic import Atom, Directed


def fold_pairs(run: RuleRun, frame: Frame, batch: GroundingBatch, harvest: Harvest) -> None:
    """The two atoms of an association, known ones too: what is known of one tells of the other.

    The atoms of a pair stand in order, so that settings which tie the same two are merged: their
    features add up within one table, which stays neutral (a product of tables would not).
    """
    sides = [leaf.atom for leaf in leaves(run.plan.residual) if isinstance(leaf, OpenLiteral)]
    atoms = np.stack([_known_or_open(run, side, frame) for side in sides], axis=1)
    rows = np.flatnonzero((atoms >= 0).all(1) & (atoms[:, 0] != atoms[:, 1]))
    harvest.satisfied += frame.rows - len(rows)
    if len(rows):
        shape = np.array([0, 0, 0, 1], np.float32).tobytes()
        harvest.add_group(((-1, -1), shape), np.sort(atoms[rows], axis=1), batch.take(rows))


def _known_or_open(run: RuleRun, atom: Atom, frame: Frame) -> NDArray[np.int32]:
    """``int32[rows]``: atoms, whatever is known of them; ``-1`` for those that are none."""
    index = run.literals.index(OpenLiteral(atom), frame).copy()
    for argument in atom.arguments:
        if argument in frame.listing.terms:
            index[frame.ids(argument) < 0] = -1
    return index


def fold_directed(
    run: RuleRun, rule: Directed, frame: Frame, batch: GroundingBatch, harvest: Harvest
) -> None:
    """What bodies add to the log-odds of their heads, which stay open whatever is known of them.

    A body becomes one literal: an atom, or an auxiliary atom that its open parts define.
    """
    head = _known_or_open(run, rule.right, frame)
    codes = run.literals.of(run.plan.residual, frame)
    if rule.how == "mean":
        number = np.bincount(head[head >= 0])
        share = 1 / np.maximum(number[np.maximum(head, 0)] if len(number) else head, 1)
        value = share if batch.value is None else batch.value * share
        batch = replace(batch, value=value.astype(np.float32))
    counted = (head >= 0) & (codes != UNKNOWN_LITERAL)
    harvest.missing += int((~counted).sum())
    harvest.violated += int((counted & (codes == FALSE_LITERAL)).sum())
    certain = np.flatnonzero(counted & (codes == TRUE_LITERAL))
    if len(certain):
        harvest.add_units(head[certain] + 1, batch.take(certain))
    decided = (codes == TRUE_LITERAL) | (codes == FALSE_LITERAL)
    for positive in (True, False):
        rows = np.flatnonzero(counted & ~decided & ((codes > 0) == positive))
        if len(rows):
            atoms = np.stack([np.abs(codes[rows]) - 1, head[rows]], axis=1)
            shape = np.array([0, 0, not positive, positive], np.float32).tobytes()
            harvest.add_group(((-1, -1), shape), atoms, batch.take(rows))
