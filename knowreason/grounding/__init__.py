"""From rules and tables to factor graphs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from knowreason.grounding.size_estimate import Plan, RuleEstimate, plan
from knowreason.lazy import lazy_names

if TYPE_CHECKING:
    from knowreason.grounding.atom_numbering import open_atoms as open_atoms
    from knowreason.grounding.grounding import Grounding as Grounding
    from knowreason.grounding.grounding import ground as ground
    from knowreason.grounding.provenance import GroundRule as GroundRule
    from knowreason.grounding.rule_report import RuleReport as RuleReport

_HOMES = {
    "GroundRule": "knowreason.grounding.provenance",
    "Grounding": "knowreason.grounding.grounding",
    "RuleReport": "knowreason.grounding.rule_report",
    "ground": "knowreason.grounding.grounding",
    "open_atoms": "knowreason.grounding.atom_numbering",
}

__all__ = ["Plan", "RuleEstimate", "plan", *_HOMES]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_names(__name__, _HOMES)
