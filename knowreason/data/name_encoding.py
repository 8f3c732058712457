"""A column as indices into its distinct names: the hot path of binding.

Hashing ten million texts costs several times reading them. So a long column is hashed to
64 bits first, which is cheap: where no hash repeats, no name does either, and where some
do, the (integer) hashes are coded and the names compared, so that the answer is exact.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from knowreason.data.id_tables import first_rows, group_numbers, repeats

UNKNOWN = -1
LONG = 200_000
SAMPLE = 50_000


def encode(column: pa.ChunkedArray) -> tuple[NDArray[np.int32], pa.StringArray]:
    """Indices of a column's rows into its distinct names, and those names.

    Args:
        column: text or integers.

    Returns:
        ``int32[rows]``, -1 for null, and ``string[d]`` in order of first appearance.
    """
    if len(column) >= LONG and not column.null_count and _has_many_names(column):
        keys = column.to_numpy() if pa.types.is_integer(column.type) else _hashes(column)
        encoded = _encode_by_keys(column, keys)
        if encoded is not None:
            return encoded
    chunks = column.dictionary_encode().chunks  # all chunks share the last one's names
    if not chunks:
        return np.empty(0, dtype=np.int32), pa.array([], pa.string())
    indices = np.concatenate([to_ids(chunk.indices) for chunk in chunks])
    return indices, as_text(chunks[-1].dictionary)


def as_text(names: pa.Array | pa.ChunkedArray) -> pa.StringArray:
    """One string array: text as it is, integers as their decimal text."""
    return one_chunk(names if names.type == pa.string() else names.cast(pa.string()))


def one_chunk(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """A column as a single array."""
    if not isinstance(column, pa.ChunkedArray):
        return column
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def to_ids(indices: pa.Int32Array) -> NDArray[np.int32]:
    """Indices as ``int32``, -1 for null."""
    return np.asarray(indices.fill_null(UNKNOWN), dtype=np.int32)


def _has_many_names(column: pa.ChunkedArray) -> bool:
    """Whether the first rows name so many things that a table of them leaves the cache."""
    return len(column.slice(0, SAMPLE).unique()) > 0.9 * SAMPLE


def _encode_by_keys(
    column: pa.ChunkedArray, keys: NDArray[np.integer]
) -> tuple[NDArray[np.int32], pa.StringArray] | None:
    """Code the keys instead of the names; ``None`` when two names share a key."""
    if not repeats(keys):
        return np.arange(len(keys), dtype=np.int32), as_text(column)
    groups = group_numbers(keys)
    names = one_chunk(column.take(pa.array(first_rows(groups))))
    same = pc.equal(column, pa.chunked_array([names.take(pa.array(groups))]))
    return (groups, as_text(names)) if pc.all(same).as_py() else None


def _hashes(column: pa.ChunkedArray) -> NDArray[np.uint64]:
    from sqlglot import exp

    from knowreason.data.engine.duckdb_engine import DuckDBEngine

    tree = exp.select(exp.func("hash", exp.column("name")).as_("hash")).from_("names")
    with DuckDBEngine() as engine:
        engine.register("names", pa.table({"name": column}))
        hashes: NDArray[np.uint64] = engine.arrow(tree).read_all().column("hash").to_numpy()
        return hashes
