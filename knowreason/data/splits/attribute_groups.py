"""Things that belong together by the value of an attribute."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from knowreason.data.encoded_tables import EncodedTables
from knowreason.data.id_tables import VALUE, id_columns
from knowreason.errors import DataError, did_you_mean


def group_codes(data: EncodedTables, attribute: str) -> tuple[NDArray[np.int64], str]:
    """``int64[things]``: a number for each value of the attribute, ``-1`` where there is none.

    Args:
        data: with the attribute's table.
        attribute: of one thing, of any sort.

    Returns:
        The numbers, and the domain of the things.

    Raises:
        DataError: KR519 where there is no such attribute.
    """
    declared = {a.name: a for a in data.program.given_attributes}.get(attribute)
    if declared is None or len(declared.sorts) != 1:
        usable = [a.name for a in data.program.given_attributes if len(a.sorts) == 1]
        raise DataError(
            f"`{attribute}` is no attribute of one thing",
            code="KR519",
            help=did_you_mean(attribute, usable) or f"there is: {', '.join(usable) or 'none'}",
        )
    codes = np.full(data.count(declared.sorts[0]), -1, dtype=np.int64)
    table: pa.Table = data.attributes[attribute]
    values = table.column(VALUE).combine_chunks().dictionary_encode()
    codes[id_columns(table)[0]] = values.indices.to_numpy(zero_copy_only=False)
    return codes, declared.sorts[0]
