"""Torch models: what they share, and the adapter for a module of one's own."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from knowreason.errors import ModelError
from knowreason.models.base.encoding import Encoder
from knowreason.models.base.labelled_model import (
    ClassWeight,
    LabelledModel,
    label_index,
    log_softmax,
    numbers_to_learn,
    state_weights,
    undo_weights,
    validation_slice,
)
from knowreason.models.base.model_options import AtLeastOne, AtLeastZero
from knowreason.models.base.model_protocol import ModelState, Progress
from knowreason.models.base.model_registry import imported
from knowreason.models.base.predicate_rows import PredicateRows
from knowreason.models.nn.gradient_training import (
    GradientOptions,
    NotNegative,
    noisy_weights,
    torch_device,
    train,
)

if TYPE_CHECKING:
    from typing import Self

    from knowreason.data import Dataset

WEIGHTS = "module/"
Net = TypeVar("Net", bound=nn.Module)


class NeuralModel(GradientOptions, LabelledModel):
    """A torch module trained on the labelled rows with early stopping.

    A subclass says what the module's inputs are, how it is built and how rows are scored;
    beside :class:`GradientOptions` it has the options ``batch_size`` and ``class_weight``. A
    numeric query is standardised and learned by squared error.
    """

    regresses = True

    batch_size: int
    class_weight: ClassWeight
    module_: nn.Module
    units_: tuple[float, float]
    sizes_: Mapping[str, int]

    @abstractmethod
    def fit_encoders(self, data: Dataset, rows: PredicateRows) -> None:
        """Learn what :meth:`inputs` needs (fitted attributes)."""

    @abstractmethod
    def inputs(self, data: Dataset, rows: PredicateRows) -> dict[str, Tensor]:
        """Tensors of all rows (and nodes), on the CPU."""

    @abstractmethod
    def build(self, sizes: Mapping[str, int], outputs: int) -> nn.Module:
        """A new module; ``sizes`` is the last dimension of each input."""

    @abstractmethod
    def logits(self, module: nn.Module, inputs: Mapping[str, Tensor], rows: Tensor) -> Tensor:
        """Scores ``[len(rows), outputs]`` of some rows."""

    def rows_a_step(self, inputs: Mapping[str, Tensor]) -> int:
        """Training rows a gradient step, 0 for all."""
        return self.batch_size

    def fit_rows(self, data: Dataset, rows: PredicateRows, progress: Progress | None) -> None:
        """Build the module and train it."""
        device = torch_device(self.device)
        self.fit_encoders(data, rows)
        inputs = {name: value.to(device) for name, value in self.inputs(data, rows).items()}
        self.sizes_ = {
            name: value.shape[-1] for name, value in inputs.items() if value.layout == torch.strided
        }
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            module = self.build(self.sizes_, self._outputs(rows)).to(device)
            held = validation_slice(rows, self.seed)
            labelled = rows.labelled
            known: NDArray[np.generic]
            if rows.numbers is None:
                states = label_index(rows.labels[labelled], self.states_)
                known, weights = states, state_weights(states, self.class_weight)
            else:
                numbers = numbers_to_learn(rows)
                centre, spread = float(numbers.mean()), float(numbers.std()) or 1.0
                self.units_ = (centre, spread)
                known, weights = ((numbers - centre) / spread).astype(np.float32), np.zeros(0)
            target = torch.from_numpy(known).to(device)
            full_target = torch.zeros(rows.count, dtype=target.dtype, device=device)
            full_target[torch.from_numpy(labelled)] = target
            weight = torch.from_numpy(weights.astype(np.float32)).to(device)

            def loss(batch: Tensor) -> Tensor:
                return _loss(self.logits(module, inputs, batch), full_target[batch], weight)

            sentence = train(
                module,
                loss,
                torch.from_numpy(labelled[~held]).to(device),
                torch.from_numpy(labelled[held]).to(device),
                self.schedule(self.rows_a_step(inputs)),
                progress,
            )
        self.weights_ = tuple(weights.tolist())
        self.module_ = module.eval()
        self.report_ = (sentence,)

    def score_rows(self, data: Dataset, rows: PredicateRows) -> NDArray[np.float64]:
        """Log-odds of the module."""
        return self._scored(self._placed_inputs(data, rows), rows)

    def score_noisily(
        self, data: Dataset, rows: PredicateRows, scale: float, relative: bool, seeds: range
    ) -> NDArray[np.float64]:
        """Scores at noisy weights, one layer ``[passes, ...]`` a seed."""
        inputs = self._placed_inputs(data, rows)
        return noisy_scores(
            self.module_, lambda: self._scored(inputs, rows), scale, relative, seeds
        )

    def state(self) -> ModelState:
        """Fitted values, and the module's weights under ``module/``."""
        module = vars(self).pop("module_", None)
        try:
            state = super().state()
        finally:
            if module is not None:
                self.module_ = module
        if module is None:
            return state
        arrays = {**state.arrays, **weight_arrays(module)}
        return ModelState(arrays, state.values, state.estimators)

    def load_state(self, state: ModelState) -> Self:
        """Take over fitted values and rebuild the module."""
        own = {name: a for name, a in state.arrays.items() if not name.startswith(WEIGHTS)}
        super().load_state(ModelState(own, state.values, state.estimators))
        if len(own) < len(state.arrays):
            outputs = len(self.states_) if self.classes_ is not None else 1
            module = load_weights(self.build(self.sizes_, outputs), state.arrays)
            self.module_ = module.to(torch_device(self.device))
        return self

    def _placed_inputs(self, data: Dataset, rows: PredicateRows) -> dict[str, Tensor]:
        device = next(self.module_.parameters()).device
        return {name: value.to(device) for name, value in self.inputs(data, rows).items()}

    @torch.no_grad()
    def _scored(self, inputs: Mapping[str, Tensor], rows: PredicateRows) -> NDArray[np.float64]:
        every = torch.arange(rows.count, device=next(self.module_.parameters()).device)
        scores = self.logits(self.module_, inputs, every).double().cpu().numpy()
        if rows.numbers is not None:
            centre, spread = self.units_
            return centre + spread * scores[:, 0]
        if rows.classes is None:
            return undo_weights(scores[:, 0], np.array(self.weights_))
        return log_softmax(undo_weights(scores, np.array(self.weights_)))

    def _outputs(self, rows: PredicateRows) -> int:
        return len(self.states_) if rows.classes is not None else 1


