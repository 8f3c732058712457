"""CPU seconds to turn a column of names into ids, beside reading the column.

    python benchmarks/names_to_ids.py [--rows 10000000] [--out names_to_ids.json]

Reading is that of a Parquet file of plain strings by Arrow. The target is 7 times reading,
whether few names repeat often or every row names another thing.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from knowreason.data.name_encoding import encode


def cpu_seconds(work, repeats: int = 3) -> float:
    """Least CPU seconds of several runs."""
    found = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        found.append(time.process_time() - start)
    return min(found)


def measure(rows: int, names: int, path: Path) -> dict[str, float]:
    """Seconds of one column of ``rows`` texts that name ``names`` things."""
    rng = np.random.default_rng(0)
    numbers = np.arange(rows) if names == rows else rng.integers(0, names, rows)
    texts = pc.binary_join_element_wise("user", pa.array(numbers).cast(pa.string()), "_")
    pq.write_table(pa.table({"name": texts}), path, use_dictionary=False)
    column = pq.read_table(path).column("name")
    return {
        "rows": rows,
        "names": names,
        "read": cpu_seconds(lambda: pq.read_table(path)),
        "encode": cpu_seconds(lambda: encode(column)),
        "arrow dictionary": cpu_seconds(column.dictionary_encode),
    }


def main() -> None:
    """Measure a tenth of the rows and all of them, with few, many and only new names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--out", type=Path, default=Path("names_to_ids.json"))
    options = parser.parse_args()
    results = []
    print(f"{'rows':>12}{'names':>12}{'read s':>9}{'encode s':>10}{'ratio':>7}{'arrow':>7}")
    with tempfile.TemporaryDirectory() as folder:
        for rows in (options.rows // 10, options.rows):
            for names in (rows // 100, rows // 10, rows):
                found = measure(rows, names, Path(folder) / "names.parquet")
                results.append(found)
                ratios = [found[way] / found["read"] for way in ("encode", "arrow dictionary")]
                print(
                    f"{rows:12,}{names:12,}{found['read']:9.3f}{found['encode']:10.3f}"
                    f"{ratios[0]:7.1f}{ratios[1]:7.1f}"
                )
    options.out.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
