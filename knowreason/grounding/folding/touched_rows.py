"""Settings of a rule in which some atoms stand, so that the others need not be folded anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from knowreason.grounding.folding.auxiliary_atoms import FALSE_LITERAL, TRUE_LITERAL
from knowreason.grounding.folding.rule_run import RuleRun
from knowreason.grounding.folding.rule_settings import Frame
from knowreason.grounding.plan.formula_tree import OpenLiteral
from knowreason.grounding.plan.rule_plan import leaves
from knowreason.logic import Constant

Ids = NDArray[Any]  # of integers


@dataclass(frozen=True)
class Touched:
    """Atoms, by the things they are of.

    Attributes:
        things: for each predicate that has some, which things may stand at each place
            (``bool[n]``); ``None`` for any.
    """

    things: Mapping[str, Sequence[NDArray[np.bool_] | None]]

    def holds(self, predicate: str, columns: Sequence[Ids], rows: int) -> NDArray[np.bool_]:
        """``bool[rows]``: whether atoms of some things (``int[rows]`` a place) are among these."""
        if predicate not in self.things:
            return np.zeros(rows, bool)
        found = np.ones(rows, bool)
        for own, ids in zip(self.things[predicate], columns, strict=True):
            if own is not None:
                found &= (ids >= 0) & np.append(own, False)[ids]
        return found

    def settings(self, run: RuleRun, frame: Frame) -> NDArray[np.int64]:
        """Rows with an open atom among these, or with none open and a decided one among these.

        A ground factor that is left of a setting holds all its open atoms, so settings that are
        listed leave the factors in which one of these atoms stands, and no others.
        """
        some_open, open_here, here = (np.zeros(frame.rows, bool) for _ in range(3))
        plan = run.plan
        both = [leaf for leaf in leaves(plan.residual) if isinstance(leaf, OpenLiteral)]
        known = set(both) if plan.neutral is not None else set()  # stay, whatever is known of them
        if plan.directed is not None:
            head = OpenLiteral(plan.directed.right)
            both, known = [*both, head], {head}
        for leaf in both:
            arguments = leaf.atom.arguments
            relations = run.literals.relations
            if any(
                isinstance(a, Constant) and relations.identity(a.sort, str(a.value)) < 0
                for a in arguments
            ):
                continue  # of a thing that these rows do not have
            atoms = run.literals.index(leaf, frame)
            codes = run.literals.codes[atoms] if len(run.literals.codes) else atoms
            is_open = atoms >= 0
            if leaf not in known:
                is_open &= (codes != TRUE_LITERAL) & (codes != FALSE_LITERAL)
            columns = [frame.ids(argument) for argument in arguments]
            own = self.holds(leaf.atom.predicate, columns, frame.rows)
            some_open |= is_open
            open_here |= is_open & own
            here |= own
        return np.flatnonzero(np.where(some_open, open_here, here))
