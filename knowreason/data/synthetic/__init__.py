"""Generated worlds, for examples, tests and benchmarks: nothing in them is real."""

from knowreason.data.synthetic.intrusion import intrusion
from knowreason.data.synthetic.marketplace import marketplace
from knowreason.data.synthetic.skimming import skimming

__all__ = ["intrusion", "marketplace", "skimming"]
