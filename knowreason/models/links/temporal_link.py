"""How surprising a link is, given everything that happened before it (Euler)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray
from torch import Tensor

from knowreason.errors import ModelError
from knowreason.models.base.calibration import calibrated, fit_anomaly
from knowreason.models.base.encoding import Encoder
from knowreason.models.base.model_options import AtLeastOne, AtLeastZero, Share
from knowreason.models.base.model_protocol import (
    KnowledgeModel,
    Level,
    ModelState,
    Progress,
    options_of,
)
from knowreason.models.base.predicate_rows import PredicateRows, rows_of
from knowreason.models.graph.convolution import (
    Convolution,
    check_message_features,
    convolution,
)
from knowreason.models.graph.node_graph import NodeGraph, typed_columns
from knowreason.models.links.temporal_net import PairQueries, Sweep, TemporalNet, chunks_of
from knowreason.models.links.temporal_training import ActiveNodes, Sampler, asked_of, train_links
from knowreason.models.links.time_windows import WindowHistory, Windows, window_width, windows_of
from knowreason.models.links.timed_links import LinkData, link_data
from knowreason.models.nn.gradient_training import GradientOptions, NotNegative, torch_device
from knowreason.models.nn.neural_model import load_weights, noisy_scores, weight_arrays
from knowreason.row_keys import by_appearance, distinct_rows

if TYPE_CHECKING:
    from typing import Self

    from knowreason.data import Dataset

SCORES_KEPT = 10_000  # order statistics that stand for all unlabelled scores
HEADS = 4


@dataclass(frozen=True)
class TrainedLinks:
    """What is learned without labels: shared by all folds of a cross-fit."""

    net: TemporalNet
    encoder: Mapping[str, Any]
    names: Mapping[str, tuple[str, ...]]
    report: tuple[str, ...]


@dataclass(eq=False, repr=False)
class TemporalLink(GradientOptions, KnowledgeModel):
    """A snapshot of the graph a window, a recurrent state a node, and a link decoder.

    Learned without labels from the links that were there against pairs that were not (source
    or target exchanged for a node of the same domain that had been active): a link of window
    t is scored from the states after the windows *before* t, so that neither itself nor its
    own window shows in its score. ``-log p(link)``, the surprise, is the anomaly score; with
    labels it becomes log-odds by Platt or isotonic calibration, without by ``contamination``.

    Rows are things that are edges (``EdgeList(key=..., time=...)``; without a time column
    their clock counts) or pairs of nodes, which without a clock are asked about after the
    last window. New nodes start from their features and domain, as all do (with ``ids`` known
    ones have an embedding of their own). Features of nodes enter every window as they are:
    what is known only at the end must not be among them. All edges with a time are in the
    snapshots, those before the first row asked about too: keep the history in the data.
    Windows without a link are passed over. Memory grows with the pairs of ``unroll`` windows
    and with nodes times ``hidden``.

    King & Huang, "Euler: Detecting Network Lateral Movement via Scalable Temporal Link
    Prediction", TOPS 2023; ``memory`` is not in it: how often and when the pair and its ends
    were seen before enters the decoder (how much that says: Poursafaei et al. 2022).

    Args:
        window: width of a snapshot: ``"30m"`` where times are moments, else a number.
        encoder: convolution of the snapshots.
        recurrent: ``"none"`` takes the node's last snapshot.
        decoder: ``"dot"`` is symmetric, ``"bilinear"`` tells source from target.
        memory: whether the decoder sees past counts of the pair and its ends.
        ids: whether known nodes have an embedding of their own: for a site that stays as it is;
            where it drifts they are learned by heart (benchmarks/links.py).
        hidden: width of the states.
        layers: rounds of messages in a snapshot.
        dropout: share of hidden units left out in training.
        negatives: pairs that were not, for each that was.
        epochs, patience, learning_rate, weight_decay: of training; the last windows are held
            out for early stopping.
        unroll: windows a gradient step, which gradients reach back.
        max_pairs: most pairs that were, an epoch; drawn at random where there are more.
        relation: relation whose edges are the rows; by default the first that fits.
        score: ``"surprise"``, or ``"link"`` where the atom is true when the link is likely.
        contamination: assumed share of true atoms where there are no labels.
        calibrate: how the score meets labels.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``.
        seed: of weights, negatives and dropout.
    """

    registered_as = "temporal_link"
    reads = "named"
    level: ClassVar[Level | Literal["any"]] = "edge"
    needs_labels = False

    window: str | float = "30m"
    encoder: Convolution = "gcn"
    recurrent: Literal["gru", "lstm", "none"] = "gru"
    decoder: Literal["dot", "bilinear"] = "bilinear"
    memory: bool = True
    ids: bool = False
    hidden: AtLeastOne = 32
    layers: AtLeastZero = 2
    dropout: Share = 0.1
    negatives: AtLeastOne = 2
    unroll: AtLeastOne = 8
    max_pairs: AtLeastOne = 200_000
    relation: str | None = None
    score: Literal["surprise", "link"] = "surprise"
    contamination: float = 0.01
    calibrate: Literal["platt", "isotonic"] = "platt"
    _: KW_ONLY
    epochs: AtLeastZero = 100
    patience: AtLeastOne = 10
    learning_rate: NotNegative = 1e-2

    def fit(self, data: Dataset, predicate: str, *, progress: Progress | None = None) -> Self:
        """Train on the edges of ``data``, then calibrate the scores of its rows.

        Raises:
            ModelError: KR812 without a graph, KR825 for a functional predicate, KR875 where
                no edge has a time, KR876 for rows that are no links, KR877 for a wrong
                window, KR878 for fewer than two windows, KR830 for a contamination out of
                range.
        """
        rows = rows_of(data, predicate)
        if rows.classes is not None:
            raise ModelError(
                f"`{predicate}` is functional: a link score cannot choose a state", code="KR825"
            )
        links = link_data(data, rows, self.name, self.relation)
        key = (self.name, tuple(options_of(self).items()), self.weight_noise, self.relative_noise)
        trained = data.computed(
            (*key, predicate),
            lambda: self._trained(data, links, progress),
            data.graph,
            data.features,
        )
        self.net_, self.encoder_, self.names_ = trained.net, trained.encoder, trained.names
        self.states_ = (0, 1)
        calibration, self.base_rate_ = fit_anomaly(
            self._scores(data, rows), rows, self.calibrate, self.contamination, most=SCORES_KEPT
        )
        self.calibration_ = calibration.to_values()
        self.report_ = (*trained.report, calibration.note)
        return self

    def log_odds(self, data: Dataset, predicate: str) -> NDArray[np.float32]:
        """Calibrated scores; the base rate for a row that is no link."""
        rows = rows_of(data, predicate)
        return rows.checked(self._log_odds(self._scores(data, rows), rows), self.name)

    def score_noisily(
        self, data: Dataset, rows: PredicateRows, scale: float, relative: bool, seeds: range
    ) -> NDArray[np.float64]:
        """Log-odds at noisy weights, one layer ``[passes, n]`` a seed."""

        def scores() -> NDArray[np.float64]:
            return self._log_odds(self._scores(data, rows), rows)

        return noisy_scores(self.net_, scores, scale, relative, seeds)

    def state(self) -> ModelState:
        """Fitted values, and the network's weights under ``module/``."""
        net = vars(self).pop("net_")
        try:
            state = super().state()
        finally:
            self.net_ = net
        arrays = {**state.arrays, **weight_arrays(net)}
        return ModelState(arrays, state.values, state.estimators)

    def load_state(self, state: ModelState) -> Self:
        """Take over fitted values and rebuild the network."""
        super().load_state(ModelState({}, state.values))
        net = load_weights(self._net(Encoder.from_values(self.encoder_).width), state.arrays)
        self.net_ = net.to(torch_device(self.device))
        return self

    def _trained(self, data: Dataset, links: LinkData, progress: Progress | None) -> TrainedLinks:
        check_message_features(self.encoder, False, self.name)
        windows = self._windows(links)
        if windows.steps < 2:
            timed = bool((~np.isnan(links.edges.time)).any())
            raise ModelError(
                f"the edges lie in {windows.steps} windows of {self.window}: there is nothing"
                " before to learn from"
                if timed
                else f"`{self.name}` needs edges with times, and none has one",
                code="KR878" if timed else "KR875",
                help="a smaller `window`" if timed else '`EdgeList(..., time="at")`',
            )
        device = torch_device(self.device)
        sampler = Sampler(
            windows,
            WindowHistory(windows),
            ActiveNodes.of(windows, links),
            self.negatives,
            self.max_pairs,
        )
        names = _names(data, links.graph, sampler.nodes.order) if self.ids else {}
        inputs = typed_columns(data, links.graph)
        encoder = Encoder.fit(inputs)
        self.names_ = names
        x = torch.from_numpy(encoder.dense_matrix(inputs)).to(device)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            net = self._net(encoder.width).to(device)
            ids = _id_rows(data, links.graph, names).to(device)
            report = train_links(
                net, x, ids, sampler, self.unroll, self.schedule(), self.encoder, progress
            )
        return TrainedLinks(net.eval(), encoder.to_values(), names, report)

    def _net(self, static: int) -> TemporalNet:
        return TemporalNet(
            static,
            sum(map(len, self.names_.values())),
            self.hidden,
            [convolution(self.encoder, self.hidden, HEADS) for _ in range(self.layers)],
            self.recurrent,
            self.decoder,
            self.memory,
            self.dropout,
        )

    def _windows(self, links: LinkData) -> Windows:
        width = window_width(self.window, links)
        return windows_of(links.edges, links.graph.node_count, width)

    @torch.no_grad()
    def _scores(self, data: Dataset, rows: PredicateRows) -> NDArray[np.float64]:
        """``float64[n]``, higher is likelier true; NaN for a row that is no link."""
        links = link_data(data, rows, self.name, self.relation)
        windows = self._windows(links)
        there = np.flatnonzero(links.rows.there)
        scores = np.full(rows.count, np.nan)
        if not len(there) or not windows.steps:
            return scores
        device = next(self.net_.parameters()).device
        asked, row = self._asked(windows, links, there, device)
        inputs = Encoder.from_values(self.encoder_).dense_matrix(typed_columns(data, links.graph))
        ids = _id_rows(data, links.graph, self.names_).to(device)
        sweep = Sweep(self.net_, torch.from_numpy(inputs).to(device), ids)
        logits = torch.zeros(len(asked.source), device=device)
        for chunk in chunks_of(windows, 0, windows.steps, self.unroll, self.encoder, device):
            at, scored = sweep.run(chunk, asked)
            logits[at] = scored
        of_rows = logits.double()[row]
        surprise = torch.nn.functional.softplus(-of_rows)
        scores[there] = (surprise if self.score == "surprise" else of_rows).cpu().numpy()
        return scores

    def _asked(
        self, windows: Windows, links: LinkData, there: NDArray[np.int64], device: torch.device
    ) -> tuple[PairQueries, Tensor]:
        """Distinct pairs and windows of the rows, and which of them each row is."""
        rows, width = links.rows.take(there), window_width(self.window, links)
        end = windows.numbers[-1] + 1
        moments = np.where(np.isnan(rows.time), end * width, rows.time)
        number = np.floor(moments / width).astype(np.int64)
        origin = int(number.min())
        table = np.stack([number - origin, rows.source, rows.target], axis=1)
        first, row = by_appearance(*distinct_rows(table.T))
        order = np.argsort(table[first, 0], kind="stable")
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        now, source, target = table[first[order]].T
        now = now + origin
        step = np.searchsorted(windows.numbers, now)
        asked = asked_of(
            WindowHistory(windows),
            np.ascontiguousarray(source),
            np.ascontiguousarray(target),
            step,
            now,
            None,
            device,
        )
        return asked, torch.from_numpy(rank[row])

    def _log_odds(self, scores: NDArray[np.float64], rows: PredicateRows) -> NDArray[np.float64]:
        return calibrated(self.calibration_, scores, rows, self.base_rate_)


def _names(data: Dataset, graph: NodeGraph, nodes: NDArray[np.int64]) -> dict[str, tuple[str, ...]]:
    """Names of some nodes by domain."""
    by_domain = {}
    for domain, start in graph.offsets.items():
        vocabulary = data.vocabularies[domain]
        of_domain = np.sort(nodes[(nodes >= start) & (nodes < start + len(vocabulary))]) - start
        by_domain[domain] = tuple(vocabulary.decode(of_domain).to_pylist())
    return by_domain


def _id_rows(data: Dataset, graph: NodeGraph, names: Mapping[str, tuple[str, ...]]) -> Tensor:
    """``int64[n]``: row of each node's embedding by its name, 0 for an unknown one."""
    rows = np.zeros(graph.node_count, np.int64)
    before = 1
    for domain, members in names.items():
        if domain in graph.offsets:
            vocabulary, start = data.vocabularies[domain], graph.offsets[domain]
            positions = pc.index_in(vocabulary.names, value_set=pa.array(members, pa.string()))
            at = positions.fill_null(-1).to_numpy(zero_copy_only=False)
            rows[start : start + len(vocabulary)] = np.where(at >= 0, at + before, 0)
        before += len(members)
    return torch.from_numpy(rows)
