"""The model: a classifier fitted on data with synthetic things of rare classes in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from knowreason.data.id_tables import id_matrix
from knowreason.data.splits.holdout import labels_only
from knowreason.errors import ModelError
from knowreason.models.base.labelled_model import log_softmax, validation_slice
from knowreason.models.base.model_protocol import (
    KnowledgeModel,
    ModelState,
    Progress,
    fit_model,
)
from knowreason.models.base.model_registry import make
from knowreason.models.base.predicate_rows import UNKNOWN, PredicateRows, atoms_of, rows_of
from knowreason.models.diffusion.autoencoder import (
    AutoencoderOptions,
    Latents,
    train_autoencoder,
)
from knowreason.models.diffusion.copied_surroundings import mirrored
from knowreason.models.diffusion.edm import DenoiserOptions
from knowreason.models.diffusion.encoded_world import world_of
from knowreason.models.diffusion.enlarged_data import Synthetic, enlarged
from knowreason.models.diffusion.latent_decoders import EdgeKind
from knowreason.models.diffusion.score_comparison import SURE, compared
from knowreason.models.diffusion.synthesis import SynthesisOptions, diffused, synthesised, wanted
from knowreason.models.nn.gradient_training import torch_device
from knowreason.row_keys import locate

if TYPE_CHECKING:
    from typing import Self

    from knowreason.data import Dataset

Keep = Literal["best", "always"]
EdgePolicy = Literal["copied", "shared", "none"]
T = TypeVar("T")
JUDGE_SHARE = 0.25
INSIDE = "classifier."


@dataclass(frozen=True, eq=False)
class AugmentedClassifier:
    """A classifier, and how far its log-odds are moved by what it was fitted on.

    Attributes:
        classifier: fitted.
        shift: per state the logarithm of how many times more frequent it was made.
        said: sentences for the report.
    """

    classifier: KnowledgeModel
    shift: tuple[float, ...]
    said: tuple[str, ...] = ()


@dataclass(eq=False, repr=False)
class Diffusion(KnowledgeModel):
    """A classifier fitted with synthetic things of rare classes, by latent diffusion.

    For a predicate of one thing, a node of the bound graph or a row of a table without one.
    A variational graph autoencoder learns latents of all things, a class-conditional
    diffusion model (EDM, Karras et al. 2022) learns their distribution, and things of rare
    classes drawn from it are decoded to columns and edges (Liu et al., WSDM 2025). The
    classifier is fitted on the enlarged data set, its log-odds moved back to the true base
    rate; only real things are ever scored, and always in the real graph.

    A quarter of the labelled rows (the latest where there is a clock) first judges whether
    that helps: the average precision of the rare class with and without, for a functional
    predicate the mean log-probability. The report says which it was.

    Args:
        classifier: any model, such as ``trees()`` or ``gnn()``.
        ratio: synthetic things for each labelled one of a class rarer than an even share;
            a class never becomes more frequent than the most frequent one.
        keep: ``"best"`` falls back to the plain classifier where the held-out rows are
            not clearly ranked better, or are too few to tell; ``"always"`` does not.
        edges: ``"copied"``: synthetic things are linked to one another and to unlabelled copies of
            real things, and those among themselves as the real ones are (at most twice the
            graph), so that real things keep the neighbours they have in use; ``"shared"``:
            linked to the real things; ``"none"``.
        width, hidden, layers: width of latents and of node states, rounds of messages.
        epochs: of the autoencoder.
        beta: weight of its divergence to the prior.
        edge_decoder: ``"bilinear"`` or ``"mlp"``.
        classes: whether the autoencoder sees the labels; without, a labelled thing lies beside
            unlabelled ones like it, and what is generated reaches their surroundings too. The
            diffusion sees them in any case.
        denoiser_steps: training steps of the diffusion.
        steps: of Heun's sampler.
        guidance: strength of classifier-free guidance; 0 for none.
        nearest: near things that lend candidates for edges.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``.
        seed: of everything drawn.
    """

    registered_as = "diffusion"
    level = "node"

    classifier: KnowledgeModel
    ratio: float = 1.0
    keep: Keep = "best"
    edges: EdgePolicy = "copied"
    width: int = 16
    hidden: int = 64
    layers: int = 2
    epochs: int = 200
    beta: float = 0.1
    edge_decoder: EdgeKind = "bilinear"
    classes: bool = True
    denoiser_steps: int = 1500
    steps: int = 50
    guidance: float = 0.0
    nearest: int = 10
    device: str = "auto"
    seed: int = 0

    @property
    def takes_missing(self) -> bool:
        """Whether the classifier accepts missing feature values."""
        return bool(getattr(self.classifier, "takes_missing", self.classifier.handles_missing))

    def fit(self, data: Dataset, predicate: str, *, progress: Progress | None = None) -> Self:
        """Judge the augmentation on held-out rows, then fit on all labels.

        Raises:
            ModelError: KR865 for a predicate of more than one thing or of edges.
        """
        rows = rows_of(data, predicate)
        self.check(data, rows)
        self.base_rate_ = rows.base_rate()
        there = wanted(rows.labels[rows.labelled], rows.states, self.ratio).any()
        if not there:
            plain = self._plain(data, predicate)
            nothing = ("no class is rare: nothing was added",)
            self._take(AugmentedClassifier(plain, (0.0,) * rows.states, nothing), False)
            return self
        stages = _Stages(progress, 2)
        better, judgement = self._judged(data, rows, stages.next())
        if self.keep == "always" or better:
            fitted = self._augmented(data, rows, stages.next())
            self._take(replace(fitted, said=(*fitted.said, *judgement)), True)
        else:
            report = (*judgement, "the plain classifier is kept")
            self._take(
                AugmentedClassifier(self._plain(data, predicate), (0.0,) * rows.states, report),
                False,
            )
        stages.done("fitted")
        return self

    def log_odds(self, data: Dataset, predicate: str) -> NDArray[np.float32]:
        """The classifier's, at the true base rate; see :meth:`KnowledgeModel.log_odds`."""
        return self.log_odds_and_spread(data, predicate)[0]

    def log_odds_and_spread(
        self, data: Dataset, predicate: str
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """The classifier's answer and spread."""
        scores, spread = self.classifier_.log_odds_and_spread(data, predicate)
        rows = rows_of(data, predicate)
        return rows.checked(moved_back(scores, self.shift_), self.name), spread

    def state(self) -> ModelState:
        """The classifier's state under ``classifier.``, and what is the model's own."""
        inside = self.classifier_.state()
        values = {INSIDE + name: value for name, value in inside.values.items()}
        values |= {"shift_": self.shift_, "kept_": self.kept_, "report_": self.report_}
        return ModelState(
            {INSIDE + name: value for name, value in inside.arrays.items()},
            values,
            {INSIDE + name: value for name, value in inside.estimators.items()},
        )

    def load_state(self, state: ModelState) -> Self:
        """Take over what :meth:`state` gave."""
        inside = ModelState(_inside(state.arrays), _inside(state.values), _inside(state.estimators))
        self.classifier_ = make(self.classifier).load_state(inside)
        own = {k: v for k, v in state.values.items() if not k.startswith(INSIDE)}
        return super().load_state(ModelState({}, own))

    def latents(self, data: Dataset, predicate: str, progress: Progress | None = None) -> Latents:
        """Train the autoencoder on a data set and its visible labels."""
        options = AutoencoderOptions(
            latent=self.width,
            hidden=self.hidden,
            layers=self.layers,
            epochs=self.epochs,
            beta=self.beta,
            edge_decoder=self.edge_decoder,
            classes=self.classes,
            seed=self.seed,
        )
        world = world_of(data, rows_of(data, predicate), self.classifier)
        return train_autoencoder(world, options, torch_device(self.device), progress)

    def synthetic(
        self,
        data: Dataset,
        predicate: str,
        latents: Latents | None = None,
        progress: Progress | None = None,
        counts: NDArray[np.int64] | None = None,
    ) -> Synthetic:
        """Things of rare classes, as many as ``ratio`` says.

        Args:
            data: with visible labels.
            predicate: whose classes.
            latents: of the same data, trained here by default.
            progress: of training.
            counts: ``int64[states]``, how many of each state instead.
        """
        stages = _Stages(progress, 2)
        encoding, denoising = stages.next(), stages.next()
        latents = latents or self.latents(data, predicate, encoding)
        rows = rows_of(data, predicate)
        options = SynthesisOptions(
            steps=self.steps,
            guidance=self.guidance,
            nearest=self.nearest,
            connect=self.edges != "none",
            denoiser=DenoiserOptions(steps=self.denoiser_steps, seed=self.seed),
            seed=self.seed,
        )
        if counts is None:
            counts = wanted(rows.labels[rows.labelled], rows.states, self.ratio)
        labels = np.repeat(np.arange(len(counts)), counts)
        points = diffused(latents, labels, options, denoising)
        return synthesised(latents, predicate, points, labels, options)

    def _augmented(
        self, data: Dataset, rows: PredicateRows, progress: Progress | None
    ) -> AugmentedClassifier:
        """The classifier fitted on the enlarged data, with the labels that may be seen."""
        synthetic = self.synthetic(data, rows.predicate, progress=progress)
        copied = mirrored(data, synthetic) if self.edges == "copied" else synthetic
        world = enlarged(data, copied)
        classifier = fit_model(make(self.classifier), world, rows.predicate)
        edges = sum(len(new.source) for new in synthetic.edges)
        text = f"{len(synthetic):,} synthetic {synthetic.domain} with {edges:,} edges in training"
        inner = tuple(f"on the enlarged data: {line}" for line in classifier.report_)
        return AugmentedClassifier(classifier, frequency_shift(rows, synthetic), (text, *inner))

    def _judged(
        self, data: Dataset, rows: PredicateRows, progress: Progress | None
    ) -> tuple[bool, tuple[str, ...]]:
        """Whether augmentation helps on held-out rows, and a sentence about it."""
        held = validation_slice(rows, self.seed, JUDGE_SHARE)
        if not held.any():
            return False, ("too few labelled rows to tell whether augmentation helps",)
        judges = rows.labelled[held]
        past = without_labels(data, rows, judges)
        seen = replace(rows, labels=_hidden(rows.labels, judges))
        if not wanted(seen.labels[seen.labelled], rows.states, self.ratio).any():
            return False, ("too few rare rows to tell whether augmentation helps",)
        fitted = self._augmented(past, seen, progress)
        with_them = moved_back(fitted.classifier.log_odds(data, rows.predicate), fitted.shift)
        without = self._plain(past, rows.predicate).log_odds(data, rows.predicate)
        comparison = compared(rows, judges, with_them, without, self.seed)
        helped = comparison.better >= SURE
        verdict = "it helped" if helped else "not clearly better"
        text = (
            f"on {len(judges)} held-out rows {comparison.measure} {comparison.first:.3f} with, "
            f"{comparison.second:.3f} without, better in {comparison.better:.0%} of resamples"
        )
        return helped, (f"diffusion: {text}: {verdict}",)

    def _plain(self, data: Dataset, predicate: str) -> KnowledgeModel:
        return fit_model(make(self.classifier), data, predicate)

    def _take(self, fitted: AugmentedClassifier, kept: bool) -> None:
        self.classifier_ = fitted.classifier
        self.shift_ = fitted.shift
        self.kept_ = kept
        plain = () if kept else fitted.classifier.report_
        self.report_ = (*fitted.said, *plain)

    def check(self, data: Dataset, rows: PredicateRows) -> None:
        """Raise :class:`ModelError` KR865 for a predicate of more than one thing or of edges."""
        relations = data.graph.relations if data.graph is not None else ()
        keys = {edges.key_domain for edges in relations}
        nodes = data.graph.domains if data.graph is not None else ()
        sort = rows.sorts[0] if len(rows.sorts) == 1 else None
        if sort is None or (sort in keys and sort not in nodes):
            what = "edges" if sort is not None else f"{len(rows.sorts)} things"
            raise ModelError(
                f"`{self.name}` makes things, and `{rows.predicate}` speaks of {what}",
                code="KR865",
                help="use the classifier by itself",
            )


def frequency_shift(rows: PredicateRows, synthetic: Synthetic) -> tuple[float, ...]:
    """Per state the logarithm of how many times more frequent it is with synthetic rows."""
    real = np.bincount(rows.labels[rows.labelled], minlength=rows.states)
    more = np.bincount(synthetic.labels, minlength=rows.states)
    return tuple(
        np.log(
            (real + more) / np.maximum(real, 1), where=real > 0, out=np.zeros(rows.states)
        ).tolist()
    )


def moved_back(scores: NDArray[np.floating], shift: tuple[float, ...]) -> NDArray[np.floating]:
    """Log-odds (or log-probabilities) at the true base rate, from those learned at another."""
    if not any(shift):
        return scores
    if scores.ndim == 1:
        return scores - (shift[1] - shift[0])
    return log_softmax(scores - np.array(shift))


def without_labels(data: Dataset, rows: PredicateRows, chosen: NDArray[np.int64]) -> Dataset:
    """The data set without the visible labels of some rows; definitions go on reading them."""
    table = data.labels[rows.predicate]
    span = atoms_of(data, rows.predicate)
    atoms = locate(span.arguments, id_matrix(table))
    gone = np.zeros(rows.count, bool)
    gone[chosen] = True
    rest = labels_only(data, rows.predicate, (atoms < 0) | ~gone[rows.row_of_atom[atoms]])
    return replace(rest, readable=data.labels if data.readable is None else data.readable)


def _hidden(labels: NDArray[np.int32], rows: NDArray[np.int64]) -> NDArray[np.int32]:
    labels = labels.copy()
    labels[rows] = UNKNOWN
    return labels


def _inside(part: Mapping[str, T]) -> dict[str, T]:
    return {k.removeprefix(INSIDE): v for k, v in part.items() if k.startswith(INSIDE)}


class _Stages:
    """Progress of several parts in a row as one count."""

    def __init__(self, progress: Progress | None, count: int) -> None:
        self.progress, self.count, self.stage = progress, count, 0

    def next(self) -> Progress | None:
        """Progress of the next part."""
        if self.progress is None:
            return None
        report, start = self.progress, 1000 * self.stage
        self.stage += 1
        total = 1000 * self.count
        return lambda done, of, text: report(start + 1000 * done // max(of, 1), total, text)

    def done(self, text: str) -> None:
        """All parts are over."""
        if self.progress is not None:
            self.progress(1000 * self.count, 1000 * self.count, text)
