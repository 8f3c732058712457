"""The registered model: anomaly scores of nodes as log-odds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from numpy.typing import NDArray

from knowreason.errors import ModelError, did_you_mean
from knowreason.models.base.calibration import calibrated, fit_anomaly
from knowreason.models.base.encoding import Encoder
from knowreason.models.base.model_options import AtLeastZero, Share, Within
from knowreason.models.base.model_protocol import KnowledgeModel, ModelState, Progress
from knowreason.models.base.predicate_rows import PredicateRows, rows_of
from knowreason.models.energy.additive_energy import (
    TERMS,
    AdditiveEnergy,
    energy_arrays,
    energy_from,
    fit_energy,
)
from knowreason.models.energy.ego_subgraphs import Encoding
from knowreason.models.energy.neural_energy import EnergyHistory, Loss, Training
from knowreason.models.graph.node_graph import needed_graph, typed_columns
from knowreason.models.nn.gradient_training import NotNegative

if TYPE_CHECKING:
    from typing import Self

    from knowreason.data import Dataset
    from knowreason.data.features import FeatureTable

Preset = Literal["all", "density", "features", "structure", "net"]
PRESETS: dict[Preset, tuple[str, ...]] = {
    "all": TERMS,
    "density": ("difference", "edge", "degree", "triangles"),
    "features": ("difference", "edge"),
    "structure": ("degree", "triangles"),
    "net": ("net",),
}
ENERGY = "energy/"


@dataclass(eq=False, repr=False)
class GadEBM(KnowledgeModel):
    """How strange a node's ego-subgraph is, learned without labels.

    The energy of a node is the mean of named terms, each ``-log`` of a density:
    ``difference`` (its features less those that its neighbours foretell), ``edge``
    (``-log p(x_u | x_v)``, mean over neighbours u), ``degree``, ``triangles`` (edges among the
    neighbours), and ``net``, neural energies trained to tell ego-subgraphs from perturbed ones
    (subgraph score matching; GAD-EBM). Each is standardised to its surprise among the training
    nodes, see :class:`~knowreason.models.energy.energy_scaling.Standard`. :meth:`shares` gives each
    term's share of a node's energy.

    Fitted on one graph it scores any other with the same features. The graph is taken as
    undirected; repeated edges and self loops count for nothing. Where there are several
    domains, the nodes of the predicate's own are learned and scored, the others are seen as
    neighbours. A thing that is an edge is scored by the mean of its ends.

    Energies become log-odds by the visible labels (Platt or isotonic), or, without labels of
    both kinds, by an assumed share of positives; ``report_`` says which.

    Args:
        preset: which terms are on: ``"all"``, ``"density"`` (no network), ``"features"``
            (``difference`` and ``edge``), ``"structure"`` (``degree`` and ``triangles``) or
            ``"net"``.
        terms: the terms by name, in place of a preset.
        loss: of the network: ``"ratio"``, ``"cnce"``, or ``"ssm"`` as the paper states it,
            which is unbounded below and may overflow.
        samples: perturbed neighbours of an ego-subgraph at a time.
        share: of its edges that a perturbation changes.
        together: whether a perturbation changes edges and features at once, as in the paper, or
            one of them.
        encoder: how neighbours come into the network: ``"gcn"`` (normalised by degrees, with the
            node itself), ``"sage"`` (their mean) or ``"gin"`` (their sum).
        nets: networks that are averaged.
        hidden: their width.
        steps: most gradient steps.
        learning_rate, weight_decay: of them (AdamW).
        contamination: assumed share of positives where there are no labels of both kinds.
        separation: assumed distance of positives and negatives in standard deviations, see
            ``column``; 1 means an AUC of .76. None estimates it from the scores, whose long
            tail suggests more than there is.
        calibrate: how energies meet labels.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``.
        seed: of the networks and perturbations.
    """

    registered_as = "gad_ebm"
    reads = "named"
    level = "node"
    needs_labels = False

    preset: Preset = "all"
    terms: tuple[str, ...] | None = None
    loss: Loss = "ratio"
    samples: Annotated[int, Within(1, 20)] = 3
    share: Share = 0.1
    together: bool = True
    encoder: Encoding = "gcn"
    nets: Annotated[int, Within(1, 64)] = 4
    hidden: Annotated[int, Within(1, 4096)] = 32
    steps: AtLeastZero = 300
    learning_rate: NotNegative = 3e-3
    weight_decay: NotNegative = 1e-4
    contamination: float = 0.05
    separation: float | None = 1.0
    calibrate: Literal["platt", "isotonic"] = "platt"
    device: str = "auto"
    seed: int = 0

    def fit(self, data: Dataset, predicate: str, *, progress: Progress | None = None) -> Self:
        """Learn the energy, which is the same in every fold, and calibrate it.

        Raises:
            ModelError: KR812 where the data has no graph with the predicate's things, KR825
                for a functional predicate, KR830 and KR831 for an impossible calibration,
                KR860 for a term that does not exist.
        """
        rows = rows_of(data, predicate)
        if rows.classes is not None:
            raise ModelError(
                f"`{predicate}` is functional: an anomaly score cannot choose a state",
                code="KR825",
                help="use a classifier: `gnn()`, `trees()`",
            )
        graph, nodes = needed_graph(data, rows, self.name)
        names, training = self._terms(), self._training()
        settings = (names, training, rows.sorts)

        def compute() -> tuple[Encoder, AdditiveEnergy]:
            columns = typed_columns(data, graph)
            encoder = Encoder.fit(columns)
            scored = np.unique(nodes[nodes >= 0])
            energy = fit_energy(
                _matrix(encoder, columns),
                graph.both_ways,
                terms=names,
                training=training,
                centres=scored,
                progress=progress,
            )
            return encoder, energy

        fitted = data.computed(("gad_ebm", settings), compute, data.features, data.graph)
        self.encoder_, self.energy_ = fitted[0].to_values(), fitted[1]
        self._calibrate(rows, self.energies(data, predicate))
        return self

    def log_odds(self, data: Dataset, predicate: str) -> NDArray[np.float32]:
        """Calibrated energies."""
        rows = rows_of(data, predicate)
        energies = self.energies(data, predicate)
        return rows.checked(
            calibrated(self.calibration_, energies, rows, self.base_rate_), self.name
        )

    def shares(self, data: Dataset, predicate: str) -> dict[str, NDArray[np.float32]]:
        """Each term's share of the energy of every atom; they add up to :meth:`energies`.

        Returns:
            By term ``float32[n]`` in the order of :func:`knowreason.models.atoms_of`. 0 is the
            mean over the training nodes, positive stranger; ``NaN`` for an atom about no node.
        """
        rows = rows_of(data, predicate)

        def compute() -> dict[str, NDArray[np.float32]]:
            return self._shares(data, rows)

        key = ("gad_ebm shares", predicate)
        owners = (data.features, data.graph, data.scope, self.energy_)
        return data.computed(key, compute, *owners)

    def _shares(self, data: Dataset, rows: PredicateRows) -> dict[str, NDArray[np.float32]]:
        graph, nodes = needed_graph(data, rows, self.name)
        there = nodes >= 0
        scored = np.unique(nodes[there])
        if not len(scored):
            return {name: np.full(rows.count, np.nan, np.float32) for name in self.energy_.terms}
        every = _matrix(Encoder.from_values(self.encoder_), typed_columns(data, graph))
        shares = self.energy_.shares(every, graph.both_ways, scored)
        row = np.searchsorted(scored, np.where(there, nodes, scored[0]))
        count = np.where(there.any(axis=1), there.sum(axis=1), np.nan)
        return {
            name: (np.where(there, share[row], 0).sum(axis=1) / count).astype(np.float32)
            for name, share in shares.items()
        }

    def energies(self, data: Dataset, predicate: str) -> NDArray[np.float32]:
        """The energy of every atom, ``float32[n]``, higher is stranger; not calibrated."""
        energies: NDArray[np.float32] = np.sum(
            list(self.shares(data, predicate).values()), axis=0, dtype=np.float32
        )
        return energies

    def parts(self, data: Dataset, predicate: str) -> dict[str, NDArray[np.float32]]:
        """:meth:`shares`, for explanations."""
        return self.shares(data, predicate)

    @property
    def history(self) -> EnergyHistory | None:
        """Energies of held-out ego-subgraphs over the networks' training."""
        return self.energy_.history

    def state(self) -> ModelState:
        """The energy's arrays and the calibration."""
        arrays, values = energy_arrays(self.energy_)
        plain = {name: getattr(self, name) for name in ("encoder_", "calibration_", "report_")}
        return ModelState({ENERGY + k: a for k, a in arrays.items()}, plain | {"energy": values})

    def load_state(self, state: ModelState) -> Self:
        """Take them over."""
        values = dict(state.values)
        arrays = {k.removeprefix(ENERGY): np.array(a) for k, a in state.arrays.items()}
        self.energy_ = energy_from(arrays, values.pop("energy"), self.device)
        return super().load_state(ModelState({}, values))

    def _terms(self) -> tuple[str, ...]:
        names = PRESETS[self.preset] if self.terms is None else self.terms
        wrong = [name for name in names if name not in TERMS]
        if wrong or not names:
            raise ModelError(
                f"`{self.name}` has no term `{wrong[0]}`"
                if wrong
                else f"`{self.name}` has no term",
                code="KR860",
                help=did_you_mean(wrong[0] if wrong else "", TERMS)
                or f"its terms: {', '.join(TERMS)}",
            )
        return tuple(name for name in TERMS if name in names)

    def _training(self) -> Training:
        return Training(
            loss=self.loss,
            samples=self.samples,
            share=self.share,
            together=self.together,
            encoder=self.encoder,
            nets=self.nets,
            hidden=self.hidden,
            steps=self.steps,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            device=self.device,
            seed=self.seed,
        )

    def _calibrate(self, rows: PredicateRows, scores: NDArray[np.float32]) -> None:
        calibration, self.base_rate_ = fit_anomaly(
            scores, rows, self.calibrate, self.contamination, self.separation
        )
        self.calibration_ = calibration.to_values()
        self.report_ = (*self.energy_.report, calibration.note)


def _matrix(encoder: Encoder, columns: FeatureTable) -> NDArray[np.float32]:
    """Features with numbers in their own units: the energy itself says which may be compared."""
    units: list[float] = []
    for scale, indicator, kept in zip(
        encoder.scales, encoder.indicators, encoder.categories, strict=True
    ):
        if kept is None:
            units += [scale, 1.0] if indicator else [scale]
        else:
            units += [1.0] * len(kept)
    return encoder.dense_matrix(columns) * np.array(units, np.float32)
