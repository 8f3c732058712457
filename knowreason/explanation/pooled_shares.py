"""Parts of an answer that is made of rules and stacked models; they add up as they are."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from knowreason.explanation.explanation_text import ColumnShare, Share
from knowreason.factors.model_output import ColumnSplit, ModelOutput
from knowreason.grounding import Grounding
from knowreason.models.stacked.pool import PooledAtoms

LEAST = 1e-9  # log-odds below which a part is left out
MOST_COLUMNS = 6  # of one model that are named


@dataclass(frozen=True)
class AnswerLine:
    """The answer for one atom as a linear function of what the rules say.

    Attributes:
        pooled: how the answer is made; ``None``: it is what the rules say.
        row: the atom within its span.

    >>> AnswerLine()(1.5)
    1.5
    """

    pooled: PooledAtoms | None = None
    row: int = 0

    @property
    def slope(self) -> float:
        """By how much the answer moves where the rules' log-odds move by 1."""
        return 1.0 if self.pooled is None else self.pooled.pool.steepness

    @property
    def offset(self) -> float:
        """The answer where the rules say 0."""
        if self.pooled is None:
            return 0.0
        row = slice(self.row, self.row + 1)
        parts = self.pooled.of_models(row) + self.pooled.of_boosted(row)
        return float(parts[0]) + self.pooled.pool.constant

    def __call__(self, rules: float) -> float:
        """The answer where the rules say ``rules``."""
        return self.offset + self.slope * rules

    def shares(self, shares: Sequence[Share]) -> tuple[Share, ...]:
        """The parts of what the rules say as parts of the answer, those of the stacked models and
        what boosted trees add."""
        if self.pooled is None:
            return tuple(shares)
        pool = self.pooled.pool
        found = [Share(s.kind, s.name, s.log_odds * self.slope) for s in shares]
        found.append(Share("prior", "calibration", pool.constant))
        if pool.stacking is not None:
            stacking, half = pool.stacking, pool.share_of_models
            prior = stacking.base + stacking.intercept + self.pooled.shift
            found.append(Share("prior", "prior (stacked models)", half * prior))
            for place, model in enumerate(stacking.models):
                ratio = float(self.pooled.ratios[self.row, place])
                mean = float(self.pooled.means[self.row, place])
                found.append(Share("stacked", model, half * stacking.own[place] * ratio))
                around = half * stacking.around[place] * mean
                found.append(Share("stacked", f"{model}, mean of its neighbours", around))
        if pool.boosted:
            added = float(self.pooled.of_boosted(slice(self.row, self.row + 1))[0])
            found.append(Share("stacked", pool.boosted, added))
        return tuple(share for share in found if abs(share.log_odds) > LEAST)


def column_shares(
    grounding: Grounding,
    atoms: Sequence[int],
    shares: Sequence[Sequence[Share]],
    outputs: Sequence[ModelOutput],
    answers: Mapping[str, PooledAtoms],
) -> list[tuple[ColumnShare, ...]]:
    """What the columns of models have in the models' shares of atoms; they add up to these.

    A model's columns are its log-likelihood ratio split (:class:`.ColumnSplit`); a share is that
    ratio times a factor, of rules or of the stacking, and its columns are too.

    Args:
        grounding: what is explained.
        atoms: indices.
        shares: of each.
        outputs: of the models that rules are over.
        answers: by predicate, with the outputs of stacked models.
    """
    found: list[list[ColumnShare]] = [[] for _ in atoms]
    for predicate, span in grounding.atoms.spans.items():
        places = [i for i, atom in enumerate(atoms) if span.start <= atom < span.stop]
        if not places:
            continue
        stacked = answers[predicate].outputs if predicate in answers else ()
        kinds = {"model": outputs, "stacked": stacked}
        said = {(kind, o.model): o for kind, several in kinds.items() for o in several
                if o.predicate == predicate and o.columns is not None}  # fmt: skip
        asked = [(i, share) for i in places for share in shares[i]]
        for key, output in said.items():
            mine = [(i, share) for i, share in asked if (share.kind, share.name) == key]
            rows = np.array([atoms[i] for i, _ in mine], np.int64) - span.start
            split = output.columns(rows) if output.columns is not None and len(rows) else None
            if split is not None:
                ratios = output.llr[rows].astype(np.float64)
                for row, (i, share) in enumerate(mine):
                    found[i] += _of_share(share, split, row, float(ratios[row]))
    return [tuple(one) for one in found]


def _of_share(share: Share, split: ColumnSplit, row: int, ratio: float) -> list[ColumnShare]:
    """Columns of one share, the largest first, then the rest and what the average row gets."""
    if abs(ratio) < LEAST:
        return []
    said = float(split.parts[row].sum() + split.average[row])
    # a model that broke since training is listened to less, all its columns alike
    heard = min(max(ratio / said, 0.0), 1.0) if abs(said) > LEAST else 0.0
    parts = split.parts[row] * heard * share.log_odds / ratio
    order = np.argsort(-np.abs(parts), kind="stable").tolist()
    columns = [
        ColumnShare(share.name, share.kind, split.names[j], split.texts[row][j], float(parts[j]))
        for j in order[:MOST_COLUMNS]
        if abs(parts[j]) > LEAST
    ]
    others = [j for j in order[MOST_COLUMNS:] if abs(parts[j]) > LEAST]
    if others:
        rest = float(parts[others].sum())
        columns.append(
            ColumnShare(share.name, share.kind, f"{len(others)} other columns", "", rest)
        )
    average = share.log_odds - sum(column.log_odds for column in columns)
    return [*columns, ColumnShare(share.name, share.kind, "average row", "", average)]


def parts_notes(
    grounding: Grounding, atom: int, outputs: Sequence[ModelOutput], most: int = 3
) -> list[str]:
    """The largest parts of each model's score of an atom, where the score is a sum."""
    span = grounding.atoms.owner(atom)
    notes = []
    for output in outputs:
        if span is None or output.predicate != span.predicate or not output.parts:
            continue
        values = {name: float(part[atom - span.start]) for name, part in output.parts.items()}
        largest = sorted(values, key=lambda name: -abs(values[name]))[:most]
        said = ", ".join(f"{name} {values[name]:+.2f}" for name in largest)
        notes.append(f"score of {output.model} {sum(values.values()):+.2f}: {said}")
    return notes


def unsplit_notes(
    shares: Sequence[Share], columns: Sequence[ColumnShare], models: Collection[str]
) -> tuple[str, ...]:
    """Which of the models have a share that is not split over columns."""
    split = {column.model for column in columns}
    whole = [s.name for s in shares if s.name in models and s.name not in split]
    names = list(dict.fromkeys(whole))
    return (f"not split over columns: {', '.join(names)}",) if names else ()
