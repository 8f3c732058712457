"""Knowledge-graph embeddings: vectors of things and relations whose triples are likely."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from knowreason.data.id_tables import id_matrix
from knowreason.errors import ModelError
from knowreason.factors.model_output import LLR_LIMIT
from knowreason.models.base.calibration import Calibration, fit_scores
from knowreason.models.base.model_options import AtLeastOne, AtLeastZero, Share
from knowreason.models.base.model_protocol import Level, Progress
from knowreason.models.base.predicate_rows import PredicateRows, atoms_of, logit, rows_of
from knowreason.models.links.link_scorers import DISTANCES, Embeddings, LinkLoss, Scorer, contrast
from knowreason.models.links.triples import UNSEEN, Negatives, TripleIndex, known_triples
from knowreason.models.nn.gradient_training import NotNegative, torch_device, train
from knowreason.models.nn.neural_model import NeuralModel
from knowreason.row_keys import distinct_rows, locate

if TYPE_CHECKING:
    from typing import Self

    from knowreason.data import Dataset

HELD_LIMIT = 4096
LEAST_HELD = 10
CALIBRATION_NEGATIVES = 16
CHUNK = 1 << 15


@dataclass(eq=False, repr=False)
class LinkEmbedding(NeuralModel):
    """Link prediction by embedding: each thing a vector, each relation a map between vectors.

    A predicate of two arguments is one relation, one of three names it: see
    :class:`knowreason.models.links.triples.TripleArguments`. It learns from the true labels of its
    predicate and the ``facts``; negatives are corruptions of these, never a triple known to be
    true. False labels, where there are any, are what scores are calibrated against, and negatives
    of the ``logistic`` loss; otherwise corruptions are, and the base rate is the share of true
    triples among the open atoms (in either case only the predicate's own triples are held out
    for early stopping and calibration). A thing that was not there in training is said nothing
    about. On a functional predicate the log-odds of its states are normalised.

    Args:
        scorer: ``"transe"`` (Bordes et al. 2013), ``"distmult"`` (Yang et al. 2015; symmetric,
            so it cannot tell a relation's two directions apart), ``"complex"`` (Trouillon et
            al. 2016) or ``"rotate"`` (Sun et al. 2019).
        dimension: numbers an entity has.
        negatives: corruptions of each end of each triple; every entity where there are no more.
        loss: ``"softmax"``, ``"logistic"``, ``"margin"`` or ``"self_adversarial"``; see
            :func:`knowreason.models.links.link_scorers.contrast`.
        margin: of the ``margin`` loss; where scores are distances also what ``logistic`` and
            ``self_adversarial`` add to them.
        regularisation: weight of the mean cube of the vectors' entries.
        inverse: whether relations have vectors of their own when read from tail to head; the
            log-odds then come from the mean of two readings.
        facts: observed or defined predicates whose facts are further known triples: of two
            arguments each is a relation, of three they name theirs. A fact that is an atom of
            the predicate itself counts by its label only, so that a hidden label stays hidden.
        validation: share of the true labels held out for early stopping and calibration.
        epochs, patience, learning_rate, weight_decay, batch_size: of training.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``.
        seed: of initial vectors, batches, negatives and what is held out.
    """

    registered_as = "link_embedding"
    heavy = True
    level: ClassVar[Level] = "tuple"
    class_weight = "none"

    scorer: Scorer = "complex"
    dimension: AtLeastOne = 64
    negatives: AtLeastOne = 128
    loss: LinkLoss = "softmax"
    margin: float = 6.0
    regularisation: NotNegative = 0.05
    inverse: bool = False
    facts: tuple[str, ...] = ()
    validation: Share = 0.1
    batch_size: AtLeastZero = 512
    _: KW_ONLY
    patience: AtLeastOne = 15
    learning_rate: NotNegative = 2e-2
    weight_decay: NotNegative = 0.0

    def fit(self, data: Dataset, predicate: str, *, progress: Progress | None = None) -> Self:
        """Learn from the true labels of ``predicate`` and the facts.

        Raises:
            ModelError: KR820 without a visible label, KR880 for a predicate that is no link,
                KR881 for an odd dimension where numbers are complex.
        """
        if self.scorer in ("complex", "rotate") and self.dimension % 2:
            raise ModelError(
                f"`{self.scorer}` has complex numbers: a dimension of {self.dimension} is odd",
                code="KR881",
            )
        index = TripleIndex.of(data, (predicate, *self.facts))
        rows = rows_of(data, predicate)
        if not len(rows.labelled):
            raise ModelError(
                f"`{self.name}` has no label of `{predicate}` to learn from",
                code="KR820",
                help="bind known links as labels of the predicate",
            )
        self.domains_, self.entities_ = index.domains, index.entities
        self.relations_, self.ranges_ = index.relations, index.ranges
        self.classes_, self.states_ = rows.classes, tuple(range(rows.states))
        true, false = _labelled_triples(data, predicate, index)
        self.base_rate_ = rows.base_rate() if len(false) or rows.classes else _share(true, rows)
        if not len(true):
            self.states_, self.report_ = (), ("no true label: the model says nothing",)
            return self
        self._train(data, predicate, rows, index, true, false, progress)
        return self

    def fit_encoders(self, data: Dataset, rows: PredicateRows) -> None:
        """Nothing: names are numbered in :meth:`fit`."""

    def inputs(self, data: Dataset, rows: PredicateRows) -> dict[str, Tensor]:
        """``triples``: ``int64[n, S, 3]``, one a row, or one a state; -1 where there is none."""
        index = TripleIndex(self.domains_, self.entities_, self.relations_, self.ranges_)
        triples = index.triples(data, rows.predicate, atoms_of(data, rows.predicate).arguments)
        states = 1 if rows.classes is None else len(rows.classes)
        table = np.full((rows.count, states, 3), UNSEEN, np.int64)
        table[rows.row_of_atom, rows.state_of_atom] = triples
        return {"triples": torch.from_numpy(table)}

    def build(self, sizes: Mapping[str, int], outputs: int) -> Embeddings:
        """Vectors of the numbered entities and relations."""
        entities = sum(map(len, self.entities_))
        return Embeddings(self.scorer, entities, len(self.relations_), self.dimension, self.inverse)

    def logits(self, module: nn.Module, inputs: Mapping[str, Tensor], rows: Tensor) -> Tensor:
        """Calibrated log-odds ``[b, 1]``, or of each state."""
        triples = inputs["triples"][rows]
        flat = triples.flatten(0, 1)
        there = (flat >= 0).all(1)
        pieces = [module(piece) for piece in torch.split(flat.clamp(min=0), CHUNK)]
        scores = self.slope_ * torch.cat(pieces) + self.intercept_ if pieces else flat[:, 0].float()
        scores = torch.where(there, scores, scores.new_tensor(self.silent_))
        scores = scores.clamp(-LLR_LIMIT, LLR_LIMIT).reshape(triples.shape[:2])
        if len(self.states_) > triples.shape[1] and self.classes_ is not None:
            scores = torch.cat([scores, scores.new_zeros(len(scores), 1)], dim=1)
        return scores

    def _train(
        self,
        data: Dataset,
        predicate: str,
        rows: PredicateRows,
        index: TripleIndex,
        true: NDArray[np.int64],
        false: NDArray[np.int64],
        progress: Progress | None,
    ) -> None:
        device = torch_device(self.device)
        context = self._context(data, predicate, index, true)
        held = _held_out(len(true), self.validation, self.seed)
        held_false = _held_out(len(false), self.validation, self.seed)
        triples = torch.from_numpy(np.concatenate([true, context])).to(device)
        negatives = Negatives.of(index, triples.cpu().numpy(), self.negatives, device)
        self.sizes_, self.weights_ = {}, (1.0,) * max(2, len(self.states_))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            module = self.build(self.sizes_, 1).to(device)
            known_false = torch.from_numpy(false[~held_false]).to(device)
            loss = self._loss(module, triples, known_false, negatives)
            training = np.concatenate([np.flatnonzero(~held), np.arange(len(true), len(triples))])
            stopping = torch.from_numpy(np.flatnonzero(held)[:HELD_LIMIT]).to(device)
            sentence = train(
                module,
                loss,
                torch.from_numpy(training).to(device),
                stopping,
                self.schedule(self.batch_size),
                progress,
            )
        self.module_ = module.eval()
        judged = triples[: len(true)][torch.from_numpy(held)] if held.any() else triples
        wrong = torch.from_numpy(false[held_false] if held_false.any() else false).to(device)
        self._calibrate(judged[:HELD_LIMIT], wrong, negatives)
        unheld = "" if held.any() else "; calibrated on its own training triples: too few to hold"
        self.report_ = (sentence + unheld, *self.report_)

    def _context(
        self, data: Dataset, predicate: str, index: TripleIndex, true: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Facts that are no atoms of the predicate."""
        parts = [known_triples(data, index, name) for name in self.facts]
        facts = np.concatenate([np.zeros((0, 3), np.int64), *parts])
        own = index.triples(data, predicate, atoms_of(data, predicate).arguments)
        facts = facts[~np.isin(index.keys(facts), index.keys(own))]
        return facts[distinct_rows(facts.T)[0]]

    def _loss(
        self, module: Embeddings, triples: Tensor, false: Tensor, negatives: Negatives
    ) -> Callable[[Tensor], Tensor]:
        """Loss of some triples by index; the same negatives each time where none is learned."""
        drawing = torch.Generator().manual_seed(self.seed)
        shifted = self.loss == "margin" or self.scorer in DISTANCES
        margin = self.margin if shifted else 0.0

        def loss(batch: Tensor) -> Tensor:
            positives = triples[batch]
            generator = drawing if module.training else torch.Generator().manual_seed(self.seed)
            total = torch.zeros((), device=positives.device)
            for side in (0, 1):
                others, allowed = negatives.draw(positives, side, generator)
                scores = module.against(positives, side, others)
                own = module.reading(positives, side)
                total = total + contrast(self.loss, own, scores, allowed, margin)
            if self.loss == "logistic" and len(false):
                total = total + nn.functional.softplus(module(false) + margin).mean() / 2
            if module.training and self.regularisation:
                total = total + self.regularisation * module.penalty(positives)
            return total

        return loss

    @torch.no_grad()
    def _calibrate(self, true: Tensor, false: Tensor, negatives: Negatives) -> None:
        """Slope and intercept from scores to log-odds at the base rate."""
        if not len(false):
            few = Negatives(
                negatives.known, negatives.ranges, negatives.entities, CALIBRATION_NEGATIVES
            )
            false = _corrupted(true, few, torch.Generator().manual_seed(self.seed))
        scores = torch.cat([self.module_(true), self.module_(false)]).double().cpu().numpy()
        labels = np.repeat([1, 0], [len(true), len(false)])
        rate = self.base_rate_ if self.classes_ is None else 1 / len(self.states_)
        calibration = fit_scores(scores, labels, "platt") if len(false) else Calibration()
        sampled = (len(true) + 0.5) / (len(labels) + 1)
        self.silent_ = float(logit(rate))
        self.slope_ = calibration.slope
        self.intercept_ = calibration.intercept + float(logit(rate) - logit(sampled))
        against = "false labels" if len(false) else "corruptions"
        self.report_ = (f"{calibration.note}, {len(true)} true against {len(false)} {against}",)


