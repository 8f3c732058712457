"""What a report is made of."""

from __future__ import annotations

from dataclasses import dataclass

from knowreason.beliefs.beliefs import Beliefs
from knowreason.data import Dataset
from knowreason.evaluate.evaluation import Evaluation
from knowreason.evaluate.numeric_evaluation import NumericEvaluation
from knowreason.project.schema import Project
from knowreason.reasoner.reasoner import Reasoner
from knowreason.report.redaction import Redactor


@dataclass(frozen=True)
class ReportParts:
    """What a report is made of.

    Attributes:
        project: its question, fields to show and decision.
        reasoner: fitted.
        beliefs: about the test part.
        evaluations, numbers: of Boolean and functional, and of numeric queries.
        redactor: of the names of things.
        training: what was learned from.
    """

    project: Project
    reasoner: Reasoner
    beliefs: Beliefs
    evaluations: tuple[Evaluation, ...]
    numbers: tuple[NumericEvaluation, ...] = ()
    redactor: Redactor | None = None
    training: Dataset | None = None

    @property
    def queries(self) -> list[str]:
        """Names of the query predicates."""
        return [p.name for p in self.reasoner.program.predicates if p.kind == "query"]
