"""Cost against size, as one picture of what ``scale.py`` and ``divided.py`` wrote.

    python -m benchmarks.scale_picture --whole scale.json [--parts log.json one.json] [--out DIR]

Left CPU seconds, right the peak of memory, both against rows. Whole runs lie
beside the hand-made pass of the same run (*numpy*); runs in parts are marked by their rules.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from knowreason.report import save_svg
from knowreason.report.svg import INK, PALETTE, QUIET

Row = Mapping[str, Any]
WORDS = {"log": "in parts: log and hub, three verbs", "one": "in parts: one rule, predict"}


def draw(whole: Sequence[Row], parts: Sequence[Row], out: Path) -> None:
    """Writes ``scale.svg``."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.6, 3.6), layout="constrained")
    seconds, memory = figure.subplots(1, 2)
    sizes = [row["rows"] for row in whole]
    cpu = [row["steps"]["all"]["cpu"] for row in whole]
    limit = [max(row["steps"]["numpy"]["cpu"], 1e-3) for row in whole]
    seconds.plot(sizes, cpu, "o-", color=PALETTE[0], label="whole: KnowGraph's rules, hub")
    seconds.plot(sizes, limit, "s--", color=QUIET, label="numpy, by hand, from ids")
    memory.plot(sizes, [row["steps"]["all"]["peak"] for row in whole], "o-", color=PALETTE[0])
    for row, colour in zip(parts, PALETTE[1:], strict=False):
        verbs = [row[verb] for verb in ("plan", "compile", "predict") if verb in row]
        where, words = row["rows"], WORDS.get(row["rules"], row["rules"])
        total = sum(verb["cpu"] for verb in verbs)
        seconds.plot(where, total, "D", color=colour, label=words)
        memory.plot(where, max(verb["peak"] for verb in verbs), "D", color=colour)
    seconds.set_ylabel("CPU seconds")
    memory.set_ylabel("peak of memory, GB")
    for axis in (seconds, memory):
        axis.set_xscale("log")
        axis.set_xlabel("rows")
        axis.grid(visible=True, which="major", color="#e4e7eb", linewidth=0.6)
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(colors=INK, labelsize=8)
    seconds.set_yscale("log")
    memory.set_ylim(0)
    seconds.legend(frameon=False, fontsize=8)
    out.mkdir(parents=True, exist_ok=True)
    save_svg(figure, out / "scale.svg")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--whole", type=Path, default=Path("scale.json"))
    parser.add_argument("--parts", type=Path, nargs="*", default=[])
    parser.add_argument("--out", type=Path, default=Path("docs/studies/pictures"))
    options = parser.parse_args()
    parts = [json.loads(file.read_text()) for file in options.parts]
    draw(json.loads(options.whole.read_text()), parts, options.out)


if __name__ == "__main__":
    main()