def _labelled_triples(
    data: Dataset, predicate: str, index: TripleIndex
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Triples known to be true, and known to be false, by visible labels and evidence."""
    parts = [np.zeros((0, 4), np.int64)]
    span = atoms_of(data, predicate)
    for tables in (data.evidence, data.labels):
        table = tables.get(predicate)
        if table is not None and table.num_rows:
            arguments = id_matrix(table)
            open_ = locate(span.arguments, arguments) >= 0
            triples = index.triples(data, predicate, arguments[open_])
            value = table.column("value").to_numpy().astype(np.int64)[open_]
            parts.append(np.column_stack([triples, value]))
    every = np.concatenate(parts)
    every = every[distinct_rows(every.T)[0]]
    return every[every[:, 3] == 1, :3], every[every[:, 3] == 0, :3]


def _share(true: NDArray[np.int64], rows: PredicateRows) -> float:
    return (len(true) + 0.5) / (rows.count + 1)


def _held_out(count: int, share: float, seed: int) -> NDArray[np.bool_]:
    """A random share, nothing where that would be fewer than ten."""
    held = np.zeros(count, bool)
    wanted = int(share * count)
    if wanted >= LEAST_HELD:
        held[np.random.default_rng(seed).permutation(count)[:wanted]] = True
    return held


def _corrupted(triples: Tensor, negatives: Negatives, generator: torch.Generator) -> Tensor:
    """Corruptions of both ends that are not known to be true, ``int64[m, 3]``."""
    corrupted: list[Tensor] = []
    for side in (0, 1):
        others, allowed = negatives.draw(triples, side, generator)
        wrong = triples[:, None, :].repeat(1, others.shape[1], 1)
        wrong[:, :, 2 * side] = others
        corrupted.append(wrong[allowed])
    return torch.cat(corrupted)
