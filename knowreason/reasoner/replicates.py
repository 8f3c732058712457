"""How far weights and conclusions move over bootstrap replicates of the weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from knowreason.beliefs.beliefs import Beliefs
from knowreason.inference import infer
from knowreason.inference.auto import divide
from knowreason.inference.posterior import Posterior
from knowreason.learning import Bootstrap, Fit, Problem, bootstrap
from knowreason.project.settings import Options
from knowreason.reasoner.rule_weights import theta_for

CONCLUSIONS = 50  # replicates that conclusions are drawn from
LEVEL = 0.95
FILE = "bootstrap.safetensors"


def bootstrap_fit(problem: Problem, fit: Fit, replicates: int, seed: int) -> Bootstrap:
    """Replicates of every parameter; see :func:`knowreason.learning.bootstrapping.bootstrap`."""
    return bootstrap(problem, fit, replicates=replicates, level=LEVEL, seed=seed)


def with_intervals(
    beliefs: Beliefs, replicates: Sequence[Fit], engine: str, options: Options
) -> Beliefs:
    """The beliefs with a spread and an interval for every atom.

    Args:
        beliefs: at the weights in use.
        replicates: of these weights.
        engine, options: of :func:`knowreason.inference.infer`.
    """
    believe = _prepared(beliefs, engine, options)
    drawn = [believe(theta_for(beliefs.grounding, fit)).log_odds.numpy() for fit in replicates]
    log_odds = np.stack(drawn).astype(np.float32)
    tail = (1 - LEVEL) / 2
    spread = torch.from_numpy(log_odds.std(0).astype(np.float64))
    return replace(
        beliefs,
        posterior=replace(beliefs.posterior, spread=spread),
        interval=np.quantile(log_odds, [tail, 1 - tail], axis=0).astype(np.float32),
    )


def save_bootstrap(replicates: Bootstrap, folder: Path) -> None:
    """Write ``bootstrap.safetensors``."""
    from safetensors.numpy import save_file

    save_file(
        {
            "theta": np.ascontiguousarray(replicates.theta),
            "lower": replicates.lower,
            "upper": replicates.upper,
            "level": np.array([replicates.level]),
            "clusters": np.array([replicates.clusters]),
        },
        folder / FILE,
    )


def load_bootstrap(folder: Path) -> Bootstrap | None:
    """Read what :func:`save_bootstrap` wrote, ``None`` where there is nothing."""
    from safetensors.numpy import load_file

    if not (folder / FILE).is_file():
        return None
    arrays = load_file(folder / FILE)
    return Bootstrap(
        arrays["theta"],
        arrays["lower"],
        arrays["upper"],
        float(arrays["level"][0]),
        int(arrays["clusters"][0]),
    )


def _prepared(beliefs: Beliefs, engine: str, options: Options) -> Callable[[Tensor], Posterior]:
    grounding = beliefs.grounding
    if engine == "auto" and grounding.is_linear:
        return divide(grounding.graph, **options)
    return lambda theta: infer(grounding.at(theta), engine=engine, **options)
