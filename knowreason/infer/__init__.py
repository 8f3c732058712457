"""Inference: from a factor graph to beliefs."""

from knowreason.infer.engines import ENGINES, Engine, infer
from knowreason.infer.posterior import EngineReport, Posterior

__all__ = ["ENGINES", "Engine", "EngineReport", "Posterior", "infer"]
