"""Names, priors and bounds of a factor graph's parameter vector ``theta``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

ParameterKind = Literal["rule", "bias", "scale", "fixed"]


@dataclass(frozen=True)
class ParameterTable:
    r"""One row a parameter; all arrays have length ``p``.

    Attributes:
        names: ``pivot``, ``per_protocol["NTLM"]``, ``bias Malicious``, ``scale euler``.
        kinds: a rule's weight, a predicate's base rate in log-odds, a model's scale, or the
            number 1 by which tables without a weight are multiplied (``fixed``).
        start: ``float64``, value before learning (a given weight's value).
        prior_mean, prior_sd: ``float64``; of ``log theta`` where ``log_normal``.
        lower, upper: ``float64`` bounds.
        learned: ``bool``; false where the value was given.
        log_normal: ``bool``; true for scales (``log alpha ~ N(0, 0.5**2)``).
        owner: index of the rule (kind ``rule``), else ``-1``.

    Example:
        >>> import knowreason as kr
        >>> program = kr.loads("domain Person\nquery Smokes(Person)")
        >>> kr.ground(program, kr.Dataset.from_frames(program)).parameters.names
        ('bias Smokes',)
    """

    names: tuple[str, ...]
    kinds: tuple[ParameterKind, ...]
    start: NDArray[np.float64]
    prior_mean: NDArray[np.float64]
    prior_sd: NDArray[np.float64]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    learned: NDArray[np.bool_]
    log_normal: NDArray[np.bool_]
    owner: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.names)

    def index(self, name: str) -> int:
        """Position of a name; raises ``ValueError``."""
        return self.names.index(name)
