"""A small project on generated tables, for tests of the pipeline and the command line."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from knowreason.data.worlds.skimming import skimming
from knowreason.resources import rulesets_path, template_path


def write_skimming(folder: Path, *, seed: int = 0, days: int = 14, cut: int = 10) -> Path:
    """A skimming project with a small world: 10 terminals, about 5 payments a day at each."""
    folder.mkdir(parents=True, exist_ok=True)
    text = (template_path("fraud") / "knowreason.toml").read_text()
    text = text.replace('"< 30"', f'"< {cut}"').replace('">= 30"', f'">= {cut}"')
    (folder / "knowreason.toml").write_text(text)
    (folder / "skimming.kr").write_text((rulesets_path() / "skimming.kr").read_text())
    write_world(folder / "data", seed=seed, days=days, cut=cut)
    return folder


def write_world(folder: Path, *, seed: int, days: int = 14, cut: int = 10) -> dict[str, pa.Table]:
    """Tables of a small world."""
    world = skimming(
        seed=seed,
        days=days,
        cut=cut,
        terminals=10,
        cards=200,
        payments_per_day=5.0,
        prevalence=0.12,
        drift=0.5,
    )
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("cards", "terminals", "payments", "days", "labels"):
        pq.write_table(world[name], folder / f"{name}.parquet")
    return world
