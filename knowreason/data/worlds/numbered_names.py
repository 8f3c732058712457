"""Names of generated things."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray


def numbered(prefix: str, numbers: NDArray[np.integer]) -> pa.Array:
    """``prefix`` and each number: ``p0``, ``p1`` ..."""
    return pc.binary_join_element_wise(prefix, pa.array(numbers).cast(pa.string()), "")
