"""Inference: from a factor graph to beliefs."""

from knowreason.callable_modules import call_as
from knowreason.infer.engines import ENGINES, Engine, infer
from knowreason.infer.posterior import EngineReport, Posterior

__all__ = ["ENGINES", "Engine", "EngineReport", "Posterior", "infer"]

call_as(__name__, infer)
