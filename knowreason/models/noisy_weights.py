"""Weight-noise ensembling (Blundell et al. 2015; the stability check of KnowGraph)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from knowreason.errors import ModelError
from knowreason.models.base.labelled_model import log_softmax, over_all_states
from knowreason.models.base.model_protocol import KnowledgeModel, ModelState, Progress
from knowreason.models.base.model_registry import make
from knowreason.models.base.predicate_rows import rows_of
from knowreason.models.nn.neural_model import NeuralModel

if TYPE_CHECKING:
    from typing import Self

    from knowreason.data import Dataset
    from knowreason.models.links.temporal_link import TemporalLink


@dataclass(eq=False, repr=False)
class Noisy(KnowledgeModel):
    """A torch model trained and asked under Gaussian noise on its weights.

    The answer is the mean log-odds over the passes; the spread is their standard
    deviation.

    Args:
        model: the model, such as ``gnn()`` or ``torch()``.
        scale: standard deviation of the noise.
        passes: how often the model is asked.
        relative: whether the noise is relative to each weight's size.
        seed: of the noise when asked.
    """

    registered_as = "noisy"
    reads = "named"

    model: KnowledgeModel
    scale: float = 0.1
    passes: int = 10
    relative: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        self.needs_labels = self.model.needs_labels  # type: ignore[misc]  # by instance here
        self.regresses = self.model.regresses

    def fit(self, data: Dataset, predicate: str, *, progress: Progress | None = None) -> Self:
        """Train a copy of the model under noise.

        Raises:
            ModelError: KR827 for a model without torch weights.
        """
        inner = self._copy()
        inner.weight_noise, inner.relative_noise = self.scale, self.relative
        self.noisy_ = inner.fit(data, predicate, progress=progress)
        self.base_rate_, self.report_ = inner.base_rate_, inner.report_
        return self

    def log_odds(self, data: Dataset, predicate: str) -> NDArray[np.float32]:
        """Mean over the passes; see :meth:`KnowledgeModel.log_odds`."""
        return self.log_odds_and_spread(data, predicate)[0]

    def log_odds_and_spread(
        self, data: Dataset, predicate: str
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """Mean and standard deviation over the passes."""
        rows, inner = rows_of(data, predicate), self.noisy_
        if not rows.count or (len(inner.states_) <= 1 and rows.numbers is None):
            silent = inner.log_odds(data, predicate)
            return silent, np.zeros_like(silent)
        seeds = range(self.seed, self.seed + self.passes)
        passes = inner.score_noisily(data, rows, self.scale, self.relative, seeds)
        if rows.classes is not None:
            base = np.asarray(inner.base_rate_)
            passes = np.stack([over_all_states(layer, inner.states_, base) for layer in passes])
        mean = passes.mean(axis=0)
        if rows.classes is not None:
            mean = log_softmax(mean)
        return rows.checked(mean, self.name), passes.std(axis=0).astype(np.float32)

    def state(self) -> ModelState:
        """The state of the model inside."""
        return self.noisy_.state()

    def load_state(self, state: ModelState) -> Self:
        """Give the state to a copy of the model inside."""
        self.noisy_ = self._copy().load_state(state)
        self.report_ = self.noisy_.report_
        return self

    def _copy(self) -> NeuralModel | TemporalLink:
        from knowreason.models.links.temporal_link import TemporalLink

        inner = make(self.model)
        if not isinstance(inner, NeuralModel | TemporalLink):
            raise ModelError(
                f"`{inner.name}` has no torch weights to add noise to",
                code="KR827",
                help="wrap `gnn()`, `torch()` or a link model",
            )
        return inner