class Torch(NeuralModel):
    """A torch module that maps the features of a row to its logits.

    Args:
        module: path of an ``nn.Module`` class (or the class itself, in Python) called as
            ``Module(inputs, outputs, **params)``; by default two hidden layers.
        features: what it sees; see :func:`knowreason.models.base.feature_columns.columns_of`.
        epochs, patience, learning_rate, weight_decay, batch_size: of training; the
            validation slice is the latest rows where there is a clock.
        class_weight: ``"balanced"`` weighs rows inversely to their state's frequency.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``.
        seed: of initial weights, batches and the validation slice.
        params: options of the module.
    """

    registered_as = "torch"
    reads = "named"

    def __init__(
        self,
        module: str | type[nn.Module] = "knowreason.models.nn.neural_model:MLP",
        features: tuple[str, ...] | None = None,
        epochs: AtLeastZero = 200,
        patience: AtLeastOne = 20,
        learning_rate: NotNegative = 3e-3,
        weight_decay: NotNegative = 1e-3,
        batch_size: AtLeastZero = 1024,
        class_weight: ClassWeight = "none",
        device: str = "auto",
        seed: int = 0,
        **params: object,
    ) -> None:
        self.module = module
        self.features = features
        super().__init__(
            epochs=epochs,
            patience=patience,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            device=device,
            seed=seed,
        )
        self.batch_size = batch_size
        self.class_weight = class_weight
        self.params = params

    def fit_encoders(self, data: Dataset, rows: PredicateRows) -> None:
        """Means, deviations and categories of the labelled rows."""
        columns = self.columns(data, rows, self.features).take(rows.labelled)
        self.encoder_ = Encoder.fit(columns).to_values()

    def inputs(self, data: Dataset, rows: PredicateRows) -> dict[str, Tensor]:
        """``x``: ``float32[n, inputs]``."""
        columns = self.columns(data, rows, self.features)
        matrix = Encoder.from_values(self.encoder_).dense_matrix(columns)
        return {"x": torch.from_numpy(matrix)}

    def build(self, sizes: Mapping[str, int], outputs: int) -> nn.Module:
        """The module of the options."""
        made = imported(self.module) if isinstance(self.module, str) else self.module
        try:
            module: nn.Module = made(sizes["x"], outputs, **self.params)
        except TypeError as error:
            raise ModelError(
                f"`{self.module}` cannot be made with {sizes['x']} inputs and {outputs}"
                f" outputs: {error}",
                code="KR826",
            ) from error
        return module

    def logits(self, module: nn.Module, inputs: Mapping[str, Tensor], rows: Tensor) -> Tensor:
        """The module's outputs.

        Raises:
            ModelError: KR826 where they have another shape.
        """
        scores: Tensor = module(inputs["x"][rows])
        outputs = len(self.states_) if self.classes_ is not None else 1
        if scores.shape != (len(rows), outputs):
            raise ModelError(
                f"`{self.module}` gave {tuple(scores.shape)} for {len(rows)} rows,"
                f" not {(len(rows), outputs)}",
                code="KR826",
            )
        return scores


