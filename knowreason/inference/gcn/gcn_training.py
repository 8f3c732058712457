"""Training the GCN posterior on exact marginals of random components; its stored state.

The state in the package is made by ``python -m knowreason.inference.gcn.gcn_training FOLDER``,
where the folder holds networks of the UAI 2014 evaluation; those of :data:`HELD_OUT` are
never trained on.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from knowreason.factors import OPEN, FactorGraph
from knowreason.factors.components.connected import components
from knowreason.factors.condition import condition
from knowreason.inference.exact.exact import prepare
from knowreason.inference.gcn.gcn_graphs import Family, random_components
from knowreason.inference.gcn.gcn_network import Corrections, Course, course
from knowreason.inference.gcn.weight_noise import weight_noise
from knowreason.inference.messages.cut_outs import CutOutSource
from knowreason.inference.uai_networks import read_network
from knowreason.progress import Progress as Progress

STATE = Path(__file__).with_name("gcn_state.safetensors")
SMALL = 3e-4  # error of belief propagation that is not worth correcting
FAMILIES = (
    Family(atoms=(4, 9), density=(0.8, 1.8)),
    Family(atoms=(8, 20)),
    Family(atoms=(8, 20), density=(0.6, 1.4), triples=0.15, rules=2),
    Family(atoms=(8, 20), density=(0.8, 1.6), weight=1.2, triples=0.0, tables=0.7, rules=2),
    Family(atoms=(8, 14), density=(2.0, 5.0), weight=0.7, triples=0.2),
    Family(atoms=(10, 15), density=(1.5, 4.0), weight=1.3, triples=0.2),
)
LARGE = (
    Family(atoms=(120, 240), density=(0.9, 1.4), triples=0.2, rules=2, window=12),
    Family(atoms=(120, 240), density=(1.0, 2.0), weight=1.0, window=12),
    Family(atoms=(120, 240), density=(1.0, 1.6), weight=2.5, window=8),
)
HELD_OUT = (
    "Alchemy_11", "CSP_13", "DBN_13", "Grids_13", "Grids_14", "Promedus_11", "Segmentation_12"
)  # fmt: skip
CUT_OUT_SIZES = (12, 24, 40)
CENTRES = 20  # of the cut-outs of one size


def train_gcn(
    graphs: Sequence[FactorGraph] = (),
    *,
    seed: int = 0,
    families: Sequence[Family] = FAMILIES,
    batches: int = 42,
    components_each: int = 50,
    steps: int = 800,
    rate: float = 0.01,
    noise: float = 0.0,
    progress: Progress | None = None,
) -> Corrections:
    """Trains corrections on the absolute error to exact marginals.

    The error of a batch counts in units of the untrained rounds', so that components on
    which belief propagation is nearly right matter as much as others.

    Args:
        graphs: graphs of one's own to learn from beside random ones (each a batch); their
            components must be tractable.
        seed: of the random components, of the first layers and of noise.
        families: kinds of random components, taken in turn.
        batches: of random components, ``components_each`` in each.
        components_each: of a batch.
        steps: of Adam, one batch each.
        rate: greatest learning rate.
        noise: standard deviation of noise on the weights in every step.
        progress: called as ``progress(step, total, note)``.

    Raises:
        InferenceError: evidence of ``graphs`` contradicts hard rules.
    """
    rng = np.random.default_rng(seed)
    made = [
        random_components(components_each, families[i % len(families)], rng, batches=10)
        for i in range(batches)
    ]
    examples = [one for one in map(example, (*graphs, *made)) if one[2].any()]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Corrections()
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(network.parameters(), rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, rate, total_steps=steps, pct_start=0.15
    )
    for step in range(steps):
        taken, target, asked, scale = examples[step % len(examples)]
        optimiser.zero_grad()
        with weight_noise(network, noise, generator):
            error = (network(taken).sigmoid() - target)[asked].abs().mean() / scale
            error.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        if progress is not None:
            progress(step + 1, steps, f"{error.item():.2f} of the error of belief propagation")
    return network


def example(graph: FactorGraph) -> tuple[Course, Tensor, Tensor, float]:
    """Inputs, exact marginals (``float64[n]``), atoms they are known of (``bool[n]``), and
    the mean error of untrained rounds of belief propagation."""
    exact = prepare(graph)
    known = condition(graph)
    component = torch.from_numpy(components(known)[0]).long()
    asked = exact.tractable & (known.evidence == OPEN)
    seen, truth = course(known, component), exact().probabilities
    rounds = seen.wires.plan.beliefs(seen.raw).sigmoid()
    error = (rounds - truth)[asked].abs().mean().item() if asked.any() else 0.0
    return seen, truth, asked, error + SMALL


def training_cut_outs(networks: Sequence[FactorGraph], seed: int = 0) -> list[FactorGraph]:
    """Cut-outs of three sizes of each network and of as many random large components.

    Args:
        networks: any factor graphs; belief propagation need not converge on them.
        seed: of the random components and of the centres.
    """
    rng = np.random.default_rng([seed, 1])
    large = [random_components(1, family, rng, batches=1) for family in LARGE for _ in range(3)]
    found = []
    for graph in (*networks, *large):
        around = CutOutSource.of(condition(graph))
        opened = np.flatnonzero(around.graph.evidence.numpy() == OPEN)
        for most in CUT_OUT_SIZES:
            centres = rng.choice(opened, min(len(opened), CENTRES), replace=False)
            found.append(around.cut(np.sort(centres), most).graph)
    return found


def save_gcn(network: Corrections, path: Path) -> None:
    """Stores the weights as safetensors."""
    save_file({name: value.contiguous() for name, value in network.state_dict().items()}, path)


def load_gcn(path: Path | None = None) -> Corrections:
    """The network of a stored state; the package's own, always the same object, by default."""
    return _shipped() if path is None else _read(path)


@functools.cache
def _shipped() -> Corrections:
    return _read(STATE)


def _read(path: Path) -> Corrections:
    network = Corrections()
    network.load_state_dict(load_file(path))
    return network.eval()


def main(folder: Path, progress: Progress | None = None) -> None:
    """Trains on the networks of a folder and random components; stores the package's state."""
    torch.set_num_threads(1)
    paths = [path for path in sorted(folder.glob("*.uai")) if path.stem not in HELD_OUT]
    networks = [read_network(path, f"{path}.evid").graph for path in paths]
    network = train_gcn(training_cut_outs(networks), steps=1200, progress=progress)
    save_gcn(network, STATE)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
