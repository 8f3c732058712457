"""Generated worlds, for examples, tests and benchmarks: nothing in them is real."""

from knowreason.data.worlds.intrusion import intrusion
from knowreason.data.worlds.marketplace import marketplace
from knowreason.data.worlds.skimming import skimming

__all__ = ["intrusion", "marketplace", "skimming"]
