"""How much memory and time exact inference may take, estimated before it starts.

Time is counted work: a clock decides nothing, so the same graph, seed and budget give the same
answer on any machine.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from knowreason.errors import InferenceError

MEMORY, SECONDS = "1GB", 60.0
# nanoseconds to read one operand of one state of a clique, both ways, and to make the state;
# measured on one thread at 3 GHz (grids, mutagenesis, UAI 2014: within a factor of two)
READ, STATE = 4.0, 22.0
_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?B?)\s*", re.IGNORECASE)


@dataclass(frozen=True)
class ExactCost:
    """What a junction tree takes.

    Attributes:
        memory: bytes held at once.
        nanoseconds: counted work in both directions.
    """

    memory: int
    nanoseconds: float

    @property
    def seconds(self) -> float:
        """The counted work."""
        return self.nanoseconds * 1e-9

    def __str__(self) -> str:
        return f"about {_size(self.memory)} and {self.seconds:.2g} s"


@dataclass(frozen=True)
class ExactBudget:
    """What exact inference may take.

    Attributes:
        memory: bytes held at once.
        seconds: counted work of one posterior, all components together.

    Example:
        >>> print(ExactBudget.of("500MB", 10))
        500 MB and 10 s
    """

    memory: int
    seconds: float

    @staticmethod
    def of(memory: str | int = MEMORY, seconds: float = SECONDS) -> ExactBudget:
        """The budget; raises ``InferenceError`` (KR709) for what is no amount."""
        found = _SIZE.fullmatch(str(memory))
        if found is None or not seconds >= 0:
            raise InferenceError(
                f"`{memory}` and `{seconds}` are no memory and seconds for exact inference",
                code="KR709",
                help='write `exact_memory = "1GB"` (or a number of bytes), `exact_seconds = 60`',
            )
        unit = found[2].upper()
        return ExactBudget(
            int(float(found[1]) * _UNITS[unit if unit.endswith("B") or not unit else unit + "B"]),
            float(seconds),
        )

    def times(self, factor: int) -> ExactBudget:
        """A multiple of it."""
        return ExactBudget(factor * self.memory, factor * self.seconds)

    def allows(self, cost: ExactCost) -> bool:
        """Whether one component of this cost may be served."""
        return cost.memory <= self.memory and cost.seconds <= self.seconds

    def __str__(self) -> str:
        return f"{_size(self.memory)} and {self.seconds:g} s"


def _size(memory: int) -> str:
    for unit in ("GB", "MB", "kB"):
        amount = memory / _UNITS[unit.upper()]
        if amount >= 1:
            return f"{amount:.3g} {unit}"
    return f"{memory} bytes"