class MLP(nn.Sequential):
    """Hidden layers with layer norm and dropout.

    Args:
        inputs, outputs: dimensions.
        hidden: width of each hidden layer.
        layers: how many.
        dropout: share of hidden units left out in training.
    """

    def __init__(
        self, inputs: int, outputs: int, hidden: int = 64, layers: int = 2, dropout: float = 0.1
    ) -> None:
        parts: list[nn.Module] = []
        for layer in range(layers):
            width = inputs if layer == 0 else hidden
            parts += [
                nn.Linear(width, hidden),
                nn.LayerNorm(hidden),
                nn.ReLU(),
                nn.Dropout(dropout),
            ]
        super().__init__(*parts, nn.Linear(hidden if layers else inputs, outputs))


def weight_arrays(module: nn.Module) -> dict[str, NDArray[np.generic]]:
    """Weights of a module by name, under ``module/``."""
    return {
        WEIGHTS + name: value.detach().cpu().numpy() for name, value in module.state_dict().items()
    }


def load_weights(module: Net, arrays: Mapping[str, NDArray[np.generic]]) -> Net:
    """Give a module the weights that stand under ``module/``, to score with."""
    weights = {
        name.removeprefix(WEIGHTS): torch.from_numpy(np.array(array))
        for name, array in arrays.items()
        if name.startswith(WEIGHTS)
    }
    module.load_state_dict(weights)
    return module.eval()


def noisy_scores(
    module: nn.Module,
    score: Callable[[], NDArray[np.float64]],
    scale: float,
    relative: bool,
    seeds: range,
) -> NDArray[np.float64]:
    """What ``score`` says at noisy weights of the module, one layer ``[passes, ...]`` a seed."""
    layers = []
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed)
        with noisy_weights(module, scale, relative, generator):
            layers.append(score())
    return np.stack(layers)


def _loss(scores: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Mean cross-entropy of states, weighted; mean squared error of numbers."""
    if target.is_floating_point():
        return nn.functional.mse_loss(scores[:, 0], target)
    if scores.shape[1] == 1:
        each = nn.functional.binary_cross_entropy_with_logits(
            scores[:, 0], target.float(), reduction="none"
        )
        return (weight[target] * each).mean()
    return (weight[target] * nn.functional.cross_entropy(scores, target, reduction="none")).mean()
