"""Networks in UAI files with their evidence, and marginals of their variables.

Formats: UAI 2008-2014 evaluations. An evidence file holds the number of observed variables and
then variable and state of each, with or without the number of samples (1) before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit

from knowreason.errors import InferenceError
from knowreason.factors import FALSE, TRUE, FactorGraph
from knowreason.factors.uai import parse_uai
from knowreason.inference.posterior import Posterior


@dataclass(frozen=True)
class UaiNetwork:
    """Variables of a UAI file and their factor graph.

    Attributes:
        graph: a variable of two states is an atom (true in state 1), any other a block of
            atoms of which one is true.
        sizes: ``int64[v]`` number of states.
        observed: state by variable, for variables whose state is known.
    """

    graph: FactorGraph
    sizes: NDArray[np.int64]
    observed: dict[int, int]

    def qualities(self, posterior: Posterior) -> NDArray[np.int8]:
        """``int8[v]``: index into :data:`QUALITIES` of the worst state of each variable."""
        first = _first_atoms(self.sizes)[:-1]
        worst: NDArray[np.int8] = np.maximum.reduceat(posterior.qualities.numpy(), first)
        return worst

    def marginals(self, posterior: Posterior) -> list[NDArray[np.float64]]:
        """By variable, ``float64[states]``: the probability of each state."""
        probability = expit(posterior.log_odds.to(torch.float64).numpy())
        first = _first_atoms(self.sizes)
        rows = []
        for variable, size in enumerate(self.sizes.tolist()):
            if variable in self.observed:
                row = np.eye(size)[self.observed[variable]]
            elif size == 2:
                true = probability[first[variable]]
                row = np.array([1 - true, true])
            else:
                row = probability[first[variable] : first[variable + 1]]
            rows.append(row / row.sum())
        return rows


def read_network(path: Path | str, evidence: Path | str | None = None) -> UaiNetwork:
    """The network of a UAI file, what the evidence file observes clamped.

    Raises:
        InferenceError: KR706 for a file that is no network, KR707 for one that is no evidence
            about it.
    """
    text = Path(path).read_text(encoding="utf-8")
    graph = parse_uai(text)
    tokens = text.split()
    sizes = np.array(tokens[2 : 2 + int(tokens[1])], dtype=np.int64)
    if evidence is None:
        return UaiNetwork(graph, sizes, {})
    observed = parse_evidence(Path(evidence).read_text(encoding="utf-8"), sizes.tolist())
    first, state = _first_atoms(sizes), graph.evidence.clone()
    for variable, value in observed.items():
        atoms = slice(first[variable], first[variable + 1])
        state[atoms] = FALSE
        if sizes[variable] == 2:
            state[atoms] = TRUE if value else FALSE
        else:
            state[first[variable] + value] = TRUE
    return UaiNetwork(replace(graph, evidence=state), sizes, observed)


def parse_evidence(text: str, sizes: Sequence[int]) -> dict[int, int]:
    """State by observed variable.

    Args:
        text: of an evidence file.
        sizes: number of states of each variable.

    Raises:
        InferenceError: KR707 for other text, several samples, a variable or state that is not
            there, or a variable observed in two states.
    """
    try:
        numbers = [int(token) for token in text.split()]
    except ValueError as error:
        raise _no_evidence(str(error)) from None
    if numbers and len(numbers) % 2 == 0 and numbers[0] == 1:
        numbers = numbers[1:]  # the number of samples
    if not numbers:
        return {}
    count, pairs = numbers[0], numbers[1:]
    if len(pairs) != 2 * count:
        raise _no_evidence(f"{count} variables are announced, {len(pairs)} numbers follow")
    observed: dict[int, int] = {}
    for variable, state in zip(pairs[::2], pairs[1::2], strict=True):
        if not 0 <= variable < len(sizes) or not 0 <= state < sizes[variable]:
            raise _no_evidence(f"there is no state {state} of a variable {variable}")
        if observed.setdefault(variable, state) != state:
            raise _no_evidence(f"variable {variable} is in two states")
    return observed


def _first_atoms(sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """``int64[v + 1]``: where the atoms of each variable begin."""
    return np.concatenate([[0], np.cumsum(np.where(sizes == 2, 1, sizes))])


def _no_evidence(why: str) -> InferenceError:
    return InferenceError(f"not an evidence file in UAI format: {why}", code="KR707")
